"""``--set`` and ``--drop``: how they are read, and what they do to a writer's record."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from consumer.avro_kinds import Misfit, WriterSchema
from consumer.edit_walk import Change
from consumer.edits import EditError, edited, read_edits
from consumer.schema_plan import ReadPlan, event_schema, plan_reading
from tests.fakes.writers import plainly_read, writers, written

EVENT: dict[str, Any] = {
    "eventName": "Purchase",
    "eventTime": 1_760_000_000_000,
    "user": {"email": "jane@example.com", "zip": "94105"},
    "items": [{"id": "a", "price": 1.5}, {"id": "b"}],
    "customData": {"color": "red", "a.b": "c"},
}
THEIRS: dict[str, Any] = {
    "type": "record",
    "name": "TheirEvent",
    "fields": [
        {"name": "eventName", "type": "string"},
        {
            "name": "at",
            "aliases": ["eventTime"],
            "type": {"type": "long", "logicalType": "timestamp-micros"},
        },
        {
            "name": "user",
            "type": {
                "type": "record",
                "name": "User",
                "fields": [{"name": "mail", "aliases": ["email"], "type": ["null", "string"]}],
            },
        },
        {
            "name": "amount",
            "aliases": ["value"],
            "type": [
                "null",
                {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
            ],
        },
        {"name": "currency", "type": "string", "default": ""},
        {"name": "orderId", "type": ["null", "long", "string"]},
        {"name": "warehouse", "type": "int"},
    ],
}
THEIR_EVENT: dict[str, Any] = {
    "eventName": "Purchase",
    "at": 1_760_000_000_000_000,
    "user": {"mail": "jane@example.com"},
    "amount": Decimal("12.50"),
    "currency": "USD",
    "orderId": None,
    "warehouse": 7,
}


def after(
    *to_set: str,
    drop: tuple[str, ...] = (),
    schema: Any = None,
    event: Any = None,
) -> tuple[dict[str, Any], tuple[Change, ...]]:
    """The event after the edits, without what is null, and what changed."""
    schema, event = schema or event_schema(), event or EVENT
    plan = plan_reading(schema)
    assert isinstance(plan, ReadPlan)
    whole = WriterSchema.of(plan)
    assert whole is not None
    edits = read_edits(to_set=to_set, to_drop=drop, to_destination=None)
    record, changes = edited(whole.read(written(schema, event), 5), whole.kind, edits)
    found = plainly_read(schema, whole.written(record, b"\x00\x00\x00\x00\x07"))
    return _without_nulls(found), changes


def _without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {name: _without_nulls(each) for name, each in value.items() if each is not None}
        case list():
            return [_without_nulls(each) for each in value]
        case (_, each):
            return _without_nulls(each)
        case _:
            return value


def theirs(*to_set: str, drop: tuple[str, ...] = ()) -> dict[str, Any]:
    found, _ = after(*to_set, drop=drop, schema=THEIRS, event=THEIR_EVENT)
    return found


BEFORE, _ = after()


@pytest.mark.parametrize(
    ("to_set", "changed"),
    [
        ("currency=EUR", {"currency": "EUR"}),
        ("currency=", {"currency": ""}),
        ("value=42.50", {"value": 42.5}),
        ("searchString=a=b", {"searchString": "a=b"}),
        ("numItems=3", {"numItems": 3}),
        ("optOut=true", {"optOut": True}),
        ("eventTime=2025-10-09T08:53:20Z", {"eventTime": 1_760_000_000_000}),
        ("eventTime=1760000000", {"eventTime": 1_760_000_000}),
        ("user.country=US", {"user": BEFORE["user"] | {"country": "US"}}),
        (
            "user.clickIds.fbp=fb.1.2.3",
            {"user": BEFORE["user"] | {"clickIds": {"fbp": "fb.1.2.3"}}},
        ),
        ('user.emails=["x@y.de"]', {"user": BEFORE["user"] | {"emails": ["x@y.de"]}}),
        ("items[1].price=9.5", {"items": [EVENT["items"][0], {"id": "b", "price": 9.5}]}),
        ("customData.size=L", {"customData": EVENT["customData"] | {"size": "L"}}),
        ("customData.a.b=d", {"customData": EVENT["customData"] | {"a.b": "d"}}),
        ("customNumbers.margin=2", {"customNumbers": {"margin": 2.0}}),
    ],
)
def test_a_field_is_set_and_nothing_else(to_set: str, changed: dict[str, Any]) -> None:
    found, _ = after(to_set)

    assert found == BEFORE | changed


@pytest.mark.parametrize(
    ("drop", "changed"),
    [
        ("user.zip", {"user": {"email": "jane@example.com"}}),
        ("user.clickIds.fbp", {}),
        ("user.country", {}),
        ("items[0]", {"items": [EVENT["items"][1]]}),
        ("items[0].price", {"items": [{"id": "a"}, {"id": "b"}]}),
        ("customData.color", {"customData": {"a.b": "c"}}),
        ("customData.other", {}),
    ],
)
def test_a_field_is_dropped_and_nothing_else(drop: str, changed: dict[str, Any]) -> None:
    found, changes = after(drop=(drop,))

    assert found == BEFORE | changed
    assert bool(changes) == bool(changed)


def test_several_edits_are_made_one_after_the_other() -> None:
    found, changes = after("value=1", "currency=EUR", drop=("items",))

    assert found == {name: BEFORE[name] for name in BEFORE if name != "items"} | {
        "value": 1.0,
        "currency": "EUR",
    }
    assert [change.field for change in changes] == ["value", "currency", "items"]


def test_a_writers_field_is_found_by_our_name_and_by_its_own() -> None:
    before = theirs()

    assert theirs("value=42.5") == theirs("amount=42.50") == before | {"amount": b"\x10\x9a"}
    assert theirs("eventTime=1970-01-01T00:00:01Z") == before | {"at": 1_000_000}
    assert theirs("user.email=a@b.c") == before | {"user": {"mail": "a@b.c"}}
    assert theirs("warehouse=8") == before | {"warehouse": 8}


def test_of_a_union_the_type_is_taken_that_our_field_is_read_from() -> None:
    assert theirs("orderId=12")["orderId"] == "12"


def test_what_may_not_be_null_is_dropped_to_its_default_or_not_at_all() -> None:
    assert theirs(drop=("currency",))["currency"] == ""
    with pytest.raises(Misfit, match="warehouse must be there"):
        theirs(drop=("warehouse",))


@pytest.mark.parametrize(
    ("to_set", "told"),
    [
        ("predictedLtv=1", "the writer's schema has no field predictedLtv"),
        ("warehose=1", "the writer's schema has no field warehose (did you mean warehouse?)"),
        ("valeu=1", "the writer's schema has no field valeu (did you mean value?)"),
        ("user.city=x", "the writer's schema has no field city in user"),
        ("currency.code=x", "currency.code is no field: nothing lies within currency"),
        ("warehouse=x", "warehouse must be a whole number of 32 bits"),
        ("value=1.234", "value must be a number of at most 9 digits, 2 of them behind the point"),
    ],
)
def test_what_the_writers_schema_does_not_have_is_told(to_set: str, told: str) -> None:
    with pytest.raises(Misfit) as misfit:
        theirs(to_set)

    assert str(misfit.value) == told


def test_an_item_that_is_not_there_is_told() -> None:
    with pytest.raises(Misfit, match=r"^items is a list of 2: name one by \[0\]"):
        after("items[2].price=1")
    with pytest.raises(Misfit, match=r"^items is a list of 2: name one by \[0\]"):
        after("items.price=1")


def test_a_record_that_is_not_there_is_made_only_if_all_of_it_can_be() -> None:
    schema = event_schema()
    needy = {
        "type": "record",
        "name": "Needy",
        "fields": [{"name": "must", "type": "long"}, {"name": "may", "type": ["null", "long"]}],
    }
    schema["fields"].append({"name": "own", "type": ["null", needy]})

    with pytest.raises(Misfit, match=r"^own\.must must be there"):
        after("own.may=1", schema=schema, event=EVENT | {"own": None})


@pytest.mark.parametrize(
    ("to_set", "to_drop", "to_destination", "told"),
    [
        (["currency"], [], None, "--set must be PATH=VALUE, like currency=EUR"),
        (["=EUR"], [], None, "--set must name a field, like currency or user.country"),
        ([], ["items[x]"], None, "--drop must name a field, like currency or user.country"),
        (["currency=EUR", "currency=USD"], [], None, "currency is edited twice"),
        (["user.zip=1"], ["user"], None, "user is edited twice"),
        (["destinationId=1"], [], "2", "destinationId is edited twice"),
        ([], [], "my-pixel", "--to-destination must be a pixel's id"),
        (["value=much"], [], None, "--set value must be a number"),
        (
            ["items[0].quantity=1.5"],
            [],
            None,
            "--set items[0].quantity must be a whole number of 64 bits",
        ),
        (["user.emails=a@b.c"], [], None, "--set user.emails must be a list in JSON"),
    ],
)
def test_an_option_that_cannot_be_meant_so_is_told(
    to_set: list[str], to_drop: list[str], to_destination: str | None, told: str
) -> None:
    with pytest.raises(EditError) as error:
        read_edits(to_set=to_set, to_drop=to_drop, to_destination=to_destination)

    assert str(error.value) == told


def test_a_change_names_fields_and_knows_what_is_personal() -> None:
    _, changes = after("user.email=x@y.de", "customData.color=blue", "items[0].price=2")
    email, color, price = changes

    assert (email.field, email.names, email.personal) == ("user.email", ("user", "email"), True)
    assert (color.field, color.names) == ("customData", ("customData", "color"))
    assert (color.before, color.after, color.personal) == ("red", "blue", False)
    assert (price.field, price.names) == ("items.price", ("items", 0, "price"))
    assert "x@y.de" not in repr(changes)


def test_what_we_or_the_writer_call_personal_is_personal() -> None:
    _, by_us = after("user.mail=x@y.de", schema=THEIRS, event=THEIR_EVENT)
    schema = event_schema()
    field = next(each for each in schema["fields"] if each["name"] == "searchString")
    field["confluent:tags"] = ["PII"]
    _, by_them = after("searchString=x", schema=schema)

    assert [change.personal for change in (*by_us, *by_them)] == [True, True]


def test_an_edit_that_changes_nothing_is_none() -> None:
    _, changes = after("eventName=Purchase", "items[0].price=1.50", "customData.color=red")

    assert changes == ()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(writers())
def test_whoever_wrote_it_one_field_changes_and_all_others_stay(made: tuple[Any, Any]) -> None:
    schema, event = made
    value = written(schema, event)
    plan = plan_reading(schema)
    assert isinstance(plan, ReadPlan)
    whole = WriterSchema.of(plan)
    assert whole is not None
    edits = read_edits(
        to_set=["user.country=US", "value=3.25", "currency=EUR"], to_drop=[], to_destination=None
    )

    record, _ = edited(whole.read(value, 5), whole.kind, edits)

    new = event | {"user": event["user"] | {"land": "US"}, "currency": "EUR"}
    amount = next(each for each in schema["fields"] if each["name"] == "amount")
    new["amount"] = Decimal("3.25") if "decimal" in str(amount) else 3.25
    assert whole.written(record, value[:5]) == written(schema, new)

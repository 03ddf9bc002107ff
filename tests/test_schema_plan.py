"""Plans: how an event is read out of what publishers' schemas make of it, or why it cannot be."""

import json
from copy import deepcopy
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.decode import decode
from consumer.destinations import Destinations
from consumer.model import Event, Prepared, Reason, Rejected
from consumer.prepare import Preparation, prepare
from consumer.schema_plan import (
    DECIMAL_EVENT_BYTES_MAX,
    ReadPlan,
    UnusableSchema,
    event_schema,
    plan_reading,
    schema_fingerprint,
)
from tests.fakes.events import a_record

Schema = dict[str, Any]
USER: Schema = {
    "type": "record",
    "name": "User",
    "fields": [{"name": "email", "type": ["null", "string"]}],
}
JANE = {"email": "jane@example.com"}


def schema_of(*fields: Schema, user: Schema = USER, time: Any = "long") -> Schema:
    """A publisher's own schema: the required fields, and these."""
    return {
        "type": "record",
        "name": "TheirEvent",
        "namespace": "shop.tracking",
        "fields": [
            {"name": "eventName", "type": "string"},
            {"name": "eventTime", "type": time},
            {"name": "user", "type": user},
            *fields,
        ],
    }


def encoded(schema: Any, values: Any) -> bytes:
    """One Confluent-framed value."""
    out = BytesIO(b"\x00\x00\x00\x00\x07")
    out.seek(5)
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), values)
    return out.getvalue()


def usable(schema: Any) -> ReadPlan:
    plan = plan_reading(schema)
    assert isinstance(plan, ReadPlan)
    return plan


def read(schema: Any, **values: Any) -> Event:
    """Write an event by this schema and read it as the consumer does."""
    whole = {"eventName": "Lead", "eventTime": 1_760_000_000_000, "user": JANE, **values}
    plan = usable(schema)
    event = decode(a_record(value=encoded(schema, whole)), schema_for=lambda _: plan)
    assert isinstance(event, Event), event
    return event


def unusable(schema: Any) -> str:
    plan = plan_reading(schema)
    assert isinstance(plan, UnusableSchema)
    return plan.detail


def record_of(name: str, *types: Any) -> Schema:
    fields = [{"name": f"f{number}", "type": kind} for number, kind in enumerate(types)]
    return {"type": "record", "name": name, "fields": fields}


def test_our_own_schema_is_read_as_it_is_written() -> None:
    plan = usable(event_schema())

    assert (plan.reader, plan.convert, plan.time_per_ms) == (None, None, 1)


def test_the_names_of_records_and_namespaces_do_not_matter() -> None:
    plan = usable(schema_of())

    assert (plan.reader, plan.convert) == (None, None)
    assert read(schema_of()).fields["user"] == JANE


@pytest.mark.parametrize(
    ("logical", "value", "milliseconds"),
    [
        (None, 1_760_000_000_123, 1_760_000_000_123),
        (None, 1_760_000_000, 1_760_000_000_000),
        ("timestamp-millis", 1_760_000_000_123, 1_760_000_000_123),
        ("timestamp-millis", 1_760_000_000, 1_760_000_000_000),
        ("timestamp-micros", 1_760_000_000_123_456, 1_760_000_000_123),
        ("timestamp-nanos", 1_760_000_000_123_456_789, 1_760_000_000_123),
        ("local-timestamp-millis", 1_760_000_000_123, 1_760_000_000_123),
        ("local-timestamp-micros", 1_760_000_000_123_456, 1_760_000_000_123),
        ("timestamp-micros", 99_999_999_999, 99_999_999),
        ("something-else", 1_760_000_000_123, 1_760_000_000_123),
    ],
)
@pytest.mark.parametrize("nullable", [False, True])
def test_the_event_time_is_milliseconds_whatever_unit_the_writer_names(
    logical: str | None, value: int, milliseconds: int, nullable: bool
) -> None:
    kind: Any = "long" if logical is None else {"type": "long", "logicalType": logical}
    schema = schema_of(time=["null", kind] if nullable else kind)
    whole = {"eventName": "Lead", "eventTime": value, "user": JANE}
    plan = usable(schema)
    raw = BytesIO(b"\x00\x00\x00\x00\x07")
    raw.seek(5)
    plain = schema_of(time=["null", "long"] if nullable else "long")
    fastavro.schemaless_writer(raw, fastavro.parse_schema(plain), whole)

    event = decode(a_record(value=raw.getvalue()), schema_for=lambda _: plan)

    assert isinstance(event, Event)
    assert event.event_time_ms == milliseconds


def test_a_time_of_32_bits_is_in_seconds() -> None:
    assert read(schema_of(time="int"), eventTime=1_760_000_000).event_time_ms == 1_760_000_000_000


def test_a_null_time_is_no_time() -> None:
    assert read(schema_of(time=["null", "long"]), eventTime=None).event_time_ms is None


def test_the_unit_is_found_under_an_alias_too() -> None:
    schema = schema_of()
    schema["fields"][1] = {
        "name": "occurredAt",
        "aliases": ["eventTime"],
        "type": {"type": "long", "logicalType": "timestamp-micros"},
    }
    plan = usable(schema)

    assert plan.time_per_ms == 1000
    assert plan.reader is None


def test_the_unit_is_found_in_a_nullable_record_too() -> None:
    schema = schema_of(time={"type": "long", "logicalType": "timestamp-micros"})

    assert usable(["null", schema]).time_per_ms == 1000


@pytest.mark.parametrize("logical", [5, None, [], {}])
def test_a_logical_type_that_is_no_text_names_no_unit_or_makes_the_schema_unusable(
    logical: Any,
) -> None:
    plan = plan_reading(schema_of(time={"type": "long", "logicalType": logical}))

    assert isinstance(plan, UnusableSchema) or plan.time_per_ms == 0


def test_a_field_renamed_with_an_alias_is_read_under_our_name() -> None:
    event = read(schema_of({"name": "amount", "aliases": ["value"], "type": "double"}), amount=42.5)

    assert event.fields["value"] == 42.5
    assert "amount" not in event.fields


def test_metas_title_of_an_item_is_read_as_its_name_unless_there_is_one() -> None:
    def items(*names: str) -> Schema:
        fields = [{"name": name, "type": "string"} for name in names]
        item = {"type": "record", "name": "Item", "fields": fields}
        return schema_of({"name": "items", "type": {"type": "array", "items": item}})

    assert read(items("title"), items=[{"title": "Hat"}]).fields["items"] == [{"name": "Hat"}]
    both = read(items("title", "name"), items=[{"title": "Hat", "name": "Cap"}])
    assert both.fields["items"][0]["name"] == "Cap"


def test_a_field_of_our_name_outranks_an_alias_of_another() -> None:
    event = read(
        schema_of(
            {"name": "net", "aliases": ["value"], "type": "double"},
            {"name": "value", "type": "double"},
        ),
        net=1.0,
        value=2.0,
    )

    assert event.fields["value"] == 2.0


def test_a_nested_field_is_renamed_in_a_nullable_record_and_in_arrays() -> None:
    item = {
        "type": "record",
        "name": "Item",
        "fields": [{"name": "sku", "aliases": ["id"], "type": "string"}],
    }
    schema = schema_of({"name": "items", "type": ["null", {"type": "array", "items": item}]})

    assert read(schema, items=[{"sku": "a"}, {"sku": "b"}]).fields["items"] == [
        {"id": "a"},
        {"id": "b"},
    ]
    assert read(schema, items=None).fields["items"] is None


def test_a_decimal_is_read_as_a_number() -> None:
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
    fixed = {**decimal, "type": "fixed", "name": "Money", "size": 6}
    for kind in (decimal, ["null", decimal], [decimal, "null"], fixed):
        event = read(schema_of({"name": "value", "type": kind}), value=Decimal("42.50"))
        assert event.fields["value"] == 42.5
        assert isinstance(event.fields["value"], float)
    assert (
        read(schema_of({"name": "value", "type": ["null", decimal]}), value=None).fields["value"]
        is None
    )


@pytest.mark.parametrize(
    ("value", "scale", "number"),
    [
        (Decimal("42.50"), 2, 42.5),
        (Decimal("0.333333333"), 9, 0.333333),
        (Decimal("-3"), 0, -3.0),
        (Decimal("9" * 60), 0, 1e60),
        (Decimal("1" * 30 + "." + "5" * 8), 8, float("1" * 30)),
    ],
)
def test_a_decimal_of_any_precision_is_a_number_of_six_places(
    value: Decimal, scale: int, number: float
) -> None:
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 70, "scale": scale}

    assert (
        read(schema_of({"name": "value", "type": decimal}), value=value).fields["value"] == number
    )


def test_only_schemas_with_decimals_bound_their_values() -> None:
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
    plans = [
        plan_reading(schema_of({"name": "value", "type": kind}))
        for kind in ("double", decimal, ["null", decimal], ["null", "string", decimal])
    ]

    bounds = [plan.bytes_max for plan in plans if isinstance(plan, ReadPlan)]
    assert bounds == [None, *[DECIMAL_EVENT_BYTES_MAX] * 3]


DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3}
FIXED = {**DECIMAL, "type": "fixed", "name": "Money", "size": 6}


@pytest.mark.parametrize("decimal", [DECIMAL, FIXED])
@pytest.mark.parametrize("others", [["string"], ["double"], ["string", "long"], []])
def test_a_decimal_of_a_union_of_several_types_is_read_too(
    decimal: Schema, others: list[Any]
) -> None:
    schema = schema_of({"name": "value", "type": ["null", decimal, *others]})
    assert usable(schema).reader is None

    assert read(schema, value=Decimal("42.505")).fields["value"] == 42.505
    assert read(schema, value=None).fields["value"] is None


def test_a_decimal_without_places_is_a_whole_number_where_ours_is_one() -> None:
    whole = {**DECIMAL, "scale": 0}
    schema = schema_of({"name": "numItems", "type": ["null", whole]})

    found = read(schema, numItems=Decimal(3)).fields["numItems"]

    assert (found, type(found)) == (3, int)
    assert read(schema, numItems=None).fields["numItems"] is None
    assert usable(schema_of({"name": "numItems", "type": DECIMAL})).reader is not None


def times_within(kind: Any) -> list[Schema]:
    """Every time that our schema has within other records, of this type."""

    def of(name: str, *fields: Schema) -> Schema:
        return {"type": "record", "name": name, "fields": list(fields)}

    clicks = of(
        "Clicks", {"name": "fbclid", "type": "string"}, {"name": "fbclidTime", "type": kind}
    )
    touch = of(
        "Touch", {"name": "visitTime", "type": kind}, {"name": "touchpointTime", "type": kind}
    )
    return [
        {"name": "user", "type": of("User", {"name": "clickIds", "type": ["null", clicks]})},
        {"name": "originalEvent", "type": of("Other", {"name": "eventTime", "type": kind})},
        {"name": "attribution", "type": ["null", touch]},
    ]


SECONDS = 1_760_000_000


@pytest.mark.parametrize(
    ("logical", "per_second"),
    [
        ("timestamp-millis", 1_000),
        ("timestamp-micros", 1_000_000),
        ("timestamp-nanos", 1_000_000_000),
        ("local-timestamp-micros", 1_000_000),
        (None, 1),
        (None, 1_000),
    ],
)
@pytest.mark.parametrize("union", [False, True])
@pytest.mark.parametrize("resolved", [False, True])
def test_every_time_within_an_event_is_read_in_the_unit_that_the_writer_names(
    logical: str | None, per_second: int, union: bool, resolved: bool
) -> None:
    kind: Any = {"type": "long", "logicalType": logical} if logical else "long"
    schema = schema_of(*times_within(["null", kind] if union else kind)[1:])
    schema["fields"][2] = times_within(["null", kind] if union else kind)[0]
    if resolved:  # what our own plan cannot read goes through Avro's resolution
        odd = ["null", "long", {"type": "array", "items": "string"}]
        schema["fields"].append({"name": "contentIds", "type": odd, "default": None})
        schema = renamed_as_ours(schema)
    moment = SECONDS * per_second
    plain = fastavro.parse_schema(without_logical_types(schema))
    out = BytesIO(b"\x00\x00\x00\x00\x07")
    out.seek(5)
    values = {
        "eventName": "Lead",
        "eventTime": SECONDS,
        "user": {"clickIds": {"fbclid": "AbC", "fbclidTime": moment}},
        "originalEvent": {"eventTime": moment},
        "attribution": {"visitTime": moment, "touchpointTime": moment},
    }
    fastavro.schemaless_writer(out, plain, values)
    plan = usable(schema)
    assert (plan.reader is not None) is resolved

    event = decode(a_record(value=out.getvalue()), schema_for=lambda _: plan)

    assert isinstance(event, Event), event
    anything = Preparation(Destinations.anything(), None, 1_000_000)
    fields = {**event.fields, "destinationId": "1", "actionSource": "email"}
    found = prepare(event._replace(fields=fields), anything, now_ms=(SECONDS + 60) * 1000)
    assert isinstance(found, Prepared), found
    body = json.loads(found.body)
    assert body["user_data"]["fbc"] == f"fb.1.{SECONDS * 1000}.AbC"
    assert body["original_event_data"] == {"event_time": SECONDS}
    assert body["attribution_data"] == {"visit_time": SECONDS, "touchpoint_ts": SECONDS}


def renamed_as_ours(schema: Any) -> Any:
    """Avro's own resolution compares the names of records."""
    names = {
        "TheirEvent": "conversion.v1.ConversionEvent",
        "User": "conversion.v1.ConversionUser",
        "Clicks": "conversion.v1.ConversionClickIds",
        "Other": "conversion.v1.ConversionOriginalEvent",
        "Touch": "conversion.v1.ConversionAttribution",
    }
    if isinstance(schema, list):
        return [renamed_as_ours(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: renamed_as_ours(each) for key, each in schema.items() if key != "namespace"}
    return found | ({"name": names[schema["name"]]} if schema.get("name") in names else {})


def without_logical_types(schema: Any) -> Any:
    if isinstance(schema, list):
        return [without_logical_types(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {k: without_logical_types(v) for k, v in schema.items() if k != "logicalType"}


def test_decimals_in_a_map_are_read_as_numbers() -> None:
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 1}
    schema = schema_of({"name": "customNumbers", "type": {"type": "map", "values": decimal}})

    fields = read(schema, customNumbers={"a": Decimal("1.5")}).fields

    assert fields["customNumbers"] == {"a": 1.5}


@pytest.mark.parametrize(
    ("name", "kind", "value", "ours"),
    [
        ("numItems", "int", 3, 3),
        ("value", "int", 3, 3),
        ("value", "long", 3, 3),
        ("value", "float", 0.5, 0.5),
        ("status", {"type": "enum", "name": "S", "symbols": ["OLD", "NEW"]}, "NEW", "NEW"),
        ("status", "bytes", "café".encode(), "café"),
        ("status", {"type": "string", "avro.java.string": "String"}, "x", "x"),
        ("orderId", {"type": "string", "logicalType": "uuid"}, "u-1", "u-1"),
        ("optOut", "boolean", True, True),
        ("currency", ["string", "null"], "USD", "USD"),
        ("currency", ["null", "string"], None, None),
        ("contentIds", {"type": "array", "items": "bytes"}, [b"a"], ["a"]),
    ],
)
def test_a_writers_type_that_holds_ours_is_read_without_resolution(
    name: str, kind: Any, value: Any, ours: Any
) -> None:
    plain = deepcopy(kind)
    if isinstance(plain, dict) and plain.get("logicalType") == "uuid":
        plain = "string"
    schema = schema_of({"name": name, "type": kind})
    plan = usable(schema)
    assert plan.reader is None
    raw = encoded(
        schema_of({"name": name, "type": plain}),
        {"eventName": "Lead", "eventTime": 1, "user": JANE, name: value},
    )

    event = decode(a_record(value=raw), schema_for=lambda _: plan)

    assert isinstance(event, Event)
    assert event.fields[name] == ours


def test_a_type_that_is_named_once_and_used_again_is_followed() -> None:
    money = {"type": "fixed", "name": "M", "size": 4, "logicalType": "decimal", "precision": 6}
    schema = schema_of(
        {"name": "value", "type": money}, {"name": "netRevenue", "type": ["null", "M"]}
    )

    event = read(schema, value=Decimal(7), netRevenue=Decimal(8))

    assert (event.fields["value"], event.fields["netRevenue"]) == (7.0, 8.0)


def test_fields_that_we_do_not_know_change_nothing() -> None:
    event = read(schema_of({"name": "warehouse", "type": ["null", "int", "string"]}), warehouse="x")

    assert (event.fields["eventName"], event.fields["user"]) == ("Lead", JANE)


def test_where_no_conversion_is_possible_avros_own_resolution_reads_it() -> None:
    strings = {"type": "array", "items": "string"}
    schema = schema_of(
        {"name": "contentIds", "type": ["null", strings, "long"]},
        user={**USER, "name": "ConversionUser"},
    )
    schema |= {"name": "ConversionEvent", "namespace": "conversion.v1"}
    assert usable(schema).reader is not None

    event = read(schema, contentIds=["a", "b"])

    assert event.fields["contentIds"] == ["a", "b"]
    assert event.fields["value"] is None  # our default


STATUS = {"type": "enum", "name": "S", "symbols": ["OLD", "NEW"]}


@pytest.mark.parametrize(
    ("name", "union", "value"),
    [
        ("currency", ["null", "string", "int"], "USD"),
        ("currency", ["null", "string", "int"], None),
        ("currency", ["string", "int"], "USD"),
        ("status", ["null", STATUS, "long"], "NEW"),
        ("value", ["null", "double", "string"], 1.5),
        ("value", ["null", "int", "string"], 3),
        ("numItems", ["null", "int", "long"], 2**40),
        ("optOut", ["null", "boolean", "string"], True),
        ("optOut", ["null", "boolean", "string"], None),
    ],
)
def test_of_a_union_of_several_types_the_values_of_ours_are_read(
    name: str, union: list[Any], value: Any
) -> None:
    schema = schema_of({"name": name, "type": union})
    assert usable(schema).reader is None

    assert read(schema, **{name: value}).fields[name] == value


def test_a_union_of_several_types_is_read_inside_arrays_and_maps_too() -> None:
    union = ["string", "long"]
    schema = schema_of(
        {"name": "contentIds", "type": {"type": "array", "items": union}},
        {"name": "customData", "type": {"type": "map", "values": union}},
    )

    fields = read(schema, contentIds=["a", "b"], customData={"k": "v"}).fields

    assert (fields["contentIds"], fields["customData"]) == (["a", "b"], {"k": "v"})


@pytest.mark.parametrize(
    ("name", "union", "value"),
    [
        ("currency", ["null", "string", "long"], 4155551234),
        ("currency", ["null", "string", "bytes"], b"jane"),
        ("value", ["null", "double", "string"], "jane"),
        ("value", ["null", "double", "boolean"], True),
        ("numItems", ["null", "long", "double"], 1.5),
        ("numItems", ["null", "long", "boolean"], True),
        ("optOut", ["null", "boolean", "long"], 1),
    ],
)
def test_of_a_union_of_several_types_a_value_of_another_type_is_incompatible(
    name: str, union: list[Any], value: Any
) -> None:
    schema = schema_of({"name": name, "type": union})
    plan = usable(schema)
    whole = {"eventName": "Lead", "eventTime": 1, "user": JANE, name: value}

    rejected = decode(a_record(value=encoded(schema, whole)), schema_for=lambda _: plan)

    assert isinstance(rejected, Rejected)
    assert rejected.reason is Reason.SCHEMA_INCOMPATIBLE
    assert str(value) not in rejected.detail
    assert "jane" not in rejected.detail


def test_the_writers_unit_of_time_counts_in_avros_own_resolution_too() -> None:
    micros = {"type": "long", "logicalType": "timestamp-micros"}
    strings = {"type": "array", "items": "string"}
    schema = schema_of({"name": "contentIds", "type": ["null", strings, "int"]}, time=micros)
    plan = usable(schema)

    assert plan.reader is not None
    assert plan.time_per_ms == 1000


@pytest.mark.parametrize(
    "schema",
    ["string", schema_of({"name": "value", "type": "string"}), record_of("R", "string")],
    ids=["no record", "text for a number", "without our fields"],
)
def test_what_cannot_be_resolved_is_incompatible_and_says_nothing_of_the_value(schema: Any) -> None:
    plan = usable(schema)
    values: Any = {"eventName": "L", "eventTime": 1, "user": JANE, "value": "jane", "f0": "jane"}
    raw = encoded(schema, "jane" if schema == "string" else values)

    rejected = decode(a_record(value=raw), schema_for=lambda _: plan)

    assert isinstance(rejected, Rejected)
    assert rejected.reason is Reason.SCHEMA_INCOMPATIBLE
    assert "jane" not in rejected.detail


SELF = {"type": "record", "name": "Node", "fields": [{"name": "n", "type": ["null", "Node"]}]}
SELF_IN_ARRAY = record_of("Node", {"type": "array", "items": "Node"})
SELF_IN_MAP = record_of("Node", {"type": "map", "values": "Node"})
SELF_FAR_AWAY = record_of("A", record_of("B", {"type": "array", "items": ["null", "A"]}))


@pytest.mark.parametrize("schema", [SELF, SELF_IN_ARRAY, SELF_IN_MAP, SELF_FAR_AWAY])
def test_a_schema_that_contains_itself_is_unusable(schema: Schema) -> None:
    assert "contains itself" in unusable(schema)
    assert "contains itself" in unusable(schema_of({"name": "extra", "type": schema}))


EMPTY = record_of("Empty")


@pytest.mark.parametrize(
    "items",
    [
        "null",
        {"type": "null"},
        EMPTY,
        record_of("Nulls", "null", "null"),
        record_of("Outer", EMPTY, "null"),
        {"type": "fixed", "name": "Nothing", "size": 0},
    ],
)
def test_an_array_of_items_that_take_no_bytes_is_unusable(items: Any) -> None:
    array = {"type": "array", "items": items}

    assert "take no bytes" in unusable(schema_of({"name": "bomb", "type": array}))
    assert "take no bytes" in unusable(schema_of({"name": "bomb", "type": ["null", array]}))


def test_an_array_of_a_named_empty_record_is_unusable() -> None:
    first = {"name": "one", "type": EMPTY}
    array = {"name": "bomb", "type": {"type": "array", "items": "Empty"}}
    schema = schema_of(first, array)
    schema.pop("namespace")

    assert "take no bytes" in unusable(schema)


@pytest.mark.parametrize(
    "items",
    ["string", ["null", "string"], {"type": "fixed", "name": "One", "size": 1}, "boolean"],
)
def test_an_array_whose_items_take_bytes_is_fine(items: Any) -> None:
    schema = schema_of({"name": "extra", "type": {"type": "array", "items": items}})

    assert usable(schema).reader is None


def test_a_schema_nested_thousands_deep_is_unusable() -> None:
    deep: Any = "string"
    for _ in range(3000):
        deep = {"type": "array", "items": deep}

    assert unusable(record_of("R", deep)).startswith("the schema cannot be used: ")


def test_records_nested_into_a_multitude_are_unusable() -> None:
    bomb: Any = record_of("R0", "string", "string")
    for depth in range(1, 20):
        bomb = record_of(f"R{depth}", bomb, f"R{depth - 1}")

    assert "more than 50000 values" in unusable(bomb)


def test_a_record_used_in_many_places_is_no_multitude() -> None:
    address = record_of("Address", "string", "string")
    fields = [{"name": f"extra{n}", "type": "Address"} for n in range(50)]
    schema = schema_of({"name": "first", "type": address}, *fields)
    schema.pop("namespace")

    assert usable(schema).reader is None


@pytest.mark.parametrize(
    "schema",
    [
        None,
        5,
        {},
        {"type": "record", "name": "R", "fields": None},
        {"type": "record", "name": "R", "fields": [1]},
        {"type": "nonsense"},
        record_of("R", "Unheard"),
        record_of("R", {"type": {"type": "null"}}),
        {"type": "array"},
        [[{"type": "record", "name": "S", "fields": []}]],
        {"type": "string", "fields": [[]]},
    ],
)
def test_what_is_no_schema_is_unusable_and_says_why(schema: Any) -> None:
    assert unusable(schema).startswith("the schema cannot be used: ")


def test_the_event_schema_keeps_the_rules_that_publishers_are_promised() -> None:
    schema = event_schema()
    seen = 0

    def visit(record: Schema) -> None:
        nonlocal seen
        for field in record["fields"]:
            seen += 1
            assert field.get("doc"), field["name"]
            kind = field["type"]
            if isinstance(kind, list):
                assert kind[0] == "null"
                assert len(kind) == 2
                assert field["default"] is None
                kind = kind[1]
            if isinstance(kind, dict) and kind["type"] == "array":
                kind = kind["items"]
            if isinstance(kind, dict) and kind["type"] == "record":
                visit(kind)

    visit(schema)

    assert seen > 80
    required = [field["name"] for field in schema["fields"] if "default" not in field]
    assert required == ["eventName", "eventTime", "user"]


def test_a_fingerprint_is_eight_bytes_and_knows_nothing_of_words_and_order_of_attributes() -> None:
    schema = event_schema()
    wordless = {"fields": deepcopy(schema["fields"]), **schema, "doc": "other words"}

    assert len(schema_fingerprint(schema)) == 8
    assert schema_fingerprint(wordless) == schema_fingerprint(schema)
    assert schema_fingerprint(schema_of()) != schema_fingerprint(schema)


def test_a_fingerprint_is_the_specifications_crc_in_little_endian() -> None:
    # The specification's table gives 7195948357588979594 for the schema "null".
    assert int.from_bytes(schema_fingerprint("null"), "little") == 7195948357588979594


_PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
_OTHERS = ["record", "array", "map", "enum", "fixed", "TheirEvent", "nonsense", ""]
_KINDS = st.sampled_from([*_PRIMITIVES, *_OTHERS])
_SCHEMAS = st.recursive(
    _KINDS | st.none() | st.integers(-1, 3),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).filter(lambda some: all(isinstance(one, str) for one in some)),
        st.fixed_dictionaries(
            {"type": st.just("record"), "name": st.sampled_from(["A", "B"])},
            optional={
                "fields": st.lists(
                    st.fixed_dictionaries({"name": st.sampled_from(["x", "y"]), "type": inner}),
                    max_size=3,
                )
            },
        ),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries({"type": st.just("map"), "values": inner}),
        st.fixed_dictionaries(
            {"type": st.just("fixed"), "name": st.just("F"), "size": st.integers(-1, 2)}
        ),
    ),
    max_leaves=10,
)


@settings(deadline=None)
@given(kind=_SCHEMAS, name=st.sampled_from(["value", "items", "customData", "extra"]))
def test_no_type_of_a_field_whatever_makes_planning_raise(kind: Any, name: str) -> None:
    plan = plan_reading(schema_of({"name": name, "type": kind}))

    assert isinstance(plan, ReadPlan | UnusableSchema)

"""Of an event nothing personal is shown, and as much of the rest as helps."""

import string
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.masking import masked_event
from consumer.origin import MASKED
from consumer.schema_plan import event_schema
from tests.fakes.events import PIXEL

TOLD = frozenset({"order_1", PIXEL})


def shown(**fields: Any) -> dict[str, Any]:
    return masked_event(fields, told=TOLD)


def paths(schema: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Every field that holds a value, with whether it or a record around it is personal."""
    for branch in schema if isinstance(schema, list) else [schema]:
        for field in branch.get("fields", ()) if isinstance(branch, dict) else ():
            path = (*prefix, field["name"])
            personal = "PII" in field.get("confluent:tags", ())
            inner = list(paths(field["type"], path))
            yield from [(each, personal or deep) for each, deep in inner] or [(path, personal)]


PERSONAL = [path for path, personal in paths(event_schema()) if personal]


def test_the_schema_has_many_personal_fields() -> None:
    assert len(PERSONAL) >= 30
    assert ("appData", "vendorId") in PERSONAL


@pytest.mark.parametrize("path", PERSONAL, ids=".".join)
@pytest.mark.parametrize("value", ["canary", ["canary"], {"k": "canary"}, 4711, 1.5, True])
def test_a_personal_field_is_masked_whatever_it_holds(path: tuple[str, ...], value: Any) -> None:
    event: Any = value
    for name in reversed(path):
        event = {name: event}

    text = orjson.dumps(shown(**event))

    assert b"canary" not in text
    assert b"4711" not in text
    assert MASKED.encode() in text
    assert path[-1].encode() in text, "that it is filled in can be seen"


def test_what_is_empty_stays_as_it_is() -> None:
    assert shown(user={"email": None, "phone": "", "emails": []}) == {
        "user": {"email": None, "phone": "", "emails": []}
    }


def test_a_field_that_the_schema_does_not_know_is_masked() -> None:
    assert shown(loyaltyNumber="77", inner={"jane@x": 1}) == {
        "loyaltyNumber": MASKED,
        "inner": {MASKED: MASKED},
    }


def test_ordinary_fields_are_shown() -> None:
    event = {
        "eventName": "Purchase",
        "eventTime": 1_760_000_000_000,
        "eventId": "order_1",
        "destinationId": PIXEL,
        "value": 42.5,
        "currency": "EUR",
        "optOut": False,
        "items": [{"id": "sku_1", "quantity": 2, "price": 21.25}],
        "contentIds": ["sku_1", "sku_2"],
        "customData": {"plan": "gold"},
        "customNumbers": {"seats": 5.0},
    }

    assert shown(**event) == event


@pytest.mark.parametrize(
    ("fields", "seen"),
    [
        ({"orderId": "jane@example.com"}, {"orderId": MASKED}),
        ({"orderId": "+1 415 555 1234"}, {"orderId": MASKED}),
        ({"eventId": "+14155551234"}, {"eventId": MASKED}),
        ({"searchString": "a" * 64}, {"searchString": MASKED}),
        (
            {"sourceUrl": "https://x.example/thanks?mail=jane#me"},
            {"sourceUrl": f"https://x.example/thanks?{MASKED}"},
        ),
        ({"sourceUrl": "https://x.example/jane%40x.y"}, {"sourceUrl": MASKED}),
        ({"contentIds": ["sku", "jane@x.y"]}, {"contentIds": ["sku", MASKED]}),
        ({"customData": {"Customer-Email": "x", "note": "a@b"}}, {"Customer-Email", "note"}),
        ({"customData": {"jane@x.y": "x"}}, {MASKED: "x"}),
        ({"customNumbers": {"phone": 1.0, "n": 4155551234.0}}, {"phone", "n"}),
    ],
)
def test_what_looks_like_a_persons_is_masked(fields: dict[str, Any], seen: Any) -> None:
    found = shown(**fields)

    if isinstance(seen, set):
        seen = {next(iter(fields)): dict.fromkeys(seen, MASKED)}
    elif next(iter(fields)) == "customData":
        seen = {"customData": seen}
    assert found == seen


def test_free_json_is_shown_as_an_object_without_what_is_personal() -> None:
    free = '{"plan": "gold", "customer": {"email": "x", "tags": ["a@b", "c"]}, "ip": ["1.2.3.4"]}'

    assert shown(customDataJson=free)["customDataJson"] == {
        "plan": "gold",
        "customer": {"email": MASKED, "tags": [MASKED, "c"]},
        "ip": [MASKED],
    }
    assert shown(customDataJson='{"email": ')["customDataJson"] == MASKED
    assert MASKED in str(shown(customDataJson="[" * 900 + "]" * 900))


def test_a_pixel_is_told_even_if_it_looks_like_a_phone_number() -> None:
    pixel = "415555123456789"
    event = {"destinationId": pixel}

    assert masked_event(event, told=frozenset({pixel})) == event
    assert masked_event(event, told=frozenset()) == {"destinationId": MASKED}


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.binary(max_size=9),
    st.text(string.printable, max_size=20),
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
NAMES = st.sampled_from([field["name"] for field in event_schema()["fields"]]) | st.text(max_size=8)


@given(st.dictionaries(NAMES, ANYTHING, max_size=8))
def test_whatever_an_event_holds_it_can_be_masked(fields: dict[str, Any]) -> None:
    found = masked_event(fields, told=TOLD)

    assert len(found) <= len(fields)
    assert "bytes" not in {type(each).__name__ for each in found.values()}

"""Events as publishers write them: what is encoded here, the consumer decodes to the same."""

import json
from typing import Any

import pytest

from consumer.decode import decode
from consumer.encode import EventEncoder, avro_fields
from consumer.json_lines import Line, read_line
from consumer.model import Event, Record, TopicPartition
from consumer.schema_plan import event_schema, plan_reading, schema_fingerprint

TIME_MS = 1_795_000_000_000
CANARY = "jane.canary@example.com"
MINIMAL: dict[str, Any] = {"eventName": "Lead", "eventTime": TIME_MS, "user": {"email": CANARY}}


def decoded(value: bytes) -> Event:
    """What the consumer reads, asked for whichever schema the bytes name."""
    record = Record(TopicPartition("events", 0), 0, TIME_MS, None, value, (), 1)
    found = decode(record, schema_for=lambda _: plan_reading(event_schema()))
    assert isinstance(found, Event), found
    return found


def present(fields: Any) -> Any:
    """Without what is null, as the schema fills in its defaults."""
    if isinstance(fields, dict):
        return {name: present(value) for name, value in fields.items() if value is not None}
    return [present(each) for each in fields] if isinstance(fields, list) else fields


def test_confluent_framing_is_a_zero_byte_and_the_schema_id() -> None:
    value = EventEncoder(schema_id=0x01020304).encode(MINIMAL)

    assert value[:5] == b"\x00\x01\x02\x03\x04"
    assert present(decoded(value).fields) == MINIMAL


def test_without_a_registry_the_fingerprint_of_the_schema_comes_first() -> None:
    value = EventEncoder(schema_id=None).encode(MINIMAL)

    assert value[:10] == b"\xc3\x01" + schema_fingerprint(event_schema())
    assert present(decoded(value).fields) == MINIMAL


def test_everything_that_the_schema_holds_comes_back_unchanged() -> None:
    full = {
        **MINIMAL,
        "destinationId": "1",
        "eventId": "order_1",
        "value": 42.5,
        "items": [{"id": "sku_1", "quantity": 2, "price": 9.5}],
        "contentIds": ["sku_1"],
        "customData": {"plan": "gold"},
        "customNumbers": {"seats": 3.0},
        "consent": {"adUserData": "DENIED"},
        "optOut": False,
        "dataProcessing": {"options": ["LDU"], "country": 0, "state": 0},
        "originalEvent": {"eventTime": TIME_MS},
        "user": {"emails": [CANARY], "clickIds": {"fbclid": "AbC", "fbclidTime": TIME_MS}},
    }

    event = decoded(EventEncoder(schema_id=7).encode(full))

    assert present(event.fields) == full
    assert event.event_time_ms == TIME_MS


def test_the_freedoms_of_a_line_fit_the_schema() -> None:
    line = read_line(
        b'{"eventName": "Lead", "eventTime": 1795000000, "user": {"email": ["a@b.co", "c@d.de"],'
        b' "emails": ["e@f.gh"], "phone": ["1"], "externalId": [7]},'
        b' "customData": {"plan": "gold", "seats": 3, "trial": true, "deep": {"a": [1]}}}'
    )
    assert isinstance(line, Line)

    fields = present(decoded(EventEncoder(schema_id=7).encode(line.fields)).fields)

    assert fields["user"] == {
        "emails": ["a@b.co", "c@d.de", "e@f.gh"],
        "phones": ["1"],
        "externalIds": ["7"],
    }
    assert fields["customData"] == {"plan": "gold"}
    assert fields["customNumbers"] == {"seats": 3.0}
    assert fields["customDataJson"] == '{"trial":true,"deep":{"a":[1]}}'


def test_properties_that_are_no_text_join_the_json_that_is_there_which_wins() -> None:
    shaped = avro_fields(
        {
            "user": {},
            "customData": {"deep": {"a": 1}, "same": [1]},
            "customDataJson": '{"b": 2, "same": 3}',
        }
    )

    assert json.loads(shaped["customDataJson"]) == {"deep": {"a": 1}, "b": 2, "same": 3}


@pytest.mark.parametrize("given", ["{", "[1]", "3"])
def test_custom_json_that_is_no_object_stays_for_the_consumer_to_tell_of(given: str) -> None:
    fields = {"user": {}, "customData": {"deep": {"a": 1}}, "customDataJson": given}

    assert avro_fields(fields)["customDataJson"] == given


def test_what_is_given_is_not_changed() -> None:
    given = {**MINIMAL, "user": {"email": ["a"]}, "customData": {"n": 1}, "customNumbers": {"m": 2}}

    shaped = avro_fields(given)

    assert shaped["user"] == {"emails": ["a"]}
    assert shaped["customNumbers"] == {"m": 2, "n": 1.0}
    assert given["user"] == {"email": ["a"]}
    assert given["customData"] == {"n": 1}
    assert given["customNumbers"] == {"m": 2}


@pytest.mark.parametrize(
    "fields",
    [
        {"eventTime": TIME_MS, "user": {"email": CANARY}},
        {**MINIMAL, "eventTime": None},
        {**MINIMAL, "value": CANARY},
        {**MINIMAL, "user": {"clickIds": CANARY}},
    ],
)
def test_what_the_schema_cannot_hold_is_told_without_a_value(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="does not fit the schema") as caught:
        EventEncoder(schema_id=7).encode(fields)

    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__

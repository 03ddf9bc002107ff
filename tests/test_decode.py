"""Decoding: an event out of bytes, whatever the bytes are, and never an exception."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.decode import NeedsSchema, SchemaFor, SchemaRef, UnknownSchema, decode, event_time_ms
from consumer.model import Event, Reason, Rejected
from consumer.schema_plan import (
    BranchError,
    ReadPlan,
    UnusableSchema,
    event_schema,
    plan_reading,
    schema_fingerprint,
)
from tests.fakes.events import a_record

EVENT_TIME_MS = 1_760_000_000_123
SCHEMA = event_schema()
FINGERPRINT = schema_fingerprint(SCHEMA)
FRAME = b"\x00\x00\x00\x01\x02"
SINGLE_OBJECT = b"\xc3\x01" + FINGERPRINT
EMAIL = "jane.canary@example.com"


def our_plan() -> ReadPlan:
    plan = plan_reading(event_schema())
    assert isinstance(plan, ReadPlan)
    return plan


PLAN = our_plan()


def body(**fields: Any) -> bytes:
    """An event's Avro bytes by our schema, without a frame."""
    out = BytesIO()
    values = {
        "eventName": "Lead",
        "eventTime": EVENT_TIME_MS,
        "user": {"email": EMAIL, "phones": ["+14155550000"]},
        **fields,
    }
    fastavro.schemaless_writer(out, fastavro.parse_schema(event_schema()), values)
    return out.getvalue()


BODY = body(items=[{"id": "a", "quantity": 2}], customData={"k": "v"}, value=1.5)


def always(
    answer: ReadPlan | UnusableSchema | UnknownSchema | None,
) -> SchemaFor:
    return lambda _: answer


def rejected(value: bytes | None, schema_for: SchemaFor | None = None) -> Rejected:
    """What must not be decodable, and must not tell what it holds."""
    record = a_record(value=value)
    answer = decode(record, schema_for=schema_for or always(PLAN))
    assert isinstance(answer, Rejected)
    assert answer.record is record
    assert "canary" not in answer.detail
    return answer


@pytest.mark.parametrize(
    ("head", "ref"),
    [(FRAME, 258), (b"\x00\xff\xff\xff\xff", 2**32 - 1), (SINGLE_OBJECT, FINGERPRINT)],
    ids=["Confluent", "largest id", "single object"],
)
def test_both_wire_formats_are_read_and_name_their_schema(head: bytes, ref: SchemaRef) -> None:
    asked: list[SchemaRef] = []
    record = a_record(value=head + BODY)

    def schema_for(wanted: SchemaRef) -> ReadPlan:
        asked.append(wanted)
        return PLAN

    event = decode(record, schema_for=schema_for)

    assert isinstance(event, Event)
    assert asked == [ref]
    assert event.record is record
    assert event.fields["eventName"] == "Lead"
    assert event.fields["user"]["email"] == EMAIL
    assert event.fields["items"][0]["quantity"] == 2
    assert event.event_time_ms == EVENT_TIME_MS


def test_a_schema_that_is_not_known_yet_is_asked_for() -> None:
    record = a_record(value=FRAME + BODY)

    assert decode(record, schema_for=always(None)) == NeedsSchema(record, 258)
    single = a_record(value=SINGLE_OBJECT + BODY)
    assert decode(single, schema_for=always(None)) == NeedsSchema(single, FINGERPRINT)


def test_a_schema_that_nobody_knows_rejects_the_record() -> None:
    answer = rejected(FRAME + BODY, always(UnknownSchema("nobody knows 258")))

    assert (answer.reason, answer.detail) == (Reason.UNKNOWN_SCHEMA, "nobody knows 258")


def test_a_schema_that_is_unusable_rejects_the_record() -> None:
    answer = rejected(FRAME + BODY, always(UnusableSchema("it contains itself")))

    assert (answer.reason, answer.detail) == (Reason.SCHEMA_INCOMPATIBLE, "it contains itself")


def test_a_null_value_and_an_empty_one_are_told_apart() -> None:
    assert rejected(None).detail == "the value is null"
    assert rejected(b"").detail == "the value is empty"
    assert rejected(None).reason is rejected(b"").reason is Reason.UNDECODABLE


@pytest.mark.parametrize(
    "value",
    [
        b"\x00",
        b"\x00\x00\x00\x01",
        b"\xc3\x01" + FINGERPRINT[:7],
        b"\xc3\x02" + FINGERPRINT + BODY,
        b"\x01\x00\x00\x00\x01" + BODY,
        b'{"eventName":"Lead","user":{"email":"jane.canary@example.com"}}',
        BODY,
    ],
)
def test_what_has_no_known_frame_never_asks_for_a_schema(value: bytes) -> None:
    def schema_for(ref: SchemaRef) -> ReadPlan:
        raise AssertionError(f"asked for {ref!r}")

    answer = rejected(value, schema_for)

    assert answer.reason is Reason.UNDECODABLE
    assert f"{len(value)} bytes" in answer.detail


@pytest.mark.parametrize("head", [FRAME, SINGLE_OBJECT], ids=["Confluent", "single object"])
def test_an_event_that_is_cut_off_anywhere_is_undecodable(head: bytes) -> None:
    whole = head + BODY
    for length in range(len(whole)):
        assert rejected(whole[:length]).reason is Reason.UNDECODABLE


@pytest.mark.parametrize("tail", [b"\x00", b"tail of canary"])
def test_bytes_after_the_event_are_undecodable(tail: bytes) -> None:
    answer = rejected(FRAME + BODY + tail)

    assert answer.reason is Reason.UNDECODABLE
    assert f"{len(tail)} bytes are left" in answer.detail


def test_text_that_is_no_utf_8_is_undecodable() -> None:
    broken = (FRAME + BODY).replace(b"jane", b"jan\xff")

    assert rejected(broken).reason is Reason.UNDECODABLE


def test_an_event_of_another_schema_is_undecodable_and_no_crash() -> None:
    out = BytesIO()
    schema = {"type": "array", "items": "long"}
    fastavro.schemaless_writer(out, schema, [2**62, -1, 7])

    assert rejected(FRAME + out.getvalue()).reason is Reason.UNDECODABLE


def test_a_conversion_that_fails_is_undecodable() -> None:
    plan = plan_reading(
        {
            "type": "record",
            "name": "R",
            "fields": [
                {"name": "eventName", "type": "bytes"},
                {"name": "eventTime", "type": "long"},
                {"name": "user", "type": {"type": "record", "name": "U", "fields": []}},
            ],
        }
    )
    assert isinstance(plan, ReadPlan)

    assert rejected(FRAME + b"\x02\xff\x02", always(plan)).reason is Reason.UNDECODABLE
    good = decode(a_record(value=FRAME + b"\x02L\x02"), schema_for=always(plan))
    assert isinstance(good, Event)
    assert good.fields["eventName"] == "L"


def test_an_error_that_quotes_the_event_is_told_by_its_kind_alone() -> None:
    def complain(values: Any) -> Any:
        raise ValueError(f"cannot convert {values!r}")

    plan = ReadPlan(
        writer=PLAN.writer, reader=None, convert=complain, time_per_ms=1, bytes_max=None
    )

    answer = rejected(FRAME + BODY, always(plan))

    assert answer.detail == "the bytes do not fit the schema (ValueError)"


def test_a_field_of_a_type_that_ours_has_not_is_the_schemas_fault_and_no_damage() -> None:
    def complain(values: Any) -> Any:
        raise BranchError(f"no branch for {values!r}")

    plan = ReadPlan(
        writer=PLAN.writer, reader=None, convert=complain, time_per_ms=1, bytes_max=None
    )

    assert rejected(FRAME + BODY, always(plan)).reason is Reason.SCHEMA_INCOMPATIBLE


def test_a_length_far_beyond_the_value_takes_no_memory() -> None:
    endless = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # 2^63 - 1 as a length

    assert rejected(FRAME + endless + b"x").reason is Reason.UNDECODABLE


@pytest.mark.parametrize(
    ("value", "per_ms", "milliseconds"),
    [
        (0, 1, 0),
        (10**11 - 1, 1, (10**11 - 1) * 1000),
        (10**11, 1, 10**11),
        (10**11 - 1, 0, (10**11 - 1) * 1000),
        (10**11, 0, 10**11),
        (-(10**11) + 1, 0, -(10**14) + 1000),
        (-(10**11), 0, -(10**11)),
        (1_760_000_000, 1000, 1_760_000),
        (1_760_000_000_123_999, 1000, 1_760_000_000_123),
        (1_760_000_000_123_456_789, 1_000_000, 1_760_000_000_123),
        (None, 1, None),
        ("1760000000000", 1, None),
        (1.5, 0, None),
    ],
)
def test_a_time_too_small_for_milliseconds_is_seconds_and_a_named_unit_is_honoured(
    value: Any, per_ms: int, milliseconds: int | None
) -> None:
    assert event_time_ms(value, per_ms) == milliseconds


def test_an_event_shows_nothing_of_its_fields() -> None:
    event = decode(a_record(value=FRAME + BODY), schema_for=always(PLAN))

    assert "canary" not in repr(event)


@settings(deadline=None, max_examples=200)
@given(value=st.binary(max_size=200), head=st.sampled_from([b"", FRAME, SINGLE_OBJECT]))
def test_no_bytes_whatever_make_decoding_raise(value: bytes, head: bytes) -> None:
    answer = decode(a_record(value=head + value), schema_for=always(PLAN))

    assert isinstance(answer, Event | Rejected)
    assert isinstance(answer, Event) or answer.reason is Reason.UNDECODABLE


@settings(deadline=None, max_examples=200)
@given(
    at=st.integers(0, len(BODY) - 1),
    new=st.binary(max_size=12),
    cut=st.integers(0, 3),
)
def test_an_event_with_damage_in_it_is_read_or_undecodable_and_tells_nothing(
    at: int, new: bytes, cut: int
) -> None:
    damaged = BODY[:at] + new + BODY[at + cut :]

    answer = decode(a_record(value=FRAME + damaged), schema_for=always(PLAN))

    if isinstance(answer, Rejected):
        assert answer.reason is Reason.UNDECODABLE
        assert "canary" not in answer.detail
    else:
        assert isinstance(answer, Event)


def test_an_event_with_decimals_is_bounded_for_reading_them_takes_time_in_the_square() -> None:
    plan = replace(PLAN, bytes_max=100)
    value = b"\x00\x00\x00\x00\x01" + b"\x00" * 200

    rejected = decode(a_record(value=value), schema_for=lambda ref: plan)

    assert isinstance(rejected, Rejected)
    assert rejected.reason is Reason.UNDECODABLE
    assert "decimals" in rejected.detail

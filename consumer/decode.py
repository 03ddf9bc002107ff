"""Bytes of a record → Event. Pure: what a schema id means is told by the caller.

Two wire formats are read: Confluent's framing (a zero byte and a four-byte schema id) and Avro's
single-object encoding (C3 01 and the schema's eight-byte fingerprint).
"""

from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

import fastavro

from consumer.model import Event, Reason, Record, Rejected
from consumer.schema_plan import BranchError, ReadPlan, UnusableSchema

SchemaRef = int | bytes
"""A registry's schema id, or the fingerprint of single-object encoding."""

SECONDS_BELOW = 10**11
"""A time stamp below this can only be in seconds: as milliseconds it would be before March 1973."""


class UnknownSchema(NamedTuple):
    """Nobody knows this schema, for certain."""

    detail: str


class NeedsSchema(NamedTuple):
    """The record can be decoded once this schema has been fetched."""

    record: Record
    ref: SchemaRef


SchemaFor = Callable[[SchemaRef], ReadPlan | UnusableSchema | UnknownSchema | None]


def decode(record: Record, *, schema_for: SchemaFor) -> Event | Rejected | NeedsSchema:
    """Read one record; ``schema_for`` answers None while it does not know yet."""
    value = record.value
    if value is None:
        return _undecodable(record, "the value is null")
    if (named := framing(value)) is None:
        return _undecodable(record, _what_it_is_not(value))
    ref, start = named
    match schema_for(ref):
        case ReadPlan() as plan:
            return _read(record, value, start, plan)
        case UnusableSchema(detail):
            return Rejected(record=record, reason=Reason.SCHEMA_INCOMPATIBLE, detail=detail)
        case UnknownSchema(detail):
            return Rejected(record=record, reason=Reason.UNKNOWN_SCHEMA, detail=detail)
        case None:
            return NeedsSchema(record, ref)


class Framing(NamedTuple):
    """Which schema a value names, and where its body starts."""

    ref: SchemaRef
    start: int


def framing(value: bytes) -> Framing | None:
    """What is in front of the body; None when it is neither of the two."""
    if value[:1] == b"\x00" and len(value) >= 5:
        return Framing(int.from_bytes(value[1:5], "big"), 5)
    if value[:2] == b"\xc3\x01" and len(value) >= 10:
        return Framing(value[2:10], 10)
    return None


def head_of(ref: SchemaRef) -> bytes:
    """The framing that names a schema."""
    return b"\xc3\x01" + ref if isinstance(ref, bytes) else b"\x00" + ref.to_bytes(4, "big")


def _read(record: Record, value: bytes, start: int, plan: ReadPlan) -> Event | Rejected:
    if plan.bytes_max is not None and len(value) > plan.bytes_max:
        return _undecodable(record, f"an event with decimals may have {plan.bytes_max} bytes")
    stream = BytesIO(value)
    stream.seek(start)
    try:
        fields: Any = fastavro.schemaless_reader(stream, plan.writer, plan.reader)
        if plan.convert is not None:
            fields = plan.convert(fields)
    except BranchError:
        detail = "a field has a type that conversion_event.avsc does not allow"
        return Rejected(record=record, reason=Reason.SCHEMA_INCOMPATIBLE, detail=detail)
    except Exception as error:  # any bytes may come, and fastavro raises whatever they provoke
        if plan.reader is not None and type(error).__name__ == "SchemaResolutionError":
            detail = "the writer's schema cannot be resolved to conversion_event.avsc"
            return Rejected(record=record, reason=Reason.SCHEMA_INCOMPATIBLE, detail=detail)
        # Only the kind of error: its text may quote the bytes, which hold personal data.
        return _undecodable(record, f"the bytes do not fit the schema ({type(error).__name__})")
    left = len(value) - stream.tell()
    if left or not isinstance(fields, dict):
        return _undecodable(record, f"{left} bytes are left after the event")
    return Event(record, fields, event_time_ms(fields.get("eventTime"), plan.time_per_ms))


def event_time_ms(value: Any, per_ms: int) -> int | None:
    """Milliseconds since the epoch; ``per_ms`` units of the value make one (0: no unit named)."""
    if not isinstance(value, int):
        return None
    if per_ms > 1:
        return value // per_ms
    return value * 1000 if abs(value) < SECONDS_BELOW else value


def _undecodable(record: Record, detail: str) -> Rejected:
    return Rejected(record=record, reason=Reason.UNDECODABLE, detail=detail)


def _what_it_is_not(value: bytes) -> str:
    if not value:
        return "the value is empty"
    return (
        f"the value of {len(value)} bytes is neither Confluent-framed Avro "
        "nor single-object encoded"
    )

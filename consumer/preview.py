"""What Meta would get: JSON Lines of events → JSON Lines of answers, in order. Never connects.

The same code as the consumer's: a line is read, prepared, and shown.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from consumer.dead_letter import masked
from consumer.json_lines import Line, Mistake, read_line
from consumer.model import (
    Event,
    Prepared,
    Reason,
    Record,
    Rejected,
    Suppressed,
    TopicPartition,
)
from consumer.prepare import Preparation, prepare

NO_DESTINATION = "0"
"""Stands for the destination of an event that names none, while none is configured."""


def preview(
    lines: Iterable[bytes], preparation: Preparation, *, now_ms: int
) -> Iterator[dict[str, Any]]:
    """One answer per line; blank lines have none.

    ``{"destinationId", "event", "dropped": [{"field", "reason"}]}``, or
    ``{"rejected": {"reason", "field", "message"}}``, or ``{"suppressed": {"destinationId"}}``.
    """
    for number, line in enumerate(lines):
        if line.strip():
            yield _preview_line(line, number, preparation, now_ms)


class PreparedLine(NamedTuple):
    """A line that is an event, and what becomes of it.

    ``destination`` is None where the event names none and none is configured.
    """

    line: Line
    outcome: Prepared | Rejected | Suppressed
    destination: str | None

    def __repr__(self) -> str:
        return f"PreparedLine({self.outcome!r})"


def prepare_line(
    text: bytes, number: int, preparation: Preparation, *, now_ms: int
) -> PreparedLine | Mistake:
    """What the consumer would make of a record with this line's event; ``number`` is its offset."""
    line = read_line(text)
    if isinstance(line, Mistake):
        return line
    nameless = not line.fields.get("destinationId") and preparation.destinations.any_id
    if nameless:
        line.fields["destinationId"] = NO_DESTINATION
    record = Record(TopicPartition("preview", 0), number, now_ms, None, text.strip(), (), 0)
    outcome = prepare(Event(record, line.fields, line.event_time_ms), preparation, now_ms=now_ms)
    return PreparedLine(line, outcome, None if nameless else outcome.destination)


def _preview_line(
    text: bytes, number: int, preparation: Preparation, now_ms: int
) -> dict[str, Any]:
    prepared = prepare_line(text, number, preparation, now_ms=now_ms)
    if isinstance(prepared, Mistake):
        return _rejection(Reason.UNDECODABLE, prepared.field or None, prepared.message)
    match prepared.outcome:
        case Prepared() as outcome:
            return _shown(outcome, prepared.line, prepared.destination)
        case Rejected() as rejected:
            return _rejection(rejected.reason, rejected.field, rejected.detail)
        case Suppressed() as suppressed:
            return {"suppressed": {"destinationId": suppressed.destination}}


def _shown(prepared: Prepared, line: Line, destination: str | None) -> dict[str, Any]:
    dropped = [{"field": field, "reason": reason.value} for field, reason in prepared.dropped]
    dropped += [{"field": masked(path), "reason": "unknown_field"} for path in line.unknown]
    return {
        "destinationId": destination,
        "event": orjson.Fragment(prepared.body),
        "dropped": dropped,
        **({"testCode": prepared.test_code} if prepared.test_code else {}),
        **({"warnings": list(prepared.warnings)} if prepared.warnings else {}),
    }


def _rejection(reason: Reason, field: str | None, message: str) -> dict[str, Any]:
    return {"rejected": {"reason": reason.value, "field": field, "message": message}}

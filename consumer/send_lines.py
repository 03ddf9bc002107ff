"""A line of JSON → the event that ``send`` gives to Meta, or why it cannot. Pure.

The same reading and preparing as everywhere. A line has no place in Kafka: its index stands for the
offset and no time for the timestamp, so that an event without an id gets the same one each time
that the same line stands at the same place.
"""

from typing import NamedTuple

from consumer.json_lines import Mistake, read_line
from consumer.model import (
    Event,
    PixelId,
    Prepared,
    Reason,
    Record,
    Rejected,
    Suppressed,
    TopicPartition,
)
from consumer.prepare import Preparation, prepare
from consumer.send_report import Failure, failure_of, unreadable

INPUT = TopicPartition("send", 0)
TENURE = 0


class Candidate(NamedTuple):
    """One event of the input: what is to be done with it, and its fields that the schema lacks."""

    fate: Prepared | Suppressed | Failure
    unknown: tuple[str, ...]


def candidate(
    index: int,
    text: bytes | Mistake,
    preparation: Preparation,
    *,
    destination: PixelId | None,
    now_ms: int,
) -> Candidate:
    """What becomes of the event ``index``, counted from 0. ``destination`` wins over its own."""
    if isinstance(text, Mistake):
        return Candidate(unreadable(index, text), ())
    line = read_line(text)
    if isinstance(line, Mistake):
        return Candidate(unreadable(index, line), ())
    if destination is not None:
        line.fields["destinationId"] = destination
    record = Record(INPUT, index, 0, None, text.strip(), (), TENURE)
    fate = _prepared(Event(record, line.fields, line.event_time_ms), preparation, now_ms)
    return Candidate(failure_of(fate) if isinstance(fate, Rejected) else fate, line.unknown)


def _prepared(
    event: Event, preparation: Preparation, now_ms: int
) -> Prepared | Rejected | Suppressed:
    """A fault of ours that one event provokes costs that event, not the file; nor is it quoted."""
    try:
        return prepare(event, preparation, now_ms=now_ms)
    except Exception as error:
        detail = f"a fault of our own ({type(error).__name__})"
        return Rejected(record=event.record, reason=Reason.INTERNAL_ERROR, detail=detail)

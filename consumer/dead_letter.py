"""Rejected → the record of the dead-letter topic. Pure.

Key and value are the source record's, byte for byte; its headers are kept. Ours say what happened,
each occurs once, and none holds a value of a match key.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from consumer.model import Header, MetaError, Reason, Rejected, Stage
from consumer.origin import (
    EVENT_ID,
    MASKED,
    ORIGIN,
    event_id_of,
    header_event_id,
    origin_of,
    text_header,
)

PREFIX = "conversions."
REPLAYS = "conversions.replays"

_CONNECT_STAGES = {
    Stage.DECODE: "VALUE_CONVERTER",
    Stage.VALIDATE: "TRANSFORMATION",
    Stage.SEND: "TASK_PUT",
}
_LIKE_A_PHONE = re.compile(r"\+?[\d\s().\-/]+")


class DeadLetter(NamedTuple):
    """What is produced; ``timestamp_ms`` is the time of failure."""

    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    timestamp_ms: int

    def __repr__(self) -> str:
        return f"DeadLetter({len(self.value or b'')} bytes, {len(self.headers)} headers)"


def dead_letter(rejected: Rejected, *, failed_at_ms: int, brief: bool) -> DeadLetter:
    """The dead-letter record of a rejected one.

    ``brief`` leaves out every header but origin, reason, event id and trace id: for a record
    that the topic refused as too large with all of them.
    """
    record = rejected.record
    ours = list(_essential(rejected))
    kept: list[Header] = []
    if not brief:
        ours += _telling(rejected, failed_at_ms)
        kept = [header for header in record.headers if not header[0].startswith(PREFIX)]
        there = {name for name, _ in kept}
        ours += [header for header in _connect(rejected) if header[0] not in there]
    encoded = ((name, text.encode()) for name, text in ours if text)
    return DeadLetter(record.key, record.value, (*kept, *encoded), failed_at_ms)


def masked(text: str | None) -> str:
    """A name or id for headers, logs and labels, unless it looks like a person's."""
    if not text:
        return ""
    if "@" in text:
        return MASKED
    digits = sum(character.isdigit() for character in text)
    if _LIKE_A_PHONE.fullmatch(text) and 7 <= digits <= 15 and (digits < len(text) or digits >= 10):
        return MASKED
    return text


def iso_time(milliseconds: int | None) -> str:
    """ISO 8601 in UTC with milliseconds; empty for None or a time that no calendar has."""
    if milliseconds is None:
        return ""
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Text = tuple[str, str]


def _essential(rejected: Rejected) -> Iterator[Text]:
    record = rejected.record
    event_id = rejected.event_id or event_id_of(record, None)
    yield ORIGIN, str(origin_of(record))
    yield "conversions.reason", rejected.reason.value
    # What came in this header already goes on in it: nothing else would keep the id.
    yield EVENT_ID, event_id if event_id == header_event_id(record) else masked(event_id)
    yield "conversions.trace_id", _trace_id(rejected)
    replays = text_header(record, REPLAYS)
    if replays and replays.isdigit():
        # Without it a brief dead letter could be replayed beyond its limit.
        yield REPLAYS, replays


def _trace_id(rejected: Rejected) -> str:
    """Meta's, or ours for a request that Meta never answered."""
    if rejected.error is not None and rejected.error.trace_id:
        return rejected.error.trace_id
    return rejected.request_id or ""


def _telling(rejected: Rejected, failed_at_ms: int) -> Iterator[Text]:
    error = rejected.error or MetaError(http_status=0)
    yield "conversions.stage", rejected.reason.stage.value
    yield "conversions.detail", rejected.detail
    yield "conversions.meta_title", error.title or ""
    yield "conversions.meta_message", error.message or ""
    yield "conversions.error_code", _number(error.code)
    yield "conversions.error_subcode", _number(error.subcode)
    yield "conversions.http_status", _number(error.http_status or None)
    # A configured one is a pixel's id, whatever it looks like.
    unknown = rejected.reason is Reason.UNKNOWN_DESTINATION
    destination = rejected.destination or ""
    yield "conversions.destination", masked(destination) if unknown else destination
    yield "conversions.event_name", masked(rejected.event_name)
    yield "conversions.event_time", iso_time(rejected.event_time_ms)
    yield "conversions.expires_at", iso_time(rejected.expires_at_ms)
    yield "conversions.batch_id", rejected.batch_id or ""
    yield "conversions.failed_at", iso_time(failed_at_ms)
    if rejected.attempts:
        yield "conversions.attempts", str(rejected.attempts)
    if rejected.attempts or rejected.maybe_delivered:
        # What was given back to Kafka begins to count its attempts anew, and was sent all the same.
        yield "conversions.first_sent_at", iso_time(rejected.first_sent_at_ms)
        yield "conversions.maybe_delivered", str(rejected.maybe_delivered).lower()


def _connect(rejected: Rejected) -> Iterator[Text]:
    """Kafka Connect's names (KIP-298), so that Kafka UIs understand our records."""
    record = rejected.record
    yield "__connect.errors.topic", record.partition.topic
    yield "__connect.errors.partition", str(record.partition.partition)
    yield "__connect.errors.offset", str(record.offset)
    yield "__connect.errors.stage", _CONNECT_STAGES[rejected.reason.stage]
    yield "__connect.errors.exception.class.name", f"conversions.{rejected.reason.value}"
    yield "__connect.errors.exception.message", rejected.detail


def _number(value: int | None) -> str:
    return "" if value is None else str(value)

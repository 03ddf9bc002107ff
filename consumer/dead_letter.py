"""Rejected → the record of the dead-letter topic. Pure; ``letter`` is the way back.

Key and value are the source record's, byte for byte; its headers are kept. Ours say what happened,
each occurs once, and none holds a value of a match key. What an operator skipped is dead-lettered
by reference: its headers say where the record stands, and nothing of it is copied.
"""

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from consumer.iso_time import iso_time, ms_of_iso
from consumer.model import Header, MetaError, Reason, Record, Rejected, Stage
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


class OwnHeader(Enum):
    """Every header of ours: its name, and what it says, for the docs."""

    ORIGIN = ORIGIN, "where the record first appeared: topic:partition:offset:timestamp"
    REASON = "conversions.reason", "why it is a dead letter: one of the reasons"
    EVENT_ID = EVENT_ID, "the event's id, by which Meta knows a repetition"
    TRACE_ID = "conversions.trace_id", "Meta's `fbtrace_id`, else our id of the request"
    REPLAYS = "conversions.replays", "how often it was replayed before"
    BY_REFERENCE = (
        "conversions.by_reference",
        "`true`: key and value are not here, but where `__connect.errors.…` says",
    )
    SEALED = "conversions.sealed", "the value is encrypted: the id of the key"
    STAGE = "conversions.stage", "`decode`, `validate` or `send`"
    DETAIL = "conversions.detail", "what is wrong, in our words"
    META_TITLE = "conversions.meta_title", "Meta's title of the error, masked"
    META_MESSAGE = "conversions.meta_message", "Meta's words, masked"
    ERROR_CODE = "conversions.error_code", "Meta's code of the error"
    ERROR_SUBCODE = "conversions.error_subcode", "Meta's subcode"
    HTTP_STATUS = "conversions.http_status", "the HTTP status of Meta's answer"
    DESTINATION = "conversions.destination", "the pixel"
    EVENT_NAME = "conversions.event_name", "the event's name"
    EVENT_TIME = "conversions.event_time", "when it happened"
    EXPIRES_AT = "conversions.expires_at", "until when Meta takes it"
    BATCH_ID = "conversions.batch_id", "the batch that it was in, as our log names it"
    FAILED_AT = "conversions.failed_at", "when it became a dead letter"
    ATTEMPTS = "conversions.attempts", "in how many requests it was sent"
    FIRST_SENT_AT = "conversions.first_sent_at", "when a request first may have reached Meta"
    MAYBE_DELIVERED = "conversions.maybe_delivered", "`true`: Meta may have counted it"
    REPLAYED = (
        "conversions.replayed",
        "on a record without a value: the mark that a dead letter was replayed",
    )
    EDITED = "conversions.edited", "on a replayed record: the fields that were edited"

    def __init__(self, header: str, says: str) -> None:
        self.header = header
        self.says = says


_CONNECT_STAGES = {
    Stage.DECODE: "VALUE_CONVERTER",
    Stage.VALIDATE: "TRANSFORMATION",
    Stage.SEND: "TASK_PUT",
}
_NOTHING_SAID = MetaError(http_status=0)
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

    ``brief`` leaves out every header but those without which a replay goes wrong: for a record
    that the topic refused as too large with all of them.
    """
    record = rejected.record
    by_reference = rejected.reason is Reason.SKIPPED_BY_OPERATOR
    ours = [*_headers(_essential(rejected))]
    kept: list[Header] = []
    if not brief:
        ours += _telling(rejected, failed_at_ms)
    if not brief or by_reference:
        # The origin of what is not copied may be another place than where the record lies.
        ours += _connect_place(record)
    if not brief:
        ours += _connect_why(rejected.reason, rejected.detail)
    if record.headers and not brief and not by_reference:
        kept = [header for header in record.headers if not header[0].startswith(PREFIX)]
        theirs = {name for name, _ in kept}
        ours = [header for header in ours if header[0] not in theirs]
    headers = (*kept, *ours)
    if by_reference:
        return DeadLetter(None, None, headers, failed_at_ms)
    return DeadLetter(record.key, record.value, headers, failed_at_ms)


def is_replayed(record: Record) -> bool:
    """Whether a replay of a dead letter has written it."""
    return bool(record.headers) and text_header(record, OwnHeader.REPLAYS.header) is not None


def sent_before_ms(record: Record) -> int | None:
    """When a replayed record was first sent, if Meta may have counted it then: wall-clock
    milliseconds. None for every other record."""
    if not record.headers:
        return None
    text = text_header(record, OwnHeader.FIRST_SENT_AT.header)
    return None if text is None else ms_of_iso(text)


def masked(text: str | None) -> str:
    """A name or id for headers, logs and labels, unless it looks like a person's."""
    if not text:
        return ""
    if "@" in text:
        return MASKED
    if _LIKE_A_PHONE.fullmatch(text) is None:
        return text
    digits = sum(character.isdigit() for character in text)
    if 7 <= digits <= 15 and (digits < len(text) or digits >= 10):
        return MASKED
    return text


def _essential(rejected: Rejected) -> Iterator[tuple[OwnHeader, str]]:
    record = rejected.record
    event_id = rejected.event_id or event_id_of(record, None)
    yield OwnHeader.ORIGIN, str(origin_of(record))
    yield OwnHeader.REASON, rejected.reason.value
    # What came in this header already goes on in it: nothing else would keep the id.
    yield OwnHeader.EVENT_ID, event_id if event_id == header_event_id(record) else masked(event_id)
    yield OwnHeader.TRACE_ID, _trace_id(rejected)
    replays = text_header(record, OwnHeader.REPLAYS.header)
    if replays and replays.isdigit():
        # Without it a brief dead letter could be replayed beyond its limit.
        yield OwnHeader.REPLAYS, replays
    if rejected.reason is Reason.SKIPPED_BY_OPERATOR:
        yield OwnHeader.BY_REFERENCE, "true"
    if rejected.maybe_delivered:
        # Without them it could be replayed when Meta has forgotten that it counted it.
        yield OwnHeader.FIRST_SENT_AT, iso_time(rejected.first_sent_at_ms)
        yield OwnHeader.MAYBE_DELIVERED, "true"


def _trace_id(rejected: Rejected) -> str:
    """Meta's, or ours for a request that Meta never answered."""
    if rejected.error is not None and rejected.error.trace_id:
        return rejected.error.trace_id
    return rejected.request_id or ""


def _telling(rejected: Rejected, failed_at_ms: int) -> Iterator[Header]:
    error = rejected.error or _NOTHING_SAID
    yield from _why(rejected.reason, rejected.detail)
    yield from _said(error.title, error.message, error.code, error.subcode, error.http_status)
    yield from _headers(_of_the_event(rejected, failed_at_ms))


@lru_cache(256)  # many are dead-lettered together for one reason, and by one answer of Meta's
def _why(reason: Reason, detail: str) -> tuple[Header, ...]:
    return _headers(((OwnHeader.STAGE, reason.stage.value), (OwnHeader.DETAIL, detail)))


@lru_cache(256)
def _said(
    title: str | None,
    message: str | None,
    code: int | None,
    subcode: int | None,
    http_status: int,
) -> tuple[Header, ...]:
    return _headers(
        (
            (OwnHeader.META_TITLE, title or ""),
            (OwnHeader.META_MESSAGE, message or ""),
            (OwnHeader.ERROR_CODE, _number(code)),
            (OwnHeader.ERROR_SUBCODE, _number(subcode)),
            (OwnHeader.HTTP_STATUS, _number(http_status or None)),
        )
    )


def _of_the_event(rejected: Rejected, failed_at_ms: int) -> Iterator[tuple[OwnHeader, str]]:
    # A configured one is a pixel's id, whatever it looks like.
    unknown = rejected.reason is Reason.UNKNOWN_DESTINATION
    destination = rejected.destination or ""
    yield OwnHeader.DESTINATION, masked(destination) if unknown else destination
    yield OwnHeader.EVENT_NAME, masked(rejected.event_name)
    yield OwnHeader.EVENT_TIME, iso_time(rejected.event_time_ms)
    yield OwnHeader.EXPIRES_AT, iso_time(rejected.expires_at_ms)
    yield OwnHeader.BATCH_ID, rejected.batch_id or ""
    yield OwnHeader.FAILED_AT, iso_time(failed_at_ms)
    if rejected.attempts:
        yield OwnHeader.ATTEMPTS, str(rejected.attempts)
        if not rejected.maybe_delivered:
            yield OwnHeader.FIRST_SENT_AT, iso_time(rejected.first_sent_at_ms)
            yield OwnHeader.MAYBE_DELIVERED, "false"


def _connect_place(record: Record) -> tuple[Header, ...]:
    """Kafka Connect's names (KIP-298), so that Kafka UIs understand our records."""
    return (
        ("__connect.errors.topic", record.partition.topic.encode()),
        ("__connect.errors.partition", b"%d" % record.partition.partition),
        ("__connect.errors.offset", b"%d" % record.offset),
    )


@lru_cache(256)
def _connect_why(reason: Reason, detail: str) -> tuple[Header, ...]:
    told = (
        ("__connect.errors.stage", _CONNECT_STAGES[reason.stage]),
        ("__connect.errors.exception.class.name", f"conversions.{reason.value}"),
        ("__connect.errors.exception.message", detail),
    )
    return tuple((name, text.encode()) for name, text in told if text)


def _headers(told: Iterable[tuple[OwnHeader, str]]) -> tuple[Header, ...]:
    """What there is to tell: an empty text is no header."""
    return tuple([(each.header, text.encode()) for each, text in told if text])


def _number(value: int | None) -> str:
    return "" if value is None else str(value)

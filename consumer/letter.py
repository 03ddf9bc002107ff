"""A record of the dead-letter topic, read back: a letter of ours, a foreign one, or a mark. Pure.

Nothing here raises, whatever bytes come: what is not as we write it is absent. A mark is the trace
of a replay: a record without a value that names the origin and how often it was replayed by then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from consumer.dead_letter import OwnHeader
from consumer.iso_time import ms_of_iso
from consumer.model import Header, Origin, Reason, Record, Stage, TopicPartition
from consumer.origin import MASKED, header_origin, is_whole, text_header

TIME_CHARACTERS_MAX = 40


class LetterPlace(NamedTuple):
    """Where a record lies in its topic, which for letters is always the one: ``model.Place`` names
    the topic as well."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


class Mark(NamedTuple):
    """One replay: of what first appeared at ``origin``, for the ``replay``-th time (from 1)."""

    origin: Origin
    replay: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter of ours. What a header does not tell, or not soundly, is None.

    ``reason`` is text when it is none of this version's. ``key``, ``value`` and ``headers`` are as
    they lie in the topic. ``by_reference``: the value lies only at the origin. ``sealed`` is the id
    of the key with which the value is encrypted. Times are wall-clock milliseconds.
    """

    place: LetterPlace
    written_at_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    origin: Origin | None
    reason: Reason | str
    event_id: str | None
    stage: Stage | None
    detail: str | None
    meta_title: str | None
    meta_message: str | None
    trace_id: str | None
    error_code: int | None
    error_subcode: int | None
    http_status: int | None
    destination: str | None
    event_name: str | None
    event_time_ms: int | None
    expires_at_ms: int | None
    attempts: int | None
    first_sent_at_ms: int | None
    maybe_delivered: bool
    batch_id: str | None
    failed_at_ms: int | None
    replays: int
    by_reference: bool
    source: tuple[TopicPartition, int] | None
    sealed: str | None

    def __repr__(self) -> str:
        return f"Letter({self.place}, {self.reason_text})"

    @property
    def reason_text(self) -> str:
        """The reason as its header has it."""
        return self.reason.value if isinstance(self.reason, Reason) else self.reason

    @property
    def at_ms(self) -> int:
        """When it became a dead letter."""
        return self.written_at_ms if self.failed_at_ms is None else self.failed_at_ms

    @property
    def next_mark(self) -> Mark | None:
        """The mark that replaying it leaves, by which it is known as replayed already."""
        return None if self.origin is None else Mark(self.origin, self.replays + 1)


class Family(Enum):
    """Whose headers a foreign dead letter has; the value is shown."""

    KAFKA_CONNECT = "Kafka Connect"
    SPRING = "Spring"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A record that somebody else wrote, with what its headers say of where it came from and why.

    ``stage`` and ``error`` (the class of an exception) are theirs, ``message`` may quote anything.
    """

    place: LetterPlace
    written_at_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    family: Family
    topic: str | None
    partition: int | None
    offset: int | None
    stage: str | None
    error: str | None
    message: str | None

    def __repr__(self) -> str:
        return f"Foreign({self.place}, {self.family.value})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """A replay's trace; ``mark`` is None when the headers do not tell of which replay."""

    place: LetterPlace
    written_at_ms: int
    mark: Mark | None


Found = Letter | Foreign | Marker


class StillSealed(NamedTuple):
    """A sealed letter that could not be opened, and why in a sentence."""

    detail: str


Unseal = Callable[[Letter], Letter | StillSealed]
"""Opens a sealed letter: the same one with the value in clear and ``sealed`` None. Never raises."""


def read_letter(record: Record) -> Found:
    """What one record of the dead-letter topic is."""
    place = LetterPlace(record.partition.partition, record.offset)
    if record.value is None and any(name == _REPLAYED for name, _ in record.headers):
        return Marker(place=place, written_at_ms=record.timestamp_ms, mark=_mark(record))
    reason = _text(record, OwnHeader.REASON)
    return _foreign(record, place) if reason is None else _letter(record, place, reason)


def opened(letter: Letter, unseal: Unseal | None) -> Letter | StillSealed:
    """The letter with its value in clear."""
    if letter.sealed is None:
        return letter
    if unseal is None:
        return StillSealed("the value is sealed, and no key is at hand")
    return unseal(letter)


def _letter(record: Record, place: LetterPlace, text: str) -> Letter:
    reason = _REASONS.get(text, text)
    event_id = _text(record, OwnHeader.EVENT_ID)
    return Letter(
        place=place,
        written_at_ms=record.timestamp_ms,
        key=record.key,
        value=record.value,
        headers=record.headers,
        origin=header_origin(record),
        reason=reason,
        event_id=None if event_id == MASKED else event_id,
        stage=_stage(record, reason),
        detail=_text(record, OwnHeader.DETAIL),
        meta_title=_text(record, OwnHeader.META_TITLE),
        meta_message=_text(record, OwnHeader.META_MESSAGE),
        trace_id=_text(record, OwnHeader.TRACE_ID),
        error_code=_number(record, OwnHeader.ERROR_CODE),
        error_subcode=_number(record, OwnHeader.ERROR_SUBCODE),
        http_status=_number(record, OwnHeader.HTTP_STATUS),
        destination=_text(record, OwnHeader.DESTINATION),
        event_name=_text(record, OwnHeader.EVENT_NAME),
        event_time_ms=_time(record, OwnHeader.EVENT_TIME),
        expires_at_ms=_time(record, OwnHeader.EXPIRES_AT),
        attempts=_number(record, OwnHeader.ATTEMPTS),
        first_sent_at_ms=_time(record, OwnHeader.FIRST_SENT_AT),
        maybe_delivered=_is_true(record, OwnHeader.MAYBE_DELIVERED),
        batch_id=_text(record, OwnHeader.BATCH_ID),
        failed_at_ms=_time(record, OwnHeader.FAILED_AT),
        replays=max(0, _number(record, OwnHeader.REPLAYS) or 0),
        by_reference=_is_true(record, OwnHeader.BY_REFERENCE),
        source=_source(record),
        sealed=_text(record, OwnHeader.SEALED),
    )


def _source(record: Record) -> tuple[TopicPartition, int] | None:
    """Of others a publisher's own headers of these names may stand there."""
    theirs = _FOREIGN[Family.KAFKA_CONNECT]
    topic = text_header(record, theirs.topic)
    partition = _foreign_number(record, theirs.partition)
    offset = _foreign_number(record, theirs.offset)
    if not _is_true(record, OwnHeader.BY_REFERENCE) or topic is None:
        return None
    if partition is None or offset is None:
        return None
    return TopicPartition(topic, partition), offset


def _mark(record: Record) -> Mark | None:
    origin, replay = header_origin(record), _number(record, OwnHeader.REPLAYS)
    return None if origin is None or replay is None else Mark(origin, replay)


def _foreign(record: Record, place: LetterPlace) -> Foreign:
    names = {name for name, _ in record.headers}
    family = next((each for each in _FOREIGN if names & set(_FOREIGN[each])), Family.UNKNOWN)
    theirs = _FOREIGN.get(family, _NO_NAMES)
    return Foreign(
        place=place,
        written_at_ms=record.timestamp_ms,
        key=record.key,
        value=record.value,
        headers=record.headers,
        family=family,
        topic=text_header(record, theirs.topic),
        partition=_foreign_number(record, theirs.partition),
        offset=_foreign_number(record, theirs.offset),
        stage=text_header(record, theirs.stage),
        error=text_header(record, theirs.error),
        message=text_header(record, theirs.message),
    )


class _Names(NamedTuple):
    """What a family calls its headers; empty where it has none."""

    topic: str
    partition: str
    offset: str
    stage: str
    error: str
    message: str


_FOREIGN = {
    Family.KAFKA_CONNECT: _Names(
        "__connect.errors.topic",
        "__connect.errors.partition",
        "__connect.errors.offset",
        "__connect.errors.stage",
        "__connect.errors.exception.class.name",
        "__connect.errors.exception.message",
    ),
    Family.SPRING: _Names(
        "kafka_dlt-original-topic",
        "kafka_dlt-original-partition",
        "kafka_dlt-original-offset",
        "",
        "kafka_dlt-exception-fqcn",
        "kafka_dlt-exception-message",
    ),
}
_NO_NAMES = _Names("", "", "", "", "", "")
_REPLAYED = OwnHeader.REPLAYED.header
_REASONS: dict[str, Reason | str] = {reason.value: reason for reason in Reason}
_STAGES = {stage.value: stage for stage in Stage}


def _stage(record: Record, reason: Reason | str) -> Stage | None:
    """A brief dead letter does not tell it, but it follows from the reason."""
    told = _STAGES.get(_text(record, OwnHeader.STAGE) or "")
    return told or (reason.stage if isinstance(reason, Reason) else None)


def _text(record: Record, header: OwnHeader) -> str | None:
    return text_header(record, header.header)


def _number(record: Record, header: OwnHeader) -> int | None:
    text = _text(record, header) or ""
    return int(text) if is_whole(text) else None


def _time(record: Record, header: OwnHeader) -> int | None:
    text = _text(record, header) or ""
    return ms_of_iso(text) if len(text) <= TIME_CHARACTERS_MAX else None


def _is_true(record: Record, header: OwnHeader) -> bool:
    return _text(record, header) == "true"


def _foreign_number(record: Record, name: str) -> int | None:
    """Connect writes digits, Spring four or eight bytes, the highest first."""
    raw = next((value for key, value in reversed(record.headers) if key == name and value), b"")
    text = raw.decode("ascii", "replace")
    if is_whole(text):
        return int(text)
    return int.from_bytes(raw, "big", signed=True) if len(raw) in (4, 8) else None

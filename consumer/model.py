"""The nouns that travel: records, events, batches, verdicts and fates.

Everything here is immutable and knows nothing of Kafka clients, HTTP or clocks. Values that hold
personal data are kept out of every ``repr``.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, NewType

PixelId = NewType("PixelId", str)
"""Meta's pixel id, which is also its dataset id."""


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}"


class Place(NamedTuple):
    """Where one record stands in its topic."""

    partition: TopicPartition
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    def is_of(self, record: "Record") -> bool:
        """Whether it is this record's."""
        return record.offset == self.offset and record.partition == self.partition


class Origin(NamedTuple):
    """Where a record first appeared: it stays the same through dead letters and replays."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}:{self.timestamp_ms}"


Header = tuple[str, bytes | None]

EVENT_BYTES = 1500
"""What a prepared event and the objects around it occupy beside the record's bytes, about."""


class Record(NamedTuple):
    """One Kafka record, with the tenure (one assignment of its partition) that it was read in.

    A named tuple rather than a dataclass: it is made once per event on the hot path, where the
    difference is a microsecond.
    """

    partition: TopicPartition
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    tenure: int

    def __repr__(self) -> str:
        return f"Record({self.place}, tenure={self.tenure})"

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.partition, self.offset)

    @property
    def size_bytes(self) -> int:
        """What the record occupies: its own bytes, about as many again of JSON for Meta, and a flat
        charge for the event made of it."""
        own = 2 * len(self.value or b"") + len(self.key or b"")
        if self.headers:
            own += sum(len(name) + len(value or b"") for name, value in self.headers)
        return own + EVENT_BYTES


class EndOfPartition(NamedTuple):
    """The reader reached the end: ``offset`` is the next one that will be written."""

    partition: TopicPartition
    offset: int


class CommitReport(NamedTuple):
    """What became of one partition's commit; ``error`` is Kafka's name of it."""

    partition: TopicPartition
    offset: int
    error: str | None


class ClientError(NamedTuple):
    """Something that the Kafka client reports and mostly mends by itself."""

    name: str
    text: str
    unreachable: bool


class ReadFailed(Exception):
    """Reading raised: records may have been dequeued and lost, and must be read again."""


class LogEnd(NamedTuple):
    """The brokers' view of a partition: ``committed`` is None when the group never committed."""

    low: int
    high: int
    committed: int | None


class PauseCause(Enum):
    """Why a partition is not read for now; the value is a metric label."""

    IN_FLIGHT = "in_flight"
    SCHEMA = "schema"
    DESTINATION = "destination"
    UNCOMMITTED = "uncommitted"
    DEAD_LETTER_TOO_LARGE = "dead_letter_too_large"


class Stage(Enum):
    """Where on its journey a record was rejected; the value is the dead-letter header."""

    DECODE = "decode"
    VALIDATE = "validate"
    SEND = "send"


class Reason(Enum):
    """Why a record was dead-lettered. A closed set: the value is header and metric label."""

    UNDECODABLE = "undecodable"
    UNKNOWN_SCHEMA = "unknown_schema"
    SCHEMA_INCOMPATIBLE = "schema_incompatible"

    MISSING_EVENT_NAME = "missing_event_name"
    MISSING_EVENT_TIME = "missing_event_time"
    MISSING_EVENT_ID = "missing_event_id"
    MISSING_DESTINATION = "missing_destination"
    UNKNOWN_DESTINATION = "unknown_destination"
    MISSING_ACTION_SOURCE = "missing_action_source"
    UNKNOWN_ACTION_SOURCE = "unknown_action_source"
    MISSING_SOURCE_URL = "missing_source_url"
    MISSING_USER_AGENT = "missing_user_agent"
    MISSING_APP_DATA = "missing_app_data"
    MISSING_MESSAGING_CHANNEL = "missing_messaging_channel"
    MISSING_MESSAGING_ACCOUNT = "missing_messaging_account"
    UNFIT_MESSAGING_EVENT = "unfit_messaging_event"
    INSUFFICIENT_USER_DATA = "insufficient_user_data"
    MISSING_VALUE = "missing_value"
    MISSING_CURRENCY = "missing_currency"
    EVENT_TOO_OLD = "event_too_old"
    EVENT_TIME_IN_FUTURE = "event_time_in_future"
    EVENT_TOO_LARGE = "event_too_large"

    REFUSED_BY_META = "refused_by_meta"
    NOT_RECEIVED = "not_received"
    EXPIRED = "expired"
    OUTCOME_UNKNOWN = "outcome_unknown"
    DESTINATION_HALTED = "destination_halted"
    SKIPPED_BY_OPERATOR = "skipped_by_operator"

    INTERNAL_ERROR = "internal_error"

    @property
    def stage(self) -> Stage:
        """The stage that gives this reason."""
        return _STAGES.get(self, Stage.VALIDATE)


_STAGES = {
    Reason.UNDECODABLE: Stage.DECODE,
    Reason.UNKNOWN_SCHEMA: Stage.DECODE,
    Reason.SCHEMA_INCOMPATIBLE: Stage.DECODE,
    Reason.REFUSED_BY_META: Stage.SEND,
    Reason.NOT_RECEIVED: Stage.SEND,
    Reason.EXPIRED: Stage.SEND,
    Reason.OUTCOME_UNKNOWN: Stage.SEND,
    Reason.DESTINATION_HALTED: Stage.SEND,
    Reason.SKIPPED_BY_OPERATOR: Stage.SEND,
}


class DropReason(Enum):
    """Why an optional field was left out of an event that lives on; the value is a label."""

    MALFORMED = "malformed"
    PLACEHOLDER = "placeholder"
    PHONE_WITHOUT_COUNTRY = "phone_without_country"
    UNKNOWN_HASH = "unknown_hash"
    NOT_PUBLIC = "not_public"
    FBCLID_WITHOUT_TIME = "fbclid_without_time"
    COLLISION = "collision"
    NOT_FROM_CRM = "not_from_crm"
    TOO_MANY = "too_many"


class Dropped(NamedTuple):
    """An optional field that was left out: our name for it (``email``), never its value."""

    field: str
    reason: DropReason


class Event(NamedTuple):
    """A decoded event: the record's fields under our schema's names, times as plain integers.

    ``fields`` maps the names of ``conversion_event.avsc`` to plain values; ``event_time_ms`` is
    milliseconds since the epoch whatever unit the writer used.
    """

    record: Record
    fields: Mapping[str, Any]
    event_time_ms: int | None

    def __repr__(self) -> str:
        return f"Event({self.record!r})"


class Amount(NamedTuple):
    """What an event is worth: the value and the currency that Meta gets, or the value that was left
    out because Meta would not take it."""

    value: float
    currency: str | None


class Prepared(NamedTuple):
    """An event as Meta will get it: hashed JSON bytes, and what the outbox must know of it.

    ``expires_at_ms`` is the wall-clock time after which Meta would refuse the whole request for
    it, ``due_at_ms`` the one before which it is held back (0: at once). ``aged`` marks events
    that only some action sources may send this late, and which therefore travel apart. ``amount``
    is there only where values are added up, and the event has one.
    """

    record: Record
    destination: PixelId
    test_code: str | None
    event_name: str
    event_id: str
    event_time_ms: int
    body: bytes
    due_at_ms: int
    expires_at_ms: int
    aged: bool
    match_keys: tuple[str, ...]
    dropped: tuple[Dropped, ...]
    warnings: tuple[str, ...]
    amount: Amount | None = None

    def __repr__(self) -> str:
        return f"Prepared({self.record!r}, destination={self.destination!r})"


class Suppressed(NamedTuple):
    """An event that the destination's configuration withholds for want of consent."""

    record: Record
    destination: PixelId
    event_name: str

    def __repr__(self) -> str:
        return f"Suppressed({self.record!r}, destination={self.destination!r})"


class Carried(NamedTuple):
    """What one destination holds: events, their bytes, and the partitions they came from."""

    events: int
    size_bytes: int
    partitions: frozenset[TopicPartition]

    @staticmethod
    def of(events: Collection[Prepared]) -> "Carried":
        """What these events are."""
        return Carried(
            events=len(events),
            size_bytes=sum(event.record.size_bytes for event in events),
            partitions=frozenset(event.record.partition for event in events),
        )

    def plus(self, other: "Carried") -> "Carried":
        """Both together."""
        return Carried(
            self.events + other.events,
            self.size_bytes + other.size_bytes,
            self.partitions | other.partitions,
        )


class Times(NamedTuple):
    """Of some events: the time of the oldest, and when the first of them expires."""

    oldest_ms: int
    expires_ms: int

    @staticmethod
    def of(events: Collection[Prepared]) -> "Times | None":
        """What these events are; None of none."""
        if not events:
            return None
        return Times(
            oldest_ms=min(event.event_time_ms for event in events),
            expires_ms=min(event.expires_at_ms for event in events),
        )


def earliest(*times: Times | None) -> Times | None:
    """All together; None is none."""
    known = [each for each in times if each is not None]
    if not known:
        return None
    return Times(min(each.oldest_ms for each in known), min(each.expires_ms for each in known))


@dataclass(frozen=True, slots=True)
class MetaError:
    """What Meta said. ``title`` and ``message`` are Meta's words, already masked.

    ``event_index`` is the event of the request that the answer points at, counted from 0: a hint,
    seen in public reports and promised nowhere.
    """

    http_status: int
    code: int | None = None
    subcode: int | None = None
    title: str | None = None
    message: str | None = None
    trace_id: str | None = None
    event_index: int | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that will never be delivered, with everything that its dead letter says.

    ``detail`` is our own sentence and never holds a value of a match key. Times are wall-clock
    milliseconds; ``first_sent_at_ms`` is that of the first request that may have reached Meta.
    """

    record: Record
    reason: Reason
    detail: str
    destination: PixelId | None = field(default=None, repr=False)
    event_name: str | None = field(default=None, repr=False)
    event_id: str | None = field(default=None, repr=False)
    field: str | None = None  # after the others: within this class it hides the function
    event_time_ms: int | None = None
    expires_at_ms: int | None = None
    error: MetaError | None = None
    attempts: int = 0
    first_sent_at_ms: int | None = None
    maybe_delivered: bool = False
    batch_id: str | None = None
    request_id: str | None = None


class Delivered(NamedTuple):
    """An event that Meta accepted."""

    event: Prepared
    trace_id: str | None


Settlement = Delivered | Rejected | Suppressed


class Kind(NamedTuple):
    """Events of one name, written with one schema: ``schema`` is the framing that names it."""

    event_name: str
    schema: bytes

    def __repr__(self) -> str:
        return f"Kind(schema={self.schema.hex()})"


class WindowKey(NamedTuple):
    """What events of one request have in common: events of different keys never share one.

    Pixel and test code apply to the whole request. Aged events, and a kind of which Meta keeps
    refusing some, travel ``apart`` so that their refusals cost the others nothing.
    """

    destination: PixelId
    test_code: str | None
    aged: bool
    apart: Kind | None


class Closing(Enum):
    """What closed a window; the value is a metric label."""

    FULL = "full"
    BYTES = "bytes"
    AGE = "age"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Batch:
    """A closed window: events of one key, in the order in which they came; the first came at
    ``opened_at``, in monotonic seconds."""

    key: WindowKey
    batch_id: str
    events: tuple[Prepared, ...] = field(repr=False)
    closed_by: Closing
    opened_at: float


@dataclass(frozen=True, slots=True)
class Request:
    """One POST: some events of one batch. ``request_id`` is ours, unique within the process;
    ``isolating`` says that it is a trial of a batch that was refused. ``maybe_delivered`` of its
    events were in a request without a clear answer before, the first time at
    ``first_sent_at_ms``."""

    request_id: str
    key: WindowKey
    batch_id: str
    events: tuple[Prepared, ...] = field(repr=False)
    isolating: bool
    maybe_delivered: int = 0
    first_sent_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """Meta took every event of the request."""

    trace_id: str | None
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Incomplete:
    """Meta answered 200 but counts fewer events than were sent."""

    received: int
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Some event of the request is at fault, and Meta refused them all."""

    error: MetaError


class RetryCause(Enum):
    """Why a request is sent again unchanged; the value is a metric label."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    SERVER_ERROR = "server_error"
    TRANSIENT = "transient"
    UNREADABLE_ANSWER = "unreadable_answer"


@dataclass(frozen=True, slots=True)
class Retry:
    """The same request later. ``reached_meta`` is False only if it surely never left us.

    ``few_times``: if it goes on while nothing is accepted, the destination halts. ``why`` there was
    no answer, as a sentence's end; empty where there was one.
    """

    cause: RetryCause
    error: MetaError | None
    reached_meta: bool
    few_times: bool = False
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Split:
    """The request is too much for Meta as a whole: the same events in smaller requests."""

    error: MetaError


class Scope(Enum):
    """Whom one of Meta's rate limits is about."""

    DESTINATION = "destination"
    TOKEN = "token"  # noqa: S105 - the name of a scope, not a secret
    APP = "app"


@dataclass(frozen=True, slots=True)
class Throttled:
    """Meta asks for a pause of at least ``wait_seconds`` (0: it did not say how long)."""

    error: MetaError
    wait_seconds: float
    scope: Scope = Scope.DESTINATION


class HaltReason(Enum):
    """Why a destination takes no events for now; the value is a metric label."""

    TOKEN = "token"  # noqa: S105 - the name of a reason, not a secret
    PERMISSION = "permission"
    UNKNOWN_PIXEL = "unknown_pixel"
    CONFIGURATION = "configuration"
    POLICY = "policy"
    UNKNOWN_ERROR = "unknown_error"
    EVERY_EVENT_REFUSED = "every_event_refused"


@dataclass(frozen=True, slots=True)
class Halted:
    """The destination itself is in trouble; its events are fine."""

    reason: HaltReason
    error: MetaError


Verdict = Accepted | Incomplete | Refused | Retry | Split | Throttled | Halted

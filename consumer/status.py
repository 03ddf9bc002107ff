"""How one member is doing: the facts of one moment, and what of them somebody should look at. Pure.

The loop makes a ``Status`` about once a second, and whoever answers for it looks at the newest one.
Everything in here is immutable, and nothing is personal.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple

from consumer.dead_letter import masked
from consumer.guard import Alarm
from consumer.iso_time import iso_time
from consumer.letter_trouble import LetterTrouble
from consumer.meanings import Meaning
from consumer.model import HaltReason, PauseCause, PixelId, Place, TopicPartition
from consumer.patience import OutboxState
from consumer.recent_errors import RecentError, RecentLetters
from consumer.usage import UsageKind


class About(NamedTuple):
    """What does not change in a run. ``settings_id`` is the same for the same settings."""

    version: str
    graph_version: str
    member: str
    group: str
    topic: str
    dlq_topic: str
    settings_id: str
    started_ms: int
    in_flight_events_max: int


class Halt(NamedTuple):
    """Why a destination is halted; code, subcode and trace id are Meta's."""

    reason: HaltReason
    code: int | None
    subcode: int | None
    trace_id: str | None
    meaning: Meaning


class DestinationStatus(NamedTuple):
    """One destination. ``in_hand`` are events in windows and queues, ``held`` records that the
    guard holds, ``usage`` how much of Meta's limits is used (1.0 is all), as far as is known."""

    id: PixelId
    name: str
    state: OutboxState
    halt: Halt | None
    since_ms: int | None
    in_hand: int
    requests_out: int
    held: int
    usage: Mapping[UsageKind, float]


class PartitionStatus(NamedTuple):
    """One partition of ours; ``lag`` is None until the brokers told where the log ends."""

    partition: TopicPartition
    lag: int | None
    open: int
    uncommitted: int
    oldest_open_ms: int | None
    paused: PauseCause | None


class LettersStatus(NamedTuple):
    """Dead letters on their way; ``failing`` is Kafka's name of the trouble."""

    waiting: int
    failing: str | None
    trouble: LetterTrouble | None
    failing_since_ms: int | None
    too_large: tuple[Place, ...]


class Status(NamedTuple):
    """All of it, at one moment."""

    at_ms: int
    about: About
    joined: bool
    stopping: bool
    kafka_unreachable: bool
    open_records: int
    destinations: tuple[DestinationStatus, ...]
    partitions: tuple[PartitionStatus, ...]
    letters: LettersStatus
    alarms: tuple[Alarm, ...]
    errors: tuple[RecentError, ...]
    dead_letters: tuple[RecentLetters, ...]

    @property
    def lag(self) -> int | None:
        """Of all our partitions; None until it is known of each, and while there are none."""
        lags = [each.lag for each in self.partitions if each.lag is not None]
        return sum(lags) if lags and len(lags) == len(self.partitions) else None

    @property
    def oldest_open_ms(self) -> int | None:
        """When the oldest record was read that has met no fate yet; None when nothing is open."""
        found = (each.oldest_open_ms for each in self.partitions)
        return min((each for each in found if each is not None), default=None)

    @property
    def paused(self) -> dict[PauseCause, int]:
        """How many partitions are not read, by cause."""
        causes = [each.paused for each in self.partitions]
        return {cause: causes.count(cause) for cause in PauseCause if cause in causes}


class Concern(Enum):
    """What may be wrong; the value stands in the body of ``/readyz``."""

    NOT_JOINED = "not_joined"
    STOPPING = "stopping"
    KAFKA_UNREACHABLE = "kafka_unreachable"
    DESTINATION_HALTED = "destination_halted"
    DESTINATION_THROTTLED = "destination_throttled"
    DESTINATION_BACKING_OFF = "destination_backing_off"
    DEAD_LETTERS_FAILING = "dead_letters_failing"
    DEAD_LETTER_TOO_LARGE = "dead_letter_too_large"
    GUARD_ALARM = "guard_alarm"
    PARTITIONS_PAUSED = "partitions_paused"


class Degraded(NamedTuple):
    """One thing that is not as it should be. ``needs_a_person``: it does not end by itself."""

    concern: Concern
    sentence: str
    advice: str
    page: str
    needs_a_person: bool


def degraded(status: Status) -> tuple[Degraded, ...]:
    """What is not as it should be, what needs a person first."""
    found = [*_kafka(status), *_destinations(status), *_letters(status), *_flow(status)]
    return tuple(sorted(found, key=lambda each: not each.needs_a_person))


def probe_facts(status: Status) -> dict[str, Any]:
    """The facts for the body of ``/livez`` and ``/readyz``."""
    letters = status.letters
    return {
        "as_of": iso_time(status.at_ms),
        "joined": status.joined,
        "stopping": status.stopping,
        "dead_letters_waiting": letters.waiting,
        "dead_letters_failing": letters.failing,
        "dead_letters_failing_since": iso_time(letters.failing_since_ms) or None,
        "dead_letters_too_large": [str(place) for place in letters.too_large],
        "degraded": list(dict.fromkeys(each.concern.value for each in degraded(status))),
        "destinations": {each.id: each.state.value for each in status.destinations},
        "halted": {each.id: each.halt.reason.value for each in status.destinations if each.halt},
        "paused_partitions": {cause.value: count for cause, count in status.paused.items()},
        "guard_alarms": [
            {"destination": alarm.destination, "reason": alarm.reason.value}
            for alarm in status.alarms
        ],
        "lag_records": status.lag,
    }


def _kafka(status: Status) -> Iterator[Degraded]:
    if status.stopping:
        told = "This member is ending: it finishes what it holds and leaves the group"
        yield Degraded(Concern.STOPPING, told, "", "docs/running.md", False)
    elif not status.joined:
        told = "The group's coordinator has not answered yet"
        advice = "If it lasts, run `conversions check`."
        yield Degraded(Concern.NOT_JOINED, told, advice, "docs/running.md", False)
    if status.kafka_unreachable:
        told = "Kafka is unreachable; the client goes on trying"
        advice = "Look at the brokers; `conversions check` says what can be reached."
        yield Degraded(Concern.KAFKA_UNREACHABLE, told, advice, "docs/running.md", True)


_WAITING = {
    OutboxState.THROTTLED: (Concern.DESTINATION_THROTTLED, "pauses, as Meta's limits ask"),
    OutboxState.BACKING_OFF: (Concern.DESTINATION_BACKING_OFF, "has no clear answer from Meta"),
}


def _destinations(status: Status) -> Iterator[Degraded]:
    for each in status.destinations:
        who = f"Destination {each.id} {f'({masked(each.name)}) ' if each.name else ''}"
        if each.halt is not None:
            told = f"{who}is halted: {each.halt.meaning.text}"
            advice = each.halt.meaning.advice
            yield Degraded(Concern.DESTINATION_HALTED, told, advice, "docs/errors.md", True)
        elif each.state in _WAITING:
            concern, does = _WAITING[each.state]
            told = f"{who}{does}; it goes on by itself"
            yield Degraded(concern, told, "", "docs/errors.md", False)


def _letters(status: Status) -> Iterator[Degraded]:
    letters, page = status.letters, "docs/running.md"
    if letters.failing is not None:
        why = letters.trouble.value.replace("_", " ") if letters.trouble else "unknown"
        told = f"Dead letters cannot be written ({why}: {letters.failing})"
        advice = "Nothing is committed past them, and nothing is lost; mend the topic."
        yield Degraded(Concern.DEAD_LETTERS_FAILING, told, advice, page, True)
    for place in letters.too_large:
        told = f"Record {place} is too large for the dead-letter topic, and its partition waits"
        advice = "Raise the topic's max.message.bytes, or `conversions skip` the record."
        yield Degraded(Concern.DEAD_LETTER_TOO_LARGE, told, advice, page, True)


_PAUSED = {
    PauseCause.IN_FLIGHT: "all that may be in flight is in flight",
    PauseCause.SCHEMA: "records wait for their schema",
    PauseCause.DESTINATION: "a destination holds all that it may hold",
    PauseCause.UNCOMMITTED: "delivery has run as far ahead of the commit as it may",
    PauseCause.DEAD_LETTER_TOO_LARGE: "a record is too large for the dead-letter topic",
}


def _flow(status: Status) -> Iterator[Degraded]:
    for alarm in status.alarms:
        whose = (
            f"destination {alarm.destination}" if alarm.destination else "no destination of ours"
        )
        told = f"Many events for {whose} are rejected: {alarm.reason.value}"
        advice = "Look at their publisher's last deploy."
        yield Degraded(Concern.GUARD_ALARM, told, advice, "docs/dead-letters.md", True)
    for cause, count in status.paused.items():
        which = "1 partition is" if count == 1 else f"{count} partitions are"
        told = f"{which} not read for now: {_PAUSED[cause]}"
        yield Degraded(Concern.PARTITIONS_PAUSED, told, "", "docs/running.md", False)

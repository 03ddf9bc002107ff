"""Which dead letters are replayed, and why the others are not. Pure.

One replay is known by its mark: where the record first appeared, and for which time it is replayed.
Several dead letters with the same mark, which a crash can leave, are one.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from consumer.letter import Foreign, Letter, LetterPlace, Marker
from consumer.meta_limits import AMBIGUOUS_MS_MAX
from consumer.model import PixelId, Reason
from consumer.replay_record import last_topic
from consumer.replayable import Obstacle, Replays, next_hash, obstacle_of


class SkipReason(Enum):
    """Why a dead letter is not replayed. A closed set: the value stands in JSON."""

    FOREIGN = "foreign", "somebody else wrote it, and where it came from is not ours to say"
    NO_ORIGIN = "no_origin", "it does not tell where it came from"
    OTHER_TOPIC = "other_topic", "it came from another topic; --to-topic replays it all the same"
    SEALED = "sealed", "its value is sealed, and no key opens it"
    VALUE_GONE = "value_gone", "its value lay only in the source topic, and is gone from there"
    UNFIT = "unfit", "the change that is asked for cannot be made to it"
    EXPIRED = "expired", "Meta takes an event for 7 days, and they are over"
    MAYBE_DELIVERED = (
        "maybe_delivered",
        "Meta may have counted it, and would count it again; --accept-duplicates replays it",
    )
    TOO_MANY_REPLAYS = "too_many_replays", "it came back as often as --max-replays says"
    ALREADY_REPLAYED = "already_replayed", "it was replayed; --again does it once more"
    DUPLICATE = "duplicate", "the same record, dead-lettered twice by a crash"
    BEYOND_LIMIT = "beyond_limit", "left for the next time by --limit"
    TOO_LARGE = "too_large", "the topic refuses the record as too large"

    def __new__(cls, value: str, _: str) -> "SkipReason":
        """Only the first of the two is the value."""
        member = object.__new__(cls)
        member._value_ = value
        return member

    def __init__(self, _: str, says: str) -> None:
        self.says = says


def replay_command(reason: Reason, destination: PixelId) -> str:
    """What an operator types to replay the letters of one reason and destination."""
    return f"conversions dlq replay --reason {reason.value} --destination {destination} --yes"


class Skipped(NamedTuple):
    """A letter that is not replayed; ``detail`` may be empty, and holds no value of an event."""

    reason: SkipReason
    detail: str


Repair = Callable[[Letter], Letter | Skipped]
"""Changes a letter before it is replayed, or says why it cannot. Pure; is asked twice."""


def unchanged(letter: Letter) -> Letter:
    """The repair that leaves every letter as it is."""
    return letter


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """``topic`` is the one that letters must have come from; None when that does not matter."""

    topic: str | None
    max_replays: int
    again: bool
    accept_duplicates: bool

    def barred(self, letter: Letter) -> Skipped | None:
        """Why a letter is not replayed, whatever its value is."""
        if self.topic is not None and last_topic(letter) != self.topic:
            return Skipped(SkipReason.OTHER_TOPIC, "")
        if letter.replays >= self.max_replays:
            return Skipped(SkipReason.TOO_MANY_REPLAYS, "")
        return None

    def late(self, letter: Letter, *, now_ms: int) -> Skipped | None:
        """Why a complete letter is not replayed at this time."""
        match obstacle_of(letter, now_ms=now_ms):
            case Obstacle.EXPIRED:
                return Skipped(SkipReason.EXPIRED, "")
            case Obstacle.MAYBE_DELIVERED if not self.accept_duplicates:
                return Skipped(SkipReason.MAYBE_DELIVERED, "")
            case Obstacle.BY_REFERENCE:
                return Skipped(SkipReason.VALUE_GONE, "")
            case _:
                return None

    def plan(self, *, now_ms: int) -> "Plan":
        """An empty plan by these rules."""
        forgotten_ms = None if self.accept_duplicates else now_ms - AMBIGUOUS_MS_MAX
        return Plan(again=self.again, forgotten_ms=forgotten_ms)

    def settled(self, letter: Letter) -> Letter:
        """What is to be sent even if Meta counts it twice: as if it had never been sent, for the
        consumer would turn it away."""
        if not self.accept_duplicates:
            return letter
        return replace(letter, maybe_delivered=False, first_sent_at_ms=None)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a plan comes to: the letters to replay; of the others how many for each reason.

    ``samples`` has a place for each reason, and under None one of those that are replayed.
    """

    offsets: Mapping[int, frozenset[int]]
    planned: int
    skipped: Mapping[SkipReason, int]
    samples: Mapping[SkipReason | None, LetterPlace]

    def __contains__(self, place: object) -> bool:
        """Whether the letter at this place is to be replayed."""
        return isinstance(place, LetterPlace) and place.offset in self.offsets.get(
            place.partition, ()
        )


class _Candidate(NamedTuple):
    place: LetterPlace
    skip: SkipReason | None


class Plan:
    """Made in one reading of the topic. Of a letter it keeps place and hash: some 250 bytes.

    ``forgotten_ms``: what Meta may have counted until then, it may count again. None if it may.
    """

    def __init__(self, *, again: bool, forgotten_ms: int | None) -> None:
        self._again, self._forgotten_ms = again, forgotten_ms
        self._forgotten: set[int] = set()
        self._replays = Replays()
        self._candidates: dict[int, _Candidate] = {}
        self._skipped: Counter[SkipReason] = Counter()
        self._samples: dict[SkipReason | None, LetterPlace] = {}

    def __repr__(self) -> str:
        return f"<Plan of {len(self._candidates)} letters>"

    def note(self, marker: Marker) -> None:
        """A replay has taken place."""
        self._replays.note(marker)
        if self._again and marker.mark is not None:
            self._doubt(hash(marker.mark), marker.written_at_ms)

    def unwanted(self, found: Letter | Foreign) -> None:
        """A letter that is not wanted. The same record may be dead-lettered a second time, by one
        that does not know that it was sent."""
        if isinstance(found, Letter) and found.maybe_delivered:
            self._doubt(next_hash(found), found.first_sent_at_ms or 0)

    def add(self, found: Letter | Foreign, judged: Callable[[Letter], Letter | Skipped]) -> None:
        """A letter that is wanted. ``judged`` is asked about it unless the plan can tell."""
        if isinstance(found, Foreign):
            self._skip(found.place, SkipReason.FOREIGN)
        elif found.origin is None:
            self._skip(found.place, SkipReason.NO_ORIGIN)
        else:
            verdict = judged(found)
            skip = verdict.reason if isinstance(verdict, Skipped) else None
            self._keep(next_hash(found), _Candidate(found.place, skip))

    def chosen(self, *, limit: int | None) -> Chosen:
        """What follows, once everything was read. Changes the plan: to be asked once."""
        offsets: dict[int, set[int]] = {}
        count = 0
        for number, (place, skip) in self._candidates.items():
            if not self._again and self._replays.has_hash(number):
                self._skip(place, SkipReason.ALREADY_REPLAYED)
            elif skip is not None:
                self._skip(place, skip)
            elif number in self._forgotten:
                self._skip(place, SkipReason.MAYBE_DELIVERED)
            elif limit is not None and count >= limit:
                self._skip(place, SkipReason.BEYOND_LIMIT)
            else:
                offsets.setdefault(place.partition, set()).add(place.offset)
                self._samples.setdefault(None, place)
                count += 1
        frozen = {partition: frozenset(found) for partition, found in offsets.items()}
        return Chosen(frozen, count, self._skipped, self._samples)

    def _doubt(self, number: int, sent_ms: int) -> None:
        if self._forgotten_ms is not None and sent_ms <= self._forgotten_ms:
            self._forgotten.add(number)

    def _keep(self, number: int, candidate: _Candidate) -> None:
        """Of letters that are one, the first that can be replayed is, unless one of them says that
        Meta may have counted it."""
        other = self._candidates.setdefault(number, candidate)
        if other is candidate:
            return
        better = candidate.skip is None and other.skip is not None
        if candidate.skip is SkipReason.MAYBE_DELIVERED or (
            better and other.skip is not SkipReason.MAYBE_DELIVERED
        ):
            self._candidates[number], candidate = candidate, other
        self._skip(candidate.place, SkipReason.DUPLICATE)

    def _skip(self, place: LetterPlace, reason: SkipReason) -> None:
        self._skipped[reason] += 1
        self._samples.setdefault(reason, place)

"""How far a consumer group is moved back, and what that means for Meta. Pure.

Offsets only ever go back. What lies below the committed offset has met its fate before, and meets
one again; what lies above it is read in any case.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from consumer.model import LogEnd

Number = int
"""A partition's number: a rewind is about one topic."""


class Commit(NamedTuple):
    """What a group has committed for a partition; ``metadata`` is empty where nothing was said."""

    offset: int
    metadata: str


class Found(NamedTuple):
    """The first record of a partition that is not older than some time."""

    offset: int
    timestamp_ms: int


class Stays(Enum):
    """Why a partition's offset stays where it is; the value stands in JSON."""

    NEVER_COMMITTED = "never_committed", "the group has committed nothing here"
    NOTHING_SINCE = "nothing_since", "no record is that young"
    NOT_SETTLED = "not_settled", "what came since then is not settled, and is read anyway"

    def __new__(cls, value: str, _: str) -> "Stays":
        """Only the first of the two is the value."""
        member = object.__new__(cls)
        member._value_ = value
        return member

    def __init__(self, _: str, says: str) -> None:
        self.says = says


class Stretch(NamedTuple):
    """One partition: from where it is read again, and how much. All but ``number`` are counts or
    offsets; counts are differences of offsets, and so the most that it can be.

    ``settled`` of the ``again`` records lie below the committed offset. ``forgotten`` of these are
    so old that Meta may not know their ids any more, ``expired`` of those too old for Meta.
    ``is_cut``: the log begins there, and what was before may be gone.
    """

    number: Number
    committed: int
    back_to: int
    again: int
    settled: int
    forgotten: int
    expired: int
    oldest_ms: int
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RewindPlan:
    """What a rewind would do. Times are wall-clock milliseconds.

    ``members`` are those that the group has now: with any it cannot be done. ``marks`` is what the
    group's commits say of earlier rewinds.
    """

    group: str
    topic: str
    since_ms: int
    now_ms: int
    members: int
    marks: frozenset[str]
    stretches: tuple[Stretch, ...]
    staying: Mapping[Number, Stays]

    @property
    def offsets(self) -> dict[Number, int]:
        """What to commit."""
        return {each.number: each.back_to for each in self.stretches}

    @property
    def again(self) -> int:
        """So many records are read again, or for the first time."""
        return sum(each.again for each in self.stretches)

    @property
    def settled(self) -> int:
        """So many of them were settled before."""
        return sum(each.settled for each in self.stretches)

    @property
    def forgotten(self) -> int:
        """So many of those Meta may count a second time."""
        return sum(each.forgotten for each in self.stretches)

    @property
    def expired(self) -> int:
        """So many of those are too old for Meta."""
        return sum(each.expired for each in self.stretches)

    @property
    def oldest_ms(self) -> int | None:
        """The timestamp of the first record; None when nothing is moved."""
        return min((each.oldest_ms for each in self.stretches), default=None)

    @property
    def cut(self) -> list[Number]:
        """Partitions whose log begins only after the time that is asked for."""
        return [each.number for each in self.stretches if each.is_cut]


def stretch_of(
    number: Number,
    *,
    end: LogEnd | None,
    since: Found | None,
    known: Found | None,
    taken: Found | None,
) -> Stretch | Stays:
    """What becomes of one partition. ``since``, ``known`` and ``taken`` are its first records that
    are not older than the time asked for, than what Meta knows again, and than what Meta takes;
    None where there is none. ``end`` is None where nothing was committed."""
    if end is None or end.committed is None:
        return Stays.NEVER_COMMITTED
    if since is None:
        return Stays.NOTHING_SINCE
    # A topic that was made anew may end below what was committed of its predecessor.
    settled_to = min(end.committed, end.high)
    if since.offset >= settled_to:
        return Stays.NOT_SETTLED

    def older_than(younger: Found | None) -> int:
        border = settled_to if younger is None else min(younger.offset, settled_to)
        return max(0, border - since.offset)

    return Stretch(
        number=number,
        committed=end.committed,
        back_to=since.offset,
        again=end.high - since.offset,
        settled=settled_to - since.offset,
        forgotten=older_than(known),
        expired=older_than(taken),
        oldest_ms=since.timestamp_ms,
        is_cut=0 < end.low == since.offset,
    )

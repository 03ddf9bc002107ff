"""Where each event of a refused batch stands while it is isolated: from unknown to found."""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from consumer.model import MetaError, Prepared


class Refusal(NamedTuple):
    """What Meta said to which request of ours, and when that was sent (wall-clock milliseconds)."""

    error: MetaError
    request_id: str
    sent_at_ms: int


class Proof(Enum):
    """Why an event counts as the bad one; the value is the sentence of its dead letter."""

    REFUSED = "Meta refuses this event"
    NAMED = "Meta names this event as the one that it refuses, and was right before"
    TOO_OLD = "Meta refused a request for its age, and takes what is younger than this event"


class Found(NamedTuple):
    """A bad event and the refusal that is about it."""

    event: Prepared
    refusal: Refusal
    proof: Proof


class LineUp:
    """Every event that has met no fate yet is in one of these lists.

    ``suspects`` and those ``behind`` them hold a bad event, because they were refused together;
    those behind are presumed good, and suspected when the suspects turn out innocent. Of the
    ``unknown`` nothing is known. ``unverified`` were named by Meta, which may be wrong;
    ``put_aside`` are taken for bad, and given up when the others are settled.
    """

    def __init__(self) -> None:
        self.suspects: list[Prepared] = []
        self.behind: list[Prepared] = []
        self.unknown: list[Prepared] = []
        self.presumed_good: list[Prepared] = []
        self.unverified: list[Found] = []
        self.put_aside: list[Found] = []
        self.found: list[Found] = []

    def __repr__(self) -> str:
        return f"<LineUp {len(self.suspects)} suspects of {len(self)}>"

    def __len__(self) -> int:
        return sum(map(len, self._open)) + sum(map(len, self._accused))

    @property
    def events(self) -> list[Prepared]:
        """All of them."""
        events = [event for some in self._open for event in some]
        return events + [found.event for some in self._accused for found in some]

    @property
    def anybody_open(self) -> bool:
        """Whether there is anybody who is neither accused nor found."""
        return any(self._open)

    def keep(self, stays: Callable[[Prepared], bool]) -> None:
        """Take the others out, wherever they stand."""
        self.suspects = list(filter(stays, self.suspects))
        self.behind = list(filter(stays, self.behind))
        self.unknown = list(filter(stays, self.unknown))
        self.presumed_good = list(filter(stays, self.presumed_good))
        self.unverified = [found for found in self.unverified if stays(found.event)]
        self.put_aside = [found for found in self.put_aside if stays(found.event)]
        self.found = [found for found in self.found if stays(found.event)]

    def release_suspects(self) -> None:
        """It is no longer known that one of them, or of those behind, is bad."""
        self.unknown += self.suspects
        self.presumed_good += self.behind
        self.suspects, self.behind = [], []

    def take_back(self, doubted: Callable[[Found], bool]) -> None:
        """Of these that were put aside nothing is known after all."""
        self.unknown += [found.event for found in self.put_aside if doubted(found)]
        self.put_aside = [found for found in self.put_aside if not doubted(found)]

    @property
    def _open(self) -> tuple[list[Prepared], ...]:
        return self.suspects, self.behind, self.unknown, self.presumed_good

    @property
    def _accused(self) -> tuple[list[Found], ...]:
        return self.unverified, self.put_aside, self.found

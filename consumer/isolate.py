"""Which part of a refused batch to send next, until every bad event in it is found.

Meta refuses a whole request for one bad event and does not say which. Every trial is an ordinary
request: what Meta accepts *is* delivered and never sent again. What is known is a set that must
hold a bad event (it was refused), and in it the suspects. They are narrowed down by trials whose
outcome is nearest to even; what is presumably good waits, and goes in one request at the end. What
the error itself says (a rule that some events break, the index of one event) is used first and
verified: a hint that is wrong costs requests. Pure; docs/isolation.md tells it at length.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from consumer.bad_rate import BadRate
from consumer.model import MetaError, Prepared
from consumer.suspects import is_exact, suspects
from consumer.trust import Trust

ALL_GOOD_CHANCE = 0.35
"""From this chance on everything that is presumably good goes in one request."""

REFUSALS_MAX = 5
NAMED_REFUSALS_MAX = 16
"""After so many refusals with nothing accepted it may be every event; events that Meta names one by
one, rightly, are refused more often before anything can be accepted."""

SINGLES_MAX = 11
"""Then so many single events are tried; the first one that is accepted ends that."""


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


class _Approach(Enum):
    """How the suspects are dealt with."""

    NARROW = "try a part of them"
    WITHOUT_NAMED = "send everything but the one that Meta names"
    WITHOUT_TOO_OLD = "send everything but those that break the rule"


class Isolation:
    """One refused batch being taken apart. One trial is out at a time.

    ``seed`` decides how the events are shuffled: bad ones are often neighbours.
    """

    def __init__(self, events: Sequence[Prepared], *, refusal: Refusal, seed: str) -> None:
        # Every event is in one of these lists. ``suspects`` and ``behind`` were refused together,
        # and hold a bad event; those behind are presumed good, and would be suspected next.
        self._suspects: list[Prepared] = []
        self._behind: list[Prepared] = []
        self._unknown: list[Prepared] = []
        self._presumed_good: list[Prepared] = []
        self._unverified: list[Found] = []  # named by Meta, which was never seen to be right
        self._put_aside: list[Found] = []  # taken for bad, given up when the others are settled
        self._found: list[Found] = []

        self._approach = _Approach.NARROW
        self._refusal = refusal  # the one of the suspects and those behind them
        self._trust = Trust()
        self._ages_are_true = True
        self._refusals_in_a_row = 0
        self._accepted_any = False
        self._rate = BadRate(len(events))
        shuffled = list(events)
        random.Random(seed).shuffle(shuffled)  # noqa: S311 - the same batch, the same order
        self._rank = {id(event): rank for rank, event in enumerate(shuffled)}
        self._trial = list(events)
        self.refused(refusal)

    def __repr__(self) -> str:
        others = len(self) - len(self._suspects)
        return f"<Isolation {len(self._suspects)} suspects, {others} others>"

    def __len__(self) -> int:
        return sum(map(len, self._lists)) + sum(map(len, self._kept))

    @property
    def events(self) -> list[Prepared]:
        """What has met no fate yet."""
        events = [event for some in self._lists for event in some]
        return events + [found.event for some in self._kept for found in some]

    def trial(self) -> list[Prepared]:
        """What to send next; empty when nothing is left to find."""
        return self._trial

    def found(self) -> list[Found]:
        """The bad events found since the last call; they leave the isolation with this.

        Until the next acceptance they are kept: it may be that every event is refused by now.
        """
        if self._refusals_in_a_row and len(self) > len(self._found):
            return []
        found, self._found = self._found, []
        return found

    def accepted(self) -> list[Prepared]:
        """Meta took the trial: its events, which are thereby delivered and gone from here."""
        delivered, gone = self._trial, _ids(self._trial)
        if any(id(found.event) in gone for found in self._unverified):
            self._disbelieve()
        self._accepted_any, self._refusals_in_a_row = True, 0
        self._rate.good += sum(id(event) in gone for event in (*self._suspects, *self._unknown))
        self._keep(lambda event: id(event) not in gone)
        if self._behind and not self._suspects:
            # Whoever was suspected is innocent: the bad one is among those behind.
            self._suspect(self._behind, self._refusal, _Approach.NARROW)
        self._conclude()
        return delivered

    def refused(self, refusal: Refusal) -> None:
        """Meta refused the trial, so that it holds a bad event."""
        self._refusals_in_a_row += 1
        if len(self._trial) == 1:
            self._convict(self._trial[0], refusal)
        else:
            self._put_suspects_aside()
            self._doubt_ages(refusal)
            self._narrow_down(refusal)
        self._conclude()

    def forget(self, gone: Callable[[Prepared], bool]) -> None:
        """Take events out. If one of those that must hold a bad event goes, it may have been the
        bad one: of the others nothing is known any more."""
        if not any(gone(event) for event in self.events):
            return
        if any(gone(event) for event in (*self._suspects, *self._behind)):
            self._release_suspects()
        self._keep(lambda event: not gone(event))
        if not any(self._lists):
            # What waited for the others to be settled must be tried itself.
            self._unknown = self.events
            self._found, self._put_aside, self._unverified = [], [], []
        self._trial = self._next_trial()

    # --- what an answer tells

    def _convict(self, event: Prepared, refusal: Refusal) -> None:
        """It was refused alone. If it was one of the suspects, there need not be another."""
        if any(found.event is event for found in self._unverified):
            self._trust.verify()
        if any(event is one for one in (*self._suspects, *self._behind)):
            self._release_suspects()
        self._keep(lambda one: one is not event)
        self._found.append(Found(event, refusal, Proof.REFUSED))
        self._rate.bad += 1

    def _put_suspects_aside(self) -> None:
        """Everything but them was refused: they are not alone, or not the bad ones at all."""
        match self._approach:
            case _Approach.NARROW:
                return
            case _Approach.WITHOUT_TOO_OLD:
                aside, proof = self._put_aside, Proof.TOO_OLD
            case _Approach.WITHOUT_NAMED:
                on_trust = self._trust.take_on_trust()
                aside, proof = self._put_aside if on_trust else self._unverified, Proof.NAMED
        aside += [Found(event, self._refusal, proof) for event in self._suspects]
        self._suspects = []

    def _doubt_ages(self, refusal: Refusal) -> None:
        """Younger events are refused for their age as well: the limit is not where we think."""
        if is_exact(refusal.error) and any(f.proof is Proof.TOO_OLD for f in self._put_aside):
            self._ages_are_true = False
            self._take_back(lambda found: found.proof is Proof.TOO_OLD)

    def _disbelieve(self) -> None:
        """What Meta named is no more suspicious than the others."""
        self._trust.refute()
        self._take_back(lambda found: found.proof is Proof.NAMED)
        if self._approach is _Approach.WITHOUT_NAMED:
            self._suspect(self._suspects + self._behind, self._refusal, _Approach.NARROW)

    def _take_back(self, doubted: Callable[[Found], bool]) -> None:
        self._unknown += [found.event for found in self._put_aside if doubted(found)]
        self._put_aside = [found for found in self._put_aside if not doubted(found)]

    def _narrow_down(self, refusal: Refusal) -> None:
        """One event of the trial is bad: whom to suspect first?"""
        inside = _ids(self._trial)
        named = self._trust.named(refusal.error, self._trial)
        refused = sorted(self._trial, key=lambda event: self._rank[id(event)])
        self._release_suspects()
        mixed = any(id(event) in inside for event in self._presumed_good)
        self._keep(lambda event: id(event) not in inside)
        too_old = self._too_old(refused, refusal)
        if too_old and (named is None or id(named) in _ids(too_old)):
            self._suspect(too_old, refusal, _Approach.WITHOUT_TOO_OLD)
        elif named is not None:
            self._suspect([named], refusal, _Approach.WITHOUT_NAMED)
        elif marked := _some(suspects(refusal.error, refused, refusal.sent_at_ms), refused):
            self._suspect(marked, refusal, _Approach.NARROW)
        elif mixed:
            self._suspect(refused, refusal, _Approach.NARROW)
        else:  # what was learnt of the rate of bad ones holds for these as well
            self._suspects, self._refusal = refused, refusal
        marked_ids = _ids(self._suspects)
        self._behind = [event for event in refused if id(event) not in marked_ids]
        self._unknown = [event for event in self._unknown if id(event) not in marked_ids]
        self._presumed_good = [e for e in self._presumed_good if id(e) not in marked_ids]

    def _too_old(self, refused: list[Prepared], refusal: Refusal) -> list[Prepared]:
        """All that must go if Meta refuses these for their age, also what was not among them."""
        if not is_exact(refusal.error) or not self._ages_are_true:
            return []
        pool = [*refused, *self._unknown, *self._presumed_good]
        marked = _some(suspects(refusal.error, pool, refusal.sent_at_ms), pool)
        inside = _ids(refused)
        return marked if any(id(event) in inside for event in marked) else []

    def _conclude(self) -> None:
        """Settle what is proved by now, and plan the next trial."""
        alone = self._suspects and not self._behind
        if self._approach is _Approach.WITHOUT_TOO_OLD:
            if alone and not self._unknown and not self._presumed_good:
                self._found += self._accused(Proof.TOO_OLD)
        elif alone and len(self._suspects) == 1:
            self._found += self._accused(Proof.REFUSED)
            self._rate.bad += 1
        if self._put_aside and not any(self._lists) and not self._unverified:
            if self._accepted_any:
                self._found += self._put_aside
            else:
                self._unknown = [found.event for found in self._put_aside]
            self._put_aside = []
        self._trial = self._next_trial()

    # --- what to send next

    def _next_trial(self) -> list[Prepared]:
        doubted = self._doubted_all()
        if doubted:
            return doubted[-1:]
        if self._unverified:
            return [self._unverified[0].event]
        if self._suspects:
            return self._trial_of_suspects()
        unknown = self._unknown
        if unknown and self._rate.chance_all_good(len(unknown)) < ALL_GOOD_CHANCE:
            return unknown[: self._rate.trial_of_unknown(len(unknown))]
        return unknown + self._presumed_good

    def _trial_of_suspects(self) -> list[Prepared]:
        if self._approach is not _Approach.NARROW:
            return self._behind + self._unknown + self._presumed_good
        if len(self._suspects) == 1:
            # Nobody saw it refused: the rule by which it is suspected may be wrong.
            return self._suspects[:]
        return self._suspects[: self._rate.trial_of_suspects(len(self._suspects))]

    def _doubted_all(self) -> list[Prepared]:
        """Where to take a single event from when it may be that every event is refused; empty when
        there is no reason to think so."""
        if len(self._found) >= SINGLES_MAX:
            return []
        most = NAMED_REFUSALS_MAX if self._trust.verified else REFUSALS_MAX
        if not self._accepted_any and self._refusals_in_a_row >= most:
            return self._presumed_good or self._unknown or self._behind or self._suspects
        # A rule may have gathered nothing but bad ones: whom it did not mark speaks for the others.
        return self._presumed_good if len(self._found) >= REFUSALS_MAX else []

    # --- the lists

    @property
    def _lists(self) -> tuple[list[Prepared], ...]:
        return self._suspects, self._behind, self._unknown, self._presumed_good

    @property
    def _kept(self) -> tuple[list[Found], ...]:
        return self._unverified, self._put_aside, self._found

    def _suspect(self, events: list[Prepared], refusal: Refusal, approach: _Approach) -> None:
        """Begin anew with these; nobody is behind them."""
        self._suspects, self._behind = events, []
        self._refusal, self._approach = refusal, approach
        self._rate = BadRate(len(events))

    def _release_suspects(self) -> None:
        """No longer is one of them known to be bad."""
        self._unknown += self._suspects
        self._presumed_good += self._behind
        self._suspects, self._behind = [], []
        self._approach = _Approach.NARROW

    def _accused(self, proof: Proof) -> list[Found]:
        """The suspects are found, and leave."""
        accused = [Found(event, self._refusal, proof) for event in self._suspects]
        self._suspects, self._approach = [], _Approach.NARROW
        return accused

    def _keep(self, stays: Callable[[Prepared], bool]) -> None:
        """Take the other events out of every list."""
        self._suspects = list(filter(stays, self._suspects))
        self._behind = list(filter(stays, self._behind))
        self._unknown = list(filter(stays, self._unknown))
        self._presumed_good = list(filter(stays, self._presumed_good))
        self._unverified = [found for found in self._unverified if stays(found.event)]
        self._put_aside = [found for found in self._put_aside if stays(found.event)]
        self._found = [found for found in self._found if stays(found.event)]


def _some(marked: list[Prepared], of: list[Prepared]) -> list[Prepared]:
    """What is marked, if that tells anything: not when it is all."""
    return marked if len(marked) < len(of) else []


def _ids(events: Iterable[Prepared]) -> set[int]:
    return {id(event) for event in events}

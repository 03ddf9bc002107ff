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

from consumer.bad_rate import BadRate
from consumer.line_up import Found, LineUp, Proof, Refusal
from consumer.model import Prepared
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
        self._line = LineUp()
        self._approach = _Approach.NARROW
        self._refusal = refusal  # the one of the suspects and those behind them
        self._trust = Trust()
        self._ages_are_true = True
        self._refusals = self._refusals_in_a_row = 0
        self._accepted_any = False
        self._rate = BadRate(len(events))
        shuffled = list(events)
        random.Random(seed).shuffle(shuffled)  # noqa: S311 - the same batch, the same order
        self._rank = {id(event): rank for rank, event in enumerate(shuffled)}
        self._trial = list(events)
        self._accused: set[int] = set()
        self.refused(refusal)

    def __repr__(self) -> str:
        others = len(self) - len(self._line.suspects)
        return f"<Isolation {len(self._line.suspects)} suspects, {others} others>"

    def __len__(self) -> int:
        return len(self._line)

    @property
    def events(self) -> list[Prepared]:
        """What has met no fate yet."""
        return self._line.events

    def trial(self) -> list[Prepared]:
        """What to send next; empty when nothing is left to find."""
        return self._trial

    def accuses(self, event: Prepared) -> bool:
        """Whether a rule or a hint of Meta's has singled it out."""
        return id(event) in self._accused

    def found(self) -> list[Found]:
        """The bad events found since the last call; they leave the isolation with this.

        Until the next acceptance they are kept: it may be that every event is refused by now.
        """
        if self._refusals_in_a_row and len(self) > len(self._line.found):
            return []
        found, self._line.found = self._line.found, []
        return found

    def accepted(self) -> list[Prepared]:
        """Meta took the trial: its events, which are thereby delivered and gone from here."""
        line, delivered, gone = self._line, self._trial, _ids(self._trial)
        if any(id(found.event) in gone for found in line.unverified):
            self._disbelieve()
        self._accepted_any, self._refusals_in_a_row = True, 0
        self._rate.good += sum(id(event) in gone for event in (*line.suspects, *line.unknown))
        line.keep(lambda event: id(event) not in gone)
        if line.behind and not line.suspects:
            # Whoever was suspected is innocent: the bad one is among those behind.
            self._suspect(line.behind, self._refusal, _Approach.NARROW)
        self._conclude()
        return delivered

    def refused(self, refusal: Refusal) -> None:
        """Meta refused the trial, so that it holds a bad event."""
        self._refusals_in_a_row += 1
        self._refusals += 1
        self._doubt_ages(refusal)
        if len(self._trial) == 1:
            self._convict(self._trial[0], refusal)
        else:
            self._put_suspects_aside()
            self._narrow_down(refusal)
        self._conclude()

    def forget(self, gone: Callable[[Prepared], bool]) -> None:
        """Take events out. If one of those that must hold a bad event goes, it may have been the
        bad one: of the others nothing is known any more."""
        if not any(gone(event) for event in self.events):
            return
        if any(gone(event) for event in (*self._line.suspects, *self._line.behind)):
            self._release_suspects()
        self._line.keep(lambda event: not gone(event))
        self._trial = self._next_trial()
        if not self._trial:
            # What waited for the others to be settled must be tried itself.
            everybody, self._line = self._line.events, LineUp()
            self._line.unknown, self._approach = everybody, _Approach.NARROW
            self._trial = self._next_trial()

    # --- what an answer tells

    def _convict(self, event: Prepared, refusal: Refusal) -> None:
        """It was refused alone. If it was one of the suspects, there need not be another."""
        if any(found.event is event for found in self._line.unverified):
            self._trust.verify()
        if any(event is one for one in (*self._line.suspects, *self._line.behind)):
            self._release_suspects()
        self._line.keep(lambda one: one is not event)
        self._line.found.append(Found(event, refusal, Proof.REFUSED))
        self._rate.bad += 1

    def _put_suspects_aside(self) -> None:
        """Everything but them was refused: they are not alone, or not the bad ones at all."""
        line, aside = self._line, self._line.put_aside
        match self._approach:
            case _Approach.NARROW:
                return
            case _Approach.WITHOUT_TOO_OLD:
                proof = Proof.TOO_OLD
            case _Approach.WITHOUT_NAMED:
                proof = Proof.NAMED
                if not self._trust.take_on_trust():
                    aside = line.unverified
        aside += [Found(event, self._refusal, proof) for event in line.suspects]
        line.suspects = []

    def _doubt_ages(self, refusal: Refusal) -> None:
        """If these are refused for their age, and none is too old, the limit is not where we think:
        whoever is accused of it must be tried."""
        if not self._ages_are_true or not is_exact(refusal.error):
            return
        if not suspects(refusal.error, self._trial, refusal.sent_at_ms):
            self._ages_are_true = False
            self._line.take_back(lambda found: found.proof is Proof.TOO_OLD)
            if self._approach is _Approach.WITHOUT_TOO_OLD:
                self._release_suspects()

    def _disbelieve(self) -> None:
        """What Meta named is no more suspicious than the others."""
        self._trust.refute()
        self._line.take_back(lambda found: found.proof is Proof.NAMED)
        if self._approach is _Approach.WITHOUT_NAMED:
            self._suspect(self._line.suspects + self._line.behind, self._refusal, _Approach.NARROW)

    def _narrow_down(self, refusal: Refusal) -> None:
        """One event of the trial is bad: whom to suspect first?"""
        line, inside = self._line, _ids(self._trial)
        named = self._trust.named(refusal.error, self._trial)
        if self._trust.refuted:
            line.take_back(lambda found: found.proof is Proof.NAMED)
        refused = sorted(self._trial, key=lambda event: self._rank[id(event)])
        self._release_suspects()
        mixed = any(id(event) in inside for event in line.presumed_good)
        line.keep(lambda event: id(event) not in inside)
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
            line.suspects, self._refusal = refused, refusal
        suspected = _ids(line.suspects)
        if len(suspected) < len(refused):
            self._accused |= suspected
        line.behind = [event for event in refused if id(event) not in suspected]
        line.unknown = [event for event in line.unknown if id(event) not in suspected]
        line.presumed_good = [e for e in line.presumed_good if id(e) not in suspected]

    def _too_old(self, refused: list[Prepared], refusal: Refusal) -> list[Prepared]:
        """All that must go if Meta refuses these for their age, also what was not among them."""
        if not is_exact(refusal.error) or not self._ages_are_true:
            return []
        pool = [*refused, *self._line.unknown, *self._line.presumed_good]
        return _some(suspects(refusal.error, pool, refusal.sent_at_ms), pool)

    def _conclude(self) -> None:
        """Settle what is proved by now, and plan the next trial."""
        line = self._line
        if self._approach is _Approach.WITHOUT_TOO_OLD:
            if not (line.behind or line.unknown or line.presumed_good):
                self._accuse(Proof.TOO_OLD)
        elif len(line.suspects) == 1 and not line.behind and self._is_corroborated:
            self._accuse(Proof.REFUSED)
        if not line.anybody_open and not line.unverified:
            if self._accepted_any:
                line.found += line.put_aside
                line.put_aside = []
            else:
                line.take_back(lambda found: True)
        self._trial = self._next_trial()

    # --- what to send next

    def _next_trial(self) -> list[Prepared]:
        doubted = self._doubted_all()
        if doubted:
            return doubted[-1:]
        if self._line.unverified:
            return [self._line.unverified[0].event]
        if self._line.suspects:
            return self._trial_of_suspects()
        unknown = self._line.unknown
        if unknown and self._rate.chance_all_good(len(unknown)) < ALL_GOOD_CHANCE:
            return unknown[: self._rate.trial_of_unknown(len(unknown))]
        return unknown + self._line.presumed_good

    @property
    def _is_corroborated(self) -> bool:
        """Whether more speaks against the last suspect than one refusal, after which Meta took
        everything else: it may have been a whim, and the suspect is then sent alone."""
        return self._refusals > 1 or self._approach is not _Approach.NARROW

    def _trial_of_suspects(self) -> list[Prepared]:
        if self._approach is not _Approach.NARROW:
            return self._line.behind + self._line.unknown + self._line.presumed_good
        if len(self._line.suspects) == 1:
            # Nobody saw it refused: the rule by which it is suspected may be wrong.
            return self._line.suspects[:]
        return self._line.suspects[: self._rate.trial_of_suspects(len(self._line.suspects))]

    def _doubted_all(self) -> list[Prepared]:
        """Where to take a single event from when it may be that every event is refused; empty when
        there is no reason to think so."""
        line = self._line
        if len(line.found) >= SINGLES_MAX:
            return []
        most = NAMED_REFUSALS_MAX if self._trust.verified else REFUSALS_MAX
        if not self._accepted_any and self._refusals_in_a_row >= most:
            return line.presumed_good or line.unknown or line.behind or line.suspects
        # A rule may have gathered nothing but bad ones: whom it did not mark speaks for the others.
        return line.presumed_good if len(line.found) >= REFUSALS_MAX else []

    def _suspect(self, events: list[Prepared], refusal: Refusal, approach: _Approach) -> None:
        """Begin anew with these."""
        self._line.suspects, self._line.behind = events, []
        self._refusal, self._approach = refusal, approach
        self._rate = BadRate(len(events))

    def _release_suspects(self) -> None:
        self._line.release_suspects()
        self._approach = _Approach.NARROW

    def _accuse(self, proof: Proof) -> None:
        """The suspects are the bad ones."""
        self._line.found += [Found(event, self._refusal, proof) for event in self._line.suspects]
        self._line.suspects, self._approach = [], _Approach.NARROW
        self._rate.bad += 1


def _some(marked: list[Prepared], of: list[Prepared]) -> list[Prepared]:
    """What is marked, if that tells anything: not when it is all."""
    return marked if len(marked) < len(of) else []


def _ids(events: Iterable[Prepared]) -> set[int]:
    return {id(event) for event in events}

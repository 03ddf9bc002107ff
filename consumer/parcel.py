"""Events that travel together through an outbox, and what has happened to them so far."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from consumer.isolate import Isolation
from consumer.line_up import Found, Refusal
from consumer.meta_limits import AMBIGUOUS_MS_MAX
from consumer.model import (
    Carried,
    Halted,
    MetaError,
    Prepared,
    Reason,
    Rejected,
    Retry,
    Throttled,
    Times,
    Verdict,
    WindowKey,
)


@dataclass(slots=True, eq=False)
class Parcel:
    """Events that travel together: a batch, a part of one, or a refused one being isolated."""

    key: WindowKey
    batch_id: str
    events: list[Prepared]
    carried: Carried
    tenures: frozenset[int]
    isolation: Isolation | None = None
    isolation_requests: int = 0
    attempts: int = 0
    incomplete: int = 0
    reduce: int = 0
    unclear: int = 0
    others_accepted: int = 0
    request_id: str | None = None
    sent_at_ms: int = 0
    first_sent_at_ms: int | None = None
    ambiguous: frozenset[int] = frozenset()  # the ``id`` of each event; none ever joins a parcel
    error: MetaError | None = None
    times_of: tuple[int, Times | None] = (0, None)  # of so many events

    def __len__(self) -> int:
        return len(self.events) if self.isolation is None else len(self.isolation)

    def trial(self) -> list[Prepared]:
        return self.events if self.isolation is None else self.isolation.trial()

    def waiting(self) -> list[Prepared]:
        return self.events if self.isolation is None else self.isolation.events

    def times(self) -> Times | None:
        """When its events happened and expire; asked for every second, mostly of the same ones."""
        counted, _ = self.times_of
        if counted != len(self):  # events only ever leave
            self.times_of = (len(self), Times.of(self.waiting()))
        return self.times_of[1]

    def forget_ended(self, is_over: Callable[[int], bool]) -> None:
        """Take out the events whose tenure is over; cheap as long as none is."""
        if any(map(is_over, self.tenures)):
            self.forget(lambda event: is_over(event.record.tenure))
            self.tenures = tenures_of(self.waiting())

    def forget(self, gone: Callable[[Prepared], bool]) -> None:
        before = len(self)
        if self.isolation is not None:
            self.isolation.forget(gone)
        else:
            self.events = [event for event in self.events if not gone(event)]
        if len(self) < before:
            self.carried = Carried.of(self.waiting())

    def take_out(self, events: list[Prepared]) -> None:
        ids = {id(event) for event in events}
        self.forget(lambda event: id(event) in ids)

    def had_no_clear_answer(self) -> None:
        """What was just sent may have been delivered, and nothing that comes later undoes that. Of
        a batch that is being isolated only the trial was sent: the rest was in a request that Meta
        refused as a whole."""
        self.ambiguous |= frozenset(map(id, self.trial()))

    def maybe_delivered(self) -> list[Prepared]:
        """Those that may not be sent again when Meta has forgotten their event ids."""
        return [event for event in self.waiting() if id(event) in self.ambiguous]

    def put_together(self) -> None:
        self.events, self.isolation = self.waiting(), None

    def part(self, events: list[Prepared]) -> "Parcel":
        return replace(self, events=events, isolation=None, carried=Carried.of(events))

    def refused(self, error: MetaError) -> None:
        """Meta refused the last trial: what was one request is an isolation from now on."""
        refusal = Refusal(error, self.request_id or "", self.sent_at_ms)
        if self.isolation is None:
            self.isolation = Isolation(self.events, refusal=refusal, seed=self.batch_id)
            self.events = []
        else:
            self.isolation.refused(refusal)

    def overdue(self, now_ms: int) -> list[Rejected]:
        """Take out what may no longer be sent."""
        rejected: list[Rejected] = []
        sent_at = self.first_sent_at_ms
        if self.ambiguous and sent_at is not None and now_ms - sent_at > AMBIGUOUS_MS_MAX:
            detail = "first sent 47 h ago without a clear answer: sent again it might count twice"
            rejected += self._given_up(self.maybe_delivered(), Reason.OUTCOME_UNKNOWN, detail)
        old = [event for event in self.waiting() if event.expires_at_ms <= now_ms]
        detail = "became too old for Meta while it waited"
        return rejected + self._given_up(old, Reason.EXPIRED, detail)

    def _given_up(self, events: list[Prepared], reason: Reason, detail: str) -> list[Rejected]:
        if events:
            self.take_out(events)
        return [self.rejected(event, reason, detail) for event in events]

    def convicted(self, found: Found) -> Rejected:
        """The settlement of a bad event, by the refusal that was about it: since then there may
        have been answers of other kinds, to requests without it."""
        rejected = self.rejected(found.event, Reason.REFUSED_BY_META, found.proof.value)
        error, request_id = found.refusal.error, found.refusal.request_id
        return replace(rejected, error=error, request_id=request_id)

    def rejected(self, event: Prepared, reason: Reason, detail: str) -> Rejected:
        """The settlement of one of its events that Meta will not take."""
        return Rejected(
            record=event.record,
            reason=reason,
            detail=detail,
            destination=event.destination,
            event_name=event.event_name,
            event_id=event.event_id,
            event_time_ms=event.event_time_ms,
            expires_at_ms=event.expires_at_ms,
            error=self.error,
            attempts=self.attempts,
            first_sent_at_ms=self.first_sent_at_ms,
            maybe_delivered=id(event) in self.ambiguous,
            batch_id=self.batch_id,
            request_id=self.request_id,
        )


def tenures_of(events: list[Prepared]) -> frozenset[int]:
    """The tenures in which these events were read."""
    return frozenset(event.record.tenure for event in events)


def may_have_counted(verdict: Verdict) -> bool:
    """Whether Meta may have looked at the events: from then on its 48 hours may be running."""
    match verdict:
        case Retry():
            return verdict.reached_meta
        case Halted() | Throttled():
            return False
        case _:
            return True

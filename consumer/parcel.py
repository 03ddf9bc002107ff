"""Events that travel together through an outbox, and what has happened to them so far."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from consumer.isolate import Isolation
from consumer.model import (
    Carried,
    Halted,
    MetaError,
    Prepared,
    Reason,
    Rejected,
    Retry,
    Throttled,
    TopicPartition,
    Verdict,
    WindowKey,
)

Place = tuple[TopicPartition, int]
"""A record's partition and offset."""


@dataclass(slots=True, eq=False)
class Parcel:
    """Events that travel together: a batch, a part of one, or a refused one being isolated."""

    key: WindowKey
    batch_id: str
    events: list[Prepared]
    carried: Carried
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
    maybe_delivered: bool = False
    error: MetaError | None = None

    def __len__(self) -> int:
        return len(self.events) if self.isolation is None else len(self.isolation)

    def trial(self) -> list[Prepared]:
        return self.events if self.isolation is None else self.isolation.trial()

    def waiting(self) -> list[Prepared]:
        return self.events if self.isolation is None else self.isolation.events

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

    def put_together(self) -> None:
        self.events, self.isolation = self.waiting(), None

    def part(self, events: list[Prepared]) -> "Parcel":
        return replace(self, events=events, isolation=None, carried=Carried.of(events))

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
            maybe_delivered=self.maybe_delivered,
            batch_id=self.batch_id,
            request_id=self.request_id,
        )


def may_have_counted(verdict: Verdict) -> bool:
    """Whether Meta may have looked at the events: from then on its 48 hours may be running."""
    match verdict:
        case Retry():
            return verdict.reached_meta
        case Halted() | Throttled():
            return False
        case _:
            return True

"""From prepared events to requests: events held until due, windows, and an outbox a destination.

Decides and returns; the loop sends and settles.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import count
from typing import NamedTuple

from consumer.apart import Apart
from consumer.dead_letter import sent_before_ms
from consumer.model import (
    Batch,
    Carried,
    Delivered,
    PixelId,
    Place,
    Prepared,
    Rejected,
    Request,
    Scope,
    Throttled,
    Times,
    TopicPartition,
    Verdict,
    earliest,
)
from consumer.outbox import Outbox
from consumer.sharing import SLOW_SHARE, Sharing
from consumer.skip import skipped_event
from consumer.usage import Usage, UsageKind
from consumer.vacancies import Vacancies
from consumer.window import Windows

SWEEP_SECONDS = 10.0
"""How often everything that waits is looked over for what has become too old."""


class Step(NamedTuple):
    """What one advance asks of the loop."""

    closed: list[Batch]
    requests: list[Request]
    rejected: list[Rejected]


class Deliveries:
    """Everything between ``prepare`` and Meta, for all destinations."""

    def __init__(
        self,
        *,
        windows: Windows,
        outbox_for: Callable[[PixelId], Outbox],
        is_over: Callable[[int], bool],
        requests_max: int,
    ) -> None:
        """``requests_max``: more are never out at a time, to whichever destinations."""
        self._windows = windows
        self._requests_max = requests_max
        self._apart = Apart()
        self._outbox_for = outbox_for
        self._is_over = is_over
        self._held: list[tuple[int, int, Prepared]] = []
        self._numbers = count()
        self._closed: list[Batch] = []
        self._swept_at = 0.0
        self._draining = False
        self._first_sent: dict[Place, int] = {}
        self._credentials_seen: dict[PixelId, object] = {}
        self._sharing = Sharing()
        self.outboxes: dict[PixelId, Outbox] = {}

    def __repr__(self) -> str:
        return f"<Deliveries {len(self._held)} held, {self._windows!r}, {len(self.outboxes)} boxes>"

    @property
    def requests_out(self) -> int:
        """Requests that wait for Meta's answer."""
        return sum(outbox.in_flight for outbox in self.outboxes.values())

    @property
    def held(self) -> list[Prepared]:
        """Events whose time is still to come."""
        return [event for _, _, event in self._held]

    def can_progress(self, partitions: Collection[TopicPartition]) -> bool:
        """Whether a drain of these has something to wait for."""
        return (
            bool(self._closed)
            or self._windows.find(lambda event: event.record.partition in partitions) is not None
            or any(
                outbox.can_progress and not outbox.carried().partitions.isdisjoint(partitions)
                for outbox in self.outboxes.values()
            )
        )

    def add(self, event: Prepared, now: float) -> None:
        """Take a prepared event."""
        if (sent_ms := sent_before_ms(event.record)) is not None:
            self._first_sent.setdefault(event.record.place, sent_ms)
        if event.due_at_ms:
            heapq.heappush(self._held, (event.due_at_ms, next(self._numbers), event))
        else:
            self._open(event, now)

    def advance(self, now: float, now_ms: int) -> Step:
        """Move everything on that the time allows."""
        while self._held and self._held[0][0] <= now_ms:
            self._open(heapq.heappop(self._held)[2], now)
        busy = {each for each, outbox in self.outboxes.items() if outbox.in_flight}
        self._close_old(now, busy)
        closed, self._closed = self._closed, []
        for batch in closed:
            first_sent = self._recalled(batch) if self._first_sent else {}
            self._outbox(batch.key.destination).offer(batch, first_sent=first_sent)
        requests: list[Request] = []
        rejected: list[Rejected] = []
        sweeping = now - self._swept_at >= SWEEP_SECONDS
        for destination in self._sharing.in_turn(self.outboxes):
            outbox = self.outboxes[destination]
            room = self._sharing.room(destination, now, busy)
            due = outbox.due(now, now_ms, room=room)
            if due.requests:
                busy.add(destination)
                self._sharing.sent(destination, now)
            requests += due.requests
            rejected += due.rejected
            if sweeping:
                rejected += outbox.overdue(now_ms)
        if sweeping:
            self._swept_at = now
        return Step(closed, requests, rejected)

    def answered(
        self, request: Request, verdict: Verdict, now: float
    ) -> list[Delivered | Rejected]:
        """What Meta's answer settles."""
        outbox = self._outbox(request.key.destination)
        settled = outbox.answered(request.request_id, verdict, now)
        self._apart.learn(settled, now)
        if isinstance(verdict, Throttled) and verdict.scope is not Scope.DESTINATION:
            # What Meta asked for, and no pause of ours on top of it: they would add up.
            for other in self._sharing.among(outbox.destination, verdict.scope):
                if other != outbox.destination:
                    self._outbox(other).pause(verdict.wait_seconds, now)
        return settled

    def heard(self, destination: PixelId, usage: tuple[Usage, ...], now: float) -> None:
        """What an answer told of Meta's limits: slow down, or pause, before it refuses."""
        self._sharing.heard(destination, usage, now)
        for one in usage:
            for other in self._sharing.among(destination, one.scope):
                if one.spent:
                    self._outbox(other).pause(one.wait_seconds, now)
                elif one.share >= SLOW_SHARE:
                    self._outbox(other).slow_down()

    def is_slowed(self, destination: PixelId, now: float) -> bool:
        """Whether a limit that is nearly reached bounds its requests."""
        return self._sharing.is_slowed(destination, now)

    def usage(self, now: float) -> Mapping[tuple[PixelId, UsageKind], float]:
        """How much of each limit is used up, 1.0 is all; only what was told lately."""
        return self._sharing.shares(now)

    def close_holding(self, partitions: Collection[TopicPartition]) -> None:
        """Close the windows that hold events of partitions that will soon be another's."""
        self._closed += self._windows.close_holding(partitions)

    def drain(self) -> None:
        """From now on every window closes at once."""
        self._draining = True

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """Drop everything whose tenure is over: that of these partitions."""
        self._first_sent = {
            place: time
            for place, time in self._first_sent.items()
            if place.partition not in partitions
        }
        self._drop(lambda event: self._is_over(event.record.tenure))
        for outbox in self.outboxes.values():
            outbox.forget()

    def give_back(self, partition: TopicPartition, offset: int) -> None:
        """Drop the events of a partition from an offset on; they are read again later."""

        def gone(event: Prepared) -> bool:
            return event.record.partition == partition and event.record.offset >= offset

        self._drop(gone)
        for outbox in self.outboxes.values():
            self._first_sent |= outbox.give_back(gone)

    def skip(self, place: Place) -> Rejected | None:
        """Give up the event of this place, if it waits; None while it is on its way to Meta."""

        def is_it(event: Prepared) -> bool:
            return place.is_of(event.record)

        held = (event for _, _, event in self._held if is_it(event))
        event = next(held, None) or self._windows.find(is_it)
        if event is not None:
            self._drop(is_it)
            return skipped_event(event, first_sent_at_ms=self._first_sent.pop(place, None))
        skipped = (outbox.skip(place) for outbox in self.outboxes.values())
        return next(filter(None, skipped), None)

    def remember(self, given_back: Iterable[Rejected]) -> None:
        """The opposite of ``recalled``: these are read again, and may be sent after all."""
        for one in given_back:
            if one.maybe_delivered and one.first_sent_at_ms is not None:
                self._first_sent[one.record.place] = one.first_sent_at_ms

    def recalled(self, rejected: Rejected) -> Rejected:
        """An event that is not even sent again, after it was given back or replayed: with what is
        known of its first sending."""
        first_sent_at_ms = self._first_sent.pop(
            rejected.record.place, sent_before_ms(rejected.record)
        )
        if first_sent_at_ms is None:
            return rejected
        return replace(rejected, first_sent_at_ms=first_sent_at_ms, maybe_delivered=True)

    def _open(self, event: Prepared, now: float) -> None:
        """Put an event into an open window."""
        self._closed += self._windows.add(event, now, apart=self._apart.kind_of(event, now))

    def _close_old(self, now: float, busy: AbstractSet[PixelId]) -> None:
        if self._draining:
            self._closed += self._windows.close_all()
            return
        vacancies = Vacancies(
            outboxes=self.outboxes,
            left=self._requests_max - self.requests_out,
            room=lambda destination: self._sharing.room(destination, now, busy),
            now=now,
        )
        self._closed += self._windows.due(now, can_go=vacancies.take)

    def _recalled(self, batch: Batch) -> dict[Place, int]:
        places = [event.record.place for event in batch.events]
        return {place: self._first_sent.pop(place) for place in places if place in self._first_sent}

    def _drop(self, gone: Callable[[Prepared], bool]) -> None:
        self._held = [entry for entry in self._held if not gone(entry[2])]
        heapq.heapify(self._held)
        self._windows.forget(gone)

    def nudge(
        self,
        token_of: Callable[[PixelId], object],
        now: float,
        *,
        app_secret: object = None,
        configured: Iterable[PixelId] = (),
    ) -> None:
        """Look at the credentials: who shares a token shares its limits, and a halted destination
        whose token or app secret is another than before is tried again at once."""
        tokens = {each: token_of(each) for each in {*self.outboxes, *configured}}
        self._sharing.know(tokens, one_app=app_secret is not None)
        for outbox in self.outboxes.values():
            credentials = (tokens[outbox.destination], app_secret)
            before = self._credentials_seen.setdefault(outbox.destination, credentials)
            self._credentials_seen[outbox.destination] = credentials
            if outbox.halted is not None and credentials != before:
                outbox.nudge(now)

    def resume(self, destination: PixelId, now: float) -> bool:
        """End the halt of a destination by hand; whether there was one to end."""
        outbox = self.outboxes.get(destination)
        if outbox is None or outbox.halted is None:
            return False
        outbox.resume(now)
        return True

    def in_hand(self) -> Counter[PixelId]:
        """How many events each destination holds: not due, in windows and in its outbox."""
        events = self._windows.by_destination
        events.update(event.destination for _, _, event in self._held)
        for destination, outbox in self.outboxes.items():
            events[destination] += outbox.events
        return events

    def times(self) -> dict[PixelId, Times]:
        """When the events that each destination holds happened and expire, of those that hold
        any."""
        times: dict[PixelId, Times | None] = dict(self._windows.times())
        for _, _, event in self._held:
            times[event.destination] = earliest(times.get(event.destination), Times.of([event]))
        for destination, outbox in self.outboxes.items():
            times[destination] = earliest(times.get(destination), outbox.times())
        return {each: found for each, found in times.items() if found is not None}

    def carried(self, destination: PixelId) -> Carried:
        """What one destination holds, in its windows and in its outbox."""
        return self.outboxes[destination].carried().plus(self._windows.carried(destination))

    def _outbox(self, destination: PixelId) -> Outbox:
        outbox = self.outboxes.get(destination)
        if outbox is None:
            outbox = self.outboxes[destination] = self._outbox_for(destination)
        return outbox

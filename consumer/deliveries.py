"""From prepared events to requests: events held until due, windows, and an outbox a destination.

Decides and returns; the loop sends and settles.
"""

import heapq
from collections.abc import Callable, Collection
from itertools import count
from typing import NamedTuple

from consumer.model import (
    Batch,
    Carried,
    Delivered,
    PixelId,
    Prepared,
    Rejected,
    Request,
    TopicPartition,
    Verdict,
)
from consumer.outbox import Outbox
from consumer.parcel import Place
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
    ) -> None:
        self._windows = windows
        self._outbox_for = outbox_for
        self._is_over = is_over
        self._held: list[tuple[int, int, Prepared]] = []
        self._numbers = count()
        self._closed: list[Batch] = []
        self._swept_at = 0.0
        self._draining = False
        self._first_sent: dict[Place, int] = {}
        self._tokens_seen: dict[PixelId, object] = {}
        self.outboxes: dict[PixelId, Outbox] = {}

    def __repr__(self) -> str:
        return f"<Deliveries {len(self._held)} held, {self._windows!r}, {len(self.outboxes)} boxes>"

    @property
    def requests_out(self) -> int:
        """Requests that wait for Meta's answer."""
        return sum(outbox.in_flight for outbox in self.outboxes.values())

    @property
    def can_progress(self) -> bool:
        """Whether a drain has something to wait for."""
        return (
            bool(self._closed)
            or self._windows.events > 0
            or any(outbox.can_progress for outbox in self.outboxes.values())
        )

    def add(self, event: Prepared, now: float) -> None:
        """Take a prepared event."""
        if event.due_at_ms:
            heapq.heappush(self._held, (event.due_at_ms, next(self._numbers), event))
        else:
            self._closed += self._windows.add(event, now)

    def advance(self, now: float, now_ms: int) -> Step:
        """Move everything on that the time allows."""
        while self._held and self._held[0][0] <= now_ms:
            self._closed += self._windows.add(heapq.heappop(self._held)[2], now)
        self._closed += self._windows.close_all() if self._draining else self._windows.due(now)
        closed, self._closed = self._closed, []
        for batch in closed:
            first_sent_at_ms = self._first_sent_of(batch) if self._first_sent else None
            self._outbox(batch.key.destination).offer(batch, first_sent_at_ms=first_sent_at_ms)
        requests: list[Request] = []
        rejected: list[Rejected] = []
        sweeping = now - self._swept_at >= SWEEP_SECONDS
        for outbox in self.outboxes.values():
            due = outbox.due(now, now_ms)
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
        return self._outbox(request.key.destination).answered(request.request_id, verdict, now)

    def close_holding(self, partitions: Collection[TopicPartition]) -> None:
        """Close the windows that hold events of partitions that will soon be another's."""
        self._closed += self._windows.close_holding(partitions)

    def drain(self) -> None:
        """From now on every window closes at once."""
        self._draining = True

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """Drop everything whose tenure is over: that of these partitions."""
        self._first_sent = {
            place: time for place, time in self._first_sent.items() if place[0] not in partitions
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

    def _first_sent_of(self, batch: Batch) -> int | None:
        places = ((event.record.partition, event.record.offset) for event in batch.events)
        times = [self._first_sent.pop(place, None) for place in places]
        return min((time for time in times if time is not None), default=None)

    def _drop(self, gone: Callable[[Prepared], bool]) -> None:
        self._held = [entry for entry in self._held if not gone(entry[2])]
        heapq.heapify(self._held)
        self._windows.forget(gone)

    def nudge(self, token_of: Callable[[PixelId], object], now: float) -> None:
        """Try a halted destination again at once when its token is another than before."""
        for outbox in self.outboxes.values():
            token = token_of(outbox.destination)
            before = self._tokens_seen.setdefault(outbox.destination, token)
            self._tokens_seen[outbox.destination] = token
            if outbox.halted is not None and token != before:
                outbox.nudge(now)

    def resume(self, destination: PixelId, now: float) -> bool:
        """Try a destination again at once, because somebody says so; whether it is known here."""
        outbox = self.outboxes.get(destination)
        if outbox is None:
            return False
        outbox.nudge(now)
        return True

    def carried(self, destination: PixelId) -> Carried:
        """What one destination holds, in its windows and in its outbox."""
        return self.outboxes[destination].carried().plus(self._windows.carried(destination))

    def _outbox(self, destination: PixelId) -> Outbox:
        outbox = self.outboxes.get(destination)
        if outbox is None:
            outbox = self.outboxes[destination] = self._outbox_for(destination)
        return outbox

"""Prepared events → batches: one open window per destination and kind of request.

A window closes when it holds ``events_max`` events, when one more would exceed ``bytes_max``, or
when its oldest event has waited ``seconds_max`` and the batch can go. Times are monotonic seconds,
given by the caller.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import count

from consumer.model import (
    Batch,
    Carried,
    Closing,
    Kind,
    PixelId,
    Prepared,
    Times,
    TopicPartition,
    WindowKey,
    earliest,
)

BYTES_PER_REQUEST = 512
"""What a body needs besides its events: brackets, token, test code."""

NOTHING = Carried.of([])


@dataclass(slots=True)
class _Window:
    opened_at: float
    events: list[Prepared] = field(default_factory=list)
    size_bytes: int = BYTES_PER_REQUEST
    counted: Carried = NOTHING
    times: Times | None = None  # of what is counted

    def carried(self) -> Carried:
        """What it holds. Asked for at every turn of a destination in trouble: only what came since
        is counted."""
        new = self.events[self.counted.events :]
        if new:
            self.counted = self.counted.plus(Carried.of(new))
            self.times = earliest(self.times, Times.of(new))
        return self.counted

    def all_times(self) -> Times | None:
        """When its events happened and expire."""
        self.carried()
        return self.times


class Windows:
    """All open windows. Every method that closes some returns their batches."""

    def __init__(
        self, *, events_max: int, bytes_max: int, seconds_max: float, batch_prefix: str
    ) -> None:
        self._events_max = events_max
        self._bytes_max = bytes_max
        self._seconds_max = seconds_max
        self._batch_prefix = batch_prefix
        self._numbers = count(1)
        self._open: dict[WindowKey, _Window] = {}

    def __repr__(self) -> str:
        return f"<Windows {len(self._open)} open, {self.events} events>"

    @property
    def events(self) -> int:
        """How many events wait in open windows."""
        return sum(len(window.events) for window in self._open.values())

    @property
    def by_destination(self) -> Counter[PixelId]:
        """How many events wait for each destination."""
        events: Counter[PixelId] = Counter()
        for key, window in self._open.items():
            events[key.destination] += len(window.events)
        return events

    def times(self) -> dict[PixelId, Times]:
        """When the events that wait for each destination happened and expire."""
        times: dict[PixelId, Times] = {}
        for key, window in self._open.items():
            found = earliest(times.get(key.destination), window.all_times())
            assert found is not None, "no window is empty"
            times[key.destination] = found
        return times

    def carried(self, destination: PixelId) -> Carried:
        """What the open windows of one destination hold."""
        carried = NOTHING
        for key, window in self._open.items():
            if key.destination == destination:
                carried = carried.plus(window.carried())
        return carried

    def add(self, event: Prepared, now: float, *, apart: Kind | None = None) -> list[Batch]:
        """Put an event into its window, or into that of a kind that is kept ``apart``; whatever
        that closes is returned."""
        key = WindowKey(event.destination, event.test_code, event.aged, apart)
        size_bytes = len(event.body) + 1
        closed: list[Batch] = []
        window = self._open.get(key)
        if window is not None and window.size_bytes + size_bytes > self._bytes_max:
            closed.append(self._close(key, Closing.BYTES))
            window = None
        if window is None:
            window = self._open[key] = _Window(opened_at=now)
        window.events.append(event)
        window.size_bytes += size_bytes
        if len(window.events) >= self._events_max:
            closed.append(self._close(key, Closing.FULL))
        return closed

    def due(self, now: float, *, can_go: Callable[[PixelId], bool]) -> list[Batch]:
        """Close the windows whose oldest event has waited long enough, the oldest first; one whose
        batch cannot go yet goes on filling. ``can_go`` is asked for each before it closes."""
        old = [
            key for key, window in self._open.items() if now - window.opened_at >= self._seconds_max
        ]
        return [self._close(key, Closing.AGE) for key in old if can_go(key.destination)]

    def close_all(self) -> list[Batch]:
        """Close every window, for a shutdown."""
        return [self._close(key, Closing.DRAIN) for key in list(self._open)]

    def close_holding(self, partitions: Collection[TopicPartition]) -> list[Batch]:
        """Close the windows that hold an event of these partitions, before they are given up."""
        holding = [
            key
            for key, window in self._open.items()
            if any(event.record.partition in partitions for event in window.events)
        ]
        return [self._close(key, Closing.DRAIN) for key in holding]

    def find(self, is_it: Callable[[Prepared], bool]) -> Prepared | None:
        """The event of which this is true, in whatever window it waits."""
        events = (event for window in self._open.values() for event in window.events)
        return next(filter(is_it, events), None)

    def forget(self, gone: Callable[[Prepared], bool]) -> None:
        """Drop events: their tenure is over, say, and the next owner reads them again."""
        for key, window in list(self._open.items()):
            kept = [event for event in window.events if not gone(event)]
            if len(kept) == len(window.events):
                continue
            if kept:
                window.events, window.counted, window.times = kept, NOTHING, None
                window.size_bytes = BYTES_PER_REQUEST + sum(len(e.body) + 1 for e in kept)
            else:
                del self._open[key]

    def _close(self, key: WindowKey, closed_by: Closing) -> Batch:
        window = self._open.pop(key)
        return Batch(
            key=key,
            batch_id=f"{self._batch_prefix}-{next(self._numbers)}",
            events=tuple(window.events),
            closed_by=closed_by,
            opened_at=window.opened_at,
        )

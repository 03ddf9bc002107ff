"""Whether a destination refuses every event, and with which event to ask it again.

Told of each event that was refused alone. A wrong mapping or deploy makes many different ones in a
row, and must not flush the topic into the dead letters; one bad event now and then must not be
taken for that. So they are counted across batches, since the last acceptance, within a day.
"""

from collections.abc import Iterable

from consumer.model import Prepared, TopicPartition

REFUSED_ALONE_MAX = 11
"""So many different events refused alone, and none accepted: it is not the events. When half of the
events are bad this happens by chance in 6 of 10,000 cases."""

UNACCUSED_MIN = 3
"""So many of them were accused by no rule and no hint of Meta's. Where these are right, batches
that are taken apart side by side try nothing but bad events first."""

REFUSED_ALONE_SECONDS = 24 * 3600.0
"""A pixel that sends one bad event a day is no pixel that refuses every event."""

TRIED_MAX = 1000
"""So many events are remembered as tried."""


class RefusedAlone:
    """What one destination refused alone since it last accepted anything."""

    def __init__(self) -> None:
        self._tried: dict[str, float] = {}  # by event id, in the order of the last trial
        self._unaccused: set[str] = set()
        self._partition: TopicPartition | None = None

    def __repr__(self) -> str:
        return f"<RefusedAlone {len(self._tried)} events>"

    def add(self, event: Prepared, now: float, *, accused: bool) -> None:
        """This one was refused alone; ``accused``: because a rule or a hint singled it out."""
        self._tried.pop(event.event_id, None)
        self._tried[event.event_id] = now
        self._partition = event.record.partition
        if not accused:
            self._unaccused.add(event.event_id)
        if len(self._tried) > TRIED_MAX:
            oldest = next(iter(self._tried))
            del self._tried[oldest]
            self._unaccused.discard(oldest)

    def clear(self) -> None:
        """Something was accepted."""
        self._tried.clear()
        self._unaccused.clear()

    def is_every_event(self, now: float) -> bool:
        """Whether it can only be the destination."""
        recent = {one for one, at in self._tried.items() if now - at <= REFUSED_ALONE_SECONDS}
        return len(recent) >= REFUSED_ALONE_MAX and len(recent & self._unaccused) >= UNACCUSED_MIN

    def next_probe(self, events: Iterable[Prepared]) -> Prepared | None:
        """The event to ask with: one that was not tried, of another partition than the last one,
        if there is such a one; else the one whose trial is longest ago."""
        tried, last = self._tried, self._partition
        return min(
            events,
            key=lambda e: (tried.get(e.event_id, float("-inf")), e.record.partition == last),
            default=None,
        )

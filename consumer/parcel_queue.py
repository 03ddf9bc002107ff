"""The parcels of one destination that wait to be sent: fresh ones first, late ones not never."""

from collections import deque
from collections.abc import Callable, Iterable

from consumer.model import Prepared
from consumer.parcel import Parcel

LATE_EVERY = 10
"""So often what is late goes first, or a backlog would starve it."""

PROBE_EVENTS_MAX = 10
"""So many events of a halted destination are risked at a time."""


class ParcelQueue:
    """In two parts: what is ready, and what is late (over its budget of requests, say)."""

    def __init__(self, *, is_over: Callable[[int], bool]) -> None:
        self._is_over = is_over
        self._ready: deque[Parcel] = deque()
        self._late: deque[Parcel] = deque()
        self._taken = 0

    def __repr__(self) -> str:
        return f"<ParcelQueue {self.sizes}>"

    def __bool__(self) -> bool:
        return any(map(len, self._ready)) or any(map(len, self._late))

    @property
    def sizes(self) -> str:
        """How many parcels are in each part."""
        return f"{len(self._ready)} ready, {len(self._late)} late"

    @property
    def parcels(self) -> list[Parcel]:
        """All of them."""
        return [*self._ready, *self._late]

    def put_first(self, parcel: Parcel) -> None:
        """It goes before everything else."""
        self._ready.appendleft(parcel)

    def put_last(self, parcel: Parcel) -> None:
        """It goes after what is ready."""
        self._ready.append(parcel)

    def put_late(self, parcel: Parcel) -> None:
        """It goes when nothing is ready, or when it is the turn of what is late."""
        self._late.append(parcel)

    def next(self) -> Parcel | None:
        """Take the next parcel that has something to send."""
        self._taken += 1
        late_first = self._taken % LATE_EVERY == 0
        for queue in (self._late, self._ready) if late_first else (self._ready, self._late):
            while queue:
                parcel = queue.popleft()
                parcel.forget_ended(self._is_over)
                if parcel.trial():
                    return parcel
        return None

    def probe(self) -> Parcel | None:
        """Take a few events: while a destination is halted no batch is risked, and the others
        keep their place."""
        parcel = self.next()
        trial = [] if parcel is None else parcel.trial()
        if parcel is None or len(trial) <= PROBE_EVENTS_MAX:
            return parcel
        probe = parcel.part(trial[:PROBE_EVENTS_MAX])
        parcel.take_out(probe.events)
        self.put_first(parcel)
        return probe

    def probe_with(self, choose: Callable[[Iterable[Prepared]], Prepared | None]) -> Parcel | None:
        """Take the one event that is chosen of all that wait."""
        self.forget_ended()
        event = choose(event for parcel in self.parcels for event in parcel.waiting())
        for parcel in self.parcels:
            if event is not None and any(event is one for one in parcel.waiting()):
                parcel.take_out([event])
                return parcel.part([event])
        return None

    def forget_ended(self) -> None:
        """Drop the events of ended tenures, and parcels that have become empty."""
        for parcel in self.parcels:
            parcel.forget_ended(self._is_over)
        self._ready = deque(parcel for parcel in self._ready if len(parcel))
        self._late = deque(parcel for parcel in self._late if len(parcel))

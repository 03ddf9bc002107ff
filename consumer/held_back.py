"""Rejected records of one destination that the guard keeps out of the dead letters for now.

They stay open, and so uncommitted in Kafka; what they occupy counts against the destination's share
of the limits, as what a halted one holds does. Decides nothing: ``guard`` and ``flow`` do.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from consumer.model import Carried, PixelId, Prepared, Rejected, TopicPartition


class HeldBack:
    """In the order in which they came. ``since`` is when the first one came, in monotonic seconds.

    What is carried is counted as it comes and goes: it is asked for at every turn.
    """

    def __init__(self, *, destination: PixelId, since: float) -> None:
        self.destination = destination
        self.since = since
        self._waiting: list[Rejected] = []
        self._size_bytes = 0
        self._partitions: Counter[TopicPartition] = Counter()

    def __repr__(self) -> str:
        return f"<HeldBack {self.destination}: {len(self._waiting)} records>"

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def carried(self) -> Carried:
        """What is held in here."""
        return Carried(len(self._waiting), self._size_bytes, frozenset(self._partitions))

    def put(self, rejected: Rejected) -> None:
        """Hold one more."""
        self._waiting.append(rejected)
        self._size_bytes += rejected.record.size_bytes
        self._partitions[rejected.record.partition] += 1

    def spill(self, events_max: int, of: Callable[[Prepared | Rejected], bool]) -> list[Rejected]:
        """Give up the oldest that ``of`` marks, so that other destinations can go on."""
        spilled = [one for one in self._waiting if of(one)][:events_max]
        if spilled:
            chosen = {id(one) for one in spilled}
            self._keep(one for one in self._waiting if id(one) not in chosen)
        return spilled

    def take_out(self, gone: Callable[[Rejected], bool]) -> list[Rejected]:
        """Hold these no longer."""
        taken = [one for one in self._waiting if gone(one)]
        if taken:
            self._keep(one for one in self._waiting if not gone(one))
        return taken

    def _keep(self, kept: Iterable[Rejected]) -> None:
        self._waiting = list(kept)
        self._size_bytes = sum(one.record.size_bytes for one in self._waiting)
        self._partitions = Counter(one.record.partition for one in self._waiting)

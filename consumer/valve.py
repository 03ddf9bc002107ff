"""Opens and closes the inflow: how much may be read now, and which partitions are paused.

A full house at first simply does not read. When that lasts, every partition is paused and the
group polled all the same, so that it never takes us for dead during an outage.
"""

from collections.abc import Collection
from typing import Protocol

from consumer.flow import READ_RECORDS_MAX, Flow, House, plan_flow
from consumer.model import PauseCause, TopicPartition

FULL_SECONDS = 1.0


class Pausing(Protocol):
    """What can be paused; see ``kafka.KafkaSource``."""

    def pause(self, partitions: Collection[TopicPartition]) -> None: ...

    def resume(self, partitions: Collection[TopicPartition]) -> None: ...


class Valve:
    """The pauses in force. Times are monotonic seconds."""

    def __init__(self, *, source: Pausing, house: House) -> None:
        self._source = source
        self._house = house
        self._full_since: float | None = None
        self._read_max = READ_RECORDS_MAX
        self.paused: dict[TopicPartition, PauseCause] = {}

    def __repr__(self) -> str:
        return f"<Valve {len(self.paused)} partitions paused>"

    def room(self, now: float) -> int:
        """How many records may be read; 0 when the house is full."""
        limits, ledger = self._house.limits, self._house.ledger
        room = limits.in_flight_events - ledger.open_records
        if room > 0 and ledger.open_bytes < limits.in_flight_bytes:
            self._full_since = None
            return min(room, self._read_max)
        self._full_since = now if self._full_since is None else self._full_since
        return 0

    def is_shut(self, now: float) -> bool:
        """Whether the house has been full for so long that everything is paused and polled."""
        return self._full_since is not None and now - self._full_since >= FULL_SECONDS

    def turn(
        self,
        now: float,
        *,
        schema_partitions: Collection[TopicPartition],
        too_large: Collection[TopicPartition],
        may_spill: bool,
    ) -> Flow:
        """Pause and resume what the moment asks for; returns what else has to be done."""
        shut = self.is_shut(now)
        flow = plan_flow(
            self._house,
            now,
            full=shut,
            schema_partitions=schema_partitions,
            too_large=too_large,
            may_spill=may_spill,
        )
        ours = set(self._house.ledger.partitions)
        if shut:
            for partition in ours:
                flow.paused.setdefault(partition, PauseCause.IN_FLIGHT)
        paused = {p: cause for p, cause in flow.paused.items() if p in ours}
        self._source.pause(paused.keys() - self.paused.keys())
        self._source.resume(self.paused.keys() - paused.keys())
        self.paused = paused
        self._read_max = flow.read_max
        return flow

    def forget(self, partition: TopicPartition) -> None:
        """A partition leaves us. The client keeps a pause across its next assignment, when
        nobody would know of it: so it is taken back now."""
        if self.paused.pop(partition, None) is not None:
            self._source.resume([partition])

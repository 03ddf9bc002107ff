"""What comes out of Kafka: how much of it, from where, and in which tenure of its partition.

Keeps the valve. A tenure begins here in every room that remembers one, and ends there.
"""

from collections.abc import Callable, Collection

from consumer.dead_letter import is_replayed
from consumer.deliveries import Deliveries
from consumer.flow import House, Limits, Spill
from consumer.guard import Guard
from consumer.intake import Intake
from consumer.journal import Journal
from consumer.letter_box import LetterBox
from consumer.model import (
    EndOfPartition,
    PauseCause,
    ReadFailed,
    Record,
    TopicPartition,
)
from consumer.seams import Clock, Outgoing, Source
from consumer.settle import Ledger, Opening
from consumer.valve import Valve

READ_SECONDS = 0.05
READ_SECONDS_WHILE_SENDING = 0.005
"""Reading waits its whole time, and an answer of Meta's may free the next request."""
PAUSED_SECONDS = 0.02

Enter = Callable[[Record, float, int], None]
"""What becomes of an opened record: with it go monotonic seconds and wall-clock milliseconds."""


class Inflow:
    """One member's inflow. The loop turns it and no other thread does."""

    def __init__(
        self,
        *,
        source: Source,
        ledger: Ledger,
        intake: Intake,
        deliveries: Deliveries,
        guard: Guard,
        letters: LetterBox,
        outgoing: Outgoing,
        limits: Limits,
        clock: Clock,
        journal: Journal,
    ) -> None:
        self._source = source
        self._ledger = ledger
        self._intake = intake
        self._deliveries = deliveries
        self._guard = guard
        self._letters = letters
        self._outgoing = outgoing
        self._clock = clock
        self._journal = journal
        house = House(limits, ledger, deliveries, intake.seen, intake.destinations, guard.held)
        self._valve = Valve(source=source, house=house)

    def __repr__(self) -> str:
        return f"<Inflow {self._valve!r}>"

    @property
    def paused(self) -> dict[TopicPartition, PauseCause]:
        """The partitions that are not read for now, and why."""
        return self._valve.paused

    def read(self, now: float, enter: Enter) -> None:
        """Read what there is room for, and let it enter. When reading fails every partition is
        rewound."""
        try:
            items = self._read(now)
        except ReadFailed as error:
            self._rewind(str(error))
        else:
            self._take(items, enter)

    def poll(self) -> None:
        """Stay in the group. What this may still return is dropped before the ledger hears of it,
        and so is never committed past."""
        try:
            self._source.read(1, PAUSED_SECONDS)
        except ReadFailed as error:
            self._journal.reading_failed(str(error))

    def steer(self, now: float) -> list[Spill]:
        """Pause and resume partitions, and give back to Kafka what fills the house; returns what
        destinations in trouble have to give up."""
        before = self._valve.paused
        flow = self._valve.turn(
            now,
            schema_partitions=self._intake.waiting_partitions,
            too_large=self._letters.too_large,
            may_spill=self._letters.failing is None,
        )
        if self._valve.paused != before:
            self._journal.flow(self._valve.paused, before)
        for partition in flow.given_back:
            self._give_back(partition)
        return flow.spills

    def begin(self, partitions: Collection[TopicPartition]) -> None:
        """New tenures begin."""
        for partition in partitions:
            self._ledger.begin(partition)
            self._intake.begin(partition)
            self._valve.forget(partition)

    def end(self, partitions: Collection[TopicPartition]) -> None:
        """Their tenures end."""
        self._end(partitions)
        for partition in partitions:
            self._valve.forget(partition)

    def _read(self, now: float) -> list[Record | EndOfPartition]:
        room = self._valve.room(now)
        if room > 0:
            sending = self._deliveries.requests_out > 0
            seconds = READ_SECONDS_WHILE_SENDING if sending else READ_SECONDS
            return self._source.read(room, seconds)
        if self._valve.is_shut(now):
            return self._source.read(1, READ_SECONDS)
        self._outgoing.wait(PAUSED_SECONDS)
        return []

    def _rewind(self, error: str) -> None:
        """Records may have been dequeued and lost: read on from what the ledger expects."""
        self._journal.reading_failed(error)
        states = {p: self._ledger.state(p) for p in self._ledger.partitions}
        offsets = {
            p: state.next_offset
            for p, state in states.items()
            if state is not None and state.next_offset is not None
        }
        if len(offsets) < len(states):
            raise ReadFailed(f"{error}, before anything was read: where to go back to is unknown")
        self._source.rewind(offsets)

    def _take(self, items: list[Record | EndOfPartition], enter: Enter) -> None:
        now, now_ms = self._clock.now(), self._clock.now_ms()
        went_back: set[TopicPartition] = set()
        records = replayed = 0
        for item in items:
            if item.partition in went_back:
                continue  # it will be read again
            if isinstance(item, EndOfPartition):
                self._ledger.reached_end(item)
                continue
            match self._ledger.open(item, now):
                case Opening.OPENED:
                    records += 1
                    replayed += is_replayed(item)
                    enter(item, now, now_ms)
                case Opening.WENT_BACK:
                    # The topic was made anew or its offsets were reset.
                    went_back.add(item.partition)
                    self._read_again(item.partition, item.offset)
                case Opening.STALE:
                    pass  # its partition is no longer ours
        if items:
            self._journal.kafka_answers()
            self._journal.metrics.records_read.inc(records)
            self._journal.metrics.replayed_records_read.inc(replayed)

    def _read_again(self, partition: TopicPartition, offset: int) -> None:
        """A new tenure begins here. Whether the partition is paused does not change."""
        self._end([partition])
        self._ledger.begin(partition)
        self._intake.begin(partition)
        self._source.rewind({partition: offset})

    def _give_back(self, partition: TopicPartition) -> None:
        """Forget records behind all that is settled; they are read again later."""
        if self._letters.holds([partition]) or partition in self._intake.waiting_partitions:
            return  # these are open as well, and not to be met twice
        offset = self._ledger.give_back(partition)
        if offset is not None:
            self._deliveries.give_back(partition, offset)
            self._deliveries.remember(self._guard.give_back(partition, offset))
            self._source.rewind({partition: offset})
            self._journal.given_back(partition, offset)

    def _end(self, partitions: Collection[TopicPartition]) -> None:
        for partition in partitions:
            self._ledger.end(partition)
        for partition in partitions:
            self._intake.forget(partition)
        self._deliveries.forget(partitions)
        self._guard.forget(self._ledger.is_over)
        self._letters.forget(self._ledger.is_over)
        self._journal.tenures_ended(partitions)

"""An in-memory topic, and one member of its group.

As strict as the real party, and stricter where the real one forgives: a commit for a partition
that is not assigned fails the test, where a broker would accept it and move the new owner's offset.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping
from typing import Literal, NamedTuple

from consumer.model import (
    ClientError,
    CommitReport,
    EndOfPartition,
    Header,
    ReadFailed,
    Record,
    TopicPartition,
)
from tests.fakes.clock import FakeClock

Partitions = list[TopicPartition]
Place = tuple[int, int]
"""Partition number and offset of one record of the one topic."""


SECONDS_PER_RECORD = 50e-6
"""Reading and preparing take time, too: a loop that never waits does not stand still."""


class Stored(NamedTuple):
    """One record in the log."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]


class FakeTopic:
    """The log of every partition and the group's committed offsets, which outlive its members.

    ``watchers`` are told of every commit before it is accepted, and may fail the test.
    """

    def __init__(self, *, clock: FakeClock, partitions: int) -> None:
        self._clock = clock
        self.partitions = [TopicPartition("conversions.events", n) for n in range(partitions)]
        self._logs: dict[TopicPartition, list[Stored]] = {p: [] for p in self.partitions}
        self._ends: dict[TopicPartition, int] = dict.fromkeys(self.partitions, 0)
        self.committed: dict[TopicPartition, int] = {}
        self.commits: list[tuple[TopicPartition, int]] = []
        self.watchers: list[Callable[[TopicPartition, int], None]] = []

    def publish(
        self,
        partition: int,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: tuple[Header, ...] = (),
    ) -> Place:
        """Append one record."""
        where = self.partitions[partition]
        offset = self._ends[where]
        self._logs[where].append(Stored(offset, self._clock.now_ms(), key, value, headers))
        self._ends[where] = offset + 1
        return partition, offset

    def gap(self, partition: int, offsets: int) -> None:
        """Append offsets that hold no record: control records, or what compaction removed."""
        self._ends[self.partitions[partition]] += offsets

    def make_anew(self, partition: int) -> None:
        """Delete the partition and create it again: its offsets start at 0."""
        where = self.partitions[partition]
        self._logs[where], self._ends[where] = [], 0

    def records(self, partition: TopicPartition, start: int, end: int) -> list[Stored]:
        """What is stored from ``start`` and below ``end``."""
        log = self._logs[partition]
        first = bisect_left(log, start, key=lambda stored: stored.offset)
        return log[first : bisect_left(log, end, key=lambda stored: stored.offset)]

    def end(self, partition: TopicPartition) -> int:
        """The offset that the next record will have."""
        return self._ends[partition]

    def commit(self, partition: TopicPartition, offset: int) -> None:
        """Accept a commit."""
        for watcher in self.watchers:
            watcher(partition, offset)
        self.committed[partition] = offset
        self.commits.append((partition, offset))

    @property
    def lag(self) -> int:
        """Over all partitions: the log's end minus what is committed."""
        return sum(self._ends[p] - self.committed.get(p, 0) for p in self.partitions)


class _Rebalance(NamedTuple):
    kind: Literal["assigned", "revoked", "lost"]
    partitions: Partitions
    after_fetch: bool


class FakeSource:
    """One member of the group; satisfies ``seams.Source``.

    Rebalances are scripted (``assign``, ``revoke``, ``lose``), and their callbacks come out of the
    next ``read``, or out of ``close``. A read that is not full takes all of its time.
    """

    def __init__(self, *, topic: FakeTopic, clock: FakeClock, max_poll_seconds: float) -> None:
        self._topic = topic
        self._clock = clock
        self._max_poll_seconds = max_poll_seconds
        self._polled_at = clock.now()
        self._positions: dict[TopicPartition, int] = {}
        self._ends_told: dict[TopicPartition, int] = {}
        self._rebalances: list[_Rebalance] = []
        self._busy = False
        self._drops: list[int] = []
        self._refusals: list[str] = []
        self._waiting_reports: list[CommitReport] = []
        self._reports: list[CommitReport] = []
        self._errors: list[ClientError] = []
        self._tell: dict[str, Callable[[Partitions], None]] = {}
        self._tenure_of: Callable[[TopicPartition], int | None] = lambda partition: None
        self._fenced = False
        self._losing = False
        self.paused: set[TopicPartition] = set()
        self.polls: list[float] = []
        self.rewinds: list[dict[TopicPartition, int]] = []
        self.closed = False

    def subscribe(
        self,
        *,
        tenure_of: Callable[[TopicPartition], int | None],
        assigned: Callable[[Partitions], None],
        revoked: Callable[[Partitions], None],
        lost: Callable[[Partitions], None],
    ) -> None:
        """Join the group."""
        self._tenure_of = tenure_of
        self._tell = {"assigned": assigned, "revoked": revoked, "lost": lost}

    # --- what a test plants

    def assign(self, *partitions: int) -> None:
        """The next read is told of new partitions, which are read from the committed offset."""
        self._rebalances.append(_Rebalance("assigned", self._of(partitions), False))

    def revoke(self, *partitions: int, after_fetch: bool = False) -> None:
        """The next read asks for partitions back; ``after_fetch``: having dequeued records."""
        self._rebalances.append(_Rebalance("revoked", self._of(partitions), after_fetch))

    def lose(self, *partitions: int) -> None:
        """The next read is told that partitions are another's already."""
        self._rebalances.append(_Rebalance("lost", self._of(partitions), False))

    def fence(self) -> None:
        """The group has given this member up and its partitions away; it hears of it at its next
        read. What it commits until then is refused."""
        self._fenced = True
        self._rebalances = [_Rebalance("lost", list(self._positions), False)]

    def fail_read(self, *, dropping: int) -> None:
        """A coming read dequeues so many records and raises instead of returning them."""
        self._drops.append(dropping)

    def refuse_commit(self, error: str) -> None:
        """A coming commit is refused."""
        self._refusals.append(error)

    def report_error(self, error: ClientError) -> None:
        """The client has something to tell."""
        self._errors.append(error)

    # --- seams.Source

    def read(self, records_max: int, seconds: float) -> list[Record | EndOfPartition]:
        """Rebalance, then fetch at most ``records_max`` records and ends of partitions."""
        assert not self.closed, "read after close"
        assert not self._busy, "read inside a callback"
        assert records_max > 0, "a read of nothing serves no callback"
        idle = self._clock.now() - self._polled_at
        assert idle <= self._max_poll_seconds, f"not polled for {idle:.1f} s: evicted"
        self.polls.append(self._clock.now())
        self._reports += self._waiting_reports
        self._waiting_reports = []
        self._rebalance(after_fetch=False)
        failing = self._drops.pop(0) if self._drops else None
        fetched = self._fetch(records_max if failing is None else failing)
        self._rebalance(after_fetch=True)
        self._clock.advance(len(fetched) * SECONDS_PER_RECORD)
        if len(fetched) < records_max:
            self._clock.advance(seconds * self._clock.idle_pace)
        self._polled_at = self._clock.now()
        if failing is not None:
            raise ReadFailed("planted")
        # As at the real edge, the tenure is looked up when the call is over.
        return [
            item._replace(tenure=self._tenure_of(item.partition) or 0)
            if isinstance(item, Record)
            else item
            for item in fetched
        ]

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Stop fetching these."""
        self._require(partitions, "pause")
        self.paused |= set(partitions)

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Fetch these again."""
        self._require(partitions, "resume")
        self.paused -= set(partitions)

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read on from these offsets."""
        self._require(offsets, "rewind")
        self.rewinds.append(dict(offsets))
        self._positions.update(offsets)
        for partition in offsets:
            self._ends_told.pop(partition, None)

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit; the report comes out of a later read."""
        self._waiting_reports += self._commit(offsets)

    def commit_now(self, offsets: Mapping[TopicPartition, int], seconds: float | None) -> None:
        """Commit; the report is there at once."""
        assert (seconds is None) == self._busy, "a callback commits in its own thread"
        self._reports += self._commit(offsets)

    def commit_reports(self) -> list[CommitReport]:
        """Reports since the last call."""
        reports, self._reports = self._reports, []
        return reports

    def errors(self) -> list[ClientError]:
        """Errors since the last call."""
        errors, self._errors = self._errors, []
        return errors

    def close(self) -> None:
        """Give up every partition and leave."""
        assert not self.closed, "closed twice"
        self._rebalance(after_fetch=False)
        if self._positions:
            self.revoke(*(p.partition for p in self._positions))
            self._rebalance(after_fetch=False)
        self.closed = True

    # --- inside

    @property
    def in_callback(self) -> bool:
        """Whether a callback of ours is being called."""
        return self._busy

    @property
    def assigned(self) -> set[int]:
        """Numbers of the partitions that are ours."""
        return {partition.partition for partition in self._positions}

    @property
    def given(self) -> set[int]:
        """Those, and what the group has given to us and we have not heard of yet."""
        unheard = [each for each in self._rebalances if each.kind == "assigned"]
        return self.assigned | {p.partition for each in unheard for p in each.partitions}

    def _of(self, numbers: Collection[int]) -> Partitions:
        return [self._topic.partitions[number] for number in numbers]

    def _require(self, partitions: Collection[TopicPartition], what: str) -> None:
        strange = [str(p) for p in partitions if p not in self._positions]
        assert not strange, f"{what} of partitions that are not ours: {strange}"

    def _commit(self, offsets: Mapping[TopicPartition, int]) -> list[CommitReport]:
        assert offsets, "a commit of nothing"
        self._require(offsets, "commit")
        assert not self._losing, "a commit of partitions that are another's already"
        error = self._refusals.pop(0) if self._refusals else None
        if self._fenced:
            error = "ILLEGAL_GENERATION"
        for partition, offset in offsets.items():
            position = self._positions[partition]
            assert offset <= position, f"{partition}: commit of {offset}, read up to {position}"
            if error is None:
                self._topic.commit(partition, offset)
        return [CommitReport(partition, offset, error) for partition, offset in offsets.items()]

    def _rebalance(self, *, after_fetch: bool) -> None:
        self._fenced = False
        due = [each for each in self._rebalances if each.after_fetch == after_fetch]
        self._rebalances = [each for each in self._rebalances if each.after_fetch != after_fetch]
        self._busy = True
        for kind, partitions, _ in due:
            if kind == "assigned":
                for partition in partitions:
                    assert partition not in self._positions, f"{partition} is ours already"
                    self._positions[partition] = self._topic.committed.get(partition, 0)
            else:
                self._require(partitions, kind)
            self._losing = kind == "lost"
            self._tell[kind](partitions)
            self._losing = False
            if kind != "assigned":
                self._drop(partitions)
        self._busy = False

    def _drop(self, partitions: Partitions) -> None:
        for partition in partitions:
            del self._positions[partition]
            # As librdkafka has it, a pause outlives the assignment that it was made in.
            self._ends_told.pop(partition, None)

    def _fetch(self, items_max: int) -> list[Record | EndOfPartition]:
        fetched: list[Record | EndOfPartition] = []
        for partition in [each for each in self._positions if each not in self.paused]:
            end = self._topic.end(partition)
            if self._positions[partition] > end:
                self._positions[partition] = 0  # out of range: auto.offset.reset=earliest
            stored = self._topic.records(partition, self._positions[partition], end)
            for each in stored[: items_max - len(fetched)]:
                fetched.append(Record(partition, *each, tenure=0))
                self._positions[partition] = each.offset + 1
            if len(fetched) == items_max:
                break
            if self._ends_told.get(partition) != end:
                self._positions[partition] = self._ends_told[partition] = end
                fetched.append(EndOfPartition(partition, end))
        return fetched

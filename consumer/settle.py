"""Which offsets are safe to commit: the ledger of open records, per partition and tenure.

An offset here is always that of the *next* record to read, as Kafka's own commits mean it. The
committable offset of a partition is its lowest open record, or what follows the last one read
when nothing is open. Gaps in the offsets (control records, compaction) need no action: only
offsets that were really read are ever open.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from consumer.model import EndOfPartition, Record, TopicPartition


class Opening(Enum):
    """What the ledger says of a record that was read."""

    OPENED = "opened"
    STALE = "stale"  # of a tenure that is over: its next owner reads it
    WENT_BACK = "went_back"  # below what was read before: the topic was made anew, or rewound


class _OpenRecord(NamedTuple):
    opened_at: float
    size_bytes: int


@dataclass(slots=True)
class _Tenure:
    number: int
    base: int | None = None
    next_offset: int | None = None
    committed: int | None = None
    requested: int | None = None
    settled_up_to: int = -1
    open: dict[int, _OpenRecord] = field(default_factory=dict)

    def committable(self) -> int | None:
        # Records are opened in the order of their offsets, so the first key is the lowest.
        return next(iter(self.open), self.next_offset)

    def uncommitted(self) -> int:
        if self.next_offset is None or self.base is None:
            return 0
        return self.next_offset - max(self.base, self.committed or 0) - len(self.open)


class PartitionState(NamedTuple):
    """One partition in numbers.

    ``uncommitted`` is how many records were settled above the committed offset, gaps counted as
    records: what a restart would send again, at most.
    """

    open: int
    uncommitted: int
    oldest_open_at: float | None
    next_offset: int | None
    committable: int | None


class Ledger:
    """Open and settled records of every live tenure. Knows nothing of Kafka but offsets."""

    def __init__(self) -> None:
        self._tenures: dict[TopicPartition, _Tenure] = {}
        self._live: set[int] = set()
        self._numbers = 0
        self._open = 0
        self._open_bytes = 0

    def __repr__(self) -> str:
        return f"<Ledger {len(self._tenures)} partitions, {self._open} open>"

    @property
    def open_records(self) -> int:
        """Records that were read and have met no fate yet."""
        return self._open

    @property
    def open_bytes(self) -> int:
        """What those records occupy."""
        return self._open_bytes

    @property
    def uncommitted_records(self) -> int:
        """Records settled above the committed offsets, gaps counted as records."""
        return sum(tenure.uncommitted() for tenure in self._tenures.values())

    @property
    def partitions(self) -> list[TopicPartition]:
        """The partitions of live tenures."""
        return list(self._tenures)

    def begin(self, partition: TopicPartition) -> int:
        """A partition was assigned: its new tenure's number, never used before."""
        self.end(partition)
        self._numbers += 1
        self._tenures[partition] = _Tenure(number=self._numbers)
        self._live.add(self._numbers)
        return self._numbers

    def end(self, partition: TopicPartition) -> None:
        """The partition is no longer ours; what was open is the next owner's to read again."""
        tenure = self._tenures.pop(partition, None)
        if tenure is not None:
            self._live.discard(tenure.number)
            self._open -= len(tenure.open)
            self._open_bytes -= sum(record.size_bytes for record in tenure.open.values())

    def tenure_of(self, partition: TopicPartition) -> int | None:
        """The number of the partition's live tenure."""
        tenure = self._tenures.get(partition)
        return None if tenure is None else tenure.number

    def is_open(self, partition: TopicPartition, offset: int) -> bool:
        """Whether this record was read in the live tenure, and has met no fate yet."""
        tenure = self._tenures.get(partition)
        return tenure is not None and offset in tenure.open

    def opened_at(self, record: Record) -> float | None:
        """When this open record was read, in the caller's seconds; None if its tenure is over."""
        tenure = self._tenures.get(record.partition)
        if tenure is None or tenure.number != record.tenure:
            return None
        return tenure.open[record.offset].opened_at

    def is_over(self, number: int) -> bool:
        """Whether this tenure has ended."""
        return number not in self._live

    def open(self, record: Record, now: float) -> Opening:
        """A record was read."""
        tenure = self._tenures.get(record.partition)
        if tenure is None or tenure.number != record.tenure:
            return Opening.STALE
        if tenure.next_offset is not None and record.offset < tenure.next_offset:
            return Opening.WENT_BACK
        if tenure.base is None:
            tenure.base = record.offset
        size_bytes = record.size_bytes
        tenure.open[record.offset] = _OpenRecord(now, size_bytes)
        tenure.next_offset = record.offset + 1
        self._open += 1
        self._open_bytes += size_bytes
        return Opening.OPENED

    def settle(self, record: Record) -> bool:
        """The record met its fate. False if its tenure is over, when it changes nothing."""
        tenure = self._tenures.get(record.partition)
        if tenure is None or tenure.number != record.tenure:
            return False
        assert record.offset in tenure.open, f"{record!r} was settled twice or never opened"
        tenure.settled_up_to = max(tenure.settled_up_to, record.offset)
        self._open_bytes -= tenure.open.pop(record.offset).size_bytes
        self._open -= 1
        return True

    def give_back(self, partition: TopicPartition) -> int | None:
        """Close records that are read again later: those behind everything that was settled.
        Returns the offset to read on from; None if there are none."""
        tenure = self._tenures.get(partition)
        if tenure is None:
            return None
        offsets = [offset for offset in tenure.open if offset > tenure.settled_up_to]
        if not offsets:
            return None
        for offset in offsets:
            self._open_bytes -= tenure.open.pop(offset).size_bytes
        self._open -= len(offsets)
        tenure.next_offset = offsets[0]
        return offsets[0]

    def reached_end(self, end: EndOfPartition) -> None:
        """The reader is at the end: what lies between was no record, and may be committed."""
        tenure = self._tenures.get(end.partition)
        if tenure is not None and end.offset >= (tenure.next_offset or 0):
            tenure.next_offset = end.offset

    def committable(self) -> dict[TopicPartition, int]:
        """Offsets that have moved since they were last requested, and marks them requested."""
        moved: dict[TopicPartition, int] = {}
        for partition, tenure in self._tenures.items():
            offset = tenure.committable()
            if offset is not None and offset not in (tenure.requested, tenure.committed):
                moved[partition] = tenure.requested = offset
        return moved

    def committable_all(self) -> dict[TopicPartition, int]:
        """The committable offset of every partition that has one."""
        offsets = {partition: tenure.committable() for partition, tenure in self._tenures.items()}
        return {partition: offset for partition, offset in offsets.items() if offset is not None}

    def committable_of(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Offsets of these partitions that the broker has not acknowledged, requested or not."""
        offsets: dict[TopicPartition, int] = {}
        for partition in partitions:
            tenure = self._tenures.get(partition)
            offset = None if tenure is None else tenure.committable()
            if tenure is not None and offset is not None and offset != tenure.committed:
                offsets[partition] = tenure.requested = offset
        return offsets

    def committed(self, partition: TopicPartition, offset: int) -> None:
        """The broker has acknowledged this offset."""
        tenure = self._tenures.get(partition)
        known = None if tenure is None else tenure.next_offset
        # A report that comes late may be of a tenure before this one.
        if tenure is not None and known is not None and offset <= known:
            tenure.committed = max(offset, tenure.committed or 0)

    def commit_failed(self, partition: TopicPartition) -> None:
        """The broker refused: the offset becomes committable again."""
        tenure = self._tenures.get(partition)
        if tenure is not None:
            tenure.requested = None

    def state(self, partition: TopicPartition) -> PartitionState | None:
        """The partition's numbers, None when it is not ours."""
        tenure = self._tenures.get(partition)
        if tenure is None:
            return None
        return PartitionState(
            open=len(tenure.open),
            uncommitted=tenure.uncommitted(),
            oldest_open_at=next((record.opened_at for record in tenure.open.values()), None),
            next_offset=tenure.next_offset,
            committable=tenure.committable(),
        )

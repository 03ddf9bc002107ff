"""Which offsets are safe to commit: the ledger of open records, per partition and tenure.

An offset here is always that of the *next* record to read, as Kafka's own commits mean it. The
committable offset of a partition is its lowest open record, or what follows the last one read
when nothing is open. Gaps in the offsets (control records, compaction) need no action: only
offsets that were really read are ever open.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from consumer.model import EndOfPartition, Record, TopicPartition


@dataclass(slots=True)
class _Tenure:
    number: int
    base: int | None = None
    next_offset: int | None = None
    committed: int | None = None
    requested: int | None = None
    open: dict[int, float] = field(default_factory=dict)

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

    def __repr__(self) -> str:
        return f"<Ledger {len(self._tenures)} partitions, {self._open} open>"

    @property
    def open_records(self) -> int:
        """Records that were read and have met no fate yet."""
        return self._open

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

    def tenure_of(self, partition: TopicPartition) -> int | None:
        """The number of the partition's live tenure."""
        tenure = self._tenures.get(partition)
        return None if tenure is None else tenure.number

    def is_over(self, number: int) -> bool:
        """Whether this tenure has ended."""
        return number not in self._live

    def open(self, record: Record, now: float) -> bool:
        """A record was read. False if it is none of ours: of no live tenure, or read before."""
        tenure = self._tenures.get(record.partition)
        if tenure is None or tenure.number != record.tenure:
            return False
        if tenure.next_offset is not None and record.offset < tenure.next_offset:
            return False
        if tenure.base is None:
            tenure.base = record.offset
        tenure.open[record.offset] = now
        tenure.next_offset = record.offset + 1
        self._open += 1
        return True

    def settle(self, record: Record) -> bool:
        """The record met its fate. False if its tenure is over, when it changes nothing."""
        tenure = self._tenures.get(record.partition)
        if tenure is None or tenure.number != record.tenure:
            return False
        assert record.offset in tenure.open, f"{record!r} was settled twice or never opened"
        del tenure.open[record.offset]
        self._open -= 1
        return True

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

    def committed(self, partition: TopicPartition, offset: int) -> None:
        """The broker has acknowledged this offset."""
        tenure = self._tenures.get(partition)
        if tenure is not None:
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
            oldest_open_at=next(iter(tenure.open.values()), None),
            next_offset=tenure.next_offset,
            committable=tenure.committable(),
        )

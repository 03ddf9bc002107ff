"""When offsets are committed: now and then, before partitions leave, and at the end.

Which offsets may be committed only the ledger knows. The loop turns this room and no other thread
does.
"""

from collections.abc import Callable, Collection

from consumer.journal import Journal
from consumer.model import TopicPartition
from consumer.seams import Clock, Source
from consumer.settle import Ledger

AGAIN_SECONDS = 0.2
LAST_SECONDS = 3.0
"""The last commit gets so long, even when the grace is over."""

EVICTED = frozenset(
    ("FENCED_INSTANCE_ID", "FENCED_MEMBER_EPOCH", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID")
)
"""The group counts on us no longer: to repeat a commit is of no use before the next poll."""


class Commits:
    """One member's commits. Times are monotonic seconds."""

    def __init__(
        self,
        *,
        source: Source,
        ledger: Ledger,
        clock: Clock,
        journal: Journal,
        every_seconds: float,
    ) -> None:
        self._source = source
        self._ledger = ledger
        self._clock = clock
        self._journal = journal
        self._every_seconds = every_seconds
        self._at = 0.0

    def __repr__(self) -> str:
        return f"<Commits every {self._every_seconds} s>"

    def turn(self) -> None:
        """Request what has moved, when it is time again."""
        if self._clock.now() < self._at:
            return
        self._at = self._clock.now() + self._every_seconds
        offsets = self._ledger.committable()
        if offsets:
            self._source.commit(offsets)

    def hear(self) -> set[str]:
        """What the client has to tell; returns why commits were refused, by Kafka's names."""
        refused: set[str] = set()
        for report in self._source.commit_reports():
            if report.error is None:
                self._ledger.committed(report.partition, report.offset)
                self._journal.committed()
            else:
                refused.add(report.error)
                self._ledger.commit_failed(report.partition)
                self._journal.commit_failed(report.partition, report.error)
        for error in self._source.errors():
            self._journal.kafka_error(error)
        return refused

    def before_leaving(
        self,
        partitions: Collection[TopicPartition],
        *,
        is_past: Callable[[], bool],
        pump: Callable[[float], None],
    ) -> None:
        """Commit before these leave, again while the group refuses and time is left. ``pump`` moves
        everything on until a moment: the revoke callback may not read."""
        while offsets := self._ledger.committable_of(partitions):
            self._source.commit_now(offsets, None)
            if self.hear() & EVICTED or is_past():
                return
            if self._ledger.committable_of(partitions):
                pump(self._clock.now() + AGAIN_SECONDS)

    def last(
        self, partitions: Collection[TopicPartition], *, until: float, poll: Callable[[], None]
    ) -> None:
        """Commit everything, again while the group refuses and time is left. Between two attempts
        the group is polled: a rebalance that is under way is over then, and what it has taken
        from us is no longer ours to commit."""
        while offsets := self._ledger.committable_of(partitions):
            self._source.commit_now(offsets, max(until - self._clock.now(), LAST_SECONDS))
            self.hear()
            if self._clock.now() >= until or not self._ledger.committable_of(partitions):
                return
            again_at = min(self._clock.now() + AGAIN_SECONDS, until)
            while self._clock.now() < again_at:
                poll()

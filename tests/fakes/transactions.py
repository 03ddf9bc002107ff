"""A broker with transactions, in memory: what is committed is there whole, what is fenced never.

``Log`` is the two topics as readers of committed records see them; ``FakeProducer`` is one client
with the transactional id, which fails where a test tells it to.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from consumer.letter import LetterPlace
from consumer.model import Header, Record, TopicPartition
from tests.fakes.events import NOW_MS, TOPIC
from tests.fakes.letters import DLQ_TOPIC


def an_error(
    code: int, *, retriable: bool = False, abort: bool = False, fatal: bool = False
) -> KafkaError:
    """With librdkafka's flags."""
    return KafkaError(code, "because of a test", fatal, retriable, abort)


class Log:
    """The committed records of the dead-letter topic and of the source topic."""

    def __init__(self, *letters: Record) -> None:
        self.letters: list[Record] = []
        self.source: list[Record] = []
        self.writer: object = None
        """Who has the transactional id now."""
        for letter in letters:
            self.append(self.letters, letter)

    def append(self, records: list[Record], record: Record) -> None:
        partition = record.partition
        offset = sum(each.partition == partition for each in records)
        records.append(record._replace(offset=offset))

    def read(
        self,
        *,
        since_ms: int | None,
        partitions: frozenset[int] | None,
        progress: Callable[[int, int], None],
    ) -> Iterator[Record]:
        """Satisfies ``replaying.Letters``."""
        for record in tuple(self.letters):
            number = record.partition.partition
            if partitions is not None and number not in partitions:
                continue
            if since_ms is None or record.timestamp_ms >= since_ms:
                yield record
        progress(len(self.letters), len(self.letters))

    def fetch(self, topic: str, place: LetterPlace) -> Record | None:
        """The record at a place of the source topic."""
        wanted = (TopicPartition(topic, place.partition), place.offset)
        return next((r for r in self.source if (r.partition, r.offset) == wanted), None)


class FakeProducer:
    """Satisfies ``kafka_replay.KafkaProducer``.

    ``failures`` are by call what it raises, in order; ``sizes`` what a value may have at most.
    """

    def __init__(self, log: Log, *, bytes_max: int | None = None) -> None:
        self.log = log
        self.bytes_max = bytes_max
        self.failures: dict[str, deque[KafkaError]] = {}
        self.calls: list[str] = []
        self.transactions: list[int] = []
        """How many records of the source topic each committed one brought."""
        self._pending: list[tuple[bool, Record]] | None = None
        self._reports: list[tuple[Callable[..., None], KafkaError | None]] = []

    def fail(self, call: str, *errors: KafkaError) -> None:
        self.failures[call] = deque(errors)

    def init_transactions(self, timeout: float) -> None:
        self._called("init_transactions")
        self.log.writer = self

    def begin_transaction(self) -> None:
        self._called("begin_transaction")
        assert self._pending is None, "one transaction at a time"
        self._pending = []

    def produce(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, Any]],
        partition: int,
        on_delivery: Callable[..., None],
    ) -> None:
        self._called("produce")
        assert self._pending is not None, "there is a transaction"
        assert (topic == DLQ_TOPIC) == (partition >= 0), "the source's partitioner decides"
        place = TopicPartition(topic, max(partition, 0))
        own: tuple[Header, ...] = tuple(headers)
        record = Record(place, 0, NOW_MS, key, value, own, 0)
        self._pending.append((topic == TOPIC, record))
        large = self.bytes_max is not None and len(value or b"") > self.bytes_max
        error = an_error(KafkaError.MSG_SIZE_TOO_LARGE) if large else None
        self._reports.append((on_delivery, error))

    def poll(self, timeout: float) -> int:
        self._called("poll")
        return 0

    def commit_transaction(self, timeout: float) -> None:
        self._fence()
        self._called("commit_transaction")
        assert self._pending is not None, "there is a transaction"
        if self._report():
            raise KafkaException(an_error(KafkaError.MSG_SIZE_TOO_LARGE, abort=True))
        for is_source, record in self._pending:
            self.log.append(self.log.source if is_source else self.log.letters, record)
        self.transactions.append(sum(is_source for is_source, _ in self._pending))
        self._pending = None

    def abort_transaction(self, timeout: float) -> None:
        self._fence()
        self._called("abort_transaction")
        self._report()
        self._pending = None

    def _report(self) -> bool:
        reports, self._reports = self._reports, []
        for on_delivery, error in reports:
            on_delivery(error, None)
        return any(error is not None for _, error in reports)

    def _fence(self) -> None:
        if self.log.writer is not self:
            raise KafkaException(an_error(KafkaError._FENCED, fatal=True))

    def _called(self, call: str) -> None:
        self.calls.append(call)
        waiting = self.failures.get(call)
        if waiting:
            raise KafkaException(waiting.popleft())

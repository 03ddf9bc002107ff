"""The edge to Kafka: the consumer group's member.

No callback of librdkafka raises: an exception out of ``consume`` means that records were dequeued
and are gone. What a callback meets is kept, and told to the loop afterwards.
"""

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

from confluent_kafka import (
    OFFSET_INVALID,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
)
from confluent_kafka import TopicPartition as KafkaPartition

from consumer.kafka_dead_letters import KafkaDeadLetters
from consumer.kafka_refusal import KafkaBroken, KafkaRefuses, configuring, in_words
from consumer.model import (
    ClientError,
    CommitReport,
    EndOfPartition,
    Header,
    ReadFailed,
    Record,
    TopicPartition,
)

__all__ = ["KafkaBroken", "KafkaDeadLetters", "KafkaRefuses", "KafkaSource"]

Partitions = list[TopicPartition]

CLOSE_SECONDS = 5.0

OWN_NAME = "; each process needs a KAFKA_CONSUMER_GROUP_INSTANCE_ID of its own"

_UNREACHABLE = {
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TRANSPORT,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
}


class KafkaSource:
    """One member of the consumer group."""

    def __init__(self, *, configuration: Mapping[str, Any], logger: logging.Logger) -> None:
        self._commits: list[CommitReport] = []
        self._errors: list[ClientError] = []
        self._fault: BaseException | None = None
        self._is_static = bool(configuration.get("group.instance.id"))
        self._mark = ""
        self.stuck = False
        self._known: dict[tuple[str, int], TopicPartition] = {}
        self._tenure_of: Callable[[TopicPartition], int | None] = lambda partition: None
        callbacks = {
            "on_commit": self._guarded(self._on_commit),
            "error_cb": self._guarded(self._on_error),
        }
        with configuring("consumer"):
            self._consumer = Consumer({**configuration, **callbacks}, logger=logger)

    def __repr__(self) -> str:
        return f"<KafkaSource {len(self._known)} partitions seen>"

    def subscribe(
        self,
        topic: str,
        *,
        tenure_of: Callable[[TopicPartition], int | None],
        assigned: Callable[[Partitions], None],
        revoked: Callable[[Partitions], None],
        lost: Callable[[Partitions], None],
    ) -> None:
        """Join the group. The three callbacks come out of ``read`` and ``close``."""
        self._tenure_of = tenure_of

        def told(tell: Callable[[Partitions], None]) -> Callable[[Any, list[Any]], None]:
            return self._guarded(lambda _, partitions: tell([self._ours(p) for p in partitions]))

        self._consumer.subscribe(
            [topic], on_assign=told(assigned), on_revoke=told(revoked), on_lost=told(lost)
        )

    def read(self, records_max: int, seconds: float) -> list[Record | EndOfPartition]:
        """Poll the group and read. Waits all of ``seconds`` unless ``records_max`` are there.

        Raises ReadFailed when records may be gone, and KafkaBroken when all is over.
        """
        try:
            messages = self._consumer.consume(records_max, seconds)
        except Exception as error:
            self._raise_fault()
            raise ReadFailed(type(error).__name__) from error
        self._raise_fault()
        read: list[Record | EndOfPartition] = []
        for message in messages:
            trouble = message.error()
            if trouble is None:
                read.append(self._record(message))
            elif trouble.code() == KafkaError._PARTITION_EOF:
                read.append(EndOfPartition(self._partition(message), _offset(message)))
            else:
                self._on_error(trouble)
        self._raise_fault()
        return read

    @property
    def joined(self) -> bool:
        """Whether the group's coordinator has answered, with or without partitions for us."""
        return bool(self._consumer.memberid())

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Stop fetching these partitions; the group is still polled by ``read``."""
        self._change(self._consumer.pause, partitions)

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Fetch these partitions again."""
        self._change(self._consumer.resume, partitions)

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read these partitions again from these offsets."""
        for partition, offset in offsets.items():
            try:
                self._consumer.seek(KafkaPartition(*partition, offset))
            except KafkaException as error:
                raise KafkaBroken(f"{partition} cannot be rewound to {offset}") from error

    def mark_commits(self, mark: str) -> None:
        """Keep this with every offset that is committed from now on: Kafka's metadata of it."""
        self._mark = mark

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Ask for a commit; its reports come with ``commit_reports``."""
        try:
            self._consumer.commit(offsets=self._marked(offsets), asynchronous=True)
        except KafkaException as error:
            self._refused(offsets, error)

    def commit_now(self, offsets: Mapping[TopicPartition, int], seconds: float | None) -> None:
        """Commit and wait for the answer, before partitions are given up.

        The client's own call has no limit while no broker answers, and lets no signal through:
        with ``seconds`` it is made on a thread that may be left behind. None is for the group's
        callbacks: out of them another thread's call would wait for the callback to end.
        """
        if seconds is None:
            self._commit(offsets)
            return
        call = threading.Thread(target=self._commit, args=(offsets,), daemon=True)
        call.start()
        call.join(seconds)
        if call.is_alive():
            self.stuck = True
            self._commits += [CommitReport(p, o, "_TIMED_OUT") for p, o in offsets.items()]

    def _commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        try:
            committed = self._consumer.commit(offsets=self._marked(offsets), asynchronous=False)
        except KafkaException as error:
            self._refused(offsets, error)
        except Exception as error:
            self._commits += [CommitReport(p, o, type(error).__name__) for p, o in offsets.items()]
        else:
            self._on_commit(None, committed)

    def _marked(self, offsets: Mapping[TopicPartition, int]) -> list[KafkaPartition]:
        return [
            KafkaPartition(*partition, offset, metadata=self._mark)
            for partition, offset in offsets.items()
        ]

    def commit_reports(self) -> list[CommitReport]:
        """Answers to commits since the last call."""
        reports, self._commits = self._commits, []
        return reports

    def errors(self) -> list[ClientError]:
        """What librdkafka reported since the last call."""
        errors, self._errors = self._errors, []
        return errors

    def set_credentials(self, username: str, password: str) -> None:
        """Log in with these from the next connection on; those that are there stay."""
        self._consumer.set_sasl_credentials(username, password)

    def hear(self, error: KafkaError) -> None:
        """Take what the dead letters' client reports among our own errors."""
        unreachable = error.code() in _UNREACHABLE
        self._errors.append(ClientError(error.name(), in_words(error), unreachable))

    def close(self) -> None:
        """Leave the group (a static member stays in it, by Kafka's design).

        Not while a commit hangs: the brokers are away, and find out by themselves. And with a
        limit: after an exception out of ``consume`` the client's close may never end.
        """
        if self.stuck:
            return
        call = threading.Thread(target=self._consumer.close, daemon=True)
        call.start()
        call.join(CLOSE_SECONDS)
        self.stuck = call.is_alive()

    def _record(self, message: Message) -> Record:
        partition = self._partition(message)
        return record_of(message, partition, tenure=self._tenure_of(partition) or 0)

    def _partition(self, message: Message) -> TopicPartition:
        place = (message.topic(), message.partition())
        known = self._known.get(place)  # type: ignore[arg-type]
        if known is None:
            known = self._known[place] = TopicPartition(*place)  # type: ignore[arg-type,index]
        return known

    def _ours(self, partition: KafkaPartition) -> TopicPartition:
        return TopicPartition(partition.topic, partition.partition)

    def _change(
        self, change: Callable[[list[Any]], None], partitions: Collection[TopicPartition]
    ) -> None:
        if not partitions:
            return
        try:
            change([KafkaPartition(*partition) for partition in partitions])
        except KafkaException as error:
            self._on_error(error.args[0])

    def _refused(self, offsets: Mapping[TopicPartition, int], error: KafkaException) -> None:
        """A refusal (a rebalance under way, a generation that is over) is an expected value."""
        reason = error.args[0]
        if reason.code() == KafkaError._NO_OFFSET:
            reason = None
        name = None if reason is None else reason.name()
        self._commits += [CommitReport(p, offset, name) for p, offset in offsets.items()]

    def _on_commit(self, error: KafkaError | None, partitions: list[KafkaPartition]) -> None:
        for partition in partitions:
            if partition.offset == OFFSET_INVALID:
                continue
            failed = partition.error or error
            name = None if failed is None else failed.name()
            self._commits.append(CommitReport(self._ours(partition), partition.offset, name))

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._FATAL:
            # The error that the callback gets says by its code alone that it is fatal.
            advice = OWN_NAME if self._is_static else ""
            self._fault = KafkaBroken(f"{error.name()}: {in_words(error)}{advice}")
        self.hear(error)

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except BaseException as error:
                self._fault = self._fault or error

        return call

    def _raise_fault(self) -> None:
        if self._fault is not None:
            fault, self._fault = self._fault, None
            if isinstance(fault, KafkaBroken):
                raise fault
            raise KafkaBroken(f"a callback failed: {type(fault).__name__}") from fault


def record_of(message: Message, partition: TopicPartition, *, tenure: int) -> Record:
    """A message of the client's, in our words."""
    kind, timestamp_ms = message.timestamp()
    return Record(
        partition,
        _offset(message),
        -1 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
        message.key(),
        message.value(),
        _headers(message),
        tenure,
    )


def _headers(message: Message) -> tuple[Header, ...]:
    """The headers; none where a name is no UTF-8, which the client cannot read: an event without
    its headers is still an event."""
    try:
        headers: Any = message.headers()
    except Exception:
        return ()
    return tuple(headers) if headers else ()


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None, "a consumed record has an offset"
    return offset

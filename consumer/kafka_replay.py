"""The edge to Kafka: the producer that replays. What it commits is there whole or not at all.

Its transactional id is the same for everybody who replays these dead letters: whoever comes later
takes over, what the former left open is aborted, and the former can commit nothing more.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from consumer.kafka_refusal import configuring
from consumer.replay_record import ReplayRecord

TRANSACTION_MS = 15_000
"""How long whoever reads the source topic waits at most for a replay that was killed."""
SLICE_SECONDS = 0.2
"""How long a call lasts at most: only between two is a signal heard, and two of the same kind that
come within one are one."""
PATIENCE_SECONDS = 60.0
ATTEMPTS_MAX = 5
AGAIN_SECONDS = 0.5
BATCH_BYTES = 1_000_000


class ReplayBroken(Exception):
    """Kafka cannot go on with this replay; ``str`` is one sentence."""


class Superseded(ReplayBroken):
    """Somebody else replays these dead letters now."""


class Hurried(Exception):
    """We were told a second time to stop: the transaction is left to Kafka, which aborts it."""


class Committed(NamedTuple):
    """The transaction is there for everybody."""


class TooLarge(NamedTuple):
    """Nothing of it is there, because the topic refused these records of it, counted from 0."""

    which: frozenset[int]


class KafkaProducer(Protocol):
    """What of confluent-kafka's producer is used."""

    def init_transactions(self, timeout: float) -> None: ...

    def begin_transaction(self) -> None: ...

    def produce(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, str | bytes | None]],
        partition: int,
        on_delivery: Callable[[KafkaError | None, Message], None],
    ) -> None: ...

    def poll(self, timeout: float) -> int: ...

    def commit_transaction(self, timeout: float) -> None: ...

    def abort_transaction(self, timeout: float) -> None: ...


def transactional_id(*, cluster_id: str, letters_topic: str) -> str:
    """One for each cluster and dead-letter topic."""
    return f"conversions.replay.{cluster_id}.{letters_topic}"


def replay_producer(
    configuration: Mapping[str, str], *, transactional_id: str, batch_bytes_max: int | None
) -> KafkaProducer:
    """The client, made of the dead-letter producer's configuration.

    ``batch_bytes_max`` is what the topics take: with it, what is too large is too large by itself.
    """
    given = {name: value for name, value in configuration.items() if name not in _FOLLOWS}
    transaction = {"transaction.timeout.ms": str(TRANSACTION_MS)}
    batch = {"batch.size": str(min(BATCH_BYTES, batch_bytes_max or BATCH_BYTES))}
    own: dict[str, Any] = {
        "transactional.id": transactional_id,
        "log_level": 0,
        "error_cb": lambda _: None,  # what matters comes out of the calls
    }
    with configuring("producer"):
        return Producer({**transaction, **given, **batch, **own})


_FOLLOWS = {"message.timeout.ms", "delivery.timeout.ms", "socket.timeout.ms"}
"""They follow from the transaction's limit, and may not be longer."""


class KafkaReplay:
    """Commits replays, some at a time. For one thread.

    ``hurried`` is whether not even the transaction under way is to be waited for; ``wait`` lets
    so many seconds pass.
    """

    def __init__(
        self,
        *,
        producer: KafkaProducer,
        transactional_id: str,
        topic: str,
        letters_topic: str,
        hurried: Callable[[], bool],
        wait: Callable[[float], None],
    ) -> None:
        self._producer = producer
        self._id, self._topic, self._letters_topic = transactional_id, topic, letters_topic
        self._hurried, self._wait = hurried, wait
        self._too_large: set[int] = set()

    def __repr__(self) -> str:
        return f"<KafkaReplay {self._letters_topic} to {self._topic}>"

    def take_over(self) -> None:
        """Be the one who replays. When it returns, all that others committed can be read, and
        nothing of theirs is open. Raises ReplayBroken and Hurried."""
        try:
            self._insist(self._producer.init_transactions)
        except KafkaException as error:
            raise self._broken(error.args[0]) from None

    def commit(self, records: Sequence[ReplayRecord]) -> Committed | TooLarge:
        """All of them and their marks in one transaction. Raises ReplayBroken and Hurried."""
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                self._wait(AGAIN_SECONDS)
            try:
                self._write(records)
            except KafkaException as error:
                trouble: KafkaError = error.args[0]
            else:
                return Committed()
            if trouble.fatal() or trouble.code() in _FENCED:
                raise self._broken(trouble)
            self._abort()
            if self._too_large:
                return TooLarge(frozenset(self._too_large))
        raise self._broken(trouble)

    def _write(self, records: Sequence[ReplayRecord]) -> None:
        """Produced without waiting in between: who reads the source topic waits meanwhile."""
        self._too_large.clear()
        self._producer.begin_transaction()
        for number, record in enumerate(records):
            self._produce(
                number, self._topic, record.key, record.value, record.headers, partition=_ANY
            )
            self._produce(
                number,
                self._letters_topic,
                record.mark_key,
                None,
                record.mark_headers,
                partition=record.place.partition,
            )
        self._insist(self._producer.commit_transaction)

    def _produce(
        self,
        number: int,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
        *,
        partition: int,
    ) -> None:
        def reported(error: KafkaError | None, _: Message) -> None:
            if error is not None and error.code() in _TOO_LARGE:
                self._too_large.add(number)

        while True:
            try:
                self._producer.produce(
                    topic,
                    key=key,
                    value=value,
                    headers=list(headers),
                    partition=partition,
                    on_delivery=reported,
                )
            except BufferError:
                self._producer.poll(AGAIN_SECONDS)
                self._raise_if_hurried()
            except KafkaException as error:
                reported(error.args[0], None)  # type: ignore[arg-type]
                raise
            else:
                return

    def _abort(self) -> None:
        try:
            self._insist(self._producer.abort_transaction)
        except KafkaException as error:
            raise self._broken(error.args[0]) from None

    def _insist(self, call: Callable[[float], None]) -> None:
        """Again as long as librdkafka says that it may be asked again, within our patience."""
        for _ in range(int(PATIENCE_SECONDS / SLICE_SECONDS)):
            self._raise_if_hurried()
            try:
                call(SLICE_SECONDS)
            except KafkaException as error:
                trouble: KafkaError = error.args[0]
                if not trouble.retriable():
                    raise
                if trouble.code() != KafkaError._TIMED_OUT:
                    self._wait(AGAIN_SECONDS)
            else:
                return
        raise ReplayBroken(f"Kafka does not answer ({trouble.name()})")

    def _raise_if_hurried(self) -> None:
        if self._hurried():
            raise Hurried

    def _broken(self, error: KafkaError) -> ReplayBroken:
        code = error.code()
        if code in _FENCED:
            return Superseded(
                f"another replay of {self._letters_topic} has begun and takes this one's place"
            )
        if code == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            told = f"our principal needs WRITE and DESCRIBE on transactional id {self._id}"
            return ReplayBroken(f"we may not replay: {told}")
        if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            both = f"{self._topic} and {self._letters_topic}"
            return ReplayBroken(f"we may not replay: our principal needs WRITE on {both}")
        return ReplayBroken(f"Kafka does not take the replay ({error.name()})")


_ANY = -1
"""The partitioner decides, by the key."""
_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}
_FENCED = {
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
}

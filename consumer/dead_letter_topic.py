"""The edge to the dead-letter topic, for whoever reads it: from a beginning to what is its end now.

With a client of its own that joins no group and commits nothing. It reads what is committed, and a
partition until its end is reported: offsets cannot be counted down, for transactions leave gaps.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from time import monotonic
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
)
from confluent_kafka import TopicPartition as KafkaPartition

from consumer.kafka import record_of
from consumer.kafka_refusal import configuring
from consumer.kafka_settings import without_membership
from consumer.kafka_unreachable import unreachable
from consumer.letter import LetterPlace
from consumer.model import Record, TopicPartition

ANSWER_SECONDS = 10.0
TURN_SECONDS = 0.1
RECORDS_PER_TURN = 500
HEARD_MAX = 20
PATIENCE_SECONDS = 30.0
"""How long nothing at all may come before it is given up."""


class TopicUnreadable(Exception):
    """The topic or its brokers cannot be read; ``str`` is one sentence."""


class DeadLetterTopic:
    """Reads the topic as often as it is asked to, each time anew."""

    def __init__(self, *, configuration: Mapping[str, str], topic: str) -> None:
        """``configuration`` is the consumer's, complete."""
        self.name = topic
        self._heard: deque[KafkaError] = deque(maxlen=HEARD_MAX)
        self._configuration: dict[str, Any] = {
            **without_membership(configuration),
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",  # where retention has been faster than we are
            "log_level": "0",
            # Not a function of ours: a signal that came inside it would be lost in the client.
            "error_cb": self._heard.append,
        }

    def __repr__(self) -> str:
        return f"<DeadLetterTopic {self.name}>"

    def read(
        self,
        *,
        since_ms: int | None,
        partitions: frozenset[int] | None,
        progress: Callable[[int, int], None],
    ) -> Iterator[Record]:
        """Every committed record, in order within its partition; none that is written meanwhile.

        ``since_ms`` leaves out what lies before the first record with that timestamp.
        ``progress`` is told how many were read, of about how many. Raises TopicUnreadable.
        """
        with closing(self._consumer()) as consumer:
            numbers = [
                number
                for number in self._partitions(consumer)
                if partitions is None or number in partitions
            ]
            starts = self._starts(consumer, numbers, since_ms)
            about = self._about(consumer, starts)
            progress(0, about)
            read = 0
            for turn in self._turns(consumer, starts):
                yield from turn
                read += len(turn)
                progress(read, max(read, about))

    def read_one(self, place: LetterPlace) -> Record | None:
        """The record at a place; None where there is none, or none that is committed."""
        with closing(self._consumer()) as consumer:
            if place.partition not in self._partitions(consumer):
                return None
            start = KafkaPartition(self.name, place.partition, place.offset)
            for turn in self._turns(consumer, [start]):
                if turn:
                    return turn[0] if turn[0].offset == place.offset else None
        return None

    def _partitions(self, consumer: Consumer) -> list[int]:
        """The topic's partitions, where there is the topic and somebody to ask."""
        try:
            topic = consumer.list_topics(self.name, timeout=ANSWER_SECONDS).topics[self.name]
        except KafkaException:
            consumer.poll(0)  # for what the client has to say of it
            raise TopicUnreadable(
                unreachable(list(self._heard), seconds=ANSWER_SECONDS).told
            ) from None
        if topic.error is not None:
            raise TopicUnreadable(_refused(self.name, topic.error))
        for number, partition in topic.partitions.items():
            if partition.leader < 0:
                raise TopicUnreadable(f"partition {number} of {self.name} has no leader")
        return sorted(topic.partitions)

    def _consumer(self) -> Consumer:
        with configuring("consumer"):
            return Consumer(self._configuration)

    def _starts(
        self, consumer: Consumer, numbers: list[int], since_ms: int | None
    ) -> list[KafkaPartition]:
        if since_ms is None:
            return [KafkaPartition(self.name, number, OFFSET_BEGINNING) for number in numbers]
        asked = [KafkaPartition(self.name, number, max(since_ms, 0)) for number in numbers]
        try:
            found = list(consumer.offsets_for_times(asked, timeout=ANSWER_SECONDS)) if asked else []
        except KafkaException as error:
            raise TopicUnreadable(self._silent(error.args[0])) from None
        for each in found:
            # Its offset would be that of the end: as if there were nothing in the partition.
            if each.error is not None:
                raise TopicUnreadable(self._silent(each.error))
        return found

    def _about(self, consumer: Consumer, starts: list[KafkaPartition]) -> int:
        about = 0
        for start in starts:
            low, high = self._ends(consumer, start)
            about += high - (high if start.offset == OFFSET_END else max(start.offset, low))
        return about

    def _ends(self, consumer: Consumer, partition: KafkaPartition) -> tuple[int, int]:
        try:
            return consumer.get_watermark_offsets(partition, timeout=ANSWER_SECONDS)
        except KafkaException as error:
            raise TopicUnreadable(self._silent(error.args[0])) from None

    def _turns(self, consumer: Consumer, starts: list[KafkaPartition]) -> Iterator[list[Record]]:
        """What each turn brings, until every partition has reported its end."""
        consumer.assign(starts)
        ours = {each.partition: TopicPartition(self.name, each.partition) for each in starts}
        silent_seconds = 0.0
        while ours:
            began = monotonic()
            messages = self._consumed(consumer)
            silent_seconds = 0.0 if messages else silent_seconds + monotonic() - began
            if silent_seconds > PATIENCE_SECONDS:
                raise TopicUnreadable(self._silent(None))
            turn: list[Record] = []
            for message in messages:
                partition = ours.get(_number(message))
                if partition is None:
                    continue  # it came after the end that was
                if (trouble := message.error()) is None:
                    turn.append(record_of(message, partition, tenure=0))
                elif trouble.code() == KafkaError._PARTITION_EOF:
                    del ours[partition.partition]
                elif trouble.code() in _FINAL:
                    raise TopicUnreadable(_refused(self.name, trouble))
            yield turn

    def _consumed(self, consumer: Consumer) -> list[Message]:
        try:
            return consumer.consume(RECORDS_PER_TURN, TURN_SECONDS)
        except KafkaException as error:
            raise TopicUnreadable(self._silent(error.args[0])) from None

    def _silent(self, error: KafkaError | None) -> str:
        error = error or (self._heard[-1] if self._heard else None)
        return f"the brokers do not give {self.name}" + (f" ({error.name()})" if error else "")


def _refused(topic: str, error: KafkaError) -> str:
    match error.code():
        case KafkaError.UNKNOWN_TOPIC_OR_PART:
            return f"there is no topic {topic}: CONVERSIONS_DLQ_TOPIC names it"
        case KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return f"we may not read topic {topic}: our principal needs READ and DESCRIBE on it"
        case _:
            return f"topic {topic} cannot be read ({error.name()})"


def _number(message: Message) -> int:
    number = message.partition()
    return -1 if number is None else number


_FINAL = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED}

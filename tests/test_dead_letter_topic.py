"""Where the reading of the dead-letter topic begins, when brokers answer in part."""

from typing import Any, NamedTuple

import pytest
from confluent_kafka import OFFSET_END, KafkaError

from consumer.dead_letter_topic import DeadLetterTopic, TopicUnreadable


class Answer(NamedTuple):
    """What librdkafka says of one partition."""

    partition: int
    offset: int
    error: KafkaError | None


class Brokers:
    """One of whose partitions has a leader, and the other none for a moment."""

    def offsets_for_times(self, asked: list[Any], timeout: float) -> list[Answer]:
        away = KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)
        return [Answer(0, 7, None), Answer(1, OFFSET_END, away)]


def test_a_partition_whose_times_are_not_told_is_not_taken_for_empty() -> None:
    topic = DeadLetterTopic(configuration={}, topic="conversions.events.dlq")
    brokers: Any = Brokers()

    with pytest.raises(TopicUnreadable, match="NOT_LEADER"):
        topic._starts(brokers, [0, 1], 1000)

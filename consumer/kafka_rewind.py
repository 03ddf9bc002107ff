"""The edge to the brokers for who moves a consumer group back: what they say, and the commit."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
)
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from consumer.check_brokers import ANSWER_SECONDS, Brokers, Refusal, answer_of, committed
from consumer.kafka_refusal import configuring
from consumer.kafka_settings import connection_only
from consumer.model import LogEnd
from consumer.rewind_plan import Commit, Found, Number

T = TypeVar("T")


class RewindFailed(Exception):
    """The brokers do not let us; unless it says so nothing was moved. ``str`` is one sentence."""


class GroupIsLive(Exception):
    """The group has members: the brokers take no commit from anybody else."""


class KafkaGroup:
    """A consumer group and its topic, for somebody who is no member of it.

    Every method raises RewindFailed when the brokers do not answer, or refuse, and KafkaRefuses for
    a configuration that librdkafka does not take.
    """

    def __init__(self, *, configuration: Mapping[str, str], group: str, topic: str) -> None:
        """``configuration`` is the consumer's, complete."""
        self.group = group
        self.topic = topic
        self._configuration = configuration
        self._brokers = Brokers(connection_only(configuration))
        finding = self._brokers.finding("brokers")
        if not self._brokers.answered:
            raise RewindFailed(finding.told)

    def __repr__(self) -> str:
        return f"<KafkaGroup {self.group} on {self.topic}>"

    def partitions(self) -> list[Number]:
        """Those of the topic."""
        described = _given(self._brokers.topic(self.topic), f"topic {self.topic}")
        return [each.id for each in described.partitions]

    def members(self) -> int:
        """How many it has, under either group protocol; none if there is no such group."""
        # Waits for a coordinator that is only just coming up.
        _given(self._brokers.group_operations(self.group), f"group {self.group}")
        asked = self._brokers.admin.describe_consumer_groups(
            [self.group], request_timeout=ANSWER_SECONDS
        )
        found: Any = _given(answer_of(asked[self.group], ANSWER_SECONDS), f"group {self.group}")
        return len(found.members)

    def commits(self, partitions: Collection[Number]) -> dict[Number, Commit]:
        """What it has committed, where it has."""
        with configuring("consumer"):
            found = committed(self._configuration, self.topic, partitions)
        return {
            number: Commit(each.offset, each.metadata or "")
            for number, each in _given(found, f"group {self.group}").items()
        }

    def ends(self, committed: Mapping[Number, int]) -> dict[Number, LogEnd]:
        """Where the logs of these partitions begin and end."""
        return _given(self._brokers.log_ends(self.topic, committed), f"topic {self.topic}")

    def first_since(
        self, partitions: Collection[Number], time_ms: int
    ) -> dict[Number, Found | None]:
        """The first record of each partition whose timestamp is not before that time."""
        if not partitions:
            return {}
        spec = OffsetSpec.for_timestamp(max(0, time_ms))
        wanted = {KafkaPartition(self.topic, number): spec for number in partitions}
        asked = self._brokers.admin.list_offsets(wanted, request_timeout=ANSWER_SECONDS)
        found: dict[Number, Found | None] = {}
        for partition, future in asked.items():
            told: Any = _given(answer_of(future, ANSWER_SECONDS), f"topic {self.topic}")
            is_there = told.offset >= 0
            found[partition.partition] = Found(told.offset, told.timestamp) if is_there else None
        return found

    def commit(self, offsets: Mapping[Number, int], metadata: str) -> None:
        """Commit these for the group, which must have no members. Raises GroupIsLive as well."""
        moves = [
            KafkaPartition(self.topic, number, offset, metadata=metadata)
            for number, offset in offsets.items()
        ]
        order = ConsumerGroupTopicPartitions(self.group, moves)
        (asked,) = self._brokers.admin.alter_consumer_group_offsets(
            [order], request_timeout=ANSWER_SECONDS
        ).values()
        said: Any = answer_of(asked, ANSWER_SECONDS)
        if isinstance(said, Refusal):
            raise RewindFailed(f"whether group {self.group} was moved is not known: {said.told}")
        failed = [each for each in said.topic_partitions if each.error is not None]
        if any(each.error.code() in _LIVE for each in failed):
            raise GroupIsLive
        if failed:
            first = failed[0]
            raise RewindFailed(f"{self.topic}:{first.partition} was not moved: {first.error.str()}")


def _given(found: T | Refusal, what: str) -> T:
    if isinstance(found, Refusal):
        raise RewindFailed(f"{what}: {found.told}")
    return found


_LIVE = {
    KafkaError.FENCED_MEMBER_EPOCH,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.NON_EMPTY_GROUP,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.STALE_MEMBER_EPOCH,
    KafkaError.UNKNOWN_MEMBER_ID,
}
"""How brokers say that a group has members, by its protocol and what it is doing."""

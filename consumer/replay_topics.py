"""The two topics of a replay, as the brokers have them: are they fit, and can all of it be read?"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from consumer.check_brokers import Brokers, Refusal
from consumer.clock import SystemClock
from consumer.kafka_replay import ReplayBroken
from consumer.kafka_settings import connection_only
from consumer.settings import Settings

SETTLE_SECONDS = 75.0
"""Longer than Kafka's usual limit on an open transaction."""
AGAIN_SECONDS = 0.5


class ReplayRefused(Exception):
    """It cannot be done as things are set up; nothing was begun. ``str`` is one sentence."""


class ReplayFailed(Exception):
    """The brokers do not let us; nothing was begun. ``str`` is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayTopics:
    """What the brokers said before anything was begun."""

    brokers: Brokers
    topic: str
    letters_topic: str
    partitions: tuple[int, ...]
    batch_bytes_max: int | None
    warnings: tuple[str, ...]


def replay_topics(settings: Settings, *, to_topic: str | None) -> ReplayTopics:
    """Both topics, before anything is begun. Raises ReplayRefused and ReplayFailed."""
    topic, letters_topic = to_topic or settings.topic, settings.dlq_topic
    if topic == letters_topic:
        raise ReplayRefused("--to-topic must be another topic than that of the dead letters")
    brokers = Brokers(connection_only(settings.kafka_producer))
    finding = brokers.finding("brokers")
    if not brokers.answered:
        raise ReplayFailed(finding.told)
    partitions = _partitions(brokers, letters_topic, "CONVERSIONS_DLQ_TOPIC")
    _partitions(brokers, topic, "--to-topic" if to_topic else "CONVERSIONS_TOPIC")
    warnings: list[str] = []
    sizes = []
    for each in (topic, letters_topic):
        configuration = brokers.configuration(each)
        if isinstance(configuration, Refusal):
            warnings.append(f"whether {each} is compacted is not known: {configuration.told}")
            continue
        sizes.append(int(configuration.get("max.message.bytes", "0")))
        if "compact" not in configuration.get("cleanup.policy", ""):
            continue
        if each == topic:
            told = f"topic {topic} is compacted: a replayed record would delete newer ones"
            raise ReplayRefused(f"{told} of its key; --to-topic names a topic that is not")
        warnings.append(f"{each} is compacted: it may forget what was replayed, and dead letters")
    return ReplayTopics(
        brokers=brokers,
        topic=topic,
        letters_topic=letters_topic,
        partitions=partitions,
        batch_bytes_max=min(filter(None, sizes), default=None),
        warnings=tuple(warnings),
    )


def _partitions(brokers: Brokers, topic: str, variable: str) -> tuple[int, ...]:
    found = brokers.topic(topic)
    if isinstance(found, Refusal):
        raise ReplayFailed(f"topic {topic}, which {variable} names: {found.told}")
    return tuple(each.id for each in found.partitions)


def wait_until_settled(topics: ReplayTopics, *, stops: Callable[[], bool]) -> None:
    """Until every mark that there is by now can be read: a transaction that somebody else left open
    in the dead-letter topic hides all that comes after it."""
    ends = topics.brokers.ends(topics.letters_topic, topics.partitions, committed=False)
    clock: Callable[[], float] = SystemClock().now
    until = clock() + SETTLE_SECONDS
    while not stops():
        readable = topics.brokers.ends(topics.letters_topic, topics.partitions, committed=True)
        if isinstance(ends, Refusal) or isinstance(readable, Refusal):
            refusal = ends if isinstance(ends, Refusal) else readable
            assert isinstance(refusal, Refusal)
            raise ReplayBroken(f"where {topics.letters_topic} ends is not told: {refusal.told}")
        if all(readable[number] >= end for number, end in ends.items()):
            return
        if clock() > until:
            raise ReplayBroken(
                f"a transaction of somebody else stays open in {topics.letters_topic}"
            )
        time.sleep(AGAIN_SECONDS)

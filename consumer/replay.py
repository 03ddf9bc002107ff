"""Dead letters back into the source topic: the library behind ``conversions dlq replay``.

Each is replayed exactly once: the record and a mark of it are committed together, and one at a time
may do it. Whatever ends a replay, the next one goes on where it stopped.
"""

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from consumer.clock import SystemClock
from consumer.dead_letter_topic import DeadLetterTopic, TopicUnreadable
from consumer.kafka_replay import (
    Hurried,
    KafkaReplay,
    ReplayBroken,
    Superseded,
    replay_producer,
)
from consumer.letter import LetterPlace, Unseal
from consumer.letter_filter import LetterFilter
from consumer.model import Record
from consumer.replay_access import transactional_id
from consumer.replay_outcome import Ending, Outcome
from consumer.replay_plan import Chosen, Repair, Rules, SkipReason
from consumer.replay_topics import ReplayTopics, replay_topics, wait_until_settled
from consumer.replaying import Completion, Replaying
from consumer.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOrder:
    """What is asked for.

    ``act`` is False for a dry run. ``topic`` is where to, None for the source topic. ``limit`` and
    ``per_second`` are None when there is none. ``now_ms`` is the time to judge by.
    """

    wanted: LetterFilter
    now_ms: int
    act: bool
    topic: str | None
    limit: int | None
    per_second: float | None
    max_replays: int
    again: bool
    accept_duplicates: bool
    repair: Repair
    unseal: Unseal | None


class Watching(Protocol):
    """Who is told how it goes, and says when to stop."""

    def stops(self) -> int:
        """How often we were told to stop: twice means at once."""

    def reading(self, read: int, about: int) -> None:
        """So many records of about so many were read."""

    def chosen(self, chosen: Chosen) -> None:
        """These are to be replayed, or would be."""

    def replaying(self, done: int, planned: int) -> None:
        """So many of the planned ones have met their fate."""


def replay(settings: Settings, order: ReplayOrder, watching: Watching) -> Outcome:
    """Decide what is to be replayed, and unless it is a dry run do it.

    Raises ReplayRefused, ReplayFailed and TopicUnreadable before anything was replayed, and
    KafkaRefuses for a configuration that librdkafka does not take.
    """
    topics = replay_topics(settings, to_topic=order.topic)
    replaying = _replaying(settings, order, watching)
    told, chosen = "", None
    if not order.act:
        chosen = _chosen(replaying, order, watching)
        ended = Ending.STOPPED if chosen is None else Ending.DRY_RUN
        return _outcome(topics, replaying, chosen, ended, told)
    transactions = _transactions(settings, topics, watching)
    try:
        transactions.take_over()
        wait_until_settled(topics, stops=lambda: watching.stops() > 0)
        chosen = _chosen(replaying, order, watching)
        finished = chosen is not None and replaying.act(
            chosen,
            transactions=transactions,
            per_second=order.per_second,
            now=SystemClock().now,
            wait=time.sleep,
            advance=partial(watching.replaying, planned=chosen.planned),
        )
        ended = Ending.DONE if finished else Ending.STOPPED
    except Hurried:
        ended, told = Ending.STOPPED, "what was under way is undone by Kafka within seconds"
    except Superseded as error:
        ended, told = Ending.SUPERSEDED, str(error)
    except (ReplayBroken, TopicUnreadable) as error:
        ended, told = Ending.FAILED, str(error)
    return _outcome(topics, replaying, chosen, ended, told)


def _chosen(replaying: Replaying, order: ReplayOrder, watching: Watching) -> Chosen | None:
    chosen = replaying.plan(limit=order.limit, progress=watching.reading)
    if chosen is not None:
        watching.chosen(chosen)
    return chosen


def _replaying(settings: Settings, order: ReplayOrder, watching: Watching) -> Replaying:
    configuration = settings.kafka_consumer
    clock = SystemClock()
    began = clock.now()

    def fetch(topic: str, place: LetterPlace) -> Record | None:
        try:
            return DeadLetterTopic(configuration=configuration, topic=topic).read_one(place)
        except TopicUnreadable:
            return None  # as gone as its record; whether brokers answer, the next reading says

    rules = Rules(
        topic=settings.topic if order.topic is None else None,
        max_replays=order.max_replays,
        again=order.again,
        accept_duplicates=order.accept_duplicates,
    )
    return Replaying(
        letters=DeadLetterTopic(configuration=configuration, topic=settings.dlq_topic),
        wanted=order.wanted,
        completion=Completion(rules, order.unseal, fetch, order.repair),
        stops=lambda: watching.stops() > 0,
        now_ms=lambda: order.now_ms + int((clock.now() - began) * 1000),
    )


def _transactions(settings: Settings, topics: ReplayTopics, watching: Watching) -> KafkaReplay:
    identity = transactional_id(
        cluster_id=topics.brokers.cluster_id, dead_letter_topic=topics.letters_topic
    )
    return KafkaReplay(
        producer=replay_producer(
            settings.kafka_producer,
            transactional_id=identity,
            batch_bytes_max=topics.batch_bytes_max,
        ),
        transactional_id=identity,
        topic=topics.topic,
        letters_topic=topics.letters_topic,
        hurried=lambda: watching.stops() > 1,
        wait=time.sleep,
    )


def _outcome(
    topics: ReplayTopics, replaying: Replaying, chosen: Chosen | None, ending: Ending, told: str
) -> Outcome:
    skipped = Counter(replaying.skipped)
    samples: dict[SkipReason | None, LetterPlace] = dict(replaying.last_skipped)
    if chosen is not None:
        skipped.update(chosen.skipped)
        samples.update(chosen.samples)
    planned = 0 if chosen is None else chosen.planned
    return Outcome(
        topic=topics.topic,
        letters_topic=topics.letters_topic,
        planned=planned,
        replayed=replaying.replayed,
        left=planned - replaying.replayed - sum(replaying.skipped.values()),
        skipped=skipped,
        samples=samples,
        ending=ending,
        told=told,
        warnings=topics.warnings,
    )

"""Dead letters back into the source topic: the library behind ``conversions dlq replay``.

Each is replayed exactly once: the record and a mark of it are committed together, and one at a time
may do it. Whatever ends a replay, the next one goes on where it stopped.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from consumer.check_brokers import Brokers, Refusal
from consumer.clock import SystemClock
from consumer.dead_letter_topic import DeadLetterTopic, TopicUnreadable
from consumer.kafka_replay import (
    Hurried,
    KafkaReplay,
    ReplayBroken,
    Superseded,
    replay_producer,
    transactional_id,
)
from consumer.letter import Place, Unseal
from consumer.letter_filter import LetterFilter
from consumer.librdkafka_properties import SHARED
from consumer.model import Record
from consumer.replay_outcome import Ending, Outcome
from consumer.replay_plan import Chosen, Repair, Rules, SkipReason
from consumer.replaying import Completion, Replaying
from consumer.settings import Settings

SETTLE_SECONDS = 75.0
"""Longer than Kafka's usual limit on an open transaction."""
AGAIN_SECONDS = 0.5


class ReplayRefused(Exception):
    """It cannot be done as things are set up; nothing was begun. ``str`` is one sentence."""


class ReplayFailed(Exception):
    """The brokers do not let us; nothing was begun. ``str`` is one sentence."""


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

    def replaying(self, done: int, planned: int) -> None:
        """So many of the planned ones have met their fate."""


def replay(settings: Settings, order: ReplayOrder, watching: Watching) -> Outcome:
    """Decide what is to be replayed, and unless it is a dry run do it.

    Raises ReplayRefused, ReplayFailed and TopicUnreadable before anything was replayed, and
    KafkaRefuses for a configuration that librdkafka does not take.
    """
    ready = _ready(settings, order)
    replaying = _replaying(settings, order, watching)
    told, chosen = "", None
    if not order.act:
        chosen = replaying.plan(limit=order.limit, progress=watching.reading)
        ended = Ending.STOPPED if chosen is None else Ending.DRY_RUN
        return _outcome(ready, replaying, chosen, ended, told)
    transactions = _transactions(settings, ready, watching)
    try:
        transactions.take_over()
        _wait_until_settled(ready, watching)
        chosen = replaying.plan(limit=order.limit, progress=watching.reading)
        if chosen is not None:
            planned = chosen.planned
            replaying.act(
                chosen,
                transactions=transactions,
                per_second=order.per_second,
                now=SystemClock().now,
                wait=time.sleep,
                advance=lambda done: watching.replaying(done, planned),
            )
        ended = Ending.STOPPED if watching.stops() else Ending.DONE
    except Hurried:
        ended, told = Ending.STOPPED, "what was under way is undone by Kafka within seconds"
    except Superseded as error:
        ended, told = Ending.SUPERSEDED, str(error)
    except (ReplayBroken, TopicUnreadable) as error:
        ended, told = Ending.FAILED, str(error)
    return _outcome(ready, replaying, chosen, ended, told)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """What the brokers said before anything was begun."""

    brokers: Brokers
    topic: str
    letters_topic: str
    partitions: tuple[int, ...]
    batch_bytes_max: int | None
    warnings: tuple[str, ...]


def _ready(settings: Settings, order: ReplayOrder) -> _Ready:
    topic, letters_topic = order.topic or settings.topic, settings.dlq_topic
    if topic == letters_topic:
        raise ReplayRefused("--to-topic must be another topic than that of the dead letters")
    connection = {name: value for name, value in settings.kafka_producer.items() if name in SHARED}
    connection.pop("message.max.bytes", None)
    brokers = Brokers(connection)
    finding = brokers.finding("brokers")
    if not brokers.answered:
        raise ReplayFailed(finding.told)
    partitions = _partitions(brokers, letters_topic, "CONVERSIONS_DLQ_TOPIC")
    _partitions(brokers, topic, "--to-topic" if order.topic else "CONVERSIONS_TOPIC")
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
    return _Ready(
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


def _replaying(settings: Settings, order: ReplayOrder, watching: Watching) -> Replaying:
    configuration = settings.kafka_consumer
    clock = SystemClock()
    began = clock.now()

    def fetch(topic: str, place: Place) -> Record | None:
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


def _transactions(settings: Settings, ready: _Ready, watching: Watching) -> KafkaReplay:
    identity = transactional_id(
        cluster_id=ready.brokers.cluster_id, letters_topic=ready.letters_topic
    )
    return KafkaReplay(
        producer=replay_producer(
            settings.kafka_producer,
            transactional_id=identity,
            batch_bytes_max=ready.batch_bytes_max,
        ),
        transactional_id=identity,
        topic=ready.topic,
        letters_topic=ready.letters_topic,
        hurried=lambda: watching.stops() > 1,
        wait=time.sleep,
    )


def _wait_until_settled(ready: _Ready, watching: Watching) -> None:
    """Until every mark that there is by now can be read: a transaction that somebody else left open
    in the dead-letter topic hides all that comes after it."""
    ends = ready.brokers.ends(ready.letters_topic, ready.partitions, committed=False)
    clock: Callable[[], float] = SystemClock().now
    until = clock() + SETTLE_SECONDS
    while not watching.stops():
        readable = ready.brokers.ends(ready.letters_topic, ready.partitions, committed=True)
        if isinstance(ends, Refusal) or isinstance(readable, Refusal):
            refusal = ends if isinstance(ends, Refusal) else readable
            assert isinstance(refusal, Refusal)
            raise ReplayBroken(f"where {ready.letters_topic} ends is not told: {refusal.told}")
        if all(readable[number] >= end for number, end in ends.items()):
            return
        if clock() > until:
            raise ReplayBroken(
                f"a transaction of somebody else stays open in {ready.letters_topic}"
            )
        time.sleep(AGAIN_SECONDS)


def _outcome(
    ready: _Ready, replaying: Replaying, chosen: Chosen | None, ending: Ending, told: str
) -> Outcome:
    skipped = Counter(replaying.skipped)
    samples: dict[SkipReason | None, Place] = dict(replaying.last_skipped)
    if chosen is not None:
        skipped.update(chosen.skipped)
        samples.update(chosen.samples)
    planned = 0 if chosen is None else chosen.planned
    return Outcome(
        topic=ready.topic,
        letters_topic=ready.letters_topic,
        planned=planned,
        replayed=replaying.replayed,
        left=planned - replaying.replayed - sum(replaying.skipped.values()),
        skipped=skipped,
        samples=samples,
        ending=ending,
        told=told,
        warnings=ready.warnings,
    )

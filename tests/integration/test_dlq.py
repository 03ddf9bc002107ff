"""``conversions dlq`` on the real Kafka: 5,000 dead letters of ten reasons, and what is none."""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from consumer.dead_letter import dead_letter
from consumer.dead_letter_topic import TopicUnreadable
from consumer.dlq import letters, run_list, run_show, run_stats, topic_of
from consumer.encode import EventEncoder
from consumer.letter import Letter, LetterPlace
from consumer.letter_filter import letter_filter
from consumer.meta_limits import MARGIN_MS
from consumer.model import MetaError, PixelId, Reason, Rejected, Stage
from consumer.replayable import Replays
from consumer.schema_plan import event_schema
from consumer.settings import Settings, load_settings
from tests.fakes.events import a_record
from tests.fakes.letters import REFUSED
from tests.integration.kafka_broker import KafkaBroker
from tests.integration.registry import Registry

pytestmark = pytest.mark.integration

COUNT = 5000
PARTITIONS = 4
PIXELS = ("1729525464415281", "2729525464415282")
NAMES = ("Purchase", "Lead", "StartTrial")
HOUR_MS, DAY_MS = 3_600_000, 24 * 3_600_000
REASONS = (
    Reason.UNDECODABLE,
    Reason.UNKNOWN_SCHEMA,
    Reason.MISSING_CURRENCY,
    Reason.MISSING_VALUE,
    Reason.INSUFFICIENT_USER_DATA,
    Reason.EVENT_TOO_OLD,
    Reason.REFUSED_BY_META,
    Reason.EXPIRED,
    Reason.OUTCOME_UNKNOWN,
    Reason.DESTINATION_HALTED,
)


class Made(NamedTuple):
    """A dead letter as it was made, and when it failed."""

    rejected: Rejected
    failed_at_ms: int

    @property
    def event_id(self) -> str:
        return str(self.rejected.event_id)


def made(number: int, now_ms: int) -> Made:
    """One of each kind in turn: a minute apart in failing, up to eight days old as events."""
    reason = REASONS[number % len(REASONS)]
    sent = reason.stage is Stage.SEND
    event_time_ms = now_ms - (number % 200) * HOUR_MS
    refused = reason is Reason.REFUSED_BY_META
    error = MetaError(400, 100, (2804003, 2804019)[number // 10 % 2], trace_id=f"trace_{number}")
    rejected = replace(
        REFUSED,
        record=a_record(partition=number % 7, offset=number, timestamp_ms=now_ms),
        reason=reason,
        destination=PixelId(PIXELS[number // 10 % 2]),
        event_name=NAMES[number // 10 % 3],
        event_id=f"order_{number}",
        event_time_ms=None if reason is Reason.UNDECODABLE else event_time_ms,
        expires_at_ms=event_time_ms + 7 * DAY_MS - MARGIN_MS if sent else None,
        error=error if refused else None,
        attempts=2 if sent else 0,
        first_sent_at_ms=now_ms - 48 * HOUR_MS if sent else None,
        maybe_delivered=reason is Reason.OUTCOME_UNKNOWN,
        request_id=f"r-{number}",
    )
    return Made(rejected, now_ms - (number % 1000) * 60_000)


class Topic:
    """A dead-letter topic with everything in it, and a group with offsets that must stay."""

    def __init__(self, kafka: KafkaBroker, unique: Callable[[str], str]) -> None:
        self.kafka = kafka
        self.name, self.source, self.group = unique("dlq"), unique("events"), unique("group")
        self.now_ms = int(time.time() * 1000)
        for topic in (self.name, self.source):
            kafka.create_topic(topic, PARTITIONS)
        self.made = [made(number, self.now_ms) for number in range(COUNT)]
        producer = Producer(kafka.client_config() | {"linger.ms": 20})
        for number, each in enumerate(self.made):
            self._produce(producer, each, number % PARTITIONS)
        assert producer.flush(60) == 0
        # Of those that are replayable by their times, the first twenty were replayed.
        self.replayed = [each for each in self.made if self._in_time(each)][:20]
        self._replay(unique("replay"))
        self._commit()

    def _produce(self, producer: Producer, each: Made, partition: int) -> None:
        letter = dead_letter(each.rejected, failed_at_ms=each.failed_at_ms, brief=False)
        producer.produce(
            self.name,
            key=letter.key,
            value=letter.value,
            headers=list(letter.headers),
            timestamp=letter.timestamp_ms,
            partition=partition,
        )
        producer.poll(0)

    def _in_time(self, each: Made) -> bool:
        rejected = each.rejected
        if rejected.maybe_delivered:
            return False
        if rejected.event_time_ms is None:
            return True
        return rejected.event_time_ms + 7 * DAY_MS - MARGIN_MS > self.now_ms

    def _replay(self, transactional_id: str) -> None:
        """Marks that were committed, and letters and marks that were aborted."""
        producer = Producer(self.kafka.client_config() | {"transactional.id": transactional_id})
        producer.init_transactions(60)
        producer.begin_transaction()
        for number, each in enumerate(self.made[:50]):
            self._produce(producer, each, number % PARTITIONS)
            self._mark(producer, each)
        assert producer.flush(30) == 0
        producer.abort_transaction(30)
        producer.begin_transaction()
        for each in self.replayed:
            self._mark(producer, each)
        producer.commit_transaction(30)

    def _mark(self, producer: Producer, each: Made) -> None:
        record = each.rejected.record
        origin = f"{record.partition}:{record.offset}:{record.timestamp_ms}"
        headers: list[tuple[str, str | bytes | None]] = [
            ("conversions.origin", origin),
            ("conversions.replays", "1"),
            ("conversions.replayed", "true"),
        ]
        producer.produce(self.name, key=f"{origin}:1", value=None, headers=headers)

    def _commit(self) -> None:
        consumer = Consumer(self.kafka.client_config() | {"group.id": self.group})
        offsets = [TopicPartition(self.name, n, 10 + n) for n in range(PARTITIONS)]
        offsets += [TopicPartition(self.source, n, 0) for n in range(PARTITIONS)]
        consumer.commit(offsets=offsets, asynchronous=False)
        consumer.close()

    def settings(self, **more: str) -> Settings:
        return load_settings(
            {
                "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
                "CONVERSIONS_TOPIC": self.source,
                "CONVERSIONS_DLQ_TOPIC": self.name,
                "CONVERSIONS_GROUP_ID": self.group,
                **more,
            }
        )

    def chosen(self, **options: Any) -> Counter[str | None]:
        """The event ids that a filter chooses."""
        wanted = letter_filter(**options, now_ms=self.now_ms)
        found = letters(
            topic_of(self.settings()),
            wanted,
            now_ms=self.now_ms,
            progress=lambda *_: None,
            replays=Replays(),
        )
        return Counter(each.event_id for each in found if isinstance(each, Letter))


@pytest.fixture(scope="module")
def topic(kafka: KafkaBroker, unique: Callable[[str], str]) -> Topic:
    return Topic(kafka, unique)


def test_every_letter_is_read_once_and_nothing_that_was_aborted(topic: Topic) -> None:
    assert topic.chosen() == Counter(each.event_id for each in topic.made)


FILTERS: dict[str, tuple[dict[str, Any], Callable[[Made], bool]]] = {
    "reason": ({"reason": ["expired"]}, lambda m: m.rejected.reason is Reason.EXPIRED),
    "stage": ({"stage": ["decode"]}, lambda m: m.rejected.reason.stage is Stage.DECODE),
    "code": ({"code": [100]}, lambda m: m.rejected.error is not None),
    "subcode": (
        {"subcode": [2804019]},
        lambda m: m.rejected.error is not None and m.rejected.error.subcode == 2804019,
    ),
    "destination": (
        {"destination": [PIXELS[1]]},
        lambda m: m.rejected.destination == PIXELS[1],
    ),
    "event name": ({"event_name": ["Lead"]}, lambda m: m.rejected.event_name == "Lead"),
    "event id": ({"event_id": ["order_77"]}, lambda m: m.event_id == "order_77"),
    "trace id": ({"trace_id": ["trace_76"]}, lambda m: m.event_id == "order_76"),
    "partition": (
        {"partition": [0, 3]},
        lambda m: m.rejected.record.offset % PARTITIONS in (0, 3),
    ),
    "offset": ({"offset": ["0-9"]}, lambda m: m.rejected.record.offset < 10 * PARTITIONS),
    "two at once": (
        {"reason": ["expired", "undecodable"], "destination": [PIXELS[0]]},
        lambda m: (
            m.rejected.reason in (Reason.EXPIRED, Reason.UNDECODABLE)
            and m.rejected.destination == PIXELS[0]
        ),
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_chooses_what_it_says(topic: Topic, name: str) -> None:
    options, chosen = FILTERS[name]
    expected = Counter(each.event_id for each in topic.made if chosen(each))

    assert expected, "a filter that chooses nothing proves nothing"
    assert topic.chosen(**options) == expected


def test_times_choose_by_the_time_of_failure(topic: Topic) -> None:
    since_ms, until_ms = topic.now_ms - 600 * 60_000, topic.now_ms - 300 * 60_000
    expected = Counter(
        each.event_id for each in topic.made if since_ms <= each.failed_at_ms < until_ms
    )

    assert sum(expected.values()) == 1500
    assert topic.chosen(since="600m", until="5h") == expected


def test_since_reads_no_more_than_it_must(topic: Topic) -> None:
    """The newest thousand of each partition hold all of the last minutes."""
    about: list[int] = []
    source = topic_of(topic.settings())

    for _ in source.read(
        since_ms=topic.now_ms + HOUR_MS,
        partitions=None,
        progress=lambda _, total: about.append(total),
    ):
        raise AssertionError("nothing is that new")
    assert about[0] == 0


def test_what_was_replayed_or_is_too_old_is_not_replayable(
    topic: Topic, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = letter_filter(replayable=True, now_ms=topic.now_ms)

    run_list(
        topic.settings(),
        wanted,
        limit=None,
        newest=False,
        now_ms=topic.now_ms,
        as_json=True,
    )

    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = {each.event_id for each in topic.made if topic._in_time(each)}
    assert {each["eventId"] for each in found} == expected - {m.event_id for m in topic.replayed}


def test_the_counts_are_those_of_what_was_made(
    topic: Topic, capsys: pytest.CaptureFixture[str]
) -> None:
    everything = letter_filter(now_ms=topic.now_ms)

    run_stats(topic.settings(), everything, now_ms=topic.now_ms, as_json=True)

    told = json.loads(capsys.readouterr().out)
    rejected = [each.rejected for each in topic.made]
    in_time = sum(map(topic._in_time, topic.made))
    assert told["deadLetters"] == COUNT
    assert told["byReason"] == {reason.value: COUNT // 10 for reason in sorted_by_name(REASONS)}
    assert told["byDestination"] == dict(Counter(str(each.destination) for each in rejected))
    assert told["byEventName"] == dict(Counter(str(each.event_name) for each in rejected))
    assert sum(told["byCode"].values()) == COUNT // 10
    assert sum(told["byHour"].values()) == COUNT
    assert told["replayed"] == len(topic.replayed)
    assert told["replayable"]["count"] == in_time - len(topic.replayed)
    unknown = [each for each in topic.made if each.rejected.event_time_ms is None]
    assert told["replayable"]["unknownUntil"] == len(
        [each for each in unknown if each not in topic.replayed]
    )
    assert sum(told["notReplayable"].values()) == COUNT - in_time


def sorted_by_name(reasons: tuple[Reason, ...]) -> list[Reason]:
    return sorted(reasons, key=lambda reason: reason.value)


def test_a_place_between_transactions_holds_nothing(topic: Topic) -> None:
    source = topic_of(topic.settings())
    ends = topic.kafka.end_offsets(topic.name)
    per_partition = COUNT // PARTITIONS

    assert source.read_one(LetterPlace(0, per_partition - 1)) is not None
    assert source.read_one(LetterPlace(0, per_partition)) is None, "an aborted letter"
    assert source.read_one(LetterPlace(0, ends[0] - 1)) is None, "a transaction's own mark"


def test_an_event_is_decoded_with_the_registrys_schema(
    topic: Topic, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    schema_id = registry.register(f"{topic.source}-value", json.dumps(event_schema()))
    fields = {
        "eventName": "Purchase",
        "eventTime": topic.now_ms,
        "user": {"email": "jane@example.com"},
    }
    value = EventEncoder(schema_id=schema_id).encode(fields)
    one = replace(topic.made[0].rejected, record=a_record(value=value), event_id="decoded")
    name = f"{topic.name}.one"
    topic.kafka.create_topic(name, 1)
    producer = Producer(topic.kafka.client_config())
    letter = dead_letter(one, failed_at_ms=topic.now_ms, brief=False)
    producer.produce(name, value=letter.value, headers=list(letter.headers))
    assert producer.flush(30) == 0
    settings = topic.settings(CONVERSIONS_DLQ_TOPIC=name, SCHEMA_REGISTRY_URL=registry.url)

    code = run_show(
        settings, "decoded", reveal=False, now_ms=topic.now_ms, as_json=True, unseal=None
    )

    event = json.loads(capsys.readouterr().out)["event"]
    assert code == 0
    assert event["eventName"] == "Purchase"
    assert event["user"] == {"email": "(masked)"}


def test_a_topic_that_is_not_there_is_one_sentence(topic: Topic) -> None:
    source = topic_of(topic.settings(CONVERSIONS_DLQ_TOPIC="nowhere"))

    with pytest.raises(TopicUnreadable, match=r"^there is no topic nowhere: CONVERSIONS_DLQ_TOPIC"):
        source.read_one(LetterPlace(0, 0))


def test_the_groups_offsets_are_untouched(topic: Topic) -> None:
    """Whatever ran before it: nothing here ever commits, and nobody joined the group."""
    topic.chosen()

    assert topic.kafka.committed(topic.group, topic.name) == {n: 10 + n for n in range(PARTITIONS)}
    assert topic.kafka.committed(topic.group, topic.source) == dict.fromkeys(range(PARTITIONS), 0)

"""Dead letters go back on the real Kafka: by filter, by two at once, and under kill -9.

The dead letters are written as the product writes them, of records that were never there: each
origin is a place of its own. What counts is what a reader of committed records finds in the source
topic, and what Meta's emulator took.
"""

import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from consumer.clock import SystemClock
from consumer.dead_letter import dead_letter
from consumer.kafka_replay import transactional_id
from consumer.model import PixelId, Reason, Record, Rejected, TopicPartition
from tests.integration import Product, Running
from tests.integration.events import good_event
from tests.integration.world import CANARIES, PARTITIONS, World

REASONS = (
    Reason.DESTINATION_HALTED,
    Reason.NOT_RECEIVED,
    Reason.UNKNOWN_DESTINATION,
    Reason.MISSING_ACTION_SOURCE,
    Reason.UNKNOWN_SCHEMA,
    Reason.UNDECODABLE,
    Reason.MISSING_CURRENCY,
    Reason.REFUSED_BY_META,
    Reason.OUTCOME_UNKNOWN,
    Reason.INTERNAL_ERROR,
)
WAIT = 120.0
SMALL = """
import sys, consumer.replaying
consumer.replaying.RECORDS_MAX = 5
from consumer.cli import main
main()
"""


class Written(NamedTuple):
    """A dead letter that lies in the topic."""

    origin: str
    event_id: str
    reason: Reason


def write_letters(world: World, count: int) -> list[Written]:
    """Dead letters of the reasons in turn, over all partitions, as if of records of long ago."""
    now_ms = SystemClock().now_ms()
    producer = world.producer()
    written = []
    for number in range(count):
        event = good_event(number, world.pixels[number % 2], now_ms)
        place = TopicPartition(world.topic, number % PARTITIONS)
        headers = (("traceparent", b"00-%d" % number), ("conversions.foo", b"gone"))
        value, key = world.encode(event), b"key-%d" % number
        record = Record(place, 1_000_000 + number, now_ms - 5000, key, value, headers, 0)
        reason = REASONS[number % len(REASONS)]
        letter = dead_letter(
            Rejected(
                record=record,
                reason=reason,
                detail="because of a test",
                destination=PixelId(world.pixels[number % 2]),
                event_name=str(event["eventName"]),
                event_id=str(event["eventId"]),
                event_time_ms=int(event["eventTime"]),
                first_sent_at_ms=now_ms if reason is Reason.OUTCOME_UNKNOWN else None,
                attempts=int(reason is Reason.OUTCOME_UNKNOWN),
                maybe_delivered=reason is Reason.OUTCOME_UNKNOWN,
            ),
            failed_at_ms=now_ms,
            brief=False,
        )
        for _ in range(2 if number % 50 == 0 else 1):  # a crash leaves some of them twice
            producer.produce(
                world.dlq_topic,
                key=letter.key,
                value=letter.value,
                headers=list(letter.headers),
                timestamp=letter.timestamp_ms,
            )
        producer.poll(0)
        written.append(
            Written(f"{place}:{record.offset}:{now_ms - 5000}", str(event["eventId"]), reason)
        )
    assert producer.flush(60) == 0
    return written


def replay(world: World, *arguments: str, product: Product | None = None) -> Running:
    return (product or world.product).run("dlq", "replay", *arguments, env=world.environment())


def finished(running: Running, code: int = 0) -> dict[str, Any]:
    """The result of a replay with --json, which has printed nothing else on stdout."""
    assert running.wait(WAIT) == code, running.tail()
    output = running.output()
    assert not [canary for canary in (*CANARIES, "key-") if canary in output]
    found: dict[str, Any] = json.loads(output[output.index("{") : output.rindex("}") + 1])
    return found


def origins(world: World, topic: str | None = None) -> Counter[str]:
    """How often each origin reached the topic, for a reader of committed records."""
    found = Counter[str]()
    for message in world.kafka.read_all(topic or world.topic):
        headers: Any = dict(message.headers() or [])
        found[headers["conversions.origin"].decode()] += 1
    return found


def exactly_once(written: Sequence[Written]) -> Counter[str]:
    return Counter(each.origin for each in written)


def grown(world: World, topic: str | None = None) -> int:
    return sum(world.kafka.end_offsets(topic or world.topic).values())


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Product]:
    """The product with transactions of five records."""
    folder = tmp_path / "small"
    folder.mkdir()
    product = Product(command=(sys.executable, "-c", SMALL), folder=folder)
    yield product
    product.close()


@pytest.mark.integration
def test_what_a_filter_chooses_reaches_meta_and_nothing_else(world: World) -> None:
    written = write_letters(world, 5000)
    wanted = ["--reason", "destination_halted", "--reason", "outcome_unknown"]
    chosen = [
        each for each in written if each.reason.value in ("destination_halted", "outcome_unknown")
    ]
    running = world.consumer()

    dry = finished(replay(world, *wanted, "--json"))
    assert (dry["ending"], dry["planned"], dry["replayed"]) == ("dry_run", 1000, 0)
    assert grown(world) == 0, "a dry run changes nothing"

    first = finished(replay(world, *wanted, "--limit", "300", "--yes", "--json"))
    again = finished(replay(world, *wanted, "--yes", "--json"))
    nothing = finished(replay(world, *wanted, "--yes", "--json"))

    world.settle(running)
    assert (first["replayed"], first["skipped"]["beyond_limit"]) == (300, 700)
    assert (again["replayed"], again["skipped"]["already_replayed"]) == (700, 300)
    assert (nothing["planned"], nothing["skipped"]["already_replayed"]) == (0, 1000)
    assert world.accepted_ids() == Counter(each.event_id for each in chosen)
    assert origins(world) == exactly_once(chosen)
    assert all(each["receipts"] == 1 for each in world.accepted())

    everything = finished(replay(world, "--yes", "--json"))

    assert everything["replayed"] == 4000
    assert origins(world) == exactly_once(written)
    listed = world.product.run("dlq", "list", "--replayable", "--json", env=world.environment())
    assert (listed.wait(WAIT), listed.output()) == (0, "")
    world.assert_silent(running)


@pytest.mark.integration
def test_key_value_and_the_publishers_headers_come_back_as_they_were(world: World) -> None:
    (written,) = write_letters(world, 1)
    letter, _ = world.kafka.read_all(world.dlq_topic)

    finished(replay(world, "--yes", "--json"))

    (record,) = world.kafka.read_all(world.topic)
    assert (record.key(), record.value()) == (letter.key(), letter.value())
    assert record.headers() == [
        ("traceparent", b"00-0"),
        ("conversions.origin", written.origin.encode()),
        ("conversions.event_id", b"event-0"),
        ("conversions.replays", b"1"),
    ]
    *_, mark = world.kafka.read_all(world.dlq_topic)
    assert (mark.key(), mark.value()) == (f"{written.origin}#1".encode(), None)


@pytest.mark.integration
def test_killed_at_any_point_each_letter_is_replayed_exactly_once(
    world: World, small: Product
) -> None:
    written = write_letters(world, 1500)
    chance = random.Random(20261122)
    kills = 0
    while kills < 5:
        before = grown(world)
        running = replay(world, "--yes", "--json", product=small)
        more = chance.randrange(1, 150)
        running.wait_until(lambda: grown(world) - before >= more, WAIT, "replays")  # noqa: B023
        assert running.alive, "it was killed in the middle"
        running.kill()
        kills += 1

    finished(replay(world, "--yes", "--json"))

    assert origins(world) == exactly_once(written)


@pytest.mark.integration
def test_of_two_at_once_the_later_one_goes_on_and_the_earlier_is_told(world: World) -> None:
    written = write_letters(world, 400)
    former = replay(world, "--yes", "--per-second", "20")
    former.wait_until(lambda: grown(world) > 20, WAIT, "replays")

    latter = finished(replay(world, "--yes", "--json"))

    assert former.wait(WAIT) == 1
    assert f"another replay of {world.dlq_topic} has begun and takes this one's place" in (
        former.output()
    )
    assert latter["ending"] == "done"
    assert latter["replayed"] + latter["skipped"]["already_replayed"] == 400
    assert origins(world) == exactly_once(written)


@pytest.mark.integration
def test_stopped_by_a_signal_it_finishes_what_it_began_and_goes_on_next_time(world: World) -> None:
    written = write_letters(world, 200)
    running = replay(world, "--yes", "--per-second", "20", "--json")
    running.wait_until(lambda: grown(world) > 20, WAIT, "replays")

    running.interrupt()

    stopped = finished(running, code=1)
    assert stopped["ending"] == "stopped"
    assert "the same command goes on where it stopped" in running.output()
    assert stopped["replayed"] == sum(origins(world).values()) < 200
    assert finished(replay(world, "--yes", "--json"))["replayed"] == 200 - stopped["replayed"]
    assert origins(world) == exactly_once(written)


@pytest.mark.integration
def test_a_rate_bounds_what_a_transaction_holds(world: World, unique: Callable[[str], str]) -> None:
    write_letters(world, 50)
    other = unique("other")
    world.kafka.create_topic(other, 1)

    done = finished(replay(world, "--to-topic", other, "--per-second", "20", "--yes", "--json"))

    assert done["replayed"] == 50
    offsets = [message.offset() for message in world.kafka.read_all(other)]
    ends = [at for at in range(50 + 3) if at not in offsets]  # the end of each takes an offset
    assert ends == [20, 41, 52]
    assert origins(world) == {}


@pytest.mark.integration
def test_what_a_killed_one_left_open_stalls_no_reader_once_the_next_begins(world: World) -> None:
    written = write_letters(world, 20)
    admin = AdminClient({**world.kafka.client_config()})
    cluster = admin.describe_cluster().result(30).cluster_id
    killed = Producer(
        {
            **world.kafka.client_config(),
            "transactional.id": transactional_id(cluster_id=cluster, letters_topic=world.dlq_topic),
            "transaction.timeout.ms": "600000",
        }
    )
    killed.init_transactions(30)
    killed.begin_transaction()
    for partition in range(PARTITIONS):
        killed.produce(world.topic, b"never committed", partition=partition)
        killed.produce(world.dlq_topic, None, partition=partition)
    assert killed.flush(30) == 0
    running = world.consumer()

    done = finished(replay(world, "--yes", "--json"))

    assert done["replayed"] == 20
    world.settle(running)
    assert world.accepted_ids() == Counter(each.event_id for each in written)


@pytest.mark.integration
def test_a_record_that_is_too_large_for_the_topic_keeps_nobody_back(
    world: World, unique: Callable[[str], str]
) -> None:
    written = write_letters(world, 60)
    big = dead_letter(
        Rejected(
            record=Record(
                TopicPartition(world.topic, 0),
                7,
                1,
                b"big",
                random.Random(1).randbytes(20_000),
                (),
                0,
            ),
            reason=Reason.UNDECODABLE,
            detail="",
        ),
        failed_at_ms=SystemClock().now_ms(),
        brief=True,
    )
    producer = world.producer()
    producer.produce(world.dlq_topic, big.value, big.key, headers=list(big.headers))
    assert producer.flush(30) == 0
    narrow = unique("narrow")
    world.kafka.create_topic(narrow, 1, {"max.message.bytes": "10000"})

    done = finished(replay(world, "--to-topic", narrow, "--yes", "--json"))

    assert (done["replayed"], done["skipped"]["too_large"]) == (60, 1)
    assert origins(world, narrow) == exactly_once(written)


@pytest.mark.integration
def test_a_compacted_topic_is_refused_before_anything_is_begun(
    world: World, unique: Callable[[str], str]
) -> None:
    write_letters(world, 1)
    compacted = unique("compacted")
    world.kafka.create_topic(compacted, 1, {"cleanup.policy": "compact"})

    refused = replay(world, "--to-topic", compacted, "--yes")
    missing = replay(world, "--to-topic", unique("missing"), "--yes")

    assert refused.wait(WAIT) == 2
    assert "is compacted" in refused.output()
    assert missing.wait(WAIT) == 1
    assert missing.output().count("\n") == 1
    assert grown(world, compacted) == 0

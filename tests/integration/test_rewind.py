"""A group on the real Kafka is moved back to a time, and sends again exactly what came since.

Each record's timestamp is the publisher's: some are five hours old, some one, so that two hours lie
between them.
"""

import json
import time
from collections.abc import Iterable

import pytest

from consumer.kafka_rewind import GroupIsLive, KafkaGroup
from consumer.settings import load_settings
from tests.integration import Running
from tests.integration.events import good_event
from tests.integration.world import PARTITIONS, World, metrics_port

pytestmark = pytest.mark.integration

HOUR_MS = 3600 * 1000
PROTOCOLS = {
    "classic": {},
    "consumer": {
        "KAFKA_CONSUMER_GROUP_PROTOCOL": "consumer",
        "KAFKA_CONSUMER_SESSION_TIMEOUT_MS": "",
    },
}


def publish(world: World, prefix: str, count: int, *, hours_ago: float) -> set[str]:
    """Events over all partitions with such a timestamp; their ids."""
    producer = world.producer()
    timestamp_ms = int(time.time() * 1000 - hours_ago * HOUR_MS)
    for number in range(count):
        event = good_event(number, world.pixels[0], _now_ms(), prefix=prefix)
        producer.produce(
            world.topic,
            value=world.encode(event),
            partition=number % PARTITIONS,
            timestamp=timestamp_ms + number,
        )
    assert producer.flush(30) == 0
    return {f"{prefix}-{number}" for number in range(count)}


def receipts(world: World, ids: Iterable[str]) -> set[int]:
    """How often Meta was sent each of these: one figure where it is the same for all."""
    found = {each["event"]["event_id"]: each["receipts"] for each in world.accepted()}
    return {found.get(event_id, 0) for event_id in ids}


def environment(world: World, protocol: str = "classic") -> dict[str, str]:
    settings = world.environment(**PROTOCOLS[protocol])
    return {name: value for name, value in settings.items() if value}


def started(world: World, *arguments: str, protocol: str = "classic") -> Running:
    running = world.product.run("run", *arguments, env=environment(world, protocol))
    running.wait_for_line("joined the group", 60)
    return running


def rewind(world: World, *arguments: str) -> Running:
    return world.product.run("rewind", *arguments, env=world.environment())


def committed(world: World) -> dict[int, int]:
    return world.kafka.committed(world.group, world.topic)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_group_that_was_moved_back_sends_again_exactly_what_came_since(
    world: World, protocol: str
) -> None:
    old = publish(world, "old", 40, hours_ago=5)
    young = publish(world, "young", 20, hours_ago=1)
    running = started(world, protocol=protocol)
    world.settle(running)
    settled = committed(world)

    refused = rewind(world, "--from", "2h", "--yes")
    assert refused.wait(60) == 1
    assert f"group {world.group} has 1 member: end them all first" in refused.output()
    behind_its_back = KafkaGroup(
        configuration=load_settings(world.environment()).kafka_consumer,
        group=world.group,
        topic=world.topic,
    )
    with pytest.raises(GroupIsLive):
        behind_its_back.commit({0: 0}, "of nobody")
    assert committed(world) == settled
    running.terminate()
    assert running.wait(60) == 0

    told = rewind(world, "--from", "2h", "--json")
    assert told.wait(60) == 0
    plan = json.loads(told.output())
    assert (plan["records"], plan["settledBefore"], plan["olderThan47Hours"]) == (20, 20, 0)
    assert (plan["members"], plan["moved"]) == (0, False)
    assert committed(world) == settled

    moved = rewind(world, "--from", "2h", "--yes")
    assert moved.wait(60) == 0
    assert '"the group was moved back"' in moved.output()
    assert committed(world) == {number: 10 for number in range(PARTITIONS)}

    new = publish(world, "new", 4, hours_ago=0)
    running = started(world, protocol=protocol)
    world.settle(running)
    assert (receipts(world, old), receipts(world, young), receipts(world, new)) == ({1}, {2}, {1})
    resets = "conversions_kafka_offset_resets_total"
    assert running.metrics(metrics_port(running)).value(resets) == 0
    assert '"level": "error"' not in running.output()
    running.terminate()
    assert running.wait(60) == 0
    world.assert_silent(running, refused, told, moved)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_run_from_moves_the_group_back_once_however_often_it_is_restarted(
    world: World, protocol: str
) -> None:
    old = publish(world, "old", 40, hours_ago=5)
    young = publish(world, "young", 20, hours_ago=1)
    first = started(world, protocol=protocol)
    world.settle(first)
    first.terminate()
    assert first.wait(60) == 0
    settled = committed(world)

    dry = world.product.run("run", "--from", "2h", "--dry-run", env=environment(world, protocol))
    assert dry.wait(60) == 0
    assert "at most 20 records" in dry.output()
    assert committed(world) == settled

    second = started(world, "--from", "2h", protocol=protocol)
    assert '"the group was moved back"' in second.output()
    world.settle(second)
    assert (receipts(world, old), receipts(world, young)) == ({1}, {2})

    beside = started(world, "--from", "2h", protocol=protocol)
    assert "moved back by the same --from before" in beside.output()
    beside.terminate()
    assert beside.wait(60) == 0
    new = publish(world, "new", 4, hours_ago=0)
    world.settle(second)
    second.kill()

    third = started(world, "--from", "2h", protocol=protocol)
    assert "moved back by the same --from before" in third.output()
    newer = publish(world, "newer", 4, hours_ago=0)
    world.settle(third)
    assert (receipts(world, old), receipts(world, young)) == ({1}, {2})
    assert (receipts(world, new), receipts(world, newer)) == ({1}, {1})

    other = world.product.run("run", "--from", "3h", env=environment(world, protocol))
    assert other.wait(60) == 1
    assert "end them all first" in other.output()
    assert third.alive
    third.terminate()
    assert third.wait(60) == 0


def test_what_meta_may_have_forgotten_goes_back_only_when_that_is_accepted(world: World) -> None:
    publish(world, "old", 8, hours_ago=60)
    running = started(world)
    world.settle(running)
    running.terminate()
    assert running.wait(60) == 0
    settled = committed(world)

    for command in (("rewind", "--from", "3d", "--yes"), ("run", "--from", "3d")):
        refused = world.product.run(*command, env=world.environment())
        assert refused.wait(60) == 2
        assert "8 settled records may be older than 47 hours" in refused.output()
        assert committed(world) == settled

    accepted = rewind(world, "--from", "3d", "--yes", "--accept-duplicates", "--partition", "1")
    assert accepted.wait(60) == 0
    assert committed(world) == settled | {1: 0}


def test_a_group_and_a_topic_that_are_not_there_are_told(world: World) -> None:
    nothing = rewind(world, "--from", "2h", "--yes")
    assert nothing.wait(60) == 0
    assert "the group has committed nothing here" in nothing.output()
    assert '"nothing was settled since then; the group stays"' in nothing.output()
    assert "was moved back" not in nothing.output()
    assert committed(world) == {}

    missing = rewind(world, "--from", "2h", "--yes", "--set", "CONVERSIONS_TOPIC=nowhere")
    assert missing.wait(60) == 1
    assert "topic nowhere" in missing.output()
    assert "Traceback" not in missing.output()


def _now_ms() -> int:
    return int(time.time() * 1000)

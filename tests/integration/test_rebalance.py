"""Members that come and go under load, on the real broker and with both of its group protocols.

What Meta received twice is counted by the emulator, which drops a repetition as Meta does and
remembers that there was one: a calm hand-over makes none, whatever else happens at most what was
settled above the committed offset.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration import Running
from tests.integration.events import good_event
from tests.integration.world import PARTITIONS, World

pytestmark = pytest.mark.integration

CLASSIC = {"KAFKA_CONSUMER_PARTITION_ASSIGNMENT_STRATEGY": "cooperative-sticky"}
NEW = {"KAFKA_CONSUMER_GROUP_PROTOCOL": "consumer", "KAFKA_CONSUMER_SESSION_TIMEOUT_MS": ""}
PROTOCOLS = pytest.mark.parametrize("protocol", [CLASSIC, NEW], ids=["classic", "consumer"])


class Load:
    """Good events over all partitions, one every few milliseconds, from a thread."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._publish)
        self.event_ids: list[str] = []

    def _publish(self) -> None:
        world, producer = self._world, self._world.producer()
        while not self._over.wait(0.02):
            for _ in range(10):
                number = len(self.event_ids)
                pixel = world.pixels[number % len(world.pixels)]
                event = good_event(number, pixel, int(time.time() * 1000), prefix="load")
                self.event_ids.append(str(event["eventId"]))
                partition = number // len(world.pixels) % PARTITIONS
                producer.produce(world.topic, value=world.encode(event), partition=partition)
            producer.poll(0)
        assert producer.flush(30) == 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(60)


@contextmanager
def under_load(world: World) -> Iterator[Load]:
    """Events come all the while; Meta takes them in 20 to 80 ms."""
    world.meta("POST", "misbehave", [{"do": {"latency_ms": [20, 80]}}])
    load = Load(world)
    load.start()
    try:
        yield load
    finally:
        load.stop()


@PROTOCOLS
def test_a_planned_scale_out_and_back_repeats_nothing(
    world: World, protocol: dict[str, str]
) -> None:
    first = world.consumer(**protocol)
    with under_load(world) as load:
        more_arrive(world)
        second, third = world.consumer(**protocol), world.consumer(**protocol)
        for each in (second, third):
            each.wait_for_line("partitions assigned", 60)
        more_arrive(world)
        end(second)
        more_arrive(world)
        end(third)
        more_arrive(world)
    world.settle(first)

    assert_each_once(world, load)
    assert '"partitions revoked"' in first.output()
    end(first)


@PROTOCOLS
def test_members_that_are_told_to_end_at_once_leave_nothing_open(
    world: World, protocol: dict[str, str]
) -> None:
    members = [world.consumer(**protocol) for _ in range(3)]
    with under_load(world) as load:
        more_arrive(world)
        end(*members[:2])
        more_arrive(world)
        members = [members[2], world.consumer(**protocol), world.consumer(**protocol)]
        more_arrive(world)
        end(*members)
        last = world.consumer(**protocol)
        more_arrive(world)
    world.settle(last)

    assert_each_once(world, load)
    end(last)


def more_arrive(world: World, events: int = 300) -> None:
    """Wait until Meta has taken so many more."""
    before = taken(world)
    world.wait(lambda: taken(world) >= before + events, 60, f"{events} more events")


def taken(world: World) -> int:
    return int(world.meta("GET", "stats")["events_unique"])


def end(*members: Running) -> None:
    """SIGTERM to all at the same moment; each leaves in good order."""
    for each in members:
        each.terminate()
    for each in members:
        assert each.wait(60) == 0, each.tail()
        assert "Traceback" not in each.output()


def assert_each_once(world: World, load: Load) -> None:
    """What was published arrived, and no event twice."""
    receipts = Counter({each["event"]["event_id"]: each["receipts"] for each in world.accepted()})
    assert receipts == Counter(load.event_ids)
    assert world.letters() == []

"""Members that come and go under load, on the real broker and with both of its group protocols.

What Meta received twice is counted by the emulator, which drops a repetition as Meta does and
remembers that there was one: a calm hand-over makes none, whatever else happens at most what was
settled above the committed offset.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
import pytest

from tests.integration import Running
from tests.integration.events import good_event
from tests.integration.world import PARTITIONS, World, metrics_port

pytestmark = pytest.mark.integration

CLASSIC = {
    "KAFKA_CONSUMER_PARTITION_ASSIGNMENT_STRATEGY": "cooperative-sticky",
    "KAFKA_CONSUMER_HEARTBEAT_INTERVAL_MS": "500",
}
NEW = {"KAFKA_CONSUMER_GROUP_PROTOCOL": "consumer", "KAFKA_CONSUMER_SESSION_TIMEOUT_MS": ""}
PROTOCOLS = pytest.mark.parametrize("protocol", [CLASSIC, NEW], ids=["classic", "consumer"])


class Load:
    """Good events over all partitions, one every few milliseconds, from a thread."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._prefix = f"load{world.published}"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._publish)
        self.event_ids: list[str] = []

    def _publish(self) -> None:
        world, producer = self._world, self._world.producer()
        while not self._over.wait(0.02):
            for _ in range(10):
                number = len(self.event_ids)
                pixel = world.pixels[number % len(world.pixels)]
                event = good_event(number, pixel, int(time.time() * 1000), prefix=self._prefix)
                self.event_ids.append(str(event["eventId"]))
                partition = number // len(world.pixels) % PARTITIONS
                world.published += 1
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
def test_members_that_come_and_go_as_planned_repeat_nothing(
    world: World, protocol: dict[str, str]
) -> None:
    """From one member to three and back, and then to another one, which takes over from all."""
    (first,) = members(world, 1, protocol)
    with under_load(world) as load:
        more_arrive(world)
        second, third = members(world, 2, protocol)
        more_arrive(world)
        end(second, third)
        assert '"partitions revoked"' in first.output()
        more_arrive(world)
        second, third = members(world, 2, protocol)
        more_arrive(world)
        end(first, second, third)
        (last,) = members(world, 1, protocol)
        more_arrive(world)
    world.settle(last)

    assert repeated(world, load) == Counter()
    end(last)


@PROTOCOLS
def test_a_static_member_comes_back_to_its_partitions_and_nobody_else_is_disturbed(
    world: World, protocol: dict[str, str]
) -> None:
    # The brokers wait for it for a session, however long they have it be.
    patience = {} if protocol is NEW else {"KAFKA_CONSUMER_SESSION_TIMEOUT_MS": "30000"}
    here, there = [
        {**protocol, **patience, "KAFKA_CONSUMER_GROUP_INSTANCE_ID": name} for name in "ab"
    ]
    (first,) = members(world, 1, here)
    (second,) = members(world, 1, there)
    with under_load(world) as load:
        more_arrive(world)
        world.wait(lambda: len(assigned(first)) == len(assigned(second)) == 2, 60, "two each")
        before, rebalances = assigned(first), second.output().count('"partitions ')
        end(first)
        (again,) = members(world, 1, here)
        more_arrive(world)
    world.settle(again)

    assert second.output().count('"partitions ') == rebalances
    assert assigned(again) == before
    assert repeated(world, load) == Counter()
    end(again, second)


@PROTOCOLS
def test_two_processes_with_one_static_name_are_refused_in_one_sentence(
    world: World, protocol: dict[str, str]
) -> None:
    name = {**protocol, "KAFKA_CONSUMER_GROUP_INSTANCE_ID": "a"}
    (first,) = members(world, 1, name)
    second = world.product.run("run", env=world.environment(**name))
    world.wait(lambda: not (first.alive and second.alive), 60, "one of them to end")
    # The older protocol gives the name to who asks for it last, the new one to who has it.
    refused, other = (first, second) if protocol is CLASSIC else (second, first)

    assert refused.wait(30) == 1
    assert (
        "KAFKA_CONSUMER_GROUP_INSTANCE_ID" in json.loads(refused.output().splitlines()[-1])["error"]
    )
    assert "Traceback" not in refused.output()
    end(other)


def test_a_member_that_slept_too_long_commits_nothing_of_what_is_anothers(world: World) -> None:
    """SIGSTOP for longer than the session: what it had settled, it can no longer commit."""
    (sleeper,) = members(world, 1, CLASSIC | {"CONVERSIONS_COMMIT_SECONDS": "3600"})
    with under_load(world) as load:
        more_arrive(world)
    world.wait(lambda: taken(world) == len(load.event_ids), 60, "all events")
    sleeper.wait_until(lambda: open_records(sleeper) == 0, 30, "all settled")
    assert sum(world.kafka.committed(world.group, world.topic).values()) < taken(world)
    sleeper.pause()
    (other,) = members(world, 1, CLASSIC)
    world.settle(other)
    with under_load(world) as more:
        world.wait(lambda: len(more.event_ids) > 100, 60, "more events")
    world.settle(other)
    before = world.kafka.committed(world.group, world.topic)
    sleeper.resume()
    sleeper.wait_for_line('"partitions lost"', 60)
    sleeper.wait_until(lambda: bool(assigned(sleeper)), 60, "partitions again")
    end(sleeper, other)

    assert world.kafka.committed(world.group, world.topic) == before
    assert '"commit refused"' not in sleeper.output()
    receipts = Counter({each["event"]["event_id"]: each["receipts"] for each in world.accepted()})
    assert max(receipts.values()) == 2, "what had been settled and not committed"


def test_what_a_halted_destination_holds_makes_others_come_again_within_the_bound(
    world: World,
) -> None:
    """It holds commits back; what was settled above them comes again, and nothing else does."""
    halted, well = world.pixels
    error = {"code": 190, "subcode": 463, "status": 401}
    world.meta("POST", "misbehave", [{"pixel": halted, "do": {"error": error}}])
    (first,) = members(world, 1, CLASSIC)
    now_ms = int(time.time() * 1000)
    events = [
        good_event(number, halted if number // PARTITIONS == 10 else well, now_ms)
        for number in range(100 * PARTITIONS)
    ]
    world.publish(map(world.encode, events))
    world.wait(lambda: taken(world) == 99 * PARTITIONS, 60, "all that can be taken")
    world.wait(lambda: committed(world) == 10 * PARTITIONS, 60, "all that may be committed")
    (second,) = members(world, 1, CLASSIC)
    world.wait(lambda: len(assigned(second)) == 2, 60, "its share")
    world.meta("POST", "misbehave", [])
    for each in (first, second):
        port = metrics_port(each)
        httpx.post(f"http://127.0.0.1:{port}/destinations/{halted}/resume", trust_env=False)
    world.settle(first)

    receipts = Counter({each["event"]["event_id"]: each["receipts"] for each in world.accepted()})
    assert receipts.keys() == {str(event["eventId"]) for event in events}
    settled_above_the_commit = {
        str(event["eventId"]) for number, event in enumerate(events) if number // PARTITIONS > 10
    }
    again = {event_id for event_id, times in receipts.items() if times > 1}
    assert again
    assert again <= settled_above_the_commit
    assert len(again) <= 2 * 89, "of the partitions that moved"
    assert max(receipts.values()) == 2
    end(first, second)


def members(world: World, count: int, settings: Mapping[str, str]) -> list[Running]:
    """So many more members, started side by side, that have been given partitions."""
    started = [world.product.run("run", env=world.environment(**settings)) for _ in range(count)]
    for each in started:
        each.wait_for_line('"partitions assigned"', 60)
    return started


def assigned(running: Running) -> set[str]:
    """The partitions that it says it has."""
    ours: set[str] = set()
    for line in running.output().splitlines():
        if '"partitions ' not in line:
            continue
        told = json.loads(line)
        change = ours.update if told["event"] == "partitions assigned" else ours.difference_update
        change(told["partitions"])
    return ours


def open_records(running: Running) -> float | None:
    return running.metrics(metrics_port(running)).value("conversions_in_flight_records")


def committed(world: World) -> int:
    return sum(world.kafka.committed(world.group, world.topic).values())


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


def repeated(world: World, load: Load) -> Counter[str]:
    """How often each event came again, having asserted that each came, and as nothing else."""
    receipts = Counter({each["event"]["event_id"]: each["receipts"] for each in world.accepted()})
    assert receipts.keys() == set(load.event_ids)
    assert world.letters() == []
    return receipts - Counter(load.event_ids)

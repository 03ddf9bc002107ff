"""Everything around the consumer fails in turn, on the real broker and the real registry.

Each time the same is asked: nothing lost, nothing good dead-lettered, nothing committed that was
not settled, and the consumer goes on by itself when the fault is over.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from consumer.schema_plan import event_schema
from tests.integration import Product
from tests.integration.events import good_event, mixed
from tests.integration.kafka_broker import KafkaBroker
from tests.integration.registry import Registry
from tests.integration.test_under_way import assert_fates, stop
from tests.integration.world import PARTITIONS, World, metrics_port

pytestmark = pytest.mark.integration


def test_a_registry_that_hangs_stops_one_partition_only(world: World, registry: Registry) -> None:
    world.publish(
        [world.encode(good_event(number, world.pixels[0], _now_ms())) for number in range(8)]
    )
    running = world.consumer()
    world.settle(running)
    port = metrics_port(running)
    rebalances = running.metrics(port).value("conversions_kafka_rebalances_total")
    newer = _another_schema("newer")
    newer_id = registry.register(f"{world.topic}-newer", json.dumps(newer))
    registry.pause()
    try:
        _produce(world, 0, b"\x00" + newer_id.to_bytes(4, "big") + _body(world, "of-newer"))
        started_at = time.monotonic()
        for wave in range(4):
            for partition in (1, 2, 3):
                event = good_event(partition, world.pixels[0], _now_ms(), prefix=f"w{wave}")
                _produce(world, partition, world.encode(event))
            expected = 8 + 3 * (wave + 1)
            world.wait(lambda: len(world.accepted()) == expected, 30, f"{expected} events")  # noqa: B023
            assert httpx.get(f"http://127.0.0.1:{port}/livez", trust_env=False).status_code == 200
            time.sleep(6)
        assert time.monotonic() - started_at > 20, "longer than three session time-outs"
        metrics = running.metrics(port)
        assert metrics.value("conversions_kafka_rebalances_total") == rebalances
        assert metrics.value("conversions_paused_partitions", cause="schema") == 1
        assert metrics.value("conversions_schema_waiting_records") == 1
    finally:
        registry.resume()
    world.settle(running)

    assert world.accepted_ids()["of-newer"] == 1
    assert world.letters() == []
    stop(running)


def test_a_schema_that_is_registered_after_its_records_is_waited_for(
    world: World, registry: Registry
) -> None:
    latest = registry.register(f"{world.topic}-a", json.dumps(_another_schema("a")))
    missing = latest + 1
    running = world.consumer()
    _produce(world, 0, b"\x00" + missing.to_bytes(4, "big") + _body(world, "early"))
    _produce(world, 1, world.encode(good_event(1, world.pixels[0], _now_ms())))
    running.wait_for_line(f"schema {missing} is not found", 30)
    world.wait(lambda: len(world.accepted()) == 1, 30, "the other partition's event")
    assert world.letters() == []

    assert registry.register(f"{world.topic}-b", json.dumps(_another_schema("b"))) == missing
    world.settle(running)
    assert world.accepted_ids() == Counter(["early", "event-1"])
    assert world.letters() == []
    stop(running)


def test_the_broker_restarts_under_load(world: World, kafka: KafkaBroker) -> None:
    world.meta("POST", "misbehave", [{"do": {"latency_ms": [20, 80]}}])
    running = world.consumer()
    fates = list(mixed(world, 3000, _now_ms(), seed=5))
    world.publish(fate.value for fate in fates[:2000])
    running.wait_until(lambda: len(world.accepted()) > 100, 60, "first events")
    kafka.restart()
    world.publish(fate.value for fate in fates[2000:])
    world.settle(running)

    # A restart may end a tenure between an acknowledgement and its commit: then records come
    # again, under the same event id and origin, and Meta counts them once.
    assert_fates(world, fates, receipts_max=3, letters_once=False)
    assert running.output().count('"Kafka is unreachable; trying on"') <= 2
    stop(running)


def test_a_dead_letter_too_large_for_its_topic_stops_its_partition_until_the_limit_is_raised(
    kafka: KafkaBroker, registry: Registry, product: Product, unique: Callable[[str], str]
) -> None:
    world = World(
        kafka=kafka,
        registry=registry,
        product=product,
        unique=unique,
        pixels=("1729525464415281",),
        dead_letter_config={"max.message.bytes": "20000"},
    )
    large = good_event(0, world.pixels[0], _now_ms(), prefix="large")
    large["user"] = {"country": "US"}
    large["customData"] = {"text": "x" * 900_000}
    running = world.consumer()
    _produce(world, 0, world.encode(large))
    for partition in range(PARTITIONS):
        event = good_event(partition, world.pixels[0], _now_ms())
        _produce(world, partition, world.encode(event))
    running.wait_for_line("dead_letter_too_large", 30)
    world.wait(lambda: len(world.accepted()) >= PARTITIONS - 1, 30, "the others' events")
    committed = kafka.committed(world.group, world.topic)
    assert committed.get(0, 0) == 0, "nothing is committed past it"
    port = metrics_port(running)
    running.wait_until(
        lambda: (
            running.metrics(port).value(
                "conversions_paused_partitions", cause="dead_letter_too_large"
            )
            == 1
        ),
        10,
        "the paused partition among the metrics",
    )
    metrics = running.metrics(port)
    assert (metrics.value("conversions_dead_letter_failures_total", writing="too_large") or 0) >= 2

    _set_topic(kafka, world.dlq_topic, "max.message.bytes", "2000000")
    world.settle(running)
    (letter,) = world.letters()
    assert letter.reason == "insufficient_user_data"
    assert letter.value == world.encode(large)
    assert len(world.accepted()) == PARTITIONS
    stop(running)


def test_a_callback_that_raises_loses_no_record(world: World) -> None:
    script = Path(__file__).with_name("raising_callback.py")
    folder = world.emulator.log_path.parent / "raising"
    folder.mkdir()
    raising = Product(command=(sys.executable, str(script)), folder=folder)
    raising_environment = world.environment() | {"PYTHONPATH": str(Path(__file__).parents[2])}
    fates = list(mixed(world, 4000, _now_ms(), seed=6))
    running = raising.run("run", env=raising_environment)
    try:
        running.wait_for_line("joined the group", 60)
        for start in range(0, len(fates), 200):
            world.publish(fate.value for fate in fates[start : start + 200])
            time.sleep(0.2)
        world.settle(running)

        assert '"reading failed; rewound"' in running.output()
        assert_fates(world, fates, receipts_max=1)
        stop(running)
    finally:
        raising.close()


def test_meta_that_fails_in_every_way_loses_nothing(world: World) -> None:
    world.meta(
        "POST",
        "misbehave",
        [
            {"times": 4, "do": {"status": 500, "body": "html"}},
            {"times": 3, "do": {"reset": True}},
            {"times": 2, "do": {"accept_then_drop": True}},
            {"times": 2, "do": {"truncate": True}},
            {"times": 2, "do": {"ok_with_error": True}},
            {"times": 1, "do": {"hang_seconds": 8}},
        ],
    )
    fates = list(mixed(world, 2000, _now_ms(), seed=7))
    world.publish(fate.value for fate in fates)
    running = world.consumer(CONVERSIONS_REQUEST_TIMEOUT_SECONDS="3")
    world.settle(running, seconds=150)

    # What Meta stored before it broke off came again under the same id, and counted once.
    assert_fates(world, fates, receipts_max=8)
    stop(running)


def test_a_token_that_is_revoked_for_a_while_costs_nothing(world: World) -> None:
    fates = list(mixed(world, 1000, _now_ms(), seed=8))
    world.meta("POST", "revoke", {"token": "token-of-a-test"})
    running = world.consumer()
    world.publish(fate.value for fate in fates)
    running.wait_for_line("destination halted", 30)
    time.sleep(3)
    assert world.accepted() == []
    world.meta("POST", "restore", {"token": "token-of-a-test"})
    world.settle(running)

    assert_fates(world, fates, receipts_max=1)
    stop(running)


def test_kafka_that_is_not_there_at_the_start_is_said_once_and_waited_for(
    world: World, product: Product
) -> None:
    closed = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    running = product.run("run", env=world.environment(**closed))
    running.wait_for_line("Kafka is unreachable; trying on", 30)
    port = metrics_port(running)
    assert httpx.get(f"http://127.0.0.1:{port}/livez", trust_env=False).status_code == 200
    assert httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 503
    time.sleep(3)
    assert running.output().count("Kafka is unreachable; trying on") == 1
    assert (
        running.metrics(port).value("conversions_kafka_errors_total", kind="unreachable") or 0
    ) >= 1
    running.terminate()
    assert running.wait(30) == 0


def _another_schema(name: str) -> dict[str, object]:
    schema = event_schema()
    schema["doc"] = f"{name}: the same with another text, and so another id"
    schema["fields"].append(
        {"name": f"{name}{time.time_ns()}", "type": ["null", "string"], "default": None}
    )
    return schema


def _body(world: World, event_id: str) -> bytes:
    """An event's bytes after the frame, for a schema with one more optional field at the end."""
    event = good_event(0, world.pixels[0], _now_ms())
    event["eventId"] = event_id
    return world.encode(event)[5:] + b"\x00"


def _produce(world: World, partition: int, value: bytes) -> None:
    producer = world.producer(**{"message.max.bytes": "2000000"})
    producer.produce(world.topic, value=value, partition=partition)
    assert producer.flush(30) == 0


def _set_topic(kafka: KafkaBroker, topic: str, name: str, value: str) -> None:
    admin = AdminClient({**kafka.client_config()})
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


def _now_ms() -> int:
    return int(time.time() * 1000)

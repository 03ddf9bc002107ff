"""Everyday life of a consumer group on the real broker.

Many events and destinations, deploys in the middle, members that come and go, publishers with
transactions, records that nobody expected. At the end sets are compared: nothing is lost, nothing
good is dead-lettered, and the lag is 0.
"""

import json
import time
from collections import Counter
from collections.abc import Callable

import httpx
import pytest

from consumer.schema_plan import event_schema
from tests.integration import Product, Running
from tests.integration.events import Fate, good_event, mixed
from tests.integration.kafka_broker import KafkaBroker
from tests.integration.registry import Registry
from tests.integration.world import World, metrics_port

pytestmark = pytest.mark.integration

PIXELS = ("1729525464415281", "2729525464415282", "3729525464415283")


@pytest.fixture
def wide_world(
    kafka: KafkaBroker, registry: Registry, product: Product, unique: Callable[[str], str]
) -> World:
    return World(
        kafka=kafka,
        registry=registry,
        product=product,
        unique=unique,
        pixels=PIXELS,
        dead_letter_config={},
    )


def test_20000_mixed_events_for_three_destinations(wide_world: World) -> None:
    fates = list(mixed(wide_world, 20_000, _now_ms(), seed=3))
    wide_world.publish(fate.value for fate in fates)
    running = wide_world.consumer()
    wide_world.settle(running, seconds=150)

    assert_fates(wide_world, fates, receipts_max=1)
    stop(running)
    wide_world.assert_silent(running)


def test_sigterm_in_the_middle_and_a_second_run(world: World) -> None:
    fates = list(mixed(world, 6000, _now_ms(), seed=4))
    world.meta("POST", "misbehave", [{"do": {"latency_ms": [100, 300]}}])
    world.publish(fate.value for fate in fates)
    first = world.consumer()
    first.wait_until(lambda: len(world.accepted()) > 500, 60, "first events")
    first.terminate()
    assert first.wait(40) == 0, "what was in flight was settled within the grace time"
    between = len(world.accepted())
    assert between < 6000

    second = world.consumer()
    world.settle(second)
    assert_fates(world, fates, receipts_max=1)
    stop(second)


def test_a_member_joins_and_leaves_under_load(world: World) -> None:
    world.meta("POST", "misbehave", [{"do": {"latency_ms": [20, 60]}}])
    first = world.consumer()
    fates: list[Fate] = []
    second: Running | None = None
    for wave in range(6):
        more = list(mixed(world, 1000, _now_ms(), seed=wave, prefix=f"wave{wave}"))
        world.publish(fate.value for fate in more)
        fates += more
        if wave == 1:
            second = world.consumer()
            second.wait_for_line("partitions assigned", 30)
        if wave == 4:
            assert second is not None
            stop(second)
    world.settle(first)

    assert_fates(world, fates, receipts_max=1)
    assert '"partitions revoked"' in first.output()
    stop(first)


def test_a_transactional_publisher_leaves_gaps_and_aborted_records_do_not_count(
    world: World,
) -> None:
    producer = world.producer(**{"transactional.id": world.topic, "linger.ms": "0"})
    producer.init_transactions(30)
    now_ms = _now_ms()
    expected: list[str] = []
    for number in range(30):
        producer.begin_transaction()
        batch = [good_event(number * 10 + i, world.pixels[0], now_ms) for i in range(10)]
        world.publish([world.encode(event) for event in batch], producer=producer)
        if number % 3 == 2:
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
            expected += [str(event["eventId"]) for event in batch]
    running = world.consumer()
    world.settle(running)

    assert world.accepted_ids() == Counter(expected)
    assert world.letters() == []
    assert sum(world.kafka.end_offsets(world.topic).values()) > 300, "control records take offsets"
    stop(running)


def test_a_null_value_and_an_empty_one_are_dead_lettered_as_they_are(world: World) -> None:
    good = world.encode(good_event(1, world.pixels[0], _now_ms()))
    world.publish([None, b"", good])
    running = world.consumer()
    world.settle(running)

    letters = world.letters()
    assert sorted((letter.reason, letter.value) for letter in letters if letter.value is None) == [
        ("undecodable", None)
    ]
    assert [letter.value for letter in letters if letter.value is not None] == [b""]
    assert world.accepted_ids() == Counter(["event-1"])
    stop(running)


def test_a_schema_with_another_unit_and_more_fields_is_read(world: World) -> None:
    theirs = event_schema()
    theirs["name"], theirs["namespace"] = "ShopEvent", "shop"
    for field in theirs["fields"]:
        if field["name"] == "eventTime":
            field["type"]["logicalType"] = "timestamp-micros"
    theirs["fields"].append({"name": "shopOnly", "type": ["null", "string"], "default": None})
    their_id = world.registry.register(f"{world.topic}-theirs", json.dumps(theirs))
    world.publish([_framed(their_id, theirs, _now_ms() * 1000)])
    running = world.consumer()
    world.settle(running)

    (taken,) = world.accepted()
    assert abs(taken["event"]["event_time"] - time.time()) < 60
    stop(running)


def test_the_new_group_protocol_serves_as_well(world: World) -> None:
    protocol = {
        "KAFKA_CONSUMER_GROUP_PROTOCOL": "consumer",
        "KAFKA_CONSUMER_SESSION_TIMEOUT_MS": "",
    }
    fates = list(mixed(world, 1000, _now_ms(), seed=9))
    world.publish(fate.value for fate in fates[:500])
    first = world.consumer(**protocol)
    first.wait_until(lambda: len(world.accepted()) > 100, 60, "first events")
    second = world.consumer(**protocol)
    second.wait_for_line("partitions assigned", 30)
    world.publish(fate.value for fate in fates[500:])
    world.settle(first)

    assert_fates(world, fates, receipts_max=1)
    stop(second)
    stop(first)


def test_what_kubernetes_injects_for_services_does_not_confuse(world: World) -> None:
    world.publish([world.encode(good_event(1, world.pixels[0], _now_ms()))])
    injected = {
        "CONVERSIONS_SERVICE_HOST": "10.0.0.7",
        "CONVERSIONS_SERVICE_PORT": "9108",
        "CONVERSIONS_SERVICE_PORT_METRICS": "9108",
        "CONVERSIONS_PORT": "tcp://10.0.0.7:9108",
        "CONVERSIONS_PORT_9108_TCP": "tcp://10.0.0.7:9108",
        "CONVERSIONS_PORT_9108_TCP_PROTO": "tcp",
        "CONVERSIONS_PORT_9108_TCP_PORT": "9108",
        "CONVERSIONS_PORT_9108_TCP_ADDR": "10.0.0.7",
        "KAFKA_SERVICE_HOST": "10.0.0.8",
        "KAFKA_SERVICE_PORT": "9092",
        "KAFKA_PORT": "tcp://10.0.0.8:9092",
        "KAFKA_PORT_9092_TCP": "tcp://10.0.0.8:9092",
        "KAFKA_PORT_9092_TCP_ADDR": "10.0.0.8",
        "KAFKA_HEAP_OPTS": "-Xmx1g",
    }
    running = world.consumer(**injected)
    world.settle(running)

    assert world.accepted_ids() == Counter(["event-1"])
    stop(running)


def test_the_destinations_file_is_taken_up_without_a_restart(world: World) -> None:
    running = world.consumer()
    new_pixel = "9729525464415289"
    path = world.environment()["CONVERSIONS_DESTINATIONS_FILE"]
    world.publish([world.encode(good_event(1, new_pixel, _now_ms()))])
    world.settle(running)
    assert [letter.reason for letter in world.letters()] == ["unknown_destination"]

    with open(path, "w", encoding="utf-8") as file:
        file.write("- id: not-a-pixel\n")
    running.wait_for_line("the destinations file is wrong; the old one stays", 30)
    world.publish([world.encode(good_event(2, world.pixels[0], _now_ms()))])
    world.settle(running)
    assert world.accepted_ids() == Counter(["event-2"])
    metrics = running.metrics(metrics_port(running))
    assert metrics.value("conversions_destinations_file_mistakes_total") == 1

    token_file = running.log_path.parent / "token-of-the-new-pixel"
    token_file.write_text("token-of-a-test")
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps([{"id": new_pixel, "accessTokenFile": token_file.name}]))
    running.wait_for_line("destinations changed", 30)
    world.publish([world.encode(good_event(3, new_pixel, _now_ms()))])
    running.wait_for_line("destination halted", 30)  # the emulator does not know this pixel
    port = metrics_port(running)
    running.wait_until(
        lambda: (
            running.metrics(port).value(
                "conversions_destination_state", destination=new_pixel, state="halted"
            )
            == 1
        ),
        10,
        "the halted state among the metrics",
    )
    running.terminate()
    assert running.wait(40) == 1, "an event is left, uncommitted"
    assert world.kafka.lag(world.group, world.topic) == 1


def test_probes_and_metrics_answer(world: World) -> None:
    running = world.consumer()
    world.publish([world.encode(good_event(1, world.pixels[0], _now_ms()))])
    world.settle(running)
    base = f"http://127.0.0.1:{metrics_port(running)}"

    assert httpx.get(f"{base}/livez", trust_env=False).status_code == 200
    assert httpx.get(f"{base}/readyz", trust_env=False).status_code == 200
    running.wait_until(
        lambda: (
            running.metrics(metrics_port(running)).value("conversions_kafka_lag_records") == 0.0
        ),
        30,
        "a lag of 0",
    )
    stop(running)


def assert_fates(
    world: World, fates: list[Fate], *, receipts_max: int, letters_once: bool = True
) -> None:
    """Accepted and dead-lettered are exactly what was to be expected, and nothing came twice,
    unless a tenure ended between an acknowledgement and its commit (``letters_once`` False)."""
    accepted = world.accepted()
    ids = Counter(each["event"]["event_id"] for each in accepted)
    assert ids == Counter(fate.event_id for fate in fates if fate.reason is None)
    assert max((each["receipts"] for each in accepted), default=0) <= receipts_max
    letters = world.letters()
    values = Counter(letter.value for letter in letters)
    expected = Counter(fate.value for fate in fates if fate.reason is not None)
    assert values.keys() == expected.keys()
    assert values == expected or not letters_once
    reasons = {fate.value: fate.reason for fate in fates}
    assert [x.reason for x in letters] == [reasons[x.value] for x in letters]
    assert world.kafka.lag(world.group, world.topic) == 0


def stop(running: Running) -> None:
    running.terminate()
    assert running.wait(40) == 0


def _now_ms() -> int:
    return int(time.time() * 1000)


def _framed(schema_id: int, schema: object, event_time: int) -> bytes:
    from io import BytesIO

    import fastavro

    out = BytesIO()
    out.write(b"\x00" + schema_id.to_bytes(4, "big"))
    event = {
        "eventName": "Lead",
        "eventTime": event_time,
        "destinationId": PIXELS[0],
        "actionSource": "crm",
        "user": {"email": "a@example.com"},
        "shopOnly": "x",
    }
    fastavro.schemaless_writer(out, schema, event)  # type: ignore[arg-type]
    return out.getvalue()

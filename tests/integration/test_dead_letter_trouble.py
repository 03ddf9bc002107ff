"""Dead letters that cannot be written, on the real Kafka: each time nothing is committed past them,
the reason is told, and all goes on by itself, or by the operator's command, when it is over.

The broker is this file's own: it asks its ACLs, and gives everybody everything until a test denies.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
)
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from tests.integration import Product, Running
from tests.integration.conftest import _needed
from tests.integration.events import good_event
from tests.integration.kafka_broker import KafkaBroker
from tests.integration.registry import Registry
from tests.integration.test_under_way import stop
from tests.integration.world import PARTITIONS, World, metrics_port
from tests.tools import KAFKA, kafka_libs

pytestmark = pytest.mark.integration

SINCE = "conversions_dead_letters_failing_since_timestamp_seconds"
QUICK = {"KAFKA_PRODUCER_TOPIC_METADATA_PROPAGATION_MAX_MS": "500"}
GARBAGE = b"this is no Avro"
ANSWER_SECONDS_MAX = 30.0


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    libs, java = _needed(KAFKA, kafka_libs())
    broker = KafkaBroker(
        java=java,
        libs=libs,
        folder=tmp_path_factory.mktemp("guarded-kafka"),
        extra_properties={
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
        },
    )
    try:
        broker.start()
        yield broker
    finally:
        broker.close()


@pytest.fixture
def built(
    guarded: KafkaBroker, registry: Registry, product: Product, unique: Callable[[str], str]
) -> Callable[[Mapping[str, str]], World]:
    """A world whose dead-letter topic has these settings."""
    return lambda config: World(
        kafka=guarded,
        registry=registry,
        product=product,
        unique=unique,
        pixels=("1729525464415281",),
        dead_letter_config=config,
    )


Built = Callable[[Mapping[str, str]], World]


def test_a_dead_letter_topic_that_is_missing_is_waited_for(built: Built) -> None:
    world = built({})
    world.dlq_topic = f"{world.topic}.later"
    running = world.consumer(**QUICK)
    publish(world)

    facts = failing_with(running, "_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_OR_PART")
    assert facts["ok"], "a member that waits is ready all the same"
    assert trouble(running, "topic_missing") is not None
    assert world.kafka.committed(world.group, world.topic).get(0, 0) == 0

    world.kafka.create_topic(world.dlq_topic, 1)
    recovers(world, running)


def test_a_dead_letter_topic_that_may_not_be_written_is_waited_for(
    built: Built, guarded: KafkaBroker
) -> None:
    world = built({})
    with denied(guarded, world.dlq_topic):
        running = world.consumer(**QUICK)
        publish(world)
        failing_with(running, "TOPIC_AUTHORIZATION_FAILED")
        assert trouble(running, "not_allowed") is not None

    recovers(world, running)


def test_a_record_too_large_is_skipped_by_the_operators_command(built: Built) -> None:
    world = built({"max.message.bytes": "20000"})
    running = world.consumer()
    large = b"\xff" * 500_000
    produce(world, large)
    for number in range(PARTITIONS):
        produce(world, world.encode(event(world, number)), partition=number)
    running.wait_for_line("dead_letter_too_large", 60)
    world.wait(lambda: len(world.accepted()) >= PARTITIONS - 1, 60, "the others' events")
    (record,) = readyz(running)["dead_letters_too_large"]
    assert record == f"{world.topic}:0:0"
    assert world.kafka.committed(world.group, world.topic).get(0, 0) == 0

    said = conversions(world, running, "skip", record, "--yes")
    assert said.wait(60) == 0, said.output()
    assert f"has skipped {record}" in said.output()
    world.settle(running)
    (letter,) = world.letters()
    assert (letter.key, letter.value) == (None, None)
    assert (letter.reason, letter.headers["by_reference"]) == ("skipped_by_operator", "true")
    assert letter.headers["origin"].startswith(f"{record}:")
    assert "undecodable" in letter.headers["detail"]
    assert len(world.accepted()) == PARTITIONS
    assert '"a record is skipped by an operator; Meta will not get it"' in running.output()

    again = conversions(world, running, "skip", record, "--json", "--yes")
    assert again.wait(60) == 1
    assert json.loads(again.output()) == {"record": record, "outcome": "not_open"}
    stop(running)


# --- what is done and looked at ------------------------------------------------------------------


def publish(world: World) -> None:
    """A record that nobody can decode, with a good one behind it, and good ones beside it."""
    produce(world, GARBAGE)
    for number in range(PARTITIONS):
        produce(world, world.encode(event(world, number)), partition=number)


def event(world: World, number: int) -> dict[str, Any]:
    return good_event(number, world.pixels[0], int(time.time() * 1000))


def produce(world: World, value: bytes, *, partition: int = 0) -> None:
    producer = world.producer(**{"message.max.bytes": "2000000"})
    producer.produce(world.topic, value=value, partition=partition)
    assert producer.flush(30) == 0


def readyz(running: Running) -> dict[str, Any]:
    address = f"http://127.0.0.1:{metrics_port(running)}/readyz"
    facts: dict[str, Any] = httpx.get(address, timeout=10, trust_env=False).json()
    return facts


def failing_with(running: Running, *errors: str) -> dict[str, Any]:
    """What ``/readyz`` says once dead letters fail with one of these errors."""
    running.wait_until(
        lambda: readyz(running)["dead_letters_failing"] in errors, 60, f"failing with {errors}"
    )
    facts = readyz(running)
    assert facts["dead_letters_failing_since"] is not None
    assert facts["dead_letters_waiting"] == 1
    cannot = "dead letters cannot be written; nothing is committed past them"
    told = [json.loads(line) for line in running.output().splitlines() if cannot in line]
    assert {line["error"] for line in told} <= set(errors)
    assert len(told) >= 1
    return facts


def trouble(running: Running, name: str) -> float | None:
    """Since when, once the gauge is there."""
    port = metrics_port(running)
    running.wait_until(
        lambda: running.metrics(port).value(SINCE, trouble=name) is not None, 30, "the gauge"
    )
    return running.metrics(port).value(SINCE, trouble=name)


def recovers(world: World, running: Running) -> None:
    """By itself: the record is dead-lettered, everything is committed, nothing fails any more."""
    world.settle(running)
    letters = world.letters()
    assert {letter.value for letter in letters} == {GARBAGE}
    assert {letter.reason for letter in letters} == {"undecodable"}
    assert len({letter.headers["origin"] for letter in letters}) == 1
    assert len(world.accepted()) == PARTITIONS
    assert readyz(running)["dead_letters_failing"] is None
    port = metrics_port(running)
    running.wait_until(lambda: running.metrics(port).value(SINCE) is None, 30, "no gauge")
    stop(running)


def conversions(world: World, running: Running, *arguments: str) -> Running:
    """A command beside the consumer, with its settings."""
    port = str(metrics_port(running))
    return world.product.run(*arguments, env=world.environment(CONVERSIONS_METRICS_PORT=port))


class denied:
    """While this lasts nobody may write to the topic."""

    def __init__(self, kafka: KafkaBroker, topic: str) -> None:
        self._admin = AdminClient({**kafka.client_config()})
        self._rule = (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*")

    def __enter__(self) -> None:
        rule = AclBinding(*self._rule, AclOperation.WRITE, AclPermissionType.DENY)
        for future in self._admin.create_acls([rule]).values():
            future.result(ANSWER_SECONDS_MAX)

    def __exit__(self, *_: object) -> None:
        rule = AclBindingFilter(*self._rule, AclOperation.WRITE, AclPermissionType.DENY)
        for future in self._admin.delete_acls([rule]).values():
            future.result(ANSWER_SECONDS_MAX)

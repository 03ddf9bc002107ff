"""The faults: each does its harm, says what it did, and undoes it.

A fault knows the ``Scene`` and nothing of the others; the plan sees to it that those of one lane
follow one another.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
)
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.cimpl import NewPartitions

from consumer.schema_plan import event_schema
from tests.chaos.account import Freeze
from tests.chaos.fleet import Fleet
from tests.chaos.publisher import Publisher
from tests.integration.world import PARTITIONS, TOKEN, World

PARTITIONS_MAX = PARTITIONS + 2
EVERYDAY = {"do": {"latency_ms": [5, 60]}}
HANG_SECONDS = 30
ANSWER_SECONDS_MAX = 30.0
AGAIN_SECONDS = 0.25


@dataclass(slots=True)
class Scene:
    """Who takes part, and what only a fault can know of itself."""

    world: World
    fleet: Fleet
    publisher: Publisher
    # Held, because requests of an admin client that nobody holds are cancelled.
    admin: AdminClient
    freezes: list[Freeze] = field(default_factory=list)
    frozen_at: float = 0.0


class Fault(NamedTuple):
    """``begin`` gets a choice and says what it did to whom."""

    begin: Callable[[Scene, int], str]
    undo: Callable[[Scene], object]


def misbehave(world: World, *rules: Mapping[str, Any]) -> None:
    """From now on Meta behaves like this, with the latency of every day."""
    world.meta("POST", "misbehave", [EVERYDAY, *rules])


def _nothing(_: Scene) -> None:
    pass


# --- consumers


def _start_one(scene: Scene) -> None:
    scene.fleet.start(1)


def _freeze(scene: Scene, choice: int) -> str:
    scene.frozen_at = time.time()
    return scene.fleet.freeze(choice)


def _wake(scene: Scene) -> None:
    scene.fleet.wake()
    scene.freezes.append(Freeze(scene.frozen_at, time.time()))


def _scale_to_four(scene: Scene, choice: int) -> str:
    """1 → 4: whoever is more than one leaves first."""
    while len(scene.fleet) > 1:
        scene.fleet.terminate(choice)
    scene.fleet.start(3)
    return "1 to 4"


def _scale_to_one(scene: Scene) -> None:
    while len(scene.fleet) > 1:
        scene.fleet.terminate(0)
    scene.fleet.start(1)


def _reset_group(scene: Scene, _: int) -> str:
    """Everybody leaves, and an operator moves the offsets to the beginning."""
    world, count = scene.world, len(scene.fleet)
    scene.fleet.stop()
    settings = {**world.kafka.client_config(), "group.id": world.group, "log_level": "0"}
    operator = Consumer(settings)
    try:
        beginning = [
            TopicPartition(world.topic, number, 0)
            for number in world.kafka.end_offsets(world.topic)
        ]
        _insist(lambda: operator.commit(offsets=beginning, asynchronous=False))
    finally:
        operator.close()
    time.sleep(4 * AGAIN_SECONDS)  # seen by whoever watches the commits
    scene.fleet.start(count)
    return "to the beginning"


# --- Kafka


def _kill_broker(scene: Scene, _: int) -> str:
    scene.world.kafka.kill()
    return "SIGKILL"


def _restart_broker(scene: Scene, _: int) -> str:
    scene.world.kafka.restart()
    return "SIGTERM, and started"


def _limit_letters(scene: Scene, size: int) -> None:
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(
        ResourceType.TOPIC, scene.world.dlq_topic, incremental_configs=[entry]
    )
    _insist(lambda: scene.admin.incremental_alter_configs([resource])[resource].result(10))


def _letters_too_large(scene: Scene, _: int) -> str:
    _limit_letters(scene, 100)
    return "max.message.bytes 100"


def _denial(world: World) -> tuple[Any, ...]:
    """Nobody may write to the dead-letter topic."""
    return (
        ResourceType.TOPIC,
        world.dlq_topic,
        ResourcePatternType.LITERAL,
        "User:ANONYMOUS",
        "*",
        AclOperation.WRITE,
        AclPermissionType.DENY,
    )


def _refuse_letters(scene: Scene, _: int) -> str:
    binding = AclBinding(*_denial(scene.world))
    _insist(lambda: scene.admin.create_acls([binding])[binding].result(10))
    return "an ACL denies writing"


def _allow_letters(scene: Scene) -> None:
    wanted = AclBindingFilter(*_denial(scene.world))
    _insist(lambda: scene.admin.delete_acls([wanted])[wanted].result(10))


def _remove_letters(scene: Scene, _: int) -> str:
    """Only at the beginning, while there is nothing in it."""
    name = scene.world.dlq_topic
    scene.admin.delete_topics([name])[name].result(ANSWER_SECONDS_MAX)
    return "deleted while empty"


def _add_partitions(scene: Scene, _: int) -> str:
    more = NewPartitions(scene.world.topic, PARTITIONS_MAX)
    scene.admin.create_partitions([more])[scene.world.topic].result(ANSWER_SECONDS_MAX)
    scene.publisher.partitions = PARTITIONS_MAX
    return f"{PARTITIONS} to {PARTITIONS_MAX}"


def _insist(call: Callable[[], object]) -> None:
    """Until it works: a broker that has just started takes its time."""
    until = time.monotonic() + ANSWER_SECONDS_MAX
    while True:
        try:
            call()
        except Exception:
            if time.monotonic() > until:
                raise
            time.sleep(AGAIN_SECONDS)
        else:
            return


# --- Meta


def _meta(text: str, **do: Any) -> Fault:
    """To half of the requests."""

    def begin(scene: Scene, choice: int) -> str:
        misbehave(scene.world, {"probability": 0.5, "seed": choice, "do": do})
        return text

    return Fault(begin, lambda scene: misbehave(scene.world))


def _throttle(scene: Scene, choice: int) -> str:
    pixel = scene.world.pixels[choice % 2]
    error = {"code": 80004, "subcode": 2446079, "status": 400}
    misbehave(scene.world, {"pixel": pixel, "do": {"error": error}})
    return f"pixel {pixel}"


def _revoke(scene: Scene, _: int) -> str:
    scene.world.meta("POST", "revoke", {"token": TOKEN})
    return "of every pixel"


# --- the registry


def _registry_hangs(scene: Scene, _: int) -> str:
    scene.world.registry.pause()
    return "SIGSTOP"


def _registry_down(scene: Scene, choice: int) -> str:
    """It is gone, and a member that has no schema yet takes somebody's place."""
    scene.world.registry.stop()
    leaving = scene.fleet.terminate(choice)
    scene.fleet.start(1)
    return f"stopped; a new member in place of {leaving}"


def _registry_back(scene: Scene) -> None:
    """It keeps schemas in memory: they are registered anew, with the same id."""
    world = scene.world
    world.registry.start()
    _insist(lambda: httpx.get(f"{world.registry.url}/subjects", trust_env=False).raise_for_status())
    schema_id = world.registry.register(f"{world.topic}-value", json.dumps(event_schema()))
    assert schema_id == world.schema_id, "the registry gave the schema another id"


FAULTS: Mapping[str, Fault] = {
    "kill": Fault(lambda scene, choice: scene.fleet.kill(choice), _start_one),
    "terminate": Fault(lambda scene, choice: scene.fleet.terminate(choice), _start_one),
    "freeze": Fault(_freeze, _wake),
    "scale": Fault(_scale_to_four, _scale_to_one),
    "group reset": Fault(_reset_group, _nothing),
    "broker killed": Fault(_kill_broker, lambda scene: scene.world.kafka.start()),
    "broker restarted": Fault(_restart_broker, _nothing),
    "dead letters missing": Fault(
        _remove_letters,
        lambda scene: _insist(
            lambda: scene.world.kafka.create_topic(scene.world.dlq_topic, PARTITIONS)
        ),
    ),
    "dead letters too large": Fault(
        _letters_too_large, lambda scene: _limit_letters(scene, 2_000_000)
    ),
    "dead letters refused": Fault(_refuse_letters, _allow_letters),
    "partitions added": Fault(_add_partitions, _nothing),
    "errors": _meta("HTTP 500", status=500),
    "resets": _meta("connections reset", reset=True),
    "answers lost": _meta("taken, then no answer", accept_then_drop=True),
    "answers cut": _meta("taken, then half an answer", truncate="connection"),
    "slow": _meta("10 s, within the time-out", delay_seconds=10),
    "hangs": _meta(f"{HANG_SECONDS} s, taking nothing", hang_seconds=HANG_SECONDS),
    "hangs after taking": _meta(
        f"{HANG_SECONDS} s after taking", accept_then_drop=True, delay_seconds=HANG_SECONDS
    ),
    "html": _meta("HTTP 502 with a page", status=502, body="html"),
    "throttled": Fault(_throttle, lambda scene: misbehave(scene.world)),
    "token revoked": Fault(
        _revoke, lambda scene: scene.world.meta("POST", "restore", {"token": TOKEN})
    ),
    "registry hangs": Fault(_registry_hangs, lambda scene: scene.world.registry.resume()),
    "registry down": Fault(_registry_down, _registry_back),
}
"""What can happen, by the names of the plan."""

"""A story of its own: the topic is deleted under load and made anew.

What was in it is lost by the operator's hand. What is published afterwards must arrive, although
its offsets begin at 0 again, below what the group has read and committed.
"""

import time
import uuid
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.chaos.account import Finding
from tests.chaos.fleet import Fleet
from tests.integration import Product
from tests.integration.events import good_event
from tests.integration.kafka_broker import KafkaBroker
from tests.integration.registry import Registry
from tests.integration.world import PARTITIONS, World

FAULT = "topic recreated"
BEFORE, AFTER = 2000, 800
ARRIVED_SECONDS_MAX = 180.0
LOOK_SECONDS = 0.25


def topic_recreated(
    product: Product,
    *,
    kafka: KafkaBroker,
    registry: Registry,
    pixels: Sequence[str],
    settings: dict[str, str],
    say: Callable[[str], None],
) -> list[Finding]:
    """What was broken: nothing, if all that was published into the new topic was accepted once
    more than not at all, and the group's commits are inside it."""
    world = World(
        kafka=kafka,
        registry=registry,
        product=product,
        unique=lambda stem: f"{stem}-{uuid.uuid4().hex[:8]}",
        pixels=pixels,
        dead_letter_config={},
    )
    fleet = Fleet(world, settings)
    fleet.start(2)
    _publish(world, BEFORE, "before")
    _until(lambda: len(world.accepted()) > BEFORE // 4, fleet)
    _recreate(world)
    say(f"{FAULT}: deleted with {BEFORE} published, {len(world.accepted())} accepted; made anew")
    _publish(world, AFTER, "after")
    wanted = {f"after-{number}" for number in range(AFTER)}
    arrived = _until(lambda: wanted <= world.accepted_ids().keys() and _is_settled(world), fleet)
    missing = sorted(wanted - world.accepted_ids().keys())
    fleet.stop()
    say(f"{FAULT}: {len(missing)} of the {AFTER} published afterwards are missing")
    found = []
    if missing:
        found.append(Finding(f"{len(missing)} of a topic made anew never arrived", tuple(missing)))
    if world.letters():
        found.append(Finding("good events of a topic made anew were dead-lettered", ()))
    if not missing and not arrived:
        found.append(Finding("the commits of a topic made anew do not reach its end", ()))
    return found


def _publish(world: World, count: int, prefix: str) -> None:
    now_ms = int(time.time() * 1000)
    pixels = world.pixels
    world.publish(
        world.encode(good_event(n, pixels[n % len(pixels)], now_ms, prefix=prefix))
        for n in range(count)
    )


def _recreate(world: World) -> None:
    admin = AdminClient({**world.kafka.client_config(), "log_level": "0"})
    admin.delete_topics([world.topic])[world.topic].result(30)
    until = time.monotonic() + ARRIVED_SECONDS_MAX
    while True:
        try:
            world.kafka.create_topic(world.topic, PARTITIONS)
        except (KafkaException, KeyError):  # it is still being deleted, or not yet known
            assert time.monotonic() < until, "the topic cannot be made anew"
            time.sleep(LOOK_SECONDS)
        else:
            return


def _is_settled(world: World) -> bool:
    try:
        committed = world.kafka.committed(world.group, world.topic)
        return committed == world.kafka.end_offsets(world.topic)
    except KafkaException:
        return False


def _until(condition: Callable[[], bool], fleet: Fleet) -> bool:
    until = time.monotonic() + ARRIVED_SECONDS_MAX
    while time.monotonic() < until:
        if condition():
            return True
        fleet.revive()
        time.sleep(LOOK_SECONDS)
    return False

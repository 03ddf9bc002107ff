"""Publishes events with known ids at a steady pace, and poison among them, on a thread of its own.

What was published is known from the broker's acknowledgement; every record's fate is known before.
"""

import hashlib
import random
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from consumer.model import Record, TopicPartition
from consumer.origin import event_id_of
from tests.chaos.account import ACCEPTED, Place, Published
from tests.integration.events import good_event
from tests.integration.world import World

POISON_SHARE = 0.02
NAMELESS_SHARE = 0.02
DEAD_EVERY = 500
"""One record in so many is for the dead pixel, all on partition 0."""

WAITED_FOR_EVERY = 20_000
"""One record in so many names a schema that does not exist: its partition stands still for a
minute, and for another one each time it changes hands."""

HALTED = "destination_halted"
ACKNOWLEDGED_SECONDS_MAX = 120.0
LARGE_BYTES = 980_000

Poison = Callable[[World, dict[str, Any]], bytes | None]
"""What is made of a good event."""


class Spoiled(NamedTuple):
    """One kind of bad record, and the reasons that its dead letter may have."""

    value: Poison
    fates: frozenset[str]


class Publisher:
    """``partitions`` may grow while it publishes. Each of the world's pixels takes events but
    ``dead``, which never does."""

    def __init__(
        self,
        world: World,
        *,
        seed: int,
        per_second: float,
        partitions: int,
        dead: str,
    ) -> None:
        self.partitions = self._partitions_min = partitions
        self.published: list[Published] = []
        self.produced = 0
        self._world, self._dead = world, dead
        self._pixels = [pixel for pixel in world.pixels if pixel != dead]
        self._chance = random.Random(seed)
        self._prefix = f"chaos-{seed}"
        self._pause_seconds = 1 / per_second
        self._stopping = threading.Event()
        self._failed: list[str] = []
        self._fault: BaseException | None = None
        self._producer: Producer = world.producer(
            **{
                "enable.idempotence": "true",
                "message.max.bytes": "2000000",
                "delivery.timeout.ms": "600000",
                "reconnect.backoff.max.ms": "500",
                "topic.metadata.refresh.interval.ms": "1000",
                "log_level": "2",
            }
        )
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Publish until ``stop``."""
        self._thread.start()

    def stop(self) -> None:
        """Publish no more; return when the broker has all of it. Raises AssertionError if not."""
        self._stopping.set()
        self._thread.join()
        if self._fault is not None:
            raise self._fault
        left = self._producer.flush(ACKNOWLEDGED_SECONDS_MAX)
        assert not left, f"{left} records were not written in time"
        assert not self._failed, f"{len(self._failed)} records failed: {self._failed[:3]}"

    def _run(self) -> None:
        try:
            self._publish()
        except BaseException as fault:
            self._fault = fault

    def _publish(self) -> None:
        began = time.monotonic()
        while not self._stopping.is_set():
            self._publish_one()
            self._producer.poll(0)
            ahead = began + self.produced * self._pause_seconds - time.monotonic()
            if ahead > 0:
                self._stopping.wait(ahead)

    def _publish_one(self) -> None:
        number = self.produced
        self.produced += 1
        dead = number % DEAD_EVERY == DEAD_EVERY // 10
        pixel = self._dead if dead else self._pixels[number % len(self._pixels)]
        event = good_event(number, pixel, int(time.time() * 1000), prefix=self._prefix)
        fates = frozenset((HALTED,) if dead else (ACCEPTED,))
        value: bytes | None
        if number % WAITED_FOR_EVERY == WAITED_FOR_EVERY // 2:
            value, fates = SCHEMA_ID_0.value(self._world, event), SCHEMA_ID_0.fates
        elif not dead and self._chance.random() < POISON_SHARE:
            spoiled = POISON[self._chance.choice(list(POISON))]
            value, fates = spoiled.value(self._world, event), spoiled.fates
        else:
            if self._chance.random() < NAMELESS_SHARE:
                del event["eventId"]
            value = self._world.encode(event)
        self._produce(value, event.get("eventId"), fates, partition=0 if dead else None, dead=dead)

    def _produce(
        self,
        value: bytes | None,
        event_id: str | None,
        fates: frozenset[str],
        *,
        partition: int | None,
        dead: bool,
    ) -> None:
        at = time.time()
        readable = not fates & {"undecodable", "unknown_schema"}

        def acknowledged(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._failed.append(error.name())
                return
            place = Place(int(message.partition() or 0), int(message.offset() or 0))
            known = _event_id(self._world.topic, place, message, value, event_id, readable=readable)
            self.published.append(Published(place, known, at, digest_of(value), fates, dead))

        spot = self._chance.randrange(self.partitions) if partition is None else partition
        produce = partial(
            self._producer.produce,
            self._world.topic,
            value=value,
            key=f"key-{self.produced}",
            on_delivery=acknowledged,
        )
        try:
            produce(partition=spot)
        except KafkaException:
            # The client has not heard of the newest partitions yet.
            produce(partition=spot % self._partitions_min)


def digest_of(value: bytes | None) -> bytes:
    """What a value is compared by; null and empty differ."""
    return b"null" if value is None else hashlib.sha256(value).digest()


def _event_id(
    topic: str,
    place: Place,
    message: Message,
    value: bytes | None,
    given: str | None,
    *,
    readable: bool,
) -> str:
    record = Record(
        partition=TopicPartition(topic, place.partition),
        offset=place.offset,
        timestamp_ms=message.timestamp()[1],
        key=None,
        value=value,
        headers=(),
        tenure=0,
    )
    return event_id_of(record, given if readable else None)


def _truncated(world: World, event: dict[str, Any]) -> bytes:
    value = world.encode(event)
    return value[: len(value) // 2]


def _large(world: World, event: dict[str, Any]) -> bytes:
    return world.encode(
        {**event, "user": {"country": "US"}, "customData": {"t": "x" * LARGE_BYTES}}
    )


def _nested(world: World, event: dict[str, Any]) -> bytes:
    depth = 20_000
    return world.encode({**event, "customDataJson": '{"a":' + "[" * depth + "]" * depth + "}"})


def _refused(world: World, event: dict[str, Any]) -> bytes:
    return world.encode({**event, "customData": {"emulator_refuse": "2804019"}})


def _kind(value: Poison, *fates: str) -> Spoiled:
    return Spoiled(value, frozenset(fates))


SCHEMA_ID_0 = _kind(lambda world, event: bytes(5) + world.encode(event)[5:], "unknown_schema")

POISON: Mapping[str, Spoiled] = {
    "undecodable": _kind(lambda world, event: b"\x07 no Avro", "undecodable"),
    "null": _kind(lambda world, event: None, "undecodable"),
    "empty": _kind(lambda world, event: b"", "undecodable"),
    "bad varint": _kind(lambda world, event: world.encode(event)[:5] + b"\xff" * 40, "undecodable"),
    "truncated": _kind(_truncated, "undecodable"),
    "1 MB": _kind(_large, "insufficient_user_data"),
    "nested bomb": _kind(_nested, ACCEPTED),
    "no match key": _kind(
        lambda world, event: world.encode({**event, "user": {"country": "US"}}),
        "insufficient_user_data",
    ),
    "refused by Meta": _kind(_refused, "refused_by_meta"),
}
"""Records that are bad, each in its own way."""

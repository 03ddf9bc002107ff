"""Everything around one consumer group: topics, a schema, Meta's emulator, a publisher.

What happened is read where others would read it: the emulator says what Meta took, the dead-letter
topic what was refused, and the broker what was committed.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import httpx
import orjson
from confluent_kafka import KafkaException, Message, Producer

from consumer.encode import EventEncoder
from consumer.json_lines import Line, read_line
from consumer.schema_plan import event_schema
from tests.integration import POLL_SECONDS, Product, Running
from tests.integration.kafka_broker import KafkaBroker
from tests.integration.registry import Registry

PARTITIONS = 4
TOKEN = "token-of-a-test"
SETTLE_SECONDS_MAX = 90.0
CANARIES = ("@example.com", "+1415555", TOKEN)
"""What every event of ``tests.integration.events`` carries and nobody may ever log."""


class Letter(NamedTuple):
    """A dead letter: its headers without the prefix, and the record's own bytes."""

    headers: dict[str, str]
    key: bytes | None
    value: bytes | None

    @property
    def reason(self) -> str:
        return self.headers["reason"]


class World:
    """One test's own part of the shared broker and registry."""

    def __init__(
        self,
        *,
        kafka: KafkaBroker,
        registry: Registry,
        product: Product,
        unique: Callable[[str], str],
        pixels: Iterable[str],
        dead_letter_config: Mapping[str, str],
    ) -> None:
        self.kafka = kafka
        self.registry = registry
        self.product = product
        self.topic, self.group = unique("events"), unique("group")
        self.dlq_topic = f"{self.topic}.dlq"
        self.pixels = list(pixels)
        kafka.create_topic(self.topic, PARTITIONS)
        kafka.create_topic(self.dlq_topic, PARTITIONS, dict(dead_letter_config))
        self.schema_id = registry.register(f"{self.topic}-value", json.dumps(event_schema()))
        self.encoder = EventEncoder(schema_id=self.schema_id)
        self.published = 0
        arguments = [word for pixel in self.pixels for word in ("--pixel", f"{pixel}={TOKEN}")]
        self.emulator = product.run("emulate", "--port", "0", *arguments, env={})
        line = self.emulator.wait_for_line("listens on http", 30)
        self.meta_url = line.split("listens on ")[1].split()[0]

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a consumer; ``more`` wins."""
        destinations = self._destinations_file()
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "KAFKA_CONSUMER_SESSION_TIMEOUT_MS": "6000",
            "SCHEMA_REGISTRY_URL": self.registry.url,
            "CONVERSIONS_TOPIC": self.topic,
            "CONVERSIONS_GROUP_ID": self.group,
            "CONVERSIONS_DLQ_TOPIC": self.dlq_topic,
            "CONVERSIONS_GRAPH_URL": self.meta_url,
            "CONVERSIONS_DESTINATIONS_FILE": destinations,
            "CONVERSIONS_ACCESS_TOKEN": TOKEN,
            "CONVERSIONS_METRICS_PORT": "0",
            "CONVERSIONS_WINDOW_SECONDS": "0.3",
            **more,
        }

    def consumer(self, **more: str) -> Running:
        """A consumer of the group, as its own process, that has joined."""
        running = self.product.run("run", env=self.environment(**more))
        running.wait_for_line("joined the group", 60)
        return running

    def producer(self, **more: str) -> Producer:
        return Producer({**self.kafka.client_config(), "linger.ms": 20, **more})

    def encode(self, event: Mapping[str, Any]) -> bytes:
        line = read_line(orjson.dumps(event))
        assert isinstance(line, Line), line
        return self.encoder.encode(line.fields)

    def publish(self, values: Iterable[bytes | None], *, producer: Producer | None = None) -> None:
        """Publish values over all partitions, with a key each, and wait for the broker."""
        producer = producer or self.producer()
        for value in values:
            number = self.published
            producer.produce(
                self.topic, value=value, key=f"key-{number}", partition=number % PARTITIONS
            )
            producer.poll(0)
            self.published += 1
        assert producer.flush(30) == 0

    def settle(self, running: Running, *, seconds: float = SETTLE_SECONDS_MAX) -> None:
        """Wait until the group has committed everything that was published."""
        running.wait_until(lambda: self.kafka.lag(self.group, self.topic) == 0, seconds, "lag of 0")

    def _lag(self) -> int | None:
        """The group's lag; None while a broker that has just started cannot tell."""
        try:
            return self.kafka.lag(self.group, self.topic)
        except KafkaException:
            return None

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"no {what} within {seconds} s"
            time.sleep(POLL_SECONDS)

    def accepted(self) -> list[dict[str, Any]]:
        """What Meta took, each event once: ``{"pixel", "receipts", "event", …}``."""
        events: list[dict[str, Any]] = []
        after = 0
        while True:
            answer = self.meta("GET", f"events?after={after}&limit=5000")
            events += answer["events"]
            if not answer["events"]:
                return events
            after = answer["next"]

    def accepted_ids(self) -> Counter[str]:
        return Counter(each["event"]["event_id"] for each in self.accepted())

    def letters(self) -> list[Letter]:
        return [_letter(message) for message in self.kafka.read_all(self.dlq_topic)]

    def meta(self, method: str, path: str, body: Any = None) -> Any:
        """A call to the emulator's own control."""
        answer = httpx.request(
            method, f"{self.meta_url}/_emulator/{path}", json=body, timeout=30, trust_env=False
        )
        answer.raise_for_status()
        return answer.json()

    def assert_silent(self, *processes: Running) -> None:
        """No process has written personal data or a token anywhere."""
        for running in processes:
            output = running.output()
            for canary in CANARIES:
                assert canary not in output

    def _destinations_file(self) -> str:
        path = self.emulator.log_path.parent / f"destinations-{self.group}.json"
        path.write_text(json.dumps([{"id": pixel} for pixel in self.pixels]), encoding="utf-8")
        return str(path)


def metrics_port(running: Running) -> int:
    """The free port that the consumer took, from its start line."""
    line = json.loads(running.wait_for_line('"consuming"', 30))
    return int(str(line["metrics"]).rsplit(":", 1)[1])


def _letter(message: Message) -> Letter:
    found: Any = message.headers() or []
    headers = {name.removeprefix("conversions."): value.decode() for name, value in found}
    return Letter(headers, message.key(), message.value())

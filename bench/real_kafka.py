"""What the measurements on a real Kafka share: the broker, a backlog, a consumer and a cheap Meta.

Each party but the schema registry is a process of its own, and ends with this one.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from confluent_kafka import Producer

from consumer.encode import EventEncoder
from consumer.registry_emulator import RegistryEmulator
from consumer.schema_plan import event_schema
from tests.integration import Child, Metrics, Product, Running
from tests.integration.kafka_broker import KafkaBroker
from tests.tools import KAFKA, find_java, kafka_libs

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "a-token"  # noqa: S105 - of a stand-in
PARTITIONS = 6
TEMPLATES = 300
IMAGE = {"MALLOC_MMAP_THRESHOLD_": "131072"}
"""What the image sets, and no setting of ours."""
MARK = b"900000009"
"""Nine digits that stand in a template for the number of the event."""

_CITIES = ("Berlin", "Lagos", "Krakow", "Nagoya", "Recife", "Oslo")


class Usage(NamedTuple):
    """What a process occupies, in MiB: all that is resident, and its own pages of it."""

    resident: float
    own: float


class Rig:
    """A broker, and what is made on it; see ``rig``."""

    def __init__(
        self, *, kafka: KafkaBroker, registry: RegistryEmulator, product: Product, folder: Path
    ) -> None:
        self.kafka, self._registry, self._product, self._folder = kafka, registry, product, folder
        self._encoder = EventEncoder(
            schema_id=registry.register("events-value", json.dumps(event_schema()))
        )
        self._numbers = count(1)
        self.meta_url = ""
        self._restart_meta()

    def _restart_meta(self) -> None:
        command = [sys.executable, "-m", "bench.cheap_meta"]
        child = Child(command, log_path=self._folder / "meta.log", cwd=ROOT, env=None)
        self.meta_url = child.wait_for_line("listens on", 30).split()[-1]

    def meta(self, **wishes: Any) -> None:
        """Tell the stand-in what to do; see ``cheap_meta.CheapMeta.control``."""
        httpx.post(f"{self.meta_url}/_control", json=wishes, timeout=30, trust_env=False)

    def taken(self) -> dict[str, int]:
        """How many events Meta took, by pixel."""
        taken: dict[str, int] = httpx.get(self.meta_url, timeout=30, trust_env=False).json()
        return taken

    def traffic(self) -> dict[str, int]:
        """``requests`` that Meta took, their ``bodyBytes`` and ``headBytes``."""
        url = f"{self.meta_url}/_traffic"
        came: dict[str, int] = httpx.get(url, timeout=30, trust_env=False).json()
        return {"requests": 0, "bodyBytes": 0, "headBytes": 0, **came}

    def log_bytes(self, topic: str) -> int:
        """What a topic occupies at the broker, which is also what a consumer fetches of it."""
        return sum(path.stat().st_size for path in self._folder.rglob(f"{topic}-*/*.log"))

    def encode(self, event: dict[str, Any]) -> bytes:
        """A record's value, as a publisher makes it."""
        return self._encoder.encode(event)

    def topic(self) -> str:
        """A new topic, with one for its dead letters."""
        name = f"events-{next(self._numbers)}"
        self.kafka.create_topic(name, PARTITIONS)
        self.kafka.create_topic(f"{name}.dlq", PARTITIONS)
        return name

    def templates(self, pixel: str, size_bytes: int) -> list[bytes]:
        """Records of one pixel that differ in everything but their number; at least so large."""
        return [self._template(pixel, number, size_bytes) for number in range(TEMPLATES)]

    def publish(
        self, topic: str, templates: Sequence[bytes], numbers: Iterable[int], partitions: list[int]
    ) -> None:
        """One record for each number, which makes another person of the template's."""
        with self.publishing(topic, partitions) as publish:
            for number in numbers:
                publish(templates[number % len(templates)], number)

    @contextmanager
    def publishing(
        self, topic: str, partitions: Sequence[int] = range(PARTITIONS)
    ) -> Iterator[Callable[[bytes, int], None]]:
        """Publish a template as another person's, by number; all is written at the end."""
        producer = Producer(
            {
                **self.kafka.client_config(),
                "linger.ms": 50,
                "queue.buffering.max.kbytes": 262_144,
                "compression.type": "none",
            }
        )

        def publish(template: bytes, number: int) -> None:
            value = template.replace(MARK, b"%09d" % number)
            partition = partitions[number // 7 % len(partitions)]
            while True:
                try:
                    producer.produce(topic, value=value, key=b"%d" % number, partition=partition)
                    break
                except BufferError:
                    producer.poll(0.1)
            if number % 1000 == 0:
                producer.poll(0)

        yield publish
        if producer.flush(300):
            raise TimeoutError("the backlog was not written")

    @contextmanager
    def consumer(self, topic: str, pixels: Sequence[str], **more: str) -> Iterator[Running]:
        """A consumer of a new group, as its own process, with the settings that we ship,
        as the image runs it."""
        destinations = self._folder / f"{topic}.json"
        destinations.write_text(json.dumps([{"id": pixel} for pixel in pixels]), encoding="utf-8")
        running = self._product.run(
            "run",
            env={
                **IMAGE,
                "PYTHONPATH": str(ROOT),
                "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
                "SCHEMA_REGISTRY_URL": self._registry.url,
                "CONVERSIONS_TOPIC": topic,
                "CONVERSIONS_GROUP_ID": f"group-{next(self._numbers)}",
                "CONVERSIONS_DLQ_TOPIC": f"{topic}.dlq",
                "CONVERSIONS_GRAPH_URL": self.meta_url,
                "CONVERSIONS_DESTINATIONS_FILE": str(destinations),
                "CONVERSIONS_ACCESS_TOKEN": TOKEN,
                "CONVERSIONS_METRICS_PORT": "0",
                **more,
            },
        )
        try:
            yield running
        finally:
            running.kill()

    def _template(self, pixel: str, number: int, size_bytes: int) -> bytes:
        mark = MARK.decode()
        event: dict[str, Any] = {
            "destinationId": pixel,
            "eventName": ("Purchase", "Lead", "StartTrial", "deal_closed")[number % 4],
            "eventTime": int(time.time() * 1000) - 1000 * number,
            "eventId": f"order-{mark}",
            "actionSource": "crm",
            "value": 1.0 + number,
            "currency": "EUR",
            "orderId": mark,
            "user": {
                "email": f"person.{mark}@example.com",
                "phone": f"+4915{mark}",
                "externalId": f"customer-{mark}",
                "firstName": f"Ada{mark}",
                "lastName": f"Lovelace{mark}",
                "city": f"{_CITIES[number % len(_CITIES)]}{mark}",
                "zip": f"{10_000 + number}",
                "country": "DE",
                "dob": f"19{50 + number % 50}-{1 + number % 12:02d}-{1 + number % 28:02d}",
            },
        }
        plain = self._encoder.encode(event)
        if len(plain) >= size_bytes:
            return plain
        event["customData"] = {"text": "x" * (size_bytes - len(plain))}
        return self._encoder.encode(event)


@contextmanager
def rig() -> Iterator[Rig]:
    """Start everything, and end it. Exits with 2 when Kafka or Java is missing."""
    libs, java = kafka_libs(), find_java(KAFKA.java_minimum)
    if libs is None or java is None:
        sys.stderr.write("Kafka or its Java is missing: run `make tools`\n")
        sys.exit(2)
    with tempfile.TemporaryDirectory(prefix="conversions-bench-") as name:
        folder = Path(name)
        registry = RegistryEmulator(port=0)
        kafka = KafkaBroker(java=java, libs=libs, folder=folder, extra_properties={})
        product = Product(command=(sys.executable, "-m", "consumer"), folder=folder)
        registry.start()
        try:
            kafka.start()
            yield Rig(kafka=kafka, registry=registry, product=product, folder=folder)
        finally:
            kafka.close()
            registry.stop()


def usage(process: Running) -> Usage:
    """What it occupies now, as the kernel tells."""
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
    kilobytes = {
        name: float(rest.split()[0])
        for name, _, rest in (line.partition(":") for line in lines)
        if name in ("VmRSS", "RssAnon")
    }
    return Usage(kilobytes["VmRSS"] / 1024, kilobytes["RssAnon"] / 1024)


def cpu_seconds(process: Running) -> float:
    """What it has used so far, in all its threads."""
    stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def metrics_of(process: Running) -> Metrics:
    """What its metrics port shows now."""
    line = json.loads(process.wait_for_line('"consuming"', 60))
    return process.metrics(int(str(line["metrics"]).rsplit(":", 1)[1]))

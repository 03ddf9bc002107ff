"""The whole product in one process: broker, registry, Graph API emulator, publisher, consumer.

The broker is librdkafka's own mock cluster: the real protocol over TCP, without an install.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.request import ProxyHandler, build_opener

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer
from confluent_kafka import TopicPartition as KafkaPartition
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from consumer.demo_events import EXAMPLE, PIXEL, demo_events
from consumer.emulator import Emulator, EmulatorConfig
from consumer.encode import EventEncoder
from consumer.json_lines import Line, read_line
from consumer.logs import configure_logs
from consumer.member import Member
from consumer.registry_emulator import RegistryEmulator
from consumer.schema_plan import event_schema
from consumer.settings import load_settings

TOPIC, DLQ_TOPIC = "conversions.events", "conversions.events.dlq"
PARTITIONS = 4
TOKEN = "demo-token-of-nobody"  # noqa: S105 - for the emulator only
GARBAGE = b"this is no Avro"
UNREAD_MAX = 2000
"""The mock broker keeps few bytes of a partition: the publisher never runs further ahead."""
PATIENCE_SECONDS = 60.0


def run_demo(*, events: int, serve: bool) -> int:
    """Run everything; 0 only if each published event was accepted or dead-lettered, once."""
    probe = Console(highlight=False)
    console = probe if probe.is_terminal else Console(highlight=False, width=80)
    stage = _Stage()
    try:
        stage.start()
        good = _Story(stage, console).tell(events)
        if serve:
            console.print("still running; Ctrl-C ends it")
            stage.wait()
    except KeyboardInterrupt:
        console.print("stopping")
        good = False
    finally:
        stage.stop()
    return 0 if good else 1


class _Stage:
    """All the parts, running."""

    def __init__(self) -> None:
        self._mock = Producer({"test.mock.num.brokers": "1", "log_level": 0})
        broker = next(iter(self._mock.list_topics(timeout=10).brokers.values()))
        self.bootstrap = f"{broker.host}:{broker.port}"
        self.registry = RegistryEmulator(port=0)
        self.emulator = Emulator(
            EmulatorConfig(
                host="127.0.0.1", port=0, pixels={PIXEL: frozenset([TOKEN])}, clock=time.time
            )
        )
        self.letters = _LetterReader(self.bootstrap)
        self.published: list[str] = []
        self.failure: BaseException | None = None
        self._publisher = Producer({"bootstrap.servers": self.bootstrap, "log_level": 0})
        self._thread = threading.Thread(target=self._consume, name="consumer")

    def start(self) -> None:
        """Start everything; the topics exist from then on."""
        self.registry.start()
        self.emulator.start()
        schema = json.dumps(event_schema())
        self._encoder = EventEncoder(schema_id=self.registry.register(f"{TOPIC}-value", schema))
        for topic in (TOPIC, DLQ_TOPIC):
            self._publisher.list_topics(topic, timeout=10)
        overrides: dict[str, Any] = {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "SCHEMA_REGISTRY_URL": self.registry.url,
            "topic": TOPIC,
            "dlq_topic": DLQ_TOPIC,
            "graph_url": self.emulator.url,
            "pixel_id": PIXEL,
            "access_token": TOKEN,
            "window_events": 500,
            "window_seconds": 0.5,
            "commit_seconds": 0.5,
            "grace_seconds": 10,
            "metrics_port": 0,
        }
        log = configure_logs(level="error", log_format="console")
        self.member = Member(load_settings({}, overrides), log=log)
        self._thread.start()

    def publish(self, events: list[dict[str, Any]]) -> None:
        """Publish as a product service would, and wait for the broker."""
        for event in events:
            line = read_line(orjson.dumps(event))
            assert isinstance(line, Line), "the demo's events are sound JSON"
            self._produce(str(event["eventId"]), self._encoder.encode(line.fields))
        self._publisher.flush(10)

    def publish_garbage(self) -> None:
        """One record that is no Avro at all."""
        self._produce("", GARBAGE)
        self._publisher.flush(10)

    def settled(self) -> int:
        """Events that met their fate, as Meta and the dead-letter topic have them."""
        return len(self.emulator.accepted) + len(self.letters.read())

    def settle(self, *, ahead: int) -> None:
        """Wait until at most ``ahead`` events are without a fate."""
        until = time.monotonic() + PATIENCE_SECONDS
        while len(self.published) - self.settled() > ahead and time.monotonic() < until:
            if self.failure is not None:
                return
            time.sleep(0.05)

    def requests(self) -> list[dict[str, Any]]:
        """What the emulator was sent, oldest first."""
        here = build_opener(ProxyHandler({}))  # no proxy of the environment's would find it
        with here.open(f"{self.emulator.url}/_emulator/requests") as answer:
            found: list[dict[str, Any]] = json.load(answer)["requests"]
            return found

    def wait(self) -> None:
        """Until the consumer ends."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def stop(self) -> None:
        """Stop everything, the consumer first."""
        if self._thread.is_alive():
            self.member.stop()
            self._thread.join(20)
        self.letters.close()
        self.emulator.stop()
        self.registry.stop()

    def _produce(self, event_id: str, value: bytes) -> None:
        partition = len(self.published) % PARTITIONS
        self.published.append(event_id)
        self._publisher.produce(TOPIC, value=value, partition=partition)
        self._publisher.poll(0)

    def _consume(self) -> None:
        try:
            self.member.run()
        except BaseException as error:
            self.failure = error


class _LetterReader:
    """Reads the dead-letter topic as any tool could: a client of its own, headers only."""

    def __init__(self, bootstrap: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "demo-letters", "log_level": 0}
        )
        self._consumer.assign(
            [KafkaPartition(DLQ_TOPIC, each, OFFSET_BEGINNING) for each in range(PARTITIONS)]
        )
        self._letters: list[dict[str, str]] = []

    def read(self) -> list[dict[str, str]]:
        """Every dead letter so far, as its headers without their prefix."""
        for message in self._consumer.consume(500, 0.02):
            if message.error() is None:
                headers: Any = message.headers() or []
                self._letters.append(
                    {name.removeprefix("conversions."): value.decode() for name, value in headers}
                )
        return self._letters

    def close(self) -> None:
        """Close the client."""
        self._consumer.close()


class _Story:
    """What is shown, in 80 columns and just as well in a plain log."""

    def __init__(self, stage: _Stage, console: Console) -> None:
        self._stage = stage
        self._console = console

    def tell(self, events: int) -> bool:
        """Everything in order; True when each event met its fate, exactly once."""
        stage = self._stage
        self._title("Everything runs in this process: no account, no Docker")
        self._say(f"broker    {stage.bootstrap} (librdkafka's mock cluster, over TCP)")
        self._say(f"registry  {stage.registry.url}")
        self._say(f"Meta      {stage.emulator.url} (a strict emulator of the Graph API)")
        self._say(f"metrics   {stage.member.address}/metrics (and /livez, /readyz)")
        self._title("One event, before and after")
        example = {**EXAMPLE, "eventTime": int(time.time())}
        stage.publish([example])
        stage.settle(ahead=0)
        self._say("published, as Avro:")
        self._json(example)
        self._say("what Meta got:")
        self._json(stage.emulator.accepted[0].event if stage.emulator.accepted else {})
        self._title(f"{events} events, about one in a hundred bad")
        self._flow(events)
        self._title("One poisoned batch, taken apart")
        self._isolation()
        self._title("Dead letters, with the reason in their headers")
        self._dead_letters()
        self._title("Result")
        return self._result()

    def _flow(self, events: int) -> None:
        stage, console = self._stage, self._console
        columns = (
            TextColumn("  settled"),
            BarColumn(34),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=events + 2)
            for chunk in _chunks(demo_events(events, now_ms=time.time_ns() // 1_000_000), 500):
                stage.publish(chunk)
                stage.settle(ahead=UNREAD_MAX)
                bar.update(task, completed=stage.settled())
                if not console.is_terminal:
                    self._say(f"{len(stage.published)} published, {stage.settled()} settled")
            stage.publish_garbage()
            until = time.monotonic() + PATIENCE_SECONDS
            while not stage.failure and stage.settled() < len(stage.published):
                if time.monotonic() > until:
                    break
                bar.update(task, completed=stage.settled())
                time.sleep(0.05)
            bar.update(task, completed=stage.settled())
        self._say(f"{len(stage.published)} published, {stage.settled()} settled")

    def _isolation(self) -> None:
        letter = next(
            (each for each in self._stage.letters.read() if "error_subcode" in each), None
        )
        if letter is None:
            self._say("no event was refused by Meta")
            return
        poison = letter["event_id"]
        requests = self._stage.requests()
        refused = [each for each in requests if poison in each["event_ids"]]
        batch = set(refused[0]["event_ids"])
        self._say("Meta refuses a whole batch for one bad event, and does not say which:")
        for each in requests:
            if batch >= set(each["event_ids"]):
                mark = "refused" if each["verdict"] == "refused" else "accepted"
                self._say(f"  {each['events']:4} events sent   {mark}")
        self._say(f"found {poison}: code {letter['error_code']}/{letter['error_subcode']}")
        self._say(f"Meta's trace id {letter['trace_id']} is in its dead letter")

    def _dead_letters(self) -> None:
        letters = self._stage.letters.read()
        counts = Counter(letter["reason"] for letter in letters)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("count", justify="right")
        for name in ("reason", "an example", "Meta's trace id"):
            table.add_column(name, no_wrap=True)
        for reason, count in counts.most_common():
            example = next(letter for letter in letters if letter["reason"] == reason)
            trace_id = example.get("trace_id", "-") if "error_code" in example else "-"
            table.add_row(str(count), reason, example.get("event_id", "")[:14], trace_id)
        self._console.print(table)

    def _result(self) -> bool:
        stage = self._stage
        published = Counter(each for each in stage.published if each)
        accepted = Counter(str(each.event["event_id"]) for each in stage.emulator.accepted)
        letters = stage.letters.read()
        garbage = sum(letter["reason"] == "undecodable" for letter in letters)
        dead = Counter(e["event_id"] for e in letters if e["reason"] != "undecodable")
        good = published == accepted + dead and garbage == 1 and stage.failure is None
        for name, count in (
            ("published", len(stage.published)),
            ("accepted by Meta", accepted.total()),
            ("dead-lettered", len(letters)),
            ("without a fate", len(stage.published) - accepted.total() - len(letters)),
        ):
            self._say(f"{name:<18}{count:>7}")
        if stage.failure is not None:
            self._say(f"the consumer failed: {type(stage.failure).__name__}")
        verdict = "every event met exactly one fate" if good else "NOT every event met one fate"
        self._say(verdict)
        return good

    def _title(self, text: str) -> None:
        self._console.print(f"\n[bold]{text}[/bold]")

    def _say(self, text: str) -> None:
        self._console.print(f"  {text}", markup=False)

    def _json(self, value: Any) -> None:
        for line in json.dumps(value, indent=2).splitlines():
            # A hash of 64 characters and its key have to fit into 80 columns.
            self._console.print(f"    {line.strip() if len(line) > 74 else line}", markup=False)


def _chunks(events: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    while chunk := list(islice(events, size)):
        yield chunk

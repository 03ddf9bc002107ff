"""What docker-compose.yml starts, started: all of it but Grafana and kafka-ui.

Apache Kafka's image turns its environment into a configuration and formats its data folder with a
program that is part of Kafka itself, and that is run here; so are the programs behind its scripts.
What is tried is what the images would do, but for the images: only names and ports of compose's
network are replaced by local ones.
"""

import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from consumer.schema_plan import event_schema
from consumer.settings import load_settings
from tests.compose_file import (
    PAGE_PATH,
    ROOT,
    all_services,
    command_of,
    environment_of,
    health_check,
    local_environment,
    replaced,
    run,
)
from tests.compose_processes import RULES_PATH, Alertmanager, Prometheus, wait_until
from tests.faster_rules import faster
from tests.integration import Child, Product, free_ports
from tests.integration.conftest import _needed
from tests.tools import APICURIO, KAFKA, KAFKA_TOOLS, apicurio_home, kafka_libs, kafka_tools_libs

pytestmark = pytest.mark.integration

ANSWER_SECONDS_MAX = 30.0
START_SECONDS_MAX = 120.0
DATA = "/var/lib/kafka/data"
SCRIPTS = "/opt/kafka/bin"
REPLICAS = 3
DAY_MS = 24 * 3600 * 1000
HEADERS_BYTES = 16 * 1024
FACTOR = 100
"""The alerts' durations are divided by this."""


class Stack:
    """Kafka, its topics and the registry, each with compose's environment and command."""

    def __init__(self, folder: Path) -> None:
        self.internal, self.external, self.controller, self.http, self._management = free_ports(5)
        self._folder = folder
        self._children: list[Child] = []
        self._scripts: Path | None = None

    @property
    def ports(self) -> dict[str, int]:
        """Of the services, for ``local_environment``."""
        return {"kafka": self.internal, "registry": self.http}

    def start_kafka(self) -> AdminClient:
        """Configure, format and start as the image does; a client by the port for this machine."""
        libs, java = _needed(KAFKA, kafka_libs())
        jvm: list[str | Path] = [java, "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", f"{libs}/*"]
        folders = {name: self._folder / name for name in ("default", "mounted", "final")}
        for folder in folders.values():
            folder.mkdir()
        for name in ("server.properties", "log4j2.yaml", "tools-log4j2.yaml"):
            (folders["default"] / name).touch()
        configure: list[str | Path] = [*jvm, "kafka.docker.KafkaDockerWrapper", "setup"]
        for name, folder in folders.items():
            configure += [f"--{name}-configs-dir", folder]
        setup = self._child("setup", configure, self._for_kafka())
        assert setup.wait(START_SECONDS_MAX) == 0, setup.tail()
        kafka = self._child("kafka", [*jvm, "kafka.Kafka", folders["final"] / "server.properties"])
        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{self.external}", "log_level": 2})
        kafka.wait_until(lambda: _answers(admin), START_SECONDS_MAX, "metadata from the broker")
        return admin

    def make_topics(self) -> None:
        """The one-shot service, to its end."""
        changes = {SCRIPTS: str(self.scripts()), "kafka:19092": f"127.0.0.1:{self.internal}"}
        words = replaced([*all_services()["topics"]["entrypoint"], *command_of("topics")], changes)
        done = run(words, seconds=START_SECONDS_MAX)
        assert done.returncode == 0, done.stdout

    def scripts(self) -> Path:
        """A folder like that of the image's scripts, with those that compose calls."""
        if self._scripts is None:
            libs, java = _needed(KAFKA, kafka_libs())
            tools, _ = _needed(KAFKA_TOOLS, kafka_tools_libs())
            jvm = [str(java), "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", f"{libs}/*:{tools}/*"]
            self._scripts = self._folder / "bin"
            self._scripts.mkdir()
            for name, program in (
                ("kafka-topics.sh", "TopicCommand"),
                ("kafka-broker-api-versions.sh", "BrokerApiVersionsCommand"),
            ):
                words = shlex.join([*jvm, f"org.apache.kafka.tools.{program}"])
                script = self._scripts / name
                script.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
                script.chmod(0o700)
        return self._scripts

    def start_registry(self) -> str:
        """Start it, and wait for compose's health check; returns its address."""
        home, java = _needed(APICURIO, apicurio_home())
        environment = local_environment("registry", self.ports)
        local = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": self.http,
            "quarkus.management.host": "127.0.0.1",
            "quarkus.management.port": self._management,
        }
        properties = [f"-D{name}={value}" for name, value in local.items()]
        jvm: list[str | Path] = [java, "-Xmx400m", "-XX:TieredStopAtLevel=1", *properties]
        registry = self._child("registry", [*jvm, "-jar", home / "quarkus-run.jar"], environment)
        changes = {"127.0.0.1/8080": f"127.0.0.1/{self.http}"}
        registry.wait_until(
            lambda: health_check("registry", changes) == 0, START_SECONDS_MAX, "good health"
        )
        return f"http://127.0.0.1:{self.http}/apis/ccompat/v7"

    def close(self) -> None:
        for child in self._children:
            child.kill()

    def _for_kafka(self) -> dict[str, str]:
        ports = {"19092": self.internal, "9092": self.external, "9093": self.controller}
        environment = {"CLUSTER_ID": "a-cluster-of-one-test-", "KAFKA_VERSION": KAFKA.version}
        for name, value in environment_of("kafka").items():
            # An empty host listens on every address; here on one.
            text = re.sub(r"(?<=//)(?=:)|\bkafka(?=:\d)", "127.0.0.1", value)
            text = re.sub(r"(?<=:)\d+\b", lambda found: str(ports[found[0]]), text)
            environment[name] = text.replace(DATA, str(self._folder / "data"))
        return environment

    def _child(
        self, name: str, command: list[str | Path], environment: dict[str, str] | None = None
    ) -> Child:
        child = Child(
            command,
            log_path=self._folder / f"{name}.log",
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], **(environment or {})},
        )
        self._children.append(child)
        return child


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("compose"))
    try:
        yield stack
    finally:
        stack.close()


@pytest.fixture(scope="module")
def admin(stack: Stack) -> AdminClient:
    """A client of the broker, on which the topics have been made."""
    admin = stack.start_kafka()
    stack.make_topics()
    return admin


@pytest.fixture(scope="module")
def registry(stack: Stack, admin: AdminClient) -> str:
    """The registry's address; ``admin`` is there because it keeps its schemas in Kafka."""
    return stack.start_registry()


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[list[Callable[[], None]]]:
    """What is called in the end, the last one first."""
    calls: list[Callable[[], None]] = []
    yield calls
    for call in reversed(calls):
        call()


def test_kafka_takes_what_compose_tells_it_and_its_health_check_tells(
    stack: Stack, admin: AdminClient
) -> None:
    assert _address(admin) == f"127.0.0.1:{stack.external}"
    inside = AdminClient({"bootstrap.servers": f"127.0.0.1:{stack.internal}"})
    assert _address(inside) == f"127.0.0.1:{stack.internal}"
    (closed,) = free_ports(1)
    for port, well in ((stack.internal, True), (closed, False)):
        changes = {SCRIPTS: str(stack.scripts()), "kafka:19092": f"127.0.0.1:{port}"}
        assert (health_check("kafka", changes) == 0) is well


def test_the_topics_are_the_consumers_and_fit_for_dead_letters(
    stack: Stack, admin: AdminClient
) -> None:
    settings = load_settings(environment_of("consumer"))
    stack.make_topics()  # as every `docker compose up` does
    topics = admin.list_topics(timeout=ANSWER_SECONDS_MAX).topics
    made = {name: topic for name, topic in topics.items() if name.startswith("conversions")}
    assert made.keys() == {settings.topic, settings.dlq_topic}
    assert len(made[settings.topic].partitions) == 6
    source, letters = (_describe(admin, name) for name in (settings.topic, settings.dlq_topic))
    assert letters["cleanup.policy"] == source["cleanup.policy"] == "delete"
    assert int(source["retention.ms"]) >= 7 * DAY_MS
    assert int(letters["retention.ms"]) == 30 * DAY_MS
    event_max = int(source["max.message.bytes"])
    assert int(letters["max.message.bytes"]) > event_max + HEADERS_BYTES


def test_the_registry_takes_what_compose_tells_it(admin: AdminClient, registry: str) -> None:
    subject = f"{registry}/subjects/compose-value/versions"
    schema = {"schema": json.dumps(event_schema())}
    assert httpx.post(subject, json=schema, timeout=ANSWER_SECONDS_MAX, trust_env=False).is_success
    assert _json(f"{registry}/config") == {"compatibilityLevel": "FULL_TRANSITIVE"}
    # In Kafka, hence there after a restart, like the records that name it.
    assert "kafkasql-journal" in admin.list_topics(timeout=ANSWER_SECONDS_MAX).topics


def test_an_event_goes_all_the_way_and_an_absent_consumer_is_an_alert(
    stack: Stack, registry: str, tmp_path: Path, ends: list[Callable[[], None]]
) -> None:
    """The page's own example, to three replicas, seen by Prometheus; then they are stopped."""
    assert registry
    product = Product(command=(sys.executable, "-m", "consumer"), folder=tmp_path)
    ends.append(product.close)
    emulator_port, *metrics_ports = free_ports(1 + REPLICAS)
    words = replaced(command_of("emulator"), {"0.0.0.0": "127.0.0.1", "8080": str(emulator_port)})  # noqa: S104 - what we replace
    emulator = product.run(*words, env={})
    emulator.wait_for_line(f"http://127.0.0.1:{emulator_port}", START_SECONDS_MAX)

    environment = local_environment("consumer", stack.ports | {"emulator": emulator_port})
    replicas = [
        product.run(
            *command_of("consumer"),
            env=environment
            | {"CONVERSIONS_METRICS_HOST": "127.0.0.1", "CONVERSIONS_METRICS_PORT": str(port)},
        )
        for port in metrics_ports
    ]
    manager = Alertmanager(_folder(tmp_path, "alertmanager"))
    ends.append(manager.child.kill)
    prometheus = _prometheus(tmp_path, metrics_ports, manager)
    ends.append(prometheus.child.kill)

    said = run(
        [sys.executable, "-m", "consumer", *command_of("publisher")],
        env=local_environment("publisher", stack.ports) | {"PYTHONPATH": str(ROOT)},
        told=_example(),
        seconds=START_SECONDS_MAX,
    )
    assert said.returncode == 0, said.stdout

    def accepted() -> float:
        counted = 'sum(conversions_events_total{outcome="accepted", job="conversions-consumer"})'
        return sum(float(each["value"][1]) for each in prometheus.query(counted))

    wait_until(lambda: accepted() == 1, replicas[0].tail)
    assert _json(f"http://127.0.0.1:{emulator_port}/_emulator/stats")["events_unique"] == 1
    # What the dashboards' variables ask for, and what keeps an alert about partitions quiet.
    labels = prometheus.get("label/job/values", {"match[]": "conversions_build_info"})
    assert labels == ["conversions-consumer"]
    assigned = "sum(conversions_kafka_assigned_partitions)"
    wait_until(
        lambda: [each["value"][1] for each in prometheus.query(assigned)] == ["6"],
        lambda: prometheus.query("conversions_kafka_assigned_partitions"),
    )
    assert len(prometheus.query("conversions_build_info")) == REPLICAS

    for replica in replicas:
        replica.terminate()
    for replica in replicas:
        assert replica.wait(START_SECONDS_MAX) == 0
    wait_until(lambda: "ConversionsConsumerAbsent" in _told(manager), lambda: _told(manager))


def _prometheus(folder: Path, scraped: list[int], manager: Alertmanager) -> Prometheus:
    rules = folder / "faster.yaml"
    shipped = all_services()["prometheus"]["volumes"]
    (path,) = [mount.split(":")[0] for mount in shipped if f":{RULES_PATH}:" in mount]
    rules.write_text(faster((ROOT / path).read_text(encoding="utf-8"), FACTOR), encoding="utf-8")
    own = _folder(folder, "prometheus")
    return Prometheus(own, scraped=scraped, manager=manager.url, rules=rules)


def _told(manager: Alertmanager) -> set[str]:
    """The alerts of the consumer that are told, not kept quiet."""
    states = manager.states("conversions-consumer")
    return {dict(labels)["alertname"] for labels, state in states.items() if state == "active"}


def _example() -> str:
    """The line that the page gives to begin with, of now."""
    (line,) = re.findall(r"^```json\n(.+)\n```$", PAGE_PATH.read_text("utf-8"), re.MULTILINE)
    event: dict[str, Any] = json.loads(line)
    event["eventTime"] = datetime.fromtimestamp(time.time() - 60, UTC).isoformat()
    return json.dumps(event) + "\n"


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


def _json(address: str) -> Any:
    return httpx.get(address, timeout=ANSWER_SECONDS_MAX, trust_env=False).json()


def _answers(admin: AdminClient) -> bool:
    try:
        return bool(admin.list_topics(timeout=1.0).brokers)
    except KafkaException:
        return False


def _address(admin: AdminClient) -> str:
    """Where clients of this listener are told to come back to."""
    (broker,) = admin.list_topics(timeout=ANSWER_SECONDS_MAX).brokers.values()
    return f"{broker.host}:{broker.port}"


def _describe(admin: AdminClient, name: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    found = admin.describe_configs([resource])[resource].result(ANSWER_SECONDS_MAX)
    return {entry.name: str(entry.value) for entry in found.values()}

"""What docker-compose.yml tells Kafka and the registry, told to the real ones.

Apache Kafka's image turns its environment into a configuration and formats its data folder with a
program that is part of Kafka itself, and that is run here. So what is tried is what the image would
do, but for the image; only names and ports of compose's network are replaced by local ones.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.cimpl import NewTopic

from consumer.schema_plan import event_schema
from tests.integration import Child, free_ports
from tests.integration.conftest import _needed
from tests.test_compose import Topic, asked_topics, environment_of, health_check, on_this_host
from tests.tools import APICURIO, KAFKA, apicurio_home, kafka_libs

pytestmark = pytest.mark.integration

ANSWER_SECONDS_MAX = 30.0
START_SECONDS_MAX = 120.0
DATA = "/var/lib/kafka/data"


class Stack:
    """Kafka and the registry, each with compose's environment."""

    def __init__(self, folder: Path) -> None:
        self.internal, self.external, self.controller, self.http, self._management = free_ports(5)
        self._folder = folder
        self._children: list[Child] = []

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

    def start_registry(self) -> str:
        """Start it, and wait for compose's health check; returns its address."""
        home, java = _needed(APICURIO, apicurio_home())
        given = environment_of("registry").items()
        environment = {name: on_this_host(value, {"kafka": self.internal}) for name, value in given}
        local = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": self.http,
            "quarkus.management.host": "127.0.0.1",
            "quarkus.management.port": self._management,
        }
        properties = [f"-D{name}={value}" for name, value in local.items()]
        jvm: list[str | Path] = [java, "-Xmx400m", "-XX:TieredStopAtLevel=1", *properties]
        registry = self._child("registry", [*jvm, "-jar", home / "quarkus-run.jar"], environment)
        replaced = {"127.0.0.1/8080": f"127.0.0.1/{self.http}"}
        registry.wait_until(
            lambda: health_check("registry", replaced) == 0, START_SECONDS_MAX, "good health"
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


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path)
    try:
        yield stack
    finally:
        stack.close()


def test_kafka_and_the_registry_take_what_compose_tells_them(stack: Stack, tmp_path: Path) -> None:
    admin = stack.start_kafka()
    assert _address(admin) == f"127.0.0.1:{stack.external}"
    inside = AdminClient({"bootstrap.servers": f"127.0.0.1:{stack.internal}"})
    assert _address(inside) == f"127.0.0.1:{stack.internal}"

    topics = asked_topics(tmp_path)
    for topic in topics:
        _create(admin, topic)

    # The registry takes its time, in which the broker has come to know the topics.
    registry = stack.start_registry()
    for topic in topics:
        described = _describe(admin, topic.name)
        assert {name: described[name] for name in topic.config} == topic.config
    subject = f"{registry}/subjects/conversions.events-value/versions"
    schema = {"schema": json.dumps(event_schema())}
    assert httpx.post(subject, json=schema, timeout=ANSWER_SECONDS_MAX, trust_env=False).is_success
    level = httpx.get(f"{registry}/config", timeout=ANSWER_SECONDS_MAX, trust_env=False).json()
    assert level == {"compatibilityLevel": "FULL_TRANSITIVE"}
    # In Kafka, hence there after a restart, like the records that name it.
    assert "kafkasql-journal" in admin.list_topics(timeout=ANSWER_SECONDS_MAX).topics


def _answers(admin: AdminClient) -> bool:
    try:
        return bool(admin.list_topics(timeout=1.0).brokers)
    except KafkaException:
        return False


def _address(admin: AdminClient) -> str:
    """Where clients of this listener are told to come back to."""
    (broker,) = admin.list_topics(timeout=ANSWER_SECONDS_MAX).brokers.values()
    return f"{broker.host}:{broker.port}"


def _create(admin: AdminClient, topic: Topic) -> None:
    wanted = NewTopic(topic.name, topic.partitions, topic.replicas, config=topic.config)
    admin.create_topics([wanted])[topic.name].result(ANSWER_SECONDS_MAX)


def _describe(admin: AdminClient, name: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    found = admin.describe_configs([resource])[resource].result(ANSWER_SECONDS_MAX)
    return {entry.name: str(entry.value) for entry in found.values()}

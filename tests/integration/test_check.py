"""``conversions check`` against the real Kafka and the real registry, and Meta's emulator.

First everything is as it should be and all is green. Then one thing after the other is planted,
and is found, under its own name, while the rest stays green.
"""

import json
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from consumer.check import run_check
from consumer.emulator import Emulator, EmulatorConfig
from consumer.schema_plan import event_schema
from consumer.settings import load_settings
from tests.integration import free_ports
from tests.integration.kafka_broker import KafkaBroker
from tests.integration.registry import Registry
from tests.tools import KAFKA, find_java, kafka_libs

pytestmark = pytest.mark.integration

PIXEL = "1729525464415281"
TOKEN = "token-canary-5f0c"
PASSWORD = "password-canary-91"
PARTITIONS = 3
DAY_MS = 24 * 3600 * 1000
ROOMY = {"max.message.bytes": str(1048588 + 16 * 1024), "retention.ms": str(30 * DAY_MS)}
SECONDS_MAX = 16.0


class Told(NamedTuple):
    """What one check said: its exit code, and of each subject the verdict and the finding."""

    code: int
    findings: dict[str, dict[str, str]]
    seconds: float

    @property
    def not_green(self) -> dict[str, str]:
        """Subject to verdict, of those that are not ok."""
        return {
            subject: finding["verdict"]
            for subject, finding in self.findings.items()
            if finding["verdict"] != "ok"
        }


class Bench:
    """Topics, a subject and a pixel of one test's own, and a check of them."""

    def __init__(
        self, kafka: KafkaBroker, registry: Registry, emulator: Emulator, topic: str
    ) -> None:
        self.kafka, self.registry = kafka, registry
        self.topic, self.letters, self.group = topic, f"{topic}.dlq", f"{topic}-group"
        self.variables = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
            "SCHEMA_REGISTRY_URL": registry.url,
            "CONVERSIONS_TOPIC": self.topic,
            "CONVERSIONS_DLQ_TOPIC": self.letters,
            "CONVERSIONS_GROUP_ID": self.group,
            "CONVERSIONS_GRAPH_URL": emulator.url,
            "CONVERSIONS_PIXEL_ID": PIXEL,
            "CONVERSIONS_ACCESS_TOKEN": TOKEN,
        }

    def build(
        self,
        *,
        source: dict[str, str] | None = None,
        letters: dict[str, str] | None = None,
        schema: Any = None,
    ) -> "Bench":
        self.kafka.create_topic(self.topic, PARTITIONS, source or {})
        self.kafka.create_topic(self.letters, 1, ROOMY | (letters or {}))
        self.registry.register(f"{self.topic}-value", json.dumps(schema or event_schema()))
        self.level("FULL_TRANSITIVE")
        return self

    def level(self, compatibility: str) -> None:
        url = f"{self.registry.url}/config/{self.topic}-value"
        body = {"compatibility": compatibility}
        httpx.put(url, json=body, timeout=10, trust_env=False).raise_for_status()


Check = Callable[..., Told]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """Runs the check of a bench with some variables changed, in this process."""

    def run(bench: Bench, **changed: str) -> Told:
        settings = load_settings(bench.variables | changed)
        capsys.readouterr()
        began = time.monotonic()
        code = run_check(settings, as_json=True)
        seconds = time.monotonic() - began
        output = capsys.readouterr()
        for secret in (TOKEN, PASSWORD):
            assert secret not in output.out + output.err
        assert output.err == ""
        answer = json.loads(output.out)
        assert answer["ok"] is (code == 0)
        return Told(code, {each["subject"]: each for each in answer["findings"]}, seconds)

    return run


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    pixels = {PIXEL: frozenset({TOKEN})}
    emulator = Emulator(EmulatorConfig(host="127.0.0.1", port=0, pixels=pixels, clock=time.time))
    emulator.start()
    yield emulator
    emulator.stop()


@pytest.fixture
def bench(
    kafka: KafkaBroker, registry: Registry, emulator: Emulator, unique: Callable[[str], str]
) -> Bench:
    return Bench(kafka, registry, emulator, unique("checked"))


def test_all_is_green_when_all_is_as_it_should_be(bench: Bench, check: Check) -> None:
    told = check(bench.build())

    assert told.not_green == {}
    assert told.code == 0
    assert list(told.findings) == [
        "settings",
        "brokers",
        "topic",
        "topic cleanup",
        "topic retention",
        "topic record size",
        "group",
        "offsets",
        "dead letters",
        "dead letters cleanup",
        "dead letters retention",
        "dead letters record size",
        "replay",
        "registry",
        "subject",
        "schema",
        "compatibility",
        "compatibility level",
        "Graph version",
        "destinations",
        "Graph API",
        f"pixel {PIXEL}",
        "clock",
        f"token of {PIXEL}",
    ]
    assert "has 3 partitions" in told.findings["topic"]["told"]


def test_a_missing_topic_is_not_made_by_asking_for_it(bench: Bench, check: Check) -> None:
    bench.build()
    nowhere = f"{bench.topic}-nowhere"

    told = check(bench, CONVERSIONS_TOPIC=nowhere)

    assert told.code == 1
    assert told.not_green == {
        "topic": "failed",
        "dead letters record size": "skipped",
        "subject": "failed",
    }
    assert "CONVERSIONS_TOPIC" in told.findings["topic"]["advice"]
    admin = AdminClient({**bench.kafka.client_config()})
    assert nowhere not in admin.list_topics(timeout=10).topics


def test_a_missing_dead_letter_topic_fails(bench: Bench, check: Check) -> None:
    bench.build()

    told = check(bench, CONVERSIONS_DLQ_TOPIC="nowhere.dlq")

    assert told.code == 1
    assert told.not_green == {"dead letters": "failed"}


class Planted(NamedTuple):
    """A configuration of one of the two topics, and how it is found."""

    source: dict[str, str]
    letters: dict[str, str]
    subject: str
    verdict: str


@pytest.mark.parametrize(
    "planted",
    [
        Planted({}, {"cleanup.policy": "compact"}, "dead letters cleanup", "failed"),
        Planted({}, {"max.message.bytes": "1048588"}, "dead letters record size", "failed"),
        Planted({}, {"retention.ms": "86400000"}, "dead letters retention", "warning"),
        Planted({}, {"retention.ms": "-1"}, "dead letters retention", "warning"),
        Planted({"cleanup.policy": "compact"}, {}, "topic cleanup", "warning"),
        Planted({"retention.ms": "86400000"}, {}, "topic retention", "warning"),
    ],
)
def test_a_topic_that_would_lose_something_is_found(
    bench: Bench, check: Check, planted: Planted
) -> None:
    told = check(bench.build(source=planted.source, letters=planted.letters))

    assert told.code == (1 if planted.verdict == "failed" else 0)
    assert told.not_green == {planted.subject: planted.verdict}
    assert "kafka-configs --alter" in told.findings[planted.subject]["advice"]


def test_records_lost_to_retention_are_counted(bench: Bench, check: Check) -> None:
    bench.build()
    producer = Producer(bench.kafka.client_config())
    for _ in range(10):
        producer.produce(bench.topic, b"x", partition=0)
    assert producer.flush(30) == 0
    consumer = Consumer(bench.kafka.client_config() | {"group.id": bench.group})
    consumer.commit(offsets=[TopicPartition(bench.topic, 0, 2)], asynchronous=False)
    consumer.close()
    within = check(bench)
    admin = AdminClient({**bench.kafka.client_config()})
    for removed in admin.delete_records([TopicPartition(bench.topic, 0, 7)]).values():
        removed.result(30)

    told = check(bench)

    assert within.not_green == {}
    assert "1 of 3 partitions" in within.findings["group"]["told"]
    assert "8 offsets to go" in within.findings["offsets"]["told"]
    assert told.not_green == {"offsets": "warning"}
    assert "up to 5 records of partition 0" in told.findings["offsets"]["told"]


def test_a_wrong_token_fails(bench: Bench, check: Check) -> None:
    told = check(bench.build(), CONVERSIONS_ACCESS_TOKEN="another-one")

    assert told.code == 1
    assert told.not_green == {f"pixel {PIXEL}": "failed", f"token of {PIXEL}": "failed"}
    assert "CONVERSIONS_ACCESS_TOKEN" in told.findings[f"pixel {PIXEL}"]["advice"]


@pytest.mark.parametrize(("behind", "verdict"), [(120, "warning"), (400, "failed")])
def test_a_clock_that_goes_wrong_is_seen_by_metas_answers(
    bench: Bench, check: Check, behind: int, verdict: str
) -> None:
    meta = Emulator(
        EmulatorConfig(
            host="127.0.0.1",
            port=0,
            pixels={PIXEL: frozenset({TOKEN})},
            clock=lambda: time.time() + behind,
        )
    )
    meta.start()
    told = check(bench.build(), CONVERSIONS_GRAPH_URL=meta.url)
    meta.stop()

    assert told.not_green == {"clock": verdict}
    assert "seconds behind Meta's" in told.findings["clock"]["told"]


def test_an_unknown_pixel_is_warned_of_because_reading_may_be_what_is_missing(
    bench: Bench, check: Check
) -> None:
    told = check(bench.build(), CONVERSIONS_PIXEL_ID="99")

    assert told.code == 0
    assert told.not_green == {"pixel 99": "warning"}
    assert "unknown, or the token has no access" in told.findings["pixel 99"]["told"]


def test_a_topic_without_a_subject_fails(bench: Bench, check: Check) -> None:
    bench.build()
    other = f"{bench.topic}.other"
    bench.kafka.create_topic(other, 1)

    told = check(bench, CONVERSIONS_TOPIC=other)

    assert told.code == 1
    assert told.not_green == {"subject": "failed"}
    assert f"{other}-value" in told.findings["subject"]["told"]


def test_a_schema_that_is_none_of_ours_fails(bench: Bench, check: Check) -> None:
    strange = {"type": "record", "name": "Z", "fields": [{"name": "id", "type": "string"}]}

    told = check(bench.build(schema=strange))

    assert told.code == 1
    assert told.not_green == {"schema": "failed", "compatibility": "warning"}


def test_a_weaker_compatibility_level_is_warned_of(bench: Bench, check: Check) -> None:
    bench.build()
    bench.level("BACKWARD")

    told = check(bench)

    assert told.not_green == {"compatibility level": "warning"}
    assert "FULL_TRANSITIVE" in told.findings["compatibility level"]["advice"]


def test_an_address_that_is_no_registrys_is_told_from_a_missing_subject(
    bench: Bench, check: Check
) -> None:
    bench.build()
    root = bench.registry.url.removesuffix("/apis/ccompat/v7")

    told = check(bench, SCHEMA_REGISTRY_URL=root)

    assert told.not_green == {"registry": "failed"}
    assert "/apis/ccompat/v7" in told.findings["registry"]["advice"]


def test_a_registry_that_takes_connections_and_never_answers_fails_in_time(
    bench: Bench, check: Check
) -> None:
    bench.build()
    bench.registry.pause()
    try:
        told = check(bench)
    finally:
        bench.registry.resume()

    assert told.not_green == {"registry": "failed"}
    assert "no answer in time" in told.findings["registry"]["told"]
    assert told.seconds < SECONDS_MAX


def test_when_everything_is_down_each_party_is_named_in_time(bench: Bench, check: Check) -> None:
    ports = free_ports(3)

    told = check(
        bench,
        KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{ports[0]}",
        SCHEMA_REGISTRY_URL=f"http://127.0.0.1:{ports[1]}",
        CONVERSIONS_GRAPH_URL=f"http://127.0.0.1:{ports[2]}",
    )

    assert told.code == 1
    expected = {"brokers": "failed", "registry": "failed", "Graph API": "failed"}
    assert told.not_green == {**expected, f"token of {PIXEL}": "skipped"}
    assert "no broker answered within 10 seconds" in told.findings["brokers"]["told"]
    assert "the connection is refused" in told.findings["registry"]["told"]
    assert "the connection is refused" in told.findings["Graph API"]["told"]
    assert told.seconds < SECONDS_MAX


@pytest.mark.parametrize(
    ("protocol", "words"),
    [("SASL_PLAINTEXT", "refuses our credentials"), ("SSL", "TLS with a broker fails")],
)
def test_credentials_and_tls_are_told_from_a_broker_that_is_down(
    bench: Bench, check: Check, protocol: str, words: str
) -> None:
    told = check(
        bench.build(),
        KAFKA_SECURITY_PROTOCOL=protocol,
        KAFKA_SASL_MECHANISM="PLAIN",
        KAFKA_SASL_USERNAME="somebody",
        KAFKA_SASL_PASSWORD=PASSWORD,
    )

    assert told.not_green == {"brokers": "failed"}
    assert words in told.findings["brokers"]["told"]
    assert told.seconds < SECONDS_MAX


def test_a_producer_that_is_refused_is_told_apart_from_the_consumer(
    bench: Bench, check: Check
) -> None:
    told = check(
        bench.build(),
        KAFKA_PRODUCER_SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA_PRODUCER_SASL_MECHANISM="PLAIN",
        KAFKA_PRODUCER_SASL_USERNAME="somebody",
        KAFKA_PRODUCER_SASL_PASSWORD=PASSWORD,
    )

    assert told.code == 1
    assert told.not_green == {"producer": "failed"}
    assert told.findings["topic"]["verdict"] == "ok"


class GuardedBroker(NamedTuple):
    """A broker with an authorizer, and the address at which ``somebody`` is let in by password."""

    kafka: KafkaBroker
    address: str

    def allow(self, kind: Any, name: str, *operations: Any) -> None:
        admin = AdminClient({**self.kafka.client_config()})
        pattern, allowed = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
        for operation in operations:
            binding = AclBinding(kind, name, pattern, "User:somebody", "*", operation, allowed)
            admin.create_acls([binding])[binding].result(30)


@pytest.fixture
def guarded(kafka: KafkaBroker, tmp_path: Path) -> Iterator[GuardedBroker]:
    java, libs = find_java(KAFKA.java_minimum), kafka_libs()
    assert java is not None, "the shared broker runs on it"
    assert libs is not None, "the shared broker runs on them"
    address = f"127.0.0.1:{free_ports(1)[0]}"
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    login = f'{module} required user_somebody="{PASSWORD}";'
    properties = {
        "listeners": f"SASL_PLAINTEXT://{address}",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": login,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    broker = KafkaBroker(java=java, libs=libs, folder=tmp_path, extra_properties=properties)
    try:
        broker.start()
        yield GuardedBroker(broker, address)
    finally:
        broker.close()


def test_what_the_brokers_do_not_allow_is_found_one_by_one(
    bench: Bench, check: Check, guarded: GuardedBroker
) -> None:
    bench.build()
    guarded.kafka.create_topic(bench.topic, PARTITIONS)
    guarded.kafka.create_topic(bench.letters, 1, ROOMY)
    somebody = {
        "KAFKA_BOOTSTRAP_SERVERS": guarded.address,
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "somebody",
        "KAFKA_SASL_PASSWORD": PASSWORD,
    }

    nothing = check(bench, **somebody)
    guarded.allow(ResourceType.TOPIC, bench.topic, AclOperation.DESCRIBE)
    guarded.allow(ResourceType.TOPIC, bench.letters, AclOperation.DESCRIBE)
    guarded.allow(ResourceType.GROUP, bench.group, AclOperation.DESCRIBE)
    look = check(bench, **somebody)
    guarded.allow(ResourceType.TOPIC, bench.topic, AclOperation.READ)
    guarded.allow(ResourceType.TOPIC, bench.letters, AclOperation.WRITE)
    guarded.allow(ResourceType.GROUP, bench.group, AclOperation.READ)
    work = check(bench, **somebody)
    guarded.allow(ResourceType.TOPIC, bench.topic, AclOperation.DESCRIBE_CONFIGS)
    guarded.allow(ResourceType.TOPIC, bench.letters, AclOperation.DESCRIBE_CONFIGS)
    everything = check(bench, **somebody)

    guarded.allow(ResourceType.TOPIC, bench.topic, AclOperation.WRITE)
    guarded.allow(ResourceType.TOPIC, bench.letters, AclOperation.READ)
    unseen_id = check(bench, **somebody)
    guarded.allow(ResourceType.BROKER, "kafka-cluster", AclOperation.DESCRIBE)
    no_id = check(bench, **somebody)
    admin = AdminClient({**guarded.kafka.client_config()})
    cluster_id = admin.describe_cluster().result(30).cluster_id
    identity = f"conversions-replay-{cluster_id}-{bench.letters}"
    guarded.allow(ResourceType.TRANSACTIONAL_ID, identity, AclOperation.WRITE)
    replaying = check(bench, **somebody)

    unseen = {"topic configuration": "skipped", "dead letters configuration": "skipped"}
    replay = {"replay": "warning"}
    assert nothing.not_green == {"topic": "failed", "dead letters": "failed"} | replay
    assert "may not describe" in nothing.findings["topic"]["told"]
    assert advice(nothing, "topic").startswith(f"Allow DESCRIBE on topic {bench.topic} (")
    assert look.not_green == unseen | {
        "topic access": "failed",
        "dead letters access": "failed",
        "group": "failed",
        "replay": "warning",
    }
    assert advice(look, "topic access").startswith(f"Allow READ on topic {bench.topic} (")
    writes = f"Allow WRITE on topic {bench.letters} ("
    assert advice(look, "dead letters access").startswith(writes)
    assert advice(look, "group").startswith(f"Allow READ on group {bench.group} (")
    assert work.not_green == unseen | replay
    assert work.code == 0
    assert "DESCRIBE_CONFIGS" in advice(work, "topic configuration")
    assert everything.not_green == replay
    both = f"WRITE on topic {bench.topic}, READ on topic {bench.letters}"
    assert advice(everything, "replay").startswith(f"Allow {both} (")
    assert unseen_id.not_green == {"replay": "skipped"}
    assert no_id.not_green == replay
    assert f"WRITE on transactional-id {identity}" in advice(no_id, "replay")
    assert replaying.not_green == {}


def advice(told: Told, subject: str) -> str:
    return told.findings[subject]["advice"]


def test_a_key_file_is_read_as_the_consumer_will(
    bench: Bench, check: Check, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    path.write_text(f"november: {PASSWORD}\n")
    wrong = check(bench.build(), CONVERSIONS_DLQ_KEY_FILE=str(path))
    path.write_text(f"november: {b64encode(bytes(32)).decode()}\n")

    right = check(bench, CONVERSIONS_DLQ_KEY_FILE=str(path))

    assert wrong.not_green == {"dead letters sealing": "failed"}
    assert right.not_green == {}
    assert "key november" in right.findings["dead letters sealing"]["told"]

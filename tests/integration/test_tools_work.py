"""The tools themselves: what the other integration tests build on does what they think it does."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.integration import Child, Product, free_ports
from tests.integration.kafka_broker import KafkaBroker
from tests.integration.registry import Registry
from tests.tools import CHECKSUMS_PATH, TOOLS, java_major

TOOLS_SCRIPT = CHECKSUMS_PATH.with_name("tools.py")


@pytest.mark.integration
def test_a_hundred_records_come_back_in_order_from_four_partitions(
    kafka: KafkaBroker, unique: Callable[[str], str]
) -> None:
    topic = unique("records")
    kafka.create_topic(topic, 4)

    produce(kafka, topic, [(number % 4, b"record %d" % number) for number in range(100)])

    found = [(record.partition(), record.value()) for record in kafka.read_all(topic)]
    assert found == [
        (partition, b"record %d" % number)
        for partition in range(4)
        for number in range(partition, 100, 4)
    ]
    assert kafka.end_offsets(topic) == {0: 25, 1: 25, 2: 25, 3: 25}


@pytest.mark.integration
def test_a_topic_takes_its_configuration(kafka: KafkaBroker, unique: Callable[[str], str]) -> None:
    topic = unique("small")
    kafka.create_topic(topic, 1, {"max.message.bytes": "1000"})
    refused: list[str] = []
    producer = Producer(kafka.client_config())

    def note(error: object, record: object) -> None:
        refused.append(str(error))

    producer.produce(topic, os.urandom(2000), on_delivery=note)

    assert producer.flush(30) == 0
    assert "MSG_SIZE_TOO_LARGE" in refused[0]


@pytest.mark.integration
def test_the_lag_is_what_a_group_has_not_committed(
    kafka: KafkaBroker, unique: Callable[[str], str]
) -> None:
    topic, group = unique("lag"), unique("group")
    kafka.create_topic(topic, 2)
    produce(kafka, topic, [(0, b"a"), (0, b"b"), (0, b"c"), (1, b"d")])
    assert kafka.committed(group, topic) == {}
    assert kafka.lag(group, topic) == 4

    commit(kafka, group, TopicPartition(topic, 0, 2))

    assert kafka.committed(group, topic) == {0: 2}
    assert kafka.lag(group, topic) == 2


@pytest.mark.integration
def test_an_aborted_record_takes_an_offset_and_is_not_read(
    kafka: KafkaBroker, unique: Callable[[str], str]
) -> None:
    topic = unique("transactions")
    kafka.create_topic(topic, 1)
    producer = Producer(kafka.client_config() | {"transactional.id": unique("id")})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"aborted", partition=0)
    producer.flush(30)
    producer.abort_transaction(30)
    producer.begin_transaction()
    producer.produce(topic, b"committed", partition=0)
    producer.commit_transaction(30)

    assert [record.value() for record in kafka.read_all(topic)] == [b"committed"]
    assert kafka.end_offsets(topic) == {0: 4}, "two records and two markers"


@pytest.mark.integration
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_of_either_protocol_gets_every_partition(
    kafka: KafkaBroker, unique: Callable[[str], str], protocol: str
) -> None:
    topic, group = unique("groups"), unique("group")
    kafka.create_topic(topic, 3)
    produce(kafka, topic, [(partition, b"x") for partition in range(3)])
    settings = {"group.id": group, "group.protocol": protocol, "auto.offset.reset": "earliest"}
    consumer = Consumer(kafka.client_config() | settings)
    consumer.subscribe([topic])

    records = consumer.consume(3, timeout=30)
    consumer.close()

    assert {record.partition() for record in records} == {0, 1, 2}


@pytest.mark.integration
@pytest.mark.parametrize("ending", [KafkaBroker.stop, KafkaBroker.kill])
def test_records_and_commits_outlive_the_broker_process(
    kafka: KafkaBroker, unique: Callable[[str], str], ending: Callable[[KafkaBroker], None]
) -> None:
    topic, group = unique("durable"), unique("group")
    kafka.create_topic(topic, 1)
    produce(kafka, topic, [(0, b"before")])
    commit(kafka, group, TopicPartition(topic, 0, 1))
    address = kafka.bootstrap

    ending(kafka)
    kafka.start()
    produce(kafka, topic, [(0, b"after")])

    assert kafka.bootstrap == address
    assert [record.value() for record in kafka.read_all(topic)] == [b"before", b"after"]
    assert kafka.committed(group, topic) == {0: 1}


@pytest.mark.integration
def test_the_registry_gives_back_a_schema_by_its_id(
    registry: Registry, unique: Callable[[str], str]
) -> None:
    schema = {"type": "record", "name": "Sample", "fields": [{"name": "id", "type": "string"}]}

    schema_id = registry.register(f"{unique('events')}-value", json.dumps(schema))

    answer = httpx.get(f"{registry.url}/schemas/ids/{schema_id}", timeout=10, trust_env=False)
    assert json.loads(answer.json()["schema"]) == schema


@pytest.mark.integration
def test_a_paused_registry_takes_connections_and_answers_after_the_pause(
    registry: Registry,
) -> None:
    registry.pause()
    try:
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{registry.url}/subjects", timeout=0.5, trust_env=False)
    finally:
        registry.resume()

    assert httpx.get(f"{registry.url}/subjects", timeout=10, trust_env=False).is_success


def test_the_product_sees_only_the_environment_that_the_test_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVERSIONS_TOPIC", "of-the-developer")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "of-the-developer")
    script = "import os, sys; print(*sys.argv[1:], *sorted(os.environ))"
    product = Product(command=(sys.executable, "-c", script), folder=tmp_path)

    running = product.run("check", "--json", env={"CONVERSIONS_GROUP_ID": "mine"})

    assert running.wait(30) == 0
    said = set(running.output().split())
    assert {"check", "--json", "CONVERSIONS_GROUP_ID", "HOME", "LANG", "PATH"} <= said
    assert not said & {"CONVERSIONS_TOPIC", "KAFKA_BOOTSTRAP_SERVERS"}


def test_the_numbers_of_the_metrics_port_add_up_over_labels(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text(
        '# TYPE sent counter\nsent_total{pixel="1",kind="a"} 2\nsent_total{pixel="1",kind="b"} 3\n'
    )
    port = free_ports(1)[0]
    command = (sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1")
    product = Product(command=command, folder=tmp_path)
    try:
        running = product.run(str(port), env={})
        running.wait_for_line("Serving HTTP", timeout=30)
        metrics = running.metrics(port)
    finally:
        product.close()

    assert metrics.value("sent_total", pixel="1") == 5
    assert metrics.value("sent_total", kind="b") == 3
    assert metrics.value("sent_total", pixel="2") is None
    assert not running.alive


def test_waiting_for_a_line_fails_at_once_when_the_process_has_ended(tmp_path: Path) -> None:
    child = python_child("print('something else')", tmp_path)

    with pytest.raises(AssertionError, match="something else"):
        child.wait_for_line("ready", timeout=60)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of the killed")
def test_a_child_does_not_outlive_a_killed_session(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tests.integration import Child\n"
        "lives_long = 'import time; print(1, flush=True); time.sleep(600)'\n"
        "child = Child([sys.executable, '-c', lives_long],"
        " log_path=Path('child.log'), cwd=Path.cwd(), env=None)\n"
        "child.wait_for_line('1', timeout=60)\n"
        "print('child', child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    session = python_child(program, tmp_path)
    child_pid = int(session.wait_for_line("child", timeout=60).split()[1])
    end_of_child = os.pidfd_open(child_pid)
    assert not select.select([end_of_child], [], [], 0)[0], "it runs as long as the session does"

    os.kill(session.pid, signal.SIGKILL)

    assert session.wait(30) == -signal.SIGKILL
    assert select.select([end_of_child], [], [], 30)[0]
    os.close(end_of_child)


@pytest.mark.parametrize(
    ("said", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25" 2025-09-16 LTS', 25),
        ('openjdk version "21-ea" 2023-09-19', 21),
        ('java version "1.8.0_392"', 8),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", 0),
    ],
)
def test_the_major_version_of_java_is_read_from_what_it_says(said: str, major: int) -> None:
    assert java_major(said) == major


def test_every_tool_has_its_checksums() -> None:
    lines = CHECKSUMS_PATH.read_text(encoding="utf-8").splitlines()

    assert {line.partition("  ")[2].partition("/")[0] for line in lines} == {
        tool.folder_name for tool in TOOLS
    }
    assert all(len(line.partition("  ")[0]) == 64 for line in lines)


def test_a_tool_with_a_wrong_checksum_is_not_installed(tmp_path: Path) -> None:
    forger = (
        'for argument; do case "$argument" in -DoutputDirectory=*)'
        ' echo forged > "${argument#*=}/kafka-clients-4.3.1.jar";; esac; done'
    )
    program(tmp_path / "bin" / "mvn", forger)

    call = make_tools(tmp_path)

    assert call.returncode == 1
    assert "differs from tools_checksums.txt" in call.stderr
    assert not list((tmp_path / "conversions-consumer").glob("*"))


def test_the_complaint_of_maven_reaches_the_user(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "mvn", "echo no route to the artifacts; exit 7")

    call = make_tools(tmp_path)

    assert call.returncode == 1
    assert "no route to the artifacts" in call.stderr
    assert not list((tmp_path / "conversions-consumer").glob("*"))


def test_without_maven_the_user_is_told_what_to_install(tmp_path: Path) -> None:
    call = make_tools(tmp_path)

    assert call.returncode == 2
    assert "apt-get install maven" in call.stderr
    assert "Traceback" not in call.stderr


def test_what_is_there_already_is_not_brought_again(tmp_path: Path) -> None:
    for tool in TOOLS:
        (tmp_path / "conversions-consumer" / tool.folder_name).mkdir(parents=True)

    call = make_tools(tmp_path)

    assert (call.returncode, call.stderr) == (0, "")
    assert call.stdout.count("already in") == len(TOOLS)


def produce(kafka: KafkaBroker, topic: str, records: list[tuple[int, bytes]]) -> None:
    producer = Producer(kafka.client_config())
    for partition, value in records:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(30) == 0


def commit(kafka: KafkaBroker, group: str, place: TopicPartition) -> None:
    consumer = Consumer(kafka.client_config() | {"group.id": group})
    consumer.commit(offsets=[place], asynchronous=False)
    consumer.close()


def python_child(program: str, folder: Path) -> Child:
    environment = os.environ | {"PYTHONPATH": str(TOOLS_SCRIPT.parent.parent)}
    log_path = folder / "output.log"
    return Child([sys.executable, "-c", program], log_path=log_path, cwd=folder, env=environment)


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def make_tools(folder: Path) -> subprocess.CompletedProcess[str]:
    """`make tools` with its cache in ``folder``, a Java there, and of Maven what its bin/ holds."""
    program(folder / "java" / "bin" / "java", "echo 'openjdk version \"25.0.1\"' >&2")
    return subprocess.run(
        [sys.executable, TOOLS_SCRIPT],
        env={
            "HOME": str(folder),
            "JAVA_HOME": str(folder / "java"),
            "PATH": str(folder / "bin"),
            "XDG_CACHE_HOME": str(folder),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

"""``conversions skip`` as a command, against a real port: what is asked, and what is told."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from consumer.cli import app
from consumer.model import Place, TopicPartition
from consumer.probes import Health, Probes, Resuming
from consumer.skip import Skipping

RECORD = "conversions.events:3:1042"
PLACE = Place(TopicPartition("conversions.events", 3), 1042)
NOTHING: Mapping[str, str] = MappingProxyType({})


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Consumer:
    """A member's port, and what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[Place] = []
        self.becomes = Skipping.SKIPPED
        self.probes = Probes(
            host="127.0.0.1",
            port=0,
            registry=CollectorRegistry(),
            health=lambda: Health(live=True, ready=True, facts={}),
            page=lambda _: b"",
            resume=lambda _: Resuming.NOTHING_HERE,
            skip=self._skip,
        )
        self.port = str(urlsplit(self.probes.address).port)

    def _skip(self, place: Place) -> Skipping:
        self.asked.append(place)
        return self.becomes


@pytest.fixture
def consumer() -> Iterator[Consumer]:
    consumer = Consumer()
    consumer.probes.start()
    yield consumer
    consumer.probes.stop()


def skip(*arguments: str, more: Mapping[str, str] = NOTHING) -> Ended:
    """The command in this process, without anything that would set up ours."""
    own = ("CONVERSIONS_", "KAFKA_", "SCHEMA_REGISTRY_")
    without = {name: None for name in os.environ if name.startswith(own)}
    env: dict[str, str | None] = {**without, "COLUMNS": "80", **more}
    done = CliRunner().invoke(app, ["skip", *arguments], env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return Ended(done.exit_code, done.stdout, done.stderr)


@pytest.mark.parametrize("how", ["settings", "option"])
def test_a_record_is_skipped_on_the_members_port(consumer: Consumer, how: str) -> None:
    arguments = ["--port", consumer.port] if how == "option" else []
    more = {"CONVERSIONS_METRICS_PORT": consumer.port} if how == "settings" else {}

    ended = skip(RECORD, "--yes", *arguments, more=more)

    assert (ended.code, ended.err, consumer.asked) == (0, "", [PLACE])
    address = consumer.probes.address
    assert (
        ended.out == f"{address} has skipped {RECORD}; a reference to it is in the dead letters\n"
    )


@pytest.mark.parametrize(
    ("becomes", "words"),
    [
        (Skipping.UNDER_WAY, "not acknowledged yet; its /readyz tells why"),
        (Skipping.NOT_OPEN, f"{RECORD} is settled already, or not read yet"),
        (Skipping.NOT_OURS, 'conversions_kafka_lag_records with partition="3"'),
        (Skipping.ON_ITS_WAY, f"has just sent {RECORD} to Meta"),
        (Skipping.BEING_WRITTEN, "ask again in a moment"),
        (Skipping.TOO_MANY, "try again in a moment"),
        (Skipping.NO_TURN, "has done nothing"),
    ],
)
def test_what_was_not_skipped_is_one_sentence_and_exit_code_1(
    consumer: Consumer, becomes: Skipping, words: str
) -> None:
    consumer.becomes = becomes

    ended = skip(RECORD, "--yes", "--port", consumer.port)

    assert (ended.code, ended.out) == (1, "")
    assert len(ended.err.splitlines()) == 1
    assert ended.err.startswith(f"conversions: {consumer.probes.address} ")
    assert words in ended.err


@pytest.mark.parametrize("becomes", Skipping)
def test_machines_are_told_the_outcome(consumer: Consumer, becomes: Skipping) -> None:
    consumer.becomes = becomes

    ended = skip(RECORD, "--yes", "--json", "--port", consumer.port)

    assert json.loads(ended.out) == {"record": RECORD, "outcome": becomes.value}
    assert (ended.code, ended.err) == (0 if becomes is Skipping.SKIPPED else 1, "")


@pytest.mark.parametrize(("typed", "code"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1)])
def test_a_person_at_a_terminal_is_asked_first(consumer: Consumer, typed: bytes, code: int) -> None:
    ours, theirs = os.openpty()
    os.write(ours, typed)

    done = subprocess.run(
        [sys.executable, "-m", "consumer", "skip", RECORD, "--json", "--port", consumer.port],
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == code
    assert f"Meta will not get {RECORD}" in done.stderr
    assert consumer.asked == ([PLACE] if code == 0 else [])
    assert ("nothing was skipped" in done.stderr) == (code == 1)
    assert bool(done.stdout.strip()) == (code == 0), "what is asked stays out of what machines read"
    os.close(ours)
    os.close(theirs)


def test_without_a_person_to_ask_yes_must_be_said(consumer: Consumer) -> None:
    ended = skip(RECORD, "--port", consumer.port)

    assert (ended.code, ended.out, consumer.asked) == (2, "", [])
    assert ended.err == "conversions: --yes must say that it is meant, where nobody can be asked\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("conversions.events:3",), "TOPIC:PARTITION:OFFSET"),
        (("conversions.events:3:1042:1760000000000",), "TOPIC:PARTITION:OFFSET"),
        ((RECORD,), "CONVERSIONS_METRICS_PORT is 0"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple[str, ...], words: str) -> None:
    ended = skip(*arguments, "--yes", more={"CONVERSIONS_METRICS_PORT": "0"})

    assert (ended.code, ended.out) == (2, "")
    assert len(ended.err.splitlines()) == 1
    assert words in ended.err


def test_nobody_at_the_port_is_told_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

    ended = skip(RECORD, "--yes", "--port", port)

    assert (ended.code, ended.out) == (1, "")
    assert f"no consumer answers at http://127.0.0.1:{port}: the connection is refused" in ended.err

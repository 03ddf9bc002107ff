"""The commands of docs/operations.md on the real Kafka, typed into a shell as they stand there.

Only names are replaced: of the brokers, the topics and the group, and the times.
"""

import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from consumer.iso_time import iso_time
from tests.integration import Running
from tests.integration.conftest import _needed
from tests.integration.events import good_event
from tests.integration.test_rewind import (
    HOUR_MS,
    committed,
    publish,
    receipts,
    started,
)
from tests.integration.world import PARTITIONS, World
from tests.operations_page import commands
from tests.tools import KAFKA, KAFKA_TOOLS, kafka_libs, kafka_tools_libs

pytestmark = pytest.mark.integration

SENDING_AGAIN = "Sending again what came since some time"
LOST = "When something is lost for good"
DELETION = "Deletion requests"
PROGRAMS = {
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-delete-records.sh": "org.apache.kafka.tools.DeleteRecordsCommand",
}


class Shell:
    """Types commands of the page, with our programs and Kafka's in its path."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._folder = folder
        libs, java = _needed(KAFKA, kafka_libs())
        tools, _ = _needed(KAFKA_TOOLS, kafka_tools_libs())
        self._script("conversions", f'exec {sys.executable} -m consumer "$@"')
        for name, program in PROGRAMS.items():
            self._script(name, f'exec {java} -Xmx256m -cp "{libs}/*:{tools}/*" {program} "$@"')

    def __repr__(self) -> str:
        return f"<Shell in {self._folder}>"

    def type(self, command: str) -> tuple[int, str]:
        """Exit code and output."""
        two_hours_ago = iso_time(int(time.time() * 1000) - 2 * HOUR_MS)
        replaced = {
            "kafka:9092": self._world.kafka.bootstrap,
            "conversions.events.dlq": self._world.dlq_topic,
            "--topic conversions.events": f"--topic {self._world.topic}",
            "--group conversions-consumer": f"--group {self._world.group}",
            "2026-11-23T10:00:00.000Z": two_hours_ago,
            "2026-11-23T10:00Z": two_hours_ago,
        }
        for name, other in replaced.items():
            command = command.replace(name, other)
        path = {"PATH": f"{self._folder}:/usr/bin:/bin", "PYTHONPATH": str(Path.cwd())}
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self._folder,
            env=self._world.environment() | path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
        return done.returncode, done.stdout

    def _script(self, name: str, line: str) -> None:
        path = self._folder / name
        path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        path.chmod(0o700)


@pytest.fixture
def shell(world: World, tmp_path: Path) -> Shell:
    return Shell(world, tmp_path)


def end(running: Running) -> None:
    running.terminate()
    assert running.wait(60) == 0


def test_the_commands_that_send_again_tell_and_then_do_it(world: World, shell: Shell) -> None:
    young = publish(world, "young", 8, hours_ago=1)
    running = started(world)
    world.settle(running)
    end(running)
    settled = committed(world)

    *telling, doing = commands(SENDING_AGAIN)
    assert len(telling) == 2
    for command in telling:
        code, said = shell.type(command)
        assert code == 0, said
        assert committed(world) == settled
    code, said = shell.type(doing)
    assert code == 0, said
    assert set(committed(world).values()) == {0}
    running = started(world)
    world.settle(running)
    assert receipts(world, young) == {2}
    end(running)


def test_a_group_that_lost_its_offsets_is_given_a_place_by_hand(world: World, shell: Shell) -> None:
    old = publish(world, "old", 8, hours_ago=5)
    young = publish(world, "young", 8, hours_ago=1)
    (give,) = [each for each in commands(LOST) if "--reset-offsets" in each]

    code, said = shell.type("conversions rewind --from 2h --yes")
    assert (code, committed(world)) == (0, {}), said
    code, said = shell.type(give)
    assert code == 0, said

    running = started(world)
    world.settle(running)
    assert (receipts(world, old), receipts(world, young)) == ({0}, {1})
    end(running)


def test_dead_letters_up_to_one_can_be_deleted(world: World, shell: Shell) -> None:
    bad = good_event(0, world.pixels[0], int(time.time() * 1000))
    del bad["actionSource"]
    world.publish([world.encode(bad)] * PARTITIONS)
    running = started(world)
    running.wait_until(lambda: len(world.letters()) == PARTITIONS, 60, "dead letters")
    end(running)
    number, count = max(world.kafka.end_offsets(world.dlq_topic).items(), key=lambda each: each[1])
    make, delete = commands(DELETION)
    make = make.replace('"partition": 3', f'"partition": {number}')
    make = make.replace('"offset": 1043', f'"offset": {count}')

    for command in (make, delete):
        code, said = shell.type(command)
        assert code == 0, said

    assert len(world.letters()) == PARTITIONS - count


@pytest.mark.parametrize(("old", "new"), [("classic", "consumer"), ("consumer", "classic")])
def test_members_go_over_to_the_other_protocol_one_by_one_and_nothing_is_repeated(
    world: World, old: str, new: str
) -> None:
    published = publish(world, "before", 40, hours_ago=0)
    leaving = started(world, protocol=old)
    world.settle(leaving)
    coming = started(world, protocol=new)
    coming.wait_for_line(f'"partitions": ["{world.topic}:', 60)
    published |= publish(world, "between", 40, hours_ago=0)
    world.settle(leaving)
    end(leaving)
    published |= publish(world, "after", 40, hours_ago=0)
    world.settle(coming)

    assert receipts(world, published) == {1}
    end(coming)


def test_the_shell_types_what_a_reader_would() -> None:
    for heading in (SENDING_AGAIN, LOST, DELETION):
        for command in commands(heading):
            assert shlex.split(command.replace("\\\n", " "))[0] in {
                *PROGRAMS,
                "conversions",
                "echo",
            }

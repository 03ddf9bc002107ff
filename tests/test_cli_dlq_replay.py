"""``conversions dlq replay`` as it is typed."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from consumer.cli import app
from consumer.cli_repair import Wishes, repairing
from consumer.letter_filter import letter_filter
from consumer.model import PixelId, Reason
from consumer.replay_plan import Skipped, replay_command
from consumer.settings import load_settings
from tests.fakes.events import NOW_MS, a_record
from tests.fakes.letters import DLQ_TOPIC, a_letter

ROOT = Path(__file__).parent.parent
NOBODY = "127.0.0.1:1"


def conversions(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "consumer", "dlq", "replay", *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--per-second", "0"),
        ("--per-second", "nan"),
        ("--limit", "0"),
        ("--max-replays", "0"),
        ("--reason", "destination_halt"),
        ("--to-topic", DLQ_TOPIC),
        ("--yes", "--now", "2026-01-01"),
    ],
)
def test_what_cannot_be_meant_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    done = conversions(*arguments, KAFKA_BOOTSTRAP_SERVERS=NOBODY)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_brokers_that_are_away_are_one_sentence_and_exit_code_1() -> None:
    done = conversions("--yes", KAFKA_BOOTSTRAP_SERVERS=NOBODY)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("conversions: no broker answered within")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", ""])
def test_a_replay_whose_schemas_could_not_be_asked_for_is_not_fine(address: str) -> None:
    """The same command replays those letters when the registry is back: exit code 1."""
    registry = {"SCHEMA_REGISTRY_URL": address, "SCHEMA_REGISTRY_MAX_RETRIES": "0"}
    settings = load_settings({"KAFKA_BOOTSTRAP_SERVERS": NOBODY, **(registry if address else {})})
    wishes = Wishes(["currency=EUR"], [], None, as_new_event=False, reveal=False)
    letter = a_letter(record=a_record(value=b"\x00\x00\x00\x00\x07abc"))

    with repairing(settings, letter_filter(now_ms=NOW_MS), wishes) as editing:
        left = editing.repair(letter)

    assert isinstance(left, Skipped)
    assert editing.is_fine() is (not address)


def test_the_command_that_the_log_gives_after_spilling_can_be_typed() -> None:
    command = shlex.split(replay_command(Reason.DESTINATION_HALTED, PixelId("1729525464415281")))
    assert command[:3] == ["conversions", "dlq", "replay"]
    group: Any = typer.main.get_command(app)
    parsed = group.commands["dlq"].commands["replay"].make_context("replay", command[3:])

    assert (parsed.params["reason"], parsed.params["destination"], parsed.params["yes"]) == (
        ["destination_halted"],
        ["1729525464415281"],
        True,
    )

"""``conversions rewind`` and ``run --from`` as they are typed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOBODY = "127.0.0.1:1"


def conversions(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "consumer", *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rewind", "--from", "yesterday"), "--from must be like 30m, 2h, 3d or 2026-"),
        (("rewind", "--from", ""), "--from must be like"),
        (("rewind", "--from", "2999-01-01"), "--from must be a time that has been"),
        (("run", "--from", "soon"), "--from must be like"),
        (("run", "--from", ""), "--from must be like"),
        (("run", "--from", "2999-01-01T00:00Z", "--dry-run"), "must be a time that has been"),
        (("run", "--dry-run"), "are about --from TIME"),
        (("run", "--accept-duplicates"), "are about --from TIME"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence_and_exit_code_2(
    arguments: tuple[str, ...], words: str
) -> None:
    done = conversions(*arguments, KAFKA_BOOTSTRAP_SERVERS=NOBODY)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("conversions: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("rewind", "--partition", "0"),
        ("rewind", "--from", "2h", "--partition", "first"),
        ("rewind", "--from", "2h", "--to", "1h"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    done = conversions(*arguments, KAFKA_BOOTSTRAP_SERVERS=NOBODY)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_without_brokers_named_it_is_a_matter_of_configuration() -> None:
    done = conversions("rewind", "--from", "2h")

    assert (done.returncode, done.stdout) == (2, "")
    assert "KAFKA_BOOTSTRAP_SERVERS" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("rewind", "--from", "2h", "--yes"), ("run", "--from", "2h", "--dry-run")]
)
def test_brokers_that_are_away_are_one_sentence_and_exit_code_1(
    arguments: tuple[str, ...],
) -> None:
    done = conversions(*arguments, KAFKA_BOOTSTRAP_SERVERS=NOBODY)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("conversions: no broker answered within")
    assert done.stderr.count("\n") == 1

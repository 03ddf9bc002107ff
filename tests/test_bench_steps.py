"""The measurement of the steps runs, here and against a checkout; nothing asserts a time."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
STEPS = ["floor", "decode", "prepare", "window + ledger", "all but the floor"]


def steps(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "bench/steps.py", "--events", "20", "--rounds", "2", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_each_step_is_measured_beside_the_floor() -> None:
    done = steps()

    assert (done.returncode, done.stderr) == (0, "")
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["step", "µs", "per", "event", "×", "floor"]
    assert [row[:17].strip() for row in rows] == STEPS
    assert rows[0].split()[-1] == "1.0"


def test_another_checkout_is_measured_beside_this_one() -> None:
    done = steps("--against", ".", "--json")

    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["events"], found["rounds"]) == (20, 2)
    assert [row["step"] for row in found["steps"]] == STEPS
    assert all(row["microseconds"] > 0 and row["ratio"] > 0 for row in found["steps"])


def test_a_folder_without_the_package_cannot_be_measured(tmp_path: Path) -> None:
    done = steps("--against", str(tmp_path))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{tmp_path}: there is no consumer package in it\n"

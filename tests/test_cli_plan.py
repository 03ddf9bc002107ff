"""``conversions plan`` as people and machines meet it, and the page that shows it."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from consumer.cli import app
from consumer.measured_figures import FIGURES, MACHINE
from consumer.plan_lines import From

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "scaling.md"


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    for name in ("CONVERSIONS_WINDOW_SECONDS", "CONVERSIONS_SETTINGS_FILE"):
        monkeypatch.delenv(name, raising=False)
    return CliRunner()


def answers(runner: CliRunner, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = runner.invoke(app, ["plan", "--json", *arguments])
    assert (done.exit_code, done.stderr) == (code, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def value(found: dict[str, Any], name: str) -> Any:
    return found["answers"][name]["value"]


def test_people_are_told_what_how_much_and_from_where(runner: CliRunner) -> None:
    done = runner.invoke(app, ["plan", "--events-per-second", "50000"])

    assert (done.exit_code, done.stderr) == (0, "")
    origins = "|".join(re.escape(each.value) for each in From)
    told = [line for line in done.stdout.splitlines() if line.startswith("  ")]
    assert len(told) > 25
    assert [line for line in told if not re.search(rf"\[(({origins})(, )?)+\]$", line)] == []
    for group in ("Members", "Requests to Meta", "Memory of a pod", "Meta's limits"):
        assert f"\n{group}\n" in f"\n{done.stdout}"


def test_machines_get_the_same(runner: CliRunner) -> None:
    text = runner.invoke(app, ["plan", "--events-per-second", "50000"]).stdout
    found = answers(runner, "--events-per-second", "50000")

    assert (found["holds"], found["survivesZone"], found["warnings"]) == (True, True, [])
    assert re.search(rf"partitions +{value(found, 'partitions')} partitions", text)
    assert re.search(rf"replicas +{value(found, 'replicas')} members", text)
    assert value(found, "rateLimit") is None
    for each in found["answers"].values():
        assert each.keys() == {"value", "unit", "from", "note"}


def test_a_slower_machine_needs_more_members(runner: CliRunner) -> None:
    load = ("--events-per-second", "50000")
    here = answers(runner, *load)
    there = answers(
        runner,
        *load,
        "--cpu-microseconds-per-event",
        "500",
        "--cpu-microseconds-per-request",
        "2000",
    )

    assert value(there, "replicas") > value(here, "replicas")
    assert value(there, "lagThreshold") < value(here, "lagThreshold")


def test_the_settings_of_a_run_count(runner: CliRunner) -> None:
    load = ("--events-per-second", "1000", "--destinations", "100")
    usual = answers(runner, *load)
    patient = answers(runner, *load, "--set", "CONVERSIONS_WINDOW_SECONDS=10")

    assert value(patient, "eventsPerRequest") > 5 * value(usual, "eventsPerRequest")
    assert value(patient, "requestsPerSecond") < value(usual, "requestsPerSecond")
    assert any("Windows do not fill" in sentence for sentence in usual["warnings"])
    assert not any("Windows do not fill" in sentence for sentence in patient["warnings"])


def test_partitions_that_do_not_carry_it_are_a_failure(runner: CliRunner) -> None:
    found = answers(runner, "--events-per-second", "50000", "--partitions", "3", code=1)

    assert not found["holds"]
    assert value(found, "replicas") == 3
    assert value(found, "membersNeeded") is None
    assert "would do" in found["warnings"][0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--events-per-second", "0"], "--events-per-second must be from 0.001 to 10,000,000"),
        (["--events-per-second", "nan"], "--events-per-second must be from 0.001 to 10,000,000"),
        (["--headroom", "1"], "--headroom must be from 0 to 0.95"),
        (["--dead-letter-share", "2"], "--dead-letter-share must be from 0 to 1"),
        (
            ["--destinations", "4", "--hottest-share", "0.1"],
            "--hottest-share must be from 0.25 to 1",
        ),
        (["--meta-latency-ms", "900/300"], "--meta-latency-ms must be P50/P95 in milliseconds"),
        (["--meta-latency-ms", "soon"], "--meta-latency-ms must be P50/P95 in milliseconds"),
        (["--cpu-microseconds-per-event", "0"], "--cpu-microseconds-per-event must be from 0.1"),
        (["--set", "CONVERSIONS_WINDOW_SECOND=1"], "CONVERSIONS_WINDOW_SECOND is no setting"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    runner: CliRunner, arguments: list[str], sentence: str
) -> None:
    done = runner.invoke(app, ["plan", "--events-per-second", "1000", *arguments])

    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_one_latency_is_both(runner: CliRunner) -> None:
    load = ("--events-per-second", "1000", "--meta-latency-ms")

    assert answers(runner, *load, "400") == answers(runner, *load, "400/400")


# --- the page


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_every_example_of_the_page_works() -> None:
    commands = re.findall(r"^\$ conversions (plan .+)$", page(), re.MULTILINE)

    assert len(commands) >= 3
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "consumer", *shlex.split(command)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), command


def test_the_page_shows_every_measured_figure_and_the_machine() -> None:
    text = page()

    assert MACHINE in text
    rows = [f"| {each.says} | {each.value:g} {each.unit} |" for each in FIGURES]
    assert [each for each in rows if each not in text] == []


def test_the_chart_s_threshold_is_the_plan_s(runner: CliRunner) -> None:
    values = yaml.safe_load((ROOT / "helm" / "values.yaml").read_text(encoding="utf-8"))
    found = answers(runner, "--events-per-second", "1000")

    assert values["keda"]["lagThreshold"] == value(found, "lagThreshold")
    limit = int(values["resources"]["limits"]["memory"].removesuffix("Mi"))
    assert limit >= value(found, "memoryLimit")

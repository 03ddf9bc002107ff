"""docs/operations.md: its commands can be typed, and its procedures do what they say.

What calls Kafka is in tests/integration/test_operations.py. Here a shell runs the procedure for
Kubernetes, with a stand-in for kubectl that has what the chart renders.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from consumer.cli import app
from tests.chart import main_container, objects, of_kind
from tests.compose_file import all_services
from tests.operations_page import PAGE, commands, every_command
from tests.python_tools import needed

KUBERNETES = "On Kubernetes"
TRIED_ELSEWHERE = {"conversions", "docker", "jq", "kubectl"}
"""Here; the others are Kafka's, and ``echo`` for one of them."""

STAND_IN = """#!{python}
import json, pathlib, sys
folder = pathlib.Path(__file__).parent
with (folder / "asked").open("a") as asked:
    asked.write(json.dumps(sys.argv[1:]) + "\\n")
if "get" in sys.argv:
    sys.stdout.write((folder / "rendered.json").read_text())
"""


def typed(words: list[str]) -> None:
    """Raises a usage error when the command line would not take these."""
    command: Any = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words)


def ours() -> Iterator[list[str]]:
    """The words behind ``conversions`` of every command of the page, in blocks and in sentences."""
    prose = re.findall(r"`(conversions [^`\n]+)`", PAGE.read_text(encoding="utf-8"))
    for line in [*every_command(), *prose]:
        if line.startswith("conversions "):
            yield shlex.split(line, comments=True)[1:]


def test_every_command_of_ours_can_be_typed() -> None:
    found = list(ours())

    assert len(found) > 10
    for words in found:
        if words == ["rewind"] or words[:2] == ["run", "--from"]:
            continue  # named, and typed in full elsewhere; with its time left to the reader
        typed(words)


def test_each_command_is_tried_by_some_test() -> None:
    programs = {line.split()[0] for line in every_command()}

    assert programs - TRIED_ELSEWHERE == {
        "echo",
        "kafka-consumer-groups.sh",
        "kafka-delete-records.sh",
    }


def test_the_commands_of_compose_name_its_services_and_ours() -> None:
    lines = [shlex.split(each) for each in every_command() if each.startswith("docker compose")]

    assert len(lines) == 4
    for words in lines:
        named = [word for word in words[3:] if not word.startswith("-")]
        assert named[0] in all_services()
        if words[2] == "run":
            typed(words[words.index("consumer") + 1 :])


@pytest.mark.parametrize("scenario", ["minimal", "everything", "sasl-tls"])
def test_the_job_that_rewinds_is_the_members_pod_with_other_words(
    scenario: str, tmp_path: Path
) -> None:
    (workload,) = of_kind(objects(scenario), "Deployment", "StatefulSet")
    asked = run_the_procedure(tmp_path, workload)
    job = json.loads((tmp_path / "rewind.json").read_text())
    container = main_container(job["spec"]["template"])
    before = main_container(workload["spec"]["template"])

    assert ["-n", "conversions", "apply", "-f", "rewind.json"] in asked
    assert container["args"] == ["rewind", "--from", "2026-11-23T10:00Z"]
    typed([*container["args"], "--yes"])
    same = before.keys() - {"args", "startupProbe", "livenessProbe", "readinessProbe"}
    assert {name: container[name] for name in same} == {name: before[name] for name in same}
    assert container.keys() == same | {"args"}
    selector = workload["spec"]["selector"]["matchLabels"].items()
    assert not selector <= job["spec"]["template"]["metadata"]["labels"].items(), "nobody adopts it"
    command = [*needed("kubernetes-validate"), "--strict", "--quiet", "--no-warn", "-k", "1.34"]
    done = subprocess.run(
        [*command, str(tmp_path / "rewind.json")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_procedure_waits_for_the_pods_of_the_chart(tmp_path: Path) -> None:
    (workload,) = of_kind(objects("minimal"), "Deployment")
    asked = run_the_procedure(tmp_path, workload)

    (waiting,) = [words for words in asked if "wait" in words]
    (selector,) = [word for word in waiting if word.startswith("--selector=")]
    name, _, value = selector.removeprefix("--selector=").partition("=")
    assert workload["spec"]["template"]["metadata"]["labels"][name] == value
    verbs = [words[2] for words in asked]
    assert verbs == ["annotate", "scale", "wait", "get", "apply", "logs", "scale", "annotate"]


def test_what_each_section_promises_to_tell_is_told() -> None:
    """The words of the page are those of the program."""
    page = PAGE.read_text(encoding="utf-8")
    group: Any = get_command(app)
    known = {option for each in group.commands["rewind"].params for option in each.opts}

    assert {"--accept-duplicates", "--partition", "--yes", "--json", "--from"} <= known
    for option in known - {"--settings", "--set", "-s"}:
        assert option in page
    assert "--to" not in known


def run_the_procedure(folder: Path, workload: dict[str, Any]) -> list[list[str]]:
    """Have a shell run the section, and return what kubectl was asked."""
    (folder / "rendered.json").write_text(json.dumps(workload), encoding="utf-8")
    stand_in = folder / "kubectl"
    stand_in.write_text(STAND_IN.format(python=sys.executable), encoding="utf-8")
    stand_in.chmod(0o700)
    script = "\n".join(commands(KUBERNETES))
    done = subprocess.run(
        ["/bin/sh", "-e", "-u", "-c", script],
        cwd=folder,
        env={"PATH": f"{folder}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in (folder / "asked").read_text().splitlines()]

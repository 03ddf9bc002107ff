"""docs/kubernetes.md: whoever does what it says, in its order, gets what it says.

Helm runs each of its commands on the page's own values, without a cluster; of kubectl's commands it
is looked up that what they name is there by then.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tests.chart import CHART, ROOT, Object, helm, of_kind, pod_templates
from tests.helm_tools import MAJORS

PAGE = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
NAMESPACE = "conversions"
RELEASE = "conversions-consumer"
MAKING_A_SECRET = ["create", "secret", "generic"]
RENDERING = {"install", "upgrade"}
KINDS = {
    "cronjob": "CronJob",
    "deployment": "Deployment",
    "job": "Job",
}


def test_there_is_something_to_do() -> None:
    assert [words[0] for words in _commands()].count("helm") >= 3
    assert {words[0] for words in _commands()} == {"helm", "kubectl"}
    assert {_namespace(words) for words in _commands() if words[1] != "label"} == {NAMESPACE}


@pytest.mark.parametrize("major", MAJORS)
def test_helm_takes_each_command_and_the_values(major: int, tmp_path: Path) -> None:
    for words in _commands():
        if words[0] == "helm" and words[1] in RENDERING:
            assert words[2] == RELEASE
            assert _run(words, tmp_path, major)
            assert "--reuse-values" not in words


def test_the_values_are_enough_for_every_member(tmp_path: Path) -> None:
    found = _objects(_install(), tmp_path)
    (workload,) = of_kind(found, "Deployment")
    secret, renewed = (words for words in _commands() if words[3:6] == MAKING_A_SECRET)
    ((key, _),) = [word.removeprefix("--from-file=").split("=") for word in secret[7:]]

    named = [
        volume["secret"]["secretName"]
        for volume in workload["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    ]
    assert named == [secret[6]] == [renewed[6]]
    assert f"--from-file={key}=./new_token.txt" in renewed
    assert f"/run/secrets/meta/{key}" in str(workload)


def test_what_kubectl_is_told_of_is_there(tmp_path: Path) -> None:
    there: set[tuple[str, str]] = set()
    for words in _commands():
        if words[0] == "helm" and words[1] in RENDERING:
            there |= {
                (each["kind"], each["metadata"]["name"]) for each in _objects(words, tmp_path)
            }
        named = re.findall(r"\b(\w+)/([\w-]+)", " ".join(words[1:]))
        missing = {(KINDS[kind], name) for kind, name in named if kind in KINDS} - there
        assert missing == set(), words
        if "job" in words:
            there.add(("Job", words[words.index("job") + 1]))


def test_helm_test_has_a_pod_to_run(tmp_path: Path) -> None:
    hooks = [
        template
        for kind, template in pod_templates(_objects(_install(), tmp_path))
        if kind == "Pod" and template["metadata"]["annotations"]["helm.sh/hook"] == "test"
    ]

    assert [each["spec"]["containers"][0]["args"] for each in hooks] == [["check"]]


def test_the_consumer_has_each_command_that_is_run_inside_a_pod() -> None:
    from consumer.cli import app

    inside = [words[words.index("--") + 1 :] for words in _commands() if "--" in words]
    assert inside
    for program, *words in inside:
        assert program == "conversions"
        assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0, words


def test_every_value_that_the_page_names_is_one_of_the_charts() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    paths = set(_paths(values))
    tops = {path.split(".")[0] for path in paths}
    named = {
        word.partition(":")[0]
        for word in re.findall(r"`([a-zA-Z]+(?:\.[a-zA-Z]+)+)[^`]*`", PAGE)
        if word.split(".")[0] in tops and not word.endswith(".md")
    }

    assert len(named) > 15
    assert named <= paths


def _install() -> list[str]:
    (found,) = [words for words in _commands() if words[:2] == ["helm", "install"]]
    return found


def _commands() -> list[list[str]]:
    """The words of each command of the page, in its order."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line.removeprefix("$ ")) for line in lines]


def _namespace(words: list[str]) -> str:
    if "namespace" in words:
        return words[words.index("namespace") + 1]
    return words[words.index("-n") + 1]


def _run(words: list[str], folder: Path, major: int) -> str:
    """What Helm says of a command, without a cluster."""
    values = folder / "values.yaml"
    values.write_text(_values(), encoding="utf-8")
    replaced = {"./helm": str(CHART), "values.yaml": str(values)}
    return helm(major, "template", *(replaced.get(word, word) for word in words[2:]))


def _objects(words: list[str], folder: Path) -> list[Object]:
    return [each for each in yaml.safe_load_all(_run(words, folder, 4)) if each]


def _values() -> str:
    """The values that the page installs with: its first block of YAML."""
    found = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def _paths(values: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield f"{above}{name}"
        if isinstance(value, dict):
            yield from _paths(value, f"{above}{name}.")

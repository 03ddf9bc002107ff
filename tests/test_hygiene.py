"""What surrounds the code: workflows, hooks, templates, licence, and what contributors are told.

The linters of `make tools` read the files as their readers will; the rest is what no linter knows:
that the verbs, versions, programs and paths in them are those of this project.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from consumer import __version__
from tests.python_tools import ENVIRONMENTS, needed
from tests.python_tools import command_of as tool

ROOT = Path(__file__).parent.parent
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
YAML = [
    *GITHUB.rglob("*.yml"),
    ROOT / ".pre-commit-config.yaml",
    ROOT / ".yamllint",
    ROOT / "docker-compose.yml",
    *(ROOT / "compose").rglob("*.yml"),
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RUN_SECONDS_MAX = 120.0
TELLING_WHERE_IT_RUNS = """
import os, pytest

@pytest.mark.parametrize("number", range(5))
def test_where_it_runs(number):
    with open("told", "a") as told:
        told.write(f"{__name__} {os.environ['PYTEST_XDIST_WORKER']}\\n")
"""


class Step(NamedTuple):
    """A step of a workflow's job, and where it stands."""

    where: str
    content: dict[str, Any]


class Recipe(NamedTuple):
    """How to add a thing: what stands for the example in code, and the files of the table."""

    title: str
    examples: tuple[str, ...]
    files: tuple[str, ...]


def workflow(path: Path) -> dict[str, Any]:
    """A workflow; its key ``on`` is YAML's word for true."""
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in workflow(path)["jobs"].items():
            yield f"{path.name}: {name}", job


def steps() -> Iterator[Step]:
    for where, job in jobs():
        for number, step in enumerate(job.get("steps", []), start=1):
            yield Step(f"{where}, step {number}", step)


def recipes() -> list[Recipe]:
    """The sections of CONTRIBUTING.md that are headed ``### A …, like `…` ``."""
    sections = re.findall(r"^### (A .+)\n((?:(?!^##).*\n)*)", CONTRIBUTING, re.MULTILINE)
    return [
        Recipe(
            title=title.split(",")[0],
            examples=tuple(re.findall(r"`([^`]+)`", title)),
            files=tuple(
                file
                for row in re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
                for file in re.findall(r"`([^`]+)`", row)
            ),
        )
        for title, text in sections
    ]


RECIPES = recipes()


# Lints


def test_zizmor_finds_no_hole_in_the_workflows() -> None:
    said = run([*needed("zizmor"), "--offline", "--no-progress", str(GITHUB)])
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-issue-forms", sorted(GITHUB.glob("ISSUE_TEMPLATE/[!c]*.yml"))),
        ("github-issue-config", [GITHUB / "ISSUE_TEMPLATE" / "config.yml"]),
        ("renovate", [ROOT / "renovate.json"]),
    ],
)
def test_what_others_read_is_what_they_can_read(schema: str, paths: list[Path]) -> None:
    check = [*needed("check-jsonschema"), "--builtin-schema", f"vendor.{schema}"]
    assert paths
    said = run([*check, *map(str, paths)])
    assert said.returncode == 0, said.stdout


def test_yamllint_has_nothing_to_say() -> None:
    said = run([*needed("yamllint"), "--strict", *map(str, YAML)])
    assert (said.returncode, said.stdout) == (0, "")


def test_shellcheck_has_nothing_to_say_about_scripts_and_steps(tmp_path: Path) -> None:
    shellcheck = needed("shellcheck")
    scripts = [ROOT / ".ci" / "run"]
    for number, step in enumerate(steps()):
        if "run" in step.content:
            # What GitHub does with it.
            text = f"#!/usr/bin/env bash\nset -eo pipefail\n# {step.where}\n{step.content['run']}\n"
            scripts.append(tmp_path / f"step-{number}")
            scripts[-1].write_text(text, encoding="utf-8")
    assert len(scripts) > 10
    said = run([*shellcheck, *map(str, scripts)])
    assert (said.returncode, said.stdout) == (0, "")


# Workflows


def test_every_action_is_pinned_by_the_commit_of_a_named_release() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    used = re.findall(r"uses: (.+)", text)
    ours = [each for each in used if each.startswith("$/")]
    pinned = [each for each in used if re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v\d+(\.\d+)*", each)]
    assert sorted(ours + pinned) == sorted(used)
    # One commit for one action, everywhere.
    assert len({each.split("@")[0].split("/")[1] for each in pinned}) == len(
        {each.split("@")[1] for each in pinned}
    )


def test_a_workflow_may_nothing_and_a_job_what_it_names() -> None:
    assert [workflow(path)["permissions"] for path in WORKFLOWS] == [{}] * len(WORKFLOWS)
    everybody = list(jobs())
    assert [where for where, job in everybody if not job.get("permissions")] == []
    without_end = [
        where for where, job in everybody if "uses" not in job and "timeout-minutes" not in job
    ]
    assert without_end == []


def test_no_checkout_leaves_its_credentials_behind() -> None:
    checkouts = [step for step in steps() if "actions/checkout@" in step.content.get("uses", "")]
    left = [each.where for each in checkouts if each.content["with"]["persist-credentials"]]
    assert checkouts
    assert left == []


def test_secrets_are_seen_where_a_person_was_asked() -> None:
    holders = [(where, job) for where, job in jobs() if "secrets." in json.dumps(job)]
    assert holders
    assert [where for where, job in holders if job.get("environment") != "release"] == []


def test_ci_runs_the_verbs_that_exist_and_all_that_the_script_runs() -> None:
    verbs = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {
        (step.where.partition(":")[0], verb)
        for step in steps()
        for verb in re.findall(r"\bmake ([a-z]+)", step.content.get("run", ""))
    }
    script = set(re.findall(r"^make ([a-z]+)", (ROOT / ".ci" / "run").read_text("utf-8"), re.M))
    assert {verb for _, verb in named} <= verbs
    assert script == {"tools", "lint", "test"}
    assert script <= {verb for file, verb in named if file == "ci.yml"}


def test_ci_runs_every_python_that_the_package_names() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    assert workflow(GITHUB / "workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"] == {
        "python": named
    }


def test_nothing_is_released_that_ci_did_not_see() -> None:
    release = workflow(GITHUB / "workflows/release.yml")["jobs"]
    assert release["ci"]["uses"].endswith("/.github/workflows/ci.yml")

    def waits_for_ci(name: str) -> bool:
        needs = release[name].get("needs", [])
        return name == "ci" or any(map(waits_for_ci, [needs] if isinstance(needs, str) else needs))

    assert [name for name in release if not waits_for_ci(name)] == []


def test_a_released_chart_names_the_image_of_the_release(tmp_path: Path) -> None:
    release = (GITHUB / "workflows/release.yml").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ +(sed .*helm/values.yaml)$", release, re.MULTILINE)
    values = tmp_path / "helm" / "values.yaml"
    values.parent.mkdir()
    shutil.copy2(ROOT / "helm" / "values.yaml", values)
    before = yaml.safe_load(values.read_text(encoding="utf-8"))

    script = f"PLACE=registry.internal/acme; {line}"
    subprocess.run(["/bin/bash", "-euc", script], cwd=tmp_path, check=True)

    after = yaml.safe_load(values.read_text(encoding="utf-8"))
    pushed = re.search(r"images: .* \}\}/(\S+)", release)
    assert pushed is not None
    assert after["image"].pop("repository") == f"registry.internal/acme/{pushed[1]}"
    before["image"].pop("repository")
    assert after == before


def test_the_image_is_made_on_a_machine_of_each_kind_that_the_page_names() -> None:
    release = workflow(GITHUB / "workflows/release.yml")["jobs"]["image"]
    made = release["strategy"]["matrix"]["include"]
    tested = workflow(GITHUB / "workflows/ci.yml")["jobs"]["image"]["strategy"]["matrix"]
    page = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")

    assert tested["runner"] == [each["runner"] for each in made]
    assert " and ".join(each["architecture"] for each in made) in page


def test_no_host_of_a_package_index_or_of_images_is_named() -> None:
    hosts = re.compile(
        r"ghcr\.io|docker\.io|quay\.io|gcr\.io|py" r"pi\.(org|io)|pythonhosted|maven\.org"
    )
    names = ("Dockerfile", "Makefile", "renovate.json", ".pre-commit-config.yaml", "SECURITY.md")
    files = [*(path for path in GITHUB.rglob("*") if path.is_file()), *map(ROOT.joinpath, names)]
    naming = [path.name for path in files if hosts.search(path.read_text(encoding="utf-8"))]
    assert naming == []


# The release


def test_the_list_of_parts_has_every_package_that_runs() -> None:
    needed("cyclonedx-py")
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    arguments = re.search(r"requirements requirements\.lock (.+) --output-file (\S+)", text)
    assert arguments is not None
    release = (GITHUB / "workflows/release.yml").read_text(encoding="utf-8")
    assert f"sbom-path: {arguments[2]}" in release
    command = [*tool("cyclonedx-py"), "requirements", "requirements.lock", *arguments[1].split()]
    # What it says on standard error is about what it cannot know.
    said = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=True
    )
    bill = json.loads(said.stdout)
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([\w.-]+)==([\w.]+)", lock, re.MULTILINE))
    assert {(each["name"], each["version"]) for each in bill["components"]} == locked
    assert bill["metadata"]["component"]["name"] == PROJECT["project"]["name"]


def test_the_version_is_the_same_in_both_its_places() -> None:
    assert PROJECT["project"]["version"] == __version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[(.+?)\]", changelog, re.MULTILINE), "a section for what is next"


def test_the_licence_is_apaches_to_the_letter() -> None:
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4"


# People


def test_every_path_of_the_code_owners_exists() -> None:
    lines = (GITHUB / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
    rules = [line.split() for line in lines if line and not line.startswith("#")]
    assert rules[0][0] == "*"
    assert all(len(rule) > 1 and rule[1].startswith("@") for rule in rules)
    assert [path for path, *_ in rules[1:] if not (ROOT / path.lstrip("/")).exists()] == []


def test_every_hook_starts_a_program_of_the_locked_environment() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert {repository["repo"] for repository in config["repos"]} == {"local"}
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    locked = {f".venv/bin/{name}" for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)}
    words = [hook["entry"].split() for hook in hooks]
    assert {first for first, *_ in words} <= locked | {".venv/bin/python"}
    files = [word for entry in words for word in entry if word.endswith(".py")]
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_renovate_knows_every_lock_and_every_version_that_the_tools_name() -> None:
    config = json.loads((ROOT / "renovate.json").read_text(encoding="utf-8"))
    patterns = [each.strip("/") for each in config["pip_requirements"]["managerFilePatterns"]]
    locks = [*ROOT.glob("*.lock"), *(each.lock_path for each in ENVIRONMENTS)]
    names = [str(lock.relative_to(ROOT)) for lock in locks]
    assert [name for name in names if not any(re.search(each, name) for each in patterns)] == []
    maven, go = config["customManagers"]
    (expression,) = maven["matchStrings"]
    text = (ROOT / "tests" / "tools.py").read_text(encoding="utf-8")
    named = re.findall(expression.replace("(?<", "(?P<"), text)
    assert len(named) == text.count(" Artifact(") + text.count("(Artifact(") > 3
    (expression,) = go["matchStrings"]
    runs = "\n".join(step.content.get("run", "") for step in steps())
    assert len(re.findall(expression.replace("(?<", "(?P<"), runs)) == runs.count("go run ") > 0


def test_editors_are_told_what_the_formatter_does() -> None:
    text = (ROOT / ".editorconfig").read_text(encoding="utf-8")
    python = text.split("[*.py]")[1].split("\n\n")[0]
    assert f"max_line_length = {PROJECT['tool']['ruff']['line-length']}" in python


def test_holes_are_reported_in_private_and_nobodys_address_is_invented() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert "private" in page
    assert not re.search(r"[\w.]+@[\w-]+\.\w+|https?://", page)
    named = set(re.findall(r"`(tests/\S+)`", page))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


# What contributors are told


def test_there_is_a_recipe_for_what_is_added_most() -> None:
    titles = {recipe.title.removeprefix("A ") for recipe in RECIPES}
    assert titles == {"match key", "reason for a dead letter", "metric", "setting"}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.title)
def test_every_file_of_a_recipe_knows_of_its_example(recipe: Recipe) -> None:
    assert len(recipe.files) > 3
    assert [file for file in recipe.files if not knows(ROOT / file, recipe)] == []


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.title)
def test_no_room_that_knows_of_the_example_is_left_out(recipe: Recipe) -> None:
    places = [*(ROOT / "consumer").glob("*.py"), *(ROOT / "schemas").glob("*.avsc")]
    knowing = {str(path.relative_to(ROOT)) for path in places if knows(path, recipe)}
    assert knowing - set(recipe.files) == set()


def knows(path: Path, recipe: Recipe) -> bool:
    text = path.read_text(encoding="utf-8").lower()
    return any(example.lower() in text for example in recipe.examples)


def test_every_room_that_contributors_are_told_of_exists() -> None:
    places = ["", "consumer", "tests", "docs"]
    named = set(re.findall(r"`([\w./-]+\.(?:py|md|toml|yml|avsc|template))`", CONTRIBUTING))
    missing = [
        name for name in named if not any((ROOT / place / name).exists() for place in places)
    ]
    assert missing == []


def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )


def test_the_tests_of_a_file_stay_in_one_process(tmp_path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (spread,) = re.findall(r"^SPREAD\s*:= (.*)$", makefile, re.MULTILINE)
    for name in ("one", "two", "three"):
        (tmp_path / f"test_{name}.py").write_text(TELLING_WHERE_IT_RUNS, encoding="utf-8")
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}

    words = [sys.executable, "-m", "pytest", *spread.replace("$(WORKERS)", "2").split()]
    done = subprocess.run(
        words, cwd=tmp_path, env=ours, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    told = (tmp_path / "told").read_text(encoding="utf-8").splitlines()
    assert len(told) == 15
    places = {tuple(line.split()) for line in told}
    assert len(places) == 3, "each file in one process"
    assert {process for _, process in places} == {"gw0", "gw1"}

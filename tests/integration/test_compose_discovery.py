"""Compose's Prometheus finds the replicas: its very file, and DNS as compose's network has it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tests.compose_file import ROOT, command_of, mounts_of, replaced
from tests.compose_processes import wait_until
from tests.debian_tools import needed, sandboxed

pytestmark = pytest.mark.integration

TARGETS = "http://127.0.0.1:9090/api/v1/targets?state=active"


class Discovery:
    """Prometheus in a network of its own, in which there are as many replicas as one says."""

    def __init__(self, folder: Path) -> None:
        for inside, path in mounts_of("prometheus").items():
            shutil.copy(path, folder / Path(inside).name)
        resolver = folder / "resolv.conf"
        resolver.write_text("nameserver 127.0.0.1\n", encoding="utf-8")
        changes = {"/etc/prometheus/": f"{folder}/", "path=/prometheus": f"path={folder}/data"}
        program = [needed("prometheus"), *replaced(command_of("prometheus"), changes)]
        contained = [needed("bwrap"), "--bind", "/", "/", "--dev-bind", "/dev", "/dev"]
        contained += ["--ro-bind", str(resolver), os.path.realpath("/etc/resolv.conf")]
        contained += ["--unshare-user", "--uid", "0", "--gid", "0", "--unshare-net"]
        contained += ["--cap-add", "CAP_NET_BIND_SERVICE", "--die-with-parent"]
        python = [sys.executable, "-m", "tests.integration.named_replicas"]
        sandboxed(contained)
        self._log = (folder / "prometheus.log").open("w")
        self._process = subprocess.Popen(
            [*contained, *python, *program, "--web.listen-address=127.0.0.1:9090"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def scale(self, count: int) -> None:
        """So many replicas there are from now on."""
        self._say(str(count))

    def scraped(self) -> set[str]:
        """The instances that were scraped successfully."""
        self._say(TARGETS)
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        targets = answer["data"]["activeTargets"]
        assert {each["labels"]["job"] for each in targets} <= {"conversions-consumer"}
        return {each["labels"]["instance"] for each in targets if each["health"] == "up"}

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def _say(self, word: str) -> None:
        stream: IO[str] | None = self._process.stdin
        assert stream is not None
        stream.write(f"{word}\n")
        stream.flush()


@pytest.fixture
def discovery(tmp_path: Path) -> Iterator[Discovery]:
    discovery = Discovery(tmp_path)
    try:
        yield discovery
    finally:
        discovery.close()


def test_prometheus_finds_every_replica_and_forgets_those_that_are_gone(
    discovery: Discovery,
) -> None:
    for count in (3, 1):
        discovery.scale(count)
        expected = {f"127.0.0.{number + 2}:9108" for number in range(count)}
        _until(discovery, expected)


def _until(discovery: Discovery, expected: set[str]) -> None:
    wait_until(lambda: discovery.scraped() == expected, discovery.scraped)

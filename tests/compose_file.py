"""docker-compose.yml as the tests read it, and what it tells a service told to a process here."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
COMPOSE_PATH = ROOT / "docker-compose.yml"
PAGE_PATH = ROOT / "docs" / "compose.md"
OURS = ("emulator", "consumer", "publisher")
PATIENCE_SECONDS = 30.0


def whole() -> dict[str, Any]:
    """The file."""
    compose: dict[str, Any] = yaml.safe_load(COMPOSE_PATH.read_text(encoding="utf-8"))
    return compose


def all_services() -> dict[str, Any]:
    """What the file says of each service, by name."""
    services: dict[str, Any] = whole()["services"]
    return services


def environment_of(name: str) -> dict[str, str]:
    """The environment that compose gives to a service."""
    return {key: str(value) for key, value in all_services()[name].get("environment", {}).items()}


def command_of(name: str) -> list[str]:
    """The words of a service's command."""
    return _words(all_services()[name]["command"])


def mounts_of(name: str) -> dict[str, Path]:
    """The files and folders of ours that a service sees, by their path in the container."""
    mounts = [mount.split(":") for mount in all_services()[name].get("volumes", [])]
    return {inside: ROOT / here for here, inside, *_ in mounts if here.startswith(".")}


def listening(name: str) -> set[int]:
    """The ports of a service inside compose's network."""
    published = {int(port.rsplit(":", 1)[1]) for port in all_services()[name].get("ports", [])}
    listeners = environment_of(name).get("KAFKA_LISTENERS", "")
    return published | {int(port) for port in re.findall(r"://:(\d+)", listeners)}


def replaced(words: list[str], changes: Mapping[str, str]) -> list[str]:
    """The words with parts of them replaced; each change must have something to replace."""
    for old, new in changes.items():
        assert any(old in word for word in words), f"{old} is not in {words}"
        words = [word.replace(old, new) for word in words]
    return words


def on_this_host(value: str, ports: Mapping[str, int]) -> str:
    """A value with the addresses of other services replaced by ports of this host."""
    for host, port in ports.items():
        value = re.sub(rf"\b{host}:\d+", f"127.0.0.1:{port}", value)
    return value


def local_environment(name: str, ports: Mapping[str, int]) -> dict[str, str]:
    """A service's environment with the addresses of others replaced by ports of this host."""
    return {key: on_this_host(value, ports) for key, value in environment_of(name).items()}


def health_check(name: str, changes: Mapping[str, str]) -> int:
    """Run a service's health check here, with these changes; returns its exit code."""
    kind, *command = all_services()[name]["healthcheck"]["test"]
    assert kind == "CMD"
    words = replaced(_words(command), changes)
    return run([sys.executable if words[0] == "python" else words[0], *words[1:]]).returncode


def run(
    command: list[str],
    *,
    env: Mapping[str, str] | None = None,
    told: str = "",
    cwd: Path = ROOT,
    seconds: float = 2 * PATIENCE_SECONDS,
) -> "subprocess.CompletedProcess[str]":
    """Run to the end, with nothing of our environment but PATH; both outputs are in ``stdout``."""
    return subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(env or {})},
        cwd=cwd,
        input=told,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )


def console_lines(page: str) -> Iterator[str]:
    """The commands of a page's console blocks, without the prompt."""
    for block in re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        yield from re.findall(r"^\$ (.+)$", block, re.MULTILINE)


def _words(command: list[object]) -> list[str]:
    return [str(word).replace("$$", "$") for word in command]

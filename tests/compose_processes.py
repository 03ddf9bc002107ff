"""Prometheus and Alertmanager as compose starts them, but for names and ports of its network."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.compose_file import all_services, command_of, mounts_of, replaced, run
from tests.debian_tools import command, needed
from tests.integration import Child, free_ports

PATIENCE_SECONDS = 120.0
ANSWER_SECONDS_MAX = 10.0
RULES_PATH = "/etc/prometheus/alerts.yaml"


class Alertmanager:
    """The real one, with compose's command and file."""

    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        here = {inside: str(path) for inside, path in mounts_of("alertmanager").items()}
        storage = {"--storage.path=/alertmanager": f"--storage.path={folder}"}
        words = replaced(command_of("alertmanager"), here | storage)
        self.child = Child(
            [*command("prometheus-alertmanager"), *words, f"--web.listen-address=127.0.0.1:{port}"],
            log_path=folder / "alertmanager.log",
            cwd=folder,
            env=None,
        )
        self.child.wait_until(lambda: self.health() == 0, PATIENCE_SECONDS, "good health")

    def health(self) -> int:
        """The exit code of compose's health check."""
        return checked("alertmanager", 9093, int(self.url.rsplit(":", 1)[1]))

    def fire(self, alerts: list[dict[str, str]]) -> None:
        """As Prometheus would."""
        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        told = [{"labels": labels, "endsAt": until} for labels in alerts]
        answer = httpx.post(
            f"{self.url}/api/v2/alerts", json=told, timeout=ANSWER_SECONDS_MAX, trust_env=False
        )
        assert answer.is_success, answer.text

    def states(self, job: str) -> dict[frozenset[tuple[str, str]], str]:
        """``active`` or ``suppressed``, by labels, of the alerts of a job."""
        return {
            frozenset(each["labels"].items()): each["status"]["state"]
            for each in self._get("alerts", {"filter": f'job="{job}"'})
        }

    def groups(self) -> list[dict[str, Any]]:
        """What is told together: ``{"labels", "alerts", "receiver"}`` each."""
        return list(self._get("alerts/groups", {}))

    def _get(self, path: str, asked: dict[str, str]) -> Any:
        address = f"{self.url}/api/v2/{path}"
        answer = httpx.get(address, params=asked, timeout=ANSWER_SECONDS_MAX, trust_env=False)
        assert answer.is_success, answer.text
        return answer.json()


class Prometheus:
    """The real one, with compose's command and file.

    It scrapes these ports of 127.0.0.1 where compose's finds the members by DNS, and every second;
    ``rules`` are read in the place of the chart's.
    """

    def __init__(self, folder: Path, *, scraped: list[int], manager: str, rules: Path) -> None:
        program = needed("prometheus")
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        config = mounted("prometheus", "/etc/prometheus/prometheus.yml")
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        (job,) = config["scrape_configs"]
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in scraped]}]
        (static,) = config["alerting"]["alertmanagers"][0]["static_configs"]
        static["targets"] = [manager.removeprefix("http://")]
        (folder / "alerts.yaml").write_bytes(rules.read_bytes())
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        changes = {"/etc/prometheus/": f"{folder}/", "path=/prometheus": f"path={folder}/data"}
        words = replaced(command_of("prometheus"), changes)
        self.child = Child(
            [program, *words, f"--web.listen-address=127.0.0.1:{port}"],
            log_path=folder / "prometheus.log",
            cwd=folder,
            env=None,
        )
        self.child.wait_until(lambda: self.health() == 0, PATIENCE_SECONDS, "good health")

    def health(self) -> int:
        """The exit code of compose's health check."""
        return checked("prometheus", 9090, int(self.url.rsplit(":", 1)[1]))

    def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant query's vector."""
        return list(self.get("query", {"query": expression})["result"])

    def get(self, path: str, asked: Mapping[str, str]) -> Any:
        """The data of an answer of its API."""
        address = f"{self.url}/api/v1/{path}"
        answer = httpx.get(address, params=dict(asked), timeout=ANSWER_SECONDS_MAX, trust_env=False)
        body = answer.json()
        assert body["status"] == "success", body
        return body["data"]


def mounted(name: str, inside: str) -> Any:
    """What a service reads at a path, if that is YAML of ours."""
    return yaml.safe_load(mounts_of(name)[inside].read_text(encoding="utf-8"))


def checked(name: str, port: int, here: int) -> int:
    """The health check of a service with ``wget``, run against a port of this host.

    Their images have busybox's, and so has this.
    """
    folder = Path(needed("busybox")).parent
    (kind, program, *words) = all_services()[name]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "wget")
    done = run(
        [str(folder / "busybox"), "wget", *replaced(words, {f":{port}/": f":{here}/"})],
    )
    return done.returncode


def wait_until(condition: Callable[[], bool], told: Callable[[], object]) -> None:
    """Wait for a condition; what is ``told`` stands in the failure."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(0.1)

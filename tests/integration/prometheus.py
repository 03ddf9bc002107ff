"""A real Prometheus that scrapes consumers of a test, as a child process on 127.0.0.1."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.integration import Child, free_ports

START_SECONDS_MAX = 60.0
ANSWER_SECONDS_MAX = 10.0
JOB = "conversions-consumer"
"""The job of the shipped rules and of compose's scrape configuration."""


class Prometheus:
    """Scrapes whom ``scrape`` names, evaluates the rules given, and answers queries.

    ``rules`` are files of rules; ``interval_seconds`` is that of scraping and of evaluation.
    Exemplars are stored. What it scrapes may change while it runs.
    """

    def __init__(
        self,
        *,
        program: str,
        folder: Path,
        rules: tuple[Path, ...] = (),
        interval_seconds: float = 1.0,
    ) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._targets = folder / "targets.json"
        self.scrape({})
        interval = f"{round(interval_seconds * 1000)}ms"
        configuration = {
            "global": {
                "scrape_interval": interval,
                "scrape_timeout": interval,
                "evaluation_interval": interval,
            },
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [
                {
                    "job_name": JOB,
                    "file_sd_configs": [
                        {"files": [str(self._targets)], "refresh_interval": "1s"},
                    ],
                }
            ],
        }
        path = folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        self._child = Child(
            [
                program,
                f"--config.file={path}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=exemplar-storage",
                "--log.level=warn",
            ],
            log_path=folder / "prometheus.log",
            cwd=folder,
            env=None,
        )
        self._child.wait_until(self._ready, START_SECONDS_MAX, "an answer of Prometheus")

    def scrape(self, ports: Mapping[str, int]) -> None:
        """Scrape these ports of 127.0.0.1, each under the name of a pod; and no others."""
        targets = [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"pod": pod}}
            for pod, port in ports.items()
        ]
        # One rename: a half-written file would be an error.
        fresh = self._targets.with_suffix(".new")
        fresh.write_text(json.dumps(targets), encoding="utf-8")
        fresh.rename(self._targets)

    def query(self, expression: str, *, time: float | None = None) -> list[dict[str, Any]]:
        """An instant query's vector: ``{"metric": {…}, "value": [time, text]}`` each."""
        asked = {"query": expression} | ({} if time is None else {"time": str(time)})
        return list(self._get("query", asked)["result"])

    def query_range(
        self, expression: str, *, start: float, end: float, step: float
    ) -> list[dict[str, Any]]:
        """A range query's matrix: ``{"metric": {…}, "values": [[time, text], …]}`` each."""
        asked = {"query": expression, "start": str(start), "end": str(end), "step": str(step)}
        return list(self._get("query_range", asked)["result"])

    def alerts(self) -> list[dict[str, Any]]:
        """What is pending or firing now: ``{"labels", "annotations", "state", …}`` each."""
        return list(self._get("alerts", {})["alerts"])

    def exemplars(self, expression: str, *, start: float, end: float) -> list[dict[str, Any]]:
        """The exemplars of the series that the expression names."""
        asked = {"query": expression, "start": str(start), "end": str(end)}
        return list(self._get("query_exemplars", asked))

    def close(self) -> None:
        """End it."""
        self._child.kill()

    def output(self) -> str:
        """What it logged."""
        return self._child.output()

    def _get(self, path: str, asked: Mapping[str, str]) -> Any:
        answer = httpx.get(
            f"{self.url}/api/v1/{path}",
            params=dict(asked),
            timeout=ANSWER_SECONDS_MAX,
            trust_env=False,
        )
        body = answer.json()
        assert body["status"] == "success", (asked, body)
        return body["data"]

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=1.0, trust_env=False).is_success
        except httpx.TransportError:
            return False

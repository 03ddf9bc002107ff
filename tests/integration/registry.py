"""The real schema registry: Apicurio, speaking Confluent's API, as a child process."""

from pathlib import Path

import httpx

from tests.integration import Child, free_ports

START_SECONDS_MAX = 90.0
STOP_SECONDS_MAX = 30.0
ANSWER_SECONDS_MAX = 10.0


class Registry:
    """A registry on a port of its own. It keeps schemas in memory: a new start has none."""

    def __init__(self, *, java: Path, home: Path, folder: Path) -> None:
        port, management_port = free_ports(2)
        self.url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
        self.log_path = folder / "registry.log"
        self._folder = folder
        self._child: Child | None = None
        properties = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": port,
            # Without these two it would listen on port 9000 of every address.
            "quarkus.management.host": "127.0.0.1",
            "quarkus.management.port": management_port,
            "quarkus.log.level": "WARN",
            "quarkus.banner.enabled": "false",
        }
        self._command: list[str | Path] = [
            java,
            "-Xmx400m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            *(f"-D{name}={value}" for name, value in properties.items()),
            "-jar",
            home / "quarkus-run.jar",
        ]

    def launch(self) -> None:
        """Start without waiting, so that something else can start meanwhile."""
        self._child = Child(self._command, log_path=self.log_path, cwd=self._folder, env=None)

    def wait_until_ready(self) -> None:
        """Return when it answers."""
        assert self._child is not None, "launch it first"
        self._child.wait_until(self._answers, START_SECONDS_MAX, "an answer of the registry")

    def start(self) -> None:
        """Start with no schemas, and return when it answers."""
        self.launch()
        self.wait_until_ready()

    def stop(self) -> None:
        """SIGTERM. Its schemas are gone."""
        if self._child is not None:
            self._child.terminate()
            self._child.wait(STOP_SECONDS_MAX)

    def pause(self) -> None:
        """It takes connections and never answers, until ``resume``."""
        assert self._child is not None, "start it first"
        self._child.pause()

    def resume(self) -> None:
        """It answers again, what was asked meanwhile included."""
        assert self._child is not None, "start it first"
        self._child.resume()

    def close(self) -> None:
        """End it, paused or not."""
        if self._child is not None:
            self._child.kill()

    def register(self, subject: str, schema_json: str) -> int:
        """Register an Avro schema as a version of ``subject``; returns its id."""
        answer = httpx.post(
            f"{self.url}/subjects/{subject}/versions",
            json={"schema": schema_json},
            timeout=ANSWER_SECONDS_MAX,
            trust_env=False,
        )
        answer.raise_for_status()
        return int(answer.json()["id"])

    def _answers(self) -> bool:
        try:
            answer = httpx.get(f"{self.url}/subjects", timeout=1.0, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.is_success

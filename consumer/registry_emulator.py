"""A schema registry for demos and tests: Confluent's API as far as events need it.

It takes every schema, and so each is compatible with all others.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LEVEL = "FULL_TRANSITIVE"

_NO_SCHEMA = 404, {"error_code": 40403, "message": "Schema not found"}


class RegistryEmulator:
    """Keeps schemas in memory; binds to ``127.0.0.1`` and serves on a thread of its own."""

    def __init__(self, *, port: int) -> None:
        self._schemas: list[str] = []
        self._subjects: dict[str, list[int]] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _answers(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Serve."""
        threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="registry", daemon=True
        ).start()

    def stop(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()

    def register(self, subject: str, schema: str) -> int:
        """The id of a schema under a subject; the same schema, however spaced, has one id.

        Raises ValueError for what is no JSON.
        """
        text = _compact(schema)
        with self._lock:
            if text not in self._schemas:
                self._schemas.append(text)
            schema_id = self._schemas.index(text) + 1
            versions = self._subjects.setdefault(subject, [])
            if schema_id not in versions:
                versions.append(schema_id)
            return schema_id

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and JSON for one call."""
        match [method, *path.split("?", maxsplit=1)[0].strip("/").split("/")]:
            case ["GET", "schemas", "ids", number] if number.isdecimal():
                with self._lock:
                    if 0 < int(number) <= len(self._schemas):
                        return 200, {"schema": self._schemas[int(number) - 1]}
                return _NO_SCHEMA
            case ["POST", "subjects", subject, "versions"]:
                return 200, {"id": self.register(subject, json.loads(body)["schema"])}
            case ["GET", "subjects"]:
                with self._lock:
                    return 200, list(self._subjects)
            case ["GET", "config"]:
                return 200, {"compatibilityLevel": LEVEL}
            case (
                ["POST", "subjects", subject]
                | ["GET", "subjects", subject, "versions", "latest"]
                | ["POST", "compatibility", "subjects", subject, "versions", "latest"]
                | ["GET", "config", subject]
            ):
                return self._of_subject(method, path.strip("/").split("/")[0], subject, body)
            case _:
                return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def _of_subject(self, method: str, what: str, subject: str, body: bytes) -> tuple[int, Any]:
        """What is asked of one subject, which must be there."""
        schema = _compact(json.loads(body)["schema"]) if method == "POST" else None
        with self._lock:
            versions = self._subjects.get(subject)
            if versions is None:
                return 404, {"error_code": 40401, "message": f"Subject '{subject}' not found."}
            match what:
                case "config":
                    return 200, {"compatibilityLevel": LEVEL}
                case "compatibility":
                    return 200, {"is_compatible": True}
            known = [self._schemas[schema_id - 1] for schema_id in versions]
            if schema is not None and schema not in known:
                return _NO_SCHEMA
            index = len(known) - 1 if schema is None else known.index(schema)
            return 200, {
                "subject": subject,
                "version": index + 1,
                "id": versions[index],
                "schema": known[index],
            }


def _compact(schema: str) -> str:
    return json.dumps(json.loads(schema), separators=(",", ":"))


def _answers(registry: RegistryEmulator) -> type[BaseHTTPRequestHandler]:
    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                status, answer = registry.answer(method, self.path, body)
            except (ValueError, KeyError, TypeError, RecursionError):
                status, answer = 422, {"error_code": 42201, "message": "Invalid schema"}
            encoded = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    return Answers

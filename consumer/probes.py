"""HTTP on the metrics port: ``/metrics``, ``/livez``, ``/readyz``.

``/livez`` proves that the poll loop turns; it never depends on Meta, Kafka or the registry being
up. ``/readyz`` only tells whether the group's coordinator has answered, and what is degraded.
"""

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


class Health(NamedTuple):
    """What the probes answer: two verdicts, and facts for whoever looks."""

    live: bool
    ready: bool
    facts: dict[str, Any]


class Probes:
    """The server, on a thread of its own."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        registry: CollectorRegistry,
        health: Callable[[], Health],
    ) -> None:
        """Binds at once; port 0 takes a free one. Raises OSError when the port is taken."""
        server = _ServerV6 if ":" in host else ThreadingHTTPServer
        self._server = server((host, port), _answers(registry, health))
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        """Where it listens: ``http://host:port``."""
        host, port = self._server.server_address[:2]
        name = host.decode() if isinstance(host, bytes) else host
        return f"http://{f'[{name}]' if ':' in name else name}:{port}"

    def start(self) -> None:
        """Serve."""
        threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="probes", daemon=True
        ).start()

    def stop(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()


class _ServerV6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


def _answers(
    registry: CollectorRegistry, health: Callable[[], Health]
) -> type[BaseHTTPRequestHandler]:
    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "conversions-consumer"
        sys_version = ""

        def do_GET(self) -> None:
            path = self.path.split("?", 1)[0]
            if path == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(200, encode(registry), content_type)
            elif path in ("/livez", "/readyz"):
                state = health()
                good = state.live if path == "/livez" else state.ready
                body = orjson.dumps({"ok": good, **state.facts}, option=orjson.OPT_INDENT_2)
                self._answer(200 if good else 503, body + b"\n", "application/json")
            else:
                text = b"see /metrics, /livez, /readyz\n"
                self._answer(200 if path == "/" else 404, text, "text/plain")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes come every few seconds: not a line each."""

    return Answers

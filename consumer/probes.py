"""HTTP on the metrics port: ``/metrics``, ``/livez``, ``/readyz``, and one thing to ask for.

``/livez`` proves that the poll loop turns; it never depends on Meta, Kafka or the registry being
up. ``/readyz`` only tells whether the group's coordinator has answered, and what is degraded.
``POST /destinations/{id}/resume`` is taken from this machine alone, wherever the port is open to.
"""

import re
import socket
import threading
from collections.abc import Callable
from enum import IntEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from consumer.model import PixelId

SERVER = "conversions-consumer"
"""What the port calls itself, in the header of that name."""


class Health(NamedTuple):
    """What the probes answer: two verdicts, and facts for whoever looks."""

    live: bool
    ready: bool
    facts: dict[str, Any]


class Resuming(IntEnum):
    """What became of the wish that a destination be resumed; the value is HTTP's status."""

    WILL_BE = 202
    NOTHING_HERE = 404
    TOO_MANY = 503


class Probes:
    """The server, on a thread of its own."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        registry: CollectorRegistry,
        health: Callable[[], Health],
        resume: Callable[[PixelId], Resuming],
    ) -> None:
        """Binds at once; port 0 takes a free one. Raises OSError when the port is taken.

        ``health`` and ``resume`` are called on the server's threads.
        """
        server = _ServerV6 if ":" in host else ThreadingHTTPServer
        self._server = server((host, port), _answers(registry, health, resume))
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


_RESUME_PATH = re.compile(r"/destinations/([0-9]{1,32})/resume", re.ASCII)


def _is_this_machine(peer: str) -> bool:
    address = ip_address(peer.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def _answers(
    registry: CollectorRegistry,
    health: Callable[[], Health],
    resume: Callable[[PixelId], Resuming],
) -> type[BaseHTTPRequestHandler]:
    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = SERVER
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

        def do_POST(self) -> None:
            self.close_connection = True  # whatever its body was, it is not read
            match = _RESUME_PATH.fullmatch(self.path)
            # A page in a browser on this machine has an origin, and no business here.
            trusted = _is_this_machine(self.client_address[0]) and "Origin" not in self.headers
            if match is None:
                self._answer(405, b"only what can be resumed is posted to\n", "text/plain")
            elif not trusted:
                self._answer(403, b"this is for its own machine only\n", "text/plain")
            else:
                became = resume(PixelId(match[1]))
                text = f"{became.name.lower().replace('_', ' ')}\n".encode()
                self._answer(became.value, text, "text/plain")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes come every few seconds: not a line each."""

    return Answers

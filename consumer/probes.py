"""HTTP on the metrics port: ``/metrics``, ``/livez``, ``/readyz``, ``/``, two things to ask for.

``/livez`` proves that the poll loop turns; it never depends on Meta, Kafka or the registry being
up. ``/readyz`` only tells whether the group's coordinator has answered, and what is degraded.
``/`` is a page for people.
``POST /destinations/{id}/resume`` and ``POST /records/{topic}:{partition}:{offset}/skip`` are taken
from this machine alone, wherever the port is open to.
"""

import logging
import re
import socket
import sys
import threading
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from consumer.model import PixelId, Place
from consumer.skip import Skipping, place_of
from consumer.status_page import STILL
from consumer.status_style import CONTENT_SECURITY_POLICY

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
        page: Callable[[bool], bytes],
        resume: Callable[[PixelId], Resuming],
        skip: Callable[[Place], Skipping],
    ) -> None:
        """Binds at once; port 0 takes a free one. Raises OSError when the port is taken.

        ``health``, ``page``, ``resume`` and ``skip`` are called on the server's threads; ``page``
        is told whether it shall refresh itself.
        """
        server = _ServerV6 if ":" in host else _Server
        self._server = server((host, port), _answers(registry, health, page, _Asked(resume, skip)))

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


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Without this a traceback would go to stderr, also for a peer that just went away."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            logging.getLogger("conversions").exception("answering on the metrics port failed")


class _ServerV6(_Server):
    address_family = socket.AF_INET6


_RESUME_PATH = re.compile(r"/destinations/([0-9]{1,32})/resume", re.ASCII)
_SKIP_PATH = re.compile(r"/records/([^/]{1,300})/skip", re.ASCII)
_SKIPPING_STATUS = {
    Skipping.SKIPPED: 200,
    Skipping.UNDER_WAY: 202,
    Skipping.NOT_OPEN: 404,
    Skipping.ON_ITS_WAY: 409,
    Skipping.BEING_WRITTEN: 409,
    Skipping.NOT_OURS: 421,
    Skipping.TOO_MANY: 503,
    Skipping.NO_TURN: 503,
}


class _Answer(NamedTuple):
    status: int
    text: str


class _Asked(NamedTuple):
    """What can be asked for by POST."""

    resume: Callable[[PixelId], Resuming]
    skip: Callable[[Place], Skipping]

    def of(self, path: str) -> Callable[[], _Answer] | None:
        """What this path asks for; None when that is nothing."""
        if found := _RESUME_PATH.fullmatch(path):
            return partial(self._resume, PixelId(found[1]))
        found = _SKIP_PATH.fullmatch(path)
        place = place_of(found[1]) if found else None
        return None if place is None else partial(self._skip, place)

    def _resume(self, destination: PixelId) -> _Answer:
        became = self.resume(destination)
        return _Answer(became.value, became.name.lower().replace("_", " "))

    def _skip(self, place: Place) -> _Answer:
        became = self.skip(place)
        return _Answer(_SKIPPING_STATUS[became], became.value)


def _is_this_machine(peer: str) -> bool:
    address = ip_address(peer.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def _answers(
    registry: CollectorRegistry,
    health: Callable[[], Health],
    page: Callable[[bool], bytes],
    asked: _Asked,
) -> type[BaseHTTPRequestHandler]:
    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = SERVER
        sys_version = ""

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path == "/":
                body = page(query != STILL)
                self._answer(200, body, "text/html; charset=utf-8", CONTENT_SECURITY_POLICY)
            elif path == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(200, encode(registry), content_type)
            elif path in ("/livez", "/readyz"):
                state = health()
                good = state.live if path == "/livez" else state.ready
                body = orjson.dumps({"ok": good, **state.facts}, option=orjson.OPT_INDENT_2)
                self._answer(200 if good else 503, body + b"\n", "application/json")
            else:
                self._answer(404, b"see /, /metrics, /livez, /readyz\n", "text/plain")

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.close_connection = True  # whatever its body was, it is not read
            do = asked.of(self.path)
            # A page in a browser on this machine has an origin, and no business here.
            trusted = _is_this_machine(self.client_address[0]) and "Origin" not in self.headers
            if do is None:
                self._answer(405, b"nothing of this name can be asked for\n", "text/plain")
            elif not trusted:
                self._answer(403, b"this is for its own machine only\n", "text/plain")
            else:
                answer = do()
                self._answer(answer.status, f"{answer.text}\n".encode(), "text/plain")

        def _answer(
            self, status: int, body: bytes, content_type: str, policy: str = "default-src 'none'"
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Content-Security-Policy", policy)
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes come every few seconds: not a line each."""

    return Answers

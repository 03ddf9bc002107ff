"""The emulator's HTTP: its server, the requests that arrive, the answers and how they end.

Everything that goes wrong here is said in Meta's way, as JSON that a client of Graph expects. An
answer may end badly on purpose: halved, never written, or with the connection reset.
"""

import os
import re
import secrets
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.utils import formatdate
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from consumer.emulator_refusal import Refusal

BODY_BYTES_MAX = 32 * 1024 * 1024


class Ending(Enum):
    """How an exchange ends: with the answer, half of it, without one, or with a TCP reset."""

    ANSWER = "answer"
    HALF = "half"
    HANG_UP = "hang_up"
    RESET = "reset"


class Answer(NamedTuple):
    status: int
    body: bytes
    content_type: str = "application/json; charset=UTF-8"
    headers: Mapping[str, str] = {}
    ending: Ending = Ending.ANSWER


class Request(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    bearer: str | None
    content_type: str
    body: bytes
    host: str = ""


def refuse(refusal: Refusal) -> Answer:
    return Answer(refusal.status, refusal.body(trace_id=new_trace_id(), hints="none"))


def new_trace_id() -> str:
    return f"A{secrets.token_urlsafe(16)}"


class Server(ThreadingHTTPServer):
    """Knows its open connections, so that ``stop`` can end those that are kept alive.

    ``clock`` gives wall-clock seconds: every answer is dated by it.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self,
        address: tuple[str, int],
        answer: Callable[[Request], Answer],
        clock: Callable[[], float],
    ) -> None:
        self.answer = answer
        self.clock = clock
        self._open: set[Any] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, _Exchange)

    def server_bind(self) -> None:
        # HTTPServer's own would ask the DNS for the name of this machine.
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nobody's error, and nothing is logged."""

    def hang_up(self) -> None:
        """End every open connection."""
        with self._open_lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Exchange(BaseHTTPRequestHandler):
    """One connection: reads requests, writes answers, and ends as the answer says."""

    protocol_version = "HTTP/1.1"
    timeout = 120
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        body = self._body()
        if isinstance(body, Refusal):
            return self._send(refuse(body))
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        bearer = credentials.strip() if scheme.lower() == "bearer" else None
        try:
            target = urlsplit(self.path)
            query = dict(parse_qsl(target.query))
            method = "GET" if self.command == "HEAD" else self.command
            content_type, host = self.headers.get("Content-Type", ""), self.headers.get("Host", "")
            request = Request(method, target.path, query, bearer, content_type, body, host)
            answer = self.server.answer(request)
        except Exception:
            # Ours, and said in Meta's way: a client of Graph never sees anything else.
            answer = refuse(Refusal(code=1, message="An unknown error occurred", status=500))
        return self._send(answer)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _body(self) -> bytes | Refusal:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not re.fullmatch(r"\d{1,12}", length):
            self.close_connection = True
            return Refusal(code=100, message="Content-Length is required", status=411)
        if int(length) > BODY_BYTES_MAX:
            # Read on for a while: a client that is still sending would miss the answer.
            self.close_connection = True
            left = min(int(length), 4 * BODY_BYTES_MAX)
            while left > 0 and (chunk := self.rfile.read(min(left, 65_536))):
                left -= len(chunk)
            return _TOO_LARGE
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionAbortedError
        return _unpacked(body, self.headers.get("Content-Encoding", "identity").lower())

    def _send(self, answer: Answer) -> None:
        if answer.ending is Ending.RESET:
            # Lingering for no time at all makes the kernel send RST in place of FIN.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            os.close(self.connection.detach())
        self.close_connection |= answer.ending is not Ending.ANSWER
        if answer.ending in (Ending.RESET, Ending.HANG_UP):
            return
        phrase = self.responses.get(answer.status, ("Unknown", ""))[0]
        lines = [
            f"HTTP/1.1 {answer.status} {phrase}",
            *self._date(answer),
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {len(answer.body)}",
            f"Connection: {'close' if self.close_connection else 'keep-alive'}",
            *(f"{name}: {text}" for name, text in answer.headers.items()),
        ]
        body = b"" if self.command == "HEAD" else answer.body
        if answer.ending is Ending.HALF:
            body = body[: len(body) // 2]
        self.wfile.write("\r\n".join([*lines, "\r\n"]).encode() + body)

    def _date(self, answer: Answer) -> list[str]:
        if any(name.lower() == "date" for name in answer.headers):
            return []
        try:
            return [f"Date: {formatdate(self.server.clock(), usegmt=True)}"]
        except Exception:  # a clock of the caller's own: who has no time sends no date
            return []

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.close_connection = True
        self._send(refuse(Refusal(code=100, message="Unsupported request", status=code)))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: a request line may hold a token."""


_TOO_LARGE = Refusal(code=1, message="Please reduce the amount of data", status=413)


def _unpacked(body: bytes, encoding: str) -> bytes | Refusal:
    if encoding == "identity":
        return body
    broken = Refusal(code=100, message="The Content-Encoding is not gzip, or broken")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(body, BODY_BYTES_MAX + 1) if encoding == "gzip" else b""
    except zlib.error:
        return broken
    if len(plain) > BODY_BYTES_MAX:
        return _TOO_LARGE
    return plain if unpacker.eof else broken

"""A strict stand-in for Meta's Graph API: a real HTTP server for the demo, compose and tests.

``POST /v26.0/{pixel}/events`` judges a batch as Meta does (``emulator_rules``) and keeps what it
takes; ``GET /v26.0/{pixel}?fields=id,name`` reads a pixel; ``GET /healthz`` answers 200. The same
event name and id for one pixel within 48 h of the first receipt is one event, received twice.

Everything under ``/_emulator/`` is for whoever runs the test, and takes no token:

* ``GET events?pixel=&after=N&limit=``: ``{"events": [...], "next": N}``, the unique events in
  order, of which the newest ``STORED_EVENTS_MAX`` are kept; ``GET stats``; ``GET requests``.
* ``POST misbehave``: a list of rules ``{"pixel", "times", "probability", "seed", "do"}`` in place
  of the last one. In ``do`` is one action, ``status`` (with ``body`` json, html or empty),
  ``error``, ``hang_seconds`` (take nothing, then hang up), ``reset``, ``ok_with_error``; these
  take the batch first: ``accept_then_drop``, ``accept_then_status``, ``events_received`` (the
  first n), ``truncate`` (true: half of the JSON; "connection": hang up half-way). ``headers``,
  ``latency_ms`` and ``delay_seconds`` add to any answer; the batch is taken before the delay.
* ``POST revoke`` and ``restore`` ``{"token"}``; ``POST app_secrets`` ``{"secrets": [...]}``: each
  call must then carry the proof of one of them; ``POST hints`` ``{"form": "none|path|index"}``;
  ``POST reset`` forgets all of it.

It logs nothing: requests hold tokens, and even hashed keys are personal.
"""

import hashlib
import hmac
import os
import re
import secrets
import socket
import struct
import threading
import zlib
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from socketserver import TCPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import orjson

from consumer.emulator_rules import Misbehaviour, Misbehaviours, Refusal, judge_batch

BODY_BYTES_MAX = 32 * 1024 * 1024
DEDUPLICATION_SECONDS = 48 * 3600
STORED_EVENTS_MAX = 250_000
LISTED_REQUESTS_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorConfig:
    """``port`` 0 takes a free one; ``pixels`` maps a pixel's id to the tokens that may write.

    Empty ``pixels``: every numeric id, and every token of 8 or more characters that does not
    contain "invalid". ``clock`` gives wall-clock seconds.
    """

    host: str
    port: int
    pixels: Mapping[str, frozenset[str]] = field(repr=False)
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedEvent:
    """A unique event that was taken, and how often; ``request`` numbers the first that had it."""

    number: int
    pixel: str
    receipts: int
    received_at: float
    test_event_code: str | None
    request: int
    event: Any = field(repr=False)


class Emulator:
    """The server and what it remembers, which outlives ``stop`` and a new ``start``."""

    def __init__(self, config: EmulatorConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._memory = _Memory()
        self._active = 0
        self._port = config.port
        self._server: _Server | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Bind and serve in a daemon thread. Raises OSError when the port is taken."""
        assert self._server is None, "it serves already"
        self._stopped = threading.Event()
        self._server = _Server((self._config.host, self._port), self._answer)
        # A second start is the same address to its clients, also when the port was a free one.
        self._port = self._server.server_address[1]
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(0.02,), name="emulator", daemon=True).start()

    @property
    def url(self) -> str:
        """Where clients on this machine find it; the port is known from ``start`` on."""
        everywhere = self._config.host in ("", "0.0.0.0")  # noqa: S104 - compared, not bound
        return f"http://{'127.0.0.1' if everywhere else self._config.host}:{self._port}"

    def serve_forever(self) -> None:
        """Serve, starting if need be, until ``stop`` is called or an exception arrives."""
        if self._server is None:
            self.start()
        try:
            self._stopped.wait()
        finally:
            self.stop()

    def stop(self) -> None:
        """Close the port and every open connection; requests under way get no answer."""
        self._stopped.set()
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.hang_up()

    @property
    def accepted(self) -> list[AcceptedEvent]:
        """The unique events in the order of their first receipt."""
        with self._lock:
            return self._memory.listed(self._memory.stored, orjson.loads)

    def _answer(self, request: "_Request") -> "_Answer":
        if request.path == "/healthz":
            return _Answer(200, b'{"status":"ok"}')
        if request.path.startswith("/_emulator/"):
            return self._control(request)
        if request.method == "POST" and (match := _EVENTS_PATH.fullmatch(request.path)):
            return self._post_events(match[1], request)
        if request.method == "GET" and (match := _PIXEL_PATH.fullmatch(request.path)):
            return self._get_pixel(match[1], request)
        return _refuse(Refusal(code=2500, message="Unknown path components"))

    def _control(self, request: "_Request") -> "_Answer":
        name = f"{request.method} {request.path.removeprefix('/_emulator/')}"
        try:
            with self._lock:
                if name == "POST reset":
                    self._memory = _Memory()
                return _Answer(200, orjson.dumps(_control(name, self._memory, request)))
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            # A ValueError of exactly that type is one of our own sentences.
            said = str(problem) if type(problem) is ValueError else "The request does not fit."
            return _refuse(Refusal(code=100, message=said))

    def _get_pixel(self, pixel: str, request: "_Request") -> "_Answer":
        with self._lock:
            refusal = self._unauthorised(pixel, request, {})
        if refusal is not None:
            return _refuse(refusal)
        fields = {"id": pixel, "name": f"Emulated pixel {pixel}"}
        asked = {"id", *request.query.get("fields", "id,name").split(",")}
        return _Answer(200, orjson.dumps({k: v for k, v in fields.items() if k in asked}))

    def _post_events(self, pixel: str, request: "_Request") -> "_Answer":
        with self._lock:
            self._active += 1
            tally = self._memory.tally
            tally["concurrent_requests_max"] = max(tally["concurrent_requests_max"], self._active)
            due = self._memory.misbehaviours.due(pixel)
        try:
            answer = self._deliver(pixel, request, due)
            hang_seconds = due.value if due.action == "hang_seconds" else 0
            if self._stopped.wait(due.delay_seconds + hang_seconds):
                return answer._replace(ending=_Ending.HANG_UP)
            return answer._replace(headers=due.headers)
        finally:
            with self._lock:
                self._active -= 1

    def _deliver(self, pixel: str, request: "_Request", due: Misbehaviour) -> "_Answer":
        now, trace_id = self._config.clock(), _trace_id()
        payload = _decoded(request.body)
        data = payload.get("data") if payload is not None else None
        refusal = None
        if due.action not in _UNJUDGED:
            refusal = _body_refusal(payload)
            with self._lock:
                refusal = refusal or self._unauthorised(pixel, request, payload)
            refusal = refusal or judge_batch(data, now=now, raw=request.body)
        with self._lock:
            memory = self._memory
            memory.tally["tokens_in_url"] += "access_token" in request.query
            received = memory.receive(pixel, payload, due, refusal, now=now, trace_id=trace_id)
            hints = memory.hints
        if refusal is not None:
            answer = _Answer(refusal.status, refusal.body(trace_id=trace_id, hints=hints))
        else:
            said = {"events_received": received, "messages": [], "fbtrace_id": trace_id}
            answer = _Answer(200, orjson.dumps(said))
        return _misbehaved(answer, due, trace_id)

    def _unauthorised(
        self, pixel: str, request: "_Request", payload: dict[str, Any] | None
    ) -> Refusal | None:
        """Why the token may not write to the pixel, None if it may. The lock is held."""
        given = request.query | (payload or {})
        token = given.get("access_token") or request.bearer
        if not token or type(token) is not str:
            return _NO_TOKEN
        pixels, memory = self._config.pixels, self._memory
        known = any(token in tokens for tokens in pixels.values())
        if not (known if pixels else len(token) >= 8 and "invalid" not in token):
            return _BAD_TOKEN
        if token in memory.revoked:
            return _EXPIRED_TOKEN
        if memory.app_secrets and not _proves(given.get("appsecret_proof"), token, memory):
            return _BAD_PROOF
        writable = token in pixels.get(pixel, ()) if pixels else pixel.isdecimal()
        return None if writable else _unknown_pixel(pixel, request.method)


_EVENTS_PATH = re.compile(r"/v\d\d\.0/([^/]+)/events")
_PIXEL_PATH = re.compile(r"/v\d\d\.0/([^/]+)")
_UNJUDGED = frozenset(("status", "error", "hang_seconds", "reset", "ok_with_error"))
_NO_TOKEN = Refusal(code=104, message="An access token is required to request this resource.")
_BAD_TOKEN = Refusal(
    code=190, message="Invalid OAuth access token - Cannot parse access token", status=401
)
_EXPIRED_TOKEN = Refusal(
    code=190, subcode=463, message="Error validating access token: the session has expired."
)
_BAD_PROOF = Refusal(
    code=100,
    message="Invalid appsecret_proof provided in the API argument",
    kind="GraphMethodException",
)


def _unknown_pixel(pixel: str, method: str) -> Refusal:
    message = (
        f"Unsupported {method.lower()} request. Object with ID '{pixel}' does not exist, cannot be"
        " loaded due to missing permissions, or does not support this operation. Please read the"
        " Graph API documentation at https://developers.facebook.com/docs/graph-api"
    )
    return Refusal(code=100, subcode=33, message=message, kind="GraphMethodException")


def _proves(proof: object, token: str, memory: "_Memory") -> bool:
    for secret in memory.app_secrets:
        if proof == hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest():
            return True
    return False


def _decoded(body: bytes) -> dict[str, Any] | None:
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return payload if type(payload) is dict else None


def _body_refusal(payload: dict[str, Any] | None) -> Refusal | None:
    if payload is not None and type(payload.get("test_event_code")) in (str, type(None)):
        return None
    return Refusal(code=100, is_transient=False, user_message="The body must be a JSON object.")


class _Ending(Enum):
    """How an exchange ends: with the answer, half of it, without one, or with a TCP reset."""

    ANSWER = "answer"
    HALF = "half"
    HANG_UP = "hang_up"
    RESET = "reset"


class _Answer(NamedTuple):
    status: int
    body: bytes
    content_type: str = "application/json; charset=UTF-8"
    headers: Mapping[str, str] = {}
    ending: _Ending = _Ending.ANSWER


class _Request(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    bearer: str | None
    body: bytes


def _refuse(refusal: Refusal) -> _Answer:
    return _Answer(refusal.status, refusal.body(trace_id=_trace_id(), hints="none"))


def _trace_id() -> str:
    return f"A{secrets.token_urlsafe(16)}"


def _misbehaved(answer: _Answer, due: Misbehaviour, trace_id: str) -> _Answer:
    """What becomes of an honest answer."""
    match due.action:
        case "status" | "accept_then_status":
            return _page(due.value, due.page, trace_id)
        case "error":
            return _injected(due.value, trace_id)
        case "ok_with_error":
            return _page(200, "json", trace_id)
        case "truncate" if due.value is True:
            return answer._replace(body=answer.body[: len(answer.body) // 2])
        case "truncate":
            return answer._replace(ending=_Ending.HALF)
        case "hang_seconds" | "accept_then_drop":
            return answer._replace(ending=_Ending.HANG_UP)
        case "reset":
            return answer._replace(ending=_Ending.RESET)
    return answer


def _page(status: int, page: str, trace_id: str) -> _Answer:
    if page == "empty":
        return _Answer(status, b"")
    if page == "html":
        html = b"<!DOCTYPE html><html><body><h1>Sorry, something went wrong.</h1></body></html>"
        return _Answer(status, html, "text/html; charset=utf-8")
    transient = status >= 500
    message = "An unexpected error has occurred."
    fault = Refusal(code=2 if transient else 1, message=message, is_transient=transient)
    return _Answer(status, fault.body(trace_id=trace_id, hints="none"))


def _injected(error: Mapping[str, Any], trace_id: str) -> _Answer:
    refusal = Refusal(
        code=error["code"],
        subcode=error.get("subcode"),
        message=error.get("message", "The emulator was told to say so."),
        kind=error.get("type", "OAuthException"),
        is_transient=error.get("is_transient"),
    )
    return _Answer(error.get("status", 400), refusal.body(trace_id=trace_id, hints="none"))


class _Memory:
    """All that ``POST /_emulator/reset`` forgets. The emulator's lock guards it."""

    def __init__(self) -> None:
        self.misbehaviours = Misbehaviours([])
        self.revoked: set[str] = set()
        self.app_secrets: tuple[str, ...] = ()
        self.hints = "none"
        self.tally = Counter(dict.fromkeys(_TALLIES, 0))
        self.refused: Counter[str] = Counter()
        self.misbehaved: Counter[str] = Counter()
        self.pixels: dict[str, Counter[str]] = {}
        self.requests: deque[dict[str, Any]] = deque(maxlen=LISTED_REQUESTS_MAX)
        # As JSON: bytes are no work for the garbage collector, however many there are.
        self.stored: deque[AcceptedEvent] = deque()
        self._receipts: Counter[int] = Counter()
        self._by_key: OrderedDict[tuple[str, str, str], AcceptedEvent] = OrderedDict()

    def receive(
        self,
        pixel: str,
        payload: dict[str, Any] | None,
        due: Misbehaviour,
        refusal: Refusal | None,
        *,
        now: float,
        trace_id: str,
    ) -> int:
        """Note one request and store what it brings; how many events Meta says it received."""
        data = payload.get("data") if payload is not None else None
        events = data if type(data) is list else []
        self.tally["requests"] += 1
        verdict, taken = "accepted", events
        if due.action is not None:
            self.misbehaved[due.action] += 1
        if due.action in _UNJUDGED:
            verdict, taken = "misbehaved", []
        elif refusal is not None:
            verdict, taken = "refused", []
            self.refused[refusal.label] += 1
        elif due.action == "events_received":
            taken = events[: due.value]
        noted = {"request": self.tally["requests"], "time": now, "pixel": pixel}
        noted |= {"events": len(events), "verdict": verdict, "misbehaviour": due.action}
        noted |= {"error": refusal.label if refusal else None, "fbtrace_id": trace_id}
        noted["event_ids"] = [e.get("event_id") if type(e) is dict else None for e in events]
        self.requests.append(noted)
        if refusal is None:
            self.tally["events_dropped"] += len(events) - len(taken)
        if verdict == "accepted" and payload is not None:
            self._store(pixel, taken, payload.get("test_event_code"), now)
        return due.value if due.action == "events_received" else len(taken)

    def listed(
        self, events: Iterable[AcceptedEvent], read: Callable[[bytes], Any]
    ) -> list[AcceptedEvent]:
        """The events with their receipts, and what ``read`` makes of their JSON."""
        return [
            replace(one, receipts=self._receipts[one.number], event=read(one.event))
            for one in events
        ]

    def _store(self, pixel: str, events: list[Any], code: str | None, now: float) -> None:
        before = self.tally["events_unique"]
        for event in events:
            event_id = event.get("event_id")
            key = (pixel, event["event_name"], event_id) if event_id else None
            first = self._by_key.get(key) if key is not None else None
            if first is None or now - first.received_at >= DEDUPLICATION_SECONDS:
                self.tally["events_unique"] += 1
                first = AcceptedEvent(
                    number=self.tally["events_unique"],
                    pixel=pixel,
                    receipts=0,
                    received_at=now,
                    test_event_code=code,
                    request=self.tally["requests"],
                    event=orjson.dumps(event),
                )
                self.stored.append(first)
                if key is not None:
                    self._by_key[key] = first
                    self._by_key.move_to_end(key)
            if first.number >= self.stored[0].number:
                self._receipts[first.number] += 1
        unique = self.tally["events_unique"] - before
        mine = self.pixels.setdefault(pixel, Counter())
        mine["events_unique"] += unique
        for counts in (self.tally, mine):
            counts["accepted_requests"] += 1
            counts["events_received"] += len(events)
            counts["duplicates"] += len(events) - unique
        self._forget(now)

    def _forget(self, now: float) -> None:
        while len(self.stored) > STORED_EVENTS_MAX:
            del self._receipts[self.stored.popleft().number]
        while self._by_key:
            oldest = next(iter(self._by_key.values()))
            if now - oldest.received_at < DEDUPLICATION_SECONDS:
                break
            self._by_key.popitem(last=False)


_TALLIES = (
    "requests",
    "accepted_requests",
    "events_received",
    "events_unique",
    "duplicates",
    "events_dropped",
    "concurrent_requests_max",
    "tokens_in_url",
)


def _control(name: str, memory: _Memory, request: _Request) -> dict[str, Any]:
    """Do what the path under ``/_emulator/`` says. ValueError with a sentence if it cannot."""
    match name:
        case "GET events":
            return _list_events(memory, request)
        case "GET requests":
            return {"requests": list(memory.requests)}
        case "GET stats":
            counters = {"refused": memory.refused, "misbehaved": memory.misbehaved}
            return {**memory.tally, **counters, "pixels": memory.pixels}
        case "POST misbehave":
            memory.misbehaviours = Misbehaviours(orjson.loads(request.body))
        case "POST revoke":
            memory.revoked.add(str(orjson.loads(request.body)["token"]))
        case "POST restore":
            memory.revoked.discard(str(orjson.loads(request.body)["token"]))
        case "POST app_secrets":
            memory.app_secrets = tuple(map(str, orjson.loads(request.body)["secrets"]))
        case "POST hints":
            form = orjson.loads(request.body)["form"]
            if form not in ("none", "path", "index"):
                raise ValueError("form must be none, path or index.")
            memory.hints = form
        case "POST reset":
            pass
        case _:
            raise ValueError("There is no such control.")
    return {"success": True}


def _list_events(memory: _Memory, request: _Request) -> dict[str, Any]:
    numbers = [request.query.get("after", "0"), request.query.get("limit", "1000")]
    if not all(number.isdecimal() for number in numbers):
        raise ValueError("after and limit must be whole numbers.")
    after, limit = map(int, numbers)
    pixel = request.query.get("pixel")
    first = memory.stored[0].number if memory.stored else 1
    newer = islice(memory.stored, max(0, after + 1 - first), None)
    page = list(islice((one for one in newer if pixel in (None, one.pixel)), limit))
    events = memory.listed(page, orjson.Fragment)
    return {"events": events, "next": page[-1].number if page else after}


class _Server(ThreadingHTTPServer):
    """Knows its open connections, so that ``stop`` can end those that are kept alive."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], answer: Callable[[_Request], _Answer]) -> None:
        self.answer = answer
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
    server: _Server

    def do_GET(self) -> None:
        body = self._body()
        if isinstance(body, Refusal):
            return self._send(_refuse(body))
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        bearer = credentials.strip() if scheme.lower() == "bearer" else None
        try:
            target = urlsplit(self.path)
            query = dict(parse_qsl(target.query))
            method = "GET" if self.command == "HEAD" else self.command
            answer = self.server.answer(_Request(method, target.path, query, bearer, body))
        except Exception:
            # Ours, and said in Meta's way: a client of Graph never sees anything else.
            answer = _refuse(Refusal(code=1, message="An unknown error occurred", status=500))
        return self._send(answer)

    do_HEAD = do_POST = do_GET

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

    def _send(self, answer: _Answer) -> None:
        if answer.ending is _Ending.RESET:
            # Lingering for no time at all makes the kernel send RST in place of FIN.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            os.close(self.connection.detach())
        self.close_connection |= answer.ending is not _Ending.ANSWER
        if answer.ending in (_Ending.RESET, _Ending.HANG_UP):
            return
        phrase = self.responses.get(answer.status, ("Unknown", ""))[0]
        lines = [
            f"HTTP/1.1 {answer.status} {phrase}",
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {len(answer.body)}",
            f"Connection: {'close' if self.close_connection else 'keep-alive'}",
            *(f"{name}: {text}" for name, text in answer.headers.items()),
        ]
        body = b"" if self.command == "HEAD" else answer.body
        if answer.ending is _Ending.HALF:
            body = body[: len(body) // 2]
        self.wfile.write("\r\n".join([*lines, "\r\n"]).encode() + body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.close_connection = True
        self._send(_refuse(Refusal(code=100, message="Unsupported request", status=code)))

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

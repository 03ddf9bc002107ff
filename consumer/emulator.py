"""A strict stand-in for Meta's Graph API: a real HTTP server for the demo, compose and tests.

``POST /v26.0/{pixel}/events`` judges a batch as Meta does (``emulator_rules``) and keeps what it
takes; a GET is answered by the readings of ``_ROUTES``, alone or in a batch (``POST /v26.0/``);
``GET /healthz`` answers 200. The same event name and id for one pixel within 48 h of the first
receipt is one event, received twice.

Everything under ``/_emulator/`` is for whoever runs the test, and takes no token:

* ``GET events?pixel=&after=N&limit=``: ``{"events": [...], "next": N}``, the unique events in
  order, of which the newest ``STORED_EVENTS_MAX`` are kept; ``GET stats``;
  ``GET requests?after=N``.
* ``POST misbehave``: a list of rules ``{"pixel", "times", "probability", "seed", "do"}`` in place
  of the last one. In ``do`` is one action, ``status`` (with ``body`` json, html or empty),
  ``error``, ``answer`` (``status`` and any ``json`` or ``text``), ``hang_seconds`` (take nothing,
  then hang up), ``reset``, ``ok_with_error``; these take the batch first: ``accept_then_drop``,
  ``accept_then_status``, ``accept_then_answer``, ``events_received`` (the first n), ``truncate``
  (true: half of the JSON; "connection": hang up half-way). ``headers``, ``latency_ms`` and
  ``delay_seconds`` add to any answer; the batch is taken before the delay.
* ``POST usage``: usage headers and rate limits, see ``emulator_usage``.
* ``POST revoke`` and ``restore`` ``{"token"}``; ``POST expiry``: when a token ends
  (``emulator_tokens``); ``POST app_secrets`` ``{"secrets": [...], "code": 100}``: each call must
  then carry the proof of one of them, or is refused with the code; ``POST accounts``: who owns
  which pixels (``emulator_accounts``); ``POST hints`` ``{"form": "none|path|index"}``;
  ``POST reset`` forgets all of it.

It logs nothing: requests hold tokens, and even hashed keys are personal.
"""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from consumer.emulator_access import token_of
from consumer.emulator_batch import answer_of, read_batch
from consumer.emulator_body import main_refusal, read_parameters
from consumer.emulator_http import Answer, Ending, Request, Server, new_trace_id, refuse
from consumer.emulator_listings import LISTINGS
from consumer.emulator_memory import AcceptedEvent, Memory, control
from consumer.emulator_misbehaviour import UNJUDGED, Misbehaviour, misbehaved
from consumer.emulator_quality import dataset_quality, pixel_stats
from consumer.emulator_reading import Asked, Reading, unreachable, unsupported
from consumer.emulator_refusal import Refusal
from consumer.emulator_rules import judge_batch
from consumer.emulator_tokens import debug_token
from consumer.emulator_versions import version_headers

__all__ = ["AcceptedEvent", "Emulator", "EmulatorConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorConfig:
    """``port`` 0 takes a free one; ``pixels`` maps a pixel's id to the tokens that may write.

    Empty ``pixels``: every numeric id, and every token of 8 or more characters that does not
    contain "invalid". ``clock`` gives wall-clock seconds, by which events are
    judged and answers dated.
    """

    host: str
    port: int
    pixels: Mapping[str, frozenset[str]] = field(repr=False)
    clock: Callable[[], float]


class Emulator:
    """The server and what it remembers, which outlives ``stop`` and a new ``start``."""

    def __init__(self, config: EmulatorConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._memory = Memory()
        self._active = 0
        self._port = config.port
        self._server: Server | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Bind and serve in a daemon thread. Raises OSError when the port is taken."""
        assert self._server is None, "it serves already"
        self._stopped = threading.Event()
        self._server = Server((self._config.host, self._port), self._answer, self._config.clock)
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

    def _answer(self, request: Request) -> Answer:
        if request.path == "/healthz":
            return Answer(200, b'{"status":"ok"}')
        if request.path.startswith("/_emulator/"):
            return self._control(request)
        with self._lock:
            shown = not request.query.keys().isdisjoint(("access_token", "input_token"))
            self._memory.tally["tokens_in_url"] += shown
        return self._serve(request)

    def _serve(self, request: Request) -> Answer:
        headers = version_headers(request.path, self._config.clock())
        if isinstance(headers, Refusal):
            return refuse(headers)
        answer = self._route(request)
        return answer._replace(headers={**headers, **answer.headers})

    def _route(self, request: Request) -> Answer:
        if request.method == "POST" and _BATCH.fullmatch(request.path):
            return self._answer_batch(request)
        refusal = Refusal(code=2500, message="Unknown path components")
        for method, pattern, reading in _ROUTES:
            match = pattern.fullmatch(request.path)
            if match is None:
                continue
            if method == request.method:
                if reading is None:
                    return self._post_events(match[1], request)
                return self._read(reading, match, request)
            refusal = unsupported(match[1] if match.groups() else "", request.method)
        return refuse(refusal)

    def _control(self, request: Request) -> Answer:
        name = f"{request.method} {request.path.removeprefix('/_emulator/')}"
        try:
            with self._lock:
                if name == "POST reset":
                    self._memory = Memory()
                return Answer(200, orjson.dumps(control(name, self._memory, request)))
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            # A ValueError of exactly that type is one of our own sentences.
            said = str(problem) if type(problem) is ValueError else "The request does not fit."
            return refuse(Refusal(code=100, message=said))

    def _read(self, reading: Reading, match: re.Match[str], request: Request) -> Answer:
        now = self._config.clock()
        with self._lock:
            token, headers = self._admitted(request.query, request.bearer, None, now)
            if isinstance(token, Refusal):
                return refuse(token)._replace(headers=headers)
            pixels, memory = self._config.pixels, self._memory
            said = reading(Asked(request, match.groups(), token, pixels, memory, now))
        answer = refuse(said) if isinstance(said, Refusal) else Answer(200, orjson.dumps(said))
        return answer._replace(headers=headers)

    def _answer_batch(self, request: Request) -> Answer:
        batch = read_batch(request)
        if isinstance(batch, Refusal):
            return refuse(batch)
        pixels, now = self._config.pixels, self._config.clock()
        with self._lock:
            token = token_of(batch.given, request.bearer, pixels, self._memory, now)
        if isinstance(token, Refusal):
            return refuse(token)
        return answer_of(batch, [self._answer_call(call) for call in batch.calls])

    def _answer_call(self, call: Request) -> Answer:
        if call.method != "GET":
            return refuse(unsupported(call.path, call.method))
        return self._serve(call)

    def _post_events(self, pixel: str, request: Request) -> Answer:
        with self._lock:
            self._active += 1
            tally = self._memory.tally
            tally["concurrent_requests_max"] = max(tally["concurrent_requests_max"], self._active)
            due = self._memory.misbehaviours.due(pixel)
        try:
            answer = self._deliver(pixel, request, due)
            hang_seconds = due.value if due.action == "hang_seconds" else 0
            if self._stopped.wait(due.delay_seconds + hang_seconds):
                return answer._replace(ending=Ending.HANG_UP)
            return answer._replace(headers={**answer.headers, **due.headers})
        finally:
            with self._lock:
                self._active -= 1

    def _deliver(self, pixel: str, request: Request, due: Misbehaviour) -> Answer:
        now, trace_id = self._config.clock(), new_trace_id()
        read = read_parameters(request)
        given = read if isinstance(read, dict) else {}
        refusal = None if isinstance(read, dict) else read
        headers: Mapping[str, str] = {}
        if due.action in UNJUDGED:
            refusal = None
        elif refusal is None:
            with self._lock:
                token, headers = self._admitted(given, request.bearer, pixel, now)
            refusal = token if isinstance(token, Refusal) else main_refusal(given)
            refusal = refusal or judge_batch(given.get("data"), now=now, raw=request.body)
        with self._lock:
            memory = self._memory
            received = memory.receive(pixel, given, due, refusal, now=now, trace_id=trace_id)
            hints = memory.hints
        if refusal is not None:
            answer = Answer(refusal.status, refusal.body(trace_id=trace_id, hints=hints))
        else:
            said = {"events_received": received, "messages": [], "fbtrace_id": trace_id}
            answer = Answer(200, orjson.dumps(said))
        return misbehaved(answer._replace(headers=headers), due, trace_id)

    def _admitted(
        self, given: Mapping[str, Any], bearer: str | None, pixel: str | None, now: float
    ) -> tuple[str | Refusal, Mapping[str, str]]:
        """The token of a call, or why it may not be made; and how much is used up. The lock is
        held. ``pixel`` is the one that would be written to."""
        pixels, memory = self._config.pixels, self._memory
        token = token_of(given, bearer, pixels, memory, now)
        if isinstance(token, Refusal):
            return token, {}
        headers, refusal = memory.usage.charge(token=token, pixel=pixel, now=now)
        if refusal is None and pixel is not None:
            refusal = unreachable(pixel, token, pixels, "POST")
        return refusal or token, headers


# What is served, the first that fits. A reading gets a good token and holds the lock; None is
# the edge that takes events, which is no reading.
_VERSION = r"/v\d+\.0"
_BATCH = re.compile(f"{_VERSION}/?")
_ROUTES: tuple[tuple[str, re.Pattern[str], Reading | None], ...] = (
    ("POST", re.compile(rf"{_VERSION}/([^/]+)/events"), None),
    ("GET", re.compile(rf"{_VERSION}/dataset_quality"), dataset_quality),
    ("GET", re.compile(rf"{_VERSION}/debug_token"), debug_token),
    ("GET", re.compile(rf"{_VERSION}/([^/]+)/stats"), pixel_stats),
    *(("GET", re.compile(f"{_VERSION}{path}"), reading) for path, reading in LISTINGS),
)

"""An in-memory Meta behind ``seams.Outgoing``: strict, and as slow as a test wants it.

It refuses a whole request for one bad event, takes at most 1,000 events, and answers in virtual
time. What it answers is bytes, and ``judge`` says what they mean, unless a test gives a verdict.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import orjson

from consumer.judge import Posted, read_answer
from consumer.model import (
    Accepted,
    PixelId,
    Prepared,
    Request,
    Retry,
    RetryCause,
    Verdict,
)
from consumer.senders import Answer
from tests.fakes.clock import FakeClock
from tests.fakes.kafka import Place

EVENTS_MAX = 1000
AGE_MS_MAX = 7 * 24 * 3600 * 1000


class Reply(NamedTuple):
    """What comes over the wire."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


def refusal(trace_id: str, *, message: str = "Invalid parameter") -> Reply:
    """Some event of the request is at fault."""
    return _error(trace_id, 400, message=message, code=100, error_subcode=2804003)


def expired_token() -> Reply:
    """The destination's token is no longer valid."""
    return _error("t-token", 401, message="Session has expired", code=190, type="OAuthException")


def throttling(seconds: int) -> Reply:
    """Too many calls; asks for a pause."""
    reply = _error("t-slow", 400, message="Too many calls", code=80004)
    return reply._replace(headers={"retry-after": str(seconds)})


def outage() -> Reply:
    """Meta's edge answers for a Meta that does not."""
    return Reply(503, b"<html>upstream</html>")


Scripted = Reply | Verdict
"""What a test may plant as an answer."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that arrived, and when."""

    at: float
    request: Request

    @property
    def places(self) -> list[Place]:
        """Where its events came from."""
        return [place(event) for event in self.request.events]


class _Out(NamedTuple):
    request: Request
    posted: Posted
    sent_at: float
    due_at: float


class Memory:
    """What Meta itself knows, whoever of the group's members asks.

    ``accepted`` counts by place what it has told that it took, ``received`` what it took, whether
    or not its answer arrived; ``unheard`` of these had an answer that was lost. ``event_ids`` are
    those under which a place arrived.
    """

    def __init__(self) -> None:
        self.accepted: Counter[Place] = Counter()
        self.received: Counter[Place] = Counter()
        self.unheard: Counter[Place] = Counter()
        self.event_ids: dict[Place, set[str]] = {}


class FakeMeta:
    """Satisfies ``seams.Outgoing``.

    ``scripted`` holds answers for the next requests of a destination, ``standing`` the answer
    until it is taken away; otherwise the events are judged, and ``is_bad`` marks what Meta alone
    knows to be wrong. ``latency_seconds`` may be ``inf``: then nothing comes back. The answers to
    destinations that are ``unheard`` are lost on their way.
    """

    def __init__(
        self,
        *,
        clock: FakeClock,
        post: Callable[[Request], Posted] | None,
        memory: Memory | None = None,
    ) -> None:
        self._clock = clock
        self.memory = memory or Memory()
        self._post = post
        self._out: list[_Out] = []
        self._ids: set[str] = set()
        self._traces: Iterator[int] = count(1)
        self.latency_seconds = 0.1
        self.scripted: dict[PixelId, deque[Scripted]] = {}
        self.standing: dict[PixelId, Scripted] = {}
        self.is_bad: Callable[[Prepared], bool] = lambda event: False
        self.unheard: set[PixelId] = set()
        self.seen: list[Seen] = []
        self.traces: dict[Place, str] = {}
        self._told: set[tuple[Place, int]] = set()

    # --- seams.Outgoing

    def submit(self, request: Request) -> None:
        """Take a request."""
        assert request.request_id not in self._ids, "a request id is used twice"
        self._ids.add(request.request_id)
        mine = {id(event) for event in request.events}
        twice = [event for out in self._out for event in out.request.events if id(event) in mine]
        assert not twice, "an event is in two requests at once"
        again = [
            event for event in request.events if (place(event), event.record.tenure) in self._told
        ]
        assert not again, "an event is sent again after it was accepted"
        now = self._clock.now()
        self.seen.append(Seen(now, request))
        self._out.append(_Out(request, self._posted(request), now, now + self.latency_seconds))

    def answers(self) -> list[Answer]:
        """What has come back by now."""
        now = self._clock.now()
        due = [out for out in self._out if out.due_at <= now]
        self._out = [out for out in self._out if out.due_at > now]
        return [self._answered(out) for out in due]

    def wait(self, seconds: float) -> None:
        """Let time pass until an answer is there."""
        until = self._clock.now() + seconds
        earliest = min((out.due_at for out in self._out), default=until)
        self._clock.advance(max(0.0, min(until, earliest) - self._clock.now()))

    # --- what a test asks

    @property
    def accepted(self) -> Counter[Place]:
        """How often each record's event was accepted, and its sender told."""
        return self.memory.accepted

    @property
    def requests_out(self) -> int:
        """Requests that wait for an answer."""
        return len(self._out)

    def requests(self, destination: PixelId) -> list[Seen]:
        """What arrived for one destination."""
        return [seen for seen in self.seen if seen.request.key.destination == destination]

    def release(self, *, latency_seconds: float) -> None:
        """What is out, however slow it was to be, is answered so much from now."""
        self.latency_seconds = latency_seconds
        due_at = self._clock.now() + latency_seconds
        self._out = [out._replace(due_at=due_at) for out in self._out]

    # --- inside

    def _posted(self, request: Request) -> Posted:
        destination = request.key.destination
        planted: Scripted | None = self.standing.get(destination)
        if self.scripted.get(destination):
            planted = self.scripted[destination].popleft()
        if planted is None and self._post is not None:
            return self._post(request)
        reply = self._judged(request) if planted is None else planted
        if isinstance(reply, Reply):
            sent = len(request.events)
            posted = read_answer(reply.status, reply.headers, reply.body, sent=sent)
        else:
            posted = Posted(reply)
        if isinstance(posted.verdict, Accepted):
            self._receive(request)
            if destination in self.unheard:
                self.memory.unheard.update(map(place, request.events))
                return Posted(Retry(RetryCause.TIMEOUT, None, reached_meta=True))
        return posted

    def _receive(self, request: Request) -> None:
        for event in request.events:
            self.memory.received[place(event)] += 1
            self.memory.event_ids.setdefault(place(event), set()).add(event.event_id)

    def _judged(self, request: Request) -> Reply:
        trace_id = f"trace-{next(self._traces)}"
        bad = [event for event in request.events if self._wrong(event)]
        for event in request.events:
            self.traces[place(event)] = trace_id
        if bad or not 0 < len(request.events) <= EVENTS_MAX:
            return refusal(trace_id)
        answer = {"events_received": len(request.events), "fbtrace_id": trace_id, "messages": []}
        return Reply(200, orjson.dumps(answer))

    def _wrong(self, event: Prepared) -> bool:
        body: dict[str, Any] = orjson.loads(event.body)
        needed = ("event_name", "event_time", "action_source", "user_data")
        age_ms = self._clock.now_ms() - int(body["event_time"]) * 1000
        too_old = age_ms > AGE_MS_MAX and body["action_source"] != "physical_store"
        # Event times are whole seconds, and Meta's clock is as good as ours.
        early = age_ms < -1000
        return not all(map(body.get, needed)) or too_old or early or self.is_bad(event)

    def _answered(self, out: _Out) -> Answer:
        verdict, usage, version_warning, status = out.posted
        if isinstance(verdict, Accepted):
            self.accepted.update(map(place, out.request.events))
            self._told.update((place(e), e.record.tenure) for e in out.request.events)
        seconds = self._clock.now() - out.sent_at
        return Answer(out.request, verdict, seconds, None, usage, version_warning, status)


def place(event: Prepared) -> Place:
    """Where an event came from."""
    return event.record.partition.partition, event.record.offset


def _error(trace_id: str, status: int, **facts: Any) -> Reply:
    return Reply(status, orjson.dumps({"error": {**facts, "fbtrace_id": trace_id}}))

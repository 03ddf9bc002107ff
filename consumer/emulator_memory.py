"""What the emulator remembers: events, receipts, counts, and what it was told to do.

``control`` is everything under ``/_emulator/``, which reads and changes that memory.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NamedTuple

import orjson

from consumer.emulator_accounts import accounts_from
from consumer.emulator_http import Request
from consumer.emulator_misbehaviour import UNJUDGED, Misbehaviour, Misbehaviours
from consumer.emulator_refusal import Refusal
from consumer.emulator_usage import Usage

DEDUPLICATION_SECONDS = 48 * 3600
STORED_EVENTS_MAX = 250_000
LISTED_REQUESTS_MAX = 1000


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


class Expiry(NamedTuple):
    """When a token, and its access to data, ends: Unix seconds, 0 for never."""

    expires_at: int
    data_access_expires_at: int


NO_EXPIRY = Expiry(0, 0)


class Memory:
    """All that ``POST /_emulator/reset`` forgets. The emulator's lock guards it."""

    def __init__(self) -> None:
        self.misbehaviours = Misbehaviours([])
        self.revoked: set[str] = set()
        self.expiries: dict[str, Expiry] = {}
        self.app_secrets: tuple[str, ...] = ()
        self.proof_code = 100
        self.usage = Usage({})
        self.hints = "none"
        self.accounts = accounts_from({})
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
        if due.action in UNJUDGED:
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


def control(name: str, memory: Memory, request: Request) -> dict[str, Any]:
    """Do what the path under ``/_emulator/`` says. ValueError with a sentence if it cannot."""
    match name:
        case "GET events":
            return _list_events(memory, request)
        case "GET requests":
            after = request.query.get("after", "0")
            if not after.isdecimal():
                raise ValueError("after must be a whole number.")
            return {"requests": [one for one in memory.requests if one["request"] > int(after)]}
        case "GET stats":
            counters = {"refused": memory.refused, "misbehaved": memory.misbehaved}
            return {**memory.tally, **counters, "pixels": memory.pixels}
        case _ if name in _CHANGES:
            _CHANGES[name](memory, orjson.loads(request.body))
        case "POST reset":
            pass
        case _:
            raise ValueError("There is no such control.")
    return {"success": True}


def _misbehave(memory: Memory, rules: Any) -> None:
    memory.misbehaviours = Misbehaviours(rules)


def _revoke(memory: Memory, told: Any) -> None:
    memory.revoked.add(str(told["token"]))


def _restore(memory: Memory, told: Any) -> None:
    memory.revoked.discard(str(told["token"]))


def _set_expiry(
    memory: Memory, *, token: str, expires_at: int = 0, data_access_expires_at: int = 0
) -> None:
    told = Expiry(expires_at, data_access_expires_at)
    if any(type(each) is not int or each < 0 for each in told):
        raise ValueError("Ends are Unix seconds, or 0 for never.")
    memory.expiries[str(token)] = told


def _set_usage(memory: Memory, told: Any) -> None:
    memory.usage = Usage(told)


def _set_accounts(memory: Memory, told: Any) -> None:
    memory.accounts = accounts_from(told)


def _set_hints(memory: Memory, told: Any) -> None:
    if told["form"] not in ("none", "path", "index"):
        raise ValueError("form must be none, path or index.")
    memory.hints = told["form"]


def _set_secrets(memory: Memory, *, secrets: list[str], code: int = 100) -> None:
    if code not in (100, 104):
        raise ValueError("code must be 100 or 104.")
    memory.app_secrets, memory.proof_code = tuple(map(str, secrets)), code


_CHANGES: Mapping[str, Callable[[Memory, Any], None]] = {
    "POST misbehave": _misbehave,
    "POST revoke": _revoke,
    "POST restore": _restore,
    "POST expiry": lambda memory, told: _set_expiry(memory, **told),
    "POST app_secrets": lambda memory, told: _set_secrets(memory, **told),
    "POST usage": _set_usage,
    "POST accounts": _set_accounts,
    "POST hints": _set_hints,
}


def _list_events(memory: Memory, request: Request) -> dict[str, Any]:
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

"""A load under which a consumer group shows all that its dashboards have panels for.

Four pixels: one is well, one is throttled for a while, one has a token that Meta calls ended until
somebody mends that, and one is fed by a publisher with a bad release. Round by round, each as long
as an interval of scraping.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.integration import Running
from tests.integration.events import good_event, mixed
from tests.integration.world import TOKEN, World, metrics_port

WELL, THROTTLED, HALTED, SPOILT = (f"{number}729525464415280" for number in (1, 2, 3, 4))
PIXELS = (WELL, THROTTLED, HALTED, SPOILT)
EVENTS_OF_A_ROUND = 200
TOKEN_SECONDS = 40 * 86_400
JOIN_ROUND, REPLAY_ROUND, MEND_ROUND, LEAVE_ROUND = 6, 10, 60, 120
SETTINGS = {
    "CONVERSIONS_QUALITY_REFRESH_SECONDS": "600",
    "CONVERSIONS_GUARD_EVENTS": "50",
    "CONVERSIONS_GUARD_PAUSES": "true",
    "CONVERSIONS_VALUE_CURRENCIES": "EUR,USD",
    "CONVERSIONS_TOKEN_CHECK_SECONDS": "60",
    "CONVERSIONS_GRAPH_VERSION": "v25.0",  # of which it is known when it ends
}


class DrivenLoad:
    """Drives a group of two members, of which the second joins and leaves again."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._folder = folder
        self._round = 0
        self.members: dict[str, Running] = {}
        self._ports: dict[str, int] = {}
        self._replay: Running | None = None
        self._misbehave(mended=False)
        self._give_meta_figures()
        self._join("member-0")

    @property
    def ports(self) -> dict[str, int]:
        """Whom to scrape, by the name of its pod."""
        return dict(self._ports)

    def turn(self) -> None:
        """One round of the load."""
        self._round += 1
        now_ms = time.time_ns() // 1_000_000
        prefix = f"round-{self._round}"
        fates = mixed(self._world, EVENTS_OF_A_ROUND, now_ms, seed=self._round, prefix=prefix)
        self._world.publish([fate.value for fate in fates])
        events = [*self._odd(now_ms, prefix), *self._spoilt(now_ms, prefix)]
        self._world.publish([self._world.encode(event) for event in events])
        if self._round == JOIN_ROUND:
            self._join("member-1")
        if self._round == REPLAY_ROUND:
            self._replay = self._world.product.run(
                "dlq", "replay", "--reason", "refused_by_meta", "--yes", env=self._environment()
            )
        if self._round == MEND_ROUND:
            self._misbehave(mended=True)
        if self._round == LEAVE_ROUND:
            self.members["member-1"].terminate()
            del self._ports["member-1"]

    def _misbehave(self, *, mended: bool) -> None:
        """What Meta answers: faults for all, a limit for one, a token's end for another."""
        token_ended = {"code": 190, "subcode": 463, "status": 400}
        limit = {"code": 80004, "status": 400}
        trouble = [
            {"pixel": HALTED, "do": {"error": token_ended}},
            {"pixel": THROTTLED, "probability": 0.2, "seed": 7, "do": {"error": limit}},
        ]
        rules = [
            *(() if mended else trouble),
            {"probability": 0.04, "seed": 1, "do": {"status": 503}},
            {"probability": 0.02, "seed": 2, "do": {"reset": True}},
            {"do": {"latency_ms": [20, 400]}},
        ]
        self._world.meta("POST", "misbehave", rules)
        usage = {"X-App-Usage": {"call_count": 41, "total_time": 12, "total_cputime": 9}}
        self._world.meta("POST", "usage", {"headers": usage})
        ends = {"token": TOKEN, "expires_at": round(time.time()) + TOKEN_SECONDS}
        self._world.meta("POST", "expiry", ends)

    def _give_meta_figures(self) -> None:
        """Meta has figures of website events only, and is asked for them once."""
        now_ms = time.time_ns() // 1_000_000
        events = [self._website(number, WELL, now_ms, "before") for number in range(40)]
        path = self._folder / "before.jsonl"
        path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
        sending = self._world.product.run("send", str(path), env=self._environment())
        assert sending.wait(60) == 0, sending.tail()

    def _join(self, pod: str) -> None:
        running = self._world.consumer(**SETTINGS)
        self.members[pod] = running
        self._ports[pod] = metrics_port(running)

    def _environment(self) -> dict[str, str]:
        return self._world.environment()

    def _odd(self, now_ms: int, prefix: str) -> Iterator[dict[str, Any]]:
        """Events that Meta takes, and of which there is something to say."""
        for number in range(10):
            yield self._website(number, WELL, now_ms, prefix)
        for number in range(10):
            event = good_event(number, WELL, now_ms, prefix=f"{prefix}-odd")
            event["user"] |= {"phone": "12", "dob": "soon"}
            if number == 0:
                event["testCode"] = "TEST123"
            yield event

    def _spoilt(self, now_ms: int, prefix: str) -> Iterator[dict[str, Any]]:
        """A publisher's bad release: no event has a currency."""
        for number in range(20):
            event = good_event(number, SPOILT, now_ms, prefix=f"{prefix}-spoilt")
            del event["currency"]
            yield event | {"eventName": "Purchase"}

    def _website(self, number: int, pixel: str, now_ms: int, prefix: str) -> dict[str, Any]:
        event = good_event(number, pixel, now_ms, prefix=f"{prefix}-website")
        event |= {"actionSource": "website", "sourceUrl": "https://shop.example.com/"}
        if number % 4:
            event["user"] |= {"userAgent": "Mozilla/5.0", "ipAddress": "203.0.113.7"}
        return event

"""An emulator at a free port, with a clock of its own, and what tests say to it over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import orjson

from consumer.emulator import AcceptedEvent, Emulator, EmulatorConfig
from tests.graph_requests import NOW

PIXEL = "1729525464415281"
TOKEN = "token-of-the-first-pixel"
OTHER_PIXEL = "2729525464415282"
OTHER_TOKEN = "token-of-the-other-pixel"


class Clock:
    """Wall-clock seconds that stand still unless a test moves them."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@contextmanager
def serving(clock: Clock) -> Iterator[Emulator]:
    """An emulator with two pixels, each with a token of its own."""
    pixels = {PIXEL: frozenset((TOKEN,)), OTHER_PIXEL: frozenset((OTHER_TOKEN,))}
    emulator = Emulator(EmulatorConfig(host="127.0.0.1", port=0, pixels=pixels, clock=clock))
    emulator.start()
    try:
        yield emulator
    finally:
        emulator.stop()


def post(graph: httpx.Client, *events: Any, pixel: str = PIXEL, **body: Any) -> httpx.Response:
    whole = {"data": list(events), "access_token": TOKEN} | body
    whole = {key: value for key, value in whole.items() if value is not ...}
    return graph.post(f"/v26.0/{pixel}/events", content=orjson.dumps(whole))


def control(graph: httpx.Client, name: str, body: Any = None) -> None:
    answer = graph.post(f"/_emulator/{name}", content=orjson.dumps(body))
    assert answer.json() == {"success": True}


def misbehave(graph: httpx.Client, **do: Any) -> None:
    control(graph, "misbehave", [{"do": do, "times": 1}])


def stats(graph: httpx.Client) -> dict[str, Any]:
    answer: dict[str, Any] = graph.get("/_emulator/stats").json()
    return answer


def error(answer: httpx.Response) -> dict[str, Any]:
    said: dict[str, Any] = answer.json()["error"]
    return said


def ids(accepted: list[AcceptedEvent]) -> list[str]:
    return [one.event["event_id"] for one in accepted]

"""The simulated member beside a real one, on the real Kafka: part of ``bench.scale``.

Two loads that a busy machine disturbs little: a backlog that Meta's slowness bounds, and events at
a rate that leaves the machine idle most of the time.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from bench.cost import CASES, event
from bench.real_kafka import PARTITIONS, TEMPLATES, Rig, cpu_seconds, metrics_of, rig
from bench.simulated_member import LATENCY_SECONDS, MEASURED, Seen, Traffic, simulated
from consumer.measured_figures import BODY_MANY
from consumer.settings import load_settings
from tests.integration import Running

WINDOW = 100
BACKLOG = 60_000
PIXELS, RATE, PACED_SECONDS, MEMBERS = 20, 600, 40.0, 2
JOIN_SECONDS = 120.0


class Compared(NamedTuple):
    """One figure, simulated and real; ``error`` is the difference over the real one."""

    what: str
    simulated: float
    real: float
    error: float


def check(seed: int) -> list[Compared]:
    """Run both."""
    with rig() as stage:
        stage.meta(latencySeconds=LATENCY_SECONDS)
        found = [*_backlog(stage, seed), *_paced(stage, seed)]
    return [
        Compared(what, round(ours, 3), round(real, 3), round(ours / real - 1, 3))
        for what, ours, real in found
    ]


def _backlog(stage: Rig, seed: int) -> list[tuple[str, float, float]]:
    """One member, one pixel, small requests: Meta's time and the requests at a time bound it."""
    pixel = ["1729525464415281"]
    topic = stage.topic()
    stage.publish(topic, _templates(stage, pixel), range(BACKLOG), list(range(PARTITIONS)))
    with stage.consumer(topic, pixel, CONVERSIONS_WINDOW_EVENTS=str(WINDOW)) as running:
        before = _taken(stage)
        at = [_when(running, stage, before + BACKLOG * share // 10) for share in (2, 8)]
    real = BACKLOG * 6 / 10 / (at[1] - at[0])
    seen = _simulated(float("inf"), 1, seed, {"window_events": WINDOW})
    return [("a backlog, one member: events a second", seen.events_per_second, real)]


def _paced(stage: Rig, seed: int) -> list[tuple[str, float, float]]:
    """Two members, several pixels, events at an even rate: windows close by age."""
    pixels = [f"{number}729525464415281" for number in range(10, 10 + PIXELS)]
    topic, group = stage.topic(), {"CONVERSIONS_GROUP_ID": "paced"}
    templates = _templates(stage, pixels)
    with ExitStack() as stack:
        members = [
            stack.enter_context(stage.consumer(topic, pixels, **group)) for _ in range(MEMBERS)
        ]
        _wait_for_shares(members)
        _publish_paced(stage, topic, templates, PACED_SECONDS / 4, first=0)
        before = _counted(stage, members)
        events = _publish_paced(stage, topic, templates, PACED_SECONDS, first=10**6)
        taken = before.events
        members[0].wait_until(
            lambda: _taken(stage) >= taken + events, JOIN_SECONDS, "all events taken"
        )
        after = _counted(stage, members)
    requests = after.requests - before.requests
    seen = _simulated(RATE / MEMBERS, PIXELS, seed, {})
    cpu = (after.cpu - before.cpu) / (after.at - before.at) / MEMBERS
    waited = (after.waited - before.waited) / (after.delivered - before.delivered)
    return [
        (
            f"{RATE} events a second, two members: events per request",
            seen.events_per_second / seen.requests_per_second,
            events / requests,
        ),
        ("the same: seconds from reading to acceptance", seen.waited_mean, waited),
        ("the same: cores of a member", seen.cpu_share, cpu),
    ]


class _Counted(NamedTuple):
    events: int
    requests: int
    delivered: float
    waited: float
    cpu: float
    at: float


def _counted(stage: Rig, members: Sequence[Running]) -> _Counted:
    shown = [metrics_of(member) for member in members]
    name = "conversions_event_delivery_seconds"
    return _Counted(
        events=_taken(stage),
        requests=stage.traffic()["requests"],
        delivered=sum(each.value(f"{name}_count") or 0 for each in shown),
        waited=sum(each.value(f"{name}_sum") or 0 for each in shown),
        cpu=sum(map(cpu_seconds, members)),
        at=time.monotonic(),
    )


def _wait_for_shares(members: Sequence[Running]) -> None:
    own = PARTITIONS / len(members)
    for member in members:
        member.wait_until(
            lambda member=member: (
                metrics_of(member).value("conversions_kafka_assigned_partitions") == own
            ),
            JOIN_SECONDS,
            "its share of the partitions",
        )


def _publish_paced(
    stage: Rig, topic: str, templates: Sequence[bytes], seconds: float, *, first: int
) -> int:
    """Publish at ``RATE`` in twenty slices a second; how many."""
    step, turns, began = RATE // 20, int(seconds * 20), time.monotonic()
    with stage.publishing(topic) as publish:
        for turn in range(turns):
            for number in range(first + turn * step, first + (turn + 1) * step):
                publish(templates[number % len(templates)], number)
            time.sleep(max(0.0, began + (turn + 1) / 20 - time.monotonic()))
    return step * turns


def _templates(stage: Rig, pixels: Sequence[str]) -> list[bytes]:
    case = CASES[1]
    numbers = range(-(-TEMPLATES // len(pixels)) * len(pixels))
    return [
        stage.encode({**event(case, n), "destinationId": pixels[n % len(pixels)]}) for n in numbers
    ]


def _simulated(rate: float, pixels: int, seed: int, settings: dict[str, int]) -> Seen:
    traffic = Traffic(rate, (1.0,) * pixels, int(BODY_MANY.value), LATENCY_SECONDS)
    return simulated(traffic, MEASURED, load_settings({}, settings), seconds=30.0, seed=seed)


def _when(running: Running, stage: Rig, events: int) -> float:
    running.wait_until(lambda: _taken(stage) >= events, JOIN_SECONDS * 3, f"{events} events")
    return time.monotonic()


def _taken(stage: Rig) -> int:
    return sum(stage.taken().values())

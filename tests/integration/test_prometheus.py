"""A real Prometheus scrapes the running consumer."""

import time
from collections.abc import Callable

import pytest

from tests.integration.events import good_event
from tests.integration.prometheus import JOB, Prometheus
from tests.integration.world import World, metrics_port

pytestmark = pytest.mark.integration
EVENTS = 200


def test_what_two_members_delivered_adds_up_in_prometheus(
    world: World, prometheus_for: Callable[..., Prometheus]
) -> None:
    prometheus = prometheus_for()
    members = {f"consumer-{number}": world.consumer() for number in range(2)}
    prometheus.scrape({pod: metrics_port(running) for pod, running in members.items()})
    now_ms = time.time_ns() // 1_000_000
    events = [good_event(number, world.pixels[0], now_ms) for number in range(EVENTS)]
    world.publish([world.encode(event) for event in events])
    world.settle(members["consumer-0"])

    def accepted() -> float:
        found = prometheus.query('sum by (job) (conversions_events_total{outcome="accepted"})')
        return float(found[0]["value"][1]) if found else 0.0

    world.wait(lambda: accepted() == EVENTS, 30, "sum of all that was published")
    assert prometheus.query(f'count by (job) (conversions_build_info{{job="{JOB}"}})')[0]["value"][
        1
    ] == str(len(members))
    assert "level=error" not in prometheus.output()

"""What waits is bounded: on the real broker, with a backlog and while Meta is down.

The test is of the causes rather than of resident memory, which depends on the allocator: what is
open never exceeds its limits by more than one read, what the client prefetches is limited, and in
an outage the group keeps its partitions, stops reading, and shows its lag.
`python -m bench.memory` measures the effect.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumer.flow import READ_RECORDS_MAX
from tests.integration import Metrics, Running
from tests.integration.events import good_event
from tests.integration.world import PARTITIONS, World, metrics_port

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.integration

EVENTS = 5_000
IN_FLIGHT_EVENTS = 2_000
IN_FLIGHT_BYTES = 8 * 1024**2
LARGE_BYTES = 100_000
OUTAGE_SECONDS = 14.0
"""More than two session time-outs, and more than one question for where the logs end."""


def backlog(world: World) -> Iterator[bytes]:
    """Small events, and some so large that the bytes are the limit and not the count."""
    now_ms = int(time.time() * 1000)
    for number in range(EVENTS):
        event = good_event(number, world.pixels[number % 2], now_ms)
        if number % 100 == 0:
            event["customData"] = {"text": "x" * LARGE_BYTES}
        yield world.encode(event)


class Watch:
    """Looks at the metrics again and again, and that no limit is ever exceeded."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._port = metrics_port(running)
        self.most_records = 0.0
        self.most_bytes = 0.0

    def look(self) -> Metrics:
        metrics = self._running.metrics(self._port)
        records = metrics.value("conversions_in_flight_records") or 0
        size_bytes = metrics.value("conversions_in_flight_bytes") or 0
        assert records <= IN_FLIGHT_EVENTS, "a read brings no more than there is room for"
        # How large records are is known when they are read.
        one_read = READ_RECORDS_MAX // 100 * 4 * LARGE_BYTES
        assert size_bytes <= IN_FLIGHT_BYTES + one_read
        self.most_records = max(self.most_records, records)
        self.most_bytes = max(self.most_bytes, size_bytes)
        return metrics

    def for_seconds(self, seconds: float) -> Metrics:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.look()
            time.sleep(0.2)
        return self.look()


def test_an_outage_fills_no_more_than_the_limits_and_costs_no_partition(world: World) -> None:
    world.publish(backlog(world))
    world.meta("POST", "misbehave", [{"do": {"status": 503, "body": "html"}}])
    running = world.consumer(
        PYTHONPATH=str(ROOT),
        CONVERSIONS_IN_FLIGHT_EVENTS=str(IN_FLIGHT_EVENTS),
        CONVERSIONS_IN_FLIGHT_BYTES=str(IN_FLIGHT_BYTES),
    )
    watch = Watch(running)
    running.wait_until(
        lambda: (watch.look().value("conversions_paused_partitions") or 0) > 0,
        30,
        "paused partitions",
    )
    running.wait_until(
        lambda: watch.look().value("conversions_kafka_lag_records") == EVENTS, 30, "a lag"
    )
    before = watch.look()
    read = before.value("conversions_records_read_total")
    world.publish(backlog(world))

    during = watch.for_seconds(OUTAGE_SECONDS)

    moved = "conversions_kafka_rebalances_total"
    assert during.value(moved) == before.value(moved) == 1, "one assignment, at the start"
    assert during.value("conversions_kafka_assigned_partitions") == PARTITIONS
    assert (during.value("conversions_records_read_total") or 0) <= (read or 0) + IN_FLIGHT_EVENTS
    running.wait_until(
        lambda: watch.look().value("conversions_kafka_lag_records") == 2 * EVENTS,
        30,
        "a lag that grows while everything is paused",
    )
    assert watch.most_records > IN_FLIGHT_EVENTS // 4
    world.meta("POST", "misbehave", [])
    world.settle(running)
    assert watch.look().value(moved) == 1
    assert world.letters() == []

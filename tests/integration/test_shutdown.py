"""SIGTERM on the real thing: what is open is finished, or said to be left; and the end always
comes, whatever hangs around it. Looked at are the exit code, the last line and what is committed.
"""

import json
import time
from typing import Any

import pytest

from tests.fakes.drips import Drips
from tests.integration import Running
from tests.integration.events import good_event
from tests.integration.test_faults import _produce, _set_topic
from tests.integration.world import World

pytestmark = pytest.mark.integration

AGAIN = "SIGTERM again"


def test_sigterm_under_load_leaves_nothing_open(world: World) -> None:
    world.meta("POST", "misbehave", [{"do": {"latency_ms": [100, 300]}}])
    running = world.consumer(CONVERSIONS_WINDOW_EVENTS="50")
    events(world, 4000)
    running.wait_until(lambda: taken(world) > 300, 60, "first events")

    running.terminate()

    assert running.wait(60) == 0
    assert 300 < taken(world) < 4000
    assert last_line(running)["event"] == "stopped"
    # Everything that Meta took is committed, and nothing else: nothing would come twice.
    assert sum(world.kafka.committed(world.group, world.topic).values()) == taken(world)


def test_a_request_that_hangs_does_not_outlive_the_grace(world: World) -> None:
    world.meta("POST", "misbehave", [{"pixel": world.pixels[0], "do": {"hang_seconds": 300}}])
    running = world.consumer(
        CONVERSIONS_GRACE_SECONDS="4", CONVERSIONS_REQUEST_TIMEOUT_SECONDS="100"
    )
    events(world, 16)
    world.wait(lambda: taken(world) == 8, 30, "the other pixel's events")

    seconds = seconds_to_end(running, code=1)

    assert 4 <= seconds < 40
    last = last_line(running)
    assert last["event"].startswith("stopped with records left")
    assert (last["level"], last["records"], last["in_flight"]) == ("warning", 8, 8)
    assert last["sent_again_max"] <= 8
    assert "Traceback" not in running.output()


def test_a_peer_that_drips_bytes_holds_neither_a_request_nor_the_end(world: World) -> None:
    with Drips(b"HTTP/1.1 200 OK\r\nX-Slow: ") as url:
        running = world.consumer(
            CONVERSIONS_GRAPH_URL=url,
            CONVERSIONS_GRACE_SECONDS="3",
            CONVERSIONS_REQUEST_TIMEOUT_SECONDS="1",
        )
        events(world, 2)
        line = json.loads(running.wait_for_line('"batch retry"', 30))
        assert (line["cause"], line["seconds"] >= 1) == ("timeout", True)

        seconds_to_end(running, code=1)

    assert last_line(running)["in_flight"] == 2


def test_what_a_halted_destination_a_schema_and_a_dead_letter_hold_is_told(world: World) -> None:
    error = {"code": 190, "subcode": 463, "status": 401}
    world.meta("POST", "misbehave", [{"pixel": world.pixels[1], "do": {"error": error}}])
    _set_topic(world.kafka, world.dlq_topic, "max.message.bytes", "200")
    running = world.consumer(CONVERSIONS_GRACE_SECONDS="3")
    events(world, 8)
    running.wait_for_line('"destination halted"', 30)
    _produce(world, 2, b"\x00" + (9_999_999).to_bytes(4, "big") + b"x")
    running.wait_for_line("schema 9999999 is not found", 30)
    _produce(world, 3, b"no Avro" * 100)
    running.wait_for_line('"a record is too large for the dead-letter topic', 30)

    seconds_to_end(running, code=1)

    last = last_line(running)
    told = {name: last.get(name) for name in ("halted_destination", "schema", "dead_letter")}
    assert told == {"halted_destination": 4, "schema": 1, "dead_letter": 1}
    assert last["records"] == 6


def test_a_second_signal_ends_at_once_with_a_clear_line(world: World) -> None:
    world.meta("POST", "misbehave", [{"do": {"hang_seconds": 300}}])
    running = world.consumer(
        CONVERSIONS_GRACE_SECONDS="90", CONVERSIONS_REQUEST_TIMEOUT_SECONDS="19"
    )
    events(world, 2)
    running.wait_until(lambda: requests(world) > 0, 30, "a request under way")
    running.terminate()
    running.wait_for_line('"draining"', 30)

    assert seconds_to_end(running, code=1) < 60
    assert last_line(running)["why"] == AGAIN


def test_with_the_brokers_gone_the_end_comes_with_the_grace_or_with_the_second_signal(
    world: World,
) -> None:
    """A commit waits in librdkafka, out of which no signal is seen by the main thread."""
    patient = world.consumer(CONVERSIONS_GRACE_SECONDS="90", CONVERSIONS_COMMIT_SECONDS="3600")
    hasty = world.consumer(CONVERSIONS_GRACE_SECONDS="3", CONVERSIONS_COMMIT_SECONDS="3600")
    for each in (patient, hasty):
        each.wait_for_line('"partitions assigned"', 60)
    events(world, 40)
    world.wait(lambda: taken(world) == 40, 30, "all events")
    world.kafka.kill()
    try:
        patient.terminate()
        patient.wait_for_line('"draining"', 30)
        assert seconds_to_end(hasty, code=1) < 40
        assert seconds_to_end(patient, code=1) < 60
    finally:
        world.kafka.start()

    assert AGAIN in patient.output()
    last = last_line(hasty)
    assert last["records"] == 0
    assert last["sent_again_max"] > 0


def events(world: World, count: int) -> None:
    """Publish good events, evenly over pixels and partitions."""
    now_ms = int(time.time() * 1000)
    pixels = world.pixels
    world.publish(
        world.encode(good_event(number, pixels[number // 4 % len(pixels)], now_ms))
        for number in range(count)
    )


def taken(world: World) -> int:
    return int(world.meta("GET", "stats")["events_unique"])


def requests(world: World) -> int:
    return int(world.meta("GET", "stats")["requests"])


def seconds_to_end(running: Running, *, code: int) -> float:
    """SIGTERM, and how long the process then lives."""
    began_at = time.monotonic()
    running.terminate()
    assert running.wait(90) == code, running.tail()
    return time.monotonic() - began_at


def last_line(running: Running) -> dict[str, Any]:
    """The last line of the log."""
    line: dict[str, Any] = json.loads(running.output().splitlines()[-1])
    return line

"""The simulated group: the same from the same seed, and what docs/scaling.md shows of it."""

import json
from math import inf, isclose
from pathlib import Path

import pytest

from bench.scale import PARTITIONS, STORIES, Row, row
from bench.simulated_member import Costs, Seen, Traffic, simulated
from consumer.settings import load_settings

KEPT = Path(__file__).parent.parent / "docs" / "scaling.json"
COSTS = Costs(event=100e-6, request=500e-6, turn=0.0, destination_turn=1e-6)


def seen(
    rate: float,
    *,
    pixels: int = 1,
    latency: tuple[float, float] = (0.5, 0.5),
    costs: Costs = COSTS,
    **settings: int,
) -> Seen:
    traffic = Traffic(rate, (1.0,) * pixels, 1000, latency)
    return simulated(traffic, costs, load_settings({}, settings), seconds=4, seed=3)


@pytest.mark.parametrize(("story", "members"), [("many", 50), ("hot", 100), ("hot", 120)])
def test_what_is_kept_is_what_is_simulated(story: str, members: int) -> None:
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    (shown,) = [Row(**each) for each in kept["rows"][story] if each["members"] == members]

    assert row(story, members, seconds=kept["seconds"], seed=kept["seed"]) == shown


def test_every_story_is_kept() -> None:
    kept = json.loads(KEPT.read_text(encoding="utf-8"))["rows"]

    assert kept.keys() == STORIES.keys()
    for rows in kept.values():
        assert max(each["members"] for each in rows) > PARTITIONS
        assert all(each["working"] == min(each["members"], PARTITIONS) for each in rows)


def test_cpu_bounds_a_backlog() -> None:
    found = seen(inf)

    # 100 µs an event and 500 a request of a thousand.
    assert isclose(found.events_per_second, 1 / 100.5e-6, rel_tol=0.03)
    assert found.cpu_share > 0.98


def test_requests_at_a_time_bound_a_slow_meta() -> None:
    found = seen(inf, latency=(4.0, 4.0), costs=Costs(1e-6, 1e-6, 0.0, 0.0), window_events=100)

    # Eight requests of 100 events in four seconds.
    assert isclose(found.events_per_second, 200, rel_tol=0.25)


def test_events_in_flight_bound_a_member_that_waits_for_many() -> None:
    found = seen(inf, pixels=4, latency=(2.0, 2.0), in_flight_events=2000)

    assert found.events_per_second <= 1100


def test_an_event_waits_for_its_window_and_its_request() -> None:
    found = seen(100)

    assert min(found.ages) > 0.5
    assert max(found.ages) < 1.0 + 0.5 + 0.2
    assert isclose(found.events_per_second, 100, rel_tol=0.3)
    assert found.behind < 1.2


def test_who_is_too_slow_falls_behind() -> None:
    assert seen(20_000).behind > 1.2


def test_the_same_seed_tells_the_same_story() -> None:
    assert seen(500, pixels=7, latency=(0.1, 0.9)) == seen(500, pixels=7, latency=(0.1, 0.9))

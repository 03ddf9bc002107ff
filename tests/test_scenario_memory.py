"""Nothing that the consumer remembers grows with what it has settled. Looked at are allocations of
its own rooms that are still there after some thousand events more, of a kind that fills no cache;
`python -m bench.memory` measures the process.
"""

import gc
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

import consumer
from tests.fakes.house import CRM, SHOP, FakeHouse, house

ROOMS = Path(consumer.__file__).parent
OURS = [
    tracemalloc.Filter(inclusive=True, filename_pattern=f"{ROOMS}/*"),
    # What these make is the topics', and these are stand-ins here that keep everything.
    tracemalloc.Filter(inclusive=False, filename_pattern=f"{ROOMS}/encode.py"),
    tracemalloc.Filter(inclusive=False, filename_pattern=f"{ROOMS}/dead_letter.py"),
]
EVENTS = 2000
BYTES_PER_EVENT = 16
"""An entry of a dict is more than that; what the stand-ins keep of each request is less."""


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def settle(home: FakeHouse, events: int) -> int:
    """So many events of one person, one in a hundred refused; then bytes that our rooms hold."""
    for number in range(events // 10):
        destination = SHOP if number % 2 else CRM
        home.publish(
            number % 3, events=10, destination=destination, user={"email": "one@example.com"}
        )
    home.settle_all(600)
    # The stand-ins remember everything, and what they hold is ours.
    home.meta.seen.clear()
    home.meta.traces.clear()
    home.meta.memory.event_ids.clear()
    home.dead_letters.produced.clear()
    home.lines.lines.clear()
    home.topic.commits.clear()
    gc.collect()
    return sum(each.size for each in tracemalloc.take_snapshot().filter_traces(OURS).traces)


@pytest.mark.usefixtures("traced")
def test_what_is_settled_leaves_nothing_behind() -> None:
    home = house(window_events=100)
    home.meta.is_bad = lambda event: event.record.offset % 100 == 7
    settle(home, EVENTS)
    before = settle(home, EVENTS)

    after = settle(home, EVENTS)

    assert after - before < BYTES_PER_EVENT * EVENTS

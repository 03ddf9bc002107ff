"""One of five pixels is halted. What is looked at is what would slow the four others, not a time:
while the one holds no more than its share, none of their partitions is paused and each of them has
requests out; and once it is spilled, nobody waits for it again. A trickle of its events among many
others holds no commit for longer than the named bounds, nor makes a restart send more again.
"""

from typing import Any

import pytest

from consumer.flow import READ_RECORDS_MAX
from consumer.model import PixelId
from tests.fakes.house import FakeHouse, house
from tests.fakes.meta import Reply, expired_token, outage, throttling

PIXELS = [PixelId(str(number) * 16) for number in range(1, 6)]
HALTED, *OTHERS = PIXELS
DESTINATIONS = "".join(f"- id: '{pixel}'\n" for pixel in PIXELS)
SPILLING = "spilling a halted destination into the dead letters"


def five(**limits: Any) -> FakeHouse:
    """Five partitions. Meta takes 0.3 s for an answer, so that who has work has requests out."""
    home = house(destinations=DESTINATIONS, partitions=5, window_events=50, **limits)
    home.meta.latency_seconds = 0.3
    home.meta.standing[HALTED] = expired_token()
    return home


def load(home: FakeHouse, *, mixed: bool) -> None:
    """A little more: one of everybody on every partition, or each pixel's on its own."""
    for partition, pixel in enumerate(PIXELS):
        if mixed:
            for each in PIXELS:
                home.publish(partition, destination=each)
        else:
            home.publish(partition, events=4, destination=pixel)


def others_at_work(home: FakeHouse, *, mixed: bool, paused: set[int]) -> None:
    """For some seconds of load only these partitions are ever paused, and in each second each of
    the others has requests out."""
    allowed = {home.topic.partitions[number] for number in paused}
    for _ in range(4):
        out: set[PixelId] = set()
        until = home.clock.now() + 1.0
        while home.clock.now() < until:
            load(home, mixed=mixed)
            home.pipeline.turn()
            assert home.source.paused <= allowed
            boxes = home.deliveries.outboxes
            out |= {pixel for pixel in OTHERS if pixel in boxes and boxes[pixel].in_flight}
        assert out == set(OTHERS)


def test_while_it_holds_its_share_nobody_is_paused_and_each_other_has_requests_out() -> None:
    home = five()
    load(home, mixed=True)
    home.run(2.0)

    others_at_work(home, mixed=True, paused=set())

    held = home.deliveries.carried(HALTED).events
    assert 500 < held < 20_000 // 5, "it holds much, and not yet its share"
    assert home.deliveries.outboxes[HALTED].halted is not None
    assert not home.dead_letters.produced


def test_over_its_share_only_its_own_partition_is_paused_and_each_other_has_requests_out() -> None:
    home = five(in_flight_events=4000)
    home.publish(0, events=900, destination=HALTED)
    load(home, mixed=False)
    home.run(2.0)

    others_at_work(home, mixed=False, paused={0})

    assert home.source.paused == {home.topic.partitions[0]}
    assert home.deliveries.carried(HALTED).events <= 4000 // 5 + READ_RECORDS_MAX
    assert not home.dead_letters.produced


def test_what_stands_first_on_every_partition_is_not_read_again_and_again() -> None:
    home = five(in_flight_events=4000)
    for partition in range(5):
        home.publish(partition, events=3000, destination=HALTED)

    home.run(120)

    assert len(home.source.rewinds) <= 5, "what filled the house before the trouble was known"
    assert home.ledger.open_records < 4000, "there is room for others"


def test_after_spilling_began_nobody_waits() -> None:
    home = five(in_flight_events=2000)
    for _ in range(100):
        load(home, mixed=True)
    home.clock.idle_pace = 20.0
    home.run(290)
    home.clock.idle_pace = 1.0
    assert home.source.paused == set(home.topic.partitions), "all of them carry it"
    while not home.lines.named(SPILLING):
        home.pipeline.turn()
    home.run(1.0)
    spilled = len(home.dead_letters.produced)

    others_at_work(home, mixed=True, paused=set())

    assert len(home.dead_letters.produced) > spilled, "spilling goes on"
    assert home.deliveries.carried(HALTED).events < 2000 // 5 + READ_RECORDS_MAX
    committed = [home.topic.end(p) - home.committed(p.partition) for p in home.topic.partitions]
    assert max(committed) < 2000, "the commits follow"


RECORDS_BOUND, SECONDS_BOUND, SPILL_SECONDS = 150, 900.0, 300.0


A_MINUTE = 60
"""Events of the others."""

SETTLING_SECONDS = 60.0
"""An event that is given up is acknowledged and committed within a few turns."""


@pytest.mark.parametrize(
    "trouble", [expired_token(), throttling(7200), outage()], ids=["halted", "throttled", "down"]
)
@pytest.mark.parametrize(
    ("records", "seconds"), [(RECORDS_BOUND, 3600.0), (10**9, SECONDS_BOUND)], ids=["many", "long"]
)
def test_one_event_a_minute_holds_no_commit_beyond_the_bound_nor_makes_a_restart_send_more(
    records: int, seconds: float, trouble: Reply
) -> None:
    limits = {"uncommitted_records": records, "uncommitted_seconds": seconds}
    home = five(**limits)
    home.meta.standing[HALTED] = trouble
    home.clock.idle_pace = 20.0
    ahead, still = _ninety_minutes(home)

    assert ahead <= records + A_MINUTE, "beyond the bound only what was just read"
    longest = seconds if records > RECORDS_BOUND else SPILL_SECONDS
    assert still <= longest + SETTLING_SECONDS
    assert home.topic.lag <= home.ledger.open_records + ahead + 200, "the others are not behind"

    twice = _sent_again_after_a_crash(home)
    assert twice <= ahead
    if records > RECORDS_BOUND:
        assert still > 0.9 * seconds, "it was the bound that moved it on"


def _ninety_minutes(home: FakeHouse) -> tuple[int, float]:
    """A minute has one event of the halted one and 120 of the others. Returns how many records at
    most were settled above the commit, and for how many seconds at most it stood still."""
    where = home.topic.partitions[0]
    last, moved_at = 0, home.clock.now()
    ahead, still = 0, 0.0
    for _ in range(90):
        home.publish(0, destination=HALTED)
        for pixel in OTHERS:
            home.publish(0, events=A_MINUTE // 4, destination=pixel)
        until = home.clock.now() + 60
        while home.clock.now() < until:
            home.pipeline.turn()
            state = home.ledger.state(where)
            ahead = max(ahead, 0 if state is None else state.uncommitted)
            if home.committed(0) > last:
                last, moved_at = home.committed(0), home.clock.now()
            still = max(still, home.clock.now() - moved_at)
    return ahead, still


def _sent_again_after_a_crash(home: FakeHouse) -> int:
    """Another process starts from what is committed; how many events does Meta get once more?"""
    before = dict(home.meta.memory.received)
    another = house(beside=home, destinations=DESTINATIONS, partitions=5, window_events=50)
    another.settle_all(600)
    return sum(
        count > before.get(place, 0) > 0 for place, count in another.meta.memory.received.items()
    )

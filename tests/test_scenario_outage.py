"""Meta is down, slow, or asks for a pause. The loop waits without losing its place in the group,
sends the same events under the same ids when Meta is back, and lets the other destinations go on.
"""

from collections import deque

import pytest

from consumer.model import MetaError, Retry, RetryCause, Split
from tests.fakes.house import CRM, SHOP, house
from tests.fakes.kafka import Place
from tests.fakes.meta import Reply, outage, throttling


def test_an_outage_loses_nothing_and_repeats_under_the_same_ids() -> None:
    home = house(max_poll_seconds=5.0)
    places = home.publish(0, events=100) + home.publish(1, events=100)
    home.meta.standing[SHOP] = outage()

    home.run(900)

    assert home.ledger.open_records == 200
    assert not home.topic.committed.get(home.topic.partitions[0])
    assert len(home.meta.seen) < 60, "it backs off"
    home.meta.standing.clear()
    home.settle_all(120)
    assert sorted(home.meta.accepted) == sorted(places)
    assert set(home.meta.accepted.values()) == {1}
    ids = {tuple(e.event_id for e in seen.request.events) for seen in home.meta.seen}
    assert len(ids) == 1
    retried = home.metric("conversions_retries_total", cause="server_error")
    assert retried == len(home.meta.seen) - 1


@pytest.mark.parametrize("destinations", [f"- id: '{SHOP}'", f"- id: '{SHOP}'\n- id: '{CRM}'"])
def test_an_outage_of_everybody_does_not_read_the_same_again_and_again(destinations: str) -> None:
    home = house(in_flight_events=1000, destinations=destinations)
    pixels = [SHOP, CRM][: destinations.count("id")]
    for partition, pixel in enumerate(pixels):
        home.publish(partition, events=3000, destination=pixel)
        home.meta.standing[pixel] = outage()

    home.run(600)

    # One may fill the house before its trouble is known, and then makes room for the other.
    assert len(home.source.rewinds) < len(pixels)
    assert (home.metric("conversions_records_read_total") or 0) <= 1000 * len(pixels)
    home.meta.standing.clear()
    home.settle_all(600)
    assert len(home.meta.accepted) == 3000 * len(pixels)


def test_another_destination_goes_on_during_an_outage() -> None:
    home = house()
    home.publish(0, events=100, destination=SHOP)
    home.meta.standing[SHOP] = outage()
    home.run(60)
    places = home.publish(0, events=50, destination=CRM)

    home.run(5)

    assert sorted(home.meta.accepted) == places


def test_an_outage_longer_than_an_events_life_dead_letters_it_as_expired() -> None:
    home = house()
    days = 24 * 3600 * 1000
    old = home.publish(0, eventTime=home.clock.now_ms() - 7 * days + 15 * 60_000)
    young = home.publish(0)
    home.meta.standing[SHOP] = outage()

    home.run(900)

    assert home.dead_letters.places == old
    told = dict(home.dead_letters.written[0].headers)
    assert told["conversions.reason"] == b"expired"
    assert told["conversions.maybe_delivered"] == b"true"
    home.meta.standing.clear()
    home.settle_all(120)
    assert list(home.meta.accepted) == young


def test_a_throttled_destination_waits_as_long_as_it_was_asked_to() -> None:
    home = house()
    home.publish(0, events=10, destination=SHOP)
    home.publish(0, events=10, destination=CRM)
    home.meta.scripted[SHOP] = deque([throttling(400)])

    home.run(390)

    assert len(home.meta.requests(SHOP)) == 1
    assert len(home.meta.requests(CRM)) == 1
    home.settle_all(60)
    first, second = home.meta.requests(SHOP)
    assert second.at - first.at >= 400.0
    assert home.topic.lag == 0


def test_a_destination_that_is_throttled_for_long_gives_way_to_who_is_accepted() -> None:
    home = house(in_flight_events=100)
    well: list[Place] = []
    for _ in range(30):
        home.publish(0, events=5, destination=SHOP)
        well += home.publish(0, events=5, destination=CRM)
    home.meta.standing[SHOP] = throttling(120)

    home.run(250)
    assert not home.dead_letters.produced
    assert home.topic.partitions[0] in home.source.paused
    home.run(1200)

    assert home.dead_letters.produced
    home.meta.standing.clear()
    home.settle_all(1200)
    assert len(home.meta.accepted) + len(home.dead_letters.produced) == 300
    assert all(home.meta.accepted[place] == 1 for place in well)


def test_a_slow_destination_fills_no_more_than_its_share() -> None:
    home = house(in_flight_events=100, max_poll_seconds=5.0)
    home.publish(0, events=1, destination=SHOP)
    home.publish(1, events=1, destination=CRM)
    home.run(3)
    home.meta.standing[SHOP] = outage()
    for _ in range(40):
        home.publish(0, events=10, destination=SHOP)
        home.run(0.5)
    places = home.publish(1, events=300, destination=CRM)

    home.run(60)

    assert all(home.meta.accepted[place] == 1 for place in places)
    assert home.metric("conversions_paused_partitions", cause="destination") == 1


def test_a_request_that_is_too_much_for_meta_is_cut_in_halves() -> None:
    home = house()
    places = home.publish(0, events=8)
    too_much = Split(MetaError(http_status=413))
    home.meta.scripted[SHOP] = deque([too_much, too_much])

    home.settle_all()

    assert [len(seen.places) for seen in home.meta.seen] == [8, 4, 4, 2, 2]
    assert sorted(home.meta.accepted) == places


def test_an_answer_that_counts_too_few_events_is_not_success() -> None:
    home = house()
    places = home.publish(0, events=4)
    few = Reply(200, b'{"events_received": 3, "fbtrace_id": "t-few"}')
    home.meta.scripted[SHOP] = deque([few])

    home.settle_all()

    assert len(home.meta.seen) == 2
    assert sorted(home.meta.accepted) == places


def test_a_time_out_is_repeated_and_told_in_the_dead_letter_if_it_comes_to_one() -> None:
    home = house()
    place = home.publish(0)
    home.meta.is_bad = lambda event: True
    home.meta.scripted[SHOP] = deque([Retry(RetryCause.TIMEOUT, None, reached_meta=True)])

    home.settle_all()

    assert home.dead_letters.places == place
    told = dict(home.dead_letters.written[0].headers)
    assert told["conversions.attempts"] == b"2"
    assert told["conversions.maybe_delivered"] == b"true"

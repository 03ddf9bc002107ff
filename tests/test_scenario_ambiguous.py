"""An answer does not arrive, and nobody knows whether Meta counted the events. They are sent again
under the same ids for 47 hours after their first sending, within which Meta drops what it has seen
before, and then never again: whatever held them up meanwhile, and through being given back to
Kafka. Only what was in a request without a clear answer is concerned, and not what a clear refusal
or a pause preceded.
"""

from collections import deque

import orjson
import pytest

from consumer.iso_time import iso_time
from consumer.meta_limits import AMBIGUOUS_MS_MAX
from consumer.model import Retry, RetryCause
from tests.fakes.dead_letters import header, place_of
from tests.fakes.house import CRM, SHOP, FakeHouse, house
from tests.fakes.kafka import Place
from tests.fakes.meta import Reply, Scripted, expired_token, outage, refusal, throttling

HOUR = 3600.0
PACE = 4000.0
AMBIGUOUS_SECONDS = AMBIGUOUS_MS_MAX / 1000
TIMED_OUT = Retry(RetryCause.TIMEOUT, None, reached_meta=True)
RESET = Retry(RetryCause.CONNECTION, None, reached_meta=True)
UNREACHED = Retry(RetryCause.CONNECTION, None, reached_meta=False)
TRUNCATED = Reply(200, b'{"events_received": 1')
FEWER = Reply(200, orjson.dumps({"events_received": 3, "fbtrace_id": "t-few"}))
NONE_RECEIVED = Reply(200, orjson.dumps({"events_received": 0, "fbtrace_id": "t-none"}))

AMBIGUOUS: dict[str, Scripted] = {
    "time-out": TIMED_OUT,
    "reset in mid-answer": RESET,
    "truncated answer": TRUNCATED,
    "server error": outage(),
    "fewer received": FEWER,
    "none received": NONE_RECEIVED,
}
HOLDING: dict[str, Scripted] = {
    "halted": expired_token(),
    "throttled": throttling(3600),
    "not reached": UNREACHED,
    "silent": TIMED_OUT,
}


def patient() -> FakeHouse:
    """A house in which two days pass in few turns."""
    home = house(max_poll_seconds=HOUR, uncommitted_seconds=100 * HOUR)
    home.clock.idle_pace = PACE
    return home


def sendings(home: FakeHouse) -> dict[Place, list[float]]:
    """When each record's event was sent."""
    found: dict[Place, list[float]] = {}
    for seen in home.meta.seen:
        for place in seen.places:
            found.setdefault(place, []).append(seen.at)
    return found


def ids_of(home: FakeHouse) -> dict[Place, set[str]]:
    """The event ids that each record's event was sent under."""
    found: dict[Place, set[str]] = {}
    for seen in home.meta.seen:
        for place, event in zip(seen.places, seen.request.events, strict=True):
            found.setdefault(place, set()).add(event.event_id)
    return found


def reasons(home: FakeHouse) -> dict[Place, tuple[str | None, str | None]]:
    """Reason, and whether it may have been delivered, of each dead letter."""
    return {
        place_of(letter): (header(letter, "reason"), header(letter, "maybe_delivered"))
        for letter in home.dead_letters.written
    }


@pytest.mark.parametrize("holding", HOLDING)
@pytest.mark.parametrize("ambiguous", AMBIGUOUS)
def test_what_may_have_been_delivered_is_given_up_47_hours_after_its_first_sending(
    ambiguous: str, holding: str
) -> None:
    home = patient()
    places = home.publish(0, events=4)
    home.meta.scripted[SHOP] = deque([AMBIGUOUS[ambiguous]])
    home.meta.standing[SHOP] = HOLDING[holding]

    home.run(AMBIGUOUS_SECONDS - HOUR)
    assert not home.dead_letters.produced, "inside Meta's 48 hours it is tried on"
    home.run(2 * HOUR)

    assert reasons(home) == dict.fromkeys(places, ("outcome_unknown", "true"))
    first = home.meta.seen[0].at
    first_ms = home.clock.now_ms() - round(1000 * (home.clock.now() - first))
    assert {header(letter, "first_sent_at") for letter in home.dead_letters.written} == {
        iso_time(first_ms)
    }
    home.meta.standing.clear()
    after = home.publish(0, events=1)
    home.settle_all(2 * HOUR)
    assert all(times[-1] - times[0] <= AMBIGUOUS_SECONDS for times in sendings(home).values())
    assert all(len(ids) == 1 for ids in ids_of(home).values())
    assert list(home.meta.accepted) == after


@pytest.mark.parametrize("holding", HOLDING)
@pytest.mark.parametrize("ambiguous", AMBIGUOUS)
def test_inside_the_47_hours_it_is_sent_again_under_the_same_ids(
    ambiguous: str, holding: str
) -> None:
    home = patient()
    places = home.publish(0, events=4)
    home.meta.scripted[SHOP] = deque([AMBIGUOUS[ambiguous]])
    home.meta.standing[SHOP] = HOLDING[holding]
    home.run(AMBIGUOUS_SECONDS - 3 * HOUR)

    home.meta.standing.clear()
    home.settle_all(2 * HOUR)

    assert home.meta.accepted == dict.fromkeys(places, 1)
    assert not home.dead_letters.produced
    assert all(len(ids) == 1 for ids in ids_of(home).values())


@pytest.mark.parametrize(
    "answer", [expired_token(), throttling(60), UNREACHED], ids=["halted", "throttled", "unreached"]
)
def test_what_surely_was_not_taken_is_sent_after_three_days_as_well(answer: Scripted) -> None:
    home = patient()
    places = home.publish(0, events=4)
    home.meta.standing[SHOP] = answer
    home.run(72 * HOUR)
    assert not home.dead_letters.produced

    home.meta.standing.clear()
    home.settle_all(2 * HOUR)

    assert home.meta.accepted == dict.fromkeys(places, 1)


def isolating(home: FakeHouse, *, then: Scripted) -> tuple[list[Place], Place]:
    """Eight events, one of them bad, were refused together, and ``then`` came for the first part
    of them; nothing was reached from there on. Returns all, and the bad one."""
    places = home.publish(0, events=8)
    home.meta.is_bad = lambda event: event.record.offset == places[5][1]
    home.meta.scripted[SHOP] = deque([refusal("t-first"), then])
    home.meta.standing[SHOP] = UNREACHED
    home.run(10 * HOUR)
    assert 0 < len(home.meta.seen[1].places) < len(places), "a part of them"
    return places, places[5]


def test_of_a_batch_that_is_being_isolated_only_the_part_without_an_answer_is_ambiguous() -> None:
    home = patient()
    places, bad = isolating(home, then=TIMED_OUT)
    ambiguous = set(home.meta.seen[1].places)
    home.run(40 * HOUR)

    home.meta.standing.clear()
    home.settle_all(3 * HOUR)

    told = reasons(home)
    assert {place for place, (reason, _) in told.items() if reason == "outcome_unknown"} == (
        ambiguous
    )
    assert all(told[place] == ("outcome_unknown", "true") for place in ambiguous)
    others = set(places) - ambiguous
    assert set(home.meta.accepted) == others - {bad}
    assert set(home.meta.accepted.values()) == {1}
    if bad in others:
        assert told[bad] == ("refused_by_meta", "false")


def test_a_bad_event_says_whether_its_own_request_went_without_an_answer() -> None:
    home = patient()
    places, bad = isolating(home, then=TIMED_OUT)
    in_doubt = bad in home.meta.seen[1].places

    home.meta.standing.clear()
    home.settle_all(3 * HOUR)

    assert reasons(home) == {bad: ("refused_by_meta", str(in_doubt).lower())}
    assert set(home.meta.accepted) == set(places) - {bad}


def test_a_clear_refusal_makes_nothing_ambiguous() -> None:
    home = patient()
    places, bad = isolating(home, then=refusal("t-second"))
    home.run(60 * HOUR)
    assert not home.dead_letters.produced

    home.meta.standing.clear()
    home.settle_all(3 * HOUR)

    assert reasons(home) == {bad: ("refused_by_meta", "false")}
    assert set(home.meta.accepted) == set(places) - {bad}


def given_back(
    home: FakeHouse, *, first: Scripted, age_hours: float = 0.0
) -> tuple[set[Place], set[Place]]:
    """A destination alone on its partition fills the house while its first requests come to
    ``first``, and nothing is reached from there on: most of it goes back to Kafka. Returns what
    was sent by then, and what of that is forgotten."""
    event_time = home.clock.now_ms() - round(1000 * age_hours * HOUR)
    home.publish(1, events=1, destination=CRM)
    home.publish(0, events=2000, destination=SHOP, eventTime=event_time)
    home.meta.scripted[SHOP] = deque([first] * 8)
    home.meta.standing[SHOP] = UNREACHED
    home.clock.idle_pace = 1.0
    while not home.source.rewinds:
        assert home.clock.now() < 1_600, "the house is full, and is emptied soon"
        home.pipeline.turn()
    home.clock.idle_pace = PACE
    assert not home.meta.scripted[SHOP], "each was answered as planned"
    sent = {place for seen in home.meta.requests(SHOP)[:8] for place in seen.places}
    (offset,) = home.source.rewinds[0].values()
    return sent, {place for place in sent if place[1] >= offset}


def small() -> FakeHouse:
    return house(
        in_flight_events=1000,
        window_events=100,
        max_poll_seconds=HOUR,
        uncommitted_seconds=100 * HOUR,
    )


def test_when_it_was_first_sent_is_remembered_of_what_goes_back_to_kafka() -> None:
    home = small()
    sent, forgotten = given_back(home, first=TIMED_OUT)
    assert forgotten
    home.run(48 * HOUR)

    home.meta.standing.clear()
    home.settle_all(10 * HOUR)

    assert set(reasons(home)) == sent, "also what is read again only after the 47 hours"
    assert set(reasons(home).values()) == {("outcome_unknown", "true")}
    assert all(header(letter, "first_sent_at") for letter in home.dead_letters.written)
    published = {(0, offset) for offset in range(2000)}
    assert {place for place in home.meta.accepted if place[0] == 0} == published - sent
    assert set(home.meta.accepted.values()) == {1}


def test_what_was_refused_clearly_goes_back_to_kafka_and_is_not_ambiguous() -> None:
    home = small()
    _, forgotten = given_back(home, first=refusal("t-no"))
    assert forgotten
    home.run(60 * HOUR)

    home.meta.standing.clear()
    home.settle_all(10 * HOUR)

    assert not home.dead_letters.produced
    assert len(home.meta.accepted) == 2001


def test_what_is_too_old_when_it_is_read_again_may_still_have_been_delivered() -> None:
    home = small()
    sent, forgotten = given_back(home, first=TIMED_OUT, age_hours=6 * 24)
    assert forgotten

    home.run(30 * HOUR)
    home.meta.standing.clear()
    home.settle_all(10 * HOUR)

    told = reasons(home)
    assert {told[place] for place in forgotten} <= {("expired", "true"), ("event_too_old", "true")}
    assert ("event_too_old", "true") in {told[place] for place in forgotten}
    assert {place for place, (_, maybe) in told.items() if maybe == "true"} == sent


def test_a_crash_forgets_that_it_was_ambiguous_and_it_is_sent_under_the_same_id() -> None:
    """The memory of a sending is the process's: nothing of it stands in Kafka. So a restart or a
    rebalance begins the 47 hours anew, and what Meta took more than 48 hours before may count
    twice."""
    home = patient()
    places = home.publish(0, events=4)
    home.meta.standing[SHOP] = TIMED_OUT
    home.run(HOUR)
    home.clock.advance(50 * HOUR)
    another = house(beside=home, max_poll_seconds=HOUR, uncommitted_seconds=100 * HOUR)

    another.run(HOUR)

    assert another.meta.accepted == dict.fromkeys(places, 1)
    before, after = ids_of(home), ids_of(another)
    assert before == after

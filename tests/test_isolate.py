"""Isolation: every bad event is found, every good one delivered once, with few requests."""

from math import ceil, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.isolate import Isolation
from consumer.model import Prepared
from tests.fakes.events import some_events


def isolate(events: list[Prepared], bad: set[str]) -> tuple[list[str], list[str], int]:
    """Take a refused batch apart with a Meta that refuses any request with a bad event in it.

    Returns the ids found, the ids delivered and the number of trials.
    """
    isolation = Isolation(list(events))
    found: list[str] = []
    delivered: list[str] = []
    trials = 0
    while True:
        one = isolation.found()
        if one is not None:
            found.append(one.event_id)
        trial = isolation.trial()
        if not trial:
            assert isolation.events == []
            return found, delivered, trials
        trials += 1
        assert trials <= 20 * len(events), "isolation does not end"
        if bad & {event.event_id for event in trial}:
            isolation.refused()
        else:
            delivered += [event.event_id for event in isolation.accepted()]


def test_one_bad_event_of_a_thousand_costs_at_most_eleven_requests() -> None:
    found, delivered, trials = isolate(some_events(1000), {"e437"})

    assert found == ["e437"]
    assert len(set(delivered)) == len(delivered) == 999
    assert trials <= 11


@pytest.mark.parametrize("position", [0, 1, 2, 3, 4])
def test_the_bad_event_is_found_wherever_it_stands(position: int) -> None:
    found, delivered, _ = isolate(some_events(5), {f"e{position}"})

    assert found == [f"e{position}"]
    assert sorted(delivered) == sorted(f"e{n}" for n in range(5) if n != position)


def test_a_refused_batch_of_one_is_found_without_another_request() -> None:
    assert isolate(some_events(1), {"e0"}) == (["e0"], [], 0)


def test_the_half_that_must_hold_the_bad_event_is_not_tried_whole() -> None:
    isolation = Isolation(some_events(8))
    isolation.accepted()

    assert [event.event_id for event in isolation.trial()] == ["e4", "e5"]


def test_what_is_not_yet_tried_goes_in_one_request_once_a_bad_event_is_found() -> None:
    isolation = Isolation(some_events(4))
    isolation.refused()  # e0 and e1
    isolation.refused()  # e0 alone

    bad = isolation.found()

    assert bad is not None
    assert bad.event_id == "e0"
    assert sorted(event.event_id for event in isolation.trial()) == ["e1", "e2", "e3"]


def test_nothing_is_found_while_several_are_suspected() -> None:
    isolation = Isolation(some_events(2))

    assert isolation.found() is None
    assert len(isolation.events) == 2


def test_when_a_suspect_leaves_nothing_is_known_of_the_others_any_more() -> None:
    isolation = Isolation(some_events(2))

    isolation.forget(lambda event: event.event_id == "e0")

    assert isolation.found() is None  # e0 may have been the bad one
    assert [event.event_id for event in isolation.trial()] == ["e1"]


def test_when_one_of_the_others_leaves_the_suspects_are_still_suspected() -> None:
    isolation = Isolation(some_events(4))
    isolation.refused()  # e0 and e1 are suspected, of e2 and e3 nothing is known

    isolation.forget(lambda event: event.event_id == "e3")

    assert [event.event_id for event in isolation.trial()] == ["e0"]
    assert [event.event_id for event in isolation.events] == ["e0", "e1", "e2"]


def test_an_isolation_says_how_far_it_is_and_nothing_of_the_events() -> None:
    isolation = Isolation(some_events(4))
    isolation.refused()

    assert repr(isolation) == "<Isolation 2 suspects, 2 others>"


@settings(deadline=None)
@given(data=st.data(), size=st.integers(1, 130))
def test_every_bad_event_is_found_and_every_good_one_is_delivered_exactly_once(
    data: st.DataObject, size: int
) -> None:
    events = some_events(size)
    names = [event.event_id for event in events]
    bad = data.draw(st.sets(st.sampled_from(names), min_size=1))

    found, delivered, trials = isolate(events, bad)

    assert sorted(found) == sorted(bad)
    assert sorted(delivered) == sorted(set(names) - bad)
    assert trials <= len(bad) * (ceil(log2(size)) + 1)


@settings(deadline=None)
@given(data=st.data(), size=st.integers(2, 40))
def test_events_that_leave_in_the_middle_never_make_a_good_one_bad(
    data: st.DataObject, size: int
) -> None:
    events = some_events(size)
    names = [event.event_id for event in events]
    bad = data.draw(st.sets(st.sampled_from(names), min_size=1))
    isolation = Isolation(list(events))
    fates: list[str] = []
    while True:
        one = isolation.found()
        if one is not None:
            assert one.event_id in bad
            fates.append(one.event_id)
        if data.draw(st.integers(0, 3)) == 0 and isolation.events:
            leaver = data.draw(st.sampled_from(isolation.events))
            isolation.forget(leaver.__eq__)
            fates.append(leaver.event_id)
        trial = isolation.trial()
        if not trial:
            break
        if bad & {event.event_id for event in trial}:
            isolation.refused()
        else:
            fates += [event.event_id for event in isolation.accepted()]

    assert sorted(fates) == sorted(names)

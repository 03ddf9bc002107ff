"""Whether a destination refuses every event, and with which one to ask it again."""

from consumer.refused_alone import (
    REFUSED_ALONE_MAX,
    REFUSED_ALONE_SECONDS,
    TRIED_MAX,
    UNACCUSED_MIN,
    RefusedAlone,
)
from tests.fakes.events import some_events


def test_eleven_different_events_refused_alone_are_every_event() -> None:
    alone = RefusedAlone()
    for number, event in enumerate(some_events(REFUSED_ALONE_MAX), start=1):
        alone.add(event, float(number), accused=False)
        assert alone.is_every_event(float(number)) is (number == REFUSED_ALONE_MAX)


def test_the_same_event_again_and_again_is_one() -> None:
    alone = RefusedAlone()
    for number in range(50):
        alone.add(some_events(1)[0], float(number), accused=False)

    assert not alone.is_every_event(50.0)


def test_whom_rules_accuse_are_not_every_event_until_others_are_refused_as_well() -> None:
    alone = RefusedAlone()
    accused, others = some_events(50), some_events(UNACCUSED_MIN, prefix="o")
    for event in accused:
        alone.add(event, 0.0, accused=True)
    for number, event in enumerate(others, start=1):
        assert not alone.is_every_event(0.0)
        alone.add(event, 0.0, accused=False)
        assert alone.is_every_event(0.0) is (number == UNACCUSED_MIN)


def test_an_acceptance_starts_the_count_anew() -> None:
    alone = RefusedAlone()
    for event in some_events(REFUSED_ALONE_MAX):
        alone.add(event, 0.0, accused=False)
    alone.clear()

    assert not alone.is_every_event(0.0)


def test_what_was_refused_a_day_ago_counts_no_more() -> None:
    alone = RefusedAlone()
    for event in some_events(REFUSED_ALONE_MAX):
        alone.add(event, 0.0, accused=False)

    assert alone.is_every_event(REFUSED_ALONE_SECONDS)
    assert not alone.is_every_event(REFUSED_ALONE_SECONDS + 1.0)


def test_the_next_probe_is_of_another_partition_and_was_not_tried() -> None:
    alone = RefusedAlone()
    here, there = some_events(3), some_events(3, prefix="t", partition=1)
    alone.add(here[0], 0.0, accused=False)

    assert alone.next_probe([*here, *there]) is there[0]
    assert alone.next_probe(here) is here[1]
    alone.add(there[0], 1.0, accused=False)
    assert alone.next_probe([*here, *there]) is here[1]


def test_when_all_were_tried_it_is_the_one_that_was_tried_longest_ago() -> None:
    alone = RefusedAlone()
    events = some_events(3)
    for at, event in enumerate([events[1], events[0], events[2], events[1]]):
        alone.add(event, float(at), accused=False)

    assert alone.next_probe(events) is events[0]
    assert alone.next_probe([]) is None


def test_no_more_events_are_remembered_than_the_limit() -> None:
    alone = RefusedAlone()
    for event in some_events(TRIED_MAX + 5):
        alone.add(event, 0.0, accused=False)

    assert repr(alone) == f"<RefusedAlone {TRIED_MAX} events>"

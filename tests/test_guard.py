"""The ratio guard: when its alarm begins and ends, what it holds, and for whom."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.guard import Alarm, Guard
from consumer.held_back import HeldBack
from consumer.model import PixelId, Reason, Rejected, TopicPartition
from tests.fakes.events import TOPIC, a_record

SHOP, CRM = PixelId("111"), PixelId("222")
ZERO, ONE = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)
SOURCE, VALUE = Reason.MISSING_ACTION_SOURCE, Reason.MISSING_VALUE


def bad(
    reason: Reason = SOURCE,
    destination: PixelId | None = SHOP,
    *,
    partition: int = 0,
    offset: int = 0,
    tenure: int = 1,
) -> Rejected:
    record = a_record(partition=partition, offset=offset, tenure=tenure)
    return Rejected(record=record, reason=reason, detail="no", destination=destination)


def a_guard(*, events: int = 10, share: float = 0.5, pauses: bool = True) -> Guard:
    return Guard(events=events, share=share, pauses=pauses)


def raised(
    guard: Guard,
    destination: PixelId = SHOP,
    *,
    partition: int = 0,
    offset: int = 0,
    tenure: int = 1,
) -> None:
    """Reject until the alarm begins, which the last one does."""
    one = bad(SOURCE, destination, partition=partition, offset=offset, tenure=tenure)
    while guard.rejected(one, 0.0).begins is None:
        pass


def passed(guard: Guard, count: int, destination: PixelId = SHOP) -> None:
    for _ in range(count):
        guard.passed(destination)


def test_an_alarm_begins_with_the_first_rejection_above_the_share() -> None:
    guard = a_guard(events=10, share=0.5)

    turned = [guard.rejected(bad(), 0.0) for _ in range(7)]

    assert [each.begins for each in turned] == [None] * 5 + [Alarm(SHOP, SOURCE)] + [None]
    assert [each.held for each in turned] == [False] * 5 + [True, True]
    assert guard.alarms == [Alarm(SHOP, SOURCE)]


def test_a_share_of_one_is_never_exceeded() -> None:
    guard = a_guard(events=10, share=1.0)

    assert all(guard.rejected(bad(), 0.0) == (None, False) for _ in range(100))


def test_rejections_for_different_reasons_are_not_added_up() -> None:
    guard = a_guard(events=10, share=0.5)

    for _ in range(50):
        guard.rejected(bad(SOURCE), 0.0)
        guard.rejected(bad(VALUE), 0.0)

    assert guard.alarms == []


def test_rejections_of_another_destination_count_for_that_one_alone() -> None:
    guard = a_guard(events=10)
    passed(guard, 10, CRM)

    raised(guard)

    assert guard.alarms == [Alarm(SHOP, SOURCE)]
    assert list(guard.held) == [SHOP]
    assert guard.rejected(bad(destination=CRM), 0.0) == (None, False)


def test_what_is_rejected_for_another_reason_meanwhile_is_not_held() -> None:
    guard = a_guard(events=10)
    raised(guard)

    assert guard.rejected(bad(VALUE), 0.0) == (None, False)
    assert guard.rejected(bad(SOURCE), 0.0) == (None, True)


def test_it_holds_nothing_unless_it_pauses() -> None:
    guard = a_guard(pauses=False)
    raised(guard)

    assert guard.alarms
    assert guard.rejected(bad(), 0.0) == (None, False)
    assert guard.held == {}


def test_an_alarm_ends_at_half_the_share_and_gives_back_what_was_held_in_order() -> None:
    guard = a_guard(events=10, share=0.6)
    for offset in range(9):
        guard.rejected(bad(offset=offset), 0.0)
    passed(guard, 6)  # three of the last ten are left: half of six
    passed(guard, 0)
    assert guard.alarms
    assert guard.ended([]) == []

    passed(guard, 1)
    (ended,) = guard.ended([])

    assert ended.alarm == Alarm(SHOP, SOURCE)
    assert [one.record.offset for one in ended.released] == [6, 7, 8]
    assert (guard.alarms, guard.held) == ([], {})


def test_while_partitions_pause_for_what_is_held_the_others_prove_nothing() -> None:
    guard = a_guard(events=10)
    raised(guard, partition=0)
    passed(guard, 30)
    assert guard.ended([ZERO, ONE]) == []
    assert guard.ended([]) == [], "what came meanwhile came from the others alone"

    passed(guard, 9)
    assert guard.ended([]) == []
    passed(guard, 1)

    assert [ended.alarm for ended in guard.ended([])] == [Alarm(SHOP, SOURCE)]


def test_a_pause_of_other_partitions_delays_nothing() -> None:
    guard = a_guard(events=10)
    raised(guard, partition=0)
    passed(guard, 10)

    assert len(guard.ended([ONE])) == 1


def test_an_operator_accepts_the_dead_letters_and_the_guard_rests_until_the_share_has_fallen() -> (
    None
):
    guard = a_guard(events=10)
    raised(guard)

    accepted = guard.accept(SHOP)

    assert len(accepted) == 1
    assert guard.held == {}
    assert guard.alarms == [Alarm(SHOP, SOURCE)], "the share is what it was"
    assert all(guard.rejected(bad(), 0.0) == (None, False) for _ in range(50))
    passed(guard, 10)
    assert len(guard.ended([])) == 1
    assert [guard.rejected(bad(), 0.0).held for _ in range(6)] == [False] * 5 + [True]


def test_accepting_is_for_one_destination() -> None:
    guard = a_guard(events=10)
    raised(guard, SHOP)
    raised(guard, CRM)

    guard.accept(SHOP)

    assert list(guard.held) == [CRM]
    assert guard.rejected(bad(destination=CRM), 0.0).held
    assert guard.accept(PixelId("333")) == []


def test_two_reasons_at_once_are_two_alarms_and_each_gives_back_its_own() -> None:
    guard = a_guard(events=10, share=0.2)
    for _ in range(4):
        guard.rejected(bad(SOURCE), 0.0)
        guard.rejected(bad(VALUE), 0.0)
    assert set(guard.alarms) == {Alarm(SHOP, SOURCE), Alarm(SHOP, VALUE)}
    for _ in range(8):
        guard.rejected(bad(VALUE), 0.0)
    passed(guard, 1)

    (ended,) = guard.ended([])

    assert ended.alarm.reason is SOURCE
    assert {one.reason for one in ended.released} == {SOURCE}
    held = guard.held[SHOP]
    assert {one.reason for one in held.take_out(lambda _: True)} == {VALUE}


@pytest.mark.parametrize(
    ("reason", "destination"),
    [
        (Reason.UNDECODABLE, None),
        (Reason.MISSING_DESTINATION, PixelId("")),
        (Reason.UNKNOWN_DESTINATION, PixelId("somebody else's")),
        (Reason.INTERNAL_ERROR, None),
    ],
)
def test_who_names_no_destination_of_ours_is_told_and_never_held(
    reason: Reason, destination: PixelId | None
) -> None:
    guard = a_guard(events=10)

    turned = [guard.rejected(bad(reason, destination), 0.0) for _ in range(8)]

    assert [each.begins for each in turned][5] == Alarm(None, reason)
    assert not any(each.held for each in turned)
    passed(guard, 10)
    assert len(guard.ended([])) == 1


def test_who_names_no_destination_is_a_share_of_all_that_is_read() -> None:
    guard = a_guard(events=10)

    for _ in range(50):
        passed(guard, 1, SHOP)
        guard.rejected(bad(VALUE, CRM), 0.0)
        guard.rejected(bad(Reason.UNDECODABLE, None), 0.0)

    assert guard.alarms == [Alarm(CRM, VALUE)]


def test_what_is_held_of_an_ended_tenure_is_dropped() -> None:
    guard = a_guard(events=10)
    raised(guard, tenure=1)
    guard.rejected(bad(tenure=2, partition=1), 0.0)

    guard.forget(lambda tenure: tenure == 1)

    assert [one.record.tenure for one in guard.accept(SHOP)] == [2]


def test_an_alarm_is_told_while_any_partition_that_raised_it_is_ours() -> None:
    guard = a_guard(events=10)
    raised(guard, tenure=1)
    guard.rejected(bad(tenure=2, partition=1), 0.0)
    (alarm,) = guard.alarms

    guard.forget(lambda tenure: tenure == 1)
    assert guard.alarms == [alarm]
    guard.forget(lambda tenure: True)
    assert guard.alarms == []

    assert guard.rejected(bad(tenure=3), 0.0) == (None, True), "it goes on where it was"
    assert guard.alarms == [alarm]


def test_what_is_read_again_is_dropped() -> None:
    guard = a_guard(events=10)
    raised(guard, offset=1)
    for partition, offset in ((0, 5), (0, 6), (1, 9)):
        guard.rejected(bad(partition=partition, offset=offset), 0.0)

    given_back = guard.give_back(ZERO, 5)

    assert [one.record.offset for one in given_back] == [5, 6]
    assert [one.record.offset for one in guard.accept(SHOP)] == [1, 9]


def test_nothing_held_is_in_its_repr() -> None:
    guard = a_guard()
    raised(guard)

    assert repr(guard) == "<Guard 1 destinations, 1 alarms>"
    assert repr(guard.held[SHOP]) == "<HeldBack 111: 1 records>"


# --- what is held -------------------------------------------------------------------------------


def test_what_is_held_is_carried_until_it_is_taken_out() -> None:
    held = HeldBack(destination=SHOP, since=3.0)
    events = [bad(partition=number % 2, offset=number) for number in range(5)]
    for event in events:
        held.put(event)
    size = events[0].record.size_bytes
    assert held.carried == (5, 5 * size, frozenset((ZERO, ONE)))

    assert held.spill(2, lambda one: one.record.partition == ONE) == [events[1], events[3]]

    assert held.carried == (3, 3 * size, frozenset((ZERO,)))
    assert held.spill(2, lambda _: True) == [events[0], events[2]]
    assert held.take_out(lambda _: True) == [events[4]]
    assert held.carried == (0, 0, frozenset())


# --- against a plain count ----------------------------------------------------------------------

Happening = tuple[Reason | None, PixelId | None]
HAPPENINGS: st.SearchStrategy[Happening] = st.one_of(
    st.tuples(st.none(), st.sampled_from((SHOP, CRM))),
    st.tuples(st.sampled_from((SOURCE, VALUE)), st.sampled_from((SHOP, CRM))),
    st.tuples(st.just(Reason.UNDECODABLE), st.none()),
)


class Plain:
    """The same by counting everything anew each time."""

    def __init__(self, events: int, share: float) -> None:
        self.events, self.share = events, share
        self.last: dict[PixelId | None, deque[Reason | None]] = {}
        self.alarms: set[Alarm] = set()

    def happens(self, reason: Reason | None, destination: PixelId | None) -> None:
        window = self.last.setdefault(destination, deque(maxlen=self.events))
        window.append(reason)
        if destination is not None:
            self.last.setdefault(None, deque(maxlen=self.events)).append(None)
        if reason is not None and window.count(reason) > round(self.events * self.share, 6):
            self.alarms.add(Alarm(destination, reason))
        self.alarms -= {
            each
            for each in self.alarms
            if self.last[each.destination].count(each.reason)
            <= round(self.events * self.share, 6) / 2
        }


@settings(deadline=None)
@given(
    st.lists(HAPPENINGS, max_size=200),
    st.integers(1, 12),
    st.sampled_from((0.1, 0.29, 0.5, 0.75, 1.0)),
    st.booleans(),
)
def test_it_finds_what_a_plain_count_finds(
    happenings: list[Happening], events: int, share: float, pauses: bool
) -> None:
    guard, plain = a_guard(events=events, share=share, pauses=pauses), Plain(events, share)
    kept = dead = rejections = 0
    for reason, destination in happenings:
        plain.happens(reason, destination)
        if reason is None:
            assert destination is not None
            guard.passed(destination)
        else:
            rejections += 1
            held = guard.rejected(bad(reason, destination), 0.0).held
            kept, dead = kept + held, dead + (not held)
            assert not (held and not pauses)
            assert not (held and destination is None)
        released = [one for ended in guard.ended([]) for one in ended.released]
        kept, dead = kept - len(released), dead + len(released)

        assert set(guard.alarms) == plain.alarms
        assert kept == sum(map(len, guard.held.values())), "held, or dead-lettered once"
        assert set(guard.held) <= {each.destination for each in guard.alarms}
    assert kept + dead == rejections

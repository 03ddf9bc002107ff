"""A group that is moved back: which offsets, which never, and what is said of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.iso_time import iso_time
from consumer.kafka_rewind import GroupIsLive, RewindFailed
from consumer.model import LogEnd
from consumer.rewind import (
    RewindOrder,
    RewindRefused,
    move_back,
    move_back_once,
    planned,
)
from consumer.rewind_lines import rewind_json, rewind_text
from consumer.rewind_plan import Commit, Found, Number, Stays
from consumer.text_tables import Look
from tests.fakes.events import NOW_MS

HOUR_MS = 3600 * 1000
MARK = "conversions run --from 2h"
LOOK = Look(columns=100, colour=False, blocks=False)


@dataclass
class FakeGroup:
    """A group's commits, and its topic: the timestamp of each record, by partition. As with Kafka
    a stranger may commit only while there is no member."""

    logs: dict[Number, list[int]]
    committed: dict[Number, Commit]
    live: int = 0
    lows: dict[Number, int] = field(default_factory=dict)
    joins_before_commit: int = 0
    group: str = "conversions-consumer"
    topic: str = "conversions.events"

    def partitions(self) -> list[Number]:
        return sorted(self.logs)

    def members(self) -> int:
        return self.live

    def commits(self, partitions: Collection[Number]) -> dict[Number, Commit]:
        return {number: each for number, each in self.committed.items() if number in partitions}

    def ends(self, committed: Mapping[Number, int]) -> dict[Number, LogEnd]:
        return {
            number: LogEnd(self.lows.get(number, 0), len(self.logs[number]), offset)
            for number, offset in committed.items()
        }

    def first_since(
        self, partitions: Collection[Number], time_ms: int
    ) -> dict[Number, Found | None]:
        return {number: self._first(number, time_ms) for number in partitions}

    def _first(self, number: Number, time_ms: int) -> Found | None:
        return next(
            (
                Found(offset, timestamp_ms)
                for offset, timestamp_ms in enumerate(self.logs[number])
                if offset >= self.lows.get(number, 0) and timestamp_ms >= time_ms
            ),
            None,
        )

    def commit(self, offsets: Mapping[Number, int], metadata: str) -> None:
        self.live += self.joins_before_commit
        if self.live:
            raise GroupIsLive
        for number, offset in offsets.items():
            self.committed[number] = Commit(offset, metadata)

    @property
    def offsets(self) -> dict[Number, int]:
        return {number: each.offset for number, each in self.committed.items()}


def hourly(hours: int) -> list[int]:
    """A record an hour, the last one an hour ago."""
    return [NOW_MS - ago * HOUR_MS for ago in range(hours, 0, -1)]


def group_of(log: list[int], committed: int | None, **more: Any) -> FakeGroup:
    commits = {} if committed is None else {0: Commit(committed, "")}
    return FakeGroup(logs={0: log}, committed=commits, **more)


def order(hours: float, **more: Any) -> RewindOrder:
    return RewindOrder(
        **{
            "since_ms": NOW_MS - int(hours * HOUR_MS),
            "now_ms": NOW_MS,
            "partitions": None,
            "accept_duplicates": False,
            "mark": MARK,
            **more,
        }
    )


def test_what_was_settled_since_then_is_read_again_and_what_is_open_as_ever() -> None:
    group = group_of(hourly(10), 8)

    plan = planned(group, order(4))

    assert plan.offsets == {0: 6}
    assert (plan.again, plan.settled, plan.forgotten, plan.expired) == (4, 2, 0, 0)
    assert plan.oldest_ms == NOW_MS - 4 * HOUR_MS
    assert group.offsets == {0: 8}, "a plan changes nothing"
    move_back(group, order(4), plan)
    assert group.committed == {0: Commit(6, MARK)}


@pytest.mark.parametrize(
    ("log", "committed", "hours", "why"),
    [
        (hourly(10), None, 4, Stays.NEVER_COMMITTED),
        (hourly(10), 10, 0.5, Stays.NOTHING_SINCE),
        ([], 0, 4, Stays.NOTHING_SINCE),
        (hourly(10), 3, 4, Stays.NOT_SETTLED),
        (hourly(10), 6, 4, Stays.NOT_SETTLED),
    ],
)
def test_an_offset_never_goes_forward_nor_comes_into_being(
    log: list[int], committed: int | None, hours: float, why: Stays
) -> None:
    group = group_of(log, committed)
    before = dict(group.committed)

    plan = planned(group, order(hours))
    move_back(group, order(hours), plan)

    assert (dict(plan.staying), plan.offsets, group.committed) == ({0: why}, {}, before)
    assert plan.oldest_ms is None
    assert "Nothing of conversions.events" in rewind_text(plan, moved=False, look=LOOK)


@given(
    ages=st.lists(st.integers(0, 200 * HOUR_MS), max_size=30),
    committed=st.integers(0, 40),
    low=st.integers(0, 30),
    hours=st.integers(0, 200),
)
def test_whatever_the_log_is_like_no_record_is_jumped_over(
    ages: list[int], committed: int, low: int, hours: int
) -> None:
    log = [NOW_MS - age for age in ages]
    low = min(low, len(log))
    group = group_of(log, committed, lows={0: low})
    asked = order(hours, accept_duplicates=True)

    plan = planned(group, asked)
    move_back(group, asked, plan)

    after = group.offsets[0]
    assert after <= committed
    jumped = range(low, min(after, committed, len(log)))
    missed = [at for at in jumped if log[at] >= asked.since_ms]
    assert missed == [], "every record since then that was settled comes again"
    for each in plan.stretches:
        assert 0 <= each.expired <= each.forgotten <= each.settled <= each.again
        assert each.settled > 0


def test_partitions_that_are_not_named_stay() -> None:
    group = FakeGroup(
        logs={number: hourly(10) for number in range(3)},
        committed={number: Commit(10, "") for number in range(3)},
    )
    asked = order(4, partitions=frozenset({1}))

    move_back(group, asked, planned(group, asked))

    assert group.offsets == {0: 10, 1: 6, 2: 10}


def test_a_partition_that_is_not_there_is_refused() -> None:
    with pytest.raises(RewindRefused, match="has no partition 7"):
        planned(group_of(hourly(3), 3), order(2, partitions=frozenset({0, 7})))


def test_a_topic_made_anew_is_read_from_that_time_and_counts_what_it_has() -> None:
    plan = planned(group_of(hourly(10), 500), order(4))

    assert plan.offsets == {0: 6}
    assert (plan.again, plan.settled) == (4, 4)


def test_where_retention_was_faster_it_is_told() -> None:
    log = hourly(10)
    cut = planned(group_of(log, 10, lows={0: 7}), order(8))
    whole = planned(group_of(log, 10, lows={0: 2}), order(8, since_ms=log[3]))

    assert (cut.cut, cut.offsets) == ([0], {0: 7})
    assert "Retention may have taken" in rewind_text(cut, moved=False, look=LOOK)
    assert (whole.cut, whole.offsets) == ([], {0: 3})
    assert planned(group_of(log, 10), order(20)).cut == [], "a log that was never cut"
    assert "Retention" not in rewind_text(whole, moved=False, look=LOOK)


# --- what Meta has forgotten --------------------------------------------------------------------


def test_what_meta_may_have_forgotten_is_refused_unless_duplicates_are_accepted() -> None:
    group = group_of(hourly(60), 60)
    asked = order(50)
    plan = planned(group, asked)

    assert (plan.settled, plan.forgotten, plan.expired) == (50, 3, 0)
    with pytest.raises(RewindRefused, match=r"3 settled records.*--accept-duplicates"):
        move_back(group, asked, plan)
    assert group.offsets == {0: 60}
    text = " ".join(rewind_text(plan, moved=False, look=LOOK).split())
    assert "3 of these are older than 47 hours" in text
    assert "It would be refused" in text
    willing = order(50, accept_duplicates=True)
    move_back(group, willing, planned(group, willing))
    assert group.offsets == {0: 10}


def test_what_is_old_but_was_never_settled_is_no_duplicate() -> None:
    """A backlog of three days may be gone back into, as nothing of it was sent before."""
    group = group_of(hourly(72), 60)
    asked = order(14)

    plan = planned(group, asked)

    assert (plan.again, plan.settled, plan.forgotten) == (14, 2, 0)
    move_back(group, asked, plan)


def test_of_a_backlog_only_what_was_settled_counts_as_forgotten() -> None:
    plan = planned(group_of(hourly(72), 10), order(70))

    assert (plan.again, plan.settled, plan.forgotten) == (70, 8, 8)


def test_where_every_record_is_old_all_of_them_are_forgotten() -> None:
    log = [NOW_MS - ago * HOUR_MS for ago in (60, 59, 58)]

    plan = planned(group_of(log, 3), order(59))

    assert (plan.settled, plan.forgotten, plan.expired) == (2, 2, 0)


def test_what_is_too_old_for_meta_is_counted() -> None:
    plan = planned(group_of(hourly(200), 200), order(190))

    assert (plan.settled, plan.forgotten, plan.expired) == (190, 143, 22)
    assert "22 of them are older than 7 days" in rewind_text(plan, moved=False, look=LOOK)


# --- who else is there --------------------------------------------------------------------------


def test_a_group_with_members_is_left_alone() -> None:
    group = group_of(hourly(10), 10, live=3)
    plan = planned(group, order(4))

    with pytest.raises(RewindFailed, match=r"has 3 members: end them all first"):
        move_back(group, order(4), plan)
    assert group.offsets == {0: 10}
    assert "It cannot be done now" in rewind_text(plan, moved=False, look=LOOK)


def test_not_even_brokers_that_would_take_it_get_a_commit_for_a_live_group() -> None:
    class Lenient(FakeGroup):
        def commit(self, offsets: Mapping[Number, int], metadata: str) -> None:
            raise AssertionError("the members would commit over it")

    group = Lenient(logs={0: hourly(10)}, committed={0: Commit(10, "")}, live=1)

    with pytest.raises(RewindFailed, match="has 1 member: end them all first"):
        move_back(group, order(4), planned(group, order(4)))


def test_a_member_that_joins_meanwhile_is_not_disturbed() -> None:
    group = group_of(hourly(10), 10, joins_before_commit=1)
    plan = planned(group, order(4))

    with pytest.raises(RewindFailed, match=r"has members again"):
        move_back(group, order(4), plan)
    assert group.offsets == {0: 10}


def test_a_restart_with_the_same_order_moves_nothing() -> None:
    group = group_of(hourly(10), 10)

    first = move_back_once(group, order(4))
    group.committed[0] = Commit(9, MARK)
    second = move_back_once(group, order(4))

    assert first is not None
    assert second is None
    assert group.offsets == {0: 9}


def test_another_order_is_not_taken_for_a_restart() -> None:
    group = group_of(hourly(10), 10)
    group.committed[0] = Commit(10, "conversions run --from 3h")

    assert move_back_once(group, order(4)) is not None
    assert group.offsets == {0: 6}


def test_of_many_members_with_the_same_order_only_the_first_moves() -> None:
    group = group_of(hourly(10), 10)

    assert move_back_once(group, order(4)) is not None
    group.live = 1
    assert move_back_once(group, order(4)) is None


def test_the_slower_of_two_with_the_same_order_goes_on() -> None:
    """Both have planned; the faster one has moved the group, and joined, before the other one."""

    class Overtaken(FakeGroup):
        def commit(self, offsets: Mapping[Number, int], metadata: str) -> None:
            super().commit(offsets, metadata)
            self.live = 1
            raise GroupIsLive

    group = Overtaken(logs={0: hourly(10)}, committed={0: Commit(10, "")})

    assert move_back_once(group, order(4)) is None


def test_a_live_group_without_the_mark_is_refused() -> None:
    with pytest.raises(RewindFailed, match="end them all first"):
        move_back_once(group_of(hourly(10), 10, live=1), order(4))


# --- what is told -------------------------------------------------------------------------------


def test_machines_are_told_each_partition() -> None:
    group = FakeGroup(
        logs={0: hourly(60), 1: hourly(60)},
        committed={0: Commit(58, "")},
    )

    told = rewind_json(planned(group, order(50)), moved=False)

    assert told == {
        "group": "conversions-consumer",
        "topic": "conversions.events",
        "from": iso_time(NOW_MS - 50 * HOUR_MS),
        "moved": False,
        "members": 0,
        "records": 50,
        "settledBefore": 48,
        "olderThan47Hours": 3,
        "olderThan7Days": 0,
        "oldest": iso_time(NOW_MS - 50 * HOUR_MS),
        "partitions": [
            {
                "partition": 0,
                "committed": 58,
                "backTo": 10,
                "records": 50,
                "settledBefore": 48,
                "olderThan47Hours": 3,
                "olderThan7Days": 0,
                "oldest": iso_time(NOW_MS - 50 * HOUR_MS),
                "logBeginsLater": False,
            }
        ],
        "staying": {"1": "never_committed"},
    }


def test_a_person_sees_how_much_and_how_old_and_what_meta_drops() -> None:
    plan = planned(group_of(hourly(10), 8), order(4))

    text = " ".join(rewind_text(plan, moved=False, look=LOOK).split())

    assert "would go back" in text
    assert "at most 4 records" in text
    assert "the oldest is 4.0 hours old" in text
    assert "2 of them were settled before" in text
    assert "Meta drops what it received in the last 48 hours" in text
    assert "Counted by offsets" in text
    assert text.endswith("Nothing was changed.")
    done = rewind_text(plan, moved=True, look=LOOK)
    assert "goes back" in done
    assert "Nothing was changed" not in done

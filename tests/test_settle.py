"""The ledger: what may be committed, whatever the order in which records meet their fate."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.model import EndOfPartition, Record, TopicPartition
from consumer.settle import Ledger, Opening
from tests.fakes.events import TOPIC, a_record

ZERO = TopicPartition(TOPIC, 0)
ONE = TopicPartition(TOPIC, 1)


def opened(
    ledger: Ledger, offsets: list[int], *, partition: int = 0, now: float = 0.0
) -> list[Record]:
    """Begin a tenure unless there is one, and open records at these offsets."""
    where = TopicPartition(TOPIC, partition)
    tenure = ledger.tenure_of(where) or ledger.begin(where)
    records = [a_record(offset=at, partition=partition, tenure=tenure) for at in offsets]
    for record in records:
        assert ledger.open(record, now) is Opening.OPENED
    return records


def test_nothing_is_committable_before_anything_was_read() -> None:
    ledger = Ledger()
    ledger.begin(ZERO)

    assert ledger.committable() == {}
    assert ledger.committable_all() == {}
    assert ledger.committable_of([ZERO]) == {}


def test_the_lowest_open_offset_is_committable_however_much_is_settled_above_it() -> None:
    ledger = Ledger()
    records = opened(ledger, [10, 11, 12, 13])

    for record in records[1:]:
        assert ledger.settle(record)

    assert ledger.committable_all() == {ZERO: 10}


def test_with_nothing_open_the_offset_after_the_last_record_is_committable() -> None:
    ledger = Ledger()
    for record in opened(ledger, [10, 11]):
        ledger.settle(record)

    assert ledger.committable() == {ZERO: 12}


def test_a_gap_in_the_offsets_holds_nothing_back() -> None:
    ledger = Ledger()
    first, _ = opened(ledger, [3, 9])

    ledger.settle(first)

    assert ledger.committable_all() == {ZERO: 9}


def test_the_end_of_a_partition_moves_the_committable_offset_over_what_is_no_record() -> None:
    ledger = Ledger()
    (record,) = opened(ledger, [3])
    ledger.reached_end(EndOfPartition(ZERO, 7))
    assert ledger.committable_all() == {ZERO: 3}

    ledger.settle(record)

    assert ledger.committable_all() == {ZERO: 7}


def test_an_end_below_what_was_read_or_of_a_partition_not_ours_changes_nothing() -> None:
    ledger = Ledger()
    ledger.settle(opened(ledger, [10])[0])

    ledger.reached_end(EndOfPartition(ZERO, 4))
    ledger.reached_end(EndOfPartition(ONE, 4))

    assert ledger.committable_all() == {ZERO: 11}


def test_an_empty_partition_is_committable_at_its_end() -> None:
    ledger = Ledger()
    ledger.begin(ZERO)
    ledger.reached_end(EndOfPartition(ZERO, 40))

    assert ledger.committable() == {ZERO: 40}


def test_a_requested_offset_is_not_requested_again_until_it_moves_or_fails() -> None:
    ledger = Ledger()
    first, second = opened(ledger, [0, 1])
    ledger.settle(first)

    assert ledger.committable() == {ZERO: 1}
    assert ledger.committable() == {}
    ledger.commit_failed(ZERO)
    assert ledger.committable() == {ZERO: 1}
    ledger.settle(second)
    assert ledger.committable() == {ZERO: 2}


def test_an_acknowledged_offset_is_not_committed_again_even_after_a_failed_report() -> None:
    ledger = Ledger()
    ledger.settle(opened(ledger, [0])[0])
    assert ledger.committable() == {ZERO: 1}

    ledger.committed(ZERO, 1)
    ledger.commit_failed(ZERO)

    assert ledger.committable() == {}


def test_a_last_commit_names_requested_offsets_again_until_they_are_acknowledged() -> None:
    ledger = Ledger()
    ledger.settle(opened(ledger, [0])[0])
    opened(ledger, [5], partition=1)
    assert ledger.committable() == {ZERO: 1, ONE: 5}

    assert ledger.committable_of([ZERO]) == {ZERO: 1}
    ledger.committed(ZERO, 1)
    assert ledger.committable_of([ZERO]) == {}
    assert ledger.committable_of([TopicPartition(TOPIC, 9)]) == {}


def test_an_older_acknowledgement_that_comes_late_takes_nothing_back() -> None:
    ledger = Ledger()
    for record in opened(ledger, [0, 1, 2]):
        ledger.settle(record)
    ledger.committable()
    ledger.committed(ZERO, 3)
    ledger.committed(ZERO, 1)

    assert ledger.committable() == {}
    state = ledger.state(ZERO)
    assert state is not None
    assert state.uncommitted == 0


def test_a_record_of_a_tenure_that_is_over_is_stale() -> None:
    ledger = Ledger()
    (old,) = opened(ledger, [0])
    ledger.begin(ZERO)

    assert ledger.open(a_record(offset=1, tenure=old.tenure), 0.0) is Opening.STALE
    assert ledger.open(a_record(partition=1, tenure=old.tenure), 0.0) is Opening.STALE


def test_settling_a_record_of_an_ended_tenure_changes_nothing() -> None:
    ledger = Ledger()
    (old,) = opened(ledger, [0])
    ledger.end(ZERO)
    assert not ledger.settle(old)
    (again,) = opened(ledger, [0])

    assert not ledger.settle(old)
    assert ledger.committable_all() == {ZERO: 0}
    assert ledger.open_records == 1
    assert ledger.settle(again)


def test_a_record_below_what_was_read_went_back() -> None:
    ledger = Ledger()
    first, _ = opened(ledger, [4, 5])

    assert ledger.open(first, 0.0) is Opening.WENT_BACK
    assert ledger.open(a_record(offset=2, tenure=first.tenure), 0.0) is Opening.WENT_BACK
    assert ledger.open_records == 2


def test_settling_twice_is_a_bug_and_says_so_without_the_records_contents() -> None:
    ledger = Ledger()
    (record,) = opened(ledger, [0])
    ledger.settle(record)

    with pytest.raises(AssertionError, match="settled twice or never opened") as caught:
        ledger.settle(record)
    assert "value" not in str(caught.value)


def test_each_assignment_is_a_tenure_of_its_own() -> None:
    ledger = Ledger()
    first = ledger.begin(ZERO)
    other = ledger.begin(ONE)
    second = ledger.begin(ZERO)

    assert len({first, other, second}) == 3
    assert ledger.is_over(first)
    assert not ledger.is_over(second)
    assert ledger.tenure_of(ZERO) == second
    ledger.end(ZERO)
    assert ledger.is_over(second)
    assert ledger.tenure_of(ZERO) is None
    assert ledger.state(ZERO) is None
    assert ledger.partitions == [ONE]


def test_open_records_and_bytes_are_those_of_live_tenures() -> None:
    ledger = Ledger()
    tenure = ledger.begin(ZERO)
    big = a_record(offset=0, value=b"x" * 1000, key=None, tenure=tenure)
    small = a_record(offset=1, value=None, key=b"k", tenure=tenure)
    ledger.open(big, 0.0)
    ledger.open(small, 0.0)
    assert (ledger.open_records, ledger.open_bytes) == (2, big.size_bytes + small.size_bytes)
    assert big.size_bytes - small.size_bytes == 2 * 1000 - 1, "as they came, and as Meta gets them"

    ledger.settle(big)
    assert (ledger.open_records, ledger.open_bytes) == (1, small.size_bytes)
    ledger.end(ZERO)
    assert (ledger.open_records, ledger.open_bytes) == (0, 0)


def test_the_state_counts_what_a_restart_would_send_again() -> None:
    ledger = Ledger()
    records = opened(ledger, [100, 101, 102, 103], now=7.0)
    for record in records[1:]:
        ledger.settle(record)

    state = ledger.state(ZERO)

    assert state is not None
    assert (state.open, state.uncommitted, state.oldest_open_at) == (1, 3, 7.0)
    assert (state.next_offset, state.committable) == (104, 100)


def test_what_is_committed_no_longer_counts_as_uncommitted() -> None:
    ledger = Ledger()
    records = opened(ledger, [100, 101, 102])
    for record in records[:2]:
        ledger.settle(record)
    ledger.committed(ZERO, 102)

    state = ledger.state(ZERO)

    assert state is not None
    assert state.uncommitted == 0
    assert "1 open" in repr(ledger)


@settings(deadline=None)
@given(
    gaps=st.lists(st.integers(1, 4), min_size=1, max_size=25),
    choices=st.lists(st.integers(0, 30), max_size=60),
)
def test_whatever_the_order_of_settlement_the_commit_never_passes_an_open_record(
    gaps: list[int], choices: list[int]
) -> None:
    ledger = Ledger()
    tenure = ledger.begin(ZERO)
    offset = committed = 0
    unread = list(gaps)
    waiting: list[Record] = []
    last_read = -1
    for choice in choices:
        if unread and (choice % 2 == 0 or not waiting):
            offset += unread.pop(0)
            last_read = offset
            record = a_record(offset=offset, tenure=tenure)
            assert ledger.open(record, 0.0) is Opening.OPENED
            waiting.append(record)
        elif waiting:
            assert ledger.settle(waiting.pop(choice % len(waiting)))
        lowest = min((record.offset for record in waiting), default=last_read + 1)
        for at in ledger.committable().values():
            assert at == lowest
            assert at >= committed
            committed = at
            if choice % 3 == 0:
                ledger.committed(ZERO, at)
        assert ledger.open_records == len(waiting)
        assert ledger.open_bytes == sum(record.size_bytes for record in waiting)
        state = ledger.state(ZERO)
        assert state is not None
        assert state.uncommitted >= 0

"""Replays over a broker in memory: exactly once, whatever ends a replay and whenever."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.dead_letter import sent_before_ms
from consumer.iso_time import iso_time
from consumer.kafka_replay import Committed, KafkaReplay, TooLarge
from consumer.letter import Letter, LetterPlace
from consumer.letter_filter import letter_filter
from consumer.meta_limits import AMBIGUOUS_MS_MAX
from consumer.model import Reason, Record
from consumer.origin import origin_of
from consumer.replay_plan import Chosen, Repair, Rules, Skipped, SkipReason, unchanged
from consumer.replay_record import ReplayRecord
from consumer.replaying import BYTES_MAX, RECORDS_MAX, Completion, Replaying, Transactions
from tests.fakes.events import NOW_MS, TOPIC, a_record
from tests.fakes.letters import DLQ_TOPIC, rejected, stored
from tests.fakes.transactions import FakeProducer, Log

RULES = Rules(topic=TOPIC, max_replays=3, again=False, accept_duplicates=False)


def letter_records(count: int, *, value: bytes = b"v", partitions: int = 3) -> list[Record]:
    """Dead letters of different origins over the partitions."""
    return [
        stored(
            rejected(record=a_record(offset=number, value=value), event_id=f"id-{number}"),
            partition=number % partitions,
        )
        for number in range(count)
    ]


class Operator:
    """One who replays, with a clock that goes on only while he waits."""

    def __init__(
        self,
        log: Log,
        *,
        rules: Rules = RULES,
        repair: Repair = unchanged,
        stops: Callable[[], bool] = lambda: False,
        now_ms: int = NOW_MS,
        **options: Any,
    ) -> None:
        self.now, self.waits = 0.0, 0
        self.producer = FakeProducer(log)
        self.advances: list[int] = []
        self.finished = False
        self.replaying = Replaying(
            letters=log,
            wanted=letter_filter(now_ms=NOW_MS, **options),
            completion=Completion(rules, None, log.fetch, repair),
            stops=stops,
            now_ms=lambda: now_ms + int(1000 * self.now),
        )

    def wait(self, seconds: float) -> None:
        assert seconds <= 1, "a signal is heard meanwhile"
        self.now += seconds
        self.waits += 1

    def transactions(self) -> KafkaReplay:
        return KafkaReplay(
            producer=self.producer,
            transactional_id="id",
            topic=TOPIC,
            letters_topic=DLQ_TOPIC,
            hurried=lambda: False,
            wait=self.wait,
        )

    def run(
        self,
        *,
        limit: int | None = None,
        per_second: float | None = None,
        transactions: Transactions | None = None,
    ) -> Chosen | None:
        """Decide and act; ``finished`` says whether it came to the end."""
        if transactions is None:
            transactions = self.transactions()
            transactions.take_over()
        chosen = self.replaying.plan(limit=limit, progress=lambda read, about: None)
        if chosen is not None:
            self.finished = self.replaying.act(
                chosen,
                transactions=transactions,
                per_second=per_second,
                now=lambda: self.now,
                wait=self.wait,
                advance=self.advances.append,
            )
        return chosen


def reached(log: Log) -> Counter[str]:
    return Counter(str(origin_of(record)) for record in log.source)


def test_every_letter_reaches_the_source_topic_once_in_transactions_of_a_few_hundred() -> None:
    log = Log(*letter_records(1100))
    operator = Operator(log)

    operator.run()

    assert len(log.source) == len(reached(log)) == 1100
    assert operator.producer.transactions == [RECORDS_MAX, RECORDS_MAX, 100]
    assert operator.advances == [500, 1000, 1100]
    assert operator.replaying.replayed == 1100
    assert operator.finished


def test_a_second_run_finds_nothing_and_a_limited_one_goes_on() -> None:
    log = Log(*letter_records(10))

    Operator(log).run(limit=4)
    assert len(log.source) == 4
    Operator(log).run()
    assert len(log.source) == len(reached(log)) == 10
    found = Operator(log).run()

    assert found is not None
    assert (found.planned, found.skipped) == (0, {SkipReason.ALREADY_REPLAYED: 10})


def test_only_what_is_wanted_is_replayed() -> None:
    log = Log(*letter_records(9))

    Operator(log, event_id=["id-3", "id-5"]).run()

    assert sorted(dict(each.headers)["conversions.event_id"] or b"" for each in log.source) == [
        b"id-3",
        b"id-5",
    ]


def test_large_records_travel_in_smaller_company() -> None:
    log = Log(*letter_records(5, value=b"x" * (BYTES_MAX // 2)))
    operator = Operator(log)

    operator.run()

    assert operator.producer.transactions == [1, 1, 1, 1, 1], "two and their headers are too much"


def test_a_rate_bounds_what_is_in_a_transaction_and_is_waited_for_between_two() -> None:
    log = Log(*letter_records(50))
    operator = Operator(log)

    operator.run(per_second=20)

    assert operator.producer.transactions == [20, 20, 10]
    assert operator.now == pytest.approx(2.0)
    calls = "".join(each[0] for each in operator.producer.calls)
    assert set(calls[calls.index("b") :].split("c")[0]) == {"b", "p"}, "begun, filled, committed"


def test_less_than_one_a_second_is_one_at_a_time() -> None:
    operator = Operator(Log(*letter_records(3)))

    operator.run(per_second=0.5)

    assert operator.producer.transactions == [1, 1, 1]
    assert operator.now == pytest.approx(4.0)


def test_told_to_stop_it_begins_nothing_more_and_the_next_one_goes_on() -> None:
    log = Log(*letter_records(50))
    operator = Operator(log, stops=lambda: len(log.source) >= 20)

    operator.run(per_second=20)
    assert operator.replaying.replayed == len(log.source) == 20
    assert not operator.finished
    Operator(log).run()

    assert len(log.source) == len(reached(log)) == 50


def test_told_to_stop_while_it_reads_it_has_no_plan() -> None:
    assert Operator(Log(*letter_records(1)), stops=lambda: True).run() is None


def test_a_record_that_is_too_large_keeps_nobody_back() -> None:
    records = letter_records(20)
    records[7] = records[7]._replace(value=b"x" * 100)
    log = Log(*records)
    operator = Operator(log)
    operator.producer.bytes_max = 50

    operator.run()

    assert len(log.source) == len(reached(log)) == operator.replaying.replayed == 19
    assert operator.replaying.skipped == {SkipReason.TOO_LARGE: 1}
    assert operator.replaying.last_skipped == {SkipReason.TOO_LARGE: LetterPlace(1, 2)}


def test_what_expires_while_others_are_waited_for_is_skipped_after_all() -> None:
    record = rejected(record=a_record(offset=99), expires_at_ms=NOW_MS + 2500)
    log = Log(*letter_records(5, partitions=1), stored(record))
    operator = Operator(log)

    chosen = operator.run(per_second=1)

    assert chosen is not None
    assert chosen.planned == 6
    assert (operator.replaying.replayed, len(log.source)) == (5, 5)
    assert operator.replaying.skipped == {SkipReason.EXPIRED: 1}


def test_a_repair_changes_what_is_replayed_and_may_refuse() -> None:
    log = Log(*letter_records(3))

    def repair(letter: Letter) -> Letter | Skipped:
        if letter.event_id == "id-1":
            return Skipped(SkipReason.UNFIT, "it has no such field")
        return replace(letter, value=b"edited", event_id=f"{letter.event_id}-new")

    chosen = Operator(log, repair=repair).run()

    assert chosen is not None
    assert chosen.skipped == {SkipReason.UNFIT: 1}
    assert [each.value for each in log.source] == [b"edited"] * 2
    assert {dict(each.headers)["conversions.event_id"] for each in log.source} == {
        b"id-0-new",
        b"id-2-new",
    }


def test_a_letter_that_nobody_can_open_is_left() -> None:
    letter = stored(rejected(), more=(("conversions.sealed", b"key-1"),))

    chosen = Operator(Log(letter)).run()

    assert chosen is not None
    assert chosen.skipped == {SkipReason.SEALED: 1}


@pytest.mark.parametrize("gone", [False, True])
def test_a_letter_by_reference_is_replayed_while_its_record_is_there(gone: bool) -> None:
    record = a_record(partition=0, offset=0, key=b"k", value=b"the event", headers=())
    headers = (
        ("conversions.by_reference", b"true"),
        ("__connect.errors.topic", TOPIC.encode()),
        ("__connect.errors.partition", b"0"),
        ("__connect.errors.offset", b"0"),
    )
    letter = stored(rejected(record=record), brief=True, more=headers)
    log = Log(letter._replace(key=None, value=None))
    log.append(log.source, record._replace(timestamp_ms=NOW_MS + gone))

    chosen = Operator(log).run()

    assert chosen is not None
    assert chosen.skipped == ({SkipReason.VALUE_GONE: 1} if gone else {})
    values = [(each.key, each.value) for each in log.source]
    assert values == [(b"k", b"the event")] * (1 if gone else 2)


def test_marks_are_looked_for_in_all_partitions_and_before_what_is_wanted() -> None:
    """Without a key what a crash leaves twice lies in two partitions."""
    first, second = (
        stored(rejected(record=a_record(offset=1)), partition=number, failed_at_ms=NOW_MS + number)
        for number in (0, 1)
    )
    log = Log(first)
    Operator(log).run()
    log.append(log.letters, second)

    found = Operator(log, partition=[1], since=iso_time(NOW_MS + 1)).run()

    assert found is not None
    assert found.skipped == {SkipReason.ALREADY_REPLAYED: 1}
    assert len(log.source) == 1


def test_a_filter_does_not_hide_that_a_record_which_a_crash_left_twice_was_sent_long_ago() -> None:
    sent_ms = NOW_MS - AMBIGUOUS_MS_MAX
    record = a_record(offset=1)
    unknown = {"reason": Reason.OUTCOME_UNKNOWN, "first_sent_at_ms": sent_ms}
    log = Log(
        stored(rejected(record=record, **unknown), partition=0),
        stored(rejected(record=record, reason=Reason.UNKNOWN_DESTINATION), partition=0),
    )

    chosen = Operator(log, reason=["unknown_destination"]).run()

    assert chosen is not None
    assert chosen.skipped == {SkipReason.MAYBE_DELIVERED: 1}
    assert log.source == []


def test_what_is_replayed_at_any_price_does_not_say_when_it_was_sent() -> None:
    log = Log(stored(rejected(first_sent_at_ms=NOW_MS - AMBIGUOUS_MS_MAX)))

    Operator(log, rules=replace(RULES, accept_duplicates=True)).run()

    assert [sent_before_ms(each) for each in log.source] == [None]


class _Crash(Exception):
    """The process is gone."""


class _Doomed:
    """Transactions of an operator who is killed before or after some commit."""

    def __init__(self, real: KafkaReplay, *, commits: int, before: bool) -> None:
        self._real, self._left, self._before = real, commits, before

    def commit(self, records: Sequence[ReplayRecord]) -> Committed | TooLarge:
        self._left -= 1
        if self._left < 0 and self._before:
            raise _Crash
        answer = self._real.commit(records)
        if self._left < 0:
            raise _Crash
        return answer


@settings(max_examples=150, deadline=None)
@given(
    origins=st.lists(st.integers(0, 12), min_size=1, max_size=30),
    crashes=st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=6),
    per_second=st.integers(1, 5),
    late=st.lists(st.integers(0, 12), max_size=5),
)
def test_over_any_crashes_each_origin_is_replayed_exactly_once(
    origins: list[int], crashes: list[tuple[int, bool]], per_second: int, late: list[int]
) -> None:
    """Also with letters that a crash of the consumer left twice, some of them written late."""

    def letter(number: int, partition: int) -> Record:
        return stored(rejected(record=a_record(offset=number)), partition=partition)

    log = Log(*(letter(number, spot % 3) for spot, number in enumerate(origins)))
    for commits, before in crashes:
        operator = Operator(log)
        transactions = operator.transactions()
        transactions.take_over()
        try:
            doomed = _Doomed(transactions, commits=commits, before=before)
            operator.run(per_second=per_second, transactions=doomed)
        except _Crash:
            pass
        assert max(reached(log).values(), default=0) <= 1
    for number in late:
        log.append(log.letters, letter(number, number % 3))
    Operator(log).run()

    assert reached(log) == Counter(
        f"{TOPIC}:0:{number}:{NOW_MS}" for number in {*origins, *late}
    ), "each exactly once"

"""The letter box: first the dead letter, then the offset, however long the brokers take."""

from collections import deque
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.dead_letter import DeadLetter
from consumer.letter_box import (
    AGAIN_SECONDS,
    TOO_LARGE_AGAIN_SECONDS,
    UNANSWERED_SECONDS,
    LetterBox,
    Report,
    Writing,
)
from consumer.letter_trouble import LetterTrouble, trouble_of
from consumer.model import MetaError, Place, Reason, Rejected, TopicPartition
from consumer.skip import Skipping
from tests.fakes.events import NOW_MS, TOPIC, a_record


class Topic:
    """A dead-letter topic that reports when the test says so."""

    def __init__(self, *, queue_max: int = 1000) -> None:
        self.queue_max = queue_max
        self.unreported: deque[tuple[int, DeadLetter]] = deque()
        self.produced: list[DeadLetter] = []
        self._reports: list[Report] = []

    def produce(self, letter: DeadLetter, ticket: int) -> bool:
        if len(self.unreported) >= self.queue_max:
            return False
        assert ticket not in {waiting for waiting, _ in self.unreported}, "produced twice at once"
        self.unreported.append((ticket, letter))
        self.produced.append(letter)
        return True

    def reports(self) -> list[Report]:
        reports, self._reports = self._reports, []
        return reports

    def report(self, writing: Writing, *, error: str | None = None, at: int = 0) -> None:
        self.unreported.rotate(-at)
        ticket, _ = self.unreported.popleft()
        self.unreported.rotate(at)
        self._reports.append(Report(ticket, writing, error))


def rejected(offset: int = 0, *, partition: int = 0, tenure: int = 1) -> Rejected:
    return Rejected(
        record=a_record(offset=offset, partition=partition, tenure=tenure),
        reason=Reason.REFUSED_BY_META,
        detail="Meta refuses this event",
        error=MetaError(http_status=400, title="a title", trace_id="Atrace"),
    )


def box_with(topic: Topic, *letters: Rejected) -> LetterBox:
    box = LetterBox(dead_letters=topic)
    for letter in letters:
        box.put(letter, failed_at_ms=NOW_MS)
    return box


def test_a_record_is_returned_only_once_its_dead_letter_is_acknowledged() -> None:
    topic = Topic()
    letter = rejected()
    box = box_with(topic, letter)

    assert box.advance(0.0) == []
    assert len(topic.produced) == 1
    assert box.advance(100.0) == []
    topic.report(Writing.ACKNOWLEDGED)

    assert box.advance(101.0) == [letter]
    assert box.advance(102.0) == []
    assert len(box) == 0
    assert len(topic.produced) == 1


def test_the_dead_letter_carries_the_time_of_failure_not_of_writing() -> None:
    topic = Topic()
    box_with(topic, rejected()).advance(1_000_000.0)

    assert topic.produced[0].timestamp_ms == NOW_MS


def test_letters_wait_in_order_while_the_producers_queue_is_full() -> None:
    topic = Topic(queue_max=2)
    letters = [rejected(offset) for offset in range(5)]
    box = box_with(topic, *letters)
    settled: list[Rejected] = []
    for _ in range(5):
        settled += box.advance(0.0)
        assert len(topic.unreported) <= 2
        topic.report(Writing.ACKNOWLEDGED)
    settled += box.advance(0.0)

    assert settled == letters


def test_acknowledgements_may_come_in_any_order() -> None:
    topic = Topic()
    first, second = rejected(0), rejected(1)
    box = box_with(topic, first, second)
    box.advance(0.0)

    topic.report(Writing.ACKNOWLEDGED, at=1)
    assert box.advance(0.0) == [second]
    topic.report(Writing.ACKNOWLEDGED)
    assert box.advance(0.0) == [first]


def test_a_failed_writing_is_repeated_after_a_while_and_without_end() -> None:
    topic = Topic()
    letter = rejected()
    box = box_with(topic, letter)
    now = 0.0
    box.advance(now)
    for attempt in range(1, 30):
        topic.report(Writing.FAILED, error="_MSG_TIMED_OUT")
        assert box.advance(now) == []
        assert box.failing == "_MSG_TIMED_OUT"
        box.advance(now + AGAIN_SECONDS - 0.01)
        assert len(topic.produced) == attempt
        now += AGAIN_SECONDS
        box.advance(now)
        assert len(topic.produced) == attempt + 1
    topic.report(Writing.ACKNOWLEDGED)

    assert box.advance(now) == [letter]
    assert box.failing is None
    assert len(set(topic.produced)) == 1


def test_failures_are_told_once() -> None:
    topic = Topic()
    box = box_with(topic, rejected())
    box.advance(0.0)
    topic.report(Writing.FAILED, error="TOPIC_AUTHORIZATION_FAILED")
    box.advance(0.0)

    (failure,) = box.drain_failures()

    assert (failure.writing, failure.error) == (Writing.FAILED, "TOPIC_AUTHORIZATION_FAILED")
    assert box.drain_failures() == []


def test_a_letter_that_is_too_large_goes_again_alone_and_then_briefly() -> None:
    topic = Topic()
    box = box_with(topic, rejected())
    box.advance(0.0)
    for _ in range(2):
        topic.report(Writing.TOO_LARGE)
        assert box.advance(0.0) == []

    full, alone, brief = topic.produced
    assert alone == full
    assert len(brief.headers) < len(full.headers)
    assert "conversions.origin" in dict(brief.headers)
    assert (brief.key, brief.value, brief.timestamp_ms) == (full.key, full.value, NOW_MS)
    assert box.too_large == frozenset()


def test_a_brief_letter_that_is_too_large_names_its_partition_until_it_is_written() -> None:
    topic = Topic()
    letter = rejected(partition=4)
    box = box_with(topic, letter)
    box.advance(0.0)
    for _ in range(3):
        topic.report(Writing.TOO_LARGE)
        box.advance(0.0)
    assert box.too_large == {TopicPartition(TOPIC, 4)}
    box.advance(TOO_LARGE_AGAIN_SECONDS - 0.1)
    assert len(topic.produced) == 3

    box.advance(TOO_LARGE_AGAIN_SECONDS)
    assert len(topic.produced) == 4
    assert box.too_large == {TopicPartition(TOPIC, 4)}
    topic.report(Writing.ACKNOWLEDGED)

    assert box.advance(TOO_LARGE_AGAIN_SECONDS) == [letter]
    assert box.too_large == frozenset()


def test_one_letter_too_large_does_not_hold_up_the_others() -> None:
    topic = Topic()
    large, small = rejected(0, partition=4), rejected(1)
    box = box_with(topic, large, small)
    box.advance(0.0)
    topic.report(Writing.TOO_LARGE)
    topic.report(Writing.ACKNOWLEDGED)

    assert box.advance(0.0) == [small]


def test_letters_of_an_ended_tenure_that_were_not_produced_never_are() -> None:
    topic = Topic(queue_max=1)
    in_flight, over, live = rejected(0), rejected(1), rejected(2, tenure=2)
    box = box_with(topic, in_flight, over, live)
    box.advance(0.0)

    box.forget(lambda tenure: tenure == 1)
    topic.report(Writing.ACKNOWLEDGED)
    assert box.advance(0.0) == [in_flight]  # whose settlement the ledger will ignore
    topic.report(Writing.ACKNOWLEDGED)
    assert box.advance(0.0) == [live]

    assert len(topic.produced) == 2
    assert len(box) == 0


def test_letters_that_wait_to_be_repeated_leave_with_their_tenure() -> None:
    topic = Topic()
    box = box_with(topic, rejected(0, partition=4), rejected(1))
    box.advance(0.0)
    topic.report(Writing.TOO_LARGE)
    topic.report(Writing.FAILED, error="_MSG_TIMED_OUT")
    box.advance(0.0)
    for _ in range(2):
        topic.report(Writing.TOO_LARGE)
        box.advance(0.0)
    assert box.too_large

    box.forget(lambda tenure: True)

    assert box.too_large == frozenset()
    assert len(box) == 0
    box.advance(1000.0)
    assert len(topic.produced) == 4


@pytest.mark.parametrize("writing", [Writing.FAILED, Writing.TOO_LARGE])
def test_a_letter_in_flight_whose_tenure_ends_and_that_fails_is_not_written_again(
    writing: Writing,
) -> None:
    topic = Topic()
    box = box_with(topic, rejected())
    box.advance(0.0)
    box.forget(lambda tenure: True)
    assert len(box) == 1  # until its report, so that a drain waits for it

    topic.report(writing, error="_MSG_TIMED_OUT")
    assert box.advance(0.0) == []
    box.advance(1000.0)

    assert len(topic.produced) == 1
    assert len(box) == 0
    assert [failure.writing for failure in box.drain_failures()] == [writing]


def test_a_partition_whose_tenure_ended_has_no_letter_too_large() -> None:
    topic = Topic()
    box = box_with(topic, rejected(partition=4))
    box.advance(0.0)
    for _ in range(3):
        topic.report(Writing.TOO_LARGE)
        box.advance(0.0)
    box.advance(TOO_LARGE_AGAIN_SECONDS)
    assert box.too_large == {TopicPartition(TOPIC, 4)}

    box.forget(lambda tenure: True)
    assert box.too_large == frozenset()
    topic.report(Writing.TOO_LARGE)
    box.advance(TOO_LARGE_AGAIN_SECONDS)

    assert box.too_large == frozenset()


def test_a_box_that_lost_its_last_letter_with_a_tenure_is_not_failing() -> None:
    topic = Topic()
    box = box_with(topic, rejected())
    box.advance(0.0)
    topic.report(Writing.FAILED, error="_MSG_TIMED_OUT")
    box.advance(0.0)

    box.forget(lambda tenure: True)

    assert box.failing is None


def test_a_box_is_failing_still_while_another_tenures_letter_waits() -> None:
    topic = Topic()
    box = box_with(topic, rejected(0, tenure=1), rejected(1, tenure=2))
    box.advance(0.0)
    for _ in range(2):
        topic.report(Writing.FAILED, error="_MSG_TIMED_OUT")
    box.advance(0.0)

    box.forget(lambda tenure: tenure == 1)

    assert box.failing == "_MSG_TIMED_OUT"


def test_a_report_on_a_letter_nobody_waits_for_changes_nothing() -> None:
    topic = Topic()
    box = box_with(topic)
    topic.produce(DeadLetter(None, None, (), 0), 77)
    topic.report(Writing.FAILED, error="_MSG_TIMED_OUT")

    assert box.advance(0.0) == []
    assert box.failing is None
    assert box.drain_failures() == []


def test_a_letter_box_shows_only_how_many_wait() -> None:
    secret = replace(rejected(), detail="jane@example.com")

    assert repr(box_with(Topic(), secret)) == "<LetterBox 1 waiting>"


@settings(deadline=None)
@given(
    answers=st.lists(
        st.tuples(st.sampled_from(list(Writing)), st.integers(0, 20), st.sampled_from([0.0, 6.0])),
        max_size=60,
    ),
    count=st.integers(1, 8),
    queue_max=st.integers(1, 3),
)
def test_every_letter_is_written_and_returned_exactly_once_whatever_fails(
    answers: list[tuple[Writing, int, float]], count: int, queue_max: int
) -> None:
    topic = Topic(queue_max=queue_max)
    letters = [rejected(offset) for offset in range(count)]
    box = box_with(topic, *letters)
    returned: list[Rejected] = []
    acknowledged: list[int] = []
    now = 0.0

    def answer(writing: Writing, at: int) -> None:
        if topic.unreported:
            at %= len(topic.unreported)
            if writing is Writing.ACKNOWLEDGED:
                headers = dict(topic.unreported[at][1].headers)
                origin = (headers["conversions.origin"] or b"").decode()
                acknowledged.append(int(origin.split(":")[2]))
            topic.report(writing, at=at, error="E" if writing is Writing.FAILED else None)

    for writing, at, pause in answers:
        now += pause
        returned += box.advance(now)
        answer(writing, at)
    for _ in range(2 * count + 2):
        now += TOO_LARGE_AGAIN_SECONDS
        returned += box.advance(now)
        while topic.unreported:
            answer(Writing.ACKNOWLEDGED, 0)
    returned += box.advance(now)

    assert [letter.record.offset for letter in returned] == acknowledged
    assert sorted(acknowledged) == list(range(count))
    assert box.too_large == frozenset()
    assert len(box) == 0


@settings(deadline=None)
@given(
    answers=st.lists(
        st.tuples(st.sampled_from(list(Writing)), st.integers(0, 20), st.sampled_from([0.0, 6.0])),
        max_size=40,
    ),
    count=st.integers(1, 8),
    queue_max=st.integers(1, 3),
    ends_at=st.integers(0, 40),
)
def test_a_tenure_that_ends_at_any_moment_writes_no_more_and_holds_up_no_other(
    answers: list[tuple[Writing, int, float]], count: int, queue_max: int, ends_at: int
) -> None:
    topic = Topic(queue_max=queue_max)
    letters = [rejected(offset, partition=offset % 2, tenure=offset % 2) for offset in range(count)]
    box = box_with(topic, *letters)
    returned: list[Rejected] = []
    produced_before = 0
    now = 0.0
    for number, (writing, at, pause) in enumerate(answers):
        if number == ends_at:
            box.forget(lambda tenure: tenure == 1)
            produced_before = len(topic.produced)
        now += pause
        returned += box.advance(now)
        if topic.unreported:
            topic.report(writing, at=at % len(topic.unreported), error="E")
    if ends_at >= len(answers):
        box.forget(lambda tenure: tenure == 1)
        produced_before = len(topic.produced)
    for _ in range(2 * count + 2):
        now += TOO_LARGE_AGAIN_SECONDS
        returned += box.advance(now)
        while topic.unreported:
            topic.report(Writing.ACKNOWLEDGED)
    returned += box.advance(now)

    afterwards = [dict(letter.headers) for letter in topic.produced[produced_before:]]
    partitions = {(headers["conversions.origin"] or b"").split(b":")[1] for headers in afterwards}
    assert partitions <= {b"0"}
    live = [letter.record.offset for letter in returned if letter.record.tenure == 0]
    assert sorted(live) == list(range(0, count, 2))
    assert len({letter.record.offset for letter in returned}) == len(returned)
    assert box.too_large == frozenset()
    assert len(box) == 0


def test_a_box_whose_last_letter_was_forgotten_in_flight_and_failed_is_not_failing() -> None:
    topic = Topic()
    box = box_with(topic, rejected(0), rejected(1))
    box.advance(0.0)
    topic.report(Writing.FAILED, error="_MSG_TIMED_OUT")
    box.advance(0.0)
    box.forget(lambda tenure: True)
    topic.report(Writing.FAILED, error="_MSG_TIMED_OUT")
    box.advance(0.0)
    assert len(box) == 0
    assert box.failing is None


def test_letters_that_are_too_large_together_are_written_one_by_one() -> None:
    topic = Topic()
    letters = [rejected(number) for number in range(3)]
    box = box_with(topic, *letters)
    box.advance(0.0)
    assert len(topic.produced) == 3
    for _ in letters:
        topic.report(Writing.TOO_LARGE)
    written: list[Rejected] = []
    for expected in (4, 5, 6):
        written += box.advance(0.0)
        assert len(topic.produced) == expected, "the next one only after the report"
        topic.report(Writing.ACKNOWLEDGED)

    assert written + box.advance(0.0) == letters
    assert topic.produced[3:] == topic.produced[:3], "each in full"


# --- skipping, and trouble -----------------------------------------------------------------------


def too_large_box(topic: Topic) -> LetterBox:
    """With one letter that the topic does not take even briefly."""
    box = box_with(topic, rejected(partition=4))
    box.advance(0.0)
    for _ in range(3):
        topic.report(Writing.TOO_LARGE)
        box.advance(0.0)
    assert box.too_large_records == [Place(TopicPartition(TOPIC, 4), 0)]
    return box


def test_a_reference_is_written_in_place_of_a_letter_that_is_too_large() -> None:
    topic = Topic()
    box = too_large_box(topic)
    (place,) = box.too_large_records

    assert box.skip(place, failed_at_ms=NOW_MS + 9) is Skipping.UNDER_WAY
    assert box.too_large_records == []
    assert box.advance(1.0) == []
    assert (topic.produced[-1].value, topic.produced[-1].timestamp_ms) == (None, NOW_MS + 9)
    topic.report(Writing.ACKNOWLEDGED)
    (written,) = box.advance(2.0)

    assert written.reason is Reason.SKIPPED_BY_OPERATOR
    assert len(box) == 0
    box.advance(TOO_LARGE_AGAIN_SECONDS * 2)
    assert len(topic.produced) == 4, "the letter itself is not tried again"


def test_a_letter_that_is_out_or_forgotten_or_somebody_elses_is_not_skipped() -> None:
    topic = Topic()
    box = box_with(topic, rejected(0), rejected(1, tenure=2))
    box.advance(0.0)
    out, gone = Place(TopicPartition(TOPIC, 0), 0), Place(TopicPartition(TOPIC, 0), 1)
    box.forget(lambda tenure: tenure == 2)

    assert box.skip(out, failed_at_ms=NOW_MS) is Skipping.BEING_WRITTEN
    assert box.skip(gone, failed_at_ms=NOW_MS) is None
    assert box.skip(Place(TopicPartition("other", 0), 0), failed_at_ms=NOW_MS) is None
    assert len(topic.produced) == 2


def test_skipping_the_one_that_waits_alone_lets_the_others_go() -> None:
    topic = Topic()
    box = box_with(topic, rejected(0), rejected(1))
    box.advance(0.0)
    for _ in range(2):
        topic.report(Writing.TOO_LARGE)
    box.advance(0.0)
    waiting = Place(TopicPartition(TOPIC, 0), 1)

    assert box.skip(waiting, failed_at_ms=NOW_MS) is Skipping.UNDER_WAY
    topic.report(Writing.ACKNOWLEDGED)
    box.advance(0.0)
    topic.report(Writing.ACKNOWLEDGED)

    assert [each.record.offset for each in box.advance(0.0)] == [1]
    assert len(box) == 0


def test_a_letter_without_a_report_is_failing_after_a_while_and_well_with_its_report() -> None:
    topic = Topic()
    box = box_with(topic, rejected(0), rejected(1))
    box.advance(0.0)
    box.advance(UNANSWERED_SECONDS)
    assert box.failing is None

    box.advance(UNANSWERED_SECONDS + 1)
    assert box.failing == "_TIMED_OUT"

    topic.report(Writing.ACKNOWLEDGED)
    box.advance(UNANSWERED_SECONDS + 2)
    assert box.failing == "_TIMED_OUT", "the second one is out as well"
    topic.report(Writing.ACKNOWLEDGED)
    box.advance(UNANSWERED_SECONDS + 3)
    assert box.failing is None


def test_letters_without_a_report_are_failing_also_behind_one_of_an_ended_tenure() -> None:
    box = box_with(Topic(), rejected(0, tenure=1), rejected(1, tenure=2))
    box.advance(0.0)
    box.advance(UNANSWERED_SECONDS + 1)

    box.forget(lambda tenure: tenure == 1)
    box.advance(UNANSWERED_SECONDS + 2)

    assert box.failing == "_TIMED_OUT", "nothing is written, and nobody may spill"


def test_a_failing_letter_that_turns_out_too_large_is_no_longer_failing() -> None:
    topic = Topic()
    box = box_with(topic, rejected())
    box.advance(0.0)
    topic.report(Writing.FAILED, error="NOT_ENOUGH_REPLICAS")
    box.advance(0.0)
    assert box.failing == "NOT_ENOUGH_REPLICAS"
    box.advance(AGAIN_SECONDS)

    topic.report(Writing.TOO_LARGE)
    box.advance(AGAIN_SECONDS)

    assert box.failing is None


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        ("_UNKNOWN_TOPIC", LetterTrouble.TOPIC_MISSING),
        ("TOPIC_AUTHORIZATION_FAILED", LetterTrouble.NOT_ALLOWED),
        ("_MSG_TIMED_OUT", LetterTrouble.UNANSWERED),
        ("_TIMED_OUT", LetterTrouble.UNANSWERED),
        ("OUT_OF_ORDER_SEQUENCE_NUMBER", LetterTrouble.REFUSED),
        ("whatever Kafka 9 calls it", LetterTrouble.REFUSED),
    ],
)
def test_kafkas_many_names_are_few_troubles(error: str, trouble: LetterTrouble) -> None:
    assert trouble_of(error) is trouble

"""What a replay writes: the record as the publisher wrote it, and the mark that it went back."""

from dataclasses import replace

import pytest

from consumer.dead_letter import sent_before_ms
from consumer.letter import Letter, LetterPlace, Mark, Marker, read_letter
from consumer.model import Header, Record, TopicPartition
from consumer.origin import event_id_of, origin_of
from consumer.replay_record import last_topic, refilled, replay_record, value_place
from consumer.skip import skipped_record
from tests.fakes.events import NOW_MS, TOPIC, a_record
from tests.fakes.letters import DLQ_TOPIC, a_letter

ORIGIN = f"{TOPIC}:3:42:{NOW_MS}"


def went_back(letter: Letter, *, replayed_at_ms: int = NOW_MS) -> Record:
    """The record as the consumer reads it from the source topic."""
    made = replay_record(letter, replayed_at_ms=replayed_at_ms)
    return Record(TopicPartition(TOPIC, 1), 900, NOW_MS + 9, made.key, made.value, made.headers, 1)


@pytest.mark.parametrize(("key", "value"), [(b"k", b"v"), (None, None), (b"", b""), (b"k", None)])
def test_key_and_value_are_the_same_bytes_and_null_is_not_empty(
    key: bytes | None, value: bytes | None
) -> None:
    record = a_record(key=key, value=value)

    made = replay_record(a_letter(record=record), replayed_at_ms=NOW_MS)

    assert (made.key, made.value) == (key, value)


def test_the_publishers_headers_stay_in_their_order_and_of_ours_three() -> None:
    headers: tuple[Header, ...] = (("a", b"1"), ("b", None), ("a", b"\xff"))
    record = a_record(partition=3, offset=42, headers=headers)

    made = replay_record(a_letter(record=record, maybe_delivered=False), replayed_at_ms=NOW_MS)

    assert made.headers == (
        *headers,
        ("conversions.origin", ORIGIN.encode()),
        ("conversions.event_id", b"order_1"),
        ("conversions.replays", b"1"),
    )


def test_what_meta_may_have_counted_says_when_in_the_replay_and_in_its_next_dead_letter() -> None:
    letter = a_letter(maybe_delivered=True, first_sent_at_ms=NOW_MS + 2)

    record = went_back(letter)
    unsent = skipped_record(record)

    assert sent_before_ms(record) == NOW_MS + 2
    assert (unsent.maybe_delivered, unsent.first_sent_at_ms) == (True, NOW_MS + 2)
    assert sent_before_ms(went_back(a_letter(maybe_delivered=False))) is None


def test_a_header_that_says_that_the_value_was_edited_goes_along() -> None:
    letter = a_letter(more=(("conversions.edited", b"currency"),))

    assert ("conversions.edited", b"currency") in went_back(letter).headers


def test_connects_headers_go_when_they_are_ours_and_stay_when_they_are_the_publishers() -> None:
    theirs = (
        ("__connect.errors.topic", b"orders"),
        ("__connect.errors.exception.class.name", b"org.apache.DataException"),
    )

    ours_gone = went_back(a_letter()).headers
    kept = went_back(a_letter(record=a_record(headers=theirs))).headers

    assert not [name for name, _ in ours_gone if name.startswith("__connect")]
    assert theirs[0] in kept
    assert theirs[1] in kept


def test_origin_and_event_id_survive_any_number_of_replays() -> None:
    record = a_record(partition=3, offset=42, headers=(("conversions.event_id", b"order_1"),))
    origin, event_id = origin_of(record), event_id_of(record, None)
    for replays in range(1, 4):
        record = went_back(a_letter(record=record))
        assert origin_of(record) == origin
        assert event_id_of(record, None) == event_id == "order_1"
        assert ("conversions.replays", b"%d" % replays) in record.headers
        names = [name for name, _ in record.headers]
        assert len(names) == len(set(names))


def test_an_event_id_that_was_masked_is_no_event_id() -> None:
    headers = dict(went_back(a_letter(event_id="jane@example.com")).headers)

    assert "conversions.event_id" not in headers


def test_the_mark_is_read_back_as_the_mark_of_this_replay() -> None:
    letter = a_letter(partition=2, offset=17)

    made = replay_record(letter, replayed_at_ms=NOW_MS)

    assert (made.place, made.mark_key) == (LetterPlace(2, 17), f"{ORIGIN}#1".encode())
    mark = Record(
        TopicPartition(DLQ_TOPIC, 2), 18, NOW_MS, made.mark_key, None, made.mark_headers, 0
    )
    found = read_letter(mark)
    assert isinstance(found, Marker)
    assert letter.origin is not None
    assert found.mark == Mark(letter.origin, 1) == letter.next_mark


def test_the_topic_is_the_one_it_came_from_last_not_the_one_of_its_origin() -> None:
    moved = a_record(topic="newer", headers=(("conversions.origin", ORIGIN.encode()),))

    assert last_topic(a_letter(record=moved)) == "newer"
    assert last_topic(a_letter(brief=True)) == TOPIC
    assert last_topic(replace(a_letter(), origin=None, headers=())) is None


def test_a_letter_by_reference_is_filled_with_the_very_record_that_it_is_about() -> None:
    record = a_record(partition=3, offset=42, key=b"k", value=b"v", headers=(("a", b"1"),))
    letter = replace(
        a_letter(record=record, brief=True),
        key=None,
        value=None,
        by_reference=True,
        source=(TopicPartition(TOPIC, 3), 42),
    )

    full = refilled(letter, record)

    assert value_place(letter) == (TOPIC, LetterPlace(3, 42))
    assert full is not None
    assert (full.key, full.value, full.by_reference) == (b"k", b"v", False)
    assert went_back(full).headers[0] == ("a", b"1")


def test_another_record_at_the_same_place_is_not_taken_for_it() -> None:
    record = a_record(partition=3, offset=42)
    letter = replace(a_letter(record=record), by_reference=True)

    assert refilled(letter, record._replace(timestamp_ms=NOW_MS + 1)) is None


def test_nothing_of_key_and_value_is_in_its_repr() -> None:
    made = replay_record(a_letter(record=a_record(key=b"secret")), replayed_at_ms=NOW_MS)

    assert repr(made) == "ReplayRecord(0:7)"
    assert made.size_bytes > len(b"secret")

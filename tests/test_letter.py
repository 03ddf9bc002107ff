"""A dead letter is read back as it was written, and nothing that lies in the topic can harm."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.dead_letter import OwnHeader
from consumer.letter import (
    Family,
    Foreign,
    Letter,
    LetterPlace,
    Mark,
    Marker,
    StillSealed,
    opened,
    read_letter,
)
from consumer.model import Header, Origin, Reason, Stage, TopicPartition
from tests.fakes.events import DAY_MS, NOW_MS, PIXEL, TOPIC, a_record
from tests.fakes.letters import REFUSED, a_foreign, a_letter, a_mark, stored


def test_everything_that_was_written_is_read_back() -> None:
    record = stored(REFUSED, partition=2, offset=7)

    assert read_letter(record) == Letter(
        place=LetterPlace(2, 7),
        written_at_ms=NOW_MS + 5,
        key=b"key",
        value=b"value",
        headers=record.headers,
        origin=Origin(TOPIC, 3, 42, NOW_MS),
        reason=Reason.REFUSED_BY_META,
        event_id="order_1",
        stage=Stage.SEND,
        detail="Meta refuses this event",
        meta_title="Event Timestamp Too Old",
        meta_message="too far in the past",
        trace_id="Atrace",
        error_code=100,
        error_subcode=2804003,
        http_status=400,
        destination=PIXEL,
        event_name="Purchase",
        event_time_ms=NOW_MS - 1000,
        expires_at_ms=NOW_MS + 6 * DAY_MS,
        attempts=3,
        first_sent_at_ms=NOW_MS + 2,
        maybe_delivered=True,
        batch_id="m-7",
        failed_at_ms=NOW_MS + 5,
        replays=0,
        by_reference=False,
        source=None,
        sealed=None,
    )


@pytest.mark.parametrize("reason", list(Reason))
def test_a_brief_letter_tells_its_reason_and_so_its_stage(reason: Reason) -> None:
    letter = a_letter(reason=reason, brief=True)

    assert (letter.reason, letter.stage) == (reason, reason.stage)
    assert letter.origin == Origin(TOPIC, 3, 42, NOW_MS)
    assert letter.detail is None
    assert letter.at_ms == NOW_MS + 5


def test_every_header_of_ours_that_is_written_is_one_of_the_table() -> None:
    letter = a_letter(record=a_record(headers=(("conversions.replays", b"2"),)))
    ours = {name for name, _ in letter.headers if name.startswith("conversions.")}
    only_elsewhere = {
        OwnHeader.BY_REFERENCE,
        OwnHeader.SEALED,
        OwnHeader.REPLAYED,
        OwnHeader.EDITED,
    }

    assert ours == {each.header for each in set(OwnHeader) - only_elsewhere}
    assert letter.replays == 2


def test_a_reason_of_another_version_is_kept_as_text() -> None:
    record = a_record(headers=(("conversions.reason", b"brand_new"),))

    letter = read_letter(record)

    assert isinstance(letter, Letter)
    assert (letter.reason, letter.reason_text, letter.stage) == ("brand_new", "brand_new", None)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("error_code", b"1e3"),
        ("error_code", "١".encode()),
        ("error_code", b"9" * 5000),
        ("event_time", b"yesterday"),
        ("event_time", b"9" * 5000),
        ("expires_at", b"2025-13-01T00:00:00Z"),
        ("attempts", b"\xff"),
        ("origin", b"t:1:2"),
        ("first_sent_at", None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_header_that_is_not_as_we_write_it_is_absent(name: str, raw: bytes | None) -> None:
    headers = (("conversions.reason", b"expired"), (f"conversions.{name}", raw))

    letter = read_letter(a_record(headers=headers))

    assert isinstance(letter, Letter)
    field = {"event_time": "event_time_ms", "expires_at": "expires_at_ms"}.get(name, name)
    assert getattr(letter, {"first_sent_at": "first_sent_at_ms"}.get(field, field)) is None


def test_a_masked_event_id_is_none() -> None:
    assert a_letter(event_id="jane@example.com").event_id is None


def test_a_record_without_a_value_that_says_replayed_is_a_mark() -> None:
    found = read_letter(a_mark(f"{TOPIC}:3:42:{NOW_MS}", "1", offset=5))

    assert isinstance(found, Marker)
    assert found.mark == Mark(Origin(TOPIC, 3, 42, NOW_MS), 1) == a_letter().next_mark
    assert found.place == LetterPlace(0, 5)


@pytest.mark.parametrize(("origin", "replays"), [("nonsense", "1"), ("t:1:2:3", "x")])
def test_a_mark_that_names_no_replay_is_still_a_mark(origin: str, replays: str) -> None:
    found = read_letter(a_mark(origin, replays))

    assert isinstance(found, Marker)
    assert found.mark is None


def test_a_null_value_alone_is_no_mark_and_a_value_makes_a_letter() -> None:
    assert isinstance(read_letter(stored(replace(REFUSED, record=a_record(value=None)))), Letter)
    assert isinstance(
        read_letter(stored(REFUSED, more=(("conversions.replayed", b"true"),))), Letter
    )


def test_what_was_skipped_and_what_is_sealed_say_so() -> None:
    skipped = a_letter(more=(("conversions.by_reference", b"true"),))
    sealed = a_letter(more=(("conversions.sealed", b"key-7"),))

    assert (skipped.by_reference, skipped.sealed) == (True, None)
    assert skipped.source == (TopicPartition(TOPIC, 3), 42)
    assert (sealed.by_reference, sealed.sealed) == (False, "key-7")


def test_a_sealed_letter_is_opened_by_whoever_has_the_key() -> None:
    sealed = a_letter(more=(("conversions.sealed", b"key-7"),))

    def unseal(letter: Letter) -> Letter | StillSealed:
        return replace(letter, value=b"clear", sealed=None)

    assert isinstance(opened(sealed, None), StillSealed)
    assert opened(sealed, unseal) == replace(sealed, value=b"clear", sealed=None)
    assert opened(a_letter(), unseal) == a_letter()


def test_a_letter_shows_nothing_of_its_contents() -> None:
    letter = a_letter(record=a_record(key=b"jane", value=b"jane@example.com"))

    assert repr(letter) == "Letter(0:7, refused_by_meta)"
    assert repr(a_foreign()) == "Foreign(0:9, Kafka Connect)"


# --- what others write, and how others read ours ------------------------------------------------


def test_kafka_connects_headers_are_read() -> None:
    found = a_foreign()

    assert (found.family, found.topic, found.partition, found.offset) == (
        Family.KAFKA_CONNECT,
        "orders",
        2,
        99,
    )
    assert found.stage == "VALUE_CONVERTER"
    assert found.error == "org.apache.DataException"


def test_springs_headers_are_read_with_their_binary_numbers() -> None:
    found = a_foreign(
        headers=(
            ("kafka_dlt-original-topic", b"orders"),
            ("kafka_dlt-original-partition", (3).to_bytes(4, "big")),
            ("kafka_dlt-original-offset", (2**40).to_bytes(8, "big")),
            ("kafka_dlt-exception-fqcn", b"a.b.CException"),
            ("kafka_dlt-exception-message", b"boom"),
        )
    )

    assert found.family is Family.SPRING
    assert (found.topic, found.partition, found.offset) == ("orders", 3, 2**40)
    assert (found.error, found.message) == ("a.b.CException", "boom")


def test_a_record_without_any_such_header_is_of_an_unknown_family() -> None:
    found = a_foreign(headers=(("trace", b"1"),))

    assert (found.family, found.topic, found.error) == (Family.UNKNOWN, None, None)


@pytest.mark.parametrize("reason", list(Reason))
def test_kafka_uis_understand_our_dead_letters(reason: Reason) -> None:
    """They know Kafka Connect's headers (KIP-298): texts, and a stage out of Connect's own list."""
    told = {
        name.removeprefix("__connect.errors."): (value or b"").decode()
        for name, value in a_letter(reason=reason).headers
        if name.startswith("__connect.errors.")
    }

    assert (told["topic"], int(told["partition"]), int(told["offset"])) == (TOPIC, 3, 42)
    assert told["stage"] in {
        *("PRODUCE", "CONSUME", "TRANSFORMATION", "KEY_CONVERTER", "VALUE_CONVERTER"),
        *("HEADER_CONVERTER", "TASK_POLL", "TASK_PUT", "TASK_START", "TASK_CLOSE"),
        *("KAFKA_PRODUCE", "KAFKA_CONSUME"),
    }
    assert told["exception.class.name"] == f"conversions.{reason.value}"
    assert told["exception.message"] == "Meta refuses this event"


def test_what_a_ui_reads_of_ours_is_what_we_read_as_foreign_without_our_headers() -> None:
    headers = tuple(each for each in a_letter().headers if not each[0].startswith("conversions."))

    found = a_foreign(headers=headers)

    assert (found.family, found.topic, found.partition, found.offset) == (
        Family.KAFKA_CONNECT,
        TOPIC,
        3,
        42,
    )


# --- whatever comes -----------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        *(each.header for each in OwnHeader),
        *(name for name, _ in a_letter().headers),
        *("kafka_dlt-original-partition", "kafka_dlt-original-offset", "x", ""),
    ]
)
VALUES = st.one_of(
    st.none(),
    st.binary(max_size=30),
    st.sampled_from([b"true", b"expired", b"-1", b"t:1:2:3", b"2025-10-09T08:53:20.000Z", b"-"]),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=12).map(tuple)


@given(
    headers=HEADERS,
    value=st.none() | st.binary(max_size=20),
    timestamp_ms=st.integers(-(2**63), 2**63 - 1),
)
def test_whatever_lies_in_the_topic_is_read(
    headers: tuple[Header, ...], value: bytes | None, timestamp_ms: int
) -> None:
    record = a_record(value=value, headers=headers, timestamp_ms=timestamp_ms)

    found = read_letter(record)

    assert found.place == LetterPlace(0, 0)
    if not isinstance(found, Marker):
        assert (found.key, found.value, found.headers) == (b"key", value, headers)
    has_reason = any(name == "conversions.reason" and raw for name, raw in headers)
    assert has_reason or isinstance(found, Foreign | Marker)

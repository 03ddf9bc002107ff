"""Dead letters and origins: the exact record that is written, and what stays the same for ever."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.dead_letter import DeadLetter, OwnHeader, dead_letter, masked
from consumer.iso_time import iso_time
from consumer.model import Header, MetaError, Origin, PixelId, Reason, Record, Rejected, Stage
from consumer.origin import MASKED, event_id_of, header_event_id, origin_of, text_header
from tests.fakes import letters
from tests.fakes.events import NOW_MS, PIXEL, TOPIC, a_record

REFUSED = letters.rejected(event_time_ms=NOW_MS, expires_at_ms=NOW_MS + 1)
UNDECODABLE = Rejected(
    record=a_record(partition=3, offset=42),
    reason=Reason.UNDECODABLE,
    detail="the value is empty",
)


def written(rejected: Rejected, *, brief: bool = False) -> DeadLetter:
    return dead_letter(rejected, failed_at_ms=NOW_MS + 5, brief=brief)


def headers_of(rejected: Rejected, *, brief: bool = False) -> dict[str, bytes | None]:
    """The headers by name, each of which must occur once."""
    headers = written(rejected, brief=brief).headers
    assert len({name for name, _ in headers}) == len(headers)
    return dict(headers)


def with_headers(*headers: Header) -> Rejected:
    return replace(REFUSED, record=REFUSED.record._replace(headers=headers))


def test_a_refused_event_has_exactly_these_headers_in_this_order() -> None:
    assert written(REFUSED).headers == (
        ("traceparent", b"00-ab"),
        ("conversions.origin", f"{TOPIC}:3:42:{NOW_MS}".encode()),
        ("conversions.reason", b"refused_by_meta"),
        ("conversions.event_id", b"order_1"),
        ("conversions.trace_id", b"Atrace"),
        ("conversions.first_sent_at", b"2025-10-09T08:53:20.002Z"),
        ("conversions.maybe_delivered", b"true"),
        ("conversions.stage", b"send"),
        ("conversions.detail", b"Meta refuses this event"),
        ("conversions.meta_title", b"Event Timestamp Too Old"),
        ("conversions.meta_message", b"too far in the past"),
        ("conversions.error_code", b"100"),
        ("conversions.error_subcode", b"2804003"),
        ("conversions.http_status", b"400"),
        ("conversions.destination", PIXEL.encode()),
        ("conversions.event_name", b"Purchase"),
        ("conversions.event_time", b"2025-10-09T08:53:20.000Z"),
        ("conversions.expires_at", b"2025-10-09T08:53:20.001Z"),
        ("conversions.batch_id", b"m-7"),
        ("conversions.failed_at", b"2025-10-09T08:53:20.005Z"),
        ("conversions.attempts", b"3"),
        ("__connect.errors.topic", TOPIC.encode()),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"42"),
        ("__connect.errors.stage", b"TASK_PUT"),
        ("__connect.errors.exception.class.name", b"conversions.refused_by_meta"),
        ("__connect.errors.exception.message", b"Meta refuses this event"),
    )


def test_what_is_not_known_has_no_header_rather_than_an_empty_one() -> None:
    derived = event_id_of(UNDECODABLE.record, None)

    assert written(UNDECODABLE).headers == (
        ("conversions.origin", f"{TOPIC}:3:42:{NOW_MS}".encode()),
        ("conversions.reason", b"undecodable"),
        ("conversions.event_id", derived.encode()),
        ("conversions.stage", b"decode"),
        ("conversions.detail", b"the value is empty"),
        ("conversions.failed_at", b"2025-10-09T08:53:20.005Z"),
        ("__connect.errors.topic", TOPIC.encode()),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"42"),
        ("__connect.errors.stage", b"VALUE_CONVERTER"),
        ("__connect.errors.exception.class.name", b"conversions.undecodable"),
        ("__connect.errors.exception.message", b"the value is empty"),
    )


def test_a_brief_dead_letter_has_only_what_replay_needs() -> None:
    assert written(REFUSED, brief=True).headers == (
        ("conversions.origin", f"{TOPIC}:3:42:{NOW_MS}".encode()),
        ("conversions.reason", b"refused_by_meta"),
        ("conversions.event_id", b"order_1"),
        ("conversions.trace_id", b"Atrace"),
        ("conversions.first_sent_at", b"2025-10-09T08:53:20.002Z"),
        ("conversions.maybe_delivered", b"true"),
    )


@pytest.mark.parametrize("brief", [False, True])
def test_a_brief_one_too_says_how_often_it_was_replayed(brief: bool) -> None:
    rejected = with_headers(("conversions.replays", b"2"))

    assert headers_of(rejected, brief=brief)["conversions.replays"] == b"2"


@pytest.mark.parametrize("count", [b"", b"-1", b"two", b"\xff", None])
def test_a_replay_count_that_is_no_number_is_left_out(count: bytes | None) -> None:
    assert "conversions.replays" not in headers_of(with_headers(("conversions.replays", count)))


@pytest.mark.parametrize("key", [None, b"", b"\x00k"])
@pytest.mark.parametrize("value", [None, b"", b"\x00\x00v"])
@pytest.mark.parametrize("brief", [False, True])
def test_key_and_value_are_the_source_records_byte_for_byte(
    key: bytes | None, value: bytes | None, brief: bool
) -> None:
    record = a_record(key=key, value=value)

    letter = written(replace(REFUSED, record=record), brief=brief)

    assert (letter.key, letter.value) == (key, value)
    assert letter.timestamp_ms == NOW_MS + 5


def test_the_publishers_headers_are_kept_in_order_with_repetitions_and_nulls() -> None:
    theirs: tuple[Header, ...] = (("a", b"1"), ("a", b"2"), ("b", None), ("c", b""))

    assert written(with_headers(*theirs)).headers[:4] == theirs


def test_headers_of_ours_from_before_are_replaced() -> None:
    rejected = with_headers(
        ("conversions.reason", b"expired"),
        ("conversions.reason", b"undecodable"),
        ("conversions.batch_id", b"old-1"),
        ("conversions.unheard_of", b"x"),
        ("conversionsish", b"theirs"),
    )

    headers = headers_of(rejected)

    assert headers["conversions.reason"] == b"refused_by_meta"
    assert headers["conversions.batch_id"] == b"m-7"
    assert "conversions.unheard_of" not in headers
    assert headers["conversionsish"] == b"theirs"


def test_a_publishers_connect_header_is_kept_and_ours_of_that_name_is_not_written() -> None:
    headers = headers_of(with_headers(("__connect.errors.topic", b"upstream")))

    assert headers["__connect.errors.topic"] == b"upstream"
    assert headers["__connect.errors.offset"] == b"42"


def test_the_origin_and_event_id_of_an_earlier_life_are_kept() -> None:
    rejected = replace(
        UNDECODABLE,
        record=a_record(
            headers=(("conversions.origin", b"old:1:2:3"), ("conversions.event_id", b"first"))
        ),
    )

    headers = headers_of(rejected)

    assert headers["conversions.origin"] == b"old:1:2:3"
    assert headers["conversions.event_id"] == b"first"
    assert headers["__connect.errors.topic"] == TOPIC.encode()


@pytest.mark.parametrize(
    ("reason", "stage", "connect"),
    [
        (Reason.UNKNOWN_SCHEMA, b"decode", b"VALUE_CONVERTER"),
        (Reason.MISSING_CURRENCY, b"validate", b"TRANSFORMATION"),
        (Reason.EXPIRED, b"send", b"TASK_PUT"),
    ],
)
def test_the_stage_follows_from_the_reason(reason: Reason, stage: bytes, connect: bytes) -> None:
    headers = headers_of(replace(REFUSED, reason=reason))

    assert headers["conversions.stage"] == stage
    assert headers["__connect.errors.stage"] == connect


def test_every_reason_can_be_written() -> None:
    for reason in Reason:
        headers = headers_of(replace(REFUSED, reason=reason))
        assert headers["conversions.reason"] == reason.value.encode()
        assert headers["conversions.stage"] in {stage.value.encode() for stage in Stage}


def test_without_a_trace_id_of_metas_our_own_id_stands_in() -> None:
    silent = MetaError(http_status=500)
    for error in (None, silent):
        headers = headers_of(replace(REFUSED, error=error))
        assert headers["conversions.trace_id"] == b"m-7.3"
        assert headers["conversions.batch_id"] == b"m-7"


def test_what_was_never_sent_has_no_words_on_sending() -> None:
    headers = headers_of(
        replace(
            REFUSED,
            error=None,
            attempts=0,
            first_sent_at_ms=None,
            maybe_delivered=False,
            request_id=None,
        )
    )

    assert not {"attempts", "first_sent_at", "maybe_delivered", "trace_id"} & {
        name.removeprefix("conversions.") for name in headers
    }


def test_what_was_sent_and_surely_not_counted_has_attempts_but_no_time_of_sending() -> None:
    headers = headers_of(replace(REFUSED, first_sent_at_ms=None, maybe_delivered=False))

    assert headers["conversions.attempts"] == b"3"
    assert "conversions.first_sent_at" not in headers


def test_what_may_have_been_delivered_says_so_before_it_is_sent_once_more() -> None:
    headers = headers_of(replace(REFUSED, attempts=0))

    assert headers["conversions.maybe_delivered"] == b"true"
    assert headers["conversions.first_sent_at"] == b"2025-10-09T08:53:20.002Z"
    assert "conversions.attempts" not in headers


def test_what_surely_did_not_reach_meta_says_so() -> None:
    headers = headers_of(replace(REFUSED, maybe_delivered=False))

    assert headers["conversions.maybe_delivered"] == b"false"


@pytest.mark.parametrize("brief", [False, True])
def test_names_and_ids_that_look_like_a_person_are_masked(brief: bool) -> None:
    rejected = replace(
        REFUSED,
        reason=Reason.UNKNOWN_DESTINATION,
        event_id="jane@example.com",
        event_name="+1 415 555 1234",
        destination=PixelId("4155551234"),
    )

    letter = written(rejected, brief=brief)
    headers = dict(letter.headers)

    assert headers["conversions.event_id"] == MASKED.encode()
    assert not any(
        b"jane" in (value or b"") or b"555" in (value or b"") for _, value in letter.headers
    )
    if not brief:
        assert headers["conversions.event_name"] == MASKED.encode()
        assert headers["conversions.destination"] == MASKED.encode()


@pytest.mark.parametrize("pixel", ["123456789012345", "4155551234", PIXEL])
def test_a_configured_destination_is_told_whatever_it_looks_like(pixel: str) -> None:
    headers = headers_of(replace(REFUSED, destination=PixelId(pixel)))

    assert headers["conversions.destination"] == pixel.encode()


@pytest.mark.parametrize(
    "text",
    [
        "a@b",
        "jane@example.com",
        "@",
        "+14155551234",
        "+1 (415) 555-1234",
        "(415) 555-1234",
        "415-555-1234",
        "0041 44 668 18 00",
        "4155551234",
    ],
)
def test_what_looks_like_an_address_or_a_phone_number_is_masked(text: str) -> None:
    assert masked(text) == MASKED


@pytest.mark.parametrize(
    "text",
    ["Purchase", "order_abc_123", PIXEL, "12345", "2025-10", "TEST1234567890", "a1b2c3d4e5f6"],
)
def test_ordinary_names_and_ids_are_not_masked(text: str) -> None:
    assert masked(text) == text


def test_nothing_to_mask_is_empty() -> None:
    assert (masked(None), masked("")) == ("", "")


def test_a_dead_letter_shows_nothing_of_its_contents() -> None:
    letter = written(replace(REFUSED, record=a_record(key=b"jane", value=b"jane@example.com")))

    assert "jane" not in repr(letter)
    assert "16 bytes" in repr(letter)


def test_an_origin_is_the_records_own_place_without_a_header() -> None:
    record = a_record(partition=3, offset=42)

    assert origin_of(record) == Origin(TOPIC, 3, 42, NOW_MS)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"x",
        b"t:1:2",
        b"t:1:2:x",
        b"t:1::3",
        b"t:1:2:3.5",
        b"t:1:2:--3",
        b"\xff:1:2:3",
        "t:1:2:٣".encode(),
        b"t:1:2: 3",
        b"t:1:2:" + b"9" * 5000,
        None,
    ],
    ids=lambda header: repr(header)[:20],
)
def test_an_origin_header_that_is_not_sound_is_ignored(header: bytes | None) -> None:
    record = a_record(offset=42, headers=(("conversions.origin", header),))

    assert origin_of(record) == Origin(TOPIC, 0, 42, NOW_MS)


@given(
    topic=st.text("abc.-_", min_size=1),
    partition=st.integers(0, 9999),
    offset=st.integers(0, 2**63 - 1),
    timestamp_ms=st.integers(-1, 2**62),
)
def test_an_origin_survives_its_header(
    topic: str, partition: int, offset: int, timestamp_ms: int
) -> None:
    origin = Origin(topic, partition, offset, timestamp_ms)
    record = a_record(offset=1, headers=(("conversions.origin", str(origin).encode()),))

    assert origin_of(record) == origin


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ((), None),
        ((("n", b"a"),), "a"),
        ((("n", b"a"), ("n", b"b")), "b"),
        ((("n", b"a"), ("n", b"")), "a"),
        ((("n", None),), None),
        ((("n", b"\xff"),), None),
        ((("N", b"a"),), None),
    ],
)
def test_of_several_headers_the_last_with_text_counts(
    headers: tuple[Header, ...], text: str | None
) -> None:
    assert text_header(a_record(headers=headers), "n") == text


def test_the_event_id_is_the_values_own_then_the_headers_then_a_hash_of_the_origin() -> None:
    bare = a_record()
    headed = a_record(headers=(("conversions.event_id", b"from_header"),))

    assert event_id_of(headed, " order_1 ") == "order_1"
    assert event_id_of(headed, "  ") == "from_header"
    assert event_id_of(headed, None) == "from_header"
    text = f"{TOPIC}:0:0:{NOW_MS}\n".encode() + b"value"
    assert event_id_of(bare, 17) == hashlib.sha256(text).hexdigest()[:32]


def test_an_event_id_that_was_masked_in_a_header_is_not_taken_for_one() -> None:
    records = [
        a_record(offset=offset, headers=(("conversions.event_id", MASKED.encode()),))
        for offset in range(2)
    ]

    assert [header_event_id(record) for record in records] == [None, None]
    first, second = (event_id_of(record, None) for record in records)
    assert MASKED not in {first, second}
    assert first != second
    assert event_id_of(records[0], "order_1") == "order_1"


def replayed(record: Record) -> Record:
    """What comes back when the dead letter of this undecodable record is written and replayed."""
    letter = written(replace(UNDECODABLE, record=record, event_id=event_id_of(record, None)))
    kept = tuple(
        header
        for header in letter.headers
        if header[0] in {"conversions.origin", "conversions.event_id"}
    )
    return a_record(partition=1, offset=900, timestamp_ms=NOW_MS + 10, headers=kept)


@pytest.mark.parametrize("given_id", [b"order_1", b"4155551234", b"jane@example.com"])
def test_an_event_id_from_a_header_survives_a_replay_however_it_looks(given_id: bytes) -> None:
    record = a_record(headers=(("conversions.event_id", given_id),))

    assert event_id_of(replayed(record), None) == given_id.decode()


def test_a_derived_event_id_stays_the_same_after_a_dead_letter_and_a_replay() -> None:
    first = a_record(partition=3, offset=42)
    again = replayed(first)

    assert event_id_of(again, None) == event_id_of(first, None)
    assert origin_of(again) == origin_of(first)
    only_origin = again._replace(headers=again.headers[:1])
    assert event_id_of(only_origin, None) == event_id_of(first, None)


def test_records_at_different_places_or_with_different_values_get_different_event_ids() -> None:
    records = [
        a_record(),
        a_record(offset=1),
        a_record(partition=1),
        a_record(topic="other"),
        a_record(timestamp_ms=NOW_MS + 1),
        a_record(value=b"else"),
        a_record(value=None),
    ]

    assert len({event_id_of(record, None) for record in records}) == len(records)


# --- by reference --------------------------------------------------------------------------------

SKIPPED = replace(
    REFUSED,
    reason=Reason.SKIPPED_BY_OPERATOR,
    record=REFUSED.record._replace(
        headers=(("conversions.origin", b"shop:1:2:3"), ("traceparent", b"00-ab"))
    ),
)


@pytest.mark.parametrize("brief", [False, True])
def test_a_skipped_record_is_only_referred_to(brief: bool) -> None:
    letter = written(SKIPPED, brief=brief)
    headers = headers_of(SKIPPED, brief=brief)

    assert (letter.key, letter.value) == (None, None)
    assert headers[OwnHeader.BY_REFERENCE.header] == b"true"
    assert headers["conversions.reason"] == b"skipped_by_operator"
    assert headers["conversions.origin"] == b"shop:1:2:3"
    assert headers["conversions.event_id"] == b"order_1"
    place = [headers[f"__connect.errors.{part}"] for part in ("topic", "partition", "offset")]
    assert place == [TOPIC.encode(), b"3", b"42"], "where it stands, not where it came from"
    assert "traceparent" not in headers, "nothing of it is copied"


def test_a_skipped_record_tells_as_much_as_any_other_of_what_happened() -> None:
    headers = headers_of(SKIPPED)

    assert headers["conversions.error_code"] == b"100"
    assert headers["conversions.maybe_delivered"] == b"true"
    assert headers["__connect.errors.stage"] == b"TASK_PUT"


def test_a_value_of_null_is_no_reference() -> None:
    null = replace(UNDECODABLE, record=UNDECODABLE.record._replace(key=None, value=None))

    assert written(null).value is None
    assert OwnHeader.BY_REFERENCE.header not in headers_of(null)


def test_what_was_sent_and_given_back_may_have_been_delivered() -> None:
    given_back = replace(SKIPPED, attempts=0, first_sent_at_ms=NOW_MS)

    headers = headers_of(given_back)

    assert "conversions.attempts" not in headers
    assert headers["conversions.first_sent_at"] == iso_time(NOW_MS).encode()
    assert headers["conversions.maybe_delivered"] == b"true"


def test_what_many_share_is_never_told_of_another() -> None:
    error = MetaError(http_status=400, code=100, subcode=1, title="first", message="one")
    first = replace(REFUSED, error=error, detail="a detail")
    others = [
        replace(first, error=replace(error, title="second")),
        replace(first, error=replace(error, message="two")),
        replace(first, error=replace(error, code=200)),
        replace(first, error=replace(error, subcode=2)),
        replace(first, error=replace(error, http_status=401)),
        replace(first, detail="another detail"),
        replace(first, reason=Reason.EXPIRED),
        replace(first, destination=PixelId("2222222222222222")),
    ]

    headers = [headers_of(each) for each in (first, *others)]

    assert len({tuple(sorted(each.items())) for each in headers}) == len(headers)
    assert headers[0] == headers_of(first)

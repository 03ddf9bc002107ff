"""What a terminal shows of dead letters: never wider than it is, never more than it should."""

import json
import re
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from consumer.decode import SchemaRef, UnknownSchema
from consumer.letter import Foreign, Letter, Marker, StillSealed, read_letter
from consumer.letter_lines import heading, letter_json, letter_line
from consumer.letter_page import Decoded, NoValue, Raw, content_of, page_json, page_text
from consumer.letter_stats import NAMES_MAX, OTHERS, Tally, stats_json
from consumer.model import Header, Reason
from consumer.replayable import Obstacle, Replays
from consumer.schema_plan import ReadPlan
from consumer.stats_tables import stats_text
from consumer.text_tables import Look
from tests.fakes.events import DAY_MS, NOW_MS, PIXEL, TOPIC, a_record
from tests.fakes.letters import DLQ_TOPIC, a_foreign, a_letter, a_mark
from tests.fakes.schemas import SCHEMA_ID, event_plan, event_value
from tests.test_letter import HEADERS

LOOK = Look(columns=80, colour=False, blocks=True)
CANARIES = ("jane@example.com", "jane%40example.com", "4155551234", "Menlo")
EVENT = {
    "eventName": "Purchase",
    "eventTime": NOW_MS,
    "eventId": "order_1",
    "destinationId": PIXEL,
    "sourceUrl": "https://shop.example/?mail=jane%40example.com",
    "value": 42.5,
    "currency": "EUR",
    "user": {"email": "jane@example.com", "phone": "+14155551234", "city": "Menlo Park"},
    "customData": {"mail": "jane@example.com", "plan": "gold"},
}
VALUE = event_value(EVENT, schema_id=SCHEMA_ID)


def schema_for(ref: SchemaRef) -> ReadPlan | UnknownSchema | None:
    if ref == SCHEMA_ID:
        return event_plan()
    return None if ref == 99 else UnknownSchema(f"the registry knows no schema {ref!r}")


def shown(found: Letter | Foreign, *, reveal: bool = False, look: Look = LOOK) -> str:
    content = content_of(found, schema_for=schema_for, unseal=None, reveal=reveal)
    page = page_json(found, content, now_ms=NOW_MS, reveal=reveal)
    text = page_text(found, content, look, topic=DLQ_TOPIC, now_ms=NOW_MS, reveal=reveal)
    assert page["revealed"] is reveal
    assert reveal or not any(canary in text + json.dumps(page) for canary in CANARIES)
    return text


def event_letter(**changes: Any) -> Letter:
    return a_letter(record=a_record(partition=3, offset=42, value=VALUE, **changes))


# --- one letter ---------------------------------------------------------------------------------


def test_a_page_tells_where_from_what_meta_said_what_to_do_and_the_event() -> None:
    page = shown(event_letter(headers=(("traceparent", b"00-ab"),)))

    assert page.startswith("Dead letter 0:7 of conversions.events.dlq\n\nrefused_by_meta (send): ")
    for told in (
        "came from       conversions.events:3:42, written 2025-10-09 08:53 UTC",
        "wrong           Meta refuses this event",
        "Event Timestamp Too Old: too far in the past (code 100, subcode",
        "trace id        Atrace",
        "event id        order_1",
        "other headers   traceparent\n",
        "What to do\nRead Meta's words and docs/errors.md, and mend the publisher.",
        '  "currency": "EUR"',
        '    "plan": "gold"',
        '    "email": "(masked)"',
        "personal data masked; --reveal shows it",
    ):
        assert told in page


def test_reveal_shows_it_all() -> None:
    page = shown(event_letter(headers=(("traceparent", b"00-ab"),)), reveal=True)

    assert '"email": "jane@example.com"' in page
    assert "The event (in full)" in page
    assert "traceparent=00-ab" in page
    assert "key             key" in page


@pytest.mark.parametrize(
    ("value", "detail", "hexadecimal"),
    [
        (b"{jane@example.com}", "neither Confluent-framed Avro nor single-object", "7b 6a"),
        (b"\x00\x00\x00\x00\x01jane", "the bytes do not fit the schema", "00 00 00 00 01"),
        (b"\x00\x00\x00\x00\x07jane", "the registry knows no schema 7", "00 00 00 00 07"),
        (b"\x00\x00\x00\x00\x63jane", "the schema registry does not answer", "00 00 00 00 63"),
        (b"\xc3\x01" + b"12345678jane", "the registry knows no schema", "c3 01 31 32 33 34 35 36"),
        (b"", "the value is empty", ""),
    ],
)
def test_what_cannot_be_decoded_is_hex_with_the_error(
    value: bytes, detail: str, hexadecimal: str
) -> None:
    letter = a_letter(record=a_record(value=value))

    masked = content_of(letter, schema_for=schema_for, unseal=None, reveal=False)
    revealed = content_of(letter, schema_for=schema_for, unseal=None, reveal=True)

    assert isinstance(masked, Raw)
    assert isinstance(revealed, Raw)
    assert detail in masked.detail
    assert masked.hex.startswith(hexadecimal)
    assert len(masked.hex) < 30
    assert bytes.fromhex(revealed.hex) == value
    assert f"Not decoded: {masked.detail[:20]}" in shown(letter)


@pytest.mark.parametrize(
    ("letter", "why"),
    [
        (a_letter(record=a_record(value=None)), "the value is null"),
        (a_letter(more=(("conversions.by_reference", b"true"),)), "in the source topic"),
        (a_letter(more=(("conversions.sealed", b"k1"),)), "no key is at hand"),
    ],
)
def test_without_a_value_it_is_said_why(letter: Letter, why: str) -> None:
    content = content_of(letter, schema_for=schema_for, unseal=None, reveal=True)

    assert isinstance(content, NoValue)
    assert why in content.detail
    assert shown(letter).splitlines()[-2] == "The value"


def test_a_sealed_letter_is_shown_with_its_key_and_the_seals_own_words_without() -> None:
    sealed = replace(event_letter(), value=b"\x01cipher", sealed="k1")

    def unseal(letter: Letter) -> Letter | StillSealed:
        return replace(letter, value=VALUE, sealed=None)

    def fail(_: Letter) -> Letter | StillSealed:
        return StillSealed("key k1 is not at hand")

    opened = content_of(sealed, schema_for=schema_for, unseal=unseal, reveal=False)
    closed = content_of(sealed, schema_for=schema_for, unseal=fail, reveal=False)

    assert isinstance(opened, Decoded)
    assert opened.fields["currency"] == "EUR"
    assert closed == NoValue("key k1 is not at hand")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"expires_at_ms": NOW_MS}, "too old for Meta"),
        ({"first_sent_at_ms": NOW_MS - 2 * DAY_MS}, "Meta may have counted it"),
        ({"maybe_delivered": False}, "It can be replayed until 2025-10-15 08:53 UTC."),
    ],
)
def test_a_page_tells_whether_a_replay_is_in_time(changes: dict[str, Any], told: str) -> None:
    assert told in " ".join(shown(a_letter(**changes)).split())


def test_a_foreign_letter_is_shown_with_what_it_says() -> None:
    page = shown(a_foreign())

    assert "written by   Kafka Connect" in page
    assert "came from    orders:2:99" in page
    assert "org.apache.DataException" in page
    assert "jane" in shown(a_foreign(), reveal=True)


def test_a_program_gets_numbers_and_absent_things_absent() -> None:
    told = letter_json(a_letter(reason=Reason.MISSING_CURRENCY))

    assert told["reason"] == "missing_currency"
    assert told["origin"] == f"{TOPIC}:3:42:{NOW_MS}"
    assert "code" not in told
    assert "key" not in told
    assert letter_json(a_letter())["subcode"] == 2804003


# --- lines and widths ---------------------------------------------------------------------------


def test_a_line_of_80_columns_is_these_columns() -> None:
    assert heading(LOOK).rstrip() == (
        "place        failed UTC   reason                     code         event"
    )
    assert letter_line(a_letter(), LOOK).rstrip() == (
        "0:7          10-09 08:53  refused_by_meta            100/2804003  Purchase"
    )


def test_a_name_that_does_not_fit_is_cut_at_80_columns_exactly() -> None:
    line = letter_line(a_letter(event_name="CompleteRegistrationOfMany"), LOOK)

    assert line.endswith("…\n")
    assert cell_len(line.rstrip("\n")) == 80


def test_a_wide_line_tells_pixel_and_event_id_too() -> None:
    wide = Look(columns=140, colour=False, blocks=True)

    assert letter_line(a_letter(), wide).split() == [
        *("0:7", "2025-10-09", "08:53", "refused_by_meta", "100/2804003"),
        *(PIXEL, "Purchase", "order_1"),
    ]


def widths(text: str) -> set[int]:
    return {cell_len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in text.splitlines()}


ANY_LETTER = st.builds(
    lambda headers, value, at: read_letter(
        a_record(headers=headers, value=value, timestamp_ms=at, offset=2**62)
    ),
    HEADERS,
    st.binary(max_size=40) | st.just(VALUE),
    st.integers(-(2**63), 2**63 - 1),
)


@given(found=ANY_LETTER, columns=st.sampled_from([40, 80, 120, 200]), colour=st.booleans())
@settings(max_examples=150, deadline=None)
def test_whatever_lies_there_is_shown_within_the_terminal(
    found: Letter | Foreign | Marker, columns: int, colour: bool
) -> None:
    assert not isinstance(found, Marker)
    look = Look(columns=columns, colour=colour, blocks=True)
    tally = Tally(now_ms=NOW_MS)
    tally.add(found)
    stats = tally.stats(Replays())
    pages = [
        heading(look),
        letter_line(found, look),
        shown(found, look=look),
        shown(found, look=look, reveal=True),
        stats_text(stats, DLQ_TOPIC, look),
    ]

    for page in pages:
        assert max(widths(page)) <= columns
        assert ("\x1b" in page) <= colour, "colours only where there are some"
        assert all(line.isprintable() or "\x1b" in line for line in page.splitlines())
    json.dumps([letter_json(found), stats_json(stats, DLQ_TOPIC)])


@pytest.mark.parametrize("number", ["-9999999999999999999", "9999999999999999999"])
@pytest.mark.parametrize("name", ["error_code", "error_subcode", "http_status", "attempts"])
def test_a_number_that_json_does_not_hold_ends_no_listing(name: str, number: str) -> None:
    found = a_letter(more=((f"conversions.{name}", number.encode()),))

    assert orjson.dumps(letter_json(found))


@given(headers=HEADERS)
def test_a_header_cannot_steer_the_terminal(headers: tuple[Header, ...]) -> None:
    evil = (*headers, ("conversions.reason", b"a\x1b[31mb\r\n\xe2\x80\xae"))

    found = read_letter(a_record(headers=evil))

    assert isinstance(found, Letter)
    assert "\x1b" not in shown(found) + letter_line(found, LOOK)


# --- counts -------------------------------------------------------------------------------------


def a_tally() -> Tally:
    tally = Tally(now_ms=NOW_MS)
    for offset in range(3):
        tally.add(a_letter(record=a_record(offset=offset), failed_at_ms=NOW_MS - offset))
    tally.add(
        a_letter(
            record=a_record(offset=9),
            reason=Reason.MISSING_CURRENCY,
            event_time_ms=NOW_MS - 9 * DAY_MS,
            failed_at_ms=NOW_MS - 3_600_000,
        )
    )
    tally.add(a_letter(record=a_record(offset=10), reason=Reason.UNDECODABLE, event_time_ms=None))
    tally.add(a_foreign(timestamp_ms=NOW_MS - DAY_MS))
    return tally


def test_everything_is_counted() -> None:
    replays = Replays()
    mark = read_letter(a_mark(f"{TOPIC}:0:2:{NOW_MS}", "1"))
    assert isinstance(mark, Marker)
    replays.note(mark)

    assert stats_json(a_tally().stats(replays), DLQ_TOPIC) == {
        "topic": DLQ_TOPIC,
        "deadLetters": 5,
        "foreign": 1,
        "first": "2025-10-08T08:53:20.000Z",
        "last": "2025-10-09T08:53:20.005Z",
        "replayable": {
            "count": 3,
            "firstUntil": "2025-10-11T07:53:20.002Z",
            "lastUntil": "2025-10-11T07:53:20.002Z",
            "unknownUntil": 1,
        },
        "notReplayable": {"expired": 1, "maybe_delivered": 0, "by_reference": 0},
        "replayed": 1,
        "byReason": {"refused_by_meta": 3, "missing_currency": 1, "undecodable": 1},
        "byDestination": {PIXEL: 5},
        "byEventName": {"Purchase": 5},
        "byCode": {"100/2804003": 3},
        "byHour": {"2025-10-09T07:00:00.000Z": 1, "2025-10-09T08:00:00.000Z": 4},
    }


def test_the_counts_are_told_in_sentences_and_bars() -> None:
    text = stats_text(a_tally().stats(Replays()), DLQ_TOPIC, LOOK)

    for told in (
        "5 dead letters in conversions.events.dlq, from 2025-10-08 08:53 to 2025-10-09",
        "4 can still be replayed: the first until 2025-10-11 07:53",
        "of 1 it is not known until when.",
        "1 are too old for Meta by now.",
        "1 record of others",
        "refused_by_meta    3   60%   ████████████░░░░░░░░",
        "2025-10-09 08:00   4   80%   ████████████████████",
        "The event is older than",
    ):
        assert told in text


def test_an_empty_topic_is_one_sentence() -> None:
    text = stats_text(Tally(now_ms=NOW_MS).stats(Replays()), DLQ_TOPIC, LOOK)

    assert text == "No such dead letters in conversions.events.dlq.\n"


def test_every_obstacle_is_told() -> None:
    tally = Tally(now_ms=NOW_MS)
    tally.add(a_letter(expires_at_ms=0))
    tally.add(a_letter(first_sent_at_ms=0))
    tally.add(a_letter(more=(("conversions.by_reference", b"true"),)))

    stats = tally.stats(Replays())

    assert stats.obstacles == dict.fromkeys(Obstacle, 1)
    assert stats.replayable == 0
    assert stats.until_ms is None


def test_names_without_end_are_counted_together() -> None:
    tally = Tally(now_ms=NOW_MS)
    for number in range(NAMES_MAX + 5):
        tally.add(a_letter(event_name=f"event_{number}"))

    names = tally.stats(Replays()).event_names

    assert len(names) == NAMES_MAX + 1
    assert names[OTHERS] == 5

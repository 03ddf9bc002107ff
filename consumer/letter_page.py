"""One dead letter with everything that is known of it: for people a page, for programs an object.

Personal data is masked unless it was asked for: in the event, in the key and in the bytes of what
could not be decoded, of which otherwise only the first are shown: those that name a schema.
"""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, NamedTuple

import orjson

from consumer.dead_letter import PREFIX
from consumer.decode import NeedsSchema, SchemaFor, decode
from consumer.finding import printable
from consumer.iso_time import iso_time
from consumer.judge import mask
from consumer.letter import Foreign, Letter, StillSealed, Unseal, opened
from consumer.letter_lines import letter_json
from consumer.masking import masked_event
from consumer.model import Event, Record, Rejected, TopicPartition
from consumer.remedies import Remedy, remedy_for
from consumer.replayable import Obstacle, obstacle_of, replay_until_ms
from consumer.stats_tables import minute
from consumer.text_tables import Look, counted, new_table, paragraph, styled, text_of
from consumer.verdicts import EVENT_FAULTS


class Decoded(NamedTuple):
    """The event's fields that are not null, masked unless revealed."""

    fields: Mapping[str, Any]


class Raw(NamedTuple):
    """A value that is no event as far as we can tell: ``hex`` is all of it only when revealed."""

    detail: str
    hex: str
    size_bytes: int


class NoValue(NamedTuple):
    """There is nothing to show, and why."""

    detail: str


Content = Decoded | Raw | NoValue


def content_of(
    found: Letter | Foreign,
    *,
    schema_for: SchemaFor,
    unseal: Unseal | None,
    reveal: bool,
) -> Content:
    """What the value is; ``unseal`` opens the sealed ones, None where there is no key."""
    letter = opened(found, unseal) if isinstance(found, Letter) else found
    match letter:
        case StillSealed(detail):
            return NoValue(detail)
        case Letter(by_reference=True):
            return NoValue("the value is not here, but in the source topic")
        case Letter() | Foreign():
            return _content(letter, schema_for, reveal=reveal)


def page_json(
    found: Letter | Foreign, content: Content, *, now_ms: int, reveal: bool
) -> dict[str, Any]:
    """The line's object, with the content, what to do, and the names of the other headers."""
    told = letter_json(found)
    match content:
        case Decoded(fields):
            told["event"] = plain(fields)
        case Raw(detail, hexadecimal, size_bytes):
            told["undecoded"] = {"detail": detail, "hex": hexadecimal, "bytes": size_bytes}
        case NoValue(detail):
            told["noValue"] = detail
    if isinstance(found, Letter):
        remedy = remedy_for(found.reason)
        obstacle = obstacle_of(found, now_ms=now_ms)
        told["remedy"] = {
            "meaning": remedy.meaning,
            "advice": remedy.advice,
            "replay": remedy.help.value,
            "before": remedy.before,
        }
        told["obstacle"] = obstacle.value if obstacle else None
        told["replayUntil"] = iso_time(replay_until_ms(found)) or None
    told["headers"] = _others(found, reveal=reveal)
    return told | {"revealed": reveal}


def page_text(
    found: Letter | Foreign,
    content: Content,
    look: Look,
    *,
    topic: str,
    now_ms: int,
    reveal: bool,
) -> str:
    """The page: what it is, where it came from, what to do, the event."""
    letter = isinstance(found, Letter)
    kind = "Dead letter" if letter else "Dead letter of others"
    parts = [styled(f"{kind} {found.place} of {topic}", "bold", look)]
    if isinstance(found, Letter):
        remedy = remedy_for(found.reason)
        stage = f" ({found.stage.value})" if found.stage else ""
        parts.append(styled(f"{found.reason_text}{stage}: {remedy.meaning}", "red", look))
        parts.append(_rows(_facts(found, reveal=reveal), look))
        advice = [remedy.advice, _replay(found, remedy, now_ms)]
        parts.append(styled("What to do", "bold", look) + paragraph(" ".join(advice), look))
    else:
        parts.append(_rows(_foreign_facts(found, reveal=reveal), look))
    parts.append(_content_text(content, look, reveal=reveal))
    return "\n".join(parts)


def plain(value: Any) -> Any:
    """What Avro can hold as what JSON can: bytes as hex, numbers beyond JSON's as text; without
    the fields that are null, which are most of them."""
    match value:
        case Mapping():
            return {str(name): plain(each) for name, each in value.items() if each is not None}
        case list():
            return [plain(each) for each in value]
        case None | bool() | str():
            return value
        case int():
            return value if abs(value) < 2**63 else str(value)
        case float():
            return value if isfinite(value) else str(value)
        case bytes():
            return value.hex()
        case _:
            return str(value)


def _content(found: Letter | Foreign, schema_for: SchemaFor, *, reveal: bool) -> Content:
    if found.value is None:
        return NoValue("the value is null")
    place = TopicPartition("", found.place.partition)
    args = (found.place.offset, found.written_at_ms, found.key, found.value, found.headers, 0)
    match decode(Record(place, *args), schema_for=schema_for):
        case Event(fields=fields):
            return Decoded(fields if reveal else masked_event(fields, told=_told_ids(found)))
        case Rejected(detail=detail):
            why = detail
        case NeedsSchema():
            why = "the schema registry does not answer"
    shown = found.value if reveal else found.value[: _framing(found.value)]
    return Raw(why, shown.hex(" "), len(found.value))


def _framing(value: bytes) -> int:
    """How many bytes tell which schema it names, or that it names none."""
    if value[:1] == b"\x00":
        return 5
    return 10 if value[:2] == b"\xc3\x01" else 2


def _told_ids(found: Letter | Foreign) -> frozenset[str]:
    if isinstance(found, Foreign):
        return frozenset()
    return frozenset(each for each in (found.event_id, found.destination) if each)


def _facts(letter: Letter, *, reveal: bool) -> Iterator[tuple[str, str]]:
    if letter.origin is not None:
        place = str(letter.origin).rpartition(":")[0]
        yield "came from", f"{place}, written {minute(letter.origin.timestamp_ms)} UTC"
    if letter.source is not None:
        partition, offset = letter.source
        yield "lies at", f"{partition}:{offset}"
    yield "failed", f"{minute(letter.at_ms)} UTC{_attempts(letter)}"
    yield "wrong", letter.detail or ""
    yield "Meta said", _meta_said(letter)
    yield "trace id", letter.trace_id or ""
    yield "destination", letter.destination or ""
    at = f" at {minute(letter.event_time_ms)} UTC" if letter.event_time_ms is not None else ""
    yield "event", f"{letter.event_name or ''}{at}".strip()
    yield "event id", letter.event_id or ""
    yield "batch", letter.batch_id or ""
    yield "replayed before", f"{letter.replays} times" if letter.replays else ""
    yield from _carried(letter, reveal=reveal)


def _attempts(letter: Letter) -> str:
    sent = f", sent {letter.attempts} times" if letter.attempts else ""
    if letter.first_sent_at_ms is not None:
        sent += f", first at {minute(letter.first_sent_at_ms)}"
    return f"{sent}; Meta may have counted it" if letter.maybe_delivered else sent


def _meta_said(letter: Letter) -> str:
    said = ": ".join(text for text in (letter.meta_title, letter.meta_message) if text)
    numbers = {
        "code": letter.error_code,
        "subcode": letter.error_subcode,
        "HTTP": letter.http_status,
    }
    told = ", ".join(f"{name} {number}" for name, number in numbers.items() if number is not None)
    known = EVENT_FAULTS.get(letter.error_subcode or 0, "") if letter.error_code == 100 else ""
    return " ".join(part for part in (said, f"({told})" if told else "", known) if part)


def _foreign_facts(foreign: Foreign, *, reveal: bool) -> Iterator[tuple[str, str]]:
    yield "written by", foreign.family.value
    yield "written", f"{minute(foreign.written_at_ms)} UTC"
    place = (foreign.topic, foreign.partition, foreign.offset)
    yield "came from", ":".join(str(each) for each in place if each is not None)
    yield "stage", foreign.stage or ""
    yield "error", mask(foreign.error) if foreign.error else ""
    if foreign.message:
        yield "message", foreign.message if reveal else mask(foreign.message)
    yield from _carried(foreign, reveal=reveal)


def _carried(found: Letter | Foreign, *, reveal: bool) -> Iterator[tuple[str, str]]:
    if found.key is not None:
        size = counted(len(found.key), "byte")
        yield "key", found.key.decode("utf-8", "backslashreplace") if reveal else size
    headers = _others(found, reveal=reveal).items()
    shown = (name if value is None else f"{name}={value}" for name, value in headers)
    yield "other headers", ", ".join(shown)


def _others(found: Letter | Foreign, *, reveal: bool) -> dict[str, str | None]:
    """The headers that are not ours: their names, and their values if all is to be shown."""
    return {
        name: value.decode("utf-8", "backslashreplace") if reveal and value else None
        for name, value in found.headers
        if not name.startswith((PREFIX, "__connect.errors.", "kafka_dlt-"))
    }


def _replay(letter: Letter, remedy: Remedy, now_ms: int) -> str:
    told = f"{remedy.help.value.capitalize()}."
    if remedy.before:
        told += f" {remedy.before}"
    obstacle = obstacle_of(letter, now_ms=now_ms)
    if obstacle is not None:
        return f"{told} {_OBSTACLES[obstacle]}"
    until_ms = replay_until_ms(letter)
    return told if until_ms is None else f"{told} It can be replayed until {minute(until_ms)} UTC."


_OBSTACLES = {
    Obstacle.EXPIRED: "But by now it is too old for Meta.",
    Obstacle.MAYBE_DELIVERED: "But Meta may have counted it, and has forgotten its id by now.",
    Obstacle.BY_REFERENCE: "It was skipped by an operator, and lies only in the source topic.",
}


def _content_text(content: Content, look: Look, *, reveal: bool) -> str:
    match content:
        case Decoded(fields):
            how = "in full" if reveal else "personal data masked; --reveal shows it"
            lines = orjson.dumps(plain(fields), option=orjson.OPT_INDENT_2).decode().splitlines()
            event = "".join(paragraph(line, look) for line in lines)
            return styled(f"The event ({how})", "bold", look) + event
        case Raw(detail, hexadecimal, size_bytes):
            told = paragraph(f"Not decoded: {detail}.", look)
            shown_bytes = (len(hexadecimal) + 1) // 3
            more = "" if shown_bytes == size_bytes else " … (--reveal shows all)"
            shown = paragraph(f"{hexadecimal}{more}", look) if hexadecimal else ""
            return styled(f"The value ({counted(size_bytes, 'byte')})", "bold", look) + told + shown
        case NoValue(detail):
            return styled("The value", "bold", look) + paragraph(f"{detail.capitalize()}.", look)


def _rows(rows: Iterator[tuple[str, str]], look: Look) -> str:
    table = new_table(look)
    table.show_header = False
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, told in rows:
        if told:
            table.add_row(name, printable(told))
    return text_of(table, look)

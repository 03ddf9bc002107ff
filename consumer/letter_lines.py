"""One dead letter → one line, for people or for programs. No values, and no keys."""

from collections.abc import Callable
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size

from consumer.finding import printable
from consumer.iso_time import iso_time
from consumer.judge import mask
from consumer.letter import Foreign, Letter
from consumer.letter_stats import code_of
from consumer.stats_tables import minute
from consumer.text_tables import Look

WIDE = 120
"""Columns from which on a line tells more."""


def heading(look: Look) -> str:
    """The titles of the columns."""
    line = _line([column.title for column in _columns(look)], look)
    return f"\x1b[1m{line}\x1b[0m\n" if look.colour else f"{line}\n"


def letter_line(found: Letter | Foreign, look: Look) -> str:
    """One line of exactly as many columns as there are, or fewer."""
    return _line([printable(column.of(found) or "–") for column in _columns(look)], look) + "\n"


def letter_json(found: Letter | Foreign) -> dict[str, Any]:
    """All but key, value and the headers of others; what is not known is left out."""
    told = _letter_json(found) if isinstance(found, Letter) else _foreign_json(found)
    own = {"partition": found.place.partition, "offset": found.place.offset}
    return own | {name: value for name, value in told.items() if value is not None}


def _letter_json(letter: Letter) -> dict[str, Any]:
    return {
        "kind": "letter",
        "failedAt": iso_time(letter.at_ms) or None,
        "reason": letter.reason_text,
        "stage": letter.stage.value if letter.stage else None,
        "detail": letter.detail,
        "metaTitle": letter.meta_title,
        "metaMessage": letter.meta_message,
        "traceId": letter.trace_id,
        "code": letter.error_code,
        "subcode": letter.error_subcode,
        "httpStatus": letter.http_status,
        "destinationId": letter.destination,
        "eventName": letter.event_name,
        "eventId": letter.event_id,
        "eventTime": iso_time(letter.event_time_ms) or None,
        "expiresAt": iso_time(letter.expires_at_ms) or None,
        "attempts": letter.attempts,
        "firstSentAt": iso_time(letter.first_sent_at_ms) or None,
        "maybeDelivered": letter.maybe_delivered,
        "batchId": letter.batch_id,
        "origin": str(letter.origin) if letter.origin else None,
        "replays": letter.replays,
        "byReference": letter.by_reference,
        "source": f"{letter.source[0]}:{letter.source[1]}" if letter.source else None,
        "sealed": letter.sealed,
    }


def _foreign_json(foreign: Foreign) -> dict[str, Any]:
    return {
        "kind": "foreign",
        "failedAt": iso_time(foreign.written_at_ms) or None,
        "family": foreign.family.value,
        "topic": foreign.topic,
        "sourcePartition": foreign.partition,
        "sourceOffset": foreign.offset,
        "stage": foreign.stage,
        "error": foreign.error,
        "message": mask(foreign.message) if foreign.message else None,
    }


class _Column(NamedTuple):
    title: str
    width: int  # 0: the rest of the line
    of: Callable[[Letter | Foreign], str | None]


def _reason(found: Letter | Foreign) -> str:
    return found.reason_text if isinstance(found, Letter) else f"foreign: {found.family.value}"


def _code(found: Letter | Foreign) -> str | None:
    return code_of(found) if isinstance(found, Letter) else None


def _event(found: Letter | Foreign) -> str | None:
    if isinstance(found, Letter):
        return found.event_name
    return f"{found.error or ''} {mask(found.message or '')}".strip()


def _pixel(found: Letter | Foreign) -> str | None:
    return found.destination if isinstance(found, Letter) else None


def _event_id(found: Letter | Foreign) -> str | None:
    return found.event_id if isinstance(found, Letter) else None


def _columns(look: Look) -> list[_Column]:
    wide = look.columns >= WIDE
    return [
        _Column("place", 11, lambda found: str(found.place)),
        _Column("failed (UTC)" if wide else "failed UTC", 16 if wide else 11, _when(wide)),
        _Column("reason", 25, _reason),
        _Column("code", 11, _code),
        *([_Column("destination", 16, _pixel)] if wide else []),
        _Column("event", 20 if wide else 0, _event),
        *([_Column("event id", 0, _event_id)] if wide else []),
    ]


def _when(wide: bool) -> Callable[[Letter | Foreign], str]:
    """With the year where there is room."""
    return lambda found: minute(found.written_at_ms)[0 if wide else 5 :]


def _line(cells: list[str], look: Look) -> str:
    left, parts = look.columns, []
    for cell, column in zip(cells, _columns(look), strict=True):
        if left <= 0:
            break
        parts.append(_fitted(cell, min(column.width or left, left)))
        left -= cell_len(parts[-1]) + _GAP
    return (" " * _GAP).join(parts).rstrip()


def _fitted(cell: str, width: int) -> str:
    """As wide as the column, and cut with a sign that it is."""
    if cell_len(cell) <= width:
        return set_cell_size(cell, width)
    return set_cell_size(cell, width - 1) + "…"


_GAP = 2

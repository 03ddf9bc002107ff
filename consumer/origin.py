"""Where a record first appeared, and the event id that follows from it.

Both survive dead letters and replays: our headers carry them, and only where these are absent is
the record's own place taken.
"""

import hashlib

from consumer.model import Origin, Record

ORIGIN = "conversions.origin"
EVENT_ID = "conversions.event_id"

MASKED = "(masked)"
"""Stands in a header for a name or id that looks like a person's."""


def text_header(record: Record, name: str) -> str | None:
    """A header's text; None if it is absent, empty or no UTF-8. Of several the last one counts."""
    for key, value in reversed(record.headers):
        if key == name and value:
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError:
                return None
    return None


def origin_of(record: Record) -> Origin:
    """The record's origin: from its header when that is sound, else its own place."""
    if record.headers and (found := header_origin(record)) is not None:
        return found
    topic, partition = record.partition
    return Origin(topic, partition, record.offset, record.timestamp_ms)


def header_origin(record: Record) -> Origin | None:
    """The origin that the header tells; None if it tells none."""
    return origin_from(text_header(record, ORIGIN) or "")


def origin_from(text: str) -> Origin | None:
    """The reverse of an origin's text; None if it is none."""
    parts = text.rsplit(":", 3)
    if len(parts) == 4 and all(is_whole(part) for part in parts[1:]):
        return Origin(parts[0], int(parts[1]), int(parts[2]), int(parts[3]))
    return None


def event_id_of(record: Record, given: object) -> str:
    """``given`` is the value's own ``eventId``; then comes the header; then a hash of the origin
    and the value's bytes, which is the same at every retry, restart and replay."""
    if isinstance(given, str) and given.strip():
        return given.strip()
    return header_event_id(record) or _derived(record)


def header_event_id(record: Record) -> str | None:
    """The event id that a dead letter or a publisher put into the header."""
    found = text_header(record, EVENT_ID) if record.headers else None
    return None if found == MASKED else found


def _derived(record: Record) -> str:
    text = f"{origin_of(record)}\n".encode()
    return hashlib.sha256(text + (record.value or b"")).hexdigest()[:32]


def is_whole(text: str) -> bool:
    """Whether ``text`` is a whole number of at most 64 bits, as headers have them."""
    digits = text.removeprefix("-")
    if len(digits) > 19 or not digits.isascii() or not digits.isdigit():
        return False
    return -(2**63) <= int(text) < 2**63

"""A dead letter ↔ a line of JSON that ``publish`` puts back: event and provenance. Pure.

The event's fields are the writer's own, as ``avro_json`` has them; beside them the object
``conversions`` says which schema they are encoded with and what the record carried.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from consumer.avro_json import json_of, value_of
from consumer.avro_kinds import Misfit
from consumer.avro_scalars import bytes_json, bytes_of
from consumer.dead_letter import PREFIX, OwnHeader
from consumer.decode import SchemaRef, framing, head_of
from consumer.iso_time import iso_time, ms_of_iso
from consumer.json_lines import PROVENANCE
from consumer.letter import Letter
from consumer.model import Header, Origin
from consumer.origin import origin_from
from consumer.repair import Unfit, Whole, WholeEvents
from consumer.replay_record import publishers_headers


class Provenance(NamedTuple):
    """What an exported line says of its record. ``key`` is None for one that had none.

    ``replays`` counts those before the line is published. ``first_sent_at_ms`` is there if Meta may
    have counted it then. ``schema`` is None when the event is to
    be encoded with our own schema. ``value`` is the whole record, where that was exported.
    """

    origin: Origin | None
    event_id: str | None
    replays: int
    first_sent_at_ms: int | None
    schema: SchemaRef | None
    key: bytes | None
    headers: tuple[Header, ...]
    value: "Bytes | None"

    def __repr__(self) -> str:
        return f"Provenance({self.origin})"

    def record_headers(self) -> list[Header]:
        """The headers of the record that the line becomes: a replay more."""
        own = [(OwnHeader.REPLAYS, str(self.replays + 1))]
        if self.origin is not None:
            own.append((OwnHeader.ORIGIN, str(self.origin)))
        if self.event_id is not None:
            own.append((OwnHeader.EVENT_ID, self.event_id))
        if self.first_sent_at_ms is not None:
            own.append((OwnHeader.FIRST_SENT_AT, iso_time(self.first_sent_at_ms)))
        return [*self.headers, *((each.header, text.encode()) for each, text in own)]


class Bytes(NamedTuple):
    """A record's value as it was; ``value`` is None for null."""

    value: bytes | None

    def __repr__(self) -> str:
        return "Bytes()"


def exported(letter: Letter, events: WholeEvents) -> dict[str, Any]:
    """The line of a letter that is complete and not sealed.

    What cannot be read as an event is there in hex, so that nothing is lost.
    """
    told: dict[str, Any] = {
        "place": str(letter.place),
        "origin": str(letter.origin) if letter.origin else None,
        "eventId": letter.event_id,
        "replays": letter.replays,
        "firstSentAt": iso_time(letter.first_sent_at_ms) or None
        if letter.maybe_delivered
        else None,
        "reason": letter.reason_text,
        "detail": letter.detail,
    }
    told = {name: value for name, value in told.items() if value is not None}
    told["key"] = None if letter.key is None else bytes_json(letter.key)
    headers = [
        [name, None if value is None else bytes_json(value)]
        for name, value in publishers_headers(letter.headers)
    ]
    told |= {"headers": headers} if headers else {}
    whole = events.read(letter)
    if isinstance(whole, Whole) and any(
        field.name == PROVENANCE for field in whole.schema.kind.fields
    ):
        whole = Unfit(f"the writer's schema has a field {PROVENANCE}, as this object is called")
    if isinstance(whole, Unfit):
        told["undecoded"] = whole.detail
        told["valueHex"] = None if letter.value is None else letter.value.hex()
        return {PROVENANCE: told}
    named = framing(whole.head)
    assert named is not None, "it was just read by its framing"
    told["schema"] = named.ref if isinstance(named.ref, int) else named.ref.hex()
    return {**json_of(whole.schema.kind, whole.record), PROVENANCE: told}


def provenance_of(told: Any) -> Provenance:
    """What is in a line's ``conversions``. Raises Misfit; what it does not need it does not look
    at, such as the reason."""
    _must(isinstance(told, Mapping), "", "an object")
    origin, event_id, replays = (told.get(name) for name in ("origin", "eventId", "replays"))
    found = origin_from(origin) if isinstance(origin, str) else None
    _must(origin is None or found is not None, "origin", "topic:partition:offset:timestamp")
    _must(event_id is None or _is_id(event_id), "eventId", "a text")
    whole = isinstance(replays, int) and not isinstance(replays, bool) and 0 <= replays < 10**9
    _must(replays is None or whole, "replays", "a whole number")
    sent = told.get("firstSentAt")
    sent_ms = ms_of_iso(sent) if isinstance(sent, str) else None
    _must(sent is None or sent_ms is not None, "firstSentAt", "a time in ISO 8601")
    return Provenance(
        origin=found,
        event_id=event_id,
        replays=replays or 0,
        first_sent_at_ms=sent_ms,
        schema=_schema(told.get("schema")),
        key=_bytes(told.get("key"), "key"),
        headers=_headers(told.get("headers")),
        value=Bytes(_hex(told["valueHex"])) if "valueHex" in told else None,
    )


def value_in(given: Mapping[str, Any], ref: SchemaRef, events: WholeEvents) -> bytes:
    """The value of a line, without its ``conversions``, by the schema that it names. Raises
    Misfit."""
    schema = events.schema(ref)
    if isinstance(schema, Unfit):
        raise Misfit(schema.detail)
    return schema.written(value_of(schema.kind, given, ""), head_of(ref))


def _must(fine: bool, name: str, be: str) -> None:
    if not fine:
        raise Misfit(f"{PROVENANCE}{'.' if name else ''}{name} must be {be}")


def _is_id(given: Any) -> bool:
    return isinstance(given, str) and bool(given)


def _schema(given: Any) -> SchemaRef | None:
    match given:
        case None:
            return None
        case bool():
            pass
        case int() if 0 <= given < 2**31:
            return given
        case str() if re.fullmatch("[0-9a-f]{16}", given):
            return bytes.fromhex(given)
    raise Misfit(f"{PROVENANCE}.schema must be a schema id, or a fingerprint of 16 hex digits")


def _headers(given: Any) -> tuple[Header, ...]:
    _must(given is None or isinstance(given, list), "headers", "a list")
    headers: list[Header] = []
    for each in given or ():
        match each:
            case [str(name), value] if not name.startswith(PREFIX):
                headers.append((name, _bytes(value, "headers")))
            case _:
                _must(False, "headers", f"pairs of a name, none in {PREFIX}, and a value")
    return tuple(headers)


def _bytes(given: Any, name: str) -> bytes | None:
    found = None if given is None else bytes_of(given)
    _must(given is None or found is not None, name, 'a text, {"hex": …} or null')
    return found


def _hex(given: Any) -> bytes | None:
    if given is None:
        return None
    try:
        return bytes.fromhex(given)
    except (TypeError, ValueError):
        raise Misfit(f"{PROVENANCE}.valueHex must be hex digits, or null") from None

"""A line of JSON → the fields of an event, for the tools that read files.

The shape is the Avro record's, with the freedoms that a file needs: ``eventTime`` may be seconds,
milliseconds or ISO 8601; ``email``, ``phone`` and ``externalId`` may be lists; ``customData`` any
object; optional fields may be absent.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import IO, Any, NamedTuple

import orjson

from consumer.decode import event_time_ms
from consumer.iso_time import ms_of_iso
from consumer.schema_plan import event_schema

LINE_BYTES_MAX = 8 * 1024 * 1024
LISTS_TOO = frozenset(("user.email", "user.phone", "user.externalId"))
PROVENANCE = "conversions"
"""The object of an exported line that is no part of its event."""
FREE_OBJECTS = frozenset(("customData",))


class Mistake(NamedTuple):
    """What is wrong with a line: the field's path (empty for the whole line) and a sentence.

    ``event_id`` is the line's own, where it has one that can be read.
    """

    field: str
    message: str
    event_id: str | None = None


class Line(NamedTuple):
    """A line that could be read. ``unknown`` are the paths of fields that the schema lacks."""

    fields: dict[str, Any]
    event_time_ms: int | None
    unknown: tuple[str, ...]


def numbered_lines(lines: IO[bytes]) -> Iterator[tuple[int, bytes | Mistake]]:
    """Each line that is not blank with its number, from 1; a mistake for one that is too long."""
    number = 0
    while line := lines.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            while line and not line.endswith(b"\n"):
                line = lines.readline(LINE_BYTES_MAX)
            yield number, Mistake("", f"a line may hold {LINE_BYTES_MAX // 2**20} MiB at most")
            continue
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield number, line


def read_line(line: bytes) -> Line | Mistake:
    """Read one line. No value of the line appears in a mistake's message.

    Of an exported dead letter the event id counts, where the event has none itself.
    """
    given = read_object(line)
    if isinstance(given, Mistake):
        return given
    told = given.pop(PROVENANCE, None)
    if isinstance(told, dict) and not given.get("eventId"):
        given |= {"eventId": told["eventId"]} if told.get("eventId") else {}
    return read_fields(given)


def read_object(line: bytes) -> dict[str, Any] | Mistake:
    """The object of a line."""
    try:
        given = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Mistake("", f"no JSON: {error.msg} at column {error.colno}")
    return given if isinstance(given, dict) else Mistake("", "a line must be one JSON object")


def read_fields(given: dict[str, Any]) -> Line | Mistake:
    """The fields of a line's object."""
    event_id = given.get("eventId")
    named = event_id if isinstance(event_id, str) and event_id else None
    time = _time(given.pop("eventTime", None))
    unknown: list[str] = []
    try:
        fields = _record(_shape(), given, "", unknown)
    except _WrongType as wrong:
        return Mistake(wrong.path, f"{wrong.path} must be {wrong.wanted}", named)
    if isinstance(time, Mistake):
        return time._replace(event_id=named)
    fields["eventTime"] = time
    return Line(fields, time, tuple(unknown))


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a field may hold: a primitive's name, or a record, array or map of kinds.

    ``fields`` has those of a record under each of their names, with the one that is ours."""

    name: str
    fields: Mapping[str, "tuple[str, _Kind]"] | None = None
    items: "_Kind | None" = None


class _WrongType(Exception):
    def __init__(self, path: str, wanted: str) -> None:
        super().__init__(wanted)
        self.path, self.wanted = path, wanted


@cache
def _shape() -> _Kind:
    return _kind(event_schema())


def _kind(schema: Any) -> _Kind:
    if isinstance(schema, list):
        return _kind(next(branch for branch in schema if branch != "null"))
    if isinstance(schema, str):
        return _Kind(schema)
    match schema["type"]:
        case "record":
            fields: dict[str, tuple[str, _Kind]] = {}
            for field in schema["fields"]:
                known = (field["name"], _kind(field["type"]))
                fields |= dict.fromkeys((field["name"], *field.get("aliases", ())), known)
            return _Kind("record", fields=fields)
        case "array":
            return _Kind("array", items=_kind(schema["items"]))
        case "map":
            return _Kind("map", items=_kind(schema["values"]))
        case other:
            return _kind(other)


def _record(kind: _Kind, given: dict[str, Any], path: str, unknown: list[str]) -> dict[str, Any]:
    assert kind.fields is not None, "a record has fields"
    fields: dict[str, Any] = {}
    for name, value in given.items():
        here = f"{path}{name}"
        known = kind.fields.get(name)
        if known is None:
            unknown.append(here)
            continue
        own, expected = known
        if value is not None and (name == own or own not in fields):
            fields[own] = _value(expected, value, here, unknown)
    return fields


def _value(kind: _Kind, value: Any, path: str, unknown: list[str]) -> Any:
    if path in LISTS_TOO and isinstance(value, list):
        return [_text(each, path) for each in value if each is not None]
    if path in FREE_OBJECTS and isinstance(value, dict):
        return value
    match kind.name:
        case "record" if isinstance(value, dict):
            return _record(kind, value, f"{path}.", unknown)
        case "array" if isinstance(value, list):
            assert kind.items is not None, "an array has items"
            return [_value(kind.items, each, path, unknown) for each in value if each is not None]
        case "map" if isinstance(value, dict):
            assert kind.items is not None, "a map has values"
            return {key: _value(kind.items, each, path, unknown) for key, each in value.items()}
        case "string":
            return _text(value, path)
        case "boolean" if isinstance(value, bool):
            return value
        case "long" if isinstance(value, int) and not isinstance(value, bool):
            return value
        case "double" if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        case _:
            raise _WrongType(path, _wanted(kind))


def _text(value: Any, path: str) -> str:
    """A string; a whole number is taken as its digits, as people write ids without quotes."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise _WrongType(path, "a string")


def _wanted(kind: _Kind) -> str:
    return {
        "record": "an object",
        "array": "a list",
        "map": "an object",
        "boolean": "true or false",
        "long": "a whole number",
        "double": "a number",
    }[kind.name]


def _time(value: Any) -> int | Mistake | None:
    """Milliseconds since the epoch."""
    mistake = Mistake("eventTime", "eventTime must be seconds, milliseconds or ISO 8601")
    if value is None:
        return None
    if isinstance(value, bool):
        return mistake
    if isinstance(value, int):
        return event_time_ms(value, 0)
    if isinstance(value, float):
        milliseconds = value * 1000 if abs(value) < 10**11 else value
        return int(milliseconds) if abs(milliseconds) < 10**15 else mistake
    if not isinstance(value, str):
        return mistake
    found = ms_of_iso(value.strip())
    return mistake if found is None else found

"""A writer's schema → how to read our event out of it. Made once per schema, used per record.

Decoding with a reader's schema that differs from the writer's costs twice as much as decoding
with the writer's alone, so the common case avoids it: the writer's schema is compared with ours
once, field by field, and what differs (a name, the unit of a time, a decimal) becomes a small
conversion. Names of records and namespaces are not compared: a publisher may call its record as
it likes. Where no such plan is possible, Avro's own schema resolution is used.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

import fastavro
from fastavro.schema import SchemaParseException, fingerprint, to_parsing_canonical_form

from consumer.schema_bounds import Unbounded, check_bounded
from consumer.schema_units import (
    has_decimals,
    matching_field,
    plain,
    rescale,
    time_per_ms,
    units_within,
)

Convert = Callable[[Any], Any]


DECIMAL_EVENT_BYTES_MAX = 64 * 1024
"""Of which all but a few are one absurd number, at worst: a third of a second to read."""


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """How records of one writer's schema are read.

    ``reader`` is None when the writer's schema alone suffices. ``convert`` (None: nothing to do)
    makes our names, types and units of what was read. ``time_per_ms`` is how many units of the
    writer's event time make a millisecond; 0 says that the writer named no unit. ``bytes_max``
    bounds the values of schemas with decimals, whose reading takes time in the square of theirs.
    """

    writer: Any
    reader: Any
    convert: Convert | None
    time_per_ms: int
    bytes_max: int | None


@dataclass(frozen=True, slots=True)
class UnusableSchema:
    """A schema that no event of ours can be read from, and why."""

    detail: str


def event_schema() -> dict[str, Any]:
    """The schema that publishers write, ``conversion_event.avsc``, as JSON."""
    text = files("consumer").joinpath("conversion_event.avsc").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def schema_fingerprint(schema: Any) -> bytes:
    """The 8 bytes of CRC-64-AVRO that single-object encoding carries, little-endian."""
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


def plan_reading(schema: Any) -> ReadPlan | UnusableSchema:
    """Compare a writer's schema (parsed JSON) with ours.

    Schemas that could be used to exhaust stack or memory are unusable: ones that contain
    themselves, arrays whose items take no bytes, and records nested into a multitude.
    """
    try:
        named: dict[str, Any] = {}
        writer = fastavro.parse_schema(plain(schema), named)
        check_bounded(writer, named)
        return _plan(schema, writer, named)
    except (Unbounded, SchemaParseException) as error:
        return UnusableSchema(f"the schema cannot be used: {error}")
    except Exception as error:  # whatever a publisher may have registered: it is only data
        return UnusableSchema(f"the schema cannot be used: {type(error).__name__}")


def _plan(schema: Any, writer: Any, named: Mapping[str, Any]) -> ReadPlan:
    per_ms = time_per_ms(schema)
    ours = _our_schema()
    reader, convert = None, None
    try:
        convert = _plan_type(ours, writer, named)
    except _NoPlanError:
        reader = ours
    if units := units_within(ours, writer, named):
        convert = _in_turn(convert, lambda values: rescale(values, units))
    bytes_max = DECIMAL_EVENT_BYTES_MAX if has_decimals(writer) else None
    return ReadPlan(writer, reader, convert, per_ms, bytes_max)


def _in_turn(first: Convert | None, second: Convert) -> Convert:
    return second if first is None else lambda values: second(first(values))


class BranchError(ValueError):
    """The value is of a branch of the writer's union that our field does not have."""


class _NoPlanError(Exception):
    """Our field cannot be taken from the writer's by a conversion of ours."""


@cache
def _our_schema() -> Any:
    return fastavro.parse_schema(plain(event_schema()))


def _plan_type(ours: Any, theirs: Any, named: Mapping[str, Any]) -> Convert | None:
    """A conversion of their values into ours, None when they are the same already."""
    wanted = _without_null(ours)
    if isinstance(theirs, list) and len(_branches(theirs)) > 1:
        return _plan_union(wanted, _branches(theirs), named)
    given = _without_null(theirs)
    if isinstance(given, str) and given in named:
        given = named[given]
    convert = _plan_concrete(wanted, given, named)
    if convert is None or not isinstance(theirs, list):
        return convert
    return lambda value: None if value is None else convert(value)


def _branches(union: list[Any]) -> list[Any]:
    return [branch for branch in union if branch != "null"]


def _without_null(schema: Any) -> Any:
    if not isinstance(schema, list):
        return schema
    branches = _branches(schema)
    if len(branches) != 1:
        raise _NoPlanError
    return branches[0]


_PRIMITIVES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "long": int,
    "double": (int, float, Decimal),
    "boolean": bool,
}


def _number(value: Decimal) -> float:
    """A decimal, of whatever precision, as the number that it is to six places."""
    return round(float(value), 6)


def _plan_union(wanted: Any, branches: list[Any], named: Mapping[str, Any]) -> Convert:
    """Of a union of several types the values of ours are taken; others are an error when met."""
    kind = wanted if isinstance(wanted, str) else wanted["type"]
    if kind not in _PRIMITIVES:
        raise _NoPlanError
    fitting = _PRIMITIVES[kind]

    def check(value: Any) -> Any:
        if value is None or (
            isinstance(value, fitting) and isinstance(value, bool) == (kind == "boolean")
        ):
            return _number(value) if isinstance(value, Decimal) else value
        raise BranchError

    return check


def _plan_concrete(wanted: Any, given: Any, named: Mapping[str, Any]) -> Convert | None:
    want = wanted if isinstance(wanted, str) else wanted["type"]
    have = given if isinstance(given, str) else given["type"]
    decimal = isinstance(given, dict) and given.get("logicalType") == "decimal"
    match want, have:
        case "record", "record":
            return _plan_record(wanted, given, named)
        case "array", "array":
            item = _plan_type(wanted["items"], given["items"], named)
            return None if item is None else lambda values: [item(value) for value in values]
        case "map", "map":
            entry = _plan_type(wanted["values"], given["values"], named)
            if entry is None:
                return None
            return lambda values: {key: entry(value) for key, value in values.items()}
        case "double", "bytes" | "fixed" if decimal:
            return _number
        case "long", "bytes" | "fixed" if decimal and not given.get("scale"):
            return int
        case "double", "float" | "double" | "int" | "long":
            return None
        case "long", "int" | "long":
            return None
        case "string", "string" | "enum":
            return None
        case "string", "bytes" if not decimal:
            return lambda value: value.decode("utf-8")
        case "boolean", "boolean":
            return None
        case _:
            raise _NoPlanError


def _plan_record(wanted: Any, given: Any, named: Mapping[str, Any]) -> Convert | None:
    steps: list[tuple[str, str, Convert | None]] = []
    for entry in wanted["fields"]:
        source = matching_field(entry, given["fields"])
        if source is None:
            if "default" not in entry:
                raise _NoPlanError
            continue
        steps.append(
            (entry["name"], source["name"], _plan_type(entry["type"], source["type"], named))
        )
    if all(name == source and convert is None for name, source, convert in steps):
        return None

    def read(values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: values[source] if convert is None else convert(values[source])
            for name, source, convert in steps
        }

    return read

"""The units of the times in a writer's schema, and how its fields are found by name.

Logical types are taken off a schema before it is used, and the unit of a time is noted instead.
"""

from collections.abc import Mapping
from typing import Any

_PER_MS = "conversions.per_ms"
"""Where ``plain`` notes the unit of a time: so many of it make a millisecond."""


def plain(schema: Any) -> Any:
    """The schema without logical types, but for decimals: a ``datetime`` per record costs more
    than the whole plan, and a plain long is what we want. The unit of a time is noted."""
    if isinstance(schema, list):
        return [plain(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    keep = schema.get("logicalType") == "decimal"
    stripped = {
        key: value if key == "default" else plain(value)
        for key, value in schema.items()
        if keep or key != "logicalType"
    }
    per_ms = _unit(schema) if isinstance(schema.get("logicalType"), str) else 0
    return stripped | {_PER_MS: per_ms} if per_ms else stripped


def has_decimals(schema: Any) -> bool:
    """Whether a decimal is anywhere in the schema."""
    if isinstance(schema, list):
        return any(map(has_decimals, schema))
    if not isinstance(schema, dict):
        return False
    return schema.get("logicalType") == "decimal" or any(map(has_decimals, schema.values()))


def time_per_ms(schema: Any) -> int:
    """How many units of a schema's event time make a millisecond; 0: it names no unit."""
    if isinstance(schema, list):
        return max(map(time_per_ms, schema), default=0)
    fields = schema.get("fields", ()) if isinstance(schema, dict) else ()
    for candidate in fields:
        if "eventTime" in (candidate["name"], *candidate.get("aliases", ())):
            return _unit(candidate["type"])
    return 0


def _unit(kind: Any) -> int:
    for branch in kind if isinstance(kind, list) else [kind]:
        logical = branch.get("logicalType", "") if isinstance(branch, dict) else ""
        for ending, per_ms in (("-millis", 1), ("-micros", 1_000), ("-nanos", 1_000_000)):
            if logical.endswith("timestamp" + ending):
                return per_ms
    return 0


def units_within(ours: Any, theirs: Any, named: Mapping[str, Any]) -> dict[str, Any]:
    """The times of the records within the event that are not in milliseconds: by our names their
    units, or a table of them again. Of the event's own time ``time_per_ms`` tells."""
    found = _units(ours, theirs, named)
    found.pop("eventTime", None)
    return found


def rescale(values: Any, units: Mapping[str, Any]) -> Any:
    """Those times into milliseconds, in place."""
    for name, unit in units.items():
        value = values.get(name)
        if isinstance(value, dict):
            rescale(value, unit)
        elif isinstance(value, int):
            values[name] = value // unit
    return values


def matching_field(entry: Any, candidates: list[Any]) -> Any:
    """The writer's field for one of ours: of our name, else of an alias of either's."""
    names = {entry["name"], *entry.get("aliases", ())}
    for fits in (
        lambda field: field["name"] == entry["name"],
        lambda field: field["name"] in names,
        lambda field: names & set(field.get("aliases", ())),
    ):
        if (found := next(filter(fits, candidates), None)) is not None:
            return found
    return None


def _units(ours: Any, theirs: Any, named: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    candidates = _fields_of(theirs, named)
    for entry in _fields_of(ours, {}):
        source = matching_field(entry, candidates)
        if source is None:
            continue
        if noted_unit(entry["type"]) and (per_ms := noted_unit(source["type"])) > 1:
            found[entry["name"]] = per_ms
        elif within := _units(entry["type"], source["type"], named):
            found[entry["name"]] = within
    return found


def _fields_of(kind: Any, named: Mapping[str, Any]) -> list[Any]:
    """The fields of the record that a type is or that a union has; none for other types."""
    for branch in kind if isinstance(kind, list) else [kind]:
        known = named.get(branch) if isinstance(branch, str) else branch
        if isinstance(known, dict) and known.get("type") == "record":
            fields: list[Any] = known["fields"]
            return fields
    return []


def noted_unit(kind: Any) -> int:
    branches = kind if isinstance(kind, list) else [kind]
    return max((each.get(_PER_MS, 0) for each in branches if isinstance(each, dict)), default=0)

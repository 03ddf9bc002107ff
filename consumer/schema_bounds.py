"""Whether reading by a schema has a bound: what a publisher registers is only data.

A few bytes must not become an event that exhausts stack or memory.
"""

from collections.abc import Mapping
from typing import Any

_NODES_MAX = 50_000


class Unbounded(Exception):
    """Reading by this schema has no bound; the text says why."""


def check_bounded(writer: Any, named: Mapping[str, Any]) -> None:
    """Raise ``Unbounded`` for a parsed schema that contains itself, that has arrays whose items
    take no bytes, or whose records are nested into a multitude."""
    _nodes(writer, named, (), {})


def _nodes(
    schema: Any, named: Mapping[str, Any], inside: tuple[str, ...], known: dict[str, int]
) -> int:
    """How many values one event of this schema holds at most, arrays and maps counted as one."""
    if isinstance(schema, list):
        return sum(_nodes(branch, named, inside, known) for branch in schema)
    if isinstance(schema, str):
        if schema in inside:
            raise Unbounded(f"{schema} contains itself")
        if schema not in named:
            return 1
        if schema not in known:
            known[schema] = _nodes(named[schema], named, inside, known)
        return known[schema]
    match schema["type"]:
        case "record" | "error":
            within = (*inside, schema["name"])
            count = 1 + sum(_nodes(f["type"], named, within, known) for f in schema["fields"])
            if count > _NODES_MAX:
                raise Unbounded(f"one event would hold more than {_NODES_MAX} values")
            return count
        case "array":
            if _takes_no_bytes(schema["items"], named):
                raise Unbounded("an array of items that take no bytes")
            return 1 + _nodes(schema["items"], named, inside, known)
        case "map":
            return 1 + _nodes(schema["values"], named, inside, known)
        case nested if isinstance(nested, dict | list):
            return _nodes(nested, named, inside, known)
        case _:
            return 1


def _takes_no_bytes(schema: Any, named: Mapping[str, Any]) -> bool:
    if isinstance(schema, str):
        return schema == "null" or (schema in named and _takes_no_bytes(named[schema], named))
    if isinstance(schema, list):
        return False  # a union has at least its branch's number
    match schema["type"]:
        case "record" | "error":
            return all(_takes_no_bytes(entry["type"], named) for entry in schema["fields"])
        case "fixed":
            return bool(schema["size"] == 0)
        case other:
            return bool(other == "null")

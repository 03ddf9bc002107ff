"""Kinds of values: in words, and as a test of what JSON was decoded to.

A kind answers for one value, ``misfit`` walks an object with a table of kinds. Types come first
and are compared without a call: a batch of 1,000 events has some 30,000 values.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from consumer.emulator_refusal import Refusal, invalid, unexpected_key


class Kind(NamedTuple):
    """What a value may be: ``said`` ends a sentence that begins with "It must be".

    ``types`` are compared with ``type()``, for which a boolean is no number; ``check`` looks
    closer at a value of one of them: whatever it returns is true or false enough.
    """

    said: str
    types: tuple[type, ...]
    check: Callable[[Any], object] | None = None

    def fits(self, value: Any) -> bool:
        """Whether the value is of this kind."""
        return type(value) in self.types and (self.check is None or bool(self.check(value)))


def misfit(
    given: Mapping[str, Any], kinds: Mapping[str, Kind], path: str, *, free: bool = False
) -> Refusal | None:
    """The refusal of the first key or value that is not of these ``kinds``, None if all are.

    Null is absent. A ``free`` object may hold keys that are not named; ``path`` is where it lies.
    """
    for key, value in given.items():
        kind = kinds.get(key)
        if kind is None:
            if not free:
                return unexpected_key(key, path)
            continue
        if type(value) in kind.types and (kind.check is None or kind.check(value)):
            continue
        if value is not None:
            return invalid(f"{key} must be {kind.said}.", f"{path}['{key}']")
    return None


TEXT = Kind("a string", (str,))
WHOLE = Kind("a whole number", (int,))
COUNT = Kind("a whole number of 0 or more", (int,), lambda value: value >= 0)
NUMBER = Kind("a number", (int, float))
FLAG = Kind("true or false", (bool,))
# Meta's page on app events writes 0 and 1, its SDK true and false.
SWITCH = Kind("true, false, 0 or 1", (bool, int), lambda value: value in (0, 1))
ARRAY = Kind("an array", (list,))
OBJECT = Kind("an object", (dict,))
NAME = Kind("a string or a whole number", (str, int))
FILLED = Kind("a string that is not blank", (str,), str.strip)


def one_of(text: str) -> Kind:
    """One of these words."""
    known = frozenset(text.split())
    return Kind(f"one of {', '.join(sorted(known))}", (str,), known.__contains__)


def numbered(said: str, numbers: Iterable[int]) -> Kind:
    """One of these numbers."""
    return Kind(said, (int,), frozenset(numbers).__contains__)


def matching(said: str, pattern: str) -> Kind:
    """A string that the pattern matches as a whole."""
    return Kind(said, (str,), re.compile(pattern, re.ASCII).fullmatch)


def list_of(kind: Kind) -> Kind:
    """An array of values of one kind."""
    said, types = f"an array, each {kind.said}", frozenset(kind.types)
    if kind.check is None:
        return Kind(said, (list,), lambda value: types.issuperset(map(type, value)))
    return Kind(said, (list,), lambda value: all(map(kind.fits, value)))


def either(one: Kind, other: Kind) -> Kind:
    """Of one kind or of the other."""
    said = f"{one.said}, or {other.said}"
    if one.check is None and other.check is None:
        return Kind(said, one.types + other.types)
    return Kind(said, one.types + other.types, lambda value: one.fits(value) or other.fits(value))

"""Graph's ``fields``: ``web{event_name,event_match_quality{composite_score}}`` → what is wanted."""

import re
from collections.abc import Mapping
from typing import Any

from consumer.emulator_refusal import Refusal

Wanted = Mapping[str, "Wanted | None"]
"""Names, each with the names wanted within it; None is all of it."""


class FieldsError(Exception):
    """The fields cannot be; ``refusal`` is what Meta says to them."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def parse_fields(text: str, known: Wanted) -> Wanted:
    """What is wanted of the ``known``. Raises ``FieldsError``, also for a name that is not known.

    Nothing but commas may stand between the fields, but white space does no harm.
    """
    tokens = _TOKENS.findall(re.sub(r"\s", "", text))[::-1]
    wanted = _names(tokens, known)
    if tokens:
        raise _syntax_error(tokens[-1])
    return wanted


def chosen(given: Any, wanted: Wanted | None) -> Any:
    """The part of an answer that is wanted; of a list, that of each element."""
    if wanted is None:
        return given
    if isinstance(given, list):
        return [chosen(each, wanted) for each in given]
    if not isinstance(given, dict):
        return given
    return {name: chosen(given[name], inner) for name, inner in wanted.items() if name in given}


def _names(tokens: list[str], known: Wanted) -> dict[str, Wanted | None]:
    """One list of names. ``tokens`` are in reverse, and lose what is read. It goes no deeper than
    what is known."""
    wanted: dict[str, Wanted | None] = {}
    while True:
        name = _next(tokens)
        if not name.isidentifier():
            raise _syntax_error(name)
        if name not in known:
            message = f"(#100) Tried accessing nonexisting field ({name})"
            raise FieldsError(Refusal(code=100, message=message))
        wanted[name] = None
        if tokens[-1:] == ["{"]:
            tokens.pop()
            wanted[name] = _names(tokens, known[name] or {})
            if (closing := _next(tokens)) != "}":
                raise _syntax_error(closing)
        if tokens[-1:] != [","]:
            return wanted
        tokens.pop()


def _next(tokens: list[str]) -> str:
    return tokens.pop() if tokens else ""


def _syntax_error(token: str) -> FieldsError:
    where = f'near "{token}"' if token else "at its end"
    return FieldsError(Refusal(code=2500, message=f"Syntax error in the fields, {where}"))


_TOKENS = re.compile(r"\w+|.")

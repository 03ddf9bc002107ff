"""Which event of a request an error of Meta's points at. Pure.

No page of Meta's promises such a hint. A path like ``$['data'][17]['user_data']`` in the texts and
an ``event_index`` in ``error_data`` (an object, or JSON inside a string) were seen in public
reports. Paths are not words: they are the same in every language. Whoever uses a hint checks it.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

_PATH = re.compile(r"""(?<![\w$])(?:\$\.?)?(?:\[\s*(['"]?)data\1\s*\]|data)\[\s*(\d{1,6})\s*\]""")
_DIGITS_MAX = 6
_LOOKED_AT_MAX = 500


def event_index(error: Mapping[str, Any]) -> int | None:
    """The index that an ``error`` object of Graph names, counted from 0; None when it names none.

    It may lie outside of the request. What is told as data outranks what is told in a text.
    """
    found = _in_data(error.get("error_data"))
    for name in ("error_user_msg", "message"):
        text = error.get(name)
        if found is None and isinstance(text, str) and (path := _PATH.search(text)):
            found = int(path[2])
    return found


def _in_data(data: Any) -> int | None:
    """The first ``event_index`` in objects and lists of any depth; a bounded search."""
    waiting = [data]
    for _ in range(_LOOKED_AT_MAX):
        if not waiting:
            return None
        value = _unpacked(waiting.pop())
        if isinstance(value, dict):
            index = _index(value.get("event_index"))
            if index is not None:
                return index
            waiting += list(value.values())[::-1]
        elif isinstance(value, list):
            waiting += value[::-1]
    return None


def _unpacked(value: Any) -> Any:
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _index(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[: _DIGITS_MAX + 1])
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < 10**_DIGITS_MAX else None

"""Whatever comes in → a label of a closed set: the series stay few, and tell of nobody. Pure.

What belongs to no set becomes ``other``, an event name that is not Meta's ``custom``.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from enum import Enum
from functools import cache
from typing import Any

from consumer.event_names import STANDARD_EVENT_NAMES
from consumer.match_keys import META_KEYS, USER_FIELDS
from consumer.model import DropReason, PixelId
from consumer.schema_plan import event_schema
from consumer.verdicts import NEGATIVE, ROWS

CUSTOM = "custom"
"""The event name of all that are none of Meta's own."""
OTHER = "other"
NOBODY = "unknown"
"""The destination of records that name none of ours."""

RANGE_MIN = 10
"""From so many codes on a range of Meta's has one label for all of them."""

_STANDARD = frozenset(STANDARD_EVENT_NAMES)
_KEYS = frozenset(META_KEYS)
_TRACE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class CodeClass(Enum):
    """The class of an answer's HTTP status; ``none`` when there was no answer."""

    SUCCESS = "2xx"
    REDIRECTION = "3xx"
    CLIENT_ERROR = "4xx"
    SERVER_ERROR = "5xx"
    NONE = "none"


class DestinationLabels:
    """The destinations that are configured: ``known`` changes with their file."""

    def __init__(self) -> None:
        self.known: frozenset[PixelId] = frozenset()

    def of(self, destination: PixelId | None) -> str:
        """Its label: one that is not configured is ``other``."""
        return destination if destination is not None and destination in self.known else OTHER


def event_name_label(event_name: str) -> str:
    """One of Meta's names, or ``custom``."""
    return event_name if event_name in _STANDARD else CUSTOM


def match_key_label(match_key: str) -> str:
    """Meta's name of a match key."""
    return match_key if match_key in _KEYS else OTHER


@cache
def droppable() -> frozenset[tuple[str, DropReason]]:
    """Which field may be dropped for which reason: what is told of people for many, and all else
    for being malformed."""
    of_custom_data = {DropReason.COLLISION, DropReason.NOT_FROM_CRM}
    return frozenset(
        (
            *(
                (field, reason)
                for field in USER_FIELDS
                for reason in {*DropReason} - of_custom_data
            ),
            *((field, DropReason.MALFORMED) for field in _fields(event_schema(), "")),
            *((name, DropReason.COLLISION) for name in ("customData", "customNumbers")),
            ("customDataJson", DropReason.COLLISION),
            ("leadEventSource", DropReason.NOT_FROM_CRM),
        )
    )


def code_label(code: int) -> str:
    """One of Meta's error codes that are known here, the range that it is in, or ``other``."""
    return next((label for label, codes in _code_labels() if code in codes), OTHER)


@cache
def code_labels() -> tuple[str, ...]:
    """Everything that ``code_label`` may answer."""
    ordered = sorted(_code_labels(), key=lambda each: next(iter(each[1])))
    return (*dict.fromkeys(label for label, _ in ordered), OTHER)


def code_class(status: int | None) -> CodeClass:
    """The class of an HTTP status; None is no answer."""
    classes = (CodeClass.SUCCESS, CodeClass.REDIRECTION, CodeClass.CLIENT_ERROR)
    if status is None or status < 200:
        return CodeClass.NONE
    return classes[status // 100 - 2] if status < 500 else CodeClass.SERVER_ERROR


def exemplar_labels(trace_id: str | None) -> dict[str, str]:
    """Meta's trace id as an exemplar's label; empty where it does not look like one."""
    if trace_id is None or not _TRACE_ID.fullmatch(trace_id):
        return {}
    return {"fbtrace_id": trace_id}


@cache
def _code_labels() -> tuple[tuple[str, Collection[int]], ...]:
    ranges = dict.fromkeys(each for row in ROWS for each in row.codes or ())
    return tuple(label for each in ranges for label in _labels_of(each))


def _labels_of(codes: range) -> Iterator[tuple[str, Collection[int]]]:
    if codes in NEGATIVE:
        yield "negative", codes
    elif len(codes) >= RANGE_MIN:
        yield f"{codes[0]}-{codes[-1]}", codes
    else:
        yield from ((str(code), (code,)) for code in codes)


def _fields(schema: Any, prefix: str) -> Iterable[str]:
    """The fields of a record and of the records in it, by our names for them: those of the person
    have no prefix."""
    if isinstance(schema, list):
        for each in schema:
            yield from _fields(each, prefix)
    elif isinstance(schema, dict) and schema["type"] == "array":
        yield from _fields(schema["items"], prefix)
    elif isinstance(schema, dict) and schema["type"] == "record":
        for field in schema["fields"]:
            name = prefix + field["name"]
            yield name
            yield from _fields(field["type"], "" if name == "user" else f"{name}.")

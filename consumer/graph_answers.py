"""An answer of Graph's to a question → its object, or what is in the way. Pure.

The codes decide, as ``judge`` knows them, and never a text: texts are localised.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple, assert_never

import orjson

from consumer.judge import judge
from consumer.model import (
    Accepted,
    Halted,
    HaltReason,
    Incomplete,
    MetaError,
    Refused,
    Retry,
    Split,
    Throttled,
)

Item = Mapping[str, Any]


class Obstacle(Enum):
    """Why an answer gives nothing, or not all."""

    TOKEN = "token"  # noqa: S105 - not one
    NOBODY = "nobody"
    PERMISSION = "permission"
    UNKNOWN_OBJECT = "unknown_object"
    CONFIGURATION = "configuration"
    POLICY = "policy"
    REFUSED = "refused"  # what was asked for, or the reading as such
    UNKNOWN = "unknown"
    THROTTLED = "throttled"
    IN_TROUBLE = "in_trouble"
    UNANSWERED = "unanswered"
    NOT_GRAPH = "not_graph"
    ELSEWHERE = "elsewhere"
    ENDLESS = "endless"
    NOTHING = "nothing"
    NOT_ASKED = "not_asked"


class Trouble(NamedTuple):
    """An obstacle, and what is known of it: Meta's codes, HTTP's status, why nobody answered."""

    obstacle: Obstacle
    code: int | None = None
    subcode: int | None = None
    status: int | None = None
    why: str = ""

    @property
    def codes(self) -> str:
        """A sentence's end: `` (code 190)``, `` (code 100/33)``, `` (HTTP 502)``, or nothing."""
        if self.code is None:
            return f" (HTTP {self.status})" if self.status is not None else ""
        code = str(self.code) if self.subcode is None else f"{self.code}/{self.subcode}"
        return f" (code {code})"


def read_object(status: int, headers: Mapping[str, str], body: bytes) -> Item | Trouble:
    """The object that an answer of Graph's is, unless it is an error, which may come with a 200."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if 200 <= status < 300 and isinstance(found, dict) and "error" not in found:
        return found
    verdict = judge(status, headers, body, sent=1)
    match verdict:
        case Halted(reason, error):
            return _trouble(_halted(reason, error), error)
        case Refused(error) | Split(error):
            return _trouble(Obstacle.REFUSED, error)
        case Throttled(error):
            return _trouble(Obstacle.THROTTLED, error)
        case Retry(_, error, _) if error is not None and (error.code is not None or status >= 500):
            return _trouble(Obstacle.IN_TROUBLE, error)
        case Retry() | Accepted() | Incomplete():
            return Trouble(Obstacle.NOT_GRAPH, status=status)
        case _:
            assert_never(verdict)


def _trouble(obstacle: Obstacle, error: MetaError) -> Trouble:
    return Trouble(obstacle, error.code, error.subcode, error.http_status)


def _halted(reason: HaltReason, error: MetaError) -> Obstacle:
    if error.code in (104, 2500):
        # No token is seen, or nobody behind it.
        return Obstacle.NOBODY
    match reason:
        case HaltReason.TOKEN:
            return Obstacle.TOKEN
        case HaltReason.PERMISSION:
            return Obstacle.PERMISSION
        case HaltReason.UNKNOWN_PIXEL:
            return Obstacle.UNKNOWN_OBJECT
        case HaltReason.CONFIGURATION:
            return Obstacle.CONFIGURATION
        case HaltReason.POLICY:
            return Obstacle.POLICY
        case HaltReason.UNKNOWN_ERROR | HaltReason.EVERY_EVENT_REFUSED:
            return Obstacle.UNKNOWN
        case _:
            assert_never(reason)

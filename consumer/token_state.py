"""What Meta says of an access token → whether it is valid, and until when. Pure.

Source: the Graph API's reference of ``debug_token`` (``is_valid``, ``expires_at`` and
``data_access_expires_at`` in Unix seconds, 0 for never, ``error``) and its page on batch requests
(an array of ``code`` and ``body``, the body as a text; null for a call that took too long).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from consumer.graph_answers import Item, Obstacle, Trouble, read_object


class TokenState(NamedTuple):
    """Meta's verdict on a token. ``expires_at`` is wall-clock seconds, None for never or not told:
    when the token or, if that is sooner, its access to data ends."""

    is_valid: bool
    expires_at: float | None


def read_token_state(status: int, headers: Mapping[str, str], body: bytes) -> TokenState | Trouble:
    """What an answer to a batch of one ``debug_token`` says, where the token asked for itself.

    That Meta refuses the call because of its token is a verdict on that token. Every other refusal
    is none: Meta did not look.
    """
    found = _only_answer(status, headers, body)
    if isinstance(found, Trouble):
        return _verdict(found, None)
    data = found.get("data")
    valid = data.get("is_valid") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(valid, bool):
        return Trouble(Obstacle.NOT_GRAPH, status=status)
    expires_at = _earlier(data.get("expires_at"), data.get("data_access_expires_at"))
    error = data.get("error")
    if valid or not isinstance(error, dict):
        return TokenState(valid, expires_at)
    # Not valid for whom? Meta also says so of a token that it does not want to show to us.
    return _verdict(_trouble_of(error), expires_at)


def _only_answer(status: int, headers: Mapping[str, str], body: bytes) -> Item | Trouble:
    try:
        answers = orjson.loads(body)
    except orjson.JSONDecodeError:
        answers = None
    match answers:
        case [None]:
            return Trouble(Obstacle.IN_TROUBLE)
        case [{"code": int(code), "body": str(text)}] if 200 <= status < 300:
            return read_object(code, {}, text.encode())
        case _:
            found = read_object(status, headers, body)
            # A single object is no answer to a batch, unless it is an error.
            return found if isinstance(found, Trouble) else Trouble(Obstacle.NOT_GRAPH)


def _verdict(trouble: Trouble, expires_at: float | None) -> TokenState | Trouble:
    return TokenState(False, expires_at) if trouble.obstacle is Obstacle.TOKEN else trouble


def _trouble_of(error: Mapping[str, Any]) -> Trouble:
    """An error beside ``is_valid`` calls its subcode otherwise than an answer's own error does."""
    said = {"code": error.get("code"), "error_subcode": error.get("subcode")}
    found = read_object(400, {}, orjson.dumps({"error": said}))
    return found if isinstance(found, Trouble) else Trouble(Obstacle.NOT_GRAPH)


def _earlier(*moments: object) -> float | None:
    ends = [float(at) for at in moments if isinstance(at, int | float) and at > 0]
    return min(ends, default=None)

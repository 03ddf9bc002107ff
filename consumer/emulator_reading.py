"""What a GET of Graph is answered from: the request, its good token, and all that is remembered.

A reading is a function from ``Asked`` to the answer's JSON, or to Meta's refusal. The emulator
calls it with its lock held.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from consumer.emulator_http import Request
from consumer.emulator_memory import Memory
from consumer.emulator_refusal import Refusal


class Asked(NamedTuple):
    """One GET; ``named`` are the groups of its path, ``now`` is wall-clock seconds.

    ``pixels`` maps each pixel to its tokens; empty, every numeric id is a pixel of every token's.
    """

    request: Request
    named: tuple[str, ...]
    token: str
    pixels: Mapping[str, frozenset[str]]
    memory: Memory
    now: float

    def __repr__(self) -> str:
        return f"Asked({self.named!r})"


Reading = Callable[[Asked], dict[str, Any] | Refusal]


def unreachable(
    pixel: str, token: str, pixels: Mapping[str, frozenset[str]], method: str
) -> Refusal | None:
    """Meta's words for a pixel that is not there or not the token's, None if it is."""
    if token in pixels.get(pixel, ()) if pixels else pixel.isdecimal():
        return None
    return unsupported(pixel, method)


def unsupported(identity: str, method: str) -> Refusal:
    """Meta's words for what an object does not do, or for an object that is not there."""
    message = (
        f"Unsupported {method.lower()} request. Object with ID '{identity}' does not exist, cannot"
        " be loaded due to missing permissions, or does not support this operation. Please read"
        " the Graph API documentation at https://developers.facebook.com/docs/graph-api"
    )
    return Refusal(code=100, subcode=33, message=message, kind="GraphMethodException")

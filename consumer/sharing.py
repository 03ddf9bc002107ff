"""Who shares one of Meta's limits, and how slowly they go together before it is reached. Pure.

Meta counts calls by app, by token and by account, not by pixel. We know which destinations have
the same token; and that all are of one app when an app secret is set, for each call then carries a
proof made with it. Without one, those who share a token are taken for an app.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from consumer.model import PixelId, Scope
from consumer.usage import Usage, UsageKind

SLOW_SHARE = 0.75
"""From here on one request is in flight for all who share the limit."""

DELAY_SHARE = 0.90
DELAY_FIRST_SECONDS, DELAY_MAX_SECONDS = 1.0, 30.0
"""From here on they also wait between two requests, ever longer up to a share of 1."""

HEARD_SECONDS_MAX = 600.0
"""What was told longer ago is no longer known."""


class _Heard(NamedTuple):
    share: float
    at: float


class Sharing:
    """What is known of the limits. Tokens are compared, and never shown."""

    def __init__(self) -> None:
        self._with_same_token: dict[PixelId, frozenset[PixelId]] = {}
        self._one_app: frozenset[PixelId] = frozenset()
        self._heard: dict[tuple[PixelId, UsageKind], _Heard] = {}
        self._sent_at: dict[PixelId, float] = {}
        self._group_sent_at: dict[frozenset[PixelId], float] = {}
        self._slowing = False  # mostly nobody is slowed, and every turn of the loop asks

    def __repr__(self) -> str:
        return f"<Sharing {len(self._with_same_token)} destinations>"

    def know(self, tokens: Mapping[PixelId, object], *, one_app: bool) -> None:
        """The token of each destination, None where there is none; ``one_app``: all of one app."""
        by_token: dict[object, set[PixelId]] = {}
        for destination, token in tokens.items():
            if token is not None:
                by_token.setdefault(token, set()).add(destination)
        self._with_same_token = {
            destination: frozenset(group) for group in by_token.values() for destination in group
        }
        self._one_app = frozenset(tokens) if one_app else frozenset()
        self._group_sent_at = {
            group: max(self._sent_at.get(each, float("-inf")) for each in group)
            for group in self._groups()
        }

    def _groups(self) -> set[frozenset[PixelId]]:
        return {self.among(each, scope) for each in self._sent_at for scope in Scope}

    def among(self, destination: PixelId, scope: Scope) -> frozenset[PixelId]:
        """Whom a limit concerns that ``destination`` has met, itself included."""
        alone = frozenset((destination,))
        match scope:
            case Scope.DESTINATION:
                return alone
            case Scope.TOKEN:
                return self._with_same_token.get(destination, alone)
            case Scope.APP if destination in self._one_app:
                return self._one_app
            case Scope.APP:
                return self._with_same_token.get(destination, alone)

    def heard(self, destination: PixelId, usage: Iterable[Usage], now: float) -> None:
        """What an answer to ``destination`` told of the limits."""
        for one in usage:
            if one.kind is not UsageKind.RETRY_AFTER:
                for other in self.among(destination, one.scope):
                    self._heard[other, one.kind] = _Heard(one.share, now)
        self._slowing = any(heard.share >= SLOW_SHARE for heard in self._heard.values())

    def sent(self, destination: PixelId, now: float) -> None:
        """A request to ``destination`` goes out."""
        self._sent_at[destination] = now
        for scope in Scope:
            self._group_sent_at[self.among(destination, scope)] = now

    def is_slowed(self, destination: PixelId, now: float) -> bool:
        """Whether a limit that is nearly reached bounds its requests."""
        return self._slowing and any(
            self._share(destination, kind, now) >= SLOW_SHARE for kind in UsageKind
        )

    def room(self, destination: PixelId, now: float, busy: AbstractSet[PixelId]) -> int | None:
        """How many requests may be out to ``destination`` now, as far as limits that are not yet
        reached say; None when they do not. ``busy`` are those to whom some are out."""
        room = None
        for kind in UsageKind if self._slowing else ():
            share = self._share(destination, kind, now)
            if share < SLOW_SHARE:
                continue
            group = self.among(destination, kind.scope)
            sent_at = self._group_sent_at.get(group, float("-inf"))
            if not group.isdisjoint(busy) or now < sent_at + delay_seconds(share):
                return 0
            room = 1
        return room

    def in_turn(self, destinations: Iterable[PixelId]) -> list[PixelId]:
        """While some are slowed, who sent longest ago comes first: those who share one request
        must not starve."""
        if not self._slowing:
            return list(destinations)
        return sorted(destinations, key=lambda each: self._sent_at.get(each, float("-inf")))

    def shares(self, now: float) -> dict[tuple[PixelId, UsageKind], float]:
        """How much of each limit is used up, as far as it is known."""
        self._heard = {
            key: heard for key, heard in self._heard.items() if now - heard.at < HEARD_SECONDS_MAX
        }
        return {key: heard.share for key, heard in self._heard.items()}

    def _share(self, destination: PixelId, kind: UsageKind, now: float) -> float:
        heard = self._heard.get((destination, kind))
        return heard.share if heard is not None and now - heard.at < HEARD_SECONDS_MAX else 0.0


def delay_seconds(share: float) -> float:
    """How long those who share a limit wait from one request to the next."""
    if share < DELAY_SHARE:
        return 0.0
    grown = min(1.0, (share - DELAY_SHARE) / (1 - DELAY_SHARE))
    return DELAY_FIRST_SECONDS + (DELAY_MAX_SECONDS - DELAY_FIRST_SECONDS) * grown

"""Meta's rate-limit headers → how much of each limit is used up, and how long until it is free.

Pure, and tolerant of anything: a header that cannot be read is as good as none. The headers differ
in their units: percents everywhere, minutes for a business use case, seconds for an ad account and
in ``Retry-After`` (which Graph does not send, but a proxy may).
Source: Graph API, "Rate Limits" and "Business Use Case Rate Limits".
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, NamedTuple

import orjson

from consumer.model import Scope

WAIT_SECONDS_MAX = 6 * 3600.0
"""No pause that Meta asks for is longer: after it a single request asks how things are. Meta's
windows roll within an hour, mostly, so a longer pause is rather a mistake than a rule."""

SHARE_MAX = 10.0
HEADER_CHARACTERS_MAX = 64 * 1024
_ENTRIES_DEEP = 3


class UsageKind(Enum):
    """Which header it was; the value is a metric label."""

    APP = "app"
    BUSINESS_USE_CASE = "business_use_case"
    AD_ACCOUNT = "ad_account"
    RETRY_AFTER = "retry_after"

    @property
    def scope(self) -> Scope:
        """Whom the limit is about."""
        return Scope.APP if self is UsageKind.APP else Scope.DESTINATION


class Usage(NamedTuple):
    """One limit of Meta's. ``share`` is what is used of it, 1.0 all (0.0 where only a wait is
    told); ``wait_seconds`` until it is free again, 0.0 where that is not told; ``spent`` says
    that nothing gets through before."""

    kind: UsageKind
    share: float
    wait_seconds: float
    spent: bool

    @property
    def scope(self) -> Scope:
        """Whom the limit is about."""
        return self.kind.scope


def read_usage(headers: Mapping[str, str]) -> tuple[Usage, ...]:
    """What an answer says of Meta's limits, at most one entry a kind: the worst.

    ``headers`` have lower-case names. Never raises.
    """
    worst: dict[UsageKind, Usage] = {}
    for name, read in _READERS.items():
        text = headers.get(name)
        if text is None or len(text) > HEADER_CHARACTERS_MAX:
            continue
        for found in read(text, headers):
            known = worst.get(found.kind, found)
            worst[found.kind] = Usage(
                found.kind,
                max(found.share, known.share),
                max(found.wait_seconds, known.wait_seconds),
                found.spent or known.spent,
            )
    return tuple(worst.values())


def _app(text: str, _: Mapping[str, str]) -> Iterator[Usage]:
    for entry in _entries(text, _COUNTS):
        share = _share(entry, _COUNTS)
        yield Usage(UsageKind.APP, share, 0.0, share >= 1)


def _business_use_case(text: str, _: Mapping[str, str]) -> Iterator[Usage]:
    """A map from a business or an ad account to a list, one entry for each of its use cases."""
    for entry in _entries(text, (*_COUNTS, _REGAIN_MINUTES)):
        share = _share(entry, _COUNTS)
        wait_seconds = _seconds(_number(entry.get(_REGAIN_MINUTES)) * 60)
        spent = share >= 1 or wait_seconds > 0
        yield Usage(UsageKind.BUSINESS_USE_CASE, share, wait_seconds, spent)


def _ad_account(text: str, _: Mapping[str, str]) -> Iterator[Usage]:
    """The time until the account's score is reset is told at any share: it is no order to wait."""
    for entry in _entries(text, ("acc_id_util_pct",)):
        share = _share(entry, ("acc_id_util_pct",))
        wait_seconds = _seconds(_number(entry.get("reset_time_duration")))
        yield Usage(UsageKind.AD_ACCOUNT, share, wait_seconds, share >= 1)


def _insights(text: str, headers: Mapping[str, str]) -> Iterator[Usage]:
    yield from _ad_account(text, headers)
    for entry in _entries(text, ("app_id_util_pct",)):
        share = _share(entry, ("app_id_util_pct",))
        yield Usage(UsageKind.APP, share, 0.0, share >= 1)


def _retry_after(text: str, headers: Mapping[str, str]) -> Iterator[Usage]:
    """Seconds, or a date, which is compared with the answer's own: no two clocks are involved."""
    try:
        seconds = float(text)
    except ValueError:
        until, now = _moment(text), _moment(headers.get("date", ""))
        seconds = (until - now).total_seconds() if until and now else 0.0
    wait_seconds = _seconds(seconds)
    if wait_seconds > 0:
        yield Usage(UsageKind.RETRY_AFTER, 0.0, wait_seconds, True)


_COUNTS = ("call_count", "total_time", "total_cputime")
_REGAIN_MINUTES = "estimated_time_to_regain_access"
_READERS: Mapping[str, Callable[[str, Mapping[str, str]], Iterator[Usage]]] = {
    "x-app-usage": _app,
    "x-business-use-case-usage": _business_use_case,
    "x-ad-account-usage": _ad_account,
    "x-fb-ads-insights-throttle": _insights,
    "retry-after": _retry_after,
}


def _entries(text: str, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """The objects in a header that have one of these names, however they are wrapped."""
    try:
        level = [orjson.loads(text)]
    except orjson.JSONDecodeError:
        return []
    found: list[dict[str, Any]] = []
    for _ in range(_ENTRIES_DEEP):
        found += [
            each for each in level if isinstance(each, dict) and not each.keys().isdisjoint(names)
        ]
        lists = [each for each in level if isinstance(each, list)]
        maps = [each.values() for each in level if isinstance(each, dict)]
        level = [inner for outer in (*lists, *maps) for inner in outer]
    return found


def _share(entry: Mapping[str, Any], names: tuple[str, ...]) -> float:
    return min(max(_number(entry.get(name)) for name in names) / 100, SHARE_MAX)


def _number(value: Any) -> float:
    """Not negative and finite, or 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return 0.0
    return float(min(value, 1e15))


def _seconds(value: float) -> float:
    return min(value, WAIT_SECONDS_MAX) if value > 0 else 0.0


def _moment(date: str) -> datetime | None:
    """An HTTP date; None for what is none. One without a zone is in UTC."""
    try:
        found = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)

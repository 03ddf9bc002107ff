"""Rate limits as Meta shows them: usage headers, and the refusals when a budget is spent.

``POST /_emulator/usage`` says what holds: ``{"headers": {name: JSON}}`` adds the same to every
answer; ``{"budgets": [{"scope", "requests", "window_seconds"}]}`` counts calls over a sliding
window of the emulator's clock, so that the share grows call by call towards 100 %, and refuses
beyond. ``scope`` is ``app``, ``token`` or ``pixel``: each token and each pixel has a budget of
its own. Refused calls count too, so hammering makes the block longer. ``{}`` ends it.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from consumer.emulator_refusal import Refusal


class Usage:
    """What holds now. Raises ValueError with a sentence for what is not understood."""

    def __init__(self, order: Any) -> None:
        if type(order) is not dict or order.keys() - {"headers", "budgets"}:
            raise ValueError("The body must be an object of headers or budgets.")
        headers, budgets = order.get("headers", {}), order.get("budgets", [])
        if type(headers) is not dict or headers.keys() - _HEADERS:
            raise ValueError(f"headers must be an object of {', '.join(sorted(_HEADERS))}.")
        if type(budgets) is not list:
            raise ValueError("budgets must be a list.")
        self._headers = {name: orjson.dumps(value).decode() for name, value in headers.items()}
        self._budgets = [_Budget(budget) for budget in budgets]

    def charge(
        self, *, token: str, pixel: str | None, now: float
    ) -> tuple[Mapping[str, str], Refusal | None]:
        """Count one call: the headers of its answer, and the refusal if a budget is spent."""
        headers, refusal = dict(self._headers), None
        for budget in self._budgets:
            key = {"app": "", "token": token, "pixel": pixel}[budget.scope]
            if key is None:
                continue
            spent = budget.charge(key, now)
            tell = _TELL[budget.scope]
            headers[tell.header] = orjson.dumps(tell.usage(key, spent)).decode()
            if spent.seconds_to_regain and refusal is None:
                refusal = tell.refusal
        return headers, refusal


class _Spent(NamedTuple):
    percent: float
    seconds_to_regain: float


class _Budget:
    def __init__(self, given: Any) -> None:
        fits = type(given) is dict and given.keys() == {"scope", "requests", "window_seconds"}
        if not fits or given["scope"] not in _TELL:
            raise ValueError("A budget is of scope, requests and window_seconds.")
        requests, seconds = given["requests"], given["window_seconds"]
        if type(requests) is not int or not 0 < requests <= 10**6:
            raise ValueError("requests must be a whole number above 0.")
        if type(seconds) not in (int, float) or seconds <= 0:
            raise ValueError("window_seconds must be a number above 0.")
        self.scope: str = given["scope"]
        self._requests, self._seconds = requests, seconds
        self._calls: dict[str, deque[float]] = {}

    def charge(self, key: str, now: float) -> _Spent:
        """Only as many calls are remembered as may be made: the oldest says when one may again."""
        calls = self._calls.setdefault(key, deque(maxlen=self._requests))
        while calls and calls[0] <= now - self._seconds:
            calls.popleft()
        refused = len(calls) == self._requests
        calls.append(now)
        percent = 100 * len(calls) / self._requests
        return _Spent(percent, calls[0] + self._seconds - now if refused else 0)


class _Tell(NamedTuple):
    header: str
    usage: Callable[[str, _Spent], Any]
    refusal: Refusal


def _app_usage(_: str, spent: _Spent) -> Any:
    # Percent in whole numbers, of calls and of computing time: the emulator knows but one.
    percent = math.floor(spent.percent)
    return {"call_count": percent, "total_time": percent, "total_cputime": percent}


def _account_usage(_: str, spent: _Spent) -> Any:
    seconds = math.ceil(spent.seconds_to_regain)
    return {
        "acc_id_util_pct": round(spent.percent, 2),
        "reset_time_duration": seconds,
        "ads_api_access_tier": "standard_access",
    }


def _business_usage(pixel: str, spent: _Spent) -> Any:
    minutes = math.ceil(spent.seconds_to_regain / 60)
    shares = {name: math.floor(spent.percent) for name in ("call_count", "total_time")}
    entry = {"type": "ads_management", **shares, "total_cputime": shares["total_time"]}
    entry |= {"estimated_time_to_regain_access": minutes, "ads_api_access_tier": "standard_access"}
    return {pixel: [entry]}


_APP, _ACCOUNT, _BUSINESS = (
    "X-App-Usage",
    "X-Ad-Account-Usage",
    "X-Business-Use-Case-Usage",
)
_HEADERS = {_APP, _ACCOUNT, _BUSINESS, "X-FB-Ads-Insights-Throttle"}
_TELL: Mapping[str, _Tell] = {
    "app": _Tell(
        _APP,
        _app_usage,
        Refusal(4, "Application request limit reached", 1349210, status=403, is_transient=True),
    ),
    "token": _Tell(_ACCOUNT, _account_usage, Refusal(17, "User request limit reached.", 2446079)),
    "pixel": _Tell(
        _BUSINESS,
        _business_usage,
        Refusal(
            80004,
            "There have been too many calls from this ad-account. Wait a bit and try again.",
            2446079,
        ),
    ),
}

"""Misbehaviour on demand: the rules of ``POST /_emulator/misbehave``, and what answers they spoil.

A rule is understood as a whole or refused as a whole; its dice are seeded, so that a test which
met a bad answer meets it again.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from consumer.emulator_http import Answer, Ending
from consumer.emulator_refusal import Refusal

UNJUDGED = frozenset(("status", "error", "answer", "hang_seconds", "reset", "ok_with_error"))
"""The actions that take nothing: the batch is not even looked at."""


class Misbehaviour(NamedTuple):
    """What is due for one request: at most one action, and what is added to its answer."""

    action: str | None
    value: Any
    page: str
    delay_seconds: float
    headers: Mapping[str, str]


class Misbehaviours:
    """The rules of ``POST /_emulator/misbehave``, tried in order for each request.

    The first rule with an action that fits the pixel, has times left and wins its throw decides;
    rules that only add (``headers``, ``delay_seconds``, ``latency_ms``) do not end the search.
    Raises ``ValueError`` with a sentence for a rule that is not understood.
    """

    def __init__(self, rules: object) -> None:
        if not isinstance(rules, list):
            raise ValueError("The body must be a list of rules.")  # noqa: TRY004 - one kind
        self._rules = [_Rule(number, rule) for number, rule in enumerate(rules)]

    def due(self, pixel: str) -> Misbehaviour:
        """What this request meets; a rule that fires is used up by one."""
        delay_seconds = 0.0
        headers: dict[str, str] = {}
        for rule in self._rules:
            if not rule.fires(pixel):
                continue
            low, high = rule.do.get("latency_ms", (0, 0))
            delay_seconds += rule.do.get("delay_seconds", 0) + rule.dice.uniform(low, high) / 1e3
            headers |= rule.do.get("headers", {})
            if rule.action is not None:
                page, value = rule.do.get("body", "json"), rule.do[rule.action]
                return Misbehaviour(rule.action, value, page, delay_seconds, headers)
        return Misbehaviour(None, None, "json", delay_seconds, headers)


def misbehaved(answer: Answer, due: Misbehaviour, trace_id: str) -> Answer:
    """What becomes of an honest answer."""
    match due.action:
        case "status" | "accept_then_status":
            return _page(due.value, due.page, trace_id)
        case "error":
            return _injected(due.value, trace_id)
        case "answer" | "accept_then_answer":
            return _ordered(**due.value)
        case "ok_with_error":
            return _page(200, "json", trace_id)
        case "truncate" if due.value is True:
            return answer._replace(body=answer.body[: len(answer.body) // 2])
        case "truncate":
            return answer._replace(ending=Ending.HALF)
        case "hang_seconds" | "accept_then_drop":
            return answer._replace(ending=Ending.HANG_UP)
        case "reset":
            return answer._replace(ending=Ending.RESET)
    return answer


def _page(status: int, page: str, trace_id: str) -> Answer:
    if page == "empty":
        return Answer(status, b"")
    if page == "html":
        html = b"<!DOCTYPE html><html><body><h1>Sorry, something went wrong.</h1></body></html>"
        return Answer(status, html, "text/html; charset=utf-8")
    transient = status >= 500
    message = "An unexpected error has occurred."
    fault = Refusal(code=2 if transient else 1, message=message, is_transient=transient)
    return Answer(status, fault.body(trace_id=trace_id, hints="none"))


def _injected(error: Mapping[str, Any], trace_id: str) -> Answer:
    refusal = Refusal(
        code=error["code"],
        subcode=error.get("subcode"),
        message=error.get("message", "The emulator was told to say so."),
        kind=error.get("type", "OAuthException"),
        is_transient=error.get("is_transient"),
        title=error.get("user_title"),
        user_message=error.get("user_message"),
        data=error.get("data"),
    )
    return Answer(error.get("status", 400), refusal.body(trace_id=trace_id, hints="none"))


def _ordered(status: int = 200, json: Any = None, text: str | None = None) -> Answer:
    """Anything at all: what is given as text is not JSON, whatever it says it is."""
    return Answer(status, orjson.dumps(json) if text is None else text.encode())


class _Rule:
    def __init__(self, number: int, rule: Any) -> None:
        known = type(rule) is dict and rule.keys() <= _RULE_KEYS
        do = rule.get("do") if known else None
        if type(do) is not dict or not do:
            raise ValueError(f"Rule {number} must be of pixel, times, probability, seed and do.")
        for name, value in do.items():
            fits = _ACTIONS.get(name) or _ADDITIONS.get(name)
            if fits is None or not fits(value):
                raise ValueError(f"Rule {number}: a do is unknown, or its value does not fit.")
        actions = do.keys() & _ACTIONS.keys()
        times, probability = rule.get("times"), rule.get("probability", 1)
        numbers = type(times) in (int, type(None)) and type(probability) in _NUMBERS
        if len(actions) > 1 or not numbers or type(rule.get("seed", 0)) is not int:
            raise ValueError(f"Rule {number}: one action; times, probability, seed are numbers.")
        self.do: dict[str, Any] = do
        self.action = next(iter(actions), None)
        self.dice = random.Random(rule.get("seed", 0))  # noqa: S311 - repeatable, not secret
        self._pixel, self._left, self._probability = rule.get("pixel"), times, probability

    def fires(self, pixel: str) -> bool:
        if self._pixel is not None and str(self._pixel) != pixel:
            return False
        if self._left == 0 or self.dice.random() >= self._probability:
            return False
        if self._left is not None:
            self._left -= 1
        return True


_RULE_KEYS = frozenset(("pixel", "times", "probability", "seed", "do"))
_NUMBERS = (int, float)


def _flag(value: Any) -> bool:
    return value is True


def _status(value: Any) -> bool:
    return type(value) is int and 100 < value < 600


def _amount(value: Any) -> bool:
    return type(value) in _NUMBERS and value >= 0


def _span(value: Any) -> bool:
    two = type(value) is list and len(value) == 2
    return two and all(map(_amount, value)) and bool(value[0] <= value[1])


def _headers(value: Any) -> bool:
    texts = type(value) is dict and all(type(text) is str for text in value.values())
    return texts and all(f"{name}{text}".isprintable() for name, text in value.items())


_ERROR_TYPES: Mapping[str, type] = {
    "code": int,
    "subcode": int,
    "status": int,
    "is_transient": bool,
    "type": str,
    "message": str,
    "user_title": str,
    "user_message": str,
}


def _error(value: Any) -> bool:
    if type(value) is not dict or "code" not in value or not _status(value.get("status", 400)):
        return False
    typed = {name: one for name, one in value.items() if name != "data"}
    return all(type(one) is _ERROR_TYPES.get(name) for name, one in typed.items())


def _answer(value: Any) -> bool:
    if type(value) is not dict or not value.keys() <= {"status", "json", "text"}:
        return False
    return _status(value.get("status", 200)) and type(value.get("text", "")) is str


_ACTIONS: Mapping[str, Callable[[Any], bool]] = {
    "status": _status,
    "error": _error,
    "answer": _answer,
    "accept_then_answer": _answer,
    "hang_seconds": _amount,
    "reset": _flag,
    "ok_with_error": _flag,
    "accept_then_drop": _flag,
    "accept_then_status": _status,
    "events_received": lambda value: type(value) is int and value >= 0,
    "truncate": lambda value: value in (True, "connection"),
}
_ADDITIONS: Mapping[str, Callable[[Any], bool]] = {
    "body": lambda value: value in ("json", "html", "empty"),
    "delay_seconds": _amount,
    "latency_ms": _span,
    "headers": _headers,
}

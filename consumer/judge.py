"""Meta's answer → Verdict. Pure, and the one place that knows what Meta's codes mean.

Only codes, subcodes, types and HTTP statuses are looked at: texts are localised to whoever owns
the token. What is not success beyond doubt is never taken for it.
Source: the Graph API's error reference and rate-limiting pages; public reports for subcodes.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from consumer.model import (
    Accepted,
    Halted,
    HaltReason,
    Incomplete,
    MetaError,
    Refused,
    Retry,
    RetryCause,
    Split,
    Throttled,
    Verdict,
)

_THROTTLES = {4, 17, 32, 341, 613, *range(80000, 80015)}
_TRANSIENT = {1, 2, 5000}
_HALTS = {
    3: HaltReason.PERMISSION,
    10: HaltReason.PERMISSION,
    **dict.fromkeys(range(200, 300), HaltReason.PERMISSION),
    102: HaltReason.TOKEN,
    104: HaltReason.TOKEN,
    190: HaltReason.TOKEN,
    368: HaltReason.POLICY,
    803: HaltReason.UNKNOWN_PIXEL,
    2500: HaltReason.CONFIGURATION,
    2635: HaltReason.CONFIGURATION,
}
_UNKNOWN_OBJECT = 33
_NO_WHATSAPP_ACCOUNT = 2804132
_QUOTED = re.compile(r"(?<!\w)['\"‘‚„“«].*?['\"’‘”“»](?!\w)")
_WORD_OF_PERSON = re.compile(r"\S*@\S*|\S*\d{5}\S*")
_TEXT_MAX = 200
_WAIT_SECONDS_MAX = 3600.0


def judge(status: int, headers: Mapping[str, str], body: bytes, *, sent: int) -> Verdict:
    """What an answer means for a request of ``sent`` events.

    ``headers`` have lower-case names. The body is read before the status: a 200 may carry an
    error, and rate limits come as 400, 403 and 429.
    """
    answer = _parse(body)
    error = answer.get("error")
    if isinstance(error, dict):
        return _judge_error(
            status,
            headers,
            _meta_error(status, error),
            transient=error.get("is_transient") is True,
            kind=str(error.get("type") or ""),
        )
    if 200 <= status < 300:
        return _judge_success(status, answer, sent)
    nothing = MetaError(http_status=status, trace_id=_text(answer.get("fbtrace_id")))
    if status == 429:
        return Throttled(nothing, wait_seconds=_wait_seconds(headers))
    if status == 413:
        return Split(nothing)
    cause = RetryCause.SERVER_ERROR if status >= 500 else RetryCause.UNREADABLE_ANSWER
    return Retry(cause, nothing, reached_meta=True)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _judge_success(status: int, answer: Mapping[str, Any], sent: int) -> Verdict:
    received = answer.get("events_received")
    trace_id = _text(answer.get("fbtrace_id"))
    if not isinstance(received, int) or isinstance(received, bool) or "error" in answer:
        error = MetaError(http_status=status, trace_id=trace_id)
        return Retry(RetryCause.UNREADABLE_ANSWER, error, reached_meta=True)
    if received < sent:
        return Incomplete(received=max(received, 0), trace_id=trace_id)
    messages = answer.get("messages")
    texts = messages if isinstance(messages, list) else []
    return Accepted(trace_id=trace_id, messages=tuple(mask(str(text)) for text in texts))


def _meta_error(status: int, error: Mapping[str, Any]) -> MetaError:
    title, message = error.get("error_user_title"), error.get("error_user_msg")
    return MetaError(
        http_status=status,
        code=_number(error.get("code")),
        subcode=_number(error.get("error_subcode")),
        title=mask(title) if isinstance(title, str) and title else None,
        message=mask(str(message or error.get("message") or "")) or None,
        trace_id=_text(error.get("fbtrace_id")),
    )


def _judge_error(
    status: int, headers: Mapping[str, str], error: MetaError, *, transient: bool, kind: str
) -> Verdict:
    code = error.code
    if status == 413:
        return Split(error)
    if code in _THROTTLES or status == 429:
        # Before the transient flag: a throttle that says "transient" still wants a pause.
        return Throttled(error, wait_seconds=_wait_seconds(headers))
    if transient:
        return Retry(RetryCause.TRANSIENT, error, reached_meta=True)
    if code in _HALTS:
        return Halted(_HALTS[code], error)
    if code == 100:
        return _judge_parameter(error, kind)
    if code is None or code < 0 or code in _TRANSIENT or status >= 500:
        return Retry(RetryCause.TRANSIENT, error, reached_meta=True)
    # A code that nobody has described: held rather than dead-lettered or repeated without end.
    return Halted(HaltReason.UNKNOWN_ERROR, error)


def _judge_parameter(error: MetaError, kind: str) -> Verdict:
    """Code 100 is a bad event, unless it speaks of the pixel or of the call itself."""
    if error.subcode == _UNKNOWN_OBJECT:
        return Halted(HaltReason.UNKNOWN_PIXEL, error)
    if kind == "GraphMethodException" or error.subcode == _NO_WHATSAPP_ACCOUNT:
        # A wrong or missing appsecret_proof comes in this shape.
        return Halted(HaltReason.CONFIGURATION, error)
    return Refused(error)


def mask(text: str) -> str:
    """Meta's words without what they may quote of an event: at most 200 characters."""
    return _WORD_OF_PERSON.sub("…", _QUOTED.sub("…", text))[:_TEXT_MAX]


def _wait_seconds(headers: Mapping[str, str]) -> float:
    try:
        seconds = float(headers.get("retry-after", "0"))
    except ValueError:
        return 0.0
    return min(seconds, _WAIT_SECONDS_MAX) if seconds > 0 else 0.0


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None

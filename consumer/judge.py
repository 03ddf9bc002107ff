"""Meta's answer → Verdict. Pure. What the codes mean stands in ``verdicts.ROWS``.

What is not success beyond doubt is never taken for it.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from consumer.hints import event_index
from consumer.model import (
    Accepted,
    Halted,
    Incomplete,
    MetaError,
    Refused,
    Retry,
    Split,
    Throttled,
    Verdict,
)
from consumer.usage import Usage, UsageKind, read_usage
from consumer.verdicts import Do, Facts, Halt, Repeat, Says, Throttle, row_for

MESSAGES_MAX = 10
_QUOTED = re.compile(r"(?<!\w)['\"‘‚„“«].*?['\"’‘”“»](?!\w)")
_WORD_OF_PERSON = re.compile(r"\S*@\S*|\S*\d{5}\S*")
_TRACE_ID = re.compile(r"[!-~]{1,128}")
_TEXT_MAX = 200
_READ_MAX = 4000


class Posted(NamedTuple):
    """What one POST came to: the verdict, what Meta says of its limits, its warning, masked, that
    our version of the Graph API nears its end, and HTTP's status: None where nothing answered."""

    verdict: Verdict
    usage: tuple[Usage, ...] = ()
    version_warning: str | None = None
    status: int | None = None


def read_answer(status: int, headers: Mapping[str, str], body: bytes, *, sent: int) -> Posted:
    """Everything that an answer says; ``headers`` have lower-case names."""
    verdict = judge(status, headers, body, sent=sent)
    return Posted(verdict, read_usage(headers), version_warning(headers), status)


def judge(status: int, headers: Mapping[str, str], body: bytes, *, sent: int) -> Verdict:
    """What an answer means for a request of ``sent`` events.

    ``headers`` have lower-case names. The body is read before the status: a 200 may carry an
    error, and rate limits come as 400, 403 and 429.
    """
    answer = _parse(body)
    facts = _facts(status, answer, sent)
    error = _meta_error(status, answer)
    match row_for(facts).action:
        case Do.ACCEPT:
            return Accepted(trace_id=error.trace_id, messages=_messages(answer))
        case Do.COMPLETE:
            return Incomplete(max(answer["events_received"], 0), error.trace_id)
        case Do.REFUSE_EVENT:
            return Refused(error)
        case Do.SPLIT:
            return Split(error)
        case Repeat(cause, few_times):
            return Retry(cause, error, reached_meta=True, few_times=few_times)
        case Throttle(scope):
            # Another limit's time is no reason for those who share this one to wait.
            waits = [
                usage.wait_seconds
                for usage in read_usage(headers)
                if usage.scope is scope or usage.kind is UsageKind.RETRY_AFTER
            ]
            return Throttled(error, wait_seconds=max(waits, default=0.0), scope=scope)
        case Halt(reason):
            return Halted(reason, error)


def version_warning(headers: Mapping[str, str]) -> str | None:
    """Meta's warning about the version that we call, masked; None when there is none."""
    text = headers.get("x-ad-api-version-warning")
    return mask(text) if text else None


def mask(text: str) -> str:
    """Meta's words without what they may quote of an event: at most 200 characters.

    Of a text so long that it cannot be Meta's nothing is kept: looking for the ends of its quotes
    would take for ever.
    """
    if len(text) > _READ_MAX:
        return "…"
    return _WORD_OF_PERSON.sub("…", _QUOTED.sub("…", text))[:_TEXT_MAX]


def _parse(body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _facts(status: int, answer: Mapping[str, Any], sent: int) -> Facts:
    error = _error(answer)
    code = _number(error.get("code"))
    return Facts(
        says=Says.ERROR if code is not None else _counted(status, answer, sent),
        status=status,
        code=code,
        subcode=_number(error.get("error_subcode")),
        kind=str(error.get("type") or ""),
        transient=error.get("is_transient") is True,
    )


def _counted(status: int, answer: Mapping[str, Any], sent: int) -> Says:
    """A count that is higher than what was sent is not about our request: it proves nothing."""
    received = _number(answer.get("events_received"))
    if not 200 <= status < 300 or "error" in answer or received is None or received > sent:
        return Says.NOTHING
    return Says.ALL_RECEIVED if received == sent else Says.FEWER_RECEIVED


def _meta_error(status: int, answer: Mapping[str, Any]) -> MetaError:
    error = _error(answer)
    if not error:
        return MetaError(http_status=status, trace_id=_trace_id(answer.get("fbtrace_id")))
    title, message = error.get("error_user_title"), error.get("error_user_msg")
    return MetaError(
        http_status=status,
        code=_number(error.get("code")),
        subcode=_number(error.get("error_subcode")),
        title=mask(title) if isinstance(title, str) and title else None,
        message=mask(str(message or error.get("message") or "")) or None,
        trace_id=_trace_id(error.get("fbtrace_id")) or _trace_id(answer.get("fbtrace_id")),
        event_index=event_index(error),
    )


def _error(answer: Mapping[str, Any]) -> dict[str, Any]:
    error = answer.get("error")
    return error if isinstance(error, dict) else {}


def _messages(answer: Mapping[str, Any]) -> tuple[str, ...]:
    messages = answer.get("messages")
    texts = messages if isinstance(messages, list) else []
    return tuple(mask(str(text)) for text in texts[:MESSAGES_MAX])


def _trace_id(value: Any) -> str | None:
    """Meta's trace id, which travels into logs and headers: one word and no novel."""
    return value if isinstance(value, str) and _TRACE_ID.fullmatch(value) else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None

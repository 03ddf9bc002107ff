"""A verdict → what a trace says of the request: codes and names, never Meta's words."""

from typing import NamedTuple

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


class Failure(NamedTuple):
    """Why a request was not accepted: ``kind`` is OpenTelemetry's ``error.type``, and ``told`` the
    sentence's worth of it for a person. Both are of closed sets."""

    kind: str
    told: str


def failure_of(verdict: Verdict) -> Failure | None:
    """Why Meta did not take the request; None when it did."""
    match verdict:
        case Accepted():
            return None
        case Halted(reason):
            return Failure("halted", f"halted: {reason.value}")
        case Retry(cause):
            return Failure(cause.value, f"retry: {cause.value}")
        case Throttled(_, _, scope):
            return Failure("throttled", f"throttled: {scope.value}")
        case Refused() | Split() | Incomplete():
            kind = type(verdict).__name__.lower()
            return Failure(kind, kind)


def answer_attributes(verdict: Verdict) -> dict[str, str | int]:
    """What Meta answered: HTTP's status, Meta's codes, and its trace id, where there are any."""
    match verdict:
        case Accepted(trace_id) | Incomplete(_, trace_id):
            error = MetaError(http_status=200, trace_id=trace_id)
        case _:
            error = verdict.error or MetaError(http_status=0)
    told = {
        "http.response.status_code": error.http_status or None,
        "conversions.meta.code": error.code,
        "conversions.meta.subcode": error.subcode,
        "conversions.meta.trace_id": error.trace_id,
    }
    return {name: value for name, value in told.items() if value is not None}

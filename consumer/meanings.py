"""What an answer of Meta's means and what to do about it, in our own words. Pure.

Meta's words may quote an event, and are in the language of whoever owns the token; these are the
sentences of ``verdicts.ROWS``, from which ``docs/errors.md`` is made.
"""

import re
from typing import NamedTuple

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
from consumer.verdicts import (
    EVENT_FAULTS,
    ROWS,
    Action,
    Do,
    Facts,
    Halt,
    Repeat,
    Row,
    Says,
    Throttle,
)


class Meaning(NamedTuple):
    """A sentence without its full stop, and a sentence of advice, empty where there is none."""

    text: str
    advice: str


_NO_ANSWER = {
    RetryCause.TIMEOUT: Meaning("no answer in time", "Look at Meta's status page."),
    RetryCause.CONNECTION: Meaning(
        "no connection, or one that broke", "Look at the network, and for a proxy in between."
    ),
}
_EVERY_EVENT = Meaning(
    "every event was refused, each alone",
    "Look at the newest dead letters, mend the publisher, then resume the destination.",
)
_SUBCODES = re.compile(r" \(subcodes? [^)]*\)")
"""What the table says beside a meaning; an answer says its own."""

_UNKNOWN = Meaning("something that is not known here", "")


def meaning_of(verdict: Verdict) -> Meaning:
    """What the answer behind a verdict means."""
    error = error_of(verdict)
    match verdict:
        case Retry(cause, why=why) if error is None:
            meaning = _NO_ANSWER.get(cause, _UNKNOWN)
            return meaning._replace(text=f"no answer: {why}") if why else meaning
        case Halted(HaltReason.EVERY_EVENT_REFUSED):
            return _EVERY_EVENT
        case Refused(MetaError(subcode=int(subcode))) if subcode in EVENT_FAULTS:
            row = _row_of(verdict, error)
            return Meaning(EVENT_FAULTS[subcode].rstrip("."), row.advice if row else "")
    row = _row_of(verdict, error)
    if row is None:
        return _UNKNOWN
    return Meaning(_SUBCODES.sub("", row.meaning), row.advice)


def error_of(verdict: Verdict) -> MetaError | None:
    """What Meta said along with a verdict, if it said anything."""
    match verdict:
        case Refused(error) | Split(error) | Throttled(error) | Halted(_, error):
            return error
        case Retry(_, error):
            return error
        case Accepted() | Incomplete():
            return None


def _row_of(verdict: Verdict, error: MetaError | None) -> Row | None:
    """The row that decided, as far as a verdict tells: it does not keep the answer's type, nor that
    it called itself transient. Rows that ask for the latter are believed last."""
    says = Says.ERROR if error is not None and error.code is not None else Says.NOTHING
    if isinstance(verdict, Incomplete):
        says = Says.FEWER_RECEIVED
    status = 0 if error is None else error.http_status
    code, subcode = (None, None) if error is None else (error.code, error.subcode)
    for row in sorted(ROWS, key=lambda each: each.transient is not None):
        facts = Facts(says, status, code, subcode, row.kind or "", row.transient or False)
        if row.covers(facts) and _leads_to(row.action, verdict):
            return row
    return None


def _leads_to(action: Action, verdict: Verdict) -> bool:
    match action, verdict:
        case (Do.COMPLETE, Incomplete()) | (Do.REFUSE_EVENT, Refused()) | (Do.SPLIT, Split()):
            return True
        case (Repeat(cause, few_times), Retry()):
            return (cause, few_times) == (verdict.cause, verdict.few_times)
        case (Throttle(scope), Throttled()):
            return scope is verdict.scope
        case (Halt(reason), Halted()):
            return reason is verdict.reason
    return False

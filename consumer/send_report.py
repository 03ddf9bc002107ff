"""What ``send`` answers for the whole input: what Meta received, and what failed, and why. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from consumer.dead_letter import masked
from consumer.event_names import NEAR_MISS
from consumer.json_lines import Mistake
from consumer.model import (
    Accepted,
    Halted,
    HaltReason,
    Incomplete,
    MetaError,
    PixelId,
    Prepared,
    Reason,
    Refused,
    Rejected,
    Retry,
    Split,
    Throttled,
    Verdict,
)

NOT_SENT = "not_sent"
"""The code of an event that was given up and surely never reached Meta."""

LISTED_MAX = 20
"""Failures that are told to a person; the answer has them all."""

UNKNOWN_NAMES_MAX = 100
"""So many names of fields that the schema lacks are remembered."""


class Failure(NamedTuple):
    """An event that Meta did not receive.

    ``event_index`` counts the events of the input from 0. ``code`` is Meta's number or a reason of
    ours; ``message`` never holds a value of a match key.
    """

    event_index: int
    event_id: str | None
    message: str
    code: int | str
    trace_id: str | None

    def __repr__(self) -> str:
        return f"Failure({self.event_index}, {self.code!r})"

    def __str__(self) -> str:
        named = f" ({self.event_id})" if self.event_id else ""
        text = f"event {self.event_index}{named}: {self.message}"
        # Nothing of the input may steer a terminal.
        return "".join(letter if letter.isprintable() else "?" for letter in text)


class GivenUp(NamedTuple):
    """Why events are tried no longer. Without a ``code`` that depends on what Meta may have."""

    message: str
    code: int | str | None
    trace_id: str | None


STOPPED = GivenUp("stopped before Meta took it", None, None)


@dataclass(slots=True)
class Report:
    """The counts and failures so far. ``ready`` are the events by destination that can be sent;
    ``complete`` is False when the input was not read to its end."""

    received: int = 0
    suppressed: int = 0
    trace_id: str | None = None
    complete: bool = True
    failures: list[Failure] = field(default_factory=list)
    ready: Counter[PixelId] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    test_events: int = 0

    @property
    def settled(self) -> int:
        """Events that have met their fate."""
        return self.received + self.suppressed + len(self.failures)

    def heard(self, verdict: Verdict) -> None:
        """Meta answered: its newest trace id is kept."""
        self.trace_id = _trace_id(verdict) or self.trace_id

    def met(self, unknown: tuple[str, ...]) -> None:
        """An event has fields that the schema lacks."""
        for path in unknown:
            if path in self.unknown or len(self.unknown) < UNKNOWN_NAMES_MAX:
                self.unknown[path] += 1

    def prepared(self, event: Prepared) -> None:
        """An event can be sent: what was left out of it, and what it lacks, is remarked."""
        self.test_events += event.test_code is not None
        remarks = [f"{each.field} is left out ({each.reason.value})" for each in event.dropped]
        for warning in event.warnings:
            named = f" ({masked(event.event_name)})" if warning == NEAR_MISS else ""
            remarks.append(f"{warning}{named}")
        for remark in remarks:
            if remark in self.remarks or len(self.remarks) < UNKNOWN_NAMES_MAX:
                self.remarks[remark] += 1

    def in_order(self) -> list[Failure]:
        """The failures as the input has their events."""
        return sorted(self.failures, key=lambda each: each.event_index)

    def answer(self) -> dict[str, Any]:
        """The answer as JSON has it."""
        return {"eventsReceived": self.received, **self._failed(), "traceId": self.trace_id}

    def summary(self, *, dry: bool) -> list[str]:
        """The same for a person: the first failures, a line each, and the counts."""
        told = [str(each) for each in self.in_order()[:LISTED_MAX]]
        if len(self.failures) > LISTED_MAX:
            told.append(f"and {len(self.failures) - LISTED_MAX:,} more failures")
        good = f"can be sent: {self.ready.total():,}"
        if not dry:
            good = f"received by Meta: {self.received:,}"
        withheld = f", withheld for want of consent: {self.suppressed:,}" if self.suppressed else ""
        return [*told, f"events {good}, failed: {len(self.failures):,}{withheld}"]

    def dry_answer(self) -> dict[str, Any]:
        """The answer when nothing was to be sent."""
        return {"dryRun": True, "eventsReady": self.ready.total(), "destinations": self.ready} | (
            self._failed()
        )

    def _failed(self) -> dict[str, Any]:
        failures = [
            {
                "eventIndex": each.event_index,
                "eventId": each.event_id,
                "message": each.message,
                "code": each.code,
                "traceId": each.trace_id,
            }
            for each in self.in_order()
        ]
        suppressed = {"eventsSuppressed": self.suppressed} if self.suppressed else {}
        return {"eventsFailed": len(failures), **suppressed, "failures": failures}


def unreadable(index: int, mistake: Mistake) -> Failure:
    """A line that is no event."""
    return Failure(index, mistake.event_id, mistake.message, Reason.UNDECODABLE.value, None)


def failure_of(rejected: Rejected) -> Failure:
    """An event that was found wanting here, or that Meta will not take."""
    error, code, message = rejected.error, rejected.reason.value, rejected.detail
    if error is None:
        return Failure(rejected.record.offset, rejected.event_id, message, code, None)
    by_meta = rejected.reason is Reason.REFUSED_BY_META and error.code is not None
    return Failure(
        rejected.record.offset,
        rejected.event_id,
        _told(message, error) if by_meta else message,
        error.code if by_meta and error.code is not None else code,
        error.trace_id,
    )


def given_up(event: Prepared | Rejected, why: GivenUp, *, maybe_delivered: bool) -> Failure:
    """An event that is tried no longer; ``maybe_delivered``: a request with it may have reached
    Meta, and sending it again within 48 hours is safe."""
    error = event.error if isinstance(event, Rejected) else None
    message, code = why.message, why.code
    if code is None:
        code = Reason.OUTCOME_UNKNOWN.value if maybe_delivered else NOT_SENT
        message = message if error is None else _told(f"{message}; last it said", error)
    if maybe_delivered:
        message = f"{message}; a request with it may have reached Meta"
    trace_id = why.trace_id or (error.trace_id if error is not None else None)
    return Failure(event.record.offset, event.event_id, message, code, trace_id)


def late(seconds: float) -> GivenUp:
    """A destination that took nothing for so long."""
    return GivenUp(f"Meta took nothing of this destination for {seconds:g} seconds", None, None)


def halted(halt: Halted, problem: str | None) -> GivenUp:
    """A destination that takes nothing until somebody mends it; ``problem`` is what is known to be
    wrong with its token."""
    message = problem if problem is not None else _told(_HALTS[halt.reason], halt.error)
    code = halt.error.code
    return GivenUp(
        message, Reason.DESTINATION_HALTED.value if code is None else code, halt.error.trace_id
    )


_HALTS = {
    HaltReason.TOKEN: "the access token is invalid, expired or revoked",
    HaltReason.PERMISSION: "the token may not send to this pixel",
    HaltReason.UNKNOWN_PIXEL: "there is no such pixel, or the token has no access to it",
    HaltReason.CONFIGURATION: "Meta does not take the call as it is configured",
    HaltReason.POLICY: "Meta has blocked the destination for a breach of its policies",
    HaltReason.UNKNOWN_ERROR: "Meta refuses for a reason that is not known here",
    HaltReason.EVERY_EVENT_REFUSED: "Meta refused each event that was tried alone",
}


def _told(sentence: str, error: MetaError) -> str:
    """A sentence with Meta's codes and its title, which is masked."""
    if error.code is None:
        return f"{sentence} (HTTP {error.http_status})" if error.http_status else sentence
    codes = str(error.code) if error.subcode is None else f"{error.code}/{error.subcode}"
    return f"{sentence} ({codes}{f': {error.title}' if error.title else ''})"


def _trace_id(verdict: Verdict) -> str | None:
    match verdict:
        case Accepted() | Incomplete():
            return verdict.trace_id
        case Refused() | Split() | Throttled() | Halted():
            return verdict.error.trace_id
        case Retry():
            return verdict.error.trace_id if verdict.error is not None else None

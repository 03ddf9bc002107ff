"""The newest kinds of errors: what Meta answered by code, and dead letters by reason. Pure.

Bounded: of Meta's errors the newest kinds are kept, and reasons are a closed set. Nothing of Meta's
words is kept, and nothing of an event.
"""

from dataclasses import dataclass
from typing import NamedTuple

from consumer.dead_letter import masked
from consumer.meanings import Meaning, error_of, meaning_of
from consumer.model import Accepted, Incomplete, PixelId, Reason, Retry, Verdict

KINDS_MAX = 20
"""So many kinds of Meta's errors are kept."""


class ErrorKind(NamedTuple):
    """What answers of one kind have in common; ``answer`` stands where there is no code."""

    code: int | None
    subcode: int | None
    http_status: int | None
    answer: str


class RecentError(NamedTuple):
    """One kind: how many answers of it since the start, and the last of them, at ``at_ms``."""

    kind: ErrorKind
    meaning: Meaning
    answers: int
    destination: PixelId
    trace_id: str | None
    at_ms: int


class RecentLetters(NamedTuple):
    """Dead letters that were acknowledged since the start, for one reason; the last ``at_ms``."""

    reason: Reason
    letters: int
    at_ms: int


@dataclass(slots=True)
class _Answers:
    verdict: Verdict
    destination: PixelId
    count: int = 0
    at_ms: int | None = None


@dataclass(slots=True)
class _Letters:
    count: int = 0
    at_ms: int | None = None


class RecentErrors:
    """Counts as it is told; the time comes with ``newest``, about once a second."""

    def __init__(self) -> None:
        self._answers: dict[ErrorKind, _Answers] = {}
        self._letters: dict[Reason, _Letters] = {}

    def __repr__(self) -> str:
        return f"<RecentErrors {len(self._answers)} kinds, {len(self._letters)} reasons>"

    def answered(self, destination: PixelId, verdict: Verdict) -> None:
        """Meta answered a request, or it was given up."""
        if isinstance(verdict, Accepted):
            return
        kind = _kind_of(verdict)
        seen = self._answers.pop(kind, None) or _Answers(verdict, destination)
        if len(self._answers) >= KINDS_MAX:
            del self._answers[next(iter(self._answers))]
        seen.verdict, seen.destination = verdict, destination
        seen.count, seen.at_ms = seen.count + 1, None
        self._answers[kind] = seen  # the newest stands last

    def dead_lettered(self, reason: Reason) -> None:
        """A dead letter was acknowledged."""
        seen = self._letters.setdefault(reason, _Letters())
        seen.count, seen.at_ms = seen.count + 1, None

    def newest(self, now_ms: int) -> tuple[RecentError, ...]:
        """Meta's errors, the newest first. What came since the last call came now."""
        found = []
        for kind, seen in self._answers.items():
            seen.at_ms = now_ms if seen.at_ms is None else seen.at_ms
            error = RecentError(
                kind=kind,
                meaning=meaning_of(seen.verdict),
                answers=seen.count,
                destination=seen.destination,
                trace_id=_trace_id_of(seen.verdict),
                at_ms=seen.at_ms,
            )
            found.append(error)
        return tuple(reversed(found))

    def letters(self, now_ms: int) -> tuple[RecentLetters, ...]:
        """Dead letters by reason, those first of which there are most."""
        for seen in self._letters.values():
            seen.at_ms = now_ms if seen.at_ms is None else seen.at_ms
        rows = [
            RecentLetters(reason, seen.count, seen.at_ms or now_ms)
            for reason, seen in self._letters.items()
        ]
        return tuple(sorted(rows, key=lambda row: (-row.letters, row.reason.value)))


def _kind_of(verdict: Verdict) -> ErrorKind:
    error = error_of(verdict)
    if error is not None and error.code is not None:
        return ErrorKind(error.code, error.subcode, error.http_status or None, "")
    answer = verdict.cause.value if isinstance(verdict, Retry) else type(verdict).__name__.lower()
    return ErrorKind(None, None, error.http_status or None if error else None, answer)


def _trace_id_of(verdict: Verdict) -> str | None:
    if isinstance(verdict, Incomplete):
        return masked(verdict.trace_id) or None
    error = error_of(verdict)
    return masked(error.trace_id) or None if error else None

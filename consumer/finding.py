"""What a check found, and how it is told: lines for people, JSON for programs."""

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import Enum
from textwrap import wrap
from typing import Any, NamedTuple

import orjson

WIDTH = 100


class Verdict(Enum):
    """How it stands with one thing; the value is shown and stands in the JSON."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class Finding(NamedTuple):
    """One thing that was looked at. ``told`` and ``advice`` are a sentence each.

    ``advice`` is what to do, empty when nothing is to be done.
    """

    subject: str
    verdict: Verdict
    told: str
    advice: str


def ok(subject: str, told: str) -> Finding:
    """It is as it should be."""
    return Finding(subject, Verdict.OK, told, "")


def warning(subject: str, told: str, advice: str) -> Finding:
    """The consumer runs, but somebody should look at this."""
    return Finding(subject, Verdict.WARNING, told, advice)


def failed(subject: str, told: str, advice: str) -> Finding:
    """The consumer cannot run with this, or would lose something."""
    return Finding(subject, Verdict.FAILED, told, advice)


def skipped(subject: str, told: str, advice: str) -> Finding:
    """It could not be found out, or there is nothing to look at."""
    return Finding(subject, Verdict.SKIPPED, told, advice)


def is_good(findings: Iterable[Finding]) -> bool:
    """Whether nothing has failed."""
    return all(finding.verdict is not Verdict.FAILED for finding in findings)


def json_report(findings: Iterable[Finding]) -> bytes:
    """``{"ok": …, "findings": [{"subject", "verdict", "told", "advice"}, …]}``."""
    listed = list(findings)
    told: list[dict[str, Any]] = [
        {
            "subject": printable(finding.subject),
            "verdict": finding.verdict.value,
            "told": printable(finding.told),
            "advice": finding.advice,
        }
        for finding in listed
    ]
    answer = {"ok": is_good(listed), "findings": told}
    return orjson.dumps(answer, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def text_report(findings: Iterable[Finding], *, colour: bool) -> str:
    """A line each, columns aligned, at most ``WIDTH`` wide; advice stands below what is told."""
    listed = list(findings)
    subjects = max((len(finding.subject) for finding in listed), default=0)
    lines = [line for finding in listed for line in _lines(finding, subjects, colour)]
    counts = Counter(finding.verdict for finding in listed)
    summary = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict)
    return "\n".join([*lines, "", summary, ""])


def _lines(finding: Finding, subjects: int, colour: bool) -> Iterator[str]:
    subject_width = min(subjects, _SUBJECT_MAX)
    indent = " " * (_VERDICT_WIDTH + subject_width + 4)
    verdict = finding.verdict.value.ljust(_VERDICT_WIDTH)
    if colour:
        verdict = f"\x1b[{_COLOURS[finding.verdict]}m{verdict}\x1b[0m"
    subject = printable(finding.subject)
    told = _wrapped(finding.told, WIDTH - len(indent))
    if len(subject) > subject_width:
        yield f"{verdict}  {subject[: WIDTH - _VERDICT_WIDTH - 2]}"
    else:
        yield f"{verdict}  {subject.ljust(subject_width)}  {told.pop(0) if told else ''}".rstrip()
    yield from (indent + line for line in told)
    for number, line in enumerate(_wrapped(finding.advice, WIDTH - len(indent) - 3)):
        yield f"{indent}{'   ' if number else '-> '}{line}"


def _wrapped(text: str, width: int) -> list[str]:
    # Names and commands hold hyphens, and whoever copies one wants it whole.
    return wrap(printable(text), width, break_on_hyphens=False)


def printable(text: str) -> str:
    """Others' words in it must not steer the terminal, nor be half of a character."""
    return "".join(character if character.isprintable() else "?" for character in text)


_VERDICT_WIDTH = max(len(verdict.value) for verdict in Verdict)
_SUBJECT_MAX = 40
_COLOURS = {Verdict.OK: 32, Verdict.WARNING: 33, Verdict.FAILED: 31, Verdict.SKIPPED: 90}

"""``conversions check``: settings, brokers, topics, schema, tokens and pixels, and what to do.

The parties are asked side by side, each within a limit, so that the whole ends in time even
when nobody answers. Nothing is changed anywhere, and nothing is sent to a pixel.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from consumer import stdout
from consumer.assembly import reader_from
from consumer.check_kafka import check_kafka
from consumer.check_meta import ANSWER_SECONDS, check_meta
from consumer.check_registry import check_registry
from consumer.check_tokens import check_tokens
from consumer.finding import Finding, failed, is_good, json_report, ok, text_report
from consumer.settings import Settings

SECONDS_MAX = 14.0
"""Of all checks together; more than the slowest single one may take."""


def run_check(settings: Settings, *, as_json: bool) -> int:
    """Check everything and write the findings to stdout; the exit code, 1 if anything failed."""
    findings = check(settings)
    if as_json:
        stdout.write(json_report(findings).decode())
    else:
        stdout.write(text_report(findings, colour=stdout.wants_colour()))
    return 0 if is_good(findings) else 1


def check(settings: Settings) -> list[Finding]:
    """All findings, in the order of an event's journey."""
    told = f"they fit together: group {settings.group_id} reads {settings.topic}"
    return [ok("settings", told), *side_by_side(_parties(settings), seconds_max=SECONDS_MAX)]


class Party(NamedTuple):
    """Somebody to ask: how they are called in findings, and the checks of them."""

    subject: str
    findings: Callable[[], Iterator[Finding]]


def side_by_side(parties: list[Party], *, seconds_max: float) -> list[Finding]:
    """The findings on each party, in the order of the parties; what is late is left behind."""
    asked = [_Asking(party) for party in parties]
    until = time.monotonic() + seconds_max
    return [finding for each in asked for finding in each.findings(until)]


class _Asking:
    """One party's checks, on a thread that nobody need wait for."""

    def __init__(self, party: Party) -> None:
        self._party = party
        self._found: list[Finding] = []
        self._thread = threading.Thread(target=self._work, name=party.subject, daemon=True)
        self._thread.start()

    def findings(self, until: float) -> list[Finding]:
        self._thread.join(max(0.0, until - time.monotonic()))
        late = self._thread.is_alive()
        found = list(self._found)
        if late:
            told = f"the checks of {self._party.subject} did not end in time"
            found.append(failed(self._party.subject, told, "Check again, when less is slow."))
        return found

    def _work(self) -> None:
        try:
            for finding in self._party.findings():
                self._found.append(finding)
        except Exception as error:
            # A bug of ours: told, without its text, and the other checks are still worth having.
            told = f"the checks of {self._party.subject} broke off ({type(error).__name__})"
            advice = "Report it, with the output of conversions check --json."
            self._found.append(failed(self._party.subject, told, advice))


def _parties(settings: Settings) -> list[Party]:
    def ask_meta() -> Iterator[Finding]:
        reader = reader_from(settings, timeout_seconds=ANSWER_SECONDS)
        try:
            yield from check_meta(settings, reader=reader, now=time.time)
        finally:
            reader.close()

    def ask_for_tokens() -> Iterator[Finding]:
        reader = reader_from(settings, timeout_seconds=ANSWER_SECONDS)
        try:
            yield from check_tokens(settings, reader=reader, now=time.time)
        finally:
            reader.close()

    return [
        Party("brokers", lambda: check_kafka(settings)),
        Party("registry", lambda: check_registry(settings)),
        Party("Graph API", ask_meta),
        Party("tokens", ask_for_tokens),
    ]

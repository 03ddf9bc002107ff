"""Rejected records on their way into the dead-letter topic, until the brokers acknowledge each.

First the dead letter, then the offset: a record leaves this room, and only then is settled, when
its dead letter is acknowledged. One that cannot be written is written again, without end; only an
operator can have a reference written in its place.
"""

import heapq
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from consumer.dead_letter import DeadLetter, dead_letter
from consumer.model import Place, Reason, Rejected, TopicPartition
from consumer.skip import Skipping, skipped_letter

AGAIN_SECONDS = 5.0
TOO_LARGE_AGAIN_SECONDS = 10.0

UNANSWERED_SECONDS = 30.0
"""A dead letter without a report for so long is trouble too: librdkafka gives up after minutes."""

UNANSWERED = "_TIMED_OUT"
"""Kafka's name for that."""


class Writing(Enum):
    """What became of one dead letter; the value is a metric label."""

    ACKNOWLEDGED = "acknowledged"
    TOO_LARGE = "too_large"
    FAILED = "failed"


class Report(NamedTuple):
    """The producer's report; ``ticket`` is what ``produce`` was given, ``error`` Kafka's name."""

    ticket: int
    writing: Writing
    error: str | None


class DeadLetters(Protocol):
    """The dead-letter topic. ``produce`` never blocks: False when nothing more can be taken now."""

    def produce(self, letter: DeadLetter, ticket: int) -> bool: ...

    def reports(self) -> list[Report]: ...


@dataclass(slots=True)
class _Letter:
    rejected: Rejected
    failed_at_ms: int
    alone: bool = False
    brief: bool = False
    forgotten: bool = False


class LetterBox:
    """What waits for its acknowledgement."""

    def __init__(self, *, dead_letters: DeadLetters) -> None:
        self._dead_letters = dead_letters
        self._letters: dict[int, _Letter] = {}
        self._due: deque[int] = deque()
        self._alone: deque[int] = deque()
        self._out: dict[int, float] = {}  # since when, in this order
        self._later: list[tuple[float, int]] = []
        self._too_large: dict[int, Place] = {}
        self._failing: dict[int, str] = {}
        self._tickets = 0
        self._failures: list[Report] = []

    def __repr__(self) -> str:
        return f"<LetterBox {len(self._letters)} waiting>"

    def __len__(self) -> int:
        return len(self._letters)

    @property
    def of_live_tenures(self) -> int:
        """How many of them are of records that are still open here."""
        return sum(not letter.forgotten for letter in self._letters.values())

    def holds(self, partitions: Collection[TopicPartition]) -> bool:
        """Whether a record of these that is still open here waits for its dead letter."""
        return any(
            not letter.forgotten and letter.rejected.record.partition in partitions
            for letter in self._letters.values()
        )

    @property
    def too_large(self) -> frozenset[TopicPartition]:
        """Partitions with a record that the dead-letter topic does not take even briefly."""
        return frozenset(place.partition for place in self.too_large_records)

    @property
    def too_large_records(self) -> list[Place]:
        """Those records. Safe from any thread."""
        return list(self._too_large.values())

    @property
    def failing(self) -> str | None:
        """Kafka's name of what keeps a dead letter from being written; None while all are. Safe
        from any thread."""
        return next(iter(list(self._failing.values())), None)

    def put(self, rejected: Rejected, *, failed_at_ms: int) -> None:
        """Take a rejected record; ``advance`` produces it."""
        self._tickets += 1
        self._letters[self._tickets] = _Letter(rejected, failed_at_ms)
        self._due.append(self._tickets)

    def advance(self, now: float) -> list[Rejected]:
        """Produce what is due, and return the records whose dead letters were acknowledged."""
        written = [
            letter.rejected
            for report in self._dead_letters.reports()
            if (letter := self._reported(report, now)) is not None
        ]
        self._look_for_unanswered(now)
        while self._later and self._later[0][0] <= now:
            ticket = heapq.heappop(self._later)[1]
            large = ticket in self._letters and self._letters[ticket].alone
            (self._alone if large else self._due).append(ticket)
        self._produce_due(now)
        return written

    def forget(self, is_over: Callable[[int], bool]) -> None:
        """Drop what belongs to tenures that are over: the next owner rejects it. What has been
        produced stays until its report, and is not produced again."""
        waiting = {*self._due, *self._alone, *(ticket for _, ticket in self._later)}
        for ticket, letter in list(self._letters.items()):
            if is_over(letter.rejected.record.tenure):
                letter.forgotten = True
                self._well(ticket)
                if ticket in waiting:
                    del self._letters[ticket]

    def skip(self, place: Place, *, failed_at_ms: int) -> Skipping | None:
        """Write a reference in place of this record's dead letter, unless that is being written at
        the moment; None when it has no dead letter here."""
        for ticket, letter in self._letters.items():
            if letter.forgotten or not place.is_of(letter.rejected.record):
                continue
            if letter.rejected.reason is Reason.SKIPPED_BY_OPERATOR:
                return Skipping.UNDER_WAY
            if ticket in self._out:
                return Skipping.BEING_WRITTEN
            del self._letters[ticket]
            self._well(ticket)
            self.put(skipped_letter(letter.rejected), failed_at_ms=failed_at_ms)
            return Skipping.UNDER_WAY
        return None

    def drain_failures(self) -> list[Report]:
        """Failed writings since the last call, for log and metrics."""
        failures, self._failures = self._failures, []
        return failures

    def _produce_due(self, now: float) -> None:
        while self._alone and not self._out:
            # The brokers' limit is on what travels together: large ones go one by one.
            if not self._produce(self._alone[0], now):
                return
            self._alone.popleft()
        while self._due and not self._alone and self._produce(self._due[0], now):
            self._due.popleft()

    def _produce(self, ticket: int, now: float) -> bool:
        letter = self._letters.get(ticket)
        if letter is None:
            return True
        record = dead_letter(letter.rejected, failed_at_ms=letter.failed_at_ms, brief=letter.brief)
        produced = self._dead_letters.produce(record, ticket)
        if produced:
            self._out[ticket] = now
        return produced

    def _look_for_unanswered(self, now: float) -> None:
        """The one of ours that has been out for longest speaks for all."""
        for ticket, since in self._out.items():
            if now - since <= UNANSWERED_SECONDS:
                return
            letter = self._letters.get(ticket)
            if letter is not None and not letter.forgotten:
                self._failing.setdefault(ticket, UNANSWERED)
                return

    def _well(self, ticket: int) -> None:
        self._failing.pop(ticket, None)
        self._too_large.pop(ticket, None)

    def _reported(self, report: Report, now: float) -> _Letter | None:
        self._out.pop(report.ticket, None)
        letter = self._letters.get(report.ticket)
        if letter is None:
            return None
        if report.writing is Writing.ACKNOWLEDGED:
            self._well(report.ticket)
            return self._letters.pop(report.ticket)
        self._failures.append(report)
        if letter.forgotten:
            del self._letters[report.ticket]
            return None
        self._failing.pop(report.ticket, None)
        if report.writing is Writing.TOO_LARGE and not letter.alone:
            letter.alone = True
            self._alone.append(report.ticket)
        elif report.writing is Writing.TOO_LARGE and not letter.brief:
            letter.brief = True  # once more at once, with the headers that replay needs
            self._alone.append(report.ticket)
        elif report.writing is Writing.TOO_LARGE:
            self._too_large[report.ticket] = letter.rejected.record.place
            heapq.heappush(self._later, (now + TOO_LARGE_AGAIN_SECONDS, report.ticket))
        else:
            self._failing[report.ticket] = report.error or UNANSWERED
            heapq.heappush(self._later, (now + AGAIN_SECONDS, report.ticket))
        return None

"""An in-memory dead-letter topic, which acknowledges when and how a test wants it."""

from typing import NamedTuple

from consumer.dead_letter import DeadLetter
from consumer.letter_box import Report, Writing
from tests.fakes.clock import FakeClock
from tests.fakes.kafka import Place


class _Sent(NamedTuple):
    due_at: float
    letter: DeadLetter


class FakeDeadLetters:
    """The dead-letter topic; satisfies ``letter_box.DeadLetters``.

    What becomes of a letter is decided when it is reported: ``latency_seconds`` after it was
    produced, in reversed order when ``backwards``, not at all while ``silent``. While it is
    ``failing`` with one of Kafka's errors none is written, and those of ``refused`` places never.
    """

    def __init__(self, *, clock: FakeClock) -> None:
        self._clock = clock
        self._out: dict[int, _Sent] = {}
        self.latency_seconds = 0.0
        self.silent = False
        self.backwards = False
        self.failing: str | None = None
        self.refused: set[Place] = set()
        self.queue_max = 100_000
        self.bytes_max: int | None = None
        self.produced: list[DeadLetter] = []
        self.written: list[DeadLetter] = []

    def produce(self, letter: DeadLetter, ticket: int) -> bool:
        """Queue one letter; False when ``queue_max`` are out."""
        if len(self._out) >= self.queue_max:
            return False
        assert ticket not in self._out, "produced again before its report"
        self.produced.append(letter)
        self._out[ticket] = _Sent(self._clock.now() + self.latency_seconds, letter)
        return True

    def reports(self) -> list[Report]:
        """What became of letters since the last call."""
        now = self._clock.now()
        if self.silent:
            return []
        due = [each for each in self._out.items() if each[1].due_at <= now]
        for ticket, _ in due:
            del self._out[ticket]
        due.sort(key=lambda each: each[0], reverse=self.backwards)
        return [self._report(ticket, sent.letter) for ticket, sent in due]

    def places_from(self, start: int) -> list[Place]:
        """``places``, from the ``start``-th letter on."""
        return [place_of(letter) for letter in self.written[start:]]

    @property
    def places_out(self) -> list[Place]:
        """Where the records of the letters came from that have had no report yet."""
        return [place_of(sent.letter) for sent in self._out.values()]

    @property
    def places(self) -> list[Place]:
        """Where the records of the written letters came from, in the order of writing."""
        return self.places_from(0)

    def _report(self, ticket: int, letter: DeadLetter) -> Report:
        if self.bytes_max is not None and _size_bytes(letter) > self.bytes_max:
            return Report(ticket, Writing.TOO_LARGE, "MSG_SIZE_TOO_LARGE")
        if place_of(letter) in self.refused:
            return Report(ticket, Writing.FAILED, "INVALID_RECORD")
        if self.failing is not None:
            return Report(ticket, Writing.FAILED, self.failing)
        self.written.append(letter)
        return Report(ticket, Writing.ACKNOWLEDGED, None)


def header(letter: DeadLetter, name: str) -> str | None:
    """The text of a header of ours; None when it is absent."""
    values = [value for key, value in letter.headers if key == f"conversions.{name}"]
    assert len(values) <= 1, f"conversions.{name} occurs {len(values)} times"
    return values[0].decode() if values and values[0] is not None else None


def place_of(letter: DeadLetter) -> Place:
    """Where the dead letter's record was read. A brief letter tells only its origin, which for a
    record that was never replayed is the same."""
    told = dict(letter.headers)
    partition = told.get("__connect.errors.partition")
    offset = told.get("__connect.errors.offset")
    if partition is not None and offset is not None:
        return int(partition), int(offset)
    _, first, second, _ = (header(letter, "origin") or "").rsplit(":", 3)
    return int(first), int(second)


def _size_bytes(letter: DeadLetter) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in letter.headers)
    return len(letter.key or b"") + len(letter.value or b"") + headers

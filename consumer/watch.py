"""What the running consumer asks Meta again and again: when, and for how long an answer is known.

What all members would ask only the owner of partition 0 asks; the others show nothing, so that no
series is there twice.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Generic, NamedTuple, Protocol, TypeVar

from consumer.inquiries import Found, Heard
from consumer.pixel_figures import Unreadable

KNOWN_FOR_REFRESHES = 3
"""Answers older than so many refreshes are no longer known, and their gauges go."""

Question = TypeVar("Question", bound=Hashable)


class Asking(Protocol[Question, Found]):
    """Somebody who asks Meta; ``inquiries.Inquiries`` does it on a thread."""

    def submit(self, questions: Iterable[Question]) -> None:
        """Ask each of them. Never blocks."""

    def answers(self) -> list[Heard[Question, Found]]:
        """What was heard since the last time: in the end one answer for each question."""


class _Known(NamedTuple, Generic[Found]):
    found: Found
    heard_at: float


class Watch(Generic[Question, Found]):
    """Asks each question when it is new and then every ``every_seconds``; never while an answer is
    missing."""

    def __init__(self, *, asking: Asking[Question, Found], every_seconds: float) -> None:
        self._asking = asking
        self._every_seconds = every_seconds
        self._ask_at: dict[Question, float] = {}
        self._waiting: set[Question] = set()
        self._known: dict[Question, _Known[Found]] = {}

    @property
    def known(self) -> Mapping[Question, Found]:
        """The newest answer to each question that has a usable one."""
        return {question: known.found for question, known in self._known.items()}

    def turn(
        self, now: float, *, ours: bool, questions: Collection[Question]
    ) -> list[Heard[Question, Found]]:
        """Ask what is due, and return what was heard. ``ours``: whether asking is up to us."""
        heard = self._asking.answers()
        for question, answer in heard:
            self._waiting.discard(question)
            if not isinstance(answer, Unreadable):
                self._known[question] = _Known(answer, now)
        self._forget(now, questions)
        if ours and not self._waiting:
            due = [each for each in questions if now >= self._ask_at.get(each, now)]
            if due:
                self._ask_at |= dict.fromkeys(due, now + self._every_seconds)
                self._waiting = set(due)
                self._asking.submit(due)
        return heard

    def _forget(self, now: float, questions: Collection[Question]) -> None:
        """What nobody asks any more, and answers that are too old."""
        oldest = now - KNOWN_FOR_REFRESHES * self._every_seconds
        self._ask_at = {each: at for each, at in self._ask_at.items() if each in questions}
        self._known = {
            question: known
            for question, known in self._known.items()
            if question in questions and known.heard_at >= oldest
        }

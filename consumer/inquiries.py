"""Questions to Meta that the loop must not wait for: one thread asks, answers come by a queue."""

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, NamedTuple, TypeVar

from consumer.pixel_figures import Unreadable

Question = TypeVar("Question")
Found = TypeVar("Found")


class Heard(NamedTuple, Generic[Question, Found]):
    """What Meta answered to one question, which may be a secret."""

    question: Question
    answer: Found | Unreadable

    def __repr__(self) -> str:
        return f"Heard({self.answer!r})"


class Inquiries(Generic[Question, Found]):
    """``submit`` and ``answers`` are for the loop, and never block; each question has an answer."""

    def __init__(
        self,
        *,
        name: str,
        ask: Callable[[Question], Found | Unreadable],
        close: Callable[[], None],
    ) -> None:
        self._name = name
        self._ask = ask
        self._close = close
        self._asked: SimpleQueue[tuple[Question] | None] = SimpleQueue()
        self._heard: SimpleQueue[Heard[Question, Found]] = SimpleQueue()
        self._stopped = threading.Event()

    def submit(self, questions: Iterable[Question]) -> None:
        """Ask each of them, one after the other."""
        for question in questions:
            self._asked.put((question,))

    def answers(self) -> list[Heard[Question, Found]]:
        """What was heard since the last time."""
        found: list[Heard[Question, Found]] = []
        with suppress(Empty):
            while True:
                found.append(self._heard.get_nowait())
        return found

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """Ask the thread to end; it does so with its next answer."""
        self._stopped.set()
        self._asked.put(None)

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None and not self._stopped.is_set():
            self._heard.put(Heard(asked[0], self._answer(asked[0])))
        self._close()

    def _answer(self, question: Question) -> Found | Unreadable:
        try:
            return self._ask(question)
        except Exception as bug:
            # A bug of ours must not end the thread: it is told like any other failure, and counted.
            return Unreadable(f"asking raised {type(bug).__name__}", by_question=False)

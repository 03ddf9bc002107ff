"""Questions to Meta that the loop must not wait for: one thread asks, answers come by a queue."""

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple

from consumer.model import PixelId
from consumer.pixel_figures import Unreadable
from consumer.quality import EventQuality

Quality = tuple[EventQuality, ...] | Unreadable


class Heard(NamedTuple):
    """What Meta said of one pixel."""

    destination: PixelId
    quality: Quality


class Inquiries:
    """``submit`` and ``answers`` are for the loop, and never block; each question has an answer."""

    def __init__(self, *, ask: Callable[[PixelId], Quality], close: Callable[[], None]) -> None:
        self._ask = ask
        self._close = close
        self._asked: SimpleQueue[PixelId | None] = SimpleQueue()
        self._heard: SimpleQueue[Heard] = SimpleQueue()
        self._stopped = threading.Event()

    def submit(self, destinations: Iterable[PixelId]) -> None:
        """Ask for each of them, one after the other."""
        for destination in destinations:
            self._asked.put(destination)

    def answers(self) -> list[Heard]:
        """What was heard since the last time."""
        found: list[Heard] = []
        with suppress(Empty):
            while True:
                found.append(self._heard.get_nowait())
        return found

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._work, name="inquiries", daemon=True).start()

    def stop(self) -> None:
        """Ask the thread to end; it does so with its next answer."""
        self._stopped.set()
        self._asked.put(None)

    def _work(self) -> None:
        while (destination := self._asked.get()) is not None and not self._stopped.is_set():
            self._heard.put(Heard(destination, self._answer(destination)))
        self._close()

    def _answer(self, destination: PixelId) -> Quality:
        try:
            return self._ask(destination)
        except Exception as bug:
            # A bug of ours must not end the thread: it is told like any other failure, and counted.
            return Unreadable(f"asking raised {type(bug).__name__}", by_question=False)

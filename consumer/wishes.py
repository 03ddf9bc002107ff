"""Records that somebody wants skipped: asked for on the probes' threads, done by the loop.

Who asks waits for what becomes of it; the loop never waits for anybody.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from consumer.model import Place
from consumer.settle import Ledger
from consumer.skip import Skipping

WISHES_MAX = 100


@dataclass(slots=True, eq=False)
class _Wish:
    place: Place
    became: Skipping | None = None
    tenure: int | None = None
    gone: bool = False  # nobody waits for it any more
    decided: threading.Event = field(default_factory=threading.Event)

    def decide(self, became: Skipping) -> None:
        self.became = became
        self.decided.set()


class Wishes:
    """``skip`` is ``Pipeline.skip``; ``skipped`` is told of each record that was taken out.

    ``wait_seconds`` is how long an asker waits for the dead letter's acknowledgement.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        skip: Callable[[Place], Skipping],
        skipped: Callable[[Place], None],
        wait_seconds: float,
    ) -> None:
        self._ledger = ledger
        self._skip, self._skipped = skip, skipped
        self._wait_seconds = wait_seconds
        self._asked: queue.Queue[_Wish] = queue.Queue(WISHES_MAX)
        self._under_way: list[_Wish] = []

    def __repr__(self) -> str:
        return f"<Wishes {self._asked.qsize()} asked, {len(self._under_way)} under way>"

    def ask(self, place: Place) -> Skipping:
        """Have this record skipped, and wait for it. Called on any thread but the loop's."""
        wish = _Wish(place)
        try:
            self._asked.put_nowait(wish)
        except queue.Full:
            return Skipping.TOO_MANY
        wish.decided.wait(self._wait_seconds)
        wish.gone = True
        return wish.became or Skipping.NO_TURN

    def turn(self) -> None:
        """Do what was asked for, and tell what has been settled since. Called by the loop."""
        while not self._asked.empty():
            wish = self._asked.get()
            if not wish.gone:  # it was told that nothing happened, and nothing does
                self._take(wish)
        self._under_way = [wish for wish in self._under_way if not self._is_over(wish)]

    def _take(self, wish: _Wish) -> None:
        became = self._skip(wish.place)
        if became is not Skipping.UNDER_WAY:
            wish.decide(became)
            return
        wish.became = became
        wish.tenure = self._ledger.tenure_of(wish.place.partition)
        self._under_way.append(wish)
        self._skipped(wish.place)

    def _is_over(self, wish: _Wish) -> bool:
        if self._ledger.tenure_of(wish.place.partition) != wish.tenure:
            wish.decide(Skipping.NOT_OURS)
        elif not self._ledger.is_open(*wish.place):
            wish.decide(Skipping.SKIPPED)
        return wish.gone or wish.decided.is_set()

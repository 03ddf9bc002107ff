"""Which part of a refused batch to try next, until every bad event in it is found.

Meta refuses a whole request for one bad event and does not say which. Halving finds it: a trial
that is accepted has been *delivered*, and its other half must hold the bad one (so that it need
not be tried whole); when a bad one is found, everything not yet tried goes in one request.
"""

from collections.abc import Callable

from consumer.model import Prepared


class Isolation:
    """One refused batch being taken apart. One trial is out at a time.

    ``suspects`` is known to hold at least one bad event; of ``rest`` nothing is known.
    """

    def __init__(self, refused: list[Prepared]) -> None:
        self._suspects = refused
        self._rest: list[Prepared] = []

    def __repr__(self) -> str:
        return f"<Isolation {len(self._suspects)} suspects, {len(self._rest)} others>"

    def __len__(self) -> int:
        return len(self._suspects) + len(self._rest)

    @property
    def events(self) -> list[Prepared]:
        """What has met no fate yet."""
        return self._suspects + self._rest

    def found(self) -> Prepared | None:
        """The bad event, once a single suspect is left; it leaves the isolation with this."""
        return self._suspects.pop() if len(self._suspects) == 1 else None

    def trial(self) -> list[Prepared]:
        """What to send next; empty when nothing is left to find."""
        if self._suspects:
            return self._suspects[: len(self._suspects) // 2]
        return self._rest

    def accepted(self) -> list[Prepared]:
        """Meta took the trial: its events, which are thereby delivered and gone from here."""
        trial = self.trial()
        if self._suspects:
            self._suspects = self._suspects[len(trial) :]
        else:
            self._rest = []
        return trial

    def refused(self) -> None:
        """Meta refused the trial, so that it holds a bad event."""
        trial = self.trial()
        if self._suspects:
            self._rest = self._suspects[len(trial) :] + self._rest
        else:
            self._rest = []
        self._suspects = trial

    def forget(self, gone: Callable[[Prepared], bool]) -> None:
        """Take events out. What is known of the suspects holds no longer if one of them goes."""
        suspects = [event for event in self._suspects if not gone(event)]
        rest = [event for event in self._rest if not gone(event)]
        if len(suspects) < len(self._suspects):
            suspects, rest = [], suspects + rest
        self._suspects, self._rest = suspects, rest

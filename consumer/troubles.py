"""Troubles that have been told, and how often each came again. Pure.

A trouble has one line when it is new and one when it is over; in between it is counted.
"""

from collections.abc import Hashable

TROUBLES_MAX = 1000
"""So many different troubles of one kind are remembered as told."""


class Troubles:
    """Every trouble is of a kind, which is over as a whole. Of too many of one kind the oldest is
    forgotten, and would be told as new."""

    def __init__(self) -> None:
        self._repeats: dict[Hashable, dict[str, int]] = {}

    def __repr__(self) -> str:
        return f"<Troubles {len(self)} told>"

    def __len__(self) -> int:
        return sum(map(len, self._repeats.values()))

    def is_new(self, kind: Hashable, trouble: str) -> bool:
        """Whether it has not been told; from now on it has. One that comes again is counted."""
        told = self._repeats.setdefault(kind, {})
        if trouble in told:
            told[trouble] += 1
            return False
        if len(told) >= TROUBLES_MAX:
            del told[next(iter(told))]
        told[trouble] = 0
        return True

    def is_on(self, kind: Hashable) -> bool:
        """Whether there is a trouble of this kind that is not over."""
        return kind in self._repeats

    def over(self, kind: Hashable) -> int | None:
        """Those of this kind are over: how often they came again after they were told. None when
        there were none. Asked at every turn, so it costs next to nothing."""
        told = self._repeats.pop(kind, None)
        return None if told is None else sum(told.values())

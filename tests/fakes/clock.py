"""A clock that stands still until somebody waits."""


class FakeClock:
    """Both of the loop's clocks; they move together, and only by ``advance``.

    ``idle_pace``: so many times longer than asked for does a read that finds nothing take. A story
    of an hour in which little happens is then told in few turns.
    """

    def __init__(self) -> None:
        self.idle_pace = 1.0
        self._now = 1_000.0
        self._offset_ms = 1_764_000_000_000

    def __repr__(self) -> str:
        return f"<FakeClock {self._now:.3f}>"

    def now(self) -> float:
        """Monotonic seconds."""
        return self._now

    def now_ms(self) -> int:
        """Wall-clock milliseconds since the epoch."""
        return self._offset_ms + round(self._now * 1000)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        assert seconds >= 0, "time does not go backwards"
        self._now += seconds

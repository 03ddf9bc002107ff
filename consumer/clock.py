"""This machine's clocks, as the loops ask for them."""

import time


class SystemClock:
    """The real time; satisfies ``seams.Clock``."""

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def now_ms(self) -> int:
        """Wall-clock milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

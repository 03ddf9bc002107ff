"""How many events of a refused batch are bad, as far as is known, and how many to try next.

Each event is taken to be bad with the same unknown chance. What has been seen weighs the chances
on a grid from very rare to nearly all, and the next trial is the one whose outcome is nearest to
even: the answer to it tells most.
"""

from collections.abc import Callable
from math import exp, log, log1p

_RATE_MAX = 0.9
_STEP = 2**0.5


class BadRate:
    """What is known of the rate among ``population`` events.

    ``bad`` of them were found so far, and ``good`` were accepted.
    """

    def __init__(self, population: int) -> None:
        self.bad = 0
        self.good = 0
        rate = 0.5 / population
        self._logs: list[tuple[float, float]] = []
        while rate < _RATE_MAX:
            self._logs.append((log(rate), log1p(-rate)))
            rate *= _STEP

    def __repr__(self) -> str:
        return f"<BadRate {self.bad} bad, {self.good} good>"

    def chance_all_good(self, size: int) -> float:
        """The chance that ``size`` events of which nothing is known are all good."""
        weighted = self._weighted()
        every = sum(weight for weight, _ in weighted)
        return sum(weight * exp(size * log_good) for weight, log_good in weighted) / every

    def trial_of_suspects(self, size: int) -> int:
        """How many of ``size`` events, at least one of them bad, to try: 1 to ``size`` - 1."""
        weighted = self._weighted()
        none_bad = sum(weight * exp(size * log_good) for weight, log_good in weighted)
        every = sum(weight for weight, _ in weighted) - none_bad

        def chance(tried: int) -> float:
            good = sum(weight * exp(tried * log_good) for weight, log_good in weighted)
            return (good - none_bad) / every

        return _nearest_to_even(chance, size - 1)

    def trial_of_unknown(self, size: int) -> int:
        """How many of ``size`` events of which nothing is known to try: 1 to ``size``."""
        return _nearest_to_even(self.chance_all_good, size)

    def _weighted(self) -> list[tuple[float, float]]:
        """The weight of each rate, and the logarithm of the chance that one event is good."""
        logs = [
            ((self.bad - 1) * log_bad + self.good * log_good, log_good)
            for log_bad, log_good in self._logs
        ]
        largest = max(log_weight for log_weight, _ in logs)
        return [(exp(log_weight - largest), log_good) for log_weight, log_good in logs]


def _nearest_to_even(chance: Callable[[int], float], most: int) -> int:
    """The size whose chance, which falls with the size, is nearest to one half."""
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        if chance(middle) > 0.5:
            low = middle + 1
        else:
            high = middle
    if low > 1 and chance(low - 1) - 0.5 < 0.5 - chance(low):
        return low - 1
    return low

"""Numbers as a dashboard shows them, and where an axis has its lines."""

import math
from collections.abc import Sequence
from itertools import pairwise

_LARGE = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_BYTES = ((2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB"))
_SPANS = ((86_400.0, " d"), (3600.0, " h"), (60.0, " min"))


def shown(value: float, unit: str, decimals: int | None = None) -> str:
    """``1234.5`` → ``1.23k``; ``90`` with the unit ``s`` → ``1.5 min``."""
    if math.isnan(value):
        return "–"
    if decimals is not None and abs(value) < 1000:
        value = round(value, decimals)
    match unit:
        case "percentunit":
            return f"{_short(value * 100)} %"
        case "bytes":
            return _scaled(value, _BYTES, " B")
        case "s":
            if 0 < abs(value) < 1:
                return f"{_short(value * 1000)} ms"
            return _scaled(value, _SPANS, " s")
        case "ops":
            return f"{_scaled(value, _LARGE, '')}/s"
        case "reqps":
            return f"{_scaled(value, _LARGE, '')} req/s"
        case _:
            return _scaled(value, _LARGE, "")


def ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers from ``low`` to ``high``."""
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if span / (power * factor) <= 5)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def powers(low: float, high: float) -> list[float]:
    """The powers of ten from ``low`` to ``high``, both of them powers of ten."""
    return [10.0**power for power in range(round(math.log10(low)), round(math.log10(high)) + 1)]


def colour_at(value: float, steps: Sequence[tuple[float | None, str]]) -> str:
    """The colour of the last step that the value has reached."""
    reached = steps[0][1]
    for (_, _), (bound, colour) in pairwise(steps):
        if bound is not None and value >= bound:
            reached = colour
    return reached


def _scaled(value: float, scale: Sequence[tuple[float, str]], plain: str) -> str:
    for size, unit in scale:
        if abs(value) >= size:
            return f"{_short(value / size)}{unit}"
    return f"{_short(value)}{plain}"


def _short(value: float) -> str:
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(digits, 4)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

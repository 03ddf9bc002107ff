"""Lines over time, with axes, thresholds and a legend."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.drawing.frame import (
    BOTTOM,
    CHARACTER,
    COLOURS,
    END,
    GRID,
    PALETTE,
    Frame,
    Json,
    Points,
    Series,
    Span,
    short,
    steps_of,
    text,
)
from tests.drawing.numbers import powers, shown, ticks

LEFT, LEGEND = 52.0, 14.0
TIMES = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 36_000.0, 86_400.0, 604_800.0)
"""Round times, in seconds."""


class Scale(NamedTuple):
    """Where values stand between ``low`` at the bottom and ``high`` at the top."""

    low: float
    high: float
    logarithmic: bool
    height: float

    def y(self, value: float) -> float:
        """The place of a value; what is beyond the axis is at its end."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.height * (1 - share)

    def marks(self, unit: str) -> list[float]:
        """The values that have a line of the grid."""
        if self.logarithmic:
            marks = TIMES if unit == "s" else powers(self.low, self.high)
            return [mark for mark in marks if self.low <= mark <= self.high]
        size = _size(self.high, unit)
        return [mark * size for mark in ticks(self.low / size, self.high / size)]


def _size(high: float, unit: str) -> float:
    """Of what an axis has round numbers: mebibytes, or days where there are some."""
    match unit:
        case "bytes":
            return 2.0**20
        case "s":
            return next((size for size in (86_400.0, 3600.0, 60.0) if high > 2 * size), 1.0)
        case _:
            return 1.0


def timeseries(panel: Json, series: Sequence[Series], span: Span, w: float, h: float) -> str:
    """Lines with their axes and a legend."""
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults["custom"]
    stacked = custom["stacking"]["mode"] == "normal"
    if stacked:
        series = _stacked(series)
    legend = _legend_lines(series, w)
    frame = Frame(span, LEFT, w, h - BOTTOM - LEGEND * len(legend) - 4)
    logarithmic = custom["scaleDistribution"]["type"] == "log"
    low, high = _bounds(series, defaults, logarithmic=logarithmic)
    scale = Scale(low, high, logarithmic, frame.height)
    parts = [*_grid(scale, defaults["unit"], w), *frame.time_axis()]
    if custom["thresholdsStyle"]["mode"] != "off":
        parts += _thresholds(panel, scale, w)
    for number, one in reversed(list(enumerate(series))):
        parts += _line(one, PALETTE[number % len(PALETTE)], frame, scale, filled=stacked)
    parts += _legend(legend, frame.height + BOTTOM + 10)
    return "".join(parts)


def _stacked(series: Sequence[Series]) -> list[Series]:
    """Each line on top of the ones before."""
    ground: dict[float, float] = {}
    stacked = []
    for one in series:
        points = [(at, value + ground.get(at, 0.0)) for at, value in one.points]
        ground |= dict(points)
        stacked.append(one._replace(points=points))
    return stacked


def _bounds(series: Sequence[Series], defaults: Json, *, logarithmic: bool) -> tuple[float, float]:
    values = [value for one in series for _, value in one.points if not math.isnan(value)]
    if logarithmic:
        positive = [value for value in values if value > 0] or [1.0]
        low = 10.0 ** math.floor(math.log10(min(positive)))
        return low, max(low * 10, 10.0 ** math.ceil(math.log10(max(positive))))
    high = defaults.get("max", max(values, default=0.0) * 1.05)
    return min(0.0, *values, 0.0) if values else 0.0, high if high > 0 else 1.0


def _grid(scale: Scale, unit: str, w: float) -> Iterator[str]:
    for mark in scale.marks(unit):
        y = scale.y(mark)
        yield f'<path d="M{LEFT} {short(y)}H{short(w)}" stroke="{GRID}"/>'
        yield text(LEFT - 5, y + 3.5, shown(mark, unit), size=9, more=END)


def _thresholds(panel: Json, scale: Scale, w: float) -> Iterator[str]:
    for bound, colour in steps_of(panel)[1:]:
        if bound is not None and scale.low < bound <= scale.high:
            line = f"M{LEFT} {short(scale.y(bound))}H{short(w)}"
            yield f'<path d="{line}" stroke="{COLOURS[colour]}" stroke-dasharray="6 4"/>'


def _line(one: Series, colour: str, frame: Frame, scale: Scale, *, filled: bool) -> Iterator[str]:
    """The line, broken where nothing is known."""
    known = [point for point in one.points if not math.isnan(point[1])]
    for piece in _unbroken(known, frame.seconds / 30):
        places = [(frame.x(at), scale.y(value)) for at, value in piece]
        line = path(places)
        if filled:
            bottom = short(frame.height)
            ends = f"L{short(places[-1][0])} {bottom}L{short(places[0][0])} {bottom}Z"
            yield f'<path d="{line}{ends}" fill="{_tint(colour)}"/>'
        yield f'<path d="{line}" fill="none" stroke="{colour}" stroke-width="1.3"/>'


def _tint(colour: str) -> str:
    """The colour mixed with white: opaque, for areas that stand before others."""
    channels = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{255 - (255 - channel) * 55 // 100:02x}" for channel in channels)


def _unbroken(points: Points, gap: float) -> Iterator[list[tuple[float, float]]]:
    piece: list[tuple[float, float]] = []
    for point in points:
        if piece and point[0] - piece[-1][0] > gap:
            yield piece
            piece = []
        piece.append(point)
    if piece:
        yield piece


def path(places: Sequence[tuple[float, float]]) -> str:
    """These places joined by straight lines."""
    if len(places) == 1:
        return f"M{short(places[0][0])} {short(places[0][1])}h1.5"
    return "M" + "L".join(f"{short(x)} {short(y)}" for x, y in places)


def _legend_lines(series: Sequence[Series], w: float) -> list[list[tuple[float, str, str]]]:
    """(x, name, colour) in at most two lines; what does not fit is counted."""
    lines: list[list[tuple[float, str, str]]] = [[]]
    x = 4.0
    for number, one in enumerate(series):
        wide = CHARACTER * len(one.name) + 24
        if x + wide > w - 44 * (len(lines) == 2) and lines[-1]:
            if len(lines) == 2:
                lines[-1].append((x, f"+ {len(series) - number}", "none"))
                break
            lines.append([])
            x = 4.0
        lines[-1].append((x, one.name, PALETTE[number % len(PALETTE)]))
        x += wide
    return lines


def _legend(lines: Sequence[Sequence[tuple[float, str, str]]], y: float) -> Iterator[str]:
    for number, line in enumerate(lines):
        at = y + LEGEND * number
        for x, name, colour in line:
            yield f'<path d="M{short(x)} {short(at)}h10" stroke="{colour}" stroke-width="3"/>'
            yield text(x + 13, at + 3.5, name)

"""The panels that have no axis of values: numbers, tables, states and heat maps."""

import math
from collections.abc import Sequence
from itertools import groupby, pairwise, zip_longest

from tests.drawing.frame import (
    BOTTOM,
    CHARACTER,
    COLOURS,
    END,
    FAINT,
    GRID,
    INK,
    Frame,
    Json,
    Points,
    Series,
    Span,
    fitted,
    mapped,
    short,
    steps_of,
    text,
)
from tests.drawing.lines import path
from tests.drawing.numbers import colour_at, shown

LEFT, ROW = 52.0, 17.0


def stat(panel: Json, series: Sequence[Series], span: Span, w: float, h: float) -> str:
    """The last value, large, over how it came about."""
    points = series[0].points if series else ()
    last = points[-1][1] if points else math.nan
    if not math.isnan(last):
        said, colour = _said(panel, last)
    else:
        said = panel["fieldConfig"]["defaults"].get("noValue", "No data")
        colour = FAINT if said == "No data" else COLOURS["green"]
    size = min(34.0, h * 0.5, 1.7 * w / max(len(said), 4))
    more = f' text-anchor="middle" font-weight="600" fill="{colour}"'
    number = text(w / 2, h * 0.5 + size * 0.35, said, size=round(size, 1), more=more)
    return _spark(points, Frame(span, 0.0, w, h), colour) + number


def _spark(points: Points, frame: Frame, colour: str) -> str:
    """A small picture of the values behind the last one."""
    if len(points) < 2:
        return ""
    low = min(0.0, *(value for _, value in points))
    top = max(value for _, value in points)
    places = [
        (frame.x(at), frame.height * (1 - 0.45 * (value - low) / ((top - low) or 1)))
        for at, value in points
    ]
    line, bottom = path(places), short(frame.height)
    ends = f"L{short(places[-1][0])} {bottom}L{short(places[0][0])} {bottom}Z"
    return (
        f'<path d="{line}{ends}" fill="{colour}" fill-opacity=".12"/>'
        f'<path d="{line}" fill="none" stroke="{colour}" stroke-opacity=".6"/>'
    )


def table(panel: Json, rows: Sequence[Series], span: Span, w: float, h: float) -> str:
    """One row for each series, in the order and under the names of the panel."""
    del span
    organized = panel["transformations"][0]["options"]
    names: dict[str, str] = organized["renameByName"]
    order = sorted(names, key=lambda name: int(organized["indexByName"][name]))
    width = w / len(order)
    heading = f' font-weight="600" fill="{FAINT}"'
    parts = [text(4 + width * at, 11, names[name], more=heading) for at, name in enumerate(order)]
    if not rows:
        parts.append(text(4, 30, "No data", more=f' fill="{FAINT}"'))
    fitting = int((h - 18) // ROW)
    if len(rows) > fitting:
        fitting -= 1
        parts.append(text(w - 4, h - 3, f"+ {len(rows) - fitting} more rows", more=END))
    listed = sorted(rows, key=lambda row: -row.points[-1][1])
    for number, row in enumerate(listed[:fitting]):
        y = 29 + ROW * number
        parts.append(f'<path d="M0 {short(y - 13)}H{short(w)}" stroke="{GRID}"/>')
        for at, name in enumerate(order):
            said, colour = row.labels.get(name, ""), INK
            if name == "Value":
                said, colour = _said(panel, row.points[-1][1])
            elif names[name] in _linked(panel):
                colour = COLOURS["blue"]
            more = f' fill="{colour}"'
            parts.append(text(4 + width * at, y, fitted(said, width - 8), more=more))
    return "".join(parts)


def _said(panel: Json, value: float) -> tuple[str, str]:
    """A value as the panel shows it, and its colour."""
    defaults = panel["fieldConfig"]["defaults"]
    plain = shown(value, defaults["unit"], defaults.get("decimals"))
    return mapped(defaults, value) or (plain, COLOURS[colour_at(value, steps_of(panel))])


def _linked(panel: Json) -> set[str]:
    """The columns that lead somewhere."""
    return {str(each["matcher"]["options"]) for each in panel["fieldConfig"]["overrides"]}


def state_timeline(panel: Json, series: Sequence[Series], span: Span, w: float, h: float) -> str:
    """One bar for each series, coloured by its state."""
    defaults = panel["fieldConfig"]["defaults"]
    left = 120.0
    parts: list[str] = []
    height = min(30.0, (h - BOTTOM - 8) / max(1, len(series)))
    frame = Frame(span, left, w, height * len(series))

    for number, one in enumerate(series):
        y = height * number
        parts.append(text(0, y + height / 2 + 3, fitted(one.name, left - 6)))
        runs = [list(run) for _, run in groupby(one.points, key=lambda point: point[1])]
        for run, after in zip_longest(runs, runs[1:], fillvalue=one.points[-1:]):
            (since, value), (until, _) = run[0], after[0]
            name, colour = mapped(defaults, value) or (str(value), FAINT)
            x, end = frame.x(since), frame.x(until)
            wide = max(2.0, end - x)
            parts.append(
                f'<rect x="{short(x)}" y="{short(y + 2)}" width="{short(wide)}"'
                f' height="{short(height - 4)}"'
                f' fill="{colour}" fill-opacity=".7"/>'
            )
            if wide > CHARACTER * len(name) + 6:
                parts.append(text(x + 4, y + height / 2 + 3, name, more=' fill="#fff"'))
    parts += frame.time_axis()
    return "".join(parts)


def heatmap(panel: Json, series: Sequence[Series], span: Span, w: float, h: float) -> str:
    """Each bucket of a histogram as a row of cells, the darker the more fell into it."""
    unit = panel["options"]["yAxis"]["unit"]
    buckets = sorted(series, key=lambda one: float(one.labels["le"]))
    plot_h = h - BOTTOM
    frame = Frame(span, LEFT, w, plot_h)
    rows = _differences(buckets)
    top = max((value for row in rows for value in row.values()), default=0.0) or 1.0
    height = plot_h / max(1, len(rows))
    times = sorted({at for row in rows for at in row})
    gap = min((b - a for a, b in pairwise(times)), default=1.0)

    wide = max(1.0, frame.x(span.start + gap) - LEFT - 0.4)
    parts = []
    for number, (bucket, row) in enumerate(zip(buckets, rows, strict=True)):
        y = plot_h - height * (number + 1)
        bound = float(bucket.labels["le"])
        said = "more" if math.isinf(bound) else f"≤ {shown(bound, unit)}"
        parts.append(text(LEFT - 5, y + height / 2 + 3.5, said, size=8.5, more=END))
        cells = (
            f'<rect x="{short(frame.x(at))}" y="{short(y)}" width="{short(wide)}"'
            f' height="{short(height - 0.4)}" fill-opacity="{(value / top) ** 0.5:.2f}"/>'
            for at, value in row.items()
            if value > 1e-9
        )
        parts.append(f'<g fill="#c4501b">{"".join(cells)}</g>')
    parts += frame.time_axis()
    return "".join(parts)


def _differences(buckets: Sequence[Series]) -> list[dict[float, float]]:
    """What fell into each bucket alone, from what fell into it and all below."""
    below: dict[float, float] = {}
    rows = []
    for bucket in buckets:
        here = dict(bucket.points)
        rows.append({at: value - below.get(at, 0.0) for at, value in here.items()})
        below = here
    return rows

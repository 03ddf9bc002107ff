"""A dashboard drawn as one SVG, from its own JSON and what Prometheus answered to its queries.

It is no picture of Grafana: it has the same panels in the same grid with the same data, and says
in its last line what it is.
"""

from collections.abc import Callable, Sequence
from html import escape

from tests.drawing.cells import heatmap, stat, state_timeline, table
from tests.drawing.frame import FAINT, INK, TEXT, Json, Series, Span, fitted, text
from tests.drawing.lines import timeseries

Answers = Callable[[Json, Json], Sequence[Series]]
"""A panel and one of its targets → what was answered."""

COLUMN, UNIT, GAP = 60.0, 30.0, 8.0
MARGIN, HEADING = 12.0, 22.0
TOP, FOOT = 46.0, 26.0
SHAPES = {
    "timeseries": timeseries,
    "stat": stat,
    "table": table,
    "state-timeline": state_timeline,
    "heatmap": heatmap,
}


def drawn(
    dashboard: Json, answers: Answers, span: Span, *, rows: int | None = None, note: str
) -> str:
    """The picture; ``rows`` are how many of its rows, from the top; ``note`` is the last line."""
    panels = _first_rows(dashboard["panels"], rows)
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    width = 24 * COLUMN + 2 * MARGIN
    height = TOP + bottom * (UNIT + GAP) + FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
        f' width="{width:g}" height="{height:g}" role="img" fill="{INK}"'
        ' font-family="Inter, Roboto, Helvetica, Arial, sans-serif">',
        f"<title>{escape(dashboard['title'])}</title>",
        '<rect width="100%" height="100%" fill="#f4f5f5"/>',
        text(MARGIN, 28, dashboard["title"], size=18, more=' font-weight="600"'),
    ]
    parts += [_placed(panel, answers, span) for panel in panels]
    parts.append(text(MARGIN, height - 9, note, size=11, more=f' fill="{FAINT}"'))
    return "\n".join([*parts, "</svg>\n"])


def _first_rows(panels: Sequence[Json], rows: int | None) -> list[Json]:
    kept: list[Json] = []
    for panel in panels:
        if panel["type"] == "row":
            if rows == 0:
                break
            rows = None if rows is None else rows - 1
        kept.append(panel)
    return kept


def _placed(panel: Json, answers: Answers, span: Span) -> str:
    place = panel["gridPos"]
    x = MARGIN + place["x"] * COLUMN
    y = TOP + place["y"] * (UNIT + GAP)
    width, height = place["w"] * COLUMN - GAP, place["h"] * (UNIT + GAP) - GAP
    if panel["type"] == "row":
        return text(x, y + 22, f"▾ {panel['title']}", size=14, more=' font-weight="600"')
    series = [one for target in panel["targets"] for one in answers(panel, target)]
    inner_w, inner_h = width - 16, height - HEADING - 8
    inside = SHAPES[panel["type"]](panel, series, span, inner_w, inner_h)
    title = text(
        8, 16, fitted(panel["title"], width - 8), size=TEXT + 1.5, more=' font-weight="600"'
    )
    return (
        f'<g transform="translate({x:g} {y:g})">'
        f'<rect width="{width:g}" height="{height:g}" rx="3" fill="#fff" stroke="#dcdfe3"/>'
        f'{title}<g transform="translate(8 {HEADING + 4:g})">{inside}</g></g>'
    )

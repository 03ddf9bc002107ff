"""The pictures of the dashboards show what was answered, where Grafana would show it."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as Tree

import pytest

from tests.dashboards import NAMES, ROOT, dashboard, panels
from tests.drawing import drawn
from tests.drawing.frame import Series, Span
from tests.drawing.lines import timeseries
from tests.drawing.numbers import colour_at, powers, shown, ticks

SPAN = Span(1000.0, 1180.0)
NOTE = "A rendering, and not Grafana."


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0, "short", "0"),
        (1234.5, "short", "1.23k"),
        (53.2, "short", "53.2"),
        (0.25, "percentunit", "25 %"),
        (0.9991, "percentunit", "99.9 %"),
        (0.0123, "s", "12.3 ms"),
        (90, "s", "1.5 min"),
        (7 * 86_400, "s", "7 d"),
        (3 * 2**20, "bytes", "3 MiB"),
        (12.5, "reqps", "12.5 req/s"),
        (math.nan, "short", "–"),
    ],
)
def test_a_number_is_short_and_has_its_unit(value: float, unit: str, said: str) -> None:
    assert shown(value, unit) == said


def test_a_count_has_no_decimals() -> None:
    assert shown(53.2, "short", 0) == "53"


@pytest.mark.parametrize("high", [0.7, 1, 3, 10, 47, 999, 12_345])
def test_an_axis_has_a_few_round_lines(high: float) -> None:
    marks = ticks(0, high)

    assert 3 <= len(marks) <= 6
    assert marks[0] == 0
    assert marks[-1] <= high * 1.0001


def test_a_logarithmic_axis_has_powers_of_ten() -> None:
    assert powers(1, 1000) == [1, 10, 100, 1000]


@pytest.mark.parametrize(
    ("value", "colour"), [(0, "green"), (0.9, "green"), (1, "yellow"), (10, "red")]
)
def test_a_threshold_counts_from_its_value_on(value: float, colour: str) -> None:
    assert colour_at(value, [(None, "green"), (1.0, "yellow"), (5.0, "red")]) == colour


def _answers(panel: Mapping[str, Any], target: Mapping[str, Any]) -> Sequence[Series]:
    """Two series for each query, with whatever labels a panel may want."""
    del target
    points = [(SPAN.start + 10 * number, float(number % 4)) for number in range(18)]
    labels = [{"le": bound, "reason": "a<b"} for bound in ("0.5", "+Inf")]
    return [Series(f"{panel['type']} <{each['le']}>", each, points) for each in labels]


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_one_svg_with_every_panel_and_says_what_it_is(name: str) -> None:
    picture = drawn(dashboard(name), _answers, SPAN, note=NOTE)

    said = [each.text for each in Tree.fromstring(picture).iter() if each.text]  # noqa: S314
    assert [panel["title"] for panel in panels(name) if panel["title"] not in said] == []
    assert NOTE in said


@pytest.mark.parametrize("name", NAMES)
def test_a_panel_without_data_is_drawn_empty(name: str) -> None:
    picture = drawn(dashboard(name), lambda panel, target: [], SPAN, note=NOTE)

    Tree.fromstring(picture)  # noqa: S314
    assert re.search(r"\bnan\b", picture) is None


def test_a_picture_may_end_after_some_rows() -> None:
    rows = [each["title"] for each in dashboard("overview")["panels"] if each["type"] == "row"]

    picture = drawn(dashboard("overview"), _answers, SPAN, rows=2, note=NOTE)

    assert [row for row in rows if f"▾ {row.replace(chr(39), '&#x27;')}<" in picture] == rows[:2]


def test_a_line_is_where_its_values_are_and_broken_where_there_are_none() -> None:
    panel = next(each for each in panels("overview") if each["title"] == "Memory")
    points = [(1000.0, 0.0), (1090.0, 50.0), (1170.0, math.nan), (1180.0, 100.0)]

    picture = timeseries(panel, [Series("one", {}, points)], SPAN, 352.0, 200.0)

    (first, *others) = re.findall(r'<path d="M(\d+) ([\d.]+)[^"]*" fill="none"', picture)
    assert first == ("52", "166")  # bottom left: above the axis and the legend
    assert ("202", "87") in others  # in the middle of the time, and nearly of the height
    assert len(others) == 2


def test_stacked_areas_stand_on_one_another() -> None:
    panel = next(each for each in panels("overview") if each["title"] == "What closes windows")
    series = [Series(name, {}, [(1000.0, 10.0), (1006.0, 10.0)]) for name in "ab"]

    picture = timeseries(panel, series, SPAN, 352.0, 200.0)

    tops = [float(y) for y in re.findall(r'd="M52 ([\d.]+)L[^"]*" fill="none"', picture)]
    assert len(tops) == 2
    assert tops[0] < tops[1]  # the upper one is drawn first, and lies behind


@pytest.mark.parametrize("name", [*NAMES, "overview-top"])
def test_a_picture_in_the_docs_is_small_and_of_the_dashboard_as_it_is(name: str) -> None:
    path = ROOT / "docs" / "images" / f"{name}.svg"
    said = {each.text for each in Tree.parse(path).iter() if each.text}  # noqa: S314
    source = dashboard(next(each for each in NAMES if name.startswith(each)))

    headings = [f"▾ {each['title']}" for each in source["panels"] if each["type"] == "row"]
    assert path.stat().st_size < 300_000
    if name in NAMES:
        assert {*headings, *(panel["title"] for panel in panels(name))} <= said
    assert any("not by Grafana" in each for each in said)

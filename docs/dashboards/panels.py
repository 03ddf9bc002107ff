"""The kinds of panels: only what differs from one to the next is said by whoever makes one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboards.queries import Query, per_second

GREEN, YELLOW, ORANGE, RED, BLUE = "green", "yellow", "orange", "red", "blue"
Json = dict[str, Any]
Step = tuple[float, str]
"""From this value on the panel has this colour."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. ``says`` is what it means and what to do; ``alerts`` have a runbook each."""

    kind: str
    title: str
    says: str
    unit: str
    queries: tuple[Query, ...]
    size: tuple[int, int]
    steps: tuple[Step, ...] = ()
    alerts: tuple[str, ...] = ()
    instant: bool = False
    options: Json = field(default_factory=dict)
    defaults: Json = field(default_factory=dict)
    overrides: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()


def chart(
    title: str,
    unit: str,
    says: str,
    *queries: Query,
    steps: Sequence[Step] = (),
    alerts: Sequence[str] = (),
    size: tuple[int, int] = (8, 8),
    stacked: bool = False,
    logarithmic: bool = False,
    top: float | None = None,
) -> Panel:
    """Lines over time; ``steps`` are drawn as lines where they are reached."""
    scale: Json = {"type": "log", "log": 10} if logarithmic else {"type": "linear"}
    custom: Json = {
        "drawStyle": "line",
        "fillOpacity": 30 if stacked else 8,
        "lineWidth": 1,
        "scaleDistribution": scale,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if stacked else "none"},
        "thresholdsStyle": {"mode": "dashed" if steps else "off"},
    }
    defaults: Json = {"color": {"mode": "palette-classic"}, "custom": custom}
    if not logarithmic:
        defaults["min"] = 0
    if top is not None:
        defaults["max"] = top
    options: Json = {
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return Panel(
        kind="timeseries",
        title=title,
        says=says,
        unit=unit,
        queries=queries,
        size=size,
        steps=tuple(steps),
        alerts=tuple(alerts),
        options=options,
        defaults=defaults,
    )


def figure(
    title: str,
    unit: str,
    says: str,
    query: Query,
    *,
    steps: Sequence[Step] = (),
    alerts: Sequence[str] = (),
    size: tuple[int, int] = (4, 4),
    base: str = GREEN,
    decimals: int | None = None,
    mappings: Sequence[Json] = (),
    absent: str = "",
    instant: bool = False,
) -> Panel:
    """One number, the last; ``absent`` is what is shown while there is none. ``instant``: without
    how it came about, for a query that would cost too much at every point."""
    options: Json = {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
    }
    defaults: Json = {"color": {"mode": "thresholds"}, "mappings": list(mappings)}
    if decimals is not None:
        defaults["decimals"] = decimals
    if absent:
        defaults["noValue"] = absent
    return Panel(
        kind="stat",
        instant=instant,
        title=title,
        says=says,
        unit=unit,
        queries=(query,),
        size=size,
        steps=((float("-inf"), base), *steps),
        alerts=tuple(alerts),
        options=options,
        defaults=defaults,
    )


def table(
    title: str,
    unit: str,
    says: str,
    query: Query,
    *,
    columns: Mapping[str, str],
    steps: Sequence[Step] = (),
    alerts: Sequence[str] = (),
    size: tuple[int, int] = (8, 8),
    decimals: int | None = None,
    mappings: Sequence[Json] = (),
    links: Mapping[str, tuple[str, str]] | None = None,
) -> Panel:
    """The last values, one row each. ``columns``: field → heading, in their order; a heading may
    have a link of title and address."""
    order = {name: number for number, name in enumerate(columns)}
    organize: Json = {
        "excludeByName": {"Time": True},
        "indexByName": order,
        "renameByName": dict(columns),
    }
    sort: Json = {"fields": {}, "sort": [{"desc": True, "field": columns["Value"]}]}
    overrides = tuple(
        {
            "matcher": {"id": "byName", "options": column},
            "properties": [
                {"id": "links", "value": [{"targetBlank": True, "title": said, "url": url}]}
            ],
        }
        for column, (said, url) in (links or {}).items()
    )
    defaults: Json = {
        "color": {"mode": "thresholds"},
        "custom": {"align": "auto"},
        "mappings": list(mappings),
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    return Panel(
        kind="table",
        instant=True,
        title=title,
        says=says,
        unit=unit,
        queries=(query,),
        size=size,
        steps=tuple(steps),
        alerts=tuple(alerts),
        options={"cellHeight": "sm", "showHeader": True},
        defaults=defaults,
        overrides=overrides,
        transformations=(
            {"id": "organize", "options": organize},
            {"id": "sortBy", "options": sort},
        ),
    )


def heatmap(
    title: str, unit: str, says: str, name: str, *, size: tuple[int, int] = (8, 8)
) -> Panel:
    """How many fell into each bucket of a histogram, over time."""
    options: Json = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "exponent": 0.5,
            "fill": "dark-orange",
            "mode": "scheme",
            "reverse": False,
            "scheme": "Oranges",
            "steps": 64,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }
    return Panel(
        kind="heatmap",
        title=title,
        says=says,
        unit=unit,
        queries=(Query(per_second(name, "le", "_bucket"), "{{le}}", exemplars=True),),
        size=size,
        options=options,
    )


def timeline(
    title: str,
    says: str,
    query: Query,
    *,
    states: Sequence[tuple[str, str]],
    alerts: Sequence[str] = (),
    size: tuple[int, int] = (8, 8),
) -> Panel:
    """In which state each was when: ``states`` are (name, colour), numbered from 0."""
    options: Json = {
        "alignValue": "left",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "mergeValues": True,
        "rowHeight": 0.9,
        "showValue": "auto",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return Panel(
        kind="state-timeline",
        title=title,
        says=says,
        unit="none",
        queries=(query,),
        size=size,
        alerts=tuple(alerts),
        options=options,
        defaults={
            "color": {"mode": "thresholds"},
            "custom": {"fillOpacity": 70, "lineWidth": 0},
            "mappings": [named(states)],
        },
    )


def named(states: Sequence[tuple[str, str]]) -> Json:
    """The numbers 0, 1, … shown as (name, colour)."""
    shown = {
        str(number): {"color": colour, "index": number, "text": name}
        for number, (name, colour) in enumerate(states)
    }
    return {"options": shown, "type": "value"}

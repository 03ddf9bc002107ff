"""What a dashboard of Grafana's is made of: queries, panels and where they stand, as its JSON.

The classic schema (version 41), which every Grafana of the last years imports. Only what differs
from panel to panel is said by whoever makes one; the rest is here, once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from consumer.metric_contract import GROUPS, Metric

SCHEMA_VERSION = 41
COLUMNS = 24
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, YELLOW, ORANGE, RED, BLUE = "green", "yellow", "orange", "red", "blue"
Json = dict[str, Any]
Step = tuple[float, str]
"""From this value on the panel has this colour."""


class Query(NamedTuple):
    """One query. ``legend`` may name labels: ``{{reason}}``."""

    expression: str
    legend: str = ""
    exemplars: bool = False


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
    options: Json = field(default_factory=dict)
    defaults: Json = field(default_factory=dict)
    overrides: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()


class Row(NamedTuple):
    """A heading, and the panels below it from left to right."""

    title: str
    panels: tuple[Panel, ...]


# --- queries ------------------------------------------------------------------------------------


def of(name: str, suffix: str = "", **labels: str) -> str:
    """The selector of a metric of ours; a value that starts with ``~`` is a regular expression.

    The job always counts, and the chosen destinations wherever the metric tells them apart.
    """
    known = _labels(name)
    unknown = [label for label in labels if label not in known]
    assert not unknown, f"{name} has no {unknown}"
    matchers = ['job="$job"']
    if "destination" in known:
        matchers.append('destination=~"$destination"')
    for label, value in labels.items():
        matchers.append(f'{label}=~"{value[1:]}"' if value[0] == "~" else f'{label}="{value}"')
    return f"{name}{suffix}{{{', '.join(matchers)}}}"


def per_second(name: str, by: str = "", suffix: str = "", **labels: str) -> str:
    """How fast a counter grows, over all members of the group."""
    return f"{_sum(by)} (rate({of(name, suffix, **labels)}[$__rate_interval]))"


def in_range(name: str, by: str = "", **labels: str) -> str:
    """By how much a counter grew in the time that the dashboard shows."""
    return f"{_sum(by)} (increase({of(name, **labels)}[$__range]))"


def quantile(share: float, name: str) -> str:
    """A quantile of a histogram, over all members of the group."""
    return f"histogram_quantile({share}, {per_second(name, 'le', '_bucket')})"


def quantiles(name: str) -> tuple[Query, ...]:
    """The three that one looks at; the exemplars of the last lead to Meta's trace ids."""
    return (
        Query(quantile(0.5, name), "half are faster"),
        Query(quantile(0.95, name), "95 % are faster"),
        Query(quantile(0.99, name), "99 % are faster", exemplars=True),
    )


def worst(name: str, by: str, **labels: str) -> str:
    """The highest of what the members say."""
    return f"max by ({by}) ({of(name, **labels)})"


def seconds_since(timestamp: str) -> str:
    """The age of a time."""
    return f"time() - {timestamp}"


def _sum(by: str) -> str:
    return f"sum by ({by})" if by else "sum"


def _labels(name: str) -> tuple[str, ...]:
    metric = next((each for each in _metrics() if each.name == name), None)
    assert metric is not None, f"{name} is not in the contract"
    return tuple(label.name for label in metric.labels)


def _metrics() -> Iterable[Metric]:
    return (metric for group in GROUPS.values() for metric in group)


# --- panels -------------------------------------------------------------------------------------


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
) -> Panel:
    """One number, the last; ``absent`` is what is shown while there is none."""
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
    return Panel(
        kind="table",
        title=title,
        says=says,
        unit=unit,
        queries=(query,),
        size=size,
        steps=tuple(steps),
        alerts=tuple(alerts),
        options={"cellHeight": "sm", "showHeader": True},
        defaults={"color": {"mode": "thresholds"}, "custom": {"align": "auto"}},
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


# --- the dashboard ------------------------------------------------------------------------------


def dashboard(
    *,
    uid: str,
    title: str,
    description: str,
    rows: Sequence[Row],
    others: Sequence[tuple[str, str]],
) -> Json:
    """The whole dashboard; ``others`` are (uid, title) of those that it links to."""
    return {
        "annotations": {"list": [_deployments()]},
        "description": description,
        "editable": False,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "links": [_to_dashboard(*other) for other in others],
        "panels": _laid_out(rows),
        "refresh": "30s",
        "schemaVersion": SCHEMA_VERSION,
        "tags": ["conversions-consumer"],
        "templating": {"list": _variables()},
        "time": {"from": "now-6h", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "title": title,
        "uid": uid,
        "version": 1,
        "weekStart": "",
    }


def _laid_out(rows: Sequence[Row]) -> list[Json]:
    """Panels fill a line of the grid from the left; the next line begins below the highest."""
    panels: list[Json] = []
    y = 0
    for row in rows:
        heading = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
        panels.append(
            {
                "collapsed": False,
                "gridPos": heading,
                "id": len(panels) + 1,
                "panels": [],
                "title": row.title,
                "type": "row",
            }
        )
        x, y, highest = 0, y + 1, 0
        for panel in row.panels:
            width, height = panel.size
            if x + width > COLUMNS:
                x, y, highest = 0, y + highest, 0
            place = {"h": height, "w": width, "x": x, "y": y}
            panels.append(_panel(panel, number=len(panels) + 1, place=place))
            x, highest = x + width, max(highest, height)
        y += highest
    return panels


def _panel(panel: Panel, *, number: int, place: Json) -> Json:
    made: Json = {
        "datasource": DATA_SOURCE,
        "description": panel.says,
        "fieldConfig": {
            "defaults": {**panel.defaults, "thresholds": _steps(panel), "unit": panel.unit},
            "overrides": list(panel.overrides),
        },
        "gridPos": place,
        "id": number,
        "links": [
            {"targetBlank": True, "title": alert, "url": f"${{docs}}/runbooks/{alert}.md"}
            for alert in panel.alerts
        ],
        "options": panel.options,
        "targets": [
            _target(query, panel.kind, "ABCDEFGH"[place_of])
            for place_of, query in enumerate(panel.queries)
        ],
        "title": panel.title,
        "type": panel.kind,
    }
    if panel.transformations:
        made["transformations"] = list(panel.transformations)
    return made


def _steps(panel: Panel) -> Json:
    steps = [step for step in panel.steps if step[0] != float("-inf")]
    base = panel.steps[0][1] if len(steps) < len(panel.steps) else GREEN
    listed: list[Json] = [{"color": base, "value": None}]
    listed += [{"color": colour, "value": value} for value, colour in steps]
    return {"mode": "absolute", "steps": listed}


def _target(query: Query, kind: str, letter: str) -> Json:
    instant = kind == "table"
    target: Json = {
        "datasource": DATA_SOURCE,
        "editorMode": "code",
        "expr": query.expression,
        "format": {"table": "table", "heatmap": "heatmap"}.get(kind, "time_series"),
        "instant": instant,
        "legendFormat": query.legend or "__auto",
        "range": not instant,
        "refId": letter,
    }
    if query.exemplars:
        target["exemplar"] = True
    return target


def _variables() -> list[Json]:
    return [
        {
            "current": {"text": "default", "value": "default"},
            "description": "The Prometheus that scrapes the consumer.",
            "hide": 0,
            "includeAll": False,
            "label": "Data source",
            "multi": False,
            "name": "datasource",
            "options": [],
            "query": "prometheus",
            "refresh": 1,
            "regex": "",
            "type": "datasource",
        },
        _labelled(
            "job",
            "Job",
            "One release of the consumer: the job by which Prometheus scrapes it.",
            "label_values(conversions_build_info, job)",
            several=False,
        ),
        _labelled(
            "destination",
            "Destination",
            "Meta's pixels; `other` and `unknown` are records that name none of ours.",
            'label_values(conversions_events_total{job="$job"}, destination)',
            several=True,
        ),
        _labelled(
            "instance",
            "Member",
            "Members of the consumer group, for the panels that tell them apart.",
            'label_values(conversions_build_info{job="$job"}, instance)',
            several=True,
        ),
        {
            "current": {"text": "docs", "value": "docs"},
            "description": "Where the folder docs/ of this version is published, for the links.",
            "hide": 0,
            "label": "Docs at",
            "name": "docs",
            "options": [],
            "query": "docs",
            "type": "textbox",
        },
    ]


def _labelled(name: str, label: str, description: str, query: str, *, several: bool) -> Json:
    chosen: Json = {"text": ["All"], "value": ["$__all"]}
    variable: Json = {
        "current": chosen
        if several
        else {"text": "conversions-consumer", "value": "conversions-consumer"},
        "datasource": DATA_SOURCE,
        "definition": query,
        "description": description,
        "hide": 0,
        "includeAll": several,
        "label": label,
        "multi": several,
        "name": name,
        "options": [],
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor"},
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "type": "query",
    }
    if several:
        variable["allValue"] = ".*"
    return variable


def _deployments() -> Json:
    """A mark where a version comes up that nobody ran five minutes before."""
    build = 'conversions_build_info{job="$job"}'
    by = "by (version, graph_version)"
    return {
        "datasource": DATA_SOURCE,
        "enable": True,
        "expr": f"max {by} ({build}) unless max {by} ({build} offset 5m)",
        "hide": False,
        "iconColor": BLUE,
        "name": "Deployments",
        "step": "30s",
        "textFormat": "Graph API {{graph_version}}",
        "titleFormat": "conversions-consumer {{version}}",
    }


def _to_dashboard(uid: str, title: str) -> Json:
    return {
        "asDropdown": False,
        "icon": "dashboard",
        "includeVars": True,
        "keepTime": True,
        "tags": [],
        "targetBlank": False,
        "title": title,
        "tooltip": "",
        "type": "link",
        "url": f"/d/{uid}",
    }

"""A whole dashboard of Grafana's as JSON: where panels stand, variables, annotations.

The classic schema (version 41), which every Grafana of the last years imports.
"""

from collections.abc import Sequence
from typing import NamedTuple

from dashboards.panels import BLUE, GREEN, Json, Panel
from dashboards.queries import RELEASE, Query

SCHEMA_VERSION = 41
COLUMNS = 24
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


class Row(NamedTuple):
    """A heading, and the panels below it from left to right."""

    title: str
    panels: tuple[Panel, ...]


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
        "links": [_link(alert, f"${{docs}}/runbooks/{alert}.md") for alert in panel.alerts],
        "options": panel.options,
        "targets": [
            _target(query, panel, "ABCDEFGH"[place_of])
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


def _target(query: Query, panel: Panel, letter: str) -> Json:
    target: Json = {
        "datasource": DATA_SOURCE,
        "editorMode": "code",
        "expr": query.expression,
        "format": {"table": "table", "heatmap": "heatmap"}.get(panel.kind, "time_series"),
        "instant": panel.instant,
        "legendFormat": query.legend or "__auto",
        "range": not panel.instant,
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
            "namespace",
            "Namespace",
            "Where the release is installed; none outside of Kubernetes.",
            'label_values(conversions_build_info{job="$job"}, namespace)',
            several=True,
        ),
        _labelled(
            "destination",
            "Destination",
            "Meta's pixels; `other` and `unknown` are records that name none of ours.",
            f"label_values(conversions_events_total{{{RELEASE}}}, destination)",
            several=True,
        ),
        _labelled(
            "instance",
            "Member",
            "Members of the consumer group, for the panels that tell them apart.",
            f"label_values(conversions_build_info{{{RELEASE}}}, instance)",
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
    build = f"conversions_build_info{{{RELEASE}}}"
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
    """To another dashboard, with the time and the choices of this one."""
    here = {"icon": "dashboard", "includeVars": True, "keepTime": True, "targetBlank": False}
    return _link(title, f"/d/{uid}") | here


def _link(title: str, url: str) -> Json:
    return {
        "asDropdown": False,
        "icon": "doc",
        "includeVars": False,
        "keepTime": False,
        "tags": [],
        "targetBlank": True,
        "title": title,
        "tooltip": "",
        "type": "link",
        "url": url,
    }

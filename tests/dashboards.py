"""The shipped dashboards, as the tests read them: panels, queries, and what stands in a query."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "helm" / "files" / "dashboards"
NAMES = ("overview", "dead-letters")
Json = dict[str, Any]


class Shown(NamedTuple):
    """One query of one panel. ``instant`` is that of a table."""

    dashboard: str
    panel: str
    expression: str
    legend: str
    instant: bool

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel}: {self.expression}"


class Selector(NamedTuple):
    """A metric's name in a query, and its matchers: (label, operator, value)."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


@cache
def dashboard(name: str) -> Json:
    """The dashboard of this name, as it is shipped."""
    read: Json = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return read


def panels(name: str) -> Iterator[Json]:
    """Its panels, rows aside."""
    yield from (panel for panel in dashboard(name)["panels"] if panel["type"] != "row")


def queries() -> list[Shown]:
    """Every query of every panel of every dashboard."""
    return [
        Shown(name, panel["title"], target["expr"], target["legendFormat"], target["instant"])
        for name in NAMES
        for panel in panels(name)
        for target in panel["targets"]
    ]


def filled_in(expression: str, *, job: str, interval: str, range_: str) -> str:
    """The query as Grafana sends it when nothing is chosen."""
    values = {
        "job": job,
        "namespace": ".*",
        "destination": ".*",
        "instance": ".*",
        "__rate_interval": interval,
        "__range": range_,
    }
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expression)


def selectors(expression: str) -> list[Selector]:
    """Every selector of a query; whatever else is a name in it is a word of PromQL."""
    bare = re.sub(r"\b(?:by|without|on|ignoring)\s*\([^)]*\)", " ", expression)
    bare = re.sub(r"\[[^\]]*\]", " ", bare)
    found = []
    for match in re.finditer(
        r"(?<![\w$\"])([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(\()?", _unquoted(bare)
    ):
        name, braces, call = match.groups()
        if name in _WORDS or (call and braces is None):
            continue
        start = match.start(2)
        text = bare[start : match.end(2)] if braces else ""
        found.append(Selector(name, tuple(_MATCHER.findall(text))))
    return found


def kept_labels(expression: str) -> set[str]:
    """The labels that the query's aggregations leave."""
    lists = re.findall(r"\bby\s*\(([^)]*)\)", expression)
    return {label.strip() for listed in lists for label in listed.split(",")}


_WORDS = {"sum", "min", "max", "count", "avg", "or", "and", "unless", "bool", "offset", "time"}
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


def _unquoted(text: str) -> str:
    """The same text with what is quoted blanked out, at the same places."""
    return re.sub(r'"[^"]*"', lambda found: '"' + " " * (len(found[0]) - 2) + '"', text)

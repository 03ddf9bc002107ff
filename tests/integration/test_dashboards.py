"""Every query of every panel returns data from a real Prometheus that scrapes the running consumer.

With ``DASHBOARD_PICTURES=docs/images`` the load goes on for some minutes, and the dashboards are
drawn from what Prometheus has: that is how the pictures in the docs are made.
"""

import math
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.dashboard_contract import RULES
from tests.dashboards import NAMES, ROOT, Shown, dashboard, filled_in, queries
from tests.drawing import Answers, drawn
from tests.drawing.frame import Series, Span
from tests.integration import Product
from tests.integration.driven_load import PIXELS, DrivenLoad
from tests.integration.kafka_broker import KafkaBroker
from tests.integration.prometheus import JOB, Prometheus
from tests.integration.registry import Registry
from tests.integration.world import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
SECONDS_MAX = 240.0
PICTURE_ROUNDS, PICTURE_POINTS, PICTURE_INTERVAL = 180, 60, "15s"
PICTURES = {"overview": None, "overview-top": 2, "dead-letters": None}
"""What is drawn: the name of the file, and how many of the dashboard's rows (all of them)."""
NOTE = (
    "A rendering of this dashboard's own queries, answered by a real Prometheus that scraped the"
    " running consumer for some minutes; drawn by tests/drawing, not by Grafana."
)
INTERVAL = "5s"

MAY_BE_EMPTY = {
    "Cannot be written since": "there is no such time while dead letters can be written",
    "What is in the way": "nothing is",
}
"""Panels that are empty in health, and why; whatever else is empty here is broken."""


@pytest.fixture
def world(
    kafka: KafkaBroker, registry: Registry, product: Product, unique: Callable[[str], str]
) -> World:
    """A world with the pixels of the load."""
    return World(
        kafka=kafka,
        registry=registry,
        product=product,
        unique=unique,
        pixels=PIXELS,
        dead_letter_config={},
    )


def test_every_query_of_every_panel_returns_data_from_a_running_consumer(
    world: World, prometheus_for: Callable[..., Prometheus], tmp_path: Path
) -> None:
    prometheus = prometheus_for(rules=(_often(tmp_path),))
    load = DrivenLoad(world, tmp_path)
    started = time.time()
    empty = [shown for shown in queries() if shown.panel not in MAY_BE_EMPTY]
    pictures = os.environ.get("DASHBOARD_PICTURES")
    rounds, scraped = PICTURE_ROUNDS if pictures else 0, 0.0
    while empty or rounds > 0:
        rounds -= 1
        prometheus.scrape(load.ports)
        load.turn()
        scraped = _next_scrape(world, prometheus, scraped)
        empty = [shown for shown in empty if not _has_data(prometheus, shown, started)]
        late = time.time() - started > SECONDS_MAX
        assert not (empty and late), "no data:\n" + "\n".join(map(str, empty))
    if pictures:
        _draw(ROOT / pictures, prometheus, Span(started, time.time()))


def _often(folder: Path) -> Path:
    """The shipped rules, unchanged, but evaluated at every scrape."""
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for group in rules["groups"]:
        group.pop("interval", None)
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump(rules), encoding="utf-8")
    return path


def _next_scrape(world: World, prometheus: Prometheus, before: float) -> float:
    """Wait until Prometheus has scraped again; the time of that."""
    latest = before

    def again() -> bool:
        nonlocal latest
        found = prometheus.query(f'max (timestamp(up{{job="{JOB}"}}))')
        latest = float(found[0]["value"][1]) if found else before
        return latest > before

    world.wait(again, 60, "scrape")
    return latest


def _has_data(prometheus: Prometheus, shown: Shown, started: float) -> bool:
    now = time.time()
    expression = filled_in(
        shown.expression, job=JOB, interval=INTERVAL, range_=f"{max(5, int(now - started))}s"
    )
    if shown.instant:
        return any(_known(series["value"][1]) for series in prometheus.query(expression))
    series = prometheus.query_range(expression, start=now - 10, end=now, step=1)
    return any(_known(value) for each in series for _, value in each["values"])


def _known(value: Any) -> bool:
    return not math.isnan(float(value))


def _draw(folder: Path, prometheus: Prometheus, span: Span) -> None:
    folder.mkdir(exist_ok=True)
    answers = _answers(prometheus, span)
    for name, rows in PICTURES.items():
        source = next(each for each in NAMES if name.startswith(each))
        picture = drawn(dashboard(source), answers, span, rows=rows, note=NOTE)
        (folder / f"{name}.svg").write_text(picture, encoding="utf-8")


def _answers(prometheus: Prometheus, span: Span) -> Answers:
    step = (span.end - span.start) / PICTURE_POINTS
    range_ = f"{int(span.end - span.start)}s"

    def answers(panel: Mapping[str, Any], target: Mapping[str, Any]) -> Sequence[Series]:
        expression = filled_in(target["expr"], job=JOB, interval=PICTURE_INTERVAL, range_=range_)
        if target["instant"]:
            found = prometheus.query(expression, time=span.end)
            found = [{"metric": each["metric"], "values": [each["value"]]} for each in found]
        else:
            found = prometheus.query_range(expression, start=span.start, end=span.end, step=step)
        return [_series(panel, target, each) for each in found]

    return answers


def _series(panel: Mapping[str, Any], target: Mapping[str, Any], found: Any) -> Series:
    labels: dict[str, str] = found["metric"]
    legend = target["legendFormat"].replace("__auto", panel["title"])
    name = re.sub(r"\{\{(\w+)\}\}", lambda label: labels.get(label[1], ""), legend)
    return Series(name, labels, [(float(at), float(value)) for at, value in found["values"]])

"""``docs/metrics.md``: words out of ``metrics.template``, tables out of the contract."""

from pathlib import Path
from string import Template

from prometheus_client import CollectorRegistry, generate_latest

from consumer.metric_contract import GROUPS, Label, Metric
from consumer.metrics import Metrics
from consumer.model import PixelId

TEMPLATE = Path(__file__).with_name("metrics.template")
VALUES_MAX = 12
"""A label with more values than that lists them below the table."""


def metrics_page() -> str:
    """The page, without the line that says who made it."""
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    groups = "\n\n".join(_group(title, metrics) for title, metrics in GROUPS.items())
    return template.substitute(groups=f"{groups}\n\n{_long_labels()}", at_start=_at_start())


def _group(title: str, metrics: tuple[Metric, ...]) -> str:
    rows = "\n".join(map(_row, metrics))
    return f"## {title}\n\n| name | type | unit | labels | help |\n|---|---|---|---|---|\n{rows}"


def _row(metric: Metric) -> str:
    labels = "<br>".join(f"`{label.name}`: {_values(label)}" for label in metric.labels)
    exemplar = ", *exemplar*" if metric.exemplar else ""
    bounds = ", ".join(f"{bound:g}" for bound in metric.buckets)
    told = f"{metric.help}. Bounds: {bounds}" if bounds else metric.help
    kind = f"{metric.kind.value}{exemplar}"
    return f"| `{metric.name}` | {kind} | {metric.unit} | {labels} | {told} |"


def _values(label: Label) -> str:
    if label.told:
        return label.told
    if len(label.values) > VALUES_MAX:
        return "[see below](#long-labels)"
    return ", ".join(f"`{value}`" if value else "empty" for value in label.values)


def _long_labels() -> str:
    labels = dict.fromkeys(
        label
        for metrics in GROUPS.values()
        for metric in metrics
        for label in metric.labels
        if len(label.values) > VALUES_MAX
    )
    told = "\n".join(
        f"* `{label.name}`: {', '.join(f'`{value}`' for value in label.values)}" for label in labels
    )
    return f"## Long labels\n\n{told}"


def _at_start() -> str:
    """How many series ten destinations begin with, rounded up to the next hundred."""
    registry = CollectorRegistry()
    Metrics(registry=registry, version="", graph_version="").configured(
        PixelId(str(number)) for number in range(10)
    )
    lines = generate_latest(registry).decode().splitlines()
    series = sum(not line.startswith("#") for line in lines)
    return f"about {-(-series // 100) * 100:,}"

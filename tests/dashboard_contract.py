"""What of a dashboard's query could be there at all: the contract, the rules, and the process."""

import re
from functools import cache
from typing import Any

import yaml

from consumer.metric_contract import GROUPS, Kind, Metric
from tests.dashboards import ROOT, Selector

RULES = ROOT / "helm" / "files" / "alerts.yaml"
CONTRACT = {metric.name: metric for group in GROUPS.values() for metric in group}
EVERYWHERE = {"job", "namespace", "instance"}
"""Labels that Prometheus adds to whatever it scrapes."""
PROCESS = re.compile(r"process_\w+|python_\w+")
SAMPLES = ("_bucket", "_sum", "_count")
BY_PERSON = {"$job", "$namespace", "$destination", "$instance"}


def wrong_in(selector: Selector) -> list[str]:
    """What of a selector no series of ours could match."""
    metric = metric_of(selector.metric)
    if metric is None:
        known = PROCESS.fullmatch(selector.metric) or selector.metric in recorded()
        return [] if known else [f"{selector.metric} is nowhere"]
    labels = EVERYWHERE | labels_of(metric)
    wrong = []
    for label, operator, value in selector.matchers:
        closed = next((each.values for each in metric.labels if each.name == label), ())
        values = value.split("|") if "~" in operator else [value]
        if label not in labels:
            wrong.append(f"{metric.name} has no label {label}")
        elif closed and value != ".+" and not BY_PERSON & set(values):
            wrong += [f"{label} is never {each}" for each in values if each not in closed]
    return wrong


def metric_of(name: str) -> Metric | None:
    """The metric that has series of this name."""
    for suffix in SAMPLES:
        metric = CONTRACT.get(name.removesuffix(suffix))
        if name.endswith(suffix) and metric is not None:
            return metric if metric.kind is Kind.HISTOGRAM else None
    metric = CONTRACT.get(name)
    # A histogram has no series of its bare name.
    return None if metric is None or metric.kind is Kind.HISTOGRAM else metric


def labels_of(metric: Metric) -> set[str]:
    """Its own labels."""
    return {label.name for label in metric.labels}


def recorded() -> dict[str, str]:
    """What the shipped rules record: name → expression."""
    return {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}


@cache
def rules() -> list[dict[str, Any]]:
    """The shipped rules: those that record, and alerts."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]

"""The contract of the metrics: what is exposed is what is declared, and the page says the same."""

import re
import subprocess
from collections import Counter, deque

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from consumer.metric_contract import GROUPS, Kind, Metric
from consumer.metric_series import Declared
from consumer.metrics import Metrics
from consumer.model import PixelId
from tests.debian_tools import needed
from tests.fakes.house import SHOP, house
from tests.fakes.meta import refusal

ALL = [metric for metrics in GROUPS.values() for metric in metrics]


@pytest.fixture
def exposed() -> str:
    """What a member exposes that has delivered something and met a bad event."""
    home = house()
    home.publish(0, events=5)
    home.garbage(1)
    home.meta.scripted[SHOP] = deque([refusal("trace")])
    home.settle_all()
    return home.exposition


def test_every_metric_is_declared_once() -> None:
    assert [name for name, times in Counter(each.name for each in ALL).items() if times > 1] == []


@pytest.mark.parametrize("metric", ALL, ids=lambda each: each.name)
def test_a_declaration_is_whole(metric: Metric) -> None:
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert metric.unit
    assert not metric.help.endswith(".")
    for label in metric.labels:
        assert bool(label.values) != bool(label.told), f"{label.name}: values, or words for them"
    assert not metric.exemplar or metric.kind is not Kind.GAUGE


def test_every_metric_is_claimed_and_none_twice() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry=registry, version="1", graph_version="v26.0")

    assert [*metrics.unclaimed] == []
    declared = Declared(CollectorRegistry())
    declared.counter("conversions_records_read_total")
    with pytest.raises(KeyError):
        declared.counter("conversions_records_read_total")
    with pytest.raises(KeyError):
        declared.counter("conversions_undeclared_total")


def test_what_is_exposed_is_what_is_declared(exposed: str) -> None:
    found = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in text_string_to_metric_families(exposed)
    }

    assert found.keys() == {each.name for each in ALL}
    for metric in ALL:
        family = found[metric.name]
        assert (family.type, family.documentation) == (metric.kind.value, metric.help)
        names = {label.name for label in metric.labels}
        closed = {label.name: {*label.values} for label in metric.labels if label.values}
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == names
            assert all(sample.labels[name] in values for name, values in closed.items()), sample


def test_promtool_finds_nothing_to_say(exposed: str) -> None:
    done = subprocess.run(
        [needed("promtool"), "check", "metrics"],
        input=exposed,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_the_exposition_has_no_line_of_another_destination(exposed: str) -> None:
    named = set(re.findall(r'destination="([^"]*)"', exposed))

    assert named <= {SHOP, PixelId("2222222222222222"), "other"}

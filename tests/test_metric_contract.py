"""The contract of the metrics: what is exposed is what is declared, and the page says the same."""

import random
import re
import subprocess
from collections import Counter, deque
from itertools import product

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from consumer.metric_contract import GROUPS, Kind, Metric
from consumer.metric_labels import droppable
from consumer.metric_series import Declared
from consumer.metrics import Metrics
from consumer.model import Amount, DropReason, PixelId
from tests.debian_tools import needed
from tests.fakes.house import SHOP, house
from tests.fakes.meta import refusal
from tests.metric_house import House, fill, prepared

ALL = [metric for metrics in GROUPS.values() for metric in metrics]
COUNTED = [metric for metric in ALL if metric.kind is not Kind.GAUGE]
GAUGES = [metric for metric in ALL if metric.kind is Kind.GAUGE]
DESTINATIONS = (PixelId("1"), PixelId("2"))
CURRENCIES = ("EUR", "USD")
KNOWN_AT_ONCE = {
    "conversions_build_info",
    "conversions_dead_letters_waiting",
    "conversions_graph_version_expiry_timestamp_seconds",
    "conversions_in_flight_bytes",
    "conversions_in_flight_records",
    "conversions_kafka_assigned_partitions",
    "conversions_paused_partitions",
    "conversions_requests_in_flight",
    "conversions_schema_waiting_records",
    "conversions_uncommitted_records",
}
"""Gauges of what a member has none of when it starts, and of what it is built of."""
FOR_GOOD = KNOWN_AT_ONCE | {
    "conversions_in_flight_bytes_limit",
    "conversions_in_flight_records_limit",
    "conversions_kafka_topic_partitions",
    "conversions_poll_loop_timestamp_seconds",
}
"""Gauges of what does not cease to be known."""


@pytest.fixture(scope="module")
def everything() -> str:
    """What a member exposes that has met everything, with everything switched on."""
    found = House(*DESTINATIONS, currencies=CURRENCIES)
    fill(found, list(DESTINATIONS), random.Random(3))
    found.delivered(prepared()._replace(amount=Amount(9.5, "EUR")), trace_id="AbC")
    found.delivered(prepared()._replace(amount=Amount(-1.0, "EUR")))
    return generate_latest(found.registry).decode()


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

    assert metrics.unclaimed == set()
    declared = Declared(CollectorRegistry())
    declared.counter("conversions_records_read_total")
    with pytest.raises(KeyError):
        declared.counter("conversions_records_read_total")
    with pytest.raises(KeyError):
        declared.counter("conversions_undeclared_total")


@pytest.mark.parametrize("metric", COUNTED, ids=lambda each: each.name)
def test_what_is_counted_stands_at_zero_from_the_start(metric: Metric) -> None:
    found = House(*DESTINATIONS, currencies=CURRENCIES)
    name = metric.name + ("_count" if metric.kind is Kind.HISTOGRAM else "")
    at_zero = {
        tuple(sample.labels[label.name] for label in metric.labels): sample.value
        for family in found.registry.collect()
        for sample in family.samples
        if sample.name == name
    }

    assert set(at_zero.values()) == {0}
    told = {"destination": DESTINATIONS, "currency": CURRENCIES}
    every = set(product(*(label.values or told.get(label.name, ()) for label in metric.labels)))
    if metric.name == "conversions_dropped_fields_total":
        every = {(field, reason.value) for field, reason in droppable()}
        every |= {("other", reason.value) for reason in DropReason}
    if metric.name == "conversions_requests_total":
        # Their product has many that cannot be, as a 2xx that throttles.
        assert at_zero.keys() < every
        every = set(product(DESTINATIONS, ("accepted",), ("2xx",)))
        every |= set(product(DESTINATIONS, ("retry",), ("2xx", "3xx", "4xx", "5xx", "none")))
        every |= set(product(DESTINATIONS, ("refused", "throttled", "halted"), ("4xx",)))
    assert at_zero.keys() >= every


@pytest.mark.parametrize("metric", GAUGES, ids=lambda each: each.name)
def test_a_gauge_exists_only_once_it_is_known_and_goes_when_it_no_longer_is(
    metric: Metric,
) -> None:
    found = House(*DESTINATIONS)

    def exists() -> bool:
        return any(each.partition("{")[0] == metric.name for each in found.series())

    assert exists() == (metric.name in KNOWN_AT_ONCE)
    fill(found, list(DESTINATIONS), random.Random(3), events=1)
    assert exists()
    _forget(found.metrics)
    assert exists() == (metric.name in FOR_GOOD)


def _forget(metrics: Metrics) -> None:
    """No destination is left, and nothing is known of anything."""
    metrics.configured(())
    metrics.destination_states({})
    metrics.pending({}, {})
    metrics.guard((), {})
    metrics.quality(())
    metrics.token_states({})
    metrics.meta_usage({})
    metrics.lag({})
    metrics.dead_letters(waiting=0, failing=None, failing_since_ms=None)


def test_what_is_exposed_is_what_is_declared(everything: str) -> None:
    found = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in text_string_to_metric_families(everything)
    }

    assert found.keys() == {each.name for each in ALL}
    for metric in ALL:
        family = found[metric.name]
        assert (family.type, family.documentation) == (metric.kind.value, metric.help)
        assert family.samples
        names = {label.name for label in metric.labels}
        closed = {label.name: {*label.values} for label in metric.labels if label.values}
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == names
            assert all(sample.labels[name] in values for name, values in closed.items()), sample


def test_promtool_finds_nothing_to_say(exposed: str, everything: str) -> None:
    for text in (exposed, everything):
        done = subprocess.run(
            [needed("promtool"), "check", "metrics"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )

        assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_the_exposition_has_no_line_of_another_destination(exposed: str) -> None:
    named = set(re.findall(r'destination="([^"]*)"', exposed))

    assert named <= {SHOP, PixelId("2222222222222222"), "other"}

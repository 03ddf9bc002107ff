"""The contract's metrics as Prometheus' client knows them, each claimed once. Does no I/O.

The loop's thread writes, and the server's threads read: what they read is replaced as a whole.
"""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping
from itertools import accumulate, product
from typing import NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import Exemplar, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from consumer.metric_contract import GROUPS, Kind, Metric
from consumer.metric_labels import exemplar_labels


class Declared:
    """Makes each metric of the contract, on the registry given; by its name alone."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._unclaimed = {each.name: each for group in GROUPS.values() for each in group}

    def __repr__(self) -> str:
        return f"<Declared {len(self._unclaimed)} unclaimed>"

    @property
    def unclaimed(self) -> frozenset[str]:
        """The metrics that nobody has asked for."""
        return frozenset(self._unclaimed)

    def counter(self, name: str) -> Counter:
        """A counter; where all labels are closed sets, every series stands at zero."""
        metric = self._claimed(name, Kind.COUNTER)
        return _at_zero(
            metric, Counter(name, metric.help, _labels(metric), registry=self._registry)
        )

    def gauge(self, name: str) -> Gauge:
        """A gauge whose value is known from the start: that of nothing yet is 0."""
        metric = self._claimed(name, Kind.GAUGE)
        return _at_zero(metric, Gauge(name, metric.help, _labels(metric), registry=self._registry))

    def snapshot(self, name: str) -> "Snapshot":
        """A gauge whose series are replaced as a whole."""
        return Snapshot(self._claimed(name, Kind.GAUGE), self._registry)

    def histogram(self, name: str) -> "TalliedHistogram":
        """A histogram; without labels it stands at zero."""
        return TalliedHistogram(self._claimed(name, Kind.HISTOGRAM), self._registry)

    def _claimed(self, name: str, kind: Kind) -> Metric:
        """Raises KeyError for what is not declared or claimed already."""
        metric = self._unclaimed.pop(name)
        assert metric.kind is kind, f"{name} is declared as a {metric.kind.value}"
        return metric


class Snapshot(Collector):
    """A gauge whose series are replaced as a whole: what is not known is not there."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        self._metric = metric
        self._values: Mapping[tuple[str, ...], float] = {}
        registry.register(self)

    def set(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Everything that is known now, by the labels' values."""
        self._values = dict(values)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """For the registry."""
        family = GaugeMetricFamily(
            self._metric.name, self._metric.help, labels=_labels(self._metric)
        )
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        return [family]


class _Series(NamedTuple):
    """``counts``: by bucket, each for itself, the last for what is above every bound."""

    counts: tuple[int, ...]
    total: float
    exemplars: Mapping[int, Exemplar]


class TalliedHistogram(Collector):
    """A histogram to which values are added by the batch: sorted once, they cost as little as they
    can. The largest is the exemplar."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        self._metric = metric
        self._nothing = _Series((0,) * (len(metric.buckets) + 1), 0.0, {})
        self._series: dict[tuple[str, ...], _Series] = {}
        if not metric.labels:
            self.at_zero()
        registry.register(self)

    def at_zero(self, *labels: str) -> None:
        """This series exists from now on."""
        self._series.setdefault(labels, self._nothing)

    def add(self, values: Collection[float], *labels: str, trace_id: str | None = None) -> None:
        """Values of one series, none of them negative, and Meta's trace id of their answer."""
        if not values:
            return
        ordered, bounds = sorted(values), self._metric.buckets
        before = self._series.get(labels, self._nothing)
        up_to = [*(bisect_right(ordered, bound) for bound in bounds), len(ordered)]
        counts = [n - lower for n, lower in zip(up_to, [0, *up_to], strict=False)]
        exemplars = before.exemplars
        if told := exemplar_labels(trace_id) if self._metric.exemplar else {}:
            one = Exemplar(told, ordered[-1], time.time())
            exemplars = {**exemplars, bisect_left(bounds, ordered[-1]): one}
        self._series[labels] = _Series(
            tuple(old + new for old, new in zip(before.counts, counts, strict=True)),
            before.total + sum(ordered),
            exemplars,
        )

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """For the registry."""
        family = HistogramMetricFamily(
            self._metric.name, self._metric.help, labels=_labels(self._metric)
        )
        bounds = [floatToGoString(each) for each in (*self._metric.buckets, float("inf"))]  # type: ignore[no-untyped-call]
        for labels, series in list(self._series.items()):
            cumulated = [float(count) for count in accumulate(series.counts)]
            buckets = [
                (*bucket, series.exemplars[place]) if place in series.exemplars else bucket
                for place, bucket in enumerate(zip(bounds, cumulated, strict=True))
            ]
            family.add_metric(labels, buckets, series.total)
        return [family]


def _labels(metric: Metric) -> list[str]:
    return [label.name for label in metric.labels]


_Made = TypeVar("_Made", Counter, Gauge)


def _at_zero(metric: Metric, made: _Made) -> _Made:
    if metric.labels and all(label.values for label in metric.labels):
        for values in product(*(label.values for label in metric.labels)):
            made.labels(*values)
    return made

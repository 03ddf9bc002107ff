"""PromQL over the metrics of the contract: the job always counts, and the chosen destinations."""

from collections.abc import Iterable
from typing import NamedTuple

from consumer.metric_contract import GROUPS, Metric


class Query(NamedTuple):
    """One query. ``legend`` may name labels: ``{{reason}}``."""

    expression: str
    legend: str = ""
    exemplars: bool = False


RELEASE = 'job="$job", namespace=~"$namespace"'
"""Where there are no namespaces, all that were chosen are the empty one."""


def of(name: str, suffix: str = "", **labels: str) -> str:
    """The selector of a metric of ours; a value that starts with ``~`` is a regular expression.

    The job always counts, and the chosen destinations wherever the metric tells them apart.
    """
    known = _labels(name)
    unknown = [label for label in labels if label not in known]
    assert not unknown, f"{name} has no {unknown}"
    matchers = [RELEASE]
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


def quantiles(name: str, than: str = "faster") -> tuple[Query, ...]:
    """The three that one looks at; the exemplars of the last lead to Meta's trace ids."""
    return (
        Query(quantile(0.5, name), f"half are {than}"),
        Query(quantile(0.95, name), f"95 % are {than}"),
        Query(quantile(0.99, name), f"99 % are {than}", exemplars=True),
    )


def worst(name: str, by: str, **labels: str) -> str:
    """The highest of what the members say."""
    return f"max by ({by}) ({of(name, **labels)})"


def seconds_since(timestamp: str) -> str:
    """The age of a time."""
    return f"time() - {timestamp}"


def by_member(name: str) -> str:
    """The selector of a metric of the chosen members."""
    return of(name).replace("}", ', instance=~"$instance"}')


def of_process(name: str) -> str:
    """The selector of what Prometheus' client tells of the process itself."""
    return f'{name}{{{RELEASE}, instance=~"$instance"}}'


def recorded(name: str, *, by_destination: bool = False) -> str:
    """The selector of what a rule of ``helm/files/alerts.yaml`` records."""
    chosen = ', destination=~"$destination"' if by_destination else ""
    return f"{name}{{{RELEASE}{chosen}}}"


def _sum(by: str) -> str:
    return f"sum by ({by})" if by else "sum"


def _labels(name: str) -> tuple[str, ...]:
    metric = next((each for each in _metrics() if each.name == name), None)
    assert metric is not None, f"{name} is not in the contract"
    return tuple(label.name for label in metric.labels)


def _metrics() -> Iterable[Metric]:
    return (metric for group in GROUPS.values() for metric in group)

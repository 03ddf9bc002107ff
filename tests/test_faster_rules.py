"""The program that lets alerts fire within a test changes durations, and nothing else."""

import re
from pathlib import Path

import pytest
import yaml

from tests.faster_rules import expression, faster

RULES = Path(__file__).parents[1] / "helm" / "files" / "alerts.yaml"


@pytest.mark.parametrize(
    ("shipped", "divided"),
    [
        ("rate(x_total[5m]) > 10", "rate(x_total[5000ms]) > 10"),
        ("rate(x[1h:1m] offset 1d)", "rate(x[60000ms:1000ms] offset 1440000ms)"),
        ("rate(x[1h30m])", "rate(x[90000ms])"),
        ('time() - max(x{a="b>c"}) > 5 * 86400', 'time() - max(x{a="b>c"}) > 7200'),
        ("x_timestamp - time() < 600", "x_timestamp - time() < 10"),
        ("x <= 300 * sum by (job) (rate(y[30m]))", "x <= 5 * sum by (job) (rate(y[30000ms]))"),
        (
            'sum_over_time(job:x:rate5m{job="j"}[1d]) * 60 > 10',
            'sum_over_time(job:x:rate5m{job="j"}[1440000ms]) * 1 > 10',
        ),
        ('job:x:rate5m{le="300.0", a="[5m]"} > 5', 'job:x:rate5m{le="300.0", a="[5m]"} > 5'),
    ],
)
def test_durations_are_divided(shipped: str, divided: str) -> None:
    assert expression(shipped, 60) == divided


def test_waiting_times_and_intervals_are_divided_and_the_rest_stays() -> None:
    rule = {"alert": "A", "expr": "x > 1", "for": "10m", "labels": {"severity": "critical"}}
    shipped = {"groups": [{"name": "g", "interval": "1m", "rules": [rule]}]}

    divided = yaml.safe_load(faster(yaml.safe_dump(shipped), 60))["groups"][0]

    assert divided == {"name": "g", "interval": "1000ms", "rules": [rule | {"for": "10000ms"}]}


def test_nothing_in_the_shipped_rules_multiplies_by_seconds_that_stay() -> None:
    shipped = yaml.safe_load(faster(RULES.read_text(encoding="utf-8"), 60))["groups"]
    told = " ".join(rule["expr"] for group in shipped for rule in group["rules"])

    multiplied = {*re.findall(r"([\d.]+)\s*\*", told), *re.findall(r"\*\s*([\d.]+)", told)}
    # The factors of the error budget, its share, the nought of a key that is gone, and what is left
    # of five minutes and of one.
    assert multiplied == {"14.4", "6", "3", "1", "0.001", "0", "5"}

"""The program that lets alerts fire within a test changes durations, and nothing else."""

import pytest
import yaml

from tests.faster_rules import expression, faster


@pytest.mark.parametrize(
    ("shipped", "divided"),
    [
        ("rate(x_total[5m]) > 10", "rate(x_total[5000ms]) > 10"),
        ("rate(x[1h:1m] offset 1d)", "rate(x[60000ms:1000ms] offset 1440000ms)"),
        ("rate(x[1h30m])", "rate(x[90000ms])"),
        ("time() - max(x_timestamp) > 5 * 86400", "time() - max(x_timestamp) > 7200"),
        ('time() - min(x{job="a"}) > 5 * 86400', 'time() - min(x{job="a"}) > 7200'),
        ("x_timestamp - time() < 600", "x_timestamp - time() < 10"),
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

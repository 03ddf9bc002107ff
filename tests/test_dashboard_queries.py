"""Every query of every panel names what is there, looks at what was chosen, and is PromQL."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from consumer.metric_contract import Kind
from tests.dashboard_contract import CONTRACT, labels_of, metric_of, recorded, wrong_in
from tests.dashboards import Shown, filled_in, kept_labels, queries, selectors
from tests.debian_tools import needed

every_query = pytest.mark.parametrize("shown", queries(), ids=str)


@every_query
def test_a_query_names_only_what_is_there(shown: Shown) -> None:
    found = selectors(shown.expression)

    assert found or "vector(" in shown.expression
    assert [wrong for selector in found for wrong in wrong_in(selector)] == []


def test_every_metric_is_shown_somewhere() -> None:
    asked = [shown.expression for shown in queries()]
    made_of = [recorded().get(each.metric, "") for one in asked for each in selectors(one)]
    shown = {each.metric for one in (*asked, *made_of) for each in selectors(one)}

    assert set(CONTRACT) - {metric.name for name in shown if (metric := metric_of(name))} == set()


@every_query
def test_a_query_looks_at_one_release(shown: Shown) -> None:
    for selector in selectors(shown.expression):
        release = {("job", "=", "$job"), ("namespace", "=~", "$namespace")}
        assert release <= set(selector.matchers), selector


@every_query
def test_a_query_follows_the_chosen_destinations(shown: Shown) -> None:
    for selector in selectors(shown.expression):
        metric = metric_of(selector.metric)
        if metric is not None and "destination" in labels_of(metric):
            assert ("destination", "=~", "$destination") in selector.matchers, selector


@every_query
def test_a_counter_is_only_looked_at_as_it_grows(shown: Shown) -> None:
    for selector in selectors(shown.expression):
        metric = metric_of(selector.metric)
        counts = metric is not None and metric.kind is not Kind.GAUGE
        grown = re.search(
            rf"(?:rate|increase) \(?\(?{re.escape(selector.metric)}|"
            rf"(?:rate|increase)\({re.escape(selector.metric)}",
            shown.expression,
        )
        assert bool(grown) == (counts or selector.metric == "process_cpu_seconds_total"), selector


@every_query
def test_a_rate_is_taken_over_grafanas_interval(shown: Shown) -> None:
    spans = set(re.findall(r"\[([^\]]*)\]", shown.expression))

    # What is recorded may be averaged over a time of its own.
    assert spans <= {"$__rate_interval", "$__range"} or "avg_over_time(job:" in shown.expression
    assert "rate(" not in shown.expression or "$__rate_interval" in spans


@every_query
def test_a_legend_names_labels_that_the_query_leaves(shown: Shown) -> None:
    named = set(re.findall(r"\{\{(\w+)\}\}", shown.legend))
    made_of = [recorded().get(each.metric, "") for each in selectors(shown.expression)]

    assert named <= kept_labels(" ".join((shown.expression, *made_of)))


def test_prometheus_itself_understands_every_query(tmp_path: Path) -> None:
    expressions = [
        filled_in(shown.expression, job="j", interval="1m", range_="1h") for shown in queries()
    ]
    rules = [
        {"record": f"job:query:number{number}", "expr": expression}
        for number, expression in enumerate(expressions)
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}), "utf-8")

    done = subprocess.run(
        [needed("promtool"), "check", "rules", "--lint=none", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert f"SUCCESS: {len(expressions)} rules found" in done.stdout

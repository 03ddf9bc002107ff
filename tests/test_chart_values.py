"""The chart's values: that each is described, and what some of them do; its rules and notes."""

import copy
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.chart import (
    CHART,
    NAMESPACE,
    RELEASE,
    ROOT,
    SCENARIOS,
    HelmError,
    Object,
    environment,
    main_container,
    notes,
    objects,
    of_kind,
    pod_templates,
    rendered,
)
from tests.debian_tools import needed as debian_needed
from tests.helm_tools import MAJORS
from tests.python_tools import needed

RULES = """\
groups:
  - name: conversions.records
    interval: 30s
    rules:
      - record: job:conversions_lag:sum
        expr: sum by (job, namespace) (conversions_kafka_lag_records{job="conversions-consumer"})
  - name: conversions.alerts
    rules:
      - alert: ConversionsConsumerAbsent
        expr: absent(conversions_build_info{job="conversions-consumer"})
        for: 5m
        labels: { severity: critical }
        annotations:
          summary: No consumer of {{ $labels.job }} is there
          runbook_url: docs/runbooks/ConversionsConsumerAbsent.md
      - alert: ConversionsOther
        expr: vector(1) > 0
        for: 5m
        labels: { severity: warning }
        annotations: { summary: Other }
"""


def test_every_value_is_in_the_schema_and_described(values: Object, schema: Object) -> None:
    Draft202012Validator.check_schema(schema)
    described = set(re.findall(r"^\| `([\w.]+)` \|", (CHART / "README.md").read_text(), re.M))

    for path in _paths(values):
        names = path.split(".")
        above = {".".join(names[:count]) for count in range(1, len(names) + 1)}
        assert above & described, path
    assert described <= {*_paths(values), *_groups(values)}
    assert Draft202012Validator(schema).is_valid(values)


def test_the_schema_is_closed(values: Object, schema: Object) -> None:
    for path in _groups(values):
        found: Any = schema
        for name in path.split("."):
            found = found.get("properties", {}).get(name, {})
            if "$ref" in found:
                found = schema["$defs"][found["$ref"].rpartition("/")[2]]
        if found.get("properties"):
            assert found["additionalProperties"] is False, path
    assert schema["additionalProperties"] is False


def test_what_the_schema_lets_one_take_away_is_not_missed(values: Object, schema: Object) -> None:
    """A block of somebody's values whose lines are all commented out is null."""
    validator = Draft202012Validator(schema)
    free = [_paths(values), _groups(values)]
    taken = [
        [path for path in paths if validator.is_valid(_without(values, path))] for paths in free
    ]

    assert {path for path in taken[1] if "." not in path} == {"strategy"}
    assert {"hostUsers", "resources.limits.memory"} <= set(taken[0])
    for paths in taken:
        whole = {path for path in paths if not any(path.startswith(f"{one}.") for one in paths)}
        sets = tuple(f"{path}=null" for path in sorted(whole))
        for scenario in ("everything", "cilium"):
            assert objects(scenario, sets=sets)
            assert notes(scenario, sets=sets)


@pytest.mark.parametrize("major", MAJORS)
def test_an_empty_block_is_refused_by_name(major: int) -> None:
    with pytest.raises(HelmError, match="settings") as refusal:
        rendered("many-pixels", major, ("settings=null",))

    assert "values don't meet the specifications of the schema" in str(refusal.value)


def test_a_number_is_written_as_people_do() -> None:
    (workload,) = of_kind(objects("many-pixels"), "Deployment")
    found = environment(main_container(workload["spec"]["template"]))

    assert found["CONVERSIONS_IN_FLIGHT_EVENTS"] == "20000000"
    assert found["CONVERSIONS_WINDOW_SECONDS"] == "0.5"
    assert found["CONVERSIONS_GUARD_PAUSES"] == "true"


@pytest.mark.parametrize(
    ("sets", "image"),
    [
        ((), "conversions-consumer:0.1.0"),
        (("image.tag=v2",), "conversions-consumer:v2"),
        (
            (f"image.digest=sha256:{'a' * 64}", "image.tag=v2"),
            f"conversions-consumer@sha256:{'a' * 64}",
        ),
    ],
)
def test_the_image_is_by_digest_then_tag_then_version(sets: tuple[str, ...], image: str) -> None:
    (workload,) = of_kind(objects("minimal", sets=sets), "Deployment")

    assert main_container(workload["spec"]["template"])["image"] == image


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_notes_name_what_there_is(scenario: str) -> None:
    said = notes(scenario)
    names = {each["metadata"]["name"] for each in objects(scenario)}

    assert f"helm test {RELEASE} --namespace {NAMESPACE}" in said
    named = re.findall(r"(?:deployment|statefulset|cronjob)/(\S+)", said)
    assert named
    assert set(named) <= names
    assert ("create job" in said) == bool(of_kind(objects(scenario), "CronJob"))


def test_the_notes_warn_of_a_limit_that_delays_heartbeats() -> None:
    assert "[WARNING] A CPU limit" in notes("minimal", sets=("resources.limits.cpu=1",))
    assert "[WARNING] A CPU limit" not in notes("minimal")


def test_the_rules_are_those_of_the_release(planted: Path) -> None:
    sets = (
        "prometheusRule.runbookBaseUrl=https://runbooks/",
        "prometheusRule.additionalRuleLabels.team=growth",
        "prometheusRule.overrides.ConversionsConsumerAbsent.for=10m",
        "prometheusRule.overrides.ConversionsConsumerAbsent.labels.severity=info",
        "prometheusRule.disabled={ConversionsOther}",
    )
    records, alerts = _rules(planted, sets)["groups"]
    selector = f'{{job="{RELEASE}",namespace="{NAMESPACE}"}}'

    assert records["interval"] == "30s"
    assert records["rules"][0]["expr"].endswith(f"(conversions_kafka_lag_records{selector})")
    (absent,) = alerts["rules"]
    assert absent == {
        "alert": "ConversionsConsumerAbsent",
        "expr": f"absent(conversions_build_info{selector})",
        "for": "10m",
        "labels": {"severity": "info", "team": "growth"},
        "annotations": {
            "summary": "No consumer of {{ $labels.job }} is there",
            "runbook_url": "https://runbooks/docs/runbooks/ConversionsConsumerAbsent.md",
        },
    }


@pytest.mark.parametrize("kind", ["PodMonitor", "ServiceMonitor"])
def test_the_rules_select_what_the_monitor_calls_the_job(kind: str) -> None:
    sets = ("monitoring.enabled=true", f"monitoring.kind={kind}", "prometheusRule.enabled=true")
    found = objects("minimal", sets=sets)
    (rules,) = of_kind(found, "PrometheusRule")
    expressions = [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]
    selectors = re.findall(r"conversions_[\w:]+(\{[^}]*\})?", "\n".join(expressions))

    ours = f'job="{_job(found)}",namespace="{NAMESPACE}"'
    assert len(selectors) > 90
    assert {selector for selector in selectors if ours not in selector} == set()


def test_a_dashboard_opens_with_the_job_of_a_release_that_is_called_like_the_chart() -> None:
    sets = ("monitoring.enabled=true", "dashboards.enabled=true")
    found = objects("minimal", sets=sets, release="conversions-consumer")

    for dashboard in _dashboards(found).values():
        assert dashboard["job"]["current"]["value"] == _job(found)
        assert dashboard["job"]["query"]["query"] == "label_values(conversions_build_info, job)"
        assert dashboard["namespace"]["current"]["value"] == ["$__all"]


def test_the_links_of_dashboards_and_alerts_lead_to_the_same_pages() -> None:
    found = objects("everything")
    (rules,) = of_kind(found, "PrometheusRule")
    urls = re.findall(r"'runbook_url': '([^']+)'", str(rules))

    assert urls
    for name, dashboard in _dashboards(found).items():
        docs = dashboard["docs"]
        assert docs["name"] == "docs"
        assert {docs["query"], *docs["current"].values()} == {
            "https://runbooks.internal/conversions/docs"
        }, name
        assert all(url.startswith(f"{docs['query']}/runbooks/") for url in urls)


def test_prometheus_takes_the_rules_of_every_rendering(planted: Path, tmp_path: Path) -> None:
    charts = [planted, *([CHART] if (CHART / "files" / "alerts.yaml").exists() else [])]
    for number, chart in enumerate(charts):
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(_rules(chart, ())), encoding="utf-8")
        command = [debian_needed("promtool"), "check", "rules", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert 'job="conversions-consumer"' not in path.read_text(encoding="utf-8")


def test_a_chart_without_rules_and_dashboards_makes_none(planted: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(planted, tmp_path / "bare", ignore=shutil.ignore_patterns("files"))

    kinds = {each["kind"] for each in objects("everything", chart=bare)}
    assert not kinds & {"PrometheusRule", "GrafanaDashboard"}


def test_a_dashboard_arrives_as_it_is(planted: Path) -> None:
    text = '{"title": "{{ .Release.Name }} is not for Helm", "uid": "x"}\n'
    found = objects("everything", chart=planted)
    (dashboard,) = [each for each in found if "overview.json" in each.get("data", {})]
    (resource,) = of_kind(found, "GrafanaDashboard")

    assert dashboard["data"]["overview.json"] == text.rstrip("\n")
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert resource["spec"]["configMapRef"] == {
        "name": dashboard["metadata"]["name"],
        "key": "overview.json",
    }


def test_the_yaml_is_tidy() -> None:
    rules = "{extends: default, rules: {line-length: disable, document-start: disable,"
    rules += " braces: {max-spaces-inside: 1}, comments-indentation: disable}}"
    paths = [CHART / "Chart.yaml", CHART / "values.yaml", *CHART.glob("ci/*.yaml")]
    command = [*needed("yamllint"), "--strict", "-d", rules, *map(str, paths)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_the_generated_parts_are_what_the_code_says() -> None:
    command = [sys.executable, "docs/generate.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A copy of the chart with two rules and a dashboard of ours."""
    chart = shutil.copytree(CHART, tmp_path / "chart", ignore=shutil.ignore_patterns("files"))
    (chart / "files" / "dashboards").mkdir(parents=True)
    (chart / "files" / "alerts.yaml").write_text(RULES, encoding="utf-8")
    (chart / "files" / "dashboards" / "overview.json").write_text(
        '{"title": "{{ .Release.Name }} is not for Helm", "uid": "x"}\n', encoding="utf-8"
    )
    return chart


@pytest.fixture(scope="module")
def values() -> Object:
    """The chart's own values."""
    found: Object = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def schema() -> Object:
    """The schema of values."""
    found: Object = yaml.safe_load((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return found


def _job(found: list[Object]) -> str:
    """What Prometheus will call the job.

    Its operator takes it from the label that the monitor names, of the Service or of the pods.
    Without it the job would be namespace and name, or the Service's name.
    """
    (monitor,) = of_kind(found, "PodMonitor", "ServiceMonitor")
    selector = monitor["spec"]["selector"]["matchLabels"].items()
    if monitor["kind"] == "ServiceMonitor":
        candidates = [each["metadata"]["labels"] for each in of_kind(found, "Service")]
    else:
        candidates = [template["metadata"]["labels"] for _, template in pod_templates(found)]
    (labels,) = [each for each in candidates if selector <= each.items()]
    assert "relabelings" not in str(monitor)
    return str(labels[monitor["spec"]["jobLabel"]])


def _dashboards(found: list[Object]) -> dict[str, Object]:
    """By file, the variables by their names."""
    texts = {
        name: text
        for each in of_kind(found, "ConfigMap")
        for name, text in each["data"].items()
        if name.endswith(".json")
    }
    assert len(texts) > 1
    return {
        name: {each["name"]: each for each in json.loads(text)["templating"]["list"]}
        for name, text in texts.items()
    }


def _rules(chart: Path, sets: tuple[str, ...]) -> Object:
    chosen = ("prometheusRule.enabled=true", *sets)
    (rule,) = of_kind(objects("minimal", sets=chosen, chart=chart), "PrometheusRule")
    found: Object = rule["spec"]
    return found


def _without(values: Object, path: str) -> Object:
    """The values as Helm has them when somebody's say that one of them is null."""
    found = copy.deepcopy(values)
    *above, name = path.split(".")
    group = found
    for each in above:
        group = group[each]
    del group[name]
    return found


def _paths(values: Object, above: str = "") -> Iterator[str]:
    """Every value that has no further ones in it."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _paths(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def _groups(values: Object, above: str = "") -> Iterator[str]:
    """Every value that has further ones in it."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield f"{above}{name}"
            yield from _groups(value, f"{above}{name}.")

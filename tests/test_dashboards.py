"""The dashboards are whole: their form, their places in the grid, their links, and every query."""

import json
import re
import subprocess
from collections import Counter
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from consumer.metric_contract import GROUPS, Kind, Metric
from consumer.settings import describe
from tests.dashboards import (
    FOLDER,
    NAMES,
    ROOT,
    Selector,
    Shown,
    dashboard,
    filled_in,
    kept_labels,
    panels,
    queries,
    selectors,
)
from tests.debian_tools import needed
from tests.test_docs import COMMANDS

SCHEMA = json.loads(Path(__file__).with_name("dashboard.schema.json").read_text(encoding="utf-8"))
RULES = ROOT / "helm" / "files" / "alerts.yaml"
DOCS = ROOT / "docs"
COLUMNS = 24
CONTRACT = {metric.name: metric for group in GROUPS.values() for metric in group}
EVERYWHERE = {"job", "namespace", "instance"}
"""Labels that Prometheus adds to whatever it scrapes."""
PROCESS = re.compile(r"process_\w+|python_\w+")
SAMPLES = ("_bucket", "_sum", "_count")
BY_PERSON = {"$job", "$namespace", "$destination", "$instance"}

every_dashboard = pytest.mark.parametrize("name", NAMES)
every_query = pytest.mark.parametrize("shown", queries(), ids=str)


def test_every_shipped_file_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*")} == set(NAMES)


@every_dashboard
def test_a_dashboard_has_grafanas_form(name: str) -> None:
    errors = [
        f"{error.json_path}: {error.message[:200]}"
        for error in Draft202012Validator(SCHEMA).iter_errors(dashboard(name))
    ]

    assert errors == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda it: it.update(refesh="5s"),
        lambda it: it["panels"][1]["gridPos"].update(h="8"),
        lambda it: it["panels"][1].pop("description"),
        lambda it: it["panels"][1]["targets"][0].update(datasource={"type": "prometheus"}),
        lambda it: it["panels"][1]["fieldConfig"]["defaults"].update(unit="sec"),
        lambda it: it.update(editable=True),
    ],
)
def test_the_form_refuses_what_grafana_would_not_understand(spoil: Any) -> None:
    copy = json.loads(json.dumps(dashboard("overview")))
    spoil(copy)

    assert not Draft202012Validator(SCHEMA).is_valid(copy)


def test_every_dashboard_has_a_uid_of_its_own() -> None:
    assert len({dashboard(name)["uid"] for name in NAMES}) == len(NAMES)


@every_dashboard
def test_ids_and_titles_occur_once(name: str) -> None:
    ids = Counter(panel["id"] for panel in dashboard(name)["panels"])
    titles = Counter(panel["title"] for panel in panels(name))

    assert [each for each, times in (*ids.items(), *titles.items()) if times > 1] == []


@every_dashboard
def test_panels_lie_within_the_grid_and_none_upon_another(name: str) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in dashboard(name)["panels"]]

    assert [title for title, at in places if at["x"] + at["w"] > COLUMNS] == []
    assert [(a, b) for (a, one), (b, two) in combinations(places, 2) if _overlap(one, two)] == []


@every_dashboard
def test_no_line_of_a_row_is_left_half_empty(name: str) -> None:
    filled: Counter[int] = Counter()
    for panel in panels(name):
        at = panel["gridPos"]
        filled.update({y: at["w"] for y in range(at["y"], at["y"] + at["h"])})

    assert {y: width for y, width in filled.items() if width != COLUMNS} == {}


def _overlap(one: dict[str, int], two: dict[str, int]) -> bool:
    beside = one["x"] + one["w"] <= two["x"] or two["x"] + two["w"] <= one["x"]
    above = one["y"] + one["h"] <= two["y"] or two["y"] + two["h"] <= one["y"]
    return not (beside or above)


@every_dashboard
def test_one_can_choose_the_source_the_release_the_destination_and_the_member(name: str) -> None:
    variables = {each["name"]: each for each in dashboard(name)["templating"]["list"]}

    assert list(variables) == ["datasource", "job", "namespace", "destination", "instance", "docs"]
    assert variables["datasource"]["type"] == "datasource"
    assert variables["destination"]["multi"]
    assert variables["destination"]["includeAll"]
    # Two releases are not to be added up, as the recording rules do not.
    assert not variables["job"]["multi"]
    assert {each["refresh"] for each in variables.values() if each["type"] == "query"} == {2}


@every_dashboard
def test_every_variable_asks_for_labels_that_exist(name: str) -> None:
    for variable in dashboard(name)["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            assert found, variable
            (selector,) = selectors(found[1])
            assert _wrong(selector) == []
            assert found[2] in EVERYWHERE | _labels(CONTRACT[selector.metric])


@every_dashboard
def test_deployments_are_marked(name: str) -> None:
    (deployments,) = dashboard(name)["annotations"]["list"]

    assert {each.metric for each in selectors(deployments["expr"])} == {"conversions_build_info"}


@every_dashboard
def test_every_link_leads_to_a_page_that_exists(name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    uids = {dashboard(other)["uid"] for other in NAMES}
    broken = []
    for url in re.findall(r'"url": "([^"]*)"', text):
        page, _, heading = url.removeprefix("${docs}/").partition("#")
        if url.startswith("/d/"):
            broken += [url] if url.removeprefix("/d/") not in uids else []
        elif not (DOCS / page).is_file() or (heading and heading not in _headings(DOCS / page)):
            broken.append(url)

    assert broken == []


def test_every_alert_names_a_row_or_a_panel_that_exists() -> None:
    known = {
        f"{dashboard(name)['uid']}: {panel['title']}"
        for name in NAMES
        for panel in dashboard(name)["panels"]
    }
    named = [rule["annotations"]["dashboard"] for rule in _rules() if "alert" in rule]

    assert [each for each in named if each not in known] == []


def test_every_alert_is_linked_from_a_panel() -> None:
    linked = {link["title"] for name in NAMES for panel in panels(name) for link in panel["links"]}

    assert {rule["alert"] for rule in _rules() if "alert" in rule} == linked


def _headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in found}


@every_dashboard
def test_a_description_names_only_settings_and_commands_that_exist(name: str) -> None:
    said = " ".join(panel["description"] for panel in panels(name))

    settings = {each for each, _, _ in describe()}
    assert set(re.findall(r"\bCONVERSIONS_[A-Z_]*[A-Z]\b", said)) - settings == set()
    assert set(re.findall(r"`conversions ([a-z]+)", said)) - COMMANDS == set()
    pages = re.findall(r"docs/[\w/.-]+\.md", said)
    assert [page for page in pages if not (ROOT / page).exists()] == []


@every_query
def test_a_query_names_only_what_is_there(shown: Shown) -> None:
    found = selectors(shown.expression)

    assert found or "vector(" in shown.expression
    assert [wrong for selector in found for wrong in _wrong(selector)] == []


def _wrong(selector: Selector) -> list[str]:
    """What of a selector no series of ours could match."""
    metric = _metric(selector.metric)
    if metric is None:
        known = PROCESS.fullmatch(selector.metric) or selector.metric in _recorded()
        return [] if known else [f"{selector.metric} is nowhere"]
    labels = EVERYWHERE | _labels(metric)
    wrong = []
    for label, operator, value in selector.matchers:
        closed = next((each.values for each in metric.labels if each.name == label), ())
        values = value.split("|") if "~" in operator else [value]
        if label not in labels:
            wrong.append(f"{metric.name} has no label {label}")
        elif closed and value != ".+" and not BY_PERSON & set(values):
            wrong += [f"{label} is never {each}" for each in values if each not in closed]
    return wrong


def _metric(name: str) -> Metric | None:
    for suffix in SAMPLES:
        metric = CONTRACT.get(name.removesuffix(suffix))
        if name.endswith(suffix) and metric is not None:
            return metric if metric.kind is Kind.HISTOGRAM else None
    metric = CONTRACT.get(name)
    # A histogram has no series of its bare name.
    return None if metric is None or metric.kind is Kind.HISTOGRAM else metric


def _labels(metric: Metric) -> set[str]:
    return {label.name for label in metric.labels}


def _recorded() -> dict[str, str]:
    """What the shipped rules record: name → expression."""
    return {rule["record"]: rule["expr"] for rule in _rules() if "record" in rule}


@cache
def _rules() -> list[dict[str, Any]]:
    """The shipped rules: those that record, and alerts."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_metric_is_shown_somewhere() -> None:
    asked = [shown.expression for shown in queries()]
    recorded = [_recorded().get(each.metric, "") for one in asked for each in selectors(one)]
    shown = {each.metric for one in (*asked, *recorded) for each in selectors(one)}

    assert set(CONTRACT) - {metric.name for name in shown if (metric := _metric(name))} == set()


@every_query
def test_a_query_looks_at_one_release(shown: Shown) -> None:
    for selector in selectors(shown.expression):
        release = {("job", "=", "$job"), ("namespace", "=~", "$namespace")}
        assert release <= set(selector.matchers), selector


@every_query
def test_a_query_follows_the_chosen_destinations(shown: Shown) -> None:
    for selector in selectors(shown.expression):
        metric = _metric(selector.metric)
        if metric is not None and "destination" in _labels(metric):
            assert ("destination", "=~", "$destination") in selector.matchers, selector


@every_query
def test_a_counter_is_only_looked_at_as_it_grows(shown: Shown) -> None:
    for selector in selectors(shown.expression):
        metric = _metric(selector.metric)
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
    recorded = [
        _recorded()[each.metric] for each in selectors(shown.expression) if ":" in each.metric
    ]

    assert named <= kept_labels(" ".join((shown.expression, *recorded)))


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

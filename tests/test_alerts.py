"""The alerts that ship: valid, about series that exist, tried on stories, each with a runbook."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from typer.main import get_command

from consumer.cli import app
from consumer.metric_contract import GROUPS, Kind, Metric
from tests.alert_series import Story, as_tests
from tests.alert_stories import BURNING, STORIES
from tests.alert_stories import LONG as SLOW
from tests.debian_tools import needed
from tests.integration.test_alerts import IN_AN_OUTAGE, OF_SCRAPING, PROVOKED

ROOT = Path(__file__).parent.parent
RULES = ROOT / "helm" / "files" / "alerts.yaml"
RUNBOOKS = ROOT / "docs" / "runbooks"
SELECTOR = 'job="conversions-consumer"'
SHARE = 2
"""The stories by the minute are told by so many programs at once."""


class Rule(NamedTuple):
    """One rule: ``name`` is the alert's, or the record's."""

    name: str
    group: str
    expr: str
    is_alert: bool
    labels: dict[str, str]
    annotations: dict[str, str]


def rules(text: str) -> list[Rule]:
    """All rules of a file."""
    return [
        Rule(
            rule.get("alert") or rule["record"],
            group["name"],
            rule["expr"],
            "alert" in rule,
            rule.get("labels", {}),
            rule.get("annotations", {}),
        )
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
    ]


SHIPPED = rules(RULES.read_text(encoding="utf-8"))
ALERTS = [rule for rule in SHIPPED if rule.is_alert]
NAMES = sorted({rule.name for rule in ALERTS})


def _of_the_contract() -> Iterator[tuple[str, dict[str, tuple[str, ...]]]]:
    for metric in (each for group in GROUPS.values() for each in group):
        labels = {label.name: label.values for label in metric.labels}
        if metric.kind is Kind.HISTOGRAM:
            yield f"{metric.name}_bucket", {**labels, "le": _bounds(metric)}
            yield f"{metric.name}_count", labels
            yield f"{metric.name}_sum", labels
        else:
            yield metric.name, labels


def _bounds(metric: Metric) -> tuple[str, ...]:
    return (*(str(float(bound)) for bound in metric.buckets), "+Inf")


KNOWN = dict(_of_the_contract()) | {rule.name: {} for rule in SHIPPED if not rule.is_alert}
_SERIES = re.compile(r"\b((?:conversions_|job:)[\w:]+)\b(\{[^}]*\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


def selectors(expr: str) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """What an expression reads: names, and the matchers of each."""
    return [(name, _MATCHER.findall(matchers or "")) for name, matchers in _SERIES.findall(expr)]


@pytest.mark.parametrize("rule", SHIPPED, ids=lambda rule: rule.name)
def test_a_rule_reads_series_that_the_consumer_has(rule: Rule) -> None:
    for name, matchers in selectors(rule.expr):
        assert name in KNOWN
        assert ("job", "=", "conversions-consumer") in matchers
        for label, _, value in matchers:
            if label == "job":
                continue
            assert label in KNOWN[name], (name, label)
            closed = KNOWN[name][label]
            assert not closed or set(value.split("|")) <= set(closed), (name, label, value)


def test_the_selector_that_the_chart_replaces_stands_literally_everywhere() -> None:
    exprs = "\n".join(rule.expr for rule in SHIPPED)

    assert len(re.findall(r"\bjob\b\s*[=!~]", exprs)) == exprs.count("{" + SELECTOR)


@pytest.mark.parametrize("rule", SHIPPED, ids=lambda rule: rule.name)
def test_a_rule_keeps_the_release_and_no_replica(rule: Rule) -> None:
    kept = [
        {label.strip() for label in found.split(",")}
        for found in re.findall(r"\bby \(([^)]*)\)", rule.expr)
    ]

    assert all({"job", "namespace"} <= each for each in kept)
    assert not {"pod", "instance"} & set().union(*kept)
    assert "without" not in rule.expr


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.name)
def test_an_alert_says_what_a_person_needs(rule: Rule) -> None:
    assert rule.name.startswith("Conversions")
    assert rule.labels.keys() == {"severity"}
    assert rule.labels["severity"] in {"critical", "warning", "info"}
    assert rule.annotations.keys() == {"summary", "description", "runbook_url", "dashboard"}
    assert rule.annotations["runbook_url"] == f"docs/runbooks/{rule.name}.md"


def _told() -> list[Story]:
    return [*STORIES, *BURNING, *SLOW]


def test_every_alert_fires_in_a_story_and_is_silent_in_others() -> None:
    fired = {
        (name, labels["severity"])
        for story in _told()
        for firing in story.firing.values()
        for name, labels in firing
    }

    assert fired == {(rule.name, rule.labels["severity"]) for rule in ALERTS}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule.name}-{rule.labels['severity']}")
def test_an_alert_quotes_labels_that_it_has(rule: Rule) -> None:
    quoted = set(re.findall(r"\$labels\.(\w+)", "".join(rule.annotations.values())))
    had = [
        set(labels)
        for story in _told()
        for firing in story.firing.values()
        for name, labels in firing
        if name == rule.name and labels["severity"] == rule.labels["severity"]
    ]

    assert any(quoted <= labels for labels in had)
    if "with $labels" not in rule.annotations["description"]:
        assert all(quoted <= labels for labels in had)


def test_the_rules_are_valid_for_promtool() -> None:
    checked = _promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))

    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    ("stories", "evaluated_minutes"),
    [
        *((STORIES[number::SHARE], 2) for number in range(SHARE)),
        (BURNING, 5),
        (SLOW, 30),
    ],
    ids=["some", "others", "burning", "slow"],
)
def test_the_stories_fire_what_they_should_and_nothing_else(
    stories: Sequence[Story], evaluated_minutes: int, tmp_path: Path
) -> None:
    assert told(stories, RULES, tmp_path, evaluated_minutes) == ""


def test_what_an_alert_says_is_filled_in(tmp_path: Path) -> None:
    """Asked for no alert, promtool tells the ones that fire, annotations and all."""
    chosen: dict[tuple[str, str], tuple[int, Story]] = {}
    for story in STORIES:
        for minute, firing in story.firing.items():
            for name, labels in firing:
                chosen.setdefault((name, labels["severity"]), (minute, story))
    tests = [
        {
            **{key: value for key, value in test.items() if key != "promql_expr_test"},
            "alert_rule_test": [{"eval_time": f"{minute}m", "alertname": name, "exp_alerts": []}],
        }
        for (name, _), (minute, story) in chosen.items()
        for test in as_tests([story._replace(firing={})])
    ]

    said = _tested(tests, RULES, tmp_path, 5)
    annotations = re.findall(r"Annotations:(\{.*\})", said)

    assert len(annotations) >= len(chosen)
    for each in annotations:
        assert "{{" not in each
        assert "<no value>" not in each
        assert "<error" not in each
        assert "description=" in each


def test_a_share_of_events_with_a_match_key_is_never_more_than_all(tmp_path: Path) -> None:
    """Counters are first seen when some have counted; a key that never came has no share."""
    job = 'job="conversions-consumer", namespace="shop", destination="1"'
    accepted = f'conversions_events_total{{{job}, outcome="accepted", event_name='
    values = {
        f'{accepted}"Lead"}}': "0 600 1200",
        f'{accepted}"Purchase"}}': "500 500 500",
        f'conversions_match_key_events_total{{{job}, match_key="em"}}': "0 600 1200",
        f'conversions_match_key_events_total{{{job}, match_key="ph"}}': "300 900 1500",
        f'conversions_match_key_events_total{{{job}, match_key="zp"}}': "0 0 0",
    }
    share = f"job:conversions_match_key_coverage:ratio{{{job}, match_key="
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": told} for name, told in values.items()],
        "promql_expr_test": [
            {
                "expr": "job:conversions_match_key_coverage:ratio",
                "eval_time": "30s",
                "exp_samples": [
                    {"labels": f'{share}"{key}"}}', "value": 1} for key in ("em", "ph")
                ],
            }
        ],
    }

    assert _tested([test], RULES, tmp_path, 0.25) == ""


def told(stories: Sequence[Story], shipped: Path, folder: Path, evaluated_minutes: int) -> str:
    """What promtool has to say against the stories; nothing when all is as it should be."""
    return _tested(as_tests(stories), shipped, folder, evaluated_minutes)


def _tested(tests: object, shipped: Path, folder: Path, evaluated_minutes: float) -> str:
    shutil.copy(shipped, folder / "alerts.yaml")
    groups = list(dict.fromkeys(rule.group for rule in rules(shipped.read_text(encoding="utf-8"))))
    document = {
        "rule_files": ["alerts.yaml"],
        "evaluation_interval": f"{round(60 * evaluated_minutes)}s",
        "group_eval_order": groups,
        "tests": tests,
    }
    file = folder / "stories.yaml"
    file.write_text(yaml.safe_dump(document, width=10_000), encoding="utf-8")
    tested = _promtool("test", "rules", str(file))
    return "" if tested.returncode == 0 else tested.stdout + tested.stderr


def _promtool(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [needed("promtool"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# Runbooks


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md") if path.stem != "README") == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_has_every_section(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")

    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
        "Meaning",
        "Impact",
        "First look",
        "Causes",
        "Mitigate",
        "Escalate",
        "How it was tested",
    ]


@pytest.mark.parametrize("name", [*NAMES, "README", "../slo"])
def test_a_runbook_names_metrics_and_labels_that_exist(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    for series, matchers in selectors(text):
        assert series in KNOWN
        for label, operator, value in matchers:
            if label in {"job", "namespace"}:
                continue
            assert label in KNOWN[series], (series, label)
            closed = KNOWN[series][label]
            assert not closed or set(value.split("|")) <= set(closed), (series, operator, value)


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_calls_commands_that_parse(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for file in ("events.jsonl", "destinations.yaml"):
        (tmp_path / file).touch()
    for line in re.findall(r"\bconversions ([a-z].*)$", _code(text), re.MULTILINE):
        command: Any = get_command(app)
        words = shlex.split(line.split("|")[0])
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        # Reads every option and argument as the command itself would, and runs nothing.
        command.make_context(command.name, words)


def _code(text: str) -> str:
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    return "\n".join([*blocks, *re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)])


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_names_a_story_in_which_its_alert_fires(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    stories = {
        story.name
        for story in _told()
        for firing in story.firing.values()
        if name in {alert for alert, _ in firing}
    }

    tested = text.split("## How it was tested")[1]
    named = set(re.findall(r"\*([^*\n]+)\*", " ".join(tested.split())))
    assert named & stories
    assert named <= {story.name for story in _told()}


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_says_whether_its_alert_fired_for_real(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")

    real = {*PROVOKED, *IN_AN_OUTAGE, *OF_SCRAPING}
    assert ("Fired for real" in " ".join(text.split())) == (name in real)


def test_the_index_lists_every_runbook_with_its_severity() -> None:
    text = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| ([a-z, ]+) \|", text, re.MULTILINE))
    shipped = {
        name: ", ".join(rule.labels["severity"] for rule in ALERTS if rule.name == name)
        for name in NAMES
    }

    assert listed == shipped


# The tests bite


PLANTED = {
    "a threshold": ("< 2 * 86400", "< 0 * 86400", "events wait for almost a week"),
    "the age of what has little left": (
        "> 2 * 86400",
        "> -1",
        "a destination gives its events up after a day",
    ),
    "a label's value": (
        'state="halted", reason!="every_event_refused"',
        'state="ready", reason!="every_event_refused"',
        "one of ten destinations is halted",
    ),
    "a missing by": (
        "count by (job, namespace, trouble) (conversions_dead",
        "(conversions_dead",
        "both members cannot write dead letters",
    ),
    "the first count of a new series": (
        "unless max_over_time(conversions_kafka_records_lost_total",
        "and max_over_time(conversions_kafka_records_lost_total",
        "retention took records before the first scrape",
    ),
    "what never was accepted": (
        'outcome="accepted"}[10m])) > 0',
        'outcome="accepted"}[10m])) >= 0',
        "a total outage of Meta on a fresh deploy",
    ),
}


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
def test_a_planted_bug_is_found_by_a_story(planted: tuple[str, str, str], tmp_path: Path) -> None:
    right, wrong, name = planted
    text = RULES.read_text(encoding="utf-8")
    assert right in text
    broken = tmp_path / "broken.yaml"
    broken.write_text(text.replace(right, wrong), encoding="utf-8")

    assert told([story for story in STORIES if story.name == name], broken, tmp_path, 2) != ""

"""The dashboards are whole: their form, their places in the grid, their variables and links."""

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from consumer.settings import describe
from tests.dashboard_contract import CONTRACT, EVERYWHERE, labels_of, rules, wrong_in
from tests.dashboards import FOLDER, NAMES, ROOT, dashboard, panels, selectors
from tests.test_docs import COMMANDS

SCHEMA = json.loads(Path(__file__).with_name("dashboard.schema.json").read_text(encoding="utf-8"))
DOCS = ROOT / "docs"
COLUMNS = 24

every_dashboard = pytest.mark.parametrize("name", NAMES)


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
            assert wrong_in(selector) == []
            assert found[2] in EVERYWHERE | labels_of(CONTRACT[selector.metric])


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
    named = [rule["annotations"]["dashboard"] for rule in rules() if "alert" in rule]

    assert [each for each in named if each not in known] == []


def test_every_alert_is_linked_from_a_panel() -> None:
    linked = {link["title"] for name in NAMES for panel in panels(name) for link in panel["links"]}

    assert {rule["alert"] for rule in rules() if "alert" in rule} == linked


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

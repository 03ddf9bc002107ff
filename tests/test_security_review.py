"""What checkov says of the chart and of the Dockerfile: what the page justifies, no more.

docs/kubernetes.md has a table of its remarks. A new one is mended or justified there; one
that is gone leaves the table.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.chart import ROOT, SCENARIOS, rendered
from tests.python_tools import needed

CHECKOV_SECONDS_MAX = 240.0
OF_THE_PROBES = {"CKV_K8S_8", "CKV_K8S_9"}
OF_THE_POLICY = {"CKV2_K8S_6"}


class Remark(NamedTuple):
    """One of checkov's, on one object of a scenario."""

    check: str
    scenario: str
    kind: str


def test_checkov_finds_in_the_chart_what_the_page_justifies(remarks: set[Remark]) -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (CKV\w+)(?: and (\d+))?", page, re.MULTILINE)
    justified = {first for first, _ in rows}
    justified |= {re.sub(r"\d+$", second, first) for first, second in rows if second}

    assert {remark.check for remark in remarks} == justified


def test_only_pods_that_end_by_themselves_have_no_probes(remarks: set[Remark]) -> None:
    assert {remark.kind for remark in remarks if remark.check in OF_THE_PROBES} == {"Pod"}


def test_a_network_policy_covers_every_pod_where_it_is_asked_for(remarks: set[Remark]) -> None:
    without = {remark.scenario for remark in remarks if remark.check in OF_THE_POLICY}

    assert "minimal" in without
    assert without & {"network-policy", "everything"} == set()


def test_checkov_finds_nothing_in_the_dockerfile() -> None:
    report = _checkov("dockerfile", "--file", str(ROOT / "Dockerfile"))

    assert report["summary"]["passed"] > 50
    assert [each["check_id"] for each in report["results"]["failed_checks"]] == []


@pytest.fixture(scope="module")
def remarks(tmp_path_factory: pytest.TempPathFactory) -> set[Remark]:
    """On every scenario, from one run."""
    folder = tmp_path_factory.mktemp("renderings")
    for scenario in SCENARIOS:
        # By release, or the policy of one scenario would cover the pods of all.
        text = rendered(scenario, release=scenario)
        (folder / f"{scenario}.yaml").write_text(text, encoding="utf-8")
    report = _checkov("kubernetes", "--directory", str(folder))
    return set(_remarks(report))


def _remarks(report: dict[str, Any]) -> Iterator[Remark]:
    for each in report["results"]["failed_checks"]:
        scenario, kind = Path(each["file_path"]).stem, each["resource"].partition(".")[0]
        yield Remark(check=each["check_id"], scenario=scenario, kind=kind)


def _checkov(framework: str, *what: str) -> dict[str, Any]:
    """Its report, with nothing asked of anybody on the net."""
    quiet = ("--framework", framework, "--output", "json", "--skip-download", "--soft-fail")
    done = subprocess.run(
        [*needed("checkov"), *quiet, *what],
        env=os.environ | {"LOG_LEVEL": "ERROR"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=CHECKOV_SECONDS_MAX,
        check=True,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report

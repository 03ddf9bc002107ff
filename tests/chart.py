"""The chart, rendered by Helm 3 and Helm 4, for the tests that look at what comes out.

    python -m tests.chart        write the golden renderings anew (tests/golden/)

Each scenario is a file of ``helm/ci``. What is rendered is kept, as many tests look at the same.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import yaml

from tests.helm_tools import needed

ROOT = Path(__file__).parent.parent
CHART = ROOT / "helm"
GOLDEN = ROOT / "tests" / "golden"
SCENARIOS = tuple(sorted(path.name.removesuffix("-values.yaml") for path in CHART.glob("ci/*")))
GOLDEN_SCENARIOS = ("minimal", "everything")
RELEASE, NAMESPACE = "conv", "shop"
HELM_SECONDS_MAX = 120.0
# Rules and dashboards are files of their own with tests of their own.
WITHOUT_FILES = ("prometheusRule.enabled=false", "dashboards.enabled=false")
WORKLOADS = ("Deployment", "StatefulSet")

Object = dict[str, Any]
"""A Kubernetes object, as YAML has it."""


class HelmError(Exception):
    """Helm refused; the text is what it said."""


@cache
def rendered(
    scenario: str,
    major: int = 4,
    sets: tuple[str, ...] = (),
    chart: Path = CHART,
    release: str = RELEASE,
) -> str:
    """What ``helm template`` writes. ``sets`` are as for ``--set``. Raises ``HelmError``."""
    return helm(major, "template", release, str(chart), *_chosen(scenario, sets))


@cache
def notes(scenario: str, sets: tuple[str, ...] = ()) -> str:
    """What an installation would tell its operator; Helm 3 tells it only where a cluster is."""
    said = helm(4, "install", RELEASE, str(CHART), "--dry-run=client", *_chosen(scenario, sets))
    return said.partition("\nNOTES:\n")[2]


def objects(
    scenario: str,
    major: int = 4,
    sets: tuple[str, ...] = (),
    chart: Path = CHART,
    release: str = RELEASE,
) -> list[Object]:
    """The objects of a rendering."""
    documents = yaml.safe_load_all(rendered(scenario, major, sets, chart, release))
    return [document for document in documents if document]


def of_kind(found: Sequence[Object], *kinds: str) -> list[Object]:
    """Those of ``found`` that are of one of these kinds."""
    return [each for each in found if each["kind"] in kinds]


def pod_templates(found: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Every pod that the objects would make: the kind of its maker, and its template."""
    for each in found:
        if each["kind"] in WORKLOADS:
            yield each["kind"], each["spec"]["template"]
        elif each["kind"] == "CronJob":
            yield each["kind"], each["spec"]["jobTemplate"]["spec"]["template"]
        elif each["kind"] == "Pod":
            yield each["kind"], each


def containers(template: Object) -> list[Object]:
    """Every container of a pod's template."""
    spec = template["spec"]
    found: list[Object] = [*spec.get("initContainers", []), *spec["containers"]]
    return found


def main_container(template: Object) -> Object:
    """The container of ours, which is the first one."""
    found: Object = template["spec"]["containers"][0]
    return found


def environment(container: Object) -> Mapping[str, str]:
    """A container's variables; what comes from elsewhere has a value like the real one."""
    return {each["name"]: each.get("value", "conv-0") for each in container["env"]}


def golden(scenario: str) -> str:
    """The rendering that is reviewed like code, without the files that are."""
    return rendered(scenario, 4, WITHOUT_FILES)


def helm(major: int, *arguments: str) -> str:
    """Run Helm with nothing of the user's. Raises ``HelmError``."""
    scratch = str(Path(gettempdir(), "conversions-helm"))
    own = {name: scratch for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HELM_")}
    done = subprocess.run(
        [needed(major), *arguments],
        env=kept | own | {"KUBECONFIG": os.devnull},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HELM_SECONDS_MAX,
        check=False,
    )
    if done.returncode != 0:
        raise HelmError(done.stdout + done.stderr)
    return done.stdout


def _chosen(scenario: str, sets: tuple[str, ...]) -> list[str]:
    values = CHART / "ci" / f"{scenario}-values.yaml"
    given = [word for pair in sets for word in ("--set", pair)]
    return ["--namespace", NAMESPACE, "--values", str(values), *given]


def main() -> int:
    """Write the golden renderings anew; returns the exit code."""
    GOLDEN.mkdir(exist_ok=True)
    for scenario in GOLDEN_SCENARIOS:
        (GOLDEN / f"{scenario}.yaml").write_text(golden(scenario), encoding="utf-8")
        sys.stdout.write(f"{scenario}: written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

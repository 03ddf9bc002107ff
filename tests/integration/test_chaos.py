"""A minute of chaos: three consumers are killed, one sleeps through its session, the broker dies.

Meta fails in turn, dead letters have nowhere to go, the registry hangs at the start, and among the
events are records of every bad kind. Afterwards the sets are compared (``tests/chaos``).
``make chaos`` does the same for ten minutes with every fault there is.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.plan import ONE_KILL, SHORT, Step
from tests.chaos.report import table
from tests.chaos.run import BROKER_PROPERTIES, Asked, Result, run
from tests.integration.conftest import _needed
from tests.integration.kafka_broker import KafkaBroker
from tests.integration.registry import Registry
from tests.tools import APICURIO, KAFKA, apicurio_home, kafka_libs

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SEED = 20


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    libs, java = _needed(KAFKA, kafka_libs())
    folder = tmp_path_factory.mktemp("chaos-kafka")
    broker = KafkaBroker(java=java, libs=libs, folder=folder, extra_properties=BROKER_PROPERTIES)
    try:
        broker.start()
        yield broker
    finally:
        broker.close()


@pytest.fixture(scope="module")
def own_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    home, java = _needed(APICURIO, apicurio_home())
    registry = Registry(java=java, home=home, folder=tmp_path_factory.mktemp("chaos-registry"))
    try:
        registry.start()
        yield registry
    finally:
        registry.close()


def test_nothing_is_lost_and_nothing_comes_twice_without_a_fault_to_excuse_it(
    own_kafka: KafkaBroker, own_registry: Registry, tmp_path: Path
) -> None:
    result = _run(own_kafka, own_registry, tmp_path, plan=SHORT, seconds=65.0, bug=None)

    assert result.account.findings == [], table(result)
    assert result.account.accepted > 1000
    assert {"undecodable", "insufficient_user_data", "refused_by_meta"} <= {
        *result.account.dead_lettered
    }
    assert result.done["kill"] == 3


def test_a_consumer_that_commits_what_it_has_only_read_is_found_out(
    own_kafka: KafkaBroker, own_registry: Registry, tmp_path: Path
) -> None:
    result = _run(
        own_kafka,
        own_registry,
        tmp_path,
        plan=ONE_KILL,
        seconds=14.0,
        bug="commit position",
    )

    assert any("lost" in finding.what for finding in result.account.findings), table(result)


def _run(
    kafka: KafkaBroker,
    registry: Registry,
    folder: Path,
    *,
    plan: tuple[Step, ...],
    seconds: float,
    bug: str | None,
) -> Result:
    asked = Asked(
        seed=SEED,
        plan=plan,
        seconds=seconds,
        per_second=60.0,
        bug=bug,
        recreated=False,
    )
    return run(
        asked,
        kafka=kafka,
        registry=registry,
        folder=folder,
        say=lambda line: print(line, file=sys.stderr),  # noqa: T201 - shown when it fails
    )

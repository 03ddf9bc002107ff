"""One broker and one registry for the whole session; the product as often as a test likes."""

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.debian_tools import needed
from tests.integration import Product
from tests.integration.kafka_broker import KafkaBroker
from tests.integration.prometheus import Prometheus
from tests.integration.registry import Registry
from tests.integration.secured_broker import Secured, secured_broker
from tests.integration.world import World
from tests.tools import APICURIO, KAFKA, Tool, apicurio_home, find_java, kafka_libs


@pytest.fixture(scope="session")
def kafka(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaBroker]:
    """A running broker, shared: a test takes topics and groups of its own (``unique``)."""
    libs, java = _needed(KAFKA, kafka_libs())
    if _session_wants_registry(request.session) and apicurio_home() and _java_of(APICURIO):
        # Two JVMs starting side by side are ready sooner than one after the other.
        request.getfixturevalue("launched_registry")
    folder = tmp_path_factory.mktemp("kafka")
    broker = KafkaBroker(java=java, libs=libs, folder=folder, extra_properties={})
    try:
        broker.start()
        yield broker
    finally:
        broker.close()


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A running broker whose doors are locked, shared like the other one."""
    libs, java = _needed(KAFKA, kafka_libs())
    secured = secured_broker(java=java, libs=libs, folder=tmp_path_factory.mktemp("secured-kafka"))
    with secured.provider.serving():
        try:
            secured.kafka.start()
            yield secured
        finally:
            secured.kafka.close()


@pytest.fixture
def secured_world(
    secured: Secured, registry: Registry, product: Product, unique: Callable[[str], str]
) -> World:
    """As ``world``, on the broker whose doors are locked."""
    return World(
        kafka=secured.kafka,
        registry=registry,
        product=product,
        unique=unique,
        pixels=("1729525464415281", "2729525464415282"),
        dead_letter_config={},
    )


@pytest.fixture(scope="session")
def registry(launched_registry: Registry) -> Registry:
    """A running registry, shared: a test takes subjects of its own (``unique``)."""
    launched_registry.wait_until_ready()
    return launched_registry


@pytest.fixture(scope="session")
def launched_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that may still be starting; tests want ``registry``."""
    home, java = _needed(APICURIO, apicurio_home())
    registry = Registry(java=java, home=home, folder=tmp_path_factory.mktemp("registry"))
    try:
        registry.launch()
        yield registry
    finally:
        registry.close()


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    """Starts the product as processes of its own, which end with the test."""
    product = Product(command=(sys.executable, "-m", "consumer"), folder=tmp_path)
    try:
        yield product
    finally:
        product.close()


@pytest.fixture(scope="session")
def unique() -> Callable[[str], str]:
    """Names that nobody else uses: ``unique("events")`` is ``events-1f2e3d4c``."""
    return lambda stem: f"{stem}-{uuid.uuid4().hex[:8]}"


def _needed(tool: Tool, folder: Path | None) -> tuple[Path, Path]:
    """The tool and its Java. Without them the test is skipped; in CI that would hide it."""
    java = _java_of(tool)
    if folder is not None and java is not None:
        return folder, java
    notice = f"{tool}, or Java {tool.java_minimum} for it, is not there: run `make tools`"
    if os.environ.get("CI") == "true":
        pytest.fail(notice)
    pytest.skip(notice)


def _java_of(tool: Tool) -> Path | None:
    return find_java(tool.java_minimum)


def _session_wants_registry(session: pytest.Session) -> bool:
    return any("registry" in getattr(item, "fixturenames", ()) for item in session.items)


@pytest.fixture
def prometheus_for(tmp_path: Path) -> Iterator[Callable[..., Prometheus]]:
    """Starts a real Prometheus: ``prometheus_for(rules=(path,), interval_seconds=1)``."""
    program = needed("prometheus")
    started: list[Prometheus] = []

    def start(**how: Any) -> Prometheus:
        folder = tmp_path / f"prometheus-{len(started)}"
        folder.mkdir()
        started.append(Prometheus(program=program, folder=folder, **how))
        return started[-1]

    try:
        yield start
    finally:
        for prometheus in started:
            prometheus.close()


@pytest.fixture
def world(
    kafka: KafkaBroker, registry: Registry, product: Product, unique: Callable[[str], str]
) -> World:
    """Topics, a group, a schema and an emulator of this test's own, with two pixels."""
    return World(
        kafka=kafka,
        registry=registry,
        product=product,
        unique=unique,
        pixels=("1729525464415281", "2729525464415282"),
        dead_letter_config={},
    )

"""What is told once and what each time: near misses of names, and test mode."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from consumer.destinations import parse_destinations
from consumer.event_names import NEAR_MISS
from consumer.journal import Journal
from consumer.metrics import Metrics
from consumer.model import Prepared
from consumer.tracing import Untraced
from consumer.troubles import TROUBLES_MAX
from tests.fakes.events import an_event
from tests.fakes.house import Lines

NEARLY = "an event name is nearly a standard one; it is sent as it is"


@pytest.fixture
def log() -> Lines:
    return Lines()


@pytest.fixture
def journal(log: Lines) -> Journal:
    registry = CollectorRegistry()
    metrics = Metrics(registry=registry, version="1", graph_version="v26.0")
    return Journal(metrics=metrics, log=log, traces=Untraced())


def named(event_name: str) -> Prepared:
    return an_event(event_name=event_name)._replace(warnings=(NEAR_MISS,))


def warned(journal: Journal) -> float | None:
    registry = journal.metrics.registry
    return registry.get_sample_value("conversions_event_warnings_total", {"warning": NEAR_MISS})


def test_a_near_miss_is_logged_once_a_name_and_counted_each_time(
    journal: Journal, log: Lines
) -> None:
    for name in ("purchase", "purchase", "page_view", "purchase"):
        journal.prepared(named(name))

    assert log.named(NEARLY) == [
        {"event_name": "purchase", "standard": "Purchase"},
        {"event_name": "page_view", "standard": "PageView"},
    ]
    assert warned(journal) == 4


def test_another_warning_says_nothing_of_the_name(journal: Journal, log: Lines) -> None:
    journal.prepared(an_event(event_name="x")._replace(warnings=("missing_user_agent",)))

    assert log.lines == []


def test_names_without_end_are_not_remembered_without_end(journal: Journal) -> None:
    for number in range(TROUBLES_MAX + 5):
        journal.prepared(named("purchase" + "_" * number))

    assert len(journal.troubles) <= TROUBLES_MAX


def test_a_test_event_is_told_once_a_destination(journal: Journal, log: Lines) -> None:
    for destination, code in (("1", "T1"), ("1", "T2"), ("2", None), ("3", "T1"), ("3", "T1")):
        journal.prepared(an_event(destination=destination, test_code=code))

    told = log.named("a test event came")
    assert [each["destination"] for each in told] == ["1", "3"]
    assert all("a pixel of their own" in each["advice"] for each in told)


def test_at_the_start_it_is_said_whose_events_are_all_tests(journal: Journal, log: Lines) -> None:
    some = parse_destinations(
        "- {id: 1, testEventCode: T1}\n- id: 2\n- {id: 3, testEventCode: T3}", Path()
    )

    journal.test_mode(some, None)
    journal.test_mode(parse_destinations("- id: 2", Path()), None)

    (told,) = log.named("test mode is on")
    assert told["destinations"] == ["1", "3"]
    assert len(log.lines) == 1


def test_a_test_code_for_the_whole_run_is_said_for_all(journal: Journal, log: Lines) -> None:
    journal.test_mode(parse_destinations("- {id: 1, testEventCode: T1}", Path()), "T0")

    assert [(level, name) for level, name, _ in log.lines] == [
        ("warning", "test mode is on for every destination")
    ]

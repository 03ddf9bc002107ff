"""A trouble is told when it is new, counted while it lasts, and has a last line with that count."""

import pytest
from prometheus_client import CollectorRegistry

from consumer.journal import Journal
from consumer.letter_box import Report, Writing
from consumer.metrics import Metrics
from consumer.model import ClientError, LogEnd, PixelId, TopicPartition
from consumer.tracing import Untraced
from consumer.troubles import TROUBLES_MAX, Troubles
from tests.fakes.house import Lines

PARTITION = TopicPartition("events", 0)


@pytest.fixture
def log() -> Lines:
    return Lines()


@pytest.fixture
def journal(log: Lines) -> Journal:
    registry = CollectorRegistry()
    metrics = Metrics(registry=registry, version="1", graph_version="v26.0")
    return Journal(metrics=metrics, log=log, traces=Untraced())


def test_what_comes_again_is_not_new_until_it_was_over() -> None:
    troubles = Troubles()

    assert [troubles.is_new("schema", "404") for _ in range(3)] == [True, False, False]
    assert troubles.is_new("schema", "503")
    assert troubles.is_on("schema")
    assert troubles.over("schema") == 2
    assert troubles.over("schema") is None
    assert not troubles.is_on("schema")
    assert troubles.is_new("schema", "404")


def test_one_kind_is_over_without_the_others() -> None:
    troubles = Troubles()
    troubles.is_new(("quality", "1"), "no answer")
    troubles.is_new(("quality", "11"), "no answer")

    assert troubles.over(("quality", "1")) == 0
    assert troubles.is_on(("quality", "11"))


def test_of_too_many_the_oldest_is_forgotten_and_no_other() -> None:
    troubles = Troubles()
    for number in range(TROUBLES_MAX + 1):
        troubles.is_new("name", f"name {number}")

    assert len(troubles) == TROUBLES_MAX
    assert not troubles.is_new("name", f"name {TROUBLES_MAX}")
    assert not troubles.is_new("name", "name 1")
    assert troubles.is_new("name", "name 0")


def test_each_trouble_that_can_be_over_says_how_often_it_came_again(
    journal: Journal, log: Lines
) -> None:
    broker = ClientError("_TRANSPORT", "refused", unreachable=True)
    login = ClientError("_AUTHENTICATION", "wrong password", unreachable=True)
    for _ in range(4):
        journal.kafka_error(broker)
        journal.schema_trouble("503")
        journal.letter_failed(Report(1, Writing.FAILED, "_MSG_TIMED_OUT"))
        for _ in range(100):  # it is asked at each turn of the loop
            journal.letters_failing("_MSG_TIMED_OUT")
        journal.commit_failed(PARTITION, "REBALANCE_IN_PROGRESS")
        journal.quality_unreadable(PixelId("1"), "no answer")
    journal.kafka_error(login)
    told = len(log.lines)

    for _ in range(2):  # the second time nothing is over
        journal.kafka_answers()
        journal.schema_fetched()
        journal.letters_written_again()
        journal.committed()
        journal.quality_read(PixelId("1"))

    assert told == 6, "each once, and the login by itself"
    assert log.lines[told:] == [
        ("info", "Kafka is reachable again", {"repeated": 3}),
        ("info", "schemas can be fetched again", {"repeated": 3}),
        ("info", "dead letters can be written again", {"repeated": 3}),
        ("info", "commits are taken again", {"repeated": 3}),
        ("info", "Event Match Quality can be read again", {"destination": "1", "repeated": 3}),
    ]


def test_an_offset_that_is_gone_is_told_once_and_counted(journal: Journal, log: Lines) -> None:
    ends = {PARTITION: LogEnd(low=100, high=150, committed=40)}

    for _ in range(3):
        journal.log_ends(ends, {})

    (told,) = log.named("the next offset is no longer in the topic")
    assert told["records_lost"] == 60
    assert journal.lags.newest == {PARTITION: 50}
    registry = journal.metrics.registry
    assert registry.get_sample_value("conversions_kafka_records_lost_total") == 60


def test_an_offset_beyond_the_end_is_news_only_the_second_time_in_a_row(
    journal: Journal, log: Lines
) -> None:
    name = "the next offset is no longer in the topic"
    behind, there = LogEnd(0, 100, None), LogEnd(0, 120, None)

    for end in (behind, there, behind):
        journal.log_ends({PARTITION: end}, {PARTITION: 110})
    assert log.named(name) == []
    assert journal.lags.newest == {PARTITION: 0}

    journal.log_ends({PARTITION: behind}, {PARTITION: 110})
    assert [line["records_lost"] for line in log.named(name)] == [0]

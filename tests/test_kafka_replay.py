"""The producer that replays, on a broker that fails as librdkafka's flags say."""

from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError

from consumer.kafka_refusal import KafkaRefuses
from consumer.kafka_replay import (
    ATTEMPTS_MAX,
    Committed,
    Hurried,
    KafkaReplay,
    ReplayBroken,
    Superseded,
    TooLarge,
    replay_producer,
)
from consumer.replay_access import transactional_id
from consumer.replay_record import ReplayRecord, replay_record
from tests.fakes.events import NOW_MS, TOPIC, a_record
from tests.fakes.letters import DLQ_TOPIC, a_letter
from tests.fakes.transactions import FakeProducer, Log, an_error

TIMED_OUT = an_error(KafkaError._TIMED_OUT, retriable=True)
ABORTABLE = an_error(KafkaError.NOT_ENOUGH_REPLICAS, abort=True)
FENCED = an_error(KafkaError._FENCED, fatal=True)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def producer(log: Log) -> FakeProducer:
    return FakeProducer(log)


def replaying(producer: FakeProducer, hurried: Callable[[], bool] = lambda: False) -> KafkaReplay:
    found = KafkaReplay(
        producer=producer,
        transactional_id="conversions-replay-c-dlq",
        topic=TOPIC,
        letters_topic=DLQ_TOPIC,
        hurried=hurried,
        wait=lambda seconds: None,
    )
    producer.log.writer = producer
    return found


def records(count: int, value: bytes = b"v") -> list[ReplayRecord]:
    return [
        replay_record(
            a_letter(record=a_record(offset=number, value=value), offset=number),
            replayed_at_ms=NOW_MS,
        )
        for number in range(count)
    ]


def test_record_and_mark_are_committed_together(log: Log, producer: FakeProducer) -> None:
    assert replaying(producer).commit(records(3)) == Committed()

    assert (len(log.source), len(log.letters)) == (3, 3)
    assert producer.calls == ["begin_transaction", *["produce"] * 6, "commit_transaction"]


@pytest.mark.parametrize("call", ["init_transactions", "commit_transaction", "abort_transaction"])
def test_what_may_be_asked_again_is_asked_again(
    log: Log, producer: FakeProducer, call: str
) -> None:
    producer.fail(
        call, TIMED_OUT, an_error(KafkaError.COORDINATOR_LOAD_IN_PROGRESS, retriable=True)
    )
    replay = replaying(producer)
    if call == "abort_transaction":
        producer.fail("produce", ABORTABLE)

    replay.take_over()
    assert replay.commit(records(3)) == Committed()

    assert len(log.source) == 3
    assert producer.calls.count(call) == 3
    assert ("abort_transaction" in producer.calls) == (call == "abort_transaction")


@pytest.mark.parametrize("call", ["begin_transaction", "produce", "commit_transaction"])
def test_what_must_be_aborted_is_aborted_and_tried_again_whole(
    log: Log, producer: FakeProducer, call: str
) -> None:
    producer.fail(call, ABORTABLE, ABORTABLE)

    assert replaying(producer).commit(records(3)) == Committed()

    assert (len(log.source), len(log.letters)) == (3, 3)
    assert producer.calls.count("abort_transaction") == 2


def test_after_a_few_times_it_is_given_up_and_nothing_is_there(
    log: Log, producer: FakeProducer
) -> None:
    producer.fail("commit_transaction", *[ABORTABLE] * ATTEMPTS_MAX)

    with pytest.raises(ReplayBroken, match="NOT_ENOUGH_REPLICAS"):
        replaying(producer).commit(records(3))

    assert log.source == log.letters == []
    assert producer.calls.count("abort_transaction") == ATTEMPTS_MAX


def test_brokers_that_stay_silent_are_given_up(producer: FakeProducer) -> None:
    producer.fail("init_transactions", *[TIMED_OUT] * 1000)

    with pytest.raises(ReplayBroken, match="does not answer"):
        replaying(producer).take_over()


@pytest.mark.parametrize("call", ["begin_transaction", "commit_transaction", "abort_transaction"])
def test_whoever_is_superseded_is_told_so(log: Log, producer: FakeProducer, call: str) -> None:
    producer.fail("produce", *([ABORTABLE] if call == "abort_transaction" else []))
    producer.fail(call, FENCED)

    with pytest.raises(Superseded, match=f"another replay of {DLQ_TOPIC} has begun"):
        replaying(producer).commit(records(3))

    assert log.source == []
    assert producer.calls.count("commit_transaction") <= 1


def test_two_at_once_commit_only_the_later_ones(log: Log) -> None:
    former, latter = replaying(FakeProducer(log)), replaying(FakeProducer(log))
    former.take_over()
    latter.take_over()

    with pytest.raises(Superseded):
        former.commit(records(3))
    assert latter.commit(records(2)) == Committed()

    assert len(log.source) == 2


def test_what_is_too_large_is_named_and_nothing_of_the_transaction_is_there(log: Log) -> None:
    producer = FakeProducer(log, bytes_max=10)
    batch = [*records(2), *records(1, b"x" * 11), *records(1)]

    assert replaying(producer).commit(batch) == TooLarge(frozenset({2}))

    assert log.source == []
    assert producer.calls[-1] == "abort_transaction"


def test_what_was_too_large_before_is_not_held_against_the_next(log: Log) -> None:
    producer = FakeProducer(log, bytes_max=10)
    replay = replaying(producer)
    assert replay.commit(records(1, b"x" * 11)) == TooLarge(frozenset({0}))
    producer.fail("commit_transaction", ABORTABLE)

    assert replay.commit(records(1)) == Committed()


def test_what_the_client_itself_finds_too_large_is_named_as_well(
    log: Log, producer: FakeProducer
) -> None:
    producer.fail("produce", an_error(KafkaError.MSG_SIZE_TOO_LARGE))

    assert replaying(producer).commit(records(2)) == TooLarge(frozenset({0}))
    assert log.source == []


def test_told_twice_to_stop_it_waits_for_nothing(log: Log, producer: FakeProducer) -> None:
    replay = replaying(producer, hurried=lambda: producer.calls.count("commit_transaction") > 1)
    producer.fail("commit_transaction", *[TIMED_OUT] * 5)

    with pytest.raises(Hurried):
        replay.commit(records(3))

    assert log.source == []
    assert producer.calls.count("commit_transaction") == 2


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (
            KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            "WRITE and DESCRIBE on transactional id conversions-replay-c-dlq",
        ),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, f"WRITE on {TOPIC} and {DLQ_TOPIC}"),
        (KafkaError.TRANSACTION_COORDINATOR_FENCED, "TRANSACTION_COORDINATOR_FENCED"),
    ],
)
def test_a_refusal_of_the_brokers_is_a_sentence(
    producer: FakeProducer, code: int, told: str
) -> None:
    producer.fail("init_transactions", an_error(code, fatal=True))

    with pytest.raises(ReplayBroken, match=told):
        replaying(producer).take_over()


def test_the_same_topic_on_the_same_cluster_has_one_id() -> None:
    found = transactional_id(cluster_id="Lk3", dead_letter_topic="events.dlq")

    assert found == "conversions-replay-Lk3-events.dlq"


def test_limits_that_would_be_longer_than_a_transaction_are_no_obstacle() -> None:
    given = {
        "bootstrap.servers": "127.0.0.1:1",
        "message.timeout.ms": "300000",
        "socket.timeout.ms": "60000",
        "acks": "all",
        "enable.idempotence": "true",
    }

    assert replay_producer(given, transactional_id="x", batch_bytes_max=1000) is not None
    with pytest.raises(KafkaRefuses, match="property queue"):
        replay_producer(given | {"linger.ms": "soon"}, transactional_id="x", batch_bytes_max=None)

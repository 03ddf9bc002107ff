"""The producer of dead letters against librdkafka's own mock cluster, which fails on demand.

A fatal error of an idempotent producer cannot be had from a broker that is well: the mock cluster
is told to answer as one that has lost track of the sequence. Its control is only in librdkafka's C
interface, which is found in the Python client's own library.
"""

import ctypes
import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import confluent_kafka.cimpl
import pytest
from confluent_kafka import KafkaError, Producer

from consumer.dead_letter import DeadLetter
from consumer.kafka_dead_letters import (
    REPLACE_FIRST_SECONDS,
    REPLACE_MAX_SECONDS,
    KafkaDeadLetters,
)
from consumer.letter_box import LetterBox, Report, Writing
from consumer.model import Reason, Rejected
from tests.fakes.clock import FakeClock
from tests.fakes.events import NOW_MS, a_record

SECONDS_MAX = 60.0
PRODUCE, INIT_PRODUCER_ID = 0, 22
OUT_OF_ORDER, CLUSTER_AUTHORIZATION, TOPIC_AUTHORIZATION = 45, 31, 29
LETTER = DeadLetter(b"key", b"value", (("conversions.reason", b"undecodable"),), NOW_MS)


class Library:
    """What of librdkafka has no Python name."""

    def __init__(self) -> None:
        library = ctypes.CDLL(confluent_kafka.cimpl.__file__)
        self._mock = library.rd_kafka_handle_mock_cluster
        self._mock.restype, self._mock.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        self._push = library.rd_kafka_mock_push_request_errors
        self._down = library.rd_kafka_mock_broker_set_down
        self._up = library.rd_kafka_mock_broker_set_up
        self._rtt = library.rd_kafka_mock_broker_set_rtt
        self._fatal = library.rd_kafka_test_fatal_error

    def mock(self, owner: Producer) -> ctypes.c_void_p:
        return ctypes.c_void_p(self._mock(_handle(owner)))

    def answer(self, mock: ctypes.c_void_p, request: int, *errors: int) -> None:
        codes = [ctypes.c_int(each) for each in errors]
        self._push(mock, ctypes.c_int16(request), ctypes.c_size_t(len(errors)), *codes)

    def down(self, mock: ctypes.c_void_p) -> None:
        self._down(mock, ctypes.c_int32(1))

    def up(self, mock: ctypes.c_void_p) -> None:
        self._up(mock, ctypes.c_int32(1))

    def slow(self, mock: ctypes.c_void_p, milliseconds: int) -> None:
        self._rtt(mock, ctypes.c_int32(1), ctypes.c_int(milliseconds))

    def break_(self, producer: Producer) -> None:
        self._fatal(_handle(producer), ctypes.c_int(OUT_OF_ORDER), b"planted")


def _handle(client: Any) -> ctypes.c_void_p:
    """The C client is the first thing in its Python object, after the object's own head."""
    return ctypes.c_void_p.from_address(id(client) + object.__basicsize__)


class Cluster(NamedTuple):
    """A cluster of one broker in this process, and how it is told to fail."""

    address: str
    library: Library
    mock: ctypes.c_void_p

    def answer(self, request: int, *errors: int) -> None:
        self.library.answer(self.mock, request, *errors)


@pytest.fixture
def owner() -> Producer:
    """The mock cluster lives as long as the client that made it."""
    silent = logging.Logger("mock", level=logging.CRITICAL + 1)
    return Producer({"test.mock.num.brokers": "1"}, logger=silent)


@pytest.fixture
def cluster(owner: Producer) -> Cluster:
    brokers = owner.list_topics(timeout=SECONDS_MAX).brokers.values()
    address = ",".join(f"{each.host}:{each.port}" for each in brokers)
    library = Library()
    return Cluster(address, library, library.mock(owner))


class Desk:
    """The producer under test, and everything that it told."""

    def __init__(self, cluster: Cluster, **more: str) -> None:
        self.cluster, self.clock = cluster, FakeClock()
        self.replaced: list[str] = []
        self.heard: list[str] = []
        self.reports: list[Report] = []
        configuration = {
            "bootstrap.servers": cluster.address,
            "acks": "all",
            "enable.idempotence": "true",
            "linger.ms": "0",
            "retry.backoff.ms": "20",
            "reconnect.backoff.max.ms": "100",
            **more,
        }
        self.letters = KafkaDeadLetters(
            configuration=configuration,
            topic="letters",
            logger=logging.Logger("librdkafka", level=logging.CRITICAL + 1),
            heard=self._hear,
            replaced=self.replaced.append,
            now=self.clock.now,
        )

    def _hear(self, error: KafkaError) -> None:
        self.heard.append(str(error.name()))

    @property
    def producer(self) -> Producer:
        return self.letters._writer.producer

    def write(self, *tickets: int) -> None:
        for ticket in tickets:
            assert self.letters.produce(LETTER, ticket)

    def until(self, condition: Callable[[], bool]) -> None:
        wait_until(condition, meanwhile=self.look)

    def look(self) -> None:
        self.reports += self.letters.reports()

    def of(self, ticket: int) -> list[Report]:
        return [report for report in self.reports if report.ticket == ticket]

    def written(self, ticket: int) -> bool:
        return any(each.writing is Writing.ACKNOWLEDGED for each in self.of(ticket))


def wait_until(condition: Callable[[], bool], *, meanwhile: Callable[[], None]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        meanwhile()
        time.sleep(0.005)


def test_a_broken_producer_is_replaced_and_what_was_out_is_reported_once(cluster: Cluster) -> None:
    desk = Desk(cluster)
    desk.write(1)
    desk.until(lambda: desk.written(1))
    first = desk.producer
    cluster.answer(PRODUCE, OUT_OF_ORDER)

    desk.write(2)
    desk.until(lambda: desk.letters._broken is not None)

    assert desk.of(2) == [Report(2, Writing.FAILED, "OUT_OF_ORDER_SEQUENCE_NUMBER")]
    assert not desk.letters.produce(LETTER, 3), "not before a moment has passed"
    desk.clock.advance(REPLACE_FIRST_SECONDS)
    desk.write(2, 3)
    desk.until(lambda: desk.written(2) and desk.written(3))
    assert desk.letters._writer.producer is not first
    assert desk.replaced == ["OUT_OF_ORDER_SEQUENCE_NUMBER"]
    assert (len(desk.of(2)), len(desk.of(3))) == (2, 1)
    assert desk.heard == []


def test_what_a_replaced_producer_tells_late_changes_nothing(cluster: Cluster) -> None:
    desk = Desk(cluster)
    desk.write(1)
    desk.until(lambda: desk.written(1))
    cluster.library.slow(cluster.mock, 400)
    desk.write(2)
    old = desk.letters._writer
    cluster.library.break_(desk.producer)
    desk.until(lambda: bool(desk.of(2)))
    assert [each.writing for each in desk.of(2)] == [Writing.FAILED]
    desk.clock.advance(REPLACE_FIRST_SECONDS)

    desk.write(2)
    wait_until(lambda: not hasattr(old, "producer"), meanwhile=desk.look)
    desk.until(lambda: desk.written(2))

    assert [each.writing for each in desk.of(2)] == [Writing.FAILED, Writing.ACKNOWLEDGED]


def test_what_waits_in_a_broken_producers_queue_is_reported_with_what_broke_it(
    cluster: Cluster,
) -> None:
    desk = Desk(cluster)
    desk.write(1)
    desk.until(lambda: desk.written(1))
    cluster.library.down(cluster.mock)
    desk.until(lambda: bool(desk.heard))
    desk.write(2, 3)
    desk.producer.purge()  # as librdkafka does it at a fatal error, which may be told afterwards
    desk.look()
    assert desk.of(2) == desk.of(3) == []

    cluster.library.break_(desk.producer)
    desk.until(lambda: bool(desk.of(2) and desk.of(3)))

    assert {each.error for each in (*desk.of(2), *desk.of(3))} == {"OUT_OF_ORDER_SEQUENCE_NUMBER"}
    cluster.library.up(cluster.mock)
    desk.clock.advance(REPLACE_FIRST_SECONDS)
    desk.write(2, 3)
    desk.until(lambda: desk.written(2) and desk.written(3))


def test_one_that_breaks_at_once_each_time_is_replaced_ever_more_rarely(cluster: Cluster) -> None:
    cluster.answer(INIT_PRODUCER_ID, *[CLUSTER_AUTHORIZATION] * 4)
    desk = Desk(cluster)
    waits: list[float] = []
    for breaks in range(4):
        desk.write(breaks)
        desk.until(lambda: desk.letters._broken is not None)
        began = desk.clock.now()
        while not desk.letters._can_write():
            desk.clock.advance(0.25)
        waits.append(desk.clock.now() - began)

    assert waits == [1.0, 2.0, 4.0, 8.0]
    assert desk.replaced == ["CLUSTER_AUTHORIZATION_FAILED"] * 4
    desk.write(9)
    desk.until(lambda: desk.written(9))
    cluster.library.break_(desk.producer)
    desk.until(lambda: desk.letters._broken is not None)
    desk.clock.advance(REPLACE_FIRST_SECONDS)
    assert desk.letters._can_write(), "it had written something: that is no breaking at once"
    assert REPLACE_MAX_SECONDS > 8.0


def test_a_new_password_reaches_the_producer_that_comes_after_a_broken_one(
    cluster: Cluster,
) -> None:
    desk = Desk(cluster)
    cluster.library.break_(desk.producer)
    desk.until(lambda: desk.letters._broken is not None)

    desk.letters.set_credentials("someone", "a new password")
    desk.letters.close(1.0)

    assert desk.letters._configuration["sasl.password"] == "a new password"
    assert "password" not in repr(desk.letters)


class Box:
    """A letter box on the producer under test, with a clock that the test's turns move."""

    def __init__(self, desk: Desk) -> None:
        self.box = LetterBox(dead_letters=desk.letters)
        self.written: list[int] = []
        self._clock = desk.clock

    def put(self, offset: int) -> None:
        record = a_record(offset=offset)
        letter = Rejected(record=record, reason=Reason.UNDECODABLE, detail="not Avro")
        self.box.put(letter, failed_at_ms=NOW_MS)

    def until(self, condition: Callable[["Box"], bool]) -> None:
        wait_until(lambda: condition(self), meanwhile=self._turn)

    def _turn(self) -> None:
        self._clock.advance(0.1)
        self.written += [each.record.offset for each in self.box.advance(self._clock.now())]


def test_a_letter_box_brings_every_letter_through_a_producer_that_breaks(cluster: Cluster) -> None:
    desk = Desk(cluster)
    box = Box(desk)
    cluster.answer(PRODUCE, 0, 0, OUT_OF_ORDER, 0, OUT_OF_ORDER)

    for offset in range(20):
        box.put(offset)
        box.until(lambda box: len(box.box) < 3)
    box.until(lambda box: len(box.box) == 0)

    assert sorted(box.written) == list(range(20))
    # Only at the head of the line is it fatal, which the second need not be.
    assert 1 <= len(desk.replaced) <= 2
    assert box.box.failing is None


def test_letters_that_time_out_are_written_when_the_broker_is_back(cluster: Cluster) -> None:
    desk = Desk(cluster, **{"message.timeout.ms": "1000"})
    box = Box(desk)
    cluster.library.down(cluster.mock)
    box.put(0)
    box.until(lambda box: box.box.failing == "_MSG_TIMED_OUT")
    assert box.written == []

    cluster.library.up(cluster.mock)
    box.until(lambda box: box.written == [0])

    assert box.box.failing is None
    assert desk.replaced == []


def test_a_topic_that_may_not_be_written_is_named_until_it_may(cluster: Cluster) -> None:
    desk = Desk(cluster)
    box = Box(desk)
    cluster.answer(PRODUCE, TOPIC_AUTHORIZATION, TOPIC_AUTHORIZATION)

    box.put(0)
    box.until(lambda box: box.box.failing is not None)

    assert box.box.failing == "TOPIC_AUTHORIZATION_FAILED"
    box.until(lambda box: box.written == [0])
    assert desk.replaced == []

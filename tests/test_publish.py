"""JSON Lines into the topic: checked wholly first, confirmed one by one, and never for ever."""

import io
import json
import os
import signal
import struct
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import fastavro
import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    Message,
    Producer,
    TopicPartition,
)

from consumer.decode import UnknownSchema
from consumer.encode import EventEncoder
from consumer.json_lines import LINE_BYTES_MAX
from consumer.publish import LISTED_MAX, PublishRefused, run_publish
from consumer.publish_lines import Bad, Encoders, Sound, check_lines
from consumer.publisher import Publisher, Undelivered
from consumer.registry_emulator import RegistryEmulator
from consumer.repair import WholeEvents
from consumer.schema_plan import event_schema
from consumer.settings import load_settings

CANARY = "jane.canary@example.com"
TIME_MS = 1_795_000_000_000
ENCODER = EventEncoder(schema_id=None)
ENCODERS = Encoders(ENCODER, WholeEvents(lambda _: UnknownSchema("nobody knows it")))
PARTITIONS = 4  # what the mock broker gives a new topic


def line(**changes: Any) -> bytes:
    """A sound line; a change of None is JSON's null."""
    fields: dict[str, Any] = {
        "eventName": "Lead",
        "eventTime": TIME_MS,
        "eventId": "order_1",
        "user": {"email": CANARY},
        **changes,
    }
    return json.dumps(fields).encode() + b"\n"


def checked(text: bytes) -> list[Sound | Bad]:
    return list(check_lines(io.BytesIO(text), encoders=ENCODERS))


def mistake(text: bytes) -> str:
    (found,) = checked(text)
    assert isinstance(found, Bad), found
    return str(found)


# What is wrong with a line


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            line(user={"emial": CANARY}),
            "user.emial is no field of an event (did you mean user.email?)",
        ),
        (line(email=CANARY), "email is no field of an event (did you mean user.email?)"),
        (line(user={"value": 1}), "user.value is no field of an event (did you mean value?)"),
        (line(order_id="1"), "order_id is no field of an event (did you mean orderId?)"),
        (
            line(items=[{"quantitiy": 1}]),
            "items.quantitiy is no field of an event (did you mean items.quantity?)",
        ),
        (line(shoeSize=44), "shoeSize is no field of an event"),
        (line(user={CANARY: 1}), "there is a name, not repeated here, that is no field"),
        (line(tel_4155551234=1), "there is a name, not repeated here, that is no field"),
        (line(**{"tel 4155551234": 1}), "there is a name, not repeated here, that is no field"),
        (line(**{"tel_4155551234": 1}), "there is a name, not repeated here, that is no field"),
        (line(**{"\x1b[2J": 1}), "there is a name, not repeated here, that is no field"),
        (line(value="12"), "value must be a number"),
        (line(user={"city": [CANARY]}), "user.city must be a string"),
        (line(eventName=None), "eventName is missing"),
        (line(eventName=" "), "eventName is missing"),
        (line(eventTime=None), "eventTime is missing"),
        (line(eventTime=CANARY), "eventTime must be seconds, milliseconds or ISO 8601"),
        (b'{"user": {}}', "eventName is missing; eventTime is missing"),
        (line(aa=1, bb=1, cc=1, dd=1, ee=1), "; and 2 more"),
        (b"{", "no JSON: "),
        (b"[]", "a line must be one JSON object"),
        (line(numItems=2**64 - 1), "does not fit the schema"),
    ],
)
def test_a_bad_line_is_told_by_its_number_in_a_sentence_without_a_value(
    text: bytes, sentence: str
) -> None:
    found = mistake(b"\n\n" + text)

    assert found.startswith("line 3: ")
    assert sentence in found
    assert "canary" not in found
    assert "415" not in found
    assert found.isprintable()


def test_a_sound_line_is_encoded_and_keeps_its_number() -> None:
    first, second = checked(b"\xef\xbb\xbf" + line().replace(b"\n", b"\r\n") + b" \n" + line())

    assert isinstance(first, Sound)
    assert isinstance(second, Sound)
    assert (first.number, second.number) == (1, 3)
    assert first.value == second.value == ENCODER.encode(dict(first.fields))
    assert CANARY not in repr(first)


def test_a_line_beyond_the_limit_is_bad_and_the_next_one_is_read() -> None:
    endless = b'{"eventName": "' + b"x" * (2 * LINE_BYTES_MAX) + b'"}\n'
    first, second = checked(endless + line())

    assert str(first) == "line 1: a line may hold 8 MiB at most"
    assert isinstance(second, Sound)
    assert second.number == 2


# The publisher, on a broker that does as it is told


class FakeKafka:
    """A producer with a short queue: ``poll`` lets the broker answer the oldest record."""

    def __init__(self, *, queue_max: int = 10) -> None:
        self.now = 0.0
        self.queue_max = queue_max
        self.silent = False
        self.errors: dict[bytes, int] = {}
        self.taken: list[tuple[bytes | None, bytes | None]] = []
        self.times: list[float] = []
        self.headers: list[list[Any]] = []
        self.purged = 0
        self._out: deque[tuple[bytes | None, bytes | None, Callable[..., None]]] = deque()

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        *,
        headers: list[Any],
        on_delivery: Callable[[KafkaError | None, Message], None],
    ) -> None:
        assert topic == "events"
        if len(self._out) == self.queue_max:
            raise BufferError
        self.times.append(self.now)
        self.headers.append(headers)
        self._out.append((key, value, on_delivery))

    def poll(self, timeout: float) -> int:
        self.now += timeout
        if not self._out or self.silent or timeout == 0:
            return 0
        key, value, on_delivery = self._out.popleft()
        code = self.errors.get(value or b"")
        if code is None:
            self.taken.append((key, value))
        on_delivery(None if code is None else KafkaError(code), None)
        return 1

    def purge(self, *, in_queue: bool, in_flight: bool) -> None:
        assert in_queue
        assert in_flight
        self.purged += len(self._out)
        while self._out:
            *_, on_delivery = self._out.popleft()
            on_delivery(KafkaError(KafkaError._PURGE_QUEUE), None)


def sounds(count: int) -> Iterator[Sound]:
    return (
        Sound(n, {"eventId": f"id-{n}"}, b"%d" % n, None, ours=True) for n in range(1, count + 1)
    )


def publisher(
    kafka: FakeKafka,
    *,
    per_second: float | None = None,
    stops: Callable[[], int] = lambda: 0,
    advance: Callable[[int], None] = lambda done: None,
) -> Publisher:
    return Publisher(
        producer=kafka,
        topic="events",
        per_second=per_second,
        patience_seconds=30.0,
        clock=lambda: kafka.now,
        stops=stops,
        advance=advance,
    )


def test_each_record_is_confirmed_even_when_the_queue_is_full_at_times() -> None:
    kafka, seen = FakeKafka(queue_max=3), list[int]()
    one = publisher(kafka, advance=seen.append)
    one.publish(sounds(20), key="eventId")

    assert kafka.taken == [(b"id-%d" % n, b"%d" % n) for n in range(1, 21)]
    assert (one.sent, one.delivered, one.undelivered) == (20, 20, None)
    assert seen == list(range(1, 21))
    assert kafka.purged == 0


def test_a_record_that_is_too_large_costs_only_itself() -> None:
    kafka = FakeKafka()
    kafka.errors = {b"3": KafkaError.MSG_SIZE_TOO_LARGE, b"5": KafkaError.INVALID_RECORD}
    one = publisher(kafka)
    one.publish(sounds(20), key="eventId")

    assert (one.sent, one.delivered) == (20, 18)
    assert one.undelivered == Undelivered(3, "MSG_SIZE_TOO_LARGE")


def test_an_error_of_the_topic_ends_it_at_once() -> None:
    kafka = FakeKafka(queue_max=3)
    kafka.errors = {b"2": KafkaError.TOPIC_AUTHORIZATION_FAILED}
    one = publisher(kafka)
    one.publish(sounds(1000), key="eventId")

    assert one.undelivered == Undelivered(2, "TOPIC_AUTHORIZATION_FAILED")
    assert one.delivered == 1
    assert one.sent <= 5
    assert kafka.purged == one.sent - 2


def test_a_broker_that_never_answers_is_given_up_after_the_patience() -> None:
    kafka = FakeKafka(queue_max=3)
    kafka.silent = True
    one = publisher(kafka)
    one.publish(sounds(1000), key="eventId")

    assert (one.sent, one.delivered) == (3, 0)
    assert one.undelivered == Undelivered(1, "_PURGE_QUEUE")
    assert 30 < kafka.now < 32


def test_a_slow_broker_is_not_given_up_while_it_answers() -> None:
    kafka = FakeKafka(queue_max=3)
    one = publisher(kafka)
    one.publish(sounds(400), key="eventId")

    assert kafka.now > 60
    assert one.delivered == 400


def test_when_stopped_nothing_more_is_sent_and_what_is_out_is_waited_for() -> None:
    kafka = FakeKafka()
    one = publisher(kafka, stops=lambda: int(len(kafka.times) >= 7))
    one.publish(sounds(1000), key="eventId")

    assert (one.sent, one.delivered, one.undelivered) == (7, 7, None)
    assert kafka.purged == 0


def test_when_told_twice_to_stop_what_is_out_is_given_up() -> None:
    kafka = FakeKafka()
    kafka.silent = True
    one = publisher(kafka, stops=lambda: 2 if kafka.now > 3 else len(kafka.times) // 7)
    one.publish(sounds(1000), key="eventId")

    assert (one.sent, one.delivered, kafka.purged) == (7, 0, 7)
    assert kafka.now < 4


def test_the_rate_is_kept() -> None:
    kafka = FakeKafka()
    publisher(kafka, per_second=4).publish(sounds(9), key="eventId")

    assert kafka.times == pytest.approx([n / 4 for n in range(9)])


@pytest.mark.parametrize(
    ("key", "fields", "expected"),
    [
        ("eventId", {"eventId": "order_é"}, "order_é".encode()),
        ("eventId", {"eventId": ""}, None),
        ("eventId", {}, None),
        ("destinationId", {"destinationId": "17"}, b"17"),
        ("user.externalId", {"user": {"externalId": "u1"}}, b"u1"),
        ("user.externalId", {"user": {"externalId": ["", "u1", "u2"]}}, b"u1"),
        ("user.externalId", {"user": {"externalIds": ["u3"]}}, b"u3"),
        ("user.externalId", {"user": {"externalId": []}}, None),
        ("user.externalId", {"eventId": "x"}, None),
        ("none", {"eventId": "x", "none": "y"}, None),
    ],
)
def test_the_key_is_the_field_that_was_asked_for(
    key: str, fields: dict[str, Any], expected: bytes | None
) -> None:
    kafka = FakeKafka()
    publisher(kafka).publish(iter([Sound(1, fields, b"v", None, ours=True)]), key=key)

    assert kafka.taken == [(expected, b"v")]


# The whole, on librdkafka's own mock broker


class World:
    """A broker within this process, a topic of its own, and a registry that can look up."""

    def __init__(self, registry: "LookingUp") -> None:
        self.registry = registry
        self.topic = "events"
        self._mock = Producer({"test.mock.num.brokers": "1", "log_level": 0})
        broker = next(iter(self._mock.list_topics(timeout=10).brokers.values()))
        self.bootstrap = f"{broker.host}:{broker.port}"
        self._mock.list_topics(self.topic, timeout=10)

    def publish(self, text: bytes | io.BytesIO, *, kafka: str | None = None, **changes: Any) -> int:
        variables = {key: changes.pop(key) for key in list(changes) if key.isupper()}
        variables = {"KAFKA_BOOTSTRAP_SERVERS": kafka or self.bootstrap, **variables}
        return run_publish(
            load_settings({}, {"topic": self.topic, **variables}),
            io.BytesIO(text) if isinstance(text, bytes) else text,
            **{**USUAL, **changes},
        )

    def records(self) -> list[Message]:
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "reader",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 10,
                "log_level": 0,
            }
        )
        consumer.assign(
            [TopicPartition(self.topic, n, OFFSET_BEGINNING) for n in range(PARTITIONS)]
        )
        found: list[Message] = []
        ends = 0
        while ends < PARTITIONS:
            message = consumer.poll(10)
            assert message is not None, "the broker answers"
            error = message.error()
            if error is None:
                found.append(message)
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ends += 1
        consumer.close()
        return found


USUAL: dict[str, Any] = {
    "register": False,
    "skip_bad": False,
    "dry_run": False,
    "key": "eventId",
    "per_second": None,
    "as_json": False,
}


class LookingUp(RegistryEmulator):
    """The registry of demos, and the one call more that is needed; ``status`` 0 is sound."""

    status = 0
    asked = 0

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        self.asked += 1
        if self.status:
            return self.status, {"error_code": self.status, "message": CANARY}
        match [method, *path.split("?", maxsplit=1)[0].strip("/").split("/")]:
            case ["POST", "subjects", subject]:
                _, subjects = super().answer("GET", "subjects", b"")
                if subject not in subjects:
                    return 404, {"error_code": 40401, "message": "Subject not found"}
                schema = json.loads(body)["schema"]
                number = self.register(subject, schema)
                return 200, {"subject": subject, "id": number, "version": 1, "schema": schema}
        return super().answer(method, path, body)


@pytest.fixture
def world() -> Iterator[World]:
    registry = LookingUp(port=0)
    registry.start()
    yield World(registry)
    registry.stop()


def test_without_a_registry_records_are_in_single_object_encoding(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.publish(b"".join(line(eventId=f"id-{n}") for n in range(300))) == 0

    records = world.records()
    assert {record.key() for record in records} == {b"id-%d" % n for n in range(300)}
    value = records[0].value()
    assert isinstance(value, bytes)
    assert value[:2] == b"\xc3\x01"
    read: Any = fastavro.schemaless_reader(io.BytesIO(value[10:]), event_schema(), None)
    assert read["user"]["email"] == CANARY
    assert capsys.readouterr() == (
        "events published to events in single-object encoding: 300\n",
        "",
    )


def test_nothing_of_a_file_with_a_bad_line_is_sent(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    url = world.registry.url
    text = line() + line(vlaue=1) + line()
    assert world.publish(text, SCHEMA_REGISTRY_URL=url, register=True) == 1

    assert world.records() == []
    assert world.registry.asked == 0, "not even the schema is registered"
    assert capsys.readouterr() == (
        "",
        "conversions: line 2: vlaue is no field of an event (did you mean value?)\n"
        "conversions: bad lines: 1 of 3; nothing is sent (--skip-bad leaves them out)\n",
    )


def test_bad_lines_are_left_out_when_that_is_asked_for(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    text = b"".join(line(eventId=f"id-{n}") + b"{\n" for n in range(30))
    assert world.publish(text, skip_bad=True, as_json=True) == 0

    assert len(world.records()) == 30
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "lines": 60,
        "published": 30,
        "bad": 30,
        "topic": "events",
        "schemaId": None,
    }
    told = err.splitlines()
    assert len(told) == LISTED_MAX + 2
    assert told[-2:] == [
        "conversions: and 10 more bad lines",
        "conversions: bad lines: 30 of 60; left out",
    ]


def test_a_dry_run_connects_to_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load_settings({}, {"SCHEMA_REGISTRY_URL": world.registry.url})
    wish = {**USUAL, "dry_run": True}
    assert run_publish(settings, io.BytesIO(line() * 2), **wish) == 0
    assert run_publish(settings, io.BytesIO(line() + b"{"), **wish) == 1
    assert run_publish(settings, io.BytesIO(line() + b"{"), **{**wish, "skip_bad": True}) == 0

    assert world.registry.asked == 0
    assert (
        capsys.readouterr().out
        == "events that can be published: 2\nevents that can be published: 1\n"
    )


class Pipe(io.BytesIO):
    """What cannot be read twice."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation

    def tell(self) -> int:
        raise io.UnsupportedOperation


def test_a_pipe_is_checked_wholly_too_before_anything_is_sent(world: World) -> None:
    assert world.publish(Pipe(line() * 5 + b"{\n")) == 1
    assert world.records() == []
    assert world.publish(Pipe(line() * 5)) == 0
    assert len(world.records()) == 5


def test_lines_are_read_from_where_the_file_stands(world: World) -> None:
    file = io.BytesIO(b"a heading\n" + line() * 3)
    file.readline()

    assert world.publish(file) == 0
    assert len(world.records()) == 3


class Meddled(io.BytesIO):
    """A file to which something happens when its n-th line is read."""

    def __init__(self, text: bytes, at: int, what: Callable[["Meddled"], object]) -> None:
        super().__init__(text)
        self.reads, self.at, self.what = 0, at, what

    def readline(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads == self.at:
            self.what(self)
        return super().readline(size)


def test_ctrl_c_waits_for_what_is_out_and_says_how_many_were_delivered(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGINT)
    file = Meddled(line() * 100, 101 + 40, lambda _: os.kill(os.getpid(), signal.SIGINT))
    assert world.publish(file) == 1

    delivered = len(world.records())
    assert 39 <= delivered <= 40
    told = f"conversions: stopped: {delivered} of 100 events were delivered to events\n"
    assert capsys.readouterr() == ("", told)
    assert signal.getsignal(signal.SIGINT) == before


def test_a_second_ctrl_c_waits_for_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: Meddled) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)

    assert world.publish(Meddled(line() * 9, 10 + 4, interrupt), kafka="127.0.0.1:9") == 1

    told = capsys.readouterr().err
    assert told.startswith("conversions: stopped: 0 of 9 events were delivered to events")
    assert "_PURGE_QUEUE" in told, "sooner than librdkafka would have given up"


def test_ctrl_c_while_checking_says_that_nothing_was_sent(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Meddled(line() * 100, 40, lambda _: os.kill(os.getpid(), signal.SIGINT))
    assert world.publish(file) == 1

    assert world.records() == []
    assert capsys.readouterr() == ("", "conversions: stopped; nothing was sent\n")


def test_a_file_that_shrinks_meanwhile_is_told(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Meddled(line() * 10, 11 + 4, Meddled.truncate)
    assert world.publish(file) == 1

    assert "3 of 10 events were delivered to events: the lines have changed" in (
        capsys.readouterr().err
    )


def test_what_is_appended_meanwhile_is_not_sent(world: World) -> None:
    def append(file: Meddled) -> None:
        here = file.tell()
        file.seek(0, os.SEEK_END)
        file.write(line())
        file.seek(here)

    assert world.publish(Meddled(line() * 10, 11 + 4, append)) == 0
    assert len(world.records()) == 10


def test_a_broker_that_cannot_be_reached_ends_with_a_sentence(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    code = world.publish(
        line() * 3, kafka="127.0.0.1:9", KAFKA_PRODUCER_MESSAGE_TIMEOUT_MS="1000", as_json=True
    )

    out, err = capsys.readouterr()
    assert code == 1
    assert json.loads(out)["published"] == 0
    assert err == (
        "conversions: 0 of 3 events were delivered to events;"
        " line 1 is the first that was not (_MSG_TIMED_OUT; the client met _TRANSPORT)\n"
    )


def test_a_record_that_is_too_large_for_the_client_is_told_by_its_line(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    text = line() + line(contentName="x" * 5000) + line()
    assert world.publish(text, KAFKA_PRODUCER_MESSAGE_MAX_BYTES="2000") == 1

    assert len(world.records()) == 2
    assert "2 of 3 events were delivered to events; line 2 is the first that was not" in (
        capsys.readouterr().err
    )


def test_the_schema_is_registered_once_and_looked_up_from_then_on(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.registry.register("somebody-else", '"string"')
    url = world.registry.url
    with pytest.raises(PublishRefused) as refused:
        world.publish(line(), SCHEMA_REGISTRY_URL=url)
    assert str(refused.value) == (
        "our schema is not registered under events-value; --register registers it"
    )
    assert world.publish(line(), SCHEMA_REGISTRY_URL=url, register=True) == 0
    assert world.publish(line(), SCHEMA_REGISTRY_URL=url) == 0

    values = [record.value() for record in world.records()]
    assert [value[:5] for value in values if isinstance(value, bytes)] == [
        b"\x00" + struct.pack(">I", 2)
    ] * 2
    assert capsys.readouterr().out == "events published to events with schema id 2: 1\n" * 2


def test_without_lines_the_schema_is_registered_all_the_same(world: World) -> None:
    assert world.publish(b"", SCHEMA_REGISTRY_URL=world.registry.url, register=True) == 0

    assert world.registry.answer("GET", "/subjects", b"") == (200, ["events-value"])


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (409, "our schema is not compatible with what is registered under events-value: "),
        (401, "the schema registry refuses our credentials (HTTP 401)"),
    ],
)
def test_what_only_people_can_mend_is_refused(world: World, status: int, sentence: str) -> None:
    world.registry.status = status
    with pytest.raises(PublishRefused) as refused:
        world.publish(line(), SCHEMA_REGISTRY_URL=world.registry.url, register=True)

    assert str(refused.value).startswith(sentence)
    assert "canary" not in str(refused.value)
    assert world.records() == []


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (404, "the schema registry answers HTTP 404"),
        (422, "the schema registry answers HTTP 422"),
        (0, "the schema registry cannot be asked: the connection is refused"),
    ],
)
def test_a_registry_in_trouble_is_told_and_nothing_is_sent(
    world: World, status: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world.registry.status = status
    url = world.registry.url if status else "http://127.0.0.1:9"
    more = {"SCHEMA_REGISTRY_URL": url, "SCHEMA_REGISTRY_MAX_RETRIES": "0"}
    assert world.publish(line(), **more) == 1

    assert capsys.readouterr() == ("", f"conversions: {sentence}\n")
    assert world.records() == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"key": "email"}, "--key must be eventId, user.externalId, destinationId or none"),
        ({"per_second": 0.0}, "--per-second must be a number above 0"),
        ({"per_second": float("nan")}, "--per-second must be a number above 0"),
        ({"register": True}, "--register needs SCHEMA_REGISTRY_URL"),
        (
            {"KAFKA_PRODUCER_COMPRESSION_TYPE": "canary"},
            "the Kafka producer does not take property compression.codec as set",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(
    world: World, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(PublishRefused) as refused:
        world.publish(line(), **changes)

    assert str(refused.value) == sentence
    assert world.records() == []


def test_brokers_must_be_named() -> None:
    with pytest.raises(PublishRefused, match=r"^KAFKA_BOOTSTRAP_SERVERS must be set$"):
        run_publish(load_settings({}), io.BytesIO(line()), **USUAL)


# Exported dead letters


def test_an_exported_line_goes_with_its_own_key_and_headers() -> None:
    kafka = FakeKafka()
    told = {"origin": "events:1:2:3", "eventId": "id-1", "key": {"hex": "00ff"}}
    (exported,) = checked(line(conversions=told))
    (plain,) = checked(line())
    assert isinstance(exported, Sound)
    assert isinstance(plain, Sound)

    publisher(kafka).publish(iter([exported, plain]), key="eventId")

    assert [key for key, _ in kafka.taken] == [b"\x00\xff", b"order_1"]
    assert kafka.headers == [
        [
            ("conversions.replays", b"1"),
            ("conversions.origin", b"events:1:2:3"),
            ("conversions.event_id", b"id-1"),
        ],
        [],
    ]


def test_a_value_that_was_null_is_null_again() -> None:
    kafka = FakeKafka()
    (exported,) = checked(b'{"conversions": {"valueHex": null}}\n')
    assert isinstance(exported, Sound)

    publisher(kafka).publish(iter([exported]), key="eventId")

    assert kafka.taken == [(None, None)]


def test_a_schema_that_nobody_knows_makes_a_bad_line() -> None:
    assert mistake(line(conversions={"schema": 7})) == "line 1: nobody knows it"

"""``conversions publish`` on the real Kafka and the real registry."""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import fastavro
import httpx
import pytest

from consumer.publish import PublishRefused, run_publish
from consumer.schema_plan import event_schema
from consumer.settings import load_settings
from tests.integration.kafka_broker import KafkaBroker
from tests.integration.registry import Registry

pytestmark = pytest.mark.integration

PARTITIONS = 5
TIME_MS = 1_795_000_000_000
COUNT = 2000


class Target:
    """A topic of its own, and what was published to it."""

    def __init__(self, kafka: KafkaBroker, registry: Registry, topic: str) -> None:
        self.kafka, self.registry, self.topic = kafka, registry, topic
        self.subject = f"{topic}-value"
        kafka.create_topic(topic, PARTITIONS, {"max.message.bytes": "100000"})

    def publish(self, lines: bytes, **changes: Any) -> int:
        wish = {
            "register": False,
            "skip_bad": False,
            "dry_run": False,
            "key": "eventId",
            "per_second": None,
            "as_json": True,
        }
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "SCHEMA_REGISTRY_URL": self.registry.url,
            "topic": self.topic,
        }
        return run_publish(load_settings({}, variables), io.BytesIO(lines), **{**wish, **changes})

    def record_count(self) -> int:
        # Not by the end offsets: of a topic this new a broker may still deny being the leader.
        return len(self.kafka.read_all(self.topic))

    def schema_of(self, value: bytes) -> Any:
        """The schema that a record names, as the registry has it."""
        assert value[0] == 0
        number = int.from_bytes(value[1:5], "big")
        answer = httpx.get(f"{self.registry.url}/schemas/ids/{number}", timeout=10, trust_env=False)
        return fastavro.parse_schema(json.loads(answer.raise_for_status().json()["schema"]))

    def versions(self) -> list[int]:
        url = f"{self.registry.url}/subjects/{self.subject}/versions"
        found: list[int] = httpx.get(url, timeout=10, trust_env=False).raise_for_status().json()
        return found


@pytest.fixture
def target(kafka: KafkaBroker, registry: Registry, unique: Callable[[str], str]) -> Target:
    return Target(kafka, registry, unique("publish"))


def event(number: int, **changes: Any) -> dict[str, Any]:
    user = {"email": f"person-{number}@example.com"}
    usual = {"eventName": "Lead", "eventTime": TIME_MS + number, "eventId": f"order_{number}"}
    return {**usual, "user": user, **changes}


def json_lines(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in events)


def full(number: int) -> dict[str, Any]:
    """An event with every field of the schema."""
    filled: dict[str, Any] = _filled(event_schema(), f"v{number}")
    return filled | {"eventTime": TIME_MS + number, "eventId": f"order_{number}"}


def _filled(schema: Any, text: str) -> Any:
    if isinstance(schema, list):
        return _filled(schema[1], text)
    kind = schema if isinstance(schema, str) else schema["type"]
    match kind:
        case "record":
            return {field["name"]: _filled(field["type"], text) for field in schema["fields"]}
        case "array":
            return [_filled(schema["items"], text)] * 2
        case "map":
            return {"one": _filled(schema["values"], text)}
        case "string":
            return text
        case "long":
            return len(text)
        case "double":
            return len(text) / 4
        case "boolean":
            return True
        case _:
            raise AssertionError(kind)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def plain(schema: Any) -> Any:
    """Without logical types: times as the numbers that were published."""
    if isinstance(schema, dict):
        return {key: plain(each) for key, each in schema.items() if key != "logicalType"}
    return [plain(each) for each in schema] if isinstance(schema, list) else schema


def test_2000_events_with_every_field_come_back_as_they_were_published(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    events = [full(n) if n % 10 == 0 else event(n) for n in range(COUNT)]
    assert target.publish(json_lines(*events), register=True) == 0

    summary = json.loads(capsys.readouterr().out)
    assert summary == {
        "lines": COUNT,
        "published": COUNT,
        "bad": 0,
        "topic": target.topic,
        "schemaId": summary["schemaId"],
    }
    read: dict[bytes, Any] = {}
    schema: Any = None
    for record in target.kafka.read_all(target.topic):
        value, key = record.value(), record.key()
        assert isinstance(value, bytes)
        assert isinstance(key, bytes)
        assert int.from_bytes(value[1:5], "big") == summary["schemaId"]
        schema = schema or plain(target.schema_of(value))
        body = io.BytesIO(value[5:])
        read[key] = without_nulls(fastavro.schemaless_reader(body, schema, None))
        assert not body.read(), "the record is the whole value"
    assert read == {each["eventId"].encode(): each for each in events}


def test_a_registered_schema_is_looked_up(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    assert target.publish(b"", register=True) == 0
    assert target.publish(json_lines(event(1))) == 0
    assert target.publish(json_lines(event(2)), register=True) == 0

    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len({each["schemaId"] for each in told}) == 1
    assert target.versions() == [1]
    assert target.record_count() == 2


def test_the_schema_is_found_however_its_file_was_laid_out(target: Target) -> None:
    target.registry.register(target.subject, json.dumps(event_schema(), indent=4))

    assert target.publish(json_lines(event(1))) == 0
    assert target.record_count() == 1


def test_a_schema_that_is_not_registered_is_refused(target: Target) -> None:
    told = f"our schema is not registered under {target.subject}; --register registers it"
    with pytest.raises(PublishRefused) as refused:
        target.publish(json_lines(event(1)))
    assert str(refused.value) == told

    target.registry.register(target.subject, '{"type": "record", "name": "Other", "fields": []}')
    with pytest.raises(PublishRefused) as refused:
        target.publish(json_lines(event(1)))
    assert str(refused.value) == told
    assert target.record_count() == 0


def test_a_conflict_with_what_is_registered_is_refused(target: Target) -> None:
    """Theirs has our field ``value`` as text, and forbids what older readers cannot read."""
    theirs = {
        "type": "record",
        "name": "ConversionEvent",
        "namespace": "conversion.v1",
        "fields": [{"name": "value", "type": "string"}],
    }
    target.registry.register(target.subject, json.dumps(theirs))
    _be_fully_compatible(target.registry, target.subject)
    with pytest.raises(PublishRefused) as refused:
        target.publish(json_lines(event(1)), register=True)

    assert str(refused.value) == (
        f"our schema is not compatible with what is registered under {target.subject}:"
        " a breaking change needs a new topic"
    )
    assert target.record_count() == 0


COMPATIBLE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a new optional field": lambda schema: schema["fields"].append(
        {"name": "warehouse", "type": ["null", "string"], "default": None}
    ),
    "an optional field less": lambda schema: schema["fields"].pop(),
    "another doc": lambda schema: schema.update(doc="Something else"),
    "fields in another order": lambda schema: schema["fields"].reverse(),
}
INCOMPATIBLE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a new required field": lambda schema: schema["fields"].append(
        {"name": "warehouse", "type": "string"}
    ),
    "a required field less": lambda schema: schema["fields"].pop(0),
    "another type": lambda schema: schema["fields"][0].update(type="long"),
    "another name": lambda schema: schema["fields"][0].update(name="name"),
}


@pytest.mark.parametrize("change", [*COMPATIBLE, *INCOMPATIBLE])
def test_the_registry_lets_the_schema_change_only_so_that_all_can_read_it(
    registry: Registry, unique: Callable[[str], str], change: str
) -> None:
    subject = f"{unique('evolution')}-value"
    registry.register(subject, json.dumps(event_schema()))
    _be_fully_compatible(registry, subject)
    schema = event_schema()
    (COMPATIBLE | INCOMPATIBLE)[change](schema)

    answer = httpx.post(
        f"{registry.url}/subjects/{subject}/versions",
        json={"schema": json.dumps(schema)},
        timeout=10,
        trust_env=False,
    )

    assert answer.status_code == (200 if change in COMPATIBLE else 409), answer.text


def _be_fully_compatible(registry: Registry, subject: str) -> None:
    httpx.put(
        f"{registry.url}/config/{subject}",
        json={"compatibility": "FULL_TRANSITIVE"},
        timeout=10,
        trust_env=False,
    ).raise_for_status()


def test_a_bad_line_keeps_everything_back_unless_it_is_left_out(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = json_lines(event(1), event(2, user={"emial": "jane.canary@example.com"}), event(3))
    assert target.publish(lines, register=True) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["published"] == 0
    assert "line 2: user.emial is no field of an event (did you mean user.email?)" in err
    assert "canary" not in err
    assert target.record_count() == 0

    assert target.publish(lines, register=True, skip_bad=True) == 0
    assert json.loads(capsys.readouterr().out) | {"schemaId": 0} == {
        "lines": 3,
        "published": 2,
        "bad": 1,
        "topic": target.topic,
        "schemaId": 0,
    }
    assert target.record_count() == 2


def test_a_record_beyond_the_topics_limit_is_told_and_the_others_arrive(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = json_lines(event(1), event(2, contentName="x" * 200_000), event(3))
    assert target.publish(lines, register=True) == 1

    assert capsys.readouterr().err == (
        f"conversions: 2 of 3 events were delivered to {target.topic};"
        " line 2 is the first that was not (MSG_SIZE_TOO_LARGE)\n"
    )
    assert target.record_count() == 2


def test_records_lie_where_a_java_producer_would_put_them(target: Target) -> None:
    keys = ["order_abc_123", "a", "ab", "abc", "abcd", "é", *(f"key-{n}" for n in range(100))]
    assert target.publish(json_lines(*(event(0, eventId=key) for key in keys)), register=True) == 0

    placed = [(record.key(), record.partition()) for record in target.kafka.read_all(target.topic)]
    assert Counter(placed) == Counter((key.encode(), java_partition(key)) for key in keys)


@pytest.mark.parametrize(
    ("key", "expected"),
    # From the tests of Kafka's own Java client.
    [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536)],
)
def test_our_murmur2_is_javas(key: bytes, expected: int) -> None:
    assert (murmur2(key) ^ 0x8000_0000) - 0x8000_0000 == expected


def java_partition(key: str) -> int:
    return (murmur2(key.encode()) & 0x7FFF_FFFF) % PARTITIONS


def murmur2(key: bytes) -> int:
    """MurmurHash2 of 32 bits with the seed that Kafka's Java client has."""
    multiplier, mask = 0x5BD1E995, 0xFFFF_FFFF
    found = 0x9747B28C ^ len(key)
    for word in _words(key):
        mixed = word * multiplier & mask
        mixed = (mixed ^ mixed >> 24) * multiplier & mask
        found = found * multiplier & mask ^ mixed
    rest = key[len(key) // 4 * 4 :]
    if rest:
        found = (found ^ int.from_bytes(rest, "little")) * multiplier & mask
    found = (found ^ found >> 13) * multiplier & mask
    return found ^ found >> 15


def _words(key: bytes) -> Iterator[int]:
    for start in range(0, len(key) // 4 * 4, 4):
        yield int.from_bytes(key[start : start + 4], "little")

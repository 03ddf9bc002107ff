"""The registry's emulator, asked by Confluent's own client, by ``check`` and over plain HTTP."""

import json
from collections.abc import Iterator

import httpx
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from consumer.check_registry import check_registry
from consumer.finding import Verdict
from consumer.registry_emulator import RegistryEmulator
from consumer.schema_plan import event_schema
from consumer.settings import load_settings

SUBJECT = "events-value"
OURS = Schema(json.dumps(event_schema()), "AVRO")
OTHER = Schema('{"type": "record", "name": "Other", "fields": []}', "AVRO")


@pytest.fixture
def emulator() -> Iterator[RegistryEmulator]:
    found = RegistryEmulator(port=0)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def client(emulator: RegistryEmulator) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": emulator.url, "timeout": 10, "max.retries": 0}) as found:
        yield found


def refused(caught: pytest.ExceptionInfo[SchemaRegistryError]) -> tuple[int, int]:
    """HTTP's status and the registry's own code."""
    return caught.value.http_status_code, caught.value.error_code


def test_the_latest_version_is_the_one_registered_last(
    emulator: RegistryEmulator, client: SchemaRegistryClient
) -> None:
    emulator.register("somebody-elses", '"string"')
    client.register_schema(SUBJECT, OTHER)
    schema_id = client.register_schema(SUBJECT, OURS)

    latest = client.get_latest_version(SUBJECT)

    assert (latest.subject, latest.version, latest.schema_id) == (SUBJECT, 2, schema_id)
    assert latest.schema.schema_type == "AVRO"
    assert json.loads(latest.schema.schema_str or "") == event_schema()
    assert schema_id == 3


def test_a_schema_is_looked_up_under_its_subject_however_it_is_spaced(
    emulator: RegistryEmulator, client: SchemaRegistryClient
) -> None:
    schema_id = emulator.register(SUBJECT, json.dumps(event_schema(), indent=4))
    emulator.register(SUBJECT, OTHER.schema_str or "")

    found = client.lookup_schema(SUBJECT, OURS)

    assert (found.subject, found.version, found.schema_id) == (SUBJECT, 1, schema_id)
    assert emulator.register("again", OURS.schema_str or "") == schema_id


def test_a_schema_of_another_subject_is_not_found_under_this_one(
    emulator: RegistryEmulator, client: SchemaRegistryClient
) -> None:
    emulator.register(SUBJECT, OTHER.schema_str or "")
    emulator.register("others-value", OURS.schema_str or "")

    with pytest.raises(SchemaRegistryError) as caught:
        client.lookup_schema(SUBJECT, OURS)

    assert refused(caught) == (404, 40403)


def test_every_schema_is_compatible_and_the_level_is_full_transitive(
    emulator: RegistryEmulator, client: SchemaRegistryClient
) -> None:
    emulator.register(SUBJECT, OTHER.schema_str or "")

    assert client.test_compatibility(SUBJECT, OURS) is True
    assert client.get_compatibility(SUBJECT) == "FULL_TRANSITIVE"
    assert client.get_compatibility() == "FULL_TRANSITIVE"


def test_an_unknown_subject_is_40401_whatever_is_asked_of_it(client: SchemaRegistryClient) -> None:
    for ask in (
        lambda: client.get_latest_version(SUBJECT),
        lambda: client.lookup_schema(SUBJECT, OURS),
        lambda: client.test_compatibility(SUBJECT, OURS),
        lambda: client.get_compatibility(SUBJECT),
    ):
        with pytest.raises(SchemaRegistryError) as caught:
            ask()

        assert refused(caught) == (404, 40401)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"schema": 5}', b'{"schema": "{"}'])
@pytest.mark.parametrize(
    "path",
    [
        f"/subjects/{SUBJECT}/versions",
        f"/subjects/{SUBJECT}",
        f"/compatibility/subjects/{SUBJECT}/versions/latest",
    ],
)
def test_what_is_no_schema_is_refused_and_changes_nothing(
    emulator: RegistryEmulator, path: str, body: bytes
) -> None:
    answer = httpx.post(emulator.url + path, content=body)

    assert (answer.status_code, answer.json()["error_code"]) == (422, 42201)
    assert httpx.get(f"{emulator.url}/subjects").json() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/subjects/{SUBJECT}"),
        ("GET", f"/subjects/{SUBJECT}/versions/latest/more"),
        ("POST", f"/config/{SUBJECT}"),
        ("GET", f"/compatibility/subjects/{SUBJECT}/versions/latest"),
        ("GET", "/"),
    ],
)
def test_any_other_path_is_not_found(emulator: RegistryEmulator, method: str, path: str) -> None:
    emulator.register(SUBJECT, OURS.schema_str or "")

    answer = httpx.request(method, emulator.url + path)

    assert (answer.status_code, answer.json()["error_code"]) == (404, 404)


def test_check_is_content_with_it_once_our_schema_is_registered(emulator: RegistryEmulator) -> None:
    settings = load_settings({}, {"SCHEMA_REGISTRY_URL": emulator.url, "topic": "events"})
    before = {finding.subject: finding.verdict for finding in check_registry(settings)}
    emulator.register(SUBJECT, OURS.schema_str or "")

    after = {finding.subject: finding.verdict for finding in check_registry(settings)}

    assert before == {"registry": Verdict.OK, "subject": Verdict.FAILED}
    assert after == dict.fromkeys(
        ["registry", "subject", "schema", "compatibility", "compatibility level"], Verdict.OK
    )

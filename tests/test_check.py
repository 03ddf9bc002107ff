"""``conversions check``: what each answer of Kafka, the registry and Meta is told as."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import KafkaError
from pydantic import SecretStr

from consumer.check import Party, run_check, side_by_side
from consumer.check_brokers import Brokers
from consumer.check_kafka import check_kafka
from consumer.check_meta import check_meta, clock, read_pixel
from consumer.check_registry import check_registry, reading
from consumer.check_topics import (
    Topic,
    letters_configuration,
    missing_permission,
    offsets_kept,
    source_configuration,
    topic_state,
)
from consumer.destinations import one_destination
from consumer.finding import (
    WIDTH,
    Finding,
    failed,
    is_good,
    json_report,
    ok,
    skipped,
    text_report,
    warning,
)
from consumer.kafka_unreachable import unreachable
from consumer.meta import GraphAnswer, GraphReader
from consumer.model import LogEnd, PixelId
from consumer.replay_access import Granted, Permission, replay_access, transactional_id
from consumer.schema_plan import event_schema
from consumer.settings import Settings, load_settings
from consumer.unanswered import why_unanswered

TOKEN = "token-canary-5f0c"
APP_SECRET = "secret-canary-77aa"
PIXEL = "1729525464415281"
OTHER_PIXEL = "2729525464415282"
SOURCE = Topic("topic", "events", "CONVERSIONS_TOPIC")
LETTERS = Topic("dead letters", "events.dlq", "CONVERSIONS_DLQ_TOPIC")
DAY_MS = 24 * 3600 * 1000
FINE = {"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": "1048588"}


def settings_with(**variables: str) -> Settings:
    return load_settings(variables)


def verdicts(findings: list[Finding]) -> dict[str, str]:
    return {finding.subject: finding.verdict.value for finding in findings}


# Topics


@pytest.mark.parametrize(
    ("changed", "subject", "verdict"),
    [
        ({}, "topic cleanup", "ok"),
        ({}, "topic retention", "ok"),
        ({}, "topic record size", "ok"),
        ({"cleanup.policy": "compact"}, "topic cleanup", "warning"),
        ({"cleanup.policy": "compact,delete"}, "topic cleanup", "warning"),
        ({"cleanup.policy": "compact", "retention.ms": "1000"}, "topic retention", "ok"),
        ({"retention.ms": str(7 * DAY_MS)}, "topic retention", "ok"),
        ({"retention.ms": str(7 * DAY_MS - 1)}, "topic retention", "warning"),
        ({"retention.ms": "not told"}, "topic retention", "skipped"),
    ],
)
def test_the_source_topic_is_judged_by_its_configuration(
    changed: dict[str, str], subject: str, verdict: str
) -> None:
    found = [finding for finding, _ in source_configuration(SOURCE, FINE | changed)]

    assert verdicts(found)[subject] == verdict


def test_the_largest_record_of_the_source_topic_is_told() -> None:
    told = [size for _, size in source_configuration(SOURCE, FINE) if size is not None]

    assert told == [1048588]


@pytest.mark.parametrize(
    ("changed", "source_bytes", "subject", "verdict"),
    [
        ({"cleanup.policy": "compact"}, 1000, "dead letters cleanup", "failed"),
        ({"cleanup.policy": "delete,compact"}, 1000, "dead letters cleanup", "failed"),
        ({}, 1000, "dead letters cleanup", "ok"),
        ({"retention.ms": str(DAY_MS)}, 1000, "dead letters retention", "warning"),
        ({"max.message.bytes": "17384"}, 1000, "dead letters record size", "ok"),
        ({"max.message.bytes": "17383"}, 1000, "dead letters record size", "failed"),
        ({}, None, "dead letters record size", "skipped"),
    ],
)
def test_the_dead_letter_topic_is_judged_by_its_configuration(
    changed: dict[str, str], source_bytes: int | None, subject: str, verdict: str
) -> None:
    found = letters(FINE | changed, record_bytes_max=source_bytes)

    assert verdicts(found)[subject] == verdict


@pytest.mark.parametrize(
    ("retention", "days_max", "told"),
    [
        ({"retention.ms": str(30 * DAY_MS)}, 30, "records are kept for 30 days (retention.ms)"),
        (
            {"retention.ms": str(30 * DAY_MS + 1)},
            30,
            "records are kept for 30 days, longer than the 30 days of "
            "CONVERSIONS_DLQ_RETENTION_DAYS_MAX -> retention.ms=2592000000",
        ),
        ({"retention.ms": str(90 * DAY_MS)}, None, "records are kept for 90 days (retention.ms)"),
        (
            {"retention.ms": "-1"},
            30,
            "records are kept for ever, longer than the 30 days of "
            "CONVERSIONS_DLQ_RETENTION_DAYS_MAX -> retention.ms=2592000000",
        ),
        ({"retention.ms": "-1"}, None, "records are kept for ever (retention.ms)"),
        ({"retention.ms": str(3 * DAY_MS)}, 3, "records are kept for 3 days (retention.ms)"),
        (
            {"retention.ms": str(2 * DAY_MS)},
            3,
            "records are kept for 2 days, less than the 7 days for which Meta takes an event"
            " -> retention.ms=259200000",
        ),
        (
            {"retention.ms": str(7 * DAY_MS - 1)},
            None,
            "records are kept for 7 days, less than the 7 days for which Meta takes an event"
            " -> retention.ms=604800000",
        ),
        (
            {"cleanup.policy": "", "retention.ms": str(9 * DAY_MS)},
            30,
            "records are not removed by age, while dead letters may be kept for the 30 days of "
            "CONVERSIONS_DLQ_RETENTION_DAYS_MAX -> cleanup.policy=delete",
        ),
        ({"cleanup.policy": "compact"}, 30, "records are not removed by age"),
    ],
)
def test_dead_letters_are_kept_as_long_as_they_can_be_used_and_no_longer_than_they_may(
    retention: dict[str, str], days_max: float | None, told: str
) -> None:
    found = letters(FINE | retention, days_max=days_max)

    (finding,) = [each for each in found if each.subject == "dead letters retention"]
    advice = finding.advice.rpartition("--add-config ")[2].removesuffix(".")
    assert f"{finding.told}{f' -> {advice}' if advice else ''}" == told
    assert finding.verdict.value == ("warning" if advice else "ok")


def letters(
    configuration: dict[str, str],
    *,
    record_bytes_max: int | None = 1000,
    days_max: float | None = None,
) -> list[Finding]:
    return list(
        letters_configuration(
            LETTERS, configuration, record_bytes_max=record_bytes_max, days_max=days_max
        )
    )


def test_the_advice_on_a_topic_is_the_command_that_mends_it() -> None:
    (finding,) = [
        finding
        for finding in letters(FINE, record_bytes_max=1048588)
        if finding.subject == "dead letters record size"
    ]

    assert finding.advice == (
        "Run kafka-configs --alter --topic events.dlq --add-config max.message.bytes=1064972."
    )


def test_a_missing_permission_is_named_with_its_resource() -> None:
    finding = missing_permission("group", "join", "READ", "group conversions")

    assert finding.told == "we may not join group conversions"
    assert finding.advice == (
        "Allow READ on group conversions (kafka-acls --add --allow-principal)."
    )


IDENTITY = transactional_id(cluster_id="c1", dead_letter_topic="events.dlq")
SOURCE_WRITE = Permission("WRITE", "topic events")


@pytest.mark.parametrize(
    ("missing", "granted", "verdict", "named"),
    [
        ([], Granted.YES, "ok", ""),
        ([], Granted.NOT_SEEN, "skipped", "WRITE on transactional-id conversions-replay-c1-events"),
        ([], Granted.NO, "warning", "Allow WRITE on transactional-id conversions-replay-c1-events"),
        ([SOURCE_WRITE], Granted.YES, "warning", "Allow WRITE on topic events (kafka-acls"),
        ([SOURCE_WRITE], Granted.NOT_SEEN, "warning", "Allow WRITE on topic events (kafka-acls"),
        (
            [SOURCE_WRITE, Permission("READ", "topic events.dlq")],
            Granted.NO,
            "warning",
            "Allow WRITE on topic events, READ on topic events.dlq, WRITE on transactional-id",
        ),
    ],
)
def test_what_replay_lacks_is_named_and_stops_no_consumer(
    missing: list[Permission], granted: Granted, verdict: str, named: str
) -> None:
    finding = replay_access(missing, identity=IDENTITY, granted=granted)

    assert finding.verdict.value == verdict
    assert named in f"{finding.told} {finding.advice}"


def test_a_partition_without_a_leader_fails_and_is_named() -> None:
    finding = topic_state(SOURCE, [(0, True), (1, False), (2, True)])

    assert finding.verdict.value == "failed"
    assert "partition 1" in finding.told


@pytest.mark.parametrize(
    ("ends", "verdict", "words"),
    [
        ({}, "ok", "nothing is committed"),
        ({0: LogEnd(0, 10, 4), 1: LogEnd(5, 9, 5)}, "ok", "10 offsets to go"),
        (
            {0: LogEnd(7, 10, 4), 1: LogEnd(8, 9, 5)},
            "warning",
            "up to 6 records of partitions 0, 1",
        ),
        ({3: LogEnd(0, 2, 50)}, "warning", "partition 3 is beyond the end"),
    ],
)
def test_a_committed_offset_must_still_be_within_the_topic(
    ends: dict[int, LogEnd], verdict: str, words: str
) -> None:
    finding = offsets_kept("events", ends)

    assert finding.verdict.value == verdict
    assert words in finding.told


# Brokers

NO_TOKEN_WORDS = "Failed to acquire SASL OAUTHBEARER token: "
REFUSED = KafkaError(KafkaError._AUTHENTICATION, "SASL authentication error: Invalid username")
DOWN = KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")
CLOSED = KafkaError(KafkaError._TRANSPORT, "Connect to ipv4#127.0.0.1:1 failed: refused")
NO_NAME = KafkaError(KafkaError._RESOLVE, "Failed to resolve 'nowhere:9092'")
CERTIFICATE = KafkaError(KafkaError._SSL, "certificate verify failed")
ALERT = KafkaError(KafkaError._TRANSPORT, "ssl/tls alert bad certificate: SSL alert number 42 (x)")
PROTOCOL = KafkaError(KafkaError._SSL, "alert protocol version: SSL alert number 70 (x)")
NO_TOKEN = KafkaError(KafkaError._AUTHENTICATION, f"{NO_TOKEN_WORDS}Failed to connect to idp")
BAD_TOKEN = KafkaError(KafkaError._AUTHENTICATION, 'error: {"status":"invalid_token"}')
HANDSHAKE = KafkaError(KafkaError._TRANSPORT, "SSL handshake failed: Disconnected")


@pytest.mark.parametrize(
    ("heard", "words", "advice"),
    [
        ([DOWN, REFUSED], "refuses our credentials: SASL auth", "KAFKA_SASL_PASSWORD"),
        ([DOWN, CERTIFICATE], "TLS with a broker fails: certificate", "KAFKA_SSL_CA_LOCATION"),
        ([HANDSHAKE, DOWN], "TLS with a broker fails: SSL handshake", "KAFKA_SECURITY_PROTOCOL"),
        ([ALERT, DOWN], "refuses our certificate: ssl/tls alert", "KAFKA_SSL_KEY_LOCATION"),
        ([PROTOCOL, DOWN], "TLS with a broker fails: alert", "KAFKA_SECURITY_PROTOCOL"),
        ([NO_TOKEN, DOWN], "no token to log in with: Failed", "KAFKA_HTTPS_CA_LOCATION"),
        ([BAD_TOKEN, DOWN], "refuses our credentials: error", "audience"),
        ([NO_NAME, DOWN], "name is not known", "KAFKA_BOOTSTRAP_SERVERS"),
        ([CLOSED, DOWN], "no broker answered within 10 seconds: Connect", "brokers are up"),
        ([DOWN], "no broker answered within 10 seconds", "brokers are up"),
        ([], "no broker answered within 10 seconds", "brokers are up"),
    ],
)
def test_what_librdkafka_tells_apart_is_told_apart(
    heard: list[KafkaError], words: str, advice: str
) -> None:
    finding = unreachable(heard, seconds=10)

    assert finding.verdict.value == "failed"
    assert words in finding.told
    assert advice in finding.advice


def test_without_brokers_the_variable_is_named_and_nothing_is_asked() -> None:
    (finding,) = check_kafka(settings_with())

    assert finding.verdict.value == "failed"
    assert finding.told == "KAFKA_BOOTSTRAP_SERVERS must be set"


def test_what_librdkafka_does_not_take_is_told_without_its_value() -> None:
    brokers = Brokers({"bootstrap.servers": "127.0.0.1:1", "security.protocol": "canary"})

    finding = brokers.finding("brokers")

    assert finding.verdict.value == "failed"
    assert "KAFKA_SECURITY_PROTOCOL" in finding.told
    assert "canary" not in finding.told + finding.advice


# Schemas


def record_of(*fields: dict[str, Any]) -> str:
    return json.dumps({"type": "record", "name": "ConversionEvent", "fields": list(fields)})


def changed_event(**types: Any) -> str:
    schema = event_schema()
    for field in schema["fields"]:
        if field["name"] in types:
            field["type"] = types[field["name"]]
            field.pop("default", None)
    return json.dumps(schema)


@pytest.mark.parametrize(
    ("text", "kind", "verdict", "words"),
    [
        (json.dumps(event_schema()), "AVRO", "ok", "can be read"),
        (changed_event(value="float", numItems="int"), "AVRO", "ok", "can be read"),
        (changed_event(status=["string", "bytes"]), "AVRO", "warning", "some events"),
        (changed_event(value=["null", "string"]), "AVRO", "failed", "cannot be resolved"),
        (changed_event(status="int"), "AVRO", "failed", "cannot be resolved"),
        (record_of({"name": "id", "type": "string"}), "AVRO", "failed", "cannot be resolved"),
        (record_of({"name": "id", "type": "Elsewhere"}), "AVRO", "failed", "cannot be used"),
        ("{", "AVRO", "failed", "no JSON"),
        ('{"type": "object"}', "JSON", "failed", "JSON, not Avro"),
    ],
)
def test_the_newest_schema_is_tried_on_events_of_it(
    text: str, kind: str, verdict: str, words: str
) -> None:
    finding = reading(text, kind)

    assert (finding.verdict.value, words in finding.told) == (verdict, True), finding


def test_without_a_registry_single_object_encoding_is_spoken_of() -> None:
    (finding,) = check_registry(settings_with())

    assert finding.verdict.value == "skipped"
    assert "single-object encoding" in finding.told


def test_a_broken_file_among_the_schemas_fails_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "old.avsc").write_text("{")

    finding, *_ = check_registry(settings_with(CONVERSIONS_SCHEMAS_DIR=str(tmp_path)))

    assert (finding.subject, finding.verdict.value) == ("schemas folder", "failed")
    assert "old.avsc" in finding.told


Served = dict[str, tuple[int, Any]]


@pytest.fixture
def registry() -> Iterator[tuple[str, Served]]:
    """A registry that gives the answers that a test writes down, by ``METHOD /path``."""
    answers: Served = {}

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = f"{self.command} {self.path.split('?')[0]}"
            status, answer = answers.get(asked, (404, {"error_code": 404}))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    serving = threading.Thread(target=server.serve_forever, args=(0.02,))
    serving.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", answers
    server.shutdown()
    serving.join()
    server.server_close()


NEWEST = "GET /subjects/conversions.events-value/versions/latest"
COMPATIBLE = "POST /compatibility/subjects/conversions.events-value/versions/latest"
SUBJECT_LEVEL = "GET /config/conversions.events-value"
ANSWERS: Served = {
    NEWEST: (
        200,
        {
            "subject": "conversions.events-value",
            "version": 3,
            "id": 7,
            "schema": json.dumps(event_schema()),
        },
    ),
    COMPATIBLE: (200, {"is_compatible": True}),
    SUBJECT_LEVEL: (404, {"error_code": 40408, "message": "no level of its own"}),
    "GET /config": (200, {"compatibilityLevel": "FULL_TRANSITIVE"}),
}


@pytest.mark.parametrize(
    ("changed", "subject", "verdict", "words"),
    [
        ({}, "registry", "ok", "answers"),
        ({}, "subject", "ok", "version 3, id 7"),
        ({}, "schema", "ok", "can be read"),
        ({}, "compatibility", "ok", "is compatible"),
        ({}, "compatibility level", "ok", "FULL_TRANSITIVE"),
        ({NEWEST: (404, {"error_code": 40401})}, "subject", "failed", "no subject"),
        ({NEWEST: (404, {"error_code": 404})}, "registry", "failed", "not as a registry does"),
        ({NEWEST: (401, {"error_code": 401})}, "registry", "failed", "credentials"),
        ({NEWEST: (503, {"error_code": 503})}, "registry", "failed", "HTTP 503"),
        ({COMPATIBLE: (200, {"is_compatible": False})}, "compatibility", "warning", "not comp"),
        ({COMPATIBLE: (403, {"error_code": 403})}, "compatibility", "skipped", "HTTP 403"),
        (
            {SUBJECT_LEVEL: (200, {"compatibilityLevel": "BACKWARD"})},
            "compatibility level",
            "warning",
            "is BACKWARD",
        ),
        ({SUBJECT_LEVEL: (403, {"error_code": 403})}, "compatibility level", "skipped", "403"),
    ],
)
def test_each_answer_of_the_registry_has_its_sentence(
    registry: tuple[str, Served], changed: Served, subject: str, verdict: str, words: str
) -> None:
    url, answers = registry
    answers.update(ANSWERS | changed)

    found = list(check_registry(settings_with(SCHEMA_REGISTRY_URL=url)))

    (finding,) = [each for each in found if each.subject == subject]
    assert (finding.verdict.value, words in finding.told) == (verdict, True), finding
    assert bool(finding.advice) == (verdict != "ok")


# Pixels


def error_answer(code: int, subcode: int | None = None, **more: Any) -> GraphAnswer:
    error = {"message": "(#100) Missing Permission", "type": "OAuthException", "code": code}
    if subcode is not None:
        error["error_subcode"] = subcode
    return GraphAnswer(400, {}, json.dumps({"error": error | more}).encode())


@pytest.mark.parametrize(
    ("answer", "verdict", "words"),
    [
        (GraphAnswer(200, {}, b'{"id":"%s","name":"Shop"}' % PIXEL.encode()), "ok", '"Shop"'),
        (GraphAnswer(200, {}, b'{"id":"%s"}' % PIXEL.encode()), "ok", "can read it"),
        (GraphAnswer(200, {}, b'{"id":"1"}'), "failed", "not as the Graph API does"),
        (GraphAnswer(200, {}, b"<html>"), "failed", "not as the Graph API does"),
        (GraphAnswer(302, {}, b""), "failed", "HTTP 302"),
        (GraphAnswer(502, {}, b"<html>"), "skipped", "in trouble (HTTP 502)"),
        (GraphAnswer(429, {}, b""), "skipped", "pause"),
        (error_answer(190), "failed", "invalid, expired or revoked (code 190)"),
        (error_answer(190, 463), "failed", "(code 190/463)"),
        (error_answer(102), "failed", "invalid, expired or revoked"),
        (error_answer(104), "failed", "proof"),
        (error_answer(100), "warning", "may be able to send; reading is not allowed"),
        (error_answer(10), "warning", "may be able to send; reading is not allowed"),
        (error_answer(200), "warning", "may be able to send; reading is not allowed"),
        (error_answer(294), "warning", "may be able to send; reading is not allowed"),
        (error_answer(100, 33), "warning", "unknown, or the token has no access, or may not read"),
        (error_answer(803), "warning", "unknown"),
        (error_answer(100, type="GraphMethodException"), "failed", "does not take the call"),
        (error_answer(2500), "failed", "does not take the call"),
        (error_answer(368), "failed", "policies"),
        (error_answer(4), "skipped", "pause (code 4)"),
        (error_answer(80004), "skipped", "pause"),
        (error_answer(2), "skipped", "in trouble (code 2)"),
        (error_answer(190, is_transient=True), "skipped", "in trouble"),
        (error_answer(987654), "warning", "not known here (code 987654)"),
    ],
)
def test_each_answer_of_meta_has_its_sentence(
    answer: GraphAnswer, verdict: str, words: str
) -> None:
    (destination,) = one_destination(PixelId(PIXEL))

    finding = read_pixel(destination, answer)

    assert (finding.verdict.value, words in finding.told) == (verdict, True), finding
    assert finding.subject == f"pixel {PIXEL}"
    assert bool(finding.advice) == (verdict != "ok")


@pytest.mark.parametrize(
    ("date", "verdict", "words"),
    [
        ("Sun, 22 Nov 2026 12:00:00 GMT", "ok", "agrees"),
        ("Sun, 22 Nov 2026 11:59:02 GMT", "ok", "agrees"),
        ("Sun, 22 Nov 2026 11:58:58 GMT", "warning", "62 seconds ahead of"),
        ("Sun, 22 Nov 2026 12:01:02 GMT", "warning", "62 seconds behind"),
        ("Sun, 22 Nov 2026 12:04:58 GMT", "warning", "298 seconds behind"),
        ("Sun, 22 Nov 2026 12:05:02 GMT", "failed", "302 seconds behind"),
        ("Sun, 22 Nov 2026 11:54:00 GMT", "failed", "360 seconds ahead of"),
        ("yesterday", "skipped", "tells the time"),
        (None, "skipped", "tells the time"),
    ],
)
def test_the_clock_is_compared_with_the_date_of_metas_answer(
    date: str | None, verdict: str, words: str
) -> None:
    finding = clock(date, now=1795348800.5)  # 2026-11-22T12:00:00.5Z

    assert (finding.verdict.value, words in finding.told) == (verdict, True), finding


Answering = Callable[[httpx.Request], httpx.Response]


def readable(request: httpx.Request) -> httpx.Response:
    pixel = request.url.path.rsplit("/", 1)[1]
    date = {"date": "Sun, 22 Nov 2026 12:00:00 GMT"}
    return httpx.Response(200, json={"id": pixel, "name": "Shop"}, headers=date)


def checked(settings: Settings, answering: Answering) -> list[Finding]:
    reader = GraphReader(
        graph_url=settings.graph_url,
        graph_version=settings.graph_version,
        timeout_seconds=1.0,
        app_secret=settings.rotating_secret("CONVERSIONS_APP_SECRET"),
        transport=httpx.MockTransport(answering),
    )
    try:
        return list(check_meta(settings, reader=reader, now=lambda: 1795348800.5))
    finally:
        reader.close()


def two_pixels(folder: Path, **first: Any) -> str:
    path = folder / "destinations.json"
    path.write_text(json.dumps([{"id": PIXEL, **first}, {"id": OTHER_PIXEL}]))
    return str(path)


def test_the_token_travels_in_the_header_and_its_proof_in_the_query() -> None:
    asked: list[httpx.Request] = []

    def answering(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return readable(request)

    found = checked(
        settings_with(
            CONVERSIONS_PIXEL_ID=PIXEL,
            CONVERSIONS_ACCESS_TOKEN=TOKEN,
            CONVERSIONS_APP_SECRET=APP_SECRET,
        ),
        answering,
    )

    assert is_good(found)
    (request,) = asked
    assert request.url.path == f"/v26.0/{PIXEL}"
    assert request.url.params["fields"] == "id,name"
    assert len(request.url.params["appsecret_proof"]) == 64
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in str(request.url)


def test_every_destination_is_asked_with_its_own_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("token-of-the-first\n")
    file = two_pixels(tmp_path, accessTokenFile="token")
    bearers: dict[str, str] = {}

    def answering(request: httpx.Request) -> httpx.Response:
        bearers[request.url.path.rsplit("/", 1)[1]] = request.headers["authorization"]
        return readable(request)

    settings = settings_with(CONVERSIONS_DESTINATIONS_FILE=file, CONVERSIONS_ACCESS_TOKEN=TOKEN)
    found = checked(settings, answering)

    assert verdicts(found) == {
        "Graph version": "ok",
        "destinations": "ok",
        "Graph API": "ok",
        f"pixel {PIXEL}": "ok",
        f"pixel {OTHER_PIXEL}": "ok",
        "clock": "ok",
    }
    assert bearers == {PIXEL: "Bearer token-of-the-first", OTHER_PIXEL: f"Bearer {TOKEN}"}


def test_a_destination_without_a_token_fails_and_the_others_are_asked(tmp_path: Path) -> None:
    file = two_pixels(tmp_path, accessTokenFile=TOKEN)  # people put the token where its file goes
    settings = settings_with(CONVERSIONS_DESTINATIONS_FILE=file, CONVERSIONS_ACCESS_TOKEN="other")

    found = checked(settings, readable)

    assert verdicts(found)[f"pixel {PIXEL}"] == "failed"
    assert verdicts(found)[f"pixel {OTHER_PIXEL}"] == "ok"
    assert TOKEN not in repr(found)


def test_when_nobody_answers_one_pixel_the_others_are_not_asked(tmp_path: Path) -> None:
    asked: list[str] = []

    def answering(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        raise httpx.ConnectError(f"no way to {request.url} with {TOKEN}", request=request)

    settings = settings_with(
        CONVERSIONS_DESTINATIONS_FILE=two_pixels(tmp_path), CONVERSIONS_ACCESS_TOKEN=TOKEN
    )
    found = checked(settings, answering)

    expected = {"Graph version": "ok", "destinations": "ok", "Graph API": "failed"}
    assert verdicts(found) == expected
    assert len(asked) == 1
    assert TOKEN not in repr(found)


def test_nothing_that_is_told_holds_the_token_whatever_meta_quotes() -> None:
    def answering(request: httpx.Request) -> httpx.Response:
        said = {"message": f"Malformed access token {TOKEN}", "code": 190, "error_user_msg": TOKEN}
        return httpx.Response(400, json={"error": said})

    settings = settings_with(CONVERSIONS_PIXEL_ID=PIXEL, CONVERSIONS_ACCESS_TOKEN=TOKEN)
    found = checked(settings, answering)

    assert verdicts(found)[f"pixel {PIXEL}"] == "failed"
    assert TOKEN not in json_report(found).decode() + text_report(found, colour=True)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("The call has been auto-upgraded to v27.0 as it is", "names v27.0"),
        (f"no version but {TOKEN}", "names another one"),
    ],
)
@pytest.mark.parametrize("which", [PIXEL, OTHER_PIXEL])
def test_a_version_that_meta_has_retired_is_a_warning_whichever_pixel_hears_of_it(
    tmp_path: Path, which: str, told: str, words: str
) -> None:
    def answering(request: httpx.Request) -> httpx.Response:
        answer = readable(request)
        if request.url.path.endswith(which):
            answer.headers["X-Ad-Api-Version-Warning"] = told
        return answer

    settings = settings_with(
        CONVERSIONS_DESTINATIONS_FILE=two_pixels(tmp_path), CONVERSIONS_ACCESS_TOKEN=TOKEN
    )
    found = checked(settings, answering)

    (finding,) = [each for each in found if each.subject == "Graph API"]
    assert (finding.verdict.value, words in finding.told) == ("warning", True)
    assert TOKEN not in repr(found)


@pytest.mark.parametrize(
    ("version", "verdict", "words"),
    [
        ("v26.0", "ok", "its end is not announced"),
        ("v25.0", "ok", "lives until 2028-07-29"),
        ("v27.0", "ok", "newer than what is known here"),
        ("v24.0", "warning", "cannot be read with it since 2026-10-06"),
        ("v21.0", "warning", "ends on 2027-01-21"),
        ("v20.0", "failed", "ended on 2026-09-24"),
        ("v19.0", "failed", "has ended"),
        ("v25.1", "warning", "no version that is known here"),
    ],
)
def test_each_version_of_the_graph_api_has_its_sentence(
    version: str, verdict: str, words: str
) -> None:
    settings = settings_with(
        CONVERSIONS_PIXEL_ID=PIXEL,
        CONVERSIONS_ACCESS_TOKEN=TOKEN,
        CONVERSIONS_GRAPH_VERSION=version,
    )

    (finding,) = [each for each in checked(settings, readable) if each.subject == "Graph version"]

    assert (finding.verdict.value, words in finding.told) == (verdict, True), finding
    assert bool(finding.advice) == (verdict != "ok")


@pytest.mark.parametrize("where", ["file", "settings"])
def test_a_test_event_code_is_warned_of(tmp_path: Path, where: str) -> None:
    code = {"testEventCode": "TEST1"} if where == "file" else {}
    variables = {"CONVERSIONS_TEST_CODE": "TEST1"} if where == "settings" else {}
    file = two_pixels(tmp_path, **code)

    found = checked(
        settings_with(
            CONVERSIONS_DESTINATIONS_FILE=file, CONVERSIONS_ACCESS_TOKEN=TOKEN, **variables
        ),
        readable,
    )

    (finding,) = [each for each in found if each.subject == "test events"]
    assert finding.verdict.value == "warning"
    assert "pixel of its own" in finding.advice


def test_a_destinations_file_with_mistakes_fails_and_nothing_is_asked(tmp_path: Path) -> None:
    file = two_pixels(tmp_path, testEventCod="TEST1")

    _, finding = checked(settings_with(CONVERSIONS_DESTINATIONS_FILE=file), readable)

    assert (finding.subject, finding.verdict.value) == ("destinations", "failed")
    assert "testEventCode" in finding.told


def test_a_slow_drip_is_no_answer() -> None:
    class Drip(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            until = time.monotonic() + 0.06
            while True:
                yield b" " * (1 + int(time.monotonic() > until))

    reader = GraphReader(
        graph_url="https://graph.example.com",
        graph_version="v26.0",
        timeout_seconds=0.05,
        app_secret=settings_with().rotating_secret("CONVERSIONS_APP_SECRET"),
        transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Drip())),
    )
    answer = reader.get(PIXEL, {}, token=SecretStr(TOKEN))
    reader.close()

    assert "too slow" in repr(answer)


# Why nobody answered


def chained(*errors: BaseException) -> BaseException:
    for outer, inner in pairwise(errors):
        outer.__cause__ = inner
    return errors[0]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (chained(httpx.ConnectError("x"), ConnectionRefusedError(111, "x")), "is refused"),
        (chained(httpx.ConnectError("x"), ssl.SSLError(1, "x")), "TLS"),
        (chained(httpx.ConnectError("x"), ssl.SSLCertVerificationError(1, "x")), "certificate"),
        (httpx.ConnectTimeout("x"), "no answer in time"),
        (chained(httpx.ReadTimeout("x"), TimeoutError()), "no answer in time"),
        (httpx.ProxyError("x"), "proxy"),
        (httpx.RemoteProtocolError("x"), "RemoteProtocolError"),
    ],
)
def test_why_nobody_answered_is_told_by_the_kind_of_error(error: BaseException, words: str) -> None:
    assert words in why_unanswered(error)


# Side by side


def test_a_party_that_does_not_answer_is_left_behind() -> None:
    never = threading.Event()

    def silent() -> Iterator[Finding]:
        yield ok("first", "was answered")
        never.wait(60)
        yield ok("second", "was answered")

    started = time.monotonic()
    found = side_by_side(
        [Party("silent", silent), Party("other", lambda: iter([ok("other", "is fine")]))],
        seconds_max=0.2,
    )
    never.set()

    assert time.monotonic() - started < 10
    assert verdicts(found) == {"first": "ok", "silent": "failed", "other": "ok"}


def test_a_check_that_breaks_off_is_told_without_the_text_of_its_error() -> None:
    def broken() -> Iterator[Finding]:
        yield ok("first", "was answered")
        raise KeyError(TOKEN)

    found = side_by_side([Party("broken", broken)], seconds_max=10)

    assert verdicts(found) == {"first": "ok", "broken": "failed"}
    assert "KeyError" in found[1].told
    assert TOKEN not in repr(found)


# How it is told

ALL_KINDS = [
    ok("settings", "all is well"),
    warning("topic retention", "word " * 40, "Do this. " * 20),
    failed(f"pixel {'9' * 32}", "x" * 300, "Mend it."),
    skipped("s" * 300, "it could not be found out", "Check again."),
]


def test_no_line_is_wider_than_the_terminal() -> None:
    lines = text_report(ALL_KINDS, colour=False).splitlines()

    assert max(map(len, lines)) <= WIDTH
    assert lines[-1] == "1 ok, 1 warning, 1 failed, 1 skipped"


def test_the_columns_stand_below_one_another() -> None:
    first, second, *_ = text_report(
        [ok("a", "told one"), failed("longer subject", "told two", "")], colour=False
    ).splitlines()

    assert first == "ok       a               told one"
    assert second == "failed   longer subject  told two"


def test_the_advice_stands_below_what_is_told() -> None:
    lines = text_report([failed("topic", "it is not there", "Create it.")], colour=False)

    assert lines.splitlines()[1] == "                -> Create it."


def test_colour_is_only_there_when_it_is_wanted() -> None:
    assert "\x1b[" not in text_report(ALL_KINDS, colour=False)
    assert "\x1b[31mfailed \x1b[0m" in text_report(ALL_KINDS, colour=True)


def test_words_of_others_do_not_steer_the_terminal() -> None:
    finding = ok("pixel", "named \x1b[2J\ud800 and\nmore")

    assert "\x1b" not in text_report([finding], colour=False)
    assert json.loads(json_report([finding]))["findings"][0]["told"] == "named ?[2J? and?more"


@pytest.mark.parametrize(("findings", "good"), [(ALL_KINDS, False), (ALL_KINDS[:2], True)])
def test_only_a_failure_makes_the_whole_not_ok(findings: list[Finding], good: bool) -> None:
    answer: Mapping[str, Any] = json.loads(json_report(findings))

    assert answer["ok"] is good
    assert [each["verdict"] for each in answer["findings"]] == [
        finding.verdict.value for finding in findings
    ]
    assert all(
        each.keys() == {"subject", "verdict", "told", "advice"} for each in answer["findings"]
    )


def test_nothing_set_at_all_fails_at_once_with_what_to_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = run_check(settings_with(), as_json=True)

    assert code == 1
    answer = json.loads(capsys.readouterr().out)
    assert {each["subject"]: each["verdict"] for each in answer["findings"]} == {
        "settings": "ok",
        "brokers": "failed",
        "registry": "skipped",
        "Graph version": "ok",
        "destinations": "failed",
    }


def test_on_something_else_than_a_terminal_it_is_plain_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = run_check(settings_with(), as_json=False)

    text = capsys.readouterr().out
    assert code == 1
    assert "\x1b" not in text
    assert "-> Name the brokers" in text

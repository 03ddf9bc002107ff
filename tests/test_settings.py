"""Settings: where they come from, which are refused and in which words, and that none leaks."""

import ctypes
import logging
import os
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import confluent_kafka.cimpl
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from pydantic import SecretStr, ValidationError

from consumer.egress import egress_to
from consumer.librdkafka_properties import ALIASES, CONSUMER_ONLY, PRODUCER_ONLY, SHARED
from consumer.secret_files import UnreadableFile
from consumer.setting_fields import SECRETS
from consumer.settings import (
    Settings,
    SettingsError,
    describe,
    load_settings,
    read_secret_file,
)
from consumer.wording import expected

CANARY = "EAABcanary0123456789"


def problems(environ: Mapping[str, str], **overrides: Any) -> tuple[str, ...]:
    """Every problem of an environment that cannot be used."""
    with pytest.raises(SettingsError) as caught:
        load_settings(environ, overrides)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_every_default_is_what_the_documentation_promises() -> None:
    settings = load_settings({})
    assert settings.model_dump(exclude_none=True) == {
        "topic": "conversions.events",
        "group_id": "conversions-consumer",
        "dlq_topic": "conversions.events.dlq",
        "dlq_retention_days_max": 30.0,
        "graph_url": "https://graph.facebook.com",
        "graph_version": "v26.0",
        "graph_url_insecure": False,
        "window_events": 1000,
        "window_seconds": 1.0,
        "window_bytes": 4 * 1024 * 1024,
        "in_flight_events": 20_000,
        "in_flight_bytes": 256 * 1024 * 1024,
        "requests_per_destination": 8,
        "uncommitted_records": 200_000,
        "uncommitted_seconds": 3600.0,
        "commit_seconds": 1.0,
        "request_timeout_seconds": 20.0,
        "grace_seconds": 30.0,
        "liveness_seconds": 120.0,
        "isolation_requests": 100,
        "spill_after_seconds": 300.0,
        "guard_share": 0.5,
        "guard_events": 1000,
        "guard_pauses": False,
        "quality_refresh_seconds": 0.0,
        "token_check_seconds": 3600.0,
        "value_currencies": (),
        "metrics_host": "127.0.0.1",
        "metrics_port": 9108,
        "log_level": "info",
        "log_format": "auto",
        "traces": False,
    }


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(
    tmp_path: Path,
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(
        "CONVERSIONS_TOPIC: file\nCONVERSIONS_GROUP_ID: file\nCONVERSIONS_DLQ_TOPIC: file\n"
        "KAFKA_BOOTSTRAP_SERVERS: file:9092\n"
    )
    environ = {
        "CONVERSIONS_SETTINGS_FILE": str(file),
        "CONVERSIONS_TOPIC": "environment",
        "CONVERSIONS_GROUP_ID": "environment",
        "KAFKA_CLIENT_ID": "environment",
    }
    overrides = {"topic": "argument", "group_id": None, "KAFKA_CLIENT_ID": "argument"}
    settings = load_settings(environ, overrides)
    assert (settings.topic, settings.group_id, settings.dlq_topic) == (
        "argument",
        "environment",
        "file",
    )
    assert settings.kafka_common == {
        "bootstrap.servers": "file:9092",
        "client.id": "argument",
    }
    assert settings.window_events == 1000


def test_the_settings_file_may_be_named_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("CONVERSIONS_TOPIC: file\n")
    assert load_settings({}, {"settings_file": file}).topic == "file"


def test_arguments_may_be_of_their_own_types() -> None:
    settings = load_settings(
        {},
        {
            "access_token": SecretStr(CANARY),
            "graph_url_insecure": True,
            "window_seconds": 0.5,
            "destinations_file": Path("d.yaml"),
            "test_code": None,
        },
    )
    assert settings.access_token == SecretStr(CANARY)
    assert settings.graph_url_insecure is True
    assert (settings.window_seconds, settings.destinations_file) == (0.5, Path("d.yaml"))
    assert settings.test_code is None


def test_words_in_the_settings_file_stay_what_was_written(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(
        "CONVERSIONS_PIXEL_ID: 0729525464415281\nCONVERSIONS_METRICS_PORT: 9200\n"
        "CONVERSIONS_GROUP_ID: NO\nCONVERSIONS_TOPIC:\nCONVERSIONS_TEST_CODE: ~\n"
        "CONVERSIONS_GRAPH_URL_INSECURE: yes\nKAFKA_SOCKET_KEEPALIVE_ENABLE: true\n"
    )
    settings = load_settings({"CONVERSIONS_SETTINGS_FILE": str(file)})
    assert settings.pixel_id == "0729525464415281"
    assert settings.metrics_port == 9200
    assert settings.group_id == "NO"
    assert (settings.topic, settings.test_code) == ("conversions.events", None)
    assert settings.graph_url_insecure is True
    assert settings.kafka_common == {"socket.keepalive.enable": "true"}


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n"])
def test_an_empty_settings_file_sets_nothing(text: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    settings = load_settings({"CONVERSIONS_SETTINGS_FILE": str(file)})
    assert settings.topic == "conversions.events"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "the file that CONVERSIONS_SETTINGS_FILE names is not valid YAML (line 1, colu"),
        ("- a\n", "the file that CONVERSIONS_SETTINGS_FILE names must hold lines of NAME: value"),
        (
            "CONVERSIONS_TOPIC: a\nCONVERSIONS_TOPIC: b\n",
            "the file that CONVERSIONS_SETTINGS_FILE names has the key CONVERSIONS_TOPIC twice"
            " (line 2, column 1)",
        ),
        (
            "CONVERSIONS_TOPIC: [a]\n",
            "CONVERSIONS_TOPIC in the settings file must be a single value",
        ),
        ("topic: a\n", "topic is no setting; did you mean CONVERSIONS_TOPIC?"),
        ("CONVERSIONS_TOPICS: a\n", "CONVERSIONS_TOPICS is no setting; did you mean CONVERSIONS_T"),
        (
            "CONVERSIONS_SETTINGS_FILE: b.yaml\n",
            "CONVERSIONS_SETTINGS_FILE cannot stand in the settings file itself",
        ),
        ("a: !!python/object:os.system x\n", "the file that CONVERSIONS_SETTINGS_FILE names is no"),
    ],
)
def test_a_mistake_in_the_settings_file_is_told_in_one_sentence(
    text: str, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    (found,) = problems({"CONVERSIONS_SETTINGS_FILE": str(file)})
    assert found.startswith(problem)


def test_a_settings_file_that_is_not_there_is_told() -> None:
    assert problems({"CONVERSIONS_SETTINGS_FILE": "/nowhere/at/all.yaml"}) == (
        "the file that CONVERSIONS_SETTINGS_FILE names cannot be read (No such file or directory)",
    )


SECONDS = "must be a number of seconds greater than 0"
SIZE = "must be a size such as 4MiB, or a number of bytes above 0"
REFRESH = "must be 0, which is off, or a number of seconds of at least 600"
COUNT = "must be a whole number of at least 1"
TOPIC = "must be a Kafka topic: up to 249 letters, digits, dots, dashes and underscores"
URL = "must be an address like https://graph.facebook.com, without user, query and fragment"
TOKEN = "must be one line of printable characters without spaces"


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("TOPIC", "two words", TOPIC),
        ("DLQ_TOPIC", "x" * 250, TOPIC),
        ("GROUP_ID", " ", "must be a name of up to 255 characters"),
        ("PIXEL_ID", "12a", "must be the digits of a pixel's id"),
        ("PIXEL_ID", "١٢٣", "must be the digits of a pixel's id"),
        ("ACCESS_TOKEN", f"{CANARY} {CANARY}", TOKEN),
        ("APP_SECRET", f"{CANARY}\n{CANARY}", TOKEN),
        ("TEST_CODE", "a b", "must be a code such as TEST12345"),
        ("GRAPH_URL", "graph.facebook.com", URL),
        ("GRAPH_URL", "https://user:pass@graph.facebook.com", URL),
        ("GRAPH_URL", f"https://graph.facebook.com?access_token={CANARY}", URL),
        ("GRAPH_URL", "http://[", URL),
        ("GRAPH_URL", "https://graph.facebook.com:99999", URL),
        ("GRAPH_VERSION", "26", "must be a version such as v26.0"),
        ("GRAPH_URL_INSECURE", "perhaps", "must be true or false"),
        ("WINDOW_EVENTS", "0", "must be a whole number from 1 to 1000, which is Meta's limit"),
        ("WINDOW_EVENTS", "1001", "must be a whole number from 1 to 1000, which is Meta's limit"),
        ("WINDOW_SECONDS", "0", SECONDS),
        ("WINDOW_BYTES", "4 apples", SIZE),
        ("WINDOW_BYTES", "0", SIZE),
        ("IN_FLIGHT_EVENTS", "-1", COUNT),
        ("IN_FLIGHT_BYTES", "", None),
        ("IN_FLIGHT_BYTES", "much", SIZE),
        ("REQUESTS_PER_DESTINATION", "101", "must be a whole number from 1 to 100"),
        ("UNCOMMITTED_RECORDS", "1.5", COUNT),
        ("UNCOMMITTED_SECONDS", "inf", SECONDS),
        ("COMMIT_SECONDS", "nan", SECONDS),
        ("REQUEST_TIMEOUT_SECONDS", "20s", SECONDS),
        ("GRACE_SECONDS", "-1", SECONDS),
        ("LIVENESS_SECONDS", "soon", SECONDS),
        ("ISOLATION_REQUESTS", "0", COUNT),
        ("SPILL_AFTER_SECONDS", "0", SECONDS),
        ("QUALITY_REFRESH_SECONDS", "599.9", REFRESH),
        ("QUALITY_REFRESH_SECONDS", "-600", REFRESH),
        ("QUALITY_REFRESH_SECONDS", "nan", REFRESH),
        ("QUALITY_REFRESH_SECONDS", "inf", REFRESH),
        ("METRICS_HOST", " ", "must be a name of up to 255 characters"),
        ("METRICS_PORT", "65536", "must be a port from 0 to 65535"),
        ("LOG_LEVEL", "loud", "must be debug, info, warning or error"),
        ("LOG_FORMAT", "xml", "must be auto, console or json"),
        ("SCHEMAS_DIR", "/nowhere/at/all", "must be a folder that exists"),
    ],
)
def test_a_wrong_value_is_answered_with_what_it_should_be(
    field: str, value: str, problem: str | None
) -> None:
    environ = {f"CONVERSIONS_{field}": value}
    if problem is None:
        assert load_settings(environ) == load_settings({})
        return
    assert problems(environ) == (f"CONVERSIONS_{field} {problem}",)


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("window_bytes", "64KiB", 65536),
        ("window_bytes", "4 MiB", 4194304),
        ("window_bytes", "1000", 1000),
        ("window_seconds", "0.25", 0.25),
        ("metrics_port", "0", 0),
        ("quality_refresh_seconds", "0", 0),
        ("quality_refresh_seconds", "600", 600),
        ("log_level", "DEBUG", "debug"),
        ("log_format", "Json", "json"),
        ("graph_url_insecure", "1", True),
        ("graph_url", "https://proxy.example/meta/", "https://proxy.example/meta"),
        ("pixel_id", " 1729525464415281 ", "1729525464415281"),
        ("destinations_file", "destinations.yaml", Path("destinations.yaml")),
    ],
)
def test_a_value_may_be_written_as_people_write_it(field: str, value: str, read: object) -> None:
    assert getattr(load_settings({f"CONVERSIONS_{field.upper()}": value}), field) == read
    assert getattr(load_settings({}, {field: value}), field) == read


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        (
            {"CONVERSIONS_TOPIC": "t", "CONVERSIONS_DLQ_TOPIC": "t"},
            "CONVERSIONS_DLQ_TOPIC must be another topic than CONVERSIONS_TOPIC",
        ),
        (
            {"CONVERSIONS_PIXEL_ID": "1", "CONVERSIONS_DESTINATIONS_FILE": "f"},
            "CONVERSIONS_PIXEL_ID must be left out when CONVERSIONS_DESTINATIONS_FILE is set",
        ),
        (
            {"CONVERSIONS_GRAPH_URL": "http://graph.example"},
            "CONVERSIONS_GRAPH_URL must begin with https:// unless it is on this host or"
            " CONVERSIONS_GRAPH_URL_INSECURE is true",
        ),
        (
            {"CONVERSIONS_LIVENESS_SECONDS": "50"},
            "CONVERSIONS_LIVENESS_SECONDS must be more than CONVERSIONS_GRACE_SECONDS and"
            " CONVERSIONS_REQUEST_TIMEOUT_SECONDS together",
        ),
        (
            {"KAFKA_MAX_POLL_INTERVAL_MS": "50000", "CONVERSIONS_GRACE_SECONDS": "20",
             "CONVERSIONS_REQUEST_TIMEOUT_SECONDS": "30"},
            "CONVERSIONS_GRACE_SECONDS and CONVERSIONS_REQUEST_TIMEOUT_SECONDS together must be"
            " less than KAFKA_MAX_POLL_INTERVAL_MS",
        ),
        (
            {"KAFKA_CONSUMER_MAX_POLL_INTERVAL_MS": "60000"},
            "CONVERSIONS_GRACE_SECONDS must be less than half of"
            " KAFKA_CONSUMER_MAX_POLL_INTERVAL_MS",
        ),
    ],
)  # fmt: skip
def test_settings_that_contradict_each_other_are_refused(
    environ: dict[str, str], problem: str
) -> None:
    assert problems(environ) == (problem,)


@pytest.mark.parametrize(
    "environ",
    [
        {"CONVERSIONS_LIVENESS_SECONDS": "50.1"},
        {"KAFKA_MAX_POLL_INTERVAL_MS": "60001"},
        {"CONVERSIONS_GRAPH_URL": "http://127.0.0.1:8080"},
        {"CONVERSIONS_GRAPH_URL": "http://127.8.8.8"},
        {"CONVERSIONS_GRAPH_URL": "http://[::1]:8080"},
        {"CONVERSIONS_GRAPH_URL": "http://localhost:8080"},
        {"CONVERSIONS_GRAPH_URL": "http://emulator:80", "CONVERSIONS_GRAPH_URL_INSECURE": "true"},
    ],
)
def test_the_bounds_themselves_are_fine(environ: dict[str, str]) -> None:
    assert isinstance(load_settings(environ), Settings)


def test_all_problems_are_told_at_once() -> None:
    found = problems(
        {
            "CONVERSIONS_WINDOW_EVENTS": "0",
            "CONVERSIONS_NOPE": "1",
            "KAFKA_NOPE": "1",
            "SCHEMA_REGISTRY_NOPE": "1",
        },
        metrics_port=-1,
    )
    assert [sentence.split()[0] for sentence in found] == [
        "CONVERSIONS_NOPE",
        "CONVERSIONS_WINDOW_EVENTS",
        "CONVERSIONS_METRICS_PORT",
        "KAFKA_NOPE",
        "SCHEMA_REGISTRY_NOPE",
    ]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("CONVERSIONS_GROUPID", "is no setting; did you mean CONVERSIONS_GROUP_ID?"),
        ("CONVERSIONS_ACESS_TOKEN_FILE", "is no setting; did you mean CONVERSIONS_ACCESS_TOKEN_F"),
        ("CONVERSIONS_TOPIC_FILE", "is no setting; a file of its own is for secrets only"),
        ("CONVERSIONS_XYZZY", "is no setting"),
        ("KAFKA_BOOTSTRAP_SERVER", "names no property of librdkafka; did you mean KAFKA_BOOTSTRA"),
        ("KAFKA_LOG_LEVEL", "names no property of librdkafka; did you mean KAFKA_LOG__LEVEL?"),
        ("KAFKA_CONSUMER_FETCH_MIN_BYTE", "names no property of librdkafka; did you mean KAFKA_CO"),
        ("KAFKA_SASL_PASWORD_FILE", "names no property of librdkafka; did you mean KAFKA_SASL_PAS"),
        ("KAFKA_FILE", "names no property of librdkafka"),
        ("KAFKA_", "names no property of librdkafka"),
        ("KAFKA_sasl_password", "names no property of librdkafka; did you mean KAFKA_SASL_PASSWO"),
        ("KAFKA_REBALANCE_CB", "names no property of librdkafka"),
        (
            "KAFKA_SASL_JAAS_CONFIG",
            "names no property of librdkafka; KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD take",
        ),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_one(name: str, problem: str) -> None:
    (found,) = problems({name: CANARY})
    assert found.startswith(f"{name} {problem}")


KUBERNETES = {
    "KAFKA_SERVICE_HOST": "10.0.0.1",
    "KAFKA_SERVICE_PORT": "9092",
    "KAFKA_SERVICE_PORT_TCP_CLIENT": "9092",
    "KAFKA_PORT": "tcp://10.0.0.1:9092",
    "KAFKA_PORT_9092_TCP": "tcp://10.0.0.1:9092",
    "KAFKA_PORT_9092_TCP_PROTO": "tcp",
    "KAFKA_PORT_9092_TCP_PORT": "9092",
    "KAFKA_PORT_9092_TCP_ADDR": "10.0.0.1",
    "KAFKA_BOOTSTRAP_PORT_9092_TCP_ADDR": "10.0.0.1",
    "SCHEMA_REGISTRY_SERVICE_HOST": "10.0.0.2",
    "SCHEMA_REGISTRY_PORT": "tcp://10.0.0.2:8081",
    "SCHEMA_REGISTRY_PORT_8081_TCP": "tcp://10.0.0.2:8081",
    "CONVERSIONS_SERVICE_HOST": "10.0.0.3",
    "CONVERSIONS_PORT": "tcp://10.0.0.3:80",
    "CONVERSIONS_METRICS_SERVICE_HOST": "10.0.0.3",
    "CONVERSIONS_METRICS_PORT": "tcp://10.0.0.3:9108",
    "CONVERSIONS_METRICS_PORT_9108_UDP_PROTO": "udp",
}
JVM = {
    "KAFKA_HOME": "/opt/kafka",
    "KAFKA_OPTS": "-Dx=y",
    "KAFKA_HEAP_OPTS": "-Xmx1g",
    "KAFKA_LOG4J_OPTS": "-Dlog4j=x",
    "KAFKA_JMX_OPTS": "-Dcom.sun",
    "KAFKA_JMX_PORT": "9999",
}


def test_what_kubernetes_and_jvm_scripts_set_is_ignored() -> None:
    settings = load_settings({**KUBERNETES, "PATH": "/bin", "HOME": "/"})
    assert settings == load_settings({})
    assert settings.metrics_port == 9108
    assert load_settings({**JVM, "KAFKA_JMX_PORT": "9999"}) == load_settings({})


def test_only_an_address_makes_the_metrics_port_foreign() -> None:
    assert load_settings({"CONVERSIONS_METRICS_PORT": "9200"}).metrics_port == 9200


def test_a_service_link_in_the_settings_file_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("KAFKA_SERVICE_HOST: a\n")
    assert len(problems({"CONVERSIONS_SETTINGS_FILE": str(file)})) == 1


def test_an_empty_value_counts_as_not_set() -> None:
    names = [name for name, _, _ in describe()] + ["KAFKA_SASL_PASSWORD", "KAFKA_NOPE"]
    assert load_settings(dict.fromkeys(names, "")) == load_settings({})


# --- secrets in files ---


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    for name, text in {
        "token": f"{CANARY}\n",
        "user": "key:two\n\n",
        "pw": "pass word\r\n",
    }.items():
        (tmp_path / name).write_text(text, newline="")
    settings = load_settings(
        {
            "CONVERSIONS_ACCESS_TOKEN_FILE": str(tmp_path / "token"),
            "KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "pw"),
            "SCHEMA_REGISTRY_URL": "http://registry",
            "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO_FILE": str(tmp_path / "user"),
        }
    )
    assert settings.access_token == SecretStr(CANARY)
    assert settings.kafka_common == {"sasl.password": "pass word"}
    assert settings.schema_registry["basic.auth.user.info"] == "key:two\n"
    assert settings.watched_files == {
        "CONVERSIONS_ACCESS_TOKEN": tmp_path / "token",
        "KAFKA_SASL_PASSWORD": tmp_path / "pw",
        "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO": tmp_path / "user",
    }


@pytest.mark.parametrize("name", ["SASL_OAUTHBEARER_ASSERTION_FILE", "SSL_CA_LOCATION"])
def test_a_property_that_is_a_path_stays_a_path(name: str) -> None:
    settings = load_settings({f"KAFKA_{name}": "/nowhere"})
    assert settings.kafka_common == {name.lower().replace("_", "."): "/nowhere"}
    assert settings.watched_files == {}


def test_a_value_and_a_file_at_one_place_are_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    for name in ("CONVERSIONS_APP_SECRET", "KAFKA_SASL_PASSWORD"):
        environ = {name: "b", f"{name}_FILE": str(tmp_path / "a")}
        assert problems(environ) == (f"{name} and {name}_FILE are both set; keep one of them",)


def test_a_higher_place_wins_whichever_form_it_uses(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-file")
    (tmp_path / "settings.yaml").write_text(
        f"KAFKA_SASL_PASSWORD: low\nCONVERSIONS_APP_SECRET_FILE: {tmp_path / 'nowhere'}\n"
    )
    settings = load_settings(
        {
            "CONVERSIONS_SETTINGS_FILE": str(tmp_path / "settings.yaml"),
            "KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "secret"),
            "CONVERSIONS_APP_SECRET": "high",
        }
    )
    assert settings.kafka_common["sasl.password"] == "from-file"
    assert settings.app_secret == SecretStr("high")
    assert set(settings.watched_files) == {"KAFKA_SASL_PASSWORD"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"\xff\xfe", "cannot be read (not UTF-8 text)"),
        (b"x" * (1024 * 1024 + 1), "cannot be read (more than 1 MiB)"),
        (b"", "is empty"),
        (b"\n", "is empty"),
    ],
)
def test_a_secret_file_that_cannot_be_used_is_a_sentence(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    file = tmp_path / CANARY
    if content is not None:
        file.write_bytes(content)
    name = "KAFKA_SASL_PASSWORD_FILE"
    assert problems({name: str(file)}) == (f"the file that {name} names {reason}",)


def test_a_folder_and_a_name_that_is_no_path_are_sentences_too(tmp_path: Path) -> None:
    for path in (tmp_path, Path("a\0b"), Path("x" * 5000)):
        with pytest.raises(UnreadableFile, match=r"^cannot be read \("):
            read_secret_file(path)


def test_a_secret_can_be_asked_for_again_after_it_was_replaced(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("one\n")
    settings = load_settings({"KAFKA_SASL_PASSWORD_FILE": str(file), "CONVERSIONS_APP_SECRET": "s"})
    password = settings.rotating_secret("KAFKA_SASL_PASSWORD")
    assert password.current() == SecretStr("one")
    file.write_text("three\n")
    assert password.current() == SecretStr("three")
    assert settings.rotating_secret("CONVERSIONS_APP_SECRET").current() == SecretStr("s")
    assert settings.rotating_secret("CONVERSIONS_ACCESS_TOKEN").current() is None


# --- Kafka ---


def test_a_property_goes_to_the_clients_that_know_it() -> None:
    settings = load_settings(
        {
            "KAFKA_BOOTSTRAP_SERVERS": "a:1",
            "KAFKA_CLIENT_ID": "all",
            "KAFKA_FETCH_MIN_BYTES": "10",
            "KAFKA_COMPRESSION_TYPE": "lz4",
            "KAFKA_LOG__LEVEL": "7",
            "KAFKA_CONSUMER_CLIENT_ID": "reader",
            "KAFKA_PRODUCER_MESSAGE_MAX_BYTES": "2000000",
        }
    )
    assert settings.kafka_common == {
        "bootstrap.servers": "a:1",
        "client.id": "all",
        "log_level": "7",
    }
    assert settings.kafka_consumer == {
        "bootstrap.servers": "a:1",
        "client.id": "reader",
        "log_level": "7",
        "fetch.min.bytes": "10",
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "max.poll.interval.ms": "300000",
        "partition.assignment.strategy": "cooperative-sticky",
        "queued.max.messages.kbytes": "16384",
        "enable.auto.commit": "false",
        "enable.auto.offset.store": "false",
        "enable.partition.eof": "true",
        "group.id": "conversions-consumer",
    }
    assert settings.kafka_producer == {
        "bootstrap.servers": "a:1",
        "client.id": "all",
        "log_level": "7",
        "compression.type": "lz4",
        "linger.ms": "5",
        "message.max.bytes": "2000000",
        "partitioner": "murmur2_random",
        "acks": "all",
        "enable.idempotence": "true",
    }


def test_a_default_of_ours_may_be_overridden_under_either_name() -> None:
    settings = load_settings(
        {
            "KAFKA_AUTO_OFFSET_RESET": "latest",
            "KAFKA_QUEUE_BUFFERING_MAX_MS": "50",
            "KAFKA_PRODUCER_RETRIES": "9",
            "KAFKA_MESSAGE_SEND_MAX_RETRIES": "3",
        }
    )
    assert settings.kafka_consumer["auto.offset.reset"] == "latest"
    assert settings.kafka_producer["queue.buffering.max.ms"] == "50"
    assert "linger.ms" not in settings.kafka_producer
    assert settings.kafka_producer["retries"] == "9"
    assert "message.send.max.retries" not in settings.kafka_producer


@pytest.mark.parametrize(
    ("variable", "fine", "wrong", "problem"),
    [
        ("KAFKA_ENABLE_AUTO_COMMIT", "False", "true", "must be false or left out: that no record"),
        ("KAFKA_AUTO_COMMIT_ENABLE", "0", "1", "must be false or left out: that no record"),
        ("KAFKA_CONSUMER_ENABLE_AUTO_OFFSET_STORE", "f", "T", "must be false or left out: that"),
        ("KAFKA_ENABLE_PARTITION_EOF", "1", "0", "must be true or left out: that no record"),
        ("KAFKA_ACKS", "-1", "1", "must be all or left out: that no record"),
        ("KAFKA_PRODUCER_REQUEST_REQUIRED_ACKS", "all", "0", "must be all or left out: that"),
        ("KAFKA_ENABLE_IDEMPOTENCE", "true", "false", "must be true or left out: that no record"),
        (
            "KAFKA_GROUP_ID",
            "conversions-consumer",
            "other",
            "must be left out: CONVERSIONS_GROUP_ID names the group",
        ),
    ],
)
def test_a_property_that_a_promise_rests_on_is_ours_alone(
    variable: str, fine: str, wrong: str, problem: str
) -> None:
    settings, plain = load_settings({variable: fine}), load_settings({})
    assert settings.kafka_consumer == plain.kafka_consumer
    assert settings.kafka_producer == plain.kafka_producer
    (found,) = problems({variable: wrong})
    assert found.startswith(f"{variable} {problem}")


@pytest.mark.parametrize(
    ("variable", "problem"),
    [
        ("KAFKA_TRANSACTIONAL_ID", "must be left out: replay alone uses transactions, under an id"),
        ("KAFKA_DELIVERY_REPORT_ONLY_ERROR", "must be left out: every dead letter waits for its"),
        (
            "KAFKA_CONSUMER_LINGER_MS",
            "sets a property of the producer; set KAFKA_PRODUCER_LINGER_MS instead",
        ),
        (
            "KAFKA_PRODUCER_GROUP_ID",
            "sets a property of the consumer; set KAFKA_CONSUMER_GROUP_ID instead",
        ),
        ("KAFKA_MAX_POLL_INTERVAL_MS", "must be a whole number of milliseconds"),
    ],
)
def test_a_property_that_would_do_harm_or_nothing_is_refused(variable: str, problem: str) -> None:
    (found,) = problems({variable: "x"})
    assert found.startswith(f"{variable} {problem}")


NO_PROXY_ADDRESS = " must be the address of an HTTP proxy, like http://proxy.example:3128"
NO_IPV6 = "NO_PROXY must hold IPv6 addresses as they are, without brackets or prefix length"
NO_CERTIFICATES = "SSL_CERT_FILE must name a file of certificates (PEM) that can be read"


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"HTTPS_PROXY": f"socks5://me:{CANARY}@proxy:1080"}, f"HTTPS_PROXY{NO_PROXY_ADDRESS}"),
        ({"https_proxy": f"http://me:{CANARY}@proxy:port"}, f"https_proxy{NO_PROXY_ADDRESS}"),
        ({"ALL_PROXY": "http://"}, f"ALL_PROXY{NO_PROXY_ADDRESS}"),
        ({"HTTP_PROXY": "http://proxy:0"}, f"HTTP_PROXY{NO_PROXY_ADDRESS}"),
        ({"NO_PROXY": "kafka,[::1]"}, NO_IPV6),
        ({"NO_PROXY": "registry, fd00::/8"}, NO_IPV6),
        ({"SSL_CERT_FILE": "/nowhere/ca.crt"}, NO_CERTIFICATES),
        ({"SSL_CERT_FILE": __file__}, NO_CERTIFICATES),
        ({"SSL_CERT_DIR": "/nowhere/certs"}, "SSL_CERT_DIR must name a folder that exists"),
    ],
)
def test_a_way_out_that_cannot_be_used_is_a_sentence(environ: dict[str, str], problem: str) -> None:
    assert problems(environ) == (problem,)


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTPS_PROXY": "http://me:p%40ss@proxy.example:3128", "http_proxy": "proxy.example:3128"},
        {"ALL_PROXY": "https://proxy.example", "HTTPS_PROXY": ""},
        {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a, .b.example,10.0.0.0/8,::1,host:8080,*.c,"},
        {"HTTPS_PROXY": "http://[::1]:3128", "NO_PROXY": "*"},
    ],
)
def test_a_way_out_that_is_taken_here_is_taken_by_the_library(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_settings(environ)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    egress_to("https://graph.example", transport=None).client.close()


TOKENS = {"KAFKA_SASL_MECHANISM": "OAUTHBEARER"}


@pytest.mark.parametrize(
    "environ",
    [
        TOKENS,
        {"KAFKA_PRODUCER_SASL_MECHANISMS": "OAUTHBEARER"},
        TOKENS | {"KAFKA_SASL_OAUTHBEARER_METHOD": "default"},
    ],
)
def test_a_mechanism_without_anybody_who_fetches_tokens_is_refused(environ: dict[str, str]) -> None:
    wanted = "KAFKA_SASL_OAUTHBEARER_METHOD must be oidc when the mechanism is OAUTHBEARER"

    assert problems(environ) == (wanted,)
    load_settings(environ | {"KAFKA_SASL_OAUTHBEARER_METHOD": "oidc"})


def test_who_fetches_tokens_searches_for_the_systems_certificates_unless_some_are_named() -> None:
    oidc = TOKENS | {"KAFKA_SASL_OAUTHBEARER_METHOD": "oidc"}
    named = load_settings(oidc | {"KAFKA_HTTPS_CA_LOCATION": "/ca.crt"})
    given = load_settings(oidc | {"KAFKA_HTTPS_CA_PEM": "certificates"})
    unnamed, without = load_settings(oidc), load_settings({})

    for kind in ("kafka_common", "kafka_consumer", "kafka_producer"):
        assert getattr(unnamed, kind)["https.ca.location"] == "probe"
        assert getattr(named, kind)["https.ca.location"] == "/ca.crt"
        assert "https.ca.location" not in getattr(given, kind)
        assert "https.ca.location" not in getattr(without, kind)


def test_the_new_group_protocol_leaves_out_what_the_brokers_decide() -> None:
    consumer = load_settings({"KAFKA_GROUP_PROTOCOL": "consumer"}).kafka_consumer
    assert consumer["group.protocol"] == "consumer"
    assert consumer.keys().isdisjoint(
        ("partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms")
    )


@pytest.mark.parametrize(
    ("variable", "why"),
    [
        ("KAFKA_SESSION_TIMEOUT_MS", "the brokers decide it"),
        ("KAFKA_CONSUMER_HEARTBEAT_INTERVAL_MS", "the brokers decide it"),
        ("KAFKA_PARTITION_ASSIGNMENT_STRATEGY", "KAFKA_GROUP_REMOTE_ASSIGNOR takes its place"),
        ("KAFKA_GROUP_PROTOCOL_TYPE", "librdkafka refuses it"),
    ],
)
def test_the_new_group_protocol_refuses_what_the_brokers_decide(variable: str, why: str) -> None:
    found = problems({"KAFKA_CONSUMER_GROUP_PROTOCOL": "Consumer", variable: "x"})
    assert found == (f"{variable} must be left out with KAFKA_GROUP_PROTOCOL=consumer: {why}",)
    assert load_settings({variable: "x"}).kafka_consumer


def test_both_clients_take_their_configuration_without_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The real clients: they log a warning for a property that belongs to the other one."""
    environ = {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "KAFKA_RECONNECT_BACKOFF_MS": "10000",
        "KAFKA_SESSION_TIMEOUT_MS": "45000",
        "KAFKA_LINGER_MS": "1",
    }
    log = logging.getLogger("test.librdkafka")
    for more in ({}, {"KAFKA_GROUP_PROTOCOL": "consumer", "KAFKA_SESSION_TIMEOUT_MS": ""}):
        settings = load_settings(environ | more)
        reader = Consumer(settings.kafka_consumer, logger=log)
        writer = Producer(settings.kafka_producer, logger=log)
        reader.poll(0.01)
        writer.poll(0.01)
        reader.close()
    assert [line for line in caplog.messages if "CONFWARN" in line] == []
    wrong = Producer({**settings.kafka_producer, "fetch.min.bytes": "1"}, logger=log)
    wrong.poll(0.01)
    assert [line for line in caplog.messages if "CONFWARN" in line] != []


def _installed_properties(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Name and client (C, P or *) of what the installed librdkafka says it knows."""
    library, libc = ctypes.CDLL(confluent_kafka.cimpl.__file__), ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    libc.fclose.argtypes = library.rd_kafka_conf_properties_show.argtypes = [ctypes.c_void_p]
    target = tmp_path / "properties.md"
    stream = libc.fopen(os.fsencode(target), b"w")
    library.rd_kafka_conf_properties_show(stream)
    libc.fclose(stream)
    for line in target.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 5 and cells[1] in ("C", "P", "*") and "see dedicated API" not in line:
            yield cells[0], cells[1]


def test_the_installed_librdkafka_knows_the_same_properties(tmp_path: Path) -> None:
    installed = dict(_installed_properties(tmp_path))
    assert len(installed) > 150
    for ours, client in ((CONSUMER_ONLY, "C"), (PRODUCER_ONLY, "P")):
        assert ours == {name for name, found in installed.items() if found == client}
    hidden = SHARED - {name for name, found in installed.items() if found == "*"}
    assert {name for name, found in installed.items() if found == "*"} <= SHARED
    assert "test.mock.num.brokers" in hidden


def test_the_installed_librdkafka_accepts_every_name_and_alias() -> None:
    library = ctypes.CDLL(confluent_kafka.cimpl.__file__)
    library.rd_kafka_conf_new.restype = ctypes.c_void_p
    library.rd_kafka_conf_set.argtypes = [ctypes.c_void_p, *[ctypes.c_char_p] * 3, ctypes.c_size_t]
    library.rd_kafka_conf_destroy.argtypes = [ctypes.c_void_p]
    reason = ctypes.create_string_buffer(256)
    unknown = -2
    names = SHARED | CONSUMER_ONLY | PRODUCER_ONLY
    assert set(ALIASES) | set(ALIASES.values()) <= names
    conf = library.rd_kafka_conf_new()
    for name in sorted(names):
        answer = library.rd_kafka_conf_set(conf, name.encode(), b"\x01", reason, 256)
        assert answer != unknown, name
    assert library.rd_kafka_conf_set(conf, b"no.such.name", b"1", reason, 256) == unknown
    library.rd_kafka_conf_destroy(conf)


# --- schema registry ---


def test_without_an_url_there_is_no_registry() -> None:
    assert load_settings({}).schema_registry == {}


def test_the_registrys_client_takes_its_configuration() -> None:
    settings = load_settings(
        {
            "SCHEMA_REGISTRY_URL": "http://127.0.0.1:1,http://127.0.0.1:2/",
            "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO": "user:pass",
            "SCHEMA_REGISTRY_MAX_RETRIES": "2",
            "SCHEMA_REGISTRY_CACHE_LATEST_TTL_SEC": "2.5",
        }
    )
    assert settings.schema_registry == {
        "timeout": 10.0,
        "url": "http://127.0.0.1:1,http://127.0.0.1:2/",
        "basic.auth.user.info": "user:pass",
        "max.retries": 2,
        "cache.latest.ttl.sec": 2.5,
    }
    with SchemaRegistryClient(settings.schema_registry) as client:
        assert client is not None


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        (
            {"SCHEMA_REGISTRY_URLS": "http://a"},
            "SCHEMA_REGISTRY_URLS names no property of the registry's client; did you mean"
            " SCHEMA_REGISTRY_URL?",
        ),
        (
            {"SCHEMA_REGISTRY_TIMEOUT": "1"},
            "SCHEMA_REGISTRY_URL must be set when another SCHEMA_REGISTRY_ variable is",
        ),
        (
            {"SCHEMA_REGISTRY_URL": "http://a", "SCHEMA_REGISTRY_TIMEOUT": "soon"},
            "SCHEMA_REGISTRY_TIMEOUT must be a number",
        ),
        (
            {"SCHEMA_REGISTRY_URL": "http://a,b"},
            "SCHEMA_REGISTRY_URL must begin with http:// or https://",
        ),
        (
            {"SCHEMA_REGISTRY_URL": f"http://user:{CANARY}@a"},
            "SCHEMA_REGISTRY_URL must not hold a user or password;"
            " SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO is the place for them",
        ),
        (
            {"SCHEMA_REGISTRY_URL": "http://a", "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO": CANARY},
            "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO must be user:password",
        ),
        (
            {"SCHEMA_REGISTRY_URL": "http://a", "SCHEMA_REGISTRY_SSL_KEY_LOCATION": "k"},
            "SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION must be set together with its key",
        ),
    ],
)
def test_a_mistake_about_the_registry_is_told(environ: dict[str, str], problem: str) -> None:
    assert problems(environ)[-1] == problem


def test_a_java_property_is_answered_with_ours() -> None:
    name = "SCHEMA_REGISTRY_BASIC_AUTH_CREDENTIALS_SOURCE"
    (found,) = problems({"SCHEMA_REGISTRY_URL": "http://a", name: "USER_INFO"})
    assert found.endswith("; SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO alone is enough")


# --- what commands need ---


def test_brokers_are_needed_only_where_a_command_says_so() -> None:
    load_settings({"KAFKA_BOOTSTRAP_SERVERS": "a:1"}).require_kafka()
    load_settings({"KAFKA_METADATA_BROKER_LIST": "a:1"}).require_kafka()
    with pytest.raises(SettingsError, match=r"^KAFKA_BOOTSTRAP_SERVERS must be set$"):
        load_settings({}).require_kafka()


def test_destinations_are_needed_only_where_a_command_says_so() -> None:
    load_settings({"CONVERSIONS_DESTINATIONS_FILE": "d.yaml"}).require_destinations()
    pixel = {"CONVERSIONS_PIXEL_ID": "1"}
    load_settings({**pixel, "CONVERSIONS_ACCESS_TOKEN": "t"}).require_destinations()
    with pytest.raises(SettingsError, match="CONVERSIONS_ACCESS_TOKEN_FILE must be set when"):
        load_settings(pixel).require_destinations()
    with pytest.raises(SettingsError, match="_DESTINATIONS_FILE or CONVERSIONS_PIXEL_ID must be"):
        load_settings({}).require_destinations()


# --- documentation and logs ---


def test_each_variable_is_described_in_one_sentence() -> None:
    rows = describe()
    assert ("CONVERSIONS_WINDOW_BYTES", "4MiB") in {row[:2] for row in rows}
    assert ("CONVERSIONS_COMMIT_SECONDS", "1") in {row[:2] for row in rows}
    assert ("CONVERSIONS_GRAPH_URL_INSECURE", "false") in {row[:2] for row in rows}
    for variable, default, sentence in rows:
        assert sentence.endswith("."), variable
        assert sentence.count(". ") == 0, variable
        if default:
            assert load_settings({variable: default}).model_dump() == Settings().model_dump(), (
                variable
            )


def test_each_field_says_what_it_must_be() -> None:
    assert all(expected(field) for field in Settings.model_fields.values())
    assert {"access_token", "app_secret"} == SECRETS


def test_the_log_line_tells_all_but_secrets() -> None:
    masked = load_settings(
        {
            "CONVERSIONS_APP_SECRET": CANARY,
            "CONVERSIONS_WINDOW_SECONDS": "0.5",
            "KAFKA_SASL_USERNAME": "reader",
            "KAFKA_SASL_PASSWORD": CANARY,
        }
    ).masked()
    assert masked["CONVERSIONS_APP_SECRET"] == "set"
    assert "CONVERSIONS_ACCESS_TOKEN" not in masked
    assert masked["CONVERSIONS_WINDOW_SECONDS"] == "0.5"
    assert masked["CONVERSIONS_IN_FLIGHT_BYTES"] == "256MiB"
    assert masked["KAFKA_SASL_USERNAME"] == "reader"
    assert masked["KAFKA_SASL_PASSWORD"] == "set"


SECRET_VARIABLES = [
    "CONVERSIONS_ACCESS_TOKEN",
    "CONVERSIONS_APP_SECRET",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_CONSUMER_SASL_PASSWORD",
    "KAFKA_SSL_KEY_PASSWORD",
    "KAFKA_SSL_KEYSTORE_PASSWORD",
    "KAFKA_SSL_KEY_PEM",
    "KAFKA_SASL_OAUTHBEARER_CONFIG",
    "KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET",
    "KAFKA_SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_PASSPHRASE",
    "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO",
    "SCHEMA_REGISTRY_BEARER_AUTH_TOKEN",
    "SCHEMA_REGISTRY_BEARER_AUTH_CLIENT_SECRET",
    "SCHEMA_REGISTRY_SSL_KEY_PASSWORD",
    "SCHEMA_REGISTRY_PROXY",
]


@pytest.mark.parametrize("variable", SECRET_VARIABLES)
def test_no_secret_shows_in_what_people_print(
    variable: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
    caplog.set_level(logging.DEBUG)
    environ = {
        variable: f"u:{CANARY}",
        "SCHEMA_REGISTRY_URL": "http://registry",
        "SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION": "c",
    }
    settings = load_settings(environ)
    printed = (
        repr(settings),
        str(settings),
        str(settings.masked()),
        settings.model_dump_json(),
        repr(settings.rotating_secret(variable)),
        repr(settings._variables),
        caplog.text,
    )
    assert "set" in settings.masked()[variable]
    assert "Resolving settings" in caplog.text
    for text in printed:
        assert CANARY not in text


@pytest.mark.parametrize("variable", [*SECRET_VARIABLES, "CONVERSIONS_PIXEL_ID", "KAFKA_NOPE"])
def test_no_secret_shows_in_a_complaint_nor_in_its_traceback(variable: str) -> None:
    environ = {variable: f"{CANARY} {CANARY}", "CONVERSIONS_WINDOW_EVENTS": "0"}
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_the_processs_environment_is_never_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONVERSIONS_TOPIC", "TOPIC", "topic", "KAFKA_CLIENT_ID"):
        monkeypatch.setenv(name, "from-the-process")
    settings = load_settings({})
    assert settings.topic == Settings().topic == "conversions.events"
    assert settings.kafka_common == {}


def test_settings_do_not_change() -> None:
    settings = load_settings({})
    with pytest.raises(ValidationError, match="frozen"):
        settings.topic = "other"
    settings.kafka_consumer["group.id"] = "other"
    assert settings.kafka_consumer["group.id"] == "conversions-consumer"

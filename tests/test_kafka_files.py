"""That a restart is due is told of each file that Kafka's clients read once, and of no other."""

from pathlib import Path

import pytest

from consumer.kafka_files import KafkaFiles
from consumer.settings import load_settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ca.crt", "tls.crt", "tls.key", "key-password", "password", "client-secret"):
        (tmp_path / name).write_text(f"{name} of old")
    return tmp_path


def files_of(folder: Path) -> KafkaFiles:
    return KafkaFiles(
        load_settings(
            {
                "KAFKA_SSL_CA_LOCATION": str(folder / "ca.crt"),
                "KAFKA_SSL_CERTIFICATE_LOCATION": str(folder / "tls.crt"),
                "KAFKA_PRODUCER_SSL_KEY_LOCATION": str(folder / "tls.key"),
                "KAFKA_SSL_KEY_PASSWORD_FILE": str(folder / "key-password"),
                "KAFKA_SASL_PASSWORD_FILE": str(folder / "password"),
                "KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET_FILE": str(folder / "client-secret"),
            }
        )
    )


def test_a_file_that_changes_is_told_once_by_its_variable(folder: Path) -> None:
    files = files_of(folder)
    assert files.changed() == []

    (folder / "tls.crt").write_text("another certificate")
    (folder / "client-secret").write_text("another secret")

    names = ["KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET", "KAFKA_SSL_CERTIFICATE_LOCATION"]
    assert sorted(files.changed()) == names
    assert files.changed() == []
    (folder / "tls.key").write_text("another key")
    assert files.changed() == ["KAFKA_SSL_KEY_LOCATION"]


def test_a_file_that_is_gone_is_told_when_another_one_is_there(folder: Path) -> None:
    files = files_of(folder)
    (folder / "ca.crt").unlink()
    assert files.changed() == []
    (folder / "ca.crt").write_text("another authority")
    assert files.changed() == ["KAFKA_SSL_CA_LOCATION"]


def test_what_is_passed_on_while_we_run_needs_no_restart(folder: Path) -> None:
    files = files_of(folder)
    (folder / "password").write_text("another password")
    assert files.changed() == []


def test_without_files_there_is_nothing_to_look_at() -> None:
    assert KafkaFiles(load_settings({})).changed() == []

"""``conversions dlq export`` on librdkafka's own mock broker: what becomes a line, what is told."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from consumer.dlq_export import ExportFailed, run_export
from consumer.letter_filter import letter_filter
from consumer.model import Header, Reason, Record
from consumer.settings import load_settings
from tests.fakes.events import NOW_MS, TOPIC, a_record
from tests.fakes.letters import a_foreign, a_mark, rejected, stored
from tests.test_cli_dlq import NOW, ROOT, VALUE, Broker

EVERYTHING = letter_filter(now_ms=NOW_MS)


def letter(number: int, *, value: bytes | None = VALUE, more: tuple[Header, ...] = ()) -> Record:
    refused = rejected(
        record=a_record(offset=number, value=value),
        reason=Reason.MISSING_CURRENCY,
        event_id=f"order_{number}",
    )
    return stored(refused, partition=0, more=more)


@pytest.fixture(scope="module")
def broker() -> Broker:
    found = Broker()
    foreign = a_foreign()
    found.write(
        letter(0),
        letter(1),
        letter(2, value=b"no Avro"),
        letter(3, more=(("conversions.sealed", b"k1"),)),
        letter(4, value=None, more=(("conversions.by_reference", b"true"),)),
        a_record(partition=0, headers=foreign.headers, value=b"\x07theirs"),
        a_mark(f"{TOPIC}:0:1:{NOW_MS}", "1", partition=2),
        letter(5),
    )
    return found


def export(broker: Broker, *, limit: int | None = None) -> None:
    settings = load_settings({"KAFKA_BOOTSTRAP_SERVERS": broker.address})
    run_export(settings, EVERYTHING, limit=limit, now_ms=NOW_MS, unseal=None)


def test_each_letter_is_a_line_or_is_counted(
    broker: Broker, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    export(broker)

    out, err = capfdbinary.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["conversions"]["eventId"] for line in lines] == ["order_0", "order_2", "order_5"]
    assert [line["conversions"].get("valueHex") for line in lines] == [None, b"no Avro".hex(), None]
    told = err.decode().splitlines()
    assert told[0].startswith("conversions: personal data is exported in full")
    assert set(told[1:]) == {
        "conversions: 3 dead letters exported",
        "conversions: 1 of them in hex, as they cannot be decoded",
        "conversions: 1 left out: it was replayed already",
        "conversions: 1 left out: its value is sealed, and no key opens it",
        "conversions: 1 left out: its value lies only in the source topic: `dlq replay` fetches it",
        "conversions: 1 left out: somebody else wrote it",
    }


def test_no_more_than_the_limit(broker: Broker, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    export(broker, limit=1)

    out, err = capfdbinary.readouterr()
    assert len(out.splitlines()) == 1
    assert b"1 dead letter exported" in err


def test_a_registry_that_does_not_answer_ends_it_rather_than_hex(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    broker = Broker()
    broker.write(letter(0, value=b"\x00\x00\x00\x00\x07abc"))
    settings = load_settings(
        {
            "KAFKA_BOOTSTRAP_SERVERS": broker.address,
            "SCHEMA_REGISTRY_URL": "http://127.0.0.1:9",
            "SCHEMA_REGISTRY_MAX_RETRIES": "0",
        }
    )

    with pytest.raises(ExportFailed, match=r"^the schema registry cannot be asked"):
        run_export(settings, EVERYTHING, limit=None, now_ms=NOW_MS, unseal=None)
    assert capfdbinary.readouterr().out == b""


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o600, False)])
def test_a_file_that_others_may_read_is_told(
    broker: Broker, tmp_path: Path, mode: int, warned: bool
) -> None:
    file = tmp_path / "broken.jsonl"
    file.touch()
    file.chmod(mode)
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("CONVERSIONS_", "KAFKA_", "SCHEMA_REGISTRY_"))
    }
    with file.open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", "consumer", "dlq", "export", "--now", NOW],
            env={**kept, "PYTHONPATH": str(ROOT), "KAFKA_BOOTSTRAP_SERVERS": broker.address},
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert ("others may read it" in done.stderr) == warned
    assert len(file.read_bytes().splitlines()) == 3

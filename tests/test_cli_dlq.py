"""``conversions dlq`` as a process and as a library, on librdkafka's own mock broker.

That broker keeps no timestamps: ``--since`` is tried on the real one.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from confluent_kafka import Producer

from consumer.dead_letter_topic import DeadLetterTopic, TopicUnreadable
from consumer.dlq import letters
from consumer.encode import EventEncoder
from consumer.letter import LetterPlace
from consumer.letter_filter import letter_filter
from consumer.model import Reason, Record
from consumer.replayable import Replays
from consumer.settings import load_settings
from tests.fakes.events import NOW_MS, TOPIC, a_record
from tests.fakes.letters import DLQ_TOPIC, a_foreign, a_mark, rejected, stored
from tests.test_letter_pages import CANARIES, EVENT

ROOT = Path(__file__).parent.parent
PARTITIONS = 4  # what the mock broker gives a new topic
NOW = "2025-10-09T08:53:20Z"
VALUE = EventEncoder(schema_id=None).encode(dict(EVENT))


class Broker:
    """A mock broker with a dead-letter topic."""

    def __init__(self) -> None:
        self._mock = Producer({"test.mock.num.brokers": "1", "log_level": 0})
        broker = next(iter(self._mock.list_topics(timeout=10).brokers.values()))
        self.address = f"{broker.host}:{broker.port}"
        self._mock.list_topics(DLQ_TOPIC, timeout=10)
        self._producer = Producer({"bootstrap.servers": self.address, "log_level": 0})

    def write(self, *records: Record) -> None:
        """Put records where they say that they lie."""
        for record in records:
            self._producer.produce(
                DLQ_TOPIC,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
                timestamp=record.timestamp_ms,
                partition=record.partition.partition,
            )
        assert self._producer.flush(30) == 0

    def topic(self, name: str = DLQ_TOPIC) -> DeadLetterTopic:
        settings = load_settings({"KAFKA_BOOTSTRAP_SERVERS": self.address})
        return DeadLetterTopic(configuration=settings.kafka_consumer, topic=name)


def letter_record(number: int, reason: Reason, *, partition: int) -> Record:
    record = a_record(offset=number, value=VALUE)
    refused = rejected(record=record, reason=reason, event_id=f"order_{number}")
    return stored(refused, partition=partition, failed_at_ms=NOW_MS - 1000 * number)


@pytest.fixture(scope="module")
def broker() -> Broker:
    """Six letters, two of them replayed, one foreign record."""
    found = Broker()
    for number in range(6):
        reason = Reason.REFUSED_BY_META if number % 2 else Reason.MISSING_CURRENCY
        found.write(letter_record(number, reason, partition=number % 2))
    foreign = a_foreign()
    found.write(
        a_record(
            partition=3, headers=foreign.headers, value=b"\x07theirs", timestamp_ms=NOW_MS - DAY
        ),
        a_mark(f"{TOPIC}:0:0:{NOW_MS}", "1", partition=2),
        a_mark(f"{TOPIC}:0:1:{NOW_MS}", "1", partition=2),
    )
    return found


DAY = 24 * 3600 * 1000


def run(
    broker: Broker | None, *arguments: str, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    own = ("CONVERSIONS_", "KAFKA_", "SCHEMA_REGISTRY_")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(own)}
    brokers = {"KAFKA_BOOTSTRAP_SERVERS": broker.address} if broker else {}
    done = subprocess.run(
        [sys.executable, "-m", "consumer", "dlq", *arguments],
        env={**kept, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **brokers, **(more or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr, "colours only on a terminal"
    if "--reveal" not in arguments:
        assert not any(canary in done.stdout + done.stderr for canary in CANARIES)
    return done


def places(broker: Broker, *arguments: str) -> list[str]:
    done = run(broker, "list", "--json", "--now", NOW, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [f"{each['partition']}:{each['offset']}" for each in found]


# --- the library --------------------------------------------------------------------------------


def test_a_topic_is_read_to_its_end_with_its_progress(broker: Broker) -> None:
    progress: list[tuple[int, int]] = []

    records = list(
        broker.topic().read(
            since_ms=None, partitions=None, progress=lambda *both: progress.append(both)
        )
    )

    assert len(records) == 9
    for partition in range(PARTITIONS):
        offsets = [r.offset for r in records if r.partition.partition == partition]
        assert offsets == sorted(offsets)
    assert progress[0] == (0, 9)
    assert progress[-1] == (9, 9)


def test_some_partitions_can_be_read_alone_and_reading_can_be_stopped(broker: Broker) -> None:
    wanted = frozenset({1, 77})
    records = broker.topic().read(since_ms=None, partitions=wanted, progress=lambda *_: None)

    assert next(records).partition.partition == 1
    records.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("place", [LetterPlace(0, 3), LetterPlace(0, 2**60), LetterPlace(77, 0)])
def test_where_there_is_nothing_nothing_is_found(broker: Broker, place: LetterPlace) -> None:
    assert broker.topic().read_one(place) is None


def test_one_record_is_found_at_its_place(broker: Broker) -> None:
    record = broker.topic().read_one(LetterPlace(1, 2))

    assert record is not None
    assert (record.partition.partition, record.offset) == (1, 2)
    assert dict(record.headers)["conversions.event_id"] == b"order_5"


def test_letters_are_chosen_and_marks_are_noted_as_a_library(broker: Broker) -> None:
    replays = Replays()
    wanted = letter_filter(reason=["refused_by_meta"], now_ms=NOW_MS)

    found = list(
        letters(broker.topic(), wanted, now_ms=NOW_MS, progress=lambda *_: None, replays=replays)
    )

    assert {str(each.place) for each in found} == {"1:0", "1:1", "1:2"}
    assert [str(each.place) for each in found if replays.has(each)] == ["1:0"]  # type: ignore[arg-type]


def test_brokers_that_are_not_there_are_one_sentence() -> None:
    settings = load_settings({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    topic = DeadLetterTopic(configuration=settings.kafka_consumer, topic=DLQ_TOPIC)

    with pytest.raises(TopicUnreadable, match="no broker answered within 10 seconds"):
        topic.read_one(LetterPlace(0, 0))


# --- the commands -------------------------------------------------------------------------------


def test_stats_count_what_is_there(broker: Broker) -> None:
    done = run(broker, "stats", "--json", "--now", NOW)

    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (told["deadLetters"], told["foreign"], told["replayed"]) == (6, 1, 2)
    assert told["byReason"] == {"missing_currency": 3, "refused_by_meta": 3}
    assert told["replayable"]["count"] == 4


def test_stats_are_a_page_for_people(broker: Broker) -> None:
    done = run(broker, "stats", "--now", NOW, "--stage", "send")

    assert done.stdout.startswith("3 dead letters in conversions.events.dlq, from 2025-10-09 08:53")
    assert "2 can still be replayed" in done.stdout
    assert "1 were replayed already." in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_a_list_has_a_line_each(broker: Broker) -> None:
    done = run(broker, "list", "--event-name", "Purchase", "--limit", "2", "--partition", "0")

    assert done.returncode == 0
    head, *lines = done.stdout.splitlines()
    assert head.split()[0] == "place"
    assert [line.split()[:4] for line in lines] == [
        ["0:0", "2025-10-09", "08:53", "missing_currency"],
        ["0:1", "2025-10-09", "08:53", "missing_currency"],
    ]


def test_a_list_can_be_of_what_is_replayable_and_begin_with_the_newest(broker: Broker) -> None:
    assert places(broker, "--newest") == ["0:0", "1:0", "0:1", "1:1", "0:2", "1:2", "3:0"]
    assert places(broker, "--newest", "--limit", "1", "--stage", "send") == ["1:0"]
    assert sorted(places(broker, "--replayable")) == ["0:1", "0:2", "1:1", "1:2"]


@pytest.mark.parametrize("which", ["1:2", "order_5"])
def test_one_is_shown_by_place_or_event_id(broker: Broker, which: str) -> None:
    done = run(broker, "show", which)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Dead letter 1:2 of conversions.events.dlq\n")
    assert '"email": "(masked)"' in done.stdout


def test_of_several_with_one_trace_id_the_newest_is_shown_and_the_others_named(
    broker: Broker,
) -> None:
    done = run(broker, "show", "Atrace", "--json")

    assert json.loads(done.stdout)["offset"] == 0
    assert done.stderr == "conversions: the newest of 3; see also 1:1, 1:2\n"


def test_reveal_shows_it_in_full_and_says_so(broker: Broker) -> None:
    done = run(broker, "show", "1:2", "--reveal", "--json")

    assert json.loads(done.stdout)["event"]["user"]["email"] == "jane@example.com"
    assert done.stderr == "conversions: personal data is shown in full\n"


def test_a_foreign_one_is_shown_with_its_bytes_as_hex(broker: Broker) -> None:
    done = run(broker, "show", "3:0", "--json")

    told = json.loads(done.stdout)
    assert (told["family"], told["undecoded"]["hex"]) == ("Kafka Connect", "07 74")


@pytest.mark.parametrize(
    ("which", "sentence"),
    [
        ("2:0", "at 2:0 of conversions.events.dlq is the mark of a replay"),
        ("0:99", "there is no record at 0:99 of conversions.events.dlq"),
        (
            "order_99",
            "no dead letter has that trace id or event id (an id like a person's is masked)",
        ),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(broker: Broker, which: str, sentence: str) -> None:
    done = run(broker, "show", which)

    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"conversions: {sentence}\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("list", "--reason", "exipred"), "--reason is none of the reasons; did you mean expired?"),
        (("stats", "--since", "soon"), "--since must be like 30m, 2h, 3d or 2026-11-22T12:00:00Z"),
    ],
)
def test_a_mistake_is_exit_2(broker: Broker, arguments: tuple[str, ...], sentence: str) -> None:
    done = run(broker, *arguments)

    assert (done.returncode, done.stderr) == (2, f"conversions: {sentence}\n")


def test_without_brokers_it_is_said_what_is_missing() -> None:
    done = run(None, "stats")

    assert done.returncode == 2
    assert done.stderr == "conversions: KAFKA_BOOTSTRAP_SERVERS must be set\n"


def test_brokers_that_do_not_answer_are_exit_1() -> None:
    done = run(None, "list", more={"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})

    assert done.returncode == 1
    assert done.stderr.startswith("conversions: no broker answered within 10 seconds")
    assert len(done.stderr.splitlines()) == 1


def test_a_reader_of_our_output_who_leaves_is_no_trouble(broker: Broker) -> None:
    command = f"{sys.executable} -m consumer dlq list --json | head -n 1"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "KAFKA_BOOTSTRAP_SERVERS": broker.address,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr

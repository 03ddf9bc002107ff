"""``conversions demo`` as anybody starts it, and the events that it makes up."""

import os
import re
import subprocess
import sys

from consumer.demo_events import EXAMPLE, demo_events
from consumer.destinations import one_destination
from consumer.json_lines import Line, read_line
from consumer.model import Event, PixelId, Prepared, Reason, Record, Rejected, TopicPartition
from consumer.prepare import Preparation, prepare

NOW_MS = 1_795_000_000_000


def test_the_demo_ends_well_in_eighty_columns_without_colours() -> None:
    colourful = {"FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "TTY_COMPATIBLE"}
    done = subprocess.run(
        [sys.executable, "-m", "consumer", "demo", "--events", "300"],
        env={name: text for name, text in os.environ.items() if name not in colourful},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    # 300 events, the example before them, and one record that is no Avro.
    numbers = dict(re.findall(r"^  (\w[\w -]+?) {2,}(\d+)$", done.stdout, re.MULTILINE))
    assert numbers == {
        "published": "302",
        "accepted by Meta": "297",
        "dead-lettered": "5",
        "without a fate": "0",
    }
    assert "every event met exactly one fate" in done.stdout
    for reason in ("undecodable", "event_too_old", "refused_by_meta"):
        assert re.search(rf"^ +1 +{reason} ", done.stdout, re.MULTILINE), reason
    trace_id = re.search(r"trace id (\S+) is in its dead letter", done.stdout)
    assert trace_id
    assert len(re.findall(trace_id[1], done.stdout)) == 2


def prepared(event: dict[str, object]) -> Prepared | Rejected:
    """The fate of a made-up event up to Meta."""
    import orjson

    line = read_line(orjson.dumps(event))
    assert isinstance(line, Line)
    assert line.unknown == ()
    record = Record(TopicPartition("demo", 0), 0, NOW_MS, None, b"", (), 1)
    destinations = one_destination(PixelId("1729525464415281"))
    found = prepare(
        Event(record, line.fields, line.event_time_ms),
        Preparation(destinations, None, 1_000_000),
        now_ms=NOW_MS,
    )
    assert isinstance(found, Prepared | Rejected)
    return found


def test_the_made_up_events_are_good_but_for_one_in_a_hundred() -> None:
    found = [prepared(event) for event in demo_events(1000, now_ms=NOW_MS)]

    reasons = [each.reason for each in found if isinstance(each, Rejected)]
    assert len(reasons) == 10
    assert set(reasons) == {
        Reason.EVENT_TOO_OLD,
        Reason.MISSING_CURRENCY,
        Reason.INSUFFICIENT_USER_DATA,
        Reason.MISSING_ACTION_SOURCE,
        Reason.UNKNOWN_DESTINATION,
    }
    assert sum(b"emulator_refuse" in each.body for each in found if isinstance(each, Prepared)) == 1


def test_the_demo_is_the_same_each_time_and_no_id_occurs_twice() -> None:
    first, again = (list(demo_events(500, now_ms=NOW_MS)) for _ in range(2))

    assert first == again
    assert len({event["eventId"] for event in first}) == 500


def test_the_example_is_sound() -> None:
    assert isinstance(prepared({**EXAMPLE, "eventTime": NOW_MS}), Prepared)

"""``conversions preview``: what Meta would get, line by line, through the real command line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
import pytest

from consumer.destinations import Destinations, parse_destinations
from consumer.prepare import Preparation
from consumer.preview import preview

NOW_MS = 1_795_000_000_000
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC).isoformat()
CLICK_MS = 1_554_763_741_205
CANARY = "jane.canary@example.com"
VECTORS: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("match_key_vectors.json").read_text("utf-8")
)
FIELDS = {
    "em": "email",
    "ph": "phone",
    "fn": "firstName",
    "ln": "lastName",
    "ct": "city",
    "st": "state",
    "zp": "zip",
    "country": "country",
    "db": "dob",
    "ge": "gender",
}
NOWHERE = "http://127.0.0.1:9"
UNREACHABLE = {
    "HTTP_PROXY": NOWHERE,
    "HTTPS_PROXY": NOWHERE,
    "ALL_PROXY": NOWHERE,
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
    "SCHEMA_REGISTRY_URL": NOWHERE,
    "CONVERSIONS_GRAPH_URL": NOWHERE,
}
NOTHING: Mapping[str, str] = MappingProxyType({})


def environment(more: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """The environment of a process, without anything that would set up ours."""
    own = ("CONVERSIONS_", "KAFKA_", "SCHEMA_REGISTRY_")
    return {name: text for name, text in os.environ.items() if not name.startswith(own)} | {**more}


def run(
    text: bytes, *arguments: str, more: Mapping[str, str] = NOTHING
) -> subprocess.CompletedProcess[bytes]:
    """The command, with ``text`` as its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "consumer", "preview", *arguments],
        input=text,
        env=environment(more),
        capture_output=True,
        timeout=120,
        check=False,
    )


def answers(text: bytes, *arguments: str, more: Mapping[str, str] = NOTHING) -> list[Any]:
    """Its answers; it must have succeeded without a word on stderr."""
    done = run(text, *arguments, more=more)
    assert (done.returncode, done.stderr) == (0, b"")
    return [json.loads(line) for line in done.stdout.splitlines()]


def event(**changes: Any) -> dict[str, Any]:
    return {
        "destinationId": "1",
        "eventName": "Lead",
        "eventTime": NOW_MS,
        "eventId": "order_1",
        "actionSource": "email",
        "user": {"email": CANARY},
        **changes,
    }


def lines(events: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in events)


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


# --- through the command line -------------------------------------------------------------------


def test_the_example_of_the_mission() -> None:
    now = int(datetime.now(UTC).timestamp())
    text = (
        f'{{"destinationId":"1729525464415281","eventName":"Lead","eventTime":{now},'
        '"eventId":"order_abc_123","value":42.50,"currency":"USD","actionSource":"crm",'
        '"user":{"email":"customer@example.com","phone":"+14155551234","firstName":"Jane",'
        '"lastName":"Doe","country":"US"}}'
    )

    assert answers(text.encode()) == [
        {
            "destinationId": "1729525464415281",
            "event": {
                "event_name": "Lead",
                "event_time": now,
                "event_id": "order_abc_123",
                "action_source": "system_generated",
                "user_data": {
                    "em": [digest("customer@example.com")],
                    "ph": [digest("14155551234")],
                    "fn": [digest("jane")],
                    "ln": [digest("doe")],
                    "country": [digest("us")],
                },
                "custom_data": {"value": 42.5, "currency": "USD"},
            },
            "dropped": [],
        }
    ]


def vector_event(vector: Mapping[str, Any]) -> dict[str, Any]:
    """A vector as its publisher would write it; ``externalId`` makes each event sufficient."""
    key, given = vector["field"], vector["input"]
    user: dict[str, Any] = {"externalId": "customer17"}
    country = vector.get("context", {}).get("country")
    if country:
        user["country"] = country
    if key in FIELDS:
        user[FIELDS[key]] = given
    else:
        user["clickIds"] = {key: given}
        if key == "fbclid":
            user["clickIds"]["fbclidTime"] = CLICK_MS
    return event(user=user)


def expected_of(vector: Mapping[str, Any]) -> Any:
    key, expected = vector["field"], vector["expected"]
    if key == "fbclid":  # the vector has the appendix that Meta's own builder adds
        return f"fb.1.{CLICK_MS}.{vector['input']}"
    return [expected] if expected and key in FIELDS else expected


def test_every_golden_vector_in_one_run() -> None:
    assert len(VECTORS) == 166
    given = lines(map(vector_event, VECTORS))

    found = answers(given, "--now", NOW)

    assert len(found) == len(VECTORS)
    wrong = {}
    for vector, answer in zip(VECTORS, found, strict=True):
        key = {"fbclid": "fbc"}.get(vector["field"], vector["field"])
        sent = answer["event"]["user_data"]
        if sent.get(key) != expected_of(vector):
            wrong[f"{key}:{vector['input']!a}"] = sent.get(key)
    assert wrong == {}


def test_a_vector_that_gives_nothing_is_told_as_dropped_unless_it_was_blank() -> None:
    nothing = [each for each in VECTORS if each["expected"] is None and each["input"].strip()]
    assert nothing

    for vector, answer in zip(
        nothing, answers(lines(map(vector_event, nothing)), "--now", NOW), strict=True
    ):
        field = FIELDS.get(vector["field"], f"clickIds.{vector['field']}")
        named = {each["field"] for each in answer["dropped"]}
        assert field in named or not vector["input"].strip("\u200b\ufeff\u00a0 \t"), vector


def test_it_never_connects_and_obeys_the_destinations_file(tmp_path: Path) -> None:
    file = tmp_path / "destinations.yaml"
    file.write_text(
        "- id: 1\n  accessTokenFile: there/is/none\n  testEventCode: TEST1\n- id: 2\n", "utf-8"
    )
    more = {**UNREACHABLE, "CONVERSIONS_DESTINATIONS_FILE": str(file)}
    given = lines([event(), event(destinationId="2"), event(destinationId="3")])

    first, second, third = answers(given, "--now", NOW, more=more)

    assert (first["destinationId"], first["testCode"]) == ("1", "TEST1")
    assert second["destinationId"] == "2"
    assert "testCode" not in second
    assert third["rejected"]["reason"] == "unknown_destination"


def test_a_file_serves_as_well_as_standard_input(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(lines([event()]))

    assert answers(b"", str(file), "--now", NOW) == answers(lines([event()]), "-", "--now", NOW)


def test_a_setting_of_the_command_line_wins_over_the_environment() -> None:
    more = {"CONVERSIONS_TEST_CODE": "TEST_ENV"}

    (by_environment,) = answers(lines([event()]), "--now", NOW, more=more)
    (by_argument,) = answers(lines([event()]), "--now", NOW, "--set", "test_code=TEST_ARG")

    assert (by_environment["testCode"], by_argument["testCode"]) == ("TEST_ENV", "TEST_ARG")


def test_whoever_stops_reading_ends_it_without_a_traceback(tmp_path: Path) -> None:
    file = write_many(tmp_path / "events", 2_000)
    with subprocess.Popen(
        [sys.executable, "-m", "consumer", "preview", str(file), "--now", NOW],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()

        assert process.stderr.read() == b""
        assert process.wait(30) == 1


def write_many(path: Path, count: int) -> Path:
    with path.open("wb") as file:
        for number in range(count):
            file.write(lines([event(eventId=f"order_{number}", note="x" * 50)]))
    return path


_MEASURED = """
import os, resource, subprocess, sys
with open(sys.argv[2], "wb") as out:
    child = [sys.executable, "-m", "consumer", "preview", sys.argv[1], "--now", sys.argv[3]]
    code = subprocess.run(child, stdout=out).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_kib(events: Path, out: Path) -> int:
    """Peak resident memory of a preview; a process between us tells it of this child alone."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(events), str(out), NOW],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    code, peak = done.stdout.split()
    assert (code, done.stderr) == ("0", "")
    return int(peak)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit elsewhere")
def test_a_hundred_thousand_lines_need_no_more_memory_than_ten_thousand(tmp_path: Path) -> None:
    few, many = tmp_path / "few.out", tmp_path / "many.out"

    small = peak_kib(write_many(tmp_path / "few", 10_000), few)
    large = peak_kib(write_many(tmp_path / "many", 100_000), many)

    assert large - small < 15 * 1024
    with many.open("rb") as file:
        for number, line in enumerate(file):
            assert f'"event_id":"order_{number}"'.encode() in line
    assert number == 99_999


# --- the step itself ----------------------------------------------------------------------------


def previewed(text: bytes, destinations: Destinations | None = None) -> list[dict[str, Any]]:
    preparation = Preparation(destinations or Destinations.anything(), None, 1_000_000)
    found = preview(text.splitlines(keepends=True), preparation, now_ms=NOW_MS)
    return [orjson.loads(orjson.dumps(answer)) for answer in found]


def test_blank_lines_have_no_answer_and_bad_ones_have_theirs_in_place() -> None:
    text = b"\n".join([b"", lines([event()]).strip(), b" \t", b"{", b"[]", b'{"value": "x"}', b""])

    first, *bad = previewed(text)

    assert first["destinationId"] == "1"
    assert [each["rejected"]["reason"] for each in bad] == ["undecodable"] * 3
    assert [each["rejected"]["field"] for each in bad] == [None, None, "value"]
    assert bad[1]["rejected"]["message"] == "a line must be one JSON object"


def test_lines_of_windows_are_lines() -> None:
    (answer,) = previewed(lines([event()]).replace(b"\n", b"\r\n"))

    assert answer["destinationId"] == "1"


def test_it_is_lazy_for_files_that_never_end() -> None:
    endless = chain.from_iterable(iter(lambda: [lines([event()])], None))

    found = preview(endless, Preparation(Destinations.anything(), None, 1_000_000), now_ms=NOW_MS)

    assert next(found)["destinationId"] == "1"
    assert next(found)["destinationId"] == "1"


@pytest.mark.parametrize("missing", [None, ""])
def test_without_configuration_an_event_may_leave_its_destination_open(missing: Any) -> None:
    (answer,) = previewed(lines([event(destinationId=missing)]))

    assert answer["destinationId"] is None
    assert answer["event"]["event_name"] == "Lead"


def test_the_only_destination_of_the_configuration_is_named() -> None:
    (answer,) = previewed(
        lines([event(destinationId=None)]), parse_destinations("- id: 77", Path())
    )

    assert answer["destinationId"] == "77"


def test_dropped_fields_are_told_and_so_are_unknown_ones() -> None:
    (answer,) = previewed(
        lines([event(evnetId="x", user={"email": CANARY, "phone": "12", CANARY: 1})])
    )

    assert answer["dropped"] == [
        {"field": "phone", "reason": "malformed"},
        {"field": answer["dropped"][1]["field"], "reason": "unknown_field"},
        {"field": "evnetId", "reason": "unknown_field"},
    ]
    assert CANARY not in json.dumps(answer["dropped"])


def test_a_rejection_has_reason_field_and_a_sentence() -> None:
    (answer,) = previewed(lines([event(actionSource=None)]))

    assert answer == {
        "rejected": {
            "reason": "missing_action_source",
            "field": "actionSource",
            "message": "actionSource is empty, and the destination has no default",
        }
    }


def test_a_suppressed_event_says_where_it_would_have_gone() -> None:
    strict = parse_destinations("- id: 1\n  onDenied: suppress", Path())

    assert previewed(lines([event(consent={"adUserData": "DENIED"})]), strict) == [
        {"suppressed": {"destinationId": "1"}}
    ]


def test_warnings_are_shown_where_there_are_some() -> None:
    (web,) = previewed(lines([event(actionSource="web")]))
    (mail,) = previewed(lines([event()]))

    assert web["warnings"] == ["missing_user_agent", "missing_source_url"]
    assert "warnings" not in mail


def test_two_equal_lines_without_an_id_are_two_events() -> None:
    first, second = previewed(lines([event(eventId=None)] * 2))

    assert first["event"]["event_id"] != second["event"]["event_id"]

"""``conversions quality`` as a process, with the emulator, a fake Graph and a fake Prometheus."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from consumer.cli_quality import HOURS_MAX
from consumer.emulator import Emulator, EmulatorConfig
from tests.fakes.graph import PIXEL, QUALITY, error
from tests.fakes.http_server import Answer, Asked, FakeServer

PAGE = Path(__file__).parent.parent / "docs" / "quality.md"
OTHER_PIXEL = "2729525464415282"
TOKEN = "token-canary-5f0c"
APP_SECRET = "secret-canary-77aa"
NOON = 1_795_003_200
NOON_TEXT = datetime.fromtimestamp(NOON, UTC).isoformat()
HASH = "7b17fb0bd173f625b58636fb796407c22b3d16fc78302d79f0fd30c2fc2fc068"
EVENTS = [
    *[
        {
            "eventName": "Purchase",
            "eventTime": NOON - 60,
            "actionSource": "website",
            "sourceUrl": "https://shop.example/thanks",
            "value": 42.5,
            "currency": "EUR",
            "user": {"email": f"a{n}@example.com", "phone": phone, "userAgent": "Firefox"},
        }
        for n, phone in enumerate(["+14155551234", "415 555 1234", None, None])
    ],
    {"eventName": "Lead", "eventTime": NOON, "actionSource": "crm", "user": {"firstName": "Jane"}},
    {"eventName": "Lead", "eventTime": NOON, "actionSource": "crm", "user": {"leadId": "1" * 15}},
]
NOTHING: Mapping[str, str] = MappingProxyType({})
LINES = "".join(f"{json.dumps(event)}\n" for event in EVENTS) + "no event\n"


def run(
    *arguments: str,
    stdin: str = "",
    cwd: Path | None = None,
    more: Mapping[str, str] = NOTHING,
) -> subprocess.CompletedProcess[str]:
    own = ("CONVERSIONS_", "KAFKA_", "SCHEMA_REGISTRY_")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(own)}
    done = subprocess.run(
        [sys.executable, "-m", "consumer", "quality", *arguments],
        env=kept | {"PYTHONPATH": str(PAGE.parent.parent), "PYTHONUTF8": "1"} | {**more},
        input=stdin,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert TOKEN not in done.stdout + done.stderr
    assert APP_SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def one_pixel(url: str) -> dict[str, str]:
    return {
        "CONVERSIONS_GRAPH_URL": url,
        "CONVERSIONS_PIXEL_ID": PIXEL,
        "CONVERSIONS_ACCESS_TOKEN": TOKEN,
        "CONVERSIONS_APP_SECRET": APP_SECRET,
    }


def two_pixels(url: str, folder: Path) -> dict[str, str]:
    file = folder / "destinations.yaml"
    file.write_text(f"- id: '{PIXEL}'\n- id: '{OTHER_PIXEL}'\n", "utf-8")
    return {
        "CONVERSIONS_GRAPH_URL": url,
        "CONVERSIONS_DESTINATIONS_FILE": str(file),
        "CONVERSIONS_ACCESS_TOKEN": TOKEN,
    }


def sentences(done: subprocess.CompletedProcess[str]) -> list[str]:
    lines = done.stderr.splitlines()
    assert all(line.startswith("conversions: ") for line in lines), lines
    return [line.removeprefix("conversions: ") for line in lines]


class House:
    """A Graph that shows pictures of pixels, and a Prometheus, behind one address."""

    def __init__(self) -> None:
        self.quality: Mapping[str, Answer] = {}
        self.stats: Mapping[str, Answer] = {}
        self.matrix: list[dict[str, Any]] = []
        self.server = FakeServer(self._answer)

    def _answer(self, asked: Asked) -> Answer:
        if asked.path == "/api/v1/query_range":
            found = {"resultType": "matrix", "result": self.matrix}
            return Answer(200, {"status": "success", "data": found})
        if asked.path == "/v26.0/dataset_quality":
            return self.quality.get(asked.query["dataset_id"], Answer(200, {"web": []}))
        pixel = asked.path.split("/")[2]
        return self.stats.get(pixel, Answer(200, {"data": []}))

    def accept(self, pixel: str, name: str, *counts: float) -> None:
        """Our counts in the hours before noon, the last one last; None is no sample."""
        first = NOON - (len(counts) - 1) * 3600
        values = [[first + 3600 * n, str(count)] for n, count in enumerate(counts)]
        labels = {"destination": pixel, "event_name": name}
        self.matrix.append({"metric": labels, "values": values})


@pytest.fixture
def house() -> Iterator[House]:
    found = House()
    with found.server.serving():
        yield found
    for asked in found.server.asked:
        assert TOKEN not in asked.line
        assert APP_SECRET not in f"{asked.line} {asked.headers}"
        assert ("authorization" in asked.headers) != (asked.path == "/api/v1/query_range")


def hours(*counts: Mapping[str, int]) -> Answer:
    """The pixel's statistics of the hours before noon, the last one last."""
    first = NOON - len(counts) * 3600
    data = [
        {
            "start_time": datetime.fromtimestamp(first + 3600 * n, UTC).strftime(
                "%Y-%m-%dT%H:%M:%S%z"
            ),
            "aggregation": "event",
            "data": [{"value": name, "count": count} for name, count in each.items()],
        }
        for n, each in enumerate(counts)
    ]
    return Answer(200, {"data": data})


# --- the page shows what the command says -------------------------------------------------------


def shown(command: str) -> str:
    """What stands below a command on the page."""
    found = re.search(
        rf"^\$ {re.escape(command)}\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"the page has no {command}"
    return found[1]


def test_the_page_shows_metas_figures_as_they_come(house: House) -> None:
    house.quality = {PIXEL: Answer(200, QUALITY)}

    done = run(more=one_pixel(house.server.url))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == shown("conversions quality").strip()


def test_the_page_shows_our_own_coverage_as_it_comes(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(LINES, "utf-8")

    done = run("--local", "events.jsonl", "--now", NOON_TEXT, cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == shown("conversions quality --local events.jsonl").strip()


def test_the_page_shows_both_sides_as_they_come(house: House) -> None:
    house.accept(PIXEL, "Purchase", 120.4, 96.8)
    house.accept(PIXEL, "custom", 7)
    house.stats = {
        PIXEL: hours({"Purchase": 120, "Trial won": 4}, {"Purchase": 91, "Trial won": 4, "x": 3})
    }
    url = house.server.url
    arguments = ["--reconcile", "--prometheus", url, "--hours", "2", "--now", NOON_TEXT]

    done = run(*arguments, more=one_pixel(url))

    assert (done.returncode, done.stderr) == (0, "")
    command = "conversions quality --reconcile --prometheus http://127.0.0.1:9090 --hours 2"
    assert done.stdout.strip() == shown(command).strip()


# --- Meta's figures -----------------------------------------------------------------------------


def test_the_answer_for_machines_has_the_promised_shape(house: House) -> None:
    house.quality = {PIXEL: Answer(200, QUALITY)}

    answer = json.loads(run("--json", more=one_pixel(house.server.url)).stdout)

    purchase, lead = answer["rows"]
    assert answer["platform"] == "metaads"
    assert (purchase["eventName"], purchase["compositeScore"]) == ("Purchase", 6.2)
    assert purchase["matchKeys"][0]["identifier"] == "email"
    assert purchase["matchKeys"][0]["coveragePercentage"] == 62.5
    assert purchase["eventCoveragePercentage"] == 34.1
    assert (lead["compositeScore"], lead["eventCoveragePercentage"]) == (None, None)
    assert (answer["withoutFigures"], answer["unreadable"]) == ([], [])


def test_a_pixel_without_figures_and_one_that_may_not_be_read_are_told_apart(
    house: House, tmp_path: Path
) -> None:
    house.quality = {OTHER_PIXEL: Answer(403, error(200))}
    variables = two_pixels(house.server.url, tmp_path)

    done = run(more=variables)

    assert done.returncode == 0
    assert "up to 48 hours" in done.stdout
    (sentence,) = sentences(done)
    assert sentence.startswith(f"pixel {OTHER_PIXEL}: the token may be able to send, but not to")
    answer = json.loads(run("--json", more=variables).stdout)
    assert answer["rows"] == []
    assert answer["withoutFigures"] == [PIXEL]
    assert [each["destinationId"] for each in answer["unreadable"]] == [OTHER_PIXEL]


def test_when_no_pixel_can_be_read_the_command_fails(house: House) -> None:
    house.quality = {PIXEL: Answer(401, error(190))}

    done = run(more=one_pixel(house.server.url))

    assert (done.returncode, done.stdout) == (1, "")
    assert len(sentences(done)) == 1


def test_only_the_pixels_that_are_named_are_asked(house: House, tmp_path: Path) -> None:
    run("--destination", OTHER_PIXEL, more=two_pixels(house.server.url, tmp_path))

    assert [asked.query["dataset_id"] for asked in house.server.asked] == [OTHER_PIXEL]


def test_others_words_do_not_steer_the_terminal(house: House) -> None:
    web = [{"event_name": "Deal\x1b[31m won", "event_match_quality": {"composite_score": 5}}]
    house.quality = {PIXEL: Answer(200, {"web": web})}

    done = run(more=one_pixel(house.server.url))

    assert "\x1b" not in done.stdout
    assert "Deal?[31m won" in done.stdout


def test_a_terminal_without_blocks_gets_plain_bars(house: House) -> None:
    house.quality = {PIXEL: Answer(200, QUALITY)}
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}

    done = run(more=one_pixel(house.server.url) | ascii_only)

    assert done.returncode == 0
    assert "############........" in done.stdout
    assert done.stdout.isascii()


# --- our own events -----------------------------------------------------------------------------


def test_our_own_events_come_from_stdin_and_nobody_is_asked() -> None:
    nowhere = {"CONVERSIONS_GRAPH_URL": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}

    done = run("--local", "-", "--json", "--now", NOON_TEXT, stdin=LINES, more=nowhere)

    answer = json.loads(done.stdout)
    assert (answer["platform"], answer["unreadableLines"]) == ("metaads", 1)
    assert [(row["eventName"], row["events"]) for row in answer["rows"]] == [
        ("Purchase", 4),
        ("Lead", 1),
    ]
    assert answer["rows"][0]["addFirst"][0]["identifier"] == "ph"


@pytest.mark.parametrize("stdin", ["", "\n", "{\n", '{"eventName": "Lead"}\n'])
def test_without_one_event_that_could_be_sent_the_command_fails(stdin: str) -> None:
    done = run("--local", "-", stdin=stdin)

    assert done.returncode == 1
    assert sentences(done) == [
        "no line is an event that could be sent; conversions preview says why"
    ]


# --- both sides ---------------------------------------------------------------------------------


def test_both_sides_for_machines(house: House) -> None:
    house.accept(PIXEL, "Lead", 3.4)
    house.stats = {PIXEL: hours({"Lead": 5})}
    url = house.server.url
    arguments = ["--reconcile", "--prometheus", url, "--json", "--now", NOON_TEXT]

    answer = json.loads(run(*arguments, "--selector", 'a="b"', more=one_pixel(url)).stdout)

    assert answer["rows"] == [
        {
            "destinationId": PIXEL,
            "eventName": "Lead",
            "hour": "2026-11-18T11:00Z",
            "accepted": 3,
            "received": 5,
            "difference": 2,
        }
    ]
    assert len(answer["notes"]) == 2
    assert 'a="b"' in house.server.asked[0].query["query"]
    span = int(house.server.asked[0].query["end"]) - int(house.server.asked[0].query["start"])
    assert span == 23 * 3600, "24 hours by default, the first asked for at its end"


def test_pixels_without_events_on_either_side_are_told_so(house: House) -> None:
    url = house.server.url

    done = run("--reconcile", "--prometheus", url, more=one_pixel(url))

    assert done.returncode == 0
    assert done.stdout == "Neither side has an event in these hours.\n"


def test_statistics_that_may_not_be_read_fail_the_comparison(house: House) -> None:
    house.stats = {PIXEL: Answer(400, error(100))}
    house.accept(PIXEL, "Lead", 3)
    url = house.server.url

    done = run("--reconcile", "--prometheus", url, more=one_pixel(url))

    assert (done.returncode, done.stdout) == (1, "")
    assert "ads_read" in sentences(done)[0]


def test_a_prometheus_that_does_not_answer_is_told(house: House) -> None:
    url = house.server.url

    done = run("--reconcile", "--prometheus", "http://127.0.0.1:9", more=one_pixel(url))

    assert done.returncode == 1
    assert sentences(done) == ["Prometheus cannot be asked: the connection is refused"]
    assert house.server.asked == []


# --- usage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--reconcile"], "--reconcile needs --prometheus URL"),
        (["--prometheus", "http://127.0.0.1:9"], "are for --reconcile"),
        (["--hours", "3"], "are for --reconcile"),
        (["--local", "-", "--reconcile"], "--local asks nobody"),
        (["--local", "-", "--destination", PIXEL], "--local asks nobody"),
        (["--local", "/there/is/none"], "No such file"),
        (["--destination", "7"], "none of the configured destinations"),
        (["--reconcile", "--prometheus", "http://u:canary@127.0.0.1:9"], "without user"),
        (["--reconcile", "--prometheus", "127.0.0.1:9"], "must be an address"),
    ],
)
def test_a_mistaken_argument_is_one_sentence(arguments: list[str], words: str) -> None:
    done = run(*arguments, more=one_pixel("http://127.0.0.1:9"))

    assert (done.returncode, done.stdout) == (2, "")
    (sentence,) = sentences(done)
    assert words in sentence
    assert "canary" not in sentence


@pytest.mark.parametrize("hours", ["0", str(HOURS_MAX + 1)])
def test_more_hours_than_meta_keeps_are_wrong_usage(hours: str) -> None:
    assert run("--reconcile", "--prometheus", "http://x", "--hours", hours).returncode == 2


def test_without_a_destination_there_is_nothing_to_ask_for() -> None:
    done = run()

    assert done.returncode == 2
    assert "CONVERSIONS_PIXEL_ID" in sentences(done)[0]


# --- through the emulator -----------------------------------------------------------------------


def test_what_was_sent_to_the_emulator_comes_back_as_quality_and_as_counts(house: House) -> None:
    emulator = Emulator(
        EmulatorConfig(
            host="127.0.0.1", port=0, pixels={PIXEL: frozenset((TOKEN,))}, clock=lambda: NOON - 1.0
        )
    )
    emulator.start()
    user = {"em": [HASH], "client_user_agent": "Firefox"}
    events = [
        {
            "event_name": "Lead",
            "event_time": NOON - 60,
            "event_id": f"e{number}",
            "action_source": "website",
            "user_data": user if number else user | {"ph": [HASH]},
        }
        for number in range(4)
    ]
    try:
        body = {"data": events, "access_token": TOKEN}
        sent = httpx.post(f"{emulator.url}/v26.0/{PIXEL}/events", json=body)
        assert sent.json()["events_received"] == 4
        variables = one_pixel(emulator.url)
        figures = json.loads(run("--json", more=variables).stdout)
        house.accept(PIXEL, "Lead", 4)
        both = ["--reconcile", "--prometheus", house.server.url, "--now", NOON_TEXT, "--json"]
        counts = json.loads(run(*both, more=variables).stdout)
    finally:
        emulator.stop()

    (lead,) = figures["rows"]
    coverage = {each["identifier"]: each["coveragePercentage"] for each in lead["matchKeys"]}
    assert coverage == {"email": 100, "phone": 25, "user_agent": 100}
    assert lead["compositeScore"] == 4.0
    assert lead["eventCoveragePercentage"] is None
    assert [(row["accepted"], row["received"]) for row in counts["rows"]] == [(4, 4)]

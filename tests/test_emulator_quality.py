"""What the emulator shows of a pixel over real HTTP: quality and statistics of what it took."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from consumer.emulator import Emulator, EmulatorConfig
from consumer.emulator_quality import KEPT_SECONDS
from consumer.quality import FEWER_FIELDS, FIELDS

NOON = 1_795_003_200
HOUR, DAY = 3600, 86_400
PIXEL, TOKEN = "1729525464415281", "token-of-the-first-pixel"
OTHER_PIXEL, OTHER_TOKEN = "2729525464415282", "token-of-the-other-pixel"
HASH = "7b17fb0bd173f625b58636fb796407c22b3d16fc78302d79f0fd30c2fc2fc068"


class Clock:
    def __init__(self) -> None:
        self.now = float(NOON)

    def __call__(self) -> float:
        return self.now


class Graph:
    """A client of the emulator."""

    def __init__(self, client: httpx.Client, clock: Clock) -> None:
        self.client, self.clock = client, clock
        self._numbers = 0

    def send(self, *users: dict[str, Any], **changes: Any) -> None:
        """One event for each user, taken now."""
        events = []
        for user in users:
            self._numbers += 1
            events.append(
                {
                    "event_name": "Lead",
                    "event_time": int(self.clock.now) - 60,
                    "event_id": f"e{self._numbers}",
                    "action_source": "website",
                    "user_data": user,
                    **changes,
                }
            )
        body = {"data": events, "access_token": TOKEN}
        answer = self.client.post(f"/v26.0/{PIXEL}/events", json=body)
        assert answer.json().get("events_received") == len(users), answer.text

    def get(self, path: str, *, token: str = TOKEN, **query: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"}
        return self.client.get(f"/v26.0/{path}", params=query, headers=headers)

    def quality(self, fields: str = FIELDS) -> list[dict[str, Any]]:
        answer = self.get("dataset_quality", dataset_id=PIXEL, fields=fields)
        assert answer.status_code == 200, answer.text
        web: list[dict[str, Any]] = answer.json()["web"]
        return web

    def refused(self, path: str, **query: str) -> dict[str, Any]:
        error: dict[str, Any] = self.get(path, **query).json()["error"]
        return error

    def stats(self, **query: str) -> dict[str, dict[str, int]]:
        buckets = self.get(f"{PIXEL}/stats", aggregation="event", **query).json()["data"]
        return {
            bucket["start_time"]: {each["value"]: each["count"] for each in bucket["data"]}
            for bucket in buckets
        }


@pytest.fixture
def graph() -> Iterator[Graph]:
    clock = Clock()
    pixels = {PIXEL: frozenset((TOKEN,)), OTHER_PIXEL: frozenset((OTHER_TOKEN,))}
    emulator = Emulator(EmulatorConfig(host="127.0.0.1", port=0, pixels=pixels, clock=clock))
    emulator.start()
    with httpx.Client(base_url=emulator.url, timeout=10) as client:
        yield Graph(client, clock)
    emulator.stop()


# --- dataset quality ----------------------------------------------------------------------------


def test_coverage_is_the_share_of_the_events_that_were_taken(graph: Graph) -> None:
    graph.send({"em": [HASH]}, {"em": [HASH], "ph": [HASH]}, {"external_id": [HASH]}, {"em": HASH})

    (lead,) = graph.quality(FEWER_FIELDS)

    assert lead == {
        "event_name": "Lead",
        "event_match_quality": {
            "composite_score": 3.0,  # 3 × 0.75 + 2 × 0.25 + 1 × 0.25
            "match_key_feedback": [
                {"identifier": "email", "coverage": {"percentage": 75.0}},
                {"identifier": "phone", "coverage": {"percentage": 25.0}},
                {"identifier": "external_id", "coverage": {"percentage": 25.0}},
            ],
        },
    }


def test_a_double_is_counted_once_and_names_are_apart(graph: Graph) -> None:
    graph.send({"em": [HASH]}, {"ph": [HASH]}, event_id="same")
    graph.send({"ph": [HASH]}, event_name="Contact")

    contact, lead = graph.quality()

    assert (contact["event_name"], lead["event_name"]) == ("Contact", "Lead")
    (only,) = lead["event_match_quality"]["match_key_feedback"]
    assert only == {"identifier": "email", "coverage": {"percentage": 100.0}}


def test_there_are_figures_of_website_events_only(graph: Graph) -> None:
    graph.send({"em": [HASH]}, action_source="system_generated")

    assert graph.quality() == []


def test_the_full_question_tells_of_deduplication_and_freshness_and_of_no_browser(
    graph: Graph,
) -> None:
    graph.send({"em": [HASH], "fbp": "fb.1.1554763741205.12345"}, {"em": [HASH]})

    (lead,) = graph.quality()

    assert lead["dedupe_key_feedback"] == [
        {"dedupe_key": "event_id", "server_events_with_dedupe_key": {"percentage": 100.0}},
        {"dedupe_key": "external_id", "server_events_with_dedupe_key": {"percentage": 0.0}},
        {"dedupe_key": "fbp", "server_events_with_dedupe_key": {"percentage": 50.0}},
    ]
    assert lead["data_freshness"] == {"upload_frequency": "real_time"}
    assert not {"event_coverage", "acr", "event_potential_aly_acr_increase"} & lead.keys()


@pytest.mark.parametrize(
    ("age", "frequency"), [(60, "real_time"), (2 * HOUR, "hourly"), (2 * DAY, "daily")]
)
def test_freshness_is_the_time_until_events_arrive(graph: Graph, age: int, frequency: str) -> None:
    graph.send({"em": [HASH]}, event_time=NOON - age)

    assert graph.quality()[0]["data_freshness"]["upload_frequency"] == frequency


def test_after_seven_days_an_event_is_forgotten(graph: Graph) -> None:
    graph.send({"em": [HASH]})
    graph.clock.now += KEPT_SECONDS
    assert len(graph.quality()) == 1

    graph.clock.now += 1

    assert graph.quality() == []


def test_only_what_is_asked_for_is_told(graph: Graph) -> None:
    graph.send({"em": [HASH]})

    assert graph.quality("web{event_name}") == [{"event_name": "Lead"}]
    assert graph.quality("web{ event_match_quality { composite_score } }") == [
        {"event_match_quality": {"composite_score": 3.0}}
    ]
    assert "match_key_feedback" in graph.quality("web")[0]["event_match_quality"]


def test_it_is_an_edge_of_the_root_and_no_pixel(graph: Graph) -> None:
    assert graph.refused("dataset_quality")["code"] == 100
    assert graph.refused(f"{PIXEL}/dataset_quality", fields="web")["code"] == 2500
    assert graph.get("dataset_quality", dataset_id=PIXEL).json() == {"web": []}


@pytest.mark.parametrize("dataset", [OTHER_PIXEL, "3729525464415283", "shop"])
def test_a_dataset_that_is_not_the_tokens_is_unknown(graph: Graph, dataset: str) -> None:
    error = graph.refused("dataset_quality", dataset_id=dataset, fields="web")

    assert (error["code"], error["error_subcode"]) == (100, 33)


def test_without_a_good_token_nothing_is_shown(graph: Graph) -> None:
    answer = graph.get("dataset_quality", token="unheard-of", dataset_id=PIXEL)

    assert answer.json()["error"]["code"] == 190


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ("web{event_name,dedup_key_feedback{dedupe_key}}", "dedup_key_feedback"),
        ("web{event_match_quality{coverage}}", "coverage"),
        ("web{event_name{percentage}}", "percentage"),
        ("offline{event_name}", "offline"),
    ],
)
def test_a_field_that_does_not_exist_fails_the_whole_question(
    graph: Graph, fields: str, name: str
) -> None:
    error = graph.refused("dataset_quality", dataset_id=PIXEL, fields=fields)

    assert error["code"] == 100
    assert error["message"] == f"(#100) Tried accessing nonexisting field ({name})"
    assert "error_subcode" not in error


@pytest.mark.parametrize(
    "fields",
    [
        ",",
        "web{",
        "web{}",
        "web}",
        "web{event_name",
        "web,",
        ",web",
        "web{event_name}}",
        "web web",
        "web{event_name,,acr}",
        "{web}",
        "web[0]",
        "web{" * 2000,
    ],
)
def test_fields_that_cannot_be_parsed_are_refused(graph: Graph, fields: str) -> None:
    answer = graph.client.get(
        "/v26.0/dataset_quality",
        params={"dataset_id": PIXEL, "fields": fields},
        headers={"authorization": f"Bearer {TOKEN}"},
    )

    assert answer.json()["error"]["code"] in (2500, 100)
    assert answer.status_code == 400


# --- statistics ---------------------------------------------------------------------------------


def test_the_statistics_count_by_hour_of_arrival_and_name(graph: Graph) -> None:
    graph.clock.now = NOON - 2 * HOUR + 1800
    graph.send({"em": [HASH]}, {"em": [HASH]})
    graph.clock.now = NOON - 1
    graph.send({"em": [HASH]}, action_source="system_generated")
    graph.send({"em": [HASH]}, event_name="Contact", event_time=NOON - 3 * HOUR)
    graph.clock.now = NOON + 1

    assert graph.stats(start_time=str(NOON - DAY), end_time=str(NOON)) == {
        "2026-11-18T10:00:00+0000": {"Lead": 2},
        "2026-11-18T11:00:00+0000": {"Lead": 1, "Contact": 1},
    }
    assert list(graph.stats(start_time="2026-11-18T11:00:00Z")) == ["2026-11-18T11:00:00+0000"]
    assert graph.stats(event_source="WEB_ONLY") == {}
    assert graph.stats(event_source="SERVER_ONLY") == graph.stats()


def test_the_hundred_most_frequent_names_are_told(graph: Graph) -> None:
    for number in range(101):
        graph.send({"em": [HASH]}, event_name=f"name {number}")
    graph.send({"em": [HASH]}, event_name="name 100")

    (counts,) = graph.stats(end_time=str(NOON + HOUR)).values()

    assert len(counts) == 100
    assert counts["name 100"] == 2


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"aggregation": "host"}, 100),
        ({"start_time": "yesterday"}, 100),
        ({"start_time": str(NOON - 14 * DAY), "end_time": str(NOON)}, 1),
    ],
)
def test_what_cannot_be_counted_is_refused(graph: Graph, query: dict[str, str], code: int) -> None:
    assert graph.refused(f"{PIXEL}/stats", **query)["code"] == code


def test_statistics_of_a_pixel_that_is_not_the_tokens_are_not_shown(graph: Graph) -> None:
    assert graph.refused(f"{OTHER_PIXEL}/stats")["error_subcode"] == 33

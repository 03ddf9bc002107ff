"""Which Graph versions are served, and what is said of those that end."""

from datetime import UTC, datetime

import httpx
import pytest

from consumer.emulator_refusal import Refusal
from consumer.emulator_versions import WARNED_DAYS, WARNING, version_headers
from tests.emulated import PIXEL, TOKEN, Clock, error, serving
from tests.graph_requests import event

DAY = 86_400


def at(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("version", "end"),
    [
        (20, "2026-09-24"),
        (21, "2027-01-21"),
        (22, "2027-05-20"),
        (23, "2027-10-08"),
        (24, "2028-02-18"),
        (25, "2028-07-29"),
    ],
)
def test_a_version_is_served_then_warned_of_and_then_over(version: int, end: str) -> None:
    path = f"/v{version}.0/5/events"

    assert version_headers(path, at(end) - WARNED_DAYS * DAY - 1) == {}
    warned = version_headers(path, at(end) - WARNED_DAYS * DAY)
    assert not isinstance(warned, Refusal)
    assert warned.keys() == {WARNING}
    assert f"auto-upgraded to v{version + 1}.0" in warned[WARNING]
    assert end in warned[WARNING]
    assert version_headers(path, at(end) - 1) == warned
    over = version_headers(path, at(end))
    assert isinstance(over, Refusal)
    assert over.label == "2635"


@pytest.mark.parametrize("version", ["v26.0", "v27.0", "v99.0"])
def test_the_newest_version_and_those_to_come_have_no_end(version: str) -> None:
    assert version_headers(f"/{version}/5/events", at("2035-01-01")) == {}


@pytest.mark.parametrize(
    "path", ["/5/events", "/v19.0/5", "/v2.12/5", "/v26/5", "/v26.1/5", "/events/v26.0/", "/"]
)
def test_what_has_no_version_of_today_is_refused(path: str) -> None:
    refusal = version_headers(path, at("2026-01-01"))
    assert isinstance(refusal, Refusal)
    assert refusal.label == "2635"


def test_every_call_is_warned_or_refused_by_the_emulators_clock() -> None:
    clock = Clock()
    clock.now = at("2027-01-20")
    with serving(clock) as emulator, httpx.Client(base_url=emulator.url) as graph:
        body = {"data": [event(event_time=int(clock.now))], "access_token": TOKEN}
        events, pixel = f"/v21.0/{PIXEL}/events", f"/v21.0/{PIXEL}"

        for answer in (graph.post(events, json=body), graph.post(events), graph.get(pixel)):
            assert WARNING in answer.headers
        assert WARNING not in graph.post(events.replace("21", "26"), json=body).headers
        assert len(emulator.accepted) == 1

        clock.now = at("2027-01-21")
        answer = graph.post(events, json=body)
        assert (answer.status_code, error(answer)["code"]) == (400, 2635)
        assert WARNING not in answer.headers

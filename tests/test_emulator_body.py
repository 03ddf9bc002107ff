"""How a request may travel: JSON, both kinds of form, the query; and the token with it."""

from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from consumer.emulator import Emulator
from tests.emulated import PIXEL, TOKEN, Clock, error, ids, serving, stats
from tests.graph_requests import event

ADDRESS = f"/v26.0/{PIXEL}/events"
EVENTS = [event(event_id="1"), event(event_id="2", custom_data={"order_id": "\u5951 & = +"})]
OBJECTS = orjson.dumps(EVENTS).decode()
TEXTS = orjson.dumps([orjson.dumps(one).decode() for one in EVENTS]).decode()
JSON = {"Content-Type": "application/json; charset=utf-8"}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with serving(Clock()) as emulator:
        yield emulator


@pytest.fixture
def graph(emulator: Emulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=emulator.url, timeout=10) as client:
        yield client


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(
            {"content": orjson.dumps({"data": EVENTS, "access_token": TOKEN}), "headers": JSON},
            id="JSON",
        ),
        pytest.param(
            {"content": orjson.dumps({"data": EVENTS, "access_token": TOKEN})},
            id="JSON that does not say so",
        ),
        pytest.param({"data": {"data": OBJECTS, "access_token": TOKEN}}, id="form of objects"),
        pytest.param({"data": {"data": TEXTS, "access_token": TOKEN}}, id="form of JSON texts"),
        pytest.param(
            {"files": {"data": (None, OBJECTS), "access_token": (None, TOKEN)}}, id="multipart"
        ),
        pytest.param(
            {"files": {"data": (None, TEXTS), "access_token": (None, TOKEN)}},
            id="multipart of JSON texts",
        ),
        pytest.param({"params": {"data": OBJECTS, "access_token": TOKEN}}, id="query"),
        pytest.param(
            {"data": {"data": OBJECTS}, "params": {"access_token": TOKEN}}, id="token in query"
        ),
        pytest.param(
            {"data": {"data": TEXTS}, "headers": {"Authorization": f"Bearer {TOKEN}"}},
            id="token in header",
        ),
        pytest.param(
            {
                "data": {"data": OBJECTS, "access_token": TOKEN},
                "params": {"access_token": "the body's token counts"},
            },
            id="token twice",
        ),
    ],
)
def test_events_arrive_the_same_however_they_travel(
    graph: httpx.Client, emulator: Emulator, request_: dict[str, Any]
) -> None:
    answer = graph.post(ADDRESS, **request_)
    assert answer.status_code == 200, answer.text
    assert answer.json()["events_received"] == 2
    assert [one.event for one in emulator.accepted] == EVENTS


def test_what_has_a_structure_is_json_within_a_form(
    graph: httpx.Client, emulator: Emulator
) -> None:
    form = {
        "data": TEXTS,
        "access_token": TOKEN,
        "test_event_code": "TEST1",
        "progress": '{"start_inclusive":0,"end_exclusive":2}',
        "platforms": '[{"name":"shop"}]',
        "trace": "5",
    }
    assert graph.post(ADDRESS, data=form).status_code == 200
    assert {one.test_event_code for one in emulator.accepted} == {"TEST1"}
    for wrong in ({"trace": "x"}, {"trace": '"5"'}, {"progress": "{"}, {"platforms": "{}"}):
        answer = graph.post(ADDRESS, data=form | wrong)
        assert (answer.status_code, error(answer)["code"]) == (400, 100)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"content": b"{", "headers": JSON}, id="half an object"),
        pytest.param({"content": b"[1]", "headers": JSON}, id="an array"),
        pytest.param({"content": b"data=[]", "headers": JSON}, id="a form that says it is JSON"),
        pytest.param({"content": b'{"data":[{"value":NaN}]}', "headers": JSON}, id="NaN"),
        pytest.param({"content": b'{"data":[{"value":1e999}]}', "headers": JSON}, id="infinity"),
        pytest.param({"content": b'{"data":"\xff"}', "headers": JSON}, id="no UTF-8"),
        pytest.param({"content": b"[" * 100_000, "headers": JSON}, id="too deep"),
        pytest.param({"data": {"data": "[{]"}}, id="no JSON in the form"),
        pytest.param({"data": {"data": '["{"]'}}, id="no JSON in the form's JSON"),
        pytest.param({"data": {"data": ""}}, id="no events in the form"),
        pytest.param(
            {
                "content": b"data=%FF",
                "headers": {"Content-Type": "application/x-www-form-urlencoded"},
            },
            id="a form of no UTF-8",
        ),
        pytest.param(
            {"content": b"data", "headers": {"Content-Type": "multipart/form-data"}},
            id="multipart without boundary",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_before_its_token(
    graph: httpx.Client, emulator: Emulator, request_: dict[str, Any]
) -> None:
    answer = graph.post(ADDRESS, **request_)
    assert (answer.status_code, error(answer)["code"]) == (400, 100)
    assert stats(graph)["refused"] == {"100": 1}
    assert emulator.accepted == []


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"content": b""}, id="nothing"),
        pytest.param(
            {
                "content": orjson.dumps({"data": EVENTS, "access_token": TOKEN}),
                "headers": {"Content-Type": "text/plain"},
            },
            id="JSON that says it is text",
        ),
        pytest.param(
            {
                "content": orjson.dumps({"data": EVENTS, "access_token": TOKEN}),
                "headers": {"Content-Type": "application/x-www-form-urlencoded"},
            },
            id="JSON that says it is a form",
        ),
        pytest.param(
            {"files": {"data": ("events.json", OBJECTS), "access_token": ("token", TOKEN)}},
            id="files",
        ),
    ],
)
def test_what_is_not_looked_into_has_no_token(
    graph: httpx.Client, request_: dict[str, Any]
) -> None:
    answer = graph.post(ADDRESS, **request_)
    assert (answer.status_code, error(answer)["code"]) == (400, 104)


def test_an_event_as_text_is_for_forms_only(graph: httpx.Client, emulator: Emulator) -> None:
    body = {"data": orjson.loads(TEXTS), "access_token": TOKEN}
    assert error(graph.post(ADDRESS, json=body))["code"] == 100
    assert graph.post(ADDRESS, json=body | {"data": EVENTS}).status_code == 200
    assert ids(emulator.accepted) == ["1", "2"]


def test_a_token_in_any_url_is_counted(graph: httpx.Client) -> None:
    graph.get(f"/v26.0/{PIXEL}", params={"access_token": TOKEN})
    graph.post(ADDRESS, params={"access_token": TOKEN}, json={"data": EVENTS})
    graph.post(ADDRESS, json={"data": EVENTS, "access_token": TOKEN})
    assert stats(graph)["tokens_in_url"] == 2

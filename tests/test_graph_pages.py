"""Pages of Graph's lists: what they hold, where the next one is, and what is in the way."""

import json
import re
from typing import Any

import pytest

from consumer.graph_answers import Obstacle, Trouble, read_object
from consumer.graph_pages import Page, Question, first_page, read_page, smaller

GRAPH = "https://graph.facebook.com"
NUMBER = re.compile("[0-9]+")
ASKED = Question("me/adaccounts", {"fields": "id", "limit": "100"})
TOKEN = "token-canary-5f0c"


def page(answer: Any, *, graph_url: str = GRAPH) -> Page | Trouble:
    return read_page(ASKED, answer, graph_url=graph_url, ids=NUMBER)


def following(paging: Any, *, graph_url: str = GRAPH) -> Question | Trouble | None:
    found = page({"data": [{"id": "1"}], "paging": paging}, graph_url=graph_url)
    assert isinstance(found, Page)
    return found.next


def test_a_list_is_begun_with_a_hundred_items() -> None:
    assert first_page("me/adaccounts", "id") == ASKED


@pytest.mark.parametrize("paging", [None, {}, [], {"cursors": {"after": "MQ"}}, {"next": 7}])
def test_without_a_next_page_the_list_has_ended_whatever_cursors_say(paging: Any) -> None:
    assert following(paging) is None


def test_a_cursor_is_asked_for_at_the_same_path() -> None:
    url = f"https://evil.example/v26.0/me/adaccounts?access_token={TOKEN}"
    paging = {"cursors": {"after": "MQ"}, "next": url}

    assert following(paging) == Question(
        "me/adaccounts", {"fields": "id", "limit": "100", "after": "MQ"}
    )


@pytest.mark.parametrize("cursors", [{}, {"after": ""}, {"after": 7}, None, []])
def test_without_a_cursor_the_url_says_what_to_ask_and_its_secrets_are_left_out(
    cursors: Any,
) -> None:
    url = f"{GRAPH}/v27.0/30/adaccounts?access_token={TOKEN}&appsecret_proof=ab&limit=25&after=MQ"

    assert following({"cursors": cursors, "next": url}) == Question(
        "30/adaccounts", {"limit": "25", "after": "MQ"}
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v26.0/30/adaccounts?after=MQ",
        "https://graph.facebook.com.evil.example/v26.0/30/adaccounts",
        "https://graph.facebook.com@evil.example/v26.0/30/adaccounts",
        "https://somebody@graph.facebook.com/v26.0/30/adaccounts",
        "http://graph.facebook.com/v26.0/30/adaccounts",
        "https://graph.facebook.com:8443/v26.0/30/adaccounts",
        "//graph.facebook.com/v26.0/30/adaccounts",
        "/v26.0/30/adaccounts",
        "https://graph.facebook.com/30/adaccounts",
        "https://graph.facebook.com/v26.0/30/../../adaccounts",
        "https://graph.facebook.com/v26.0/30/feed",
        "https://graph.facebook.com/v26.0/a/b/adaccounts",
        "https://graph.facebook.com/v26.0/30/adaccounts/x",
        "https://[::1/v26.0/30/adaccounts",
        "https://graph.facebook.com:port/v26.0/30/adaccounts",
        "",
    ],
)
def test_a_next_page_anywhere_else_is_not_asked_for(url: str) -> None:
    assert following({"next": url}) == Trouble(Obstacle.ELSEWHERE)


@pytest.mark.parametrize(
    ("graph_url", "url"),
    [
        ("https://graph.facebook.com", "https://graph.facebook.com:443/v26.0/30/adaccounts"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v26.0/30/adaccounts"),
        ("https://proxy.example/meta", "https://proxy.example/meta/v26.0/30/adaccounts"),
    ],
)
def test_the_configured_address_is_known_in_each_of_its_forms(graph_url: str, url: str) -> None:
    assert following({"next": url}, graph_url=graph_url) == Question("30/adaccounts", {})


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": None},
        {"data": {}},
        {"data": ["1"]},
        {"data": [{}]},
        {"data": [{"id": 1}]},
        {"data": [{"id": "1"}, {"id": "../2"}]},
        {"data": [{"id": "1\n"}]},
    ],
)
def test_what_is_no_list_of_objects_with_ids_is_not_graph(answer: Any) -> None:
    assert page(answer) == Trouble(Obstacle.NOT_GRAPH, status=200)


@pytest.mark.parametrize(
    ("code", "limit", "less"),
    [(1, "100", "25"), (1, "25", None), (1, "x", None), (2, "100", None), (None, "100", None)],
)
def test_too_much_data_is_asked_for_in_smaller_pages(
    code: int | None, limit: str, less: str | None
) -> None:
    asked = Question("me/adaccounts", {"limit": limit, "after": "MQ"})

    found = smaller(asked, Trouble(Obstacle.IN_TROUBLE, code=code))

    assert (found and found.parameters) == (less and {"limit": less, "after": "MQ"})


def test_an_object_that_has_no_pages_is_never_asked_for_in_smaller_ones() -> None:
    assert smaller(Question("me", {"fields": "id"}), Trouble(Obstacle.IN_TROUBLE, code=1)) is None


def error(code: int, subcode: int | None = None, **more: Any) -> bytes:
    said = {"message": f"secret {TOKEN}", "code": code, "error_subcode": subcode} | more
    return json.dumps({"error": {name: each for name, each in said.items() if each}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "obstacle"),
    [
        (400, error(190, 463), Obstacle.TOKEN),
        (401, error(190), Obstacle.TOKEN),
        (400, error(102), Obstacle.TOKEN),
        (400, error(104), Obstacle.NOBODY),
        (400, error(2500), Obstacle.NOBODY),
        (403, error(200), Obstacle.PERMISSION),
        (403, error(10), Obstacle.PERMISSION),
        (400, error(294), Obstacle.PERMISSION),
        (400, error(3), Obstacle.PERMISSION),
        (400, error(100, 33), Obstacle.UNKNOWN_OBJECT),
        (400, error(803), Obstacle.UNKNOWN_OBJECT),
        (400, error(100), Obstacle.REFUSED),
        (400, error(368), Obstacle.POLICY),
        (400, error(987654), Obstacle.UNKNOWN),
        (400, error(100, type="GraphMethodException"), Obstacle.CONFIGURATION),
        (400, error(2635), Obstacle.CONFIGURATION),
        (400, error(4), Obstacle.THROTTLED),
        (403, error(17, 2446079), Obstacle.THROTTLED),
        (400, error(80004), Obstacle.THROTTLED),
        (429, b"", Obstacle.THROTTLED),
        (500, error(1), Obstacle.IN_TROUBLE),
        (500, error(2), Obstacle.IN_TROUBLE),
        (502, b"<html>", Obstacle.IN_TROUBLE),
        (200, error(2), Obstacle.IN_TROUBLE),
        (200, error(190), Obstacle.TOKEN),
        (200, b"<html>", Obstacle.NOT_GRAPH),
        (200, b"[]", Obstacle.NOT_GRAPH),
        (200, b"[" * 100_000, Obstacle.NOT_GRAPH),
        (302, b"", Obstacle.NOT_GRAPH),
        (404, b"not found", Obstacle.NOT_GRAPH),
    ],
)
def test_each_answer_that_is_no_object_has_its_obstacle(
    status: int, body: bytes, obstacle: Obstacle
) -> None:
    found = read_object(status, {}, body)

    assert isinstance(found, Trouble)
    assert found.obstacle is obstacle
    assert TOKEN not in repr(found)


def test_an_object_is_what_it_says() -> None:
    assert read_object(200, {}, b'{"id": "1", "name": "Shop"}') == {"id": "1", "name": "Shop"}

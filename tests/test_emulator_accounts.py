"""The emulator as Meta's lists of ad accounts, businesses and pixels: pages and permissions."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson
import pytest

from consumer.emulator import Emulator, EmulatorConfig
from consumer.emulator_accounts import accounts_from

NOW = 1_795_000_000
HASH = "7b17fb0bd173f625b58636fb796407c22b3d16fc78302d79f0fd30c2fc2fc068"
ALL, SYSTEM, BARE, SCOPED = "token-of-anna", "token-of-system", "token-of-bare", "token-of-scoped"
DOCUMENT: dict[str, Any] = {
    "pixels": [
        {"id": "1", "name": "Shop"},
        {"id": "2", "name": "Old shop", "is_unavailable": True},
        {"id": "3"},
        {"id": "4", "name": "Of a client"},
    ],
    "accounts": [
        {"id": "act_10", "name": "Ads", "pixels": ["1", "2"]},
        {"id": "act_11", "pixels": ["1"]},
        {"id": "act_12"},
    ],
    "businesses": [
        {"id": "20", "name": "Company", "owned_pixels": ["3"], "client_pixels": ["4"]},
    ],
    "tokens": [
        {
            "token": ALL,
            "user": "30",
            "permissions": ["ads_read", "business_management"],
            "accounts": ["act_10", "act_11", "act_12"],
            "businesses": ["20"],
        },
        {
            "token": SYSTEM,
            "user": "31",
            "system_user": True,
            "permissions": ["ads_read"],
            "accounts": ["act_10"],
        },
        {"token": BARE, "user": "32", "accounts": ["act_10"], "businesses": ["20"]},
        {"token": SCOPED, "user": "33", "pixels": ["3"]},
    ],
}


@pytest.fixture
def graph() -> Iterator[httpx.Client]:
    config = EmulatorConfig(host="127.0.0.1", port=0, pixels={}, clock=lambda: float(NOW))
    emulator = Emulator(config)
    emulator.start()
    with httpx.Client(base_url=emulator.url, timeout=10) as client:
        describe(client)
        yield client
    emulator.stop()


def describe(graph: httpx.Client, **changes: Any) -> None:
    answer = graph.post("/_emulator/accounts", content=orjson.dumps(DOCUMENT | changes))
    assert answer.json() == {"success": True}


def get(graph: httpx.Client, path: str, token: str = ALL, **query: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"}
    return graph.get(f"/v26.0/{path}", params=query, headers=headers)


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["data"]]


def error(answer: httpx.Response) -> tuple[int, int, int | None]:
    said = answer.json()["error"]
    return answer.status_code, said["code"], said.get("error_subcode")


MISSING, UNSEEN = (403, 200, None), (400, 100, 33)


def test_whoever_asks_is_told_their_id(graph: httpx.Client) -> None:
    assert get(graph, "me").json() == {"id": "30", "name": "Emulated user 30"}
    assert get(graph, "me", SYSTEM, fields="id").json() == {"id": "31"}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("me/adaccounts", ["act_10", "act_11", "act_12"]),
        ("me/assigned_ad_accounts", ["act_10", "act_11", "act_12"]),
        ("30/assigned_ad_accounts", ["act_10", "act_11", "act_12"]),
        ("me/businesses", ["20"]),
        ("act_10/adspixels", ["1", "2"]),
        ("act_12/adspixels", []),
        ("20/owned_pixels", ["3"]),
        ("20/client_pixels", ["4"]),
    ],
)
def test_each_list_has_what_was_described(graph: httpx.Client, path: str, found: list[str]) -> None:
    assert ids(get(graph, path)) == found


@pytest.mark.parametrize(
    ("path", "token", "expected"),
    [
        ("me/adaccounts", SYSTEM, MISSING),
        ("me/businesses", SYSTEM, MISSING),
        ("31/assigned_ad_accounts", ALL, UNSEEN),
        ("act_11/adspixels", SYSTEM, UNSEEN),
        ("act_99/adspixels", ALL, UNSEEN),
        ("99/owned_pixels", ALL, UNSEEN),
        ("me/adaccounts", BARE, MISSING),
        ("me/assigned_ad_accounts", BARE, MISSING),
        ("act_10/adspixels", BARE, MISSING),
        ("20/owned_pixels", BARE, MISSING),
        ("1", BARE, UNSEEN),
        ("4", SYSTEM, UNSEEN),
        ("1", SCOPED, UNSEEN),
        ("me/adaccounts", "token-that-nobody-described", MISSING),
    ],
)
def test_what_a_token_may_not_see_is_refused_as_meta_does(
    graph: httpx.Client, path: str, token: str, expected: tuple[int, int, int | None]
) -> None:
    assert error(get(graph, path, token)) == expected


def test_a_system_users_accounts_are_those_assigned_to_it(graph: httpx.Client) -> None:
    assert ids(get(graph, "31/assigned_ad_accounts", SYSTEM)) == ["act_10"]


@pytest.mark.parametrize(
    ("path", "token"),
    [("1", ALL), ("3", ALL), ("4", ALL), ("2", SYSTEM), ("3", SCOPED), ("7", "12345678")],
)
def test_a_pixel_is_read_by_whoever_may_see_it(graph: httpx.Client, path: str, token: str) -> None:
    assert get(graph, path, token).json()["id"] == path


def test_a_pixel_last_fired_when_it_received_an_event(graph: httpx.Client) -> None:
    fields = "id,name,is_unavailable,last_fired_time,owner_business{id,name}"
    never = {"id": "1", "name": "Shop", "is_unavailable": False}
    assert get(graph, "1", fields=fields).json() == never
    event = {
        "event_name": "Lead",
        "event_time": NOW - 60,
        "action_source": "other",
        "user_data": {"em": [HASH]},
    }
    body = {"data": [event], "access_token": ALL}
    assert graph.post("/v26.0/1/events", content=orjson.dumps(body)).status_code == 200

    fired = {"last_fired_time": "2026-11-18T11:06:40+0000"}
    assert get(graph, "1", fields=fields).json() == never | fired
    assert get(graph, "act_11/adspixels", fields=fields).json()["data"] == [never | fired]
    assert "last_fired_time" not in get(graph, "3", fields=fields).json()


@pytest.mark.parametrize("path", ["1", "act_10/adspixels", "me/adaccounts", "me/businesses", "me"])
def test_a_field_that_is_not_there_fails_the_whole_question(graph: httpx.Client, path: str) -> None:
    answer = get(graph, path, fields="id,name,last_fired")

    assert error(answer) == (400, 100, None)
    assert "nonexisting field (last_fired)" in answer.json()["error"]["message"]


@pytest.mark.parametrize("cursors", [True, False])
def test_pages_lead_to_one_another(graph: httpx.Client, cursors: bool) -> None:
    describe(graph, cursors=cursors)
    first = get(graph, "me/adaccounts", fields="id", limit="2").json()

    following = urlsplit(first["paging"]["next"])
    query = {name: values[0] for name, values in parse_qs(following.query).items()}
    assert following.path == "/v26.0/30/adaccounts"
    assert query["access_token"] == ALL, "as Meta does it"
    assert (query["fields"], query["limit"]) == ("id", "2")
    assert ("cursors" in first["paging"]) is cursors
    if cursors:
        assert first["paging"]["cursors"]["after"] == query["after"]
    second = get(graph, "me/adaccounts", fields="id", limit="2", after=query["after"]).json()
    assert [each["id"] for each in first["data"] + second["data"]] == ["act_10", "act_11", "act_12"]
    assert "next" not in second["paging"]


def test_the_next_page_may_be_said_to_be_elsewhere(graph: httpx.Client) -> None:
    describe(graph, address="https://elsewhere.example")

    said = get(graph, "me/adaccounts", limit="1").json()["paging"]["next"]

    assert said.startswith("https://elsewhere.example/v26.0/30/adaccounts?")


@pytest.mark.parametrize(
    ("limit", "status"), [("1", 200), ("50", 200), ("51", 500), ("0", 400), ("-1", 400), ("x", 400)]
)
def test_a_page_has_its_limit(graph: httpx.Client, limit: str, status: int) -> None:
    describe(graph, items_max=50)

    answer = get(graph, "me/adaccounts", limit=limit)

    assert answer.status_code == status
    if status == 500:
        assert error(answer) == (500, 1, None)


@pytest.mark.parametrize("cursor", ["%%%", "bm90IGEgbnVtYmVy", "4pyT"])
def test_a_cursor_that_was_never_given_is_refused(graph: httpx.Client, cursor: str) -> None:
    assert error(get(graph, "me/adaccounts", after=cursor)) == (400, 100, None)


def test_a_token_in_the_url_is_counted_wherever_it_stands(graph: httpx.Client) -> None:
    get(graph, "me/adaccounts")
    assert graph.get("/_emulator/stats").json()["tokens_in_url"] == 0

    graph.get("/v26.0/me/adaccounts", params={"access_token": ALL})

    assert graph.get("/_emulator/stats").json()["tokens_in_url"] == 1


def test_resetting_forgets_who_owns_what(graph: httpx.Client) -> None:
    graph.post("/_emulator/reset")

    assert error(get(graph, "me/adaccounts")) == MISSING


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"pixel": []},
        {"pixels": {}},
        {"pixels": [{"name": "no id"}]},
        {"pixels": [{"id": 1}]},
        {"pixels": [{"id": "one"}]},
        {"accounts": [{"id": "10"}]},
        {"accounts": [{"id": "act_1", "pixels": ["1"]}]},
        {"tokens": [{"user": "1"}]},
        {"tokens": [{"token": "t", "permissions": ["everything"]}]},
        {"tokens": [{"token": "t", "permissions": "ads_read"}]},
        {"tokens": [{"token": "t", "accounts": ["act_1"]}]},
        {"tokens": [{"token": "t", "businesses": ["1"]}]},
        {"tokens": [{"token": "t", "pixels": ["1"]}]},
        {"businesses": [{"id": "1", "owned_pixels": ["1"]}]},
        {"items_max": 0},
        {"items_max": True},
        {"cursors": "no"},
    ],
)
def test_a_document_is_understood_as_a_whole_or_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"must be of|named and not described"):
        accounts_from(document)


def test_a_refused_document_changes_nothing(graph: httpx.Client) -> None:
    answer = graph.post("/_emulator/accounts", content=b'{"pixels": 1}')

    assert answer.status_code == 400
    assert ids(get(graph, "me/businesses")) == ["20"]


def test_the_tokens_of_a_document_are_not_shown() -> None:
    assert ALL not in repr(accounts_from(DOCUMENT))

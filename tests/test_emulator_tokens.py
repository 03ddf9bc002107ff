"""``debug_token`` and batches of the emulator, over real HTTP."""

from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from consumer.emulator_batch import CALLS_MAX
from tests.emulated import OTHER_TOKEN, PIXEL, TOKEN, Clock, control, error, post, serving, stats

HOUR = 3600


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def graph(clock: Clock) -> Iterator[httpx.Client]:
    with serving(clock) as emulator, httpx.Client(base_url=emulator.url) as client:
        yield client


def batch(graph: httpx.Client, *urls: str, token: str = TOKEN, **more: Any) -> httpx.Response:
    calls = [{"method": "GET", "relative_url": url} for url in urls]
    form = {"access_token": token, "batch": orjson.dumps(calls).decode(), **more}
    return graph.post("/v26.0/", data=form)


def debugged(graph: httpx.Client, token: str, *, by: str = TOKEN) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {by}"}
    answer = graph.get("/v26.0/debug_token", params={"input_token": token}, headers=headers)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()["data"]
    return found


# --- debug_token --------------------------------------------------------------------------------


def test_a_token_shows_its_kind_its_permissions_and_its_ends(graph: httpx.Client) -> None:
    holder = {"token": TOKEN, "system_user": True, "user": "30", "permissions": ["ads_read"]}
    control(graph, "accounts", {"tokens": [holder]})
    control(graph, "expiry", {"token": TOKEN, "data_access_expires_at": 1_900_000_000})

    found = debugged(graph, TOKEN)

    assert found["is_valid"] is True
    assert (found["type"], found["user_id"], found["scopes"]) == ("SYSTEM_USER", "30", ["ads_read"])
    assert (found["expires_at"], found["data_access_expires_at"]) == (0, 1_900_000_000)
    assert "error" not in found


def test_a_token_that_never_was_one_is_only_not_valid(graph: httpx.Client) -> None:
    found = debugged(graph, "nobody-s-token")

    assert (found["is_valid"], found["error"]["code"], found["scopes"]) == (False, 190, [])
    assert found.keys() == {"is_valid", "error", "scopes"}


def test_a_revoked_token_is_not_valid_and_says_why(graph: httpx.Client) -> None:
    control(graph, "revoke", {"token": OTHER_TOKEN})

    found = debugged(graph, OTHER_TOKEN)

    assert found["is_valid"] is False
    assert (found["error"]["code"], found["error"]["subcode"]) == (190, 463)
    assert found["app_id"]


def test_a_token_that_has_ended_sends_nothing_any_more(graph: httpx.Client, clock: Clock) -> None:
    control(graph, "expiry", {"token": TOKEN, "expires_at": int(clock.now) + HOUR})
    before = post(graph)
    clock.now += HOUR

    after = post(graph)

    assert error(before)["code"] == 100, "there is no event in it, and that is all"
    assert (error(after)["code"], error(after)["error_subcode"]) == (190, 463)


def test_without_a_token_to_look_at_the_call_is_refused(graph: httpx.Client) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}

    assert error(graph.get("/v26.0/debug_token", headers=headers))["code"] == 100


def test_nobody_without_a_good_token_may_ask(graph: httpx.Client) -> None:
    answer = graph.get("/v26.0/debug_token", params={"input_token": TOKEN})
    assert error(answer)["code"] == 104


def test_a_token_in_a_url_is_counted_whatever_it_is_there_for(graph: httpx.Client) -> None:
    debugged(graph, TOKEN)

    assert stats(graph)["tokens_in_url"] == 1


@pytest.mark.parametrize(
    "told",
    [
        {"token": TOKEN, "expires_at": -1},
        {"token": TOKEN, "expires_at": "soon"},
        {"token": TOKEN, "ends": 1},
        {"expires_at": 1},
        [],
    ],
)
def test_an_expiry_that_is_not_understood_is_refused(graph: httpx.Client, told: Any) -> None:
    assert graph.post("/_emulator/expiry", content=orjson.dumps(told)).status_code == 400


def test_a_reset_forgets_the_ends(graph: httpx.Client) -> None:
    control(graph, "expiry", {"token": TOKEN, "expires_at": 1})
    control(graph, "reset")

    assert debugged(graph, TOKEN)["is_valid"] is True


# --- batches ------------------------------------------------------------------------------------


def test_the_answers_of_a_batch_come_in_order_as_texts(graph: httpx.Client) -> None:
    answer = batch(
        graph, f"{PIXEL}?fields=id", "/v26.0/me", "nothing/here", include_headers="false"
    )

    first, second, third = answer.json()
    assert (first["code"], orjson.loads(first["body"])) == (200, {"id": PIXEL})
    assert second["code"] == 200
    assert third["code"] == 400
    assert orjson.loads(third["body"])["error"]["code"] == 2500
    assert "headers" not in first


def test_headers_come_along_unless_they_are_not_wanted(graph: httpx.Client) -> None:
    control(graph, "usage", {"headers": {"X-App-Usage": {"call_count": 28}}})

    (only,) = batch(graph, "me").json()

    assert "x-app-usage" in [each["name"].lower() for each in only["headers"]]


def test_a_call_may_bring_a_token_of_its_own(graph: httpx.Client) -> None:
    theirs, unknown = batch(
        graph,
        f"debug_token?input_token={TOKEN}&access_token={OTHER_TOKEN}",
        "me?access_token=nobody",
    ).json()

    assert theirs["code"] == 200
    assert orjson.loads(unknown["body"])["error"]["code"] == 190
    assert stats(graph)["tokens_in_url"] == 0, "what stands in the body is in no URL"


def test_json_does_as_well_as_a_form(graph: httpx.Client) -> None:
    calls = [{"method": "get", "relative_url": "me"}]
    answer = graph.post("/v26.0", json={"access_token": TOKEN, "batch": calls})

    assert answer.json()[0]["code"] == 200


def test_a_batch_needs_a_good_token_of_its_own(graph: httpx.Client) -> None:
    for token, code in ((TOKEN + "x", 190), ("", 104)):
        answer = batch(graph, "me", token=token)
        assert answer.status_code >= 400
        assert error(answer)["code"] == code


def test_each_call_of_a_batch_counts(graph: httpx.Client) -> None:
    budget = {"scope": "token", "requests": 2, "window_seconds": 3600}
    control(graph, "usage", {"budgets": [budget]})

    assert [each["code"] for each in batch(graph, "me", "me", "me").json()] == [200, 200, 400]


@pytest.mark.parametrize(
    "calls",
    [
        "{}",
        "[]",
        '"me"',
        "not JSON",
        "[1]",
        '[{"method": "GET"}]',
        '[{"relative_url": "me"}]',
        '[{"method": 1, "relative_url": "me"}]',
        orjson.dumps([{"method": "GET", "relative_url": "me"}] * (CALLS_MAX + 1)).decode(),
    ],
)
def test_a_batch_that_is_none_is_refused_as_a_whole(graph: httpx.Client, calls: str) -> None:
    answer = graph.post("/v26.0/", data={"access_token": TOKEN, "batch": calls})

    assert answer.status_code == 400
    assert error(answer)["code"] == 100


def test_nothing_is_written_in_a_batch(graph: httpx.Client) -> None:
    calls = [{"method": "POST", "relative_url": f"{PIXEL}/events", "body": "data=[]"}]
    form = {"access_token": TOKEN, "batch": orjson.dumps(calls).decode()}

    (only,) = graph.post("/v26.0/", data=form).json()

    assert only["code"] == 400
    assert orjson.loads(only["body"])["error"]["code"] == 100
    assert stats(graph)["requests"] == 0


def test_a_version_that_is_over_is_over_for_batches_too(graph: httpx.Client) -> None:
    form = {"access_token": TOKEN, "batch": '[{"method": "GET", "relative_url": "me"}]'}

    assert error(graph.post("/v3.0/", data=form))["code"] == 2635

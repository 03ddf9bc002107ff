"""Usage headers and spent budgets: what grows, what is refused, and when it is over."""

from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from consumer.emulator import Emulator
from tests.emulated import (
    OTHER_PIXEL,
    OTHER_TOKEN,
    PIXEL,
    TOKEN,
    Clock,
    control,
    error,
    post,
    serving,
)
from tests.graph_requests import event


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def emulator(clock: Clock) -> Iterator[Emulator]:
    with serving(clock) as emulator:
        yield emulator


@pytest.fixture
def graph(emulator: Emulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=emulator.url, timeout=10) as client:
        yield client


def budget(graph: httpx.Client, scope: str, requests: int, window_seconds: float) -> None:
    one = {"scope": scope, "requests": requests, "window_seconds": window_seconds}
    control(graph, "usage", {"budgets": [one]})


def usage(answer: httpx.Response, name: str) -> Any:
    return orjson.loads(answer.headers[name])


def other(graph: httpx.Client) -> httpx.Response:
    return post(graph, event(), pixel=OTHER_PIXEL, access_token=OTHER_TOKEN)


def test_nothing_is_said_unless_it_is_asked_for(graph: httpx.Client) -> None:
    assert not [name for name in post(graph, event()).headers if "usage" in name.lower()]


def test_headers_can_be_given_as_they_are_and_taken_back(graph: httpx.Client) -> None:
    given = {
        "X-App-Usage": {"call_count": 28, "total_time": 25, "total_cputime": 25},
        "X-Business-Use-Case-Usage": {"5": [{"type": "ads_management", "call_count": 95}]},
        "X-Ad-Account-Usage": "nonsense",
        "X-FB-Ads-Insights-Throttle": None,
    }
    control(graph, "usage", {"headers": given})
    answers = [post(graph, event()), post(graph, event(opt_out=1)), other(graph)]
    answers.append(graph.get(f"/v26.0/{PIXEL}", headers={"Authorization": f"Bearer {TOKEN}"}))
    for answer in answers:
        assert {name: usage(answer, name) for name in given} == given

    control(graph, "usage", {})
    assert "X-App-Usage" not in post(graph, event()).headers


def test_what_spoils_an_answer_may_spoil_its_usage_too(graph: httpx.Client) -> None:
    control(graph, "usage", {"headers": {"X-App-Usage": {"call_count": 1}}})
    control(graph, "misbehave", [{"do": {"headers": {"X-App-Usage": "<html>"}}}])
    assert post(graph, event()).headers["X-App-Usage"] == "<html>"


def test_the_apps_budget_grows_towards_all_of_it_and_refuses_beyond(
    graph: httpx.Client, emulator: Emulator
) -> None:
    budget(graph, "app", 4, 3600)

    calls = [post(graph, event()), other(graph), post(graph, event()), other(graph)]
    assert [usage(call, "X-App-Usage")["call_count"] for call in calls] == [25, 50, 75, 100]
    assert all(call.status_code == 200 for call in calls)

    refused = post(graph, event(event_id="b"))
    assert (refused.status_code, error(refused)["code"]) == (403, 4)
    assert error(refused)["is_transient"] is True
    whole = {"call_count": 100, "total_time": 100, "total_cputime": 100}
    assert usage(refused, "X-App-Usage") == whole
    assert len(emulator.accepted) == 2


def test_a_tokens_budget_is_its_own_and_tells_seconds(graph: httpx.Client, clock: Clock) -> None:
    budget(graph, "token", 3, 100)

    shares = [usage(post(graph, event()), "X-Ad-Account-Usage")["acc_id_util_pct"]]
    clock.now += 10
    shares += [usage(post(graph, event()), "X-Ad-Account-Usage")["acc_id_util_pct"]]
    reading = graph.get(f"/v26.0/{PIXEL}", headers={"Authorization": f"Bearer {TOKEN}"})
    shares += [usage(reading, "X-Ad-Account-Usage")["acc_id_util_pct"]]
    assert shares == [33.33, 66.67, 100]

    refused = post(graph, event())
    assert (error(refused)["code"], error(refused)["error_subcode"]) == (17, 2446079)
    # The oldest of the last three calls, this one among them, was at 10 seconds.
    assert usage(refused, "X-Ad-Account-Usage")["reset_time_duration"] == 100
    assert other(graph).status_code == 200


def test_a_pixels_budget_is_its_own_and_tells_minutes(graph: httpx.Client, clock: Clock) -> None:
    budget(graph, "pixel", 2, 600)
    for _ in range(2):
        answer = post(graph, event())
        (entry,) = usage(answer, "X-Business-Use-Case-Usage")[PIXEL]
        assert entry["estimated_time_to_regain_access"] == 0
        clock.now += 119

    refused = post(graph, event())
    assert error(refused)["code"] == 80004
    (entry,) = usage(refused, "X-Business-Use-Case-Usage")[PIXEL]
    assert (entry["type"], entry["call_count"]) == ("ads_management", 100)
    assert entry["estimated_time_to_regain_access"] == 9  # 481 seconds, in whole minutes
    assert other(graph).status_code == 200


def test_access_is_regained_when_it_was_said_unless_calls_go_on(
    graph: httpx.Client, clock: Clock
) -> None:
    budget(graph, "pixel", 1, 60)
    assert post(graph, event()).status_code == 200
    clock.now += 59.9
    assert error(post(graph, event()))["code"] == 80004
    clock.now += 0.2  # a minute after the first, but not after the refused one
    assert error(post(graph, event()))["code"] == 80004
    clock.now += 60
    assert post(graph, event()).status_code == 200


def test_several_budgets_are_told_together_and_the_first_spent_one_refuses(
    graph: httpx.Client,
) -> None:
    scopes = (("app", 10), ("token", 1), ("pixel", 1))
    budgets = [{"scope": of, "requests": n, "window_seconds": 60} for of, n in scopes]
    control(graph, "usage", {"budgets": budgets})
    post(graph, event())

    refused = post(graph, event())

    assert error(refused)["code"] == 17
    names = ("X-App-Usage", "X-Ad-Account-Usage", "X-Business-Use-Case-Usage")
    assert all(name in refused.headers for name in names)


def test_who_has_no_good_token_uses_nothing_up(graph: httpx.Client) -> None:
    budget(graph, "app", 1, 60)
    assert error(post(graph, event(), access_token="never-given-out"))["code"] == 190
    assert post(graph, event()).status_code == 200


@pytest.mark.parametrize(
    "order",
    [
        [],
        {"budget": []},
        {"headers": []},
        {"headers": {"X-Something": 1}},
        {"budgets": {}},
        {"budgets": [{}]},
        {"budgets": [{"scope": "all", "requests": 1, "window_seconds": 1}]},
        {"budgets": [{"scope": ["app"], "requests": 1, "window_seconds": 1}]},
        {"budgets": [{"scope": "app", "requests": 0, "window_seconds": 1}]},
        {"budgets": [{"scope": "app", "requests": 1.5, "window_seconds": 1}]},
        {"budgets": [{"scope": "app", "requests": 1, "window_seconds": 0}]},
        {"budgets": [{"scope": "app", "requests": 1, "window_seconds": True}]},
        {"budgets": [{"scope": "app", "requests": 1, "window_seconds": 1, "pixel": "5"}]},
    ],
    ids=str,
)
def test_an_order_that_is_not_understood_changes_nothing(graph: httpx.Client, order: Any) -> None:
    control(graph, "usage", {"headers": {"X-App-Usage": 5}})
    answer = graph.post("/_emulator/usage", content=orjson.dumps(order))
    assert (answer.status_code, error(answer)["code"]) == (400, 100)
    assert usage(post(graph, event()), "X-App-Usage") == 5

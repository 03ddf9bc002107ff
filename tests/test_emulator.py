"""The emulator over real HTTP: what it refuses, what it remembers, and how it misbehaves."""

import gzip
import hashlib
import hmac
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any

import httpx
import orjson
import pytest

from consumer.emulator import Emulator, EmulatorConfig
from tests.emulated import (
    OTHER_PIXEL,
    OTHER_TOKEN,
    PIXEL,
    TOKEN,
    Clock,
    control,
    error,
    ids,
    misbehave,
    post,
    serving,
    stats,
)
from tests.graph_requests import DAY, HASH, NOW, event


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


def test_what_is_taken_is_kept_as_it_was(graph: httpx.Client, emulator: Emulator) -> None:
    sent = event(custom_data={"order_id": "5", "anything": {"of": ["ours"]}}, event_id=None)
    answer = post(graph, sent, test_event_code="TEST1")
    assert answer.json().keys() == {"events_received", "messages", "fbtrace_id"}
    (kept,) = emulator.accepted
    assert kept.event == sent
    assert (kept.pixel, kept.receipts, kept.test_event_code) == (PIXEL, 1, "TEST1")


def test_a_thousand_events_are_one_batch(graph: httpx.Client, emulator: Emulator) -> None:
    batch = [event(event_id=str(number)) for number in range(1000)]
    assert post(graph, *batch).json()["events_received"] == 1000
    assert ids(emulator.accepted) == [str(number) for number in range(1000)]


def test_the_refusal_names_the_parameter_that_is_not_hashed(graph: httpx.Client) -> None:
    said = error(post(graph, event(user_data={"em": [HASH], "ct": "berlin"})))
    assert said["error_user_title"] == "User Parameter Not Hashed"
    assert "The ct parameter isn\u2019t hashed." in said["error_user_msg"]


@pytest.mark.parametrize(
    ("token", "pixel", "expected"),
    [
        (TOKEN, PIXEL, (200, None, None)),
        (None, PIXEL, (400, 104, None)),
        ("", PIXEL, (400, 104, None)),
        ("never-given-out", PIXEL, (401, 190, None)),
        (OTHER_TOKEN, PIXEL, (400, 100, 33)),
        (TOKEN, "999", (400, 100, 33)),
    ],
)
def test_a_token_opens_its_own_pixel_only(
    graph: httpx.Client, token: str | None, pixel: str, expected: tuple[int, int | None, int | None]
) -> None:
    answer = post(graph, event(), pixel=pixel, access_token=token)
    said = answer.json().get("error", {})
    assert (answer.status_code, said.get("code"), said.get("error_subcode")) == expected
    assert (said.get("type") == "GraphMethodException") == (expected[2] == 33)
    assert TOKEN not in answer.text


def test_without_named_pixels_any_numeric_one_is_open_to_a_plausible_token(clock: Clock) -> None:
    emulator = Emulator(EmulatorConfig(host="127.0.0.1", port=0, pixels={}, clock=clock))
    emulator.start()
    with httpx.Client(base_url=emulator.url) as graph:
        assert post(graph, event(), pixel="5").status_code == 200
        assert error(post(graph, event(), pixel="abc"))["error_subcode"] == 33
        for token in ("short", "an-invalid-token"):
            assert error(post(graph, event(), pixel="5", access_token=token))["code"] == 190
    emulator.stop()


def test_the_token_may_come_in_the_header_or_is_counted_in_the_url(graph: httpx.Client) -> None:
    content = orjson.dumps({"data": [event()]})
    address = f"/v26.0/{PIXEL}/events"
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert graph.post(address, content=content, headers=bearer).status_code == 200
    assert stats(graph)["tokens_in_url"] == 0
    assert graph.post(f"{address}?access_token={TOKEN}", content=content).status_code == 200
    assert stats(graph)["tokens_in_url"] == 1


def test_a_revoked_token_is_refused_until_it_is_restored(
    graph: httpx.Client, emulator: Emulator
) -> None:
    control(graph, "revoke", {"token": TOKEN})
    said = error(post(graph, event()))
    assert (said["code"], said["error_subcode"]) == (190, 463)
    other = post(graph, event(), pixel=OTHER_PIXEL, access_token=OTHER_TOKEN)
    assert other.status_code == 200
    control(graph, "restore", {"token": TOKEN})
    assert post(graph, event()).status_code == 200
    assert [one.pixel for one in emulator.accepted] == [OTHER_PIXEL, PIXEL]


def test_once_there_is_an_app_secret_each_call_must_prove_it(graph: httpx.Client) -> None:
    control(graph, "app_secrets", {"secrets": ["another", "secret"]})
    right = hmac.new(b"secret", TOKEN.encode(), hashlib.sha256).hexdigest()
    for wrong in (..., "0" * 64, right.upper()):
        said = error(post(graph, event(), appsecret_proof=wrong))
        assert (said["code"], said["type"]) == (100, "GraphMethodException")
        assert "error_subcode" not in said
        assert "appsecret_proof" in said["message"]
    assert post(graph, event(), appsecret_proof=right).status_code == 200
    read = f"/v26.0/{PIXEL}?appsecret_proof="
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert graph.get(read + right, headers=bearer).status_code == 200
    assert error(graph.get(read + "0", headers=bearer))["code"] == 100


def test_a_wrong_proof_is_refused_as_documented_where_that_is_asked_for(
    graph: httpx.Client,
) -> None:
    control(graph, "app_secrets", {"secrets": ["secret"], "code": 104})
    said = error(post(graph, event()))
    assert (said["code"], said["type"], said["message"]) == (
        104,
        "OAuthException",
        "Incorrect signature",
    )
    misunderstood: list[Any] = [{"secrets": ["x"], "code": 190}, {"code": 104}, [], {"secret": []}]
    for wrong in misunderstood:
        answer = graph.post("/_emulator/app_secrets", content=orjson.dumps(wrong))
        assert answer.status_code == 400


def test_the_same_name_and_id_within_48_hours_is_one_event_received_twice(
    graph: httpx.Client, emulator: Emulator, clock: Clock
) -> None:
    post(graph, event(), event(), event(event_name="Contact"), event(event_id=None))
    clock.now += 2 * DAY - 1
    assert post(graph, event(event_time=NOW)).json()["events_received"] == 1
    assert [one.receipts for one in emulator.accepted] == [3, 1, 1]
    assert emulator.accepted[0].event["event_time"] == NOW - 60
    post(graph, event(), pixel=OTHER_PIXEL, access_token=OTHER_TOKEN)
    clock.now += 1
    post(graph, event())
    assert [one.receipts for one in emulator.accepted] == [3, 1, 1, 1, 1]
    counts = stats(graph)
    assert (counts["events_received"], counts["events_unique"], counts["duplicates"]) == (7, 5, 2)
    assert counts["pixels"][OTHER_PIXEL]["events_unique"] == 1


def test_stored_events_are_listed_in_order_and_page_by_page(graph: httpx.Client) -> None:
    post(graph, event(event_id="a"), event(event_id="b"), test_event_code="TEST1")
    post(graph, event(event_id="c"), pixel=OTHER_PIXEL, access_token=OTHER_TOKEN)
    post(graph, event(event_id="d"), event(event_id="a"))
    page = graph.get("/_emulator/events?limit=3").json()
    assert [one["event"]["event_id"] for one in page["events"]] == ["a", "b", "c"]
    first = page["events"][0]
    assert first == {
        "number": 1,
        "pixel": PIXEL,
        "receipts": 2,
        "received_at": NOW,
        "test_event_code": "TEST1",
        "request": 1,
        "event": event(),
    }
    rest = graph.get(f"/_emulator/events?after={page['next']}").json()
    assert [one["event"]["event_id"] for one in rest["events"]] == ["d"]
    assert graph.get(f"/_emulator/events?after={rest['next']}").json()["events"] == []
    other = graph.get(f"/_emulator/events?pixel={OTHER_PIXEL}").json()
    assert [one["event"]["event_id"] for one in other["events"]] == ["c"]


def test_only_the_newer_requests_are_listed_when_asked_for(graph: httpx.Client) -> None:
    for name in ("a", "b", "c"):
        post(graph, event(event_id=name))

    newer = graph.get("/_emulator/requests?after=1").json()["requests"]

    assert [(one["request"], one["event_ids"]) for one in newer] == [(2, ["b"]), (3, ["c"])]
    assert graph.get("/_emulator/requests?after=3").json()["requests"] == []
    assert error(graph.get("/_emulator/requests?after=x"))["message"].startswith("after must be")


def test_requests_are_listed_with_their_verdicts(graph: httpx.Client) -> None:
    post(graph, event())
    trace_id = error(post(graph, event(event_time=1), event(event_id="b")))["fbtrace_id"]
    misbehave(graph, status=500)
    post(graph, event())
    listed = graph.get("/_emulator/requests").json()["requests"]
    assert [one["verdict"] for one in listed] == ["accepted", "refused", "misbehaved"]
    assert listed[1] == {
        "request": 2,
        "time": NOW,
        "pixel": PIXEL,
        "events": 2,
        "verdict": "refused",
        "error": "100/2804003",
        "misbehaviour": None,
        "fbtrace_id": trace_id,
        "event_ids": ["a", "b"],
    }


def test_each_answer_has_a_trace_id_of_its_own(graph: httpx.Client) -> None:
    good = [post(graph, event()).json()["fbtrace_id"] for _ in range(3)]
    bad = [error(post(graph))["fbtrace_id"] for _ in range(3)]
    assert len({*good, *bad}) == 6


def test_reset_forgets_everything(graph: httpx.Client, emulator: Emulator) -> None:
    post(graph, event())
    control(graph, "misbehave", [{"do": {"status": 500}}])
    control(graph, "revoke", {"token": TOKEN})
    control(graph, "app_secrets", {"secrets": ["secret"]})
    control(graph, "hints", {"form": "path"})
    control(graph, "reset")
    assert emulator.accepted == []
    assert stats(graph)["requests"] == 0
    assert post(graph, event()).status_code == 200
    assert "$" not in error(post(graph, event(event_time=1)))["message"]
    assert [one.receipts for one in emulator.accepted] == [1]


def test_a_hint_names_the_event_in_the_form_that_was_asked_for(graph: httpx.Client) -> None:
    batch = [event(event_id=str(number)) for number in range(20)]
    batch[17]["user_data"] = {"ct": "berlin"}
    control(graph, "hints", {"form": "path"})
    said = error(post(graph, *batch))
    assert said["message"] == "Invalid parameter: $['data'][17]['user_data']['ct']"
    assert "error_data" not in said
    control(graph, "hints", {"form": "index"})
    said = error(post(graph, *batch))
    assert said["message"] == "Invalid parameter"
    assert orjson.loads(said["error_data"]) == {"event_index": 17}
    control(graph, "hints", {"form": "none"})
    said = error(post(graph, *batch))
    assert "error_data" not in said
    assert "17" not in str({name: said[name] for name in ("message", "error_user_msg")})


def test_an_unknown_form_of_hint_is_refused(graph: httpx.Client) -> None:
    answer = graph.post("/_emulator/hints", content=b'{"form": "loud"}')
    assert (answer.status_code, error(answer)["code"]) == (400, 100)


def test_an_unexpected_key_is_reported_in_metas_words(graph: httpx.Client) -> None:
    control(graph, "hints", {"form": "path"})
    said = error(post(graph, event(custom_data={"contents": [{"id": "1"}, {"index": 1}]})))
    assert said["error_user_title"] == "Server Side Api Parameter Error"
    where = "$['data'][0]['custom_data']['contents'][1]"
    assert said["error_user_msg"] == f'Unexpected key "index" on param "{where}".'


@pytest.mark.parametrize(
    ("page", "content_type"),
    [("json", "application/json; charset=UTF-8"), ("html", "text/html; charset=utf-8")],
)
def test_a_failing_graph_stores_nothing(
    graph: httpx.Client, emulator: Emulator, page: str, content_type: str
) -> None:
    misbehave(graph, status=503, body=page)
    answer = post(graph, event())
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, content_type)
    if page == "json":
        assert error(answer)["is_transient"] is True
    assert emulator.accepted == []
    assert stats(graph)["events_dropped"] == 1
    assert post(graph, event()).status_code == 200


def test_a_failing_graph_may_say_nothing(graph: httpx.Client) -> None:
    misbehave(graph, status=500, body="empty")
    answer = post(graph, event())
    assert (answer.status_code, answer.content) == (500, b"")


def test_any_error_can_be_ordered(graph: httpx.Client, emulator: Emulator) -> None:
    wanted = {"code": 80004, "subcode": 2446079, "status": 403, "is_transient": True, "type": "X"}
    headers = {"X-App-Usage": '{"call_count":100}'}
    misbehave(graph, error=wanted, headers=headers)
    answer = post(graph, event())
    said = error(answer)
    assert answer.status_code == 403
    assert (said["code"], said["error_subcode"], said["type"]) == (80004, 2446079, "X")
    assert said["is_transient"] is True
    assert answer.headers["X-App-Usage"] == headers["X-App-Usage"]
    assert emulator.accepted == []


@pytest.mark.parametrize("data", [{"blame_field_specs": [["x"]]}, '{"event_index": 1}'])
def test_an_ordered_error_can_be_localised_and_have_data(graph: httpx.Client, data: Any) -> None:
    french = {
        "user_title": "Trop ancien",
        "user_message": "L\u2019\u00e9v\u00e9nement est trop vieux.",
    }
    wanted = {"code": 100, "subcode": 2804003, "message": "Param\u00e8tre", "data": data} | french
    misbehave(graph, error=wanted)
    said = error(post(graph, event()))
    assert (said["error_data"], said["message"]) == (data, "Param\u00e8tre")
    assert (said["error_user_title"], said["error_user_msg"]) == tuple(french.values())


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ({"json": {}}, (200, b"{}")),
        ({"json": {"events_received": "1"}}, (200, b'{"events_received":"1"}')),
        ({"json": [], "status": 201}, (201, b"[]")),
        ({"status": 502}, (502, b"null")),
        ({"text": '{"events_received": 1, "mess'}, (200, b'{"events_received": 1, "mess')),
        ({"text": "", "status": 500}, (500, b"")),
        ({"json": {"error": {"code": "190"}}, "status": 400}, (400, b'{"error":{"code":"190"}}')),
    ],
)
def test_any_answer_can_be_ordered_before_and_after_the_batch_is_taken(
    graph: httpx.Client, emulator: Emulator, wanted: dict[str, Any], given: tuple[int, bytes]
) -> None:
    for action, stored in (("answer", 0), ("accept_then_answer", 1)):
        misbehave(graph, **{action: wanted})
        answer = post(graph, event())
        assert (answer.status_code, answer.content) == given
        assert len(emulator.accepted) == stored


@pytest.mark.parametrize(
    ("do", "stored"),
    [
        ({"hang_seconds": 0.05}, []),
        ({"accept_then_drop": True}, ["a"]),
        ({"truncate": "connection"}, ["a"]),
    ],
)
def test_a_connection_can_end_before_its_answer(
    graph: httpx.Client, emulator: Emulator, do: dict[str, Any], stored: list[str]
) -> None:
    misbehave(graph, **do)
    with pytest.raises(httpx.RemoteProtocolError):
        post(graph, event())
    assert ids(emulator.accepted) == stored
    assert stats(graph)["events_dropped"] == 1 - len(stored)


def test_a_connection_can_be_reset(graph: httpx.Client, emulator: Emulator) -> None:
    misbehave(graph, reset=True)
    with pytest.raises(httpx.ReadError):
        post(graph, event())
    assert emulator.accepted == []


def test_an_accepted_batch_can_be_answered_with_an_error(
    graph: httpx.Client, emulator: Emulator
) -> None:
    misbehave(graph, accept_then_status=500)
    assert post(graph, event()).status_code == 500
    assert post(graph, event()).status_code == 200
    assert [one.receipts for one in emulator.accepted] == [2]


def test_fewer_events_can_be_received_than_were_sent(
    graph: httpx.Client, emulator: Emulator
) -> None:
    misbehave(graph, events_received=1)
    answer = post(graph, event(event_id="a"), event(event_id="b"), event(event_id="c"))
    assert answer.json()["events_received"] == 1
    assert ids(emulator.accepted) == ["a"]
    assert stats(graph)["events_dropped"] == 2


def test_an_answer_can_be_half_of_its_json(graph: httpx.Client, emulator: Emulator) -> None:
    misbehave(graph, truncate=True)
    answer = post(graph, event())
    assert answer.status_code == 200
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(answer.content)
    assert ids(emulator.accepted) == ["a"]


def test_an_error_can_come_with_status_200(graph: httpx.Client, emulator: Emulator) -> None:
    misbehave(graph, ok_with_error=True)
    answer = post(graph, event())
    assert answer.status_code == 200
    assert error(answer)["code"] == 1
    assert emulator.accepted == []


@pytest.mark.parametrize("do", [{"delay_seconds": 0.05}, {"latency_ms": [50, 60]}])
def test_an_answer_can_be_late(graph: httpx.Client, do: dict[str, Any]) -> None:
    misbehave(graph, **do)
    began = monotonic()
    assert post(graph, event()).status_code == 200
    assert monotonic() - began >= 0.05


def test_a_client_that_gives_up_waiting_has_delivered_all_the_same(
    graph: httpx.Client, emulator: Emulator
) -> None:
    misbehave(graph, delay_seconds=60)
    with (
        httpx.Client(base_url=emulator.url, timeout=0.2) as hasty,
        pytest.raises(httpx.ReadTimeout),
    ):
        post(hasty, event())
    assert ids(emulator.accepted) == ["a"]


def test_rules_of_misbehaviour_have_an_order_a_pixel_a_number_and_a_probability(
    graph: httpx.Client,
) -> None:
    rules = [
        {"pixel": OTHER_PIXEL, "do": {"status": 501}},
        {"do": {"headers": {"X-Added": "yes"}}},
        {"times": 2, "do": {"status": 502}},
        {"probability": 0.5, "seed": 7, "do": {"status": 503}},
        {"probability": 0, "do": {"status": 504}},
    ]
    seen = []
    for _ in range(2):
        control(graph, "misbehave", rules)
        answers = [post(graph, event()) for _ in range(40)]
        assert {answer.headers["X-Added"] for answer in answers} == {"yes"}
        seen.append([answer.status_code for answer in answers])
    assert seen[0] == seen[1]
    assert seen[0][:2] == [502, 502]
    assert set(seen[0][2:]) == {200, 503}
    assert post(graph, event(), pixel=OTHER_PIXEL).status_code == 501


@pytest.mark.parametrize(
    "rules",
    [
        {"do": {"reset": True}},
        [{"do": {}}],
        [{"do": {"explode": True}}],
        [{"do": {"status": "500"}}],
        [{"do": {"error": {"subcode": 33}}}],
        [{"do": {"error": {"code": 4, "status": "400"}}}],
        [{"do": {"error": {"code": 4, "reason": "none"}}}],
        [{"do": {"status": 500, "reset": True}}],
        [{"do": {"latency_ms": [5, 1]}}],
        [{"do": {"headers": {"X-A": "b\r\nX-C: d"}}}],
        [{"do": {"reset": True}, "often": 3}],
        [{"do": {"answer": 5}}],
        [{"do": {"answer": {"html": "x"}}}],
        [{"do": {"answer": {"status": 99}}}],
        [{"do": {"accept_then_answer": {"text": 5}}}],
        [{"do": {"error": {"code": 1, "user_title": 5}}}],
        [{"do": {"reset": True}, "times": "3"}],
        [{"do": {"reset": True}, "seed": []}],
    ],
    ids=str,
)
def test_a_rule_that_is_not_understood_changes_nothing(graph: httpx.Client, rules: Any) -> None:
    control(graph, "misbehave", [{"do": {"status": 503}}])
    answer = graph.post("/_emulator/misbehave", content=orjson.dumps(rules))
    assert (answer.status_code, error(answer)["code"]) == (400, 100)
    assert post(graph, event()).status_code == 503


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 400),
        ("POST", f"/{PIXEL}/events", 400),
        ("POST", f"/v26/{PIXEL}/events", 400),
        ("POST", f"/v26.1/{PIXEL}/events", 400),
        ("GET", f"/v26.0/{PIXEL}/events", 400),
        ("GET", "/_emulator/nothing", 400),
        ("GET", "/_emulator/events?after=x", 400),
        ("POST", "/_emulator/revoke", 400),
        ("DELETE", f"/v26.0/{PIXEL}", 400),
        ("PUT", f"/v26.0/{PIXEL}/events", 400),
        ("OPTIONS", f"/v26.0/{PIXEL}", 501),
    ],
)
def test_any_other_path_gets_an_error_of_graphs_shape(
    graph: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = graph.request(method, path)
    assert answer.status_code == status
    assert {"message", "type", "code", "fbtrace_id"} <= error(answer).keys()


def test_a_pixel_can_be_read_with_its_token(graph: httpx.Client) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    answer = graph.get(f"/v26.0/{PIXEL}?fields=id,name,code", headers=bearer)
    assert answer.json() == {"id": PIXEL, "name": f"Emulated pixel {PIXEL}"}
    assert error(graph.get(f"/v26.0/{PIXEL}"))["code"] == 104
    assert error(graph.get(f"/v26.0/{OTHER_PIXEL}", headers=bearer))["error_subcode"] == 33


def test_every_answer_is_dated_by_the_emulators_clock(
    graph: httpx.Client, emulator: Emulator, clock: Clock
) -> None:
    def date(answer: httpx.Response) -> float:
        (given,) = answer.headers.get_list("date")
        return parsedate_to_datetime(given).timestamp()

    clock.now = NOW + 0.9
    answers = [graph.get("/healthz"), post(graph, event()), graph.get("/nowhere")]
    assert [date(answer) for answer in answers] == [NOW] * 3

    clock.now = NOW - 600.0
    assert date(graph.get("/healthz")) == NOW - 600
    assert graph.get("/healthz").headers["date"].endswith(" GMT")


def test_a_rule_of_misbehaviour_may_give_another_date(graph: httpx.Client) -> None:
    given = "Sun, 06 Nov 1994 08:49:37 GMT"
    misbehave(graph, status=200, headers={"Date": given})

    assert post(graph, event()).headers.get_list("date") == [given]


def test_it_says_that_it_is_well(graph: httpx.Client) -> None:
    assert graph.get("/healthz").json() == {"status": "ok"}
    assert graph.head("/healthz").status_code == 200


def test_a_compressed_body_is_read_and_a_broken_one_refused(
    graph: httpx.Client, emulator: Emulator
) -> None:
    packed = gzip.compress(orjson.dumps({"data": [event()], "access_token": TOKEN}))
    address, headers = f"/v26.0/{PIXEL}/events", {"Content-Encoding": "gzip"}
    assert graph.post(address, content=packed, headers=headers).status_code == 200
    for broken in (packed[:-9], b"{}"):
        assert graph.post(address, content=broken, headers=headers).status_code == 400
    assert graph.post(address, content=b"", headers={"Content-Encoding": "br"}).status_code == 400
    assert ids(emulator.accepted) == ["a"]


def test_an_oversize_body_is_413_packed_or_not(graph: httpx.Client) -> None:
    large = b" " * (32 * 1024 * 1024 + 1)
    address = f"/v26.0/{PIXEL}/events"
    packed = gzip.compress(large, 1)
    assert graph.post(address, content=large).status_code == 413
    headers = {"Content-Encoding": "gzip"}
    assert graph.post(address, content=packed, headers=headers).status_code == 413
    assert post(graph, event()).status_code == 200


def test_even_a_fault_of_its_own_is_said_in_graphs_shape() -> None:
    def broken_clock() -> float:
        raise ZeroDivisionError

    emulator = Emulator(EmulatorConfig(host="127.0.0.1", port=0, pixels={}, clock=broken_clock))
    emulator.start()
    answer = httpx.post(f"{emulator.url}/v26.0/5/events", content=b"{}")
    emulator.stop()
    assert (answer.status_code, error(answer)["code"]) == (500, 1)
    assert "ZeroDivisionError" not in answer.text
    assert "date" not in answer.headers


def test_what_is_hardly_http_gets_an_error_of_graphs_shape(emulator: Emulator) -> None:
    port = int(emulator.url.rpartition(":")[2])
    for request in (b"nonsense\r\n\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request)
            answer = connection.makefile("rb").read()
        assert b'"error":{"message"' in answer
        assert answer.startswith(b"HTTP/1.1 4")


def test_threads_lose_no_event_and_no_count(graph: httpx.Client, emulator: Emulator) -> None:
    gate = threading.Barrier(8)
    control(graph, "misbehave", [{"do": {"latency_ms": [0, 2]}}])

    def send(worker: int) -> list[int]:
        gate.wait(10)
        batches = (
            [event(event_id=f"{worker}-{batch}-{one}") for one in range(10)] + [event()]
            for batch in range(20)
        )
        return [post(graph, *batch).json()["events_received"] for batch in batches]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(send, range(8)))
    assert answers == [[11] * 20] * 8
    counts = stats(graph)
    assert counts["requests"] == counts["accepted_requests"] == 160
    assert (counts["events_received"], counts["events_unique"]) == (1760, 1601)
    assert 1 < counts["concurrent_requests_max"] <= 8
    assert [one.number for one in emulator.accepted] == list(range(1, 1602))
    assert {one.event["event_id"]: one.receipts for one in emulator.accepted}["a"] == 160


def test_it_comes_back_at_the_same_address_with_its_memory(
    graph: httpx.Client, emulator: Emulator
) -> None:
    post(graph, event())
    emulator.stop()
    with pytest.raises(httpx.ConnectError):
        post(graph, event())
    emulator.start()
    assert post(graph, event()).status_code == 200
    assert [one.receipts for one in emulator.accepted] == [2]


def test_stopping_cuts_off_a_request_that_waits(graph: httpx.Client, emulator: Emulator) -> None:
    control(graph, "misbehave", [{"do": {"hang_seconds": 60}}])
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(post, graph, event())
        with httpx.Client(base_url=emulator.url) as watcher:
            deadline = monotonic() + 10
            while not stats(watcher)["requests"] and monotonic() < deadline:
                pass
        emulator.stop()
        assert isinstance(waiting.exception(timeout=10), httpx.TransportError)


def test_it_serves_until_it_is_stopped(clock: Clock) -> None:
    emulator = Emulator(EmulatorConfig(host="127.0.0.1", port=0, pixels={}, clock=clock))
    emulator.start()
    serving = threading.Thread(target=emulator.serve_forever)
    serving.start()
    assert httpx.get(f"{emulator.url}/healthz").status_code == 200
    emulator.stop()
    serving.join(10)
    assert not serving.is_alive()


def test_it_writes_no_line_and_its_repr_holds_no_token(
    graph: httpx.Client, emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    post(graph, event())
    post(graph, event(user_data={"em": "somebody@example.com"}))
    misbehave(graph, reset=True)
    with pytest.raises(httpx.ReadError):
        post(graph, event())
    graph.get(f"/nowhere?access_token={TOKEN}")
    assert capfd.readouterr() == ("", "")
    assert HASH not in repr(emulator.accepted)
    config = EmulatorConfig(host="", port=0, pixels={PIXEL: frozenset((TOKEN,))}, clock=Clock())
    assert TOKEN not in repr(config)

"""One POST to the Graph API: what leaves, what comes back, and what never shows."""

import hashlib
import hmac
import json
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from consumer.meta import ANSWER_BYTES_MAX, GraphReader, Meta, Unanswered, appsecret_proof
from consumer.model import (
    Accepted,
    Halted,
    HaltReason,
    Incomplete,
    PixelId,
    Prepared,
    Record,
    Refused,
    Request,
    Retry,
    RetryCause,
    Split,
    Throttled,
    TopicPartition,
    WindowKey,
)
from consumer.secret_files import RotatingSecret
from tests.fakes.drips import Drips

PIXEL = PixelId("1729525464415281")
TOKEN = "EAABcanary0123456789"
APP_SECRET = "app-secret-canary"
Answer = Callable[[httpx.Request], httpx.Response]


def prepared(number: int = 0) -> Prepared:
    body = json.dumps({"event_id": f"e{number}", "note": "ü"}).encode()
    record = Record(TopicPartition("events", 0), number, 0, None, b"", (), 1)
    return Prepared(
        record=record,
        destination=PIXEL,
        test_code=None,
        event_name="Lead",
        event_id=f"e{number}",
        event_time_ms=0,
        body=body,
        due_at_ms=0,
        expires_at_ms=0,
        aged=False,
        match_keys=(),
        dropped=(),
        warnings=(),
    )


def request(*events: Prepared, test_code: str | None = None) -> Request:
    return Request(
        request_id="r1",
        key=WindowKey(PIXEL, test_code, False, None),
        batch_id="b1",
        events=events or (prepared(),),
        isolating=False,
    )


def meta(
    answer: Answer | None = None,
    *,
    token: str | None = TOKEN,
    app_secret: RotatingSecret | None = None,
    graph_url: str = "https://graph.example.com/",
    timeout_seconds: float = 5.0,
    body_fields: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Meta:
    secret = SecretStr(token) if token is not None else None
    return Meta(
        graph_url=graph_url,
        graph_version="v26.0",
        timeout_seconds=timeout_seconds,
        connections_max=4,
        token_for=lambda pixel: secret if pixel == PIXEL else None,
        app_secret=app_secret or RotatingSecret(value=None, path=None),
        transport=httpx.MockTransport(answer) if answer is not None else None,
        body_fields_for=lambda pixel: body_fields.get(pixel, {}),
    )


def accepting(sent: list[httpx.Request]) -> Answer:
    """A Meta that takes everything and keeps what it was sent."""

    def answer(received: httpx.Request) -> httpx.Response:
        sent.append(received)
        count = len(json.loads(received.content)["data"])
        return httpx.Response(200, json={"events_received": count, "fbtrace_id": "A1"})

    return answer


def error(code: int, status: int = 400, **more: Any) -> Answer:
    body = {"error": {"code": code, "message": "m", "fbtrace_id": "A2", **more}}
    return lambda _: httpx.Response(status, json=body)


# --- what leaves --------------------------------------------------------------------------------


def test_the_body_is_the_events_as_prepared_and_the_token() -> None:
    sent: list[httpx.Request] = []

    verdict = meta(accepting(sent)).post(request(prepared(1), prepared(2))).verdict

    assert verdict == Accepted(trace_id="A1")
    (received,) = sent
    assert received.method == "POST"
    assert str(received.url) == f"https://graph.example.com/v26.0/{PIXEL}/events"
    assert received.headers["content-type"] == "application/json"
    assert json.loads(received.content) == {
        "data": [{"event_id": "e1", "note": "ü"}, {"event_id": "e2", "note": "ü"}],
        "access_token": TOKEN,
    }
    assert received.content.startswith(
        b'{"data":[' + prepared(1).body + b"," + prepared(2).body + b"]"
    )


def test_the_token_is_in_no_url_and_no_header() -> None:
    sent: list[httpx.Request] = []
    secret = RotatingSecret(value=SecretStr(APP_SECRET), path=None)

    meta(accepting(sent), app_secret=secret).post(request())

    around = f"{sent[0].url} {sent[0].headers.multi_items()}"
    assert TOKEN not in around
    assert appsecret_proof(TOKEN, SecretStr(APP_SECRET)) not in around
    assert APP_SECRET.encode() not in sent[0].content


def test_a_test_code_applies_to_the_whole_request() -> None:
    sent: list[httpx.Request] = []

    meta(accepting(sent)).post(request(test_code="TEST1"))

    assert json.loads(sent[0].content)["test_event_code"] == "TEST1"


def test_what_a_destination_asks_for_is_in_each_body_and_never_in_place_of_the_token() -> None:
    sent: list[httpx.Request] = []
    own = {"partner_agent": "shop_1", "namespace_id": "77", "access_token": "of the file"}

    meta(accepting(sent), body_fields={PIXEL: own}).post(request())

    found = json.loads(sent[0].content)
    assert (found["partner_agent"], found["namespace_id"]) == ("shop_1", "77")
    assert found["access_token"] == TOKEN


def test_an_app_secret_proves_itself_with_each_call_and_may_change(tmp_path: Path) -> None:
    sent: list[httpx.Request] = []
    file = tmp_path / "secret"
    file.write_text("first\n", "utf-8")
    edge = meta(accepting(sent), app_secret=RotatingSecret(value=None, path=file))

    edge.post(request())
    file.write_text("second one\n", "utf-8")
    edge.post(request())

    proofs = [json.loads(each.content)["appsecret_proof"] for each in sent]
    assert proofs == [
        hmac.new(key, TOKEN.encode(), hashlib.sha256).hexdigest()
        for key in (b"first", b"second one")
    ]


def test_the_proof_is_the_hmac_of_rfc_4231() -> None:
    assert appsecret_proof("what do ya want for nothing?", SecretStr("Jefe")) == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


def test_without_a_token_nothing_is_sent_and_the_destination_halts() -> None:
    sent: list[httpx.Request] = []

    verdict = meta(accepting(sent), token=None).post(request()).verdict

    assert isinstance(verdict, Halted)
    assert verdict.reason is HaltReason.TOKEN
    assert sent == []


# --- what comes back ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (error(100, error_subcode=2804019), Refused),
        (error(190, 401), Halted),
        (error(4), Throttled),
        (error(2, 500), Retry),
        (lambda _: httpx.Response(413), Split),
        (lambda _: httpx.Response(503, text="<html>"), Retry),
        (lambda _: httpx.Response(200, text="{"), Retry),
        (lambda _: httpx.Response(204), Retry),
        (lambda _: httpx.Response(301, headers={"location": "https://elsewhere/"}), Retry),
        (lambda _: httpx.Response(200, json={"events_received": 0}), Incomplete),
    ],
)
def test_every_answer_is_judged(answer: Answer, verdict: type) -> None:
    assert isinstance(meta(answer).post(request()).verdict, verdict)


def test_a_redirect_is_not_followed_as_it_would_carry_the_token_away() -> None:
    seen: list[str] = []

    def answer(received: httpx.Request) -> httpx.Response:
        seen.append(received.url.host)
        return httpx.Response(307, headers={"location": "https://elsewhere.example.com/"})

    verdict = meta(answer).post(request()).verdict

    assert isinstance(verdict, Retry)
    assert seen == ["graph.example.com"]


def test_headers_are_read_whatever_their_case() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(429, headers={"Retry-After": "7"}, json={"error": {"code": 4}})

    verdict = meta(answer).post(request()).verdict

    assert isinstance(verdict, Throttled)
    assert verdict.wait_seconds == 7.0


@pytest.mark.parametrize(
    ("raised", "cause", "reached_meta"),
    [
        (httpx.ConnectError, RetryCause.CONNECTION, False),
        (httpx.ConnectTimeout, RetryCause.CONNECTION, False),
        (httpx.PoolTimeout, RetryCause.CONNECTION, False),
        (httpx.ReadTimeout, RetryCause.TIMEOUT, True),
        (httpx.WriteTimeout, RetryCause.TIMEOUT, True),
        (httpx.ReadError, RetryCause.CONNECTION, True),
        (httpx.WriteError, RetryCause.CONNECTION, True),
        (httpx.RemoteProtocolError, RetryCause.CONNECTION, True),
        (httpx.DecodingError, RetryCause.CONNECTION, True),
    ],
)
def test_whatever_the_network_does_is_a_retry_that_knows_whether_meta_may_have_it(
    raised: type[httpx.HTTPError], cause: RetryCause, reached_meta: bool
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise raised(TOKEN)

    assert meta(answer).post(request()).verdict == Retry(cause, None, reached_meta=reached_meta)


def test_a_compressed_answer_is_read_and_a_broken_one_is_a_retry() -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        gzip = {"content-encoding": "gzip"}
        return httpx.Response(200, headers=gzip, stream=Chunks([b"this is no gzip"]))

    verdict = meta(broken).post(request()).verdict

    assert verdict == Retry(RetryCause.CONNECTION, None, reached_meta=True)


class Chunks(httpx.SyncByteStream):
    """An answer's body, in the pieces given."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)


def test_an_answer_without_end_is_given_up() -> None:
    piece = b" " * (ANSWER_BYTES_MAX // 4)
    taken: list[int] = []

    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                taken.append(1)
                yield piece

    verdict = meta(lambda _: httpx.Response(200, stream=Endless())).post(request()).verdict

    assert isinstance(verdict, Retry)
    assert verdict.reached_meta
    assert len(taken) == 5


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", id="in its body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Slow: ", id="in its headers"),
    ],
)
def test_an_answer_that_drips_is_given_up_at_the_deadline(head: bytes) -> None:
    with Drips(head) as url:
        edge = meta(graph_url=url, timeout_seconds=0.2)

        started_at = monotonic()
        verdict = edge.post(request()).verdict

        assert verdict == Retry(RetryCause.TIMEOUT, None, reached_meta=True)
        assert 0.15 < monotonic() - started_at < 2.0
        edge.close()


def test_the_deadline_holds_behind_a_proxy_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    with Drips(b"HTTP/1.1 200 OK\r\nX-Slow: ") as url:
        monkeypatch.setenv("http_proxy", url)
        edge = meta(graph_url="http://graph.invalid", timeout_seconds=0.2)

        assert edge.post(request()).verdict == Retry(RetryCause.TIMEOUT, None, reached_meta=True)
        edge.close()


def test_nobody_there_means_that_nothing_has_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    edge = meta(graph_url=f"http://127.0.0.1:{port}")

    assert edge.post(request()).verdict == Retry(RetryCause.CONNECTION, None, reached_meta=False)
    edge.close()


# --- what GETs tell as well ---------------------------------------------------------------------


def reader(answer: Answer) -> GraphReader:
    return GraphReader(
        graph_url="https://graph.example.com",
        graph_version="v26.0",
        timeout_seconds=5.0,
        app_secret=RotatingSecret(value=None, path=None),
        transport=httpx.MockTransport(answer),
    )


def test_a_get_tells_usage_and_the_version_warning_as_a_post_does() -> None:
    headers = {
        "X-App-Usage": '{"call_count": 80}',
        "X-Ad-Api-Version-Warning": "auto-upgraded to v27.0",
    }

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"id": PIXEL, "events_received": 1}, headers=headers)

    read = reader(answer).get(PIXEL, {}, token=SecretStr(TOKEN))
    posted = meta(answer).post(request())

    assert not isinstance(read, Unanswered)
    assert read.usage == posted.usage
    assert [usage.share for usage in read.usage] == [0.8]
    assert read.version_warning == posted.version_warning == "auto-upgraded to v27.0"


def test_a_get_without_an_end_is_given_up() -> None:
    piece = b" " * (ANSWER_BYTES_MAX // 4)
    endless = httpx.Response(200, stream=Chunks([piece] * 6))

    read = reader(lambda _: endless).get(PIXEL, {}, token=SecretStr(TOKEN))

    assert read == Unanswered("the answer is too long or too slow")


# --- what never shows ---------------------------------------------------------------------------


def test_no_log_line_of_any_library_and_no_repr_shows_a_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = RotatingSecret(value=SecretStr(APP_SECRET), path=None)
    edge = meta(accepting([]), app_secret=secret)

    with caplog.at_level(logging.DEBUG):
        verdict = edge.post(request()).verdict
        edge.close()

    shown = f"{caplog.text} {edge!r} {request()!r} {verdict!r}"
    assert TOKEN not in shown
    assert APP_SECRET not in shown
    assert "event_id" not in shown

"""Planted personal data and secrets, looked for wherever the product speaks: log lines, metrics,
reprs, texts of exceptions, headers of dead letters. Meta's answers quote what they were sent, as
the real ones do.
"""

import json
from collections.abc import Callable, Iterator
from io import StringIO
from logging import getLogger
from typing import Any

import httpx
import orjson
import pytest
import structlog
from pydantic import SecretStr

from consumer.decode import NeedsSchema, decode
from consumer.destinations import one_destination
from consumer.judge import Posted
from consumer.logs import configure_logs
from consumer.meta import Meta
from consumer.model import (
    Batch,
    Closing,
    Delivered,
    Event,
    Prepared,
    Reason,
    Record,
    Rejected,
    Request,
    Suppressed,
    TopicPartition,
    WindowKey,
)
from consumer.prepare import Preparation, prepare
from consumer.secret_files import RotatingSecret
from consumer.settle import Ledger
from consumer.status import About, Status, probe_facts
from consumer.status_board import StatusBoard
from consumer.status_page import status_page
from tests.fakes.house import CRM, DESTINATIONS, SHOP, FakeHouse, house
from tests.fakes.schemas import SCHEMA_ID, event_plan, event_value
from tests.fakes.spans import Spans, facts

EMAIL, PHONE, IP = "canary.bird@cage.example", "+14155550199", "93.184.216.34"
FIRST, LAST, EXTERNAL = "Canarina", "Featherstone", "loyalty-of-canarina"
TOKEN, APP_SECRET = "EAAcanarytoken000111222333", "canaryappsecret4445556667778889"
PROXY_LOGIN = "proxyuser:canaryproxypassword99"
CANARIES = (
    EMAIL,
    "canary.bird",
    PHONE,
    PHONE[1:],
    "(415) 555-0199",
    IP,
    FIRST,
    LAST,
    EXTERNAL,
    TOKEN,
    APP_SECRET,
    PROXY_LOGIN,
    PROXY_LOGIN.partition(":")[2],
)
USER = {
    "email": EMAIL,
    "phone": PHONE,
    "externalId": EXTERNAL,
    "firstName": FIRST,
    "lastName": LAST,
    "ipAddress": IP,
    "userAgent": "Mozilla/5.0 (cage)",
    "country": "US",
}
TRACED = (("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"),)
DEMANDING = DESTINATIONS.replace(
    f"- id: '{CRM}'", f"- id: '{CRM}'\n  strict: true\n  missingEventId: reject"
)


def leaks(text: str) -> list[str]:
    """Which canaries are in a text."""
    return [canary for canary in CANARIES if canary.lower() in text.lower()]


def test_the_search_itself_finds_a_canary() -> None:
    assert leaks(f"hello {EMAIL.upper()}") == [EMAIL, "canary.bird"]
    assert leaks(f"token={TOKEN}&x=1") == [TOKEN]


Answer = Callable[[bytes], httpx.Response]


def accepting(sent: bytes) -> httpx.Response:
    events = len(orjson.loads(sent)["data"])
    return httpx.Response(200, json={"events_received": events, "fbtrace_id": "t-ok"})


def quoting(sent: bytes) -> httpx.Response:
    """A refusal that quotes all it can lay its hands on."""
    error = {
        "message": f"(#100) Param data[0]: '{FIRST} {LAST}' with token {TOKEN}",
        "error_user_title": f'Wrong "{LAST}" {EMAIL}',
        "error_user_msg": f"{EMAIL} {PHONE} '{IP}' \"{FIRST}\" “{EXTERNAL}” {APP_SECRET}",
        "code": 100,
        "error_subcode": 2804003,
        "fbtrace_id": "t-refused",
    }
    return httpx.Response(400, json={"error": error})


def halting(sent: bytes) -> httpx.Response:
    error = {"message": f"Bad token {TOKEN}", "error_user_title": TOKEN, "code": 190}
    return httpx.Response(401, json={"error": error})


def advising(sent: bytes) -> httpx.Response:
    answer = {"events_received": 3, "messages": [f"look at {EMAIL}", f"and at '{IP}'"]}
    return httpx.Response(200, json=answer)


def echoing(sent: bytes) -> httpx.Response:
    return httpx.Response(500, content=sent)


def breaking(sent: bytes) -> httpx.Response:
    raise httpx.ReadError(f"{EMAIL} {TOKEN} {sent!r}")


def barring(sent: bytes) -> httpx.Response:
    """A proxy that refuses, and quotes its login."""
    raise httpx.ProxyError(f"407 No {PROXY_LOGIN}, {TOKEN}")


@pytest.fixture
def stream() -> Iterator[StringIO]:
    """Where the log goes; the process's logging is put back afterwards."""
    root = getLogger()
    handlers, level = root.handlers[:], root.level
    yield StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def posting(answer: Answer, said: list[object]) -> Callable[[Request], Posted]:
    """Meta's real edge over a transport that answers; what goes by is kept in ``said``."""

    def answered(request: httpx.Request) -> httpx.Response:
        assert not leaks(str(request.url))
        assert not leaks(str(request.headers))
        assert TOKEN.encode() in request.content, "the planted token is really in use"
        for personal in (EMAIL, PHONE[1:], FIRST, LAST, EXTERNAL):
            assert personal.encode() not in request.content, "only hashes leave"
        assert APP_SECRET.encode() not in request.content
        return answer(request.content)

    meta = Meta(
        graph_url="https://graph.example",
        graph_version="v26.0",
        timeout_seconds=5.0,
        connections_max=2,
        token_for=lambda pixel: SecretStr(TOKEN),
        app_secret=RotatingSecret(value=SecretStr(APP_SECRET), path=None),
        transport=httpx.MockTransport(answered),
    )

    def post(request: Request) -> Posted:
        posted = meta.post(request)
        said.extend([request, *request.events, posted, meta])
        return posted

    return post


def everything_said(home: FakeHouse, stream: StringIO, said: list[object]) -> str:
    """Log, metrics, the headers of dead letters, and the repr of whatever is at hand."""
    headers = [letter.headers for letter in home.dead_letters.produced]
    objects = [
        *said,
        *home.dead_letters.produced,
        *home.deliveries.outboxes.values(),
        home.deliveries,
        home.ledger,
        home.letters,
        *vars(home.pipeline).values(),
    ]
    status = shown_by(home)
    page = status_page(status, now_ms=home.clock.now_ms(), refreshing=True).decode()
    seen = [page, repr(status), repr(probe_facts(status))]
    text = "\n".join([stream.getvalue(), home.exposition, repr(headers), repr(objects), *seen])
    return f"{text}\n{objects!s}"


def shown_by(home: FakeHouse) -> Status:
    """What the loop shows to the probes and on the status page."""
    return StatusBoard(
        about=About("1", "v26.0", "m", "g", "t", "t.dlq", "00", 0, 20_000),
        clock=home.clock,
        pipeline=home.pipeline,
        ledger=home.ledger,
        deliveries=home.deliveries,
        letters=home.letters,
        guard=home.guard,
        journal=home.journal,
        destinations=home.pipeline._intake.preparation.destinations,
    ).newest


@pytest.mark.parametrize(
    "answer",
    [accepting, quoting, halting, advising, echoing, breaking, barring],
    ids=lambda f: f.__name__,
)
def test_whatever_meta_answers_nothing_personal_is_said(answer: Answer, stream: StringIO) -> None:
    spans = Spans()
    said: list[object] = [spans]
    log = configure_logs(level="debug", log_format="json", stream=stream)
    post = posting(answer, said)
    home = house(destinations=DEMANDING, log=log, post=post, trace=spans.trace)
    home.publish(0, events=3, user=USER, headers=TRACED)

    home.run(90)
    home.journal.traces.close()

    assert len(said) > 1
    assert len(spans.batches) == 1
    assert not leaks(everything_said(home, stream, said))
    assert bool(shown_by(home).errors) == (answer not in (accepting, advising))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert any(str(line["event"]).startswith("batch ") for line in lines)
    if answer is barring:
        page = status_page(shown_by(home), now_ms=home.clock.now_ms(), refreshing=False)
        assert b"the proxy refuses our credentials (HTTP 407)" in page
        assert {line.get("why") for line in lines if line["event"] == "batch retry"} == {
            "the proxy refuses our credentials (HTTP 407)"
        }
    if answer is quoting:
        assert len(home.dead_letters.written) == 3
        assert "conversions.meta_message" in dict(home.dead_letters.written[0].headers)


Fields = dict[str, Any]
DAY_MS = 24 * 3600 * 1000


def unfit(now_ms: int) -> list[tuple[Reason, Fields]]:
    """One event for each reason that ``prepare`` has, all of one person."""
    website: Fields = {"destinationId": CRM, "actionSource": "website"}
    price: Fields = {"eventName": "Purchase", "value": 1.0}
    return [
        (Reason.MISSING_EVENT_NAME, {"eventName": " "}),
        (Reason.MISSING_EVENT_ID, {"eventId": None, "destinationId": CRM}),
        (Reason.MISSING_DESTINATION, {"destinationId": None}),
        (Reason.UNKNOWN_DESTINATION, {"destinationId": EMAIL}),
        (Reason.UNKNOWN_DESTINATION, {"destinationId": PHONE, "eventId": EMAIL}),
        (Reason.MISSING_ACTION_SOURCE, {"actionSource": None, "eventId": PHONE}),
        (Reason.UNKNOWN_ACTION_SOURCE, {"actionSource": EMAIL, "eventName": EMAIL}),
        (Reason.MISSING_SOURCE_URL, website),
        (Reason.MISSING_USER_AGENT, website | {"user": USER | {"userAgent": None}}),
        (Reason.MISSING_APP_DATA, {"actionSource": "app"}),
        (Reason.INSUFFICIENT_USER_DATA, {"user": {"firstName": FIRST}}),
        (Reason.MISSING_VALUE, price | {"value": None, "currency": "USD"}),
        (Reason.MISSING_CURRENCY, price | {"currency": EMAIL}),
        (Reason.EVENT_TOO_OLD, {"eventTime": now_ms - 9 * DAY_MS}),
        (Reason.EVENT_TIME_IN_FUTURE, {"eventTime": now_ms + DAY_MS}),
        (Reason.EVENT_TOO_LARGE, {"customData": {"note": EMAIL * 300_000}}),
    ]


def test_no_reason_of_rejection_says_anything_personal(stream: StringIO) -> None:
    spans = Spans()
    said: list[object] = [spans]
    log = configure_logs(level="debug", log_format="json", stream=stream)
    post = posting(accepting, said)
    home = house(destinations=DEMANDING, log=log, post=post, trace=spans.trace)
    planted = unfit(home.clock.now_ms())
    for _, fields in planted:
        home.publish(0, **{"headers": TRACED, "user": USER, **fields})
    home.topic.publish(0, f"no Avro, but {EMAIL} {PHONE}".encode())
    cut = event_value({"eventName": EMAIL, "eventTime": 1, "user": USER}, schema_id=SCHEMA_ID)
    home.topic.publish(0, cut[:-30])
    home.topic.publish(0, None)

    home.run(5)

    reasons = [dict(letter.headers)["conversions.reason"] for letter in home.dead_letters.written]
    assert reasons == [reason.value.encode() for reason, _ in planted] + [b"undecodable"] * 3
    assert {facts(span)["error.type"] for span in spans.batches} == {
        (reason or b"").decode() for reason in reasons
    }
    assert not leaks(everything_said(home, stream, said))


def test_no_span_says_what_stands_in_the_records_headers_beside_its_producers_context() -> None:
    spans = Spans()
    home = house(trace=spans.trace)
    state, baggage = f"shop={EXTERNAL},b={FIRST}".encode(), f"user={EMAIL}".encode()
    headers = (*TRACED, ("tracestate", state), ("baggage", baggage), (EMAIL, PHONE.encode()))
    home.publish(0, user=USER, headers=headers)
    home.publish(0, user=USER, headers=(("traceparent", EMAIL.encode()),))

    home.settle_all()

    assert len(spans.batches[0].links) == 1
    assert not leaks(repr(spans))


def test_the_dead_letters_value_is_the_record_itself(stream: StringIO) -> None:
    home = house()
    home.publish(0, user=USER, actionSource=None)

    home.run(3)

    (letter,) = home.dead_letters.written
    assert EMAIL.encode() in (letter.value or b"")
    assert not leaks(repr(letter))


def test_no_noun_shows_its_data_when_it_is_printed() -> None:
    fields: Fields = {"eventName": "Lead", "eventTime": 1, "destinationId": SHOP, "user": USER}
    value = event_value(fields | {"actionSource": "crm"}, schema_id=SCHEMA_ID)
    record = Record(
        TopicPartition("conversions.events", 0), 7, 1, EMAIL.encode(), value, (("h", value),), 1
    )
    event = decode(record, schema_for=lambda ref: event_plan())
    assert isinstance(event, Event)
    assert EMAIL in str(event.fields), "the canary is really in there"
    preparation = Preparation(
        destinations=one_destination(SHOP), test_code=None, body_bytes_max=10_000
    )
    prepared = prepare(event, preparation, now_ms=60_000)
    assert isinstance(prepared, Prepared)
    key = WindowKey(SHOP, None, False, None)
    batch = Batch(key=key, batch_id="b", events=(prepared,), closed_by=Closing.AGE, opened_at=0.0)
    nouns = [
        record,
        event,
        prepared,
        NeedsSchema(record, 2),
        Rejected(record=record, reason=Reason.EXPIRED, detail="too old"),
        Delivered(prepared, "trace"),
        Suppressed(record, SHOP, "Lead"),
        batch,
        preparation,
    ]
    for noun in nouns:
        assert not leaks(f"{noun!r} {noun!s} {noun}"), type(noun).__name__
    assert not leaks(repr(nouns))


def test_no_exception_quotes_what_it_stumbled_over() -> None:
    with pytest.raises(ValueError, match="does not fit the schema") as unfitting:
        event_value({"eventName": EMAIL, "eventTime": PHONE, "user": USER}, schema_id=SCHEMA_ID)
    ledger = Ledger()
    where = TopicPartition("conversions.events", 0)
    record = Record(where, 7, 1, EMAIL.encode(), EMAIL.encode(), (), ledger.begin(where))
    with pytest.raises(AssertionError, match="settled twice") as twice:
        ledger.settle(record)
    for caught in (unfitting, twice):
        assert not leaks(f"{caught.value} {caught.value!r} {caught.value.__cause__!r}")

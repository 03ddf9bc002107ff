"""The table of Meta's answers: each row over real HTTP from the emulator through ``Meta.post``."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import orjson
import pytest
from pydantic import SecretStr

from consumer.emulator import Emulator, EmulatorConfig
from consumer.judge import Posted
from consumer.meta import Meta
from consumer.model import (
    Accepted,
    Halted,
    Incomplete,
    PixelId,
    Prepared,
    Refused,
    Request,
    Retry,
    Split,
    Throttled,
    Verdict,
    WindowKey,
)
from consumer.secret_files import RotatingSecret
from consumer.verdicts import EVENT_FAULTS, ROWS, Facts, Says, row_for, spelled
from tests.fakes.events import NOW_MS, PIXEL, an_event

TOKEN = "a-token-that-may-write"
HASH = "7b17fb0bd173f625b58636fb796407c22b3d16fc78302d79f0fd30c2fc2fc068"


def told(verdict: Verdict) -> str:
    """A verdict in a word or two."""
    match verdict:
        case Accepted():
            return "accepted"
        case Incomplete(received):
            return f"incomplete {received}"
        case Refused():
            return "refused"
        case Split():
            return "split"
        case Retry(cause, _, reached_meta, few_times):
            assert reached_meta, "an answer came: the events may have counted"
            return f"retry {cause.value}{' few' if few_times else ''}"
        case Throttled(_, _, scope):
            return f"throttled {scope.value}"
        case Halted(reason):
            return f"halted {reason.value}"


class Served(NamedTuple):
    """What Meta says, and the verdict it must get, written down by hand."""

    do: dict[str, Any]
    verdict: str


def error(code: int, verdict: str, **more: Any) -> Served:
    return Served({"error": {"code": code, **more}}, verdict)


PROOF = {"type": "GraphMethodException"}
ERRORS = [
    # limits, at whatever status and whatever they call themselves
    *(
        error(4, "throttled app", subcode=subcode, status=status)
        for subcode, status in ((1504022, 400), (1504039, 403), (1349210, 500))
    ),
    error(4, "throttled app", is_transient=True, status=403),
    error(341, "throttled app"),
    error(17, "throttled token", subcode=2446079),
    error(17, "throttled token", status=429),
    error(32, "throttled destination"),
    *(error(613, "throttled destination", subcode=each) for each in (1996, 1487742, 5044001)),
    error(613, "throttled destination"),
    *(error(80000 + each, "throttled destination", is_transient=True) for each in range(15)),
    error(80004, "throttled destination", status=413),
    error(1, "throttled destination", status=429),
    error(100, "throttled destination", status=429, subcode=2804003),
    error(1, "split", status=413),
    # transient, whatever the code
    *(
        error(code, "retry transient", is_transient=True)
        for code in (1, 2, 3, 100, 190, 368, -1, 12345)
    ),
    error(100, "retry transient", is_transient=True, subcode=33),
    # the token
    *(
        error(190, "halted token", subcode=subcode, status=status)
        for subcode in (458, 459, 460, 463, 464, 467, 492)
        for status in (400, 401)
    ),
    error(190, "halted token", status=500),
    error(102, "halted token"),
    error(104, "halted token"),
    # the destination
    *(error(code, "halted permission") for code in (3, 10, 200, 294, 299)),
    error(100, "halted unknown_pixel", subcode=33, **PROOF),
    error(100, "halted unknown_pixel", subcode=33),
    error(803, "halted unknown_pixel"),
    error(100, "halted configuration", **PROOF),
    error(368, "halted policy"),
    error(2500, "halted configuration"),
    error(2635, "halted configuration"),
    # the events
    *(error(100, "refused", subcode=subcode) for subcode in (*EVENT_FAULTS, 2804999, 192342134)),
    error(100, "refused", is_transient=False),
    error(100, "refused", subcode=2804003, status=500),
    error(100, "refused", subcode=2804003, status=200),
    # Meta itself
    error(1, "retry transient", status=500),
    error(1, "retry transient", subcode=99),
    error(2, "retry transient"),
    *(error(code, "retry transient few") for code in (-1, -3, -(2**63), 5000)),
    error(424242, "retry transient", status=503),
    # nobody knows
    *(error(code, "halted unknown_error") for code in (0, 5, 199, 300, 79999, 80015, 424242)),
]
OTHERS = [
    Served({"latency_ms": [0, 0]}, "accepted"),
    Served({"events_received": 2}, "incomplete 2"),
    Served({"events_received": 0}, "incomplete 0"),
    Served({"events_received": 4}, "retry unreadable_answer"),
    Served({"ok_with_error": True}, "retry transient"),
    Served({"truncate": True}, "retry unreadable_answer"),
    *(Served({"status": 429, "body": body}, "throttled destination") for body in ("html", "json")),
    *(Served({"status": 413, "body": body}, "split") for body in ("html", "empty", "json")),
    *(Served({"status": 500, "body": body}, "retry server_error") for body in ("html", "empty")),
    Served({"status": 503, "body": "json"}, "retry transient"),
    *(
        Served({"status": status, "body": "html"}, "retry unreadable_answer")
        for status in (200, 302, 400, 401, 403, 404)
    ),
    Served({"status": 200, "body": "empty"}, "retry unreadable_answer"),
    Served({"accept_then_status": 502, "body": "html"}, "retry server_error"),
]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    pixels = {PIXEL: frozenset((TOKEN,))}
    config = EmulatorConfig(host="127.0.0.1", port=0, pixels=pixels, clock=lambda: NOW_MS / 1000)
    emulator = Emulator(config)
    emulator.start()
    yield emulator
    emulator.stop()


@pytest.fixture(scope="module")
def edge(emulator: Emulator) -> Iterator[Meta]:
    edge = meta(emulator.url)
    yield edge
    edge.close()


@pytest.fixture(scope="module")
def graph(emulator: Emulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=emulator.url, timeout=10) as client:
        yield client


def meta(url: str, transport: httpx.BaseTransport | None = None) -> Meta:
    return Meta(
        graph_url=url,
        graph_version="v26.0",
        timeout_seconds=10.0,
        connections_max=1,
        token_for=lambda pixel: SecretStr(TOKEN),
        app_secret=RotatingSecret(value=None, path=None),
        transport=transport,
    )


def event(number: int, **changes: Any) -> Prepared:
    body = {
        "event_name": "Lead",
        "event_time": NOW_MS // 1000 - 60,
        "event_id": f"e{number}",
        "action_source": "system_generated",
        "user_data": {"em": [HASH]},
    }
    return an_event(event_id=f"e{number}", body=orjson.dumps(body | changes))


def request(*events: Prepared) -> Request:
    """Three good events, unless given."""
    return Request(
        request_id="r1",
        key=WindowKey(PixelId(PIXEL), None, False, None),
        batch_id="b1",
        events=events or tuple(map(event, range(3))),
        isolating=False,
    )


def serve(graph: httpx.Client, do: dict[str, Any]) -> None:
    answer = graph.post("/_emulator/misbehave", content=orjson.dumps([{"do": do}]))
    assert answer.json() == {"success": True}


def name(served: Served) -> str:
    return json.dumps(served.do)


@pytest.mark.parametrize("served", [*ERRORS, *OTHERS], ids=name)
def test_each_answer_over_http_gets_its_verdict(
    served: Served, graph: httpx.Client, edge: Meta
) -> None:
    serve(graph, served.do)

    verdict = edge.post(request()).verdict

    assert told(verdict) == served.verdict
    if "error" in served.do:
        said = getattr(verdict, "error", None)
        assert said is not None
        asked = served.do["error"]
        assert (said.code, said.subcode) == (asked["code"], asked.get("subcode"))
        assert said.http_status == asked.get("status", 400)
        assert said.trace_id


def facts(served: Served) -> Facts:
    """What an error of the list above looks like to the table."""
    said = served.do["error"]
    return Facts(
        says=Says.ERROR,
        status=said.get("status", 400),
        code=said["code"],
        subcode=said.get("subcode"),
        kind=said.get("type", "OAuthException"),
        transient=said.get("is_transient", False),
    )


def test_every_row_of_the_table_has_been_served() -> None:
    decided = [row_for(facts(served)) for served in ERRORS]
    nothing = Facts(Says.NOTHING, 200, None, None, "", transient=False)
    decided += [row_for(nothing._replace(status=each)) for each in (400, 500)]
    decided += [row_for(nothing._replace(says=s)) for s in (Says.ALL_RECEIVED, Says.FEWER_RECEIVED)]

    assert [row.meaning for row in ROWS if row not in decided] == []


LANGUAGES = {
    "english": "Too many calls: the token has expired. Please reduce the amount of data.",
    "french": "Le timestamp pour cet évènement est trop éloigné dans le passé.",
    "danish": "Denne hændelse har ingen kundeoplysningsparametre.",
    "arabic": "حدث خطأ غير متوقع. يُرجى إعادة المحاولة لاحقًا.",
    "of another error": "(#4) Application request limit reached",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_decide_nothing_in_whatever_language(language: str) -> None:
    text = LANGUAGES[language]
    for served in ERRORS:
        said = dict(served.do["error"])
        status, subcode = said.pop("status", 400), said.pop("subcode", None)
        body = {"type": "OAuthException", **said, "message": text}
        body |= {"error_user_title": text, "error_user_msg": text, "error_subcode": subcode}
        answer = httpx.Response(status, json={"error": body})

        verdict = meta("https://graph.example", Always(answer)).post(request()).verdict

        assert told(verdict) == served.verdict, served


class Always(httpx.BaseTransport):
    """A Meta with one answer."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return self._answer


@pytest.mark.parametrize(
    "body",
    [
        '{"fbtrace_id": "A1", "messages": []}',
        '{"events_received": "3"}',
        '{"events_received": true}',
        '{"events_received": 3.0}',
        '{"events_received": [3]}',
        '{"events_received": null}',
        '{"events_received": 3000000000000000000000}',
        '{"events_received": 3, "error": "none"}',
        '{"events_received": 3, "error": {}}',
        '{"events_received": 3',
        "[3]",
    ],
)
def test_a_200_without_the_count_of_its_events_is_no_success(body: str) -> None:
    answer = httpx.Response(200, text=body)

    verdict = meta("https://graph.example", Always(answer)).post(request()).verdict

    assert told(verdict) == "retry unreadable_answer"


@pytest.mark.parametrize("form", ["path", "index"])
def test_the_event_that_the_answer_points_at_is_a_hint(
    form: str, graph: httpx.Client, edge: Meta
) -> None:
    graph.post("/_emulator/misbehave", content=b"[]")
    graph.post("/_emulator/hints", content=orjson.dumps({"form": form}))

    verdict = edge.post(request(event(0), event(1), event(2, user_data={}))).verdict

    graph.post("/_emulator/hints", content=orjson.dumps({"form": "none"}))
    assert isinstance(verdict, Refused)
    assert (verdict.error.subcode, verdict.error.event_index) == (2804050, 2)


def test_without_a_hint_no_event_is_pointed_at(graph: httpx.Client, edge: Meta) -> None:
    graph.post("/_emulator/misbehave", content=b"[]")

    verdict = edge.post(request(event(0), event(1, user_data={}))).verdict

    assert isinstance(verdict, Refused)
    assert verdict.error.event_index is None


def test_usage_and_the_version_warning_come_over_http(graph: httpx.Client, edge: Meta) -> None:
    headers = {
        "X-App-Usage": '{"call_count":80,"total_time":1,"total_cputime":1}',
        "X-Ad-Api-Version-Warning": "The call has been auto-upgraded to v27.0",
    }
    serve(graph, {"headers": headers})

    posted = edge.post(request())

    assert isinstance(posted, Posted)
    assert [(usage.kind.value, usage.share) for usage in posted.usage] == [("app", 0.8)]
    assert posted.version_warning == "The call has been auto-upgraded to v27.0"


def test_the_last_rows_cover_every_answer() -> None:
    for says in (Says.ERROR, Says.NOTHING):
        assert row_for(Facts(says, 299, 987654, None, "", transient=False))


def test_every_row_says_what_it_means_and_what_to_do() -> None:
    for row in ROWS:
        assert row.meaning
        assert row.advice.endswith(".")


def test_numbers_are_spelled_as_people_write_them() -> None:
    rows = {spelled(row.codes) for row in ROWS if row.codes is not None}

    assert {"4", "102, 190", "10, 200–299", "80000–80014", "negative, 5000"} <= rows

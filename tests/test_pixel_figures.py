"""What Meta shows of a pixel, asked through the real reader over a transport that answers."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from consumer.destination_files import Tokens
from consumer.destinations import one_destination
from consumer.graph_answers import Item
from consumer.meta import GraphReader
from consumer.model import PixelId
from consumer.pixel_figures import PAGES_MAX, PixelFigures, Unreadable, of_each
from consumer.pixel_stats import HOUR_SECONDS, Cell, hours_before, read_stats
from consumer.quality import FEWER_FIELDS, FIELDS
from consumer.secret_files import RotatingSecret
from tests.fakes.graph import PIXEL, QUALITY, error

ONE = PixelId(PIXEL)
TOKEN, APP_SECRET = "token-canary-5f0c", "secret-canary-77aa"
NOON = 1_795_003_200
HOURS = range(NOON, NOON + 3 * HOUR_SECONDS, HOUR_SECONDS)
Answer = Callable[[httpx.Request], httpx.Response]


class Graph:
    """A transport that keeps what it is asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.asked: list[httpx.Request] = []
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def fields(self) -> list[str]:
        return [request.url.params["fields"] for request in self.asked]


def figures(graph: Graph, *, token: str | None = TOKEN) -> PixelFigures:
    secret = None if token is None else SecretStr(token)
    shared = RotatingSecret(value=secret, path=None)
    return PixelFigures(
        reader=GraphReader(
            graph_url="https://graph.example",
            graph_version="v26.0",
            timeout_seconds=5.0,
            app_secret=RotatingSecret(value=SecretStr(APP_SECRET), path=None),
            transport=httpx.MockTransport(graph),
        ),
        tokens=Tokens(destinations=one_destination(ONE), shared=shared),
    )


def says(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body)


def refusal(graph: Graph) -> str:
    found = figures(graph).quality(ONE)
    assert isinstance(found, Unreadable)
    assert not [word for word in (TOKEN, APP_SECRET, "graph.example") if word in found.why]
    return found.why


# --- quality ------------------------------------------------------------------------------------


def test_the_full_question_is_asked_first_of_the_root_edge_with_the_token_in_the_header() -> None:
    graph = Graph(says(QUALITY))

    found = figures(graph).quality(ONE)

    assert not isinstance(found, Unreadable)
    assert [event.event_name for event in found] == ["Purchase", "Lead"]
    (asked,) = graph.asked
    assert asked.url.path == "/v26.0/dataset_quality"
    assert asked.url.params["dataset_id"] == PIXEL
    assert graph.fields() == [FIELDS]
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in str(asked.url)
    assert APP_SECRET not in f"{asked.url} {asked.headers}"


def test_an_unknown_field_is_answered_by_asking_once_for_fewer() -> None:
    graph = Graph(says(error(100), 400), says(QUALITY))

    found = figures(graph).quality(ONE)

    assert not isinstance(found, Unreadable)
    assert graph.fields() == [FIELDS, FEWER_FIELDS]


def test_who_may_not_read_is_told_so_after_the_second_refusal() -> None:
    graph = Graph(says(error(100), 400), says(error(100), 400))

    why = refusal(graph)

    assert why.startswith("the token may be able to send, but Meta does not show it (code 100)")
    assert "ads_read" in why
    assert len(graph.asked) == 2


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, error(190), "access token is invalid, expired or revoked (code 190)"),
        (400, error(100, error_subcode=33, type="GraphMethodException"), "pixel is unknown"),
        (403, error(200), "not to read; reading needs"),
        (400, error(10), "not to read; reading needs"),
        (400, error(100, type="GraphMethodException"), "CONVERSIONS_APP_SECRET"),
        (400, error(100, error_subcode=2804019), "does not show it (code 100/2804019)"),
        (400, error(80004), "asks for a pause"),
        (429, {}, "asks for a pause"),
        (500, error(2, is_transient=True), "in trouble (code 2)"),
        (503, {}, "in trouble (HTTP 503)"),
        (400, error(368), "breach of its policies"),
        (400, error(987654), "not known here (code 987654)"),
        (200, error(190), "access token is invalid"),
        (200, {"web": 3}, "not the Graph API"),
        (404, {}, "not the Graph API"),
        (302, {}, "not the Graph API"),
    ],
)
def test_every_refusal_is_one_sentence_and_asked_once(status: int, body: Any, words: str) -> None:
    graph = Graph(says(body, status))

    assert words in refusal(graph)
    assert len(graph.asked) == 1


def test_html_is_not_graph() -> None:
    assert "not the Graph API" in refusal(Graph(httpx.Response(200, content=b"<html>")))


def test_nobody_answering_is_told_without_the_address() -> None:
    graph = Graph(httpx.ConnectError(f"https://graph.example {TOKEN}"))

    assert refusal(graph) == "Meta did not answer: the connection failed (ConnectError)"


def test_without_a_token_nobody_is_asked() -> None:
    graph = Graph()

    found = figures(graph, token=None).quality(ONE)

    assert isinstance(found, Unreadable)
    assert "CONVERSIONS_ACCESS_TOKEN" in found.why
    assert graph.asked == []


def test_several_pixels_are_read_apart() -> None:
    def ask(pixel: PixelId) -> int | Unreadable:
        return Unreadable(f"not {pixel}", by_question=False) if pixel == "2" else int(pixel)

    found, why = of_each([PixelId("1"), PixelId("2"), PixelId("3")], ask)

    assert (found, why) == ({"1": 1, "3": 3}, {"2": "not 2"})


# --- statistics ---------------------------------------------------------------------------------


def bucket(start: str, **counts: int) -> dict[str, Any]:
    data = [{"value": name, "count": count} for name, count in counts.items()]
    return {"start_time": start, "aggregation": "event", "data": data}


def test_the_statistics_are_those_of_servers_by_hour_and_name() -> None:
    page = {
        "data": [
            bucket("2026-11-18T12:00:00+0000", Purchase=3, Lead=1),
            bucket("2026-11-18T13:00:00+0000", Purchase=2),
            bucket("2026-11-18T15:00:00+0000", Purchase=9),
        ]
    }
    graph = Graph(says(page))

    found = figures(graph).counts(ONE, HOURS)

    assert found == {
        Cell(NOON, "Purchase"): 3,
        Cell(NOON, "Lead"): 1,
        Cell(NOON + HOUR_SECONDS, "Purchase"): 2,
    }, "an hour that was not asked for is not there"
    (asked,) = graph.asked
    assert asked.url.path == f"/v26.0/{PIXEL}/stats"
    assert {name: asked.url.params[name] for name in ("aggregation", "event_source")} == {
        "aggregation": "event",
        "event_source": "SERVER_ONLY",
    }
    assert asked.url.params["start_time"] == str(NOON)
    assert asked.url.params["end_time"] == str(NOON + 3 * HOUR_SECONDS)
    assert TOKEN not in str(asked.url)


def test_more_than_a_day_is_asked_for_day_by_day() -> None:
    graph = Graph(*[says({"data": []})] * 3)

    figures(graph).counts(ONE, hours_before(NOON + 1, 60))

    spans = [
        (int(asked.url.params["start_time"]), int(asked.url.params["end_time"]))
        for asked in graph.asked
    ]
    assert [(end - start) // HOUR_SECONDS for start, end in spans] == [24, 24, 12]
    assert [start for start, _ in spans[1:]] == [end for _, end in spans[:-1]]
    assert spans[-1][1] == NOON


def test_further_pages_are_followed_by_their_cursor_and_never_by_their_address() -> None:
    elsewhere = f"https://elsewhere.example/?access_token={TOKEN}"
    paging = {"next": elsewhere, "cursors": {"after": "c1"}}
    first = {"data": [bucket("2026-11-18T12:00:00+0000", Lead=1)], "paging": paging}
    second = {"data": [bucket("2026-11-18T12:00:00+0000", Lead=2)], "paging": {"cursors": {}}}
    graph = Graph(says(first), says(second))

    found = figures(graph).counts(ONE, HOURS)

    assert found == {Cell(NOON, "Lead"): 3}
    assert [asked.url.host for asked in graph.asked] == ["graph.example"] * 2
    assert graph.asked[1].url.params["after"] == "c1"


def test_pages_without_end_are_given_up() -> None:
    pages = [
        says({"data": [], "paging": {"next": "n", "cursors": {"after": f"c{number}"}}})
        for number in range(PAGES_MAX)
    ]

    found = figures(Graph(*pages)).counts(ONE, HOURS)

    assert isinstance(found, Unreadable)


def test_statistics_that_may_not_be_read_are_no_zeros() -> None:
    graph = Graph(says(error(100, message="(#100) Permission Denied"), 400))

    found = figures(graph).counts(ONE, HOURS)

    assert isinstance(found, Unreadable)
    assert len(graph.asked) == 1


@pytest.mark.parametrize(
    ("start", "hour"),
    [
        ("2026-11-18T12:00:00+0000", NOON),
        ("2026-11-18T12:00:00Z", NOON),
        ("2026-11-18T12:00:00", NOON),
        ("2026-11-18T13:00:00+0100", NOON),
        ("2026-11-18T17:30:00+0530", NOON),
        ("2026-11-18T12:30:00+0000", NOON),
        ("noon", None),
        (NOON, None),
        (None, None),
    ],
)
def test_an_hour_is_read_in_whatever_zone(start: Any, hour: int | None) -> None:
    page = read_stats({"data": [bucket(start, Lead=1)]})

    assert page is not None
    assert page.counts == ({} if hour is None else {Cell(hour, "Lead"): 1})


def test_buckets_of_the_same_hour_are_added_up() -> None:
    halves = [bucket(f"2026-11-18T{time}:00+0530", Lead=2) for time in ("17:30", "18:00")]
    page = read_stats({"data": halves})

    assert page is not None
    assert page.counts == {Cell(NOON, "Lead"): 4}


@pytest.mark.parametrize("entry", [None, 3, {}, {"value": "Lead"}, {"value": 3, "count": 1}])
def test_an_entry_that_is_none_is_left_out(entry: Any) -> None:
    given = {"start_time": "2026-11-18T12:00:00Z", "data": [entry]}
    page = read_stats({"data": [given, None, {"data": 3}]})

    assert page is not None
    assert page.counts == {}


@pytest.mark.parametrize("answer", [{"data": 3}, {}])
def test_what_is_no_page_is_told_apart(answer: Item) -> None:
    assert read_stats(answer) is None


def test_the_hour_under_way_is_not_compared() -> None:
    assert list(hours_before(NOON + 3599.9, 2)) == [NOON - 2 * HOUR_SECONDS, NOON - HOUR_SECONDS]
    assert list(hours_before(NOON, 1)) == [NOON - HOUR_SECONDS]

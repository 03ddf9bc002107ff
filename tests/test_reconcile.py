"""Both sides' counts: what Prometheus says, and what stands beside what."""

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from consumer.model import PixelId
from consumer.pixel_stats import HOUR_SECONDS, Cell
from consumer.prometheus import Prometheus, PrometheusError, check_url
from consumer.reconcile import Comparison, comparison_json, notes, reconcile
from tests.fakes.http_server import Answer, FakeServer

ONE, TWO = PixelId("1"), PixelId("2")
NOON = 1_795_003_200
ONE_PM = NOON + HOUR_SECONDS
HOURS = range(NOON, NOON + 2 * HOUR_SECONDS, HOUR_SECONDS)
STANDARD = {"Purchase", "Lead"}


def series(destination: str, event_name: str, *samples: tuple[int, str]) -> dict[str, Any]:
    labels = {"destination": destination, "event_name": event_name}
    return {"metric": labels, "values": [[float(moment), text] for moment, text in samples]}


def matrix(*found: dict[str, Any]) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "matrix", "result": list(found)}}


def answered(answer: Any, status: int = 200) -> tuple[Any, FakeServer]:
    server = FakeServer(lambda _: Answer(status, answer))
    with server.serving():
        prometheus = Prometheus(url=server.url, timeout_seconds=5.0, transport=None)
        found = prometheus.accepted(HOURS, selector='namespace="shop"')
        prometheus.close()
    return found, server


# --- Prometheus ---------------------------------------------------------------------------------


def test_each_hour_is_asked_for_at_its_end_and_told_by_its_start() -> None:
    found, server = answered(
        matrix(
            series("1", "Purchase", (ONE_PM, "41.9"), (ONE_PM + HOUR_SECONDS, "0")),
            series("2", "custom", (ONE_PM, "3")),
        )
    )

    assert found == {
        (ONE, Cell(NOON, "Purchase")): 41.9,
        (ONE, Cell(ONE_PM, "Purchase")): 0,
        (TWO, Cell(NOON, "custom")): 3,
    }
    (asked,) = server.asked
    assert asked.path == "/api/v1/query_range"
    assert asked.query == {
        "query": "sum by (destination, event_name) (increase("
        'conversions_events_total{outcome="accepted",namespace="shop"}[1h]))',
        "start": str(ONE_PM),
        "end": str(ONE_PM + HOUR_SECONDS),
        "step": "3600",
    }


def test_what_is_no_number_is_not_known() -> None:
    found, _ = answered(matrix(series("1", "Lead", (ONE_PM, "NaN"), (ONE_PM + 3600, "+Inf"))))

    assert found == {}


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (
            400,
            {"status": "error", "errorType": "bad_data", "error": "parse error: unexpected"},
            "refuses the query: bad_data: parse error",
        ),
        (503, {"status": "error", "errorType": "timeout", "error": "too slow"}, "timeout"),
        (404, b"404 page not found", "not Prometheus (HTTP 404)"),
        (401, b"", "not Prometheus (HTTP 401)"),
        (200, [], "not Prometheus"),
        (200, {"status": "success"}, "something else than a matrix"),
        (200, {"status": "success", "data": {"resultType": "vector", "result": []}}, "matrix"),
        (200, matrix({"metric": {}}), "series that are none"),
        (200, matrix({"metric": {}, "values": [["soon", "1"]]}), "series that are none"),
    ],
)
def test_what_prometheus_cannot_answer_is_one_sentence(
    status: int, answer: Any, words: str
) -> None:
    with pytest.raises(PrometheusError, match=words.replace("(", r"\(").replace(")", r"\)")):
        answered(answer, status)


def test_nobody_listening_is_told_without_the_address() -> None:
    server = FakeServer(lambda _: None)
    with server.serving():
        prometheus = Prometheus(url=server.url, timeout_seconds=5.0, transport=None)
        with pytest.raises(PrometheusError) as caught:
            prometheus.accepted(HOURS, selector="")

    assert "cannot be asked" in str(caught.value)
    assert str(urlsplit(server.url).port) not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert caught.value.__context__ is None


def test_an_answer_without_end_is_given_up() -> None:
    endless = httpx.MockTransport(lambda _: httpx.Response(200, content=bytes(17 * 1024 * 1024)))
    prometheus = Prometheus(url="http://127.0.0.1:9", timeout_seconds=5.0, transport=endless)

    with pytest.raises(PrometheusError, match="too long"):
        prometheus.accepted(HOURS, selector="")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://user:canary@prometheus:9090", "without user and password"),
        ("http://canary@prometheus:9090", "without user and password"),
        ("prometheus:9090", "such as"),
        ("ftp://prometheus", "such as"),
        ("http://", "such as"),
        ("http://prometheus:0", "such as"),
        ("http://prometheus:port", "such as"),
        ("http://[::1", "such as"),
        ("http://prometheus?canary=1", "such as"),
        ("", "such as"),
    ],
)
def test_an_address_that_cannot_be_is_refused_and_not_repeated(url: str, words: str) -> None:
    with pytest.raises(PrometheusError, match=words) as caught:
        check_url(url)

    assert "canary" not in str(caught.value)


def test_an_address_may_have_a_path() -> None:
    assert check_url("https://monitoring.example/prometheus/") == (
        "https://monitoring.example/prometheus"
    )


# --- both sides ---------------------------------------------------------------------------------


def row(
    name: str, hour: int, accepted: int | None, received: int, destination: PixelId = ONE
) -> Comparison:
    return Comparison(
        destination=destination,
        event_name=name,
        hour=hour,
        accepted=accepted,
        received=received,
    )


def compared(
    accepted: dict[tuple[PixelId, Cell], float], received: dict[PixelId, dict[Cell, int]]
) -> list[Comparison]:
    return reconcile(accepted, received, standard_names=STANDARD, custom="custom")


def test_hours_stand_side_by_side_in_the_order_of_time() -> None:
    found = compared(
        {(ONE, Cell(ONE_PM, "Lead")): 2.0, (ONE, Cell(NOON, "Lead")): 3.4},
        {ONE: {Cell(NOON, "Lead"): 3, Cell(ONE_PM, "Lead"): 5}},
    )

    assert found == [row("Lead", NOON, 3, 3), row("Lead", ONE_PM, 2, 5)]
    assert [each.difference for each in found] == [0, 3]


def test_meta_without_a_count_received_none_and_we_without_one_do_not_know() -> None:
    found = compared({(ONE, Cell(NOON, "Lead")): 4.0}, {ONE: {Cell(NOON, "Purchase"): 1}})

    assert found == [row("Lead", NOON, 4, 0), row("Purchase", NOON, None, 1)]
    assert [each.difference for each in found] == [-4, None]


def test_hours_in_which_nothing_happened_are_left_out() -> None:
    assert compared({(ONE, Cell(NOON, "Lead")): 0.3}, {ONE: {Cell(NOON, "Purchase"): 0}}) == []


def test_names_of_ones_own_are_compared_as_a_sum() -> None:
    received = {Cell(NOON, "Trial won"): 2, Cell(NOON, "Deal closed"): 3, Cell(NOON, "Lead"): 1}

    found = compared({(ONE, Cell(NOON, "custom")): 5.0}, {ONE: received})

    assert found == [row("Lead", NOON, None, 1), row("custom", NOON, 5, 5)]


def test_each_pixel_is_compared_with_its_own_and_only_if_it_could_be_read() -> None:
    accepted = {(ONE, Cell(NOON, "Lead")): 1.0, (TWO, Cell(NOON, "Lead")): 2.0}

    assert compared(accepted, {TWO: {Cell(ONE_PM, "Lead"): 3}}) == [
        row("Lead", NOON, 2, 0, TWO),
        row("Lead", ONE_PM, None, 3, TWO),
    ]
    assert [each.accepted for each in compared(accepted, {ONE: {}, TWO: {}})] == [1, 2]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row("Lead", NOON, 1, 1)], ["estimate"]),
        ([row("Lead", NOON, 1, 2)], ["shows more", "estimate"]),
        ([row("Lead", NOON, 2, 1)], ["shows less", "estimate"]),
        ([row("Lead", NOON, None, 1)], ["no sample"]),
        ([row("custom", NOON, 1, 1)], ["100 most frequent", "estimate"]),
        ([], []),
    ],
)
def test_what_a_difference_may_mean_is_told_where_there_is_one(
    rows: list[Comparison], words: list[str]
) -> None:
    told = list(notes(rows, custom="custom"))

    assert len(told) == len(words)
    assert all(word in note for word, note in zip(words, told, strict=True))


def test_a_row_for_machines_names_its_hour_and_no_person() -> None:
    assert comparison_json(row("jane@example.com", NOON, None, 2)) == {
        "destinationId": "1",
        "eventName": comparison_json(row("joe@example.com", NOON, None, 2))["eventName"],
        "hour": "2026-11-18T12:00Z",
        "accepted": None,
        "received": 2,
        "difference": None,
    }

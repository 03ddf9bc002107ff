"""How strict the emulator is, held against three others: the tables of ``graph_requests``, what our
own preparation makes, and what Meta's SDK makes. What ours sends is never refused; what is spoiled
never passes.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.demo_events import demo_events
from consumer.destinations import Destinations
from consumer.emulator import Emulator
from consumer.prepare import Preparation
from consumer.preview import preview
from consumer.schema_plan import event_schema
from tests.emulated import PIXEL, TOKEN, Clock, control, error, post, serving, stats
from tests.graph_requests import (
    ACCEPTED_EVENTS,
    ACCEPTED_REQUESTS,
    EXTINFO,
    HASH,
    NOW,
    REFUSED_EVENTS,
    REFUSED_REQUESTS,
    event,
)
from tests.sdk_requests import as_the_sdk_sends, sdk_events
from tests.test_preview import NOW as NOW_ISO
from tests.test_preview import VECTORS, answers, lines, vector_event

PREPARATION = Preparation(Destinations.anything(), None, 4 * 1024**2)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with serving(Clock()) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def connection(emulator: Emulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=emulator.url, timeout=30) as client:
        yield client


@pytest.fixture
def graph(connection: httpx.Client) -> httpx.Client:
    control(connection, "reset")
    return connection


def judged(answer: httpx.Response) -> tuple[int, int | None]:
    said = error(answer)
    return said["code"], said.get("error_subcode")


# --- the tables -----------------------------------------------------------------------------------


def test_the_corpus_is_large_and_names_each_case_once() -> None:
    names = [name for name, *_ in (*REFUSED_EVENTS, *REFUSED_REQUESTS)]
    assert len(set(names)) == len(names) >= 150
    accepted = [name for name, _ in (*ACCEPTED_EVENTS, *ACCEPTED_REQUESTS)]
    assert len(set(accepted)) == len(accepted)


@pytest.mark.parametrize(("name", "patch", "subcode"), REFUSED_EVENTS, ids=str)
def test_one_malformed_event_refuses_the_whole_batch_and_nothing_is_stored(
    graph: httpx.Client, emulator: Emulator, name: str, patch: dict[str, Any], subcode: int | None
) -> None:
    answer = post(graph, event(event_id="b"), event(**patch), event(event_id="c"))
    assert (answer.status_code, *judged(answer)) == (400, 100, subcode), answer.text
    said = error(answer)
    assert said["message"] == "Invalid parameter"
    assert said["is_transient"] is False
    assert said["error_user_msg"]
    assert said["fbtrace_id"]
    assert emulator.accepted == []
    assert stats(graph)["refused"] == {f"100/{subcode}" if subcode else "100": 1}


def test_one_malformed_event_among_a_thousand_refuses_them_all(
    graph: httpx.Client, emulator: Emulator
) -> None:
    control(graph, "hints", {"form": "path"})
    batch = [event(event_id=str(number)) for number in range(1000)]
    batch[617] |= {"opt_out": "no"}

    answer = post(graph, *batch)

    assert judged(answer) == (100, None)
    assert "$['data'][617]['opt_out']" in error(answer)["error_user_msg"]
    assert emulator.accepted == []


@pytest.mark.parametrize(
    ("patch", "code"),
    [pytest.param(patch, code, id=name) for name, patch, code in REFUSED_REQUESTS],
)
def test_a_malformed_request_is_refused(
    graph: httpx.Client, emulator: Emulator, patch: dict[str, Any], code: int
) -> None:
    answer = post(graph, **{"data": [event()]} | patch)
    assert 400 <= answer.status_code < 500
    assert judged(answer) == (code, None)
    assert emulator.accepted == []


@pytest.mark.parametrize("patch", [pytest.param(patch, id=name) for name, patch in ACCEPTED_EVENTS])
def test_what_meta_takes_is_taken(graph: httpx.Client, patch: dict[str, Any]) -> None:
    answer = post(graph, event(**patch))
    assert answer.status_code == 200, answer.text
    assert answer.json()["events_received"] == 1


@pytest.mark.parametrize(
    "patch", [pytest.param(patch, id=name) for name, patch in ACCEPTED_REQUESTS]
)
def test_what_meta_takes_beside_the_events_is_taken(
    graph: httpx.Client, patch: dict[str, Any]
) -> None:
    body = {"data": [event()]} | patch
    answer = post(graph, **body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["events_received"] == len(body["data"])


# --- what our own preparation makes -------------------------------------------------------------


def sent_raw(graph: httpx.Client, *events: bytes) -> httpx.Response:
    """The bytes as they are, in a body like the consumer's own."""
    body = b'{"data":[' + b",".join(events) + b'],"access_token":"' + TOKEN.encode() + b'"}'
    return graph.post(f"/v26.0/{PIXEL}/events", content=body)


def previewed(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What ``preview`` answers for events that lie at ``NOW``."""
    return list(preview(map(orjson.dumps, events), PREPARATION, now_ms=NOW * 1000))


def test_what_preview_prints_for_every_vector_is_taken(
    graph: httpx.Client, emulator: Emulator
) -> None:
    printed = answers(lines(map(vector_event, VECTORS)), "--now", NOW_ISO)
    assert len(printed) == len(VECTORS)

    for vector, line in zip(VECTORS, printed, strict=True):
        answer = post(graph, line["event"])
        assert answer.status_code == 200, (vector, answer.text)
    assert len(emulator.accepted) == 1  # one event id, received as often as there are vectors
    assert emulator.accepted[0].receipts == len(VECTORS)


def test_of_the_demos_events_only_the_poison_is_refused(graph: httpx.Client) -> None:
    fit = previewed(demo_events(600, now_ms=NOW * 1000))
    bodies = [orjson.dumps(answer["event"]) for answer in fit if "event" in answer]
    assert len(bodies) > 590

    poison = [body for body in bodies if b'"emulator_refuse"' in body]
    assert len(poison) == 1
    assert judged(sent_raw(graph, *bodies)) == (100, 2804019)
    rest = [body for body in bodies if body not in poison]
    assert sent_raw(graph, *rest).json()["events_received"] == len(bodies) - 1


# Texts that mean something somewhere, so that chance meets more than noise.
TELLING = (
    *("", " ", "0", "1", "5", "null", "true", "LDU", "USD", "eur", "product", "home_delivery"),
    *(
        "whatsapp",
        "messenger",
        "new_customer_to_business",
        "last_click",
        "srn",
        "GRANTED",
        "DENIED",
    ),
    *("jane@example.com", "+14155551234", "Jane", "D", "Berlin", "CA", "94105", "us", "19970216"),
    *("f", "203.0.113.7", "10.0.0.1", "2001:db8::1", "203.0.113.7:443", "Mozilla/5.0", HASH),
    *("fb.1.1554763741205.AbC", "fb.1.1558571054389.1098115397.xx", "AbC", "1234567890123456"),
    *("https://shop.example.com/thanks", '{"a": [1, {"b": null}]}', "a\u0000b", "\u202e\u4e2d"),
)
NAMES = ("Lead", "Purchase", "purchase", "ViewContent", "deal_closed", " ", "\u5951\u7d04")
SOURCES = (
    "web",
    "crm",
    "offline",
    "app",
    "email",
    "chat",
    "phone_call",
    "other",
    "website",
    "business_messaging",
)


def values(schema: Any, path: str = "") -> st.SearchStrategy[Any]:
    """Anything that a line of JSON may hold in this place."""
    match schema:
        case list():
            return values(next(branch for branch in schema if branch != "null"), path)
        case {"type": "record", "fields": fields}:
            return st.fixed_dictionaries(
                {},
                optional={
                    field["name"]: special
                    if (special := SPECIAL.get(f"{path}{field['name']}")) is not None
                    else values(field["type"], f"{path}{field['name']}.")
                    for field in fields
                },
            )
        case {"type": "array", "items": items}:
            return st.lists(values(items, path), max_size=3)
        case {"type": "map", "values": inner}:
            return st.dictionaries(st.sampled_from(TELLING) | st.text(), values(inner), max_size=3)
        case {"type": other}:
            return values(other, path)
        case "string":
            return st.sampled_from(TELLING) | st.text(max_size=20)
        case "boolean":
            return st.booleans()
        case "double":
            return st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from((0, 1, 9.99))
    return st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3)


def drawn(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "destinationId": st.just(PIXEL),
    "eventName": st.sampled_from(NAMES),
    "eventTime": st.integers(NOW - 6 * 86_400, NOW),
    "actionSource": st.sampled_from(SOURCES),
}
NEEDED = st.fixed_dictionaries(
    {
        "eventName": SPECIAL["eventName"],
        "eventTime": SPECIAL["eventTime"],
        "actionSource": SPECIAL["actionSource"],
        "user": st.just({"email": "jane@example.com"}),
        "appData": st.just({"extinfo": EXTINFO}),
        "value": st.just(5.0),
        "currency": st.just("EUR"),
    }
)
EVENTS = st.builds(lambda needed, more: needed | more, NEEDED, values(event_schema()))


@given(st.lists(EVENTS, min_size=1, max_size=4))
@settings(deadline=None)
def test_whatever_is_prepared_is_taken(
    connection: httpx.Client, events: list[dict[str, Any]]
) -> None:
    for answer in previewed(events):
        if "event" in answer:
            body = orjson.dumps(answer["event"])
            said = sent_raw(connection, body)
            assert said.status_code == 200, (said.text, body)


# --- what Meta's own SDK makes ------------------------------------------------------------------


def test_what_metas_sdk_sends_is_taken(graph: httpx.Client, emulator: Emulator) -> None:
    events = sdk_events()
    form = as_the_sdk_sends(
        events,
        test_event_code="TEST5",
        partner_agent="example_1.0",
        namespace_id="5",
        upload_id="1",
        upload_tag="stores",
        upload_source="till",
    )

    address = f"/v26.0/{PIXEL}/events"
    answer = graph.post(address, data=form, params={"access_token": TOKEN})

    assert answer.status_code == 200, answer.text
    assert answer.json()["events_received"] == len(events)
    assert [one.event for one in emulator.accepted] == [one.normalize() for one in events]
    assert {one.test_event_code for one in emulator.accepted} == {"TEST5"}


def test_the_hash_of_nothing_that_metas_sdk_makes_of_a_blank_name_is_refused(
    graph: httpx.Client,
) -> None:
    (first, *_) = sdk_events()
    first.user_data.first_names = ["   "]

    answer = graph.post(
        f"/v26.0/{PIXEL}/events", data=as_the_sdk_sends([first]) | {"access_token": TOKEN}
    )

    assert judged(answer) == (100, 2804016)


# --- spoiled events -----------------------------------------------------------------------------

FULL = event(
    event_name="Purchase",
    action_source="app",
    event_source_url="https://shop.example.com",
    referrer_url="https://example.com",
    opt_out=False,
    data_processing_options=["LDU"],
    data_processing_options_country=1,
    data_processing_options_state=1000,
    user_data={
        **{
            key: [HASH] for key in ("em", "ph", "fn", "ln", "ct", "st", "zp", "country", "db", "ge")
        },
        "external_id": [HASH],
        "client_ip_address": "203.0.113.7",
        "client_user_agent": "Firefox",
        "fbc": "fb.1.1554763741205.AbCdEf",
        "fbp": "fb.1.1558571054389.1098115397",
        "madid": "cdda802e-fb9c-47ad-9866-0794d394c912",
    },
    custom_data={
        "value": 12.5,
        "currency": "EUR",
        "order_id": "order 5",
        "content_type": "product",
        "content_ids": ["a"],
        "contents": [{"id": "a", "quantity": 1, "item_price": 12.5, "title": "A"}],
        "num_items": 1,
        "search_string": "a",
        "delivery_category": "curbside",
    },
    app_data={"extinfo": EXTINFO, "advertiser_tracking_enabled": True, "vendor_id": "5"},
    original_event_data={"event_name": "Lead", "event_time": NOW, "order_id": "5"},
    attribution_data={"ad_id": "5", "visit_time": NOW, "attribution_share": 0.5},
)
# Of another type than any of Meta's fields, or of a type that the field does not have.
WRONG = {str: True, int: "1", float: "1", bool: "yes", list: {"x": 1}, dict: [1]}
REQUIRED = ("event_name", "event_time", "action_source", "user_data")


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to every value of an event, objects and lists too."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, one in value.items():
            yield from places(one, (*path, key))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from places(one, (*path, number))


def changed(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The full event with another value in this place."""
    spoiled = deepcopy(FULL)
    parent: Any = spoiled
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return spoiled


def test_the_event_that_is_spoiled_below_is_a_good_one(graph: httpx.Client) -> None:
    assert post(graph, FULL).status_code == 200


@pytest.mark.parametrize("path", list(places(FULL)), ids=lambda path: ".".join(map(str, path)))
def test_a_value_of_another_type_is_refused(
    graph: httpx.Client, path: tuple[str | int, ...]
) -> None:
    value: Any = FULL
    for key in path:
        value = value[key]
    answer = post(graph, changed(path, WRONG[type(value)]))
    assert answer.status_code == 400, path


@pytest.mark.parametrize("key", REQUIRED)
def test_an_event_that_lacks_what_is_required_is_refused(graph: httpx.Client, key: str) -> None:
    spoiled = {name: value for name, value in FULL.items() if name != key}
    assert post(graph, spoiled).status_code == 400


HASHED = [path for path in places(FULL["user_data"]) if len(path) == 2]


@given(
    path=st.sampled_from([path for path in HASHED if path[0] != "external_id"]),
    plain=st.text() | st.emails() | st.integers().map(str) | st.text("0123456789abcdef"),
)
@settings(deadline=None)
def test_a_match_key_that_is_not_hashed_is_refused(
    connection: httpx.Client, path: tuple[str | int, ...], plain: str
) -> None:
    answer = post(connection, changed(("user_data", *path), plain))
    assert judged(answer) == (100, 2804016)


@given(
    place=st.sampled_from([(), ("user_data",), ("app_data",), ("custom_data", "contents", 0)]),
    key=st.text(min_size=1),
    value=st.none() | st.booleans() | st.integers(-9, 9) | st.text(),
)
@settings(deadline=None)
def test_a_key_that_meta_does_not_know_is_refused(
    connection: httpx.Client, place: tuple[str | int, ...], key: str, value: Any
) -> None:
    answer = post(connection, changed((*place, f"x{key}"), value))
    assert judged(answer) == (100, 2804019)

"""Suspects: which events an error may be about, by the rule that its subcode names."""

from typing import Any

import orjson
import pytest

from consumer.emulator_rules import judge_batch
from consumer.model import MetaError, Prepared
from consumer.suspects import SKEW_SECONDS, is_exact, suspects
from tests.fakes.events import DAY_MS, NOW_MS, an_event

HASH = "a" * 64
GOOD: dict[str, Any] = {
    "event_name": "Lead",
    "event_time": NOW_MS // 1000,
    "event_id": "1",
    "action_source": "website",
    "user_data": {"em": [HASH], "client_user_agent": "Mozilla"},
    "custom_data": {"value": 1.5, "currency": "EUR", "contents": [{"id": "a", "quantity": 1}]},
}
EXTINFO = ["a2", "", "", "", "14", *[""] * 11]


def an_error(subcode: int | None) -> MetaError:
    return MetaError(http_status=400, code=100, subcode=subcode)


def with_body(body: bytes, *, age_ms: int = 0) -> Prepared:
    return an_event(body=body, event_time_ms=NOW_MS - age_ms)


def marks(subcode: int | None, body: bytes, *, age_ms: int = 0) -> bool:
    event = with_body(body, age_ms=age_ms)
    return suspects(an_error(subcode), [event], NOW_MS) == [event]


BAD: list[tuple[int, dict[str, Any]]] = [
    (2804003, {"event_time": (NOW_MS - 8 * DAY_MS) // 1000}),
    (2804009, {"event_name": "Purchase", "custom_data": {"currency": "EUR"}}),
    (2804009, {"event_name": "Purchase", "custom_data": {"value": "1", "currency": "EUR"}}),
    (2804010, {"event_name": "Purchase", "custom_data": {"value": 1}}),
    (2804010, {"event_name": "Purchase", "custom_data": {"value": 1, "currency": "€"}}),
    (2804016, {"user_data": {"em": ["jane@example.com"]}}),
    (2804016, {"user_data": {"ph": HASH, "ct": "berlin"}}),
    (2804016, {"user_data": {"em": [HASH, "d41d8cd98f00b204e9800998ecf8427e"]}}),
    (
        2804016,
        {
            "user_data": {
                "em": ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
                "fbp": "fb.1.1558571054389.1098115397",
            }
        },
    ),
    (2804019, {"colour": "blue"}),
    (2804019, {"user_data": {"em": [HASH], "colour": "blue"}}),
    (2804019, {"custom_data": {"contents": [{"id": "a", "colour": "blue"}]}}),
    (2804043, {"action_source": "app", "app_data": {"extinfo": EXTINFO[:4]}}),
    (2804050, {"user_data": {"client_user_agent": "Mozilla", "ct": [HASH]}}),
    (2804063, {"action_source": "business_messaging"}),
    (
        2804066,
        {"action_source": "business_messaging", "messaging_channel": "whatsapp"},
    ),
]


@pytest.mark.parametrize(("subcode", "changed"), BAD)
def test_what_the_emulator_refuses_with_a_subcode_is_suspected_for_it(
    subcode: int, changed: dict[str, Any]
) -> None:
    event = {**GOOD, "event_name": "Other", **changed}
    body = orjson.dumps(event)
    refusal = judge_batch([event], now=NOW_MS / 1000, raw=body)
    assert refusal is not None
    assert refusal.subcode == subcode

    age_ms = NOW_MS - event["event_time"] * 1000
    assert marks(subcode, body, age_ms=age_ms)


@pytest.mark.parametrize("subcode", sorted({subcode for subcode, _ in BAD}))
def test_a_good_event_is_suspected_for_nothing(subcode: int) -> None:
    assert not marks(subcode, orjson.dumps(GOOD))


@pytest.mark.parametrize("subcode", [2804072, 2804087, 2804116, 2804117, 2804118])
def test_errors_about_chats_are_about_events_of_chats(subcode: int) -> None:
    chat = {
        **GOOD,
        "action_source": "business_messaging",
        "user_data": {"ctwa_clid": "x", "page_id": "1"},
    }

    assert marks(subcode, orjson.dumps(chat))
    assert not marks(subcode, orjson.dumps(GOOD))


@pytest.mark.parametrize("subcode", [None, 0, 2804001, 2804048, 33])
def test_an_error_that_names_no_rule_makes_nobody_suspicious(subcode: int | None) -> None:
    assert not marks(subcode, b"{}", age_ms=400 * DAY_MS)


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'"text"', b'{"user_data":7}'])
@pytest.mark.parametrize("subcode", sorted({subcode for subcode, _ in BAD}))
def test_a_body_of_any_shape_is_looked_at_without_an_exception(subcode: int, body: bytes) -> None:
    suspects(an_error(subcode), [with_body(body)], NOW_MS)


@pytest.mark.parametrize(("source", "days"), [("website", 7), ("physical_store", 62), ("app", 7)])
def test_age_is_suspected_a_little_before_metas_limit_and_not_earlier(
    source: str, days: int
) -> None:
    body = orjson.dumps({"action_source": source})
    limit_ms = days * DAY_MS - SKEW_SECONDS * 1000

    assert not marks(2804003, body, age_ms=limit_ms)
    assert marks(2804003, body, age_ms=limit_ms + 1)


def test_age_is_that_at_the_sending() -> None:
    event = with_body(b"{}", age_ms=6 * DAY_MS)

    assert suspects(an_error(2804003), [event], NOW_MS) == []
    assert suspects(an_error(2804003), [event], NOW_MS + DAY_MS) == [event]


def test_only_age_is_exact() -> None:
    assert [s for s in range(2804000, 2804200) if is_exact(an_error(s))] == [2804003]

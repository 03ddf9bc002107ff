"""Which match keys our own events carry, and what to add first."""

import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from consumer.destinations import Destinations, parse_destinations
from consumer.match_key_coverage import (
    ADVICE_MAX,
    GROUPS_MAX,
    Coverage,
    Group,
    coverage_of,
    group_json,
    percent,
)
from consumer.prepare import Preparation

NOW_MS = 1_795_000_000_000
CANARY = "jane.canary@example.com"
ANYTHING = Preparation(
    destinations=Destinations.anything(), test_code=None, body_bytes_max=1_000_000
)
WEB_USER = {
    "email": CANARY,
    "phone": "+14155550199",
    "externalId": "u1",
    "lastName": "Doe",
    "userAgent": "Firefox",
    "ipAddress": "93.184.216.34",
    "clickIds": {"fbc": "fb.1.1554763741205.AbCdEfGhIjKlMnOp", "fbp": "fb.1.1554763741205.12345"},
}


def event(**changes: Any) -> dict[str, Any]:
    return {
        "destinationId": "1",
        "eventName": "Lead",
        "eventTime": NOW_MS,
        "actionSource": "crm",
        "user": {"email": CANARY},
        **changes,
    }


def web(*, name: Any = "Purchase", **user: Any) -> dict[str, Any]:
    """A website event of a person of whom everything is known but what ``user`` sets to None."""
    return event(
        eventName=name,
        actionSource="website",
        sourceUrl="https://shop.example",
        value=1,
        currency="EUR",
        user=WEB_USER | user,
    )


def coverage(events: Iterable[Any], preparation: Preparation = ANYTHING) -> Coverage:
    lines = (each if isinstance(each, bytes) else orjson.dumps(each) for each in events)
    return coverage_of(lines, preparation, now_ms=NOW_MS)


def group(*events: Any) -> Group:
    (found,) = coverage(events).groups
    return found


def shares(found: Group) -> dict[str, float]:
    return dict(found.shares())


def test_the_share_of_events_that_carry_each_key_is_told_also_where_it_is_none() -> None:
    found = group(web(), web(phone=None), web(phone=None, city="Berlin"), web(email=None))

    assert (found.destination, found.event_name) == ("1", "Purchase")
    assert (found.events, found.website_events) == (4, 4)
    assert shares(found) | {"ph": 0.5, "em": 0.75, "ct": 0.25, "fbp": 1.0} == shares(found)
    assert "ge" not in shares(found)
    assert shares(group(event()))["ph"] == 0
    assert "fbp" not in shares(group(event())), "only a browser has it"


def test_destinations_and_names_are_counted_apart_the_largest_first() -> None:
    found = coverage([event(), web(), web(), event(destinationId="2"), web(), event()])

    assert [(each.destination, each.event_name, each.events) for each in found.groups] == [
        ("1", "Purchase", 3),
        ("1", "Lead", 2),
        ("2", "Lead", 1),
    ]


def test_keys_count_as_they_are_sent_and_what_was_dropped_is_told_with_its_reason() -> None:
    found = group(event(user={"email": CANARY, "phone": "12"}), event(user={"email": CANARY}))

    assert shares(found)["ph"] == 0
    assert found.dropped == {("phone", "malformed"): 1}


def test_rejected_and_suppressed_events_are_counted_and_have_no_share() -> None:
    suppressing = parse_destinations("- id: '1'\n  onDenied: suppress\n", Path())
    preparation = ANYTHING._replace(destinations=suppressing)
    (found,) = coverage(
        [
            event(),
            event(actionSource=None),
            event(user={"firstName": "Jane"}),
            event(consent={"adUserData": "DENIED"}),
        ],
        preparation,
    ).groups

    assert found.events == 1
    assert found.rejected == {"missing_action_source": 1, "insufficient_user_data": 1}
    assert found.suppressed == 1
    assert shares(found)["em"] == 1


def test_lines_that_are_no_events_are_counted_and_blank_ones_are_not() -> None:
    found = coverage([b"{", b"", b"  \n", b"[]", orjson.dumps(event())])

    assert found.unreadable_lines == 2
    assert [each.events for each in found.groups] == [1]


def test_without_a_destination_in_event_and_settings_there_is_none_in_the_row() -> None:
    assert group(event(destinationId=None)).destination is None


def test_advice_begins_with_what_meta_demands_and_names_our_field() -> None:
    bare = dict.fromkeys((*WEB_USER, "city"))
    found = group(*[web(**bare | {"email": CANARY})] * 3)

    first, *others = found.advice()

    assert first.sentence == (
        "client_user_agent is on 0 % of website events: publish user.userAgent, which Meta demands"
        " of them."
    )
    assert [each.match_key for each in others] == ["ph", "fbc"]
    assert len(found.advice()) == ADVICE_MAX


def test_nothing_is_advised_where_the_keys_are_there() -> None:
    assert group(web()).advice() == []


@pytest.mark.parametrize(
    ("missing", "of_four", "advised"),
    [
        ("email", 2, False),
        ("email", 3, True),
        ("userAgent", 1, True),
        ("clickIds", 3, True),
        ("externalId", 3, True),
        ("ipAddress", 2, False),
    ],
)
def test_a_key_on_few_events_is_advised(missing: str, of_four: int, advised: bool) -> None:
    events = [web(**{missing: None})] * of_four + [web()] * (4 - of_four)

    fields = [each.field for each in group(*events).advice()]

    assert any(missing in field for field in fields) == advised


def test_a_click_id_on_some_events_is_enough() -> None:
    without = {"clickIds": {"fbp": "fb.1.1554763741205.12345"}}
    some = group(web(), *[web(**without)] * 9)
    none = group(*[web(**without)] * 9)

    assert "fbc" not in [each.match_key for each in some.advice()]
    assert "fbc" in [each.match_key for each in none.advice()]


def test_website_keys_are_measured_on_website_events_alone() -> None:
    found = group(web(name="Lead"), *[event()] * 9)

    assert (found.events, found.website_events) == (10, 1)
    assert "client_user_agent" not in [each.match_key for each in found.advice()]
    assert "ph" in [each.match_key for each in found.advice()]


def test_a_row_for_machines() -> None:
    found = group_json(group(web(phone="12"), event(eventName="Purchase", value=1, currency="?")))

    assert list(found) == [
        *("destinationId", "eventName", "events", "websiteEvents", "rejected", "suppressed"),
        *("matchKeys", "addFirst", "dropped", "rejections"),
    ]
    assert found["matchKeys"][1] == {"identifier": "em", "coveragePercentage": 100}
    assert found["addFirst"][0] == {
        "identifier": "ph",
        "field": "user.phone",
        "coveragePercentage": 0,
        "of": "events",
        "message": "ph is on 0 % of events: publish user.phone, which Meta names among the best"
        " keys.",
    }
    assert found["dropped"] == [{"field": "phone", "reason": "malformed", "events": 1}]
    assert found["rejections"] == [{"reason": "missing_currency", "events": 1}]


def test_nothing_personal_stands_in_a_row() -> None:
    hostile = [
        event(eventName=CANARY),
        event(destinationId=CANARY),
        event(eventName=CANARY, actionSource=CANARY),
        event(user={"email": CANARY, "phone": CANARY}),
    ]
    found = coverage(hostile)

    text = f"{found!r} {[group_json(each) for each in found.groups]}"
    assert "canary" not in text


def test_memory_does_not_grow_with_events_nor_with_names() -> None:
    def lines(count: int) -> Iterator[bytes]:
        for number in range(count):
            yield orjson.dumps(event(eventName=f"name {number}"))

    found = coverage_of(lines(GROUPS_MAX + 40), ANYTHING, now_ms=NOW_MS)
    assert len(found.groups) == GROUPS_MAX + 1
    assert {each.event_name: each.events for each in found.groups}["other"] == 40

    coverage(event() for _ in range(100))
    tracemalloc.start()
    coverage(event() for _ in range(100))
    few = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    coverage(event() for _ in range(4000))
    many = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert many < few + 200_000


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (0.00001, "< 0.1 %"),
        (0.001, "0.1 %"),
        (0.5, "50 %"),
        (0.6257, "62.6 %"),
        (0.9999, "> 99.9 %"),
        (1, "100 %"),
    ],
)
def test_a_share_for_people_is_neither_rounded_to_none_nor_to_all(share: float, text: str) -> None:
    assert percent(share) == text

"""A line of JSON as people write it → the fields of an event, or one sentence on what is wrong."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.json_lines import Line, Mistake, read_line

CANARY = "jane.canary@example.com"
TIME_MS = 1_795_000_000_000  # 2026-11-18T11:06:40Z


def line(**changes: Any) -> bytes:
    """A sound line; a change of None is JSON's null."""
    fields: dict[str, Any] = {
        "eventName": "Lead",
        "eventTime": TIME_MS,
        "user": {"email": CANARY},
        **changes,
    }
    return json.dumps(fields).encode()


def read(text: bytes) -> Line:
    found = read_line(text)
    assert isinstance(found, Line), found
    return found


def mistake(text: bytes) -> Mistake:
    found = read_line(text)
    assert isinstance(found, Mistake), found
    return found


def test_a_line_becomes_fields_a_time_and_nothing_unknown() -> None:
    assert read(line()) == Line(
        {"eventName": "Lead", "eventTime": TIME_MS, "user": {"email": CANARY}}, TIME_MS, ()
    )


@pytest.mark.parametrize(
    ("given", "milliseconds"),
    [
        (TIME_MS, TIME_MS),
        (TIME_MS // 1000, TIME_MS),
        (TIME_MS / 1000 + 0.5, TIME_MS + 500),
        (float(TIME_MS), TIME_MS),
        ("2026-11-18T11:06:40Z", TIME_MS),
        (" 2026-11-18T11:06:40Z ", TIME_MS),
        ("2026-11-18T12:06:40+01:00", TIME_MS),
        ("2026-11-18T11:06:40.250", TIME_MS + 250),
        ("2026-11-18", TIME_MS - 40_000 * 1000),
        (99_999_999_999, 99_999_999_999_000),
        (100_000_000_000, 100_000_000_000),
        (0, 0),
        (None, None),
    ],
)
def test_the_event_time_may_be_seconds_milliseconds_or_iso(
    given: Any, milliseconds: int | None
) -> None:
    found = read(line(eventTime=given))

    assert found.event_time_ms == milliseconds
    assert found.fields["eventTime"] == milliseconds


@pytest.mark.parametrize("given", ["yesterday", "", "1795000000", True, [], {}, 1e18, 10**30])
def test_another_event_time_is_a_mistake(given: Any) -> None:
    assert mistake(line(eventTime=given)) == Mistake(
        "eventTime", "eventTime must be seconds, milliseconds or ISO 8601"
    )


def test_a_line_without_a_time_has_none() -> None:
    assert read(b'{"eventName": "Lead"}') == Line(
        {"eventName": "Lead", "eventTime": None}, None, ()
    )


@pytest.mark.parametrize("field", ["email", "phone", "externalId"])
def test_a_person_may_have_several_addresses_numbers_and_ids(field: str) -> None:
    found = read(line(user={field: ["one", None, 2]}))

    assert found.fields["user"] == {field: ["one", "2"]}


def test_a_list_is_not_taken_where_the_schema_has_one_text() -> None:
    assert mistake(line(user={"city": ["Oslo"]})) == Mistake(
        "user.city", "user.city must be a string"
    )
    assert mistake(line(user={"email": [CANARY, ["a"]]})).field == "user.email"


def test_custom_data_may_be_any_object() -> None:
    free = {"a": {"b": [1, None, True]}, "c": 1.5}

    assert read(line(customData=free)).fields["customData"] == free


def test_null_is_absent() -> None:
    found = read(line(value=None, user={"email": None, "clickIds": None}))

    assert found.fields == {"eventName": "Lead", "eventTime": TIME_MS, "user": {}}


def test_an_id_without_quotes_is_its_digits() -> None:
    found = read(line(destinationId=1729525464415281, user={"zip": 94025, "leadId": 12}))

    assert found.fields["destinationId"] == "1729525464415281"
    assert found.fields["user"] == {"zip": "94025", "leadId": "12"}


def test_a_whole_number_is_a_number_too() -> None:
    found = read(line(value=42, customNumbers={"seats": 3}))

    assert (found.fields["value"], found.fields["customNumbers"]) == (42.0, {"seats": 3.0})
    assert isinstance(found.fields["value"], float)


def test_fields_that_the_schema_lacks_are_told_by_their_path() -> None:
    found = read(
        line(evnetId="x", user={"email": CANARY, "shoeSize": 44}, items=[{"id": "a", "colour": 1}])
    )

    assert found.unknown == ("user.shoeSize", "evnetId", "items.colour")
    assert found.fields["user"] == {"email": CANARY}
    assert found.fields["items"] == [{"id": "a"}]


def test_an_alias_of_the_schema_is_read_as_our_own_name_which_wins() -> None:
    items = [{"title": "Hat"}, {"title": "Hat", "name": "Cap"}, {"name": "Cap", "title": "Hat"}]

    found = read(line(items=items))

    assert found.fields["items"] == [{"name": "Hat"}, {"name": "Cap"}, {"name": "Cap"}]
    assert found.unknown == ()


@pytest.mark.parametrize(
    ("changes", "field", "wanted"),
    [
        ({"eventName": ["Lead"]}, "eventName", "a string"),
        ({"eventName": 1.5}, "eventName", "a string"),
        ({"eventName": True}, "eventName", "a string"),
        ({"user": "jane"}, "user", "an object"),
        ({"user": {"clickIds": 1}}, "user.clickIds", "an object"),
        ({"user": {"clickIds": {"fbclidTime": "now"}}}, "user.clickIds.fbclidTime", "a whole"),
        ({"value": "42.50"}, "value", "a number"),
        ({"value": True}, "value", "a number"),
        ({"numItems": 1.5}, "numItems", "a whole number"),
        ({"optOut": 1}, "optOut", "true or false"),
        ({"items": {}}, "items", "a list"),
        ({"items": ["a"]}, "items", "an object"),
        ({"items": [{"quantity": "2"}]}, "items.quantity", "a whole number"),
        ({"contentIds": "a"}, "contentIds", "a list"),
        ({"customData": "a"}, "customData", "an object"),
        ({"customNumbers": {"a": "b"}}, "customNumbers", "a number"),
    ],
)
def test_a_wrong_type_is_told_by_path_and_by_what_belongs_there(
    changes: dict[str, Any], field: str, wanted: str
) -> None:
    found = mistake(line(**changes))

    assert found.field == field
    assert found.message.startswith(f"{field} must be {wanted}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "no JSON: "),
        (b"{", "no JSON: "),
        (b"\xff\xfe{}", "no JSON: "),
        (b'{"a": NaN}', "no JSON: "),
        (b"[" * 2000, "no JSON: "),
        (b"[]", "a line must be one JSON object"),
        (b'"text"', "a line must be one JSON object"),
        (b"null", "a line must be one JSON object"),
        (b"{} {}", "no JSON: "),
    ],
)
def test_what_is_no_object_is_a_mistake_of_the_whole_line(text: bytes, message: str) -> None:
    found = mistake(text)

    assert found.field == ""
    assert found.message.startswith(message)
    assert "\n" not in found.message


@pytest.mark.parametrize(
    "text",
    [
        f'{{"eventName": "Lead", "user": {{"email": {{"{CANARY}": 1}}}}}}'.encode(),
        f'{{"eventTime": "{CANARY}"}}'.encode(),
        f'{{"value": "{CANARY}"}}'.encode(),
        f'{{"eventName": "{CANARY}'.encode(),
    ],
)
def test_no_mistake_quotes_a_value(text: bytes) -> None:
    assert "canary" not in mistake(text).message


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["eventTime", "user", "email", "items", "clickIds", "id", "value"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.binary(max_size=60) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_no_line_whatsoever_raises(text: bytes) -> None:
    found = read_line(text)

    assert isinstance(found, Line) or found.message

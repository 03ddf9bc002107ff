"""Which event an error points at: paths in texts, ``error_data`` in every form, and junk."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.hints import event_index


@pytest.mark.parametrize(
    "text",
    [
        "Invalid parameter: $['data'][17]['user_data']",
        "The parameter $['data'][17]['user_data'] is required",
        "is required on param \"$['data'][17]\".",
        '$["data"][17]',
        "$.data[17].user_data",
        "data[17][event_time] must be a number",
        "Le paramètre $['data'][17]['event_time'] est requis",
        "$[data][17]",
        "first $['data'][17], then $['data'][18]",
    ],
)
@pytest.mark.parametrize("name", ["message", "error_user_msg"])
def test_a_path_in_a_text_names_the_event(text: str, name: str) -> None:
    assert event_index({name: text}) == 17


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no path",
        "custom_data[17]",
        "$['custom_data'][17]",
        "metadata[17]",
        "$['data']",
        "$['data'][x]",
        "$['data'][-1]",
        "$['data'][12345678901234567890]",
        "17",
        None,
        17,
        ["$['data'][17]"],
    ],
)
def test_a_text_without_such_a_path_names_none(text: Any) -> None:
    assert event_index({"message": text, "error_user_msg": text}) is None


INSIDE = {"event_index": 14, "message": "m", "type": "CodedException", "code": 2804030}


@pytest.mark.parametrize(
    "data",
    [
        INSIDE,
        json.dumps(INSIDE),
        {"errors": [INSIDE]},
        json.dumps({"0": {"error": INSIDE}}),
        {"error": json.dumps(INSIDE)},
        [{"blame_field_specs": [["data"]]}, INSIDE],
        {"event_index": "14"},
        {"event_index": None, "inner": INSIDE},
        [INSIDE, {"event_index": 15}],
    ],
)
def test_error_data_names_the_event_in_whatever_wrapping(data: Any) -> None:
    assert event_index({"error_data": data}) == 14


@pytest.mark.parametrize(
    "data",
    [
        None,
        7,
        "text",
        "{",
        "[1",
        {"blame_field_specs": [["targeting"]]},
        *({"event_index": value} for value in (True, -1, 1.0, "", "-1", "x", "²", [14], 10**9)),
        {"event_index": "9" * 5000},
    ],
)
def test_error_data_without_an_index_names_none(data: Any) -> None:
    assert event_index({"error_data": data}) is None


def test_what_is_told_as_data_outranks_what_is_told_in_a_text() -> None:
    assert event_index({"error_data": INSIDE, "message": "$['data'][17]"}) == 14


def test_zero_is_an_index() -> None:
    assert event_index({"error_data": {"event_index": 0}, "message": "$['data'][17]"}) == 0
    assert event_index({"message": "$['data'][0]"}) == 0


def test_the_search_in_error_data_is_bounded() -> None:
    assert event_index({"error_data": [[]] * 100_000 + [INSIDE]}) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error_data", "event_index", "message", "error_user_msg"]), inner
        )
    ),
    max_leaves=10,
)


@settings(deadline=None)
@given(error=st.dictionaries(st.sampled_from(["error_data", "message", "error_user_msg"]), _JSON))
def test_junk_never_raises_and_an_index_is_never_negative(error: dict[str, Any]) -> None:
    found = event_index(error)

    assert found is None or 0 <= found < 10**6

"""Milliseconds ↔ ISO 8601: what is written can be read, and what is none is told apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.iso_time import iso_time, ms_of_iso
from tests.fakes.events import NOW_MS


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (NOW_MS + 7, "2025-10-09T08:53:20.007Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (None, ""),
        (10**18, ""),
        (-(10**18), ""),
    ],
)
def test_times_are_iso_8601_in_utc_with_milliseconds(milliseconds: int | None, text: str) -> None:
    assert iso_time(milliseconds) == text


@given(st.integers(-(10**13), 2 * 10**14))
def test_a_time_survives_its_text(milliseconds: int) -> None:
    assert ms_of_iso(iso_time(milliseconds)) == milliseconds


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01", 1000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("", None),
        ("soon", None),
        ("0001-01-01T00:00:00+23:59", None),
    ],
)
def test_times_are_read_in_utc_unless_they_say_otherwise(
    text: str, milliseconds: int | None
) -> None:
    found = ms_of_iso(text)

    assert found == milliseconds or (milliseconds is None and (found or 0) < -(10**13))

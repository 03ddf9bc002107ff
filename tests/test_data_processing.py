"""Consent and limited data use: what is unclear allows less, and is told."""

from typing import Any

import pytest

from consumer.data_processing import COUNTRIES, STATES, data_processing, is_denied
from consumer.model import Dropped, DropReason

MALFORMED = DropReason.MALFORMED


def sent(**fields: Any) -> tuple[tuple[Any, Any, Any] | None, list[str]]:
    """Options, country and state as Meta gets them, and what was left out."""
    dropped: list[Dropped] = []
    found = data_processing(fields, dropped)
    assert all(each.reason is MALFORMED for each in dropped)
    names = [each.field for each in dropped]
    if not found:
        return None, names
    keys = ("data_processing_options", *(f"data_processing_options_{n}" for n in _PLACE))
    assert found.keys() <= set(keys)
    return (found[keys[0]], found.get(keys[1]), found.get(keys[2])), names


_PLACE = ("country", "state")
LDU = ["LDU"]


@pytest.mark.parametrize(
    ("given", "found", "dropped"),
    [
        ({"options": ["LDU"], "country": 1, "state": 1000}, (LDU, 1, 1000), []),
        ({"options": ["LDU"], "country": 1, "state": 1013}, (LDU, 1, 1013), []),
        ({"options": ["LDU"], "country": 1}, (LDU, 1, 0), []),
        ({"options": ["LDU"], "country": 0, "state": 0}, (LDU, 0, 0), []),
        ({"options": ["LDU"], "country": 2, "state": 0}, (LDU, 0, 0), ["country"]),
        ({"options": ["LDU"], "country": -1}, (LDU, 0, 0), ["country"]),
        ({"options": ["LDU"], "country": "1"}, (LDU, 0, 0), ["country"]),
        ({"options": ["LDU"], "country": True}, (LDU, 0, 0), ["country"]),
        ({"options": ["LDU"], "country": 1, "state": 999}, (LDU, 1, 0), ["state"]),
        ({"options": ["LDU"], "country": 1, "state": 1014}, (LDU, 1, 0), ["state"]),
        ({"options": ["LDU"], "country": 1, "state": "CA"}, (LDU, 1, 0), ["state"]),
        ({"options": ["LDU"], "state": 1000}, (LDU, 0, 0), ["state"]),
        ({"options": ["LDU"], "country": 0, "state": 1000}, (LDU, 0, 0), ["state"]),
        ({"options": ["LDU"], "country": 49, "state": 1000}, (LDU, 0, 0), ["country", "state"]),
        ({"options": ["LDU", "GDPR"]}, (LDU, 0, 0), ["options"]),
        ({"options": ["GDPR"], "country": 1, "state": 1001}, (LDU, 1, 1001), ["options"]),
        ({"options": ["ldu"]}, (LDU, 0, 0), ["options"]),
        ({"options": []}, ([], None, None), []),
        ({"options": None}, ([], None, None), []),
        ({}, ([], None, None), []),
        ("LDU", None, []),
    ],
)
def test_what_is_unknown_is_left_out_and_limits_all_the_same(
    given: Any, found: tuple[Any, Any, Any] | None, dropped: list[str]
) -> None:
    assert sent(dataProcessing=given) == (found, [f"dataProcessing.{name}" for name in dropped])


def test_meta_knows_fourteen_states_of_one_country() -> None:
    assert COUNTRIES == (0, 1)
    assert len(STATES) == 15


@pytest.mark.parametrize("answer", ["granted", "DENY", "", "yes", 1, "GRANTED "])
@pytest.mark.parametrize("name", ["adUserData", "adPersonalization"])
def test_an_answer_that_is_neither_yes_nor_no_is_a_no_and_told(name: str, answer: Any) -> None:
    assert is_denied({"consent": {name: answer}})
    assert sent(consent={name: answer}) == ((LDU, 0, 0), [f"consent.{name}"])


def test_a_clear_answer_is_nothing_to_tell() -> None:
    assert sent(consent={"adUserData": "GRANTED", "adPersonalization": None}) == (None, [])
    assert sent(consent={"adUserData": "DENIED"}) == ((LDU, 0, 0), [])
    assert sent(consent="GRANTED") == (None, [])

"""docs/match-keys.md says what the code does: each example in its tables is run."""

import re
from typing import Any

import pytest

from consumer.match_keys import (
    _CLEAR_KEYS,
    DateOrder,
    ExternalIdRule,
    MatchKeyRules,
    MatchKeys,
)
from consumer.model import DropReason
from consumer.user_data import CLEAR_LENGTH_MAX, VALUES_MAX
from tests.fakes.pages import DOCS, quoted, rows
from tests.fakes.users import CLEAR, HASHED, LISTS, RULED, digest, keys_of, rules_with

PAGE = "match-keys.md"
KEYS = {
    **HASHED,
    **CLEAR,
    **RULED,
    **{"clickIds.fbc": "fbc", "clickIds.fbclid": "fbc", "clickIds.fbp": "fbp"},
}
FIELDS = rows(PAGE, "The fields")
HARD = rows(PAGE, "Hard cases")
CONTRADICTIONS = rows(PAGE, "Where Meta's own normalisers contradict each other")
RULES = rows(PAGE, "Per destination")


def name_of(row: dict[str, str]) -> str:
    return " ".join(row.values())[:80]


def expect(field: str, written: str, setting: str, becomes: str) -> None:
    """``setting`` is ``name: value``, with commas; ``becomes`` as the page writes it."""
    choices = dict(re.findall(r"(\w+): ?(\w+)", setting))
    key, place = KEYS[field], field.removeprefix("clickIds.")
    user: dict[str, Any] = {place: written}
    if place != field:
        user = {"clickIds": user | {k: v for k, v in choices.items() if k == "fbclidTime"}}
    if "country" in choices:
        user["country"] = choices["country"]

    keys = keys_of(user, rules=rules_of(choices), website="website" in setting)

    check(keys, field, key, becomes)


def rules_of(choices: dict[str, str]) -> MatchKeyRules:
    return rules_with(
        default_country=choices.get("defaultCountry"),
        external_id=ExternalIdRule(choices.get("externalId", "pixel")),
        date_order=DateOrder(choices["dateOrder"]) if "dateOrder" in choices else None,
    )


def check(keys: MatchKeys, field: str, key: str, becomes: str) -> None:
    found = keys.user_data.get(key)
    reasons = [drop.reason for drop in keys.dropped if drop.field == field]
    if (normal := quoted(becomes)) is None:
        reason = re.fullmatch(r"\*(\w+)\*", becomes)
        assert found is None
        assert reasons == ([DropReason(reason[1])] if reason else [])
        assert reason or becomes == "nothing"
        return
    assert reasons == []
    if field not in HASHED:
        assert str(found) == normal
    else:
        assert found == [normal if becomes.endswith("in the clear") else digest(normal)]


@pytest.mark.parametrize("row", FIELDS, ids=name_of)
def test_the_example_of_a_field_is_true(row: dict[str, str]) -> None:
    written, becomes = row["for example"].split(" → ")
    field = quoted(row["field"]) or ""
    text = quoted(written)
    assert text is not None

    assert quoted(row["Meta's key"]) == KEYS[field]
    expect(field, text, "website", becomes)


@pytest.mark.parametrize("row", HARD, ids=name_of)
def test_a_hard_case_is_true(row: dict[str, str]) -> None:
    expect(quoted(row["field"]) or "", quoted(row["written"]) or "", row["with"], row["becomes"])


@pytest.mark.parametrize("row", CONTRADICTIONS, ids=name_of)
def test_what_we_send_where_metas_code_is_divided_is_true(row: dict[str, str]) -> None:
    expect(quoted(row["field"]) or "", quoted(row["written"]) or "", row["with"], row["we send"])


@pytest.mark.parametrize("row", RULES, ids=name_of)
def test_a_choice_of_a_destination_does_what_the_page_says(row: dict[str, str]) -> None:
    field, written = row["written"].split(": ", 1)
    expect(quoted(field) or "", quoted(written) or "", row["with"], row["becomes"])


def test_every_field_has_its_row() -> None:
    named = {name for row in FIELDS for name in re.findall("`([^`]+)`", row["field"])}

    assert named == {*KEYS, *LISTS}
    assert {field for _, field, _ in _CLEAR_KEYS} <= named


def test_every_reason_has_its_row() -> None:
    reasons = [quoted(row["reason"]) for row in rows(PAGE, "Why a field was left out")]

    assert sorted(filter(None, reasons)) == sorted(reason.value for reason in DropReason)


def test_every_choice_of_a_destination_has_its_row() -> None:
    said = " ".join(row["with"] for row in RULES)

    assert set(re.findall(r"externalId: (\w+)", said)) == {rule.value for rule in ExternalIdRule}
    assert {"defaultCountry", "dateOrder"} <= set(re.findall(r"(\w+):", said))


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    text = (DOCS / PAGE).read_text(encoding="utf-8")

    assert f"at most {VALUES_MAX} values" in text.replace("\n", " ")
    assert f"at most {CLEAR_LENGTH_MAX:,}." in text.replace("\n", " ")

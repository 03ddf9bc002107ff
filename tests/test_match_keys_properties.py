"""What holds of the match keys for any input at all.

Nothing raises, nothing is hashed twice, nothing empty is hashed, and nothing leaves unhashed that
Meta wants hashed. (Where ``CI`` is set, Hypothesis makes the same examples every time.)
"""

import re
import unicodedata
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from consumer import hashing, normalise, phone, places
from consumer.hashing import TEXT_LENGTH_MAX
from consumer.match_keys import ExternalIdRule
from consumer.model import Dropped, DropReason
from consumer.user_data import CLEAR_LENGTH_MAX, VALUES_MAX
from tests.fakes.users import (
    CLEAR,
    FIELDS,
    HASHED,
    LISTS,
    NOTHING_SHA256,
    PERSON,
    TODAY,
    digest,
    keys_of,
    rules_with,
)

CLICK_FIELDS = ["fbc", "fbp", "fbclid", "fbclidTime"]
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
SPECIAL = [
    *PERSON.values(),
    *("n/a", "0", "+", "(0)", "00", ".", "@", "é", "\u3164", "e-\u0301", "i\u0307", "\ud800"),
    *("ab" * 32, NOTHING_SHA256, NOTHING_SHA256 + ".AQ", "a1" * 16, "z" * 300, "9" * 5000),
]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.binary(max_size=8), st.dates(),
    st.datetimes(), st.decimals(), st.uuids(), ANY_TEXT, st.sampled_from(SPECIAL),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=2),
    max_leaves=5,
)
CLICKS = st.fixed_dictionaries({}, optional=dict.fromkeys(CLICK_FIELDS, VALUES))
USERS = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(FIELDS, VALUES), "clickIds": CLICKS | VALUES}
)
COUNTRIES = st.sampled_from([None, "us", "gb", "it", "ca", "zz"])
HASH = re.compile(r"[0-9a-f]{64}(\.[A-Za-z0-9_-]{2}|\.[A-Za-z0-9_-]{8})?")
anything = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# Never raises, never hashes nothing, never lets anything out unhashed


@anything
@given(USERS, COUNTRIES, st.booleans())
def test_whatever_comes_in_only_hashes_and_clean_json_go_out(
    user: dict[str, Any], country: str | None, website: bool
) -> None:
    keys = keys_of(user, rules=rules_with(default_country=country), website=website)

    for key in set(HASHED.values()) & set(keys.user_data):
        values = keys.user_data[key]
        assert values == sorted(set(values)) != []
        assert all(HASH.fullmatch(value) for value in values)
        assert not any(value.startswith(NOTHING_SHA256) for value in values)
    for key in set(keys.user_data) - set(HASHED.values()):
        assert keys.user_data[key]
    assert len(set(keys.dropped)) == len(keys.dropped)
    assert orjson.loads(orjson.dumps(keys.user_data)) == keys.user_data


@anything
@given(VALUES, VALUES)
def test_a_user_or_a_click_of_another_shape_is_no_error(value: Any, clicks: Any) -> None:
    user = dict.fromkeys([*FIELDS, "clickIds", "another"], value)

    assert keys_of(user) == keys_of(user)
    assert keys_of({"clickIds": dict.fromkeys(CLICK_FIELDS, clicks)}).user_data.keys() <= {
        "fbc",
        "fbp",
    }


def is_unseen(character: str) -> bool:
    """White space, a control character, or what Unicode draws as nothing."""
    fillers = r"HANGUL.* FILLER|VARIATION SELECTOR|GRAPHEME JOINER|VOWEL INHERENT"
    category = unicodedata.category(character)
    named = re.search(fillers, unicodedata.name(character, ""))
    return category[0] == "Z" or category in {"Cc", "Cf"} or named is not None


UNSEEN = [c for c in map(chr, range(0x110000)) if is_unseen(c)]


@anything
@given(st.sampled_from(sorted(HASHED)), st.text(st.sampled_from(UNSEEN)))
@example("externalId", "".join(UNSEEN))
@example("firstName", "\u3164\u115f\u1160\uffa0")
def test_what_nobody_can_see_is_never_hashed(field: str, unseen: str) -> None:
    assert keys_of({field: unseen}).user_data == {}
    assert keys_of({field: [unseen, " "]}).user_data == {}


CANARY = "Quorthgrymlonx"  # with no hexadecimal digit in it, so that no hash holds four of these
AROUND = st.text(st.characters(codec="utf-8", exclude_characters=CANARY + CANARY.swapcase()))
SECRET = st.builds(
    "{}{}{}".format,
    AROUND,
    st.sampled_from([CANARY, CANARY.upper(), CANARY + "@example.com", "+49 170 " + CANARY]),
    AROUND,
)


@anything
@given(st.dictionaries(st.sampled_from([*HASHED, *LISTS]), SECRET | st.lists(SECRET, max_size=3)))
@example({field: CANARY for field in HASHED})
@example({"email": CANARY + "@example.com", "phone": CANARY})
def test_no_four_characters_of_a_secret_leave(user: dict[str, Any]) -> None:
    keys = keys_of(user)

    said = orjson.dumps(keys.user_data).decode() + repr(keys) + repr(keys.dropped)
    told = re.sub(r"|".join([*HASHED, *LISTS]), "", said).lower()
    for start in range(len(CANARY) - 3):
        assert CANARY[start : start + 4].lower() not in told


@given(st.from_regex(r"\+49 170 [0-9]{7}", fullmatch=True), st.dates(max_value=TODAY))
def test_no_number_and_no_date_leaves(number: str, born: Any) -> None:
    user = {"phone": number, "dob": born.strftime("%Y%m%d"), "zip": number[-7:]}

    said = orjson.dumps(keys_of(user).user_data).decode() + repr(keys_of(user))

    assert number[-7:] not in said
    assert born.strftime("%Y%m%d") not in said


@anything
@given(USERS)
def test_an_id_that_is_not_hashed_is_never_empty_and_always_utf8(user: dict[str, Any]) -> None:
    keys = keys_of(user, rules=rules_with(external_id=ExternalIdRule.RAW))

    for value in keys.user_data.get("external_id", []):
        assert value.encode().decode().strip()


# Idempotent


@anything
@given(USERS, st.sampled_from(ExternalIdRule))
def test_hashing_what_is_hashed_changes_nothing(user: dict[str, Any], rule: ExternalIdRule) -> None:
    first = keys_of(user).user_data
    hashed = {field: first[key] for field, key in HASHED.items() if key in first}

    again = keys_of(hashed, rules=rules_with(external_id=rule))

    assert again.dropped == ()
    assert again.user_data == {key: first[key] for key in HASHED.values() if key in first}


COMPOSING = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from("iIİıßẞΣςé-' .\u0301\u0307\u0323\u200d\u034f\u1160\u3164\ufe0f\u212b\ufb01"),
    max_size=20,
)


@anything
@given(COMPOSING)
def test_a_normal_form_is_its_own_normal_form(text: str) -> None:
    for read, publics in (
        (normalise.letters_and_digits, (normalise.first_name, normalise.last_name)),
        (normalise.letters, (normalise.city,)),
    ):
        normal = read(hashing.visible_part(text))
        if normal and normal not in hashing.PLACEHOLDERS:
            assert read(hashing.visible_part(normal)) == normal
            for public in publics:
                assert public(normal) == digest(normal)


@anything
@given(COMPOSING)
def test_a_composed_and_a_decomposed_text_are_one_person(text: str) -> None:
    for field in ("email", "firstName", "lastName", "city", "state"):
        spelled = text + "@example.com" if field == "email" else text
        composed, decomposed = (
            keys_of({field: unicodedata.normalize(form, spelled)}) for form in ("NFC", "NFD")
        )
        assert composed == decomposed


@given(st.text(max_size=30))
def test_white_space_and_invisible_characters_around_a_value_change_nothing(text: str) -> None:
    for field in [*HASHED, *CLEAR, "ipAddress", "leadId", "fbLoginId"]:
        assert keys_of({field: f"\ufeff \u200b{text}\t\u2060\n"}) == keys_of({field: text})


@given(st.lists(st.sampled_from(SPECIAL) | ANY_TEXT, max_size=6), st.randoms())
def test_the_order_of_a_list_changes_nothing(texts: list[str], random: Any) -> None:
    shuffled = random.sample(texts, len(texts))

    for field, key in LISTS.items():
        assert keys_of({field: texts * 2}).user_data == keys_of({field: shuffled}).user_data
        alone = {h for text in texts for h in keys_of({field: [text]}).user_data.get(key, [])}
        assert keys_of({field: texts}).user_data.get(key, []) == sorted(alone)


# Bounded


PATHOLOGICAL = [
    *(" ", "-", "0", "9", "a", "@", ".", "+", "(", "\u0301", "1-", "1.", "a.", "a@", "+1", "1/2/"),
    *("x1", "ext", ", ", "#1", "%", "::", "A:", "fb.1.", "l: ", "T00", "\u200b", "i\u0307", " 1"),
]


@pytest.mark.parametrize("end", ["", "!", "]x", "x"])
@pytest.mark.parametrize("unit", PATHOLOGICAL, ids=ascii)
def test_a_pattern_meets_no_more_than_the_limits_allow(unit: str, end: str) -> None:
    """What is longer than the limit is refused unread; what is as long as it is read."""
    short = (unit * TEXT_LENGTH_MAX)[: TEXT_LENGTH_MAX - len(end)] + end
    long = (unit * CLEAR_LENGTH_MAX)[: CLEAR_LENGTH_MAX - len(end)] + end
    clicks = dict.fromkeys(CLICK_FIELDS, long)

    for country in ("us", "hu", None):
        rules = rules_with(default_country=country)
        keys_of({**dict.fromkeys(HASHED, short), "clickIds": clicks}, rules=rules)
    keys_of({**dict.fromkeys(CLEAR, long), "ipAddress": long, "leadId": long, "fbLoginId": long})
    keys_of({"ipAddress": "1.1.1.1" + long})


def test_nothing_of_any_size_is_read_beyond_the_limits() -> None:
    huge = {field: "9" * 1_000_000 for field in FIELDS if field != "externalId"}
    keys = keys_of(
        {**huge, "externalIds": None, "clickIds": dict.fromkeys(CLICK_FIELDS, "1" * 10**6)}
    )

    assert keys.user_data == {}
    assert {drop.reason for drop in keys.dropped} == {DropReason.MALFORMED}


@given(st.lists(st.integers(1, 10**9), min_size=VALUES_MAX + 1, max_size=3 * VALUES_MAX))
def test_a_list_is_never_longer_than_its_limit(numbers: list[int]) -> None:
    keys = keys_of({"externalIds": numbers})

    assert 0 < len(keys.user_data["external_id"]) <= VALUES_MAX
    assert keys.dropped == (Dropped("externalId", DropReason.TOO_MANY),)


def test_what_is_remembered_is_bounded_and_never_an_email_or_an_id() -> None:
    remembered: dict[str, Any] = {
        name: value
        for room in (normalise, phone, places)
        for name, value in vars(room).items()
        if hasattr(value, "cache_parameters")
    }
    tables = {"_calling_codes", "_states", "_countries"}  # of facts, not of persons

    unbounded = {
        name for name, value in remembered.items() if value.cache_parameters()["maxsize"] is None
    }

    assert unbounded == tables
    assert not any("email" in name or "external" in name for name in remembered)


# Never shown


def test_no_representation_shows_a_person() -> None:
    user = {**PERSON, "ipAddress": "203.0.113.7", "leadId": "123456789012345"}
    text = repr(keys_of({**user, "phones": ["12"]}))

    assert "phone" in text
    for secret in (*map(str, user.values()), digest(PERSON["email"])):
        assert secret not in text


def test_the_invisible_characters_are_those_that_unicode_calls_so() -> None:
    """The pattern is written out, so that one text has one hash whatever Python's tables are."""
    formats = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) == "Cf"]

    assert [c for c in formats if hashing.visible_part(f"a{c}b") != "ab"] == []

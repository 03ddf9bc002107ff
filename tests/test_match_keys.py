"""What a publisher knows of a person → what Meta can match, or nothing.

The golden vectors stand in ``match_key_vectors.json``; the tables here say each rule in examples
of its own, in the words of the publisher's schema.
"""

import ipaddress
import json
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import phonenumbers
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from consumer.hashing import TEXT_LENGTH_MAX
from consumer.match_keys import (
    DateOrder,
    ExternalIdRule,
    MatchKeyRules,
    MatchKeys,
    is_sufficient,
    match_keys,
)
from consumer.model import Dropped, DropReason
from consumer.user_data import CLEAR_LENGTH_MAX, VALUES_MAX
from tests.fakes.users import (
    CLEAR,
    CLICK_MS,
    FIELDS,
    HASHED,
    NOTHING_SHA256,
    PERSON,
    RULES,
    TODAY,
    digest,
    keys_of,
    rules_with,
)

VECTORS = json.loads(Path(__file__).with_name("match_key_vectors.json").read_text("utf-8"))

MALFORMED = DropReason.MALFORMED
PLACEHOLDER = DropReason.PLACEHOLDER
NO_COUNTRY = DropReason.PHONE_WITHOUT_COUNTRY
NOT_PUBLIC = DropReason.NOT_PUBLIC
ABSENT = None

EMAIL_SHA256 = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"


def expect_hashed(
    user: Mapping[str, Any],
    field: str,
    expected: str | DropReason | None,
    rules: MatchKeyRules = RULES,
) -> None:
    """``expected`` is the normal form, why there is none, or None: nothing was there."""
    keys = keys_of(user, rules=rules)
    mine = [drop.reason for drop in keys.dropped if drop.field == field]
    if isinstance(expected, str):
        assert keys.user_data.get(HASHED[field]) == [digest(expected)]
        assert mine == []
    else:
        assert HASHED[field] not in keys.user_data
        assert mine == ([] if expected is None else [expected])


class Case(NamedTuple):
    """One row: what is written, the user's country, and the normal form or the reason."""

    text: str
    country: str | None
    expected: str | DropReason | None


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['field']}:{v['input']!a}")
def test_a_golden_vector_gives_its_hash_or_nothing(vector: dict[str, Any]) -> None:
    names = {key: field for field, key in HASHED.items()}
    field = vector["field"]
    key = {"fbclid": "fbc"}.get(field, field)
    value = {names[field]: vector["input"]} if field in names else {}
    clicks = {} if field in names else {field: vector["input"]}
    user = {**vector.get("context", {}), **value, "clickIds": clicks}

    found = keys_of(user, website=True).user_data.get(key)

    expected = vector["expected"]
    if field == "fbclid":  # Meta's own builder adds its appendix
        expected = f"fb.1.{CLICK_MS}.{vector['input']}"
    assert found == ([expected] if expected and field in names else expected)


def test_a_whole_person_becomes_eleven_keys_in_lists_of_one() -> None:
    keys = keys_of(PERSON)

    assert keys.dropped == ()
    assert keys.user_data == {
        "em": [EMAIL_SHA256],
        "ph": [digest("16505551212")],
        "fn": [digest("john")],
        "ln": [digest("smith")],
        "ct": [digest("menlopark")],
        "st": [digest("ca")],
        "zp": [digest("94025")],
        "country": [digest("us")],
        "db": [digest("19970216")],
        "ge": [digest("m")],
        "external_id": [digest("customer17")],
    }


def test_nothing_gives_nothing() -> None:
    assert keys_of({}) == MatchKeys({}, ())
    assert keys_of(dict.fromkeys([*FIELDS, "clickIds"])) == MatchKeys({}, ())
    assert keys_of(dict.fromkeys(FIELDS, " \u200b\t")) == MatchKeys({}, ())
    assert keys_of({field: [] for field in FIELDS}) == MatchKeys({}, ())


def test_a_field_that_is_not_ours_is_ignored() -> None:
    assert keys_of({"em": "a@b.co", "shoeSize": 44}) == MatchKeys({}, ())


# Lists and types


def test_the_scalar_and_its_array_make_one_sorted_list_without_duplicates() -> None:
    keys = keys_of({"email": "b@x.co", "emails": ["A@x.co", "b@X.co", "no", None, " "]})

    assert keys.user_data == {"em": sorted([digest("a@x.co"), digest("b@x.co")])}
    assert keys.dropped == (Dropped("email", MALFORMED),)


def test_an_array_alone_is_enough_and_a_scalar_may_be_a_list() -> None:
    assert keys_of({"externalIds": ["7"]}) == keys_of({"externalId": "7"})
    assert keys_of({"phone": ["+16505551212"]}) == keys_of({"phone": "+16505551212"})


def test_the_same_drop_is_named_once() -> None:
    keys = keys_of({"phones": ["12", "34", "n/a", "unknown", "6505551212"]})

    assert keys.dropped == (
        Dropped("phone", MALFORMED),
        Dropped("phone", PLACEHOLDER),
        Dropped("phone", NO_COUNTRY),
    )


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("phone", 16505551212, "16505551212"),
        ("externalId", 17, "17"),
        ("externalId", 0, PLACEHOLDER),
        ("zip", 94025, "94025"),
        ("dob", 19970216, "19970216"),
        ("dob", date(1997, 2, 16), "19970216"),
        ("dob", datetime(1997, 2, 16, 12, 30), "19970216"),
        ("externalId", True, MALFORMED),
        ("externalId", 1.5, MALFORMED),
        pytest.param("externalId", 10**5000, MALFORMED, id="a number of 5,001 digits"),
        ("firstName", {"a": 1}, MALFORMED),
        ("firstName", b"Mary", MALFORMED),
        ("lastName", "Sm\ud800th", MALFORMED),
        ("email", "a\ud800@b.co", MALFORMED),
        ("externalId", "\ud800", MALFORMED),
    ],
)
def test_a_value_of_another_type_is_read_where_it_can_only_mean_one_thing(
    field: str, value: Any, expected: str | DropReason
) -> None:
    expect_hashed({field: value}, field, expected)


def test_a_text_longer_than_any_name_is_no_name_but_may_be_an_external_id() -> None:
    expect_hashed({"firstName": "z" * 256}, "firstName", "z" * 256)
    expect_hashed({"firstName": "z" * 257}, "firstName", MALFORMED)
    expect_hashed({"externalId": "A" * 5000}, "externalId", "a" * 5000)
    expect_hashed({"country": "a" * 257}, "country", MALFORMED)
    for field in set(HASHED) - {"externalId"}:
        expect_hashed({field: "9" * (TEXT_LENGTH_MAX + 1)}, field, MALFORMED)
        expect_hashed({field: ["9" * (TEXT_LENGTH_MAX + 1)]}, field, MALFORMED)


@pytest.mark.parametrize("field", [*CLEAR, "ipAddress", "leadId", "fbLoginId"])
def test_a_key_in_the_clear_has_a_limit_too(field: str) -> None:
    assert keys_of({field: "9" * (CLEAR_LENGTH_MAX + 1)}).dropped == (Dropped(field, MALFORMED),)


def test_what_is_beyond_the_limit_of_values_is_left_out_and_said_once() -> None:
    addresses = [f"{number}@example.com" for number in range(10_000)]
    kept = {digest(address) for address in addresses[:VALUES_MAX]}

    alone = keys_of({"emails": addresses})
    after_one = keys_of({"email": "first@example.com", "emails": addresses})
    at_the_limit = keys_of({"emails": [None, *addresses[:VALUES_MAX], None]})

    too_many = (Dropped("email", DropReason.TOO_MANY),)
    assert (set(alone.user_data["em"]), alone.dropped) == (kept, too_many)
    assert digest("first@example.com") in after_one.user_data["em"]
    assert (len(after_one.user_data["em"]), after_one.dropped) == (VALUES_MAX, too_many)
    assert at_the_limit == MatchKeys({"em": sorted(kept)}, ())


# Already hashed


@pytest.mark.parametrize("field", HASHED)
@pytest.mark.parametrize("appendix", ["", ".AQ", ".Bg", ".AQQCAQMC"])
def test_a_sha256_is_never_hashed_again(field: str, appendix: str) -> None:
    keys = keys_of({field: f"  {EMAIL_SHA256.upper()}{appendix}\n"})

    assert keys == MatchKeys({HASHED[field]: [EMAIL_SHA256 + appendix]}, ())


@pytest.mark.parametrize("field", [field for field in HASHED if field != "externalId"])
@pytest.mark.parametrize("digits", [32, 40, 63, 96, 128])
def test_a_hash_that_meta_does_not_know_is_left_out(field: str, digits: int) -> None:
    keys = keys_of({field: ("a1" * 64)[:digits]})

    assert keys == MatchKeys({}, (Dropped(field, DropReason.UNKNOWN_HASH),))


@pytest.mark.parametrize("field", [field for field in HASHED if field != "externalId"])
@pytest.mark.parametrize(
    "text",
    [
        *(EMAIL_SHA256 + appendix for appendix in (".aq", ".AQQCAQM", ".AQQCAQMCA", "AQ", ".")),
        *("0x" + EMAIL_SHA256, "sha256:" + EMAIL_SHA256, f'"{EMAIL_SHA256}"', EMAIL_SHA256 * 2),
        "pZGm1Av0IEBKARczz7exkNYsZb8LzaMrV9J2yaa3hAo=",
        "pZGm1Av0IEBKARczz7exkNYsZb8LzaMrV9J2yaa3_-o=",
    ],
)
def test_a_hash_in_another_dress_is_not_hashed_again(field: str, text: str) -> None:
    expect_hashed({field: text}, field, DropReason.UNKNOWN_HASH)


def test_an_address_may_hold_what_looks_like_a_hash() -> None:
    relay = "D41D8CD98F00B204E9800998ECF8427E@privaterelay.example.com"

    expect_hashed({"email": relay}, "email", relay.lower())


@pytest.mark.parametrize("field", HASHED)
def test_a_publishers_hash_of_nothing_is_left_out(field: str) -> None:
    assert keys_of({field: NOTHING_SHA256.upper()}).dropped == (Dropped(field, PLACEHOLDER),)


# E-mail


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\u00a0\ufeffJohn@Gmail.com\u200b", "john@gmail.com"),
        ("jo\u00adhn@gmail.com", "john@gmail.com"),
        ("jöhn@münchen.de", "jöhn@münchen.de"),
        ("Jo\u0308hn@MÜNCHEN.de", "jöhn@münchen.de"),
        ("straße@example.de", "straße@example.de"),
        ("%20john@example.com", "%20john@example.com"),
        ("john@1.2.3.4", "john@1.2.3.4"),
        ("john@gmail.com\x00\x00", "john@gmail.com"),
        ("jo\x00hn@gmail.com", MALFORMED),
        ("jo\x85hn@gmail.com", MALFORMED),
        ("jo\x80hn@gmail.com", MALFORMED),
        ("john@gmail。com", MALFORMED),
        ("john＠gmail.com", MALFORMED),
        ("john@[1.2.3.4]", MALFORMED),
        ("john@gmail.com/", MALFORMED),
        ("john..smith@docomo.ne.jp", "john..smith@docomo.ne.jp"),
        ("o'brien+tag@example.ie", "o'brien+tag@example.ie"),
        ("john smith@gmail.com", MALFORMED),
        ("john@gmail.com, jane@gmail.com", MALFORMED),
        ("john@gmail.com;jane", MALFORMED),
        ("John <john@gmail.com>", MALFORMED),
        ("<john@gmail.com>", MALFORMED),
        ('"john@gmail.com"', MALFORMED),
        ("mailto:john@gmail.com", MALFORMED),
        ("john@gmail.com.", MALFORMED),
        ("john@.com", MALFORMED),
        ("@gmail.com", MALFORMED),
        ("john", MALFORMED),
        ("undefined", PLACEHOLDER),
        ("", ABSENT),
    ],
)
def test_an_email_is_trimmed_and_in_lower_case_or_it_is_left_out(
    text: str, expected: str | DropReason | None
) -> None:
    expect_hashed({"email": text}, "email", expected)


# Phone


@pytest.mark.parametrize(
    "case",
    [
        # International: a plus, or an exit code where no region says otherwise.
        Case("+14155552671", None, "14155552671"),
        Case("  +1 (415) 555-2671 ", None, "14155552671"),
        Case("(+44) 7911 123456", None, "447911123456"),
        Case("＋１６５０５５５１２１２", None, "16505551212"),
        Case("+١٦٥٠٥٥٥١٢١٢", None, "16505551212"),
        Case("\u202a+1\u00a0650\u2011555\u20111212\u202c", None, "16505551212"),
        Case("+44 (0)20 7946 0958", None, "442079460958"),
        Case("+44 020 7946 0958", "us", "442079460958"),
        Case("+39 (0)6 6982 1234", None, "390669821234"),
        Case("+34 (0)912 345 678", None, "34912345678"),
        Case("+1·650·555·1212", None, "16505551212"),
        Case("+1_650_555_1212", None, "16505551212"),
        Case("++1 650 555 1212", None, "16505551212"),
        Case("(+1) 650 555 1212", None, "16505551212"),
        Case("p:+16505551212", None, "16505551212"),
        Case('="+16505551212"', None, "16505551212"),
        Case("+00 1 650 555 1212", None, "16505551212"),
        Case("+36 06 20 123 4567", None, "36201234567"),
        Case("＋7 812 123 45 67", None, "78121234567"),
        Case("+880 01712-345678", None, "8801712345678"),
        Case("+225 07 01 02 03 04", None, "2250701020304"),
        Case("+378 0549 882345", None, "3780549882345"),
        Case("+1 416 555 0123, 5", None, "14165550123"),
        Case("+683 4000", None, "6834000"),
        Case("＋６８３ ４０００", None, "6834000"),
        Case("0044 20 7946 0958", None, "442079460958"),
        # The region's calling code is already there.
        Case("491701234567", "de", "491701234567"),
        Case("0049 170 1234567", "de", "491701234567"),
        Case("16505551212", "us", "16505551212"),
        Case("919876543210", "in", "919876543210"),
        # National.
        Case("650-555-1212", "us", "16505551212"),
        Case("1 650 555 1212", "us", "16505551212"),
        Case("416 555 0123", "us", "14165550123"),
        Case("9198765432", "in", "919198765432"),
        Case("٠٢٠ ٧٩٤٦ ٠٩٥٨", "gb", "442079460958"),
        Case("8 916 123-45-67", "ru", "79161234567"),
        Case("06 12 34 56 78", "fr", "33612345678"),
        Case("090-1234-5678", "jp", "819012345678"),
        Case("06 6982 1234", "it", "390669821234"),
        Case("11 91234-5678", "br", "5511912345678"),
        Case("07 01 02 03 04", "ci", "2250701020304"),
        Case("06 20 123 4567", "hu", "36201234567"),
        Case("۰۹۱۲۳۴۵۶۷۸۹", "ir", "989123456789"),
        Case("０９０－１２３４－５６７８", "jp", "819012345678"),
        Case("07911 123456", "gg", "447911123456"),
        Case("787 555 1212", "pr", "17875551212"),
        Case("0011 44 20 7946 0958", "au", "442079460958"),
        Case("8~10 1 650 555 1212", "ru", "16505551212"),
        Case("650 555 1212", "United States", "16505551212"),
        # Somebody else's number, whole.
        Case("442079460958", "us", "442079460958"),
        Case("011 44 20 7946 0958", "us", "442079460958"),
        Case("16505551212", None, "16505551212"),
        Case("447911123456", None, "447911123456"),
        # Nobody knows whose.
        Case("6505551212", None, NO_COUNTRY),
        Case("020 7946 0958", None, NO_COUNTRY),
        Case("020 7946 0958", "us", NO_COUNTRY),
        Case("0491701234567", None, NO_COUNTRY),
        Case("650 555 1212", "Narnia", NO_COUNTRY),
        Case("555-1212", "us", NO_COUNTRY),
        Case("555-1212", "aq", NO_COUNTRY),
        Case("999 999 9999", "us", NO_COUNTRY),
        Case("03213269633", "co", NO_COUNTRY),
        Case("20100000000000", "de", NO_COUNTRY),
        Case("12345678901234", "gb", NO_COUNTRY),
        # What stands around it.
        Case("tel:+1-650-555-1212;ext=5", None, "16505551212"),
        Case("Mobile: +44 7911 123456", None, "447911123456"),
        Case("+44 7911 123456 (home)", None, "447911123456"),
        Case("+1 650 555 1212 ext. 5", None, "16505551212"),
        Case("(650) 555-1212 x123", "us", "16505551212"),
        Case("650.555.1212 #7", "us", "16505551212"),
        Case("16505551212.0", None, "16505551212"),
        # What is no number.
        Case("1.6505551212E10", None, MALFORMED),
        Case("+1-888-555-CARS", None, MALFORMED),
        Case("+44791112****", None, MALFORMED),
        Case("+XX 7911 123456", None, MALFORMED),
        Case("+16505551212/+16505551213", None, MALFORMED),
        Case("+44 00000000", None, MALFORMED),
        Case("+1 000 000 0000", None, MALFORMED),
        Case("+999 123 456 789", None, MALFORMED),
        Case("+0 650 555 1212", None, MALFORMED),
        Case("+1 650 555 1212 or 1213", None, MALFORMED),
        Case("+1234567890123456", None, MALFORMED),
        Case("123456", "us", MALFORMED),
        Case("0000000000", "us", MALFORMED),
        Case("none", "us", PLACEHOLDER),
        Case(" ", "us", ABSENT),
    ],
    ids=lambda case: f"{case.text!a}-{case.country}",
)
def test_a_phone_number_has_its_calling_code_or_is_left_out(case: Case) -> None:
    expect_hashed({"phone": case.text, "country": case.country}, "phone", case.expected)


def test_the_destinations_country_reads_a_phone_only_where_the_user_has_none() -> None:
    german = rules_with(default_country="de")
    phone = {"phone": "0170 1234567"}

    expect_hashed(phone, "phone", "491701234567", german)
    expect_hashed({**phone, "country": "n/a"}, "phone", "491701234567", german)
    expect_hashed({**phone, "country": "us"}, "phone", NO_COUNTRY, german)
    expect_hashed({**phone, "country": "Narnia"}, "phone", NO_COUNTRY, german)
    expect_hashed({**phone, "country": digest("us")}, "phone", NO_COUNTRY, german)
    assert "country" not in keys_of(phone, rules=german).user_data


@given(st.from_regex(r"[2-9][0-9]{9}", fullmatch=True))
def test_ten_digits_of_nowhere_are_never_guessed_to_be_somebodys_number(digits: str) -> None:
    expect_hashed({"phone": digits}, "phone", NO_COUNTRY)


@st.composite
def national_numbers(draw: st.DrawFn) -> tuple[str, str]:
    """A region and digits that are nearly, or really, one of its numbers."""
    region = draw(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
    plan = phonenumbers.PhoneMetadata.metadata_for_region(region)
    assert plan is not None
    kinds = (plan.mobile, plan.fixed_line, plan.toll_free, plan.voip, plan.premium_rate)
    examples = [kind.example_number for kind in kinds if kind and kind.example_number]
    example = draw(st.sampled_from(examples))
    kept = draw(st.integers(0, len(example)))
    tail = draw(st.text("0123456789", min_size=len(example) - kept, max_size=len(example) - kept))
    code = str(phonenumbers.country_code_for_region(region))
    front = draw(st.sampled_from(["", plan.national_prefix or "", "0", code, "00" + code, "7"]))
    return region, front + example[:kept] + tail


def by_the_library(text: str, region: str | None) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    valid = phonenumbers.is_valid_number(number)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return e164.removeprefix("+") if valid else None


@settings(max_examples=300, deadline=None)
@given(national_numbers())
def test_reading_a_number_without_the_library_gives_what_the_library_gives(
    number: tuple[str, str],
) -> None:
    region, digits = number
    significant = digits.lstrip("0")
    assume(7 <= len(significant) <= 15)
    trunk = digits.startswith("0") and not digits.startswith("00")
    code = str(phonenumbers.country_code_for_region(region))
    has_code = not trunk and significant.startswith(code)
    if has_code and by_the_library("+" + significant, None) == significant:
        expected: str | None = significant
    else:
        expected = by_the_library(digits, region)
    if expected is None and len(significant) >= 11 and not trunk:
        expected = by_the_library("+" + significant, None)

    rules = rules_with(default_country=region.lower())
    too_long = expected is not None and len(expected) > 15
    expect_hashed(
        {"phone": digits}, "phone", NO_COUNTRY if too_long else expected or NO_COUNTRY, rules
    )


# Names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mary Ann", "maryann"),
        ("Jean-Luc", "jeanluc"),
        ("O´Brien", "obrien"),
        ("Anne\u2010Marie", "annemarie"),
        ("İSMAİL", "ismail"),
        ("I\u0307smail", "ismail"),
        ("i\u0307\u0301", "í"),
        ("IŞIK", "işik"),
        ("ışık", "ışık"),
        ("STRAẞE", "straße"),
        ("ΝΙΚΟΣ-ΑΝΝΑ", "νικοςαννα"),
        ("Vale\u0301ry", "valéry"),
        ("e-\u0301", "é"),
        ("e\u200b\u0301", "é"),
        ("\u202bمحمد\u202c\u200f", "محمد"),
        ("می\u200cنا", "مینا"),
        ("क्\u200dष", "क्ष"),
        ("葛\U000e0100", "葛"),
        ("ＪＯＨＮ", "ｊｏｈｎ"),
        ("\u3164", ABSENT),
        ("(null)", PLACEHOLDER),
        ("#N/A", PLACEHOLDER),
        ("\\N", PLACEHOLDER),
        ("Zoë 😀", "zoë"),
        ("Mary ❤\ufe0f", "mary"),
        ("Mary\u200bAnn", "maryann"),
        ("Mary\tAnn\u3000", "maryann"),
        ("John 3rd", "john3rd"),
        ("정", "정"),
        ("ज़ोया", "ज\u093cोया"),
        ("Test", "test"),
        ("Na", "na"),
        ("n/a", PLACEHOLDER),
        ("NULL", PLACEHOLDER),
        (" None ", PLACEHOLDER),
        ("Unknown", PLACEHOLDER),
        ("undefined", PLACEHOLDER),
        ("-", PLACEHOLDER),
        ("--", MALFORMED),
        ("???", MALFORMED),
        ("😀\ufe0f", MALFORMED),
        ("\u0301", MALFORMED),
    ],
)
def test_a_first_name_keeps_letters_marks_and_digits(
    text: str, expected: str | DropReason | None
) -> None:
    expect_hashed({"firstName": text}, "firstName", expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Null", "null"),
        ("None", "none"),
        ("Na", "na"),
        ("Test", "test"),
        ("de la Cruz", "delacruz"),
        ("n/a", PLACEHOLDER),
        ("UNKNOWN", PLACEHOLDER),
        ("undefined", PLACEHOLDER),
        ("-", PLACEHOLDER),
        ("(null)", PLACEHOLDER),
    ],
)
def test_a_last_name_may_be_a_word_that_programs_use(text: str, expected: str | DropReason) -> None:
    expect_hashed({"lastName": text}, "lastName", expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("São Paulo", "sãopaulo"),
        ("Łódź", "łódź"),
        ("東京", "東京"),
        ("Paris 75001", "paris"),
        ("İzmir", "izmir"),
        ("'s-Hertogenbosch", "shertogenbosch"),
        ("١٢ القاهرة", "القاهرة"),
        ("Henry Ⅷ²", "henry"),
        ("e1\u0301", "é"),
        ("मुंबई", "मुंबई"),
        ("Winston-Salem, NC", "winstonsalemnc"),
        ("null", PLACEHOLDER),
        ("75001", MALFORMED),
    ],
)
def test_a_city_keeps_its_letters(text: str, expected: str | DropReason) -> None:
    expect_hashed({"city": text}, "city", expected)


# Places


@pytest.mark.parametrize(
    "case",
    [
        Case("California", None, "ca"),
        Case("CALIFORNIA.", "us", "ca"),
        Case("US-CA", None, "ca"),
        Case("us-ca", "us", "ca"),
        Case("Washington, D.C.", "us", "dc"),
        Case("U.S. Virgin Islands", "us", "vi"),
        Case("Puerto Rico", "pr", "pr"),
        Case("American Samoa", "us", "as"),
        Case("Northern Mariana Islands", "us", "mp"),
        Case("Québec", "ca", "qc"),
        Case("Ontario", None, "on"),
        Case("CA-ON", "ca", "on"),
        Case("Newfoundland & Labrador", "ca", "nl"),
        Case("P.E.I.", "ca", "pe"),
        Case("US–CA", None, "ca"),
        Case("ＣＡ", "us", "ca"),
        Case("Que\u0301bec", "ca", "qc"),
        Case("BR-SP", "br", "sp"),
        Case("JP-13", "jp", MALFORMED),
        Case("Île-de-France", "fr", "îledefrance"),
        Case("東京都", "jp", "東京都"),
        Case("Newfoundland and Labrador", "ca", "nl"),
        Case("Ontario", "us", "ontario"),
        Case("Georgia", "ge", "georgia"),
        Case("AU-NSW", "au", "nsw"),
        Case("GB-ENG", "gb", "eng"),
        Case("Bayern", "de", "bayern"),
        Case("Nuevo León", "mx", "nuevoleón"),
        Case("La-Paz", "bo", "lapaz"),
        Case("XX-YY", "us", "xxyy"),
        Case("CA 94025", "us", "ca"),
        Case("State of Washington", "us", "stateofwashington"),
        Case("75", "fr", MALFORMED),
        Case("n/a", "us", PLACEHOLDER),
        Case(" ", "us", ABSENT),
    ],
    ids=lambda case: f"{case.text!a}-{case.country}",
)
def test_a_state_is_two_letters_in_america_and_its_name_elsewhere(case: Case) -> None:
    expect_hashed({"state": case.text, "country": case.country}, "state", case.expected)


@pytest.mark.parametrize(
    "case",
    [
        Case("94025", "us", "94025"),
        Case("940251234", "us", "94025"),
        Case("94025-1234", None, "94025"),
        Case("94025–1234", "us", "94025"),
        Case("US-94025", "us", "94025"),
        Case("2134", "us", MALFORMED),
        Case("940251", "us", MALFORMED),
        Case("K1A 0B1", "us", MALFORMED),
        Case("94025.0", None, MALFORMED),
        Case("SE-111 22", "se", "11122"),
        Case("D-80331", "de", "80331"),
        Case("LV-1010", None, "1010"),
        Case("00-950", "pl", "00950"),
        Case("01310-100", "br", "01310"),
        Case("100-0001", "jp", "100"),
        Case("１００－０００１", "jp", "100"),
        Case("Ｍ１ １ＡＥ", "gb", "m11ae"),
        Case("SW1A\u00a01AA", "gb", "sw1a1aa"),
        Case("00926-1234", "pr", "00926"),
        Case("009261234", "pr", "00926"),
        Case("0092", "pr", MALFORMED),
        Case("D02 X285", "ie", "d02x285"),
        Case("M1-1AE", "gb", "m11ae"),
        Case("1000-205", "pt", "1000"),
        Case("٧٥٠١٨", "fr", "75018"),
        Case("CH-8001", None, "8001"),
        Case("東京", "jp", MALFORMED),
        Case("М1 1АЕ", "gb", MALFORMED),
        Case("1", "fr", MALFORMED),
        Case("A-", None, MALFORMED),
        Case("N/A", "us", PLACEHOLDER),
    ],
    ids=lambda case: f"{case.text!a}-{case.country}",
)
def test_a_postal_code_has_no_space_and_nothing_behind_its_dash(case: Case) -> None:
    expect_hashed({"zip": case.text, "country": case.country}, "zip", case.expected)


def test_the_destinations_country_reads_state_and_zip_too() -> None:
    american, australian = rules_with(default_country="us"), rules_with(default_country="au")

    expect_hashed({"zip": "940251234"}, "zip", "94025", american)
    expect_hashed({"zip": "940251234"}, "zip", "940251234", australian)
    expect_hashed({"state": "Victoria"}, "state", "victoria", australian)
    expect_hashed({"state": "Ontario"}, "state", "ontario", australian)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("uk", "gb"),
        ("England", "gb"),
        ("Scotland", "gb"),
        ("Wales", "gb"),
        ("Great Britain", "gb"),
        ("U.S.A.", "us"),
        ("u.s.", "us"),
        ("the United States", "us"),
        ("America", "us"),
        ("Holland", "nl"),
        ("The Netherlands", "nl"),
        ("South Korea", "kr"),
        ("Republic of Korea", "kr"),
        ("Russia", "ru"),
        ("Vietnam", "vn"),
        ("Turkey", "tr"),
        ("Czech Republic", "cz"),
        ("Republic of Ireland", "ie"),
        ("Bahamas, The", "bs"),
        ("Ivory Coast", "ci"),
        ("Cote d'Ivoire", "ci"),
        ("CÔTE D’IVOIRE", "ci"),
        ("Iran", "ir"),
        ("Trinidad & Tobago", "tt"),
        ("St. Lucia", "lc"),
        ("Democratic Republic of the Congo", "cd"),
        ("Falkland Islands", "fk"),
        ("CHN", "cn"),
        ("NA", "na"),
        ("N/A", PLACEHOLDER),
        ("N.A.", MALFORMED),
        ("Niger", "ne"),
        ("Guinea", "gn"),
        ("South Georgia", MALFORMED),
        ("United States, California", MALFORMED),
        ("US-CA", MALFORMED),
        ("840", MALFORMED),
        ("XX", MALFORMED),
        ("none", PLACEHOLDER),
    ],
)
def test_a_country_is_known_by_code_and_by_its_whole_name(
    text: str, expected: str | DropReason
) -> None:
    expect_hashed({"country": text}, "country", expected)


# Date of birth and gender


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1997/2/16", "19970216"),
        ("1997-02-16T00:00:00Z", "19970216"),
        ("1997-02-16 00:00:00", "19970216"),
        ("19970216T000000Z", "19970216"),
        ("1997-02-16T23:00:00-05:00", "19970216"),
        ("1997 02 16", "19970216"),
        ("02 16 1997", "19970216"),
        ("1997. 2. 16.", "19970216"),
        ("16. 2. 1997", "19970216"),
        ("٢/١٦/١٩٩٧", "19970216"),
        ("2/16/1997 or 3/4/1998", MALFORMED),
        ("2/16/1997T", MALFORMED),
        ("29.02.2000", "20000229"),
        ("29/02/1900", MALFORMED),
        ("03/04/1997", "19970304"),
        ("03-04-1997", "19970304"),
        ("16/02/1997", "19970216"),
        ("3.4.1997", "19970403"),
        ("02.16.1997", MALFORMED),
        ("１９９７－０２－１６", "19970216"),
        ("1997-16-02", MALFORMED),
        ("1997-02/16", MALFORMED),
        ("1900-02-29", MALFORMED),
        ("1900-01-01", "19000101"),
        ("1899-12-31", MALFORMED),
        ("2026-11-22", "20261122"),
        ("2026-11-23", MALFORMED),
        ("Feb 16, 1997", MALFORMED),
        ("n/a", PLACEHOLDER),
    ],
)
def test_a_birth_date_is_a_real_day_from_1900_to_today(
    text: str, expected: str | DropReason
) -> None:
    expect_hashed({"dob": text}, "dob", expected)


@pytest.mark.parametrize(
    ("text", "mdy", "dmy"),
    [
        ("03/04/1997", "19970304", "19970403"),
        ("16/02/1997", "19970216", "19970216"),
        ("02/16/1997", "19970216", "19970216"),
        ("3.4.1997", "19970403", "19970403"),
        ("1997-03-04", "19970304", "19970304"),
    ],
)
def test_a_destination_may_say_which_of_two_dates_is_meant(text: str, mdy: str, dmy: str) -> None:
    expect_hashed({"dob": text}, "dob", mdy, rules_with(date_order=DateOrder.MDY))
    expect_hashed({"dob": text}, "dob", dmy, rules_with(date_order=DateOrder.DMY))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Woman", "f"),
        ("girl", "f"),
        ("Ms.", "f"),
        ("MAN", "m"),
        ("boy", "m"),
        ("Mr.", "m"),
        ("Ｆ", "f"),
        ("non-binary", MALFORMED),
        ("1", MALFORMED),
        ("undefined", PLACEHOLDER),
    ],
)
def test_a_gender_is_one_of_the_two_that_meta_knows_or_left_out(
    text: str, expected: str | DropReason
) -> None:
    expect_hashed({"gender": text}, "gender", expected)


# External id


@pytest.mark.parametrize(
    ("text", "pixel", "exact", "raw"),
    [
        (" Cust 17a ", digest("cust17a"), digest("Cust 17a"), "Cust 17a"),
        (
            "550E8400E29B41D4A716446655440000",
            digest("550e8400e29b41d4a716446655440000"),
            digest("550E8400E29B41D4A716446655440000"),
            "550E8400E29B41D4A716446655440000",
        ),
        ("10", digest("10"), digest("10"), "10"),
        ("ключ", digest("ключ"), digest("ключ"), "ключ"),
        (EMAIL_SHA256, EMAIL_SHA256, EMAIL_SHA256, EMAIL_SHA256),
    ],
)
def test_an_external_id_looks_as_the_destinations_pixel_sends_it(
    text: str, pixel: str, exact: str, raw: str
) -> None:
    expected = {
        ExternalIdRule.PIXEL: pixel,
        ExternalIdRule.EXACT: exact,
        ExternalIdRule.RAW: raw,
    }
    for rule in ExternalIdRule:
        keys = keys_of({"externalId": text}, rules=rules_with(external_id=rule))
        assert keys == MatchKeys({"external_id": [expected[rule]]}, ())


@pytest.mark.parametrize("rule", ExternalIdRule)
@pytest.mark.parametrize(
    "text",
    [
        *("null", "undefined", "None", "NaN", "0", "Anonymous", "guest", "n/a", "-", "000"),
        *("-1", "nil", "[object Object]"),
        "00000000-0000-0000-0000-000000000000",
        "00000000000000000000000000000000",
        NOTHING_SHA256,
    ],
)
def test_an_id_that_strangers_share_is_left_out(text: str, rule: ExternalIdRule) -> None:
    rules = rules_with(external_id=rule)

    assert keys_of({"externalId": text}, rules=rules).dropped == (
        Dropped("externalId", PLACEHOLDER),
    )


# Keys in the clear


@pytest.mark.parametrize(("field", "key"), CLEAR.items())
def test_a_key_in_the_clear_passes_trimmed(field: str, key: str) -> None:
    assert keys_of({field: "  Ab C-17\n"}) == MatchKeys({key: "Ab C-17"}, ())
    assert keys_of({field: 17}) == MatchKeys({key: "17"}, ())
    assert keys_of({field: "undefined"}).dropped == (Dropped(field, PLACEHOLDER),)
    assert keys_of({field: "a\udfff"}).dropped == (Dropped(field, MALFORMED),)
    assert keys_of({field: {}}).dropped == (Dropped(field, MALFORMED),)


def test_a_key_in_the_clear_is_untouched_between_its_ends() -> None:
    assert keys_of({"userAgent": "\ufeff a\u200b  b\u200d "}).user_data == {
        "client_user_agent": "a\u200b  b"
    }
    assert keys_of({"clickIds": {"fbc": "fb.1.1554763741205.Ab\u200bC"}}).dropped == (
        Dropped("clickIds.fbc", MALFORMED),
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("10219149561234567", 10219149561234567),
        (17, 17),
        ("9" * 19, int("9" * 19)),
        ("9" * 20, MALFORMED),
        ("0", MALFORMED),
        ("john", MALFORMED),
    ],
)
def test_a_login_id_leaves_as_an_integer(value: Any, expected: int | DropReason) -> None:
    keys = keys_of({"fbLoginId": value})

    assert keys.user_data.get("fb_login_id", keys.dropped) == (
        expected if isinstance(expected, int) else (Dropped("fbLoginId", expected),)
    )


@pytest.mark.parametrize("field", ["madid", "anonId"])
def test_a_device_id_of_zeros_is_nobodys(field: str) -> None:
    keys = keys_of({field: "00000000-0000-0000-0000-000000000000"})

    assert keys == MatchKeys({}, (Dropped(field, PLACEHOLDER),))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1234567890123456", 1234567890123456),
        (" l:123456789012345 ", 123456789012345),
        (12345678901234567, 12345678901234567),
        ("12345678901234", MALFORMED),
        ("123456789012345678", MALFORMED),
        ("f:1234567890123456", MALFORMED),
        ("012345678901234", MALFORMED),
        (1234567890123456.0, MALFORMED),
        (True, MALFORMED),
        ("null", PLACEHOLDER),
    ],
)
def test_a_lead_id_leaves_as_an_integer_of_fifteen_to_seventeen_digits(
    value: Any, expected: int | DropReason
) -> None:
    keys = keys_of({"leadId": value})

    if isinstance(expected, int):
        assert keys == MatchKeys({"lead_id": expected}, ())
    else:
        assert keys == MatchKeys({}, (Dropped("leadId", expected),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 8.8.8.8 ", "8.8.8.8"),
        ("8.8.8.8:443", "8.8.8.8"),
        ("172.15.0.1", "172.15.0.1"),
        ("172.32.0.1", "172.32.0.1"),
        ("100.63.0.1", "100.63.0.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("198.18.0.1", "198.18.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:0DB8:0:0::1", "2001:0DB8:0:0::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1%eth0", "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:443", "203.0.113.7"),
        ("203.0.113.7.AQQCAQMC", "203.0.113.7.AQQCAQMC"),
        ("2001:db8::1.AQ", "2001:db8::1.AQ"),
        ("10.1.2.3, 203.0.113.7, 8.8.8.8", "203.0.113.7"),
        ("unknown, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.1, fe80::1, 2001:db8::2", "2001:db8::2"),
        ("203.0.113.7, 2001:db8::2", "203.0.113.7"),
        ("2001:db8::1%25en0", "2001:db8::1"),
        ("[2001:db8::1%eth0]:80", "2001:db8::1"),
        ("::FFFF:0808:0808", "8.8.8.8"),
        ('"203.0.113.7"', "203.0.113.7"),
        ("255.255.255.255", "255.255.255.255"),
        ("::ffff:100.64.0.1", NOT_PUBLIC),
        ("203.0.113.7" + " " * 200, "203.0.113.7"),
        ("203.0.113.7%" + " " * 200 + "x", MALFORMED),
        ("008.8.8.8", MALFORMED),
        ("for=8.8.8.8", MALFORMED),
        ("10.0.0.1", NOT_PUBLIC),
        ("172.16.0.1", NOT_PUBLIC),
        ("172.31.255.255", NOT_PUBLIC),
        ("192.168.1.1:80", NOT_PUBLIC),
        ("100.64.0.1", NOT_PUBLIC),
        ("127.0.0.1", NOT_PUBLIC),
        ("169.254.1.1", NOT_PUBLIC),
        ("0.0.0.0", NOT_PUBLIC),  # noqa: S104 - an address in an event, none to listen on
        ("224.0.0.1", NOT_PUBLIC),
        ("239.255.255.255", NOT_PUBLIC),
        ("::", NOT_PUBLIC),
        ("::1", NOT_PUBLIC),
        ("fe80::1%eth0", NOT_PUBLIC),
        ("fd00::1", NOT_PUBLIC),
        ("ff02::1", NOT_PUBLIC),
        ("::ffff:10.0.0.1", NOT_PUBLIC),
        ("10.0.0.1, nonsense", NOT_PUBLIC),
        ("256.1.1.1", MALFORMED),
        ("8.8.8", MALFORMED),
        ("example.com", MALFORMED),
        ("8.8.8.8/24", MALFORMED),
        ("unknown", PLACEHOLDER),
    ],
)
def test_a_client_address_is_the_first_public_one(text: str, expected: str | DropReason) -> None:
    keys = keys_of({"ipAddress": text})

    if isinstance(expected, DropReason):
        assert keys == MatchKeys({}, (Dropped("ipAddress", expected),))
    else:
        assert keys == MatchKeys({"client_ip_address": expected}, ())


@settings(max_examples=300)
@given(
    st.one_of(
        st.ip_addresses(v=4),
        st.ip_addresses(v=6),
        st.ip_addresses(v=4, network="172.0.0.0/8"),
        st.ip_addresses(v=4, network="100.0.0.0/8"),
    )
)
def test_only_addresses_that_no_stranger_can_have_are_private(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assume(not (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped))
    private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"]
    public = not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or any(address in ipaddress.ip_network(network) for network in private)
    )

    keys = keys_of({"ipAddress": str(address)})

    assert keys.user_data == ({"client_ip_address": str(address)} if public else {})


# Click ids

FBC = "fb.1.1554763741205.AbC"
FBC_DROP = "clickIds.fbclid"


@pytest.mark.parametrize(
    ("clicks", "website", "fbc", "dropped"),
    [
        ({"fbc": FBC}, False, FBC, []),
        ({"fbc": f" {FBC}.AQQCAQMC "}, False, f"{FBC}.AQQCAQMC", []),
        ({"fbc": FBC, "fbclid": "Xyz", "fbclidTime": CLICK_MS}, True, FBC, []),
        ({"fbc": "fb.1.1554763741205.", "fbclid": "AbC", "fbclidTime": CLICK_MS}, False, FBC,
         [Dropped("clickIds.fbc", MALFORMED)]),
        ({"fbc": "IwAR2F4dbP0l7Mn1IawQQ"}, True, None, [Dropped("clickIds.fbc", MALFORMED)]),
        ({"fbc": "fb.1.1554763741.AbC"}, False, "fb.1.1554763741.AbC", []),
        ({"fbc": "fb.1.1554763741205.AbC.AQ"}, False, "fb.1.1554763741205.AbC.AQ", []),
        ({"fbc": "fb.1.1554763741205.AbC.AQQ"}, False, None, [Dropped("clickIds.fbc", MALFORMED)]),
        ({"fbc": "1.1554763741205.AbC"}, True, None, [Dropped("clickIds.fbc", MALFORMED)]),
        ({"fbc": "FB.1.1554763741205.AbC"}, True, None, [Dropped("clickIds.fbc", MALFORMED)]),
        ({"fbc": "null"}, True, None, [Dropped("clickIds.fbc", PLACEHOLDER)]),
        ({"fbclid": "AbC", "fbclidTime": CLICK_MS}, False, FBC, []),
        ({"fbclid": "AbC", "fbclidTime": str(CLICK_MS)}, False, FBC, []),
        ({"fbclid": "AbC", "fbclidTime": 1554763741}, False, "fb.1.1554763741000.AbC", []),
        ({"fbclid": "AbC", "fbclidTime": 1554763742000}, True, "fb.1.1554763742000.AbC", []),
        ({"fbclid": "AbC"}, True, FBC, []),
        ({"fbclid": "AbC", "fbclidTime": 0}, True, FBC, []),
        ({"fbclid": "AbC"}, False, None, [Dropped(FBC_DROP, DropReason.FBCLID_WITHOUT_TIME)]),
        ({"fbclid": "AbC", "fbclidTime": "soon"}, False, None,
         [Dropped(FBC_DROP, DropReason.FBCLID_WITHOUT_TIME)]),
        ({"fbclid": "A b"}, True, None, [Dropped(FBC_DROP, MALFORMED)]),
        ({"fbclid": "undefined"}, True, None, [Dropped(FBC_DROP, PLACEHOLDER)]),
        ({"fbclid": " "}, False, None, []),
        ({}, True, None, []),
        ("fb.1.1554763741205.AbC", True, None, [Dropped("clickIds", MALFORMED)]),
    ],
)  # fmt: skip
def test_a_click_is_passed_as_it_came_or_built_when_its_time_is_known(
    clicks: Any, website: bool, fbc: str | None, dropped: list[Dropped]
) -> None:
    keys = keys_of({"clickIds": clicks}, website=website)

    assert keys == MatchKeys({} if fbc is None else {"fbc": fbc}, tuple(dropped))


def test_a_click_has_no_time_when_its_website_event_has_none() -> None:
    keys = match_keys(
        {"clickIds": {"fbclid": "AbC"}}, RULES, event_time_ms=None, today=TODAY, website=True
    )

    assert keys == MatchKeys({}, (Dropped(FBC_DROP, DropReason.FBCLID_WITHOUT_TIME),))


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("fb.1.1596403881668.1116446470", True),
        ("fb.2.1596403881.1", True),
        ("fb.1.1596403881668.11164AB", False),
        ("fb.x.1596403881668.1116446470", False),
        ("FB.1.1596403881668.1116446470", False),
    ],
)
def test_a_browser_id_passes_unchanged_or_not_at_all(text: str, passes: bool) -> None:
    keys = keys_of({"clickIds": {"fbp": text}})

    assert keys.user_data == ({"fbp": text} if passes else {})
    assert keys.dropped == (() if passes else (Dropped("clickIds.fbp", MALFORMED),))


# Enough of a person


@pytest.mark.parametrize(
    ("keys", "enough"),
    [
        ("", False),
        ("client_user_agent", False),
        ("ct country st zp ge client_user_agent", False),
        ("ct", False),
        ("db", False),
        ("db client_user_agent", False),
        ("fn", False),
        ("fn ge", False),
        ("ln", False),
        ("ln ge", False),
        ("fn ln", True),
        ("fn zp", True),
        ("fn client_user_agent", True),
        ("db ge", True),
        ("db ct", True),
        ("em", True),
        ("ph", True),
        ("external_id", True),
        ("fbp", True),
        ("fbc", True),
        ("client_ip_address", True),
        ("lead_id", True),
        ("ct country st zp ge client_user_agent client_ip_address", True),
    ],
)
def test_keys_within_one_of_metas_broad_sets_are_not_enough(keys: str, enough: bool) -> None:
    assert is_sufficient({key: ["x"] for key in keys.split()}) is enough


def test_a_dropped_field_does_not_count_as_known() -> None:
    user = {"firstName": "Mary", "lastName": "n/a", "email": "nobody"}

    assert not is_sufficient(keys_of(user).user_data)

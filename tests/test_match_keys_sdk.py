"""Our match keys beside those of Meta's own Python SDK.

Both are asked about the same text. Where the answers are not the same, the difference is one of
``DIFFERENCES``: a sentence, which of the two is right by Meta's page, and how the SDK would have to
be asked to give our answer. So a difference is not excused but predicted: after all that apply,
the two agree to the last digit, or the test fails with both values. The same list stands in
``docs/match-keys.md``.
"""

import re
import unicodedata
import warnings
from collections.abc import Callable
from datetime import date
from typing import NamedTuple

import phonenumbers
import pycountry
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer import normalise
from tests.fakes.pages import DOCS, quoted, rows
from tests.fakes.sdk_differences import (
    ALL,
    COUNTRIES,
    DIFFERENCES,
    FIELD,
    RAISES,
    Asked,
    Difference,
    Sent,
    is_hash,
)
from tests.fakes.users import HASHED, NOTHING_SHA256, digest, keys_of

# Asking both


class Raised(NamedTuple):
    """The SDK gave up, and with it the caller's whole request."""

    error: str


Answer = str | Raised | None
"""What stands in the request."""


ARGUMENTS = {
    **{"em": "emails", "ph": "phones", "fn": "first_names", "ln": "last_names"},
    **{"db": "dates_of_birth", "ct": "cities", "st": "states", "zp": "zip_codes"},
    **{"country": "country_codes", "external_id": "external_ids"},
}


class Sdk:
    """Meta's SDK, asked for one value of one key."""

    def __init__(self) -> None:
        with warnings.catch_warnings():  # the import warns of what the SDK does itself
            warnings.simplefilter("ignore")
            from facebook_business.adobjects.serverside.normalize import Normalize
            from facebook_business.adobjects.serverside.user_data import UserData
        self._normalize, self.user_data = Normalize, UserData

    def __repr__(self) -> str:
        return "Sdk()"

    def answer(self, key: str, text: str) -> Answer:
        """What would stand in the request."""
        try:
            if key == "ge":  # UserData has an enumeration of two for it, and takes no text at all
                found = self._normalize.normalize_field("ge", text)
            else:
                (found,) = self.user_data(**{ARGUMENTS[key]: [text]}).normalize()[key]
        except (TypeError, ValueError) as error:
            return Raised(type(error).__name__)
        return None if found is None else str(found)

    def normal_form(self, key: str, text: str) -> str:
        """The same before it is hashed."""
        return str(self._normalize.normalize_field_skip_hashing(key, text))


@pytest.fixture(scope="module")
def sdk() -> Sdk:
    return Sdk()


def ours(asked: Asked) -> str | None:
    user = {FIELD[asked.key]: asked.text}
    if asked.key != "country" and asked.country is not None:
        user["country"] = asked.country
    found = keys_of(user).user_data.get(asked.key)
    assert found is None or len(found) == 1
    return None if found is None else str(found[0])


class Prediction(NamedTuple):
    """Which differences apply, and our answer, as the SDK gives it when asked accordingly."""

    names: list[str]
    restated: str
    answer: Answer


def predict(asked: Asked, sdk: Sdk) -> Prediction:
    names = []
    for difference in DIFFERENCES:
        restated = difference.restate(asked) if asked.key in difference.keys.split() else asked.text
        if restated == asked.text:
            continue
        names.append(difference.name)
        match restated:
            case None:
                return Prediction(names, "", None)
            case Sent(value):
                return Prediction(names, "", value)
            case _:
                asked = asked._replace(text=restated)
    answer = sdk.answer(asked.key, asked.text)
    if isinstance(answer, Raised):
        return Prediction([*names, RAISES.name], asked.text, None)
    return Prediction(names, asked.text, answer)


@pytest.mark.parametrize("key", FIELD)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_ours_and_metas_sdk_agree_but_for_the_documented_differences(
    key: str, data: st.DataObject, sdk: Sdk
) -> None:
    asked = Asked(key, data.draw(TEXTS[key] | ARBITRARY), data.draw(COUNTRY))

    names, restated, answer = predict(asked, sdk)

    assert ours(asked) == answer, (
        f"{asked!a}: we send {ours(asked)}, the SDK {sdk.answer(key, asked.text)}; "
        f"after {names} it was asked for {restated!a} and should have agreed"
    )


def test_every_documented_difference_occurs_alone(sdk: Sdk) -> None:
    for difference in [*DIFFERENCES, RAISES]:
        asked = difference.example
        names, _, answer = predict(asked, sdk)

        assert (difference.name, names) == (difference.name, [difference.name])
        assert ours(asked) == answer
        assert sdk.answer(asked.key, asked.text) != answer


def test_the_list_of_differences_is_the_one_on_the_page(sdk: Sdk) -> None:
    table = "\n".join(
        (
            "| difference | keys | for example | the SDK sends | we send | why | right |",
            "|---|---|---|---|---|---|---|",
            *(row(difference, sdk) for difference in [*DIFFERENCES, RAISES]),
        )
    )

    page = (DOCS / "match-keys.md").read_text(encoding="utf-8")
    assert table in page, f"the page should hold\n{table}"


def test_what_the_page_says_of_the_sdk_is_true(sdk: Sdk) -> None:
    for row in rows("match-keys.md", "Where Meta's own normalisers contradict each other"):
        written, field = quoted(row["written"]) or "", quoted(row["field"]) or ""
        answer = sdk.answer(HASHED[field], written)

        match row["Python SDK"]:
            case "*raises*":
                assert isinstance(answer, Raised)
            case "as it is":
                assert answer == written
            case normal:
                assert answer == digest(quoted(normal) or "")


def row(difference: Difference, sdk: Sdk) -> str:
    asked = difference.example
    restated = predict(asked, sdk).restated
    country = f" ({asked.country.upper()})" if asked.country else ""
    keys = "all" if difference.keys == ALL else ", ".join(f"`{k}`" for k in difference.keys.split())
    cells = (
        difference.name,
        keys,
        f"`{shown(asked.text)}`{country}",
        said(sdk.answer(asked.key, asked.text), asked, sdk),
        said(ours(asked), asked._replace(text=restated), sdk),
        difference.reason,
        difference.right.value,
    )
    return f"| {' | '.join(cells)} |"


def said(answer: Answer, asked: Asked, sdk: Sdk) -> str:
    """What leaves, as its normal form where it is a hash of one."""
    if answer is None:
        return "nothing"
    if isinstance(answer, Raised):
        return f"raises `{answer.error}`"
    if answer == NOTHING_SHA256:
        return "the hash of nothing"
    if len(answer) < 64 or is_hash(asked.text) or not is_hash(answer):
        return f"`{shown(answer)}` as it is"
    if asked.key == "external_id":
        return "its hash, in lower case and without spaces"
    normal = sdk.normal_form(asked.key, asked.text)
    assert digest(normal) == answer
    return f"`{shown(normal)}`"


def shown(text: str) -> str:
    text = re.sub(r"[0-9a-f]{24,}", lambda run: f"{run[0][:8]}…", text)
    text = re.sub(r"(.)\1{9,}", r"\1\1\1…", text)
    return "".join(c if c == " " or c.isprintable() else ascii(c)[1:-1] for c in text)


def test_a_list_is_the_same_set_of_hashes(sdk: Sdk) -> None:
    """The SDK's order changes from process to process, and an empty text leaves a null in it."""
    addresses = ["B@x.co", "a@x.co", "b@x.co", ""]

    theirs = sdk.user_data(emails=addresses).normalize()["em"]

    assert None in theirs
    assert keys_of({"emails": addresses}).user_data["em"] == sorted(filter(None, theirs))


# What both are asked

ARBITRARY = st.text(st.characters(exclude_categories=()), max_size=30)
COUNTRY = st.sampled_from([None, None, "us", "gb", "de", "ca", "it", "fr", "hu", "br", "pr", "ru"])


def decorated(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """As people and programs spoil it."""
    around = st.sampled_from(["", "", "", " ", "\t", "\u200b", "\ufeff", "\u00a0", "\u202c", "."])
    spoil: list[Callable[[str], str]] = [
        *(str, str, str, str.upper, str.lower, str.title, lambda text: f"{digest(text)}"),
        *(lambda text: unicodedata.normalize("NFD", text), lambda text: digest(text) + ".Bg"),
        *(lambda text: text.replace(" ", "-"), lambda text: text[:-1]),
        lambda text: text.translate(str.maketrans("0123456789-", "０１２３４５６７８９－")),
    ]
    return st.builds(
        lambda front, text, change, end: front + change(text) + end,
        around, texts, st.sampled_from(spoil), around,
    )  # fmt: skip


NAMES = st.sampled_from(
    (
        *("Mary", "Mary Ann", "O'Brien", "O’Brien", "Smith-Jones", "St. John", "D’Angelo–Rossi"),
        *("Valéry", "Ñandú", "Øystein", "İsmail", "IŞIK", "ışık", "Straße", "STRAẞE", "ΝΙΚΟΣ"),
        *("정", "山田 太郎", "محمد", "क्‍ष", "Љубица", "می‌نا", "👩‍👧 Zoë", "John 3rd", "None"),
        *("Null", "n/a", "-", "葛\U000e0100", "\u3164", "J.R.", "Dʼangelo", "ﬁona", "e-\u0301"),
    )
)
CITIES = st.sampled_from(
    (
        *("New York", "St. Louis", "Coeur d'Alene", "Washington, D.C.", "Menlo_Park", "Łódź"),
        *("München", "東京", "Paris 75001", "İzmir", "Frankfurt/Main", "'s-Hertogenbosch", "12345"),
        *("القاهرة", "मुंबई", "São Paulo - SP", "Saint-Étienne", "Winston-Salem (NC)", "-", "Ⅷ"),
    )
)
STATE_NAMES = [
    division.name for division in pycountry.subdivisions if division.country_code in "US CA DE AU"
]
STATE_CODES = [division.code for division in pycountry.subdivisions]
ZIPS = st.one_of(
    st.from_regex(r"[0-9]{5}(-?[0-9]{4})?|[A-Z]{1,2}[0-9] [0-9][A-Z]{2}", fullmatch=True),
    st.from_regex(r"([A-Z]{1,3}-)?[0-9]{1,5}([ -][0-9A-Z]{1,4})?", fullmatch=True),
    st.from_regex(r"[A-Z0-9 .–-]{1,9}", fullmatch=True),
)
DATES = st.builds(
    lambda born, order: born.strftime(order),
    st.dates(date(1890, 1, 1), date(2030, 1, 1)),
    st.sampled_from(
        (
            *("%Y%m%d", "%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m-%d-%Y", "%Y %m %d"),
            *("%d. %m. %Y", "%Y. %m. %d.", "%Y-%m-%dT%H:%M:%SZ", "%Y/%m/%d %H:%M", "%d%m%Y"),
            *("%y%m%d", "%B %d, %Y", "%Y", "%s"),
        )
    ),
) | st.from_regex(r"[0-9]{1,4}[-/. ][0-9]{1,2}[-/. ][0-9]{1,4}", fullmatch=True)
COUNTRY_NAMES = [
    getattr(country, attribute)
    for country in pycountry.countries
    for attribute in ("alpha_2", "alpha_3", "name", "official_name", "common_name")
    if hasattr(country, attribute)
]
EMAILS = st.one_of(
    st.emails(),
    st.from_regex(r"[a-zA-Z.+ '@]{1,6}@[a-zé.@]{1,8}\.[a-z]{1,3}", fullmatch=True),
)


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """A real number of any country, nearly, written in one of many ways."""
    region = draw(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)) | st.just("US"))
    number = phonenumbers.example_number_for_type(region, draw(st.sampled_from([0, 1])))
    if number is None:
        return draw(st.from_regex(r"\+?[0-9]{5,16}", fullmatch=True))
    form = draw(st.sampled_from([0, 1, 2, 3]))  # E.164, international, national, tel:
    text = phonenumbers.format_number(number, form)
    code = f"+{number.country_code}"
    change = draw(
        st.sampled_from(
            [
                *((code, code), ("+", "00"), ("+", ""), (code, f"{code} (0)"), (code, f"{code} 0")),
                *((" ", "."), ("-", "/"), ("-", "–"), (" ", ""), ("+", "000000"), ("+", "+0")),
            ]
        )
    )
    end = draw(st.sampled_from(["", "", "", " ext. 5", " x12", ";ext=7", ",9", " (home)", "#"]))
    return draw(st.sampled_from(["", "", "Mobile: "])) + text.replace(*change) + end


TEXTS: dict[str, st.SearchStrategy[str]] = {
    "em": decorated(EMAILS),
    "ph": decorated(numbers()) | st.from_regex(r"[+]?[0-9 ()-]{5,18}", fullmatch=True),
    "fn": decorated(NAMES),
    "ln": decorated(NAMES),
    "ct": decorated(CITIES),
    "st": decorated(st.sampled_from(STATE_NAMES) | st.sampled_from(STATE_CODES)),
    "zp": decorated(ZIPS),
    "country": decorated(st.sampled_from(COUNTRY_NAMES) | st.sampled_from([*COUNTRIES])),
    "db": decorated(DATES),
    "ge": decorated(st.sampled_from([*normalise._FEMALE, *normalise._MALE, "x", "other", "Mx."])),
    "external_id": decorated(st.uuids().map(str) | st.integers(0, 99).map(str) | NAMES),
}

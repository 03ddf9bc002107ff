"""Where our match keys differ from those of Meta's own Python SDK, and why.

Each difference says how the SDK would have to be asked to give our answer, in words of its own:
nothing here reads a text by the code that it is compared with. (Tables of facts are shared: the
names of countries and states, the words for the genders.)
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date, datetime
from enum import Enum
from typing import Any, NamedTuple

import phonenumbers
import pycountry

from consumer import normalise, places
from consumer.hashing import TEXT_LENGTH_MAX
from tests.fakes.users import HASHED, NOTHING_SHA256, TODAY, digest

FIELD = {key: field for field, key in HASHED.items()}


class Asked(NamedTuple):
    """One value of one key, and the alpha-2 country beside it; only we look at that."""

    key: str
    text: str
    country: str | None


class Sent(NamedTuple):
    """What must leave exactly so, however the SDK is asked."""

    value: str


class Right(Enum):
    """Which of the two is right by Meta's page; the value stands on our page."""

    OURS = "ours"
    BOTH = "both"
    UNSAID = "the page is silent"


Restated = str | Sent | None


class Difference(NamedTuple):
    """``restate`` gives the text for which the SDK answers as we do; None: nothing may leave."""

    name: str
    keys: str
    example: Asked
    restate: Callable[[Asked], Restated]
    reason: str
    right: Right


# How the SDK would have to be asked


def unless(gone: Callable[[Asked], bool]) -> Callable[[Asked], Restated]:
    """What we do not send at all."""
    return lambda asked: None if gone(asked) else asked.text


def is_hash(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{64}", text.lower()) is not None


def without_the_unseen(asked: Asked) -> str:
    seen = visible(asked)
    return asked.text if seen == asked.text.strip() else seen


def visible(asked: Asked) -> str:
    return "".join(c for c in asked.text if not is_unseen(c)).strip(BLANK)


def is_unseen(character: str) -> bool:
    fillers = r"HANGUL.* FILLER|VARIATION SELECTOR|GRAPHEME JOINER|VOWEL INHERENT"
    named = re.search(fillers, unicodedata.name(character, ""))
    reserved = 0xFFF0 <= ord(character) <= 0xFFFB or 0xE0000 <= ord(character) <= 0xE0FFF
    newer = 0x13439 <= ord(character) <= 0x1343F  # hieroglyphs' joiners, which Python 3.11 lacks
    return unicodedata.category(character) == "Cf" or named is not None or reserved or newer


BLANK = "".join(
    c for c in map(chr, range(0x3001)) if c.isspace() or unicodedata.category(c) == "Cc"
)


def with_appendix(asked: Asked) -> Restated:
    match = re.fullmatch(r"(.{64})(\.([\w-]{8}|A[Qgw]|B[AQg]))", asked.text.strip(), re.ASCII)
    return Sent(match[1].lower() + match[2]) if match and is_hash(match[1]) else asked.text


def is_another_hash(asked: Asked) -> bool:
    text = asked.text.strip()
    if is_hash(text) or (is_hash(text[:64]) and with_appendix(asked) != asked.text):
        return text.lower().startswith(NOTHING_SHA256)
    if asked.key == "external_id" or (asked.key == "em" and is_address(asked)):
        return False
    base64 = re.fullmatch(r"[A-Za-z0-9+/_-]{43}=", text)
    return base64 is not None or re.search("[0-9a-fA-F]{32}", text) is not None


def is_placeholder(asked: Asked) -> bool:
    word = asked.text.strip().lower()
    nobody = {*NO_NAMES, "null", "none"}
    if asked.key == "external_id":
        shared = {"nan", "nil", "-1", "anonymous", "guest", "[object object]"} | nobody
        return bool(word) and (word in shared or set(word) <= {"0", "-"})
    return word in (NO_NAMES if asked.key == "ln" else nobody)


NO_NAMES = {"n/a", "unknown", "undefined", "-", "(null)", "<null>", "#n/a", "\\n"}


def is_address(asked: Asked) -> bool:
    local, _, domain = asked.text.strip().partition("@")
    labels = domain.split(".")
    forbidden = set('@<>()[],;:\\"') | set(filter(str.isspace, asked.text.strip()))
    forbidden |= {c for c in asked.text if unicodedata.category(c) == "Cc"}
    in_domain = forbidden | set("!#$%&'*+/=?^`{|}~")
    well_formed = local and len(labels) > 1 and all(labels)
    return bool(well_formed) and not forbidden & set(local) and not in_domain & set(domain)


def composed(asked: Asked) -> str:
    lowered = asked.text.lower()
    text = unicodedata.normalize("NFC", lowered)
    if asked.key != "em":
        text = unicodedata.normalize("NFC", text.replace("i\u0307", "i"))
    return asked.text if text == lowered else text


def without_punctuation(asked: Asked) -> Restated:
    """Letters, marks and, for people, digits; the SDK takes some of the others away itself."""
    lowered = asked.text.lower()
    of_places = asked.key in ("ct", "st")
    gone = "ZPSN" if of_places else "ZPS"
    kept = "".join(c for c in lowered if unicodedata.category(c)[0] not in gone)
    kept = "".join(c for c in kept if unicodedata.category(c) != "Cc")
    if is_hash(asked.text.strip()):
        return asked.text
    if not any(map(str.isalpha if of_places else str.isalnum, kept)):
        return None
    by_the_sdk = re.sub(r"[0-9.\s\-()]", "", lowered) if of_places else lowered.strip()
    return asked.text if by_the_sdk == kept else unicodedata.normalize("NFC", kept)


def state(asked: Asked) -> str:
    """The codes of the two countries whose states Meta wants as codes, or after another's."""
    text = plain(asked).strip()
    match = re.fullmatch("([A-Z]{2})-([A-Z0-9]{1,3})|([a-z]{2})-([a-z0-9]{1,3})", text)
    prefix = match and (match[1] or match[3])
    if match and prefix and pycountry.countries.get(alpha_2=prefix.upper()):
        text = match[2] or match[4]
    else:
        text = asked.text
    country = asked.country
    country = "us" if country in AMERICA else country
    letters = "".join(c for c in text if unicodedata.category(c)[0] in "LM")
    for each in ("us", "ca") if country is None else (country,):
        if code := STATES.get(each, {}).get(folded(letters)):
            return asked.text if code == re.sub(r"[0-9.\s\-()]", "", asked.text.lower()) else code
    return text


AMERICA = ("us", "pr", "gu", "vi", "as", "mp", "um")


def folded(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text.lower())))


def states_of(country: str) -> dict[str, str]:
    known: dict[str, str] = {}
    for division in pycountry.subdivisions:
        if division.country_code == country.upper():
            code = division.code[3:].lower()
            known |= {code: code, folded(division.name): code}
    return known | dict(places._STATE_ALIASES[country])


STATES = {country: states_of(country) for country in ("us", "ca")}


def plain(asked: Asked) -> str:
    """Digits, Latin letters and dashes that are written in another way."""
    if asked.text.isascii():
        return asked.text
    text = unicodedata.normalize("NFKC", asked.text)
    text = "".join(str(unicodedata.decimal(c, c)) for c in text)
    return "".join("-" if unicodedata.category(c) == "Pd" or c == "\u2212" else c for c in text)


def zip_of_america(asked: Asked) -> Restated:
    code = "".join(asked.text.split())
    if is_hash(code) or asked.country not in AMERICA:
        return asked.text
    five = re.fullmatch(r"([0-9]{5})([0-9]{4}|-[0-9]*)?", code)
    if five is None:
        return None
    return asked.text if "-" in code else five[1]


def without_prefix(asked: Asked) -> str:
    code = "".join(asked.text.lower().split())
    rest = re.sub("^[a-z]{1,3}-(?=.)", "", code)
    if "-" in rest and len(rest.partition("-")[0]) < 3:
        rest = rest.replace("-", "")
    return asked.text if rest == code else rest


def is_no_zip(asked: Asked) -> bool:
    code = "".join(asked.text.split()).partition("-")[0]
    return len(code) < 2 or not re.fullmatch("[0-9A-Za-z]+", code)


def code_of_country(text: str) -> str | None:
    name = folded(text.replace("&", "and")).removeprefix("the")
    short = len(name) <= 3 and name not in {"us", "usa", "uk", "gb", "uae", "drc", "prc"}
    return None if short and not text.isalpha() else COUNTRIES.get(name)


def every_country() -> Iterator[tuple[str, str]]:
    for country in pycountry.countries:
        for attribute in ("alpha_2", "alpha_3", "name", "official_name", "common_name"):
            name = getattr(country, attribute, "")
            head, _, tail = name.partition(", ")
            for form in {name, f"{tail} {head}" if tail else name, re.sub(r" ?\(.*\)", "", name)}:
                for spelled in (form, re.sub(r"^Saint\b", "St", form)):
                    if spelled:
                        yield folded(spelled).removeprefix("the"), country.alpha_2.lower()


COUNTRIES = {**dict(every_country()), **places._COUNTRY_ALIASES}


def named_country(asked: Asked) -> str:
    code = code_of_country(asked.text.strip())
    by_the_sdk = re.sub("[^a-z]", "", asked.text.lower())
    return asked.text if code is None or code == by_the_sdk else code


def is_no_country(asked: Asked) -> bool:
    by_the_sdk = re.sub("[^a-z]", "", asked.text.lower())
    taken = pycountry.countries.get(alpha_2=by_the_sdk.upper()) is not None
    return taken and code_of_country(asked.text.strip()) is None


def birthday(asked: Asked) -> Restated:
    text = asked.text.strip()
    if is_hash(text):
        return asked.text
    if match := re.fullmatch("([0-9]{8})(.*)", text, re.DOTALL):
        born = day_of(match[1], "%Y%m%d")
    elif match := re.fullmatch(
        r"(\d{1,4}) ?([-/. ]) ?(\d{1,2}) ?\2 ?(\d{1,4})\.?(.*)", text, re.ASCII | re.DOTALL
    ):
        first, mark, second, third, _ = match.groups()
        orders = ["%d-%m-%Y"] if mark == "." else ["%m-%d-%Y", "%d-%m-%Y"]
        if len(first) == 4:
            orders = ["%Y-%m-%d"]
        years = [len(each) == 4 for each in (first, third)]
        fits = sum(years) == 1 and min(len(first), len(third)) <= 2
        born = day_of(f"{first}-{second}-{third}", *orders) if fits else None
    else:
        return None
    late = re.fullmatch("([T ] ?[0-9]{1,2}:?[0-9]{2}.*)?", match.groups()[-1])
    return born if late else None


def day_of(text: str, *orders: str) -> str | None:
    for order in orders:
        try:
            born = datetime.strptime(text, order).date()
        except ValueError:
            continue
        return f"{born:%Y%m%d}" if date(1900, 1, 1) <= born <= TODAY else None
    return None


def gender(asked: Asked) -> Restated:
    word = asked.text.strip().lower().rstrip(".")
    if is_hash(word):
        return asked.text
    initial = "f" if word in normalise._FEMALE else "m" if word in normalise._MALE else None
    return asked.text if initial == asked.text.strip().lower() else initial


def bare_number(asked: Asked) -> Restated:
    """Without a label, an extension, and the signs and zeros that the SDK does not expect."""
    extension = r"(?i);[a-z-]+=.*$|[\s;,]*(,|\bext(ension|n)?|x|#)[\s.:=]*[0-9]{1,7}\s*#?$"
    text = re.sub(r"(?<=[0-9]{7})\.0$", "", re.sub(extension, "", asked.text.strip()))
    match = re.fullmatch(
        r"[^0-9+*#]*(\+*)[\s()\[\]./-]*([0-9][0-9\s()\[\]./~_·•-]*[0-9])[\s()\[\]./-]*([^0-9]*)",
        text,
    )
    if match is None:
        return asked.text
    digits = re.sub("[^0-9]", "", match[2])
    if match[3].strip() and match[1]:  # words behind it: half of the number may be in them
        number = Number.of(asked._replace(text="+" + digits))
        found = number and number.without_trunk_zero()
        if found is None or valid("+" + found) != found:
            return None
    has_exit_code = match[1] or asked.country is None
    if has_exit_code and digits.startswith("00000"):
        digits = "00" + digits.lstrip("0")
    bare = match[1][:1] + digits
    return asked.text if re.sub(r"[\s()-]", "", asked.text) == bare else bare


def valid(text: str, region: str | None = None) -> str | None:
    try:
        number = phonenumbers.parse(text, region and region.upper())
    except phonenumbers.NumberParseException:
        return None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return e164[1:] if phonenumbers.is_valid_number(number) else None


class Number(NamedTuple):
    """A text that the SDK, too, reads as a number."""

    digits: str
    significant: str
    region: str | None
    is_international: bool
    has_one_zero: bool

    @staticmethod
    def of(asked: Asked) -> "Number | None":
        match = re.fullmatch(r"(\+*)([0-9]+)", re.sub(r"[\s()-]", "", asked.text))
        if match is None or is_hash(asked.text):
            return None
        digits, region = match[2], asked.country
        return Number(
            digits,
            digits.lstrip("0"),
            region,
            bool(match[1]) or (region is None and digits.startswith("00")),
            re.match("0(?!0)", digits) is not None,
        )

    def national(self) -> str | None:
        """With its calling code, as the numbering plan of its country has it."""
        found = self._of_plan()
        return found if found and len(found) <= 15 else None

    def _of_plan(self) -> str | None:
        if self.region:
            code = phonenumbers.country_code_for_region(self.region.upper())
            begins = code and not self.has_one_zero and self.significant.startswith(str(code))
            if begins and valid("+" + self.significant) == self.significant:
                return self.significant
            if found := valid(self.digits, self.region):
                return found
        if len(self.significant) >= 11 and not self.has_one_zero:
            return valid("+" + self.significant)
        return None

    def without_trunk_zero(self) -> str | None:
        codes = [self.significant[:length] for length in (1, 2, 3)]
        for code in codes:
            if int(code) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
                rest = self.significant.removeprefix(code)
                plan = plan_of(int(code))
                kept = plan.national_prefix is None and is_possible(rest, plan)
                if rest.startswith("0") and not kept:
                    return code + rest.removeprefix(plan.national_prefix or "").lstrip("0")
                return self.significant
        return None


def plan_of(calling_code: int) -> Any:
    region = phonenumbers.region_code_for_country_code(calling_code)
    return phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(calling_code, region)


def is_possible(rest: str, plan: Any) -> bool:
    return re.fullmatch(plan.general_desc.national_number_pattern, rest) is not None


def with_calling_code(asked: Asked) -> str:
    number = Number.of(asked)
    if number is None or number.is_international or not 7 <= len(number.significant) <= 15:
        return asked.text
    found = number.national()
    if found is None or (found == number.significant and not number.digits.startswith("00000")):
        return asked.text
    return f"+{found}"


def is_without_country(asked: Asked) -> bool:
    number = Number.of(asked)
    return number is not None and not number.is_international and number.national() is None


def without_trunk_zero(asked: Asked) -> str:
    number = Number.of(asked)
    if number is None or not number.is_international or not 7 <= len(number.significant) <= 15:
        return asked.text
    found = number.without_trunk_zero()
    return asked.text if found in (None, number.significant) else f"+{found}"


def is_no_number(asked: Asked) -> bool:
    number = Number.of(asked)
    if number is None:
        return re.search(r"[0-9].*\+", asked.text) is not None
    found = number.without_trunk_zero() if 7 <= len(number.significant) <= 15 else None
    unsure = found is not None and (len(found) < 8 or number.has_one_zero)
    return found is None or (unsure and valid("+" + found) != found)


def hashed_id(asked: Asked) -> Restated:
    text = "".join(asked.text.split()).lower()
    if not is_hash(asked.text.strip()):
        return None if has_surrogate(text) else Sent(digest(text))
    return asked.text if text == asked.text else Sent(text)


def has_surrogate(text: str) -> bool:
    return any(unicodedata.category(c) == "Cs" for c in text)


# The differences

ALL = " ".join(FIELD)
DIFFERENCES = [
    Difference(
        "longer than anything",
        "em ph fn ln db ge ct st zp country",
        Asked("fn", "z" * 257, None),
        unless(lambda asked: len(asked.text) > TEXT_LENGTH_MAX),
        "No name, number or place has more than 256 characters.",
        Right.OURS,
    ),
    Difference(
        "characters nobody sees",
        ALL,
        Asked("fn", "Mary\u200b", None),
        without_the_unseen,
        "Meta hashes what people type, and nobody types a zero-width space.",
        Right.OURS,
    ),
    Difference(
        "blank",
        ALL,
        Asked("fn", "   ", None),
        unless(lambda asked: not visible(asked)),
        "The hash of nothing is the same for all who left the field empty.",
        Right.OURS,
    ),
    Difference(
        "a hash with an appendix",
        ALL,
        Asked("fn", digest("mary") + ".AQQCAQMC", None),
        with_appendix,
        "Meta's own parameter builder writes so, and Meta reads it.",
        Right.OURS,
    ),
    Difference(
        "another hash than SHA-256",
        ALL,
        Asked("em", "5f4dcc3b5aa765d61d8327deb882cf99", None),
        unless(is_another_hash),
        "Meta's page takes SHA-256 alone, and finds nobody by the hash of nothing.",
        Right.OURS,
    ),
    Difference(
        "placeholders",
        ALL,
        Asked("fn", "n/a", None),
        unless(is_placeholder),
        "A program wrote it where it had no value, so strangers would be one person.",
        Right.OURS,
    ),
    Difference(
        "digits of other scripts",
        "ph db ge zp",
        Asked("zp", "９４０３５", None),
        plain,
        "Meta's examples are ASCII, and it is the same code.",
        Right.OURS,
    ),
    Difference(
        "no address",
        "em",
        Asked("em", "john@@gmail.com", None),
        unless(
            lambda asked: (
                not is_hash(asked.text.strip()) and sdk_takes(asked) and not is_address(asked)
            )
        ),
        "Two signs, spaces and empty labels are in no address.",
        Right.OURS,
    ),
    Difference(
        "states as codes",
        "st",
        Asked("st", "California", None),
        state,
        "The page wants the two letters; `US-CA` has them as well.",
        Right.OURS,
    ),
    Difference(
        "composed letters",
        "em fn ln ct st",
        Asked("fn", "İsmail", None),
        composed,
        "One name, one hash: NFC, and no dot left over from the Turkish İ.",
        Right.OURS,
    ),
    Difference(
        "punctuation",
        "fn ln ct st",
        Asked("ln", "O'Brien", None),
        without_punctuation,
        "The page says no punctuation and no special characters.",
        Right.OURS,
    ),
    Difference(
        "prefixes and dashes of zips",
        "zp",
        Asked("zp", "SE-111 22", None),
        without_prefix,
        "What precedes the first dash is the country, or too short to be a code.",
        Right.UNSAID,
    ),
    Difference(
        "five digits of America",
        "zp",
        Asked("zp", "940251234", "us"),
        zip_of_america,
        "The page wants the first five digits.",
        Right.OURS,
    ),
    Difference(
        "no zip",
        "zp",
        Asked("zp", "A", None),
        unless(is_no_zip),
        "Fewer than two characters, or something else than letters and digits.",
        Right.OURS,
    ),
    Difference(
        "countries by name",
        "country",
        Asked("country", "United States", None),
        named_country,
        "It is the page's own example.",
        Right.OURS,
    ),
    Difference(
        "letters picked from a text",
        "country",
        Asked("country", "N.A.", None),
        unless(is_no_country),
        "Not available is not Namibia.",
        Right.OURS,
    ),
    Difference(
        "dates",
        "db",
        Asked("db", "2/16/1997", None),
        birthday,
        "The page wants `YYYYMMDD`, and this is its example.",
        Right.OURS,
    ),
    Difference(
        "genders",
        "ge",
        Asked("ge", "Female", None),
        gender,
        "The page wants `f` or `m`, and has no third.",
        Right.OURS,
    ),
    Difference(
        "what stands around a number",
        "ph",
        Asked("ph", "+1.650.555.1212", None),
        bare_number,
        "The page says to remove symbols and letters.",
        Right.OURS,
    ),
    Difference(
        "national numbers",
        "ph",
        Asked("ph", "(650)555-1212", "us"),
        with_calling_code,
        "The page requires the calling code, and this is its example.",
        Right.OURS,
    ),
    Difference(
        "numbers of no country",
        "ph",
        Asked("ph", "6505551212", None),
        unless(is_without_country),
        "Read as it stands it would be somebody's in Singapore.",
        Right.OURS,
    ),
    Difference(
        "no number",
        "ph",
        Asked("ph", "+999 123 456 789", None),
        unless(is_no_number),
        "No such calling code, a plus within, or not 7 to 15 digits.",
        Right.OURS,
    ),
    Difference(
        "a zero behind the calling code",
        "ph",
        Asked("ph", "+44 (0)20 7946 0958", None),
        without_trunk_zero,
        "It is dialled within the country only.",
        Right.OURS,
    ),
    Difference(
        "external ids",
        "external_id",
        Asked("external_id", "Customer 17", None),
        hashed_id,
        "The page recommends the hash, and the pixel makes it so; what counts is that all channels "
        "do the same. `externalId: raw` is the SDK's way.",
        Right.BOTH,
    ),
]
RAISES = Difference(
    "what cannot be read",
    ALL,
    Asked("country", "Narnia", None),
    lambda asked: asked.text,
    "The SDK gives up the whole request for one field; we leave the field out, and say so.",
    Right.OURS,
)


def sdk_takes(asked: Asked) -> bool:
    return re.match(r".+@.+\..+", asked.text.lower().strip()) is not None

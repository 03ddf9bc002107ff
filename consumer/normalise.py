"""One function per hashed match key: a publisher's text → the hash that Meta can match.

Every public reading here is pure, takes the text as the publisher wrote it, and answers with an
``Outcome``: the finished value (64 hex digits, with the appendix of Meta's own parameter builder
if it came with one), why the text is of no use, or None when there is nothing in it. So nothing
empty is ever hashed, and nothing raises. The rules are Meta's page "Customer information
parameters"; where it is silent, a wrong hash is worse than none.

Each ends in one SHA-256. What few people share (e-mail, external id) is computed each time; what
many share is remembered, in numbers that are bounded, and so are the phone numbers that need the
library (25 µs each). ``TEXT_LENGTH_MAX``, which callers keep, bounds the bytes of it, and the
steps of the patterns.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import cache, lru_cache, partial
from hashlib import sha256
from typing import NamedTuple

import phonenumbers
import pycountry

from consumer.model import DropReason

Outcome = str | DropReason | None

TEXT_LENGTH_MAX = 256
"""No address, number, name or place is longer. External ids may be: they are not remembered."""

_PLACEHOLDERS = frozenset({"n/a", "null", "none", "unknown", "undefined", "-"})
_LAST_NAME_PLACEHOLDERS = frozenset({"n/a", "unknown", "undefined", "-"})  # Null and None are names


def email(text: str) -> Outcome:
    """Trimmed and in lower case; dots and ``+tags`` stay, because Meta does not fold them."""
    visible = visible_part(text)
    lowered = visible.lower()
    if _EMAIL(lowered):
        return _sha256(lowered)
    return _hash_or_unusable(visible) or DropReason.MALFORMED if visible else None


_NOT_IN_EMAIL = r"\s\x00-\x1f\x7f@<>()\[\],;:\\\""
_LABEL = rf"[^{_NOT_IN_EMAIL}.!#$%&'*+/=?^`{{|}}~]+"
_EMAIL = re.compile(rf"[^{_NOT_IN_EMAIL}]+@{_LABEL}(?:\.{_LABEL})+").fullmatch


@lru_cache(16384)
def first_name(text: str) -> Outcome:
    """Letters, marks and digits of any script, in lower case, accents kept."""
    return _hashed(text, _letters_and_digits)


@lru_cache(16384)
def last_name(text: str) -> Outcome:
    """As the first name, but Null and None are people's names."""
    return _hashed(text, _letters_and_digits, _LAST_NAME_PLACEHOLDERS)


@lru_cache(16384)
def city(text: str) -> Outcome:
    """Letters of any script, in lower case, accents kept; digits go too."""
    return _hashed(text, _letters)


@lru_cache(4096)
def state(text: str, region: str | None) -> Outcome:
    """The two letters of a US or Canadian state; elsewhere its letters in lower case, uncut.

    Without a region the names of both countries are known. ISO 3166-2 codes lose their country.
    """
    return _hashed(text, partial(_state, region=region))


def _state(visible: str, region: str | None) -> str:
    code = _ISO_3166_2(visible)
    # La-Paz is a name, LA-XA a province of Laos.
    if code and code[1].lower() in _countries() and (visible.isupper() or visible.islower()):
        visible = code[2]
    kept = _letters(visible)
    code_of = _states(None if region is None else _US_REGIONS.get(region, region))
    return code_of.get(_folded(kept), kept)


_ISO_3166_2 = re.compile(r"([A-Za-z]{2})-([A-Za-z0-9]{1,3})").fullmatch
_US_REGIONS = dict.fromkeys(("us", "as", "gu", "mp", "pr", "um", "vi"), "us")


@lru_cache(16384)
def postal_code(text: str, region: str | None) -> Outcome:
    """Letters and digits in lower case, without a country's prefix and what follows a dash.

    US codes are their first five digits, and must have them.
    """
    return _hashed(text, partial(_postal_code, region=region))


def _postal_code(visible: str, region: str | None) -> str:
    compact = _COUNTRY_PREFIX("", "".join(_plain(visible).lower().split()))
    if region == "us":
        whole = _FIVE_DIGITS(compact)
        return whole[1] if whole else ""
    before, _, after = compact.partition("-")
    # A short beginning is no code of its own: Poland writes 00-950.
    kept = before if len(before) >= 3 else before + after.replace("-", "")
    return kept if len(kept) >= 2 and kept.isalnum() else ""


_COUNTRY_PREFIX = re.compile(r"^[a-z]{1,3}-(?=.)").sub
_FIVE_DIGITS = re.compile(r"([0-9]{5})(?:-?[0-9]{4}|-[0-9]*)?").fullmatch


def country(text: str) -> Outcome:
    """ISO 3166-1 alpha-2, from itself, from alpha-3 or from an English name, by whole match."""
    return _country(text).outcome


def region(text: str, default: str | None) -> str | None:
    """The country's alpha-2 code; the default if the text is void; None if it is not readable."""
    known = _country(text)
    return default if known.is_void else known.code


class _Country(NamedTuple):
    code: str | None
    outcome: Outcome

    @property
    def is_void(self) -> bool:
        return self.outcome is None or self.outcome is DropReason.PLACEHOLDER


@lru_cache(1024)
def _country(text: str) -> _Country:
    visible = visible_part(text)
    if not visible:
        return _Country(None, None)
    if known := _hash_or_unusable(visible):
        return _Country(None, known)
    name = _folded(visible.replace("&", "and")).removeprefix("the")
    # N.A. is not Namibia: of short names, few are written with dots.
    is_name = len(name) > 3 or visible.isalpha() or name in _DOTTED
    code = _countries().get(name) if is_name else None
    return _Country(code, _sha256(code) if code else DropReason.MALFORMED)


_DOTTED = frozenset({"us", "usa", "uk", "gb", "uae", "drc", "prc"})


@lru_cache(65536)
def date_of_birth(text: str, day_first: bool, today: date) -> Outcome:
    """``YYYYMMDD`` of a real date from 1900 to today.

    The year comes first, or last: then dots mean D.M.Y, and slashes and dashes M/D/Y unless only
    D/M/Y is a date. ``day_first`` turns that preference round.
    """
    return _hashed(text, partial(_date_of_birth, day_first=day_first, today=today))


def _date_of_birth(visible: str, day_first: bool, today: date) -> str:
    for year, month, day in _dates(_plain(visible), day_first):
        try:
            born = date(year, month, day)
        except ValueError:
            continue
        return born.isoformat().replace("-", "") if date(1900, 1, 1) <= born <= today else ""
    return ""


def _dates(text: str, day_first: bool) -> Iterator[tuple[int, int, int]]:
    """Every reading as year, month, day; the preferred one first."""
    if compact := _YYYYMMDD(text):
        yield int(compact[1]), int(compact[2]), int(compact[3])
    elif parts := _SEPARATED(text):
        first, second, third = int(parts[1]), int(parts[3]), int(parts[4])
        if len(parts[1]) == 4 and len(parts[4]) <= 2:
            yield first, second, third
        elif len(parts[1]) <= 2 and len(parts[4]) == 4:
            readings = [(third, second, first)]
            if parts[2] != ".":
                readings.insert(1 if day_first else 0, (third, first, second))
            yield from readings


_YYYYMMDD = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:T[0-9].*)?").fullmatch
_SEPARATED = re.compile(r"([0-9]{1,4})([-/.])([0-9]{1,2})\2([0-9]{1,4})(?:[T ].*)?").fullmatch


@lru_cache(1024)
def gender(text: str) -> Outcome:
    """``f`` or ``m``; Meta has no third, so other answers are left out."""
    return _hashed(text, _gender)


def _gender(visible: str) -> str:
    word = visible.lower().rstrip(".")
    return "f" if word in _FEMALE else "m" if word in _MALE else ""


_FEMALE = frozenset(
    (
        *("f", "fem", "female", "females", "feminine", "woman", "women", "girl", "girls"),
        *("lady", "ladies", "mrs", "ms", "miss", "madam", "ma'am", "she", "her", "hers"),
        *("she/her", "mother", "mom", "mum", "mummy", "daughter", "sister", "wife", "aunt"),
        *("grandmother",),
    )
)
_MALE = frozenset(
    (
        *("m", "male", "males", "masculine", "man", "men", "boy", "boys", "guy"),
        *("gentleman", "gentlemen", "mr", "mister", "sir", "he", "him", "his", "he/him"),
        *("father", "dad", "daddy", "son", "brother", "husband", "uncle", "grandfather"),
    )
)


def external_id_as_the_pixel(text: str) -> Outcome:
    """Without white space and in lower case, as Meta's pixel hashes it in the browser."""
    return _external_id(text, lambda visible: _sha256("".join(visible.split()).lower()))


def external_id_exact(text: str) -> Outcome:
    """Trimmed, otherwise exactly as it is written, then hashed."""
    return _external_id(text, _sha256)


def external_id_raw(text: str) -> Outcome:
    """Trimmed and not hashed, for a pixel that sends it so."""
    return _external_id(
        text, lambda visible: visible if is_encodable(visible) else DropReason.MALFORMED
    )


def _external_id(text: str, finish: Callable[[str], str | DropReason]) -> Outcome:
    visible = visible_part(text)
    if not visible:
        return None
    if _is_shared_id(visible):
        return DropReason.PLACEHOLDER
    # 32 hex digits are a UUID without dashes here, not an MD5: only SHA-256 passes.
    if len(visible) >= 64 and (known := _sha256_or_none(visible)):
        return known
    return finish(visible)


def _is_shared_id(visible: str) -> bool:
    """Whether many people would carry this id: it would merge strangers into one person."""
    return visible.strip("0-") == "" or visible.lower() in _SHARED_IDS


_SHARED_IDS = _PLACEHOLDERS | {"nan", "anonymous", "guest"}


def phone(text: str, region: str | None) -> Outcome:
    """Digits with the calling code in front, no ``+``; ``region`` reads national numbers."""
    if text[:1] == "+" and text.isascii():
        digits = text[1:]
        if not digits.isdecimal():
            digits = digits.translate(_PHONE_SEPARATORS)
        if 8 <= len(digits) <= 15 and digits.isdecimal():
            parts = _split(digits)
            if parts and not parts[1].startswith("0"):
                return _sha256(digits)
    return _hashed(text, partial(_phone, region=region))


_PHONE_SEPARATORS = str.maketrans("", "", " \t\r\n-./()")


def _phone(visible: str, region: str | None) -> str | DropReason:
    number = _NUMBER(_EXTENSION("", _plain(visible)))
    if number is None:
        return DropReason.MALFORMED
    digits = "".join(filter(str.isdecimal, number[2]))
    significant = digits.lstrip("0")
    if not 7 <= len(significant) <= 15:
        return DropReason.MALFORMED
    if number[1] or (region is None and digits.startswith("00")):
        parts = _split(significant)
        found = _without_trunk_zero(*parts) if parts else None
        # What stands behind it may be the rest of a number in words, or of a masked one.
        if found and (len(found) < 8 or number[3].strip()):
            found = _valid_international(found)
        return found or DropReason.MALFORMED
    found = _national(digits, region.upper()) if region else None
    # One zero is a country's trunk prefix, more are an exit code.
    if found is None and len(significant) >= 11 and not _ONE_ZERO(digits):
        found = _valid_international(significant)
    return found or DropReason.PHONE_WITHOUT_COUNTRY


# An extension, or the decimals of a spreadsheet's number.
_EXTENSION = re.compile(
    r"(?:;[a-z-]+=.*|[\s;,]*(?:,|\bext(?:ension|n)?|x|#)[\s.:=]*[0-9]{1,7}\s*#?|(?<=[0-9]{7})\.0)$",
    re.IGNORECASE,
).sub
# A label, the plus, the number, and what follows it. A letter within it makes it no number.
_NUMBER = re.compile(
    r"[^0-9+*#]*(\+?)[\s()\[\]./-]*([0-9][0-9\s()\[\]./~-]*[0-9])[\s)\]./-]*([^0-9]*)"
).fullmatch
_ONE_ZERO = re.compile(r"0(?!0)").match


def _national(digits: str, region: str) -> str | None:
    """The number with its calling code, if the region's numbering plan has it."""
    plan = _plan(region)
    if plan is None:
        return None
    international = "" if _ONE_ZERO(digits) else digits.lstrip("0")
    if international.startswith(plan.calling_code):
        rest = international.removeprefix(plan.calling_code)
        if plan.is_usual(rest) or _valid_international(international) == international:
            return international
    if plan.is_plain:
        rest = digits.removeprefix(plan.trunk_prefix or "")
        if plan.is_usual(rest):
            return plan.calling_code + rest
    return _valid(digits, region)


class _Plan(NamedTuple):
    """One region's numbering plan: enough to read its usual numbers without the library."""

    calling_code: str
    trunk_prefix: str | None
    is_plain: bool
    is_usual: Callable[[str], re.Match[str] | None]
    is_possible: Callable[[str], re.Match[str] | None]


@lru_cache(512)
def _plan(region: str) -> _Plan | None:
    calling_code = phonenumbers.country_code_for_region(region)
    data = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    if not calling_code or data is None or data.general_desc is None:
        return None
    usual = [kind.national_number_pattern for kind in (data.mobile, data.fixed_line) if kind]
    return _Plan(
        str(calling_code),
        data.national_prefix,
        data.national_prefix_for_parsing == data.national_prefix,
        re.compile("|".join(f"(?:{pattern})" for pattern in usual if pattern)).fullmatch,
        re.compile(data.general_desc.national_number_pattern or "").fullmatch,
    )


@cache
def _calling_codes() -> Mapping[str, str]:
    """Three leading digits → the calling code in them. No calling code begins with another."""
    codes = set(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
    beginnings = map(str, range(100, 1000))
    return {
        begun: begun[:length]
        for begun in beginnings
        for length in (1, 2, 3)
        if begun[:length] in codes
    }


def _split(digits: str) -> tuple[str, str] | None:
    """Calling code and the rest."""
    code = _calling_codes().get(digits[:3])
    return (code, digits[len(code) :]) if code else None


def _region_of(calling_code: str) -> str:
    """The region whose plan speaks for all that share the calling code."""
    return phonenumbers.region_code_for_country_code(int(calling_code))


def _without_trunk_zero(calling_code: str, rest: str) -> str:
    """Italy's zero is part of the number; Britain's is dialled within the country only."""
    plan = _plan(_region_of(calling_code))
    if plan is None or (plan.trunk_prefix is None and plan.is_possible(rest)):
        return calling_code + rest
    return calling_code + rest.lstrip("0")


def _valid_international(digits: str) -> str | None:
    """The number, without a trunk zero, if its country's numbering plan has it."""
    parts = _split(digits)
    if parts is None:
        return None
    plan = _plan(_region_of(parts[0]))
    return digits if plan and plan.is_usual(parts[1]) else _valid(f"+{digits}", None)


@lru_cache(8192)
def _valid(text: str, region: str | None) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]


def is_placeholder(visible: str) -> bool:
    """Whether a program wrote this where it had no value."""
    return visible.lower() in _PLACEHOLDERS


def is_encodable(text: str) -> bool:
    """Whether the text has a UTF-8 form; half of a surrogate pair has none."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return True


def _hashed(
    text: str,
    read: Callable[[str], str | DropReason],
    placeholders: frozenset[str] = _PLACEHOLDERS,
) -> Outcome:
    """What every key has in common; ``read`` answers "" for what it cannot make sense of."""
    visible = visible_part(text)
    if not visible:
        return None
    if known := _hash_or_unusable(visible, placeholders):
        return known
    normal = read(visible)
    if isinstance(normal, DropReason):
        return normal
    return _sha256(normal) if normal else DropReason.MALFORMED


def _sha256(text: str) -> str | DropReason:
    try:
        return sha256(text.encode()).hexdigest()
    except UnicodeEncodeError:  # half of a surrogate pair: no UTF-8, so nothing to hash
        return DropReason.MALFORMED


def _hash_or_unusable(
    visible: str, placeholders: frozenset[str] = _PLACEHOLDERS
) -> str | DropReason | None:
    """A text that is already a hash, or that never was a value; None for everything else."""
    if len(visible) < 32:
        return DropReason.PLACEHOLDER if visible.lower() in placeholders else None
    if known := _sha256_or_none(visible):
        return known
    return DropReason.UNKNOWN_HASH if _HEX(visible) else None


def _sha256_or_none(visible: str) -> str | DropReason | None:
    """A SHA-256, never hashed twice; its appendix is case-sensitive and stays as it is."""
    match = _SHA256(visible)
    if match is None:
        return None
    digest = match[1].lower()
    return DropReason.PLACEHOLDER if digest == _SHA256_OF_NOTHING else digest + match[2]


_SHA256 = re.compile(
    r"([0-9A-Fa-f]{64})((?:\.(?:[A-Za-z0-9_-]{8}|A[Qgw]|B[AQg]))?)"  # Meta's parameter builder
).fullmatch
_HEX = re.compile(r"[0-9A-Fa-f]{32,}").fullmatch  # MD5, SHA-1, SHA-512, or one cut short
_SHA256_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def visible_part(text: str) -> str:
    """Trimmed, and without the characters that nobody sees (category Cf: BOM, zero width)."""
    if text.isascii():
        return text.strip()
    return "".join(c for c in text if unicodedata.category(c) != "Cf").strip()


def _plain(visible: str) -> str:
    """Digits of any script, full-width forms and dashes as ASCII writes them."""
    if visible.isascii():
        return visible
    return "".join(map(_plain_character, unicodedata.normalize("NFKC", visible)))


def _plain_character(character: str) -> str:
    if (digit := unicodedata.decimal(character, None)) is not None:
        return str(digit)
    if unicodedata.category(character) == "Pd" or character == "\N{MINUS SIGN}":
        return "-"
    return character


def _letters_and_digits(visible: str) -> str:
    lowered = visible.lower()
    if lowered.isascii():
        return lowered if lowered.isalnum() else lowered.translate(_NOT_ALPHANUMERIC)
    # Lower-casing the Turkish İ leaves a dot above; a browser's "i" has none.
    composed = unicodedata.normalize("NFC", lowered).replace("i\u0307", "i")
    kept = "".join(filter(_is_part_of_a_name, composed))
    return kept if any(map(str.isalnum, kept)) else ""


def _letters(visible: str) -> str:
    kept = _letters_and_digits(visible)
    if not kept.isalpha():
        kept = "".join(c for c in kept if unicodedata.category(c)[0] != "N")
    return kept if any(map(str.isalpha, kept)) else ""


_NOT_ALPHANUMERIC = {code: None for code in range(128) if not chr(code).isalnum()}


def _is_part_of_a_name(character: str) -> bool:
    """Not space, punctuation, symbol or control, and not what picks an emoji's colour."""
    category = unicodedata.category(character)
    return category[0] not in "ZPS" and category not in {"Cc", "Cf"} and character not in _SELECTORS


_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))


def _folded(text: str) -> str:
    """Letters and digits alone, in lower case and without accents: for looking up names."""
    lowered = text.lower()
    if not lowered.isascii():
        lowered = unicodedata.normalize("NFKD", lowered)
    return lowered if lowered.isalnum() else "".join(filter(str.isalnum, lowered))


@cache
def _states(country_code: str | None) -> Mapping[str, str]:
    """Folded names of states → their codes, of one country or (None) of both that have codes."""
    if country_code is None:
        return {**_states("ca"), **_states("us")}
    if country_code not in _STATE_ALIASES:
        return {}
    names = {
        _folded(division.name): division.code.partition("-")[2].lower()
        for division in pycountry.subdivisions
        if division.country_code.lower() == country_code
    }
    return {**names, **_STATE_ALIASES[country_code]}


_STATE_ALIASES: Mapping[str, Mapping[str, str]] = {
    "us": {
        "washingtondc": "dc",
        "virginislands": "vi",
        "usvirginislands": "vi",
        "unitedstatesvirginislands": "vi",
        "northernmarianas": "mp",
    },
    "ca": {"newfoundland": "nl", "labrador": "nl", "yukonterritory": "yt"},
}


@cache
def _countries() -> Mapping[str, str]:
    """Folded alpha-2, alpha-3 and English names → alpha-2."""
    found: dict[str, str] = {}
    for entry in pycountry.countries:
        code = entry.alpha_2.lower()
        for attribute in ("alpha_2", "alpha_3", "name", "official_name", "common_name"):
            for name in _name_forms(getattr(entry, attribute, "")):
                found[_folded(name).removeprefix("the")] = code
    return {**found, **_COUNTRY_ALIASES}


def _name_forms(name: str) -> Iterator[str]:
    """``Iran, Islamic Republic of`` is also written the other way round, ``Saint`` also ``St``."""
    if not name:
        return
    head, _, tail = name.partition(", ")
    for form in (name, f"{tail} {head}" if tail else name, re.sub(r"\s*\(.*\)", "", name)):
        yield form
        yield re.sub(r"^Saint\b", "St", form)


_COUNTRY_ALIASES = {
    **dict.fromkeys(("uk", "greatbritain", "britain", "england", "scotland", "wales"), "gb"),
    **dict.fromkeys(("northernireland", "unitedkingdomgreatbritain"), "gb"),
    **dict.fromkeys(("america", "usofa", "unitedstatesamerica"), "us"),
    **dict.fromkeys(("korea", "rok"), "kr"),
    **dict.fromkeys(("drc", "drcongo", "congokinshasa", "democraticrepublicofcongo"), "cd"),
    **dict.fromkeys(("congobrazzaville", "republicofcongo"), "cg"),
    **dict.fromkeys(("uae", "emirates"), "ae"),
    **dict.fromkeys(("ksa", "saudi"), "sa"),
    **dict.fromkeys(("prc", "mainlandchina"), "cn"),
    **dict.fromkeys(("eire", "southernireland"), "ie"),
    **dict.fromkeys(("vatican", "vaticancity"), "va"),
    **dict.fromkeys(("usvirginislands", "unitedstatesvirginislands", "usvi"), "vi"),
    **dict.fromkeys(("palestine", "palestinianterritories", "palestinianterritory"), "ps"),
    "bosnia": "ba",
    "brunei": "bn",
    "burma": "mm",
    "capeverde": "cv",
    "czech": "cz",
    "easttimor": "tl",
    "falklands": "fk",
    "holland": "nl",
    "ivorycoast": "ci",
    "laos": "la",
    "macau": "mo",
    "macedonia": "mk",
    "micronesia": "fm",
    "russia": "ru",
    "southkorea": "kr",
    "northkorea": "kp",
    "swaziland": "sz",
    "syria": "sy",
    "turkey": "tr",
    "vietnam": "vn",
}

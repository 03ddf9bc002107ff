"""Phone numbers: what a publisher wrote → E.164 without the plus, hashed.

Meta asks for the calling code in front of every number. International numbers need no more than
their digits; national ones are read by the numbering plan of the event's country. Those that need
the library (25 µs each) are remembered, in a number that is bounded.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial
from typing import NamedTuple

import phonenumbers

from consumer.hashing import Outcome, hash_of, hashed
from consumer.model import DropReason
from consumer.normalise import plain


def phone(text: str, region: str | None) -> Outcome:
    """Digits with the calling code in front, no ``+``; ``region`` reads national numbers."""
    if text[:1] == "+" and text.isascii():
        digits = text[1:]
        if not digits.isdecimal():
            digits = digits.translate(_PHONE_SEPARATORS)
        if 8 <= len(digits) <= 15 and digits.isdecimal():
            parts = _split(digits)
            if parts and not parts[1].startswith("0"):
                return hash_of(digits)
    return hashed(text, partial(_phone, region=region))


_PHONE_SEPARATORS = str.maketrans("", "", " \t\r\n-./()")


def _phone(visible: str, region: str | None) -> str | DropReason:
    number = _NUMBER(_EXTENSION("", plain(visible)))
    if number is None:
        return DropReason.MALFORMED
    digits = "".join(filter(str.isdecimal, number[2]))
    significant = digits.lstrip("0")
    if not 7 <= len(significant) <= 15:
        return DropReason.MALFORMED
    if number[1] or (region is None and digits.startswith("00")):
        parts = _split(significant)
        found = _without_trunk_zero(*parts) if parts else None
        # What stands behind it may be the rest of a number in words, or of a masked one; one zero
        # behind the plus may be a trunk prefix, and the calling code missing.
        unsure = bool(number[3].strip()) or _ONE_ZERO(digits) is not None
        if found and (len(found) < 8 or unsure) and _valid_international(found) != found:
            return DropReason.MALFORMED
        return found or DropReason.MALFORMED
    found = _national(digits, region.upper()) if region else None
    # One zero is a country's trunk prefix, more are an exit code.
    if found is None and len(significant) >= 11 and not _ONE_ZERO(digits):
        found = _valid_international(significant)
    # Germany's plan has national numbers of 14 digits, but E.164 has no more than 15 in all.
    return found if found and len(found) <= 15 else DropReason.PHONE_WITHOUT_COUNTRY


# An extension, or the decimals of a spreadsheet's number.
_EXTENSION = re.compile(
    r"(?:;[a-z-]+=.*|[\s;,]*(?:,|\bext(?:ension|n)?|x|#)[\s.:=]*[0-9]{1,7}\s*#?|(?<=[0-9]{7})\.0)$",
    re.IGNORECASE,
).sub
# A label, the plus, the number, and what follows it. A letter within it makes it no number.
_NUMBER = re.compile(
    r"[^0-9+*#]*(\+*)[\s()\[\]./-]*([0-9][0-9\s()\[\]./~_·•-]*[0-9])[\s()\[\]./-]*([^0-9]*)"
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
    plan = _plan(_region_of(calling_code)) if rest.startswith("0") else None
    if plan is None or (plan.trunk_prefix is None and plan.is_possible(rest)):
        return calling_code + rest
    # Hungary's trunk prefix is 06: the zero does not come alone.
    return calling_code + rest.removeprefix(plan.trunk_prefix or "").lstrip("0")


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

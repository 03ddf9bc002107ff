"""One function per hashed match key that is text: a publisher's text → the hash Meta can match.

Every public reading here, in ``phone`` and in ``places`` is pure, takes the text as the publisher
wrote it, and answers with an ``Outcome``: the finished value (64 hex digits, with the appendix of
Meta's own parameter builder if it came with one), why the text is of no use, or None when there is
nothing in it. The rules are Meta's page "Customer information parameters"; where it is silent, a
wrong hash is worse than none.

Each ends in one SHA-256. What few people share (e-mail, external id) is computed each time; what
many share is remembered, in numbers that are bounded. ``TEXT_LENGTH_MAX``, which callers keep,
bounds the bytes of it, and the steps of the patterns.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date
from functools import lru_cache, partial

from consumer.hashing import (
    NO_NAMES,
    PLACEHOLDERS,
    Outcome,
    hash_of,
    hash_or_unusable,
    hashed,
    is_encodable,
    sha256_or_none,
    visible_part,
)
from consumer.model import DropReason


def email(text: str) -> Outcome:
    """Trimmed and in lower case; dots and ``+tags`` stay, because Meta does not fold them."""
    visible = visible_part(text)
    lowered = visible.lower()
    if not lowered.isascii():
        lowered = unicodedata.normalize("NFC", lowered)
    if _EMAIL(lowered):
        return hash_of(lowered)
    return hash_or_unusable(visible) or DropReason.MALFORMED if visible else None


_NOT_IN_EMAIL = r"\s\x00-\x1f\x7f-\x9f@<>()\[\],;:\\\""
_LABEL = rf"[^{_NOT_IN_EMAIL}.!#$%&'*+/=?^`{{|}}~]+"
_EMAIL = re.compile(rf"[^{_NOT_IN_EMAIL}]+@{_LABEL}(?:\.{_LABEL})+").fullmatch


@lru_cache(16384)
def first_name(text: str) -> Outcome:
    """Letters, marks and digits of any script, in lower case, accents kept."""
    return hashed(text, letters_and_digits)


@lru_cache(16384)
def last_name(text: str) -> Outcome:
    """As the first name, but Null and None are people's names."""
    return hashed(text, letters_and_digits, NO_NAMES)


@lru_cache(16384)
def city(text: str) -> Outcome:
    """Letters of any script, in lower case, accents kept; digits go too."""
    return hashed(text, letters)


@lru_cache(65536)
def date_of_birth(text: str, day_first: bool, today: date) -> Outcome:
    """``YYYYMMDD`` of a real date from 1900 to today.

    The year comes first, or last: then dots mean D.M.Y, and slashes, dashes and spaces M/D/Y unless
    only D/M/Y is a date. ``day_first`` turns that preference round.
    """
    return hashed(text, partial(_date_of_birth, day_first=day_first, today=today))


def _date_of_birth(visible: str, day_first: bool, today: date) -> str:
    for year, month, day in _dates(plain(visible), day_first):
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


_TIME = r"(?:[T ] ?[0-9]{1,2}(?::?[0-9]{2}).*)?"
_YYYYMMDD = re.compile(rf"([0-9]{{4}})([0-9]{{2}})([0-9]{{2}}){_TIME}").fullmatch
_SEPARATED = re.compile(
    rf"([0-9]{{1,4}}) ?([-/. ]) ?([0-9]{{1,2}}) ?\2 ?([0-9]{{1,4}})\.?{_TIME}"
).fullmatch


@lru_cache(1024)
def gender(text: str) -> Outcome:
    """``f`` or ``m``; Meta has no third, so other answers are left out."""
    return hashed(text, _gender)


def _gender(visible: str) -> str:
    word = plain(visible).lower().rstrip(".")
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
    return _external_id(text, lambda visible: hash_of("".join(visible.split()).lower()))


def external_id_exact(text: str) -> Outcome:
    """Trimmed, otherwise exactly as it is written, then hashed."""
    return _external_id(text, hash_of)


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
    if len(visible) >= 64 and (known := sha256_or_none(visible)):
        return known
    return finish(visible)


def _is_shared_id(visible: str) -> bool:
    """Whether many people would carry this id: it would merge strangers into one person."""
    return visible.strip("0-") == "" or visible.lower() in _SHARED_IDS


_SHARED_IDS = PLACEHOLDERS | {"nan", "nil", "-1", "anonymous", "guest", "[object object]"}


def plain(visible: str) -> str:
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


def letters_and_digits(visible: str) -> str:
    """Letters, marks and digits of any script, in lower case; "" if there is but a mark."""
    lowered = visible.lower()
    if lowered.isascii():
        return lowered if lowered.isalnum() else lowered.translate(_NOT_ALPHANUMERIC)
    # Lower-casing the Turkish İ leaves a dot above; a browser's "i" has none.
    composed = unicodedata.normalize("NFC", lowered).replace("i\u0307", "i")
    kept = "".join(filter(_is_part_of_a_name, composed))
    # What stood between a letter and its accent is gone now.
    return unicodedata.normalize("NFC", kept) if any(map(str.isalnum, kept)) else ""


def letters(visible: str) -> str:
    """Letters and marks of any script, in lower case; "" if there is no letter."""
    kept = letters_and_digits(visible)
    if not kept.isalpha():
        kept = "".join(c for c in kept if unicodedata.category(c)[0] != "N")
        kept = unicodedata.normalize("NFC", kept)
    return kept if any(map(str.isalpha, kept)) else ""


_NOT_ALPHANUMERIC = {code: None for code in range(128) if not chr(code).isalnum()}


def _is_part_of_a_name(character: str) -> bool:
    """Not space, punctuation, symbol or control; what is invisible has gone already."""
    category = unicodedata.category(character)
    return category[0] not in "ZPS" and category != "Cc"

"""Places: country, state and postal code, and the tables of names that they are read by.

The names are ISO 3166's, with the ones that people write besides; a name is matched as a whole,
without case, accents and punctuation, and never searched for within a text.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache, partial
from typing import NamedTuple

import pycountry

from consumer.hashing import Outcome, hash_of, hash_or_unusable, hashed, visible_part
from consumer.model import DropReason
from consumer.normalise import letters, plain


@lru_cache(4096)
def state(text: str, region: str | None) -> Outcome:
    """The two letters of a US or Canadian state; elsewhere its letters in lower case, uncut.

    Without a region the names of both countries are known. ISO 3166-2 codes lose their country.
    """
    return hashed(text, partial(_state, region=region))


def _state(visible: str, region: str | None) -> str:
    code = _ISO_3166_2(plain(visible))
    # La-Paz is a name, LA-XA a province of Laos.
    if code and code[1].lower() in _countries() and (visible.isupper() or visible.islower()):
        visible = code[2]
    kept = letters(visible)
    code_of = _states(None if region is None else _US_REGIONS.get(region, region))
    return code_of.get(_folded(kept), kept)


_ISO_3166_2 = re.compile(r"([A-Za-z]{2})-([A-Za-z0-9]{1,3})").fullmatch
_US_REGIONS = dict.fromkeys(("us", "as", "gu", "mp", "pr", "um", "vi"), "us")


@lru_cache(16384)
def postal_code(text: str, region: str | None) -> Outcome:
    """Letters and digits in lower case, without a country's prefix and what follows a dash.

    Those of the United States are their first five digits, and must have them.
    """
    return hashed(text, partial(_postal_code, region=region))


def _postal_code(visible: str, region: str | None) -> str:
    compact = _COUNTRY_PREFIX("", "".join(plain(visible).lower().split()))
    if region in _US_REGIONS:
        whole = _FIVE_DIGITS(compact)
        return whole[1] if whole else ""
    before, _, after = compact.partition("-")
    # A short beginning is no code of its own: Poland writes 00-950.
    kept = before if len(before) >= 3 else before + after.replace("-", "")
    return kept if len(kept) >= 2 and kept.isascii() and kept.isalnum() else ""


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
    if known := hash_or_unusable(visible):
        return _Country(None, known)
    name = _folded(visible.replace("&", "and")).removeprefix("the")
    # N.A. is not Namibia: of short names, few are written with dots.
    is_name = len(name) > 3 or visible.isalpha() or name in _DOTTED
    code = _countries().get(name) if is_name else None
    return _Country(code, hash_of(code) if code else DropReason.MALFORMED)


_DOTTED = frozenset({"us", "usa", "uk", "gb", "uae", "drc", "prc"})


def warm_up() -> None:
    """Load the tables now: the first record to need them would wait (75 ms)."""
    _countries()
    _states(None)


def _folded(text: str) -> str:
    """Letters and digits alone, in lower case and without accents: for looking up names."""
    lowered = text.lower()
    if not lowered.isascii():
        lowered = unicodedata.normalize("NFKD", lowered)
    return lowered if lowered.isalnum() else "".join(filter(str.isalnum, lowered))


@cache
def _states(country_code: str | None) -> Mapping[str, str]:
    """Folded names and codes of states → codes, of one country or (None) of both that have them."""
    if country_code is None:
        return {**_states("ca"), **_states("us")}
    if country_code not in _STATE_ALIASES:
        return {}
    codes = {
        division.code.partition("-")[2].lower(): _folded(division.name)
        for division in pycountry.subdivisions
        if division.country_code.lower() == country_code
    }
    names = {name: code for code, name in codes.items()}
    return {**{code: code for code in codes}, **names, **_STATE_ALIASES[country_code]}


_STATE_ALIASES: Mapping[str, Mapping[str, str]] = {
    "us": {
        "washingtondc": "dc",
        "virginislands": "vi",
        "usvirginislands": "vi",
        "unitedstatesvirginislands": "vi",
        "northernmarianas": "mp",
        "commonwealthofthenorthernmarianaislands": "mp",
    },
    "ca": {
        **dict.fromkeys(("newfoundland", "labrador", "newfoundlandlabrador"), "nl"),
        "pei": "pe",
        "nwt": "nt",
        "yukonterritory": "yt",
    },
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
    **dict.fromkeys(("eire", "southernireland", "republicofireland"), "ie"),
    **dict.fromkeys(("hongkongsar", "hongkongsarchina"), "hk"),
    **dict.fromkeys(("macau", "macausar", "macaosar", "macaosarchina"), "mo"),
    **dict.fromkeys(("vatican", "vaticancity"), "va"),
    **dict.fromkeys(("usvirginislands", "unitedstatesvirginislands", "usvi"), "vi"),
    **dict.fromkeys(("palestine", "palestinianterritories", "palestinianterritory"), "ps"),
    "antigua": "ag",
    "bahamasthe": "bs",
    "bosnia": "ba",
    "brunei": "bn",
    "burma": "mm",
    "capeverde": "cv",
    "czech": "cz",
    "easttimor": "tl",
    "falklands": "fk",
    "gambiathe": "gm",
    "holland": "nl",
    "ivorycoast": "ci",
    "laos": "la",
    "macedonia": "mk",
    "micronesia": "fm",
    "russia": "ru",
    "southkorea": "kr",
    "northkorea": "kp",
    "swaziland": "sz",
    "syria": "sy",
    "trinidad": "tt",
    "turkey": "tr",
    "vietnam": "vn",
}

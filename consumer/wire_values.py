"""One value → what Meta takes of it, or None when it is malformed. None of them raises.

What can be repaired without guessing is: the case of a word out of a closed list, the digits of an
amount. Sources: Meta's Conversions API parameter pages, and the enumerations of its business SDK.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import pycountry

from consumer.decode import event_time_ms

Read = Callable[[Any], Any]

QUANTITY_MAX = 10**9

MESSAGING_CHANNELS = ("whatsapp", "messenger", "instagram")
DELIVERY_CATEGORIES = ("in_store", "curbside", "home_delivery")
CONTENT_TYPES = (
    *("product", "product_group"),
    # The catalogues of travel, cars, homes and media have their own.
    *("destination", "flight", "hotel", "home_listing", "media_title", "vehicle", "vehicle_offer"),
)
CUSTOMER_SEGMENTS = (
    *(
        f"{kind}_customer_to_{whom}"
        for kind in ("new", "existing")
        for whom in ("business", "business_line", "product_area", "medium")
    ),
    "customer_in_loyalty_program",
)
ATTRIBUTION_MODELS = (
    *("last_click", "last_touch", "first_touch", "linear", "position_based", "time_decay"),
    *("customized_multi_touch", "unknown"),
)
ATTRIBUTION_METHODS = ("ard", "deeplink", "gpir", "invalid_response", "mir", "srn")
DECLINE_REASONS = (
    *("attribute_to_other_source", "duplicated", "fraud_detected", "inactive", "lookback"),
    *("min_time_between_re_engagements", "not_pmod_match", "out_of_lookback_window"),
    *("pmod_disabled", "preload_install", "reinstall_attribution_disabled", "unknown"),
    *("validation_rule_detected", "view_through_disabled", "within_inactive_window"),
)
_EXTINFO_POSITIONS = 16
_EXTINFO_VERSIONS = ("a2", "i2")


def nothing(_: Any) -> None:
    """For fields of one plain type: whatever is of another is malformed."""


def digits(value: Any) -> str | None:
    """A whole number where a text belongs is its digits, as people write ids without quotes."""
    return str(value) if type(value) is int else None


def flag(value: Any) -> bool | None:
    """True or false, where a text might stand as well."""
    return value if isinstance(value, bool) else None


def one_of(words: tuple[str, ...]) -> Read:
    """A word out of a closed list of Meta's, which are all in lower case."""
    known = frozenset(words)

    def read(value: Any) -> str | None:
        word = value.strip().lower() if isinstance(value, str) else ""
        return word if word in known else None

    return read


def money(value: Any) -> float | int | None:
    """An amount with at most six decimals, None for what is none: NaN, infinite or negative.

    Rounding keeps 0.1 + 0.2 from leaving as 0.30000000000000004.
    """
    if type(value) is not float and type(value) is not int:
        return None
    if not math.isfinite(value) or value < 0:
        return None
    return round(value, 6)


def share(value: Any) -> float | int | None:
    """A part of a whole, from 0 to 1."""
    amount = money(value)
    return amount if amount is not None and amount <= 1 else None


def currency(value: Any) -> str | None:
    """An ISO 4217 code in capitals, None for anything else."""
    code = value.strip().upper() if isinstance(value, str) else ""
    return code if code in _currencies() else None


@cache
def _currencies() -> frozenset[str]:
    return frozenset(entry.alpha_3 for entry in pycountry.currencies)


def count(value: Any) -> int | None:
    """A whole number that somebody may have counted."""
    if type(value) is not int or not 0 <= value <= QUANTITY_MAX:
        return None
    return value


def texts(value: Any) -> list[str] | None:
    """A list of texts, without the empty ones."""
    if not isinstance(value, list):
        return None
    found = [each if isinstance(each, str) else digits(each) for each in value]
    return None if None in found else [each for each in found if each] or None


def seconds(value: Any) -> int | None:
    """Unix seconds of a time in milliseconds; too small a number for that is in seconds."""
    moment_ms = event_time_ms(value, 0) if type(value) is int else None
    return moment_ms // 1000 if moment_ms is not None and moment_ms > 0 else None


def extinfo(value: Any) -> list[str] | None:
    """Meta's device information: 16 positions, of which the version of the list (a2 Android, i2
    iOS) and that of the operating system must be there (its error 2804043 otherwise)."""
    if not isinstance(value, list) or len(value) != _EXTINFO_POSITIONS:
        return None
    if not all(isinstance(each, str) for each in value):
        return None
    return value if value[0] in _EXTINFO_VERSIONS and value[4].strip() else None

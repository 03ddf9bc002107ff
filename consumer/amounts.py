"""What accepted events are worth: which value may be added up, and why another may not. Pure.

Values of different currencies are never one sum, and a counter never falls.
"""

import math
from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any, NamedTuple

from consumer.model import Amount

VALUE_MAX = 1e15
"""A value above it is none: beside it a sum of floating-point numbers would lose its cents."""


class UnusableValue(Enum):
    """Why an accepted event's value is not added up; the value is a label."""

    NEGATIVE = "negative"
    NOT_FINITE = "not_finite"
    TOO_LARGE = "too_large"
    NO_CURRENCY = "no_currency"
    OTHER_CURRENCY = "other_currency"


class Usable(NamedTuple):
    """A value that may be added up."""

    value: float
    currency: str


def amount_of(fields: Mapping[str, Any], custom: Mapping[str, Any]) -> Amount | None:
    """The amount of an event with these ``fields``, of which Meta gets ``custom``; None for none.

    A number that was left out of ``custom``, as negative ones and those that are not finite are,
    is an amount as well: somebody should hear of it.
    """
    value = custom.get("value", fields.get("value"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return Amount(value, custom.get("currency"))


def usable_amount(amount: Amount, currencies: Collection[str]) -> Usable | UnusableValue:
    """The amount, if it is one that can be added up in one of ``currencies``."""
    value, currency = amount
    if not math.isfinite(value):
        return UnusableValue.NOT_FINITE
    if value < 0:
        return UnusableValue.NEGATIVE
    if value > VALUE_MAX:
        return UnusableValue.TOO_LARGE
    if currency is None:
        return UnusableValue.NO_CURRENCY
    if currency not in currencies:
        return UnusableValue.OTHER_CURRENCY
    return Usable(value, currency)

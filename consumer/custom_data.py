"""What the event is worth and what was bought: Meta's ``custom_data``.

Rules: Meta's "custom data parameters" page. A named field is never overwritten by a free one.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson
import pycountry

from consumer.model import Dropped, DropReason
from consumer.wire_fields import CUSTOM_DATA, ITEM, MONEY, renamed

QUANTITY_MAX = 10**9


def custom_data(
    fields: Mapping[str, Any], *, from_crm: bool, dropped: list[Dropped]
) -> dict[str, Any]:
    """``custom_data`` of one event; what had to be left out is appended to ``dropped``."""
    data: dict[str, Any] = {}
    get = fields.get
    for ours, metas in MONEY:
        given = get(ours)
        if given is not None:
            amount = money(given)
            if amount is None:
                dropped.append(Dropped(ours, DropReason.MALFORMED))
            else:
                data[metas] = amount
    given = get("currency")
    if given:
        code = currency(given)
        if code is None:
            dropped.append(Dropped("currency", DropReason.MALFORMED))
        else:
            data["currency"] = code
    data.update(renamed(fields, CUSTOM_DATA))
    if get("items"):
        _add_items(data, fields["items"], dropped)
    if from_crm:
        _add_lead_source(data, fields)
    _merge_free(data, fields, dropped)
    return data


def money(value: Any) -> float | int | None:
    """An amount with at most six decimals, None for what is none: NaN, infinite or negative.

    Rounding keeps 0.1 + 0.2 from leaving as 0.30000000000000004.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or value < 0:
        return None
    return round(value, 6)


def currency(value: Any) -> str | None:
    """An ISO 4217 code in capitals, None for anything else."""
    code = value.strip().upper() if isinstance(value, str) else ""
    return code if code in _currencies() else None


@cache
def _currencies() -> frozenset[str]:
    return frozenset(entry.alpha_3 for entry in pycountry.currencies)


def _add_items(data: dict[str, Any], items: Any, dropped: list[Dropped]) -> None:
    contents: list[dict[str, Any]] = []
    for item in items:
        if not isinstance(item, Mapping):
            dropped.append(Dropped("items", DropReason.MALFORMED))
            continue
        content = renamed(item, ITEM)
        quantity = content.get("quantity")
        if quantity is not None and not 0 <= quantity <= QUANTITY_MAX:
            del content["quantity"]
            dropped.append(Dropped("items.quantity", DropReason.MALFORMED))
        price = item.get("price")
        if price is not None:
            amount = money(price)
            if amount is None:
                dropped.append(Dropped("items.price", DropReason.MALFORMED))
            else:
                content["item_price"] = amount
        contents.append(content)
    ids = [content["id"] for content in contents if "id" in content]
    if contents:
        data["contents"] = contents
        data.setdefault("content_type", "product")
        data.setdefault("num_items", sum(content.get("quantity", 1) for content in contents))
    if ids:
        data.setdefault("content_ids", ids)


def _add_lead_source(data: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """Conversion Leads: an event of a CRM says so, and which CRM it is."""
    source = fields.get("leadEventSource")
    user = fields.get("user")
    if source or (isinstance(user, Mapping) and user.get("leadId")):
        data["event_source"] = "crm"
        if source:
            data["lead_event_source"] = source


def _merge_free(data: dict[str, Any], fields: Mapping[str, Any], dropped: list[Dropped]) -> None:
    for name in ("customData", "customNumbers", "customDataJson"):
        given = fields.get(name)
        if not given:
            continue
        free = _free_object(given)
        if free is None:
            dropped.append(Dropped(name, DropReason.MALFORMED))
            continue
        for key, value in free.items():
            if key in data:
                dropped.append(Dropped(name, DropReason.COLLISION))
            elif not _is_sendable(value):
                dropped.append(Dropped(name, DropReason.MALFORMED))
            else:
                data[key] = value


def _free_object(given: Any) -> Mapping[str, Any] | None:
    if isinstance(given, str):
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError:
            return None
    if not isinstance(given, Mapping):
        return None
    try:
        orjson.dumps([[given]])  # as deep as it lies within the event
    except TypeError:  # nested deeper than can be written, say
        return None
    return given


def _is_sendable(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))

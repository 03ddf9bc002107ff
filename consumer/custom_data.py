"""What the event is worth and what was bought: Meta's ``custom_data``.

Rules: Meta's "custom data parameters" page. A named field is never overwritten by a free one.
"""

import math
from collections.abc import Mapping
from typing import Any

import orjson

from consumer.model import Dropped, DropReason
from consumer.wire_fields import CUSTOM_DATA, ITEM, WireField, taken
from consumer.wire_values import digits


def custom_data(
    fields: Mapping[str, Any], *, from_crm: bool, dropped: list[Dropped]
) -> dict[str, Any]:
    """``custom_data`` of one event; what had to be left out is appended to ``dropped``."""
    get = fields.get
    data = taken(fields, CUSTOM_DATA, "", dropped)
    if get("items"):
        _add_items(data, fields["items"], dropped)
    if from_crm:
        _add_lead_source(data, fields)
    elif get("leadEventSource"):
        dropped.append(Dropped("leadEventSource", DropReason.NOT_FROM_CRM))
    _merge_free(data, fields, dropped)
    return data


def _add_items(data: dict[str, Any], items: Any, dropped: list[Dropped]) -> None:
    contents: list[dict[str, Any]] = []
    for item in items if isinstance(items, list) else [None]:
        content = taken(item, ITEM, "items.", dropped) if isinstance(item, Mapping) else None
        if content:
            contents.append(content)
        else:
            dropped.append(Dropped("items", DropReason.MALFORMED))
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
                continue
            sent = _sendable(key, value)
            if sent is None:
                dropped.append(Dropped(name, DropReason.MALFORMED))
            else:
                data[key] = sent


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


def _sendable(key: str, value: Any) -> Any:
    """What is sent of a free property, None for nothing. Under a name of Meta's it must be what
    Meta takes there, or one property would have the whole request refused."""
    if key == "contents":
        return _contents(value)
    field = _BY_METAS_NAME.get(key)
    if field is not None:
        return _read(field, value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _contents(value: Any) -> list[dict[str, Any]] | None:
    """The publisher's own ``contents``: all of it, or nothing when anything is amiss."""
    if not isinstance(value, list) or not value:
        return None
    contents = []
    for item in value:
        if not isinstance(item, Mapping) or not item.keys() <= _ITEM_BY_METAS_NAME.keys():
            return None
        content = {key: _read(_ITEM_BY_METAS_NAME[key], each) for key, each in item.items()}
        if not content or None in content.values():
            return None
        contents.append(content)
    return contents


def _read(field: WireField, value: Any) -> Any:
    return value if type(value) is field.plain else field.read(value)


_LEAD_SOURCES = (
    WireField("", "event_source", str, digits),
    WireField("leadEventSource", "lead_event_source", str, digits),
)
_BY_METAS_NAME = {field.metas: field for field in (*CUSTOM_DATA, *_LEAD_SOURCES)}
_ITEM_BY_METAS_NAME = {field.metas: field for field in ITEM}

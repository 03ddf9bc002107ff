"""The fields of an event → the same ones fit to be shown: personal data masked. Pure.

What the schema tags as personal is masked whatever it is, and so is what the schema does not know.
Of free properties and texts what looks like a person's is masked. Which fields are filled in can
still be seen: None and the empty text stay.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from consumer.dead_letter import masked
from consumer.origin import MASKED
from consumer.schema_plan import event_schema

DEPTH_MAX = 20
_FREE = {"customData", "customNumbers", "customDataJson"}
_SAFE = {"destinationId", "eventId"}
_HASH = re.compile(r"[0-9A-Fa-f]{64}")
_PERSONAL_NAMES = frozenset(
    (  # as one word each, without what is no letter
        *("name", "firstname", "lastname", "fullname", "givenname", "familyname", "surname"),
        *("nickname", "username", "customername", "login", "userid", "customerid", "externalid"),
        *("dob", "birthday", "gender", "address", "street", "city", "zip", "zipcode", "postcode"),
        *("ip", "ipaddress", "useragent", "tel", "iban", "fn", "ln", "em", "ph"),
    )
)
_PERSONAL_PARTS = ("mail", "phone", "mobile", "birth", "passport")


def masked_event(fields: Mapping[str, Any], *, told: frozenset[str]) -> dict[str, Any]:
    """``told`` are the event's id and destination as the dead letter's headers have them, which
    are not masked again."""
    shown = _record(fields, event_schema())
    for name in _SAFE & fields.keys():
        if isinstance(fields[name], str) and fields[name].strip() in told:
            shown[name] = fields[name]
    return shown


def _record(values: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    known = {field["name"]: field for field in schema["fields"]}
    shown: dict[str, Any] = {}
    for name, value in values.items():
        field = known.get(name)
        if field is None or "PII" in field.get("confluent:tags", ()):
            shown[masked(name)] = _hidden(value)
        elif name in _FREE:
            shown[name] = _free_json(value) if name == "customDataJson" else _free(value, "", 0)
        else:
            shown[name] = _shown(value, field["type"])
    return shown


def _shown(value: Any, kind: Any) -> Any:
    match value:
        case str():
            return _text(value)
        case list():
            items = next((each["items"] for each in _kinds(kind) if "items" in each), None)
            return [_shown(each, items) for each in value]
        case Mapping():
            record = next((each for each in _kinds(kind) if "fields" in each), None)
            return _hidden(value) if record is None else _record(value, record)
        case None | bool() | int() | float():
            return value
        case _:
            return MASKED


def _kinds(kind: Any) -> list[Mapping[str, Any]]:
    return [each for each in (kind if isinstance(kind, list) else [kind]) if isinstance(each, dict)]


def _hidden(value: Any) -> Any:
    match value:
        case None | "":
            return value
        case list():
            return [_hidden(each) for each in value]
        case Mapping():
            return {masked(str(name)): _hidden(each) for name, each in value.items()}
        case _:
            return MASKED


def _free(value: Any, name: str, depth: int) -> Any:
    """A free property; ``name`` is that of the nearest one around it."""
    if depth > DEPTH_MAX or _is_personal(name):
        return MASKED if depth > DEPTH_MAX else _hidden(value)
    match value:
        case str():
            return _text(value)
        case list():
            return [_free(each, name, depth + 1) for each in value]
        case Mapping():
            return {
                masked(str(key)): _free(each, str(key), depth + 1) for key, each in value.items()
            }
        case None | bool():
            return value
        case int() | float():
            return value if _text(f"{value:.0f}") != MASKED else MASKED
        case _:
            return MASKED


def _free_json(value: Any) -> Any:
    """A JSON object in a text: as an object, where it is one."""
    if value is None or value == "":
        return value
    try:
        return _free(orjson.loads(value), "", 0)
    except (orjson.JSONDecodeError, TypeError):
        return MASKED


def _text(text: str) -> str:
    if _HASH.search(text) or "%40" in text:
        return MASKED
    address, mark, _ = text.partition("?")
    if mark and re.match("https?://", text):
        return MASKED if masked(address) == MASKED else f"{address}?{MASKED}"
    return masked(text)


@lru_cache(maxsize=1000)
def _is_personal(name: str) -> bool:
    folded = re.sub("[^a-z]", "", name.lower())
    return folded in _PERSONAL_NAMES or any(part in folded for part in _PERSONAL_PARTS)

"""What Meta's error says of the events of a refused request: which of them it may be about.

Meta does not name the bad event, but its subcode names what is wrong with it, and that can be
looked for in the bodies that were sent. What is marked is tried first and never convicted for it,
so a row may mark too many events or miss one: that costs requests, not events. The one *exact*
row is age: Meta documents its limit word for word, and an event can cross it while it waits.
Source: the subcodes of Meta's error reference and of public reports; the rules of its parameter
pages.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from consumer.hashing import sha256_or_none
from consumer.match_keys import is_sufficient
from consumer.model import MetaError, Prepared

AGE_SECONDS_MAX = 7 * 86_400
STORE_AGE_SECONDS_MAX = 62 * 86_400
SKEW_SECONDS = 20 * 60
"""Our own expiry keeps 10 minutes to Meta's limit, so that what Meta still calls too old shows a
clock that is slow by more. Twice that is suspected: the others would expire within 10 minutes."""


def is_exact(error: MetaError) -> bool:
    """Whether those that are suspected for this error are bad, and all others are good, if Meta
    takes a request of the others."""
    return error.subcode == _TOO_OLD


def suspects(error: MetaError, events: Sequence[Prepared], sent_at_ms: int) -> list[Prepared]:
    """The events that ``error`` may be about; empty if it does not tell. ``sent_at_ms`` is when
    the request was sent that it is the answer to, wall-clock milliseconds."""
    if is_exact(error):
        return [event for event in events if _is_too_old(event, sent_at_ms)]
    breaks = _RULES.get(error.subcode or 0)
    return [event for event in events if breaks(_body(event))] if breaks is not None else []


def _is_too_old(event: Prepared, now_ms: int) -> bool:
    age_seconds = (now_ms - event.event_time_ms) / 1000 + SKEW_SECONDS
    if age_seconds <= AGE_SECONDS_MAX:
        return False
    in_store = _body(event).get("action_source") == "physical_store"
    return age_seconds > (STORE_AGE_SECONDS_MAX if in_store else AGE_SECONDS_MAX)


Body = Mapping[str, Any]


def _body(event: Prepared) -> Body:
    try:
        body = orjson.loads(event.body)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _part(body: Body, name: str) -> Body:
    part = body.get(name)
    return part if isinstance(part, dict) else {}


def _lacks_value(body: Body) -> bool:
    value = _part(body, "custom_data").get("value")
    return body.get("event_name") == "Purchase" and type(value) not in (int, float)


def _lacks_currency(body: Body) -> bool:
    currency = _part(body, "custom_data").get("currency")
    fits = isinstance(currency, str) and _THREE_LETTERS(currency) is not None
    return body.get("event_name") == "Purchase" and not fits


def _is_not_hashed(body: Body) -> bool:
    """A hashed key that is no SHA-256, or that of the empty text, which Meta distrusts."""
    for key, value in _part(body, "user_data").items():
        for one in value if isinstance(value, list) else (value,):
            known = sha256_or_none(one) if isinstance(one, str) else None
            if key in _HASHED and not isinstance(known, str):
                return True
    return False


def _has_a_rare_key(body: Body) -> bool:
    """A key that hardly any event has: one that Meta does not know is among them."""
    named = (("user_data", _USER_DATA), ("custom_data", _CUSTOM_DATA))
    if not body.keys() <= _EVENT or any(not _part(body, of).keys() <= keys for of, keys in named):
        return True
    contents = _part(body, "custom_data").get("contents")
    items = contents if isinstance(contents, list) else []
    return any(not isinstance(item, dict) or not item.keys() <= _CONTENT for item in items)


def _knows_too_little(body: Body) -> bool:
    return not is_sufficient(_part(body, "user_data"))


def _is_of_an_app(body: Body) -> bool:
    return body.get("action_source") == "app" or "app_data" in body


def _is_messaging(body: Body) -> bool:
    return body.get("action_source") == "business_messaging" or "messaging_channel" in body


def _has_a_whatsapp_click(body: Body) -> bool:
    return "ctwa_clid" in _part(body, "user_data")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TOO_OLD = 2804003
_RULES: Mapping[int, Callable[[Body], bool]] = {
    2804009: _lacks_value,
    2804010: _lacks_currency,
    2804016: _is_not_hashed,
    2804019: _has_a_rare_key,
    2804043: _is_of_an_app,
    2804050: _knows_too_little,
    2804063: _is_messaging,
    2804066: _is_messaging,
    2804072: _has_a_whatsapp_click,
    2804087: _has_a_whatsapp_click,
    2804116: _is_messaging,
    2804117: _is_messaging,
    2804118: _is_messaging,
    2804132: _is_messaging,
}
_THREE_LETTERS = re.compile(r"[A-Za-z]{3}").fullmatch
_HASHED = _words("em ph fn ln db ge ct st zp country")
_EVENT = _words(
    "event_name event_time event_id action_source event_source_url referrer_url opt_out user_data"
    " custom_data data_processing_options data_processing_options_country"
    " data_processing_options_state"
)
_USER_DATA = _HASHED | _words("external_id client_ip_address client_user_agent fbc fbp lead_id")
_CUSTOM_DATA = _words(
    "value currency content_name content_category content_ids contents content_type order_id"
    " predicted_ltv net_revenue num_items search_string status event_source lead_event_source"
)
_CONTENT = _words("id quantity item_price title category brand")

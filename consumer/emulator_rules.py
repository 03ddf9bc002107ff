"""How the emulator judges: what Meta would say to a batch.

Nothing here does I/O, reads a clock or knows of the consumer's own preparation: the rules are
written anew from Meta's documentation and from answers seen live, so that a mistake in ours does
not excuse itself. What Meta was never seen to say is marked as such.

One rule is for tests alone: an event whose ``custom_data`` holds ``"emulator_refuse": "2804019"``
is refused with code 100 and that subcode. It is a poison that no local validation can foresee.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from consumer.emulator_refusal import Refusal, invalid, not_hashed, refused, unexpected_key

EVENTS_MAX = 1000
MAX_AGE_SECONDS = 7 * 86_400
STORE_MAX_AGE_SECONDS = 62 * 86_400
FUTURE_SECONDS = 300


def judge_batch(data: object, *, now: float, raw: bytes) -> Refusal | None:
    """The first reason for which Meta would refuse the whole batch, None if it takes it.

    ``now`` is wall-clock seconds, ``raw`` the body that ``data`` was decoded from.
    """
    if not isinstance(data, list):
        return invalid("data must be an array.")
    if not 0 < len(data) <= EVENTS_MAX:
        return invalid(f"data must have between 1 and {EVENTS_MAX} elements.")
    suspicious = _EMPTY_HASH in raw.lower()
    for index, event in enumerate(data):
        refusal = _judge_event(event, now)
        if refusal is None and suspicious:
            refusal = _empty_hash(event)
        if refusal is not None:
            return refusal._replace(event_index=index)
    return None


def _judge_event(event: Any, now: float) -> Refusal | None:
    if type(event) is not dict:
        return invalid("Each event must be an object.")
    return (
        _shape(event)
        or _time(event, now)
        or _user_data(event.get("user_data") or {})
        or _custom_data(event.get("custom_data") or {})
        or _money(event["event_name"], event.get("custom_data") or {})
        or _data_processing(event)
        or _app(event)
        or _messaging(event)
        or _marker(event.get("custom_data") or {})
    )


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Meta refuses a key that it does not know, with the path to it: seen live for the event itself
# and for an element of contents. Only custom_data is free for names of one's own.
_EVENT_TYPES: Mapping[str, type] = {
    **dict.fromkeys(_words("event_name event_id action_source event_source_url"), str),
    **dict.fromkeys(_words("referrer_url customer_segmentation messaging_channel"), str),
    **dict.fromkeys(_words("user_data custom_data app_data original_event_data"), dict),
    "attribution_data": dict,
    "advanced_measurement_table": str,
    "event_time": int,
    "opt_out": bool,
    "data_processing_options": list,
    "data_processing_options_country": int,
    "data_processing_options_state": int,
}
_ACTION_SOURCES = _words(
    "email website app phone_call chat physical_store system_generated business_messaging other"
)
_MESSAGING_CHANNELS = _words("whatsapp messenger instagram")
_MESSAGING_EVENTS = _words(
    "LeadSubmitted Purchase AddToCart InitiateCheckout ViewContent QualifiedLead OrderCreated "
    "OrderShipped OrderDelivered OrderCanceled OrderReturned CartAbandoned RatingProvided "
    "ReviewProvided"
)
_CONTENT_KEYS = _words("id quantity item_price title description brand category delivery_category")
_HASH = re.compile(r"[0-9A-Fa-f]{64}(?:\.(?:[A-Za-z0-9_-]{8}|AQ|Ag|Aw|BA|BQ|Bg))?").fullmatch
_CURRENCY = re.compile(r"[A-Za-z]{3}")
_EMPTY_HASH = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
# Too broad to find anybody: an event is refused whose keys are a subset of one of these.
_INSUFFICIENT = (
    _words("ct country st zp ge client_user_agent"),
    _words("db client_user_agent"),
    _words("fn ge"),
    _words("ln ge"),
)
_ABSENT = (str, list, type(None))
_NUMBERS = (int, float)


def _shape(event: dict[str, Any]) -> Refusal | None:
    for key, value in event.items():
        expected = _EVENT_TYPES.get(key)
        if expected is None:
            return unexpected_key(key)
        # type() and not isinstance(): a boolean is no number.
        if value is not None and type(value) is not expected:
            return invalid(f"{key} has the wrong type.", f"['{key}']")
    if not (event.get("event_name") or "").strip():
        return invalid("event_name is required.", "['event_name']")
    if event.get("event_time") is None:
        return invalid("event_time is required.", "['event_time']")
    if event.get("action_source") not in _ACTION_SOURCES:
        return invalid("action_source must be one of Meta's nine.", "['action_source']")
    return None


def _time(event: dict[str, Any], now: float) -> Refusal | None:
    age = now - event["event_time"]
    in_store = event["action_source"] == "physical_store"
    if age > (STORE_MAX_AGE_SECONDS if in_store else MAX_AGE_SECONDS):
        return refused(2804003, "['event_time']")
    return refused(2804004, "['event_time']") if age < -FUTURE_SECONDS else None


def _user_data(user: dict[str, Any]) -> Refusal | None:
    present = set()
    for key, value in user.items():
        fits = _USER_DATA.get(key)
        if fits is None:
            # Strictness of ours: a plaintext key beside the hashed ones must not pass unnoticed.
            return unexpected_key(key, "['user_data']")
        if not value and type(value) in _ABSENT:
            continue
        if not fits(value):
            wrong_type = invalid(f"{key} has the wrong type.", f"['user_data']['{key}']")
            return not_hashed(key) if fits is _hashed else wrong_type
        present.add(key)
    for broad in _INSUFFICIENT:
        if present <= broad:
            return refused(2804050, "['user_data']")
    return None


def _hashed(value: Any) -> bool:
    for one in value if type(value) is list else (value,):
        if type(one) is not str or _HASH(one) is None:
            return False
    return True


def _text(value: Any) -> bool:
    return type(value) is str


def _texts(value: Any) -> bool:
    return all(type(one) is str and one for one in (value if type(value) is list else (value,)))


def _lead_id(value: Any) -> bool:
    return type(value) is int and 15 <= len(str(value)) <= 17


_USER_DATA: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_words("em ph fn ln db ge ct st zp country"), _hashed),
    **dict.fromkeys(_words("f5first f5last fi dobd dobm doby app_user_id"), _hashed),
    **dict.fromkeys(_words("client_ip_address client_user_agent fbc fbp subscription_id"), _text),
    **dict.fromkeys(_words("anon_id madid page_id page_scoped_user_id ctwa_clid"), _text),
    **dict.fromkeys(_words("whatsapp_business_account_id ig_account_id ig_sid"), _text),
    "external_id": _texts,
    "lead_id": _lead_id,
    "fb_login_id": lambda value: type(value) in (str, int),
}


def _custom_data(custom: dict[str, Any]) -> Refusal | None:
    for key in ("predicted_ltv", "net_revenue", "num_items"):
        if custom.get(key) is not None and type(custom[key]) not in _NUMBERS:
            return invalid(f"{key} must be a number.", f"['custom_data']['{key}']")
    if custom.get("content_ids") is not None and type(custom["content_ids"]) is not list:
        return invalid("content_ids must be an array.", "['custom_data']['content_ids']")
    contents, path = custom.get("contents"), "['custom_data']['contents']"
    if contents is None:
        return None
    if type(contents) is not list or any(type(item) is not dict for item in contents):
        return invalid("contents must be an array of objects.", path)
    for number, item in enumerate(contents):
        if not item.keys() <= _CONTENT_KEYS:
            return unexpected_key(min(item.keys() - _CONTENT_KEYS), f"{path}[{number}]")
    return None


def _money(event_name: str, custom: dict[str, Any]) -> Refusal | None:
    """Value and currency: of the right kind wherever they are, required for a Purchase."""
    required = event_name == "Purchase"
    value, path = custom.get("value"), "['custom_data']['value']"
    if type(value) not in _NUMBERS and (required or value is not None):
        return refused(2804009, path) if required else invalid("value must be a number.", path)
    currency, path = custom.get("currency"), "['custom_data']['currency']"
    fits = type(currency) is str and _CURRENCY.fullmatch(currency) is not None
    if not fits and (required or currency is not None):
        said = "currency must be a code of three letters."
        return refused(2804010, path) if required else invalid(said, path)
    return None


def _data_processing(event: dict[str, Any]) -> Refusal | None:
    if any(option != "LDU" for option in event.get("data_processing_options") or ()):
        return invalid("The only option is LDU.", "['data_processing_options']")
    country, state = "data_processing_options_country", "data_processing_options_state"
    if event.get(country) is not None and event.get(state) is None:
        return invalid(f"{country} needs {state}.", f"['{state}']")
    return None


def _app(event: dict[str, Any]) -> Refusal | None:
    if event["action_source"] != "app":
        return None
    info: Any = (event.get("app_data") or {}).get("extinfo")
    known = type(info) is list and len(info) == 16 and info[0] in ("a2", "i2")
    if known and type(info[4]) is str and info[4]:
        return None
    return refused(2804043, "['app_data']['extinfo']")


def _messaging(event: dict[str, Any]) -> Refusal | None:
    if event["action_source"] != "business_messaging":
        return None
    if not event.get("messaging_channel"):
        return refused(2804063, "['messaging_channel']")
    if event["messaging_channel"] not in _MESSAGING_CHANNELS:
        return invalid("This messaging_channel is unknown.", "['messaging_channel']")
    known = event["event_name"] in _MESSAGING_EVENTS
    return None if known else refused(2804066, "['event_name']")


def _marker(custom: dict[str, Any]) -> Refusal | None:
    marker = custom.get("emulator_refuse")
    if marker is None:
        return None
    subcode = int(marker) if str(marker).isdecimal() else None
    said = "The event asks to be refused."
    return invalid(said, "['custom_data']")._replace(subcode=subcode, title="Refused On Request")


def _empty_hash(event: dict[str, Any]) -> Refusal | None:
    """The hash of the empty text finds nobody, and is a sure sign of a mistake: our strictness."""
    for path, fields in (("['user_data']", event["user_data"]), ("", event)):
        for key, value in fields.items():
            if _EMPTY_HASH in orjson.dumps(value).lower():
                return not_hashed(key)._replace(path=f"{path}['{key}']")
    return None

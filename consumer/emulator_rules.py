"""How the emulator decides: what Meta would say to a batch, and which misbehaviour is due.

Nothing here does I/O, reads a clock or knows of the consumer's own preparation: the rules are
written anew from Meta's documentation and from answers seen live, so that a mistake in ours does
not excuse itself. What Meta was never seen to say is marked as such.

One rule is for tests alone: an event whose ``custom_data`` holds ``"emulator_refuse": "2804019"``
is refused with code 100 and that subcode. It is a poison that no local validation can foresee.
"""

import random
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

EVENTS_MAX = 1000
MAX_AGE_SECONDS = 7 * 86_400
STORE_MAX_AGE_SECONDS = 62 * 86_400
FUTURE_SECONDS = 300


class Refusal(NamedTuple):
    """One error of Meta's: ``status`` is HTTP's, ``index`` the event at fault where it is one's."""

    code: int
    message: str = "Invalid parameter"
    subcode: int | None = None
    title: str | None = None
    user_message: str | None = None
    kind: str = "OAuthException"
    status: int = 400
    is_transient: bool | None = None
    index: int | None = None
    path: str = ""

    @property
    def label(self) -> str:
        """``100/2804003``, or ``190`` where there is no subcode: the key in the statistics."""
        return f"{self.code}/{self.subcode}" if self.subcode else str(self.code)

    def body(self, *, trace_id: str, hints: str) -> bytes:
        """Meta's JSON for this error; ``hints`` is ``none``, ``path`` or ``index``."""
        error: dict[str, Any] = {"message": self.message, "type": self.kind, "code": self.code}
        user_message = self.user_message
        if self.index is not None and hints == "path":
            where = f"$['data'][{self.index}]{self.path}"
            error["message"] = f"{self.message}: {where}"
            user_message = f'{user_message or self.message} (param "{where}")'
        if self.index is not None and hints == "index":
            # The retired Offline Conversions API put it there, and as a string of JSON.
            error["error_data"] = orjson.dumps({"event_index": self.index}).decode()
        optional = {
            "error_subcode": self.subcode,
            "is_transient": self.is_transient,
            "error_user_title": self.title,
            "error_user_msg": user_message,
        }
        error |= {name: value for name, value in optional.items() if value is not None}
        error["fbtrace_id"] = trace_id
        return orjson.dumps({"error": error})


def judge_batch(data: object, *, now: float, raw: bytes) -> Refusal | None:
    """The first reason for which Meta would refuse the whole batch, None if it takes it.

    ``now`` is wall-clock seconds, ``raw`` the body that ``data`` was decoded from.
    """
    if not isinstance(data, list):
        return _invalid("(#100) param data must be an array.")
    if not data:
        return _invalid("(#100) param data must be non-empty.")
    if len(data) > EVENTS_MAX:
        return _invalid(f"(#100) param data must have at most {EVENTS_MAX} elements.")
    suspicious = EMPTY_HASH in raw.lower()
    for index, event in enumerate(data):
        refusal = _judge_event(event, now)
        if refusal is None and suspicious:
            refusal = _empty_hash(event)
        if refusal is not None:
            return refusal._replace(index=index)
    return None


def _judge_event(event: Any, now: float) -> Refusal | None:
    if type(event) is not dict:
        return _invalid("Each event must be an object.")
    return (
        _shape(event)
        or _time(event, now)
        or _user_data(event.get("user_data") or {})
        or _custom_data(event.get("custom_data") or {})
        or _purchase(event)
        or _data_processing(event)
        or _app(event)
        or _messaging(event)
        or _marker(event)
    )


# Meta refuses a key that it does not know, with the path to it (seen live, for the event itself
# and for an element of contents); custom_data is the one place for names of one's own.
_EVENT_TYPES: Mapping[str, type] = {
    "event_name": str,
    "event_time": int,
    "event_id": str,
    "event_source_url": str,
    "referrer_url": str,
    "action_source": str,
    "user_data": dict,
    "custom_data": dict,
    "app_data": dict,
    "original_event_data": dict,
    "attribution_data": dict,
    "opt_out": bool,
    "data_processing_options": list,
    "data_processing_options_country": int,
    "data_processing_options_state": int,
    "customer_segmentation": str,
    "messaging_channel": str,
    "advanced_measurement_table": str,
}
_ACTION_SOURCES = frozenset(
    "email website app phone_call chat physical_store system_generated business_messaging "
    "other".split()
)


def _shape(event: dict[str, Any]) -> Refusal | None:
    for key, value in event.items():
        expected = _EVENT_TYPES.get(key)
        if expected is None:
            return _unexpected_key(key, "")
        # type() and not isinstance(): a boolean is no number.
        if value is not None and type(value) is not expected:
            return _invalid(f"{key} has the wrong type.", f"['{key}']")
    if not (event.get("event_name") or "").strip():
        return _invalid("event_name is required.", "['event_name']")
    if event.get("event_time") is None:
        return _invalid("event_time is required.", "['event_time']")
    if event.get("action_source") not in _ACTION_SOURCES:
        return _invalid("action_source must be one of Meta's nine.", "['action_source']")
    return None


def _time(event: dict[str, Any], now: float) -> Refusal | None:
    age = now - event["event_time"]
    in_store = event["action_source"] == "physical_store"
    if age > (STORE_MAX_AGE_SECONDS if in_store else MAX_AGE_SECONDS):
        return _refused(
            2804003,
            "Event Timestamp Too Old",
            "The timestamp for this event is too far in the past. Events need to be sent from your"
            " server within 7 days of when they occurred. Enter a timestamp that has occurred"
            " within the last 7 days.",
            "['event_time']",
        )
    if age < -FUTURE_SECONDS:
        # That Meta refuses the future is reported, with which subcode is not: this one is made up.
        title = "Event Timestamp In The Future"
        return _refused(2804004, title, "The event has not happened yet.", "['event_time']")
    return None


_HASH = re.compile(r"[0-9A-Fa-f]{64}(?:\.(?:[A-Za-z0-9_-]{8}|AQ|Ag|Aw|BA|BQ|Bg))?").fullmatch
EMPTY_HASH = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

# Too broad to match anybody: an event is refused whose keys are a subset of one of these.
_INSUFFICIENT = (
    frozenset(("ct", "country", "st", "zp", "ge", "client_user_agent")),
    frozenset(("db", "client_user_agent")),
    frozenset(("fn", "ge")),
    frozenset(("ln", "ge")),
)


def _user_data(user: dict[str, Any]) -> Refusal | None:
    present = set()
    for key, value in user.items():
        check = _USER_CHECKS.get(key)
        if check is None:
            return _unexpected_key(key, "['user_data']")
        if value is None or value in ("", []):
            continue
        if (refusal := check(key, value)) is not None:
            return refusal
        present.add(key)
    if any(present <= broad for broad in _INSUFFICIENT):
        return _refused(
            2804050,
            "You haven't added sufficient customer information parameter data for this event",
            "The customer information is missing, or too broad to find anybody by it.",
            "['user_data']",
        )
    return None


def _hashed(key: str, value: Any) -> Refusal | None:
    for one in value if type(value) is list else (value,):
        if type(one) is not str or _HASH(one) is None:
            return _not_hashed(key)
    return None


def _texts(key: str, value: Any) -> Refusal | None:
    every = value if type(value) is list else [value]
    return None if all(type(one) is str and one for one in every) else _wrong_user_type(key)


def _text(key: str, value: Any) -> Refusal | None:
    return None if type(value) is str else _wrong_user_type(key)


def _text_or_number(key: str, value: Any) -> Refusal | None:
    return None if type(value) in (str, int) else _wrong_user_type(key)


def _lead_id(key: str, value: Any) -> Refusal | None:
    fits = type(value) is int and 15 <= len(str(value)) <= 17
    return None if fits else _wrong_user_type(key)


_USER_CHECKS: Mapping[str, Callable[[str, Any], Refusal | None]] = {
    **dict.fromkeys("em ph fn ln db ge ct st zp country".split(), _hashed),
    **dict.fromkeys("f5first f5last fi dobd dobm doby app_user_id".split(), _hashed),
    "external_id": _texts,
    "lead_id": _lead_id,
    "fb_login_id": _text_or_number,
    **dict.fromkeys(
        "client_ip_address client_user_agent fbc fbp subscription_id anon_id madid page_id "
        "page_scoped_user_id ctwa_clid whatsapp_business_account_id ig_account_id ig_sid".split(),
        _text,
    ),
}

_CONTENT_KEYS = frozenset(
    "id quantity item_price title description brand category delivery_category".split()
)
_NUMBERS = (int, float)


def _custom_data(custom: dict[str, Any]) -> Refusal | None:
    for key in ("predicted_ltv", "net_revenue", "num_items"):
        if custom.get(key) is not None and type(custom[key]) not in _NUMBERS:
            return _invalid(f"{key} must be a number.", f"['custom_data']['{key}']")
    if custom.get("content_ids") is not None and type(custom["content_ids"]) is not list:
        return _invalid("content_ids must be an array.", "['custom_data']['content_ids']")
    contents = custom.get("contents")
    if contents is None:
        return None
    path = "['custom_data']['contents']"
    if type(contents) is not list or any(type(item) is not dict for item in contents):
        return _invalid("contents must be an array of objects.", path)
    for number, item in enumerate(contents):
        if unknown := item.keys() - _CONTENT_KEYS:
            return _unexpected_key(min(unknown), f"{path}[{number}]")
    return None


def _purchase(event: dict[str, Any]) -> Refusal | None:
    """Value and currency: of the right kind for all events, required for a Purchase."""
    custom = event.get("custom_data") or {}
    required = event["event_name"] == "Purchase"
    value, currency = custom.get("value"), custom.get("currency")
    if type(value) not in _NUMBERS and (required or value is not None):
        path = "['custom_data']['value']"
        if not required:
            return _invalid("value must be a number.", path)
        said = "A purchase needs a value that is a number."
        return _refused(2804009, "Missing Value for Purchase Event", said, path)
    letters = type(currency) is str and len(currency) == 3 and currency.isascii()
    if not (letters and currency.isalpha()) and (required or currency is not None):
        path = "['custom_data']['currency']"
        if not required:
            return _invalid("currency must be a code of three letters.", path)
        said = "A purchase needs a currency code of three letters."
        return _refused(2804010, "Missing Currency for Purchase Event", said, path)
    return None


def _data_processing(event: dict[str, Any]) -> Refusal | None:
    path = "['data_processing_options']"
    if any(option != "LDU" for option in event.get("data_processing_options") or ()):
        return _invalid("data_processing_options knows LDU only.", path)
    if event.get("data_processing_options_country") is not None:
        state = event.get("data_processing_options_state")
        return _invalid("A country needs a state beside it.", path) if state is None else None
    return None


def _app(event: dict[str, Any]) -> Refusal | None:
    if event["action_source"] != "app":
        return None
    info = (event.get("app_data") or {}).get("extinfo")
    fits = type(info) is list and len(info) == 16 and info[0] in ("a2", "i2")
    if fits and type(info[4]) is str and info[4]:
        return None
    return _refused(
        2804043,
        "Invalid extended device info parameter",
        "extinfo has 16 elements; the version and that of the operating system are required.",
        "['app_data']['extinfo']",
    )


_MESSAGING_EVENTS = frozenset(
    "LeadSubmitted Purchase AddToCart InitiateCheckout ViewContent QualifiedLead OrderCreated "
    "OrderShipped OrderDelivered OrderCanceled OrderReturned CartAbandoned RatingProvided "
    "ReviewProvided".split()
)


def _messaging(event: dict[str, Any]) -> Refusal | None:
    if event["action_source"] != "business_messaging":
        return None
    channel, path = event.get("messaging_channel"), "['messaging_channel']"
    if not channel:
        said = "Say on which channel the conversation took place."
        return _refused(2804063, "Missing messaging channel parameter", said, path)
    if channel not in ("whatsapp", "messenger", "instagram"):
        return _invalid("messaging_channel is unknown.", path)
    if event["event_name"] not in _MESSAGING_EVENTS:
        said = "This event name is not for messaging."
        return _refused(2804066, "Messaging Event Invalid Event Type", said, "['event_name']")
    return None


def _marker(event: dict[str, Any]) -> Refusal | None:
    marker = (event.get("custom_data") or {}).get("emulator_refuse")
    if marker is None:
        return None
    said = "The event asks for this refusal."
    subcode = int(marker) if str(marker).isdecimal() else None
    return _refused(subcode, "Refused On Request", said, "['custom_data']")


def _empty_hash(event: dict[str, Any]) -> Refusal | None:
    """The hash of the empty text matches nobody: a sure sign of a mistake.

    Meta was not seen to refuse it; this strictness is the emulator's own.
    """
    for fields in (event["user_data"], event):
        for key, value in fields.items():
            if EMPTY_HASH in orjson.dumps(value).lower():
                return _not_hashed(key)
    return None


def _refused(subcode: int | None, title: str | None, user_message: str, path: str = "") -> Refusal:
    """An event that is at fault, the way Meta says it."""
    return Refusal(
        code=100,
        subcode=subcode,
        title=title,
        user_message=user_message,
        is_transient=False,
        path=path,
    )


def _invalid(said: str, path: str = "") -> Refusal:
    return _refused(None, None, said, path)


def _unexpected_key(key: str, path: str) -> Refusal:
    said = f'Unexpected key "{key}"'
    return _refused(2804019, "Server Side Api Parameter Error", said, path)


def _wrong_user_type(key: str) -> Refusal:
    return _invalid(f"{key} has the wrong type.", f"['user_data']['{key}']")


def _not_hashed(key: str) -> Refusal:
    return _refused(
        2804016,
        "User Parameter Not Hashed",
        f"The {key} parameter isn\u2019t hashed. Hash all user parameters as SHA256, except for"
        " client user agent, click ID, and browser ID. Any other user parameters that are not"
        " hashed are automatically rejected by Facebook.",
        f"['user_data']['{key}']",
    )

"""How the emulator judges: what Meta would say to a batch. The shapes are in ``emulator_shapes``.

Nothing here does I/O, reads a clock or knows of the consumer's own preparation: the rules are
written anew from Meta's documentation and from answers seen live, so that a mistake in ours does
not excuse itself. What Meta was never seen to say is marked as such.

One rule is for tests alone: an event whose ``custom_data`` holds ``"emulator_refuse": "2804019"``
is refused with code 100 and that subcode. It is a poison that no local validation can foresee.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from consumer.emulator_kinds import misfit, one_of
from consumer.emulator_refusal import Refusal, invalid, not_hashed, refused, unexpected_key
from consumer.emulator_shapes import (
    APP_DATA,
    ATTRIBUTION,
    ATTRIBUTION_SETTING,
    CONTENT,
    CUSTOM_DATA,
    EVENT,
    HASHED,
    ORIGINAL_EVENT,
    USER_DATA,
)

EVENTS_MAX = 1000
MAX_AGE_SECONDS = 7 * 86_400
STORE_MAX_AGE_SECONDS = 62 * 86_400
FUTURE_SECONDS = 300
_EMPTY_HASH = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


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
    custom = event.get("custom_data") or {}
    return (
        misfit(event, EVENT, "")
        or _required(event)
        or _time(event, now)
        or _user_data(event.get("user_data") or {})
        or _price(event["event_name"], custom)
        or _custom_data(custom)
        or _data_processing(event)
        or _app_data(event)
        or _messaging(event)
        or _history(event)
        or _marker(custom)
    )


def _required(event: dict[str, Any]) -> Refusal | None:
    # A website event without its address or user agent is taken all the same: seen live.
    for key in ("event_name", "event_time", "action_source"):
        value = event.get(key)
        if value is None or (type(value) is str and not value.strip()):
            return invalid(f"{key} is required.", f"['{key}']")
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
        kind = USER_DATA.get(key)
        if kind is None:
            # Strictness of ours: a plaintext key beside the hashed ones must not pass unnoticed.
            return unexpected_key(key, "['user_data']")
        if type(value) in kind.types and (kind.check is None or kind.check(value)):
            present.add(key)
        elif value is not None and value != "" and (value != [] or list not in kind.types):
            wrong_kind = invalid(f"{key} must be {kind.said}.", f"['user_data']['{key}']")
            return not_hashed(key) if kind is HASHED else wrong_kind
    for broad in _INSUFFICIENT:
        if present <= broad:
            return refused(2804050, "['user_data']")
    return None


# Too broad to find anybody: an event is refused whose keys are a subset of one of these.
_INSUFFICIENT = (
    frozenset(("ct", "country", "st", "zp", "ge", "client_user_agent")),
    frozenset(("db", "client_user_agent")),
    frozenset(("fn", "ge")),
    frozenset(("ln", "ge")),
)


def _price(event_name: str, custom: dict[str, Any]) -> Refusal | None:
    """What a Purchase must have. Case matters: ``purchase`` is an event of one's own."""
    if event_name != "Purchase":
        return None
    for key, subcode in (("value", 2804009), ("currency", 2804010)):
        if not CUSTOM_DATA[key].fits(custom.get(key)):
            return refused(subcode, f"['custom_data']['{key}']")
    return None


def _custom_data(custom: dict[str, Any]) -> Refusal | None:
    # Free for names of one's own: only those that Meta knows have a kind.
    refusal = misfit(custom, CUSTOM_DATA, "['custom_data']", free=True)
    if refusal is not None:
        return refusal
    for number, item in enumerate(custom.get("contents") or ()):
        refusal = misfit(item, CONTENT, f"['custom_data']['contents'][{number}]")
        if refusal is not None:
            return refusal
    return None


def _data_processing(event: dict[str, Any]) -> Refusal | None:
    """Limited data use needs a country, and a country and a state need each other."""
    country = event.get("data_processing_options_country")
    state = event.get("data_processing_options_state")
    if event.get("data_processing_options") and country is None:
        return _needs("data_processing_options", "data_processing_options_country")
    if country is not None and state is None:
        return _needs("data_processing_options_country", "data_processing_options_state")
    if state is not None and country is None:
        return _needs("data_processing_options_state", "data_processing_options_country")
    return None


def _needs(key: str, other: str) -> Refusal:
    return invalid(f"{key} needs {other}.", f"['{key}']")


def _app_data(event: dict[str, Any]) -> Refusal | None:
    app_data = event.get("app_data") or {}
    if app_data and (refusal := misfit(app_data, APP_DATA, "['app_data']")) is not None:
        return refusal
    if event["action_source"] != "app":
        return None
    info: list[Any] = app_data.get("extinfo") or []
    known = len(info) == 16 and info[0] in ("a2", "i2")
    if known and type(info[4]) is str and info[4].strip():
        return None
    return refused(2804043, "['app_data']['extinfo']")


def _messaging(event: dict[str, Any]) -> Refusal | None:
    if event["action_source"] != "business_messaging":
        return None
    channel, user = event.get("messaging_channel"), event["user_data"]
    if channel is None:
        return refused(2804063, "['messaging_channel']")
    if not _FOR_MESSAGING.fits(event["event_name"]):
        return refused(2804066, "['event_name']")
    if not any(user.get(key) for key in _PAGES[channel]):
        return refused(2804116, f"['user_data']['{_PAGES[channel][0]}']")
    return None


_FOR_MESSAGING = one_of(
    "LeadSubmitted Purchase AddToCart InitiateCheckout ViewContent QualifiedLead OrderCreated "
    "OrderShipped OrderDelivered OrderCanceled OrderReturned CartAbandoned RatingProvided "
    "ReviewProvided"
)
# With whom they talked. That a page is missed was seen; for which channel which key counts is
# our reading of the keys that Meta documents for each.
_PAGES: Mapping[str, tuple[str, ...]] = {
    "messenger": ("page_id",),
    "whatsapp": ("page_id", "whatsapp_business_account_id"),
    "instagram": ("ig_account_id", "page_id"),
}


def _history(event: dict[str, Any]) -> Refusal | None:
    """An event that is about an earlier one: whose it is, and to what it is attributed."""
    original = event.get("original_event_data")
    if original and (refusal := misfit(original, ORIGINAL_EVENT, "['original_event_data']")):
        return refusal
    attribution, path = event.get("attribution_data"), "['attribution_data']"
    if not attribution:
        return None
    setting = attribution.get("attribution_setting")
    return misfit(attribution, ATTRIBUTION, path) or (
        misfit(setting, ATTRIBUTION_SETTING, f"{path}['attribution_setting']") if setting else None
    )


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

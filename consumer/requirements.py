"""What Meta requires of an event, by its name and its action source.

One event that lacks it has the whole request refused, so it is looked for before sending. Source:
Meta's pages "Server event parameters" and "Custom data parameters", and its errors where named.
"""

from collections.abc import Mapping
from typing import Any

from consumer.event_names import MESSAGING_EVENT_NAMES
from consumer.match_keys import is_sufficient
from consumer.model import Reason


class Unfit(Exception):
    """The event cannot be sent: why, for which field, and a sentence that quotes no value."""

    def __init__(self, reason: Reason, field: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.field, self.detail = reason, field, detail


def require_all(body: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    """Raise ``Unfit`` for what ``body``, Meta's JSON made of ``fields``, lacks."""
    if not is_sufficient(body["user_data"]):
        detail = (
            "too little is known of the person: Meta needs more than a name's half, "
            "a region or a user agent"
        )
        raise Unfit(Reason.INSUFFICIENT_USER_DATA, "user", detail)
    if body["event_name"] == "Purchase":
        _require_price(body.get("custom_data") or {}, fields)
    match body["action_source"]:
        case "app":
            _require_device(body.get("app_data") or {})
        case "business_messaging":
            _require_conversation(body)


def website_gaps(body: Mapping[str, Any], *, strict: bool) -> tuple[str, ...]:
    """What a website event should have and lacks. Meta asks for both, but takes events without
    (observed): said, not enforced, unless the destination is strict."""
    if body["action_source"] != "website":
        return ()
    gaps: list[str] = []
    if "client_user_agent" not in body["user_data"]:
        gaps.append(Reason.MISSING_USER_AGENT.value)
        if strict:
            detail = "a website event without user.userAgent, and the destination is strict"
            raise Unfit(Reason.MISSING_USER_AGENT, "user.userAgent", detail)
    if "event_source_url" not in body:
        gaps.append(Reason.MISSING_SOURCE_URL.value)
        if strict:
            detail = "a website event without sourceUrl, and the destination is strict"
            raise Unfit(Reason.MISSING_SOURCE_URL, "sourceUrl", detail)
    return tuple(gaps)


def _require_price(custom: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    """Meta's errors 2804009 and 2804010."""
    if "value" not in custom:
        how = "missing" if fields.get("value") is None else "negative or no number"
        detail = f"a Purchase needs a value, and it is {how}"
        raise Unfit(Reason.MISSING_VALUE, "value", detail)
    if "currency" not in custom:
        how = "no ISO 4217 code" if fields.get("currency") else "missing"
        detail = f"a Purchase needs a currency, and it is {how}"
        raise Unfit(Reason.MISSING_CURRENCY, "currency", detail)


def _require_device(app_data: Mapping[str, Any]) -> None:
    """Meta's error 2804043."""
    if "extinfo" not in app_data:
        detail = "an app event needs appData.extinfo: 16 positions, version and system given"
        raise Unfit(Reason.MISSING_APP_DATA, "appData.extinfo", detail)


def _require_conversation(body: Mapping[str, Any]) -> None:
    """Meta's errors 2804063, 2804066 and 2804116."""
    if "messaging_channel" not in body:
        detail = "a business_messaging event needs messagingChannel: whatsapp, messenger, instagram"
        raise Unfit(Reason.MISSING_MESSAGING_CHANNEL, "messagingChannel", detail)
    if body["event_name"] not in MESSAGING_EVENT_NAMES:
        detail = "Meta does not take this eventName for business_messaging"
        raise Unfit(Reason.UNFIT_MESSAGING_EVENT, "eventName", detail)
    keys = _ACCOUNTS[body["messaging_channel"]]
    if not any(metas in body["user_data"] for metas, _ in keys):
        names = " or ".join(ours for _, ours in keys)
        detail = f"a business_messaging event needs, for its channel, {names}"
        raise Unfit(Reason.MISSING_MESSAGING_ACCOUNT, keys[0][1], detail)


# Whose conversation it was. That Meta misses a page was seen; which key serves for which channel
# is read from the keys that it documents for each.
_PAGE = ("page_id", "user.pageId")
_ACCOUNTS = {
    "messenger": (_PAGE,),
    "whatsapp": (_PAGE, ("whatsapp_business_account_id", "user.whatsappBusinessAccountId")),
    "instagram": (_PAGE, ("ig_account_id", "user.igAccountId")),
}

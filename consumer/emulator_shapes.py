"""What Meta's objects may hold: every key, and the kind of its value, as tables.

Sources: Meta's parameter pages (main body, server event, customer information, custom data, app
events, data processing options) and the types and closed lists of Meta's business SDK, version 26.
That Meta refuses what they do not name was seen for the event and for contents; elsewhere, like
the exact shape of ``fbc``, ``fbp`` and addresses, it is strictness of ours.
"""

import re
from collections.abc import Mapping
from functools import cache
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any

import pycountry

from consumer.emulator_kinds import (
    ARRAY,
    COUNT,
    FILLED,
    FLAG,
    NAME,
    NUMBER,
    OBJECT,
    SWITCH,
    TEXT,
    WHOLE,
    Kind,
    either,
    list_of,
    matching,
    numbered,
    one_of,
)


def _each(text: str, kind: Kind) -> dict[str, Kind]:
    return dict.fromkeys(text.split(), kind)


def _is_currency(text: str) -> bool:
    return text.upper() in _currencies()


@cache
def _currencies() -> frozenset[str]:
    return frozenset(entry.alpha_3 for entry in pycountry.currencies)


# What Meta's parameter builder puts behind a value: eight characters, or two of its first days.
_APPENDIX = r"(?:\.(?:[A-Za-z0-9_-]{8}|AQ|Ag|Aw|BA|BQ|Bg))?"
_HOST = re.compile(rf"([0-9A-Fa-f.:]+?){_APPENDIX}").fullmatch


def _is_address(text: str) -> bool:
    host = _HOST(text)
    if host is None:
        return False
    try:
        return bool(inet_pton(AF_INET6 if ":" in text else AF_INET, host[1]))
    except OSError:
        return False


_is_hash = re.compile(rf"[0-9A-Fa-f]{{64}}{_APPENDIX}").fullmatch


def _is_hashed(value: str | list[Any]) -> bool:
    for one in value if type(value) is list else (value,):
        if type(one) is not str or _is_hash(one) is None:
            return False
    return bool(value)


def _is_filled(value: str | list[Any]) -> bool:
    given = value if type(value) is list else [value]
    return bool(given) and all(map(FILLED.fits, given))


def _is_lead_id(value: str | int) -> bool:
    return _LEAD_ID(str(value)) is not None


_LEAD_ID = re.compile(r"[1-9][0-9]{14,16}").fullmatch

HASHED = Kind("a SHA-256, or an array of them", (str, list), _is_hashed)
CURRENCY = Kind("an ISO 4217 code", (str,), _is_currency)
ADDRESS = Kind("an IPv4 or IPv6 address alone", (str,), _is_address)
_CLICK = r"fb\.[0-9]+\.[0-9]{10,14}\."
_ANY_APPENDIX = r"(?:\.[A-Za-z0-9_-]{2}|\.[A-Za-z0-9_-]{8})?"
_DIGITS = matching("digits", r"[0-9]+")
_SEGMENT = one_of(
    "new_customer_to_business new_customer_to_business_line new_customer_to_product_area "
    "new_customer_to_medium existing_customer_to_business existing_customer_to_business_line "
    "existing_customer_to_product_area existing_customer_to_medium customer_in_loyalty_program"
)
_DELIVERY = one_of("in_store curbside home_delivery")

MAIN: Mapping[str, Kind] = {
    "data": ARRAY,
    **_each("test_event_code namespace_id upload_id upload_tag upload_source", TEXT),
    "partner_agent": matching(
        "of fewer than 23 characters, two of them letters",
        r"(?=[^A-Za-z]*[A-Za-z][^A-Za-z]*[A-Za-z])[^\r\n]{2,22}",
    ),
    "platforms": list_of(OBJECT),
    "progress": OBJECT,
    "trace": COUNT,
    "access_token": TEXT,
    "appsecret_proof": TEXT,
    # Graph's own, for any call; they change nothing here.
    **_each("fields format pretty debug locale suppress_http_code", NAME),
}
PROGRESS: Mapping[str, Kind] = _each("start_inclusive end_exclusive", COUNT)
PLATFORM: Mapping[str, Kind] = _each("name type version", TEXT)

EVENT: Mapping[str, Kind] = {
    **_each("event_name event_id event_source_url referrer_url", TEXT),
    "event_time": WHOLE,
    "action_source": one_of(
        "email website app phone_call chat physical_store system_generated business_messaging other"
    ),
    **_each("user_data custom_data app_data original_event_data attribution_data", OBJECT),
    "opt_out": FLAG,
    "data_processing_options": list_of(one_of("LDU")),
    "data_processing_options_country": numbered("0 or 1", (0, 1)),
    # 0 leaves it to Meta; the others are the states of the USA whose laws it knows.
    "data_processing_options_state": numbered("0, or 1000 to 1013", (0, *range(1000, 1014))),
    "customer_segmentation": _SEGMENT,
    "messaging_channel": one_of("whatsapp messenger instagram"),
    "advanced_measurement_table": TEXT,
}

USER_DATA: Mapping[str, Kind] = {
    **_each("em ph fn ln db ge ct st zp country", HASHED),
    # Not on Meta's pages any more, but in its SDKs.
    **_each("f5first f5last fi dobd dobm doby app_user_id", HASHED),
    "external_id": Kind("a string that is not blank, or an array", (str, list), _is_filled),
    "client_ip_address": ADDRESS,
    "fbc": matching("fb.1.<milliseconds>.<click id>", rf"{_CLICK}\S+"),
    "fbp": matching("fb.1.<milliseconds>.<number>", rf"{_CLICK}[0-9]+{_ANY_APPENDIX}"),
    **_each("client_user_agent subscription_id anon_id madid page_id", FILLED),
    **_each("page_scoped_user_id ctwa_clid whatsapp_business_account_id", FILLED),
    **_each("ig_account_id ig_sid", FILLED),
    # Meta's page says that they are integers, its SDK sends strings.
    "fb_login_id": either(COUNT, _DIGITS),
    "lead_id": Kind("15 to 17 digits", (str, int), _is_lead_id),
}

CUSTOM_DATA: Mapping[str, Kind] = {
    **_each("value net_revenue predicted_ltv", NUMBER),
    "currency": CURRENCY,
    **_each("content_name content_category content_type order_id", TEXT),
    **_each("search_string item_number event_source lead_event_source", TEXT),
    "content_ids": list_of(NAME),
    "contents": list_of(OBJECT),
    "num_items": WHOLE,
    "status": either(TEXT, FLAG),
    "delivery_category": _DELIVERY,
    # Meta's page names it among the event's keys, and its example has it here.
    "customer_segmentation": _SEGMENT,
}
CONTENT: Mapping[str, Kind] = {
    "id": NAME,
    "quantity": COUNT,
    "item_price": NUMBER,
    **_each("title description brand category", TEXT),
    "delivery_category": _DELIVERY,
}

APP_DATA: Mapping[str, Kind] = {
    **_each("advertiser_tracking_enabled application_tracking_enabled", SWITCH),
    **_each("consider_views include_dwell_data include_video_data", SWITCH),
    "extinfo": list_of(Kind("text or number", (str, int, float))),
    **_each("install_referrer installer_package receipt_data", TEXT),
    **_each("vendor_id windows_attribution_id", TEXT),
    **_each("campaign_ids url_schemes", either(TEXT, list_of(TEXT))),
}
ORIGINAL_EVENT: Mapping[str, Kind] = {
    **_each("event_name event_id order_id", TEXT),
    "event_time": WHOLE,
}
ATTRIBUTION: Mapping[str, Kind] = {
    **_each("scope ad_id adset_id campaign_id attribution_source touchpoint_type", TEXT),
    **_each("auditing_token linkage_key touchpoint_id partner_client_id", TEXT),
    **_each("visit_time touchpoint_ts attr_window", WHOLE),
    **_each("attribution_share attribution_value total_credit", NUMBER),
    "attribution_model": one_of(
        "customized_multi_touch first_touch last_click last_touch linear position_based "
        "time_decay unknown"
    ),
    "attribution_method": one_of("ard deeplink gpir invalid_response mir srn"),
    "decline_reason": one_of(
        "attribute_to_other_source out_of_lookback_window view_through_disabled "
        "within_inactive_window inactive fraud_detected unknown reinstall_attribution_disabled "
        "lookback not_pmod_match validation_rule_detected preload_install "
        "min_time_between_re_engagements duplicated pmod_disabled"
    ),
    "attribution_setting": OBJECT,
}
ATTRIBUTION_SETTING: Mapping[str, Kind] = _each(
    "inactivity_window_hours reattribution_window_hours", COUNT
)

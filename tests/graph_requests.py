"""Requests to Meta as data: malformed ones, with the subcode that must answer them, and good ones.

Events are patches of a good one, in which ``...`` leaves a key out; a malformed one is refused
with code 100. ``REFUSED_REQUESTS`` and ``ACCEPTED_REQUESTS`` patch the body around a good event.
"""

import hashlib
from typing import Any

NOW = 1_795_000_000
DAY = 86_400
HASH = "7b17fb0bd173f625b58636fb796407c22b3d16fc78302d79f0fd30c2fc2fc068"
EMPTY_HASH = hashlib.sha256(b"").hexdigest()
EXTINFO = ["i2", "", "", "", "17.5", *[""] * 11]
_ANDROID = ["a2", "com.example", "1.0", "1.0 long", "15", *[""] * 4, 1080, 2400, 2.75, 8, 1, 1, ""]
_FBP = "fb.1.1558571054389.1098115397"
_SOURCES = ("email", "phone_call", "chat", "physical_store", "system_generated", "other")
PURCHASE = {"value": 12.5, "currency": "EUR"}
KNOWN = {"em": [HASH], "client_user_agent": "Firefox"}


def event(**changes: Any) -> dict[str, Any]:
    """A good event with some keys set differently; ``...`` leaves a key out."""
    good = {
        "event_name": "Lead",
        "event_time": NOW - 60,
        "event_id": "a",
        "action_source": "website",
        "user_data": KNOWN,
    }
    return {key: value for key, value in (good | changes).items() if value is not ...}


def _user(**more: Any) -> dict[str, Any]:
    return {"user_data": KNOWN | more}


def _custom(**custom: Any) -> dict[str, Any]:
    return {"custom_data": custom}


def _item(**item: Any) -> dict[str, Any]:
    return {"custom_data": {"contents": [{"id": "1"}, {"id": "2"} | item]}}


def _app(**app: Any) -> dict[str, Any]:
    return {"action_source": "app", "app_data": {"extinfo": EXTINFO} | app}


def _extinfo(position: int, value: Any) -> dict[str, Any]:
    changed = [*EXTINFO]
    changed[position] = value
    return {"action_source": "app", "app_data": {"extinfo": changed}}


def _messaging(**more: Any) -> dict[str, Any]:
    whole = {"event_name": "LeadSubmitted", "action_source": "business_messaging"}
    return whole | {"messaging_channel": "whatsapp", **_user(page_id="5")} | more


def _limited(options: Any = None, country: Any = None, state: Any = None) -> dict[str, Any]:
    given = {"": options, "_country": country, "_state": state}
    return {f"data_processing_options{of}": one for of, one in given.items() if one is not None}


def _attribution(**attribution: Any) -> dict[str, Any]:
    return {"attribution_data": attribution}


REFUSED_EVENTS: list[tuple[str, dict[str, Any], int | None]] = [
    ("just over seven days old", {"event_time": NOW - 7 * DAY - 1}, 2804003),
    (
        "63 days in a store",
        {"event_time": NOW - 63 * DAY, "action_source": "physical_store"},
        2804003,
    ),
    ("ten minutes ahead", {"event_time": NOW + 600}, 2804004),
    ("milliseconds", {"event_time": NOW * 1000}, 2804004),
    ("no user_data", {"user_data": ...}, 2804050),
    ("empty user_data", {"user_data": {}}, 2804050),
    ("keys without values", {"user_data": {"em": [], "ph": "", "fbp": None}}, 2804050),
    (
        "city and user agent",
        {"user_data": {"ct": [HASH], "zp": [HASH], "client_user_agent": "Firefox"}},
        2804050,
    ),
    ("birthday and user agent", {"user_data": {"db": HASH, "client_user_agent": "F"}}, 2804050),
    ("first name and gender", {"user_data": {"fn": HASH, "ge": HASH}}, 2804050),
    ("last name alone", {"user_data": {"ln": HASH}}, 2804050),
    ("plaintext e-mail", {"user_data": {"em": ["somebody@example.com"]}}, 2804016),
    ("one plaintext of two", {"user_data": {"em": [HASH, "somebody@example.com"]}}, 2804016),
    ("MD5", {"user_data": {"em": HASH[:32]}}, 2804016),
    ("one digit too many", {"user_data": {"em": HASH + "0"}}, 2804016),
    ("hash and line end", {"user_data": {"em": HASH + "\n"}}, 2804016),
    ("unknown appendix", {"user_data": {"em": HASH + ".xx"}}, 2804016),
    ("null in a list", {"user_data": {"em": [HASH, None]}}, 2804016),
    ("hash of nothing", {"user_data": {"em": [HASH], "ph": [EMPTY_HASH]}}, 2804016),
    ("hash of nothing as external id", {"user_data": {"external_id": EMPTY_HASH}}, 2804016),
    ("hash of nothing elsewhere", {"custom_data": {"order": EMPTY_HASH.upper()}}, 2804016),
    ("purchase without value", {"event_name": "Purchase"}, 2804009),
    (
        "purchase with value as text",
        {"event_name": "Purchase", "custom_data": PURCHASE | {"value": "12.5"}},
        2804009,
    ),
    (
        "purchase with a boolean value",
        {"event_name": "Purchase", "custom_data": PURCHASE | {"value": True}},
        2804009,
    ),
    (
        "purchase without currency",
        {"event_name": "Purchase", "custom_data": {"value": 1}},
        2804010,
    ),
    (
        "purchase with a long currency",
        {"event_name": "Purchase", "custom_data": PURCHASE | {"currency": "EURO"}},
        2804010,
    ),
    ("app without app_data", {"action_source": "app"}, 2804043),
    (
        "app with short extinfo",
        {"action_source": "app", "app_data": {"extinfo": EXTINFO[:5]}},
        2804043,
    ),
    (
        "app without system version",
        {"action_source": "app", "app_data": {"extinfo": ["a2", *[""] * 15]}},
        2804043,
    ),
    (
        "app of no platform",
        {"action_source": "app", "app_data": {"extinfo": ["w2", *EXTINFO[1:]]}},
        2804043,
    ),
    ("messaging without channel", {"action_source": "business_messaging"}, 2804063),
    (
        "messaging with a website's event",
        {"action_source": "business_messaging", "messaging_channel": "whatsapp"},
        2804066,
    ),
    ("unknown key", {"advertiser_tracking_enabled": 1}, 2804019),
    ("plaintext key", {"user_data": {"em": [HASH], "email": "somebody@example.com"}}, 2804019),
    ("unknown key of an item", {"custom_data": {"contents": [{"id": "1", "name": "x"}]}}, 2804019),
    ("poison for tests", {"custom_data": {"emulator_refuse": "2804087"}}, 2804087),
    ("poison without a subcode", {"custom_data": {"emulator_refuse": "?"}}, None),
    ("no event_name", {"event_name": ...}, None),
    ("blank event_name", {"event_name": " "}, None),
    ("event_name no text", {"event_name": 5}, None),
    ("no event_time", {"event_time": ...}, None),
    ("event_time as text", {"event_time": str(NOW)}, None),
    ("event_time with decimals", {"event_time": NOW - 0.5}, None),
    ("event_time a boolean", {"event_time": True}, None),
    ("no action_source", {"action_source": ...}, None),
    ("unknown action_source", {"action_source": "web"}, None),
    ("unknown channel", {"action_source": "business_messaging", "messaging_channel": "x"}, None),
    ("event_id no text", {"event_id": 5}, None),
    ("user_data no object", {"user_data": [HASH]}, None),
    ("custom_data no object", {"custom_data": "x"}, None),
    ("value as text", {"custom_data": {"value": "12.5"}}, None),
    ("currency of four letters", {"custom_data": {"currency": "EURO"}}, None),
    ("predicted_ltv as text", {"custom_data": {"predicted_ltv": "1"}}, None),
    ("content_ids no list", {"custom_data": {"content_ids": "1"}}, None),
    ("contents no list", {"custom_data": {"contents": {"id": "1"}}}, None),
    ("contents of texts", {"custom_data": {"contents": ["1"]}}, None),
    ("lead_id too short", {"user_data": {"lead_id": 12345}}, None),
    ("address no text", {"user_data": {"client_ip_address": 5}}, None),
    ("external_id of numbers", {"user_data": {"external_id": [5]}}, None),
    ("opt_out no boolean", {"opt_out": "yes"}, None),
    ("unknown processing option", {"data_processing_options": ["XYZ"]}, None),
    ("country without state", {"data_processing_options_country": 1}, None),
    # The event itself.
    ("an hour too old", {"event_time": NOW - 7 * DAY - 3600}, 2804003),
    ("zero as time", {"event_time": 0}, 2804003),
    ("negative time", {"event_time": -NOW}, 2804003),
    ("a website's event of 8 days", {"event_time": NOW - 8 * DAY}, 2804003),
    ("a CRM's event of 8 days", {"event_time": NOW - 8 * DAY, "action_source": "other"}, 2804003),
    ("microseconds", {"event_time": NOW * 10**6}, 2804004),
    ("next year", {"event_time": NOW + 365 * DAY}, 2804004),
    ("301 seconds ahead", {"event_time": NOW + 301}, 2804004),
    ("event_time null", {"event_time": None}, None),
    ("event_time a list", {"event_time": [NOW]}, None),
    ("event_time ISO 8601", {"event_time": "2026-11-18T09:46:40Z"}, None),
    ("event_time in scientific notation", {"event_time": 1.795e9}, None),
    ("event_name null", {"event_name": None}, None),
    ("event_name empty", {"event_name": ""}, None),
    ("event_name a list", {"event_name": ["Lead"]}, None),
    ("action_source null", {"action_source": None}, None),
    ("action_source empty", {"action_source": ""}, None),
    ("action_source in capitals", {"action_source": "Website"}, None),
    ("action_source a list", {"action_source": ["website"]}, None),
    ("action_source crm", {"action_source": "crm"}, None),
    ("event_id a list", {"event_id": ["a"]}, None),
    ("event_source_url a number", {"event_source_url": 5}, None),
    ("event_source_url an object", {"event_source_url": {}}, None),
    ("referrer_url a boolean", {"referrer_url": True}, None),
    ("opt_out a number", {"opt_out": 1}, None),
    ("opt_out a text", {"opt_out": "true"}, None),
    ("advanced_measurement_table a number", {"advanced_measurement_table": 5}, None),
    ("unknown segment", {"customer_segmentation": "new"}, None),
    ("segment a number", {"customer_segmentation": 1}, None),
    ("unknown segment in custom_data", _custom(customer_segmentation="vip"), None),
    ("camel case", {"eventName": "Lead"}, 2804019),
    ("a key of ours", {"destinationId": "5"}, 2804019),
    ("value beside custom_data", {"value": 5}, 2804019),
    ("e-mail beside user_data", {"em": [HASH]}, 2804019),
    ("custom_data misspelt", {"customdata": {}}, 2804019),
    ("test code in the event", {"test_event_code": "T"}, 2804019),
    ("empty key", {"": ""}, 2804019),
    ("user_data a text", {"user_data": "em"}, None),
    ("user_data null", {"user_data": None}, 2804050),
    ("custom_data a list", {"custom_data": []}, None),
    ("app_data a list", {"app_data": []}, None),
    ("original_event_data a text", {"original_event_data": "Lead"}, None),
    ("attribution_data a number", {"attribution_data": 5}, None),
    # Who it was.
    ("user agent alone", {"user_data": {"client_user_agent": "Firefox"}}, 2804050),
    ("country alone", {"user_data": {"country": HASH}}, 2804050),
    ("first name alone", {"user_data": {"fn": HASH}}, 2804050),
    ("last name and gender", {"user_data": {"ln": HASH, "ge": HASH}}, 2804050),
    ("birthday alone", {"user_data": {"db": [HASH]}}, 2804050),
    ("all that is broad", {"user_data": dict.fromkeys(("ct", "st", "zp", "ge"), HASH)}, 2804050),
    ("nulls only", {"user_data": {"em": None, "ph": None}}, 2804050),
    *(
        (f"plaintext {key}", _user(**{key: "plain"}), 2804016)
        for key in ("em", "ph", "fn", "ln", "db", "ge", "ct", "st", "zp", "country")
    ),
    *(
        (f"plaintext {key}", _user(**{key: "plain"}), 2804016)
        for key in ("f5first", "f5last", "fi", "dobd", "dobm", "doby", "app_user_id")
    ),
    ("hash with a blank", _user(ph=f" {HASH}"), 2804016),
    ("hash in base64", _user(ph="exf7C9Fz9iW1hjb7eWQHwis9FvzgeC0CjQ/9MMOoG6E="), 2804016),
    ("hash with prefix", _user(ph=f"sha256:{HASH}"), 2804016),
    ("SHA-1", _user(ph=HASH[:40]), 2804016),
    ("SHA-512", _user(ph=HASH * 2), 2804016),
    ("hash with a letter beyond f", _user(ph=HASH[:-1] + "g"), 2804016),
    ("hash as a number", _user(ph=int(HASH[:12], 16)), 2804016),
    ("hash in an object", _user(ph={"value": HASH}), 2804016),
    ("hash in a list in a list", _user(ph=[[HASH]]), 2804016),
    ("hashes in one text", _user(ph=f"{HASH},{HASH}"), 2804016),
    ("empty text among hashes", _user(ph=[HASH, ""]), 2804016),
    ("phone as a number", _user(ph=14155551234), 2804016),
    ("a boolean for an e-mail", _user(em=False), 2804016),
    ("hash of nothing as em", _user(em=[HASH, EMPTY_HASH]), 2804016),
    ("address with a port", _user(client_ip_address="203.0.113.7:443"), None),
    ("two addresses", _user(client_ip_address="203.0.113.7, 198.51.100.2"), None),
    ("address with a blank", _user(client_ip_address=" 203.0.113.7"), None),
    ("address in brackets", _user(client_ip_address="[2001:db8::1]"), None),
    ("address with a zone", _user(client_ip_address="fe80::1%eth0"), None),
    ("address out of range", _user(client_ip_address="203.0.113.256"), None),
    ("address of three numbers", _user(client_ip_address="203.0.113"), None),
    ("hashed address", _user(client_ip_address=HASH), None),
    ("list of addresses", _user(client_ip_address=["203.0.113.7"]), None),
    ("user agent a list", _user(client_user_agent=["Firefox"]), None),
    ("user agent blank", _user(client_user_agent="  "), None),
    ("bare fbclid", _user(fbc="IwAR2F4-dbP0l7Mn1IawQQGCINEz7PYXQvwjNwB"), None),
    ("fbc without time", _user(fbc="fb.1..IwAR2F4"), None),
    ("fbc of words", _user(fbc="fb.1.notatime.IwAR2F4"), None),
    ("fbc without click", _user(fbc="fb.1.1554763741205."), None),
    ("fbc in capitals", _user(fbc="FB.1.1554763741205.IwAR2F4"), None),
    ("fbc with a blank", _user(fbc="fb.1.1554763741205.IwAR 2F4"), None),
    ("hashed fbc", _user(fbc=HASH), None),
    ("fbc a list", _user(fbc=["fb.1.1554763741205.IwAR2F4"]), None),
    ("fbp of words", _user(fbp="fb.1.1558571054389.abc"), None),
    ("fbp cut off", _user(fbp="fb.1.1558571054389"), None),
    ("fbp a number", _user(fbp=1558571054389), None),
    ("lead_id with prefix", _user(lead_id="l:1234567890123456"), None),
    ("lead_id too long", _user(lead_id=123456789012345678), None),
    ("lead_id with decimals", _user(lead_id=1234567890123456.5), None),
    ("lead_id negative", _user(lead_id=-1234567890123456), None),
    ("lead_id as words", _user(lead_id="a lead"), None),
    ("fb_login_id of words", _user(fb_login_id="somebody"), None),
    ("external_id of blanks", _user(external_id="  "), None),
    ("external_id an object", _user(external_id={"id": "5"}), None),
    ("external_id a number", _user(external_id=5), None),
    ("external_id with null", _user(external_id=["customer 5", None]), None),
    *(
        (f"{key} a list", _user(**{key: ["5"]}), None)
        for key in ("subscription_id", "anon_id", "madid", "page_id", "ctwa_clid")
    ),
    *(
        (f"{key} a number", _user(**{key: 5}), None)
        for key in (
            "page_scoped_user_id",
            "whatsapp_business_account_id",
            "ig_account_id",
            "ig_sid",
        )
    ),
    ("device id in user_data", _user(vendor_id="5"), 2804019),
    ("a key in capitals", _user(EM=[HASH]), 2804019),
    # What it was worth.
    ("purchase without price", {"event_name": "Purchase", "custom_data": {}}, 2804009),
    (
        "purchase of null",
        {"event_name": "Purchase", **_custom(value=None, currency="EUR")},
        2804009,
    ),
    (
        "purchase of a list",
        {"event_name": "Purchase", **_custom(value=[1], currency="EUR")},
        2804009,
    ),
    ("purchase in no money", {"event_name": "Purchase", **_custom(value=1, currency="")}, 2804010),
    ("purchase in null", {"event_name": "Purchase", **_custom(value=1, currency=None)}, 2804010),
    ("purchase in a sign", {"event_name": "Purchase", **_custom(value=1, currency="$")}, 2804010),
    ("purchase in 978", {"event_name": "Purchase", **_custom(value=1, currency=978)}, 2804010),
    ("purchase in ZZZ", {"event_name": "Purchase", **_custom(value=1, currency="ZZZ")}, 2804010),
    ("value null as text", _custom(value="null"), None),
    ("value with currency sign", _custom(value="$5"), None),
    ("value a boolean", _custom(value=True), None),
    ("value a list", _custom(value=[1]), None),
    ("currency by name", _custom(currency="euro"), None),
    ("currency that is none", _custom(currency="ABC"), None),
    ("currency empty", _custom(currency=""), None),
    ("currency a number", _custom(currency=978), None),
    ("net_revenue as text", _custom(net_revenue="1"), None),
    ("predicted_ltv a boolean", _custom(predicted_ltv=False), None),
    ("num_items with decimals", _custom(num_items=1.5), None),
    ("num_items as text", _custom(num_items="2"), None),
    ("order_id a number", _custom(order_id=5), None),
    ("content_name a list", _custom(content_name=["x"]), None),
    ("content_category a number", _custom(content_category=5), None),
    ("content_type a list", _custom(content_type=["product"]), None),
    ("content_ids an object", _custom(content_ids={"0": "a"}), None),
    ("content_ids with null", _custom(content_ids=["a", None]), None),
    ("content_ids of objects", _custom(content_ids=[{"id": "a"}]), None),
    ("search_string a number", _custom(search_string=5), None),
    ("item_number a number", _custom(item_number=5), None),
    ("status a number", _custom(status=1), None),
    ("unknown delivery", _custom(delivery_category="drone"), None),
    ("lead_event_source a list", _custom(lead_event_source=["crm"]), None),
    ("event_source a number", _custom(event_source=5), None),
    ("contents of nulls", _custom(contents=[None]), None),
    ("contents of ids", _custom(contents=["a", "b"]), None),
    ("contents as JSON text", _custom(contents='[{"id": "a"}]'), None),
    ("item with a price of ours", _item(price=5), 2804019),
    ("item with an empty key", _item(**{"": 1}), 2804019),
    ("id of an item a list", _item(id=["a"]), None),
    ("id of an item a boolean", _item(id=True), None),
    ("quantity as text", _item(quantity="1"), None),
    ("quantity with decimals", _item(quantity=1.5), None),
    ("quantity below nothing", _item(quantity=-1), None),
    ("item_price as text", _item(item_price="5.00"), None),
    ("title a number", _item(title=5), None),
    ("brand a list", _item(brand=["x"]), None),
    ("item delivered by drone", _item(delivery_category="drone"), None),
    # Limited data use.
    ("options as text", _limited("LDU", 0, 0), None),
    ("options in lower case", _limited(["ldu"], 0, 0), None),
    ("options with a number", _limited([1], 0, 0), None),
    ("options with an empty text", _limited([""], 0, 0), None),
    ("LDU without a country", _limited(["LDU"]), None),
    ("LDU with a country alone", _limited(["LDU"], 1), None),
    ("state without country", _limited([], None, 1000), None),
    ("country of letters", _limited(["LDU"], "US", 0), None),
    ("country 2", _limited(["LDU"], 2, 0), None),
    ("country a boolean", _limited(["LDU"], True, 0), None),
    ("state 999", _limited(["LDU"], 1, 999), None),
    ("state 1014", _limited(["LDU"], 1, 1014), None),
    ("state of letters", _limited(["LDU"], 1, "CA"), None),
    # Apps.
    ("app without extinfo", {"action_source": "app", "app_data": {"url_schemes": ["a"]}}, 2804043),
    ("extinfo empty", _app(extinfo=[]), 2804043),
    ("extinfo too long", _app(extinfo=[*EXTINFO, ""]), 2804043),
    ("extinfo without version", _extinfo(0, ""), 2804043),
    ("extinfo of version a1", _extinfo(0, "a1"), 2804043),
    ("extinfo with a blank system", _extinfo(4, " "), 2804043),
    ("extinfo with a system of numbers", _extinfo(4, 17.5), 2804043),
    ("extinfo as text", _app(extinfo="i2"), None),
    ("extinfo with null", _extinfo(7, None), None),
    ("extinfo with a list", _extinfo(7, []), None),
    ("unknown key of app_data", _app(device="phone"), 2804019),
    ("tracking as text", _app(advertiser_tracking_enabled="1"), None),
    ("tracking 2", _app(application_tracking_enabled=2), None),
    ("views as text", _app(consider_views="yes"), None),
    ("vendor_id a number", _app(vendor_id=5), None),
    ("install_referrer a list", _app(install_referrer=["x"]), None),
    ("url_schemes of numbers", _app(url_schemes=[5]), None),
    ("campaign_ids a number", _app(campaign_ids=5), None),
    ("app_data of a website", {"app_data": {"device": "phone"}}, 2804019),
    # Messaging.
    ("messaging with an empty channel", _messaging(messaging_channel=""), None),
    ("messaging by sms", _messaging(messaging_channel="sms"), None),
    ("channel a list", {"messaging_channel": ["whatsapp"]}, None),
    ("messaging with a null channel", _messaging(messaging_channel=None), 2804063),
    ("messaging with a custom event", _messaging(event_name="deal_closed"), 2804066),
    ("messaging with an event in lower case", _messaging(event_name="purchase"), 2804066),
    ("WhatsApp without a page", _messaging(**_user()), 2804116),
    ("WhatsApp with a click alone", _messaging(**_user(ctwa_clid="c")), 2804116),
    ("WhatsApp with an empty page", _messaging(**_user(page_id="")), 2804116),
    ("Messenger without a page", _messaging(messaging_channel="messenger", **_user()), 2804116),
    (
        "Messenger with an account of WhatsApp",
        _messaging(messaging_channel="messenger", **_user(whatsapp_business_account_id="5")),
        2804116,
    ),
    ("Instagram without account", _messaging(messaging_channel="instagram", **_user()), 2804116),
    # What it is about.
    ("unknown key of the original", {"original_event_data": {"name": "Lead"}}, 2804019),
    ("time of the original as text", {"original_event_data": {"event_time": "1"}}, None),
    ("order of the original a number", {"original_event_data": {"order_id": 5}}, None),
    ("unknown key of attribution", _attribution(model="last_click"), 2804019),
    ("share as text", _attribution(attribution_share="0.5"), None),
    ("visit_time as text", _attribution(visit_time="1"), None),
    ("unknown model", _attribution(attribution_model="guess"), None),
    ("unknown method", _attribution(attribution_method="guess"), None),
    ("unknown reason", _attribution(decline_reason="guess"), None),
    ("ad_id a number", _attribution(ad_id=5), None),
    ("window with decimals", _attribution(attr_window=1.5), None),
    ("setting as text", _attribution(attribution_setting="24"), None),
    ("unknown setting", _attribution(attribution_setting={"hours": 1}), 2804019),
    (
        "setting of texts",
        _attribution(attribution_setting={"inactivity_window_hours": "1"}),
        None,
    ),
]

REFUSED_REQUESTS: list[tuple[str, dict[str, Any], int]] = [
    ("no data", {"data": ...}, 100),
    ("data null", {"data": None}, 100),
    ("no events", {"data": []}, 100),
    ("data an object", {"data": event()}, 100),
    ("data as JSON text", {"data": "[]"}, 100),
    ("event a list", {"data": [[event()]]}, 100),
    ("event null", {"data": [event(), None]}, 100),
    ("event a number", {"data": [5]}, 100),
    ("event as JSON text in JSON", {"data": ['{"event_name": "Lead"}']}, 100),
    ("1,001 events", {"data": [event()] * 1001}, 100),
    ("test code a number", {"test_event_code": 5}, 100),
    ("test code a list", {"test_event_code": ["T"]}, 100),
    ("partner_agent of 23 characters", {"partner_agent": "a" * 23}, 100),
    ("partner_agent of one letter", {"partner_agent": "a1"}, 100),
    ("partner_agent of digits", {"partner_agent": "12345"}, 100),
    ("partner_agent empty", {"partner_agent": ""}, 100),
    ("partner_agent a number", {"partner_agent": 5}, 100),
    ("namespace_id a number", {"namespace_id": 5}, 100),
    ("upload_id a number", {"upload_id": 5}, 100),
    ("upload_tag a list", {"upload_tag": ["x"]}, 100),
    ("upload_source a boolean", {"upload_source": True}, 100),
    ("platforms an object", {"platforms": {"name": "x"}}, 100),
    ("platforms of texts", {"platforms": ["x"]}, 100),
    ("unknown key of a platform", {"platforms": [{"os": "x"}]}, 100),
    ("progress a list", {"progress": [0, 1]}, 100),
    ("progress of texts", {"progress": {"start_inclusive": "0"}}, 100),
    ("unknown key of progress", {"progress": {"start": 0}}, 100),
    ("trace below nothing", {"trace": -1}, 100),
    ("trace as text", {"trace": "1"}, 100),
    ("limited data use for the request", {"data_processing_options": ["LDU"]}, 100),
    ("country for the request", {"data_processing_options_country": 1}, 100),
    ("state for the request", {"data_processing_options_state": 1000}, 100),
    ("an event's key for the request", {"event_name": "Lead"}, 100),
    ("a key of another API", {"pixel_code": "5"}, 100),
    ("token a number", {"access_token": 5}, 104),
    ("token empty", {"access_token": ""}, 104),
    ("no token", {"access_token": ...}, 104),
    ("token that is none", {"access_token": "nonsense"}, 190),
    ("proof a number", {"appsecret_proof": 5}, 100),
]

_WINDOWS = {"inactivity_window_hours": 24, "reattribution_window_hours": 0}

ACCEPTED_EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("seven days old", {"event_time": NOW - 7 * DAY}),
    ("62 days in a store", {"event_time": NOW - 62 * DAY, "action_source": "physical_store"}),
    ("five minutes ahead", {"event_time": NOW + 300}),
    ("no event id", {"event_id": ...}),
    ("an empty event id", {"event_id": ""}),
    ("null is absent", {"event_id": None, "custom_data": None, "opt_out": None}),
    ("a website without user agent and address", {"user_data": {"em": HASH}}),
    ("addresses", {"event_source_url": "https://a.example/?q=1", "referrer_url": "b.example"}),
    ("opted out", {"opt_out": True}),
    *((f"from {source}", {"action_source": source}) for source in _SOURCES),
    ("one upper-case hash", {"user_data": {"em": HASH.upper()}}),
    ("appendices", {"user_data": {"em": [HASH + ".AQIBAAAA", HASH + ".Ag"]}}),
    ("empty values beside one", _user(ph="", ct=[], fbc=None, external_id=[])),
    ("raw external id", {"user_data": {"external_id": ["customer 5"]}}),
    ("IPv6 address alone", {"user_data": {"client_ip_address": "2001:db8::1"}}),
    ("IPv4 address alone", {"user_data": {"client_ip_address": "203.0.113.7"}}),
    ("address with appendix", _user(client_ip_address="203.0.113.7.AQIBAAAA")),
    ("IPv6 address with appendix", _user(client_ip_address="2001:db8::1.Ag")),
    ("both names", {"user_data": {"fn": HASH, "ln": HASH}}),
    ("lead id", {"user_data": {"lead_id": 1234567890123456}}),
    ("lead id as Meta's SDK sends it", {"user_data": {"lead_id": "1234567890123456"}}),
    ("login ids", _user(fb_login_id=1234567890)),
    ("login id as text", _user(fb_login_id="1234567890")),
    ("click ids", _user(fbc="fb.1.1554763741205.AbC_-d", fbp="fb.1.1558571054389.1098115397")),
    ("click ids with appendix", _user(fbc="fb.1.1554763741205.AbC.AQIBAAAA", fbp=_FBP + ".Ag")),
    ("rare keys", _user(**dict.fromkeys(("subscription_id", "anon_id", "madid"), "5"))),
    ("legacy keys", _user(**dict.fromkeys(("f5first", "fi", "doby", "app_user_id"), HASH))),
    ("purchase", {"event_name": "Purchase", "custom_data": PURCHASE}),
    ("free purchase", {"event_name": "Purchase", **_custom(value=0, currency="usd")}),
    ("another event than Purchase", {"event_name": "purchase"}),
    ("name of an event in another script", {"event_name": "\u5951\u7d04 \U0001f600"}),
    ("custom properties", _custom(anything={"of": ["ours"]}, nothing=None, flag=True)),
    (
        "custom data in full",
        _custom(
            value=1,
            net_revenue=0.5,
            predicted_ltv=10,
            content_ids=["a", 5],
            contents=[{"id": "a", "quantity": 1, "item_price": 1.5, "title": "A"}, {"id": 5}, {}],
            content_type="hotel",
            num_items=2,
            status=True,
            delivery_category="curbside",
            customer_segmentation="customer_in_loyalty_program",
            event_source="crm",
            lead_event_source="A CRM",
        ),
    ),
    ("segment of the event", {"customer_segmentation": "new_customer_to_business"}),
    ("app", _app()),
    ("app of Android with numbers", _app(extinfo=_ANDROID)),
    (
        "app in full",
        _app(
            advertiser_tracking_enabled=True,
            application_tracking_enabled=0,
            campaign_ids="5",
            url_schemes=["a", "b"],
            vendor_id="5",
        ),
    ),
    ("WhatsApp", _messaging()),
    ("WhatsApp Business", _messaging(**_user(whatsapp_business_account_id="5", ctwa_clid="c"))),
    ("Messenger", _messaging(messaging_channel="messenger", event_name="OrderShipped")),
    (
        "Instagram",
        _messaging(messaging_channel="instagram", **_user(ig_account_id="5", ig_sid="6")),
    ),
    ("no limited data use", _limited([])),
    ("limited data use by place", _limited(["LDU"], 0, 0)),
    *((f"limited data use in {state}", _limited(["LDU"], 1, state)) for state in range(1000, 1014)),
    (
        "original event",
        {"original_event_data": {"event_name": "Lead", "event_time": NOW - 90 * DAY}},
    ),
    ("attribution", _attribution(attribution_model="time_decay", attribution_share=0.5)),
    ("attribution's windows", _attribution(attribution_setting=_WINDOWS, visit_time=NOW)),
]

ACCEPTED_REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("the same event twice", {"data": [event(), event()]}),
    ("a thousand events", {"data": [event()] * 1000}),
    ("a test code", {"test_event_code": "TEST1"}),
    ("partner_agent of 22 characters", {"partner_agent": "ab" + "-" * 20}),
    ("partner_agent of two letters", {"partner_agent": "1a2b"}),
    ("upload", {"upload_id": "1", "upload_tag": "stores", "upload_source": "till"}),
    ("namespace", {"namespace_id": "5"}),
    ("progress", {"progress": {"start_inclusive": 0, "end_exclusive": 10}, "trace": 5}),
    ("platforms", {"platforms": [{"name": "x", "type": "y", "version": "1"}]}),
    ("a language", {"locale": "fr_FR"}),
]

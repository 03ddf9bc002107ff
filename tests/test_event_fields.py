"""Every parameter of Meta's reference has its place, and nothing that Meta refuses ever leaves.

Meta's part is played by the emulator's rules, which were written anew from Meta's pages.
"""

import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from consumer import wire_values
from consumer.decode import decode
from consumer.destinations import parse_destinations
from consumer.emulator_rules import judge_batch
from consumer.encode import EventEncoder
from consumer.json_lines import Line, read_line
from consumer.model import Event, Prepared, Record, Rejected, TopicPartition
from consumer.prepare import Preparation, prepare
from consumer.schema_plan import event_schema, plan_reading

ROOT = Path(__file__).parent.parent
NOW_MS = 1_764_000_060_000


def words(text: str, *, prefix: str = "") -> set[str]:
    return {f"{prefix}{word}" for word in text.split()}


# From Meta's pages "Server event", "Custom data", "Customer information", "App data", "Original
# event data" and "Append attribution", and what its business SDKs have beyond them.
META_KEYS = {
    *words("event_name event_time event_id action_source event_source_url opt_out referrer_url"),
    *words("messaging_channel advanced_measurement_table data_processing_options"),
    *words("data_processing_options_country data_processing_options_state"),
    *words(
        "value currency net_revenue content_name content_category content_ids content_type order_id"
        " predicted_ltv num_items status search_string delivery_category item_number"
        " customer_segmentation event_source lead_event_source",
        prefix="custom_data.",
    ),
    *words(
        "id quantity item_price title description brand category delivery_category",
        prefix="custom_data.contents[].",
    ),
    *words(
        "em ph fn ln db ge ct st zp country external_id client_ip_address client_user_agent fbc fbp"
        " subscription_id fb_login_id lead_id anon_id madid page_id page_scoped_user_id ctwa_clid"
        " whatsapp_business_account_id ig_account_id ig_sid",
        prefix="user_data.",
    ),
    *words(
        "advertiser_tracking_enabled application_tracking_enabled extinfo campaign_ids vendor_id"
        " install_referrer installer_package url_schemes windows_attribution_id consider_views"
        " include_dwell_data include_video_data receipt_data",
        prefix="app_data.",
    ),
    *words("event_name event_time order_id event_id", prefix="original_event_data."),
    *words(
        "scope visit_time ad_id adset_id campaign_id attribution_share attribution_model"
        " attr_window attribution_value attribution_source touchpoint_type touchpoint_ts"
        " attribution_method decline_reason auditing_token linkage_key touchpoint_id total_credit"
        " partner_client_id attribution_setting.inactivity_window_hours"
        " attribution_setting.reattribution_window_hours",
        prefix="attribution_data.",
    ),
}
LEFT_OUT = {
    *words("f5first f5last fi dobd dobm doby app_user_id"),
    *words("partner_agent namespace_id test_event_code upload_id upload_tag upload_source"),
    *words("progress platforms trace"),
}


def page() -> str:
    return (ROOT / "docs" / "event.md").read_text("utf-8")


def everything() -> dict[str, Any]:
    """An event with the page's example of every field, as one would write it in JSON Lines."""
    rows = re.findall(r"^\| `([A-Za-z.]+)` \| ([a-z ]+) \| .+? \| `(.+?)` \|", page(), re.MULTILINE)
    event: dict[str, Any] = {}
    for path, kind, example in rows:
        *parents, last = path.split(".")
        inside = event
        for parent in parents:
            inside = inside.setdefault(parent, [{}] if parent == "items" else {})
            inside = inside[0] if isinstance(inside, list) else inside
        if kind == "string":
            inside[last] = example
        elif kind.startswith("list"):
            inside[last] = example.strip("[]").split(", ")
        elif kind.startswith("map"):
            name, value = example.strip("{}").split(": ")
            inside[last] = {name: value if kind.endswith("string") else float(value)}
        else:
            inside[last] = json.loads(example)
    event["appData"]["extinfo"] = EXTINFO
    event["actionSource"] = "crm"
    del event["user"]["clickIds"]["fbclid"], event["user"]["clickIds"]["fbclidTime"]
    return event


EXTINFO = ["a2", "com.example.shop", "", "", "14", *[""] * 11]


def prepared(fields: dict[str, Any]) -> Prepared | Rejected:
    """Through JSON Lines, Avro's bytes and back, as an event really comes."""
    line = read_line(orjson.dumps(fields))
    assert isinstance(line, Line), line
    assert line.unknown == ()
    value = EventEncoder(schema_id=7).encode(line.fields)
    record = Record(TopicPartition("events", 0), 0, NOW_MS, None, value, (), 1)
    event = decode(record, schema_for=lambda _: plan_reading(event_schema()))
    assert isinstance(event, Event)
    preparation = Preparation(parse_destinations(f"- id: {PIXEL}", Path()), None, 1_000_000)
    found = prepare(event, preparation, now_ms=NOW_MS)
    assert isinstance(found, Prepared | Rejected)
    return found


PIXEL = "1729525464415281"


def paths(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {each for k, v in value.items() for each in paths(v, f"{path}.{k}" if path else k)}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {each for item in value for each in paths(item, f"{path}[]")}
    return {path}


def accepted(body: bytes) -> None:
    """Meta takes it."""
    refusal = judge_batch([orjson.loads(body)], now=NOW_MS / 1000, raw=body)
    assert refusal is None, refusal


def test_an_event_of_every_field_arrives_under_every_name_of_metas() -> None:
    found = prepared(everything())

    assert isinstance(found, Prepared), found
    assert found.dropped == ()
    own = {"custom_data.plan", "custom_data.seats", "custom_data.tags"}
    assert paths(orjson.loads(found.body)) - own == META_KEYS
    accepted(found.body)


def test_the_page_has_a_row_for_every_field_of_the_schema() -> None:
    def leaves(schema: Any, prefix: str) -> set[str]:
        found: set[str] = set()
        for field in schema["fields"]:
            kind = field["type"][1] if isinstance(field["type"], list) else field["type"]
            record = kind.get("items", kind) if isinstance(kind, dict) else {}
            if isinstance(record, dict) and record.get("type") == "record":
                found |= leaves(record, f"{prefix}{field['name']}.")
            else:
                found.add(f"{prefix}{field['name']}")
        return found

    rows = re.findall(r"^\| `([A-Za-z.]+)` \| [a-z ]+ \|", page(), re.MULTILINE)

    assert len(rows) == len(set(rows))
    assert set(rows) == leaves(event_schema(), "")


def test_the_page_says_where_each_key_of_metas_is_or_why_it_is_nowhere() -> None:
    there = set(re.findall(r"`([a-z_0-9.\[\]]+)`", page()))

    assert META_KEYS - there == set()
    assert LEFT_OUT - there == set()


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("contentType", wire_values.CONTENT_TYPES),
        ("messagingChannel", wire_values.MESSAGING_CHANNELS),
        ("deliveryCategory", wire_values.DELIVERY_CATEGORIES),
        ("items.deliveryCategory", wire_values.DELIVERY_CATEGORIES),
        ("attribution.attributionModel", wire_values.ATTRIBUTION_MODELS),
        ("attribution.attributionMethod", wire_values.ATTRIBUTION_METHODS),
        ("attribution.declineReason", wire_values.DECLINE_REASONS),
    ],
)
def test_a_closed_list_of_metas_is_the_same_in_page_and_code(
    path: str, known: tuple[str, ...]
) -> None:
    (row,) = (line for line in page().splitlines() if line.startswith(f"| `{path}` |"))
    said = set(re.findall(r"[a-z_]+", row.partition("; ")[2].partition(" | ")[0]))

    assert {word for word in known if word not in said and f"`{word}`" not in row} == set()
    assert {word for word in said if "_" in word} <= {*known, "business_messaging"}


BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"messagingChannel": "pigeon"}, ["messagingChannel"]),
    ({"deliveryCategory": "by drone"}, ["deliveryCategory"]),
    ({"contentType": "banana"}, ["contentType"]),
    ({"customerSegmentation": "friend"}, ["customerSegmentation"]),
    ({"numItems": -1}, ["numItems"]),
    ({"value": -1.0}, ["value"]),
    ({"currency": "XYZ"}, ["currency"]),
    ({"items": [{"id": "a", "quantity": -1, "price": -1.0}]}, ["items.quantity", "items.price"]),
    ({"items": [{}]}, ["items"]),
    ({"customData": {"value": "1"}}, ["customData"]),
    ({"customData": {"num_items": "1"}}, ["customData"]),
    ({"customDataJson": '{"contents": {"id": "a"}}'}, ["customDataJson"]),
    ({"customDataJson": '{"contents": [{"colour": "red"}]}'}, ["customDataJson"]),
    ({"customDataJson": '{"content_ids": "a", "currency": 5}'}, ["customDataJson"] * 2),
    ({"appData": {"extinfo": ["i2"]}}, ["appData.extinfo"]),
    ({"appData": {"extinfo": ["x1", *EXTINFO[1:]]}}, ["appData.extinfo"]),
    ({"appData": {"urlSchemes": [""]}}, ["appData.urlSchemes"]),
    ({"originalEvent": {"eventTime": -5}}, ["originalEvent.eventTime"]),
    ({"attribution": {"attributionShare": 1.5}}, ["attribution.attributionShare"]),
    ({"attribution": {"attributionShare": -0.5}}, ["attribution.attributionShare"]),
    ({"attribution": {"attributionModel": "magic"}}, ["attribution.attributionModel"]),
    ({"attribution": {"declineReason": "rain"}}, ["attribution.declineReason"]),
    ({"attribution": {"attributionMethod": "magic"}}, ["attribution.attributionMethod"]),
    ({"attribution": {"attributionWindow": -7}}, ["attribution.attributionWindow"]),
    ({"attribution": {"totalCredit": -1.0}}, ["attribution.totalCredit"]),
    ({"attribution": {"visitTime": -1}}, ["attribution.visitTime"]),
    ({"attribution": {"inactivityWindowHours": -1}}, ["attribution.inactivityWindowHours"]),
    ({"dataProcessing": {"options": ["XYZ"]}}, ["dataProcessing.options"]),
    ({"dataProcessing": {"options": ["LDU"], "country": 7}}, ["dataProcessing.country"]),
    ({"dataProcessing": {"options": ["LDU"], "state": 1000}}, ["dataProcessing.state"]),
    ({"dataProcessing": {"options": ["LDU"], "country": 1, "state": 5}}, ["dataProcessing.state"]),
    ({"consent": {"adUserData": "maybe"}}, ["consent.adUserData"]),
    ({"leadEventSource": "HubSpot"}, ["leadEventSource"]),
    ({"user": {"email": "a@b.co", "leadId": "12"}}, ["leadId"]),
]


@pytest.mark.parametrize(
    ("changes", "dropped"), BAD, ids=[json.dumps(each)[:60] for each, _ in BAD]
)
def test_a_malformed_field_is_named_and_meta_takes_the_event(
    changes: dict[str, Any], dropped: list[str]
) -> None:
    plain = {
        "eventName": "Lead",
        "eventTime": NOW_MS,
        "actionSource": "email",
        "user": {"email": "a@b.co"},
    }

    found = prepared(plain | changes)

    assert isinstance(found, Prepared), found
    assert [each.field for each in found.dropped] == dropped
    accepted(found.body)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "path",
    [
        *("value", "predictedLtv", "netRevenue", "items.price"),
        *("attribution.attributionShare", "attribution.attributionValue"),
        "attribution.totalCredit",
    ],
)
def test_what_is_no_number_for_json_is_dropped_wherever_it_stands(path: str, number: float) -> None:
    """JSON Lines cannot say it, Avro can."""
    fields: dict[str, Any] = {
        "destinationId": PIXEL,
        "eventName": "Lead",
        "eventTime": NOW_MS,
        "actionSource": "email",
        "user": {"email": "a@b.co"},
    }
    outer, _, inner = path.partition(".")
    record: dict[str, Any] = {inner: number}
    fields[outer] = number if not inner else [{"id": "a"} | record] if outer == "items" else record
    value = EventEncoder(schema_id=7).encode(fields)
    at = Record(TopicPartition("events", 0), 0, NOW_MS, None, value, (), 1)
    event = decode(at, schema_for=lambda _: plan_reading(event_schema()))
    assert isinstance(event, Event)
    preparation = Preparation(parse_destinations(f"- id: {PIXEL}", Path()), None, 1_000_000)

    found = prepare(event, preparation, now_ms=NOW_MS)

    assert isinstance(found, Prepared)
    assert [each.field for each in found.dropped] == [path]
    assert b"null" not in found.body
    accepted(found.body)

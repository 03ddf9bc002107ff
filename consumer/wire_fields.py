"""Our names → Meta's names, and what of a value is sent, for all that is not about the person.

Source: Meta's Conversions API parameter pages (server event, custom data, app data, original
event, attribution) and the fields of Meta's own business SDK.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from consumer.model import Dropped, DropReason
from consumer.wire_values import (
    ATTRIBUTION_METHODS,
    ATTRIBUTION_MODELS,
    CONTENT_TYPES,
    CUSTOMER_SEGMENTS,
    DECLINE_REASONS,
    DELIVERY_CATEGORIES,
    MESSAGING_CHANNELS,
    Read,
    count,
    currency,
    digits,
    extinfo,
    flag,
    money,
    nothing,
    one_of,
    seconds,
    share,
    texts,
)


class WireField(NamedTuple):
    """One field. A value of the type ``plain`` is sent as it is, another as ``read`` says."""

    ours: str
    metas: str
    plain: type | None
    read: Read


Table = tuple[WireField, ...]


def _text(ours: str, metas: str) -> WireField:
    return WireField(ours, metas, str, digits)


def _flag(ours: str, metas: str) -> WireField:
    return WireField(ours, metas, bool, nothing)


def _value(ours: str, metas: str, read: Read) -> WireField:
    return WireField(ours, metas, None, read)


EVENT: Table = (
    _text("sourceUrl", "event_source_url"),
    _text("referrerUrl", "referrer_url"),
    _flag("optOut", "opt_out"),
    _value("messagingChannel", "messaging_channel", one_of(MESSAGING_CHANNELS)),
    _text("advancedMeasurementTable", "advanced_measurement_table"),
)

CUSTOM_DATA: Table = (
    _value("value", "value", money),
    _value("currency", "currency", currency),
    _value("predictedLtv", "predicted_ltv", money),
    _value("netRevenue", "net_revenue", money),
    _text("orderId", "order_id"),
    _value("contentType", "content_type", one_of(CONTENT_TYPES)),
    _text("contentName", "content_name"),
    _text("contentCategory", "content_category"),
    _value("contentIds", "content_ids", texts),
    _value("numItems", "num_items", count),
    _text("searchString", "search_string"),
    WireField("status", "status", str, flag),
    _value("deliveryCategory", "delivery_category", one_of(DELIVERY_CATEGORIES)),
    _text("itemNumber", "item_number"),
    # Meta's page lists it with the event's keys and shows it in custom_data. There any name is
    # taken, while an unknown key of the event has the whole request refused.
    _value("customerSegmentation", "customer_segmentation", one_of(CUSTOMER_SEGMENTS)),
)

ITEM: Table = (
    _text("id", "id"),
    _value("quantity", "quantity", count),
    _value("price", "item_price", money),
    _text("name", "title"),
    _text("category", "category"),
    _text("brand", "brand"),
    _text("description", "description"),
    _value("deliveryCategory", "delivery_category", one_of(DELIVERY_CATEGORIES)),
)

APP_DATA: Table = (
    _flag("advertiserTrackingEnabled", "advertiser_tracking_enabled"),
    _flag("applicationTrackingEnabled", "application_tracking_enabled"),
    _value("extinfo", "extinfo", extinfo),
    _text("campaignIds", "campaign_ids"),
    _text("installReferrer", "install_referrer"),
    _text("installerPackage", "installer_package"),
    _value("urlSchemes", "url_schemes", texts),
    _text("vendorId", "vendor_id"),
    _text("windowsAttributionId", "windows_attribution_id"),
    _flag("considerViews", "consider_views"),
    _flag("includeDwellData", "include_dwell_data"),
    _flag("includeVideoData", "include_video_data"),
    _text("receiptData", "receipt_data"),
)

ORIGINAL_EVENT: Table = (
    _text("eventName", "event_name"),
    _value("eventTime", "event_time", seconds),
    _text("orderId", "order_id"),
    _text("eventId", "event_id"),
)

ATTRIBUTION: Table = (
    _text("scope", "scope"),
    _value("visitTime", "visit_time", seconds),
    _text("adId", "ad_id"),
    _text("adsetId", "adset_id"),
    _text("campaignId", "campaign_id"),
    _value("attributionShare", "attribution_share", share),
    _value("attributionModel", "attribution_model", one_of(ATTRIBUTION_MODELS)),
    _value("attributionWindow", "attr_window", count),
    _value("attributionValue", "attribution_value", money),
    _text("attributionSource", "attribution_source"),
    _text("touchpointType", "touchpoint_type"),
    _value("touchpointTime", "touchpoint_ts", seconds),
    _value("attributionMethod", "attribution_method", one_of(ATTRIBUTION_METHODS)),
    _value("declineReason", "decline_reason", one_of(DECLINE_REASONS)),
    _text("auditingToken", "auditing_token"),
    _text("linkageKey", "linkage_key"),
    _text("touchpointId", "touchpoint_id"),
    _value("totalCredit", "total_credit", money),
    _text("partnerClientId", "partner_client_id"),
)

ATTRIBUTION_SETTING: Table = (
    _value("inactivityWindowHours", "inactivity_window_hours", count),
    _value("reattributionWindowHours", "reattribution_window_hours", count),
)


def taken(
    fields: Mapping[str, Any], table: Table, prefix: str, dropped: list[Dropped]
) -> dict[str, Any]:
    """The fields that are there (neither null nor empty) under Meta's names.

    What is malformed is appended to ``dropped``, as ``prefix`` and our name.
    """
    get = fields.get
    found: dict[str, Any] = {}
    for ours, metas, plain, read in table:
        value = get(ours)
        if value is None:
            continue
        if type(value) is plain:
            if value != "":
                found[metas] = value
        elif value != "" and value != []:  # noqa: PLR1714 - 1.0 == True in sets
            outcome = read(value)
            if outcome is None:
                dropped.append(Dropped(prefix + ours, DropReason.MALFORMED))
            else:
                found[metas] = outcome
    return found

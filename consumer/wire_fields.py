"""Our names → Meta's names, for everything that is passed on as it is.

Source: Meta's Conversions API parameter pages (server event, custom data, app data, original
event, attribution) and the fields of Meta's own business SDK.
"""

from collections.abc import Mapping
from typing import Any

Names = tuple[tuple[str, str], ...]

EVENT: Names = (
    ("sourceUrl", "event_source_url"),
    ("referrerUrl", "referrer_url"),
    ("optOut", "opt_out"),
    ("messagingChannel", "messaging_channel"),
    ("advancedMeasurementTable", "advanced_measurement_table"),
)

CUSTOM_DATA: Names = (
    ("orderId", "order_id"),
    ("contentType", "content_type"),
    ("contentName", "content_name"),
    ("contentCategory", "content_category"),
    ("contentIds", "content_ids"),
    ("numItems", "num_items"),
    ("searchString", "search_string"),
    ("status", "status"),
    ("deliveryCategory", "delivery_category"),
    ("itemNumber", "item_number"),
    ("customerSegmentation", "customer_segmentation"),
)

MONEY: Names = (
    ("value", "value"),
    ("predictedLtv", "predicted_ltv"),
    ("netRevenue", "net_revenue"),
)

ITEM: Names = (
    ("id", "id"),
    ("quantity", "quantity"),
    ("name", "title"),
    ("category", "category"),
    ("brand", "brand"),
    ("description", "description"),
    ("deliveryCategory", "delivery_category"),
)

APP_DATA: Names = (
    ("advertiserTrackingEnabled", "advertiser_tracking_enabled"),
    ("applicationTrackingEnabled", "application_tracking_enabled"),
    ("extinfo", "extinfo"),
    ("campaignIds", "campaign_ids"),
    ("installReferrer", "install_referrer"),
    ("installerPackage", "installer_package"),
    ("urlSchemes", "url_schemes"),
    ("vendorId", "vendor_id"),
    ("windowsAttributionId", "windows_attribution_id"),
    ("considerViews", "consider_views"),
    ("includeDwellData", "include_dwell_data"),
    ("includeVideoData", "include_video_data"),
    ("receiptData", "receipt_data"),
)

ORIGINAL_EVENT: Names = (
    ("eventName", "event_name"),
    ("orderId", "order_id"),
    ("eventId", "event_id"),
)

ATTRIBUTION: Names = (
    ("scope", "scope"),
    ("visitTime", "visit_time"),
    ("adId", "ad_id"),
    ("adsetId", "adset_id"),
    ("campaignId", "campaign_id"),
    ("attributionShare", "attribution_share"),
    ("attributionModel", "attribution_model"),
    ("attributionWindow", "attr_window"),
    ("attributionValue", "attribution_value"),
    ("attributionSource", "attribution_source"),
    ("touchpointType", "touchpoint_type"),
    ("touchpointTime", "touchpoint_ts"),
    ("attributionMethod", "attribution_method"),
    ("declineReason", "decline_reason"),
    ("auditingToken", "auditing_token"),
    ("linkageKey", "linkage_key"),
    ("touchpointId", "touchpoint_id"),
    ("attributionSetting", "attribution_setting"),
    ("totalCredit", "total_credit"),
    ("partnerClientId", "partner_client_id"),
)


def renamed(fields: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """The fields that are there (neither null nor empty) under Meta's names."""
    get = fields.get
    found: dict[str, Any] = {}
    for ours, metas in names:
        value = get(ours)
        if value is not None and value != "" and value != []:  # noqa: PLR1714 - 1.0 == True in sets
            found[metas] = value
    return found

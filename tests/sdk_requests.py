"""Requests that Meta's own SDK makes, to be posted as the SDK would; it calls nobody here."""

import json
from collections.abc import Iterable
from typing import Any

from facebook_business.adobjects.serverside.action_source import ActionSource
from facebook_business.adobjects.serverside.app_data import AppData
from facebook_business.adobjects.serverside.attribution_data import AttributionData
from facebook_business.adobjects.serverside.attribution_setting import AttributionSetting
from facebook_business.adobjects.serverside.content import Content
from facebook_business.adobjects.serverside.custom_data import CustomData
from facebook_business.adobjects.serverside.delivery_category import DeliveryCategory
from facebook_business.adobjects.serverside.event import Event
from facebook_business.adobjects.serverside.event_request import EventRequest
from facebook_business.adobjects.serverside.extended_device_info import ExtendedDeviceInfo
from facebook_business.adobjects.serverside.gender import Gender
from facebook_business.adobjects.serverside.messaging_channel import MessagingChannel
from facebook_business.adobjects.serverside.original_event_data import OriginalEventData
from facebook_business.adobjects.serverside.user_data import UserData

from tests.emulated import PIXEL
from tests.graph_requests import NOW


def sdk_events() -> list[Any]:
    """Events with every field that the SDK has, hashed by the SDK itself."""
    return [_purchase(), _app_event(), _message(), _attribution()]


def as_the_sdk_sends(events: Iterable[Any], **more: str) -> dict[str, str]:
    """The form that the SDK posts: what has a structure as JSON, the events as JSON in JSON."""
    parameters = EventRequest(pixel_id=PIXEL, events=list(events), **more).get_params()
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in parameters.items()
    }


def _event(**fields: Any) -> Any:
    return Event(event_time=NOW - 60, user_data=_user(), **fields)


def _purchase() -> Any:
    return _event(
        event_name="Purchase",
        event_id="sdk 1",
        event_source_url="https://shop.example.com/thanks",
        referrer_url="https://example.com",
        opt_out=False,
        action_source=ActionSource.WEBSITE,
        custom_data=_custom_data(),
        data_processing_options=["LDU"],
        data_processing_options_country=1,
        data_processing_options_state=1000,
        advanced_measurement_table="a table",
    )


def _app_event() -> Any:
    app_data = AppData(
        advertiser_tracking_enabled=True,
        application_tracking_enabled=False,
        campaign_ids="5",
        consider_views=True,
        extinfo=_device(),
        include_dwell_data=False,
        include_video_data=True,
        install_referrer="a",
        installer_package="b",
        receipt_data="c",
        url_schemes="d",
        windows_attribution_id="e",
    )
    source = ActionSource.APP
    return _event(event_name="Lead", event_id="sdk 2", action_source=source, app_data=app_data)


def _message() -> Any:
    return _event(
        event_name="LeadSubmitted",
        event_id="sdk 3",
        action_source=ActionSource.BUSINESS_MESSAGING,
        messaging_channel=MessagingChannel.WHATSAPP,
    )


def _attribution() -> Any:
    return _event(
        event_name="AppendAttribution",
        event_id="sdk 4",
        action_source=ActionSource.OTHER,
        original_event_data=OriginalEventData(
            event_name="Purchase", event_time=NOW - 3600, order_id="order 5", event_id="sdk 1"
        ),
        # Its enums are left out: the SDK's own JSON cannot be written with them.
        attribution_data=AttributionData(
            scope="click",
            visit_time=NOW - 7200,
            ad_id="1",
            adset_id="2",
            campaign_id="3",
            attribution_share=0.5,
            attribution_value=10.0,
            attr_window=7,
            attribution_source="a",
            touchpoint_type="click",
            touchpoint_ts=NOW - 7200,
            auditing_token="b",
            linkage_key="c",
            touchpoint_id="d",
            attribution_setting=AttributionSetting(24, 0),
            total_credit=1.0,
            partner_client_id="e",
        ),
    )


def _user() -> Any:
    return UserData(
        emails=["Jane@Example.com", "jane@example.org"],
        phones=["+1 (415) 555-1234"],
        genders=[Gender.FEMALE],
        dates_of_birth=["19970216"],
        last_names=["Doe"],
        first_names=["Jane"],
        cities=["Menlo Park"],
        states=["CA"],
        country_codes=["US"],
        zip_codes=["94025-1234"],
        external_ids=["customer 5", "customer 6"],
        client_ip_address="203.0.113.7",
        client_user_agent="Mozilla/5.0",
        fbc="fb.1.1554763741205.AbCdEf",
        fbp="fb.1.1558571054389.1098115397",
        subscription_id="5",
        fb_login_id="1234567890",
        lead_id="1234567890123456",
        f5first="jane",
        f5last="doe",
        fi="j",
        dobd="16",
        dobm="02",
        doby="1997",
        madid="cdda802e-fb9c-47ad-9866-0794d394c912",
        anon_id="anonymous 5",
        ctwa_clid="a-click",
        page_id="1729525464415281",
    )


def _custom_data() -> Any:
    content = Content(
        product_id="a",
        quantity=1,
        item_price=12.5,
        title="A",
        description="An A",
        brand="B",
        category="C",
        delivery_category=DeliveryCategory.HOME_DELIVERY,
    )
    return CustomData(
        value=12.5,
        net_revenue=10,
        currency="EUR",
        content_name="A",
        content_category="C",
        content_ids=["a"],
        contents=[content],
        content_type="product",
        order_id="order 5",
        predicted_ltv=100.0,
        num_items=1,
        status="registered",
        search_string="a",
        item_number="1",
        delivery_category=DeliveryCategory.IN_STORE,
        custom_properties={"club": "gold"},
    )


def _device() -> Any:
    return ExtendedDeviceInfo(
        ext_info_version="a2",
        app_package_name="com.example",
        short_version="1.0",
        long_version="1.0 long",
        os_version="15",
        device_model_name="A phone",
        locale="en_US",
        timezone_abbreviation="PST",
        carrier="A carrier",
        screen_width=1080,
        screen_height=2400,
        screen_density="2.75",
        cpu_core_count=8,
        total_disk_space_gb=128,
        free_disk_space_gb=64,
        device_time_zone="USA/New York",
    )

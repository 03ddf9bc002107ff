"""One event in, exactly one of three fates out: prepared for Meta, rejected by name, suppressed."""

import json
import tracemalloc
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from consumer.destinations import Destinations, parse_destinations
from consumer.event_names import MESSAGING_EVENT_NAMES
from consumer.model import (
    Dropped,
    DropReason,
    Event,
    PixelId,
    Prepared,
    Reason,
    Record,
    Rejected,
    Stage,
    Suppressed,
    TopicPartition,
)
from consumer.prepare import Preparation, prepare

NOW_MS = 1_795_000_000_000
SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
DAY_MS = 24 * 60 * MINUTE_MS
WEEK_LESS_MARGIN_MS = 7 * DAY_MS - 10 * MINUTE_MS
PIXEL = PixelId("1729525464415281")
CANARY = "jane.canary@example.com"
VALUE = b"the record's bytes"


def destinations(more: str = "") -> Destinations:
    """One destination; ``more`` are further lines of its YAML."""
    return parse_destinations(f"- id: {PIXEL}\n{more}", Path())


def record(
    *, headers: tuple[tuple[str, bytes | None], ...] = (), offset: int = 17, value: bytes = VALUE
) -> Record:
    return Record(TopicPartition("events", 3), offset, NOW_MS, b"key", value, headers, 1)


def event(
    *, headers: tuple[tuple[str, bytes | None], ...] = (), offset: int = 17, **changes: Any
) -> Event:
    """A sound web event; a change of None takes the field away."""
    fields: dict[str, Any] = {
        "destinationId": PIXEL,
        "eventName": "Lead",
        "eventTime": NOW_MS - MINUTE_MS,
        "eventId": "order_1",
        "actionSource": "web",
        "sourceUrl": "https://shop.example.com/thanks",
        "user": {"email": CANARY, "userAgent": "Mozilla/5.0"},
        **changes,
    }
    present = {name: value for name, value in fields.items() if value is not None}
    return Event(record(headers=headers, offset=offset), present, present.get("eventTime"))


def outcome(
    given: Event,
    *,
    more: str = "",
    test_code: str | None = None,
    body_bytes_max: int = 1_000_000,
    now_ms: int = NOW_MS,
) -> Prepared | Rejected | Suppressed:
    preparation = Preparation(destinations(more), test_code, body_bytes_max)
    return prepare(given, preparation, now_ms=now_ms)


def prepared(given: Event, **options: Any) -> Prepared:
    found = outcome(given, **options)
    assert isinstance(found, Prepared), found
    return found


def rejected(given: Event, **options: Any) -> Rejected:
    found = outcome(given, **options)
    assert isinstance(found, Rejected), found
    return found


def body(given: Event, **options: Any) -> dict[str, Any]:
    """What Meta gets, as JSON has it."""
    found: dict[str, Any] = json.loads(prepared(given, **options).body)
    return found


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def test_the_example_of_the_mission_becomes_exactly_what_meta_asks_for() -> None:
    given = event(
        eventName="Lead",
        eventTime=NOW_MS,
        eventId="order_abc_123",
        value=42.50,
        currency="USD",
        actionSource="crm",
        sourceUrl=None,
        user={
            "email": "customer@example.com",
            "phone": "+14155551234",
            "firstName": "Jane",
            "lastName": "Doe",
            "country": "US",
        },
    )

    found = prepared(given)

    assert json.loads(found.body) == {
        "event_name": "Lead",
        "event_time": NOW_MS // 1000,
        "event_id": "order_abc_123",
        "action_source": "system_generated",
        "user_data": {
            "em": [digest("customer@example.com")],
            "ph": [digest("14155551234")],
            "fn": [digest("jane")],
            "ln": [digest("doe")],
            "country": [digest("us")],
        },
        "custom_data": {"value": 42.5, "currency": "USD"},
    }
    assert found == Prepared(
        record=given.record,
        destination=PIXEL,
        test_code=None,
        event_name="Lead",
        event_id="order_abc_123",
        event_time_ms=NOW_MS,
        body=found.body,
        due_at_ms=0,
        expires_at_ms=NOW_MS + WEEK_LESS_MARGIN_MS,
        aged=False,
        match_keys=("em", "ph", "fn", "ln", "country"),
        dropped=(),
        warnings=(),
    )


EXTINFO = ["a2", "", "", "", "13.4.1", *[""] * 11]
PURCHASE = {"eventName": "Purchase", "value": 1.0, "currency": "EUR"}

MESSAGE: dict[str, Any] = {
    "actionSource": "business_messaging",
    "messagingChannel": "whatsapp",
    "eventName": "LeadSubmitted",
    "user": {"email": CANARY, "pageId": "1234567890"},
}

REJECTIONS: list[tuple[Reason, str, dict[str, Any], str]] = [
    (Reason.MISSING_EVENT_NAME, "eventName", {"eventName": None}, ""),
    (Reason.MISSING_EVENT_NAME, "eventName", {"eventName": " \t"}, ""),
    (Reason.MISSING_EVENT_NAME, "eventName", {"eventName": 5}, ""),
    (Reason.MISSING_EVENT_TIME, "eventTime", {"eventTime": None}, ""),
    (Reason.MISSING_EVENT_ID, "eventId", {"eventId": None}, "  missingEventId: reject"),
    (Reason.MISSING_EVENT_ID, "eventId", {"eventId": "  "}, "  missingEventId: reject"),
    (Reason.UNKNOWN_DESTINATION, "destinationId", {"destinationId": "404"}, ""),
    (Reason.MISSING_DESTINATION, "destinationId", {"destinationId": None}, "\n- id: 2"),
    (Reason.MISSING_DESTINATION, "destinationId", {"destinationId": " "}, "\n- id: 2"),
    (Reason.MISSING_ACTION_SOURCE, "actionSource", {"actionSource": None}, ""),
    (Reason.MISSING_ACTION_SOURCE, "actionSource", {"actionSource": " "}, ""),
    (Reason.UNKNOWN_ACTION_SOURCE, "actionSource", {"actionSource": "carrier pigeon"}, ""),
    (Reason.MISSING_SOURCE_URL, "sourceUrl", {"sourceUrl": None}, "  strict: true"),
    (Reason.MISSING_USER_AGENT, "user.userAgent", {"user": {"email": CANARY}}, "  strict: true"),
    (Reason.MISSING_APP_DATA, "appData.extinfo", {"actionSource": "app"}, ""),
    (
        Reason.MISSING_APP_DATA,
        "appData.extinfo",
        {"actionSource": "app", "appData": {"extinfo": EXTINFO[:15]}},
        "",
    ),
    (
        Reason.MISSING_APP_DATA,
        "appData.extinfo",
        {"actionSource": "app", "appData": {"extinfo": ["", *EXTINFO[1:]]}},
        "",
    ),
    (
        Reason.MISSING_APP_DATA,
        "appData.extinfo",
        {"actionSource": "app", "appData": {"extinfo": [*EXTINFO[:4], "", *EXTINFO[5:]]}},
        "",
    ),
    (
        Reason.MISSING_APP_DATA,
        "appData.extinfo",
        {"actionSource": "app", "appData": {"extinfo": ["x2", *EXTINFO[1:]]}},
        "",
    ),
    (
        Reason.MISSING_MESSAGING_CHANNEL,
        "messagingChannel",
        MESSAGE | {"messagingChannel": None},
        "",
    ),
    (Reason.MISSING_MESSAGING_CHANNEL, "messagingChannel", MESSAGE | {"messagingChannel": "x"}, ""),
    (Reason.MISSING_MESSAGING_ACCOUNT, "user.pageId", MESSAGE | {"user": {"email": CANARY}}, ""),
    (Reason.UNFIT_MESSAGING_EVENT, "eventName", MESSAGE | {"eventName": "Lead"}, ""),
    (Reason.INSUFFICIENT_USER_DATA, "user", {"user": None}, ""),
    (Reason.INSUFFICIENT_USER_DATA, "user", {"user": {}}, ""),
    (Reason.INSUFFICIENT_USER_DATA, "user", {"user": {"firstName": "Jane", "gender": "f"}}, ""),
    (Reason.INSUFFICIENT_USER_DATA, "user", {"user": {"country": "US", "userAgent": "M"}}, ""),
    (Reason.MISSING_VALUE, "value", {**PURCHASE, "value": None}, ""),
    (Reason.MISSING_VALUE, "value", {**PURCHASE, "value": -0.01}, ""),
    (Reason.MISSING_VALUE, "value", {**PURCHASE, "value": float("nan")}, ""),
    (
        Reason.MISSING_VALUE,
        "value",
        {**PURCHASE, "value": None, "customData": {"value": "12.50"}},
        "",
    ),
    (Reason.MISSING_CURRENCY, "currency", {**PURCHASE, "currency": None}, ""),
    (
        Reason.MISSING_CURRENCY,
        "currency",
        {**PURCHASE, "currency": None, "customDataJson": '{"currency": 1}'},
        "",
    ),
    (Reason.MISSING_CURRENCY, "currency", {**PURCHASE, "currency": "XYZ1"}, ""),
    (Reason.EVENT_TOO_OLD, "eventTime", {"eventTime": NOW_MS - 8 * DAY_MS}, ""),
    (Reason.EVENT_TIME_IN_FUTURE, "eventTime", {"eventTime": NOW_MS + 6 * MINUTE_MS}, ""),
    (Reason.EVENT_TOO_LARGE, "customData", {"customData": {"a": "x" * 1_000_000}}, ""),
]


@pytest.mark.parametrize(
    ("reason", "field", "changes", "more"),
    REJECTIONS,
    ids=[f"{reason.value}-{number}" for number, (reason, *_) in enumerate(REJECTIONS)],
)
def test_each_reason_names_its_field_and_quotes_no_person(
    reason: Reason, field: str, changes: dict[str, Any], more: str
) -> None:
    given = event(**changes)

    found = rejected(given, more=more)

    assert (found.reason, found.field) == (reason, field)
    assert found.record is given.record
    assert found.detail
    assert CANARY not in found.detail
    assert str(PIXEL) not in found.detail
    assert found.event_time_ms == given.event_time_ms


def test_the_table_above_has_every_reason_of_this_stage() -> None:
    stage = {reason for reason in Reason if reason.stage is Stage.VALIDATE}

    # No event provokes it here: ``test_intake.py`` does.
    assert {reason for reason, *_ in REJECTIONS} == stage - {Reason.INTERNAL_ERROR}


def test_a_rejection_says_whose_event_it_was() -> None:
    found = rejected(event(actionSource="carrier pigeon"))

    assert (found.destination, found.event_name, found.event_id) == (PIXEL, "Lead", "order_1")
    assert (found.attempts, found.maybe_delivered, found.error) == (0, False, None)


def test_a_rejection_for_an_unknown_destination_still_names_it() -> None:
    assert rejected(event(destinationId=" 404 ")).destination == "404"


def test_a_rejection_without_an_event_id_carries_the_derived_one() -> None:
    derived = prepared(event(eventId=None)).event_id

    assert rejected(event(eventId=None, actionSource="carrier pigeon")).event_id == derived


def test_the_only_destination_may_be_left_unnamed() -> None:
    assert prepared(event(destinationId=None)).destination == PIXEL
    assert prepared(event(destinationId="  ")).destination == PIXEL


def test_without_any_configuration_a_number_is_a_destination_and_a_name_is_not() -> None:
    anything = Preparation(Destinations.anything(), None, 1_000_000)

    found = prepare(event(destinationId="77"), anything, now_ms=NOW_MS)
    word = prepare(event(destinationId="my-pixel"), anything, now_ms=NOW_MS)
    nothing = prepare(event(destinationId=None), anything, now_ms=NOW_MS)

    assert isinstance(found, Prepared)
    assert found.destination == "77"
    assert isinstance(word, Rejected)
    assert word.reason is Reason.UNKNOWN_DESTINATION
    assert isinstance(nothing, Rejected)
    assert nothing.reason is Reason.MISSING_DESTINATION


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead_ms", "sent_as_ms", "due_at_ms"),
    [
        (0, NOW_MS, 0),
        (-1, NOW_MS - 1, 0),
        (1, NOW_MS, 0),
        (MINUTE_MS, NOW_MS, 0),
        (MINUTE_MS + 1, NOW_MS + MINUTE_MS + 1, NOW_MS + MINUTE_MS + 1),
        (5 * MINUTE_MS, NOW_MS + 5 * MINUTE_MS, NOW_MS + 5 * MINUTE_MS),
    ],
)
def test_a_little_in_the_future_is_now_and_a_little_more_is_held_until_due(
    ahead_ms: int, sent_as_ms: int, due_at_ms: int
) -> None:
    found = prepared(event(eventTime=NOW_MS + ahead_ms))

    assert (found.event_time_ms, found.due_at_ms) == (sent_as_ms, due_at_ms)
    assert json.loads(found.body)["event_time"] == sent_as_ms // 1000


def test_beyond_five_minutes_the_future_is_rejected() -> None:
    found = rejected(event(eventTime=NOW_MS + 5 * MINUTE_MS + 1))

    assert found.reason is Reason.EVENT_TIME_IN_FUTURE


@pytest.mark.parametrize(
    ("more", "as_now_ms", "held_ms"),
    [
        ("  futureAsNowSeconds: 0", 0, 5 * MINUTE_MS),
        ("  futureMaxSeconds: 600", MINUTE_MS, 10 * MINUTE_MS),
        ("  futureMaxSeconds: 0.5", 500, 500),
        ("  futureAsNowSeconds: 120\n  futureMaxSeconds: 121", 2 * MINUTE_MS, 121_000),
    ],
)
def test_a_destination_has_its_own_patience_with_clocks_that_are_ahead(
    more: str, as_now_ms: int, held_ms: int
) -> None:
    as_now = prepared(event(eventTime=NOW_MS + as_now_ms), more=more)
    held = prepared(event(eventTime=NOW_MS + held_ms), more=more)
    beyond = rejected(event(eventTime=NOW_MS + held_ms + 1), more=more)

    assert (as_now.event_time_ms, as_now.due_at_ms) == (NOW_MS, 0)
    assert held.due_at_ms == (NOW_MS + held_ms if held_ms > as_now_ms else 0)
    assert beyond.reason is Reason.EVENT_TIME_IN_FUTURE


@pytest.mark.parametrize(
    ("action_source", "more", "limit_ms"),
    [
        ("website", "", 7 * DAY_MS),
        ("website", "  maxAgeDays: 1.5", 36 * 60 * MINUTE_MS),
        ("website", "  storeMaxAgeDays: 1", 7 * DAY_MS),
        ("physical_store", "", 62 * DAY_MS),
        ("offline", "", 62 * DAY_MS),
        ("physical_store", "  storeMaxAgeDays: 30", 30 * DAY_MS),
        ("physical_store", "  maxAgeDays: 1", 62 * DAY_MS),
    ],
)
def test_an_event_is_too_old_ten_minutes_before_its_limit(
    action_source: str, more: str, limit_ms: int
) -> None:
    oldest_ms = NOW_MS - limit_ms + 10 * MINUTE_MS

    found = prepared(event(actionSource=action_source, eventTime=oldest_ms), more=more)
    older = rejected(event(actionSource=action_source, eventTime=oldest_ms - 1), more=more)

    assert found.expires_at_ms == NOW_MS
    assert older.reason is Reason.EVENT_TOO_OLD


def test_store_events_beyond_a_week_travel_apart() -> None:
    def aged(age_ms: int) -> bool:
        return prepared(event(actionSource="physical_store", eventTime=NOW_MS - age_ms)).aged

    assert not aged(0)
    assert not aged(WEEK_LESS_MARGIN_MS)
    assert aged(WEEK_LESS_MARGIN_MS + 1)
    assert aged(61 * DAY_MS)


def test_meta_gets_whole_seconds_rounded_down() -> None:
    assert body(event(eventTime=NOW_MS - 1))["event_time"] == NOW_MS // 1000 - 1


# --- event id -----------------------------------------------------------------------------------


def test_an_event_id_of_the_value_wins_over_the_header() -> None:
    given = event(eventId=" order_1 ", headers=(("conversions.event_id", b"from_header"),))

    assert prepared(given).event_id == body(given)["event_id"] == "order_1"


@pytest.mark.parametrize("missing", [None, "", "  "])
def test_without_its_own_the_header_is_the_event_id(missing: str | None) -> None:
    given = event(eventId=missing, headers=(("conversions.event_id", b"from_header"),))

    assert prepared(given).event_id == "from_header"
    assert prepared(given, more="  missingEventId: reject").event_id == "from_header"


def test_a_derived_event_id_is_the_same_each_time_and_differs_by_place_and_bytes() -> None:
    first = prepared(event(eventId=None)).event_id
    again = prepared(event(eventId=None), now_ms=NOW_MS + DAY_MS).event_id
    elsewhere = prepared(event(eventId=None, offset=18)).event_id
    other_bytes = prepared(event(eventId=None)._replace(record=record(value=b"others"))).event_id

    # The formula is a promise: a new version must give a replayed record the id it had before.
    text = f"events:3:17:{NOW_MS}\n".encode() + VALUE
    assert first == again == sha256(text).hexdigest()[:32]
    assert len({first, elsewhere, other_bytes}) == 3


def test_a_replayed_record_keeps_the_event_id_of_its_origin() -> None:
    first = prepared(event(eventId=None)).event_id
    origin = f"events:3:17:{NOW_MS}".encode()

    replayed = prepared(event(eventId=None, offset=900, headers=(("conversions.origin", origin),)))

    assert replayed.event_id == first


# --- action source ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("website", "website"),
        ("web", "website"),
        (" WEB ", "website"),
        ("offline", "physical_store"),
        ("crm", "system_generated"),
        ("CRM", "system_generated"),
        ("phone_call", "phone_call"),
        ("other", "other"),
    ],
)
def test_an_action_source_may_be_named_as_publishers_do(given: str, sent: str) -> None:
    assert body(event(actionSource=given))["action_source"] == sent


def test_a_destination_may_rename_an_alias_and_add_its_own() -> None:
    more = "  actionSources: {crm: phone_call, kiosk: physical_store}"

    assert body(event(actionSource="crm"), more=more)["action_source"] == "phone_call"
    assert body(event(actionSource="Kiosk"), more=more)["action_source"] == "physical_store"
    assert body(event(actionSource="web"), more=more)["action_source"] == "website"


def test_a_default_action_source_serves_only_events_without_one() -> None:
    more = "  actionSource: offline"

    assert body(event(actionSource=None), more=more)["action_source"] == "physical_store"
    assert body(event(actionSource="email"), more=more)["action_source"] == "email"


# --- website events -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "warnings"),
    [
        ({}, ()),
        ({"sourceUrl": None}, ("missing_source_url",)),
        ({"sourceUrl": ""}, ("missing_source_url",)),
        ({"user": {"email": CANARY}}, ("missing_user_agent",)),
        (
            {"sourceUrl": None, "user": {"email": CANARY}},
            ("missing_user_agent", "missing_source_url"),
        ),
        ({"actionSource": "email", "sourceUrl": None, "user": {"email": CANARY}}, ()),
    ],
)
def test_a_website_event_with_gaps_is_sent_with_a_warning(
    changes: dict[str, Any], warnings: tuple[str, ...]
) -> None:
    assert prepared(event(**changes)).warnings == warnings


def test_a_strict_destination_asks_nothing_of_other_sources() -> None:
    given = event(actionSource="email", sourceUrl=None, user={"email": CANARY})

    assert prepared(given, more="  strict: true").warnings == ()


def test_the_event_time_is_the_time_of_the_click_on_the_web_only() -> None:
    user = {"email": CANARY, "userAgent": "M", "clickIds": {"fbclid": "AbC"}}

    web, mail = event(user=user), event(actionSource="email", user=user)

    assert body(web)["user_data"]["fbc"] == f"fb.1.{NOW_MS - MINUTE_MS}.AbC"
    assert "fbc" not in body(mail)["user_data"]
    assert prepared(mail).dropped == (Dropped("clickIds.fbclid", DropReason.FBCLID_WITHOUT_TIME),)


def test_the_rules_of_the_destination_reach_the_match_keys() -> None:
    given = event(user={"phone": "020 7946 0958", "userAgent": "M"})

    assert rejected(given).reason is Reason.INSUFFICIENT_USER_DATA
    found = body(given, more="  defaultCountry: GB")
    assert found["user_data"]["ph"] == [digest("442079460958")]
    assert "country" not in found["user_data"]


# --- consent ------------------------------------------------------------------------------------

DENIALS: list[Mapping[str, Any]] = [
    {"adUserData": "DENIED"},
    {"adPersonalization": "DENIED"},
    {"adUserData": "GRANTED", "adPersonalization": "DENIED"},
    {"adUserData": "granted"},
    {"adUserData": ""},
]
GRANTS: list[Mapping[str, Any] | None] = [
    None,
    {},
    {"adUserData": None, "adPersonalization": None},
    {"adUserData": "GRANTED"},
    {"adUserData": "GRANTED", "adPersonalization": "GRANTED"},
]


@pytest.mark.parametrize("consent", DENIALS)
def test_denied_consent_means_limited_data_use(consent: Mapping[str, Any]) -> None:
    found = body(event(consent=consent))

    assert found["data_processing_options"] == ["LDU"]
    assert found["data_processing_options_country"] == 0
    assert found["data_processing_options_state"] == 0


@pytest.mark.parametrize("consent", DENIALS)
def test_denied_consent_suppresses_where_the_destination_says_so(
    consent: Mapping[str, Any],
) -> None:
    given = event(consent=consent)

    assert outcome(given, more="  onDenied: suppress") == Suppressed(given.record, PIXEL, "Lead")


def test_a_denied_event_is_suppressed_even_where_it_would_be_rejected() -> None:
    given = event(consent={"adUserData": "DENIED"}, actionSource=None, eventTime=None)

    assert isinstance(outcome(given, more="  onDenied: suppress"), Suppressed)


@pytest.mark.parametrize("consent", GRANTS)
@pytest.mark.parametrize("more", ["", "  onDenied: suppress"])
def test_consent_that_nobody_denied_changes_nothing(
    consent: Mapping[str, Any] | None, more: str
) -> None:
    assert "data_processing_options" not in body(event(consent=consent), more=more)


@pytest.mark.parametrize(
    ("given", "denied", "sent"),
    [
        ({"options": ["LDU"], "country": 1, "state": 1000}, False, (["LDU"], 1, 1000)),
        ({"options": ["LDU"]}, False, (["LDU"], 0, 0)),
        ({"country": 1}, False, ([], None, None)),
        ({"options": []}, False, ([], None, None)),
        ({"options": [], "country": 1, "state": 1000}, True, (["LDU"], 1, 1000)),
    ],
)
def test_data_processing_is_passed_on_and_a_denial_wins(
    given: Mapping[str, Any], denied: bool, sent: tuple[Any, ...]
) -> None:
    consent = {"adUserData": "DENIED"} if denied else None

    found = body(event(dataProcessing=given, consent=consent))

    assert (
        found["data_processing_options"],
        found.get("data_processing_options_country"),
        found.get("data_processing_options_state"),
    ) == sent


# --- the rest of the body -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "own", "of_destination", "used"),
    [
        ("TEST_RUN", "TEST_OWN", "TEST_DEST", "TEST_RUN"),
        (None, "TEST_OWN", "TEST_DEST", "TEST_OWN"),
        (None, None, "TEST_DEST", "TEST_DEST"),
        (None, "  ", "TEST_DEST", "TEST_DEST"),
        (None, None, None, None),
    ],
)
def test_a_test_code_of_the_run_wins_over_the_events_own_over_the_destinations(
    run: str | None, own: str | None, of_destination: str | None, used: str | None
) -> None:
    more = f"  testEventCode: {of_destination}" if of_destination else ""

    found = prepared(event(testCode=own), test_code=run, more=more)

    assert found.test_code == used
    assert b"TEST" not in found.body


def test_an_app_event_needs_its_extinfo_and_no_more() -> None:
    found = body(event(actionSource="app", appData={"extinfo": EXTINFO, "considerViews": False}))

    assert found["app_data"] == {"extinfo": EXTINFO, "consider_views": False}


def test_rare_records_appear_under_the_names_of_meta() -> None:
    found = body(
        event(
            referrerUrl="https://example.com/",
            optOut=False,
            messagingChannel="whatsapp",
            appData={"advertiserTrackingEnabled": True},
            originalEvent={"eventName": "Lead", "eventTime": NOW_MS - 500, "orderId": "", "x": 1},
            attribution={"adId": "120211", "attributionWindow": 7, "touchpointTime": 1764000000},
        )
    )

    assert found["referrer_url"] == "https://example.com/"
    assert found["opt_out"] is False
    assert found["messaging_channel"] == "whatsapp"
    assert found["app_data"] == {"advertiser_tracking_enabled": True}
    assert found["original_event_data"] == {
        "event_name": "Lead",
        "event_time": NOW_MS // 1000 - 1,
    }
    assert found["attribution_data"] == {
        "ad_id": "120211",
        "attr_window": 7,
        "touchpoint_ts": 1764000000,
    }


def test_a_record_of_which_nothing_is_sound_is_not_there_at_all() -> None:
    found = body(
        event(
            appData={"extinfo": ["i2"]}, originalEvent={"eventTime": 0}, attribution={"scope": ""}
        )
    )

    assert not {"app_data", "original_event_data", "attribution_data"} & found.keys()


def test_the_setting_of_an_attribution_is_an_object_of_its_own() -> None:
    both = {"inactivityWindowHours": 168, "reattributionWindowHours": 24}
    setting = {"inactivity_window_hours": 168, "reattribution_window_hours": 24}

    assert body(event(attribution=both))["attribution_data"] == {"attribution_setting": setting}
    assert body(event(attribution=both | {"adId": "1"}))["attribution_data"] == {
        "ad_id": "1",
        "attribution_setting": setting,
    }


@pytest.mark.parametrize(
    ("event_name", "warnings"),
    [
        ("Purchase", ()),
        ("purchase", ("event_name_near_miss",)),
        ("Add To Cart", ("event_name_near_miss",)),
        ("trial_converted", ()),
    ],
)
def test_a_name_that_is_nearly_a_standard_one_is_sent_unchanged_and_told(
    event_name: str, warnings: tuple[str, ...]
) -> None:
    changes: dict[str, Any] = {**PURCHASE, "eventName": event_name}
    given = event(**changes)

    assert prepared(given).warnings == warnings
    assert body(given)["event_name"] == event_name


@pytest.mark.parametrize(
    ("channel", "account", "enough"),
    [
        ("messenger", "pageId", True),
        ("messenger", "igAccountId", False),
        ("whatsapp", "pageId", True),
        ("whatsapp", "whatsappBusinessAccountId", True),
        ("whatsapp", "ctwaClid", False),
        ("instagram", "igAccountId", True),
        ("instagram", "pageId", True),
        ("instagram", "igSid", False),
    ],
)
def test_a_conversation_is_somebodys(channel: str, account: str, enough: bool) -> None:
    user = {"email": CANARY, account: "1234567890"}
    given = event(**MESSAGE | {"messagingChannel": channel, "user": user})

    assert isinstance(outcome(given), Prepared if enough else Rejected)


@pytest.mark.parametrize("name", sorted(MESSAGING_EVENT_NAMES))
def test_a_conversation_may_end_in_each_event_that_meta_names(name: str) -> None:
    changes: dict[str, Any] = {**MESSAGE, **PURCHASE, "messagingChannel": " WhatsApp"}
    given = event(**changes | {"eventName": name})

    assert body(given)["messaging_channel"] == "whatsapp"


def test_an_event_of_exactly_the_largest_size_still_goes() -> None:
    given = event(customData={"note": "ü" * 50})
    size = len(prepared(given).body)

    assert len(prepared(given, body_bytes_max=size).body) == size
    assert rejected(given, body_bytes_max=size - 1).reason is Reason.EVENT_TOO_LARGE


def test_what_was_left_out_is_told_once_for_people_and_things() -> None:
    user = {"email": CANARY, "userAgent": "M", "phone": "12"}

    found = prepared(event(user=user, currency="EURO", customData={"value": "x"}, value=3.0))

    assert [each.field for each in found.dropped] == ["phone", "currency", "customData"]
    assert json.loads(found.body)["custom_data"] == {"value": 3.0}


@pytest.mark.parametrize(
    ("changes", "dropped"),
    [
        ({"customDataJson": '{"a":' * 300 + "1" + "}" * 300}, "customDataJson"),
        (
            {"items": [{"id": "a", "quantity": 2**63 - 1}, {"id": "b", "quantity": 2**63 - 1}]},
            "items.quantity",
        ),
    ],
)
def test_what_json_cannot_hold_costs_its_field_and_not_the_event(
    changes: dict[str, Any], dropped: str
) -> None:
    found = prepared(event(**changes))

    assert set(found.dropped) == {Dropped(dropped, DropReason.MALFORMED)}


def test_nothing_that_travels_shows_the_person() -> None:
    given = event(user={"email": CANARY, "userAgent": "Mozilla/5.0"})

    found = prepared(given)
    refused = rejected(event(actionSource="carrier pigeon"))

    for each in (given, found, refused, outcome(event(consent={"adUserData": "DENIED"}))):
        assert CANARY not in repr(each)
    assert CANARY.encode() not in found.body


@pytest.mark.parametrize("depth", range(249, 259))
def test_custom_data_as_deep_as_json_can_be_written_never_raises(depth: int) -> None:
    nested = '{"a":' * depth + "1" + "}" * depth

    assert isinstance(outcome(event(customDataJson=nested)), Prepared)


def test_a_prepared_event_keeps_no_buffer_beside_its_bytes() -> None:
    prepared(event())  # what is remembered of it is there
    tracemalloc.start()
    try:
        bodies = [prepared(event()).body for _ in range(100)]
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 100 * (len(bodies[0]) + 300)

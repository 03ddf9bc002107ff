"""Event → Prepared | Rejected | Suppressed: validation, match keys, hashing, JSON, once per event.

Pure: the time is an argument. From here on an event is bytes of hashed JSON; whatever Meta
documents as a reason to refuse a whole batch is looked for here, before it can spoil one.
Rules: Meta's Conversions API parameter pages, "server event" and "customer information".
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from consumer.custom_data import custom_data
from consumer.decode import event_time_ms
from consumer.destinations import (
    ACTION_SOURCES,
    Destination,
    Destinations,
    OnDenied,
    OnMissingEventId,
)
from consumer.match_keys import is_sufficient, match_keys
from consumer.model import Dropped, Event, PixelId, Prepared, Reason, Rejected, Suppressed
from consumer.origin import event_id_of, header_event_id
from consumer.wire_fields import APP_DATA, ATTRIBUTION, EVENT, ORIGINAL_EVENT, renamed

DAY_MS = 24 * 3600 * 1000
WEEK_MS = 7 * DAY_MS
MARGIN_MS = 10 * 60 * 1000
"""A request must *arrive* inside Meta's limit, and retries take time."""

SENT_AS_NOW_MS = 60 * 1000
HELD_UNTIL_DUE_MS = 5 * 60 * 1000


class Preparation(NamedTuple):
    """What holds for every event of a run: destinations, a run-wide test code, the size limit."""

    destinations: Destinations
    test_code: str | None
    body_bytes_max: int


class _Times(NamedTuple):
    event_time_ms: int
    due_at_ms: int
    expires_at_ms: int
    aged: bool


class _Unfit(Exception):
    def __init__(self, reason: Reason, field: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.field, self.detail = reason, field, detail


def prepare(
    event: Event, preparation: Preparation, *, now_ms: int
) -> Prepared | Rejected | Suppressed:
    """Validate one event and make of it what Meta gets; ``now_ms`` is the wall clock."""
    fields = event.fields
    destination: Destination | None = None
    try:
        destination = _destination(fields, preparation.destinations)
        event_name = _event_name(fields)
        if destination.on_denied is OnDenied.SUPPRESS and _denied(fields):
            return Suppressed(event.record, destination.id, event_name)
        return _prepared(event, preparation, destination, event_name, now_ms)
    except _Unfit as unfit:
        return Rejected(
            record=event.record,
            reason=unfit.reason,
            detail=unfit.detail,
            field=unfit.field,
            destination=destination.id if destination else PixelId(_text(fields, "destinationId")),
            event_name=_text(fields, "eventName") or None,
            event_id=event_id_of(event.record, fields.get("eventId")),
            event_time_ms=event.event_time_ms,
        )


def _prepared(
    event: Event,
    preparation: Preparation,
    destination: Destination,
    event_name: str,
    now_ms: int,
) -> Prepared:
    fields = event.fields
    event_id = _event_id(event, destination)
    action_source, from_crm = _action_source(fields, destination)
    times = _times(event.event_time_ms, action_source, destination, now_ms)
    user = fields.get("user")
    keys = match_keys(
        user if isinstance(user, Mapping) else {},
        destination.match_key_rules,
        event_time_ms=times.event_time_ms,
        today=datetime.fromtimestamp(now_ms / 1000, UTC).date(),
        website=action_source == "website",
    )
    if not is_sufficient(keys.user_data):
        raise _Unfit(
            Reason.INSUFFICIENT_USER_DATA,
            "user",
            "too little is known of the person: Meta needs more than a name's half, "
            "a region or a user agent",
        )
    warnings = _website_gaps(fields, keys.user_data, action_source, destination)
    dropped: list[Dropped] = [*keys.dropped]
    custom = custom_data(fields, from_crm=from_crm, dropped=dropped)
    if event_name == "Purchase":
        _require_price(custom, fields)
    body: dict[str, Any] = {
        "event_name": event_name,
        "event_time": times.event_time_ms // 1000,
        "event_id": event_id,
        "action_source": action_source,
        **renamed(fields, EVENT),
        "user_data": keys.user_data,
    }
    if custom:
        body["custom_data"] = custom
    _add_rare(body, fields, action_source)
    encoded = orjson.dumps(body)
    if len(encoded) > preparation.body_bytes_max:
        detail = f"{len(encoded)} bytes are more than a request may hold"
        raise _Unfit(Reason.EVENT_TOO_LARGE, "customData", detail)
    return Prepared(
        record=event.record,
        destination=destination.id,
        test_code=preparation.test_code or _text(fields, "testCode") or destination.test_event_code,
        event_name=event_name,
        event_id=event_id,
        event_time_ms=times.event_time_ms,
        body=encoded,
        due_at_ms=times.due_at_ms,
        expires_at_ms=times.expires_at_ms,
        aged=times.aged,
        match_keys=tuple(keys.user_data),
        dropped=tuple(dropped),
        warnings=warnings,
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value.strip() if isinstance(value, str) else ""


def _destination(fields: Mapping[str, Any], destinations: Destinations) -> Destination:
    given = _text(fields, "destinationId")
    if not given:
        if destinations.only is not None:
            return destinations.only
        detail = "destinationId is empty, and there is not exactly one destination to assume"
        raise _Unfit(Reason.MISSING_DESTINATION, "destinationId", detail)
    destination = destinations.get(PixelId(given))
    if destination is None:
        detail = "destinationId names none of the configured destinations"
        raise _Unfit(Reason.UNKNOWN_DESTINATION, "destinationId", detail)
    return destination


def _event_name(fields: Mapping[str, Any]) -> str:
    name = fields.get("eventName")
    if not isinstance(name, str) or not name.strip():
        raise _Unfit(Reason.MISSING_EVENT_NAME, "eventName", "eventName is empty")
    return name


def _event_id(event: Event, destination: Destination) -> str:
    given = event.fields.get("eventId")
    if (
        destination.missing_event_id is OnMissingEventId.REJECT
        and not _text(event.fields, "eventId")
        and header_event_id(event.record) is None
    ):
        detail = "eventId is empty, and this destination is configured to reject that"
        raise _Unfit(Reason.MISSING_EVENT_ID, "eventId", detail)
    return event_id_of(event.record, given)


def _action_source(fields: Mapping[str, Any], destination: Destination) -> tuple[str, bool]:
    """Meta's name, and whether the event comes from a CRM."""
    given = _text(fields, "actionSource") or destination.action_source
    if not given:
        detail = "actionSource is empty, and the destination has no default"
        raise _Unfit(Reason.MISSING_ACTION_SOURCE, "actionSource", detail)
    name = given.lower()
    source = destination.action_sources.get(name, name)
    if source not in ACTION_SOURCES:
        detail = "actionSource is neither one of Meta's nor an alias of the destination's"
        raise _Unfit(Reason.UNKNOWN_ACTION_SOURCE, "actionSource", detail)
    return source, name == "crm"


def _times(
    given_ms: int | None, action_source: str, destination: Destination, now_ms: int
) -> _Times:
    if given_ms is None:
        raise _Unfit(Reason.MISSING_EVENT_TIME, "eventTime", "eventTime is missing or no time")
    store = action_source == "physical_store"
    days = destination.store_max_age_days if store else destination.max_age_days
    age_ms = now_ms - given_ms
    if age_ms > days * DAY_MS - MARGIN_MS:
        detail = f"the event is older than the {days:g} days that Meta takes it for"
        raise _Unfit(Reason.EVENT_TOO_OLD, "eventTime", detail)
    if age_ms < -HELD_UNTIL_DUE_MS:
        detail = "eventTime is more than 5 minutes in the future"
        raise _Unfit(Reason.EVENT_TIME_IN_FUTURE, "eventTime", detail)
    held = age_ms < -SENT_AS_NOW_MS
    return _Times(
        event_time_ms=given_ms if held else min(given_ms, now_ms),
        due_at_ms=given_ms if held else 0,
        expires_at_ms=given_ms + int(days * DAY_MS) - MARGIN_MS,
        aged=age_ms > WEEK_MS - MARGIN_MS,
    )


def _website_gaps(
    fields: Mapping[str, Any],
    user_data: Mapping[str, Any],
    action_source: str,
    destination: Destination,
) -> tuple[str, ...]:
    """Meta asks for both on website events, but takes them without (observed): said, not
    enforced, unless the destination is strict."""
    if action_source != "website":
        return ()
    gaps: list[str] = []
    if "client_user_agent" not in user_data:
        gaps.append(Reason.MISSING_USER_AGENT.value)
        if destination.strict:
            detail = "a website event without user.userAgent, and the destination is strict"
            raise _Unfit(Reason.MISSING_USER_AGENT, "user.userAgent", detail)
    if not fields.get("sourceUrl"):
        gaps.append(Reason.MISSING_SOURCE_URL.value)
        if destination.strict:
            detail = "a website event without sourceUrl, and the destination is strict"
            raise _Unfit(Reason.MISSING_SOURCE_URL, "sourceUrl", detail)
    return tuple(gaps)


def _require_price(custom: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    if "value" not in custom:
        how = "missing" if fields.get("value") is None else "negative or no number"
        detail = f"a Purchase needs a value, and it is {how}"
        raise _Unfit(Reason.MISSING_VALUE, "value", detail)
    if "currency" not in custom:
        how = "no ISO 4217 code" if fields.get("currency") else "missing"
        detail = f"a Purchase needs a currency, and it is {how}"
        raise _Unfit(Reason.MISSING_CURRENCY, "currency", detail)


def _denied(fields: Mapping[str, Any]) -> bool:
    consent = fields.get("consent")
    if not isinstance(consent, Mapping):
        return False
    answers = (consent.get("adUserData"), consent.get("adPersonalization"))
    return any(answer is not None and answer != "GRANTED" for answer in answers)


def _add_rare(body: dict[str, Any], fields: Mapping[str, Any], action_source: str) -> None:
    app = fields.get("appData")
    app_data = renamed(app, APP_DATA) if isinstance(app, Mapping) else {}
    if action_source == "app":
        extinfo = app_data.get("extinfo")
        if not isinstance(extinfo, list) or len(extinfo) != 16 or not extinfo[0] or not extinfo[4]:
            detail = "an app event needs appData.extinfo: 16 positions, version and system given"
            raise _Unfit(Reason.MISSING_APP_DATA, "appData.extinfo", detail)
    if app_data:
        body["app_data"] = app_data
    original = fields.get("originalEvent")
    if isinstance(original, Mapping):
        body["original_event_data"] = renamed(original, ORIGINAL_EVENT)
        original_ms = event_time_ms(original.get("eventTime"), 0)
        if original_ms is not None:
            body["original_event_data"]["event_time"] = original_ms // 1000
    attribution = fields.get("attribution")
    if isinstance(attribution, Mapping):
        body["attribution_data"] = renamed(attribution, ATTRIBUTION)
    _add_data_processing(body, fields)


def _add_data_processing(body: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """Limited data use, asked for by the publisher or because consent was denied."""
    given = fields.get("dataProcessing")
    denied = _denied(fields)
    if not isinstance(given, Mapping) and not denied:
        return
    chosen: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    options = chosen.get("options") or []
    body["data_processing_options"] = ["LDU"] if denied else options
    if body["data_processing_options"]:
        body["data_processing_options_country"] = chosen.get("country") or 0
        body["data_processing_options_state"] = chosen.get("state") or 0

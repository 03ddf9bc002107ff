"""Event → Prepared | Rejected | Suppressed: validation, match keys, hashing, JSON, once per event.

Pure: the time is an argument. From here on an event is bytes of hashed JSON; whatever Meta
documents as a reason to refuse a whole batch is looked for here, before it can spoil one.
Rules: Meta's Conversions API parameter pages, "server event" and "customer information".
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from consumer.amounts import amount_of
from consumer.custom_data import custom_data
from consumer.data_processing import data_processing, is_denied
from consumer.destinations import (
    ACTION_SOURCES,
    Destination,
    Destinations,
    OnDenied,
    OnMissingEventId,
)
from consumer.event_names import NEAR_MISS, near_miss
from consumer.match_keys import match_keys
from consumer.meta_limits import DAY_MS, MARGIN_MS, WEEK_MS
from consumer.model import Dropped, Event, PixelId, Prepared, Reason, Rejected, Suppressed
from consumer.origin import event_id_of, header_event_id
from consumer.requirements import Unfit, require_all, website_gaps
from consumer.wire_fields import (
    APP_DATA,
    ATTRIBUTION,
    ATTRIBUTION_SETTING,
    EVENT,
    ORIGINAL_EVENT,
    Table,
    taken,
)

TEST_EVENTS = "Meta uses test events like all others: a pixel of their own is better"
"""What whoever sends test events should know."""


class Preparation(NamedTuple):
    """What holds for every event of a run: destinations, a run-wide test code, the size limit, and
    whether events carry their ``amounts``, to be added up."""

    destinations: Destinations
    test_code: str | None
    body_bytes_max: int
    amounts: bool = False


class _Times(NamedTuple):
    event_time_ms: int
    due_at_ms: int
    expires_at_ms: int
    aged: bool


def prepare(
    event: Event, preparation: Preparation, *, now_ms: int
) -> Prepared | Rejected | Suppressed:
    """Validate one event and make of it what Meta gets; ``now_ms`` is the wall clock."""
    fields = event.fields
    destination: Destination | None = None
    try:
        destination = _destination(fields, preparation.destinations)
        event_name = _event_name(fields)
        if destination.on_denied is OnDenied.SUPPRESS and is_denied(fields):
            return Suppressed(event.record, destination.id, event_name)
        return _prepared(event, preparation, destination, event_name, now_ms)
    except Unfit as unfit:
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
    dropped: list[Dropped] = [*keys.dropped]
    custom = custom_data(fields, from_crm=from_crm, dropped=dropped)
    body: dict[str, Any] = {
        "event_name": event_name,
        "event_time": times.event_time_ms // 1000,
        "event_id": event_id,
        "action_source": action_source,
        **taken(fields, EVENT, "", dropped),
        "user_data": keys.user_data,
    }
    if custom:
        body["custom_data"] = custom
    _add_rare(body, fields, dropped)
    require_all(body, fields)
    warnings = website_gaps(body, strict=destination.strict)
    if near_miss(event_name) is not None:
        warnings += (NEAR_MISS,)
    # The encoder's own bytes keep the whole buffer that they were written into, 4 kB at least: what
    # may wait for days is a copy without it.
    encoded = b"%b" % orjson.dumps(body)
    if len(encoded) > preparation.body_bytes_max:
        detail = f"{len(encoded)} bytes are more than a request may hold"
        raise Unfit(Reason.EVENT_TOO_LARGE, "customData", detail)
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
        amount=amount_of(fields, custom) if preparation.amounts else None,
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
        raise Unfit(Reason.MISSING_DESTINATION, "destinationId", detail)
    destination = destinations.get(PixelId(given))
    if destination is None:
        detail = "destinationId names none of the configured destinations"
        raise Unfit(Reason.UNKNOWN_DESTINATION, "destinationId", detail)
    return destination


def _event_name(fields: Mapping[str, Any]) -> str:
    name = fields.get("eventName")
    if not isinstance(name, str) or not name.strip():
        raise Unfit(Reason.MISSING_EVENT_NAME, "eventName", "eventName is empty")
    return name


def _event_id(event: Event, destination: Destination) -> str:
    given = event.fields.get("eventId")
    if (
        destination.missing_event_id is OnMissingEventId.REJECT
        and not _text(event.fields, "eventId")
        and header_event_id(event.record) is None
    ):
        detail = "eventId is empty, and this destination is configured to reject that"
        raise Unfit(Reason.MISSING_EVENT_ID, "eventId", detail)
    return event_id_of(event.record, given)


def _action_source(fields: Mapping[str, Any], destination: Destination) -> tuple[str, bool]:
    """Meta's name, and whether the event comes from a CRM."""
    given = _text(fields, "actionSource") or destination.action_source
    if not given:
        detail = "actionSource is empty, and the destination has no default"
        raise Unfit(Reason.MISSING_ACTION_SOURCE, "actionSource", detail)
    name = given.lower()
    source = destination.action_sources.get(name, name)
    if source not in ACTION_SOURCES:
        detail = "actionSource is neither one of Meta's nor an alias of the destination's"
        raise Unfit(Reason.UNKNOWN_ACTION_SOURCE, "actionSource", detail)
    return source, name == "crm"


def _times(
    given_ms: int | None, action_source: str, destination: Destination, now_ms: int
) -> _Times:
    if given_ms is None:
        raise Unfit(Reason.MISSING_EVENT_TIME, "eventTime", "eventTime is missing or no time")
    store = action_source == "physical_store"
    days = destination.store_max_age_days if store else destination.max_age_days
    age_ms = now_ms - given_ms
    if age_ms > days * DAY_MS - MARGIN_MS:
        detail = f"the event is older than the {days:g} days that Meta takes it for"
        raise Unfit(Reason.EVENT_TOO_OLD, "eventTime", detail)
    if age_ms < -1000 * destination.future_max_seconds:
        detail = f"eventTime is more than {destination.future_max_seconds:g} s in the future"
        raise Unfit(Reason.EVENT_TIME_IN_FUTURE, "eventTime", detail)
    held = age_ms < -1000 * destination.future_as_now_seconds
    return _Times(
        event_time_ms=given_ms if held else min(given_ms, now_ms),
        due_at_ms=given_ms if held else 0,
        expires_at_ms=given_ms + int(days * DAY_MS) - MARGIN_MS,
        aged=age_ms > WEEK_MS - MARGIN_MS,
    )


def _add_rare(body: dict[str, Any], fields: Mapping[str, Any], dropped: list[Dropped]) -> None:
    """What few events have: each record of it under Meta's name, when anything of it is sound."""
    get = fields.get
    for ours, metas, table in _RARE:
        given = get(ours)
        if given is not None and isinstance(given, Mapping):
            if found := taken(given, table, f"{ours}.", dropped):
                body[metas] = found
            if ours == "attribution":
                _add_attribution_setting(body, given, dropped)
    if get("dataProcessing") is not None or get("consent") is not None:
        body.update(data_processing(fields, dropped))


def _add_attribution_setting(
    body: dict[str, Any], attribution: Mapping[str, Any], dropped: list[Dropped]
) -> None:
    if setting := taken(attribution, ATTRIBUTION_SETTING, "attribution.", dropped):
        body.setdefault("attribution_data", {})["attribution_setting"] = setting


_RARE: tuple[tuple[str, str, Table], ...] = (
    ("appData", "app_data", APP_DATA),
    ("originalEvent", "original_event_data", ORIGINAL_EVENT),
    ("attribution", "attribution_data", ATTRIBUTION),
)

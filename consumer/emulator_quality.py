"""What the emulator shows of a pixel: its dataset quality and its statistics, from what it took.

Both are computed from the unique events in memory, of the last seven days by the emulator's clock.
The emulator knows no browser, so what compares with one (event coverage, additional conversions)
is not there, as in a good part of Meta's own answers. These are ours, and not Meta's:

* the score: the sum over the match keys of their weight (``_WEIGHTS``, 10 in all) times the share
  of events that carry them, rounded to one decimal; what Meta weighs is not published;
* the names of match keys but email, external_id, ip_address and user_agent, which stand in Meta's
  examples;
* ``upload_frequency``, from the mean time between an event and its arrival.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from consumer.emulator_fields import FieldsError, Wanted, chosen, parse_fields
from consumer.emulator_memory import AcceptedEvent
from consumer.emulator_reading import Asked, unreachable
from consumer.emulator_refusal import Refusal

HOUR_SECONDS = 3600
KEPT_SECONDS = 7 * 24 * HOUR_SECONDS
ANSWERED_SECONDS_MAX = 10 * 24 * HOUR_SECONDS
"""A public report: ten days are answered, fourteen are too much."""

NAMES_PER_HOUR_MAX = 100


def dataset_quality(asked: Asked) -> dict[str, Any] | Refusal:
    """``GET /dataset_quality?dataset_id=…&fields=web{…}``, of website events only."""
    query = asked.request.query
    pixel = query.get("dataset_id", "")
    if not pixel:
        return Refusal(code=100, message="(#100) The parameter dataset_id is required")
    if (refusal := unreachable(pixel, asked.token, asked.pixels, "GET")) is not None:
        return refusal
    try:
        wanted = parse_fields(query.get("fields", "web"), _KNOWN)
    except FieldsError as error:
        return error.refusal
    by_name: dict[str, list[tuple[AcceptedEvent, dict[str, Any]]]] = {}
    for one in _recent(asked, pixel):
        event = orjson.loads(one.event)
        if event.get("action_source") == "website":
            by_name.setdefault(event["event_name"], []).append((one, event))
    rows = [_row(name, events) for name, events in sorted(by_name.items())]
    answer: dict[str, Any] = chosen({"web": rows}, wanted)
    return answer


def pixel_stats(asked: Asked) -> dict[str, Any] | Refusal:
    """``GET /{pixel}/stats?aggregation=event``: unique events by hour and name."""
    (pixel,) = asked.named
    if (refusal := unreachable(pixel, asked.token, asked.pixels, "GET")) is not None:
        return refusal
    query = asked.request.query
    if query.get("aggregation", "event") != "event":
        return Refusal(code=100, message="(#100) The emulator knows the aggregation event only")
    try:
        end = _moment(query.get("end_time"), asked.now)
        start = _moment(query.get("start_time"), end - 24 * HOUR_SECONDS)
    except ValueError:
        return Refusal(code=100, message="(#100) start_time and end_time must be timestamps")
    if end - start > ANSWERED_SECONDS_MAX:
        return Refusal(code=1, message=_TOO_MUCH, status=500)
    hours: dict[int, Counter[str]] = {}
    # All that arrives here comes from servers.
    for one in _recent(asked, pixel) if query.get("event_source") != "WEB_ONLY" else ():
        if start <= one.received_at < end:
            hour = int(one.received_at) // HOUR_SECONDS * HOUR_SECONDS
            hours.setdefault(hour, Counter())[orjson.loads(one.event)["event_name"]] += 1
    return {"data": [_bucket(hour, counts) for hour, counts in sorted(hours.items())]}


def _recent(asked: Asked, pixel: str) -> Iterator[AcceptedEvent]:
    since = asked.now - KEPT_SECONDS
    return (one for one in asked.memory.stored if one.pixel == pixel and one.received_at >= since)


def _bucket(hour: int, counts: Counter[str]) -> dict[str, Any]:
    listed = counts.most_common(NAMES_PER_HOUR_MAX)
    return {
        "start_time": datetime.fromtimestamp(hour, UTC).strftime("%Y-%m-%dT%H:%M:%S%z"),
        "aggregation": "event",
        "data": [{"value": name, "count": count} for name, count in listed],
    }


def _moment(given: str | None, default: float) -> float:
    if given is None:
        return default
    return float(given) if given.isdecimal() else datetime.fromisoformat(given).timestamp()


def _row(name: str, events: list[tuple[AcceptedEvent, dict[str, Any]]]) -> dict[str, Any]:
    total = len(events)
    carried = Counter(key for _, event in events for key in event["user_data"])
    delays = (one.received_at - event["event_time"] for one, event in events)
    return {
        "event_name": name,
        "event_match_quality": {
            "composite_score": _score(carried, total),
            "match_key_feedback": [
                {"identifier": identifier, "coverage": _percentage(carried[key], total)}
                for key, identifier in _IDENTIFIERS.items()
                if carried[key]
            ],
            "diagnostics": [],
        },
        "dedupe_key_feedback": _dedupe_keys([event for _, event in events]),
        "data_freshness": {"upload_frequency": _frequency(sum(delays) / total)},
    }


def _score(carried: Mapping[str, int], total: int) -> float:
    return round(sum(w * carried.get(key, 0) / total for key, w in _WEIGHTS.items()), 1)


def _percentage(part: int, total: int) -> dict[str, float]:
    return {"percentage": round(100 * part / total, 1)}


def _dedupe_keys(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    total = len(events)
    having = {
        "event_id": sum("event_id" in event for event in events),
        "external_id": sum("external_id" in event["user_data"] for event in events),
        "fbp": sum("fbp" in event["user_data"] for event in events),
    }
    return [
        {"dedupe_key": key, "server_events_with_dedupe_key": _percentage(count, total)}
        for key, count in having.items()
    ]


def _frequency(mean_delay_seconds: float) -> str:
    if mean_delay_seconds < HOUR_SECONDS:
        return "real_time"
    return "hourly" if mean_delay_seconds < 24 * HOUR_SECONDS else "daily"


_TOO_MUCH = "Please reduce the amount of data you're asking for, then retry your request"
_IDENTIFIERS: Mapping[str, str] = {
    "em": "email",
    "ph": "phone",
    "external_id": "external_id",
    "client_ip_address": "ip_address",
    "client_user_agent": "user_agent",
    "fbc": "fbc",
    "fbp": "fbp",
    "fn": "first_name",
    "ln": "last_name",
    "ct": "city",
    "st": "state",
    "zp": "zip",
    "country": "country",
    "db": "date_of_birth",
    "ge": "gender",
}
_WEIGHTS: Mapping[str, float] = {
    "em": 3,
    "ph": 2,
    "external_id": 1,
    "fbc": 1,
    "client_ip_address": 0.5,
    "client_user_agent": 0.5,
    "fbp": 0.5,
    "fn": 0.5,
    "ln": 0.5,
    "db": 0.25,
    "zp": 0.25,
}


def _all_of(names: str, **inner: Wanted) -> Wanted:
    return {**dict.fromkeys(names.split()), **inner}


_FIGURE = _all_of("percentage description")
_KNOWN: Wanted = {
    "web": {
        **_all_of("event_name event_delay value_diagnostics event_ad_sets event_spend"),
        "event_match_quality": _all_of(
            "composite_score",
            match_key_feedback=_all_of(
                "identifier",
                coverage=_all_of("percentage"),
                potential_aly_acr_increase=_FIGURE,
            ),
            diagnostics=_all_of(
                "name description solution percentage affected_event_count total_event_count"
            ),
        ),
        "event_coverage": _all_of(
            "percentage goal_percentage description", potential_aly_acr_increase=_FIGURE
        ),
        "dedupe_key_feedback": _all_of(
            "dedupe_key",
            browser_events_with_dedupe_key=_FIGURE,
            server_events_with_dedupe_key=_FIGURE,
            overall_browser_coverage_from_dedupe_key=_FIGURE,
        ),
        "data_freshness": _all_of("upload_frequency description"),
        "acr": _FIGURE,
        "event_potential_aly_acr_increase": _FIGURE,
    }
}

"""Mixed events with known fates: what is published, and what must become of it."""

import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tests.integration.world import World

DAY_MS = 24 * 3600 * 1000
UNDECODABLE = b"\x07 no Avro "


class Fate(NamedTuple):
    """One record: its bytes, its event id, and the reason of its dead letter (None: accepted)."""

    value: bytes | None
    event_id: str
    reason: str | None


def good_event(number: int, pixel: str, now_ms: int, *, prefix: str = "event") -> dict[str, Any]:
    return {
        "destinationId": pixel,
        "eventName": ("Purchase", "Lead", "StartTrial", "deal_closed")[number % 4],
        "eventTime": now_ms - 1000 * (number % 3600),
        "eventId": f"{prefix}-{number}",
        "value": 1 + number % 100,
        "currency": "EUR",
        "actionSource": "crm",
        "user": {
            "email": f"person-{number}@example.com",
            "phone": f"+1415555{number % 10_000:04d}",
            "externalId": f"user-{number}",
            "country": "US",
        },
    }


def mixed(
    world: World, count: int, now_ms: int, *, seed: int, prefix: str = "event"
) -> Iterator[Fate]:
    """``count`` records over the world's pixels; one in a hundred is bad of each kind."""
    chance = random.Random(seed)
    kinds = _kinds()
    spots = chance.sample(range(count), len(kinds) * (count // 100))
    bad = {spot: kinds[index % len(kinds)] for index, spot in enumerate(spots)}
    for number in range(count):
        pixel = world.pixels[number % len(world.pixels)]
        event = good_event(number, pixel, now_ms, prefix=prefix)
        reason = bad.get(number)
        if reason == "undecodable":
            yield Fate(UNDECODABLE + str(number).encode(), "", reason)
            continue
        if reason is not None:
            _spoil(event, reason, now_ms)
        yield Fate(world.encode(event), str(event["eventId"]), reason)


def _kinds() -> Sequence[str]:
    return (
        "undecodable",
        "missing_event_name",
        "insufficient_user_data",
        "missing_currency",
        "missing_value",
        "missing_action_source",
        "event_too_old",
        "event_time_in_future",
        "unknown_destination",
        "refused_by_meta",
    )


def _spoil(event: dict[str, Any], reason: str, now_ms: int) -> None:
    match reason:
        case "missing_event_name":
            event["eventName"] = " "
        case "insufficient_user_data":
            event["user"] = {"country": "US"}
        case "missing_currency":
            event["eventName"] = "Purchase"
            del event["currency"]
        case "missing_value":
            event["eventName"] = "Purchase"
            del event["value"]
        case "missing_action_source":
            del event["actionSource"]
        case "event_too_old":
            event["eventTime"] = now_ms - 8 * DAY_MS
        case "event_time_in_future":
            event["eventTime"] = now_ms + DAY_MS
        case "unknown_destination":
            event["destinationId"] = "999999"
        case "refused_by_meta":
            event["customData"] = {"emulator_refuse": "2804019"}
        case _:
            raise AssertionError(reason)

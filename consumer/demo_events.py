"""Made-up events for the demo: mostly good ones, and a few of each kind of bad."""

import random
from collections.abc import Iterator
from typing import Any

PIXEL = "1729525464415281"

EXAMPLE: dict[str, Any] = {
    "destinationId": PIXEL,
    "eventName": "Lead",
    "eventId": "order_abc_123",
    "value": 42.50,
    "currency": "USD",
    "actionSource": "crm",
    "user": {
        "email": "customer@example.com",
        "phone": "+14155551234",
        "firstName": "Jane",
        "lastName": "Doe",
        "country": "US",
    },
}

_NAMES = ("Purchase", "Lead", "AddToCart", "CompleteRegistration", "trial_converted", "deal_closed")
_DAY_MS = 24 * 3600 * 1000


def demo_events(count: int, *, now_ms: int) -> Iterator[dict[str, Any]]:
    """``count`` events; about 1 in 100 is bad, each in its own way, and one is poison."""
    chance = random.Random(7)  # noqa: S311 - the same story each time
    spoilers = [_too_old, _no_currency, _no_user, _no_source, _strange_destination]
    for number in range(count):
        event = _event(number, chance, now_ms)
        if number == count // 2:
            # Nothing here can foresee that Meta refuses this one: it spoils its whole batch.
            event["customData"] = {"emulator_refuse": "2804019"}
        elif number % 100 == 99:
            spoilers[number // 100 % len(spoilers)](event, now_ms)
        yield event


def _event(number: int, chance: random.Random, now_ms: int) -> dict[str, Any]:
    return {
        "destinationId": PIXEL,
        "eventName": chance.choice(_NAMES),
        "eventTime": now_ms - chance.randrange(0, _DAY_MS),
        "eventId": f"demo_{number:06d}",
        "value": round(chance.uniform(1, 500), 2),
        "currency": chance.choice(("USD", "EUR", "GBP")),
        "actionSource": chance.choice(("web", "crm", "offline")),
        "sourceUrl": "https://shop.example.com/thanks",
        "user": {
            "email": f"person{number}@example.com",
            "phone": f"+1415555{number % 10000:04d}",
            "externalId": f"user_{number}",
            "country": "US",
            "zip": f"{94000 + number % 900}",
            "userAgent": "Mozilla/5.0 (demo)",
        },
    }


def _too_old(event: dict[str, Any], now_ms: int) -> None:
    event["eventTime"] = now_ms - 8 * _DAY_MS


def _no_currency(event: dict[str, Any], now_ms: int) -> None:
    event["eventName"] = "Purchase"
    del event["currency"]


def _no_user(event: dict[str, Any], now_ms: int) -> None:
    event["user"] = {"country": "US"}


def _no_source(event: dict[str, Any], now_ms: int) -> None:
    del event["actionSource"]


def _strange_destination(event: dict[str, Any], now_ms: int) -> None:
    event["destinationId"] = "4040404040"

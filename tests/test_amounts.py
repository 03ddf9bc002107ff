"""What accepted events are worth: as prepared, as classified, as counted."""

import math
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry

from consumer.amounts import VALUE_MAX, UnusableValue, Usable, usable_amount
from consumer.destinations import parse_destinations
from consumer.event_names import STANDARD_EVENT_NAMES
from consumer.metrics import Metrics
from consumer.model import Amount, Delivered, Event, PixelId, Prepared, Record, TopicPartition
from consumer.prepare import Preparation, prepare
from consumer.settings import SettingsError, load_settings

SHOP = PixelId("1729525464415281")
STRANGER = PixelId("9999")
NOW_MS = 1_795_003_200_000
DESTINATIONS = parse_destinations(f"- id: {SHOP}", Path())


def prepared(*, on: bool = True, name: str = "Lead", **fields: Any) -> Prepared:
    event = {
        "eventName": name,
        "eventId": "e-1",
        "actionSource": "email",
        "user": {"email": "jane@example.com"},
        **fields,
    }
    record = Record(TopicPartition("events", 0), 0, NOW_MS, None, b"", (), 1)
    preparation = Preparation(DESTINATIONS, None, 1_000_000, amounts=on)
    found = prepare(Event(record, event, NOW_MS - 1000), preparation, now_ms=NOW_MS)
    assert isinstance(found, Prepared), found
    return found


# --- what an event carries ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"value": 9.99, "currency": "EUR"},
        {"value": 0.1 + 0.2, "currency": " usd "},
        {"value": 5, "currency": "JPY"},
        {"value": 0.0, "currency": "EUR"},
        {"customNumbers": {"value": 7.5}, "customData": {"currency": "eur"}},
        {"value": 9.99, "currency": "EUR", "customNumbers": {"value": 1.0}},
    ],
)
def test_the_amount_is_what_meta_gets(fields: dict[str, Any]) -> None:
    event = prepared(**fields)

    sent = orjson.loads(event.body)["custom_data"]
    assert event.amount == Amount(sent["value"], sent["currency"])


@pytest.mark.parametrize("value", [-5.0, -1, math.inf, -math.inf])
def test_a_value_that_meta_does_not_get_is_carried_all_the_same(value: float) -> None:
    event = prepared(value=value, currency="EUR")

    assert event.amount == Amount(value, "EUR")
    assert "value" not in orjson.loads(event.body)["custom_data"]


def test_a_value_that_is_no_number_at_all_is_carried() -> None:
    event = prepared(value=math.nan, currency="EUR")

    assert event.amount is not None
    assert math.isnan(event.amount.value)


@pytest.mark.parametrize("currency", [None, "", "EURO", "XYZ", 978])
def test_a_currency_that_meta_does_not_get_is_none(currency: Any) -> None:
    assert prepared(value=5.0, currency=currency).amount == Amount(5.0, None)


@pytest.mark.parametrize("fields", [{}, {"currency": "EUR"}, {"value": None}, {"value": "much"}])
def test_an_event_without_a_value_has_no_amount(fields: dict[str, Any]) -> None:
    assert prepared(**fields).amount is None


def test_a_flag_is_no_value() -> None:
    assert prepared(value=True, currency="EUR").amount is None


def test_nothing_is_carried_while_nothing_is_added_up() -> None:
    assert prepared(on=False, value=9.99, currency="EUR").amount is None


# --- which may be added up ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "currency", "expected"),
    [
        (9.99, "EUR", Usable(9.99, "EUR")),
        (0, "USD", Usable(0, "USD")),
        (VALUE_MAX, "USD", Usable(VALUE_MAX, "USD")),
        (-0.01, "EUR", UnusableValue.NEGATIVE),
        (math.nan, "EUR", UnusableValue.NOT_FINITE),
        (math.inf, "EUR", UnusableValue.NOT_FINITE),
        (-math.inf, "EUR", UnusableValue.NOT_FINITE),
        (1.7e308, "EUR", UnusableValue.TOO_LARGE),
        (9.99, None, UnusableValue.NO_CURRENCY),
        (9.99, "GBP", UnusableValue.OTHER_CURRENCY),
    ],
)
def test_each_amount_is_usable_or_has_one_reason(
    value: float, currency: str | None, expected: Usable | UnusableValue
) -> None:
    assert usable_amount(Amount(value, currency), ("EUR", "USD")) == expected


# --- as counted ---------------------------------------------------------------------------------


class House:
    """Metrics with two currencies switched on."""

    def __init__(self, *currencies: str) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(registry=self.registry, version="0", graph_version="v0")
        self.metrics.values.currencies = currencies
        self.metrics.configured([SHOP])

    def delivered(self, *events: Prepared) -> None:
        self.metrics.values.delivered([Delivered(event, None) for event in events])

    def total(self, event_name: str, currency: str, destination: str = SHOP) -> float | None:
        labels = {"destination": destination, "event_name": event_name, "currency": currency}
        return self.registry.get_sample_value("conversions_value_total", labels)

    def unusable(self, reason: UnusableValue) -> float | None:
        labels = {"destination": str(SHOP), "reason": reason.value}
        return self.registry.get_sample_value("conversions_value_unusable_total", labels)

    def series(self) -> int:
        return sum(
            sample.name in ("conversions_value_total", "conversions_value_unusable_total")
            for family in self.registry.collect()
            for sample in family.samples
        )


def purchase(value: float, currency: str | None = "EUR", name: str = "Purchase") -> Prepared:
    return prepared(value=1.0, currency="EUR")._replace(
        event_name=name, amount=Amount(value, currency)
    )


def test_values_are_added_up_by_name_and_currency() -> None:
    house = House("EUR", "USD")

    house.delivered(
        purchase(10.5), purchase(0.25), purchase(3.0, "USD"), purchase(1.0, name="Lead")
    )
    house.delivered(purchase(100.0))

    assert house.total("Purchase", "EUR") == 110.75
    assert house.total("Purchase", "USD") == 3.0
    assert house.total("Lead", "EUR") == 1.0
    assert house.total("Lead", "USD") == 0


def test_a_value_that_cannot_be_added_up_is_counted_apart_and_raises_nothing() -> None:
    house = House("EUR")

    house.delivered(
        purchase(-50.0),
        purchase(math.nan),
        purchase(math.inf),
        purchase(1.7e308),
        purchase(5.0, None),
        purchase(5.0, "GBP"),
        purchase(7.0),
    )

    assert house.total("Purchase", "EUR") == 7.0
    assert {reason: house.unusable(reason) for reason in UnusableValue} == {
        UnusableValue.NEGATIVE: 1,
        UnusableValue.NOT_FINITE: 2,
        UnusableValue.TOO_LARGE: 1,
        UnusableValue.NO_CURRENCY: 1,
        UnusableValue.OTHER_CURRENCY: 1,
    }


def test_an_event_without_a_value_counts_nowhere() -> None:
    house = House("EUR")
    before = house.series()

    house.delivered(prepared(currency="EUR"))

    assert house.series() == before
    assert not any(house.unusable(reason) for reason in UnusableValue)


def test_names_of_publishers_share_one_label_and_strangers_another() -> None:
    house = House("EUR")

    house.delivered(purchase(5.0, name="jane.canary@example.com"), purchase(2.0, name="quiz"))
    house.delivered(purchase(3.0)._replace(destination=STRANGER))

    assert house.total("custom", "EUR") == 7.0
    assert house.total("Purchase", "EUR", "other") == 3.0


def test_every_series_stands_at_zero_from_the_start() -> None:
    house = House("EUR", "USD")

    assert house.total("Purchase", "EUR") == 0
    assert house.total("custom", "USD") == 0
    assert house.unusable(UnusableValue.NEGATIVE) == 0
    assert house.series() == 2 * (len(STANDARD_EVENT_NAMES) + 1) + len(UnusableValue)


def test_switched_off_there_is_no_series_at_all() -> None:
    house = House()

    house.delivered(prepared(on=False, value=5.0, currency="EUR"))

    assert house.series() == 0


# --- the setting --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ()),
        ("USD", ("USD",)),
        ("USD,EUR", ("USD", "EUR")),
        (" usd , eur,USD,", ("USD", "EUR")),
    ],
)
def test_currencies_are_a_list_with_commas(given: str, expected: tuple[str, ...]) -> None:
    settings = load_settings({"CONVERSIONS_VALUE_CURRENCIES": given})

    assert settings.value_currencies == expected
    assert settings.masked()["CONVERSIONS_VALUE_CURRENCIES"] == ",".join(expected)


@pytest.mark.parametrize(
    "given", ["EURO", "USD EUR", "USD,XYZ", "AED,AFN,ALL,AMD,AOA,ARS,AUD,AWG,AZN,BAM,BBD"]
)
def test_what_is_no_currency_or_too_many_is_a_mistake(given: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({"CONVERSIONS_VALUE_CURRENCIES": given})

    (problem,) = refused.value.problems
    assert "up to 10 currencies of ISO 4217" in problem


@pytest.mark.parametrize(
    ("given", "works"), [("0", True), ("60", True), ("59", False), ("-1", False)]
)
def test_tokens_are_checked_once_a_minute_at_most(given: str, works: bool) -> None:
    if works:
        settings = load_settings({"CONVERSIONS_TOKEN_CHECK_SECONDS": given})
        assert settings.token_check_seconds == float(given)
    else:
        with pytest.raises(SettingsError):
            load_settings({"CONVERSIONS_TOKEN_CHECK_SECONDS": given})

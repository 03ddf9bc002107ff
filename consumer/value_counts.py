"""What accepted events are worth, added up by currency; nothing unless currencies are named."""

from collections.abc import Collection, Iterable

from consumer.amounts import UnusableValue, usable_amount
from consumer.event_names import STANDARD_EVENT_NAMES
from consumer.metric_labels import CUSTOM, DestinationLabels, event_name_label
from consumer.metric_series import Declared
from consumer.model import Delivered


class ValueCounts:
    """Called by the loop's thread only. ``currencies`` are those that are added up."""

    def __init__(self, declared: Declared, destinations: DestinationLabels) -> None:
        self._destinations = destinations
        self._value = declared.counter("conversions_value_total")
        self._unusable = declared.counter("conversions_value_unusable_total")
        self.currencies: tuple[str, ...] = ()

    def at_zero(self) -> None:
        """The destinations that are configured now have their counters."""
        reasons: Iterable[UnusableValue] = UnusableValue if self.currencies else ()
        for destination in self._destinations.known:
            for event_name in (*STANDARD_EVENT_NAMES, CUSTOM):
                for currency in self.currencies:
                    self._value.labels(destination, event_name, currency)
            for reason in reasons:
                self._unusable.labels(destination, reason.value)

    def delivered(self, delivered: Collection[Delivered]) -> None:
        """Events of one request that Meta accepted: a sum for each name and currency."""
        if not self.currencies:
            return
        totals: dict[tuple[str, str, str], float] = {}
        for event, _ in delivered:
            if event.amount is None:
                continue
            label = self._destinations.of(event.destination)
            usable = usable_amount(event.amount, self.currencies)
            if isinstance(usable, UnusableValue):
                self._unusable.labels(label, usable.value).inc()
                continue
            key = (label, event_name_label(event.event_name), usable.currency)
            totals[key] = totals.get(key, 0.0) + usable.value
        for labels, total in totals.items():
            self._value.labels(*labels).inc(total)

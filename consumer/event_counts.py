"""What became of events, counted: a batch in one go, never an event for itself."""

from collections import Counter as Tally
from collections.abc import Collection, Sequence
from itertools import product

from consumer.event_names import STANDARD_EVENT_NAMES
from consumer.match_keys import META_KEYS
from consumer.metric_contract import WARNINGS, Outcome
from consumer.metric_labels import (
    CUSTOM,
    OTHER,
    DestinationLabels,
    droppable,
    event_name_label,
    exemplar_labels,
    match_key_label,
)
from consumer.metric_series import Declared
from consumer.model import (
    Delivered,
    DropReason,
    PixelId,
    Prepared,
    Reason,
    Rejected,
    Suppressed,
)


class EventCounts:
    """Called by the loop's thread only."""

    def __init__(self, declared: Declared, destinations: DestinationLabels) -> None:
        self._destinations = destinations
        self._events = declared.counter("conversions_events_total")
        self._delivery_seconds = declared.histogram("conversions_event_delivery_seconds")
        self._age_seconds = declared.histogram("conversions_event_age_seconds")
        self._test_events = declared.counter("conversions_test_events_total")
        self._match_key_events = declared.counter("conversions_match_key_events_total")
        dropped = declared.counter("conversions_dropped_fields_total")
        other = ((OTHER, reason) for reason in DropReason)
        # A publisher's mistake is in each of its events: to look a series up costs three times as
        # much as to count.
        self._dropped = {
            (field, reason): dropped.labels(field, reason.value)
            for field, reason in (*droppable(), *other)
        }
        warnings = declared.counter("conversions_event_warnings_total")
        self._warnings = {each: warnings.labels(each) for each in WARNINGS}
        self._dead_letters = declared.counter("conversions_dead_letters_total")

    def at_zero(self) -> None:
        """The destinations that are configured now have their counters. What a series is born with
        is lost to increase(), by which we are reconciled."""
        for destination in self._destinations.known:
            for event_name, outcome in product((*STANDARD_EVENT_NAMES, CUSTOM), Outcome):
                self._events.labels(destination, event_name, outcome.value)
            for match_key in (*META_KEYS, OTHER):
                self._match_key_events.labels(destination, match_key)
            self._test_events.labels(destination)
            self._delivery_seconds.at_zero(destination)
        self._events.labels(OTHER, CUSTOM, Outcome.DEAD_LETTERED.value)
        for reason in Reason:
            for label in (*self._destinations.known, OTHER):
                self._dead_letters.labels(label, reason.value)

    def delivered(
        self, delivered: Collection[Delivered], *, waited: Collection[float], now_ms: int
    ) -> None:
        """Events of one request that Meta accepted; ``waited``: the seconds since the record of
        each was read."""
        if not delivered:
            return
        first, trace_id = next(iter(delivered))
        destination = self._destinations.of(first.destination)
        names = Tally([event.event_name for event, _ in delivered])
        for event_name, count in names.items():
            self._count(first.destination, event_name, Outcome.ACCEPTED, count)
        carried: Tally[str] = Tally()
        for match_keys, count in Tally([event.match_keys for event, _ in delivered]).items():
            carried.update(dict.fromkeys(match_keys, count))
        for match_key, count in carried.items():
            self._match_key_events.labels(destination, match_key_label(match_key)).inc(count)
        if first.test_code:
            self._test_events.labels(destination).inc(len(delivered))
        self._delivery_seconds.add(waited, destination, trace_id=trace_id)
        # The clock that an event's time was taken from may be ahead of ours.
        ages = [max(0, now_ms - event.event_time_ms) / 1000 for event, _ in delivered]
        self._age_seconds.add(ages, trace_id=trace_id)

    def dead_lettered(self, written: Sequence[Rejected]) -> None:
        """Dead letters were acknowledged, counted in one go."""
        alike = Tally((each.destination, each.event_name, each.reason) for each in written)
        traces = {
            (each.destination, each.reason): each.error.trace_id
            for each in written
            if each.error is not None
        }
        for (destination, event_name, reason), count in alike.items():
            label = self._destinations.of(destination)
            exemplar = exemplar_labels(traces.get((destination, reason)))
            self._dead_letters.labels(label, reason.value).inc(count, exemplar or None)
            self._count(destination, event_name or "", Outcome.DEAD_LETTERED, count)

    def suppressed(self, event: Suppressed) -> None:
        """An event was withheld for want of consent."""
        self._count(event.destination, event.event_name, Outcome.SUPPRESSED, 1)

    def prepared(self, event: Prepared) -> None:
        """What was left out of an event and what it lacks; most events have neither."""
        for dropped in event.dropped:
            series = self._dropped.get(dropped) or self._dropped[OTHER, dropped.reason]
            series.inc()
        for warning in event.warnings:
            self._warnings[warning].inc()

    def _count(
        self, destination: PixelId | None, event_name: str, outcome: Outcome, count: int
    ) -> None:
        name = event_name_label(event_name)
        self._events.labels(self._destinations.of(destination), name, outcome.value).inc(count)

"""Every metric of the product, declared once. Counts in memory; no I/O.

Labels come from closed sets: configured destinations, enums, Meta's standard event names and
``custom``. Counters exist at zero from the start; a gauge exists only once its value is known.
"""

import platform
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from enum import Enum
from itertools import product

import confluent_kafka
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from consumer.amounts import UnusableValue, usable_amount
from consumer.event_names import NEAR_MISS, STANDARD_EVENT_NAMES
from consumer.graph_versions import ends_at
from consumer.guard import Alarm
from consumer.letter_trouble import trouble_of
from consumer.model import (
    Accepted,
    Batch,
    Closing,
    Delivered,
    Dropped,
    DropReason,
    Halted,
    Incomplete,
    PauseCause,
    PixelId,
    Prepared,
    Reason,
    Refused,
    Rejected,
    Retry,
    RetryCause,
    Split,
    Suppressed,
    Throttled,
    TopicPartition,
    Verdict,
)
from consumer.quality import EventQuality
from consumer.quality_gauges import quality_series
from consumer.token_state import TokenState
from consumer.usage import UsageKind

CUSTOM = "custom"
OTHER = "other"
NOBODY = "unknown"
"""The label of records that name no destination of ours."""

_REQUEST_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BATCH_EVENTS = (1, 5, 10, 50, 100, 250, 500, 1000)


class Outcome(Enum):
    """The fates of an event; the value is a label."""

    ACCEPTED = "accepted"
    DEAD_LETTERED = "dead_lettered"
    SUPPRESSED = "suppressed"


_VERDICTS: dict[type, str] = {
    Accepted: "accepted",
    Incomplete: "incomplete",
    Refused: "refused",
    Retry: "retry",
    Split: "split",
    Throttled: "throttled",
    Halted: "halted",
}


class Metrics:
    """All counters and gauges, on the registry given. Called by the loop thread only."""

    def __init__(self, *, registry: CollectorRegistry, version: str, graph_version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._standard = frozenset(STANDARD_EVENT_NAMES)
        self._destinations: frozenset[PixelId] = frozenset()
        self.registry = registry
        self._declare_events(registry)
        self._declare_requests(registry)
        self._declare_kafka(registry)
        self._declare_quality(registry)
        self._declare_tokens(registry)
        self._declare_values(registry)
        Gauge(
            "conversions_build_info",
            "Versions of this build, with the value 1",
            ["version", "python", "librdkafka", "graph_version"],
            registry=registry,
        ).labels(
            version, platform.python_version(), confluent_kafka.libversion()[0], graph_version
        ).set(1)
        graph_version_ends = _Snapshot(
            "conversions_graph_version_expiry_timestamp_seconds",
            "When Meta ceases to take calls of the Graph version in use, if that is known",
            [],
            registry,
        )
        if (seconds := ends_at(graph_version)) is not None:
            graph_version_ends.set({(): seconds})

    def _declare_events(self, registry: CollectorRegistry) -> None:
        self._events = Counter(
            "conversions_events_total",
            "Events that met their fate",
            ["destination", "event_name", "outcome"],
            registry=registry,
        )
        self._dead_letters = Counter(
            "conversions_dead_letters_total",
            "Dead letters that the brokers acknowledged",
            ["destination", "reason"],
            registry=registry,
        )
        self._dead_letter_failures = Counter(
            "conversions_dead_letter_failures_total",
            "Attempts to write a dead letter that failed",
            ["writing"],
            registry=registry,
        )
        self._dead_letters_waiting = Gauge(
            "conversions_dead_letters_waiting",
            "Dead letters that the brokers have not acknowledged yet",
            registry=registry,
        )
        self._dead_letters_failing = _Snapshot(
            "conversions_dead_letters_failing_since_timestamp_seconds",
            "Since when dead letters cannot be written, and why; absent while they can",
            ["trouble"],
            registry,
        )
        self.producer_replacements = Counter(
            "conversions_dead_letter_producer_replacements_total",
            "Producers of dead letters that met a fatal error and were replaced",
            registry=registry,
        )
        self._match_key_events = Counter(
            "conversions_match_key_events_total",
            "Delivered events that carried this match key",
            ["destination", "match_key"],
            registry=registry,
        )
        self._dropped = Counter(
            "conversions_dropped_fields_total",
            "Optional fields that were left out of an event that lives on",
            ["field", "reason"],
            registry=registry,
        )
        self._warnings = Counter(
            "conversions_event_warnings_total",
            "Events that Meta takes but can use less well",
            ["warning"],
            registry=registry,
        )
        self._guard_alarm = _Snapshot(
            "conversions_guard_alarm",
            "1 while too many of a destination's last events are rejected for one reason of ours",
            ["destination", "reason"],
            registry,
        )
        self._guard_held = _Snapshot(
            "conversions_guard_held_records",
            "Rejected records that the guard holds instead of dead-lettering them",
            ["destination"],
            registry,
        )
        for writing in ("too_large", "failed"):
            self._dead_letter_failures.labels(writing)
        self._test_events = Counter(
            "conversions_test_events_total",
            "Accepted events with a test event code, which Meta uses like all others",
            ["destination"],
            registry=registry,
        )
        gaps = (Reason.MISSING_USER_AGENT.value, Reason.MISSING_SOURCE_URL.value)
        for warning in (*gaps, NEAR_MISS):
            self._warnings.labels(warning)

    def _declare_requests(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "conversions_requests_total",
            "Requests to Meta by what their answer meant",
            ["destination", "outcome"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "conversions_request_seconds",
            "Seconds from the start of a request to the end of its answer",
            ["destination"],
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self._retries = Counter(
            "conversions_retries_total",
            "Requests that are sent again unchanged, by cause",
            ["cause"],
            registry=registry,
        )
        self._batch_events = Histogram(
            "conversions_batch_events",
            "Events in a window when it closed",
            buckets=_BATCH_EVENTS,
            registry=registry,
        )
        self._windows_closed = Counter(
            "conversions_windows_closed_total",
            "Windows by what closed them",
            ["closed_by"],
            registry=registry,
        )
        self._destination_state = _Snapshot(
            "conversions_destination_state",
            "1 for the state that a destination is in",
            ["destination", "state", "reason"],
            registry,
        )
        self.version_warnings = Counter(
            "conversions_graph_version_warnings_total",
            "Answers with which Meta warned that our version of the Graph API has ended",
            registry=registry,
        )
        self._meta_usage = _Snapshot(
            "conversions_meta_usage_ratio",
            "How much of a limit is used up, as Meta told lately; 1 is all",
            ["destination", "kind"],
            registry,
        )
        self._in_flight = Gauge(
            "conversions_in_flight_records", "Records read and not settled", registry=registry
        )
        self._in_flight_bytes = Gauge(
            "conversions_in_flight_bytes", "What those records occupy", registry=registry
        )
        self._requests_in_flight = Gauge(
            "conversions_requests_in_flight", "Requests that wait for Meta", registry=registry
        )
        for cause in RetryCause:
            self._retries.labels(cause.value)
        for closing in Closing:
            self._windows_closed.labels(closing.value)

    def _declare_kafka(self, registry: CollectorRegistry) -> None:
        self.records_read = Counter(
            "conversions_records_read_total", "Records read from the topic", registry=registry
        )
        self.rebalances = Counter(
            "conversions_kafka_rebalances_total",
            "Assignments, revocations and losses of partitions",
            ["kind"],
            registry=registry,
        )
        self.commit_failures = Counter(
            "conversions_kafka_commit_failures_total",
            "Commits that the group refused; they are repeated",
            registry=registry,
        )
        self.kafka_errors = Counter(
            "conversions_kafka_errors_total",
            "Errors that the Kafka client reported",
            ["kind"],
            registry=registry,
        )
        self.offset_resets = Counter(
            "conversions_kafka_offset_resets_total",
            "Committed offsets that the topic no longer had",
            registry=registry,
        )
        self.records_lost = Counter(
            "conversions_kafka_records_lost_total",
            "Records that retention removed before they were read",
            registry=registry,
        )
        self.schema_failures = Counter(
            "conversions_schema_fetch_failures_total",
            "Questions to the schema registry without a usable answer",
            registry=registry,
        )
        self.destinations_file_mistakes = Counter(
            "conversions_destinations_file_mistakes_total",
            "Changes of the destinations file that could not be taken up",
            registry=registry,
        )
        self.bugs = Counter(
            "conversions_internal_errors_total",
            "Exceptions that should not have happened",
            registry=registry,
        )
        self._lag = _Snapshot(
            "conversions_kafka_lag_records",
            "Log end minus the next offset that would be committed",
            ["topic", "partition"],
            registry,
        )
        self._paused = Gauge(
            "conversions_paused_partitions",
            "Partitions that are not read for now, by cause",
            ["cause"],
            registry=registry,
        )
        self._assigned = Gauge(
            "conversions_kafka_assigned_partitions", "Partitions of this member", registry=registry
        )
        self.schema_waiting = Gauge(
            "conversions_schema_waiting_records",
            "Records that wait for their schema",
            registry=registry,
        )
        self.poll_loop = _Snapshot(
            "conversions_poll_loop_timestamp_seconds",
            "When the poll loop last turned, in seconds since the epoch",
            [],
            registry,
        )
        for kind in ("assigned", "revoked", "lost"):
            self.rebalances.labels(kind)
        for kind in ("unreachable", "other"):
            self.kafka_errors.labels(kind)
        for cause in PauseCause:
            self._paused.labels(cause.value)

    def _declare_quality(self, registry: CollectorRegistry) -> None:
        self.quality_failures = Counter(
            "conversions_quality_failures_total",
            "Questions to Meta for Event Match Quality without a usable answer",
            registry=registry,
        )
        self._quality_score = _Snapshot(
            "conversions_event_match_quality_score",
            "Event Match Quality, 0 to 10, as Meta has it; custom is the lowest of such names",
            ["destination", "event_name"],
            registry,
        )
        self._match_key_coverage = _Snapshot(
            "conversions_meta_match_key_coverage_ratio",
            "Share of events with this match key, as Meta has it, of the event with the lowest",
            ["destination", "match_key"],
            registry,
        )

    def _declare_tokens(self, registry: CollectorRegistry) -> None:
        self.token_check_failures = Counter(
            "conversions_token_check_failures_total",
            "Questions to Meta for the state of a token without a usable answer",
            registry=registry,
        )
        self._token_valid = _Snapshot(
            "conversions_access_token_valid",
            "1 when Meta calls the destination's token valid, 0 when not;"
            " absent until it was asked",
            ["destination"],
            registry,
        )
        self._token_expiry = _Snapshot(
            "conversions_access_token_expiry_timestamp_seconds",
            "When the token, or its access to data, ends; absent when that is never or not known",
            ["destination"],
            registry,
        )

    def _declare_values(self, registry: CollectorRegistry) -> None:
        self._currencies: tuple[str, ...] = ()
        self._value = Counter(
            "conversions_value_total",
            "Value of accepted events; only with CONVERSIONS_VALUE_CURRENCIES",
            ["destination", "event_name", "currency"],
            registry=registry,
        )
        self._value_unusable = Counter(
            "conversions_value_unusable_total",
            "Accepted events whose value is not added up; only with CONVERSIONS_VALUE_CURRENCIES",
            ["destination", "reason"],
            registry=registry,
        )

    def valued(self, currencies: Iterable[str]) -> None:
        """The currencies that are added up; to be told before the destinations are."""
        self._currencies = tuple(currencies)

    def configured(self, destinations: Iterable[PixelId]) -> None:
        """The destinations that exist: their counters start at zero."""
        self._destinations = frozenset(destinations)
        for destination in self._destinations:
            for outcome in Outcome:
                self._events.labels(destination, "Purchase", outcome.value)
            for event_name in (*STANDARD_EVENT_NAMES, CUSTOM):
                # What a series is born with is lost to increase(), by which we are reconciled.
                self._events.labels(destination, event_name, Outcome.ACCEPTED.value)
            for verdict in _VERDICTS.values():
                self._requests.labels(destination, verdict)
            self._request_seconds.labels(destination)
            self._values_at_zero(destination)
            self._test_events.labels(destination)
        for reason in Reason:
            for label in (*self._destinations, OTHER):
                self._dead_letters.labels(label, reason.value)

    def window_closed(self, batch: Batch) -> None:
        """A window closed."""
        self._batch_events.observe(len(batch.events))
        self._windows_closed.labels(batch.closed_by.value).inc()

    def answered(self, destination: PixelId, verdict: Verdict, seconds: float) -> None:
        """A request was answered, or given up."""
        label = self._destination(destination)
        self._requests.labels(label, _VERDICTS[type(verdict)]).inc()
        self._request_seconds.labels(label).observe(seconds)
        if isinstance(verdict, Retry):
            self._retries.labels(verdict.cause.value).inc()

    def delivered(self, delivered: Iterable[Delivered]) -> None:
        """Events that Meta accepted, counted in one go."""
        names: Tally[tuple[PixelId, str]] = Tally()
        keys: Tally[tuple[PixelId, tuple[str, ...]]] = Tally()
        worth: list[Prepared] = []
        for event, _ in delivered:
            names[event.destination, event.event_name] += 1
            keys[event.destination, event.match_keys] += 1
            if event.amount is not None:
                worth.append(event)
            if event.test_code:
                self._test_events.labels(self._destination(event.destination)).inc()
        for (destination, event_name), count in names.items():
            self._count(destination, event_name, Outcome.ACCEPTED, count)
        for (destination, match_keys), count in keys.items():
            label = self._destination(destination)
            for match_key in match_keys:
                self._match_key_events.labels(label, match_key).inc(count)
        self._add_values(worth)

    def dead_lettered(self, written: Iterable[Rejected]) -> None:
        """Dead letters were acknowledged, counted in one go."""
        alike = Tally((each.destination, each.event_name, each.reason) for each in written)
        for (destination, event_name, reason), count in alike.items():
            pixel = PixelId(destination or "")
            self._dead_letters.labels(self._destination(pixel), reason.value).inc(count)
            self._count(pixel, event_name or "", Outcome.DEAD_LETTERED, count)

    def guard(self, alarms: Iterable[Alarm], held: Mapping[PixelId, int]) -> None:
        """The guard's alarms in force, and how many records it holds for whom."""
        self._guard_alarm.set(
            {
                (self._destination(destination) if destination else NOBODY, reason.value): 1.0
                for destination, reason in alarms
            }
        )
        self._guard_held.set(
            {(self._destination(each),): float(count) for each, count in held.items()}
        )

    def suppressed(self, event: Suppressed) -> None:
        """An event was withheld for want of consent."""
        self._count(event.destination, event.event_name, Outcome.SUPPRESSED, 1)

    def dead_letter_failed(self, writing: str) -> None:
        """A dead letter could not be written this time."""
        self._dead_letter_failures.labels(writing).inc()

    def dead_letters(
        self, *, waiting: int, failing: str | None, failing_since_ms: int | None
    ) -> None:
        """How many wait for their acknowledgement; ``failing`` is Kafka's name of the trouble."""
        self._dead_letters_waiting.set(waiting)
        since: dict[tuple[str, ...], float] = {}
        if failing is not None and failing_since_ms is not None:
            since[trouble_of(failing).value,] = failing_since_ms / 1000
        self._dead_letters_failing.set(since)

    def prepared(self, event: Prepared) -> None:
        """What was left out of an event and what it lacks; most events have neither."""
        for dropped in event.dropped:
            self._count_dropped(dropped)
        for warning in event.warnings:
            self._warnings.labels(warning).inc()

    def flow(
        self,
        *,
        records: int,
        size_bytes: int,
        requests: int,
        assigned: int,
        paused: Mapping[TopicPartition, PauseCause],
    ) -> None:
        """How full the house is."""
        self._in_flight.set(records)
        self._in_flight_bytes.set(size_bytes)
        self._requests_in_flight.set(requests)
        self._assigned.set(assigned)
        tally = Tally(paused.values())
        for cause in PauseCause:
            self._paused.labels(cause.value).set(tally[cause])

    def lag(self, lags: Mapping[TopicPartition, int]) -> None:
        """Lag of the partitions that are ours, all of them at once."""
        self._lag.set({(p.topic, str(p.partition)): float(lag) for p, lag in lags.items()})

    def destination_states(self, states: Mapping[PixelId, tuple[str, str]]) -> None:
        """State and reason of every destination."""
        self._destination_state.set(
            {(destination, *state): 1.0 for destination, state in states.items()}
        )

    def quality(self, events: Iterable[EventQuality]) -> None:
        """Meta's figures, all that are known."""
        series = quality_series(events, standard_names=self._standard, custom=CUSTOM)
        self._quality_score.set(series.scores)
        self._match_key_coverage.set(series.coverages)

    def token_states(self, states: Mapping[PixelId, TokenState]) -> None:
        """What Meta says of the tokens, as far as it is known."""
        self._token_valid.set({(each,): float(state.is_valid) for each, state in states.items()})
        self._token_expiry.set(
            {
                (each,): state.expires_at
                for each, state in states.items()
                if state.expires_at is not None
            }
        )

    def meta_usage(self, shares: Mapping[tuple[PixelId, UsageKind], float]) -> None:
        """How much of Meta's limits is used up, as far as it is known."""
        self._meta_usage.set(
            {
                (self._destination(destination), kind.value): share
                for (destination, kind), share in shares.items()
            }
        )

    def _count_dropped(self, dropped: Dropped) -> None:
        assert isinstance(dropped.reason, DropReason)
        self._dropped.labels(dropped.field, dropped.reason.value).inc()

    def _count(self, destination: PixelId, event_name: str, outcome: Outcome, count: int) -> None:
        name = event_name if event_name in self._standard else CUSTOM
        self._events.labels(self._destination(destination), name, outcome.value).inc(count)

    def _values_at_zero(self, destination: PixelId) -> None:
        for event_name, currency in product((*STANDARD_EVENT_NAMES, CUSTOM), self._currencies):
            self._value.labels(destination, event_name, currency)
        for reason in UnusableValue if self._currencies else ():
            self._value_unusable.labels(destination, reason.value)

    def _add_values(self, events: Iterable[Prepared]) -> None:
        totals: dict[tuple[str, str, str], float] = {}
        for event in events:
            label = self._destination(event.destination)
            usable = usable_amount(event.amount, self._currencies) if event.amount else None
            if isinstance(usable, UnusableValue):
                self._value_unusable.labels(label, usable.value).inc()
            elif usable is not None:
                name = event.event_name if event.event_name in self._standard else CUSTOM
                key = (label, name, usable.currency)
                totals[key] = totals.get(key, 0.0) + usable.value
        for labels, total in totals.items():
            self._value.labels(*labels).inc(total)

    def _destination(self, destination: PixelId) -> str:
        return destination if destination in self._destinations else OTHER


class _Snapshot(Collector):
    """A gauge whose series are replaced as a whole: what is not known is not there."""

    def __init__(
        self, name: str, text: str, labels: list[str], registry: CollectorRegistry
    ) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._values: Mapping[tuple[str, ...], float] = {}
        registry.register(self)

    def set(self, values: Mapping[tuple[str, ...], float]) -> None:
        self._values = dict(values)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily(self._name, self._text, labels=self._labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        return [family]

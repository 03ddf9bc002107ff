"""The counts and gauges of one running consumer, all declared in ``metric_contract``.

Counters exist at zero from the start; a gauge exists only once its value is known.
"""

import platform
from collections import Counter as Tally
from collections.abc import Iterable, Mapping

import confluent_kafka
from prometheus_client import CollectorRegistry, disable_created_metrics

from consumer.event_counts import EventCounts
from consumer.event_names import STANDARD_EVENT_NAMES
from consumer.graph_versions import ends_at
from consumer.guard import Alarm
from consumer.letter_trouble import trouble_of
from consumer.metric_labels import CUSTOM, NOBODY, DestinationLabels
from consumer.metric_series import Declared
from consumer.model import PauseCause, PixelId, Times, TopicPartition
from consumer.patience import OutboxState
from consumer.quality import EventQuality
from consumer.quality_gauges import quality_series
from consumer.request_counts import RequestCounts
from consumer.token_state import TokenState
from consumer.usage import UsageKind
from consumer.value_counts import ValueCounts


class Metrics:
    """All of them, on the registry given. Called by the loop's thread only. ``events`` and
    ``requests`` count for themselves; the counters without a method are whoever's they are."""

    def __init__(self, *, registry: CollectorRegistry, version: str, graph_version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self._destinations = DestinationLabels()
        self._declared = declared = Declared(registry)
        self.events = EventCounts(declared, self._destinations)
        self.requests = RequestCounts(declared, self._destinations)
        self.values = ValueCounts(declared, self._destinations)
        self._claim_destinations(declared)
        self._claim_tokens(declared)
        self._claim_dead_letters(declared)
        self._claim_kafka(declared)
        self._claim_house(declared)
        declared.gauge("conversions_build_info").labels(
            version, platform.python_version(), confluent_kafka.libversion()[0], graph_version
        ).set(1)
        graph_version_ends = declared.snapshot("conversions_graph_version_expiry_timestamp_seconds")
        if (seconds := ends_at(graph_version)) is not None:
            graph_version_ends.set({(): seconds})

    @property
    def unclaimed(self) -> frozenset[str]:
        """What is declared and not made here."""
        return self._declared.unclaimed

    def _claim_destinations(self, declared: Declared) -> None:
        self._destination_state = declared.snapshot("conversions_destination_state")
        self._meta_usage = declared.snapshot("conversions_meta_usage_ratio")
        self._pending = declared.snapshot("conversions_pending_events")
        self._oldest_pending = declared.snapshot(
            "conversions_oldest_pending_event_timestamp_seconds"
        )
        self._first_expiry = declared.snapshot(
            "conversions_earliest_pending_expiry_timestamp_seconds"
        )
        self._guard_alarm = declared.snapshot("conversions_guard_alarm")
        self._guard_held = declared.snapshot("conversions_guard_held_records")
        self._quality_score = declared.snapshot("conversions_event_match_quality_score")
        self._match_key_coverage = declared.snapshot("conversions_meta_match_key_coverage_ratio")
        self.quality_failures = declared.counter("conversions_quality_failures_total")
        self.version_warnings = declared.counter("conversions_graph_version_warnings_total")
        self.destinations_file_mistakes = declared.counter(
            "conversions_destinations_file_mistakes_total"
        )

    def _claim_tokens(self, declared: Declared) -> None:
        self.token_check_failures = declared.counter("conversions_token_check_failures_total")
        self._token_valid = declared.snapshot("conversions_access_token_valid")
        self._token_expiry = declared.snapshot("conversions_access_token_expiry_timestamp_seconds")

    def _claim_dead_letters(self, declared: Declared) -> None:
        self._dead_letter_failures = declared.counter("conversions_dead_letter_failures_total")
        self._dead_letters_waiting = declared.gauge("conversions_dead_letters_waiting")
        self._dead_letters_failing = declared.snapshot(
            "conversions_dead_letters_failing_since_timestamp_seconds"
        )
        self.producer_replacements = declared.counter(
            "conversions_dead_letter_producer_replacements_total"
        )

    def _claim_kafka(self, declared: Declared) -> None:
        self.records_read = declared.counter("conversions_records_read_total")
        self.replayed_records_read = declared.counter("conversions_replayed_records_read_total")
        self.rebalances = declared.counter("conversions_kafka_rebalances_total")
        self.commit_failures = declared.counter("conversions_kafka_commit_failures_total")
        self.kafka_errors = declared.counter("conversions_kafka_errors_total")
        self.offset_resets = declared.counter("conversions_kafka_offset_resets_total")
        self.records_lost = declared.counter("conversions_kafka_records_lost_total")
        self.schema_failures = declared.counter("conversions_schema_fetch_failures_total")
        self.schema_waiting = declared.gauge("conversions_schema_waiting_records")
        self._lag = declared.snapshot("conversions_kafka_lag_records")
        self._assigned = declared.gauge("conversions_kafka_assigned_partitions")
        self._topic_partitions = declared.snapshot("conversions_kafka_topic_partitions")
        self._paused = declared.gauge("conversions_paused_partitions")

    def _claim_house(self, declared: Declared) -> None:
        self._in_flight = declared.gauge("conversions_in_flight_records")
        self._in_flight_limit = declared.snapshot("conversions_in_flight_records_limit")
        self._in_flight_bytes = declared.gauge("conversions_in_flight_bytes")
        self._in_flight_bytes_limit = declared.snapshot("conversions_in_flight_bytes_limit")
        self._requests_in_flight = declared.gauge("conversions_requests_in_flight")
        self._uncommitted = declared.gauge("conversions_uncommitted_records")
        self.poll_loop = declared.snapshot("conversions_poll_loop_timestamp_seconds")
        self.bugs = declared.counter("conversions_internal_errors_total")

    def configured(self, destinations: Iterable[PixelId]) -> None:
        """The destinations that exist: their counters start at zero. What was counted for one that
        is gone stays."""
        self._destinations.known = frozenset(destinations)
        self.events.at_zero()
        self.requests.at_zero()
        self.values.at_zero()

    def limits(self, *, records: int, size_bytes: int) -> None:
        """How much may be in flight."""
        self._in_flight_limit.set({(): float(records)})
        self._in_flight_bytes_limit.set({(): float(size_bytes)})

    def guard(self, alarms: Iterable[Alarm], held: Mapping[PixelId, int]) -> None:
        """The guard's alarms in force, and how many records it holds for whom."""
        label = self._destinations.of
        self._guard_alarm.set(
            {
                (label(destination) if destination else NOBODY, reason.value): 1.0
                for destination, reason in alarms
            }
        )
        self._guard_held.set({(label(each),): float(count) for each, count in held.items()})

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

    def flow(
        self,
        *,
        records: int,
        size_bytes: int,
        requests: int,
        uncommitted: int,
        assigned: int,
        paused: Mapping[TopicPartition, PauseCause],
    ) -> None:
        """How full the house is."""
        self._in_flight.set(records)
        self._in_flight_bytes.set(size_bytes)
        self._requests_in_flight.set(requests)
        self._uncommitted.set(uncommitted)
        self._assigned.set(assigned)
        tally = Tally(paused.values())
        for cause in PauseCause:
            self._paused.labels(cause.value).set(tally[cause])

    def pending(self, events: Mapping[PixelId, int], times: Mapping[PixelId, Times]) -> None:
        """How many events wait for each destination, the event time of the oldest, and when the
        first expires; where nothing waits there is neither."""
        known = self._destinations.known
        ours = {each: found for each, found in times.items() if each in known}
        self._pending.set({(each,): float(events.get(each, 0)) for each in known})
        self._oldest_pending.set({(each,): found.oldest_ms / 1000 for each, found in ours.items()})
        self._first_expiry.set({(each,): found.expires_ms / 1000 for each, found in ours.items()})

    def topic(self, name: str, partitions: int) -> None:
        """How many partitions the topic has."""
        self._topic_partitions.set({(name,): float(partitions)})

    def lag(self, lags: Mapping[TopicPartition, int]) -> None:
        """Lag of the partitions that are ours, all of them at once."""
        self._lag.set({(p.topic, str(p.partition)): float(lag) for p, lag in lags.items()})

    def destination_states(self, states: Mapping[PixelId, tuple[str, str]]) -> None:
        """State and reason of every destination for which something came; the others are ready."""
        ready = (OutboxState.READY.value, "")
        self._destination_state.set(
            {
                (destination, *states.get(destination, ready)): 1.0
                for destination in self._destinations.known
            }
        )

    def quality(self, events: Iterable[EventQuality]) -> None:
        """Meta's figures, all that are known."""
        series = quality_series(events, standard_names=STANDARD_EVENT_NAMES, custom=CUSTOM)
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
                (destination, kind.value): share
                for (destination, kind), share in shares.items()
                if destination in self._destinations.known
            }
        )

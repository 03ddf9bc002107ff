"""Every metric of the running consumer, declared once: name, type, unit, labels, help. Pure data.

Dashboards and alerts rest on these names: to change one is a breaking change. ``docs/metrics.md``
is made of this table, and ``metrics`` makes its counters of it. Labels come from closed sets.
Counters and histograms stand at zero from the start; a gauge exists once its value is known, and
goes when it is no longer known.
"""

from enum import Enum
from typing import NamedTuple

from consumer.amounts import UnusableValue
from consumer.event_names import NEAR_MISS, STANDARD_EVENT_NAMES
from consumer.letter_trouble import LetterTrouble
from consumer.match_keys import META_KEYS
from consumer.metric_labels import CUSTOM, OTHER, CodeClass, code_labels
from consumer.model import Closing, DropReason, HaltReason, PauseCause, Reason, RetryCause
from consumer.patience import OutboxState
from consumer.usage import UsageKind


class Kind(Enum):
    """Prometheus' types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Outcome(Enum):
    """The fates of an event; the value is a label."""

    ACCEPTED = "accepted"
    DEAD_LETTERED = "dead_lettered"
    SUPPRESSED = "suppressed"


class RequestOutcome(Enum):
    """What an answer of Meta's meant; the value is a label."""

    ACCEPTED = "accepted"
    INCOMPLETE = "incomplete"
    REFUSED = "refused"
    RETRY = "retry"
    SPLIT = "split"
    THROTTLED = "throttled"
    HALTED = "halted"


class Label(NamedTuple):
    """A label and its closed set: ``values``, or where it is configured, ``told`` in words."""

    name: str
    values: tuple[str, ...] = ()
    told: str = ""


class Metric(NamedTuple):
    """One metric. ``unit`` is that of its value; ``buckets`` are a histogram's upper bounds."""

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    exemplar: bool = False


MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
LATE_SECONDS = 5 * MINUTE
"""The objective of delivery: an event accepted later than this after it was read counts as bad."""
REQUEST_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
DELIVERY_SECONDS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, MINUTE, LATE_SECONDS, 15 * MINUTE, HOUR)
AGE_SECONDS = (
    1.0, 5.0, 30.0, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR,
    DAY, 3 * DAY, 5 * DAY, 6 * DAY, 7 * DAY,
)  # fmt: skip
"""Meta refuses events older than seven days: that is a bound of its own."""
BATCH_EVENTS = (1.0, 5.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0)


def _values(closed: type[Enum]) -> tuple[str, ...]:
    return tuple(str(each.value) for each in closed)


DESTINATION = Label("destination", told="the pixel ids that are configured, and `other`")
CONFIGURED = Label("destination", told="the pixel ids that are configured")
GUARDED = Label("destination", told="the pixel ids that are configured, `other` and `unknown`")
EVENT_NAME = Label("event_name", (*STANDARD_EVENT_NAMES, CUSTOM))
MATCH_KEY = Label("match_key", (*META_KEYS, OTHER))
REASON = Label("reason", _values(Reason))
TOPIC = Label("topic", told="CONVERSIONS_TOPIC")
PARTITION = Label("partition", told="the partitions that this member owns")
WARNINGS = (Reason.MISSING_USER_AGENT.value, Reason.MISSING_SOURCE_URL.value, NEAR_MISS)

COUNTER, GAUGE, HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

EVENTS: tuple[Metric, ...] = (
    Metric("conversions_records_read_total", COUNTER, "records", "Records read from the topic"),
    Metric(
        "conversions_replayed_records_read_total",
        COUNTER,
        "records",
        "Records read that a replay of dead letters has put back",
    ),
    Metric(
        "conversions_events_total",
        COUNTER,
        "events",
        "Events that met their fate",
        (DESTINATION, EVENT_NAME, Label("outcome", _values(Outcome))),
    ),
    Metric(
        "conversions_event_delivery_seconds",
        HISTOGRAM,
        "seconds",
        "From the last reading of an event's record to Meta's acceptance",
        (DESTINATION,),
        DELIVERY_SECONDS,
        exemplar=True,
    ),
    Metric(
        "conversions_event_age_seconds",
        HISTOGRAM,
        "seconds",
        "From the time of an event to Meta's acceptance; Meta refuses most after seven days",
        (),
        AGE_SECONDS,
        exemplar=True,
    ),
    Metric(
        "conversions_pending_events",
        GAUGE,
        "events",
        "Events in hand that wait for this destination",
        (CONFIGURED,),
    ),
    Metric(
        "conversions_oldest_pending_event_timestamp_seconds",
        GAUGE,
        "seconds since the epoch",
        "The time of the oldest event in hand; absent when nothing waits",
        (CONFIGURED,),
    ),
    Metric(
        "conversions_earliest_pending_expiry_timestamp_seconds",
        GAUGE,
        "seconds since the epoch",
        "When the first event in hand may no longer be sent, by the limit that applies to it; "
        "absent when nothing waits",
        (CONFIGURED,),
    ),
    Metric(
        "conversions_events_resent_late_total",
        COUNTER,
        "events",
        "Events sent again more than 48 hours after a first attempt that Meta may have counted",
        (DESTINATION,),
    ),
    Metric(
        "conversions_test_events_total",
        COUNTER,
        "events",
        "Accepted events with a test event code, which Meta uses like all others",
        (DESTINATION,),
    ),
    Metric(
        "conversions_value_total",
        COUNTER,
        "the currency's units",
        "Value of accepted events; only with CONVERSIONS_VALUE_CURRENCIES",
        (DESTINATION, EVENT_NAME, Label("currency", told="CONVERSIONS_VALUE_CURRENCIES")),
    ),
    Metric(
        "conversions_value_unusable_total",
        COUNTER,
        "events",
        "Accepted events whose value is not added up; only with CONVERSIONS_VALUE_CURRENCIES",
        (DESTINATION, Label("reason", _values(UnusableValue))),
    ),
)
DATA_QUALITY: tuple[Metric, ...] = (
    Metric(
        "conversions_match_key_events_total",
        COUNTER,
        "events",
        "Accepted events that carried this match key",
        (DESTINATION, MATCH_KEY),
    ),
    Metric(
        "conversions_dropped_fields_total",
        COUNTER,
        "fields",
        "Optional fields, match keys among them, left out of an event that lives on",
        (
            Label("field", told="the fields of the schema, and `other`"),
            Label("reason", _values(DropReason)),
        ),
    ),
    Metric(
        "conversions_event_warnings_total",
        COUNTER,
        "events",
        "Events that Meta takes but can use less well",
        (Label("warning", WARNINGS),),
    ),
    Metric(
        "conversions_guard_alarm",
        GAUGE,
        "1",
        "1 while too many of a destination's last events are rejected for one reason of ours",
        (GUARDED, REASON),
    ),
    Metric(
        "conversions_guard_held_records",
        GAUGE,
        "records",
        "Rejected records that the guard holds instead of dead-lettering them",
        (DESTINATION,),
    ),
    Metric(
        "conversions_event_match_quality_score",
        GAUGE,
        "0 to 10",
        "Event Match Quality as Meta has it; custom is the lowest of such names",
        (DESTINATION, EVENT_NAME),
    ),
    Metric(
        "conversions_meta_match_key_coverage_ratio",
        GAUGE,
        "ratio",
        "Share of events with this match key, as Meta has it, of the event with the lowest",
        (DESTINATION, MATCH_KEY),
    ),
    Metric(
        "conversions_quality_failures_total",
        COUNTER,
        "questions",
        "Questions to Meta for Event Match Quality without a usable answer",
    ),
)
META: tuple[Metric, ...] = (
    Metric(
        "conversions_requests_total",
        COUNTER,
        "requests",
        "Requests to Meta by what their answer meant, and by the class of its HTTP status",
        (
            DESTINATION,
            Label("outcome", _values(RequestOutcome)),
            Label("code_class", _values(CodeClass)),
        ),
    ),
    Metric(
        "conversions_meta_errors_total",
        COUNTER,
        "answers",
        "Errors in Meta's answers by code; other is every code that is not known here",
        (Label("code", code_labels()),),
    ),
    Metric(
        "conversions_request_seconds",
        HISTOGRAM,
        "seconds",
        "From the start of a request to the end of its answer",
        (DESTINATION,),
        REQUEST_SECONDS,
        exemplar=True,
    ),
    Metric(
        "conversions_retries_total",
        COUNTER,
        "requests",
        "Requests that are sent again unchanged, by cause",
        (Label("cause", _values(RetryCause)),),
    ),
    Metric(
        "conversions_isolation_requests_total",
        COUNTER,
        "requests",
        "Requests that look for the bad event of a refused batch",
        (DESTINATION,),
    ),
    Metric(
        "conversions_batch_events",
        HISTOGRAM,
        "events",
        "Events in a window when it closed",
        (),
        BATCH_EVENTS,
    ),
    Metric(
        "conversions_windows_closed_total",
        COUNTER,
        "windows",
        "Windows by what closed them",
        (Label("closed_by", _values(Closing)),),
    ),
    Metric(
        "conversions_destination_state",
        GAUGE,
        "1",
        "1 for the state that a destination is in; reason is empty unless it is halted",
        (
            CONFIGURED,
            Label("state", _values(OutboxState)),
            Label("reason", ("", *_values(HaltReason))),
        ),
    ),
    Metric(
        "conversions_meta_usage_ratio",
        GAUGE,
        "ratio",
        "How much of a limit is used up, as Meta told lately; 1 is all",
        (CONFIGURED, Label("kind", _values(UsageKind))),
    ),
    Metric(
        "conversions_access_token_valid",
        GAUGE,
        "1 or 0",
        "1 when Meta calls the destination's token valid, 0 when not; absent until it was asked",
        (CONFIGURED,),
    ),
    Metric(
        "conversions_access_token_expiry_timestamp_seconds",
        GAUGE,
        "seconds since the epoch",
        "When the token, or its access to data, ends; absent when that is never or not known",
        (CONFIGURED,),
    ),
    Metric(
        "conversions_token_check_failures_total",
        COUNTER,
        "questions",
        "Questions to Meta for the state of a token without a usable answer",
    ),
    Metric(
        "conversions_graph_version_warnings_total",
        COUNTER,
        "answers",
        "Answers with which Meta warned that our version of the Graph API has ended",
    ),
    Metric(
        "conversions_graph_version_expiry_timestamp_seconds",
        GAUGE,
        "seconds since the epoch",
        "When Meta ceases to take calls of the Graph version in use, if that is known",
    ),
)
DEAD_LETTERS: tuple[Metric, ...] = (
    Metric(
        "conversions_dead_letters_total",
        COUNTER,
        "dead letters",
        "Dead letters that the brokers acknowledged",
        (DESTINATION, REASON),
        exemplar=True,
    ),
    Metric(
        "conversions_dead_letter_failures_total",
        COUNTER,
        "attempts",
        "Attempts to write a dead letter that failed",
        (Label("writing", ("too_large", "failed")),),
    ),
    Metric(
        "conversions_dead_letters_waiting",
        GAUGE,
        "dead letters",
        "Dead letters that the brokers have not acknowledged yet",
    ),
    Metric(
        "conversions_dead_letters_failing_since_timestamp_seconds",
        GAUGE,
        "seconds since the epoch",
        "Since when dead letters cannot be written, and why; absent while they can",
        (Label("trouble", _values(LetterTrouble)),),
    ),
    Metric(
        "conversions_dead_letter_producer_replacements_total",
        COUNTER,
        "producers",
        "Producers of dead letters that met a fatal error and were replaced",
    ),
)
KAFKA: tuple[Metric, ...] = (
    Metric(
        "conversions_kafka_lag_records",
        GAUGE,
        "records",
        "Log end minus the next offset that would be committed, of each partition owned",
        (TOPIC, PARTITION),
    ),
    Metric(
        "conversions_kafka_assigned_partitions", GAUGE, "partitions", "Partitions of this member"
    ),
    Metric(
        "conversions_kafka_topic_partitions",
        GAUGE,
        "partitions",
        "Partitions that the topic has, as every member sees them",
        (TOPIC,),
    ),
    Metric(
        "conversions_paused_partitions",
        GAUGE,
        "partitions",
        "Partitions that are not read for now, by cause",
        (Label("cause", _values(PauseCause)),),
    ),
    Metric(
        "conversions_kafka_rebalances_total",
        COUNTER,
        "callbacks",
        "Assignments, revocations and losses of partitions",
        (Label("kind", ("assigned", "revoked", "lost")),),
    ),
    Metric(
        "conversions_kafka_commit_failures_total",
        COUNTER,
        "commits",
        "Commits that the group refused; they are repeated",
    ),
    Metric(
        "conversions_kafka_errors_total",
        COUNTER,
        "errors",
        "Errors that the Kafka client reported",
        (Label("kind", ("unreachable", "other")),),
    ),
    Metric(
        "conversions_kafka_offset_resets_total",
        COUNTER,
        "offsets",
        "Committed offsets that the topic no longer had",
    ),
    Metric(
        "conversions_kafka_records_lost_total",
        COUNTER,
        "records",
        "Records that retention removed before they were read",
    ),
    Metric(
        "conversions_schema_fetch_failures_total",
        COUNTER,
        "questions",
        "Questions to the schema registry without a usable answer",
    ),
    Metric(
        "conversions_schema_waiting_records", GAUGE, "records", "Records that wait for their schema"
    ),
)
RUNTIME: tuple[Metric, ...] = (
    Metric("conversions_in_flight_records", GAUGE, "records", "Records read and not settled"),
    Metric(
        "conversions_in_flight_records_limit",
        GAUGE,
        "records",
        "How many they may be: CONVERSIONS_IN_FLIGHT_EVENTS",
    ),
    Metric("conversions_in_flight_bytes", GAUGE, "bytes", "What those records occupy"),
    Metric(
        "conversions_in_flight_bytes_limit",
        GAUGE,
        "bytes",
        "How much that may be: CONVERSIONS_IN_FLIGHT_BYTES",
    ),
    Metric("conversions_requests_in_flight", GAUGE, "requests", "Requests that wait for Meta"),
    Metric(
        "conversions_uncommitted_records",
        GAUGE,
        "records",
        "Records settled above the committed offset: what a crash would send again, at most",
    ),
    Metric(
        "conversions_poll_loop_timestamp_seconds",
        GAUGE,
        "seconds since the epoch",
        "When the poll loop last turned",
    ),
    Metric(
        "conversions_destinations_file_mistakes_total",
        COUNTER,
        "changes",
        "Changes of the destinations file that could not be taken up",
    ),
    Metric(
        "conversions_internal_errors_total",
        COUNTER,
        "exceptions",
        "Exceptions that should not have happened",
    ),
    Metric(
        "conversions_build_info",
        GAUGE,
        "1",
        "Versions of this build, with the value 1",
        (
            Label("version", told="ours"),
            Label("python", told="Python's"),
            Label("librdkafka", told="librdkafka's"),
            Label("graph_version", told="Graph's"),
        ),
    ),
)

GROUPS = {
    "Events": EVENTS,
    "Meta's API": META,
    "Dead letters": DEAD_LETTERS,
    "Kafka and the registry": KAFKA,
    "Data quality": DATA_QUALITY,
    "Runtime": RUNTIME,
}
"""The contract, by what it tells of."""


def metric_named(name: str) -> Metric:
    """The declaration of this metric."""
    return next(each for group in GROUPS.values() for each in group if each.name == name)

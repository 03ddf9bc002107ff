"""Metrics: declared once, at zero from the start, labels from closed sets, nobody's data."""

import platform
import re
from itertools import product

import confluent_kafka
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from consumer.event_names import STANDARD_EVENT_NAMES
from consumer.metrics import Metrics, Outcome
from consumer.model import (
    Accepted,
    Batch,
    Closing,
    Delivered,
    Dropped,
    DropReason,
    Halted,
    HaltReason,
    Incomplete,
    MetaError,
    PauseCause,
    PixelId,
    Prepared,
    Reason,
    Record,
    Refused,
    Rejected,
    Retry,
    RetryCause,
    Split,
    Suppressed,
    Throttled,
    TopicPartition,
    Verdict,
    WindowKey,
)
from consumer.quality import read_quality
from consumer.usage import UsageKind

ONE, TWO = PixelId("1"), PixelId("2")
STRANGER = PixelId("jane.canary@example.com")
ERROR = MetaError(http_status=400)
RECORD = Record(TopicPartition("events", 0), 0, 0, None, b"", (), 1)
VERDICTS: dict[str, Verdict] = {
    "accepted": Accepted(trace_id="A1"),
    "incomplete": Incomplete(received=1, trace_id="A1"),
    "refused": Refused(ERROR),
    "retry": Retry(RetryCause.TIMEOUT, None, reached_meta=True),
    "split": Split(ERROR),
    "throttled": Throttled(ERROR, wait_seconds=0),
    "halted": Halted(HaltReason.TOKEN, ERROR),
}


class House:
    """Metrics on a registry of their own, and how to look at them."""

    def __init__(self, *destinations: PixelId) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(registry=self.registry, version="1.2.3", graph_version="v26.0")
        self.metrics.configured(destinations)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"conversions_{name}", labels)

    def series(self) -> set[str]:
        """Every series, as exposed."""
        text = generate_latest(self.registry).decode()
        return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def prepared(
    *,
    destination: PixelId = ONE,
    event_name: str = "Lead",
    match_keys: tuple[str, ...] = (),
    dropped: tuple[Dropped, ...] = (),
    warnings: tuple[str, ...] = (),
    test_code: str | None = None,
) -> Prepared:
    return Prepared(
        record=RECORD,
        destination=destination,
        test_code=test_code,
        event_name=event_name,
        event_id="e",
        event_time_ms=0,
        body=b"{}",
        due_at_ms=0,
        expires_at_ms=0,
        aged=False,
        match_keys=match_keys,
        dropped=dropped,
        warnings=warnings,
    )


def dead(destination: PixelId | None, event_name: str | None, reason: Reason) -> Rejected:
    return Rejected(
        record=RECORD, reason=reason, detail="", destination=destination, event_name=event_name
    )


# --- what is there from the start ---------------------------------------------------------------


def test_counters_of_configured_destinations_stand_at_zero() -> None:
    house = House(ONE, TWO)

    for destination, outcome in product((ONE, TWO), Outcome):
        labels = {"event_name": "Purchase", "outcome": outcome.value}
        assert house.value("events_total", destination=destination, **labels) == 0
    for destination, name in product((ONE, TWO), (*STANDARD_EVENT_NAMES, "custom")):
        labels = {"event_name": name, "outcome": "accepted"}
        assert house.value("events_total", destination=destination, **labels) == 0
    for destination, verdict in product((ONE, TWO), VERDICTS):
        assert house.value("requests_total", destination=destination, outcome=verdict) == 0
        assert house.value("request_seconds_count", destination=destination) == 0
        assert house.value("test_events_total", destination=destination) == 0
    for label, reason in product((str(ONE), str(TWO), "other"), Reason):
        assert house.value("dead_letters_total", destination=label, reason=reason.value) == 0


def test_counters_without_a_destination_stand_at_zero() -> None:
    house = House()

    closed: dict[str, tuple[str, list[str]]] = {
        "retries_total": ("cause", [each.value for each in RetryCause]),
        "windows_closed_total": ("closed_by", [each.value for each in Closing]),
        "paused_partitions": ("cause", [each.value for each in PauseCause]),
        "kafka_rebalances_total": ("kind", ["assigned", "revoked", "lost"]),
        "kafka_errors_total": ("kind", ["unreachable", "other"]),
        "dead_letter_failures_total": ("writing", ["too_large", "failed"]),
        "event_warnings_total": (
            "warning",
            ["missing_user_agent", "missing_source_url", "event_name_near_miss"],
        ),
    }
    for name, (label, values) in closed.items():
        for each in values:
            assert house.value(name, **{label: each}) == 0
    for name in (
        "records_read_total",
        "kafka_commit_failures_total",
        "kafka_offset_resets_total",
        "kafka_records_lost_total",
        "schema_fetch_failures_total",
        "internal_errors_total",
        "batch_events_count",
    ):
        assert house.value(name) == 0


def test_a_gauge_exists_only_once_its_value_is_known_and_goes_with_it() -> None:
    house = House(ONE)
    names = ("kafka_lag_records", "destination_state", "poll_loop_timestamp_seconds")
    assert not [line for line in house.series() if any(name in line for name in names)]

    first, second = TopicPartition("events", 0), TopicPartition("events", 1)
    house.metrics.lag({first: 5, second: 0})
    house.metrics.destination_states({ONE: ("halted", "token")})
    house.metrics.poll_loop.set({(): 1.5})
    assert house.value("kafka_lag_records", topic="events", partition="1") == 0
    state = {"destination": ONE, "reason": "token"}
    assert house.value("destination_state", state="halted", **state) == 1
    assert house.value("poll_loop_timestamp_seconds") == 1.5

    house.metrics.lag({first: 3})
    house.metrics.destination_states({ONE: ("open", "")})
    assert house.value("kafka_lag_records", topic="events", partition="0") == 3
    assert house.value("kafka_lag_records", topic="events", partition="1") is None
    assert house.value("destination_state", state="halted", **state) is None
    assert house.value("destination_state", destination=ONE, state="open", reason="") == 1


@pytest.mark.parametrize(
    ("version", "seconds"), [("v25.0", 1848441600.0), ("v26.0", None), ("v99.0", None)]
)
def test_the_end_of_the_graph_version_is_there_only_when_it_is_known(
    version: str, seconds: float | None
) -> None:
    registry = CollectorRegistry()
    Metrics(registry=registry, version="1.2.3", graph_version=version)

    name = "conversions_graph_version_expiry_timestamp_seconds"
    assert registry.get_sample_value(name) == seconds


def test_the_build_names_every_version_that_matters() -> None:
    labels = {
        "version": "1.2.3",
        "python": platform.python_version(),
        "librdkafka": confluent_kafka.libversion()[0],
        "graph_version": "v26.0",
    }

    assert House().value("build_info", **labels) == 1


def test_what_is_used_of_metas_limits_is_there_only_while_it_is_known() -> None:
    house = House(ONE)
    assert house.value("meta_usage_ratio", destination=ONE, kind="app") is None

    house.metrics.meta_usage({(ONE, UsageKind.APP): 0.8, (STRANGER, UsageKind.APP): 0.7})

    assert house.value("meta_usage_ratio", destination=ONE, kind="app") == 0.8
    assert not any(STRANGER in series for series in house.series())
    house.metrics.meta_usage({})
    assert house.value("meta_usage_ratio", destination=ONE, kind="app") is None


def test_names_follow_the_rules_and_every_metric_is_explained() -> None:
    house = House(ONE)
    families = list(text_string_to_metric_families(generate_latest(house.registry).decode()))

    assert len(families) > 25
    for family in families:
        assert re.fullmatch("conversions_[a-z_]+", family.name)
        assert len(family.documentation) > 10
        assert not family.name.endswith(("_ms", "_created", "_age_seconds"))
        # Shares of our own counts are recording rules; what Meta tells as one is no count of ours.
        assert not family.name.endswith("_ratio") or "_meta_" in family.name
        assert family.type != "unknown"


def test_both_expositions_can_be_read() -> None:
    house = House(ONE)

    assert openmetrics(house.registry).endswith(b"# EOF\n")  # type: ignore[no-untyped-call]
    assert b"_created" not in generate_latest(house.registry)


def test_two_sets_of_metrics_do_not_meet() -> None:
    first, second = House(ONE), House(ONE)

    first.metrics.records_read.inc()

    assert (first.value("records_read_total"), second.value("records_read_total")) == (1, 0)


# --- what is counted ----------------------------------------------------------------------------


def test_a_fate_is_counted_by_destination_name_and_outcome() -> None:
    house = House(ONE, TWO)
    event = prepared(event_name="Lead", match_keys=("em", "ph"))

    house.metrics.delivered([Delivered(event, "A1"), Delivered(event, "A1")])
    house.metrics.delivered(
        [Delivered(prepared(destination=TWO, event_name="Purchase", match_keys=("em",)), None)]
    )
    house.metrics.dead_lettered([dead(ONE, "Lead", Reason.EXPIRED)])
    house.metrics.suppressed(Suppressed(event.record, TWO, "Lead"))

    def fate(destination: PixelId, name: str, outcome: str) -> float | None:
        return house.value(
            "events_total", destination=destination, event_name=name, outcome=outcome
        )

    assert fate(ONE, "Lead", "accepted") == 2
    assert fate(TWO, "Purchase", "accepted") == 1
    assert fate(ONE, "Lead", "dead_lettered") == 1
    assert fate(TWO, "Lead", "suppressed") == 1
    assert house.value("dead_letters_total", destination=ONE, reason="expired") == 1
    assert house.value("match_key_events_total", destination=ONE, match_key="em") == 2
    assert house.value("match_key_events_total", destination=ONE, match_key="ph") == 2
    assert house.value("match_key_events_total", destination=TWO, match_key="em") == 1


@pytest.mark.parametrize("outcome", VERDICTS)
def test_each_verdict_is_counted_under_its_name(outcome: str) -> None:
    house = House(ONE)

    house.metrics.answered(ONE, VERDICTS[outcome], 0.3)

    counts = {
        each: house.value("requests_total", destination=ONE, outcome=each) for each in VERDICTS
    }
    assert counts == {each: float(each == outcome) for each in VERDICTS}
    assert house.value("request_seconds_sum", destination=ONE) == 0.3
    assert house.value("retries_total", cause="timeout") == float(outcome == "retry")


@pytest.mark.parametrize("closing", Closing)
def test_a_window_is_counted_by_what_closed_it_and_by_its_size(closing: Closing) -> None:
    house = House(ONE)
    key = WindowKey(ONE, None, False, None)

    house.metrics.window_closed(Batch(key, "b1", (prepared(), prepared()), closing, 0.0))

    assert house.value("windows_closed_total", closed_by=closing.value) == 1
    assert house.value("batch_events_sum") == 2


def test_what_an_event_lacks_is_counted() -> None:
    house = House(ONE)
    event = prepared(
        dropped=(Dropped("phone", DropReason.MALFORMED),), warnings=("missing_source_url",)
    )

    house.metrics.prepared(event)
    house.metrics.prepared(prepared())
    house.metrics.dead_letter_failed("too_large")
    house.metrics.dead_letters(waiting=3, failing="_MSG_TIMED_OUT", failing_since_ms=1_500)
    since = "dead_letters_failing_since_timestamp_seconds"
    assert house.value(since, trouble="unanswered") == 1.5
    assert house.value("dead_letters_waiting") == 3
    house.metrics.dead_letters(waiting=0, failing=None, failing_since_ms=None)
    assert house.value(since, trouble="unanswered") is None

    assert house.value("dropped_fields_total", field="phone", reason="malformed") == 1
    assert house.value("event_warnings_total", warning="missing_source_url") == 1
    assert house.value("dead_letter_failures_total", writing="too_large") == 1


def test_how_full_the_house_is_replaces_what_was_before() -> None:
    house = House(ONE)
    first, second = TopicPartition("events", 0), TopicPartition("events", 1)

    def flow(paused: dict[TopicPartition, PauseCause]) -> None:
        house.metrics.flow(records=3, size_bytes=900, requests=2, assigned=4, paused=paused)

    flow({first: PauseCause.SCHEMA, second: PauseCause.SCHEMA})
    assert house.value("paused_partitions", cause="schema") == 2
    flow({first: PauseCause.DESTINATION})

    assert house.value("paused_partitions", cause="schema") == 0
    assert house.value("paused_partitions", cause="destination") == 1
    assert house.value("in_flight_records") == 3
    assert house.value("in_flight_bytes") == 900
    assert house.value("requests_in_flight") == 2
    assert house.value("kafka_assigned_partitions") == 4


def test_dead_letters_are_counted_in_one_go_each_with_its_own() -> None:
    house = House(ONE, TWO)
    expired = dead(ONE, "Lead", Reason.EXPIRED)

    house.metrics.dead_lettered(
        [expired, dead(ONE, "Lead", Reason.NOT_RECEIVED), dead(TWO, "Lead", Reason.EXPIRED)]
    )
    house.metrics.dead_lettered([expired, expired])

    def count(destination: PixelId, reason: str) -> float | None:
        return house.value("dead_letters_total", destination=destination, reason=reason)

    assert (count(ONE, "expired"), count(ONE, "not_received"), count(TWO, "expired")) == (3, 1, 1)
    labels = {"event_name": "Lead", "outcome": "dead_lettered"}
    assert house.value("events_total", destination=ONE, **labels) == 4
    assert house.value("events_total", destination=TWO, **labels) == 1


# --- labels are closed sets ---------------------------------------------------------------------


def test_a_name_of_the_publishers_own_is_custom_and_a_stranger_is_other() -> None:
    house = House(ONE)

    house.metrics.delivered([Delivered(prepared(event_name="jane.canary@example.com"), None)])
    stranger = dead(STRANGER, "jane.canary@example.com", Reason.UNKNOWN_DESTINATION)
    house.metrics.dead_lettered([stranger, dead(None, None, Reason.UNDECODABLE)])
    house.metrics.answered(STRANGER, VERDICTS["accepted"], 0.1)

    assert "canary" not in generate_latest(house.registry).decode()
    assert (
        house.value("events_total", destination=ONE, event_name="custom", outcome="accepted") == 1
    )
    labels = {"event_name": "custom", "outcome": "dead_lettered"}
    assert house.value("events_total", destination="other", **labels) == 2
    assert house.value("dead_letters_total", destination="other", reason="undecodable") == 1
    assert house.value("requests_total", destination="other", outcome="accepted") == 1


def test_ten_destinations_stay_below_three_thousand_series() -> None:
    destinations = [PixelId(str(number)) for number in range(10)]
    house = House(*destinations)
    keys = tuple(f"key_{number}" for number in range(24))
    for destination, name in product(destinations, (*STANDARD_EVENT_NAMES, "my own")):
        house.metrics.delivered(
            [Delivered(prepared(destination=destination, event_name=name, match_keys=keys), None)]
        )
        house.metrics.dead_lettered([dead(destination, name, Reason.EXPIRED)])
    house.metrics.lag({TopicPartition("events", number): 1 for number in range(50)})
    known = ("email", "phone", "external_id", "ip_address", "user_agent", "fbc", "fbp", "city")
    feedback = [{"identifier": key, "coverage": {"percentage": 1}} for key in (*known, *keys)]
    quality = {"composite_score": 5, "match_key_feedback": feedback}
    web = [
        {"event_name": name, "event_match_quality": quality}
        for name in (*STANDARD_EVENT_NAMES, "one", "two")
    ]
    answer = {"web": web}
    house.metrics.quality(
        event for destination in destinations for event in read_quality(destination, answer) or ()
    )

    assert len(house.series()) <= 3000


def test_the_standard_names_are_metas_and_each_once() -> None:
    assert len(set(STANDARD_EVENT_NAMES)) == len(STANDARD_EVENT_NAMES)
    # The thirteen that publishers are promised.
    assert set(STANDARD_EVENT_NAMES) > {
        "AddToCart",
        "CompleteRegistration",
        "Contact",
        "InitiateCheckout",
        "Lead",
        "PageView",
        "Purchase",
        "Schedule",
        "Search",
        "StartTrial",
        "SubmitApplication",
        "Subscribe",
        "ViewContent",
    }


def test_accepted_events_with_a_test_code_are_counted_apart() -> None:
    house = House(ONE, TWO)
    marked, live = prepared(test_code="TEST1"), prepared()

    house.metrics.delivered([Delivered(each, None) for each in (marked, live, marked)])

    assert house.value("test_events_total", destination=ONE) == 2
    assert house.value("test_events_total", destination=TWO) == 0

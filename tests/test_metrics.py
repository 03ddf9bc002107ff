"""Metrics: declared once, at zero from the start, labels from closed sets, nobody's data."""

import platform
import random
import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import confluent_kafka
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from consumer.event_names import NEAR_MISS, STANDARD_EVENT_NAMES
from consumer.metric_contract import WARNINGS, Outcome, metric_named
from consumer.metric_labels import code_labels
from consumer.metric_series import TalliedHistogram
from consumer.metrics import Metrics
from consumer.model import (
    Accepted,
    Amount,
    Batch,
    Closing,
    Dropped,
    DropReason,
    Halted,
    HaltReason,
    MetaError,
    PauseCause,
    PixelId,
    Reason,
    Refused,
    Request,
    RetryCause,
    Suppressed,
    Times,
    TopicPartition,
    WindowKey,
)
from consumer.requirements import website_gaps
from consumer.usage import UsageKind
from tests.metric_house import (
    CLASSES,
    ONE,
    STATUSES,
    STRANGER,
    TWO,
    VERDICTS,
    House,
    dead,
    fill,
    prepared,
)

# --- what is there from the start ---------------------------------------------------------------


METRICS_PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"


def test_counters_of_configured_destinations_stand_at_zero() -> None:
    house = House(ONE, TWO)

    for destination, outcome in product((ONE, TWO), Outcome):
        labels = {"event_name": "Purchase", "outcome": outcome.value}
        assert house.value("events_total", destination=destination, **labels) == 0
    for destination, name in product((ONE, TWO), (*STANDARD_EVENT_NAMES, "custom")):
        labels = {"event_name": name, "outcome": "accepted"}
        assert house.value("events_total", destination=destination, **labels) == 0
    for destination, verdict in product((ONE, TWO), VERDICTS):
        labels = {"outcome": verdict, "code_class": CLASSES[verdict]}
        assert house.value("requests_total", destination=destination, **labels) == 0
        assert house.value("request_seconds_count", destination=destination) == 0
        assert house.value("event_delivery_seconds_count", destination=destination) == 0
        assert house.value("isolation_requests_total", destination=destination) == 0
        assert house.value("events_resent_late_total", destination=destination) == 0
        assert house.value("test_events_total", destination=destination) == 0
    for label, reason in product((str(ONE), str(TWO), "other"), Reason):
        assert house.value("dead_letters_total", destination=label, reason=reason.value) == 0


def test_counters_without_a_destination_stand_at_zero() -> None:
    house = House()

    closed: dict[str, tuple[str, list[str]]] = {
        "retries_total": ("cause", [each.value for each in RetryCause]),
        "meta_errors_total": (
            "code",
            ["100", "190", "200-299", "80000-80014", "negative", "other"],
        ),
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
        "event_age_seconds_count",
        "replayed_records_read_total",
        "uncommitted_records",
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
    house.metrics.destination_states({ONE: ("ready", "")})
    assert house.value("kafka_lag_records", topic="events", partition="0") == 3
    assert house.value("kafka_lag_records", topic="events", partition="1") is None
    assert house.value("destination_state", state="halted", **state) is None
    assert house.value("destination_state", destination=ONE, state="ready", reason="") == 1


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
        "graph_version": "v25.0",
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
        assert not family.name.endswith(("_ms", "_created"))
        # A gauge of an age stands still when nobody sets it.
        assert family.type == "histogram" or not family.name.endswith("_age_seconds")
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

    house.delivered(event, event)
    house.delivered(prepared(destination=TWO, event_name="Purchase", match_keys=("em",)))
    house.metrics.events.dead_lettered([dead(ONE, "Lead", Reason.EXPIRED)])
    house.metrics.events.suppressed(Suppressed(event.record, TWO, "Lead"))

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

    house.metrics.requests.answered(ONE, VERDICTS[outcome], seconds=0.3, status=STATUSES[outcome])

    counts = {
        each: house.value("requests_total", destination=ONE, outcome=each, code_class=CLASSES[each])
        for each in VERDICTS
    }
    assert counts == {each: float(each == outcome) for each in VERDICTS}
    assert house.value("request_seconds_sum", destination=ONE) == 0.3
    assert house.value("retries_total", cause="timeout") == float(outcome == "retry")


@pytest.mark.parametrize("closing", Closing)
def test_a_window_is_counted_by_what_closed_it_and_by_its_size(closing: Closing) -> None:
    house = House(ONE)
    key = WindowKey(ONE, None, False, None)

    batch = Batch(key, "b1", (prepared(), prepared()), closing, 0.0)
    house.metrics.requests.window_closed(batch)

    assert house.value("windows_closed_total", closed_by=closing.value) == 1
    assert house.value("batch_events_sum") == 2


def test_what_an_event_lacks_is_counted() -> None:
    house = House(ONE)
    event = prepared(
        dropped=(Dropped("phone", DropReason.MALFORMED),), warnings=("missing_source_url",)
    )

    house.metrics.events.prepared(event)
    house.metrics.events.prepared(prepared())
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
        house.metrics.flow(
            records=3, size_bytes=900, requests=2, uncommitted=7, assigned=4, paused=paused
        )

    flow({first: PauseCause.SCHEMA, second: PauseCause.SCHEMA})
    assert house.value("paused_partitions", cause="schema") == 2
    flow({first: PauseCause.DESTINATION})

    assert house.value("paused_partitions", cause="schema") == 0
    assert house.value("paused_partitions", cause="destination") == 1
    assert house.value("in_flight_records") == 3
    assert house.value("in_flight_bytes") == 900
    assert house.value("requests_in_flight") == 2
    assert house.value("uncommitted_records") == 7
    assert house.value("kafka_assigned_partitions") == 4


def test_dead_letters_are_counted_in_one_go_each_with_its_own() -> None:
    house = House(ONE, TWO)
    expired = dead(ONE, "Lead", Reason.EXPIRED)

    house.metrics.events.dead_lettered(
        [expired, dead(ONE, "Lead", Reason.NOT_RECEIVED), dead(TWO, "Lead", Reason.EXPIRED)]
    )
    house.metrics.events.dead_lettered([expired, expired])

    def count(destination: PixelId, reason: str) -> float | None:
        return house.value("dead_letters_total", destination=destination, reason=reason)

    assert (count(ONE, "expired"), count(ONE, "not_received"), count(TWO, "expired")) == (3, 1, 1)
    labels = {"event_name": "Lead", "outcome": "dead_lettered"}
    assert house.value("events_total", destination=ONE, **labels) == 4
    assert house.value("events_total", destination=TWO, **labels) == 1


# --- labels are closed sets ---------------------------------------------------------------------


def test_a_name_of_the_publishers_own_is_custom_and_a_stranger_is_other() -> None:
    house = House(ONE)

    house.delivered(prepared(event_name="jane.canary@example.com"))
    stranger = dead(STRANGER, "jane.canary@example.com", Reason.UNKNOWN_DESTINATION)
    house.metrics.events.dead_lettered([stranger, dead(None, None, Reason.UNDECODABLE)])
    house.metrics.requests.answered(STRANGER, VERDICTS["accepted"], seconds=0.1, status=200)

    assert "canary" not in generate_latest(house.registry).decode()
    assert (
        house.value("events_total", destination=ONE, event_name="custom", outcome="accepted") == 1
    )
    labels = {"event_name": "custom", "outcome": "dead_lettered"}
    assert house.value("events_total", destination="other", **labels) == 2
    assert house.value("dead_letters_total", destination="other", reason="undecodable") == 1
    assert (
        house.value("requests_total", destination="other", outcome="accepted", code_class="2xx")
        == 1
    )


def test_ten_destinations_stay_below_three_thousand_series_and_the_page_says_how_many() -> None:
    destinations = [PixelId(str(number)) for number in range(10)]
    house = House(*destinations)
    chance = random.Random(8)

    fill(house, destinations, chance)
    series = house.series()

    assert len(series) <= 3000
    assert not [each for each in series if "canary" in each]
    told = re.search(r"at most\sabout ([\d,]+) after", METRICS_PAGE.read_text(encoding="utf-8"))
    assert told is not None
    assert int(told[1].replace(",", "")) == -(-len(series) // 100) * 100
    fill(house, destinations, chance)
    assert house.series() == series, "there are no more of them to come"


def test_what_the_values_of_ten_currencies_add_is_what_the_page_says() -> None:
    destinations = [PixelId(str(number)) for number in range(10)]
    currencies = tuple(f"{letter}XX" for letter in "ABCDEFGHIJ")
    house = House(*destinations, currencies=currencies)

    for currency in (*currencies, "EUR", "jane.canary"):
        for destination, name, value in product(destinations, ("Lead", "canary"), (5.0, -1.0)):
            event = prepared(destination=destination, event_name=name)
            house.delivered(event._replace(amount=Amount(value, currency)))

    assert not [each for each in house.series() if "canary" in each]
    added = sum("conversions_value_" in each for each in house.series())
    told = re.search(r"adds ([\d,]+)\sseries", METRICS_PAGE.read_text(encoding="utf-8"))
    assert told is not None
    assert int(told[1].replace(",", "")) == added


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

    house.delivered(marked, marked)
    house.delivered(live)

    assert house.value("test_events_total", destination=ONE) == 2
    assert house.value("test_events_total", destination=TWO) == 0


# --- deliveries, requests and what waits --------------------------------------------------------


def test_delivery_and_age_are_tallied_into_their_buckets() -> None:
    house = House(ONE)
    event = prepared()

    house.delivered(event, event, waited=0.5, now_ms=3_600_000)
    house.delivered(event, waited=4000.0, now_ms=-5)

    def delivered_within(bound: str) -> float | None:
        return house.value("event_delivery_seconds_bucket", destination=ONE, le=bound)

    assert [delivered_within(le) for le in ("0.1", "0.5", "3600.0", "+Inf")] == [0, 2, 2, 3]
    assert house.value("event_delivery_seconds_sum", destination=ONE) == 4001
    assert house.value("event_delivery_seconds_count", destination=ONE) == 3
    ages = [house.value("event_age_seconds_bucket", le=le) for le in ("1.0", "900.0", "3600.0")]
    assert ages == [1, 1, 3], "a time in the future is no age below zero"
    assert house.value("event_age_seconds_sum") == 7200


def test_nothing_delivered_counts_nothing() -> None:
    house = House(ONE)

    house.delivered()

    assert house.value("event_age_seconds_count") == 0


@given(st.lists(st.lists(st.floats(0, 1e6), max_size=30), max_size=5))
def test_a_tallied_histogram_is_what_the_clients_own_would_be(batches: list[list[float]]) -> None:
    metric = metric_named("conversions_event_age_seconds")
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tallied = TalliedHistogram(metric, ours)
    plain = Histogram(metric.name, metric.help, buckets=metric.buckets, registry=theirs)

    for batch in batches:
        tallied.add(batch)
        for value in batch:
            plain.observe(value)

    def samples(registry: CollectorRegistry) -> list[str]:
        lines = generate_latest(registry).decode().splitlines()
        return sorted(line for line in lines if "_sum" not in line and "_created" not in line)

    assert samples(ours) == samples(theirs)
    name = f"{metric.name}_sum"
    assert ours.get_sample_value(name) == pytest.approx(theirs.get_sample_value(name))


def test_what_answers_carry_a_trace_id_for_is_shown_on_openmetrics_alone() -> None:
    house = House(ONE)
    error = MetaError(http_status=400, code=100, trace_id="Refused-1_a")
    letter = replace(dead(ONE, "Lead", Reason.REFUSED_BY_META), error=error)

    house.delivered(prepared(), waited=2.0, now_ms=7000, trace_id="Accepted-1")
    house.metrics.requests.answered(ONE, Refused(error), seconds=0.3, status=400)
    house.metrics.requests.answered(ONE, Accepted(trace_id="Accepted-1"), seconds=3.0, status=200)
    house.metrics.events.dead_lettered([letter])

    shown = [line for line in house.openmetrics().splitlines() if " # {" in line]
    found = {
        (line.partition("{")[0], line.partition(' # {fbtrace_id="')[2].partition('"')[0])
        for line in shown
    }
    assert found == {
        ("conversions_event_delivery_seconds_bucket", "Accepted-1"),
        ("conversions_event_age_seconds_bucket", "Accepted-1"),
        ("conversions_request_seconds_bucket", "Refused-1_a"),
        ("conversions_request_seconds_bucket", "Accepted-1"),
        ("conversions_dead_letters_total", "Refused-1_a"),
    }
    delivery = next(line for line in shown if "delivery" in line)
    assert 'le="2.5"' in delivery
    assert "} 2.0 " in delivery
    assert "fbtrace_id" not in generate_latest(house.registry).decode()


@pytest.mark.parametrize("trace_id", ["", "a" * 65, "jane@example.com", 'a"b', "a b", "ä", None])
def test_what_is_no_trace_id_is_no_exemplar(trace_id: str | None) -> None:
    house = House(ONE)

    house.delivered(prepared(), trace_id=trace_id)

    assert " # {" not in house.openmetrics()
    assert house.value("event_age_seconds_count") == 1


@pytest.mark.parametrize(
    ("code", "label"),
    [
        (100, "100"),
        (190, "190"),
        (200, "200-299"),
        (299, "200-299"),
        (300, "other"),
        (80004, "80000-80014"),
        (-3, "negative"),
        (424242, "other"),
    ],
)
def test_an_error_of_metas_is_counted_by_its_code(code: int, label: str) -> None:
    house = House(ONE)

    halted = Halted(HaltReason.UNKNOWN_ERROR, MetaError(http_status=400, code=code))
    house.metrics.requests.answered(ONE, halted, seconds=0.1, status=400)
    house.metrics.requests.answered(ONE, VERDICTS["retry"], seconds=0.1, status=None)

    found = {each for each in code_labels() if house.value("meta_errors_total", code=each)}
    assert found == {label}


@pytest.mark.parametrize(
    ("status", "label"),
    [
        (200, "2xx"),
        (302, "3xx"),
        (400, "4xx"),
        (499, "4xx"),
        (503, "5xx"),
        (999, "5xx"),
        (None, "none"),
    ],
)
def test_a_request_is_counted_by_the_class_of_its_status(status: int | None, label: str) -> None:
    house = House(ONE)

    house.metrics.requests.answered(ONE, VERDICTS["halted"], seconds=0.1, status=status)

    counts = {"destination": ONE, "outcome": "halted", "code_class": label}
    assert house.value("requests_total", **counts) == 1


def test_what_is_sent_again_later_than_meta_remembers_is_counted() -> None:
    house = House(ONE)
    events = (prepared(), prepared(), prepared())
    request = Request("r", WindowKey(ONE, None, False, None), "b", events, False)
    again = replace(request, maybe_delivered=2, first_sent_at_ms=1000)

    house.metrics.requests.submitted(request, 10**12)
    house.metrics.requests.submitted(again, 1000 + 48 * 3_600_000)
    assert house.value("events_resent_late_total", destination=ONE) == 0
    house.metrics.requests.submitted(again, 1001 + 48 * 3_600_000)

    assert house.value("events_resent_late_total", destination=ONE) == 2
    assert house.value("isolation_requests_total", destination=ONE) == 0
    house.metrics.requests.submitted(replace(request, isolating=True), 0)
    assert house.value("isolation_requests_total", destination=ONE) == 1


def test_what_waits_for_nobody_has_no_oldest_event() -> None:
    house = House(ONE, TWO)

    house.metrics.pending({ONE: 3, STRANGER: 1}, {ONE: Times(1500, 9000), STRANGER: Times(1, 2)})

    assert house.value("pending_events", destination=ONE) == 3
    assert house.value("pending_events", destination=TWO) == 0
    oldest = "oldest_pending_event_timestamp_seconds"
    assert house.value(oldest, destination=ONE) == 1.5
    assert house.value(oldest, destination=TWO) is None
    expiry = "earliest_pending_expiry_timestamp_seconds"
    assert house.value(expiry, destination=ONE) == 9
    assert house.value(expiry, destination=TWO) is None
    assert not any(STRANGER in series for series in house.series())


def test_a_destination_that_is_gone_keeps_its_counts_and_loses_its_gauges() -> None:
    house = House(ONE, TWO)
    house.delivered(prepared(destination=TWO))

    house.metrics.configured([ONE])
    house.metrics.pending({ONE: 1, TWO: 1}, {ONE: Times(1, 2), TWO: Times(1, 2)})
    house.metrics.destination_states({TWO: ("halted", "token")})
    house.metrics.meta_usage({(TWO, UsageKind.APP): 0.5})

    labels = {"event_name": "Lead", "outcome": "accepted"}
    assert house.value("events_total", destination=TWO, **labels) == 1
    gauges = ("pending_event", "destination_state", "meta_usage")
    left = [each for each in house.series() if any(name in each for name in gauges)]
    assert len(left) == 3
    assert not any(f'destination="{TWO}"' in each for each in left)


def test_limits_and_the_topics_partitions_appear_once_they_are_known() -> None:
    house = House()
    names = ("in_flight_records_limit", "in_flight_bytes_limit")
    assert [house.value(name) for name in names] == [None, None]
    assert house.value("kafka_topic_partitions", topic="events") is None

    house.metrics.limits(records=5, size_bytes=7)
    house.metrics.topic("events", 12)

    assert [house.value(name) for name in names] == [5, 7]
    assert house.value("kafka_topic_partitions", topic="events") == 12


def test_whatever_an_event_may_lack_is_declared() -> None:
    gaps = website_gaps({"action_source": "website", "user_data": {}}, strict=False)

    assert {*gaps, NEAR_MISS} == set(WARNINGS)


def test_a_field_that_the_schema_does_not_have_is_other() -> None:
    house = House(ONE)
    fields = ("email", "attribution.visitTime", "items.price", "canary@example.com")

    house.metrics.events.prepared(
        prepared(dropped=tuple(Dropped(each, DropReason.MALFORMED) for each in fields))
    )

    def dropped(field: str) -> float | None:
        return house.value("dropped_fields_total", field=field, reason="malformed")

    assert [dropped(each) for each in (*fields[:3], "other")] == [1, 1, 1, 1]

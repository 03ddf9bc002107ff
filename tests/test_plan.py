"""The arithmetic of a plan: what it promises for any load, and what it answers for some."""

from math import ceil, isclose

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer import inflow
from consumer.cli_plan import rules_from
from consumer.measured_figures import EVENT_FEW, EVENT_MANY, FEW_KEYS, MANY_KEYS, between
from consumer.plan import PARTITIONS_EACH, Bound, Plan, lag_threshold, plan, usual_lag
from consumer.plan_lines import READ_SECONDS, READ_SECONDS_WHILE_SENDING, From, plan_lines
from consumer.plan_warnings import warnings
from consumer.planned_load import Asked, Costs, Rules, costs_for
from consumer.settings import load_settings

ANY_LOAD = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
RULES = rules_from(load_settings({}))
COSTS = Costs(
    event=100e-6, request=500e-6, dead_letter=200e-6, record_bytes=500.0, body_bytes=1000.0
)
ASKED = Asked(
    events_per_second=10_000,
    match_keys=11,
    event_bytes=None,
    destinations=1,
    hottest_share=1.0,
    dead_letter_share=0.0,
    latency_ms=(600.0, 1500.0),
    headroom=0.3,
    zones=1,
    partitions=None,
    outage_minutes=60.0,
    delay_seconds=10.0,
)


def planned(asked: Asked, costs: Costs = COSTS, rules: Rules = RULES) -> Plan:
    return plan(asked, costs, rules)


@st.composite
def loads(draw: st.DrawFn) -> Asked:
    destinations = draw(st.integers(1, 2000))
    return Asked(
        events_per_second=draw(st.floats(0.01, 200_000)),
        match_keys=draw(st.integers(0, 20)),
        event_bytes=draw(st.one_of(st.none(), st.floats(100, 50_000))),
        destinations=destinations,
        hottest_share=draw(st.floats(1 / destinations, 1)),
        dead_letter_share=draw(st.floats(0, 1)),
        latency_ms=(draw(st.floats(1, 1000)), draw(st.floats(1000, 10_000))),
        headroom=draw(st.floats(0, 0.9)),
        zones=draw(st.integers(1, 5)),
        partitions=draw(st.one_of(st.none(), st.integers(1, 500))),
        outage_minutes=draw(st.floats(0, 600)),
        delay_seconds=draw(st.floats(1, 600)),
    )


def own_costs(asked: Asked) -> Costs:
    return costs_for(asked, cpu_event=None, cpu_request=None, read_records=RULES.read_records)


# --- for any load


@ANY_LOAD
@given(loads())
def test_members_are_never_more_than_partitions_and_never_fewer_than_needed(asked: Asked) -> None:
    found = planned(asked, own_costs(asked))

    assert 1 <= found.replicas <= found.partitions
    if found.needed is not None:
        assert found.needed <= found.replicas
    if asked.partitions is not None:
        assert found.partitions == asked.partitions


@ANY_LOAD
@given(loads())
def test_the_fullest_member_keeps_to_every_bound_and_keeps_its_headroom(asked: Asked) -> None:
    found = planned(asked, own_costs(asked))

    if found.holds:
        assert max(found.fullest.used.values()) <= 1
        assert found.fullest.used[Bound.CPU] <= 1 - asked.headroom + 1e-9
    else:
        over = max(found.fullest.used.values()) > 1
        assert over or found.fullest.used[Bound.CPU] > 1 - asked.headroom - 1e-9


@ANY_LOAD
@given(loads())
def test_one_member_fewer_would_not_do(asked: Asked) -> None:
    found = planned(asked._replace(zones=1), own_costs(asked))

    if found.needed is not None and found.needed > 1:
        fullest = ceil(found.partitions / (found.needed - 1)) / found.partitions
        alone = planned(
            asked._replace(
                events_per_second=asked.events_per_second * fullest, partitions=1, zones=1
            ),
            own_costs(asked),
        )
        assert not alone.holds


@ANY_LOAD
@given(loads(), st.floats(1, 10))
def test_more_events_never_need_fewer_members(asked: Asked, times: float) -> None:
    more = asked._replace(events_per_second=asked.events_per_second * times)
    few, many = (planned(each, own_costs(each)) for each in (asked, more))

    if few.holds and many.holds:
        assert (few.needed or 0) <= (many.needed or 0)
        assert few.replicas <= many.replicas
        assert few.partitions <= many.partitions
    assert few.group_requests <= many.group_requests * (1 + 1e-9) or few.replicas != many.replicas
    if asked.partitions is not None and many.holds:
        assert few.holds


@ANY_LOAD
@given(loads())
def test_a_member_at_its_most_is_at_a_bound_and_not_beyond_it(asked: Asked) -> None:
    most = planned(asked, own_costs(asked)).capacity

    assert isclose(max(most.used.values()), 1, rel_tol=1e-6)
    assert most.used[most.tightest] == max(most.used.values())


@ANY_LOAD
@given(loads())
def test_enough_members_are_left_when_a_zone_is_gone(asked: Asked) -> None:
    found = planned(asked, own_costs(asked))

    if found.survives and asked.zones > 1:
        left = found.replicas - ceil(found.replicas / asked.zones)
        assert left >= 1
        fraction = ceil(found.partitions / left) / found.partitions
        assert found.capacity.events_per_second >= asked.events_per_second * fraction * (1 - 1e-6)


@ANY_LOAD
@given(loads())
def test_proposed_partitions_carry_the_load_and_leave_room_to_grow(asked: Asked) -> None:
    found = planned(asked._replace(partitions=None), own_costs(asked))

    if found.partitions_needed is not None:
        assert found.holds
        assert found.survives
        assert found.partitions == found.partitions_needed
        assert found.partitions >= PARTITIONS_EACH * found.replicas


@ANY_LOAD
@given(loads())
def test_every_line_says_where_it_comes_from(asked: Asked) -> None:
    costs = own_costs(asked)
    found = planned(asked, costs)
    lines = plan_lines(asked, costs, RULES, found)

    assert all(line.sources and line.says for line in lines)
    assert len({line.name for line in lines}) == len(lines)
    assert all(sentence.endswith(".") for sentence in warnings(asked, RULES, found))


# --- for some


def test_full_requests_and_little_s_law() -> None:
    found = planned(ASKED._replace(partitions=10))

    # 10,000 events × 100 µs and 10 requests × 500 µs are 1.005 cores: two members with 0.7 each.
    assert (found.needed, found.replicas) == (2, 2)
    assert isclose(found.fullest.used[Bound.CPU], 0.5025)
    assert isclose(found.group_requests, 10)
    assert isclose(found.fullest.batch_events, 1000)
    assert isclose(
        found.fullest.used[Bound.REQUESTS_PER_DESTINATION],
        5 * 1.05 / RULES.requests_per_destination,
    )


def test_windows_that_do_not_fill_carry_what_comes_in_their_time() -> None:
    found = planned(
        ASKED._replace(events_per_second=1000, destinations=100, hottest_share=0.01, partitions=12)
    )

    # Ten events a second for each, of one member: eleven in a window of a second.
    assert found.replicas == 1
    assert isclose(found.fullest.batch_events, 11)
    assert isclose(found.group_requests, 1000 / 11)
    assert any("do not fill" in sentence for sentence in warnings(ASKED, RULES, found))


def test_the_bytes_of_a_window_bound_its_events() -> None:
    found = planned(ASKED, COSTS._replace(body_bytes=100_000.0))

    assert found.fullest.batch_events == (RULES.window_bytes - 512) // 100_001


def test_a_slow_meta_needs_more_members_for_one_hot_pixel() -> None:
    slow = ASKED._replace(latency_ms=(4000.0, 4000.0))
    found = planned(slow)

    # Eight requests of 1,000 events in four seconds are 2,000 events a second.
    assert found.capacity.tightest is Bound.REQUESTS_PER_DESTINATION
    assert isclose(found.capacity.events_per_second, 2000, rel_tol=1e-6)
    assert found.needed is not None
    assert found.needed >= 5
    assert any(
        sentence.startswith("The hottest destination") for sentence in warnings(slow, RULES, found)
    )


def test_events_in_flight_bound_a_member_that_waits_long() -> None:
    found = planned(
        ASKED._replace(latency_ms=(3000.0, 3000.0), destinations=10, hottest_share=0.1),
        COSTS._replace(event=1e-6, request=1e-6),
    )

    assert found.capacity.tightest is Bound.IN_FLIGHT_EVENTS


def test_with_thousands_of_pixels_requests_grow_before_members_are_needed() -> None:
    sparse = ASKED._replace(
        events_per_second=500.0, destinations=5000, hottest_share=1 / 5000, zones=1, partitions=1
    )
    alone = planned(sparse).fullest

    # 256 threads, and 1.05 s a request: an event each is more than they take.
    assert isclose(alone.requests_per_second, RULES.requests / sparse.mean_seconds, rel_tol=1e-6)
    assert isclose(alone.batch_events, 500.0 * sparse.mean_seconds / RULES.requests, rel_tol=1e-6)
    assert alone.window_seconds > RULES.window_seconds
    assert any(told.startswith("All 256") for told in warnings(sparse, RULES, planned(sparse)))
    assert planned(sparse).capacity.tightest is Bound.IN_FLIGHT_EVENTS


def test_windows_are_open_no_longer_than_they_must() -> None:
    calm = planned(ASKED)

    assert calm.fullest.window_seconds == RULES.window_seconds
    assert not any(told.startswith("All ") for told in warnings(ASKED, RULES, calm))


def test_sender_threads_bound_a_member_whose_requests_are_full() -> None:
    slow = ASKED._replace(latency_ms=(60_000.0, 60_000.0), destinations=100, hottest_share=0.01)
    found = planned(slow, COSTS, RULES._replace(in_flight_events=10**9, in_flight_bytes=10**12))

    assert found.capacity.tightest is Bound.REQUESTS
    assert isclose(found.capacity.events_per_second, 256_000 / 60, rel_tol=1e-6)


def test_too_few_partitions_are_told_with_the_number_that_would_do() -> None:
    asked = ASKED._replace(events_per_second=100_000, partitions=4)
    found = planned(asked)

    assert (found.holds, found.replicas) == (False, 4)
    (first, *_) = warnings(asked, RULES, found)
    assert f"{found.partitions_needed} partitions would do" in first
    assert planned(asked._replace(partitions=found.partitions_needed)).holds


def test_what_fills_the_most_partitions_is_told_to_split_the_topic() -> None:
    vast = ASKED._replace(events_per_second=30_000_000)
    vaster = ASKED._replace(events_per_second=300_000_000)

    assert planned(vast).holds
    assert any("no room to grow" in sentence for sentence in warnings(vast, RULES, planned(vast)))
    (first, *_) = warnings(vaster, RULES, planned(vaster))
    assert "split the topic" in first


def test_a_zone_s_loss_is_provided_for() -> None:
    one, three = (planned(ASKED._replace(zones=zones, partitions=60)) for zones in (1, 3))

    assert one.replicas == one.needed
    assert three.replicas > 1
    assert three.survives


def test_catching_up_takes_what_is_spare() -> None:
    asked = ASKED._replace(events_per_second=1000, partitions=1, outage_minutes=10)
    found = planned(asked)

    assert found.backlog == 600_000
    assert found.catch_up_seconds is not None
    spare = found.capacity.events_per_second - 1000
    assert isclose(found.catch_up_seconds, 600_000 / spare)


def test_all_members_catch_up_together() -> None:
    found = planned(ASKED._replace(partitions=10))

    assert (found.replicas, found.catch_up_seconds is None) == (2, False)
    spare = 2 * found.capacity.events_per_second - 10_000
    assert isclose(found.catch_up_seconds or 0, 36_000_000 / spare)


def test_what_cannot_catch_up_says_so() -> None:
    asked = ASKED._replace(events_per_second=100_000, partitions=1)
    found = planned(asked)

    assert found.catch_up_seconds is None
    assert any("stays for ever" in sentence for sentence in warnings(asked, RULES, found))


def test_the_threshold_is_what_a_member_with_headroom_sends_in_the_delay() -> None:
    found = planned(ASKED)
    exact = found.capacity.events_per_second * 0.7 * 10

    assert exact * 0.9 < lag_threshold(ASKED, found) <= exact
    assert usual_lag(ASKED, RULES, found) > ASKED.events_per_second * ASKED.mean_seconds


def test_a_threshold_below_the_usual_lag_is_warned_of() -> None:
    hasty = ASKED._replace(delay_seconds=2.0)
    told = [warnings(each, RULES, planned(each)) for each in (ASKED, hasty)]

    assert [any("usual lag" in sentence for sentence in each) for each in told] == [False, True]


@pytest.mark.parametrize("destinations", [1, 10])
def test_a_hot_destination_among_others_is_warned_of(destinations: int) -> None:
    asked = ASKED._replace(destinations=destinations, hottest_share=1.0)

    told = warnings(asked, RULES, planned(asked))
    assert any("One destination" in sentence for sentence in told) == (destinations > 1)


def test_dead_letters_cost_what_they_were_measured_at() -> None:
    found = planned(ASKED._replace(dead_letter_share=1.0, partitions=10))

    assert isclose(found.capacity.events_per_second, 1 / COSTS.dead_letter, rel_tol=1e-6)
    assert found.group_requests == 0


# --- costs


def test_costs_lie_on_the_line_through_both_measurements() -> None:
    assert between(EVENT_FEW, EVENT_MANY, FEW_KEYS) == EVENT_FEW.value
    assert between(EVENT_FEW, EVENT_MANY, MANY_KEYS) == EVENT_MANY.value
    few, many = (own_costs(ASKED._replace(match_keys=keys)) for keys in (FEW_KEYS, MANY_KEYS))
    assert few.event < many.event
    assert few.body_bytes < many.body_bytes


def test_what_somebody_measured_wins() -> None:
    costs = costs_for(ASKED, cpu_event=50.0, cpu_request=7.0, read_records=10**9)

    assert isclose(costs.event, 50e-6, rel_tol=1e-6)
    assert isclose(costs.request, 7e-6)
    assert costs.dead_letter < own_costs(ASKED).dead_letter


def test_what_an_event_has_more_it_has_in_kafka_and_at_meta() -> None:
    usual = own_costs(ASKED)
    large = own_costs(ASKED._replace(event_bytes=usual.record_bytes + 1000))

    assert isclose(large.record_bytes - usual.record_bytes, 1000)
    assert isclose(large.body_bytes - usual.body_bytes, 1000)
    assert large.event > usual.event


def test_many_destinations_cost_each_turn_of_the_loop() -> None:
    assert own_costs(ASKED._replace(destinations=1000)).event > own_costs(ASKED).event


def test_the_loop_s_wait_is_the_loop_s() -> None:
    ours = (READ_SECONDS, READ_SECONDS_WHILE_SENDING)
    assert ours == (inflow.READ_SECONDS, inflow.READ_SECONDS_WHILE_SENDING)


def test_the_origins_have_words_of_their_own() -> None:
    assert len({source.value for source in From}) == len(From)

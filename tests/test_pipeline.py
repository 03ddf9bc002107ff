"""The loop with everything around it in memory; every commit is checked by the house's auditor."""

import pytest

from consumer.model import ClientError, ReadFailed, Reason
from tests.fakes.dead_letters import header
from tests.fakes.house import CRM, DESTINATIONS, SHOP, house
from tests.fakes.meta import place

DENYING = DESTINATIONS.replace(f"- id: '{CRM}'", f"- id: '{CRM}'\n  onDenied: suppress")


def test_three_partitions_and_two_destinations_end_without_lag() -> None:
    home = house()
    places = []
    for partition in range(3):
        places += home.publish(partition, events=40, destination=SHOP)
        places += home.publish(partition, events=40, destination=CRM)

    home.settle_all()

    assert home.topic.lag == 0
    assert sorted(home.meta.accepted) == sorted(places)
    assert set(home.meta.accepted.values()) == {1}
    assert not home.dead_letters.produced
    for destination in (SHOP, CRM):
        assert [len(seen.places) for seen in home.meta.requests(destination)] == [120]
        accepted = home.metric(
            "conversions_events_total",
            destination=destination,
            event_name="Lead",
            outcome="accepted",
        )
        assert accepted == 120
    assert home.metric("conversions_records_read_total") == 240
    assert home.metric("conversions_in_flight_records") == 0
    assert home.metric("conversions_in_flight_bytes") == 0


def test_a_request_never_mixes_destinations_and_never_holds_more_than_a_thousand() -> None:
    home = house()
    for _ in range(3):
        home.publish(0, events=400, destination=SHOP)
        home.publish(1, events=400, destination=CRM)

    home.settle_all()

    for seen in home.meta.seen:
        assert {event.destination for event in seen.request.events} == {
            seen.request.key.destination
        }
    sizes = [len(seen.places) for seen in home.meta.requests(SHOP)]
    assert sizes == [1000, 200]


def test_one_refused_event_of_a_thousand_costs_one_event() -> None:
    home = house()
    bad = home.publish(0, events=1000)[377]
    home.meta.is_bad = lambda event: place(event) == bad

    home.settle_all()

    assert len(home.meta.accepted) == 999
    assert set(home.meta.accepted.values()) == {1}
    assert home.dead_letters.places == [bad]
    letter = home.dead_letters.written[0]
    assert header(letter, "reason") == Reason.REFUSED_BY_META.value
    assert header(letter, "trace_id") == home.meta.traces[bad]
    assert header(letter, "error_subcode") == "2804003"
    assert letter.value == home.topic.records(home.topic.partitions[0], 377, 378)[0].value
    assert len(home.meta.seen) <= 21, "more requests than halving needs"
    assert home.committed(0) == 1000


def test_a_record_that_nobody_can_decode_is_dead_lettered_and_the_others_are_delivered() -> None:
    home = house()
    home.publish(0, events=5)
    garbage = home.garbage(0)
    home.publish(0, events=5)

    home.settle_all()

    assert home.dead_letters.places == [garbage]
    assert header(home.dead_letters.written[0], "stage") == "decode"
    assert len(home.meta.accepted) == 10
    dead = home.metric("conversions_dead_letters_total", destination="other", reason="undecodable")
    assert dead == 1


def test_suppressed_events_are_committed_and_counted_and_go_nowhere() -> None:
    home = house(destinations=DENYING)
    denied = {"adUserData": "DENIED", "adPersonalization": None}
    home.withheld |= set(home.publish(0, events=7, destination=CRM, consent=denied))
    sent = home.publish(0, events=2, destination=CRM)

    home.settle_all()

    assert sorted(home.meta.accepted) == sent
    assert not home.dead_letters.produced
    assert home.committed(0) == 9
    suppressed = home.metric(
        "conversions_events_total", destination=CRM, event_name="Lead", outcome="suppressed"
    )
    assert suppressed == 7


def test_an_event_in_the_future_is_held_until_its_time_and_then_sent() -> None:
    home = house()
    early = home.publish(0, eventTime=home.clock.now_ms() + 180_000)[0]
    others = home.publish(0, events=3)
    due_at = home.clock.now() + 180.0

    home.run(170)

    assert sorted(home.meta.accepted) == others
    assert home.committed(0) == early[1], "an event that is held is open"

    home.settle_all()

    assert home.meta.accepted[early] == 1
    sent_at = next(seen.at for seen in home.meta.seen if early in seen.places)
    assert due_at <= sent_at < due_at + 2.0


def test_the_end_of_a_partition_moves_the_commit_over_offsets_without_records() -> None:
    home = house()
    home.publish(0, events=3)
    home.topic.gap(0, 4)
    home.topic.gap(1, 5)

    home.run(5)

    assert home.committed(0) == 7
    assert home.committed(1) == 5


def test_the_end_of_a_partition_does_not_move_the_commit_past_an_open_record() -> None:
    home = house()
    home.meta.latency_seconds = float("inf")
    home.publish(0, events=3)
    home.topic.gap(0, 4)

    home.run(5)

    assert home.committed(0) == 0


def test_a_gap_inside_the_log_needs_no_action() -> None:
    home = house()
    home.publish(0, events=2)
    home.topic.gap(0, 3)
    home.publish(0, events=2)

    home.settle_all()

    assert home.committed(0) == 7
    assert len(home.meta.accepted) == 4


def test_a_failed_read_is_rewound_and_nothing_is_lost() -> None:
    home = house()
    home.publish(0, events=300)
    home.publish(1, events=300)
    home.run(0.01)
    home.publish(0, events=40)
    home.source.fail_read(dropping=25)

    home.settle_all()

    assert home.source.rewinds
    assert len(home.meta.accepted) == 640
    assert set(home.meta.accepted.values()) == {1}
    assert home.lines.named("reading failed; rewound")
    assert home.metric("conversions_internal_errors_total") == 1


def test_a_failed_read_before_anything_was_read_ends_the_loop() -> None:
    home = house()
    home.publish(0, events=10)
    home.source.fail_read(dropping=3)

    with pytest.raises(ReadFailed, match="where to go back to is unknown"):
        home.pipeline.turn()

    assert not home.topic.commits


def test_a_partition_that_was_made_anew_is_read_from_its_beginning() -> None:
    home = house(partitions=2)
    home.publish(0, events=50)
    home.publish(1, events=5)
    home.settle_all()
    home.make_anew(0)
    again = home.publish(0, events=20)

    home.run(5)

    assert sorted(p for p in home.meta.accepted if p[0] == 0) == again
    assert home.committed(0) == 20
    assert home.committed(1) == 5
    assert not home.source.paused


def test_what_was_open_when_a_partition_was_made_anew_settles_nothing_of_the_new_one() -> None:
    home = house(partitions=1)
    home.publish(0, events=10)
    home.meta.latency_seconds = 30.0
    home.run(3)
    home.make_anew(0)
    home.publish(0, events=4)
    home.meta.latency_seconds = float("inf")

    home.run(60)

    assert home.committed(0) == 0
    assert home.ledger.open_records == 4


def test_delivery_does_not_run_far_ahead_of_a_commit() -> None:
    home = house(uncommitted_records=100, window_events=10, in_flight_events=200)
    early = home.publish(0, eventTime=home.clock.now_ms() + 200_000)[0]
    home.publish(0, events=2000)
    home.publish(1, events=500)

    home.run(60)

    held = home.topic.partitions[0]
    assert held in home.source.paused
    assert home.committed(1) == 500, "another partition's open record is none of its business"
    state = home.ledger.state(held)
    assert state is not None
    assert 100 < state.uncommitted < 600
    assert home.committed(0) == early[1]
    assert home.metric("conversions_paused_partitions", cause="uncommitted") == 1

    home.settle_all(300)

    assert len(home.meta.accepted) == 2501


def test_a_commit_that_stays_open_for_too_long_pauses_its_partition() -> None:
    home = house(uncommitted_seconds=100.0)
    home.publish(0, eventTime=home.clock.now_ms() + 200_000)
    home.publish(0, events=3)

    home.run(90)
    assert not home.source.paused
    home.run(20)

    assert home.source.paused == {home.topic.partitions[0]}


def test_a_full_house_keeps_polling_and_reads_no_more_than_it_may() -> None:
    home = house(in_flight_events=100, max_poll_seconds=2.0)
    home.publish(0, events=500)
    home.meta.latency_seconds = float("inf")

    home.run(400)

    assert home.ledger.open_records == 100
    assert len(home.source.polls) > 100
    assert home.topic.partitions[0] in home.source.paused

    home.meta.release(latency_seconds=0.1)
    home.settle_all()

    assert len(home.meta.accepted) == 500
    assert not home.source.paused


def test_a_refused_commit_is_made_again() -> None:
    home = house()
    home.publish(0, events=10)
    for _ in range(3):
        home.source.refuse_commit("REBALANCE_IN_PROGRESS")

    home.settle_all()

    assert home.committed(0) == 10
    assert home.metric("conversions_kafka_commit_failures_total") == 9
    assert len(home.lines.named("commit refused")) == 1, "a trouble is logged when it is new"


def test_nothing_is_committed_twice() -> None:
    home = house()
    home.publish(0, events=10)
    home.settle_all()
    home.run(30)

    assert len(home.topic.commits) == len(set(home.topic.commits))


def test_an_error_of_the_client_is_logged_when_it_is_new_and_counted_each_time() -> None:
    home = house()
    home.run(1)
    for _ in range(5):
        home.source.report_error(ClientError("_ALL_BROKERS_DOWN", "3/3 brokers are down", True))
        home.run(0.5)

    assert len(home.lines.named("Kafka is unreachable; trying on")) == 1
    assert home.metric("conversions_kafka_errors_total", kind="unreachable") == 5

    home.publish(0)
    home.settle_all()

    assert len(home.lines.named("Kafka is reachable again")) == 1


def test_a_replayed_record_is_dead_lettered_under_its_first_origin() -> None:
    home = house()
    headers = (("conversions.origin", b"conversions.events:2:77:1764000000000"),)
    home.publish(0, headers=headers, eventTime=home.clock.now_ms() - 9 * 24 * 3600 * 1000)

    home.run(3)

    letter = home.dead_letters.written[0]
    assert header(letter, "origin") == "conversions.events:2:77:1764000000000"
    assert header(letter, "event_id") == "event-1"
    assert home.committed(0) == 1

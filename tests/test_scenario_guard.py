"""A publisher's bad deploy: most of a destination's events are rejected for one reason of ours.

The guard says so, once. Where the operator wants it, those events are held like what a halted
destination holds: uncommitted, within its share, given up only when others wait for long, or when
somebody says so.
"""

from consumer.leftover import Holder
from consumer.model import PixelId, Place, TopicPartition
from consumer.skip import Skipping
from tests.fakes.dead_letters import header
from tests.fakes.events import TOPIC
from tests.fakes.house import CRM, SHOP, FakeHouse, house
from tests.fakes.meta import expired_token

BEGINS = "many events are rejected for one reason; look at their publisher's last deploy"
ENDS = "few events are rejected for that reason again"
SPILLS = "spilling what the guard holds into the dead letters"
SPILL_AFTER = 300.0
REASON = "missing_action_source"


def bad(home: FakeHouse, partition: int, events: int, destination: PixelId = CRM) -> None:
    home.publish(partition, events=events, destination=destination, actionSource=None)


def reasons(home: FakeHouse) -> set[str | None]:
    return {header(letter, "reason") for letter in home.dead_letters.written}


def alarm(home: FakeHouse, destination: str = CRM) -> float | None:
    return home.metric("conversions_guard_alarm", destination=destination, reason=REASON)


def held(home: FakeHouse) -> float | None:
    return home.metric("conversions_guard_held_records", destination=CRM)


def test_a_bad_deploy_is_told_once_at_its_beginning_and_once_at_its_end() -> None:
    home = house(guard_events=100)
    home.publish(0, events=50, destination=CRM)
    home.run(2)
    assert alarm(home) is None

    bad(home, 0, 300)
    home.run(5)

    assert alarm(home) == 1
    assert home.lines.named(BEGINS) == [
        {"destination": CRM, "reason": REASON, "more_than": "50% of the last 100", "held": False}
    ]
    assert len(home.dead_letters.written) == 300, "it is told; nothing else changes"
    assert home.committed(0) == 350

    home.publish(0, events=100, destination=CRM)
    home.run(5)

    assert alarm(home) is None
    assert home.lines.named(ENDS) == [{"destination": CRM, "reason": REASON, "dead_lettering": 0}]


def test_an_alarm_whose_partition_left_for_another_member_is_told_here_no_longer() -> None:
    home = house(guard_events=100, guard_pauses=True)
    bad(home, 0, 200)
    home.run(5)
    assert alarm(home) == 1

    home.source.revoke(0)
    home.publish(1, events=10, destination=SHOP)
    home.run(60)
    assert alarm(home) is None

    home.source.assign(0)
    home.run(5)
    assert alarm(home) == 1


def test_the_other_destination_raises_no_alarm() -> None:
    home = house(guard_events=100, guard_pauses=True)
    for _ in range(50):
        bad(home, 0, 4)
        home.publish(0, events=4, destination=SHOP)

    home.run(5)

    assert alarm(home) == 1
    assert alarm(home, SHOP) is None
    assert len(home.lines.named(BEGINS)) == 1


def test_undecodable_records_raise_an_alarm_under_a_label_of_their_own() -> None:
    home = house(guard_events=100, guard_pauses=True)
    for _ in range(80):
        home.garbage(0)

    home.settle_all()

    labels = {"destination": "unknown", "reason": "undecodable"}
    assert home.metric("conversions_guard_alarm", **labels) == 1
    assert len(home.dead_letters.written) == 80


def test_while_it_pauses_nothing_more_is_dead_lettered_for_that_reason() -> None:
    home = house(guard_events=100, guard_pauses=True, max_poll_seconds=5.0)
    bad(home, 0, 30)
    home.publish(0, events=5, destination=CRM, eventName="")
    good = home.publish(0, events=20, destination=CRM)
    bad(home, 0, 200)

    home.run(3600)

    assert len(home.dead_letters.written) == 50 + 5
    assert reasons(home) == {REASON, "missing_event_name"}
    assert all(home.meta.accepted[place] == 1 for place in good), "its good events go on"
    assert held(home) == 180
    assert home.ledger.open_records == 180
    assert home.committed(0) == 75
    assert home.lines.named(BEGINS)[0]["held"] is True


def test_it_holds_its_share_then_pauses_its_carriers_and_no_other_partition() -> None:
    home = house(in_flight_events=4000, guard_events=100, guard_pauses=True, max_poll_seconds=5.0)
    bad(home, 0, 5000)
    home.publish(1, events=5, destination=SHOP)

    home.run(SPILL_AFTER + 600)

    assert home.source.paused == {home.topic.partitions[0]}
    assert home.metric("conversions_paused_partitions", cause="destination") == 1
    assert 2000 <= home.ledger.open_records <= 2100, "its share"
    assert len(home.dead_letters.written) == 50
    places = home.publish(1, events=500, destination=SHOP)
    home.run(30)
    assert all(home.meta.accepted[place] == 1 for place in places)
    assert len(home.dead_letters.written) == 50, "alone on its partition it is never spilled"


def test_good_events_on_other_partitions_do_not_end_what_pauses_the_bad_ones() -> None:
    home = house(in_flight_events=400, guard_events=100, guard_pauses=True, max_poll_seconds=5.0)
    bad(home, 0, 1000)
    home.run(5)
    assert home.topic.partitions[0] in home.source.paused

    home.publish(1, events=1000, destination=CRM)
    home.run(60)

    assert len(home.meta.accepted) == 1000
    assert alarm(home) == 1
    assert len(home.dead_letters.written) == 50


def test_it_is_spilled_after_a_while_because_a_healthy_destination_waits() -> None:
    home = house(in_flight_events=400, guard_events=100, guard_pauses=True)
    for _ in range(100):
        bad(home, 0, 5)
        home.publish(0, events=5, destination=SHOP)

    home.run(SPILL_AFTER - 5)
    assert len(home.dead_letters.written) == 50
    assert len(home.meta.accepted) < 500
    home.run(900)

    assert len(home.meta.accepted) == 500
    assert 50 < len(home.dead_letters.written) < 500, "only what had to go"
    assert reasons(home) == {REASON}, "under their own reason"
    assert home.lines.named(SPILLS)[0] == {
        "destination": CRM,
        "events": home.lines.named(SPILLS)[0]["events"],
        "reason": REASON,
    }
    oldest = home.dead_letters.places
    assert oldest == sorted(oldest)


def test_when_all_destinations_are_held_nothing_is_spilled() -> None:
    home = house(in_flight_events=400, guard_events=100, guard_pauses=True, max_poll_seconds=5.0)
    for _ in range(200):
        bad(home, 0, 5, CRM)
        bad(home, 0, 5, SHOP)

    home.run(SPILL_AFTER + 900)

    assert len(home.dead_letters.written) == 100
    assert home.ledger.open_records <= 400


def test_the_uncommitted_bound_spills_what_is_held() -> None:
    home = house(uncommitted_records=100, guard_events=20, guard_pauses=True)
    bad(home, 0, 30)
    home.publish(0, events=400, destination=SHOP)

    home.run(60)

    assert home.committed(0) == 430
    assert len(home.dead_letters.written) == 30
    assert not home.source.paused


def test_an_operator_accepts_the_dead_letters() -> None:
    home = house(guard_events=100, guard_pauses=True)
    bad(home, 0, 200)
    home.run(5)
    assert held(home) == 150

    home.pipeline.resume(CRM)
    home.run(5)

    assert len(home.dead_letters.written) == 200
    assert home.committed(0) == 200
    assert held(home) is None
    assert home.lines.named("what the guard holds is dead-lettered by hand") == [
        {"destination": CRM, "events": 150}
    ]
    assert home.lines.named("nothing is held for a destination to resume") == []

    bad(home, 0, 200)
    home.settle_all()
    assert alarm(home) == 1
    assert len(home.dead_letters.written) == 400, "it rests until the share has fallen"
    home.publish(0, events=100, destination=CRM)
    home.settle_all()
    assert alarm(home) is None
    bad(home, 0, 200)
    home.run(5)
    assert len(home.dead_letters.written) == 450


def test_once_the_publisher_is_mended_what_was_held_is_dead_lettered() -> None:
    home = house(guard_events=100, guard_pauses=True)
    bad(home, 0, 80)
    home.run(5)
    assert held(home) == 30

    home.publish(0, events=100, destination=CRM)
    home.settle_all()

    assert home.lines.named(ENDS) == [{"destination": CRM, "reason": REASON, "dead_lettering": 30}]
    assert len(home.dead_letters.written) == 80
    assert home.committed(0) == 180


def test_what_is_held_leaves_with_its_partition_and_is_the_next_owners() -> None:
    home = house(guard_events=100, guard_pauses=True, grace_seconds=2.0)
    bad(home, 0, 80)
    bad(home, 1, 10)
    home.run(5)
    home.source.revoke(0)
    home.run(5)
    assert home.committed(0) == 50
    held_here = held(home)

    home.pipeline.resume(CRM)
    home.run(5)

    assert held_here == 10
    assert len(home.dead_letters.written) == 60
    assert len(set(home.dead_letters.places)) == 60


def test_closing_leaves_what_is_held_uncommitted_and_waits_for_none_of_it() -> None:
    home = house(guard_events=100, guard_pauses=True)
    bad(home, 0, 80)
    home.run(5)
    began = home.clock.now()

    left = home.pipeline.close()

    assert left.held_by == {Holder.GUARD: 30}
    assert home.committed(0) == 50
    assert home.clock.now() - began < 5


def test_a_topic_made_anew_takes_what_is_held_with_it() -> None:
    home = house(guard_events=100, guard_pauses=True)
    bad(home, 0, 80)
    home.run(5)
    home.make_anew(0)
    home.dead_letters.written.clear()
    home.publish(0, events=60, destination=CRM)

    home.settle_all()

    assert not home.dead_letters.written
    assert home.committed(0) == 60
    assert len(home.meta.accepted) == 60


def test_a_destination_both_halted_and_held_keeps_to_one_share() -> None:
    home = house(in_flight_events=4000, guard_events=100, guard_pauses=True, max_poll_seconds=5.0)
    home.meta.standing[CRM] = expired_token()
    for _ in range(2000):
        bad(home, 0, 3)
        home.publish(0, events=1, destination=CRM)

    home.run(SPILL_AFTER + 60)

    assert home.ledger.open_records < 3000, "what came before the trouble was known, and its share"
    assert len(home.dead_letters.written) == 50
    home.meta.standing.clear()
    home.pipeline.resume(CRM)
    home.settle_all(900)
    assert len(home.meta.accepted) == 2000
    assert len(set(home.dead_letters.places)) == 6000


def test_one_record_that_is_held_can_be_skipped() -> None:
    home = house(guard_events=100, guard_pauses=True)
    bad(home, 0, 80)
    home.run(5)

    assert home.pipeline.skip(Place(TopicPartition(TOPIC, 0), 50)) is Skipping.UNDER_WAY
    home.run(5)

    assert "skipped_by_operator" in reasons(home)
    assert home.committed(0) == 51


def test_what_is_held_goes_back_to_kafka_where_the_house_is_full_and_is_met_once() -> None:
    home = house(in_flight_events=400, guard_events=100, guard_pauses=True, max_poll_seconds=5.0)
    bad(home, 0, 400)
    home.run(5)
    assert home.ledger.open_records == 350
    home.meta.latency_seconds = 60.0
    home.publish(1, events=400, destination=SHOP)
    home.run(20)
    assert home.lines.named("giving records back to Kafka")

    home.meta.latency_seconds = 0.1
    home.run(120)
    home.pipeline.resume(CRM)
    home.settle_all(120)

    assert len(home.meta.accepted) == 400
    assert sorted(home.dead_letters.places) == [(0, offset) for offset in range(400)]


def test_a_partition_with_held_records_is_no_partition_of_another_destinations_own() -> None:
    home = house(in_flight_events=400, guard_events=100, guard_pauses=True, max_poll_seconds=5.0)
    bad(home, 0, 60)
    home.run(5)
    home.meta.standing[SHOP] = expired_token()
    home.publish(0, events=500, destination=SHOP)

    home.run(60)

    assert home.ledger.open_records >= 400
    assert home.lines.named("giving records back to Kafka") == []

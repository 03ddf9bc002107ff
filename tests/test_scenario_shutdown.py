"""SIGTERM: stop reading, close the windows, wait for what is out no longer than the grace time,
dead letters, settle, commit, leave. What is still open then stays uncommitted in Kafka, and the
next member reads it again.
"""

from tests.fakes.house import CRM, SHOP, house
from tests.fakes.meta import expired_token, outage


def test_a_calm_shutdown_leaves_nothing_open() -> None:
    home = house()
    home.publish(0, events=40)
    home.publish(1, events=40, destination=CRM)
    home.garbage(2)
    home.dead_letters.latency_seconds = 0.5
    home.run(0.2)
    assert not home.meta.seen, "the windows are still open"

    left = home.pipeline.close()

    assert left == 0
    assert home.topic.lag == 0
    assert home.source.closed
    assert len(home.meta.accepted) == 80


def test_a_shutdown_takes_no_longer_than_it_must() -> None:
    home = house()
    home.publish(0, events=40)
    home.run(0.2)
    before = home.clock.now()

    home.pipeline.close()

    assert home.clock.now() - before < 0.5


def test_what_is_open_when_the_grace_is_over_is_not_committed_past() -> None:
    home = house(grace_seconds=10.0, max_poll_seconds=2.0)
    home.publish(0, events=5, destination=CRM)
    home.publish(1, events=5, destination=CRM)
    home.run(3)
    home.meta.latency_seconds = float("inf")
    home.publish(0, events=7)
    home.run(2)
    before = home.clock.now()

    left = home.pipeline.close()

    assert left == 7
    assert 10.0 <= home.clock.now() - before < 12.0
    assert home.committed(0) == 5
    assert home.committed(1) == 5


def test_a_shutdown_during_an_outage_ends_and_the_next_member_delivers() -> None:
    home = house(grace_seconds=10.0)
    places = home.publish(0, events=50)
    home.meta.standing[SHOP] = outage()
    home.run(5)

    left = home.pipeline.close()

    assert left == 50
    after = house(beside=home)
    after.settle_all()
    assert sorted(after.meta.accepted) == places


def test_a_shutdown_does_not_wait_for_a_halted_destination_nor_for_a_time_in_the_future() -> None:
    home = house()
    home.publish(0, events=5, destination=CRM)
    home.publish(1, eventTime=home.clock.now_ms() + 200_000)
    home.meta.standing[CRM] = expired_token()
    home.run(3)
    before = home.clock.now()

    left = home.pipeline.close()

    assert left == 6
    assert home.clock.now() - before < 1.0


def test_what_a_shutdown_reads_by_the_way_is_not_committed() -> None:
    home = house(partitions=2, assigned=(0,))
    home.publish(0, events=5)
    home.publish(1, events=5)
    home.run(0.3)
    home.source.assign(1)

    left = home.pipeline.close()

    assert left == 0
    assert home.committed(0) == 5
    assert home.committed(1) == 0


def test_a_shutdown_with_dead_letters_that_fail_commits_nothing_past_them() -> None:
    home = house(grace_seconds=8.0)
    home.publish(0, events=3)
    home.garbage(0)
    home.publish(0, events=3)
    home.dead_letters.failing = "_MSG_TIMED_OUT"
    home.run(3)

    left = home.pipeline.close()

    assert left == 1
    assert home.committed(0) == 3


def test_a_crash_repeats_events_under_the_same_ids_and_loses_none() -> None:
    home = house()
    places = home.publish(0, events=100)
    home.run(1.4)
    assert len(home.meta.accepted) == 100
    assert home.committed(0) == 0
    after = house(beside=home)

    after.settle_all()

    assert set(after.meta.accepted.values()) == {2}
    assert sorted(after.meta.accepted) == places
    first, second = home.meta.seen[0].request.events, after.meta.seen[0].request.events
    assert [event.event_id for event in first] == [event.event_id for event in second]


def test_reading_that_fails_during_the_drain_does_not_end_it() -> None:
    home = house()
    home.publish(0, events=10)
    home.run(0.3)
    home.source.fail_read(dropping=0)

    assert home.pipeline.close() == 0
    assert home.committed(0) == 10

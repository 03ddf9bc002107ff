"""SIGTERM: stop reading, close the windows, wait for what is out no longer than the grace time,
dead letters, settle, commit, leave. What is still open then stays uncommitted in Kafka, and the
next member reads it again.
"""

import pytest

from consumer.leftover import Holder, Left
from consumer.model import PixelId
from tests.fakes.house import CRM, DESTINATIONS, SHOP, house
from tests.fakes.meta import expired_token, outage, throttling


def test_a_calm_shutdown_leaves_nothing_open() -> None:
    home = house()
    home.publish(0, events=40)
    home.publish(1, events=40, destination=CRM)
    home.garbage(2)
    home.dead_letters.latency_seconds = 0.5
    home.run(0.2)
    assert not home.meta.seen, "the windows are still open"

    left = home.pipeline.close()

    assert left.records == 0
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

    assert left.records == 7
    assert 10.0 <= home.clock.now() - before < 12.0
    assert home.committed(0) == 5
    assert home.committed(1) == 5


def test_a_shutdown_during_an_outage_ends_and_the_next_member_delivers() -> None:
    home = house(grace_seconds=10.0)
    places = home.publish(0, events=50)
    home.meta.standing[SHOP] = outage()
    home.run(5)

    left = home.pipeline.close()

    assert left.records == 50
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

    assert left.records == 6
    assert home.clock.now() - before < 1.0


def test_what_a_shutdown_reads_by_the_way_is_not_committed() -> None:
    home = house(partitions=2, assigned=(0,))
    home.publish(0, events=5)
    home.publish(1, events=5)
    home.run(0.3)
    home.source.assign(1)

    left = home.pipeline.close()

    assert left.records == 0
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

    assert left.records == 1
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

    assert home.pipeline.close().is_nothing
    assert home.committed(0) == 10


def test_all_is_sent_then_committed_and_only_then_is_the_group_left() -> None:
    home = house()
    home.publish(0, events=10)
    home.garbage(1)
    home.dead_letters.latency_seconds = 2.0
    home.run(0.3)
    told: list[str] = []
    home.topic.watchers.append(
        lambda *_: told.append("leaving" if home.source.in_callback else "committed")
    )
    polls = len(home.source.polls)
    home.publish(0, events=10)  # too late to be read

    left = home.pipeline.close()

    assert left.is_nothing
    assert len(home.meta.accepted) == 10
    assert set(told) == {"committed"}
    assert home.committed(0) == 10
    assert len(home.source.polls) - polls > 20, "the group is polled while the dead letter is out"


def test_a_commit_that_a_rebalance_refuses_is_repeated_and_the_group_polled_meanwhile() -> None:
    home = house()
    home.publish(0, events=10)
    home.run(0.3)
    for _ in range(3):
        home.source.refuse_commit("REBALANCE_IN_PROGRESS")
    before = home.clock.now()

    left = home.pipeline.close()

    assert left.is_nothing
    assert home.topic.committed[home.topic.partitions[0]] == 10
    assert home.clock.now() - before < 3.0
    assert len([each for each in home.source.polls if each > before]) > 3


@pytest.mark.parametrize("error", ["ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "STALE_MEMBER_EPOCH"])
def test_a_last_commit_of_what_the_group_has_taken_from_us_is_given_up(error: str) -> None:
    home = house()
    home.publish(0, events=10)
    home.run(1.3)
    for _ in range(1000):
        home.source.refuse_commit(error)
    home.source.lose(0, 1, 2)
    before = home.clock.now()

    left = home.pipeline.close()

    assert left.is_nothing, "it is the next owner's"
    assert home.committed(0) == 0
    assert home.source.closed
    assert home.clock.now() - before < 3.0


def test_a_commit_that_is_never_taken_ends_with_the_grace_and_is_told() -> None:
    home = house(grace_seconds=6.0)
    home.publish(0, events=10)
    home.run(0.3)
    for _ in range(1000):
        home.source.refuse_commit("GROUP_AUTHORIZATION_FAILED")
    before = home.clock.now()

    left = home.pipeline.close()

    assert left == Left(records=0, partitions=0, held_by={}, sent_again_max=10)
    assert not left.is_nothing
    assert 6.0 <= home.clock.now() - before < 8.0


def test_what_is_left_is_told_by_what_held_it() -> None:
    slow, late = PixelId("3333333333333333"), PixelId("4444444444444444")
    home = house(grace_seconds=5.0, destinations=DESTINATIONS + f"- id: '{slow}'\n- id: '{late}'\n")
    home.publish(0, events=2, destination=CRM)
    home.publish(0, events=3, destination=slow)
    home.meta.standing = {CRM: expired_token(), slow: throttling(600)}
    home.run(3)
    home.meta.latency_seconds = float("inf")
    home.publish(1, events=4, destination=late)
    home.publish(1, events=5, eventTime=home.clock.now_ms() + 200_000)
    home.publish(1, events=6, schema_id=77)
    home.dead_letters.failing = "_MSG_TIMED_OUT"
    home.garbage(1)
    home.run(2)

    left = home.pipeline.close()

    assert left.held_by == {
        Holder.HALTED: 2,
        Holder.THROTTLED: 3,
        Holder.IN_FLIGHT: 4,
        Holder.NOT_DUE: 5,
        Holder.SCHEMA: 6,
        Holder.DEAD_LETTER: 1,
    }
    assert (left.records, left.partitions) == (21, 2)


def test_the_last_line_says_what_is_left_or_that_it_is_nothing() -> None:
    home = house(grace_seconds=5.0)
    home.publish(0, events=2)
    home.publish(0, events=2, destination=CRM)
    home.publish(0, events=3)
    home.meta.standing[CRM] = expired_token()
    home.run(3)
    home.journal.stopped(home.pipeline.close())
    after = house()
    after.journal.stopped(after.pipeline.close())

    level, event, facts = home.lines.lines[-1]
    assert (level, event.split(";")[0]) == ("warning", "stopped with records left")
    assert facts == {
        "records": 2,
        "partitions": 1,
        "halted_destination": 2,
        "sent_again_max": 3,
    }
    assert after.lines.lines[-1] == ("info", "stopped", {})


def test_a_revocation_that_is_under_way_when_we_are_told_to_stop_does_not_get_the_grace_twice() -> (
    None
):
    home = house(grace_seconds=20.0)
    home.publish(0, events=10)
    home.meta.latency_seconds = float("inf")
    home.run(3)
    before = home.clock.now()
    home.source.revoke(0)
    home.pipeline.end_within_grace()
    home.clock.advance(15)

    home.pipeline.turn()
    home.pipeline.close()

    assert 20.0 <= home.clock.now() - before < 22.0

"""Another member joins, or the group takes this one for dead, in the middle of everything. What is
in flight is finished and committed while the partition is still ours; from then on nothing that is
left of it may be sent, settled, dead-lettered or committed. The next owner reads on from there.
"""

import pytest

from consumer.model import TopicPartition
from tests.fakes.house import CRM, SHOP, FakeHouse, house
from tests.fakes.meta import expired_token, outage


def open_in(home: FakeHouse, partition: int) -> int:
    state = home.ledger.state(TopicPartition("conversions.events", partition))
    return -1 if state is None else state.open


def test_a_revocation_finishes_and_commits_what_is_in_flight() -> None:
    home = house()
    home.publish(0, events=30)
    home.publish(1, events=30)
    home.meta.latency_seconds = 2.0
    home.run(0.3)
    assert not home.meta.seen, "the window is still open"
    before = home.clock.now()
    home.source.revoke(0)

    home.pipeline.turn()

    assert home.committed(0) == 30
    assert home.source.assigned == {1, 2}
    assert home.ledger.tenure_of(home.topic.partitions[0]) is None
    assert 2.0 <= home.clock.now() - before < 3.0, "no longer than Meta's answer"


def test_a_revocation_closes_the_windows_that_hold_its_events_and_no_other() -> None:
    home = house()
    home.publish(0, events=5)
    home.publish(1, events=5, destination=CRM)
    home.run(0.3)
    home.source.revoke(0)

    home.pipeline.turn()

    assert [seen.request.key.destination for seen in home.meta.seen] != []
    assert not home.meta.requests(CRM)
    home.settle_all()
    assert home.meta.requests(CRM)


def test_after_a_revocation_nothing_of_the_partition_is_sent_or_committed() -> None:
    home = house(grace_seconds=3.0)
    home.publish(0, events=30)
    home.publish(1, events=30)
    home.meta.standing[SHOP] = outage()
    home.run(5)
    home.source.revoke(0)
    home.run(10)
    seen, commits = len(home.meta.seen), len(home.topic.commits)
    home.meta.standing.clear()

    home.run(120)

    later = [place for request in home.meta.seen[seen:] for place in request.places]
    assert later
    assert {partition for partition, _ in later} == {1}
    assert {p.partition for p, _ in home.topic.commits[commits:]} == {1}
    assert home.committed(0) == 0


def test_the_answer_for_a_tenure_that_is_over_changes_nothing() -> None:
    home = house(grace_seconds=2.0)
    home.publish(0, events=10)
    home.publish(1, events=10)
    home.meta.latency_seconds = 60.0
    home.run(3)
    home.source.revoke(0)
    home.run(5)
    home.source.assign(0)
    home.meta.latency_seconds = float("inf")
    home.run(5)
    assert open_in(home, 0) == 10, "the new tenure has read the records again"
    accepted_before = _accepted(home)

    home.run(70)

    assert home.committed(1) == 10, "the answer came, and settles what is still ours"
    assert open_in(home, 0) == 10, "but nothing of the new tenure"
    assert home.committed(0) == 0
    assert _accepted(home) - accepted_before == 10
    assert not home.dead_letters.produced


def _accepted(home: FakeHouse) -> float:
    labels = {"event_name": "Lead", "outcome": "accepted"}
    value = home.metric("conversions_events_total", destination=SHOP, **labels)
    return value or 0.0


def test_a_refusal_for_a_tenure_that_is_over_dead_letters_nothing() -> None:
    home = house(grace_seconds=2.0)
    home.publish(0, events=1)
    home.meta.is_bad = lambda event: True
    home.meta.latency_seconds = 60.0
    home.run(3)
    home.source.revoke(0)

    home.run(120)

    assert len(home.meta.seen) == 1
    assert not home.dead_letters.produced


def test_a_dead_letter_that_is_out_when_its_tenure_ends_settles_nothing() -> None:
    home = house(grace_seconds=1.0)
    home.garbage(0)
    home.dead_letters.silent = True
    home.run(1)
    home.source.revoke(0)
    home.run(3)
    home.source.assign(0)
    home.run(1)
    assert open_in(home, 0) == 1
    assert len(home.dead_letters.produced) == 2
    home.dead_letters.silent = False

    home.settle_all()

    assert home.committed(0) == 1


def test_lost_partitions_are_not_committed() -> None:
    home = house()
    home.publish(0, events=10)
    home.run(1.3)
    assert len(home.meta.accepted) == 10
    assert home.committed(0) == 0, "delivered, but the next commit is still to come"
    home.source.lose(0, 1, 2)

    home.run(10)

    assert home.committed(0) == 0
    assert not home.ledger.partitions


def test_nothing_of_a_tenure_that_is_over_is_kept() -> None:
    home = house()
    home.publish(0, events=3, destination=CRM)
    home.meta.standing[CRM] = outage()
    home.run(3)
    home.publish(0, events=3, eventTime=home.clock.now_ms() + 200_000)
    home.publish(0, events=3)
    home.run(0.3)
    assert len(list(home.deliveries.outboxes[CRM].waiting())) == 3
    home.source.lose(0)

    home.pipeline.turn()

    assert home.ledger.open_records == 0
    assert not list(home.deliveries.outboxes[CRM].waiting())
    assert not home.deliveries.can_progress(home.topic.partitions)
    assert "0 held" in repr(home.deliveries)
    assert home.metric("conversions_in_flight_bytes") == 0


def test_a_new_tenure_reads_again_what_was_not_committed() -> None:
    home = house()
    home.publish(0, events=10)
    home.run(1.3)
    home.source.lose(0)
    home.run(5)
    home.source.assign(0)

    home.settle_all()

    assert set(home.meta.accepted.values()) == {2}, "one event id, which Meta drops"
    first, second = (seen.request.events for seen in home.meta.seen)
    assert [event.event_id for event in first] == [event.event_id for event in second]
    assert home.committed(0) == 10


def test_records_that_were_dequeued_before_the_revocation_are_the_next_owners() -> None:
    home = house()
    home.run(1)
    home.publish(0, events=10)
    home.source.revoke(0, after_fetch=True)

    home.run(10)

    assert not home.meta.seen
    assert home.committed(0) == 0
    home.source.assign(0)
    home.settle_all()
    assert len(home.meta.accepted) == 10


def test_the_next_member_goes_on_where_the_first_one_stopped() -> None:
    first = house()
    places = first.publish(0, events=20) + first.publish(1, events=20)
    first.run(0.5)
    second = house(beside=first, assigned=())
    first.source.revoke(1)
    first.pipeline.turn()
    second.source.assign(1)
    places += first.publish(0, events=5) + first.publish(1, events=5)

    for _ in range(400):
        first.pipeline.turn()
        second.pipeline.turn()

    assert first.topic.lag == 0
    assert sorted(first.meta.accepted) == sorted(places)
    assert set(first.meta.accepted.values()) == {1}, "a calm hand-over repeats nothing"


def test_a_halted_destination_does_not_hold_up_a_revocation() -> None:
    home = house()
    home.publish(0, events=10, destination=CRM)
    home.meta.standing[CRM] = expired_token()
    home.run(3)
    before = home.clock.now()
    home.source.revoke(0)

    home.pipeline.turn()

    assert home.clock.now() - before < 1.0
    assert home.committed(0) == 0


def test_a_destination_that_fails_on_what_stays_does_not_hold_up_a_revocation() -> None:
    home = house(grace_seconds=30.0)
    home.meta.standing[CRM] = expired_token()
    home.meta.standing[SHOP] = outage()
    home.publish(0, events=20, destination=CRM)
    home.publish(1, events=20, destination=SHOP)
    home.run(20)
    began_at = home.clock.now()

    home.source.revoke(0)
    home.run(0.01)

    assert home.source.assigned == {1, 2}
    assert home.clock.now() - began_at < 5


def test_a_revocation_lasts_no_longer_than_the_grace_time() -> None:
    home = house(grace_seconds=7.0)
    home.publish(0, events=10)
    home.meta.latency_seconds = float("inf")
    home.run(3)
    before = home.clock.now()
    home.source.revoke(0)

    home.pipeline.turn()

    assert 7.0 <= home.clock.now() - before < 8.0
    assert home.committed(0) == 0
    assert home.pipeline.heartbeat > before + 6.0, "the heart beats while it waits"


def test_a_paused_partition_that_comes_back_is_not_paused() -> None:
    home = house(in_flight_events=10)
    home.publish(0, events=30)
    home.meta.latency_seconds = 20.0
    home.run(3)
    assert home.topic.partitions[0] in home.source.paused
    home.source.lose(0)
    home.run(1)
    home.source.assign(0)
    home.meta.latency_seconds = 0.1

    home.settle_all()

    assert home.committed(0) == 30


@pytest.mark.parametrize(
    "error", ["REBALANCE_IN_PROGRESS", "STALE_MEMBER_EPOCH", "NOT_COORDINATOR"]
)
def test_a_commit_that_is_refused_while_partitions_leave_is_repeated(error: str) -> None:
    home = house()
    home.publish(0, events=30)
    home.run(0.3)
    for _ in range(3):
        home.source.refuse_commit(error)
    home.source.revoke(0)
    before = home.clock.now()

    home.pipeline.turn()

    assert home.committed(0) == 30
    assert home.clock.now() - before < 3.0
    assert len(home.lines.named("commit refused")) == 1, "told once"


def test_a_commit_that_is_refused_for_ever_holds_a_revocation_up_no_longer_than_the_grace() -> None:
    home = house(grace_seconds=7.0)
    home.publish(0, events=30)
    home.run(0.3)
    for _ in range(1000):
        home.source.refuse_commit("REBALANCE_IN_PROGRESS")
    home.source.revoke(0)
    before = home.clock.now()

    home.pipeline.turn()

    assert 7.0 <= home.clock.now() - before < 8.0
    assert home.committed(0) == 0


@pytest.mark.parametrize(
    "error",
    ["ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID", "FENCED_MEMBER_EPOCH"],
)
def test_a_member_that_the_group_no_longer_knows_repeats_no_commit(error: str) -> None:
    home = house()
    home.publish(0, events=30)
    home.run(0.3)
    for _ in range(1000):
        home.source.refuse_commit(error)
    home.source.revoke(0)
    before = home.clock.now()

    home.pipeline.turn()

    assert home.clock.now() - before < 1.0
    assert home.metric("conversions_kafka_commit_failures_total") == 1

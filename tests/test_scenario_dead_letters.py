"""The dead-letter topic is slow, away, or takes no record of this size. First the dead letter, then
the offset: whatever happens to the one, the other waits for it, and for it alone.
"""

from consumer.letter_box import TOO_LARGE_AGAIN_SECONDS
from tests.fakes.dead_letters import header
from tests.fakes.house import house


def test_an_offset_waits_until_its_dead_letter_is_acknowledged() -> None:
    home = house()
    home.publish(0, events=3)
    home.garbage(0)
    home.publish(0, events=3)
    home.dead_letters.latency_seconds = 20.0

    home.run(19)

    assert len(home.meta.accepted) == 6
    assert not home.dead_letters.written
    assert home.committed(0) == 3
    home.settle_all()
    assert home.committed(0) == 7


def test_dead_letters_that_are_acknowledged_backwards_commit_nothing_too_early() -> None:
    home = house()
    for _ in range(20):
        home.garbage(0)
    home.dead_letters.silent = True
    home.run(3)
    assert len(home.dead_letters.produced) == 20
    home.dead_letters.silent = False
    home.dead_letters.backwards = True

    home.settle_all()

    assert home.dead_letters.places == [(0, offset) for offset in reversed(range(20))]
    assert home.committed(0) == 20


def test_while_dead_letters_fail_nothing_is_committed_past_them() -> None:
    home = house(max_poll_seconds=5.0)
    home.publish(0, events=2)
    garbage = home.garbage(0)
    home.publish(0, events=2)
    home.publish(1, events=5)
    home.dead_letters.failing = "NOT_ENOUGH_REPLICAS"

    home.run(600)

    assert home.committed(0) == garbage[1]
    assert home.committed(1) == 5
    assert len(home.meta.accepted) == 9
    assert home.letters.failing == "NOT_ENOUGH_REPLICAS"
    said = home.lines.named("dead letters cannot be written; nothing is committed past them")
    assert len(said) == 1
    failures = home.metric("conversions_dead_letter_failures_total", writing="failed")
    assert failures == len(home.dead_letters.produced)
    assert 60 <= len(home.dead_letters.produced) <= 130, "tried again, but not without a pause"

    home.dead_letters.failing = None
    home.settle_all()

    assert home.dead_letters.places == [garbage]
    assert home.committed(0) == 5
    assert home.letters.failing is None


def test_a_full_queue_of_the_producer_delays_and_loses_nothing() -> None:
    home = house()
    for _ in range(50):
        home.garbage(0)
    home.dead_letters.queue_max = 7
    home.dead_letters.latency_seconds = 0.5

    home.settle_all()

    assert home.dead_letters.places == [(0, offset) for offset in range(50)]


def test_a_dead_letter_that_is_too_large_is_tried_once_more_with_few_headers() -> None:
    home = house()
    place = home.garbage(0)
    home.dead_letters.bytes_max = 300

    home.settle_all()

    full, alone, brief = home.dead_letters.produced
    assert alone == full
    assert home.dead_letters.places == [place]
    assert home.dead_letters.written == [brief]
    assert header(full, "detail") is not None
    names = {name.removeprefix("conversions.") for name, _ in brief.headers}
    assert names == {"origin", "reason", "event_id"}
    assert brief.value == full.value
    assert home.committed(0) == 1


def test_a_record_too_large_even_for_that_pauses_its_partition_only() -> None:
    home = house()
    home.publish(0, events=2)
    garbage = home.garbage(0)
    home.dead_letters.bytes_max = 50
    home.run(2)
    home.publish(0, events=5)
    others = home.publish(1, events=50)

    home.run(20)

    assert home.source.paused == {home.topic.partitions[0]}
    assert home.committed(0) == garbage[1]
    assert home.committed(1) == 50
    assert all(home.meta.accepted[place] == 1 for place in others)
    assert home.metric("conversions_paused_partitions", cause="dead_letter_too_large") == 1
    assert home.lines.named("partition paused") == [
        {"partition": "conversions.events:0", "cause": "dead_letter_too_large"}
    ]

    home.dead_letters.bytes_max = None
    home.settle_all(TOO_LARGE_AGAIN_SECONDS + 10)

    assert home.committed(0) == 8
    assert not home.source.paused


def test_dead_letters_that_fail_do_not_stop_the_delivery_of_good_events() -> None:
    home = house()
    home.dead_letters.failing = "_MSG_TIMED_OUT"
    for _ in range(10):
        home.garbage(0)
        home.publish(0, events=10)

    home.run(30)

    assert len(home.meta.accepted) == 100
    assert home.committed(0) == 0


def test_a_dead_letter_not_yet_produced_is_forgotten_with_its_tenure() -> None:
    home = house(grace_seconds=1.0)
    home.garbage(0)
    home.garbage(0)
    home.dead_letters.queue_max = 1
    home.dead_letters.silent = True
    home.run(1)
    home.source.revoke(0)
    home.run(5)
    home.dead_letters.silent = False

    home.run(30)

    assert home.dead_letters.places == [(0, 0)]
    assert len(home.letters) == 0


def test_a_failed_letter_of_a_tenure_that_is_over_is_not_produced_again() -> None:
    home = house(grace_seconds=1.0)
    home.garbage(0)
    home.dead_letters.silent = True
    home.run(1)
    home.source.revoke(0)
    home.run(3)
    home.dead_letters.silent, home.dead_letters.failing = False, "_MSG_TIMED_OUT"

    home.run(60)

    assert len(home.dead_letters.produced) == 1
    assert len(home.letters) == 0


def test_a_letter_too_large_of_a_tenure_that_is_over_pauses_nothing() -> None:
    home = house(grace_seconds=1.0)
    home.garbage(0)
    home.dead_letters.silent = True
    home.run(1)
    home.source.lose(0)
    home.run(3)
    home.dead_letters.silent, home.dead_letters.bytes_max = False, 20

    home.source.lose(1)
    home.run(3)

    assert home.letters.too_large == frozenset()

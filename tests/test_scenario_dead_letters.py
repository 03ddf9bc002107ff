"""The dead-letter topic is slow, away, or takes no record of this size. First the dead letter, then
the offset: whatever happens to the one, the other waits for it, and for it alone.
"""

from consumer.letter_box import TOO_LARGE_AGAIN_SECONDS
from consumer.model import PauseCause, Retry, RetryCause
from tests.fakes.dead_letters import header
from tests.fakes.house import CRM, SHOP, house
from tests.fakes.meta import expired_token


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


def test_a_letter_that_nobody_takes_keeps_no_destination_in_trouble_from_giving_way() -> None:
    home = house(in_flight_events=1000, window_events=100, max_poll_seconds=5.0)
    stuck = home.garbage(2)
    home.dead_letters.refused.add(stuck)
    home.run(3)
    home.meta.standing[SHOP] = Retry(RetryCause.CONNECTION, None, reached_meta=False)
    home.publish(0, events=2000, destination=SHOP)
    home.run(30)

    places = home.publish(1, events=50, destination=CRM)
    home.run(60)

    assert all(home.meta.accepted[place] == 1 for place in places)
    home.meta.standing.clear()
    home.dead_letters.refused.clear()
    home.settle_all(300)
    assert len(home.meta.accepted) == 2050
    assert home.dead_letters.places == [stuck]


def test_a_partition_with_a_letter_that_nobody_takes_does_not_go_back_to_kafka() -> None:
    home = house(in_flight_events=1000, window_events=100, max_poll_seconds=5.0)
    home.meta.standing[SHOP] = Retry(RetryCause.CONNECTION, None, reached_meta=False)
    home.publish(0, events=100, destination=SHOP)
    stuck = home.garbage(0)
    home.dead_letters.refused.add(stuck)
    home.publish(0, events=2000, destination=SHOP)
    home.run(60)
    assert not home.source.rewinds

    home.dead_letters.refused.clear()
    home.meta.standing.clear()
    home.settle_all(300)

    assert home.dead_letters.places == [stuck], "it is met once"


def test_a_partition_leaves_at_once_though_another_ones_letter_is_taken_by_nobody() -> None:
    home = house(grace_seconds=30.0)
    home.dead_letters.refused.add(home.garbage(2))
    home.meta.standing[SHOP] = expired_token()
    home.publish(0, events=5, destination=SHOP)
    home.run(10)
    began_at = home.clock.now()

    home.source.revoke(0)
    home.run(0.01)

    assert home.source.assigned == {1, 2}
    assert home.clock.now() - began_at < 5


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


# --- long trouble --------------------------------------------------------------------------------

CANNOT = "dead letters cannot be written; nothing is committed past them"
SINCE = "conversions_dead_letters_failing_since_timestamp_seconds"


def test_reading_stops_at_the_limit_while_dead_letters_fail_and_the_group_is_polled() -> None:
    home = house(in_flight_events=100, max_poll_seconds=5.0)
    for _ in range(500):
        home.garbage(0)
    home.dead_letters.failing = "TOPIC_AUTHORIZATION_FAILED"

    home.run(3600)

    assert home.ledger.open_records == len(home.letters) == 100
    assert home.source.paused == set(home.topic.partitions)
    assert home.metric("conversions_paused_partitions", cause="in_flight") == 3
    assert home.metric("conversions_dead_letters_waiting") == 100
    assert home.committed(0) == 0

    home.dead_letters.failing = None
    home.settle_all()
    assert home.dead_letters.places == [(0, offset) for offset in range(500)]
    assert home.metric("conversions_dead_letters_waiting") == 0


def test_delivery_runs_ahead_of_a_dead_letter_that_fails_only_up_to_its_limit() -> None:
    home = house(uncommitted_records=50, in_flight_events=20)
    garbage = home.garbage(0)
    home.dead_letters.failing = "_MSG_TIMED_OUT"
    home.run(2)
    home.publish(0, events=400)
    others = home.publish(1, events=50)

    home.run(120)

    assert 50 <= sum(spot[0] == 0 for spot in home.meta.accepted) <= 75
    assert home.metric("conversions_paused_partitions", cause="uncommitted") == 1
    assert home.committed(0) == garbage[1]
    assert all(home.meta.accepted[spot] == 1 for spot in others), "the other partition goes on"

    home.dead_letters.failing = None
    home.settle_all()
    assert sum(home.meta.accepted.values()) == 450


def test_why_and_since_when_dead_letters_fail_is_told_until_they_can_be_written() -> None:
    home = house()
    home.run(10)
    home.garbage(0)
    home.garbage(1)
    began_ms = home.clock.now_ms()
    home.dead_letters.failing = "_UNKNOWN_TOPIC"
    assert f"\n{SINCE}{{" not in home.exposition, "a gauge exists only once its value is known"

    home.run(600)

    since = home.metric(SINCE, trouble="topic_missing")
    assert since is not None
    assert 0 <= since * 1000 - began_ms < 1000
    assert home.pipeline.letters_failing_since_ms == since * 1000
    assert home.lines.named(CANNOT) == [{"error": "_UNKNOWN_TOPIC", "trouble": "topic_missing"}]

    home.dead_letters.failing = "TOPIC_AUTHORIZATION_FAILED"
    home.run(600)

    assert home.metric(SINCE, trouble="topic_missing") is None
    assert home.metric(SINCE, trouble="not_allowed") == since, "it is one trouble"
    assert len(home.lines.named(CANNOT)) == 2

    home.dead_letters.failing = None
    home.settle_all()

    assert home.metric(SINCE, trouble="not_allowed") is None
    assert home.pipeline.letters_failing_since_ms is None
    assert len(home.lines.named("dead letters can be written again")) == 1


def test_a_dead_letter_without_any_report_is_trouble_before_the_client_gives_up() -> None:
    home = house()
    home.garbage(0)
    home.dead_letters.silent = True

    home.run(25)
    assert home.letters.failing is None
    home.run(10)

    assert home.letters.failing == "_TIMED_OUT"
    assert home.metric(SINCE, trouble="unanswered") is not None
    assert home.lines.named(CANNOT) == [{"error": "_TIMED_OUT", "trouble": "unanswered"}]
    assert len(home.dead_letters.produced) == 1, "it is still out"

    home.dead_letters.silent = False
    home.settle_all()
    assert home.metric(SINCE, trouble="unanswered") is None


def test_trouble_that_outlasts_the_clients_patience_many_times_loses_and_doubles_nothing() -> None:
    home = house(max_poll_seconds=10.0)
    spots = [home.garbage(number % 3) for number in range(9)]
    good = home.publish(0, events=5)
    home.dead_letters.latency_seconds = 300.0  # message.timeout.ms
    home.dead_letters.failing = "_MSG_TIMED_OUT"

    home.run(3600)

    assert home.dead_letters.written == []
    assert len(home.dead_letters.produced) == 9 * 12, "each eleven times in an hour, and once out"
    home.dead_letters.failing, home.dead_letters.latency_seconds = None, 0.0
    home.settle_all(400)
    assert sorted(home.dead_letters.places) == sorted(spots)
    assert all(home.meta.accepted[spot] == 1 for spot in good)


def test_nothing_is_spilled_while_no_dead_letter_can_be_written() -> None:
    home = house(partitions=1, in_flight_events=200)
    home.dead_letters.failing = "TOPIC_AUTHORIZATION_FAILED"
    home.garbage(0)
    home.meta.standing[SHOP] = expired_token()
    for _ in range(60):
        home.publish(0, events=5)
        home.publish(0, events=1, destination=CRM)

    home.run(900)

    assert len(home.letters) == 1, "no room is made by a dead letter that waits as well"
    del home.meta.standing[SHOP]
    home.pipeline.resume(SHOP)
    home.run(60)
    home.dead_letters.failing = None
    home.settle_all(600)
    assert sum(home.meta.accepted.values()) == 360
    assert len(home.dead_letters.written) == 1


def test_trouble_goes_with_the_partition_whose_dead_letters_failed() -> None:
    home = house(grace_seconds=1.0)
    home.garbage(0)
    home.dead_letters.failing = "_UNKNOWN_TOPIC"
    home.run(3)
    home.source.revoke(0)

    home.run(10)

    assert home.letters.failing is None
    assert home.pipeline.letters_failing_since_ms is None
    assert home.metric(SINCE, trouble="topic_missing") is None


def test_one_letter_that_is_never_taken_is_trouble_however_many_others_are() -> None:
    home = house()
    never = home.garbage(0)
    home.dead_letters.failing = "INVALID_RECORD"
    home.run(1)
    home.dead_letters.failing, home.dead_letters.refused = None, {never}
    for _ in range(20):
        home.garbage(1)
        home.run(1)
    home.run(2)

    assert home.letters.failing == "INVALID_RECORD"
    assert home.metric(SINCE, trouble="refused") is not None
    assert len(home.lines.named(CANNOT)) == 1
    assert home.committed(1) == 20
    assert home.committed(0) == 0


def test_records_too_large_are_named_once_each_and_again_when_they_come_back() -> None:
    home = house(grace_seconds=1.0)
    for partition in (0, 1):
        home.topic.publish(partition, b"x" * 2000)
    home.dead_letters.bytes_max = 1000
    home.run(60)

    told = home.lines.named("a record is too large for the dead-letter topic; its partition waits")
    assert [facts["record"] for facts in told] == [
        "conversions.events:0:0",
        "conversions.events:1:0",
    ]
    assert [str(place) for place in home.letters.too_large_records] == [f["record"] for f in told]
    assert home.lines.named(CANNOT) == []
    assert home.letters.failing is None


def test_a_pause_that_goes_on_for_another_cause_is_told() -> None:
    home = house()
    where = home.topic.partitions[0]
    schema, large = {where: PauseCause.SCHEMA}, {where: PauseCause.DEAD_LETTER_TOO_LARGE}

    home.journal.flow(schema, {})
    home.journal.flow(large, schema)
    home.journal.flow(large, large)
    home.journal.flow({}, large)

    told = [line["cause"] for line in home.lines.named("partition paused")]
    assert told == ["schema", "dead_letter_too_large"]
    assert len(home.lines.named("partition resumed")) == 1

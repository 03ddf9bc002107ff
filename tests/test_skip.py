"""One record is taken out of the way, wherever it waits: a reference to it is dead-lettered, and
only then is it committed. The auditor of the house looks at every commit.
"""

from collections import deque

import pytest

from consumer.model import MetaError, Place, Reason, Rejected, TopicPartition
from consumer.skip import Skipping, place_of, skipped_event, skipped_letter, skipped_record
from tests.fakes.dead_letters import header
from tests.fakes.events import NOW_MS, TOPIC, a_record, an_event
from tests.fakes.house import SHOP, FakeHouse, house
from tests.fakes.kafka import Place as Spot
from tests.fakes.meta import expired_token, outage, refusal
from tests.fakes.schemas import LATE_SCHEMA_ID, event_plan

EVENTS = TopicPartition(TOPIC, 0)
TOO_LARGE = "a record is too large for the dead-letter topic; its partition waits"


def ask(home: FakeHouse, spot: Spot) -> Skipping:
    return home.pipeline.skip(Place(home.topic.partitions[spot[0]], spot[1]))


def assert_skipped(home: FakeHouse, spot: Spot) -> None:
    """The record's only dead letter is a reference, and its partition is committed past it."""
    home.settle_all()
    (letter,) = [each for each in home.dead_letters.written if header(each, "by_reference")]
    assert home.dead_letters.places.count(spot) == 1
    assert (letter.key, letter.value) == (None, None)
    assert header(letter, "reason") == "skipped_by_operator"
    assert header(letter, "by_reference") == "true"
    assert header(letter, "event_id")
    origin = (header(letter, "origin") or "").rsplit(":", 1)[0]
    assert origin == f"{TOPIC}:{spot[0]}:{spot[1]}"
    assert home.meta.accepted[spot] == 0
    assert home.committed(spot[0]) > spot[1]


# --- how it is named, and what is said of it -----------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{TOPIC}:0:17", Place(EVENTS, 17)),
        ("a-b_C.9:12:0", Place(TopicPartition("a-b_C.9", 12), 0)),
        (f"{TOPIC}:0", None),
        (f"{TOPIC}:0:17:1760000000000", None),
        (f"{TOPIC}:-1:17", None),
        (f"{TOPIC}:0:", None),
        (f"{TOPIC}:0:17\n", None),
        (f"{TOPIC}:0:¹", None),
        ("a/../b:0:17", None),
        (":0:17", None),
        (f"{TOPIC}:0:{'1' * 19}", None),
    ],
)
def test_a_record_is_named_by_topic_partition_and_offset(text: str, found: Place | None) -> None:
    assert place_of(text) == found
    if found is not None:
        assert str(found) == text


def test_a_letter_that_is_skipped_still_says_why_it_was_rejected() -> None:
    error = MetaError(http_status=400, code=100, trace_id="Atrace")
    before = Rejected(
        record=a_record(), reason=Reason.REFUSED_BY_META, detail="no", error=error, attempts=3
    )

    after = skipped_letter(before)

    assert (after.reason, after.error, after.attempts) == (Reason.SKIPPED_BY_OPERATOR, error, 3)
    assert "refused_by_meta" in after.detail


def test_an_event_that_was_given_back_may_have_been_delivered() -> None:
    event = an_event()

    assert not skipped_event(event, first_sent_at_ms=None).maybe_delivered
    again = skipped_event(event, first_sent_at_ms=NOW_MS)
    assert (again.maybe_delivered, again.first_sent_at_ms) == (True, NOW_MS)
    assert skipped_record(a_record()).reason is Reason.SKIPPED_BY_OPERATOR


# --- every place that a record may wait in -------------------------------------------------------


def too_large(home: FakeHouse) -> Spot:
    """A record that nobody can decode, and that the dead-letter topic does not take."""
    spot = home.topic.publish(0, b"x" * 2000)
    home.dead_letters.bytes_max = 1500
    return spot


def test_a_record_too_large_for_the_dead_letters_is_skipped() -> None:
    home = house()
    spot = too_large(home)
    home.publish(0, events=3)
    home.run(3)
    assert home.letters.too_large_records == [Place(EVENTS, spot[1])]
    assert home.source.paused == {EVENTS}
    assert [facts["record"] for facts in home.lines.named(TOO_LARGE)] == [f"{TOPIC}:0:0"]

    assert ask(home, spot) is Skipping.UNDER_WAY

    assert_skipped(home, spot)
    assert not home.source.paused
    labels = {"destination": "other", "reason": "skipped_by_operator"}
    assert home.metric("conversions_dead_letters_total", **labels) == 1
    (letter,) = home.dead_letters.written
    assert "undecodable" in (header(letter, "detail") or "")


def test_a_record_that_waits_for_its_schema_is_skipped() -> None:
    home = house()
    spot, *others = home.publish(0, events=3, schema_id=LATE_SCHEMA_ID)
    home.run(2)

    assert ask(home, spot) is Skipping.UNDER_WAY

    home.run(2)
    assert home.dead_letters.places == [spot]
    home.schemas.arrive(LATE_SCHEMA_ID, event_plan())
    assert_skipped(home, spot)
    assert set(home.meta.accepted) == set(others)


def test_the_last_record_that_waited_for_a_schema_lets_its_partition_go() -> None:
    home = house()
    (spot,) = home.publish(0, schema_id=LATE_SCHEMA_ID)
    home.run(2)
    assert home.source.paused == {EVENTS}

    ask(home, spot)
    home.publish(0, events=2)

    assert_skipped(home, spot)
    assert sum(home.meta.accepted.values()) == 2


def test_an_event_in_an_open_window_is_skipped() -> None:
    home = house()
    spots = home.publish(0, events=3)
    home.pipeline.turn()
    assert home.meta.seen == []

    assert ask(home, spots[1]) is Skipping.UNDER_WAY

    assert_skipped(home, spots[1])
    assert set(home.meta.accepted) == {spots[0], spots[2]}


def test_an_event_that_is_held_until_its_time_is_skipped() -> None:
    home = house()
    (spot,) = home.publish(0, eventTime=home.clock.now_ms() + 250_000)
    home.run(5)
    assert home.meta.seen == []

    assert ask(home, spot) is Skipping.UNDER_WAY

    home.run(1)
    assert home.dead_letters.places == [spot]
    assert_skipped(home, spot)
    assert home.meta.seen == []


def test_an_event_that_a_halted_destination_holds_is_skipped() -> None:
    home = house()
    home.meta.standing[SHOP] = expired_token()
    spots = home.publish(0, events=3)
    home.run(3)

    assert ask(home, spots[0]) is Skipping.UNDER_WAY

    home.run(3)
    assert home.committed(0) == 1
    (letter,) = home.dead_letters.written
    assert header(letter, "destination") == SHOP
    assert header(letter, "event_id") == "event-1"
    assert int(header(letter, "attempts") or 0) >= 1
    del home.meta.standing[SHOP]
    assert_skipped(home, spots[0])
    assert set(home.meta.accepted) == set(spots[1:])


def test_an_event_that_may_have_been_delivered_says_so_when_it_is_skipped() -> None:
    home = house()
    home.meta.standing[SHOP] = outage()
    (spot,) = home.publish(0)
    while not home.meta.seen or home.meta.requests_out:
        home.pipeline.turn()

    assert ask(home, spot) is Skipping.UNDER_WAY

    assert_skipped(home, spot)
    (letter,) = home.dead_letters.written
    assert header(letter, "maybe_delivered") == "true"
    assert header(letter, "first_sent_at")


def test_an_event_of_a_batch_that_is_being_isolated_is_skipped() -> None:
    home = house()
    spots = home.publish(0, events=20)
    home.meta.is_bad = lambda event: event.record.offset == spots[7][1]
    home.meta.scripted[SHOP] = deque([refusal("t"), expired_token()])
    home.meta.standing[SHOP] = expired_token()
    home.run(3)
    assert len(home.meta.seen) >= 2
    waiting = spots[7]

    assert ask(home, waiting) is Skipping.UNDER_WAY

    del home.meta.standing[SHOP]
    assert_skipped(home, waiting)
    assert home.dead_letters.places == [waiting]
    assert set(home.meta.accepted) == set(spots) - {waiting}


def test_a_record_whose_dead_letter_fails_is_skipped_when_letters_can_be_written_again() -> None:
    home = house()
    spot = home.garbage(0)
    home.dead_letters.failing = "TOPIC_AUTHORIZATION_FAILED"
    home.run(8)

    assert ask(home, spot) is Skipping.UNDER_WAY
    home.run(20)
    assert home.committed(0) == 0
    assert home.letters.failing == "TOPIC_AUTHORIZATION_FAILED"

    home.dead_letters.failing = None
    assert_skipped(home, spot)


# --- what cannot be skipped ----------------------------------------------------------------------


def test_an_event_on_its_way_to_meta_is_not_skipped() -> None:
    home = house()
    home.meta.latency_seconds = 5.0
    (spot,) = home.publish(0)
    home.run(2)

    assert ask(home, spot) is Skipping.ON_ITS_WAY

    home.settle_all()
    assert home.meta.accepted[spot] == 1
    assert home.dead_letters.produced == []
    assert ask(home, spot) is Skipping.NOT_OPEN


def test_a_dead_letter_that_is_being_written_is_not_skipped() -> None:
    home = house()
    home.dead_letters.latency_seconds = 5.0
    spot = home.garbage(0)
    home.run(2)

    assert ask(home, spot) is Skipping.BEING_WRITTEN

    home.settle_all()
    (letter,) = home.dead_letters.written
    assert header(letter, "reason") == "undecodable"


def test_what_is_settled_not_read_or_another_members_is_not_skipped() -> None:
    home = house(assigned=(0,))
    (spot,) = home.publish(0)
    home.settle_all()

    assert ask(home, spot) is Skipping.NOT_OPEN
    assert ask(home, (0, 1)) is Skipping.NOT_OPEN
    assert ask(home, (1, 0)) is Skipping.NOT_OURS
    assert home.pipeline.skip(Place(TopicPartition("other", 0), 0)) is Skipping.NOT_OURS
    home.run(5)
    assert home.dead_letters.produced == []


def test_who_asks_twice_gets_one_dead_letter() -> None:
    home = house()
    spot = too_large(home)
    home.run(3)
    home.dead_letters.latency_seconds = 3.0

    assert ask(home, spot) is Skipping.UNDER_WAY
    home.run(1)
    assert ask(home, spot) is Skipping.UNDER_WAY

    assert_skipped(home, spot)
    assert len(home.dead_letters.written) == 1
    assert ask(home, spot) is Skipping.NOT_OPEN


def test_a_skipped_record_of_a_tenure_that_ends_is_the_next_owners() -> None:
    home = house(grace_seconds=1.0)
    spot = too_large(home)
    home.run(3)
    home.dead_letters.silent = True
    ask(home, spot)
    home.run(1)
    home.source.lose(0)
    home.run(2)
    home.dead_letters.silent = False
    home.run(2)
    assert home.committed(0) == 0
    assert ask(home, spot) is Skipping.NOT_OURS

    home.source.assign(0)
    home.run(3)
    assert ask(home, spot) is Skipping.UNDER_WAY
    home.settle_all()

    # Its reference was written for both, under one origin; only the second one's was committed.
    assert home.dead_letters.places == [spot, spot]
    assert home.committed(0) == 1

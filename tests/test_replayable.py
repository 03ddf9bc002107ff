"""What can still be replayed, and until when."""

from consumer.letter import Marker, read_letter
from consumer.model import Reason
from consumer.replayable import Obstacle, Replays, obstacle_of, replay_until_ms
from tests.fakes.events import DAY_MS, NOW_MS, TOPIC, a_record
from tests.fakes.letters import a_letter, a_mark

HOUR_MS = 3_600_000


def test_a_letter_is_replayable_until_meta_would_refuse_it() -> None:
    letter = a_letter(maybe_delivered=False)
    end_ms = NOW_MS + 6 * DAY_MS

    assert replay_until_ms(letter) == end_ms
    assert obstacle_of(letter, now_ms=end_ms - 1) is None
    assert obstacle_of(letter, now_ms=end_ms) is Obstacle.EXPIRED


def test_without_an_expiry_seven_days_after_the_event_are_taken_less_a_margin() -> None:
    letter = a_letter(reason=Reason.MISSING_CURRENCY, event_time_ms=NOW_MS)

    until_ms = replay_until_ms(letter)

    assert letter.expires_at_ms is None
    assert until_ms == NOW_MS + 7 * DAY_MS - 600_000
    assert obstacle_of(letter, now_ms=until_ms) is Obstacle.EXPIRED


def test_what_has_no_time_at_all_has_no_known_obstacle() -> None:
    letter = a_letter(reason=Reason.UNDECODABLE, event_time_ms=None)

    assert replay_until_ms(letter) is None
    assert obstacle_of(letter, now_ms=NOW_MS + 100 * DAY_MS) is None


def test_what_may_be_delivered_is_safe_for_47_hours_after_its_first_sending() -> None:
    letter = a_letter(maybe_delivered=True, first_sent_at_ms=NOW_MS)
    sure = a_letter(maybe_delivered=False, first_sent_at_ms=NOW_MS)

    assert replay_until_ms(letter) == NOW_MS + 47 * HOUR_MS
    assert obstacle_of(letter, now_ms=NOW_MS + 47 * HOUR_MS - 1) is None
    assert obstacle_of(letter, now_ms=NOW_MS + 47 * HOUR_MS) is Obstacle.MAYBE_DELIVERED
    assert obstacle_of(sure, now_ms=NOW_MS + 47 * HOUR_MS) is None


def test_what_may_be_delivered_nobody_knows_when_is_not_safe() -> None:
    letter = a_letter(maybe_delivered=True, first_sent_at_ms=None)

    assert obstacle_of(letter, now_ms=NOW_MS) is Obstacle.MAYBE_DELIVERED


def test_too_old_comes_before_maybe_delivered() -> None:
    letter = a_letter(maybe_delivered=True, first_sent_at_ms=NOW_MS)

    assert obstacle_of(letter, now_ms=NOW_MS + 6 * DAY_MS) is Obstacle.EXPIRED
    assert replay_until_ms(letter) == NOW_MS + 47 * HOUR_MS


def test_a_letter_by_reference_has_nothing_to_replay() -> None:
    letter = a_letter(more=(("conversions.by_reference", b"true"),))

    assert obstacle_of(letter, now_ms=NOW_MS) is Obstacle.BY_REFERENCE


def mark(replays: str, *, offset: int = 42) -> Marker:
    found = read_letter(a_mark(f"{TOPIC}:3:{offset}:{NOW_MS}", replays))
    assert isinstance(found, Marker)
    return found


def test_a_letter_was_replayed_when_there_is_its_mark() -> None:
    replays = Replays()
    letter = a_letter()
    came_back = a_letter(
        record=a_record(partition=3, offset=42, headers=(("conversions.replays", b"1"),))
    )
    for other in (mark("2"), mark("1", offset=43)):
        replays.note(other)
    assert not replays.has(letter)

    replays.note(mark("1"))

    assert replays.has(letter)
    assert replays.has(came_back), "the mark of the second replay is there as well"


def test_what_came_back_after_a_replay_is_not_replayed_by_that() -> None:
    replays = Replays()
    replays.note(mark("1"))
    came_back = a_letter(
        record=a_record(partition=3, offset=42, headers=(("conversions.replays", b"1"),))
    )

    assert not replays.has(came_back)


def test_letters_without_an_origin_are_never_taken_for_replayed() -> None:
    replays = Replays()
    for text in ("nonsense", f"{TOPIC}:3:42:{NOW_MS}"):
        found = read_letter(a_mark(text, "1"))
        assert isinstance(found, Marker)
        replays.note(found)
    letter = read_letter(a_record(headers=(("conversions.reason", b"expired"),)))

    assert not isinstance(letter, Marker)
    assert letter.place is not None
    assert not replays.has(letter)  # type: ignore[arg-type]

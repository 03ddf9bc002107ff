"""Which dead letters are replayed, and why the others are not."""

from dataclasses import replace

import pytest

from consumer.letter import Foreign, Letter, LetterPlace, Marker, read_letter
from consumer.meta_limits import AMBIGUOUS_MS_MAX
from consumer.replay_plan import Chosen, Rules, Skipped, SkipReason, unchanged
from tests.fakes.events import DAY_MS, NOW_MS, TOPIC, a_record
from tests.fakes.letters import a_foreign, a_letter, a_mark

RULES = Rules(topic=TOPIC, max_replays=3, again=False, accept_duplicates=False)


def letter_at(offset: int, **changes: object) -> Letter:
    """A letter of its own origin, which lies at this offset."""
    origin = changes.pop("origin_offset", offset)
    assert isinstance(origin, int)
    found = a_letter(record=a_record(partition=3, offset=origin), offset=offset)
    return replace(found, **changes)  # type: ignore[arg-type]


def judged(letter: Letter, *, now_ms: int = NOW_MS, rules: Rules = RULES) -> SkipReason | None:
    found = rules.barred(letter) or rules.late(letter, now_ms=now_ms)
    return None if found is None else found.reason


def planned(
    *found: Letter | Foreign | Marker,
    again: bool = False,
    limit: int | None = None,
    skips: dict[int, SkipReason] | None = None,
) -> Chosen:
    plan = replace(RULES, again=again).plan(now_ms=NOW_MS)

    def judge(letter: Letter) -> Letter | Skipped:
        reason = (skips or {}).get(letter.place.offset)
        return letter if reason is None else Skipped(reason, "")

    for each in found:
        if isinstance(each, Marker):
            plan.note(each)
        else:
            plan.add(each, judge)
    return plan.chosen(limit=limit)


def mark_of(offset: int, replays: int = 1) -> Marker:
    found = read_letter(a_mark(f"{TOPIC}:3:{offset}:{NOW_MS}", str(replays)))
    assert isinstance(found, Marker)
    return found


def test_a_letter_that_meta_still_takes_is_replayed() -> None:
    assert judged(letter_at(1)) is None


def test_an_event_that_meta_takes_no_more_is_not() -> None:
    letter = letter_at(1, expires_at_ms=NOW_MS + DAY_MS)

    assert judged(letter, now_ms=NOW_MS + DAY_MS - 1) is None
    assert judged(letter, now_ms=NOW_MS + DAY_MS) is SkipReason.EXPIRED


@pytest.mark.parametrize("accept", [False, True])
def test_what_meta_may_have_counted_and_forgotten_is_replayed_only_if_that_is_accepted(
    accept: bool,
) -> None:
    rules = replace(RULES, accept_duplicates=accept)
    letter = letter_at(1, maybe_delivered=True, first_sent_at_ms=NOW_MS)
    forgotten_ms = NOW_MS + AMBIGUOUS_MS_MAX

    assert judged(letter, now_ms=forgotten_ms - 1, rules=rules) is None
    found = judged(letter, now_ms=forgotten_ms, rules=rules)
    assert found is (None if accept else SkipReason.MAYBE_DELIVERED)


def test_of_what_is_sent_at_any_price_the_consumer_is_not_told_when_it_was_sent_before() -> None:
    letter = letter_at(1, maybe_delivered=True, first_sent_at_ms=NOW_MS)
    accepting = replace(RULES, accept_duplicates=True)

    assert RULES.settled(letter) is letter
    assert not accepting.settled(letter).maybe_delivered


@pytest.mark.parametrize(("replays", "skip"), [(2, None), (3, SkipReason.TOO_MANY_REPLAYS)])
def test_what_came_back_often_enough_is_left(replays: int, skip: SkipReason | None) -> None:
    assert judged(letter_at(1, replays=replays)) is skip


def test_a_letter_of_another_topic_goes_only_where_it_is_sent_expressly() -> None:
    other = a_letter(record=a_record(topic="other"))

    assert judged(other) is SkipReason.OTHER_TOPIC
    assert judged(other, rules=replace(RULES, topic=None)) is None


def test_each_letter_is_planned_once_and_marks_before_or_behind_it_count() -> None:
    found = planned(letter_at(1), mark_of(1), mark_of(2), letter_at(2), letter_at(3))

    assert found.offsets == {0: {3}}
    assert found.skipped == {SkipReason.ALREADY_REPLAYED: 2}
    assert (LetterPlace(0, 3) in found, LetterPlace(0, 1) in found, LetterPlace(1, 3) in found) == (
        True,
        False,
        False,
    )


def test_again_forgets_the_marks() -> None:
    assert planned(letter_at(1), mark_of(1), again=True).offsets == {0: {1}}


@pytest.mark.parametrize("accept", [False, True])
def test_again_sends_nothing_that_was_replayed_so_long_ago_that_meta_counts_it_anew(
    accept: bool,
) -> None:
    rules = replace(RULES, again=True, accept_duplicates=accept)

    def chosen(now_ms: int) -> Chosen:
        plan = rules.plan(now_ms=now_ms)
        plan.add(letter_at(1), lambda letter: letter)
        plan.note(mark_of(1))  # of NOW_MS
        return plan.chosen(limit=None)

    assert chosen(NOW_MS + AMBIGUOUS_MS_MAX - 1).planned == 1
    late = chosen(NOW_MS + AMBIGUOUS_MS_MAX)
    assert late.planned == accept
    assert late.skipped == ({} if accept else {SkipReason.MAYBE_DELIVERED: 1})


def test_a_letter_that_came_back_is_another_one() -> None:
    back = letter_at(9, origin_offset=1, replays=1)

    found = planned(letter_at(1), mark_of(1), back)

    assert found.offsets == {0: {9}}


def test_what_a_crash_left_twice_is_replayed_once() -> None:
    found = planned(letter_at(1), letter_at(5, origin_offset=1), letter_at(2))

    assert found.offsets == {0: {1, 2}}
    assert found.skipped == {SkipReason.DUPLICATE: 1}


def test_of_two_that_are_one_the_one_that_can_be_replayed_is() -> None:
    pair = (letter_at(1), letter_at(5, origin_offset=1))

    assert planned(*pair, skips={1: SkipReason.VALUE_GONE}).offsets == {0: {5}}
    assert planned(*pair, skips={5: SkipReason.VALUE_GONE}).offsets == {0: {1}}


@pytest.mark.parametrize("which", [1, 5])
def test_of_two_that_are_one_neither_is_when_one_may_have_been_delivered(which: int) -> None:
    pair = (letter_at(1), letter_at(5, origin_offset=1))

    found = planned(*pair, skips={which: SkipReason.MAYBE_DELIVERED})

    assert found.offsets == {}
    assert found.skipped == {SkipReason.MAYBE_DELIVERED: 1, SkipReason.DUPLICATE: 1}


def test_a_limit_leaves_the_rest_and_does_not_count_what_is_skipped() -> None:
    letters = [letter_at(number) for number in range(6)]

    found = planned(*letters, mark_of(0), limit=2, skips={1: SkipReason.EXPIRED})

    assert found.offsets == {0: {2, 3}}
    assert found.planned == 2
    assert found.skipped == {
        SkipReason.ALREADY_REPLAYED: 1,
        SkipReason.EXPIRED: 1,
        SkipReason.BEYOND_LIMIT: 2,
    }
    assert found.samples == {
        None: LetterPlace(0, 2),
        SkipReason.ALREADY_REPLAYED: LetterPlace(0, 0),
        SkipReason.EXPIRED: LetterPlace(0, 1),
        SkipReason.BEYOND_LIMIT: LetterPlace(0, 4),
    }


def test_what_others_wrote_and_what_tells_no_origin_stays_where_it_is() -> None:
    found = planned(a_foreign(), letter_at(1, origin=None))

    assert found.offsets == {}
    assert found.skipped == {SkipReason.FOREIGN: 1, SkipReason.NO_ORIGIN: 1}


def test_every_reason_says_in_a_sentence_why() -> None:
    assert all(reason.says and not reason.says.endswith(".") for reason in SkipReason)
    assert len({reason.value for reason in SkipReason}) == len(SkipReason)


def test_unless_a_repair_is_asked_for_a_letter_stays_as_it_is() -> None:
    letter = letter_at(1)

    assert unchanged(letter) is letter

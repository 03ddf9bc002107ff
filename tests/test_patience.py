"""Patience: pauses before anything is refused, pauses that others have earned, and halts."""

import pytest

from consumer.model import Halted, HaltReason, MetaError
from consumer.patience import (
    POLICY_PROBE_FIRST_SECONDS,
    POLICY_PROBE_MAX_SECONDS,
    THROTTLE_FIRST_SECONDS,
    THROTTLE_SPREAD,
    OutboxState,
    Patience,
)

ERROR = MetaError(http_status=400)
POLICY = Halted(HaltReason.POLICY, ERROR)
NO_TOKEN = Halted(HaltReason.TOKEN, ERROR)
READY, THROTTLED, BACKING_OFF = OutboxState.READY, OutboxState.THROTTLED, OutboxState.BACKING_OFF


def pause_left(patience: Patience, now: float) -> float:
    """Seconds for which nothing may be sent."""
    return max(0.0, patience._open_at - now)


def patience(*, jitter: float = 1.0) -> Patience:
    return Patience(requests_max=4, jitter=lambda: jitter)


def looked(box: Patience, now: float) -> tuple[OutboxState, int]:
    """The state at that moment, and how many requests may be out."""
    box.look(now)
    return box.state, box.requests_now(now)


def is_in_trouble(box: Patience) -> bool:
    return box.trouble_since is not None


def test_a_pause_ends_by_time_alone_and_then_one_request_goes() -> None:
    box = patience()

    box.pause(100.0, 0.0)

    assert looked(box, 99.9) == (THROTTLED, 0)
    assert not is_in_trouble(box), "nothing of its own was refused"
    assert pause_left(box, 40.0) == 60.0
    assert looked(box, 100.0) == (READY, 1)
    assert pause_left(box, 100.0) == 0.0
    assert not is_in_trouble(box)


def test_recovery_is_gradual() -> None:
    box = patience()
    box.pause(10.0, 0.0)
    for allowed in (1, 2, 3, 4, 4):
        assert looked(box, 10.0) == (READY, allowed)
        box.accepted(10.0)


def test_a_pause_of_unknown_length_is_a_first_one() -> None:
    box = patience()

    box.pause(0.0, 0.0)

    assert looked(box, THROTTLE_FIRST_SECONDS - 0.1) == (THROTTLED, 0)
    assert looked(box, THROTTLE_FIRST_SECONDS) == (READY, 1)


def test_the_longer_of_two_pauses_counts() -> None:
    for first, second in ((100.0, 10.0), (10.0, 100.0)):
        box = patience()
        box.pause(first, 0.0)
        box.pause(second, 0.0)

        assert pause_left(box, 0.0) == 100.0


def test_an_answer_that_was_on_its_way_does_not_shorten_a_pause_nor_make_it_eternal() -> None:
    box = patience()
    box.pause(100.0, 0.0)

    box.accepted(1.0)

    assert looked(box, 99.0) == (THROTTLED, 0)
    assert looked(box, 100.0)[0] is READY


def test_after_a_refusal_of_its_own_it_takes_an_acceptance() -> None:
    box = patience()
    box.pause(100.0, 0.0)
    box.throttled(0.0, 1.0)

    assert looked(box, 100.0) == (THROTTLED, 1)
    box.accepted(100.0)
    assert looked(box, 100.0) == (READY, 2)


def test_a_pause_neither_ends_a_back_off_nor_a_halt() -> None:
    box = patience()
    box.failed(0.0)
    box.pause(100.0, 0.0)
    assert looked(box, 100.0) == (THROTTLED, 1)

    box = patience()
    box.halt(NO_TOKEN, 0.0)
    box.pause(100.0, 0.0)
    assert looked(box, 99.0) == (OutboxState.HALTED, 0)
    assert looked(box, 100.0) == (OutboxState.HALTED, 1)


def test_a_halt_within_a_pause_is_not_over_with_it() -> None:
    box = patience()
    box.pause(100.0, 0.0)
    box.halt(NO_TOKEN, 1.0)

    assert looked(box, 200.0) == (OutboxState.HALTED, 1)


def test_a_nudge_ends_the_wait_of_a_halt_but_not_a_pause_that_came_with_it() -> None:
    box = patience()
    box.halt(POLICY, 0.0)
    box.pause(100.0, 0.0)

    box.nudge(50.0)
    assert box.requests_now(50.0) == 0
    box.nudge(100.0)
    assert box.requests_now(100.0) == 1


def test_members_do_not_all_come_back_in_one_moment_and_none_too_early() -> None:
    lefts: list[tuple[float, float]] = []
    for jitter in (1.0, 0.5, 0.0):
        paused, throttled = patience(jitter=jitter), patience(jitter=jitter)
        paused.pause(100.0, 0.0)
        throttled.throttled(100.0, 0.0)
        lefts.append((pause_left(paused, 0.0), pause_left(throttled, 0.0)))

    longest = 100.0 * (1 + THROTTLE_SPREAD)
    assert lefts[0] == (100.0, 100.0)
    assert max(lefts[2]) == min(lefts[2]) == pytest.approx(longest)
    assert lefts[0] < lefts[1] < lefts[2]


def test_slowing_down_allows_one_request_and_grows_from_there() -> None:
    box = patience()
    box.slow_down()

    assert looked(box, 0.0) == (READY, 1)
    box.accepted(0.0)
    assert looked(box, 0.0) == (READY, 2)


def test_who_is_blocked_for_policy_is_asked_after_hours_only() -> None:
    box = patience()
    now = 0.0
    for wait in (POLICY_PROBE_FIRST_SECONDS, 7200.0, 14400.0, POLICY_PROBE_MAX_SECONDS):
        box.halt(POLICY, now)
        assert pause_left(box, now) == wait
        now += wait


def test_a_few_failures_in_a_row_are_counted_until_something_is_accepted() -> None:
    box = patience()
    now = 0.0
    for _ in range(5):
        assert not box.failed_often
        box.failed(now)
        now += 100.0

    assert box.failed_often
    box.accepted(now)
    assert not box.failed_often

"""One destination's queue: what goes out when, and what each of Meta's answers settles."""

from collections.abc import Callable
from enum import Enum, auto
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.isolate import REFUSALS_MAX
from consumer.meta_limits import AMBIGUOUS_MS_MAX
from consumer.model import (
    Accepted,
    Delivered,
    Halted,
    HaltReason,
    Incomplete,
    MetaError,
    PixelId,
    Prepared,
    Reason,
    Refused,
    Rejected,
    Request,
    Retry,
    RetryCause,
    Split,
    Throttled,
    Verdict,
)
from consumer.outbox import Outbox
from consumer.parcel_queue import LATE_EVERY, PROBE_EVENTS_MAX
from consumer.patience import OutboxState
from consumer.refused_alone import REFUSED_ALONE_MAX, REFUSED_ALONE_SECONDS
from tests.fakes.events import DAY_MS, NOW_MS, PIXEL, a_batch, a_record, an_event, some_events

REFUSED = Refused(MetaError(http_status=400, code=100, subcode=2804003, trace_id="Abad"))
TIMED_OUT = Retry(RetryCause.TIMEOUT, None, reached_meta=True)
UNREACHED = Retry(RetryCause.CONNECTION, None, reached_meta=False)
CODE_ONE = Retry(RetryCause.TRANSIENT, MetaError(http_status=500, code=1), reached_meta=True)
TOO_MUCH = Split(MetaError(http_status=413))
NO_TOKEN = Halted(HaltReason.TOKEN, MetaError(http_status=401, code=190, trace_id="Atoken"))
ACCEPTED = Accepted(trace_id="Agood")
HOUR_MS = 3600 * 1000


def throttled(seconds: float = 0.0) -> Throttled:
    return Throttled(MetaError(http_status=429), wait_seconds=seconds)


def outbox(
    *,
    requests_max: int = 8,
    isolation_requests_max: int = 100,
    is_over: Callable[[int], bool] = lambda tenure: False,
    jitter: float = 1.0,
) -> Outbox:
    return Outbox(
        destination=PixelId(PIXEL),
        requests_max=requests_max,
        isolation_requests_max=isolation_requests_max,
        is_over=is_over,
        jitter=lambda: jitter,
    )


def ids(events: tuple[Prepared, ...] | list[Prepared]) -> list[str]:
    return [event.event_id for event in events]


def settled_ids(settled: list[Delivered | Rejected]) -> list[str]:
    return [
        str(one.event.event_id if isinstance(one, Delivered) else one.event_id) for one in settled
    ]


def sent(box: Outbox, now: float = 0.0, now_ms: int = NOW_MS) -> list[Request]:
    """What goes out at this moment, when nothing may be rejected."""
    due = box.due(now, now_ms)
    assert due.rejected == []
    return due.requests


def the_one(box: Outbox, now: float = 0.0, now_ms: int = NOW_MS) -> Request:
    """The only request of this moment."""
    (request,) = sent(box, now, now_ms)
    return request


def answer_once(box: Outbox, verdict: Verdict, now: float = 0.0) -> list[Delivered | Rejected]:
    """Send the only request of this moment and answer it at once."""
    return box.answered(the_one(box, now).request_id, verdict, now)


def work_off(
    box: Outbox, bad: set[str], now: float = 0.0, refused: Refused = REFUSED
) -> tuple[list[Delivered], list[Rejected], list[Request]]:
    """Answer truthfully until nothing goes out any more."""
    delivered: list[Delivered] = []
    rejected: list[Rejected] = []
    requests: list[Request] = []
    while True:
        due = box.due(now, NOW_MS)
        rejected += due.rejected
        if not due.requests:
            return delivered, rejected, requests
        for request in due.requests:
            requests.append(request)
            verdict = refused if bad & set(ids(request.events)) else ACCEPTED
            for one in box.answered(request.request_id, verdict, now):
                if isinstance(one, Delivered):
                    delivered.append(one)
                else:
                    rejected.append(one)


def test_a_batch_is_one_request_with_its_events_in_order() -> None:
    box = outbox()
    events = some_events(5)
    box.offer(a_batch(events, batch_id="m-7"))

    request = the_one(box)

    assert request.events == tuple(events)
    assert request.batch_id == "m-7"
    assert request.key == a_batch(events).key
    assert sent(box) == []


def test_an_accepted_request_delivers_every_event_with_metas_trace_id() -> None:
    box = outbox()
    events = some_events(3)
    box.offer(a_batch(events))

    assert answer_once(box, ACCEPTED) == [Delivered(event, "Agood") for event in events]
    assert list(box.waiting()) == []


def test_no_more_requests_are_out_than_the_limit() -> None:
    box = outbox(requests_max=3)
    for number in range(5):
        box.offer(a_batch(some_events(1, prefix=f"{number}-"), batch_id=str(number)))
    requests = sent(box)
    assert [request.batch_id for request in requests] == ["0", "1", "2"]
    assert box.in_flight == 3

    box.answered(requests[1].request_id, ACCEPTED, 0.0)

    assert the_one(box).batch_id == "3"


def test_request_ids_are_never_used_twice() -> None:
    box = outbox()
    for number in range(4):
        box.offer(a_batch(some_events(8), batch_id=str(number)))

    _, _, requests = work_off(box, {"e3"})

    assert len({request.request_id for request in requests}) == len(requests)


def test_an_answer_to_an_unknown_request_settles_nothing() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1)))
    request = the_one(box)
    box.answered(request.request_id, ACCEPTED, 0.0)

    assert box.answered(request.request_id, ACCEPTED, 0.0) == []
    assert box.answered("never", REFUSED, 0.0) == []


def test_one_bad_event_of_a_thousand_costs_one_event_and_few_requests() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1000), batch_id="m-7"))

    delivered, (bad,), requests = work_off(box, {"e613"})

    assert len({one.event.event_id for one in delivered}) == len(delivered) == 999
    assert len(requests) <= 12
    assert (bad.event_id, bad.reason) == ("e613", Reason.REFUSED_BY_META)
    assert bad.error == REFUSED.error
    assert bad.batch_id == "m-7"
    assert bad.attempts >= 2
    assert bad.first_sent_at_ms == NOW_MS
    assert not bad.maybe_delivered
    assert bad.record.offset == 613


def test_a_rejected_event_tells_everything_that_its_dead_letter_says() -> None:
    box = outbox()
    event = some_events(1)[0]
    box.offer(a_batch([event]))

    assert answer_once(box, REFUSED) == [
        Rejected(
            record=event.record,
            reason=Reason.REFUSED_BY_META,
            detail="Meta refuses this event",
            destination=event.destination,
            event_name=event.event_name,
            event_id="e0",
            event_time_ms=event.event_time_ms,
            expires_at_ms=event.expires_at_ms,
            error=REFUSED.error,
            attempts=1,
            first_sent_at_ms=NOW_MS,
            batch_id="b-1",
            request_id="b-1.1",
        )
    ]


def test_an_isolation_over_its_budget_goes_behind_fresh_batches_and_still_ends() -> None:
    box = outbox(requests_max=1, isolation_requests_max=2)
    box.offer(a_batch(some_events(64), batch_id="old"))
    answer_once(box, REFUSED)
    answer_once(box, REFUSED)
    box.offer(a_batch(some_events(1, prefix="x"), batch_id="fresh"))
    within = the_one(box)
    assert within.batch_id == "old"
    box.answered(within.request_id, REFUSED, 0.0)

    assert the_one(box).batch_id == "fresh"
    box.answered(f"fresh.{4}", ACCEPTED, 0.0)
    delivered, rejected, _ = work_off(box, {"e0"})
    assert settled_ids([*rejected]) == ["e0"]
    assert len(delivered) == 63


def test_a_retry_sends_the_same_events_again_under_the_same_ids() -> None:
    box = outbox()
    events = some_events(3)
    box.offer(a_batch(events))
    assert answer_once(box, TIMED_OUT) == []
    assert sent(box, 0.99) == []

    again = the_one(box, 1.0)

    assert again.events == tuple(events)
    assert len(box.answered(again.request_id, ACCEPTED, 1.0)) == 3


def test_retries_back_off_twofold_up_to_a_minute_and_start_afresh_after_success() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1)))
    now = 0.0
    for wait in (1, 2, 4, 8, 16, 32, 60, 60, 60):
        answer_once(box, TIMED_OUT, now)
        assert box.state is OutboxState.BACKING_OFF
        assert sent(box, now + wait - 0.01) == []
        now += wait
    assert len(answer_once(box, ACCEPTED, now)) == 1
    assert box.state is OutboxState.READY

    box.offer(a_batch(some_events(1)))
    answer_once(box, TIMED_OUT, now)
    assert len(sent(box, now + 1.0)) == 1


def test_the_wait_before_a_retry_is_drawn_by_lot() -> None:
    box = outbox(jitter=0.25)
    box.offer(a_batch(some_events(1)))
    answer_once(box, TIMED_OUT)

    assert sent(box, 0.24) == []
    assert len(sent(box, 0.25)) == 1


def test_requests_that_fail_together_are_one_failure() -> None:
    box = outbox(requests_max=4)
    for number in range(4):
        box.offer(a_batch(some_events(1), batch_id=str(number)))
    for request in sent(box):
        box.answered(request.request_id, TIMED_OUT, 0.0)

    assert sent(box, 0.99) == []
    assert len(sent(box, 1.0)) == 1


def test_after_a_failure_one_request_goes_at_a_time_and_each_success_allows_one_more() -> None:
    box = outbox(requests_max=4)
    for number in range(8):
        box.offer(a_batch(some_events(1), batch_id=str(number)))
    requests = sent(box)
    box.answered(requests[0].request_id, TIMED_OUT, 0.0)
    for request in requests[1:]:
        box.answered(request.request_id, TIMED_OUT, 0.0)
    first = the_one(box, 1.0)
    assert sent(box, 1.0) == []

    box.answered(first.request_id, ACCEPTED, 1.0)

    assert len(sent(box, 1.0)) == 2


def test_a_throttle_waits_a_minute_and_twice_as_long_each_time_up_to_a_quarter_of_an_hour() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1)))
    now = 0.0
    for wait in (60, 120, 240, 480, 900, 900):
        assert answer_once(box, throttled(), now) == []
        assert box.state is OutboxState.THROTTLED
        assert sent(box, now + wait - 0.01) == []
        now += wait
    assert len(answer_once(box, ACCEPTED, now)) == 1


def test_a_throttle_waits_at_least_as_long_as_meta_asks() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1)))
    answer_once(box, throttled(3600))

    assert sent(box, 3599.9) == []
    assert len(sent(box, 3600.0)) == 1


def test_the_longer_of_two_waits_that_meta_asks_for_counts() -> None:
    for waits in ((0.0, 600.0), (600.0, 0.0)):
        box = outbox(requests_max=2)
        for number in range(2):
            box.offer(a_batch(some_events(1), batch_id=str(number)))
        for request, wait in zip(sent(box), waits, strict=True):
            box.answered(request.request_id, throttled(wait), 0.0)

        assert sent(box, 599.0) == []
        assert len(sent(box, 600.0)) == 1


@pytest.mark.parametrize(
    "late", [TIMED_OUT, ACCEPTED, REFUSED, NO_TOKEN], ids=lambda verdict: type(verdict).__name__
)
def test_an_answer_that_comes_during_a_throttle_does_not_shorten_it(late: Verdict) -> None:
    box = outbox(requests_max=2)
    for number in range(3):
        box.offer(a_batch(some_events(1), batch_id=str(number)))
    first, second = sent(box)
    box.answered(first.request_id, throttled(600), 0.0)

    box.answered(second.request_id, late, 0.0)

    assert not box.can_progress
    for now in (1.0, 5.0, 599.0):
        assert sent(box, now) == []
    assert len(sent(box, 600.0)) == 1


@pytest.mark.parametrize(
    "late", [TIMED_OUT, ACCEPTED, REFUSED, NO_TOKEN], ids=lambda verdict: type(verdict).__name__
)
def test_a_late_answer_does_not_let_a_nudge_end_a_throttle(late: Verdict) -> None:
    box = outbox(requests_max=2)
    for number in range(3):
        box.offer(a_batch(some_events(1), batch_id=str(number)))
    first, second = sent(box)
    box.answered(first.request_id, throttled(600), 0.0)
    box.answered(second.request_id, late, 0.0)

    box.nudge(1.0)

    assert sent(box, 1.0) == []


def test_a_nudge_ends_a_back_off_and_a_halt_but_never_a_throttle() -> None:
    for verdict, opens in ((TIMED_OUT, 1), (NO_TOKEN, 1), (throttled(), 0)):
        box = outbox()
        box.offer(a_batch(some_events(1)))
        answer_once(box, verdict)
        assert sent(box, 0.5) == []

        box.nudge(0.5)

        assert len(sent(box, 0.5)) == opens


def test_a_halted_destination_probes_with_a_small_batch_ever_more_rarely() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1000)))
    now = 0.0
    assert answer_once(box, NO_TOKEN, now) == []
    for wait in (5, 10, 20, 40, 80, 160, 300, 300):
        assert sent(box, now + wait - 0.01) == []
        now += wait
        probe = the_one(box, now)
        assert ids(probe.events) == [f"e{number}" for number in range(PROBE_EVENTS_MAX)]
        assert sent(box, now) == []
        assert box.answered(probe.request_id, NO_TOKEN, now) == []
    assert (box.state, box.halted, box.trouble_since) == (OutboxState.HALTED, NO_TOKEN, 0.0)
    assert len(list(box.waiting())) == 1000


def test_a_probe_in_the_middle_of_an_isolation_is_a_small_batch_too() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1000)))
    answer_once(box, REFUSED)
    answer_once(box, NO_TOKEN)

    assert len(the_one(box, 5.0).events) == PROBE_EVENTS_MAX
    assert len(list(box.waiting())) == 1000


def test_a_halt_in_the_middle_of_an_isolation_forgets_nothing_of_what_was_proved() -> None:
    box = outbox()
    box.offer(a_batch(some_events(8)))
    answer_once(box, REFUSED)
    trial = the_one(box)
    box.answered(trial.request_id, NO_TOKEN, 0.0)

    assert the_one(box, 5.0).events == trial.events


def test_an_accepted_probe_opens_the_destination_and_the_rest_follows_in_order() -> None:
    box = outbox()
    box.offer(a_batch(some_events(15)))
    answer_once(box, NO_TOKEN)

    assert settled_ids(answer_once(box, ACCEPTED, 5.0)) == [f"e{number}" for number in range(10)]

    assert (box.state, box.halted, box.trouble_since) == (OutboxState.READY, None, None)
    assert ids(the_one(box, 5.0).events) == ["e10", "e11", "e12", "e13", "e14"]


def test_a_refused_probe_shows_that_meta_judges_events_again() -> None:
    box = outbox()
    box.offer(a_batch(some_events(15)))
    answer_once(box, NO_TOKEN)

    assert answer_once(box, REFUSED, 5.0) == []

    assert (box.state, box.halted) == (OutboxState.READY, None)
    assert the_one(box, 5.0).isolating


def test_requests_that_halt_together_are_one_halt() -> None:
    box = outbox(requests_max=4)
    for number in range(4):
        box.offer(a_batch(some_events(3), batch_id=str(number)))
    for request in sent(box):
        box.answered(request.request_id, NO_TOKEN, 0.0)

    assert sent(box, 4.99) == []
    assert len(the_one(box, 5.0).events) == 3


def test_a_halted_destination_stays_halted_through_a_failing_probe() -> None:
    box = outbox()
    box.offer(a_batch(some_events(5)))
    answer_once(box, NO_TOKEN)

    answer_once(box, TIMED_OUT, 5.0)

    assert (box.state, box.halted) == (OutboxState.HALTED, NO_TOKEN)
    assert len(list(box.waiting())) == 5


def test_after_eleven_events_refused_alone_the_destination_halts_and_the_rest_is_held() -> None:
    box = outbox(requests_max=1)
    everything = {f"e{number}" for number in range(200)}
    box.offer(a_batch(some_events(200)))

    delivered, rejected, requests = work_off(box, everything)

    assert (delivered, rejected) == ([], [])
    assert box.halted == Halted(HaltReason.EVERY_EVENT_REFUSED, REFUSED.error)
    sizes = [len(request.events) for request in requests]
    assert sizes[REFUSALS_MAX:] == [1] * REFUSED_ALONE_MAX
    held = set(ids(list(box.waiting())))
    assert held == everything, "also those that were refused alone"
    now = 0.0
    for _ in range(30):
        now += 300.0
        probe = the_one(box, now)
        assert len(probe.events) == 1
        assert box.answered(probe.request_id, REFUSED, now) == []
    assert set(ids(list(box.waiting()))) == held


RARE_KEY = Refused(MetaError(http_status=400, code=100, subcode=2804019, trace_id="Arare"))


def with_a_rare_key(event: Prepared) -> Prepared:
    return event._replace(body=b'{"custom_data":{"a_key_of_our_own":1}}')


def test_batches_side_by_side_whose_bad_events_a_rule_knows_do_not_halt_the_destination() -> None:
    box = outbox(requests_max=8)
    bad: set[str] = set()
    for letter in "abcdef":
        events = some_events(200, prefix=letter)
        marked = [with_a_rare_key(event) for event in events[:10]]
        bad |= set(ids(marked))
        box.offer(a_batch([*marked, *events[10:]], batch_id=letter))

    delivered, rejected, requests = work_off(box, bad, refused=RARE_KEY)

    assert sum(len(request.events) == 1 for request in requests[:50]) > REFUSED_ALONE_MAX
    assert box.halted is None
    assert {one.event_id for one in rejected} == bad
    assert len(delivered) == 6 * 190


def test_a_rule_that_marks_some_hides_no_destination_that_refuses_every_event() -> None:
    box = outbox(requests_max=8)
    everything: set[str] = set()
    for letter in "abcdef":
        events = some_events(200, prefix=letter)
        everything |= set(ids(events))
        marked = [with_a_rare_key(event) for event in events[:100]]
        box.offer(a_batch([*marked, *events[100:]], batch_id=letter))

    delivered, rejected, _ = work_off(box, everything, refused=RARE_KEY)

    assert (delivered, rejected) == ([], [])
    assert box.halted == Halted(HaltReason.EVERY_EVENT_REFUSED, RARE_KEY.error)
    assert set(ids(list(box.waiting()))) == everything


def test_batches_of_one_that_are_all_refused_halt_the_destination_too() -> None:
    box = outbox(requests_max=8)
    events = some_events(30)
    for event in events:
        box.offer(a_batch([event], batch_id=event.event_id))

    _, rejected, _ = work_off(box, set(ids(events)))

    assert len(rejected) == 10
    assert box.halted is not None
    assert box.halted.reason is HaltReason.EVERY_EVENT_REFUSED
    assert len(list(box.waiting())) == 20


def test_one_event_refused_over_and_over_is_not_every_event() -> None:
    box = outbox()
    for number in range(30):
        box.offer(a_batch([an_event(event_id="the same")], batch_id=str(number)))

    _, rejected, _ = work_off(box, {"the same"})

    assert len(rejected) == 30
    assert box.halted is None


def test_an_accepted_event_in_between_shows_that_it_is_the_events() -> None:
    box = outbox(requests_max=1)
    for number in range(60):
        box.offer(a_batch(some_events(1, prefix=f"{number}-"), batch_id=str(number)))
    bad = {f"{number}-0" for number in range(60) if number % 10}

    delivered, rejected, _ = work_off(box, bad)

    assert (len(delivered), len(rejected), box.halted) == (6, 54, None)


def test_a_destination_that_refused_everything_recovers_with_the_first_accepted_probe() -> None:
    box = outbox(requests_max=1)
    box.offer(a_batch(some_events(40)))
    _, refused, _ = work_off(box, {f"e{number}" for number in range(40)})

    delivered, rejected, _ = work_off(box, set(), now=5.0)

    assert box.halted is None
    assert rejected == []
    assert len(delivered) == 40 - len(refused)


def test_while_everything_is_refused_each_probe_tries_another_event_of_another_partition() -> None:
    box = outbox(requests_max=1)
    for partition, name in enumerate(("x", "y")):
        box.offer(a_batch(some_events(12, prefix=name, partition=partition), batch_id=name))
    everything = {f"{name}{number}" for name in ("x", "y") for number in range(12)}
    _, _, requests = work_off(box, everything)
    tried = {event.event_id for r in requests if len(r.events) == 1 for event in r.events}
    (batch_tried,) = {name[0] for name in tried}
    assert len(tried) == REFUSED_ALONE_MAX
    probed: list[Prepared] = []
    for turn in range(1, 25):
        probe = the_one(box, turn * 300.0)
        probed += probe.events
        assert box.answered(probe.request_id, REFUSED, turn * 300.0) == []

    names = ids(probed)
    assert len(names) == 24
    assert set(names[:13]) == everything - tried, "first those that were not tried"
    assert names[0][0] != batch_tried, "of the partition that was not tried at all"
    assert set(names) == everything
    assert box.halted is not None


def test_while_everything_is_refused_the_probes_change_between_partitions() -> None:
    box = outbox(requests_max=1)
    for partition, name in enumerate(("x", "y")):
        box.offer(a_batch(some_events(40, prefix=name, partition=partition), batch_id=name))
    work_off(box, {f"{name}{number}" for name in ("x", "y") for number in range(40)})
    probed: list[int] = []
    for turn in range(1, 9):
        probe = the_one(box, turn * 300.0)
        probed += [event.record.partition.partition for event in probe.events]
        box.answered(probe.request_id, REFUSED, turn * 300.0)

    assert all(one != other for one, other in pairwise(probed))


def test_a_halt_for_refusing_everything_ends_by_hand_and_tries_at_once() -> None:
    box = outbox(requests_max=1)
    box.offer(a_batch(some_events(40)))
    work_off(box, {f"e{number}" for number in range(40)})
    assert sent(box, 1.0) == []

    box.resume(1.0)
    delivered, rejected, _ = work_off(box, set(), now=1.0)

    assert (box.state, box.halted, box.trouble_since) == (OutboxState.READY, None, None)
    assert (len(delivered), rejected) == (40, [])


def test_what_was_refused_before_a_halt_was_ended_by_hand_does_not_count_after_it() -> None:
    box = outbox(requests_max=1)
    for event in some_events(12):
        box.offer(a_batch([event], batch_id=event.event_id))
    work_off(box, {f"e{number}" for number in range(12)})

    box.resume(1.0)
    _, rejected, _ = work_off(box, {f"e{number}" for number in range(12)}, now=1.0)

    assert len(rejected) == 2
    assert box.halted is None


def test_a_throttle_outlasts_the_end_of_a_halt_by_hand() -> None:
    box = outbox(requests_max=2)
    for number in range(2):
        box.offer(a_batch(some_events(1), batch_id=str(number)))
    first, second = sent(box)
    box.answered(first.request_id, throttled(600), 0.0)
    box.answered(second.request_id, NO_TOKEN, 0.0)

    box.resume(1.0)

    assert (box.state, box.halted) == (OutboxState.THROTTLED, None)
    assert sent(box, 599.0) == []
    assert len(sent(box, 600.0)) == 1


def test_a_pixel_that_sends_one_bad_event_a_day_is_not_taken_for_one_that_refuses_everything() -> (
    None
):
    box = outbox()
    for day in range(30):
        now = day * (REFUSED_ALONE_SECONDS + 1.0)
        box.offer(a_batch([an_event(event_id=f"day {day}")], batch_id=str(day)))
        assert len(answer_once(box, REFUSED, now)) == 1

    assert box.halted is None


def test_small_batches_with_a_bad_event_each_are_not_taken_for_nothing_but_bad_ones() -> None:
    box = outbox(requests_max=1)
    for number in range(40):
        box.offer(a_batch(some_events(3, prefix=f"{number}-"), batch_id=str(number)))

    delivered, rejected, _ = work_off(box, {f"{number}-1" for number in range(40)})

    assert (len(delivered), len(rejected), box.halted) == (80, 40, None)


def test_half_of_a_batch_that_is_bad_is_dead_lettered_and_halts_nothing() -> None:
    box = outbox(requests_max=1, isolation_requests_max=10_000)
    box.offer(a_batch(some_events(200)))
    bad = {f"e{number}" for number in range(0, 200, 2)}

    delivered, rejected, _ = work_off(box, bad)

    assert set(settled_ids([*rejected])) == bad
    assert (len(delivered), box.halted) == (100, None)


def test_a_deploy_in_the_middle_of_a_batch_halts_and_holds_what_was_refused_since() -> None:
    box = outbox(requests_max=1, isolation_requests_max=10_000)
    box.offer(a_batch(some_events(100)))
    accepted = 0
    while box.halted is None:
        request = the_one(box)
        if len(request.events) < 100 and accepted < 3:
            accepted += 1
            box.answered(request.request_id, ACCEPTED, 0.0)
        else:
            assert box.answered(request.request_id, REFUSED, 0.0) == []

    assert box.halted.reason is HaltReason.EVERY_EVENT_REFUSED


@pytest.mark.parametrize(
    "verdict",
    [TIMED_OUT, CODE_ONE, throttled(), NO_TOKEN, REFUSED, TOO_MUCH, Incomplete(0, None)],
    ids=lambda verdict: type(verdict).__name__,
)
def test_what_is_in_flight_when_its_tenure_ends_is_not_sent_again_nor_rejected(
    verdict: Verdict,
) -> None:
    over: set[int] = set()
    box = outbox(is_over=over.__contains__)
    box.offer(a_batch(some_events(4, tenure=1)))
    request = the_one(box)
    over.add(1)
    box.forget()

    assert box.answered(request.request_id, verdict, 0.0) == []

    assert sent(box, 10_000.0) == []
    assert list(box.waiting()) == []
    assert not box.can_progress


def test_what_is_queued_when_its_tenure_ends_is_dropped_and_its_neighbours_go_on() -> None:
    over: set[int] = set()
    box = outbox(is_over=over.__contains__, requests_max=1)
    box.offer(a_batch([*some_events(2, prefix="a", tenure=1), *some_events(2, tenure=2)]))
    over.add(1)
    box.forget()

    assert ids(list(box.waiting())) == ["e0", "e1"]
    assert ids(the_one(box).events) == ["e0", "e1"]


def test_a_tenure_that_ends_in_the_middle_of_an_isolation_never_makes_a_good_event_bad() -> None:
    over: set[int] = set()
    box = outbox(is_over=over.__contains__)
    events = [
        an_event(event_id="bad", record=a_record(offset=0, tenure=1)),
        an_event(event_id="good", record=a_record(offset=1, tenure=2)),
    ]
    box.offer(a_batch(events))
    request = the_one(box)
    over.add(1)
    box.forget()
    assert box.answered(request.request_id, REFUSED, 0.0) == []

    assert settled_ids(answer_once(box, ACCEPTED)) == ["good"]


def two_tenures(over: set[int]) -> Outbox:
    """One batch of an event of tenure 1, ``gone``, and one of tenure 2, ``live``."""
    box = outbox(is_over=over.__contains__)
    box.offer(
        a_batch(
            [
                an_event(event_id="gone", record=a_record(offset=0, tenure=1)),
                an_event(event_id="live", record=a_record(offset=1, tenure=2)),
            ]
        )
    )
    return box


@pytest.mark.parametrize(
    "verdicts",
    [
        [REFUSED],
        [TOO_MUCH],
        [TIMED_OUT, TOO_MUCH],
        [CODE_ONE, CODE_ONE],
        [Incomplete(1, None), Incomplete(1, None)],
    ],
    ids=lambda verdicts: "-".join(type(verdict).__name__ for verdict in verdicts),
)
def test_an_event_whose_neighbour_leaves_is_neither_lost_nor_judged_as_if_it_had_been_alone(
    verdicts: list[Verdict],
) -> None:
    over: set[int] = set()
    box = two_tenures(over)
    for verdict in verdicts[:-1]:
        answer_once(box, verdict)
    request = the_one(box, 1.0)
    assert ids(request.events) == ["gone", "live"]
    over.add(1)
    box.forget()

    assert box.answered(request.request_id, verdicts[-1], 1.0) == []

    assert ids(list(box.waiting())) == ["live"]
    assert settled_ids(answer_once(box, ACCEPTED, 1000.0)) == ["live"]


def test_an_event_that_became_too_old_while_it_waited_is_not_sent() -> None:
    box = outbox()
    young = an_event(event_id="young", expires_at_ms=NOW_MS + 1)
    old = an_event(event_id="old", expires_at_ms=NOW_MS)
    box.offer(a_batch([old, young]))

    due = box.due(0.0, NOW_MS)

    assert [(one.event_id, one.reason) for one in due.rejected] == [("old", Reason.EXPIRED)]
    assert due.rejected[0].attempts == 0
    assert [ids(request.events) for request in due.requests] == [["young"]]


def test_a_batch_that_is_too_old_altogether_makes_no_request() -> None:
    box = outbox()
    box.offer(a_batch([an_event(expires_at_ms=NOW_MS)]))

    due = box.due(0.0, NOW_MS)

    assert (len(due.rejected), due.requests) == (1, [])
    assert list(box.waiting()) == []


def test_what_grows_too_old_behind_a_halt_is_found_without_being_sent() -> None:
    box = outbox()
    box.offer(a_batch(some_events(3)))
    answer_once(box, NO_TOKEN)
    assert box.overdue(NOW_MS) == []

    expired = box.overdue(NOW_MS + 7 * DAY_MS)

    assert [one.reason for one in expired] == [Reason.EXPIRED] * 3
    assert {one.error for one in expired} == {NO_TOKEN.error}  # what held it up
    assert box.overdue(NOW_MS + 7 * DAY_MS) == []


def test_what_is_in_flight_is_not_called_too_old_before_its_answer() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1)))
    request = the_one(box)

    assert box.overdue(NOW_MS + 8 * DAY_MS) == []
    assert len(box.answered(request.request_id, ACCEPTED, 0.0)) == 1


def test_an_ambiguous_event_is_not_sent_again_later_than_47_hours_after_its_first_sending() -> None:
    assert AMBIGUOUS_MS_MAX == 47 * HOUR_MS
    box = outbox()
    box.offer(a_batch(some_events(2)))
    answer_once(box, TIMED_OUT)
    assert box.overdue(NOW_MS + AMBIGUOUS_MS_MAX) == []

    due = box.due(100.0, NOW_MS + AMBIGUOUS_MS_MAX + 1)

    assert due.requests == []
    assert [one.reason for one in due.rejected] == [Reason.OUTCOME_UNKNOWN] * 2
    assert {(one.maybe_delivered, one.first_sent_at_ms) for one in due.rejected} == {(True, NOW_MS)}


def test_the_47_hours_count_from_the_first_sending_not_the_last() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1)))
    answer_once(box, TIMED_OUT)
    again = the_one(box, 1.0, NOW_MS + 40 * HOUR_MS)
    box.answered(again.request_id, TIMED_OUT, 1.0)

    (one,) = box.overdue(NOW_MS + 48 * HOUR_MS)

    assert (one.reason, one.attempts) == (Reason.OUTCOME_UNKNOWN, 2)


@pytest.mark.parametrize("verdict", [UNREACHED, NO_TOKEN, throttled()])
def test_what_surely_did_not_reach_meta_may_be_sent_after_47_hours(verdict: Verdict) -> None:
    box = outbox()
    box.offer(a_batch(some_events(1)))
    answer_once(box, verdict)

    assert box.overdue(NOW_MS + 48 * HOUR_MS) == []
    assert len(sent(box, 10_000.0, NOW_MS + 48 * HOUR_MS)) == 1


@pytest.mark.parametrize("before", [UNREACHED, NO_TOKEN, throttled()])
def test_the_47_hours_count_from_the_first_request_that_may_have_counted(before: Verdict) -> None:
    box = outbox()
    box.offer(a_batch(some_events(1)))
    answer_once(box, before)
    later = NOW_MS + 48 * HOUR_MS
    request = the_one(box, 1000.0, later)
    box.answered(request.request_id, TIMED_OUT, 1000.0)

    assert box.overdue(later + AMBIGUOUS_MS_MAX) == []
    (one,) = box.overdue(later + AMBIGUOUS_MS_MAX + 1)

    assert (one.reason, one.first_sent_at_ms, one.attempts) == (Reason.OUTCOME_UNKNOWN, later, 2)


@pytest.mark.parametrize(
    ("verdict", "counted"),
    [
        (TIMED_OUT, True),
        (CODE_ONE, True),
        (REFUSED, True),
        (TOO_MUCH, True),
        (Incomplete(1, None), True),
        (UNREACHED, False),
        (throttled(), False),
        (NO_TOKEN, False),
    ],
)
def test_an_event_was_first_sent_when_meta_may_first_have_looked_at_it(
    verdict: Verdict, counted: bool
) -> None:
    box = outbox()
    box.offer(a_batch(some_events(2)))
    answer_once(box, verdict)

    rejected = box.overdue(NOW_MS + 8 * DAY_MS)

    first = NOW_MS if counted else None
    assert [(one.first_sent_at_ms, one.attempts) for one in rejected] == [(first, 1)] * 2


def test_what_was_never_sent_has_no_request_and_no_time_of_sending() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1)))

    (one,) = box.overdue(NOW_MS + 8 * DAY_MS)

    assert (one.request_id, one.first_sent_at_ms, one.attempts) == (None, None, 0)


def test_a_rejected_event_names_the_last_request_that_it_was_in() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1)))
    for now in (0.0, 100.0):
        request = the_one(box, now)
        box.answered(request.request_id, TIMED_OUT, now)

    (one,) = box.overdue(NOW_MS + 8 * DAY_MS)

    assert (one.request_id, one.error) == (request.request_id, None)


@settings(deadline=None)
@given(
    turns=st.lists(
        st.tuples(
            st.sampled_from([TIMED_OUT, CODE_ONE, UNREACHED, NO_TOKEN, throttled()]),
            st.integers(0, 20),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_an_event_is_given_up_exactly_47_hours_after_it_may_first_have_counted(
    turns: list[tuple[Verdict, int]],
) -> None:
    box = outbox()
    box.offer(a_batch([an_event(expires_at_ms=NOW_MS + 365 * DAY_MS)]))
    now, now_ms = 0.0, NOW_MS
    first: int | None = None
    for verdict, hours in turns:
        due = box.due(now, now_ms)
        if first is not None and now_ms - first > AMBIGUOUS_MS_MAX:
            (one,) = due.rejected
            assert due.requests == []
            assert (one.reason, one.first_sent_at_ms) == (Reason.OUTCOME_UNKNOWN, first)
            return
        assert due.rejected == []
        (request,) = due.requests
        box.answered(request.request_id, verdict, now)
        if first is None and isinstance(verdict, Retry) and verdict.reached_meta:
            first = now_ms
        now, now_ms = now + 1000.0, now_ms + hours * HOUR_MS
    if first is None:
        assert box.overdue(now_ms + 100 * DAY_MS) == []
    else:
        assert box.overdue(first + AMBIGUOUS_MS_MAX) == []
        assert [one.first_sent_at_ms for one in box.overdue(first + AMBIGUOUS_MS_MAX + 1)] == [
            first
        ]


def test_one_ambiguous_answer_is_not_forgotten_for_a_clear_one_afterwards() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1)))
    answer_once(box, TIMED_OUT)
    answer_once(box, UNREACHED, 1.0)

    (one,) = box.overdue(NOW_MS + 48 * HOUR_MS)

    assert one.reason is Reason.OUTCOME_UNKNOWN


def test_the_same_code_one_twice_splits_the_request() -> None:
    box = outbox()
    box.offer(a_batch(some_events(5)))
    answer_once(box, CODE_ONE)
    again = the_one(box, 1.0)
    assert len(again.events) == 5
    box.answered(again.request_id, CODE_ONE, 1.0)

    first = the_one(box, 3.0)
    assert box.answered(first.request_id, ACCEPTED, 3.0)
    second = the_one(box, 3.0)

    assert (ids(first.events), ids(second.events)) == (["e0", "e1"], ["e2", "e3", "e4"])


def test_code_one_for_a_single_event_is_only_ever_tried_again() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1)))
    for turn in range(10):
        assert answer_once(box, CODE_ONE, turn * 60.0) == []

    assert ids(the_one(box, 600.0).events) == ["e0"]


def test_other_failures_never_split_a_request() -> None:
    box = outbox()
    box.offer(a_batch(some_events(5)))
    for turn in range(5):
        answer_once(box, TIMED_OUT, turn * 60.0)

    assert len(the_one(box, 600.0).events) == 5


def test_a_request_that_is_too_much_goes_in_halves_in_order() -> None:
    box = outbox()
    box.offer(a_batch(some_events(5)))
    assert answer_once(box, TOO_MUCH) == []

    requests = sent(box)

    assert [ids(request.events) for request in requests] == [["e0", "e1"], ["e2", "e3", "e4"]]
    assert len({request.request_id for request in requests}) == 2


def test_a_single_event_that_is_too_much_is_refused() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1)))

    (one,) = answer_once(box, TOO_MUCH)

    assert isinstance(one, Rejected)
    assert (one.reason, one.error) == (Reason.REFUSED_BY_META, TOO_MUCH.error)


def test_events_that_meta_did_not_count_go_once_more_then_apart_down_to_the_missing_one() -> None:
    box = outbox()
    box.offer(a_batch(some_events(8)))
    whole = 0
    delivered: list[str] = []
    missing: list[Rejected] = []
    while requests := sent(box):
        for request in requests:
            names = ids(request.events)
            whole += len(names) == 8
            verdict: Verdict = ACCEPTED
            if "e5" in names:
                verdict = Incomplete(received=len(names) - 1, trace_id="Ashort")
            for one in box.answered(request.request_id, verdict, 0.0):
                if isinstance(one, Delivered):
                    delivered.append(one.event.event_id)
                else:
                    missing.append(one)

    assert whole == 2
    assert sorted(delivered) == [f"e{number}" for number in range(8) if number != 5]
    (one,) = missing
    assert (one.event_id, one.reason, one.maybe_delivered) == ("e5", Reason.NOT_RECEIVED, True)
    assert one.error == MetaError(http_status=200, trace_id="Ashort")


def test_a_request_that_was_not_counted_waits_behind_what_was_not_sent_yet() -> None:
    box = outbox(requests_max=1)
    box.offer(a_batch(some_events(2), batch_id="first"))
    box.offer(a_batch(some_events(2), batch_id="second"))
    answer_once(box, Incomplete(1, None))

    assert the_one(box).batch_id == "second"


def test_what_was_not_counted_is_ambiguous() -> None:
    box = outbox()
    box.offer(a_batch(some_events(2)))
    answer_once(box, Incomplete(1, None))

    assert [one.reason for one in box.overdue(NOW_MS + 48 * HOUR_MS)] == [
        Reason.OUTCOME_UNKNOWN
    ] * 2


def test_a_halted_destination_gives_up_its_oldest_events_and_only_the_marked_ones() -> None:
    box = outbox()
    box.offer(a_batch(some_events(4, prefix="a"), batch_id="a"))
    box.offer(a_batch(some_events(4, prefix="b", partition=1), batch_id="b"))
    for request in sent(box):
        box.answered(request.request_id, NO_TOKEN, 0.0)
    box.offer(a_batch(some_events(4, prefix="c"), batch_id="c"))

    spilled = box.spill(6, lambda event: event.record.partition.partition == 0)

    assert len(spilled) == 6
    assert {str(one.event_id)[0] for one in spilled} == {"a", "c"}
    assert {one.reason for one in spilled} == {Reason.DESTINATION_HALTED}
    assert {one.error for one in spilled} == {NO_TOKEN.error}
    assert "token" in spilled[0].detail
    left = ids(list(box.waiting()))
    assert not set(left) & {one.event_id for one in spilled}
    assert len(left) == 6


def test_events_that_are_in_flight_are_not_spilled() -> None:
    box = outbox()
    box.offer(a_batch(some_events(13)))
    answer_once(box, NO_TOKEN)
    probe = the_one(box, 5.0)

    spilled = box.spill(100, lambda event: True)

    assert [one.event_id for one in spilled] == ["e10", "e11", "e12"]
    assert len(box.answered(probe.request_id, ACCEPTED, 5.0)) == 10


def test_what_is_spilled_of_a_destination_that_is_not_halted_names_its_trouble() -> None:
    box = outbox()
    box.offer(a_batch(some_events(2)))
    answer_once(box, throttled(600))

    (spilled,) = box.spill(1, lambda event: True)

    assert spilled.reason is Reason.DESTINATION_HALTED
    assert "throttled" in spilled.detail


@pytest.mark.parametrize(
    ("verdict", "worth_waiting"),
    [(TIMED_OUT, True), (REFUSED, True), (NO_TOKEN, False), (throttled(), False)],
    ids=lambda value: type(value).__name__,
)
def test_a_drain_waits_for_what_may_go_out_soon_only(verdict: Verdict, worth_waiting: bool) -> None:
    box = outbox()
    assert not box.can_progress
    box.offer(a_batch(some_events(2)))
    assert box.can_progress
    request = the_one(box)
    assert box.can_progress

    box.answered(request.request_id, verdict, 0.0)

    assert box.can_progress is worth_waiting


def test_a_request_that_is_out_for_long_makes_the_destination_slow() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1)))
    request = the_one(box, 10.0)

    assert not box.is_slow(15.0, 5.0)
    assert box.is_slow(15.1, 5.0)
    box.answered(request.request_id, TIMED_OUT, 15.1)
    assert not box.is_slow(99.0, 5.0)


def test_an_outbox_says_what_it_is_doing_and_nothing_of_the_events() -> None:
    box = outbox()
    box.offer(a_batch([an_event(event_id="jane@example.com")]))

    assert repr(box) == f"<Outbox {PIXEL} ready: 1 ready, 0 late, 0 in flight>"
    assert "jane" not in repr(the_one(box))


class Answer(Enum):
    """How the strict Meta below answers one request."""

    TRUTHFUL = auto()
    TIMED_OUT = auto()
    UNREACHED = auto()
    CODE_ONE = auto()
    THROTTLED = auto()
    HALTED = auto()
    UNCOUNTED = auto()
    TOO_MUCH = auto()


class StrictMeta:
    """Refuses a request for one bad event in it, and watches what the outbox does meanwhile."""

    def __init__(self, *, bad: set[str], over: set[int]) -> None:
        self.bad = bad
        self.over = over
        self.out: list[Request] = []
        self.seen: set[str] = set()
        self.taken: list[str] = []

    def receive(self, requests: list[Request], box: Outbox) -> None:
        for request in requests:
            names = ids(request.events)
            busy = {name for other in self.out for name in ids(other.events)}
            assert names, "an empty request"
            assert len(set(names)) == len(names), "an event twice in one request"
            assert not busy & set(names), "an event in two requests at once"
            assert request.request_id not in self.seen, "a request id used twice"
            assert not self.over & {event.record.tenure for event in request.events}
            self.seen.add(request.request_id)
            self.out.append(request)
        assert box.in_flight == len(self.out)

    def answer(self, request: Request, answer: Answer) -> Verdict:
        self.out.remove(request)
        names = ids(request.events)
        match answer:
            case Answer.TRUTHFUL if self.bad & set(names):
                return REFUSED
            case Answer.TRUTHFUL:
                self.taken += names
                return ACCEPTED
            case Answer.TIMED_OUT:
                return TIMED_OUT
            case Answer.UNREACHED:
                return UNREACHED
            case Answer.CODE_ONE:
                return CODE_ONE
            case Answer.THROTTLED:
                return throttled()
            case Answer.HALTED:
                return NO_TOKEN
            case Answer.UNCOUNTED:
                return Incomplete(received=len(names) - 1, trace_id=None)
            case Answer.TOO_MUCH:
                return TOO_MUCH


class Course:
    """One outbox and one strict Meta, driven a turn at a time; keeps the account of fates."""

    def __init__(self, *, batches: list[list[Prepared]], bad: set[str], requests_max: int) -> None:
        self.over: set[int] = set()
        self.meta = StrictMeta(bad=bad, over=self.over)
        self.box = outbox(
            requests_max=requests_max,
            isolation_requests_max=6,
            is_over=self.over.__contains__,
        )
        self.unoffered = list(enumerate(batches))
        self.offered: dict[str, Prepared] = {}
        self.fates: dict[str, Delivered | Rejected] = {}
        self.now = 0.0

    def turn(self, *, seconds: float, answer: Answer, which: int) -> None:
        self.now += seconds
        if self.unoffered:
            number, events = self.unoffered.pop(0)
            self.offered |= {event.event_id: event for event in events}
            self.box.offer(a_batch(events, batch_id=f"b-{number}"))
        halted = self.box.halted
        due = self.box.due(self.now, NOW_MS + int(self.now * 1000))
        self.note([*due.rejected])
        if halted is not None:
            assert len(due.requests) <= 1, "a halted destination is probed with one request"
        self.meta.receive(due.requests, self.box)
        if self.meta.out:
            request = self.meta.out[which % len(self.meta.out)]
            verdict = self.meta.answer(request, answer)
            self.note(self.box.answered(request.request_id, verdict, self.now))
        self.check()

    def note(self, settled: list[Delivered | Rejected]) -> None:
        for one in settled:
            (name,) = settled_ids([one])
            assert name not in self.fates, "settled twice"
            record = one.event.record if isinstance(one, Delivered) else one.record
            assert record == self.offered[name].record
            assert not isinstance(one, Delivered) or name in self.meta.taken
            if isinstance(one, Rejected):
                assert (one.request_id is None) is (one.attempts == 0)
                assert one.request_id is None or one.request_id in self.meta.seen
            self.fates[name] = one

    def check(self) -> None:
        """Every offered event is settled exactly once or still in the outbox, never both."""
        waiting = ids(list(self.box.waiting()))
        assert len(set(waiting)) == len(waiting)
        assert not set(waiting) & set(self.fates)
        lost = set(self.offered) - set(waiting) - set(self.fates)
        assert all(self.offered[name].record.tenure in self.over for name in lost)

    def end_tenure(self, number: int) -> None:
        self.over.add(number)
        self.box.forget()

    def settle_down(self) -> None:
        """Meta is well again: everything must come to its end."""
        for _ in range(2000):
            if not self.unoffered and not self.meta.out and not list(self.box.waiting()):
                return
            self.turn(seconds=1000.0, answer=Answer.TRUTHFUL, which=0)
        raise AssertionError("the outbox does not come to an end")


def some_turns(*answers: Answer) -> st.SearchStrategy[list[tuple[float, Answer, int]]]:
    """Turns in which Meta gives one of these answers, or most often a truthful one."""
    seconds = st.sampled_from([0.0, 0.5, 5.0, 120.0])
    answer = st.sampled_from([Answer.TRUTHFUL, Answer.TRUTHFUL, *answers])
    return st.lists(st.tuples(seconds, answer, st.integers(0, 7)), max_size=40)


_SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def some_batches(sizes: list[int]) -> list[list[Prepared]]:
    """Batches of these sizes whose events take turns between the tenures 1 and 2."""
    return [
        [
            an_event(
                event_id=f"{batch}-{number}",
                record=a_record(offset=100 * batch + number, tenure=1 + number % 2),
                expires_at_ms=NOW_MS + 100 * 365 * DAY_MS,
            )
            for number in range(size)
        ]
        for batch, size in enumerate(sizes)
    ]


@settings(deadline=None, max_examples=150)
@given(data=st.data(), sizes=_SIZES, turns=some_turns(*Answer), requests_max=st.integers(1, 3))
def test_whatever_meta_answers_every_event_is_settled_once_or_still_here(
    data: st.DataObject,
    sizes: list[int],
    turns: list[tuple[float, Answer, int]],
    requests_max: int,
) -> None:
    batches = some_batches(sizes)
    names = [name for events in batches for name in ids(events)]
    bad = data.draw(st.sets(st.sampled_from(names), max_size=REFUSED_ALONE_MAX - 1))
    course = Course(batches=batches, bad=bad, requests_max=requests_max)

    for seconds, answer, which in turns:
        course.turn(seconds=seconds, answer=answer, which=which)
    course.settle_down()

    assert set(course.fates) == set(names)
    refused = {
        name
        for name, fate in course.fates.items()
        if isinstance(fate, Rejected) and fate.reason is Reason.REFUSED_BY_META
    }
    delivered = {name for name, fate in course.fates.items() if isinstance(fate, Delivered)}
    assert not delivered & bad
    if Answer.TOO_MUCH not in {answer for _, answer, _ in turns}:
        assert refused <= bad
    assert sorted(course.meta.taken) == sorted(delivered)


@settings(deadline=None, max_examples=150)
@given(
    data=st.data(),
    sizes=_SIZES,
    turns=some_turns(*Answer),
    requests_max=st.integers(1, 3),
)
def test_a_tenure_that_ends_at_any_moment_is_not_sent_again_and_takes_nothing_with_it(
    data: st.DataObject,
    sizes: list[int],
    turns: list[tuple[float, Answer, int]],
    requests_max: int,
) -> None:
    batches = some_batches(sizes)
    names = [name for events in batches for name in ids(events)]
    bad = data.draw(st.sets(st.sampled_from(names), max_size=REFUSED_ALONE_MAX - 1))
    ends_at = data.draw(st.integers(0, len(turns)))
    course = Course(batches=batches, bad=bad, requests_max=requests_max)

    for number, (seconds, answer, which) in enumerate(turns):
        if number == ends_at:
            course.end_tenure(1)
        course.turn(seconds=seconds, answer=answer, which=which)
    course.end_tenure(1)
    course.settle_down()

    live = {name for name, event in course.offered.items() if event.record.tenure == 2}
    assert live <= set(course.fates)
    refused = {
        name
        for name, fate in course.fates.items()
        if isinstance(fate, Rejected) and fate.reason is Reason.REFUSED_BY_META
    }
    if Answer.TOO_MUCH not in {answer for _, answer, _ in turns}:
        assert refused <= bad


def test_the_request_named_by_a_rejected_event_is_one_that_it_was_in() -> None:
    box = outbox()
    box.offer(a_batch(some_events(4)))
    untraced = Refused(MetaError(http_status=400, code=100))
    box.answered(the_one(box).request_id, untraced, 0.0)
    half = the_one(box)
    box.answered(half.request_id, untraced, 0.0)
    quarter = the_one(box)
    settled = box.answered(quarter.request_id, ACCEPTED, 0.0)
    (bad,) = [one for one in settled if isinstance(one, Rejected)]
    assert bad.event_id in ids(half.events)
    assert bad.event_id not in ids(quarter.events)
    assert bad.request_id == half.request_id


def test_a_bad_event_carries_the_refusal_that_was_about_it_and_no_later_trouble() -> None:
    box = outbox()
    box.offer(a_batch(some_events(4)))
    answer_once(box, REFUSED)
    answer_once(box, REFUSED)
    answer_once(box, NO_TOKEN)

    settled = answer_once(box, ACCEPTED, 5.0)

    (bad,) = [one for one in settled if isinstance(one, Rejected)]
    assert (bad.error, bad.request_id) == (REFUSED.error, "b-1.2")


def test_a_refusal_that_nothing_confirms_costs_no_event() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1000)))
    settled = answer_once(box, REFUSED)
    while box.in_flight or any(box.waiting()):
        settled += answer_once(box, ACCEPTED)

    assert all(isinstance(one, Delivered) for one in settled)
    assert len(settled) == 1000


def test_a_request_too_large_for_a_proxy_halts_before_the_topic_is_flushed() -> None:
    box = outbox()
    box.offer(a_batch(some_events(64)))
    settled = list[Delivered | Rejected]()
    for _ in range(200):
        for request in sent(box, 0.0):
            settled += box.answered(request.request_id, TOO_MUCH, 0.0)

    assert box.halted is not None
    assert box.halted.reason is HaltReason.EVERY_EVENT_REFUSED
    assert len(settled) < 11
    assert len(settled) + len(list(box.waiting())) == 64


@pytest.mark.parametrize(("idle_seconds", "since"), [(30.0, 0.0), (5000.0, 5030.0)])
def test_after_an_idle_while_trouble_counts_from_when_something_waits(
    idle_seconds: float, since: float
) -> None:
    box = outbox()
    box.offer(a_batch(some_events(1), batch_id="b-1"))
    answer_once(box, NO_TOKEN)
    box.spill(1, lambda event: True)
    sent(box, 30.0)
    box.offer(a_batch(some_events(1), batch_id="b-2"))

    sent(box, 30.0 + idle_seconds)

    assert box.trouble_since == since


def test_when_a_halt_is_over_nothing_waits_for_the_next_probe() -> None:
    box = outbox(requests_max=2)
    box.offer(a_batch(some_events(1, prefix="a"), batch_id="b-1"))
    box.offer(a_batch(some_events(1, prefix="b"), batch_id="b-2"))
    first, second = sent(box, 0.0)
    policy = Halted(HaltReason.POLICY, MetaError(http_status=400, code=368))
    box.answered(first.request_id, policy, 0.0)
    box.answered(second.request_id, ACCEPTED, 0.0)

    assert len(sent(box, 1.0)) == 1


def test_a_trouble_that_passes_costs_no_single_event() -> None:
    box = outbox(requests_max=2)
    box.offer(a_batch(some_events(1, prefix="slow"), batch_id="slow"))
    settled = list[Delivered | Rejected]()
    for turn in range(30):
        now = turn * 61.0
        box.offer(a_batch(some_events(1, prefix=f"w{turn}-"), batch_id=f"well-{turn}"))
        for request in box.due(now, NOW_MS + round(now * 1000)).requests:
            slow = request.batch_id == "slow"
            settled += box.answered(request.request_id, TIMED_OUT if slow else ACCEPTED, now)

    assert all(isinstance(one, Delivered) for one in settled)


def test_one_event_given_up_in_an_isolation_leaves_the_others_to_be_isolated() -> None:
    box = outbox()
    box.offer(a_batch(some_events(3)))
    answer_once(box, REFUSED)
    (alone,) = the_one(box).events

    (given_up,) = box.answered("b-1.2", TOO_MUCH, 0.0)

    assert settled_ids([given_up]) == [alone.event_id]
    delivered, _, _ = work_off(box, set())
    assert len(delivered) == 2


def test_tenures_that_end_one_after_the_other_take_their_events_with_them() -> None:
    over: set[int] = set()
    box = outbox(is_over=over.__contains__)
    for tenure in (1, 2, 3):
        box.offer(a_batch([*some_events(2, tenure=tenure), *some_events(2, prefix="k", tenure=4)]))
    for tenure in (1, 2, 3):
        over.add(tenure)
        box.forget()
        assert {event.record.tenure for event in box.waiting()} == set(range(tenure + 1, 5))
    mixed = [*some_events(1, tenure=4), *some_events(1, tenure=5), *some_events(1, tenure=6)]
    box.offer(a_batch(mixed))
    for tenure in (4, 5, 6):
        over.add(tenure)
        box.forget()
        assert {event.record.tenure for event in box.waiting()} == set(range(tenure + 1, 7))


def test_a_probe_long_after_the_halt_dead_letters_nothing_either() -> None:
    box = outbox(requests_max=1)
    box.offer(a_batch(some_events(40)))
    work_off(box, {f"e{number}" for number in range(40)})

    assert answer_once(box, REFUSED, 3 * REFUSED_ALONE_SECONDS) == []

    assert len(list(box.waiting())) == 40
    assert box.halted is not None


def test_what_is_accepted_late_ends_a_halt_but_not_a_throttle() -> None:
    box = outbox(requests_max=3)
    for n in range(4):
        box.offer(a_batch(some_events(1), batch_id=str(n)))
    a, b, c = sent(box)
    box.answered(a.request_id, throttled(600), 0.0)
    box.answered(b.request_id, NO_TOKEN, 0.0)
    box.answered(c.request_id, ACCEPTED, 0.0)
    assert not box.can_progress
    box.nudge(1.0)
    assert sent(box, 1.0) == []


def test_what_was_forgotten_or_spilled_is_not_carried_any_more() -> None:
    over: set[int] = set()
    box = outbox(is_over=over.__contains__)
    box.offer(a_batch(some_events(4)))
    answer_once(box, NO_TOKEN)
    over.add(1)
    box.forget()
    assert list(box.waiting()) == []
    assert box.carried() == (0, 0, frozenset())


def test_what_was_given_back_and_comes_again_is_still_the_same_sending() -> None:
    box = outbox()
    box.offer(a_batch(some_events(1)))
    request = the_one(box)
    box.answered(request.request_id, TIMED_OUT, 0.0)
    first_sent = box.give_back(lambda event: True)
    assert list(box.waiting()) == []

    box.offer(a_batch(some_events(1)), first_sent=first_sent)
    (unknown,) = box.overdue(NOW_MS + 48 * HOUR_MS)

    assert (list(first_sent.values()), unknown.reason) == ([NOW_MS], Reason.OUTCOME_UNKNOWN)
    assert unknown.maybe_delivered
    assert unknown.first_sent_at_ms == NOW_MS


def test_what_came_back_does_not_make_ambiguous_what_shares_its_window() -> None:
    box = outbox()
    events = some_events(3)
    came_back = events[1].record
    box.offer(a_batch(events), first_sent={came_back.place: NOW_MS})
    later = NOW_MS + 48 * HOUR_MS

    due = box.due(0.0, later)

    (unknown,) = due.rejected
    assert (unknown.event_id, unknown.reason) == ("e1", Reason.OUTCOME_UNKNOWN)
    assert [ids(request.events) for request in due.requests] == [["e0", "e2"]]
    (request,) = due.requests
    assert settled_ids(box.answered(request.request_id, ACCEPTED, 0.0)) == ["e0", "e2"]


def test_a_request_that_alone_never_gets_a_clear_answer_is_taken_apart() -> None:
    box = outbox(requests_max=2)
    poison = some_events(4)
    box.offer(a_batch(poison, batch_id="poison"))
    now, settled = 0.0, list[Delivered | Rejected]()
    for turn in range(90):
        now += 100.0
        box.offer(a_batch(some_events(1, prefix=f"w{turn}-"), batch_id=f"well-{turn}"))
        for request in box.due(now, NOW_MS + round(now * 1000)).requests:
            bad = poison[2] in request.events
            settled += box.answered(request.request_id, TIMED_OUT if bad else ACCEPTED, now)

    rejected = [one for one in settled if isinstance(one, Rejected)]
    assert [(one.event_id, one.reason) for one in rejected] == [
        (poison[2].event_id, Reason.OUTCOME_UNKNOWN)
    ]
    delivered = {one.event.event_id for one in settled if isinstance(one, Delivered)}
    assert {poison[n].event_id for n in (0, 1, 3)} <= delivered


def test_an_outage_takes_nothing_apart() -> None:
    box = outbox()
    box.offer(a_batch(some_events(4)))
    for turn in range(20):
        for request in sent(box, turn * 100.0):
            assert len(request.events) == 4
            box.answered(request.request_id, TIMED_OUT, turn * 100.0)


def test_what_is_late_is_not_starved_by_a_backlog() -> None:
    box = outbox(requests_max=1)
    late = a_batch(some_events(1), batch_id="late")
    box.offer(late)
    request = the_one(box)
    box.answered(request.request_id, Incomplete(0, None), 0.0)
    for number in range(LATE_EVERY + 1):
        box.offer(a_batch(some_events(1, prefix=f"f{number}-"), batch_id=f"fresh-{number}"))

    batches = []
    for _ in range(LATE_EVERY + 1):
        request = the_one(box)
        batches.append(request.batch_id)
        box.answered(request.request_id, ACCEPTED, 0.0)

    assert "late" in batches

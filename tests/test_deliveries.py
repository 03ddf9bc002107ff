"""Deliveries: what waits between preparation and Meta, and what each moment lets out of it."""

from dataclasses import replace

import pytest

from consumer.apart import BATCHES_MIN
from consumer.deliveries import SWEEP_SECONDS, Deliveries, Step
from consumer.iso_time import iso_time
from consumer.meta_limits import AMBIGUOUS_MS_MAX
from consumer.model import (
    Accepted,
    Closing,
    Delivered,
    Halted,
    HaltReason,
    MetaError,
    PixelId,
    Prepared,
    Reason,
    Refused,
    Rejected,
    Request,
    Retry,
    RetryCause,
    Scope,
    Throttled,
    TopicPartition,
    Verdict,
)
from consumer.outbox import Outbox
from consumer.usage import Usage, UsageKind
from consumer.window import Windows
from tests.fakes.events import DAY_MS, NOW_MS, PIXEL, TOPIC, a_record, an_event, some_events

ACCEPTED = Accepted(trace_id="Agood")
NO_TOKEN = Halted(HaltReason.TOKEN, MetaError(http_status=401, code=190))
THROTTLED = Throttled(MetaError(http_status=429), wait_seconds=0.0)
TIMED_OUT = Retry(RetryCause.TIMEOUT, None, reached_meta=True)
OTHER_PIXEL = "222"


class Place:
    """Deliveries whose windows stay open for a minute, and the tenures that are over."""

    def __init__(
        self,
        *,
        events_max: int = 1000,
        seconds_max: float = 60.0,
        jitter: float = 1.0,
        requests_max: int = 256,
    ) -> None:
        self.over: set[int] = set()
        self._jitter = jitter
        self.made: list[PixelId] = []
        self.deliveries = Deliveries(
            windows=Windows(
                events_max=events_max,
                bytes_max=10**9,
                seconds_max=seconds_max,
                batch_prefix="m",
            ),
            outbox_for=self._outbox_for,
            is_over=self.over.__contains__,
            requests_max=requests_max,
        )

    def _outbox_for(self, destination: PixelId) -> Outbox:
        self.made.append(destination)
        return Outbox(
            destination=destination,
            requests_max=8,
            isolation_requests_max=100,
            is_over=self.over.__contains__,
            jitter=lambda: self._jitter,
        )

    def add(self, *events: Prepared, now: float = 0.0) -> None:
        for event in events:
            self.deliveries.add(event, now)

    def advance(self, now: float = 0.0, now_ms: int = NOW_MS) -> Step:
        return self.deliveries.advance(now, now_ms)

    def answer(
        self, request: Request, verdict: Verdict, now: float = 0.0
    ) -> list[Delivered | Rejected]:
        return self.deliveries.answered(request, verdict, now)

    def end_tenure(self, number: int) -> None:
        self.over.add(number)
        self.deliveries.forget([TopicPartition(TOPIC, 0)])


def sent_ids(step: Step) -> list[str]:
    return [event.event_id for request in step.requests for event in request.events]


def held(event_id: str, *, due_at_ms: int, tenure: int = 1) -> Prepared:
    return an_event(event_id=event_id, record=a_record(tenure=tenure), due_at_ms=due_at_ms)


def test_a_window_goes_out_when_it_is_full_or_has_waited_long_enough() -> None:
    place = Place(events_max=3)
    place.add(*some_events(4))

    full = place.advance()
    assert (sent_ids(full), [batch.closed_by for batch in full.closed]) == (
        ["e0", "e1", "e2"],
        [Closing.FULL],
    )
    assert place.advance(59.9) == Step([], [], [])
    aged = place.advance(60.0)

    assert (sent_ids(aged), [batch.closed_by for batch in aged.closed]) == (["e3"], [Closing.AGE])


def test_a_batch_is_closed_once_and_sent_once() -> None:
    place = Place(seconds_max=0.0)
    place.add(*some_events(2))
    first = place.advance()

    assert (len(first.closed), len(first.requests)) == (1, 1)
    assert place.advance() == Step([], [], [])
    assert place.deliveries.requests_out == 1


def test_each_destination_has_an_outbox_of_its_own_that_is_made_once() -> None:
    place = Place(seconds_max=0.0)
    for _ in range(2):
        place.add(an_event(), an_event(destination=OTHER_PIXEL))
        for request in place.advance().requests:
            place.answer(request, ACCEPTED)

    assert place.made == [PIXEL, OTHER_PIXEL]
    assert list(place.deliveries.outboxes) == place.made


def test_an_answer_settles_events_of_its_own_destination_only() -> None:
    place = Place(seconds_max=0.0)
    place.add(an_event(event_id="a"), an_event(event_id="b", destination=OTHER_PIXEL))
    first, second = place.advance().requests
    assert place.deliveries.requests_out == 2

    assert place.answer(first, ACCEPTED) == [Delivered(first.events[0], "Agood")]

    assert place.deliveries.requests_out == 1
    assert list(place.deliveries.outboxes[PixelId(PIXEL)].waiting()) == []
    assert list(place.deliveries.outboxes[PixelId(OTHER_PIXEL)].waiting()) == list(second.events)


def test_a_halted_destination_does_not_hold_up_another() -> None:
    place = Place(seconds_max=0.0)
    place.add(an_event())
    (request,) = place.advance().requests
    place.answer(request, NO_TOKEN)

    place.add(an_event(event_id="a"), an_event(event_id="b", destination=OTHER_PIXEL))

    assert sent_ids(place.advance()) == ["b"]


def test_while_all_its_requests_are_out_a_window_fills_on() -> None:
    place = Place(seconds_max=0.0)
    out = []
    for number in range(8):
        place.add(an_event(event_id=f"out-{number}"))
        out += place.advance().requests
    assert len(out) == 8

    for number in range(3):
        place.add(an_event(event_id=f"waits-{number}"))
        assert place.advance(1.0 + number) == Step([], [], [])
    place.answer(out[3], ACCEPTED)
    place.answer(out[5], ACCEPTED)
    then = place.advance(9.0)

    assert [sent_ids(then), len(then.requests)] == [["waits-0", "waits-1", "waits-2"], 1]
    assert [batch.closed_by for batch in then.closed] == [Closing.AGE]


def test_a_window_that_is_full_closes_though_its_batch_must_wait() -> None:
    place = Place(events_max=2, seconds_max=0.0)
    for _ in range(8):
        place.add(an_event())
        place.advance()
    place.add(*some_events(5))

    waiting = place.advance()

    assert [batch.closed_by for batch in waiting.closed] == [Closing.FULL, Closing.FULL]
    assert waiting.requests == []


def test_when_all_requests_are_out_the_oldest_window_of_any_destination_is_next() -> None:
    place = Place(seconds_max=0.0, requests_max=2)
    place.add(an_event(destination="1"), an_event(destination="2"))
    first, second = place.advance().requests
    for second_, name in enumerate(("c", "d", "c-again")):
        place.add(an_event(event_id=name, destination=name[0]), now=float(second_))
    assert place.advance(3.0) == Step([], [], [])

    place.answer(second, ACCEPTED)
    assert sent_ids(place.advance(3.0)) == ["c", "c-again"]
    place.answer(first, ACCEPTED)
    assert sent_ids(place.advance(3.0)) == ["d"]


def test_two_windows_of_one_destination_share_the_place_that_is_left() -> None:
    place = Place(seconds_max=0.0)
    for _ in range(7):
        place.add(an_event())
        place.advance()
    place.add(an_event(event_id="plain"), an_event(event_id="test", test_code="TEST1"))

    assert sent_ids(place.advance()) == ["plain"]
    assert place.deliveries.in_hand() == {PIXEL: 9}
    assert place.deliveries.outboxes[PixelId(PIXEL)].events == 8, "the other is in its window"


@pytest.mark.parametrize("verdict", [NO_TOKEN, TIMED_OUT, THROTTLED])
def test_a_window_of_a_destination_in_trouble_closes_in_its_time(verdict: Verdict) -> None:
    place = Place(seconds_max=5.0)
    place.add(an_event())
    (request,) = place.advance(5.0).requests
    place.answer(request, verdict, 5.0)
    place.add(an_event(event_id="later"), now=5.1)

    assert place.advance(10.0).closed == []
    (batch,) = place.advance(10.1).closed

    assert [event.event_id for event in batch.events] == ["later"]


def test_who_shares_a_limit_that_is_nearly_used_up_fills_windows_on() -> None:
    place = Place(seconds_max=0.0)
    pixels = [PixelId(PIXEL), PixelId(OTHER_PIXEL)]
    place.deliveries.nudge(lambda _: "one token", 0.0, configured=pixels)
    place.add(*(an_event(destination=pixel) for pixel in pixels))
    first, second = place.advance().requests
    place.answer(first, ACCEPTED)
    used = Usage(UsageKind.APP, 0.8, 0.0, spent=False)
    place.deliveries.heard(pixels[0], (used,), 0.0)

    for number in range(3):
        place.add(an_event(event_id=f"waits-{number}"))
        assert place.advance(1.0) == Step([], [], []), "the other has the one request"
    place.answer(second, ACCEPTED)

    assert sent_ids(place.advance(1.0)) == ["waits-0", "waits-1", "waits-2"]


def test_a_drain_closes_all_windows_wherever_they_may_go() -> None:
    place = Place(seconds_max=0.0, requests_max=1)
    place.add(*(an_event(destination=str(number)) for number in range(3)))
    assert len(place.advance().closed) == 1

    place.deliveries.drain()

    assert len(place.advance().closed) == 2


def test_an_event_held_back_goes_out_when_it_is_due_and_not_a_millisecond_before() -> None:
    place = Place(seconds_max=0.0)
    place.add(held("later", due_at_ms=NOW_MS + 2000), held("sooner", due_at_ms=NOW_MS + 1000))

    assert place.advance(0.0, NOW_MS + 999) == Step([], [], [])
    assert sent_ids(place.advance(1.0, NOW_MS + 1000)) == ["sooner"]
    assert sent_ids(place.advance(2.0, NOW_MS + 1999)) == []
    assert sent_ids(place.advance(3.0, NOW_MS + 2000)) == ["later"]


def test_events_due_at_the_same_moment_go_out_in_the_order_they_came() -> None:
    place = Place(seconds_max=0.0)
    names = [f"h{number}" for number in range(9)]
    place.add(*(held(name, due_at_ms=NOW_MS + 1000) for name in names))

    assert sent_ids(place.advance(0.0, NOW_MS + 5000)) == names


def test_a_held_event_that_is_due_shares_a_window_with_those_that_never_waited() -> None:
    place = Place(events_max=2)
    place.add(held("held", due_at_ms=NOW_MS + 1000), an_event(event_id="fresh"))
    assert place.advance() == Step([], [], [])

    step = place.advance(1.0, NOW_MS + 1000)

    assert (len(step.requests), sorted(sent_ids(step))) == (1, ["fresh", "held"])


def test_windows_that_hold_events_of_a_leaving_partition_close_at_once_and_the_others_stay() -> (
    None
):
    place = Place()
    place.add(*some_events(2, prefix="leaving", partition=1))
    place.add(*some_events(2, prefix="staying", destination=OTHER_PIXEL, partition=2))

    place.deliveries.close_holding([TopicPartition(TOPIC, 1)])
    step = place.advance()

    assert sent_ids(step) == ["leaving0", "leaving1"]
    assert [batch.closed_by for batch in step.closed] == [Closing.DRAIN]
    assert sent_ids(place.advance(60.0)) == ["staying0", "staying1"]


def test_once_draining_every_window_closes_at_once_but_what_is_held_stays_until_due() -> None:
    place = Place()
    place.add(an_event(event_id="a"), held("held", due_at_ms=NOW_MS + 1000))
    assert sent_ids(place.advance()) == []

    place.deliveries.drain()
    step = place.advance()

    assert (sent_ids(step), [batch.closed_by for batch in step.closed]) == (["a"], [Closing.DRAIN])
    place.add(an_event(event_id="b"))
    assert sent_ids(place.advance()) == ["b"]
    assert sent_ids(place.advance(0.0, NOW_MS + 1000)) == ["held"]


def test_held_events_of_an_ended_tenure_never_go_out_and_their_neighbours_do() -> None:
    place = Place(seconds_max=0.0)
    due = [held(f"h{n}", due_at_ms=NOW_MS + 1000 + 7 * n % 5, tenure=1 + n % 2) for n in range(8)]
    place.add(*due)

    place.end_tenure(1)

    later = place.advance(0.0, NOW_MS + 1010)
    expected = sorted((e for e in due if e.record.tenure == 2), key=lambda e: e.due_at_ms)
    (batch,) = later.closed
    assert list(batch.events) == expected
    assert sent_ids(later) == [event.event_id for event in expected]
    assert len(expected) == 4


def test_events_of_an_ended_tenure_leave_open_windows_and_outboxes() -> None:
    place = Place(events_max=4)
    place.add(*some_events(2, prefix="gone", tenure=1), *some_events(2, prefix="live", tenure=2))
    (request,) = place.advance().requests
    place.answer(request, TIMED_OUT)
    place.add(an_event(event_id="gone", record=a_record(tenure=1)))
    place.add(an_event(event_id="live", record=a_record(tenure=2)))

    place.end_tenure(1)

    waiting = [event.event_id for event in place.deliveries.outboxes[PixelId(PIXEL)].waiting()]
    assert waiting == ["live0", "live1"]
    step = place.advance(1000.0)
    assert [event.event_id for batch in step.closed for event in batch.events] == ["live"]
    assert sent_ids(step) == ["live0", "live1"]


def test_a_window_closed_for_a_leaving_partition_is_not_sent_once_its_tenure_is_over() -> None:
    place = Place()
    place.add(*some_events(2, partition=1))
    place.deliveries.close_holding([TopicPartition(TOPIC, 1)])

    place.end_tenure(1)

    assert place.advance().requests == []
    assert not place.deliveries.can_progress([TopicPartition(TOPIC, 0)])


def test_what_is_in_flight_when_its_tenure_ends_settles_nothing_that_is_sent_again() -> None:
    place = Place(seconds_max=0.0)
    place.add(an_event())
    (request,) = place.advance().requests

    place.end_tenure(1)

    refused = Refused(MetaError(http_status=400, code=100))
    assert place.answer(request, refused) == []
    assert place.advance(1000.0) == Step([], [], [])
    assert place.deliveries.requests_out == 0


def test_what_became_too_old_behind_a_halt_is_found_by_a_sweep_every_ten_seconds() -> None:
    assert SWEEP_SECONDS == 10.0
    place = Place(seconds_max=0.0)
    place.advance(1000.0)  # a sweep
    place.add(an_event(expires_at_ms=NOW_MS + 1), now=1000.0)
    (request,) = place.advance(1000.0).requests
    for now in (1000.0, 1005.0):
        place.deliveries.answered(request, NO_TOKEN, now)
    too_late = NOW_MS + 1

    # Not due yet for a probe at 1004 s, so that only a sweep can find it.
    assert place.advance(1004.0, too_late) == Step([], [], [])
    box = place.deliveries.outboxes[PixelId(PIXEL)]
    assert len(list(box.waiting())) == 1
    swept = place.advance(1010.0, too_late)

    assert [one.reason for one in swept.rejected] == [Reason.EXPIRED]
    assert list(box.waiting()) == []


def test_the_sweep_reaches_what_no_probe_would_take_out() -> None:
    place = Place(seconds_max=0.0)
    place.add(*some_events(3))
    (request,) = place.advance(1000.0).requests
    place.deliveries.answered(request, THROTTLED, 1000.0)
    expired = NOW_MS + 7 * DAY_MS

    assert place.advance(1009.9, expired) == Step([], [], [])
    assert len(place.advance(1010.0, expired).rejected) == 3
    place.add(an_event(expires_at_ms=NOW_MS))
    assert place.advance(1019.9, expired).rejected == []
    assert len(place.advance(1020.0, expired).rejected) == 1


def test_what_is_too_old_when_its_turn_comes_is_rejected_without_a_request() -> None:
    place = Place(seconds_max=0.0)
    place.add(an_event(event_id="old", expires_at_ms=NOW_MS), an_event(event_id="young"))

    step = place.advance()

    assert sent_ids(step) == ["young"]
    assert [(one.event_id, one.reason) for one in step.rejected] == [("old", Reason.EXPIRED)]


@pytest.mark.parametrize(
    ("verdict", "worth_waiting"),
    [(ACCEPTED, False), (TIMED_OUT, True), (NO_TOKEN, False), (THROTTLED, False)],
    ids=lambda value: type(value).__name__,
)
def test_a_drain_waits_for_windows_and_requests_and_for_what_may_go_out_soon(
    verdict: Verdict, worth_waiting: bool
) -> None:
    place = Place()
    assert not place.deliveries.can_progress([TopicPartition(TOPIC, 0)])
    place.add(an_event())
    assert place.deliveries.can_progress([TopicPartition(TOPIC, 0)])  # an open window
    place.deliveries.close_holding([TopicPartition(TOPIC, 0)])
    assert place.deliveries.can_progress([TopicPartition(TOPIC, 0)])  # a closed one
    (request,) = place.advance().requests
    assert place.deliveries.can_progress([TopicPartition(TOPIC, 0)])  # a request that is out

    place.answer(request, verdict)

    assert place.deliveries.can_progress([TopicPartition(TOPIC, 0)]) is worth_waiting


def test_a_drain_does_not_wait_for_events_that_are_held_back() -> None:
    place = Place()
    place.add(held("held", due_at_ms=NOW_MS + 1000))

    assert not place.deliveries.can_progress([TopicPartition(TOPIC, 0)])


def test_a_halted_destination_is_tried_again_at_once_only_when_its_token_changed() -> None:
    place = Place(seconds_max=0.0)
    place.add(an_event(event_id="a"), an_event(event_id="b", destination=OTHER_PIXEL))
    tokens = {PIXEL: "one", OTHER_PIXEL: "one"}
    for request in place.advance().requests:
        place.answer(request, NO_TOKEN)
    place.deliveries.nudge(tokens.__getitem__, 1.0)
    place.deliveries.nudge(tokens.__getitem__, 2.0)
    assert place.advance(2.0).requests == []

    tokens[OTHER_PIXEL] = "two"
    place.deliveries.nudge(tokens.__getitem__, 3.0)

    assert sent_ids(place.advance(3.0)) == ["b"]


def test_a_halted_destination_is_tried_again_at_once_when_the_app_secret_changed() -> None:
    place = Place(seconds_max=0.0)
    place.add(an_event(event_id="a"), an_event(event_id="b", destination=OTHER_PIXEL))
    first, second = place.advance().requests
    place.answer(first, NO_TOKEN)
    place.answer(second, THROTTLED)
    for now, app_secret in ((1.0, None), (2.0, None), (3.0, "one"), (3.5, "one"), (4.0, "two")):
        place.deliveries.nudge(lambda _: "token", now, app_secret=app_secret)
        requests = place.advance(now).requests
        assert len(requests) == (now in (3.0, 4.0)), "only a change, and only a halt"
        for request in requests:
            place.answer(request, NO_TOKEN, now)


def test_what_the_guard_gave_back_is_remembered_as_sent_when_it_comes_again() -> None:
    place = Place(seconds_max=0.0)
    place.add(an_event())
    (request,) = place.advance().requests
    place.answer(request, TIMED_OUT)
    place.deliveries.give_back(TopicPartition(TOPIC, 0), 0)
    rejected = Rejected(record=a_record(), reason=Reason.EVENT_TOO_OLD, detail="too old")
    once = place.deliveries.recalled(rejected)

    place.deliveries.remember([once, replace(rejected, record=a_record(offset=1))])

    assert once.first_sent_at_ms == NOW_MS
    assert place.deliveries.recalled(rejected) == once
    never_sent = replace(rejected, record=a_record(offset=1))
    assert place.deliveries.recalled(never_sent) == never_sent


def test_a_kind_that_meta_keeps_refusing_gets_windows_of_its_own_that_fill_like_others() -> None:
    place = Place(events_max=4, seconds_max=0.0)
    refused = Refused(MetaError(http_status=400, code=100, subcode=2804009))
    for number in range(BATCHES_MIN):
        place.add(an_event(event_id=f"bad {number}"))
        (request,) = place.advance().requests
        assert len(place.answer(request, refused)) == 1

    leads = [an_event(event_id=f"lead {n}", event_name="Lead") for n in range(4)]
    for number, lead in enumerate(leads):
        place.add(an_event(event_id=f"purchase {number}"), lead)
    step = place.advance()

    assert [[event.event_name for event in r.events] for r in step.requests] == [
        ["Purchase"] * 4,
        ["Lead"] * 4,
    ]
    apart = [request.key.apart for request in step.requests]
    assert [kind and kind.event_name for kind in apart] == ["Purchase", None]


def test_an_event_held_back_is_windowed_by_what_is_known_when_it_is_due() -> None:
    place = Place(seconds_max=0.0)
    place.add(held("held", due_at_ms=NOW_MS + 1000))
    refused = Refused(MetaError(http_status=400, code=100, subcode=2804009))
    for number in range(BATCHES_MIN):
        place.add(an_event(event_id=f"bad {number}"))
        (request,) = place.advance().requests
        place.answer(request, refused)

    (request,) = place.advance(1.0, NOW_MS + 1000).requests

    assert request.key.apart is not None


def test_a_halt_is_ended_by_hand_once_and_only_where_there_is_one() -> None:
    place = Place(seconds_max=0.0)
    pixel = PixelId(PIXEL)
    assert not place.deliveries.resume(pixel, 0.0)
    place.add(an_event())
    (request,) = place.advance().requests
    assert not place.deliveries.resume(pixel, 0.0)
    place.answer(request, NO_TOKEN)
    assert place.advance(0.5).requests == []

    assert place.deliveries.resume(pixel, 0.5)

    assert len(place.advance(0.5).requests) == 1
    assert not place.deliveries.resume(pixel, 0.5)


def test_a_destination_is_resumed_by_its_id_and_no_other_with_it() -> None:
    place = Place(seconds_max=0.0)
    place.add(an_event(event_id="a"), an_event(event_id="b", destination=OTHER_PIXEL))
    for request in place.advance().requests:
        place.answer(request, NO_TOKEN)

    assert place.deliveries.resume(PixelId(OTHER_PIXEL), 1.0)
    assert not place.deliveries.resume(PixelId("999"), 1.0)

    assert sent_ids(place.advance(1.0)) == ["b"]
    assert place.made == [PIXEL, OTHER_PIXEL], "asking makes no outbox"


def test_pauses_of_all_who_share_a_token_are_as_long_as_meta_asked_and_do_not_add_up() -> None:
    place = Place(seconds_max=0.0, events_max=1, jitter=0.0)
    pixels = [str(number) for number in range(100, 110)]
    place.deliveries.nudge(lambda _: "token", 0.0, configured=map(PixelId, pixels))
    for round_ in range(8):
        place.add(*(an_event(event_id=f"{p}-{round_}", destination=p) for p in pixels))
    requests = place.advance().requests
    assert len(requests) == 80
    asked = Throttled(MetaError(http_status=400, code=17), wait_seconds=60.0, scope=Scope.TOKEN)

    for index, request in enumerate(requests):
        place.answer(request, asked, now=index / 100)

    assert place.advance(60.0).requests == []
    assert len(place.advance(70.0).requests) == len(pixels)


def test_deliveries_show_only_how_much_waits() -> None:
    place = Place()
    place.add(an_event(event_id="jane@example.com"), held("jane", due_at_ms=NOW_MS + 1000))

    assert repr(place.deliveries) == "<Deliveries 1 held, <Windows 1 open, 1 events>, 0 boxes>"


SENT_BEFORE = (("conversions.first_sent_at", iso_time(NOW_MS).encode()),)


def test_a_replay_that_waits_until_meta_has_forgotten_it_is_not_sent_a_second_time() -> None:
    place = Place(seconds_max=0.0)
    place.add(an_event(event_id="new"))
    (request,) = place.advance().requests
    place.answer(request, NO_TOKEN)
    place.add(an_event(event_id="again", record=a_record(offset=9, headers=SENT_BEFORE)))
    place.advance()

    (unknown,) = place.advance(SWEEP_SECONDS, NOW_MS + AMBIGUOUS_MS_MAX + 1).rejected

    assert (unknown.event_id, unknown.reason) == ("again", Reason.OUTCOME_UNKNOWN)
    assert (unknown.maybe_delivered, unknown.first_sent_at_ms) == (True, NOW_MS)


def test_a_replay_that_is_turned_away_still_tells_when_meta_may_have_counted_it() -> None:
    record = a_record(offset=9, headers=SENT_BEFORE)
    rejected = Rejected(record=record, reason=Reason.UNKNOWN_DESTINATION, detail="")

    recalled = Place().deliveries.recalled(rejected)

    assert (recalled.maybe_delivered, recalled.first_sent_at_ms) == (True, NOW_MS)

"""Windows: what closes them, and that nothing is lost or over the limits on the way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.model import Batch, Carried, Closing, PixelId, Prepared, TopicPartition, WindowKey
from consumer.window import BYTES_PER_REQUEST, Windows
from tests.fakes.events import PIXEL, TOPIC, a_record, an_event, some_events


def windows(
    *, events_max: int = 1000, bytes_max: int = 1_000_000, seconds_max: float = 1.0
) -> Windows:
    return Windows(
        events_max=events_max, bytes_max=bytes_max, seconds_max=seconds_max, batch_prefix="m"
    )


def due(room: Windows, now: float, *, full: tuple[PixelId, ...] = ()) -> list[Batch]:
    """What closes, while these destinations can take no request."""
    return room.due(now, can_go=lambda destination: destination not in full)


def ids(batch: Batch) -> list[str]:
    return [event.event_id for event in batch.events]


def test_a_full_window_closes_with_its_last_event() -> None:
    room = windows(events_max=3)
    first, second, third = some_events(3)

    assert room.add(first, 0.0) == []
    assert room.add(second, 0.0) == []
    (batch,) = room.add(third, 0.0)

    assert ids(batch) == ["e0", "e1", "e2"]
    assert batch.closed_by is Closing.FULL
    assert room.events == 0


def test_one_byte_too_many_closes_the_window_before_the_event_that_brings_it() -> None:
    room_for_two = BYTES_PER_REQUEST + 2 * (100 + 1)
    bodies = [an_event(event_id=str(number), body=b"x" * 100) for number in range(2)]
    bigger = an_event(event_id="bigger", body=b"x" * 101)

    exact, tight = windows(bytes_max=room_for_two), windows(bytes_max=room_for_two)
    assert exact.add(bodies[0], 0.0) + exact.add(bodies[1], 0.0) == []
    tight.add(bodies[0], 0.0)
    (batch,) = tight.add(bigger, 0.0)

    assert ids(batch) == ["0"]
    assert batch.closed_by is Closing.BYTES
    assert exact.events == 2
    assert tight.events == 1


def test_one_event_may_close_two_windows() -> None:
    room = windows(events_max=1, bytes_max=BYTES_PER_REQUEST + 10)

    assert [ids(batch) for batch in room.add(an_event(event_id="a"), 0.0)] == [["a"]]
    room = windows(events_max=2, bytes_max=BYTES_PER_REQUEST + 150)
    room.add(an_event(event_id="a", body=b"x" * 100), 0.0)
    closed = room.add(an_event(event_id="b", body=b"x" * 100), 0.0)
    assert [ids(batch) for batch in closed] == [["a"]]


def test_a_window_closes_when_its_oldest_event_has_waited_long_enough() -> None:
    room = windows(seconds_max=2.0)
    room.add(an_event(event_id="old"), 10.0)
    room.add(an_event(event_id="young"), 11.9)

    assert due(room, 11.99) == []
    (batch,) = due(room, 12.0)

    assert ids(batch) == ["old", "young"]
    assert batch.closed_by is Closing.AGE
    assert due(room, 99.0) == []


def test_the_age_of_the_next_window_begins_with_its_own_first_event() -> None:
    room = windows(seconds_max=2.0)
    room.add(an_event(), 0.0)
    due(room, 2.0)
    room.add(an_event(), 3.0)

    assert due(room, 4.9) == []
    assert len(due(room, 5.0)) == 1


def test_a_window_whose_batch_cannot_go_fills_on_and_closes_when_it_can() -> None:
    room = windows(seconds_max=2.0)
    room.add(an_event(event_id="old"), 0.0)
    room.add(an_event(event_id="other", destination="2"), 1.0)

    (batch,) = due(room, 3.0, full=(PixelId(PIXEL),))
    assert ids(batch) == ["other"]
    room.add(an_event(event_id="young"), 9.0)
    (batch,) = due(room, 9.0)

    assert ids(batch) == ["old", "young"]
    assert batch.opened_at == 0.0


def test_only_of_windows_that_are_old_it_is_asked_whether_their_batch_can_go() -> None:
    room = windows(seconds_max=2.0)
    for second, destination in enumerate(("3", "1", "2")):
        room.add(an_event(destination=destination), float(second))
    asked: list[PixelId] = []

    def can_go(destination: PixelId) -> bool:
        asked.append(destination)
        return False

    assert room.due(3.0, can_go=can_go) == []
    assert asked == ["3", "1"], "the oldest first"


@pytest.mark.parametrize(
    "other",
    [
        an_event(event_id="b", destination="2"),
        an_event(event_id="b", test_code="TEST1"),
        an_event(event_id="b", aged=True),
    ],
    ids=["destination", "test code", "aged"],
)
def test_events_of_different_kinds_never_share_a_request(other: Prepared) -> None:
    room = windows()
    room.add(an_event(event_id="a"), 0.0)
    room.add(other, 0.0)

    batches = room.close_all()

    assert [ids(batch) for batch in batches] == [["a"], ["b"]]
    assert batches[1].key == WindowKey(other.destination, other.test_code, other.aged, None)
    assert {batch.closed_by for batch in batches} == {Closing.DRAIN}
    assert len({batch.batch_id for batch in batches}) == 2


def test_only_windows_that_hold_the_partitions_close_for_a_revocation() -> None:
    room = windows()
    room.add(an_event(event_id="leaves", record=a_record(partition=1)), 0.0)
    room.add(an_event(event_id="with it", record=a_record(partition=0)), 0.0)
    room.add(an_event(event_id="stays", destination="2", record=a_record(partition=0)), 0.0)

    (batch,) = room.close_holding([TopicPartition(TOPIC, 1)])

    assert ids(batch) == ["leaves", "with it"]
    assert batch.closed_by is Closing.DRAIN
    assert room.events == 1


def test_events_of_an_ended_tenure_leave_and_the_others_stay() -> None:
    room = windows(seconds_max=1.0)
    for number, tenure in enumerate((1, 2, 1)):
        room.add(an_event(event_id=str(number), record=a_record(tenure=tenure)), 5.0)
    room.add(an_event(destination="2", record=a_record(tenure=1)), 5.0)

    room.forget(lambda event: event.record.tenure == 1)

    assert room.events == 1
    assert [ids(batch) for batch in due(room, 6.0)] == [["1"]]


def test_forgotten_events_give_their_bytes_back() -> None:
    room = windows(bytes_max=BYTES_PER_REQUEST + 2 * 101)
    room.add(an_event(body=b"x" * 100, record=a_record(tenure=1)), 0.0)
    room.add(an_event(body=b"x" * 100, record=a_record(tenure=2)), 0.0)
    room.forget(lambda event: event.record.tenure == 1)

    assert room.add(an_event(body=b"x" * 100, record=a_record(tenure=2)), 0.0) == []
    assert len(room.add(an_event(body=b"x" * 100, record=a_record(tenure=2)), 0.0)) == 1


def test_a_batch_id_carries_the_prefix_and_is_never_used_twice() -> None:
    room = windows(events_max=1)
    names = [room.add(event, 0.0)[0].batch_id for event in some_events(20)]

    assert len(set(names)) == 20
    assert all(name.startswith("m-") for name in names)


def test_windows_say_how_much_waits_and_nothing_of_it() -> None:
    room = windows()
    room.add(an_event(event_id="jane@example.com"), 0.0)

    assert repr(room) == "<Windows 1 open, 1 events>"


_KINDS = st.tuples(
    st.sampled_from([PIXEL, "2"]),
    st.sampled_from([None, "TEST1"]),
    st.booleans(),
    st.integers(1, 400),
    st.sampled_from([0.0, 0.1, 0.6]),
)


@settings(deadline=None)
@given(kinds=st.lists(_KINDS, max_size=60), events_max=st.integers(1, 8))
def test_nothing_is_lost_doubled_reordered_or_over_the_limits(
    kinds: list[tuple[str, str | None, bool, int, float]], events_max: int
) -> None:
    bytes_max = BYTES_PER_REQUEST + 500
    room = windows(events_max=events_max, bytes_max=bytes_max)
    now = 0.0
    batches: list[Batch] = []
    expected: dict[WindowKey, list[str]] = {}
    for number, (destination, code, aged, size, pause) in enumerate(kinds):
        now += pause
        event = an_event(
            event_id=str(number),
            destination=destination,
            test_code=code,
            aged=aged,
            body=b"x" * size,
        )
        expected.setdefault(WindowKey(event.destination, code, aged, None), []).append(str(number))
        batches += due(room, now)
        batches += room.add(event, now)
        assert room.events + sum(len(batch.events) for batch in batches) == number + 1
    batches += room.close_all()

    arrived: dict[WindowKey, list[str]] = {}
    for batch in batches:
        arrived.setdefault(batch.key, []).extend(ids(batch))
        size = BYTES_PER_REQUEST + sum(len(event.body) + 1 for event in batch.events)
        assert 1 <= len(batch.events) <= events_max
        assert size <= bytes_max
    assert arrived == expected
    assert room.events == 0


@given(st.lists(st.sampled_from(("add", "look", "forget", "test code")), max_size=40))
def test_what_a_destination_carries_is_what_its_windows_hold(steps: list[str]) -> None:
    room, held = windows(), list[Prepared]()
    for number, step in enumerate(steps):
        if step in ("add", "test code"):
            event = an_event(
                event_id=str(number),
                test_code="TEST1" if step == "test code" else None,
                record=a_record(offset=number, partition=number % 3, value=b"x" * number),
            )
            held.append(event)
            room.add(event, 0.0)
        elif step == "forget":
            room.forget(lambda event: event.record.offset % 2 == 0)
            held = [event for event in held if event.record.offset % 2]
        else:
            assert room.carried(PixelId(PIXEL)) == Carried.of(held)

    assert room.carried(PixelId(PIXEL)) == Carried.of(held)
    assert room.carried(PixelId("2")) == Carried.of([])

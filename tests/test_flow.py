"""Flow: which partitions pause, and when a halted destination has to give something up."""

from consumer.deliveries import Deliveries
from consumer.flow import READ_RECORDS_MIN, SLOW_SECONDS, Flow, House, Limits, plan_flow
from consumer.held_back import HeldBack
from consumer.model import (
    Accepted,
    Halted,
    HaltReason,
    MetaError,
    PauseCause,
    PixelId,
    Prepared,
    Reason,
    Rejected,
    Request,
    Throttled,
    TopicPartition,
    Verdict,
)
from consumer.outbox import Outbox
from consumer.settle import Ledger
from consumer.window import Windows
from tests.fakes.events import NOW_MS, TOPIC, a_record, an_event

ILL, WELL = PixelId("111"), PixelId("222")
ZERO, ONE, TWO = (TopicPartition(TOPIC, number) for number in range(3))
NO_TOKEN = Halted(HaltReason.TOKEN, MetaError(http_status=401, code=190))
THROTTLED = Throttled(MetaError(http_status=429), wait_seconds=0.0)


class Place:
    """A ledger, deliveries and what each partition carried, with small limits."""

    def __init__(
        self,
        *,
        in_flight_events: int = 20,
        in_flight_bytes: int = 10**9,
        uncommitted_records: int = 1000,
        uncommitted_seconds: float = 3600.0,
        spill_after_seconds: float = 300.0,
        configured: int = 0,
        full: bool = False,
    ) -> None:
        self.configured, self.full = configured, full
        self.ledger = Ledger()
        self.deliveries = Deliveries(
            windows=Windows(events_max=1000, bytes_max=10**9, seconds_max=0.0, batch_prefix="m"),
            outbox_for=self._outbox_for,
            is_over=self.ledger.is_over,
            requests_max=256,
        )
        self.seen: dict[TopicPartition, set[PixelId]] = {}
        self.held: dict[PixelId, HeldBack] = {}
        self.limits = Limits(
            in_flight_events=in_flight_events,
            in_flight_bytes=in_flight_bytes,
            uncommitted_records=uncommitted_records,
            uncommitted_seconds=uncommitted_seconds,
            spill_after_seconds=spill_after_seconds,
        )
        self._offsets = 0

    def _outbox_for(self, destination: PixelId) -> Outbox:
        return Outbox(
            destination=destination,
            requests_max=8,
            isolation_requests_max=100,
            is_over=self.ledger.is_over,
            jitter=lambda: 1.0,
        )

    def carry(
        self,
        destination: PixelId,
        count: int,
        *,
        partition: TopicPartition = ZERO,
        now: float = 0.0,
    ) -> list[Prepared]:
        """Read so many events of a destination from a partition and put them on their way."""
        tenure = self.ledger.tenure_of(partition) or self.ledger.begin(partition)
        self.seen.setdefault(partition, set()).add(destination)
        events: list[Prepared] = []
        for _ in range(count):
            self._offsets += 1
            record = a_record(offset=self._offsets, partition=partition.partition, tenure=tenure)
            self.ledger.open(record, now)
            event = an_event(event_id=f"o{self._offsets}", destination=destination, record=record)
            self.deliveries.add(event, now)
            events.append(event)
        return events

    def hold(
        self,
        destination: PixelId,
        count: int,
        *,
        partition: TopicPartition = ZERO,
        since: float = 0.0,
    ) -> HeldBack:
        """Let the guard hold so many rejected records of a destination."""
        tenure = self.ledger.tenure_of(partition) or self.ledger.begin(partition)
        self.seen.setdefault(partition, set()).add(destination)
        held = self.held.setdefault(destination, HeldBack(destination=destination, since=since))
        for _ in range(count):
            self._offsets += 1
            record = a_record(offset=self._offsets, partition=partition.partition, tenure=tenure)
            self.ledger.open(record, since)
            held.put(Rejected(record=record, reason=Reason.MISSING_VALUE, detail="no value"))
        return held

    def answer(self, verdict: Verdict, *, now: float = 0.0) -> list[Request]:
        """Send what is due and answer all of it at once; what is delivered is settled."""
        requests = self.deliveries.advance(now, NOW_MS).requests
        for request in requests:
            self.deliveries.answered(request, verdict, now)
            if isinstance(verdict, Accepted):
                for event in request.events:
                    self.ledger.settle(event.record)
        return requests

    def flow(self, now: float = 0.0) -> Flow:
        house = House(
            self.limits, self.ledger, self.deliveries, self.seen, lambda: self.configured, self.held
        )
        return plan_flow(
            house, now, full=self.full, schema_partitions=[], too_large=[], may_spill=True
        )


def test_nothing_pauses_while_all_is_well() -> None:
    place = Place(in_flight_events=10)
    place.carry(WELL, 50)
    place.deliveries.advance(0.0, NOW_MS)

    assert place.flow() == Flow({}, [])


def test_a_missing_schema_and_a_letter_too_large_pause_their_partitions() -> None:
    place = Place()
    house = House(place.limits, place.ledger, place.deliveries, place.seen, lambda: 0, {})

    flow = plan_flow(
        house, 0.0, full=False, schema_partitions=[ZERO], too_large=[ONE], may_spill=True
    )

    assert flow.paused == {ZERO: PauseCause.SCHEMA, ONE: PauseCause.DEAD_LETTER_TOO_LARGE}
    assert flow.spills == []


def test_a_destination_in_trouble_may_hold_its_share_before_anything_pauses() -> None:
    place = Place(in_flight_events=20)
    place.carry(WELL, 1)
    place.answer(Accepted(None))
    place.carry(ILL, 9)
    place.answer(NO_TOKEN)
    assert place.flow().paused == {}

    place.carry(ILL, 1, partition=ONE)
    place.deliveries.advance(0.0, NOW_MS)

    assert place.flow().paused == {ZERO: PauseCause.DESTINATION, ONE: PauseCause.DESTINATION}


def test_the_share_is_counted_in_bytes_as_well() -> None:
    event_bytes = a_record().size_bytes
    place = Place(in_flight_bytes=4 * event_bytes)
    place.carry(ILL, 3)
    place.answer(NO_TOKEN)
    assert place.flow().paused == {}
    place.carry(ILL, 1)
    place.deliveries.advance(0.0, NOW_MS)

    assert place.flow().paused == {ZERO: PauseCause.DESTINATION}


def test_only_the_partitions_that_carry_the_ill_destination_pause() -> None:
    place = Place(in_flight_events=4)
    place.carry(WELL, 1, partition=TWO)
    place.answer(Accepted(None))
    place.carry(ILL, 5, partition=ONE)
    place.answer(NO_TOKEN)

    assert set(place.flow().paused) == {ONE}


def test_a_throttled_destination_is_not_spilled_for_who_may_be_in_the_same_trouble() -> None:
    place = Place(in_flight_events=4, spill_after_seconds=0.0)
    place.carry(WELL, 1)
    place.answer(Accepted(None))
    place.carry(ILL, 5)
    place.answer(THROTTLED, now=100.0)

    flow = place.flow(3000.0)

    assert (flow.paused, flow.spills) == ({ZERO: PauseCause.DESTINATION}, [])


def test_a_throttled_destination_is_spilled_for_who_is_accepted_all_the_while() -> None:
    place = Place(in_flight_events=4, spill_after_seconds=300.0)
    place.carry(ILL, 5)
    place.answer(THROTTLED)
    place.carry(WELL, 1)
    place.answer(Accepted(None), now=10.0)

    assert place.flow(299.0).spills == []
    assert [spill.holder for spill in place.flow(301.0).spills] == [place.deliveries.outboxes[ILL]]


def test_a_destination_whose_request_is_out_for_long_counts_as_one_in_trouble() -> None:
    place = Place(in_flight_events=4)
    place.carry(ILL, 5)
    place.deliveries.advance(0.0, NOW_MS)

    assert place.flow(SLOW_SECONDS).paused == {}
    assert place.flow(SLOW_SECONDS + 0.1).paused == {ZERO: PauseCause.DESTINATION}


def test_a_halted_destination_is_spilled_only_after_the_time_that_was_set() -> None:
    place = Place(in_flight_events=4)
    place.carry(WELL, 1)
    place.carry(ILL, 8)
    for request in place.deliveries.advance(0.0, NOW_MS).requests:
        verdict = NO_TOKEN if request.key.destination == ILL else Accepted(None)
        place.deliveries.answered(request, verdict, 0.0)
    assert place.flow(299.9).spills == []

    (spill,) = place.flow(300.0).spills

    assert spill.holder is place.deliveries.outboxes[ILL]
    assert spill.events_max == 2  # a quarter of what it holds
    assert spill.of(an_event())


def test_a_destination_alone_on_its_partitions_is_never_spilled() -> None:
    place = Place(in_flight_events=4)
    place.carry(WELL, 1, partition=ONE)
    place.answer(Accepted(None))
    place.carry(ILL, 8)
    place.answer(NO_TOKEN)

    flow = place.flow(100_000.0)

    assert (flow.paused, flow.spills) == ({ZERO: PauseCause.DESTINATION}, [])


def test_when_every_destination_is_halted_none_is_spilled() -> None:
    place = Place(in_flight_events=4)
    place.carry(WELL, 8)
    place.carry(ILL, 8)
    place.answer(NO_TOKEN)

    flow = place.flow(100_000.0)

    assert (flow.paused, flow.spills) == ({ZERO: PauseCause.DESTINATION}, [])


def test_a_destination_that_recovers_lets_its_partitions_go_on() -> None:
    place = Place(in_flight_events=4)
    place.carry(ILL, 8)
    place.answer(NO_TOKEN)
    assert place.flow().paused == {ZERO: PauseCause.DESTINATION}

    place.answer(Accepted(None), now=5.0)

    assert place.flow(5.0).paused == {}


def test_a_partition_far_ahead_of_its_commit_pauses() -> None:
    place = Place(uncommitted_records=5, in_flight_events=1000)
    place.carry(ILL, 1)
    place.deliveries.advance(0.0, NOW_MS)  # and no answer yet
    place.carry(WELL, 5)
    place.answer(Accepted(None))
    assert place.flow().paused == {}

    place.carry(WELL, 1)
    place.answer(Accepted(None))

    assert place.flow() == Flow({ZERO: PauseCause.UNCOMMITTED}, [])


def test_an_old_open_record_pauses_its_partition_once_something_was_settled_above_it() -> None:
    place = Place(uncommitted_seconds=60.0, in_flight_events=1000)
    place.carry(ILL, 1)
    place.answer(NO_TOKEN)
    assert place.flow(61.0).paused == {}
    place.carry(WELL, 1)
    for request in place.deliveries.advance(1.0, NOW_MS).requests:
        place.deliveries.answered(request, Accepted(None), 1.0)
        for event in request.events:
            place.ledger.settle(event.record)

    assert place.flow(60.0).paused == {}
    assert place.flow(60.1).paused == {ZERO: PauseCause.UNCOMMITTED}


def test_at_the_uncommitted_bound_a_halted_destination_gives_up_that_partitions_events() -> None:
    place = Place(uncommitted_records=5, in_flight_events=1000)
    place.carry(ILL, 2)
    place.answer(NO_TOKEN)
    (elsewhere,) = place.carry(ILL, 1, partition=ONE)
    place.carry(WELL, 6)
    for request in place.deliveries.advance(0.0, NOW_MS).requests:
        place.deliveries.answered(request, Accepted(None), 0.0)
        for event in request.events:
            place.ledger.settle(event.record)

    (spill,) = place.flow(1.0).spills
    rejected = spill.holder.spill(spill.events_max, spill.of)

    assert [one.event_id for one in rejected] == ["o1", "o2"]
    assert elsewhere in list(place.deliveries.outboxes[ILL].waiting())


def test_at_the_uncommitted_bound_a_destination_alone_on_the_partition_is_not_spilled() -> None:
    place = Place(uncommitted_records=2, in_flight_events=1000)
    events = place.carry(ILL, 6)
    place.answer(NO_TOKEN)
    for event in events[1:4]:
        place.ledger.settle(event.record)  # dead-lettered for another reason, say

    flow = place.flow(100_000.0)

    assert (flow.paused, flow.spills) == ({ZERO: PauseCause.UNCOMMITTED}, [])


def test_the_more_telling_cause_wins_when_a_partition_pauses_for_two() -> None:
    place = Place(in_flight_events=4)
    place.carry(ILL, 8)
    place.answer(NO_TOKEN)
    house = House(place.limits, place.ledger, place.deliveries, place.seen, lambda: 0, {})

    flow = plan_flow(house, 0.0, full=False, schema_partitions=[ZERO], too_large=[], may_spill=True)

    assert flow.paused == {ZERO: PauseCause.SCHEMA}


def test_a_destination_that_has_brought_nothing_yet_has_its_share_all_the_same() -> None:
    place = Place(in_flight_events=20, configured=4)
    place.carry(ILL, 5)
    place.answer(NO_TOKEN)

    assert place.flow().paused == {ZERO: PauseCause.DESTINATION}


def test_one_read_brings_a_destination_in_trouble_no_further_than_its_share() -> None:
    place = Place(in_flight_events=800, configured=2)
    place.carry(ILL, 4)
    place.answer(NO_TOKEN)

    assert place.flow().read_max == 396


def test_however_little_is_left_of_a_share_the_others_are_read() -> None:
    place = Place(in_flight_events=800, configured=2)
    place.carry(ILL, 399)
    place.answer(NO_TOKEN)

    assert place.flow().read_max == READ_RECORDS_MIN


def test_what_filled_the_house_before_its_trouble_goes_back_to_kafka() -> None:
    place = Place(in_flight_events=20, configured=2, full=True)
    place.carry(ILL, 20)
    place.answer(NO_TOKEN)

    assert place.flow().given_back == [ZERO]


def test_a_partition_that_others_share_does_not_go_back() -> None:
    place = Place(in_flight_events=20, configured=2, full=True)
    place.carry(WELL, 1)
    place.answer(Accepted(None))
    place.carry(ILL, 20)
    place.answer(NO_TOKEN)

    assert place.flow().given_back == []


def test_nothing_goes_back_while_a_request_is_out() -> None:
    place = Place(in_flight_events=20, configured=2, full=True)
    place.carry(ILL, 20)
    place.answer(NO_TOKEN)
    due = place.deliveries.advance(1000.0, NOW_MS)
    assert len(due.requests) == 1

    assert place.flow().given_back == []


# --- what the guard holds -----------------------------------------------------------------------


def test_what_the_guard_holds_pauses_its_partitions_when_it_is_the_destinations_share() -> None:
    place = Place(in_flight_events=10)
    place.hold(ILL, 9)
    assert place.flow().paused == {}

    place.hold(ILL, 1, partition=ONE)

    assert place.flow().paused == {ZERO: PauseCause.DESTINATION, ONE: PauseCause.DESTINATION}


def test_what_an_outbox_in_trouble_and_the_guard_hold_is_one_share() -> None:
    place = Place(in_flight_events=10)
    place.hold(ILL, 5, partition=ONE)
    place.carry(ILL, 5)
    assert place.flow().paused == {}, "an outbox that is well is nobody's trouble"

    place.answer(NO_TOKEN)

    assert place.flow().paused == {ZERO: PauseCause.DESTINATION, ONE: PauseCause.DESTINATION}


def test_what_the_guard_holds_bounds_the_next_read() -> None:
    place = Place(in_flight_events=800, configured=2)
    place.hold(ILL, 4)

    assert place.flow().read_max == 396


def test_what_the_guard_holds_is_spilled_for_a_healthy_destination_after_the_time_set() -> None:
    place = Place(in_flight_events=10, configured=1)
    held = place.hold(ILL, 12, since=100.0)
    place.seen[ZERO].add(WELL)
    assert place.flow(399.9).spills == []

    (spill,) = place.flow(400.0).spills

    assert (spill.holder, spill.events_max) == (held, 3)
    del place.held[ILL]
    assert place.flow(400.0).spills == []


def test_what_the_guard_holds_is_not_spilled_for_itself_nor_for_another_that_is_full() -> None:
    place = Place(in_flight_events=10, configured=1)
    place.hold(ILL, 12)
    assert place.flow(10_000.0).spills == []
    place.hold(WELL, 12)
    assert place.flow(10_000.0).spills == []

    place.held[WELL].spill(5, lambda _: True)

    assert [spill.holder for spill in place.flow(10_000.0).spills] == [place.held[ILL]]


def test_a_halted_destination_is_not_spilled_for_one_whose_share_the_guard_holds() -> None:
    place = Place(in_flight_events=10, configured=1)
    place.carry(ILL, 12)
    place.answer(NO_TOKEN)
    place.hold(WELL, 12)

    assert place.flow(10_000.0).spills == []


def test_at_the_uncommitted_bound_the_guard_gives_up_that_partitions_records() -> None:
    place = Place(uncommitted_records=5, in_flight_events=1000)
    held = place.hold(ILL, 2)
    place.hold(ILL, 1, partition=ONE)
    place.carry(WELL, 6)
    place.answer(Accepted(None))

    (spill,) = place.flow(1.0).spills

    assert spill.holder is held
    assert [one.record.partition for one in held.spill(99, spill.of)] == [ZERO, ZERO]
    assert held.carried.partitions == {ONE}


def test_at_the_uncommitted_bound_who_holds_nothing_of_that_partition_is_not_asked() -> None:
    place = Place(uncommitted_records=5, in_flight_events=1000)
    place.hold(ILL, 2, partition=ONE)
    place.carry(ILL, 2, partition=ONE)
    place.answer(NO_TOKEN)
    place.carry(WELL, 1)
    place.seen[ZERO].add(ILL)
    for event in place.carry(WELL, 6):
        place.ledger.settle(event.record)

    flow = place.flow(1.0)

    assert ZERO in flow.paused
    assert flow.spills == []


def test_what_the_guard_holds_goes_back_to_kafka_from_a_partition_of_its_own() -> None:
    place = Place(in_flight_events=10, full=True, configured=2)
    place.hold(ILL, 6, partition=ONE)
    place.hold(ILL, 6, partition=TWO)
    place.seen[TWO].add(WELL)

    assert place.flow().given_back == [ONE]


def test_nothing_goes_back_while_a_request_of_the_same_destination_is_out() -> None:
    place = Place(in_flight_events=10, full=True, configured=1)
    place.carry(ILL, 1, partition=ONE)
    place.deliveries.advance(0.0, NOW_MS)
    place.hold(ILL, 12, partition=ONE)

    assert place.flow().given_back == []

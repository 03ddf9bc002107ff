"""What the loop shows of itself: driven through the whole loop, and asked as the probes ask."""

from typing import Any

from consumer.letter_trouble import LetterTrouble
from consumer.model import Halted, HaltReason, MetaError, PauseCause, Reason, Refused, Throttled
from consumer.patience import OutboxState
from consumer.status import About, DestinationStatus, Status, degraded, probe_facts
from consumer.status_board import StatusBoard
from tests.fakes.house import CRM, SHOP, FakeHouse, house

TOKEN = Halted(HaltReason.TOKEN, MetaError(401, 190, 463, trace_id="A190"))


class Watched:
    """A house and the board that shows it."""

    def __init__(self, home: FakeHouse) -> None:
        self.home = home
        self.board = StatusBoard(
            about=About("1", "v26.0", "m", "g", "t", "t.dlq", "00", home.clock.now_ms(), 20_000),
            clock=home.clock,
            pipeline=home.pipeline,
            ledger=home.ledger,
            deliveries=home.deliveries,
            letters=home.letters,
            guard=home.guard,
            journal=home.journal,
            destinations=home.pipeline._intake.preparation.destinations,
        )

    def look(self) -> Status:
        destinations = self.home.pipeline._intake.preparation.destinations
        return self.board.look(destinations, joined=True, stopping=False)

    def destination(self, pixel: str) -> DestinationStatus:
        (found,) = [each for each in self.look().destinations if each.id == pixel]
        return found


def test_before_anything_happened_every_destination_is_ready_and_nothing_is_open() -> None:
    status = Watched(house()).board.newest

    assert [(each.id, each.state, each.in_hand) for each in status.destinations] == [
        (SHOP, OutboxState.READY, 0),
        (CRM, OutboxState.READY, 0),
    ]
    assert (status.partitions, status.open_records, status.oldest_open_ms) == ((), 0, None)


def test_a_halted_destination_shows_since_when_why_and_what_it_holds() -> None:
    home = house()
    watched = Watched(home)
    home.meta.standing[SHOP] = TOKEN
    home.publish(0, events=7)
    home.publish(1, events=2, destination=CRM)
    home.run(3)
    halted_ms = watched.destination(SHOP).since_ms
    home.run(30)

    shop, crm = watched.destination(SHOP), watched.destination(CRM)

    assert (shop.state, shop.in_hand, shop.since_ms) == (OutboxState.HALTED, 7, halted_ms)
    assert halted_ms is not None
    assert shop.halt is not None
    assert (shop.halt.reason, shop.halt.code, shop.halt.trace_id) == (HaltReason.TOKEN, 190, "A190")
    assert (crm.state, crm.in_hand, crm.since_ms) == (OutboxState.READY, 0, None)
    (first, *_) = watched.look().partitions
    assert (first.open, first.lag) == (7, None)
    assert first.oldest_open_ms is not None
    assert watched.look().oldest_open_ms == first.oldest_open_ms
    assert [each.answers > 1 for each in watched.look().errors] == [True]


def test_the_time_of_a_state_is_that_of_the_newest_state() -> None:
    home = house()
    watched = Watched(home)
    home.meta.standing[SHOP] = Throttled(MetaError(400, 80004), 30.0)
    home.publish(0, events=1)
    home.run(3)
    throttled = watched.destination(SHOP)
    home.meta.standing.clear()
    home.run(60)
    ready = watched.destination(SHOP)

    assert (throttled.state, ready.state) == (OutboxState.THROTTLED, OutboxState.READY)
    assert throttled.since_ms is not None
    assert ready.since_ms is not None
    assert throttled.since_ms < ready.since_ms


def test_dead_letters_that_fail_are_shown_with_their_trouble() -> None:
    home = house()
    watched = Watched(home)
    home.dead_letters.failing = "TOPIC_AUTHORIZATION_FAILED"
    home.publish(0, actionSource=None)
    home.run(10)

    letters = watched.look().letters

    assert (letters.waiting, letters.trouble) == (1, LetterTrouble.NOT_ALLOWED)
    assert letters.failing_since_ms is not None
    assert probe_facts(watched.look())["degraded"] == ["dead_letters_failing"]


def test_acknowledged_dead_letters_are_shown_by_reason() -> None:
    home = house()
    watched = Watched(home)
    home.publish(0, events=2, actionSource=None)
    home.garbage(1)
    home.run(5)

    shown = [(each.reason, each.letters) for each in watched.look().dead_letters]

    assert shown == [(Reason.MISSING_ACTION_SOURCE, 2), (Reason.UNDECODABLE, 1)]


def test_what_the_guard_holds_and_the_partitions_that_wait_are_shown() -> None:
    home = house(guard_events=10, guard_pauses=True, in_flight_events=40)
    watched = Watched(home)
    home.publish(0, events=60, actionSource=None)
    home.run(10)

    status = watched.look()

    assert watched.destination(SHOP).held > 0
    assert [alarm.reason for alarm in status.alarms] == [Reason.MISSING_ACTION_SOURCE]
    assert status.paused.keys() <= set(PauseCause)
    assert status.paused
    assert {each.concern.value for each in degraded(status)} == {"guard_alarm", "partitions_paused"}


def test_what_was_shown_does_not_change_when_the_loop_goes_on() -> None:
    home = house()
    watched = Watched(home)
    home.meta.standing[SHOP] = Refused(MetaError(400, 100))
    home.publish(0, events=3)
    home.run(3)
    shown = watched.look()
    before = repr(shown)
    home.meta.standing[SHOP] = TOKEN
    home.publish(0, events=3)
    home.run(30)
    watched.look()

    assert repr(shown) == before
    assert watched.board.newest != shown


def test_the_probes_body_tells_what_is_degraded_in_a_few_closed_words() -> None:
    home = house()
    watched = Watched(home)
    home.meta.standing[SHOP] = TOKEN
    home.publish(0, events=1)
    home.run(3)

    facts: dict[str, Any] = probe_facts(watched.look())

    assert facts["degraded"] == ["destination_halted"]
    assert facts["destinations"] == {SHOP: "halted", CRM: "ready"}
    assert facts["halted"] == {SHOP: "token"}
    assert (facts["paused_partitions"], facts["guard_alarms"]) == ({}, [])

"""Wishes of operators between the probes' threads and the loop: nobody waits for ever, and nothing
is done for somebody who was told that nothing happened."""

import threading
from collections.abc import Callable
from typing import NamedTuple

import pytest

from consumer.model import Place, TopicPartition
from consumer.settle import Ledger
from consumer.skip import Skipping
from consumer.wishes import WISHES_MAX, Wishes
from tests.fakes.events import TOPIC, a_record

PARTITION = TopicPartition(TOPIC, 0)
PLACE = Place(PARTITION, 0)
SECONDS_MAX = 60.0


class Desk(NamedTuple):
    """Wishes, the ledger that decides when one is done, and what was told."""

    wishes: Wishes
    ledger: Ledger
    told: list[Place]


def desk(skip: Callable[[Place], Skipping], *, wait_seconds: float = SECONDS_MAX) -> Desk:
    """With one open record, at ``PLACE``."""
    ledger, told = Ledger(), list[Place]()
    ledger.open(a_record(tenure=ledger.begin(PARTITION)), 0.0)
    wishes = Wishes(ledger=ledger, skip=skip, skipped=told.append, wait_seconds=wait_seconds)
    return Desk(wishes, ledger, told)


class Asker(threading.Thread):
    """Asks on a thread of its own, as the probes do."""

    def __init__(self, wishes: Wishes) -> None:
        super().__init__(daemon=True)
        self._wishes = wishes
        self.became: Skipping | None = None
        self.start()

    def run(self) -> None:
        self.became = self._wishes.ask(PLACE)

    def answer_while(self, turn: Callable[[], None]) -> Skipping | None:
        """What it was told, with the loop turning meanwhile."""
        while self.is_alive():
            turn()
            self.join(0.005)
        return self.became


@pytest.mark.parametrize("became", [each for each in Skipping if each is not Skipping.UNDER_WAY])
def test_what_cannot_be_skipped_is_told_at_the_loops_next_turn(became: Skipping) -> None:
    wishes, _, told = desk(lambda _: became)

    assert Asker(wishes).answer_while(wishes.turn) is became
    assert told == []


def test_a_record_counts_as_skipped_once_it_is_settled() -> None:
    wishes, ledger, told = desk(lambda _: Skipping.UNDER_WAY)
    asker = Asker(wishes)
    while not told:
        wishes.turn()
    for _ in range(20):
        wishes.turn()
        asker.join(0.005)
    assert asker.is_alive(), "its dead letter is not acknowledged"

    ledger.settle(a_record(tenure=ledger.tenure_of(PARTITION) or 0))

    assert asker.answer_while(wishes.turn) is Skipping.SKIPPED
    assert told == [PLACE]
    assert repr(wishes) == "<Wishes 0 asked, 0 under way>"


def test_a_record_whose_partition_left_in_between_is_not_skipped() -> None:
    wishes, ledger, told = desk(lambda _: Skipping.UNDER_WAY)
    asker = Asker(wishes)
    while not told:
        wishes.turn()
    ledger.begin(PARTITION)

    assert asker.answer_while(wishes.turn) is Skipping.NOT_OURS


def test_who_waits_in_vain_is_told_how_far_it_came_and_forgotten() -> None:
    wishes, _, told = desk(lambda _: Skipping.UNDER_WAY, wait_seconds=0.2)

    assert Asker(wishes).answer_while(wishes.turn) is Skipping.UNDER_WAY
    assert told == [PLACE]
    wishes.turn()
    assert repr(wishes) == "<Wishes 0 asked, 0 under way>"


def test_nothing_is_skipped_for_who_was_told_that_nothing_happened() -> None:
    asked: list[Place] = []

    def skip(place: Place) -> Skipping:
        asked.append(place)
        return Skipping.UNDER_WAY

    wishes, _, told = desk(skip, wait_seconds=0.01)
    assert wishes.ask(PLACE) is Skipping.NO_TURN

    wishes.turn()

    assert (asked, told) == ([], [])


def test_what_is_asked_has_a_limit() -> None:
    wishes, _, _ = desk(lambda _: Skipping.NOT_OPEN, wait_seconds=0.0)

    answers = [wishes.ask(PLACE) for _ in range(WISHES_MAX + 1)]

    assert answers == [*[Skipping.NO_TURN] * WISHES_MAX, Skipping.TOO_MANY]
    wishes.turn()
    assert wishes.ask(PLACE) is Skipping.NO_TURN

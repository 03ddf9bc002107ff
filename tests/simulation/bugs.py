"""Bugs to plant: each is a room with one mistake in it, of the kind that loses or doubles events.

The simulation must find every one of them, or it proves nothing.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from consumer.deliveries import Deliveries
from consumer.flow import Flow
from consumer.letter_box import DeadLetters, LetterBox, Report, Writing
from consumer.model import (
    Accepted,
    Batch,
    Closing,
    Delivered,
    EndOfPartition,
    PauseCause,
    Prepared,
    Reason,
    Record,
    Rejected,
    TopicPartition,
    Verdict,
)
from consumer.model import Place as RecordPlace
from consumer.outbox import Due, Outbox
from consumer.pipeline import PUMP_SECONDS, Pipeline
from consumer.settle import Ledger, Opening
from consumer.skip import Skipping
from tests.fakes.house import Rooms
from tests.fakes.kafka import Place
from tests.fakes.meta import place

Reads = Callable[..., list[Record | EndOfPartition]]


class CommitsThePosition(Ledger):
    """Commits what was read instead of what was settled."""

    def committable(self) -> dict[TopicPartition, int]:
        return self._positions(self.partitions)

    def committable_of(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return self._positions(partitions)

    def _positions(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        states = {partition: self.state(partition) for partition in partitions}
        return {
            partition: state.next_offset
            for partition, state in states.items()
            if state is not None and state.next_offset is not None
        }


class SettlesOnRead(Ledger):
    """A record counts as settled once it was read."""

    def open(self, record: Record, now: float) -> Opening:
        opening = super().open(record, now)
        if opening is Opening.OPENED:
            super().settle(record)
        return opening

    def settle(self, record: Record) -> bool:
        return not self.is_over(record.tenure)


class SettlesAcrossTenures(Ledger):
    """An answer for a tenure that is over settles the record of the one that follows."""

    def settle(self, record: Record) -> bool:
        number = self.tenure_of(record.partition)
        state = self.state(record.partition)
        if number is None or state is None or not state.open:
            return False
        return super().settle(record._replace(tenure=number))


class ForgetsNobody(Deliveries):
    """What belongs to a revoked partition stays in windows and queues."""

    def __init__(self, *, is_over: Callable[[int], bool], **rest: Any) -> None:
        del is_over
        super().__init__(is_over=lambda _: False, **rest)

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        del partitions


class OutboxOfNobody(Outbox):
    """Never hears that a tenure is over."""

    def __init__(self, *, is_over: Callable[[int], bool], **rest: Any) -> None:
        del is_over
        super().__init__(is_over=lambda _: False, **rest)

    def forget(self) -> None:
        pass


class RenamesRetries(Outbox):
    """What is sent again has another event id, and so is a second conversion."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self._sent: set[Place] = set()

    def due(self, now: float, now_ms: int, *, room: int | None = None) -> Due:
        due = super().due(now, now_ms, room=room)
        return Due(
            [replace(each, events=self._named(each.events)) for each in due.requests], *due[1:]
        )

    def _named(self, events: Iterable[Prepared]) -> tuple[Prepared, ...]:
        named = []
        for event in events:
            again = place(event) in self._sent
            self._sent.add(place(event))
            named.append(event._replace(event_id=f"{event.event_id}-again") if again else event)
        return tuple(named)


class DeliversAHalfTwice(Outbox):
    """The part of a refused batch that Meta took goes once more with the rest."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self._isolating: dict[str, Any] = {}

    def due(self, now: float, now_ms: int, *, room: int | None = None) -> Due:
        due = super().due(now, now_ms, room=room)
        self._isolating |= {each.request_id: each for each in due.requests if each.isolating}
        return due

    def answered(self, request_id: str, verdict: Verdict, now: float) -> list[Delivered | Rejected]:
        settled = super().answered(request_id, verdict, now)
        request = self._isolating.pop(request_id, None)
        if request is not None and isinstance(verdict, Accepted):
            self.offer(Batch(request.key, request.batch_id, request.events, Closing.DRAIN, 0.0))
        return settled


class SkipsWhatIsOnItsWay(Outbox):
    """An operator may take out what Meta may be taking at this moment."""

    def skip(self, place: RecordPlace) -> Rejected | None:
        for parcel in self._in_flight.values():
            for event in parcel.trial():
                if place.is_of(event.record):
                    return parcel.rejected(event, Reason.SKIPPED_BY_OPERATOR, "")
        return super().skip(place)


class SettlesWhatIsSkipped(Pipeline):
    """A skipped record counts as settled before its dead letter is acknowledged."""

    def skip(self, place: RecordPlace) -> Skipping:
        became = super().skip(place)
        if became is Skipping.UNDER_WAY:
            for letter in self._letters._letters.values():
                if place.is_of(letter.rejected.record) and self._ledger.is_open(*place):
                    self._ledger.settle(letter.rejected.record)
            self._letters._letters.clear()
        return became


class SkipsTheDeadLetter(LetterBox):
    """A rejected record is settled, and nobody ever sees its dead letter."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self._skipped: list[Rejected] = []

    def put(self, rejected: Rejected, *, failed_at_ms: int) -> None:
        del failed_at_ms
        self._skipped.append(rejected)

    def advance(self, now: float) -> list[Rejected]:
        skipped, self._skipped = self._skipped, []
        return super().advance(now) + skipped


class TakesFailureForSuccess(LetterBox):
    """A dead letter that could not be written counts as written."""

    def __init__(self, *, dead_letters: DeadLetters) -> None:
        super().__init__(dead_letters=_Flattered(dead_letters))


class _Flattered:
    def __init__(self, dead_letters: DeadLetters) -> None:
        self._dead_letters = dead_letters
        self.produce = dead_letters.produce

    def reports(self) -> list[Report]:
        return [
            each._replace(writing=Writing.ACKNOWLEDGED) for each in self._dead_letters.reports()
        ]


class Starves(Pipeline):
    """Does not poll the group while everything is paused."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self._inflow._read = self._starving(self._inflow._read)  # type: ignore[method-assign]

    def _starving(self, read: Reads) -> Reads:
        def starve(now: float) -> list[Record | EndOfPartition]:
            if self._inflow._valve.room(now) > 0:
                return read(now)
            self._outgoing.wait(PUMP_SECONDS)
            return []

        return starve


class CommitsAfterRevoke(Pipeline):
    """Commits once more when the partitions are another's already."""

    _late: Mapping[TopicPartition, int] = {}

    def revoked(self, partitions: Collection[TopicPartition]) -> None:
        offsets = self._ledger.committable_all()
        super().revoked(partitions)
        self._late = {each: offset for each, offset in offsets.items() if each in partitions}

    def turn(self) -> None:
        late, self._late = self._late, {}
        if late:
            self._source.commit(late)
        super().turn()


class CommitsOnLost(Pipeline):
    """Commits partitions that somebody else owns already."""

    def lost(self, partitions: Collection[TopicPartition]) -> None:
        self._commits.before_leaving(
            partitions,
            is_past=lambda: False,
            pump=lambda again_at: self.pump(until=again_at, done=lambda: False),
        )
        super().lost(partitions)


class RunsAhead(Pipeline):
    """Delivery runs ahead of a commit without a bound."""

    def __init__(self, **rest: Any) -> None:
        limits = replace(rest.pop("limits"), uncommitted_records=10**9)
        super().__init__(limits=limits, **rest)


class HoldsForEver(Pipeline):
    """A halted destination never gives way."""

    def __init__(self, **rest: Any) -> None:
        limits = replace(rest.pop("limits"), spill_after_seconds=10.0**9)
        super().__init__(limits=limits, **rest)


class HoldsACommit(Pipeline):
    """A halted destination with little on its partitions keeps what holds their commits back."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        valve = self._inflow._valve
        valve.turn = self._keeping(valve.turn)  # type: ignore[method-assign]

    def _keeping(self, turn: Callable[..., Flow]) -> Callable[..., Flow]:
        def keep(*arguments: Any, **named: Any) -> Flow:
            flow = turn(*arguments, **named)
            held = {p for p, cause in flow.paused.items() if cause is PauseCause.UNCOMMITTED}
            return replace(flow, spills=[]) if held else flow

        return keep


class DeadLettersForOthers(Pipeline):
    """What Meta refuses of a tenure that is over is dead-lettered all the same."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self._rejections.reject = self._dead_letter  # type: ignore[method-assign]

    def _dead_letter(self, rejected: Iterable[Rejected], now_ms: int) -> None:
        for one in rejected:
            self._letters.put(one, failed_at_ms=now_ms)


class ForgetsToRewind(Pipeline):
    """After a failed read it goes on where the client stands, past what was dequeued and lost."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self._inflow._rewind = self._journal.reading_failed  # type: ignore[method-assign]


BUGS: Mapping[str, Rooms] = {
    "commit position": Rooms(ledger=CommitsThePosition),
    "settle on read": Rooms(ledger=SettlesOnRead),
    "settle across tenures": Rooms(ledger=SettlesAcrossTenures, outbox=OutboxOfNobody),
    "forget to forget what was revoked": Rooms(deliveries=ForgetsNobody, outbox=OutboxOfNobody),
    "retry with a new event id": Rooms(outbox=RenamesRetries),
    "deliver an isolated half twice": Rooms(outbox=DeliversAHalfTwice),
    "skip the dead letter": Rooms(letters=SkipsTheDeadLetter),
    "commit during dead-letter failure": Rooms(letters=TakesFailureForSuccess),
    "poll starves while paused": Rooms(pipeline=Starves),
    "commit after revoke": Rooms(pipeline=CommitsAfterRevoke),
    "commit on lost": Rooms(pipeline=CommitsOnLost),
    "run ahead of the commit": Rooms(pipeline=RunsAhead),
    "hold a halted destination for ever": Rooms(pipeline=HoldsForEver),
    "hold a commit for a halted destination": Rooms(pipeline=HoldsACommit),
    "dead-letter for a tenure that is over": Rooms(
        pipeline=DeadLettersForOthers, outbox=OutboxOfNobody
    ),
    "forget to rewind": Rooms(pipeline=ForgetsToRewind),
    "skip what is on its way": Rooms(outbox=SkipsWhatIsOnItsWay),
    "settle what is skipped": Rooms(pipeline=SettlesWhatIsSkipped),
}
"""What is planted, by the name of the mistake."""

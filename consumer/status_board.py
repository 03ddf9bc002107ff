"""Where the loop shows how it is doing: one ``Status`` after another, made on its own thread.

The probes' threads only ever take the newest one, which nobody changes any more.
"""

from collections.abc import Mapping

from consumer.deliveries import Deliveries
from consumer.destinations import Destinations
from consumer.guard import Guard
from consumer.journal import UNREACHABLE, Journal
from consumer.letter_box import LetterBox
from consumer.letter_trouble import trouble_of
from consumer.meanings import meaning_of
from consumer.model import HaltReason, PixelId
from consumer.outbox import Outbox
from consumer.patience import OutboxState
from consumer.pipeline import Pipeline
from consumer.seams import Clock
from consumer.settle import Ledger
from consumer.status import (
    About,
    DestinationStatus,
    Halt,
    LettersStatus,
    PartitionStatus,
    Status,
)
from consumer.usage import UsageKind

_State = tuple[OutboxState, HaltReason | None]
_WELL: _State = (OutboxState.READY, None)


class StatusBoard:
    """``newest`` may be read from any thread; ``look`` belongs to the loop."""

    def __init__(
        self,
        *,
        about: About,
        clock: Clock,
        pipeline: Pipeline,
        ledger: Ledger,
        deliveries: Deliveries,
        letters: LetterBox,
        guard: Guard,
        journal: Journal,
        destinations: Destinations,
    ) -> None:
        self._about = about
        self._clock = clock
        self._pipeline = pipeline
        self._ledger = ledger
        self._deliveries = deliveries
        self._letters = letters
        self._guard = guard
        self._journal = journal
        self._since: dict[PixelId, tuple[_State, int]] = {}
        self.newest = self.look(destinations, joined=False, stopping=False)

    def look(self, destinations: Destinations, *, joined: bool, stopping: bool) -> Status:
        """Take the facts of this moment. Costs about as much as setting the gauges."""
        now, now_ms = self._clock.now(), self._clock.now_ms()
        self.newest = Status(
            at_ms=now_ms,
            about=self._about,
            joined=joined,
            stopping=stopping,
            kafka_unreachable=self._journal.troubles.is_on(UNREACHABLE),
            open_records=self._ledger.open_records,
            destinations=self._destinations(destinations, now, now_ms),
            partitions=self._partitions(now, now_ms),
            letters=self.letters(),
            alarms=tuple(self._guard.alarms),
            errors=self._journal.recent.newest(now_ms),
            dead_letters=self._journal.recent.letters(now_ms),
        )
        return self.newest

    def letters(self) -> LettersStatus:
        """The dead letters on their way, as they are now. Safe from any thread."""
        failing = self._letters.failing
        return LettersStatus(
            waiting=len(self._letters),
            failing=failing,
            trouble=trouble_of(failing) if failing is not None else None,
            failing_since_ms=self._pipeline.letters_failing_since_ms,
            too_large=tuple(self._letters.too_large_records),
        )

    def _destinations(
        self, destinations: Destinations, now: float, now_ms: int
    ) -> tuple[DestinationStatus, ...]:
        names = {each.id: each.name or "" for each in destinations}
        outboxes = self._deliveries.outboxes
        in_hand = self._deliveries.in_hand()
        usage: dict[PixelId, dict[UsageKind, float]] = {}
        for (pixel, kind), share in self._deliveries.usage(now).items():
            usage.setdefault(pixel, {})[kind] = share
        # One that is no longer configured may still hold events.
        return tuple(
            self._destination(
                pixel,
                names.get(pixel, ""),
                outboxes.get(pixel),
                in_hand=in_hand[pixel],
                usage=usage.get(pixel, {}),
                now_ms=now_ms,
            )
            for pixel in dict.fromkeys((*names, *outboxes))
        )

    def _destination(
        self,
        pixel: PixelId,
        name: str,
        outbox: Outbox | None,
        *,
        in_hand: int,
        usage: Mapping[UsageKind, float],
        now_ms: int,
    ) -> DestinationStatus:
        halt = None if outbox is None else _halt_of(outbox)
        state = OutboxState.READY if outbox is None else outbox.state
        return DestinationStatus(
            id=pixel,
            name=name,
            state=state,
            halt=halt,
            since_ms=self._changed(pixel, (state, halt and halt.reason), now_ms),
            in_hand=in_hand,
            requests_out=0 if outbox is None else outbox.in_flight,
            held=len(self._guard.held.get(pixel, ())),
            usage=usage,
        )

    def _changed(self, pixel: PixelId, state: _State, now_ms: int) -> int | None:
        """Since when a destination is in this state; None while it has never been in another."""
        before, since_ms = self._since.get(pixel, (_WELL, None))
        if state == before:
            return since_ms
        self._since[pixel] = (state, now_ms)
        return now_ms

    def _partitions(self, now: float, now_ms: int) -> tuple[PartitionStatus, ...]:
        lags, paused = self._journal.lags.newest, self._pipeline.paused
        found = []
        for partition in sorted(self._ledger.partitions):
            state = self._ledger.state(partition)
            assert state is not None, "a partition of the ledger's has a state"
            opened_at = state.oldest_open_at
            row = PartitionStatus(
                partition=partition,
                lag=lags.get(partition),
                open=state.open,
                uncommitted=state.uncommitted,
                oldest_open_ms=None
                if opened_at is None
                else now_ms - round(1000 * (now - opened_at)),
                paused=paused.get(partition),
            )
            found.append(row)
        return tuple(found)


def _halt_of(outbox: Outbox) -> Halt | None:
    halted = outbox.halted
    if halted is None:
        return None
    error = halted.error
    return Halt(halted.reason, error.code, error.subcode, error.trace_id, meaning_of(halted))

"""What becomes of rejected records: dead letters, or held for as long as the guard wants it.

First the dead letter, then the offset: a rejected record is settled in ``write``, once the brokers
have acknowledged its dead letter, and nowhere else. The loop turns this room and no other thread
does.
"""

from collections.abc import Collection, Iterable

from consumer.deliveries import Deliveries
from consumer.flow import Spill
from consumer.guard import Guard
from consumer.intake import Intake
from consumer.journal import Journal
from consumer.letter_box import LetterBox
from consumer.model import PixelId, Place, Rejected, TopicPartition
from consumer.settle import Ledger
from consumer.skip import Skipping, skipped_record


class Rejections:
    """One member's rejected records. ``now_ms`` is when they were: wall-clock milliseconds."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        intake: Intake,
        deliveries: Deliveries,
        guard: Guard,
        letters: LetterBox,
        journal: Journal,
    ) -> None:
        self._ledger = ledger
        self._intake = intake
        self._deliveries = deliveries
        self._guard = guard
        self._letters = letters
        self._journal = journal
        self.failing_since_ms: int | None = None

    def __repr__(self) -> str:
        return f"<Rejections {self._letters!r}>"

    def turn_away(self, rejected: Rejected, now: float, now_ms: int) -> None:
        """A record that is not even sent: to the dead letters, unless the guard holds what a
        publisher's bad deploy brings."""
        rejected = self._deliveries.recalled(rejected)
        turned = self._guard.rejected(rejected, now)
        if turned.begins is not None:
            self._journal.guard_begins(turned.begins, self._guard)
        if turned.held:
            self._intake.holds(rejected)
        else:
            self._letters.put(rejected, failed_at_ms=now_ms)

    def reject(self, rejected: Iterable[Rejected], now_ms: int) -> None:
        """To the dead letters, unless the next owner of the partition meets it."""
        for one in rejected:
            if not self._ledger.is_over(one.record.tenure):
                self._letters.put(one, failed_at_ms=now_ms)

    def write(self, now: float, now_ms: int) -> None:
        """Move the dead letters on, and settle the records of those that are written."""
        written = self._letters.advance(now)
        for one in written:
            # First the dead letter, then the offset: only here is a rejected record settled.
            self._ledger.settle(one.record)
        self._journal.dead_lettered(written)
        for report in self._letters.drain_failures():
            self._journal.letter_failed(report)
        failing = self._letters.failing
        if failing is not None:
            self.failing_since_ms = self.failing_since_ms or now_ms
            self._journal.letters_failing(failing)
        elif self.failing_since_ms is not None:
            self.failing_since_ms = None
            self._journal.letters_written_again()
        self._journal.letters_too_large(self._letters.too_large_records)

    def spill(self, spills: Collection[Spill], now_ms: int) -> None:
        """Give up what a destination in trouble holds too long."""
        for spill in spills:
            spilled = spill.holder.spill(spill.events_max, spill.of)
            if spilled:
                self._journal.spilled(spilled)
                self.reject(spilled, now_ms)

    def release(self, paused: Collection[TopicPartition], now_ms: int) -> None:
        """Give up what the guard held for alarms that are over; these partitions are not read."""
        for ended in self._guard.ended(paused):
            self._journal.guard_ended(ended)
            self.reject(ended.released, now_ms)

    def accept(self, destination: PixelId, now_ms: int) -> bool:
        """Give up what the guard holds for a destination, because somebody says so; whether it
        held anything."""
        held = destination in self._guard.held
        accepted = self._guard.accept(destination)
        if held:
            self._journal.guard_accepted(destination, len(accepted))
        self.reject(accepted, now_ms)
        return held

    def skip(self, place: Place, now_ms: int) -> Skipping:
        """Take one open record out of the way, because somebody says so: its dead letter is only a
        reference. ``UNDER_WAY`` when that is on its way, and again each time it is asked for."""
        if self._ledger.tenure_of(place.partition) is None:
            return Skipping.NOT_OURS
        if not self._ledger.is_open(*place):
            return Skipping.NOT_OPEN
        became = self._letters.skip(place, failed_at_ms=now_ms)
        if became is not None:
            return became
        record = self._intake.take_out(place)
        rejected = (
            skipped_record(record)
            if record is not None
            else self._guard.skip(place) or self._deliveries.skip(place)
        )
        if rejected is None:
            return Skipping.ON_ITS_WAY
        self.reject([rejected], now_ms)
        return Skipping.UNDER_WAY

    def gauges(self) -> None:
        """Show how much waits here, and why."""
        self._journal.metrics.dead_letters(
            waiting=len(self._letters),
            failing=self._letters.failing,
            failing_since_ms=self.failing_since_ms,
        )
        held = {destination: len(each) for destination, each in self._guard.held.items()}
        self._journal.metrics.guard(self._guard.alarms, held)

"""The loop: read → decode → prepare → window → outbox → settle → commit, on one thread.

It owns every piece of state and both clocks, and is the only one to do I/O between the steps.
There is one ``pump``: collect answers, move the outboxes on, serve the dead letters' reports,
settle. The loop's turn, the revoke callback and the shutdown all call it, and it never reads.
"""

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from pydantic import SecretStr

from consumer.decode import NeedsSchema
from consumer.deliveries import Deliveries
from consumer.flow import House, Limits
from consumer.guard import Guard
from consumer.intake import Intake, SchemaSource
from consumer.journal import Journal
from consumer.leftover import Left, left_behind
from consumer.letter_box import LetterBox
from consumer.model import (
    Delivered,
    EndOfPartition,
    PauseCause,
    PixelId,
    Place,
    Prepared,
    ReadFailed,
    Record,
    Rejected,
    Suppressed,
    TopicPartition,
)
from consumer.outbox import Outbox
from consumer.patience import OutboxState
from consumer.prepare import Preparation
from consumer.schema_registry import Fetched
from consumer.seams import Clock, Outgoing, Source
from consumer.senders import Answer
from consumer.settle import Ledger, Opening
from consumer.skip import Skipping, skipped_record
from consumer.valve import Valve

READ_SECONDS = 0.05
READ_SECONDS_WHILE_SENDING = 0.005
"""Reading waits its whole time, and an answer of Meta's may free the next request."""

PUMP_SECONDS = 0.02
COMMIT_AGAIN_SECONDS = 0.2
LAST_COMMIT_SECONDS = 3.0
"""The last commit gets so long, even when the grace is over."""

EVICTED = frozenset(
    ("FENCED_INSTANCE_ID", "FENCED_MEMBER_EPOCH", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID")
)
"""The group counts on us no longer: to repeat a commit is of no use before the next poll."""


class Timing(NamedTuple):
    """How long the loop waits; see ``settings.py``."""

    commit_seconds: float
    grace_seconds: float


class Pipeline:
    """One member's loop and all its state."""

    def __init__(
        self,
        *,
        source: Source,
        schemas: SchemaSource,
        preparation: Preparation,
        ledger: Ledger,
        deliveries: Deliveries,
        letters: LetterBox,
        guard: Guard,
        outgoing: Outgoing,
        limits: Limits,
        timing: Timing,
        clock: Clock,
        journal: Journal,
    ) -> None:
        self._source = source
        self._ledger = ledger
        self._deliveries = deliveries
        self._letters = letters
        self._guard = guard
        self._outgoing = outgoing
        self._timing = timing
        self._clock = clock
        self._journal = journal
        self._intake = Intake(schemas=schemas, preparation=preparation, ledger=ledger)
        house = House(
            limits,
            ledger,
            deliveries,
            self._intake.seen,
            self._intake.destinations,
            guard.held,
        )
        self._valve = Valve(source=source, house=house)
        self._states: dict[PixelId, tuple[object, object]] = {}
        self._commit_at = 0.0
        self._end_at = float("inf")
        self.letters_failing_since_ms: int | None = None
        self.heartbeat = clock.now()

    @property
    def paused(self) -> Mapping[TopicPartition, PauseCause]:
        """The partitions that are not read for now."""
        return self._valve.paused

    def use(self, preparation: Preparation) -> None:
        """From the next record on prepare by other destinations."""
        self._intake.preparation = preparation

    def nudge(
        self,
        token_of: Callable[[PixelId], SecretStr | None],
        *,
        app_secret: SecretStr | None = None,
        configured: Collection[PixelId] = (),
    ) -> None:
        """Look at the credentials: a halted destination whose token or app secret has changed is
        tried again at once, and who shares a token shares its limits."""
        now = self._clock.now()
        self._deliveries.nudge(token_of, now, app_secret=app_secret, configured=configured)

    def resume(self, destination: PixelId) -> None:
        """A halted destination is tried again at once, and what the guard holds for one goes to
        the dead letters, because somebody says so."""
        held = destination in self._guard.held
        accepted = self._guard.accept(destination)
        halted = self._deliveries.resume(destination, self._clock.now())
        if held:
            self._journal.guard_accepted(destination, len(accepted))
        if halted or not held:
            self._journal.resumed(destination, halted)
        self._reject(accepted, self._clock.now_ms())

    def skip(self, place: Place) -> Skipping:
        """Take one open record out of the way, because somebody says so: its dead letter is only a
        reference. ``UNDER_WAY`` when that is on its way, and again each time it is asked for."""
        if self._ledger.tenure_of(place.partition) is None:
            return Skipping.NOT_OURS
        if not self._ledger.is_open(*place):
            return Skipping.NOT_OPEN
        now_ms = self._clock.now_ms()
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
        self._reject([rejected], now_ms)
        return Skipping.UNDER_WAY

    # --- the group's callbacks, which come out of ``Source.read`` and ``Source.close``

    def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """New tenures begin."""
        self._journal.rebalanced("assigned", partitions)
        for partition in partitions:
            self._begin(partition)

    def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Finish and commit what is in flight of these partitions, then their tenures end."""
        self._journal.rebalanced("revoked", partitions)
        leaving = frozenset(partitions)
        self._deliveries.close_holding(leaving)
        until = self._clock.now() + self._timing.grace_seconds
        self.pump(until=until, done=lambda: not self._worth_waiting(leaving))
        self._commit_in_callback(partitions, until)
        self._end(partitions)

    def lost(self, partitions: Collection[TopicPartition]) -> None:
        """Somebody else owns them already: nothing is committed."""
        self._journal.rebalanced("lost", partitions)
        self._end(partitions)

    # --- the loop

    def turn(self) -> None:
        """Read once and move everything on."""
        now = self._clock.now()
        self._steer(now)
        try:
            items = self._read(now)
        except ReadFailed as error:
            self._rewind(str(error))
            items = []
        self._take(items)
        self.pump(until=now, done=lambda: True)
        if self._clock.now() >= self._commit_at:
            self._commit_at = self._clock.now() + self._timing.commit_seconds
            offsets = self._ledger.committable()
            if offsets:
                self._source.commit(offsets)

    def pump(self, *, until: float, done: Callable[[], bool]) -> None:
        """Move everything on but the reading, at least once, until done or out of time."""
        while True:
            self._pump_once()
            if done() or self._is_past(until):
                return
            self._outgoing.wait(PUMP_SECONDS)

    def end_within_grace(self) -> None:
        """We are told to stop: nothing is waited for beyond the grace time that begins now, not
        even in a callback that is under way. Safe from any thread."""
        self._end_at = min(self._end_at, self._clock.now() + self._timing.grace_seconds)

    def close(self) -> Left:
        """Finish what is in flight within the grace time, commit, leave the group.

        What could not be finished stays uncommitted in Kafka.
        """
        self.end_within_grace()
        everything = self._ledger.partitions
        self._source.pause(everything)
        self._deliveries.drain()
        while self._worth_waiting(frozenset(everything)) and not self._is_past(self._end_at):
            self._poll()
            self.pump(until=self._clock.now(), done=lambda: True)
        self._last_commit(everything)
        left = left_behind(
            self._ledger,
            self._deliveries,
            schema_waiting=self._intake.waiting,
            letters_waiting=self._letters.of_live_tenures,
            guard_held=sum(map(len, self._guard.held.values())),
        )
        self._source.close()
        return left

    def _is_past(self, until: float) -> bool:
        return self._clock.now() >= min(until, self._end_at)

    def _poll(self) -> None:
        """Stay in the group. What this may still return is dropped before the ledger hears of it,
        and so is never committed past."""
        try:
            self._source.read(1, PUMP_SECONDS)
        except ReadFailed as error:
            self._journal.reading_failed(str(error))

    def _read(self, now: float) -> list[Record | EndOfPartition]:
        room = self._valve.room(now)
        if room > 0:
            sending = self._deliveries.requests_out > 0
            seconds = READ_SECONDS_WHILE_SENDING if sending else READ_SECONDS
            return self._source.read(room, seconds)
        if self._valve.is_shut(now):
            return self._source.read(1, READ_SECONDS)
        self._outgoing.wait(PUMP_SECONDS)
        return []

    def _rewind(self, error: str) -> None:
        """Records may have been dequeued and lost: read on from what the ledger expects."""
        self._journal.reading_failed(error)
        states = {p: self._ledger.state(p) for p in self._ledger.partitions}
        offsets = {
            p: state.next_offset
            for p, state in states.items()
            if state is not None and state.next_offset is not None
        }
        if len(offsets) < len(states):
            raise ReadFailed(f"{error}, before anything was read: where to go back to is unknown")
        self._source.rewind(offsets)

    def _take(self, items: list[Record | EndOfPartition]) -> None:
        now, now_ms = self._clock.now(), self._clock.now_ms()
        went_back: set[TopicPartition] = set()
        records = 0
        for item in items:
            if item.partition in went_back:
                continue  # it will be read again
            if isinstance(item, EndOfPartition):
                self._ledger.reached_end(item)
                continue
            match self._ledger.open(item, now):
                case Opening.OPENED:
                    records += 1
                    self._enter(item, now, now_ms)
                case Opening.WENT_BACK:
                    # The topic was made anew or its offsets were reset.
                    went_back.add(item.partition)
                    self._read_again(item.partition, item.offset)
                case Opening.STALE:
                    pass  # its partition is no longer ours
        if items:
            self._journal.kafka_answers()
            self._journal.metrics.records_read.inc(records)

    def _enter(self, record: Record, now: float, now_ms: int) -> None:
        """Bring one open record as far as it gets without waiting."""
        match self._intake.admit(record, now_ms):
            case Prepared() as prepared:
                self._guard.passed(prepared.destination)
                self._journal.prepared(prepared)
                self._deliveries.add(prepared, now)
            case Rejected() as rejected:
                self._turn_away(self._deliveries.recalled(rejected), now, now_ms)
            case Suppressed() as suppressed:
                self._guard.passed(suppressed.destination)
                self._ledger.settle(record)
                self._journal.suppressed(suppressed)
            case NeedsSchema():
                pass  # the intake keeps it

    def _turn_away(self, rejected: Rejected, now: float, now_ms: int) -> None:
        """To the dead letters, unless the guard holds what a publisher's bad deploy brings."""
        turned = self._guard.rejected(rejected, now)
        if turned.begins is not None:
            self._journal.guard_begins(turned.begins, self._guard)
        if turned.held:
            self._intake.holds(rejected)
        else:
            self._letters.put(rejected, failed_at_ms=now_ms)

    def _pump_once(self) -> None:
        now, now_ms = self._clock.now(), self._clock.now_ms()
        self.heartbeat = now
        for answer in self._outgoing.answers():
            self._answered(answer, now, now_ms)
        for fetched in self._intake.news():
            self._schema_news(fetched, now, now_ms)
        step = self._deliveries.advance(now, now_ms)
        for batch in step.closed:
            self._journal.closed(batch)
        for request in step.requests:
            self._outgoing.submit(request)
        self._reject(step.rejected, now_ms)
        self._tell_states()
        self._write_letters(now, now_ms)
        self._hear_kafka()

    def _answered(self, answer: Answer, now: float, now_ms: int) -> None:
        settled = self._deliveries.answered(answer.request, answer.verdict, now)
        destination = answer.request.key.destination
        if answer.usage:
            self._deliveries.heard(destination, answer.usage, now)
        self._journal.answered(answer, settled)
        # Of the others' states is told once a turn: with many of them to ask is work.
        self._tell_state(self._deliveries.outboxes[destination])
        delivered = [settlement for settlement in settled if isinstance(settlement, Delivered)]
        self._journal.delivered([d for d in delivered if self._ledger.settle(d.event.record)])
        self._reject([s for s in settled if isinstance(s, Rejected)], now_ms)

    def _tell_states(self) -> None:
        """One answer may change what many destinations do, and some pauses end by time alone."""
        for outbox in self._deliveries.outboxes.values():
            self._tell_state(outbox)

    def _tell_state(self, outbox: Outbox) -> None:
        state = (outbox.state, outbox.halted and outbox.halted.reason)
        if self._states.get(outbox.destination, (OutboxState.READY, None)) != state:
            self._states[outbox.destination] = state
            self._journal.destination_changed(outbox)

    def _reject(self, rejected: list[Rejected], now_ms: int) -> None:
        for one in rejected:
            if not self._ledger.is_over(one.record.tenure):
                self._letters.put(one, failed_at_ms=now_ms)

    def _write_letters(self, now: float, now_ms: int) -> None:
        for written in self._letters.advance(now):
            # First the dead letter, then the offset: only here is a rejected record settled.
            self._ledger.settle(written.record)
            self._journal.dead_lettered(written)
        for report in self._letters.drain_failures():
            self._journal.letter_failed(report)
        failing = self._letters.failing
        if failing is not None:
            self.letters_failing_since_ms = self.letters_failing_since_ms or now_ms
            self._journal.letters_failing(failing)
        elif self.letters_failing_since_ms is not None:
            self.letters_failing_since_ms = None
            self._journal.letters_written_again()
        self._journal.letters_too_large(self._letters.too_large_records)

    def _schema_news(self, fetched: Fetched, now: float, now_ms: int) -> None:
        if fetched.known is None:
            self._journal.schema_trouble(fetched.error or "")
            return
        self._journal.schema_fetched()
        for record in self._intake.release(fetched.ref):
            if not self._ledger.is_over(record.tenure):
                self._enter(record, now, now_ms)

    def _hear_kafka(self) -> set[str]:
        """What the client has to tell; returns why commits were refused, by Kafka's names."""
        refused: set[str] = set()
        for report in self._source.commit_reports():
            if report.error is None:
                self._ledger.committed(report.partition, report.offset)
                self._journal.committed()
            else:
                refused.add(report.error)
                self._ledger.commit_failed(report.partition)
                self._journal.commit_failed(report.partition, report.error)
        for error in self._source.errors():
            self._journal.kafka_error(error)
        return refused

    def _steer(self, now: float) -> None:
        """Pause and resume partitions, and spill what a halted destination has to give up."""
        before = self._valve.paused
        flow = self._valve.turn(
            now,
            schema_partitions=self._intake.waiting_partitions,
            too_large=self._letters.too_large,
            may_spill=self._letters.failing is None,
        )
        if self._valve.paused != before:
            self._journal.flow(self._valve.paused, before)
        for partition in flow.given_back:
            self._give_back(partition)
        for spill in flow.spills:
            spilled = spill.holder.spill(spill.events_max, spill.of)
            if spilled:
                self._journal.spilled(spilled)
                self._reject(spilled, self._clock.now_ms())
        for ended in self._guard.ended(self._valve.paused):
            self._journal.guard_ended(ended)
            self._reject(ended.released, self._clock.now_ms())

    def gauges(self) -> None:
        """Show how full the house is."""
        self._journal.metrics.schema_waiting.set(self._intake.waiting)
        self._journal.metrics.dead_letters(
            waiting=len(self._letters),
            failing=self._letters.failing,
            failing_since_ms=self.letters_failing_since_ms,
        )
        held = {destination: len(each) for destination, each in self._guard.held.items()}
        self._journal.metrics.guard(self._guard.alarms, held)
        self._journal.metrics.meta_usage(self._deliveries.usage(self._clock.now()))
        self._journal.metrics.flow(
            records=self._ledger.open_records,
            size_bytes=self._ledger.open_bytes,
            requests=self._deliveries.requests_out,
            assigned=len(self._ledger.partitions),
            paused=self._valve.paused,
        )

    def _worth_waiting(self, partitions: Collection[TopicPartition]) -> bool:
        """Whether something of these is open and may be settled soon: not what a halted
        destination, a missing schema or a time in the future holds."""
        states = [self._ledger.state(partition) for partition in partitions]
        if not any(state is not None and state.open for state in states):
            return False
        return self._letters.holds(partitions) or self._deliveries.can_progress(partitions)

    def _commit_in_callback(self, partitions: Collection[TopicPartition], until: float) -> None:
        """Commit before these leave, again while the group refuses and time is left."""
        while offsets := self._ledger.committable_of(partitions):
            self._source.commit_now(offsets, None)
            if self._hear_kafka() & EVICTED or self._is_past(until):
                return
            if self._ledger.committable_of(partitions):
                self.pump(until=self._clock.now() + COMMIT_AGAIN_SECONDS, done=lambda: False)

    def _last_commit(self, partitions: Collection[TopicPartition]) -> None:
        """Commit everything, again while the group refuses and time is left. Between two attempts
        the group is polled: a rebalance that is under way is over then, and what it has taken
        from us is no longer ours to commit."""
        while offsets := self._ledger.committable_of(partitions):
            self._source.commit_now(
                offsets, max(self._end_at - self._clock.now(), LAST_COMMIT_SECONDS)
            )
            self._hear_kafka()
            if self._is_past(self._end_at) or not self._ledger.committable_of(partitions):
                return
            again_at = self._clock.now() + COMMIT_AGAIN_SECONDS
            while not self._is_past(again_at):
                self._poll()

    def _give_back(self, partition: TopicPartition) -> None:
        """Forget records behind all that is settled; they are read again later."""
        if self._letters.holds([partition]) or partition in self._intake.waiting_partitions:
            return  # these are open as well, and not to be met twice
        offset = self._ledger.give_back(partition)
        if offset is not None:
            self._deliveries.give_back(partition, offset)
            self._deliveries.remember(self._guard.give_back(partition, offset))
            self._source.rewind({partition: offset})
            self._journal.given_back(partition, offset)

    def _read_again(self, partition: TopicPartition, offset: int) -> None:
        """A new tenure begins here. Whether the partition is paused does not change."""
        self._end([partition], pauses_too=False)
        self._ledger.begin(partition)
        self._intake.begin(partition)
        self._source.rewind({partition: offset})

    def _begin(self, partition: TopicPartition) -> None:
        self._ledger.begin(partition)
        self._intake.begin(partition)
        self._valve.forget(partition)

    def _end(self, partitions: Collection[TopicPartition], *, pauses_too: bool = True) -> None:
        for partition in partitions:
            self._ledger.end(partition)
        for partition in partitions:
            self._intake.forget(partition)
            if pauses_too:
                self._valve.forget(partition)
        self._deliveries.forget(partitions)
        self._guard.forget(self._ledger.is_over)
        self._letters.forget(self._ledger.is_over)

"""The loop: read → decode → prepare → window → outbox → settle → commit, on one thread.

It owns every piece of state and both clocks, and is the only one to do I/O between the steps.
There is one ``pump``: collect answers, move the outboxes on, serve the dead letters' reports,
settle. The loop's turn, the revoke callback and the shutdown all call it, and it never reads.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from pydantic import SecretStr

from consumer.commits import Commits
from consumer.decode import NeedsSchema, UnknownSchema
from consumer.deliveries import Deliveries
from consumer.flow import Limits
from consumer.guard import Guard
from consumer.inflow import Inflow
from consumer.intake import Intake, SchemaSource
from consumer.journal import Journal
from consumer.leftover import Left, left_behind
from consumer.letter_box import LetterBox
from consumer.model import (
    Delivered,
    PauseCause,
    PixelId,
    Place,
    Prepared,
    Record,
    Rejected,
    Suppressed,
    TopicPartition,
)
from consumer.prepare import Preparation
from consumer.rejections import Rejections
from consumer.schema_registry import Fetched
from consumer.seams import Clock, Outgoing, Source
from consumer.senders import Answer
from consumer.settle import Ledger
from consumer.skip import Skipping

PUMP_SECONDS = 0.02


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
        self._inflow = Inflow(
            source=source,
            ledger=ledger,
            intake=self._intake,
            deliveries=deliveries,
            guard=guard,
            letters=letters,
            outgoing=outgoing,
            limits=limits,
            clock=clock,
            journal=journal,
        )
        self._rejections = Rejections(
            ledger=ledger,
            intake=self._intake,
            deliveries=deliveries,
            guard=guard,
            letters=letters,
            journal=journal,
        )
        self._commits = Commits(
            source=source,
            ledger=ledger,
            clock=clock,
            journal=journal,
            every_seconds=timing.commit_seconds,
        )
        self._end_at = float("inf")
        journal.metrics.limits(records=limits.in_flight_events, size_bytes=limits.in_flight_bytes)
        self.heartbeat = clock.now()

    @property
    def letters_failing_since_ms(self) -> int | None:
        """Since when dead letters cannot be written. Safe from any thread."""
        return self._rejections.failing_since_ms

    @property
    def paused(self) -> Mapping[TopicPartition, PauseCause]:
        """The partitions that are not read for now."""
        return self._inflow.paused

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
        held = self._rejections.accept(destination, self._clock.now_ms())
        halted = self._deliveries.resume(destination, self._clock.now())
        if halted or not held:
            self._journal.resumed(destination, halted)

    def skip(self, place: Place) -> Skipping:
        """Take one open record out of the way, because somebody says so; see ``Rejections``."""
        return self._rejections.skip(place, self._clock.now_ms())

    # --- the group's callbacks, which come out of ``Source.read`` and ``Source.close``

    def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """New tenures begin."""
        self._journal.rebalanced("assigned", partitions)
        self._inflow.begin(partitions)

    def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Finish and commit what is in flight of these partitions, then their tenures end."""
        self._journal.rebalanced("revoked", partitions)
        leaving = frozenset(partitions)
        self._deliveries.close_holding(leaving)
        until = self._clock.now() + self._timing.grace_seconds
        self.pump(until=until, done=lambda: not self._worth_waiting(leaving))
        self._commits.before_leaving(
            partitions,
            is_past=lambda: self._is_past(until),
            pump=lambda again_at: self.pump(until=again_at, done=lambda: False),
        )
        self._inflow.end(partitions)

    def lost(self, partitions: Collection[TopicPartition]) -> None:
        """Somebody else owns them already: nothing is committed."""
        self._journal.rebalanced("lost", partitions)
        self._inflow.end(partitions)

    # --- the loop

    def turn(self) -> None:
        """Read once and move everything on."""
        now, now_ms = self._clock.now(), self._clock.now_ms()
        self._rejections.spill(self._inflow.steer(now), now_ms)
        self._rejections.release(self._inflow.paused, now_ms)
        self._inflow.read(now, self._enter)
        self.pump(until=now, done=lambda: True)
        self._commits.turn()

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
            self._inflow.poll()
            self.pump(until=self._clock.now(), done=lambda: True)
        self._commits.last(everything, until=self._end_at, poll=self._inflow.poll)
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

    def _enter(self, record: Record, now: float, now_ms: int) -> None:
        """Bring one open record as far as it gets without waiting."""
        match self._intake.admit(record, now_ms):
            case Prepared() as prepared:
                self._guard.passed(prepared.destination)
                self._journal.prepared(prepared)
                self._deliveries.add(prepared, now)
            case Rejected() as rejected:
                self._rejections.turn_away(rejected, now, now_ms)
            case Suppressed() as suppressed:
                self._guard.passed(suppressed.destination)
                self._ledger.settle(record)
                self._journal.suppressed(suppressed)
            case NeedsSchema():
                pass  # the intake keeps it

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
            self._journal.submitted(request, now_ms)
        self._rejections.reject(step.rejected, now_ms)
        for outbox in self._deliveries.outboxes.values():
            # One answer may change what many do, and some pauses end by time alone.
            self._journal.destination_state(outbox)
        self._rejections.write(now, now_ms)
        self._commits.hear()

    def _answered(self, answer: Answer, now: float, now_ms: int) -> None:
        settled = self._deliveries.answered(answer.request, answer.verdict, now)
        destination = answer.request.key.destination
        if answer.usage:
            self._deliveries.heard(destination, answer.usage, now)
        self._journal.answered(answer, settled)
        # Of the others' states is told once a turn: with many of them to ask is work.
        self._journal.destination_state(self._deliveries.outboxes[destination])
        self._delivered([s for s in settled if isinstance(s, Delivered)], now, now_ms)
        self._rejections.reject([s for s in settled if isinstance(s, Rejected)], now_ms)

    def _delivered(self, delivered: Sequence[Delivered], now: float, now_ms: int) -> None:
        ours: list[Delivered] = []
        waited: list[float] = []
        for one in delivered:
            opened_at = self._ledger.opened_at(one.event.record)
            if self._ledger.settle(one.event.record):
                ours.append(one)
                waited.append(now if opened_at is None else now - opened_at)
        self._journal.delivered(ours, waited=waited, now_ms=now_ms)

    def _schema_news(self, fetched: Fetched, now: float, now_ms: int) -> None:
        if fetched.known is None:
            self._journal.schema_trouble(fetched.error or "")
            return
        if isinstance(fetched.known, UnknownSchema):
            self._journal.schema_unknown(fetched.known.detail)
        else:
            self._journal.schema_fetched()
        for record in self._intake.release(fetched.ref):
            if not self._ledger.is_over(record.tenure):
                self._enter(record, now, now_ms)

    def gauges(self) -> None:
        """Show how full the house is."""
        self._journal.metrics.schema_waiting.set(self._intake.waiting)
        self._rejections.gauges()
        self._journal.metrics.meta_usage(self._deliveries.usage(self._clock.now()))
        self._journal.metrics.pending(self._deliveries.in_hand(), self._deliveries.times())
        self._journal.metrics.flow(
            records=self._ledger.open_records,
            size_bytes=self._ledger.open_bytes,
            requests=self._deliveries.requests_out,
            uncommitted=self._ledger.uncommitted_records,
            assigned=len(self._ledger.partitions),
            paused=self._inflow.paused,
        )

    def _worth_waiting(self, partitions: Collection[TopicPartition]) -> bool:
        """Whether something of these is open and may be settled soon: not what a halted
        destination, a missing schema or a time in the future holds."""
        states = [self._ledger.state(partition) for partition in partitions]
        if not any(state is not None and state.open for state in states):
            return False
        return self._letters.holds(partitions) or self._deliveries.can_progress(partitions)

"""The loop: read → decode → prepare → window → outbox → settle → commit, on one thread.

It owns every piece of state and both clocks, and is the only one to do I/O between the steps.
There is one ``pump``: collect answers, move the outboxes on, serve the dead letters' reports,
settle. The loop's turn, the revoke callback and the shutdown all call it, and it never reads.
"""

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, Protocol

from consumer.decode import NeedsSchema, SchemaFor, SchemaRef, decode
from consumer.deliveries import Deliveries
from consumer.flow import House, Limits, plan_flow
from consumer.journal import Journal
from consumer.letter_box import LetterBox
from consumer.metrics import PauseCause
from consumer.model import (
    ClientError,
    CommitReport,
    Delivered,
    EndOfPartition,
    Event,
    PixelId,
    Prepared,
    ReadFailed,
    Record,
    Rejected,
    Request,
    Suppressed,
    TopicPartition,
)
from consumer.prepare import Preparation, prepare
from consumer.schema_registry import Fetched
from consumer.senders import Answer
from consumer.settle import Ledger, Opening

READ_SECONDS = 0.05
READ_SECONDS_WHILE_SENDING = 0.005
"""Reading waits its whole time, and an answer of Meta's may free the next request."""

READ_RECORDS_MAX = 1000
PUMP_SECONDS = 0.02
FLOW_SECONDS = 0.2
FULL_SECONDS = 1.0
"""So long a full house simply does not read; then it pauses and polls, to stay in the group."""


class Clock(Protocol):
    """Monotonic seconds, and the wall clock in milliseconds."""

    def now(self) -> float: ...

    def now_ms(self) -> int: ...


class Source(Protocol):
    """The consumer group's member; see ``kafka.KafkaSource``."""

    def read(self, records_max: int, seconds: float) -> list[Record | EndOfPartition]: ...

    def pause(self, partitions: Collection[TopicPartition]) -> None: ...

    def resume(self, partitions: Collection[TopicPartition]) -> None: ...

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None: ...

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None: ...

    def commit_now(self, offsets: Mapping[TopicPartition, int]) -> None: ...

    def commit_reports(self) -> list[CommitReport]: ...

    def errors(self) -> list[ClientError]: ...

    def close(self) -> None: ...


class Outgoing(Protocol):
    """The sender threads; see ``senders.Senders``."""

    def submit(self, request: Request) -> None: ...

    def answers(self) -> list[Answer]: ...

    def wait(self, seconds: float) -> None: ...


class SchemaSource(Protocol):
    """Schemas by id, fetched by somebody else; see ``schema_registry.Schemas``."""

    @property
    def plan_for(self) -> SchemaFor: ...

    def news(self) -> list[Fetched]: ...


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
        outgoing: Outgoing,
        limits: Limits,
        timing: Timing,
        clock: Clock,
        journal: Journal,
    ) -> None:
        self._source = source
        self._schemas = schemas
        self._ledger = ledger
        self._deliveries = deliveries
        self._letters = letters
        self._outgoing = outgoing
        self._limits = limits
        self._timing = timing
        self._clock = clock
        self._journal = journal
        self._waiting: dict[SchemaRef, list[Record]] = {}
        self._seen: dict[TopicPartition, set[PixelId]] = {}
        self._house = House(limits, ledger, deliveries, self._seen)
        self._paused: dict[TopicPartition, PauseCause] = {}
        self._full_since: float | None = None
        self._flow_at = 0.0
        self._commit_at = 0.0
        self._drain_until: float | None = None
        self.preparation = preparation
        self.heartbeat = clock.now()

    # --- the group's callbacks, which come out of ``Source.read`` and ``Source.close``

    def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """New tenures begin."""
        self._journal.rebalanced("assigned", partitions)
        for partition in partitions:
            self._ledger.begin(partition)
            self._seen[partition] = set()
            self._paused.pop(partition, None)

    def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Finish and commit what is in flight of these partitions, then their tenures end."""
        self._journal.rebalanced("revoked", partitions)
        self._deliveries.close_holding(partitions)
        until = self._clock.now() + self._timing.grace_seconds
        self.pump(
            until=until if self._drain_until is None else min(until, self._drain_until),
            done=lambda: not self._worth_waiting(partitions),
        )
        self._commit_now(partitions)
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
            if done() or self._clock.now() >= until:
                return
            self._outgoing.wait(PUMP_SECONDS)

    def close(self) -> int:
        """Finish what is in flight within the grace time, commit, leave the group.

        Returns how many records were left open; they stay uncommitted in Kafka.
        """
        self._drain_until = self._clock.now() + self._timing.grace_seconds
        everything = self._ledger.partitions
        self._source.pause(everything)
        self._deliveries.drain()
        while self._worth_waiting(everything) and self._clock.now() < self._drain_until:
            # Polling keeps us in the group. What it may still return is dropped before the ledger
            # hears of it, and so is never committed past.
            self._source.read(1, PUMP_SECONDS)
            self.pump(until=self._clock.now(), done=lambda: True)
        self._commit_now(everything)
        left = self._ledger.open_records
        self._source.close()
        return left

    def _read(self, now: float) -> list[Record | EndOfPartition]:
        room = self._limits.in_flight_events - self._ledger.open_records
        if room > 0 and self._ledger.open_bytes < self._limits.in_flight_bytes:
            self._full_since = None
            sending = self._deliveries.requests_out > 0
            seconds = READ_SECONDS_WHILE_SENDING if sending else READ_SECONDS
            return self._source.read(min(room, READ_RECORDS_MAX), seconds)
        self._full_since = self._full_since or now
        if now - self._full_since < FULL_SECONDS:
            self._outgoing.wait(PUMP_SECONDS)
            return []
        # Everything is paused by now (``_steer``), and polled all the same.
        return self._source.read(1, READ_SECONDS)

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
                    # The topic was made anew or its offsets were reset: a new tenure begins here.
                    went_back.add(item.partition)
                    self._end([item.partition])
                    self._ledger.begin(item.partition)
                    self._seen[item.partition] = set()
                    self._source.rewind({item.partition: item.offset})
                case Opening.STALE:
                    pass  # its partition is no longer ours
        if items:
            self._journal.kafka_answers()
            self._journal.metrics.records_read.inc(records)

    def _enter(self, record: Record, now: float, now_ms: int) -> None:
        """Bring one open record as far as it gets without waiting."""
        entered: Event | NeedsSchema | Rejected | Prepared | Suppressed
        entered = decode(record, schema_for=self._schemas.plan_for)
        if isinstance(entered, Event):
            entered = prepare(entered, self.preparation, now_ms=now_ms)
        match entered:
            case Prepared():
                self._seen[record.partition].add(entered.destination)
                self._journal.prepared(entered)
                self._deliveries.add(entered, now)
            case Rejected():
                self._letters.put(entered, failed_at_ms=now_ms)
            case Suppressed():
                self._ledger.settle(record)
                self._journal.suppressed(entered)
            case NeedsSchema(_, ref):
                self._waiting.setdefault(ref, []).append(record)
            case _:
                raise AssertionError("an event was neither prepared nor rejected")

    def _pump_once(self) -> None:
        now, now_ms = self._clock.now(), self._clock.now_ms()
        self.heartbeat = now
        for answer in self._outgoing.answers():
            self._answered(answer, now, now_ms)
        for fetched in self._schemas.news():
            self._schema_news(fetched, now, now_ms)
        step = self._deliveries.advance(now, now_ms)
        for batch in step.closed:
            self._journal.closed(batch)
        for request in step.requests:
            self._outgoing.submit(request)
        self._reject(step.rejected, now_ms)
        self._write_letters(now)
        self._hear_kafka()

    def _answered(self, answer: Answer, now: float, now_ms: int) -> None:
        outbox = self._deliveries.outboxes[answer.request.key.destination]
        before = (outbox.state, outbox.halted and outbox.halted.reason)
        settled = self._deliveries.answered(answer.request, answer.verdict, now)
        self._journal.answered(answer, settled)
        if before != (outbox.state, outbox.halted and outbox.halted.reason):
            self._journal.destination_changed(outbox)
        delivered = [settlement for settlement in settled if isinstance(settlement, Delivered)]
        self._journal.delivered([d for d in delivered if self._ledger.settle(d.event.record)])
        self._reject([s for s in settled if isinstance(s, Rejected)], now_ms)

    def _reject(self, rejected: list[Rejected], now_ms: int) -> None:
        for one in rejected:
            if not self._ledger.is_over(one.record.tenure):
                self._letters.put(one, failed_at_ms=now_ms)

    def _write_letters(self, now: float) -> None:
        failing = self._letters.failing
        for written in self._letters.advance(now):
            # First the dead letter, then the offset: only here is a rejected record settled.
            self._ledger.settle(written.record)
            self._journal.dead_lettered(written)
        for report in self._letters.drain_failures():
            self._journal.letter_failed(report)
        if failing is not None and self._letters.failing is None:
            self._journal.letters_written_again()

    def _schema_news(self, fetched: Fetched, now: float, now_ms: int) -> None:
        if fetched.known is None:
            self._journal.schema_trouble(fetched.error or "")
            return
        self._journal.schema_fetched()
        for record in self._waiting.pop(fetched.ref, []):
            if not self._ledger.is_over(record.tenure):
                self._enter(record, now, now_ms)

    def _hear_kafka(self) -> None:
        for report in self._source.commit_reports():
            if report.error is None:
                self._ledger.committed(report.partition, report.offset)
            else:
                self._ledger.commit_failed(report.partition)
                self._journal.commit_failed(report.partition, report.error)
        for error in self._source.errors():
            self._journal.kafka_error(error)

    def _steer(self, now: float) -> None:
        """Pause and resume partitions, and spill what a halted destination has to give up."""
        full = self._full_since is not None and now - self._full_since >= FULL_SECONDS
        if now < self._flow_at and not full:
            return
        self._flow_at = now + FLOW_SECONDS
        waiting = {record.partition for records in self._waiting.values() for record in records}
        flow = plan_flow(
            self._house, now, schema_partitions=waiting, too_large=self._letters.too_large
        )
        if full:
            for partition in self._ledger.partitions:
                flow.paused.setdefault(partition, PauseCause.IN_FLIGHT)
        paused = {p: c for p, c in flow.paused.items() if self._ledger.tenure_of(p) is not None}
        self._source.pause(paused.keys() - self._paused.keys())
        self._source.resume(self._paused.keys() - paused.keys())
        self._journal.flow(paused, self._paused)
        self._paused = paused
        for spill in flow.spills:
            spilled = spill.outbox.spill(spill.events_max, spill.of)
            if spilled:
                self._journal.spilled(spill.outbox, len(spilled))
                self._reject(spilled, self._clock.now_ms())
        self._journal.metrics.schema_waiting.set(sum(map(len, self._waiting.values())))
        self._journal.metrics.flow(
            records=self._ledger.open_records,
            size_bytes=self._ledger.open_bytes,
            requests=self._deliveries.requests_out,
            assigned=len(self._ledger.partitions),
            paused=paused,
        )

    def _worth_waiting(self, partitions: Collection[TopicPartition]) -> bool:
        """Whether something of these is open and may be settled soon: not what a halted
        destination, a missing schema or a time in the future holds."""
        states = [self._ledger.state(partition) for partition in partitions]
        if not any(state is not None and state.open for state in states):
            return False
        return len(self._letters) > 0 or self._deliveries.can_progress

    def _commit_now(self, partitions: Collection[TopicPartition]) -> None:
        offsets = self._ledger.committable_of(partitions)
        if offsets:
            self._source.commit_now(offsets)
        self._hear_kafka()

    def _end(self, partitions: Collection[TopicPartition]) -> None:
        for partition in partitions:
            self._ledger.end(partition)
            self._seen.pop(partition, None)
            self._paused.pop(partition, None)
        is_over = self._ledger.is_over
        self._deliveries.forget()
        self._letters.forget(is_over)
        for ref, records in list(self._waiting.items()):
            kept = [record for record in records if not is_over(record.tenure)]
            if kept:
                self._waiting[ref] = kept
            else:
                del self._waiting[ref]

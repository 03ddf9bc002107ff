"""What the loop tells the outside: one place for its log lines and its counts.

A line a batch, never one an event. A trouble is logged when it is new, and counted each time.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from consumer.dead_letter import masked
from consumer.destinations import Destinations
from consumer.event_names import NEAR_MISS, near_miss
from consumer.graph_versions import NEWEST, Outlook
from consumer.guard import Alarm, Ended, Guard
from consumer.lags import Lags
from consumer.leftover import Left
from consumer.letter_box import Report
from consumer.letter_trouble import trouble_of
from consumer.metric_labels import NOBODY
from consumer.metrics import Metrics
from consumer.model import (
    Accepted,
    Batch,
    ClientError,
    Delivered,
    HaltReason,
    Incomplete,
    LogEnd,
    MetaError,
    PauseCause,
    PixelId,
    Place,
    Prepared,
    Reason,
    Rejected,
    Request,
    Retry,
    Suppressed,
    TopicPartition,
)
from consumer.outbox import Outbox
from consumer.patience import OutboxState
from consumer.prepare import TEST_EVENTS
from consumer.recent_errors import RecentErrors
from consumer.replay_plan import replay_command
from consumer.seams import Log
from consumer.senders import Answer
from consumer.token_state import TokenState
from consumer.tracing import Tracing
from consumer.troubles import Troubles

LOGIN_ERRORS = frozenset(("_AUTHENTICATION", "_SSL"))
UNREACHABLE = "kafka unreachable"


class Journal:
    """Log, metrics and traces of one run. Called by the loop thread only."""

    def __init__(self, *, metrics: Metrics, log: Log, traces: Tracing) -> None:
        self.metrics = metrics
        self.log = log
        self.traces = traces
        self._states: dict[PixelId, tuple[OutboxState, HaltReason | None]] = {}
        self.troubles = Troubles()
        self.lags = Lags()
        self.recent = RecentErrors()
        self._letter_failures = 0
        self._spilled: set[PixelId] = set()
        self._too_large: frozenset[Place] = frozenset()

    def rebalanced(self, kind: str, partitions: Collection[TopicPartition]) -> None:
        """Partitions came or went: ``kind`` is assigned, revoked or lost."""
        self.metrics.rebalances.labels(kind).inc()
        self.log.info(f"partitions {kind}", partitions=[str(p) for p in partitions])

    def test_mode(self, destinations: Destinations, run_wide: str | None) -> None:
        """Say which destinations' events all carry a test event code, where any do."""
        if run_wide is not None:
            self.log.warning("test mode is on for every destination", advice=TEST_EVENTS)
            return
        marked = [each.id for each in destinations if each.test_event_code is not None]
        if marked:
            self.log.warning("test mode is on", destinations=marked, advice=TEST_EVENTS)

    def closed(self, batch: Batch) -> None:
        """A window closed."""
        self.metrics.requests.window_closed(batch)
        self.traces.closed(batch)

    def submitted(self, request: Request, now_ms: int) -> None:
        """A request is on its way to Meta."""
        self.metrics.requests.submitted(request, now_ms)

    def answered(self, answer: Answer, settled: Sequence[Delivered | Rejected]) -> None:
        """Meta answered a request, or it was given up."""
        request, verdict = answer.request, answer.verdict
        destination = request.key.destination
        self.metrics.requests.answered(
            destination, verdict, seconds=answer.seconds, status=answer.status
        )
        self.recent.answered(destination, verdict)
        if answer.bug is not None:
            self.metrics.bugs.inc()
            self.log.error("posting raised an exception", kind=answer.bug)
        if answer.version_warning is not None:
            self._version_warning(answer.version_warning)
        facts: dict[str, Any] = {
            "destination": destination,
            "batch_id": request.batch_id,
            "request_id": request.request_id,
            "events": len(request.events),
            "seconds": round(answer.seconds, 3),
        }
        if (trace := self.traces.answered(answer, settled)) is not None:
            facts["otel_trace_id"] = trace
        # The trials of a refused batch would be dozens of lines: the batch has had its line.
        say = self.log.debug if request.isolating else self.log.info
        if isinstance(verdict, Accepted):
            say("batch delivered", **facts, trace_id=verdict.trace_id)
            for message in verdict.messages:
                if self.troubles.is_new("message", message):
                    self.log.warning("Meta adds a message", message=message, **facts)
            return
        kind = type(verdict).__name__.lower()
        cause = verdict.cause.value if isinstance(verdict, Retry) else None
        told = _told(getattr(verdict, "error", None))
        if isinstance(verdict, Retry) and verdict.why:
            told = {"why": verdict.why}
        if isinstance(verdict, Incomplete):
            told = {"received": verdict.received, "trace_id": verdict.trace_id}
        dead = sum(isinstance(settlement, Rejected) for settlement in settled)
        say(f"batch {kind}", **facts, cause=cause, dead_lettered=dead, **told)

    def stopped(self, left: Left) -> None:
        """The run is over: its last line says what it leaves behind, or that it is nothing."""
        if left.is_nothing:
            self.log.info("stopped")
            return
        self.log.warning(
            "stopped with records left; they stay uncommitted in Kafka and will be read again",
            records=left.records,
            partitions=left.partitions,
            **{holder.value: records for holder, records in left.held_by.items()},
            sent_again_max=left.sent_again_max,
        )

    def resumed(self, destination: PixelId, known: bool) -> None:
        """Somebody asked by hand that a destination be tried again."""
        if known:
            self.log.warning("destination is tried again by hand", destination=destination)
        else:
            self.log.warning("nothing is held for a destination to resume", destination=destination)

    def graph_version(self, outlook: Outlook) -> None:
        """The version of the Graph API that is called ends soon, or has ended."""
        self.log.warning(
            "Graph API version",
            told=outlook.told,
            ends=str(outlook.ends) if outlook.ends else None,
            advice=f"set CONVERSIONS_GRAPH_VERSION to {NEWEST}",
        )

    def _version_warning(self, warning: str) -> None:
        self.metrics.version_warnings.inc()
        if self.troubles.is_new("version", warning):
            event = "Meta warns about our version of the Graph API; set CONVERSIONS_GRAPH_VERSION"
            self.log.warning(event, warning=warning)

    def destination_state(self, outbox: Outbox) -> None:
        """A destination's state, told when it is another than before."""
        halted = outbox.halted
        now = (outbox.state, None if halted is None else halted.reason)
        if self._states.get(outbox.destination, (OutboxState.READY, None)) != now:
            self._states[outbox.destination] = now
            self._destination_changed(outbox)

    def _destination_changed(self, outbox: Outbox) -> None:
        state = outbox.state.value
        facts: dict[str, Any] = {"destination": outbox.destination, "state": state}
        if outbox.halted is None:
            say = self.log.info if state == "ready" else self.log.warning
            say("destination state", **facts)
            if state == "ready" and outbox.destination in self._spilled:
                self._spilled.discard(outbox.destination)
                self.log.warning(
                    "destination recovered; what was spilled waits in the dead letters",
                    destination=outbox.destination,
                    command=replay_command(Reason.DESTINATION_HALTED, outbox.destination),
                )
            return
        told = _told(outbox.halted.error)
        self.log.error("destination halted", **facts, reason=outbox.halted.reason.value, **told)

    def spilled(self, spilled: Sequence[Rejected]) -> None:
        """A destination in trouble gave up events, so that others can go on."""
        destination, reason = spilled[0].destination, spilled[0].reason
        facts: dict[str, Any] = {"destination": destination, "events": len(spilled)}
        if destination is None or reason is not Reason.DESTINATION_HALTED:
            told = "spilling what the guard holds into the dead letters"
            self.log.warning(told, **facts, reason=reason.value)
            return
        self._spilled.add(destination)
        self.log.warning("spilling a halted destination into the dead letters", **facts)

    def guard_begins(self, alarm: Alarm, guard: Guard) -> None:
        """More than the configured share of a destination's last events is rejected for one
        reason."""
        self.log.error(
            "many events are rejected for one reason; look at their publisher's last deploy",
            **_alarmed(alarm),
            more_than=f"{guard.share:.0%} of the last {guard.events}",
            held=alarm.destination in guard.held,
        )

    def guard_ended(self, ended: Ended) -> None:
        """Few events are rejected for that reason again."""
        facts = {**_alarmed(ended.alarm), "dead_lettering": len(ended.released)}
        self.log.warning("few events are rejected for that reason again", **facts)

    def guard_accepted(self, destination: PixelId, events: int) -> None:
        """Somebody asked by hand that what the guard holds be dead-lettered."""
        told = "what the guard holds is dead-lettered by hand"
        self.log.warning(told, destination=destination, events=events)

    def given_back(self, partition: TopicPartition, offset: int) -> None:
        """Records of a destination in trouble are forgotten, to be read again later."""
        self.traces.given_back([partition], offset)
        self.log.info("giving records back to Kafka", partition=str(partition), offset=offset)

    def tenures_ended(self, partitions: Collection[TopicPartition]) -> None:
        """What is open of these partitions is somebody else's, or is read again."""
        self.traces.given_back(partitions, 0)

    def prepared(self, event: Prepared) -> None:
        """An event is ready to be sent."""
        if event.dropped or event.warnings:
            self.metrics.events.prepared(event)
            if NEAR_MISS in event.warnings:
                self._near_miss(event.event_name)
        if event.test_code and self.troubles.is_new("test", event.destination):
            self.log.warning("a test event came", destination=event.destination, advice=TEST_EVENTS)

    def suppressed(self, event: Suppressed) -> None:
        """An event is withheld for want of consent."""
        self.metrics.events.suppressed(event)

    def delivered(
        self, delivered: Sequence[Delivered], *, waited: Sequence[float], now_ms: int
    ) -> None:
        """Events of one request were accepted and settled, ``waited`` seconds after each was
        read."""
        self.metrics.events.delivered(delivered, waited=waited, now_ms=now_ms)
        self.metrics.values.delivered(delivered)

    def dead_lettered(self, written: Sequence[Rejected]) -> None:
        """Dead letters were acknowledged."""
        if not written:
            return
        self.metrics.events.dead_lettered(written)
        self.traces.dead_lettered(written)
        for rejected in written:
            self.recent.dead_lettered(rejected.reason)
            if rejected.reason is Reason.INTERNAL_ERROR:
                self.metrics.bugs.inc()
                if self.troubles.is_new("bug", rejected.detail):
                    origin = str(rejected.record.place)
                    self.log.error("a record met a bug", origin=origin, detail=rejected.detail)
        self.log.debug("dead letters written", letters=len(written))

    def letter_failed(self, report: Report) -> None:
        """A dead letter could not be written; it will be tried again."""
        self.metrics.dead_letter_failed(report.writing.value)
        self._letter_failures += 1

    def letters_failing(self, error: str) -> None:
        """Dead letters cannot be written; ``error`` is Kafka's name for why."""
        if self.troubles.is_new("letter", error):
            event = "dead letters cannot be written; nothing is committed past them"
            self.log.error(event, error=error, trouble=trouble_of(error).value)

    def letters_written_again(self) -> None:
        """Every dead letter that failed is acknowledged, or no longer ours."""
        failures, self._letter_failures = self._letter_failures, 0
        if self.troubles.over("letter") is not None:  # what it counts is turns of the loop
            self.log.info("dead letters can be written again", repeated=max(0, failures - 1))

    def letters_too_large(self, places: Collection[Place]) -> None:
        """These records are too large for the dead-letter topic, each for itself."""
        for place in places:
            if place not in self._too_large:
                self.log.error(
                    "a record is too large for the dead-letter topic; its partition waits",
                    record=str(place),
                    advice="raise the topic's max.message.bytes, or `conversions skip` the record",
                )
        self._too_large = frozenset(places)

    def skipped(self, place: Place) -> None:
        """Somebody had a record taken out of the way."""
        event = "a record is skipped by an operator; Meta will not get it"
        self.log.warning(event, record=str(place))

    def producer_replaced(self, error: str) -> None:
        """The producer of dead letters met a fatal error, and another took its place."""
        self.metrics.producer_replacements.inc()
        self.log.warning("the dead-letter producer broke; a new one takes its place", error=error)

    def kafka_error(self, error: ClientError) -> None:
        """The client reports an error; it goes on trying by itself."""
        self.metrics.kafka_errors.labels("unreachable" if error.unreachable else "other").inc()
        # Of the many names of a broker that is not there one is told; a login is another trouble.
        login = error.name in LOGIN_ERRORS
        kind = UNREACHABLE if error.unreachable or login else "kafka"
        trouble = "" if error.unreachable and not login else error.name
        if self.troubles.is_new(kind, trouble):
            event = "Kafka is unreachable; trying on" if error.unreachable else "Kafka error"
            self.log.error(event, error=error.name, text=error.text)

    def kafka_answers(self) -> None:
        """Records or the group's coordinator came through."""
        if (repeated := self.troubles.over(UNREACHABLE)) is not None:
            self.log.info("Kafka is reachable again", repeated=repeated)

    def commit_failed(self, partition: TopicPartition, error: str) -> None:
        """The group refused a commit; it is repeated, or made by the next owner."""
        self.metrics.commit_failures.inc()
        if self.troubles.is_new("commit", error):
            self.log.warning("commit refused", partition=str(partition), error=error)

    def committed(self) -> None:
        """The group took a commit."""
        if (repeated := self.troubles.over("commit")) is not None:
            self.log.info("commits are taken again", repeated=repeated)

    def schema_trouble(self, error: str) -> None:
        """A schema could not be fetched yet."""
        self.metrics.schema_failures.inc()
        if self.troubles.is_new("schema", error):
            self.log.warning("schema cannot be fetched; its partition waits", error=error)

    def schema_unknown(self, detail: str) -> None:
        """The registry has said for long enough that it does not have a schema."""
        self.troubles.over("schema")
        if self.troubles.is_new("unknown schema", detail):
            told = "the registry does not have a schema; its records are dead-lettered"
            self.log.warning(told, detail=detail)

    def schema_fetched(self) -> None:
        """A schema is there."""
        if (repeated := self.troubles.over("schema")) is not None:
            self.log.info("schemas can be fetched again", repeated=repeated)

    def quality_unreadable(self, destination: PixelId, why: str) -> None:
        """Meta did not show its figures of a pixel; it is asked again with the next refresh."""
        self.metrics.quality_failures.inc()
        if self.troubles.is_new(("quality", destination), why):
            told = "Event Match Quality cannot be read"
            self.log.warning(told, destination=destination, why=why)

    def quality_read(self, destination: PixelId) -> None:
        """Meta showed its figures of a pixel."""
        if (repeated := self.troubles.over(("quality", destination))) is not None:
            told = "Event Match Quality can be read again"
            self.log.info(told, destination=destination, repeated=repeated)

    def token_unreadable(self, destinations: Iterable[PixelId], why: str) -> None:
        """Meta did not tell the state of the one token of these; it is asked again with the next
        check."""
        self.metrics.token_check_failures.inc()
        for destination in destinations:
            if self.troubles.is_new(("token", destination), why):
                told = "the state of the access token cannot be read"
                self.log.warning(told, destination=destination, why=why)

    def token_read(self, destinations: Iterable[PixelId]) -> None:
        """Meta told the state of the token of these."""
        for destination in destinations:
            if (repeated := self.troubles.over(("token", destination))) is not None:
                told = "the state of the access token can be read again"
                self.log.info(told, destination=destination, repeated=repeated)

    def token_states(self, states: Mapping[PixelId, TokenState]) -> None:
        """What is known of the tokens of our destinations is another than before."""
        self.metrics.token_states(states)
        for destination, state in states.items():
            invalid = ("invalid token", destination)
            if not state.is_valid and self.troubles.is_new(invalid, ""):
                self.log.error("Meta calls the access token invalid", destination=destination)
            elif state.is_valid and self.troubles.over(invalid) is not None:
                told = "Meta calls the access token valid again"
                self.log.info(told, destination=destination)

    def reading_failed(self, error: str) -> None:
        """Reading raised, and every partition was rewound to what was expected next."""
        self.metrics.bugs.inc()
        self.log.error("reading failed; rewound", error=error)

    def log_ends(
        self, ends: Mapping[TopicPartition, LogEnd], next_commit: Mapping[TopicPartition, int]
    ) -> None:
        """Lag of our partitions, and what retention took before it was read."""
        for gone in self.lags.look(ends, next_commit):
            self.metrics.offset_resets.inc()
            self.metrics.records_lost.inc(gone.records_lost)
            self.log.error(
                "the next offset is no longer in the topic",
                partition=str(gone.partition),
                offset=gone.offset,
                low=gone.end.low,
                high=gone.end.high,
                records_lost=gone.records_lost,
            )
        self.metrics.lag(self.lags.newest)

    def flow(
        self,
        paused: Mapping[TopicPartition, PauseCause],
        before: Mapping[TopicPartition, PauseCause],
    ) -> None:
        """Partitions are paused, or no longer, or for another cause."""
        for partition, cause in paused.items():
            if cause is not before.get(partition) and cause is not PauseCause.IN_FLIGHT:
                # Every start waits a moment for its first schema; if it lasts, another line warns.
                say = self.log.info if cause is PauseCause.SCHEMA else self.log.warning
                say("partition paused", partition=str(partition), cause=cause.value)
        for partition in before.keys() - paused.keys():
            if before[partition] is not PauseCause.IN_FLIGHT:
                self.log.info("partition resumed", partition=str(partition))

    def _near_miss(self, name: str) -> None:
        if self.troubles.is_new("name", name):
            self.log.warning(
                "an event name is nearly a standard one; it is sent as it is",
                event_name=masked(name),
                standard=near_miss(name),
            )


def _alarmed(alarm: Alarm) -> dict[str, str]:
    return {"destination": alarm.destination or NOBODY, "reason": alarm.reason.value}


def _told(error: MetaError | None) -> dict[str, Any]:
    if error is None:
        return {}
    return {
        "http_status": error.http_status or None,
        "code": error.code,
        "subcode": error.subcode,
        "trace_id": error.trace_id,
        "meta_title": error.title,
    }

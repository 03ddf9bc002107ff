"""Batches → OpenTelemetry's spans, by its conventions for messaging: docs/tracing.md.

A batch's span begins when its window opened and ends when the last of its events has met its fate,
which a batch that is split, refused or held may take hours for.
"""

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from consumer.model import Batch, Delivered, Reason, Record, Rejected, TopicPartition
from consumer.producer_links import producers_of
from consumer.senders import Answer
from consumer.verdict_attributes import answer_attributes, failure_of

BATCHES_MAX = 1000
"""So many batches have a span that has not ended; the oldest of more is ended unfinished."""

Attributes = dict[str, str | int]
P = ParamSpec("P")
T = TypeVar("T")


class Consuming(NamedTuple):
    """What is the same in all spans."""

    topic: str
    group: str
    server_address: str
    server_port: int


@dataclass(slots=True)
class _Traced:
    """A batch whose span has not ended. ``skew_ns`` turns monotonic time into that of the wall, by
    one measure for all of the batch's spans."""

    span: Span
    trace_id: str
    skew_ns: int
    last_answer_ns: int
    open: dict[TopicPartition, set[int]]
    requests: int = 0
    delivered: int = 0
    given_back: int = 0
    dead: Counter[Reason] = field(default_factory=Counter)

    @property
    def events_open(self) -> int:
        return sum(map(len, self.open.values()))

    def settle(self, records: Iterable[Record]) -> int:
        """How many of these were open."""
        before = self.events_open
        for record in records:
            if (offsets := self.open.get(record.partition)) is not None:
                offsets.discard(record.offset)
        return before - self.events_open


def _never_raises(
    tell: Callable[Concatenate["Traces", P], T],
) -> Callable[Concatenate["Traces", P], T | None]:
    """Whatever fails in here costs spans, and nothing else."""

    @wraps(tell)
    def told(self: "Traces", /, *arguments: P.args, **named: P.kwargs) -> T | None:
        try:
            return tell(self, *arguments, **named)
        except Exception as error:
            self.failed(type(error).__name__)
            return None

    return told


class Traces:
    """Satisfies ``tracing.Tracing``. ``failed`` is told what kind of exception was met."""

    def __init__(
        self,
        *,
        tracer: Tracer,
        stop: Callable[[], None],
        consuming: Consuming,
        now: Callable[[], float],
        now_ms: Callable[[], int],
        failed: Callable[[str], None],
    ) -> None:
        self._tracer = tracer
        self._stop = stop
        self._consuming = consuming
        self._now = now
        self._now_ms = now_ms
        self.failed = failed
        self._batches: OrderedDict[str, _Traced] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Traces of {len(self._batches)} batches>"

    @_never_raises
    def closed(self, batch: Batch) -> None:
        """Begin the span of a batch, as of when its window opened."""
        skew_ns = self._skew_ns()
        opened_ns = skew_ns + _ns(batch.opened_at)
        closed_ns = skew_ns + _ns(self._now())
        span = self._process(len(batch.events), opened_ns)
        if not span.is_recording():
            return  # not sampled, or switched off by the SDK's own variable
        span.set_attribute("conversions.destination", batch.key.destination)
        span.set_attribute("conversions.batch_id", batch.batch_id)
        _link(span, (event.record for event in batch.events))
        prepare: Attributes = {"conversions.closed_by": batch.closed_by.value}
        self._child("prepare", span, opened_ns, SpanKind.INTERNAL, prepare).end(closed_ns)
        is_open: defaultdict[TopicPartition, set[int]] = defaultdict(set)
        for event in batch.events:
            is_open[event.record.partition].add(event.record.offset)
        trace_id = f"{span.get_span_context().trace_id:032x}"
        self._batches[batch.batch_id] = _Traced(span, trace_id, skew_ns, closed_ns, dict(is_open))
        while len(self._batches) > BATCHES_MAX:
            self._end(next(iter(self._batches)), unfinished="too_many_batches")

    @_never_raises
    def answered(self, answer: Answer, settled: Sequence[Delivered | Rejected]) -> str | None:
        """A request of a batch has its answer: what was delivered has met its fate."""
        batch_id = answer.request.batch_id
        batch = self._batches.get(batch_id)
        if batch is None:
            return None
        batch.requests += 1
        batch.last_answer_ns = batch.skew_ns + _ns(self._now())
        self._sent(batch, answer)
        delivered = batch.settle(
            each.event.record for each in settled if isinstance(each, Delivered)
        )
        if delivered:
            batch.delivered += delivered
            facts = {"conversions.events": delivered}
            batch.span.add_event("delivered", facts, batch.last_answer_ns)
        self._end_if_settled(batch_id)
        return batch.trace_id

    @_never_raises
    def dead_lettered(self, written: Sequence[Rejected]) -> None:
        """Dead letters were acknowledged: of a batch's events, or of records that never were in
        one, which get a span of their own."""
        groups: defaultdict[tuple[str | None, Reason], list[Rejected]] = defaultdict(list)
        for rejected in written:
            groups[rejected.batch_id, rejected.reason].append(rejected)
        for (batch_id, reason), letters in groups.items():
            batch = None if batch_id is None else self._batches.get(batch_id)
            if batch_id is None:
                self._turned_away(reason, letters)
            elif batch is not None:
                buried = batch.settle(letter.record for letter in letters)
                if buried:  # of a tenure that is over they are the next owner's
                    batch.dead[reason] += buried
                    facts = {"conversions.events": buried, "conversions.reason": reason.value}
                    batch.span.add_event("dead_lettered", facts, batch.skew_ns + _ns(self._now()))
                    self._end_if_settled(batch_id)

    @_never_raises
    def given_back(self, partitions: Collection[TopicPartition], from_offset: int) -> None:
        """Somebody else settles these, or we do when we read them again."""
        for batch_id, batch in list(self._batches.items()):
            for partition in batch.open.keys() & set(partitions):
                gone = {offset for offset in batch.open[partition] if offset >= from_offset}
                batch.open[partition] -= gone
                batch.given_back += len(gone)
            self._end_if_settled(batch_id)

    @_never_raises
    def close(self) -> None:
        """End what has not ended, and hand everything over within a limit."""
        for batch_id in list(self._batches):
            self._end(batch_id, unfinished="stopped")
        self._stop()

    def _sent(self, batch: _Traced, answer: Answer) -> None:
        """Its span is as long as the request took, and ends now."""
        request, failure = answer.request, failure_of(answer.verdict)
        attributes: Attributes = {
            **answer_attributes(answer.verdict),
            "http.request.method": "POST",
            "server.address": self._consuming.server_address,
            "server.port": self._consuming.server_port,
            "conversions.request_id": request.request_id,
            "conversions.events": len(request.events),
            "conversions.isolating": request.isolating,
        }
        began_ns = batch.last_answer_ns - _ns(answer.seconds)
        span = self._child("send", batch.span, began_ns, SpanKind.CLIENT, attributes)
        if failure is not None:
            span.set_attribute("error.type", answer.bug or failure.kind)
            span.set_status(Status(StatusCode.ERROR, failure.told))
        span.end(batch.last_answer_ns)

    def _turned_away(self, reason: Reason, letters: Sequence[Rejected]) -> None:
        """Records that were rejected before they came into a batch. When they were read nobody
        knows any more: the span has no length."""
        now_ns = self._skew_ns() + _ns(self._now())
        span = self._process(len(letters), now_ns)
        if span.is_recording():
            _link(span, (letter.record for letter in letters))
            span.set_attribute("conversions.dead_lettered", len(letters))
            _fail(span, Counter({reason: len(letters)}))
        span.end(now_ns)

    def _end_if_settled(self, batch_id: str) -> None:
        if not self._batches[batch_id].events_open:
            self._end(batch_id, unfinished=None)

    def _end(self, batch_id: str, *, unfinished: str | None) -> None:
        batch = self._batches.pop(batch_id)
        now_ns = batch.skew_ns + _ns(self._now())
        settle = self._messaging("settle", batch.delivered + batch.dead.total())
        name, began_ns = f"settle {self._consuming.topic}", batch.last_answer_ns
        self._child(name, batch.span, began_ns, SpanKind.CLIENT, settle).end(now_ns)
        batch.span.set_attributes(
            {
                "conversions.requests": batch.requests,
                "conversions.delivered": batch.delivered,
                "conversions.dead_lettered": batch.dead.total(),
                "conversions.given_back": batch.given_back,
            }
        )
        if unfinished is not None:
            batch.span.set_attribute("conversions.unfinished", unfinished)
            batch.span.set_attribute("conversions.open", batch.events_open)
        if batch.dead:
            _fail(batch.span, batch.dead)
        batch.span.end(now_ns)

    def _process(self, records: int, began_ns: int) -> Span:
        """A trace of its own: producers are linked, for there are many to a batch."""
        return self._tracer.start_span(
            f"process {self._consuming.topic}",
            context=Context(),
            kind=SpanKind.CONSUMER,
            attributes=self._messaging("process", records),
            start_time=began_ns,
        )

    def _messaging(self, operation: str, records: int) -> Attributes:
        return {
            "messaging.system": "kafka",
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
            "messaging.destination.name": self._consuming.topic,
            "messaging.consumer.group.name": self._consuming.group,
            "messaging.batch.message_count": records,
        }

    def _child(
        self,
        name: str,
        parent: Span,
        began_ns: int,
        kind: SpanKind,
        attributes: Attributes,
    ) -> Span:
        return self._tracer.start_span(
            name,
            context=set_span_in_context(parent, Context()),
            kind=kind,
            attributes=attributes,
            start_time=began_ns,
        )

    def _skew_ns(self) -> int:
        return self._now_ms() * 1_000_000 - _ns(self._now())


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _link(span: Span, records: Iterable[Record]) -> None:
    producers = producers_of(records)
    for context in producers.contexts:
        span.add_link(context)
    if producers.left_out:
        span.set_attribute("conversions.links_left_out", producers.left_out)


def _fail(span: Span, dead: Counter[Reason]) -> None:
    """Why events became dead letters; the most frequent reason is the error's type."""
    told = ", ".join(f"{reason.value}: {events}" for reason, events in dead.most_common())
    span.set_attribute("error.type", dead.most_common(1)[0][0].value)
    span.set_status(Status(StatusCode.ERROR, told))

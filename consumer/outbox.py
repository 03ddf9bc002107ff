"""One destination's queue: what to send next, and what an answer means for what was sent.

A closed state machine with the time as an argument. It decides; the loop does the I/O. Nothing
leaves it but requests to be sent and settlements, and nothing that was offered is ever lost: an
event is settled, or still in here, or its tenure is over.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from consumer.model import (
    Accepted,
    Batch,
    Carried,
    Delivered,
    Halted,
    HaltReason,
    Incomplete,
    MetaError,
    PixelId,
    Place,
    Prepared,
    Reason,
    Refused,
    Rejected,
    Request,
    Retry,
    Split,
    Throttled,
    Times,
    Verdict,
    earliest,
)
from consumer.parcel import Parcel, may_have_counted, tenures_of
from consumer.parcel_queue import ParcelQueue
from consumer.patience import OutboxState, Patience
from consumer.refused_alone import RefusedAlone
from consumer.skip import DETAIL
from consumer.take_apart import take_apart

UNCLEAR_MAX = 4
"""So often one request may fail without a clear answer while Meta takes others."""

UNCLEAR_ALONE_MS = 3600 * 1000
"""So long a single event is sent again all the same: a trouble that passes must not cost it."""

_NOTHING: Mapping[Place, int] = MappingProxyType({})


class Due(NamedTuple):
    """What is to be done now: requests to send, and events that may no longer be sent."""

    requests: list[Request]
    rejected: list[Rejected]


class Outbox:
    """The queue of one destination."""

    def __init__(
        self,
        *,
        destination: PixelId,
        requests_max: int,
        isolation_requests_max: int,
        is_over: Callable[[int], bool],
        jitter: Callable[[], float],
    ) -> None:
        self.destination = destination
        self._isolation_requests_max = isolation_requests_max
        self._is_over = is_over
        self._queue = ParcelQueue(is_over=is_over)
        self._in_flight: dict[str, Parcel] = {}
        self._sent_at: dict[str, float] = {}
        self._requests = 0
        self._refused_alone = RefusedAlone()
        self._accepted_requests = 0
        self._patience = Patience(requests_max=requests_max, jitter=jitter)

    def __repr__(self) -> str:
        return (
            f"<Outbox {self.destination} {self.state.value}: {self._queue.sizes}, "
            f"{len(self._in_flight)} in flight>"
        )

    @property
    def state(self) -> OutboxState:
        """What the destination is doing."""
        return self._patience.state

    @property
    def halted(self) -> Halted | None:
        """Why the destination takes nothing; None when it is not halted."""
        return self._patience.halted

    @property
    def trouble_since(self) -> float | None:
        """Since when it has not been well; None when it is."""
        return self._patience.trouble_since

    @property
    def accepted_at(self) -> float:
        """When Meta last took a request."""
        return self._patience.accepted_at

    @property
    def in_flight(self) -> int:
        """Requests that are out."""
        return len(self._in_flight)

    @property
    def events(self) -> int:
        """Events that are held in here."""
        return sum(map(len, (*self._in_flight.values(), *self._queue.parcels)))

    @property
    def can_progress(self) -> bool:
        """Whether waiting makes sense: something is out, or may be sent soon."""
        if self._in_flight:
            return True
        soon = self.state in (OutboxState.READY, OutboxState.BACKING_OFF)
        return soon and any(parcel.trial() for parcel in self._queue.parcels)

    def is_slow(self, now: float, seconds: float) -> bool:
        """Whether a request has been out for longer than this."""
        return any(now - sent_at > seconds for sent_at in self._sent_at.values())

    def carried(self) -> Carried:
        """What is held in here. Bytes and partitions are those of the batches as they came, an
        upper bound: they are asked for at every turn."""
        parcels = [*self._in_flight.values(), *self._queue.parcels]
        return Carried(
            events=sum(len(parcel) for parcel in parcels),
            size_bytes=sum(parcel.carried.size_bytes for parcel in parcels),
            partitions=frozenset().union(*(parcel.carried.partitions for parcel in parcels)),
        )

    def times(self) -> Times | None:
        """When the events in here happened and expire."""
        return earliest(
            *(each.times() for each in (*self._in_flight.values(), *self._queue.parcels))
        )

    def give_back(self, gone: Callable[[Prepared], bool]) -> dict[Place, int]:
        """Forget what is read again later; nothing of it is in flight. Returns when those events
        were first sent that Meta may have counted, which must not be forgotten. What it refused
        clearly is not among them."""
        first_sent: dict[Place, int] = {}
        for parcel in self._queue.parcels:
            if parcel.first_sent_at_ms is not None:
                given = (event for event in parcel.maybe_delivered() if gone(event))
                first_sent |= {event.record.place: parcel.first_sent_at_ms for event in given}
            parcel.forget(gone)
        return first_sent

    def waiting(self) -> Iterable[Prepared]:
        """Every event in here, sent or not."""
        for parcel in (*self._in_flight.values(), *self._queue.parcels):
            yield from parcel.waiting()

    def offer(self, batch: Batch, *, first_sent: Mapping[Place, int] = _NOTHING) -> None:
        """Take a closed window. ``first_sent``: those of it that may have been delivered before
        they were given back, and when they were first sent. They travel apart: the others have no
        47 hours to keep."""
        events = list(batch.events)
        if first_sent:
            again = [event for event in events if event.record.place in first_sent]
            events = [event for event in events if event.record.place not in first_sent]
            parcel = _parcel(batch, again)
            parcel.first_sent_at_ms = min(first_sent.values())
            parcel.had_no_clear_answer()
            self._queue.put_last(parcel)
        if events:
            self._queue.put_last(_parcel(batch, events))

    def places(self, now: float, *, room: int | None) -> int:
        """How many more requests may be out at this moment; ``room`` as in ``due``."""
        allowed = self._patience.requests_now(now)
        return (allowed if room is None else min(allowed, room)) - len(self._in_flight)

    def due(self, now: float, now_ms: int, *, room: int | None = None) -> Due:
        """What may go out at this moment; ``room`` bounds the requests that are out, where others
        share a limit of Meta's."""
        requests: list[Request] = []
        rejected: list[Rejected] = []
        self._patience.look(now)
        self._patience.waits(bool(self._in_flight or self._queue), now)
        while self.places(now, room=room) > 0:
            parcel = self._next_parcel()
            if parcel is None:
                break
            rejected += parcel.overdue(now_ms)
            if parcel.trial():
                requests.append(self._send(parcel, now, now_ms))
        return Due(requests, rejected)

    def answered(self, request_id: str, verdict: Verdict, now: float) -> list[Delivered | Rejected]:
        """What an answer settles. Unknown ids settle nothing: their parcel was given up."""
        self._sent_at.pop(request_id, None)
        parcel = self._in_flight.pop(request_id, None)
        if parcel is None:
            return []
        settled: list[Delivered | Rejected] = []
        if not isinstance(verdict, Accepted):
            # What stays was in this request; of an accepted one nothing stays that was in it.
            parcel.request_id = request_id
        if may_have_counted(verdict) and parcel.first_sent_at_ms is None:
            parcel.first_sent_at_ms = parcel.sent_at_ms
        match verdict:
            case Accepted():
                settled += self._accepted(parcel, verdict, now)
            case Refused(error):
                settled += self._refused(parcel, error, now)
            case Incomplete():
                settled += self._incomplete(parcel, verdict, now)
            case Split(error):
                settled += self._too_much(parcel, Reason.REFUSED_BY_META, error, now)
            case Retry():
                settled += self._retry(parcel, verdict, now)
            case Throttled(error, wait_seconds):
                parcel.error = error
                self._patience.throttled(wait_seconds, now)
                self._queue.put_first(parcel)
            case Halted(_, error):
                parcel.error = error
                self._patience.halt(verdict, now)
                self._queue.put_first(parcel)
        return settled

    def overdue(self, now_ms: int) -> list[Rejected]:
        """Reject what has become too old while it waited."""
        return [r for parcel in self._queue.parcels for r in parcel.overdue(now_ms)]

    def spill(self, events_max: int, of: Callable[[Prepared], bool]) -> list[Rejected]:
        """Give up the oldest events that ``of`` marks, so that other destinations can go on."""
        trouble = self.state.value if self.halted is None else self.halted.reason.value
        detail = f"the destination takes nothing ({trouble}), and others waited for it"
        spilled: list[Rejected] = []
        for parcel in self._queue.parcels:
            if len(spilled) >= events_max:
                break
            if self.halted is not None:
                parcel.error = self.halted.error
            marked = [event for event in parcel.waiting() if of(event)]
            waiting = marked[: events_max - len(spilled)]
            parcel.take_out(waiting)
            spilled += [
                parcel.rejected(event, Reason.DESTINATION_HALTED, detail) for event in waiting
            ]
        return spilled

    def skip(self, place: Place) -> Rejected | None:
        """Give up the event of this place, if it waits here; not while it is on its way."""
        for parcel in self._queue.parcels:
            for event in parcel.waiting():
                if place.is_of(event.record):
                    parcel.take_out([event])
                    return parcel.rejected(event, Reason.SKIPPED_BY_OPERATOR, DETAIL)
        return None

    def forget(self) -> None:
        """Drop what belongs to tenures that are over. What is in flight is asked when it is back:
        its answer settles nothing, and it is not sent again."""
        self._queue.forget_ended()

    def pause(self, seconds: float, now: float) -> None:
        """A limit that others share, or that is not yet exceeded, lets nothing through so long."""
        self._patience.pause(seconds, now)

    def slow_down(self) -> None:
        """A limit is nearly reached: one request at a time, and from there gradually more."""
        self._patience.slow_down()

    def nudge(self, now: float) -> None:
        """Something changed (a new token, say): try again now."""
        self._patience.nudge(now)

    def resume(self, now: float) -> None:
        """Somebody has mended what halted it: forget the halt, and send at once."""
        self._refused_alone.clear()
        self._patience.resume(now)

    def _next_parcel(self) -> Parcel | None:
        if self._patience.every_event_refused:
            return self._queue.probe_with(self._refused_alone.next_probe)
        return self._queue.next() if self.halted is None else self._queue.probe()

    def _send(self, parcel: Parcel, now: float, now_ms: int) -> Request:
        self._requests += 1
        request_id = f"{parcel.batch_id}.{self._requests}"
        parcel.attempts += 1
        parcel.sent_at_ms = now_ms
        if parcel.isolation is not None:
            parcel.isolation_requests += 1
        self._in_flight[request_id] = parcel
        self._sent_at[request_id] = now
        events = tuple(parcel.trial())
        again = sum(id(event) in parcel.ambiguous for event in events) if parcel.ambiguous else 0
        return Request(
            request_id=request_id,
            key=parcel.key,
            batch_id=parcel.batch_id,
            events=events,
            isolating=parcel.isolation is not None,
            maybe_delivered=again,
            first_sent_at_ms=parcel.first_sent_at_ms if again else None,
        )

    def _accepted(
        self, parcel: Parcel, verdict: Accepted, now: float
    ) -> list[Delivered | Rejected]:
        self._refused_alone.clear()
        self._accepted_requests += 1
        self._patience.accepted(now)
        if parcel.isolation is None:
            return [Delivered(event, verdict.trace_id) for event in parcel.events]
        delivered = parcel.isolation.accepted()
        return [
            *(Delivered(event, verdict.trace_id) for event in delivered),
            *self._next_trial(parcel),
        ]

    def _refused(self, parcel: Parcel, error: MetaError, now: float) -> list[Delivered | Rejected]:
        parcel.error = error
        self._patience.judged(now)
        if self._holds_every_event(parcel, error, now):
            return []
        parcel.refused(error)
        return self._next_trial(parcel)

    def _holds_every_event(self, parcel: Parcel, error: MetaError, now: float) -> bool:
        """Whether it is not this event, sent alone, but the destination: then it halts.

        A wrong mapping or deploy must not flush the topic into the dead letters: what is still
        here is held, and that is all of this batch of which nothing was taken.
        """
        trial = parcel.trial()
        if len(trial) != 1:
            return False
        accused = parcel.isolation is not None and parcel.isolation.accuses(trial[0])
        self._refused_alone.add(trial[0], now, accused=accused)
        if not (self._patience.every_event_refused or self._refused_alone.is_every_event(now)):
            return False
        self._patience.halt(Halted(HaltReason.EVERY_EVENT_REFUSED, error), now)
        parcel.put_together()
        self._queue.put_last(parcel)
        return True

    def _next_trial(self, parcel: Parcel) -> list[Delivered | Rejected]:
        """Settle what the last trial has proved, and queue the next one."""
        assert parcel.isolation is not None, "only a refused batch has trials"
        parcel.forget_ended(self._is_over)
        settled = [parcel.convicted(found) for found in parcel.isolation.found()]
        if len(parcel):
            within = parcel.isolation_requests < self._isolation_requests_max
            (self._queue.put_first if within else self._queue.put_late)(parcel)
        return [*settled]

    def _incomplete(
        self, parcel: Parcel, verdict: Incomplete, now: float
    ) -> list[Delivered | Rejected]:
        """The same ids once more, then smaller requests, down to the event that is not taken."""
        parcel.incomplete += 1
        parcel.had_no_clear_answer()
        error = MetaError(http_status=200, trace_id=verdict.trace_id)
        if parcel.incomplete == 1:
            parcel.error = error
            self._patience.judged(now)
            self._queue.put_late(parcel)
            return []
        return self._too_much(parcel, Reason.NOT_RECEIVED, error, now)

    def _too_much(
        self, parcel: Parcel, reason: Reason, error: MetaError, now: float
    ) -> list[Delivered | Rejected]:
        """Meta did not take the request as it is, and refused no event of it."""
        parcel.error = error
        self._patience.judged(now)
        if self._holds_every_event(parcel, error, now):
            return []
        return self._take_apart(parcel, reason)

    def _take_apart(self, parcel: Parcel, reason: Reason) -> list[Delivered | Rejected]:
        """The same events in smaller requests; one that was sent alone goes no smaller."""
        rejected, parcels = take_apart(parcel, reason, self._is_over)
        for smaller in reversed(parcels):
            self._queue.put_first(smaller)
        return [*rejected]

    def _retry(self, parcel: Parcel, verdict: Retry, now: float) -> list[Delivered | Rejected]:
        if verdict.reached_meta:
            parcel.had_no_clear_answer()
        parcel.error = verdict.error
        if verdict.few_times and verdict.error is not None and self._patience.failed_often:
            self._patience.halt(Halted(HaltReason.UNKNOWN_ERROR, verdict.error), now)
        else:
            self._patience.failed(now)
        if verdict.reached_meta and self._only_this_one_fails(parcel):
            parcel.unclear = 0
            return self._take_apart(parcel, Reason.OUTCOME_UNKNOWN)
        if verdict.error is not None and verdict.error.code == 1:
            # "Please reduce the amount of data" comes as code 1: repeating it never works.
            parcel.reduce += 1
        if parcel.reduce >= 2 and len(parcel.trial()) > 1:
            parcel.reduce = 0
            return self._take_apart(parcel, Reason.REFUSED_BY_META)
        self._queue.put_last(parcel)
        return []

    def _only_this_one_fails(self, parcel: Parcel) -> bool:
        """Whether this parcel keeps failing while Meta takes others: then it is in the parcel."""
        if parcel.unclear == 0:
            parcel.others_accepted = self._accepted_requests
        parcel.unclear += 1
        others_pass = self._accepted_requests > parcel.others_accepted
        alone = len(parcel.trial()) == 1
        since_ms = parcel.sent_at_ms - (parcel.first_sent_at_ms or parcel.sent_at_ms)
        return (
            parcel.unclear >= UNCLEAR_MAX
            and others_pass
            and (not alone or since_ms >= UNCLEAR_ALONE_MS)
        )


def _parcel(batch: Batch, events: list[Prepared]) -> Parcel:
    return Parcel(batch.key, batch.batch_id, events, Carried.of(events), tenures_of(events))

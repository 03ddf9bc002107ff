"""The loop of ``send``: read → prepare → window → outbox → Meta, until each event has its fate.

There is no Kafka to keep what cannot be delivered: what a destination holds that takes nothing is
given up, in time, and reported; the other destinations go on.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import IO, NamedTuple

from consumer.deliveries import Deliveries
from consumer.json_lines import Mistake, numbered_lines
from consumer.model import Delivered, HaltReason, PixelId, Prepared, Rejected, Request, Suppressed
from consumer.prepare import Preparation
from consumer.seams import Clock, Outgoing
from consumer.send_lines import candidate
from consumer.send_report import (
    STOPPED,
    Failure,
    GivenUp,
    Report,
    failure_of,
    given_up,
    halted,
    late,
)
from consumer.senders import Answer

LINES_PER_TURN = 500
PUMP_SECONDS = 0.02


class Limits(NamedTuple):
    """What may be read and not settled, and for how long a destination may take nothing."""

    in_flight_events: int
    in_flight_bytes: int
    timeout_seconds: float


class Sending:
    """One run over an input and all its state.

    ``stops`` is how often we were told to stop: after the first time nothing more is sent, after
    the second what is out is not waited for either, and what is unread stays unread.
    """

    def __init__(
        self,
        *,
        preparation: Preparation,
        destination: PixelId | None,
        deliveries: Deliveries,
        outgoing: Outgoing,
        token_problem: Callable[[PixelId], str | None],
        clock: Clock,
        limits: Limits,
        stops: Callable[[], int],
        advance: Callable[[int], None],
        tell: Callable[[str], None],
    ) -> None:
        self._preparation, self._destination = preparation, destination
        self._deliveries, self._outgoing = deliveries, outgoing
        self._token_problem, self._clock, self._limits = token_problem, clock, limits
        self._stops, self._advance, self._tell = stops, advance, tell
        self._report = Report()
        self._open: dict[int, Prepared] = {}
        self._open_bytes = 0
        self._tried: set[int] = set()  # of the open ones, those that were ever in a request
        self._out: dict[str, Request] = {}
        self._open_of: Counter[PixelId] = Counter()
        self._news_at: dict[PixelId, float] = {}
        self._given_up: dict[PixelId, GivenUp] = {}
        self._stopped = False
        self._at_end = False

    def __repr__(self) -> str:
        return f"<Sending {len(self._open)} open, {len(self._out)} requests out>"

    def send(self, lines: IO[bytes]) -> Report:
        """Read, send and wait until each event has met its fate, or we are told twice to stop."""
        unread = enumerate(text for _, text in numbered_lines(lines))
        while (self._open or not self._at_end) and self._stops() < 2:
            if self._stops() and not self._stopped:
                self._stopped = True
                self._tell("stopping; what is out is waited for (once more: not even that)")
            if not self._read(unread):
                self._outgoing.wait(PUMP_SECONDS)
            self._pump()
            self._advance(self._report.settled)
        for destination in list(+self._open_of):
            self._fail_open(destination, self._why(destination) or STOPPED)
        if not self._at_end:
            self._report.complete = False
            self._tell("stopped; the rest of the input was not read")
        return self._report

    def _read(self, unread: Iterator[tuple[int, bytes | Mistake]]) -> int:
        """Take lines while there is room; how many were taken."""
        now, now_ms = self._clock.now(), self._clock.now_ms()
        for taken in range(LINES_PER_TURN):
            if self._at_end or not self._has_room():
                return taken
            try:
                index, text = next(unread)
            except StopIteration:
                self._end_input()
                return taken
            except OSError as error:
                self._tell(f"the input cannot be read on: {error.strerror or 'input error'}")
                self._report.complete = False
                self._end_input()
                return taken
            self._take(index, text, now, now_ms)
        return LINES_PER_TURN

    def _end_input(self) -> None:
        self._at_end = True
        self._deliveries.drain()

    def _has_room(self) -> bool:
        return (
            len(self._open) < self._limits.in_flight_events
            and self._open_bytes < self._limits.in_flight_bytes
        )

    def _take(self, index: int, text: bytes | Mistake, now: float, now_ms: int) -> None:
        fate, unknown = candidate(
            index, text, self._preparation, destination=self._destination, now_ms=now_ms
        )
        self._report.met(unknown)
        match fate:
            case Failure():
                self._report.failures.append(fate)
            case Suppressed():
                self._report.suppressed += 1
            case Prepared():
                self._report.prepared(fate)
                why = self._why(fate.destination)
                if why is not None:
                    self._report.failures.append(given_up(fate, why, maybe_delivered=False))
                    return
                if not self._open_of[fate.destination]:
                    self._news_at[fate.destination] = now
                self._open[index] = fate
                self._open_of[fate.destination] += 1
                self._open_bytes += fate.record.size_bytes
                self._deliveries.add(fate, now)

    def _pump(self) -> None:
        now, now_ms = self._clock.now(), self._clock.now_ms()
        for answer in self._outgoing.answers():
            self._answered(answer, now)
        self._give_up(now)
        step = self._deliveries.advance(now, now_ms)
        for request in step.requests:
            # What a destination that was given up still asks for is failed with all it holds.
            if self._why(request.key.destination) is None:
                self._out[request.request_id] = request
                self._tried.update(event.record.offset for event in request.events)
                self._outgoing.submit(request)
        self._settle(step.rejected, now)

    def _answered(self, answer: Answer, now: float) -> None:
        del self._out[answer.request.request_id]
        self._report.heard(answer.verdict)
        self._settle(self._deliveries.answered(answer.request, answer.verdict, now), now)
        self._deliveries.heard(answer.request.key.destination, answer.usage, now)

    def _settle(self, settled: Sequence[Delivered | Rejected], now: float) -> None:
        for settlement in settled:
            match settlement:
                case Delivered(event):
                    if self._close(event.record.offset, now):
                        self._report.received += 1
                case Rejected():
                    if self._close(settlement.record.offset, now):
                        self._report.failures.append(failure_of(settlement))

    def _close(self, index: int, now: float) -> bool:
        """The event has met its fate; False if it had before."""
        event = self._open.pop(index, None)
        if event is None:
            return False
        self._tried.discard(index)
        self._open_of[event.destination] -= 1
        self._open_bytes -= event.record.size_bytes
        self._news_at[event.destination] = now
        return True

    def _why(self, destination: PixelId) -> GivenUp | None:
        """Why nothing more is sent to a destination; None while it is."""
        return self._given_up.get(destination) or (STOPPED if self._stopped else None)

    def _give_up(self, now: float) -> None:
        """Fail what destinations hold that take nothing, once the requests that are out are back:
        what those bring is still delivered."""
        for destination in list(+self._open_of):
            why = self._why(destination)
            if why is None and (why := self._hopeless(destination, now)) is not None:
                self._given_up[destination] = why
                self._tell(f"pixel {destination} is given up: {why.message}")
            out = any(each.key.destination == destination for each in self._out.values())
            if why is not None and not out:
                self._fail_open(destination, why)

    def _hopeless(self, destination: PixelId, now: float) -> GivenUp | None:
        """A halt is for somebody to mend, and nobody will while a command runs."""
        outbox = self._deliveries.outboxes.get(destination)
        if outbox is not None and outbox.halted is not None:
            about_token = outbox.halted.reason is HaltReason.TOKEN
            return halted(outbox.halted, self._token_problem(destination) if about_token else None)
        seconds = self._limits.timeout_seconds
        return late(seconds) if now - self._news_at[destination] >= seconds else None

    def _fail_open(self, destination: PixelId, why: GivenUp) -> None:
        now = self._clock.now()
        outbox = self._deliveries.outboxes.get(destination)
        # The outbox knows best what has become of the events that it holds.
        for each in outbox.spill(len(self._open), lambda event: True) if outbox else ():
            maybe = each.maybe_delivered
            if self._close(each.record.offset, now):
                self._report.failures.append(given_up(each, why, maybe_delivered=maybe))
        for index, event in list(self._open.items()):
            if event.destination == destination:
                maybe = index in self._tried
                self._close(index, now)
                self._report.failures.append(given_up(event, why, maybe_delivered=maybe))

"""One member in virtual time: the house's own windows, outboxes and limits; the rest is a model.

Real are what is read at a time, when a window closes, how many requests are out, and how long the
loop waits. A model are the CPU (one core, for the interpreter does one thing at a time: a fixed
cost of an event, a request, a turn of the loop and each destination it looks at), Kafka (a record
is there when it was written) and Meta (takes everything, after a time between two bounds, each as
likely, as the emulator's ``latency_ms`` has it).
"""

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, count
from statistics import fmean
from typing import NamedTuple

from consumer.assembly import SENDER_THREADS_MAX
from consumer.deliveries import Deliveries
from consumer.flow import READ_RECORDS_MAX
from consumer.inflow import PAUSED_SECONDS, READ_SECONDS, READ_SECONDS_WHILE_SENDING
from consumer.measured_figures import DESTINATION_TURN, EVENT_MANY, REQUEST, TURN
from consumer.model import (
    Accepted,
    Delivered,
    PixelId,
    Prepared,
    Record,
    Request,
    TopicPartition,
)
from consumer.outbox import Outbox
from consumer.settings import Settings
from consumer.window import Windows

PARTITION = TopicPartition("events", 0)
WARM_SECONDS = 4.0
NEVER = 2**62
LATENCY_SECONDS = (0.2, 1.0)
"""What Meta takes, where a measurement says nothing else."""


class Costs(NamedTuple):
    """CPU time of one member, in seconds."""

    event: float
    request: float
    turn: float
    destination_turn: float


MEASURED = Costs(*(each.value / 1e6 for each in (EVENT_MANY, REQUEST, TURN, DESTINATION_TURN)))


class Traffic(NamedTuple):
    """What one member's partitions bring: events a second (infinite: a backlog without end), to
    destinations with these weights, and how long Meta takes, in seconds, at least and at most."""

    events_per_second: float
    weights: Sequence[float]
    body_bytes: int
    latency_seconds: tuple[float, float]


class Seen(NamedTuple):
    """What came of it, after a while of warming up."""

    events_per_second: float
    requests_per_second: float
    cpu_share: float
    waited_mean: float
    """Seconds from being read to being accepted, as ``conversions_event_delivery_seconds``."""
    ages: list[float]
    """Of each event: seconds from being written to being accepted; none for a backlog."""
    behind: float
    """By how many seconds of traffic that grew which is not accepted; 0 for a backlog."""


def simulated(
    traffic: Traffic,
    costs: Costs,
    rules: Settings,
    *,
    seconds: float,
    seed: int,
    warm_seconds: float = WARM_SECONDS,
) -> Seen:
    """Let one member work for so many seconds of its own time, after others to warm up."""
    member = _Member(traffic, costs, rules, random.Random(seed))  # noqa: S311
    member.work_until(warm_seconds)
    member.tally = _Tally(began=member.now)
    member.work_until(warm_seconds + seconds)
    return member.seen()


@dataclass(slots=True)
class _Tally:
    began: float
    events: int = 0
    requests: int = 0
    cpu: float = 0.0
    waited: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)


class _Member:
    def __init__(
        self, traffic: Traffic, costs: Costs, rules: Settings, dice: random.Random
    ) -> None:
        self._traffic, self._costs, self._rules, self._dice = traffic, costs, rules, dice
        self.now = 0.0
        self.tally = _Tally(began=0.0)
        self._taken = 0
        self._open = 0
        self._out: list[tuple[float, int, Request]] = []
        self._waiting: list[Request] = []
        self._numbers = count()
        self._read_at: dict[int, float] = {}
        self._pixels = [PixelId(str(number)) for number in range(len(traffic.weights))]
        self._cumulative = list(accumulate(traffic.weights))
        self._body = b"x" * traffic.body_bytes
        self._deliveries = Deliveries(
            windows=Windows(
                events_max=rules.window_events,
                bytes_max=rules.window_bytes,
                seconds_max=rules.window_seconds,
                batch_prefix="s",
            ),
            outbox_for=self._outbox,
            is_over=lambda tenure: False,
            requests_max=SENDER_THREADS_MAX,
        )

    def work_until(self, end: float) -> None:
        while self.now < end:
            self._turn()

    def seen(self) -> Seen:
        tally = self.tally
        seconds, rate = self.now - tally.began, self._traffic.events_per_second
        return Seen(
            events_per_second=tally.events / seconds,
            requests_per_second=tally.requests / seconds,
            cpu_share=tally.cpu / seconds,
            waited_mean=fmean(tally.waited) if tally.waited else 0.0,
            ages=[] if self._is_backlog else tally.ages,
            behind=0.0 if self._is_backlog else seconds - tally.events / rate,
        )

    @property
    def _is_backlog(self) -> bool:
        return self._traffic.events_per_second == float("inf")

    def _outbox(self, destination: PixelId) -> Outbox:
        return Outbox(
            destination=destination,
            requests_max=self._rules.requests_per_destination,
            isolation_requests_max=self._rules.isolation_requests,
            is_over=lambda tenure: False,
            jitter=lambda: 1.0,
        )

    def _turn(self) -> None:
        """As ``Pipeline.turn``: read, then move everything on."""
        events = self._read()
        read_at = self.now
        for number in events:
            self._read_at[number] = read_at
            self._deliveries.add(self._event(number), read_at)
        self._spend(len(events) * self._costs.event)
        for request in self._answers():
            self._answered(request)
        step = self._deliveries.advance(self.now, 0)
        for request in step.requests:
            self._spend(self._costs.request)
            self._submit(request)
        looked_at = len(self._deliveries.outboxes)
        self._spend(self._costs.turn + looked_at * self._costs.destination_turn)

    def _spend(self, seconds: float) -> None:
        self.now += seconds
        self.tally.cpu += seconds

    def _written(self) -> int:
        return NEVER if self._is_backlog else int(self.now * self._traffic.events_per_second)

    def _read(self) -> range:
        """As ``Inflow``: it waits its whole time, unless all is there that there is room for."""
        room = min(self._rules.in_flight_events - self._open, READ_RECORDS_MAX)
        if room <= 0:
            answer_at = self._out[0][0] if self._out else self.now + PAUSED_SECONDS
            self.now = max(self.now, min(answer_at, self.now + PAUSED_SECONDS))
            return range(0)
        if self._written() - self._taken < room:
            out = bool(self._out)
            patience = READ_SECONDS_WHILE_SENDING if out else READ_SECONDS
            full_at = (self._taken + room) / self._traffic.events_per_second
            self.now = min(self.now + patience, max(full_at, self.now))
        first = self._taken
        self._taken = min(self._written(), first + room)
        self._open += self._taken - first
        return range(first, self._taken)

    def _event(self, number: int) -> Prepared:
        (pixel,) = self._dice.choices(self._pixels, cum_weights=self._cumulative)
        record = Record(PARTITION, number, 0, None, None, (), 0)
        return Prepared(record, pixel, None, "Lead", "", 0, self._body, 0, NEVER, False, (), (), ())

    def _submit(self, request: Request) -> None:
        """As ``Senders``: at most so many threads, and the others wait their turn."""
        self.tally.requests += 1
        if len(self._out) >= SENDER_THREADS_MAX:
            self._waiting.append(request)
        else:
            self._post(request, self.now)

    def _post(self, request: Request, now: float) -> None:
        answer_at = now + self._dice.uniform(*self._traffic.latency_seconds)
        heapq.heappush(self._out, (answer_at, next(self._numbers), request))

    def _answers(self) -> Iterator[Request]:
        while self._out and self._out[0][0] <= self.now:
            answered_at, _, request = heapq.heappop(self._out)
            if self._waiting:
                self._post(self._waiting.pop(0), answered_at)
            yield request

    def _answered(self, request: Request) -> None:
        tally = self.tally
        for one in self._deliveries.answered(request, Accepted("simulated"), self.now):
            assert isinstance(one, Delivered), "this Meta takes everything"
            number = one.event.record.offset
            self._open -= 1
            tally.events += 1
            tally.waited.append(self.now - self._read_at.pop(number))
            if not self._is_backlog:
                tally.ages.append(self.now - number / self._traffic.events_per_second)

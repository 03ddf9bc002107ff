"""How many partitions and members a load needs, and what they use. Arithmetic, and nothing else.

A member is one process with one core: its interpreter does one thing at a time. Every partition
carries every destination alike, and the member with the most partitions is the one that must hold.
Rates are events or requests in a second, latencies milliseconds, everything else seconds and bytes.
"""

from collections.abc import Callable
from enum import Enum
from itertools import chain
from math import ceil, floor, log10
from typing import NamedTuple

from consumer.model import EVENT_BYTES
from consumer.planned_load import Asked, Costs, Rules
from consumer.window import BYTES_PER_REQUEST

PARTITIONS_EACH = 4
"""Partitions that are proposed for each member: then the fullest member has little more than the
others, and there may be four times as many one day."""
PARTITIONS_LEAST, PARTITIONS_STEP, PARTITIONS_MAX = 6, 12, 12_000
"""What many numbers of members divide evenly; and beyond that, one topic is not the way."""
DAY_SECONDS = 86_400.0
_HALVINGS = 60


class Bound(Enum):
    """What a member reaches first."""

    CPU = "CPU"
    REQUESTS_PER_DESTINATION = "CONVERSIONS_REQUESTS_PER_DESTINATION"
    REQUESTS = "sender threads"
    IN_FLIGHT_EVENTS = "CONVERSIONS_IN_FLIGHT_EVENTS"
    IN_FLIGHT_BYTES = "CONVERSIONS_IN_FLIGHT_BYTES"


class Member(NamedTuple):
    """What one member does at a rate; ``used`` is the share of each bound, 1 is all of it. Windows
    are open for ``window_seconds``: longer than is set while all sender threads are busy."""

    events_per_second: float
    requests_per_second: float
    hottest_requests_per_second: float
    batch_events: float
    hottest_batch_events: float
    open_events: float
    window_seconds: float
    window_wait: float
    used: dict[Bound, float]

    @property
    def tightest(self) -> Bound:
        """The bound that comes first."""
        return max(self.used, key=self.used.__getitem__)


class Plan(NamedTuple):
    """The answer. ``fullest`` is the member with the most partitions, ``capacity`` what it takes at
    the most and what bounds that, ``group_requests`` all members' requests in a second.

    ``needed`` members carry the load with headroom, and ``replicas`` also when the members of one
    zone are gone; None where the partitions do not allow it. ``partitions_needed`` is None where no
    number of them would do."""

    partitions: int
    partitions_needed: int | None
    needed: int | None
    replicas: int
    survives: bool
    fullest: Member
    capacity: Member
    group_requests: float
    hottest_requests: float
    backlog: float
    catch_up_seconds: float | None

    @property
    def holds(self) -> bool:
        """Whether the load is carried."""
        return self.needed is not None


def plan(asked: Asked, costs: Costs, rules: Rules) -> Plan:
    """The least members that carry the load, and the partitions that they need."""

    def at(rate: float, headroom: float = 0.0) -> Member:
        return _member(asked, costs, rules, rate, headroom)

    capacity = at(_most(at))
    most = _Most(
        spared=_most(lambda rate: at(rate, asked.headroom)), all=capacity.events_per_second
    )
    partitions_needed = _partitions_needed(asked, most)
    partitions = asked.partitions or partitions_needed or PARTITIONS_MAX
    replicas = _replicas(asked, partitions, most)
    fraction = ceil(partitions / replicas) / partitions
    average = at(asked.events_per_second / replicas)
    backlog = asked.events_per_second * asked.outage_minutes * 60
    spare = most.all / fraction - asked.events_per_second
    return Plan(
        partitions=partitions,
        partitions_needed=partitions_needed,
        needed=_needed(asked, partitions, most.spared),
        replicas=replicas,
        survives=_survives(asked, partitions, replicas, most),
        fullest=at(asked.events_per_second * fraction),
        capacity=capacity,
        group_requests=average.requests_per_second * replicas,
        hottest_requests=average.hottest_requests_per_second * replicas,
        backlog=backlog,
        catch_up_seconds=backlog / spare if spare > 0 else None,
    )


def lag_threshold(asked: Asked, plan: Plan) -> int:
    """KEDA's ``lagThreshold``, rounded down to two digits: events that a member with headroom
    sends in the delay that is accepted."""
    rate = plan.capacity.events_per_second * (1 - asked.headroom)
    exact = max(1.0, rate * asked.delay_seconds)
    step = 10 ** max(0, floor(log10(exact)) - 1)
    return int(exact // step * step)


def usual_lag(asked: Asked, rules: Rules, plan: Plan) -> float:
    """Records of lag that the group has while all is well: what is open and what is not yet
    committed."""
    average = asked.events_per_second / plan.replicas
    return plan.replicas * (plan.fullest.open_events + average * rules.commit_seconds)


def _member(asked: Asked, costs: Costs, rules: Rules, rate: float, headroom: float) -> Member:
    sent = rate * (1 - asked.dead_letter_share)
    rates = _by_destination(asked, sent)
    batch_max = min(rules.window_events, _fitting(rules.window_bytes, costs.body_bytes))
    places = rules.requests_per_destination / asked.mean_seconds
    busy = rules.requests / asked.mean_seconds

    def batch(each: float, seconds: float) -> float:
        """A window opens with its first event, and gathers what comes until its time is over and
        there is a place for its request."""
        return min(batch_max, max(1 + each * seconds, each / places))

    def requests(seconds: float) -> float:
        return sum(many * each / batch(each, seconds) for each, many in rates)

    seconds = _least(lambda seconds: requests(seconds) <= busy, at_least=rules.window_seconds)
    batches = [batch(each, seconds) for each, _ in rates]
    waits = [
        min(max(seconds, (size - 1) / each), batch_max / each) if each else 0.0
        for (each, _), size in zip(rates, batches, strict=True)
    ]
    all_requests = requests(seconds)
    waiting = sum(each * many * wait for (each, many), wait in zip(rates, waits, strict=True))
    open_events = waiting + sent * asked.mean_seconds
    cpu = sent * costs.event + all_requests * costs.request
    cpu += (rate - sent) * costs.dead_letter
    record = 2 * costs.record_bytes + EVENT_BYTES
    return Member(
        events_per_second=rate,
        requests_per_second=all_requests,
        hottest_requests_per_second=rates[0][0] / batches[0],
        batch_events=sent / all_requests if all_requests else 0.0,
        hottest_batch_events=batches[0],
        open_events=open_events,
        window_seconds=seconds,
        window_wait=waiting / sent if sent else 0.0,
        used={
            Bound.CPU: cpu / (1 - headroom),
            # Of these with full windows: until then requests grow, and are no more.
            Bound.REQUESTS_PER_DESTINATION: rates[0][0] / batch_max / places,
            Bound.REQUESTS: sent / batch_max / busy,
            Bound.IN_FLIGHT_EVENTS: open_events / rules.in_flight_events,
            Bound.IN_FLIGHT_BYTES: open_events * record / rules.in_flight_bytes,
        },
    )


def _least(holds: Callable[[float], bool], *, at_least: float) -> float:
    """The least number of seconds that does it; more than a day is not tried."""
    if holds(at_least):
        return at_least
    _, least = _border(lambda seconds: not holds(seconds), at_least, DAY_SECONDS)
    return least


def _by_destination(asked: Asked, rate: float) -> list[tuple[float, int]]:
    """The rate of the hottest destination, and of each of the others, with how many they are."""
    hottest = (rate * asked.hottest_share, 1)
    others = asked.destinations - 1
    if not others:
        return [hottest]
    return [hottest, (rate * (1 - asked.hottest_share) / others, others)]


def _fitting(window_bytes: int, body_bytes: float) -> float:
    return max(1.0, (window_bytes - BYTES_PER_REQUEST) // (body_bytes + 1))


class _Most(NamedTuple):
    """What a member takes at the most: events in a second, with headroom and without."""

    spared: float
    all: float


def _needed(asked: Asked, partitions: int, most: float) -> int | None:
    """The least members of whom the fullest holds; None when not even one a partition does."""
    each = asked.events_per_second / partitions
    own_max = min(floor(most / each), partitions)
    return ceil(partitions / own_max) if own_max else None


def _partitions_needed(asked: Asked, most: _Most) -> int | None:
    """The first number of partitions that gives each member some, and the group room to grow."""
    # Members are never fewer than this, and fewer partitions than that need not be looked at.
    least = int(PARTITIONS_EACH * asked.events_per_second / most.spared)
    first = max(PARTITIONS_STEP, least - least % PARTITIONS_STEP)
    for partitions in chain((PARTITIONS_LEAST,), range(first, PARTITIONS_MAX + 1, PARTITIONS_STEP)):
        replicas = _replicas(asked, partitions, most)
        carried = _needed(asked, partitions, most.spared) is not None
        roomy = partitions >= PARTITIONS_EACH * replicas
        if carried and roomy and _survives(asked, partitions, replicas, most):
            return partitions
    return None


def _replicas(asked: Asked, partitions: int, most: _Most) -> int:
    """Those who carry the load, and so many more that the loss of a zone leaves enough."""
    needed = _needed(asked, partitions, most.spared)
    left = _needed(asked, partitions, most.all)
    if needed is None or left is None:
        return partitions
    if asked.zones > 1:
        needed = max(needed, ceil(left * asked.zones / (asked.zones - 1)))
    return min(needed, partitions)


def _survives(asked: Asked, partitions: int, replicas: int, most: _Most) -> bool:
    """Whether those who are left when the fullest zone is gone hold, without headroom."""
    left = replicas if asked.zones == 1 else replicas - ceil(replicas / asked.zones)
    least = _needed(asked, partitions, most.all)
    return least is not None and left >= least


def _most(at: Callable[[float], Member]) -> float:
    """The highest rate at which a member holds without headroom: events in a second."""

    def holds(rate: float) -> bool:
        return max(at(rate).used.values()) <= 1

    low, high = 0.0, 1.0
    while holds(high):
        low, high = high, 2 * high
    most, _ = _border(holds, low, high)
    return most


def _border(is_below: Callable[[float], bool], low: float, high: float) -> tuple[float, float]:
    """Where it ceases to be true: the last number seen below, and the first above."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return low, high

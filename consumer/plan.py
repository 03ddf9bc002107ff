"""How many partitions and members a load needs, and what they use. Arithmetic, and nothing else.

A member is one process with one core: its interpreter does one thing at a time. Every partition
carries every destination alike, and the member with the most partitions is the one that must hold.
Rates are events or requests in a second, latencies milliseconds, everything else seconds and bytes.
"""

from bisect import bisect_left
from collections.abc import Callable
from enum import Enum
from math import ceil
from typing import NamedTuple

from consumer.measured_figures import (
    BODY_FEW,
    BODY_MANY,
    DEAD_LETTER,
    DESTINATION_TURN,
    EVENT_FEW,
    EVENT_MANY,
    KILOBYTE,
    RECORD_FEW,
    RECORD_MANY,
    REQUEST,
    between,
)
from consumer.model import EVENT_BYTES
from consumer.window import BYTES_PER_REQUEST

PARTITIONS_EACH = 4
"""Partitions that are proposed for each member: then the fullest member has little more than the
others, and there may be four times as many one day."""
PARTITIONS_STEP, PARTITIONS_MAX = 12, 12_000
"""What many numbers of members divide evenly; and beyond that, one topic is not the way."""
_HALVINGS = 60


class Asked(NamedTuple):
    """The load, and what is wanted of the plan. Shares are from 0 to 1."""

    events_per_second: float
    match_keys: int
    event_bytes: float | None
    destinations: int
    hottest_share: float
    dead_letter_share: float
    latency_ms: tuple[float, float]
    headroom: float
    zones: int
    partitions: int | None
    outage_minutes: float
    delay_seconds: float

    @property
    def mean_seconds(self) -> float:
        """What a request takes, rather too much: halfway from the 50th percentile to the 95th."""
        return sum(self.latency_ms) / 2000


class Rules(NamedTuple):
    """The limits that the settings set for one member."""

    window_events: int
    window_seconds: float
    window_bytes: int
    requests_per_destination: int
    requests: int
    in_flight_events: int
    in_flight_bytes: int
    read_records: int
    commit_seconds: float


class Costs(NamedTuple):
    """Of one event, request and dead letter: seconds of CPU, and bytes."""

    event: float
    request: float
    dead_letter: float
    record_bytes: float
    body_bytes: float


class Bound(Enum):
    """What a member reaches first."""

    CPU = "CPU"
    REQUESTS_PER_DESTINATION = "CONVERSIONS_REQUESTS_PER_DESTINATION"
    REQUESTS = "sender threads"
    IN_FLIGHT_EVENTS = "CONVERSIONS_IN_FLIGHT_EVENTS"
    IN_FLIGHT_BYTES = "CONVERSIONS_IN_FLIGHT_BYTES"


class Member(NamedTuple):
    """What one member does at a rate; ``used`` is the share of each bound, 1 is all of it."""

    events_per_second: float
    requests_per_second: float
    hottest_requests_per_second: float
    batch_events: float
    hottest_batch_events: float
    open_events: float
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


def costs_for(
    asked: Asked, *, cpu_event: float | None, cpu_request: float | None, read_records: int
) -> Costs:
    """The measured costs of such an event, or those that somebody measured (microseconds)."""
    record = between(RECORD_FEW, RECORD_MANY, asked.match_keys)
    more = 0.0 if asked.event_bytes is None else asked.event_bytes - record
    # What an event has beyond the measured one is text, which is copied; less is less of it.
    record_bytes = max(record + more, 1.0)
    body_bytes = max(between(BODY_FEW, BODY_MANY, asked.match_keys) + more, 1.0)
    event = cpu_event
    if event is None:
        event = between(EVENT_FEW, EVENT_MANY, asked.match_keys)
        event += max(0.0, more) / 1000 * KILOBYTE.value
    # A busy loop reads as many as it may in a turn, and looks at every destination once.
    turn = asked.destinations * DESTINATION_TURN.value / read_records
    request = REQUEST.value if cpu_request is None else cpu_request
    letter = DEAD_LETTER.value * (1.0 if cpu_event is None else cpu_event / EVENT_MANY.value)
    return Costs(
        event=(event + turn) / 1e6,
        request=request / 1e6,
        dead_letter=(letter + turn) / 1e6,
        record_bytes=record_bytes,
        body_bytes=body_bytes,
    )


def plan(asked: Asked, costs: Costs, rules: Rules) -> Plan:
    """The least members that carry the load, and the partitions that they need."""

    def at(rate: float, headroom: float = 0.0) -> Member:
        return _member(asked, costs, rules, rate, headroom)

    def carries(fraction: float, headroom: float) -> bool:
        return max(at(asked.events_per_second * fraction, headroom).used.values()) <= 1

    partitions_needed = _partitions_needed(asked, carries)
    partitions = asked.partitions or partitions_needed or PARTITIONS_MAX
    needed = _needed(partitions, lambda fraction: carries(fraction, asked.headroom))
    replicas = _replicas(asked, partitions, needed, carries)
    fraction = ceil(partitions / replicas) / partitions
    capacity = at(_most(at))
    average = at(asked.events_per_second / replicas)
    backlog = asked.events_per_second * asked.outage_minutes * 60
    spare = capacity.events_per_second / fraction - asked.events_per_second
    return Plan(
        partitions=partitions,
        partitions_needed=partitions_needed,
        needed=needed,
        replicas=replicas,
        survives=_survives(asked, partitions, replicas, carries),
        fullest=at(asked.events_per_second * fraction),
        capacity=capacity,
        group_requests=average.requests_per_second * replicas,
        hottest_requests=average.hottest_requests_per_second * replicas,
        backlog=backlog,
        catch_up_seconds=backlog / spare if spare > 0 else None,
    )


def _member(asked: Asked, costs: Costs, rules: Rules, rate: float, headroom: float) -> Member:
    sent = rate * (1 - asked.dead_letter_share)
    rates = _by_destination(asked, sent)
    batch_max = min(rules.window_events, _fitting(rules.window_bytes, costs.body_bytes))
    # A window opens with its first event, and gathers what comes while it is open.
    batches = [min(batch_max, 1 + each * rules.window_seconds) for each, _ in rates]
    waits = [min(rules.window_seconds, batch_max / each) if each else 0.0 for each, _ in rates]
    requests = [each / batch for (each, _), batch in zip(rates, batches, strict=True)]
    all_requests = sum(one * many for one, (_, many) in zip(requests, rates, strict=True))
    waiting = sum(each * many * wait for (each, many), wait in zip(rates, waits, strict=True))
    open_events = waiting + sent * asked.mean_seconds
    cpu = sent * costs.event + all_requests * costs.request
    cpu += (rate - sent) * costs.dead_letter
    record = 2 * costs.record_bytes + EVENT_BYTES
    return Member(
        events_per_second=rate,
        requests_per_second=all_requests,
        hottest_requests_per_second=requests[0],
        batch_events=sent / all_requests if all_requests else 0.0,
        hottest_batch_events=batches[0],
        open_events=open_events,
        window_wait=waiting / sent if sent else 0.0,
        used={
            Bound.CPU: cpu / (1 - headroom),
            Bound.REQUESTS_PER_DESTINATION: requests[0]
            * asked.mean_seconds
            / rules.requests_per_destination,
            Bound.REQUESTS: all_requests * asked.mean_seconds / rules.requests,
            Bound.IN_FLIGHT_EVENTS: open_events / rules.in_flight_events,
            Bound.IN_FLIGHT_BYTES: open_events * record / rules.in_flight_bytes,
        },
    )


def _by_destination(asked: Asked, rate: float) -> list[tuple[float, int]]:
    """The rate of the hottest destination, and of each of the others, with how many they are."""
    hottest = (rate * asked.hottest_share, 1)
    others = asked.destinations - 1
    if not others:
        return [hottest]
    return [hottest, (rate * (1 - asked.hottest_share) / others, others)]


def _fitting(window_bytes: int, body_bytes: float) -> float:
    return max(1.0, (window_bytes - BYTES_PER_REQUEST) // (body_bytes + 1))


Carries = Callable[[float, float], bool]
"""Whether a member with this fraction of the load holds, with so much headroom."""


def _needed(partitions: int, carries: Callable[[float], bool]) -> int | None:
    """The least members of whom the fullest holds; None when not even one a partition does."""
    found = 1 + bisect_left(
        range(1, partitions + 1),
        True,
        key=lambda members: carries(ceil(partitions / members) / partitions),
    )
    return found if found <= partitions else None


def _partitions_needed(asked: Asked, carries: Carries) -> int | None:
    """The first number of partitions that gives each member some, and the group room to grow."""
    for partitions in (6, *range(PARTITIONS_STEP, PARTITIONS_MAX + 1, PARTITIONS_STEP)):
        if not carries(1 / partitions, asked.headroom):
            continue
        needed = _needed(partitions, lambda fraction: carries(fraction, asked.headroom))
        replicas = _replicas(asked, partitions, needed, carries)
        survives = _survives(asked, partitions, replicas, carries)
        if needed is not None and survives and partitions >= PARTITIONS_EACH * replicas:
            return partitions
    return None


def _replicas(asked: Asked, partitions: int, needed: int | None, carries: Carries) -> int:
    """Those who carry the load, and so many more that the loss of a zone leaves enough."""
    if needed is None:
        return partitions
    least = min(max(needed, min(asked.zones, 2)), partitions)
    return least + bisect_left(
        range(least, partitions),
        True,
        key=lambda replicas: _survives(asked, partitions, replicas, carries),
    )


def _survives(asked: Asked, partitions: int, replicas: int, carries: Carries) -> bool:
    """Whether those who are left when the fullest zone is gone hold, without headroom."""
    left = replicas if asked.zones == 1 else replicas - ceil(replicas / asked.zones)
    return left > 0 and carries(ceil(partitions / left) / partitions, 0.0)


def _most(at: Callable[[float], Member]) -> float:
    """The highest rate at which a member holds without headroom: events in a second."""
    low, high = 0.0, 1.0
    while max(at(high).used.values()) <= 1:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if max(at(middle).used.values()) <= 1 else (low, middle)
    return low

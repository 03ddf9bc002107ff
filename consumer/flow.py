"""Which partitions must not be read for now, and what a destination in trouble has to give up.

Pure: looks at the ledger and the outboxes, and decides. The order is the one that hurts least: a
destination in trouble may hold up to its share of the in-flight limits; then the partitions that
carry it pause; what it holds beyond its share goes back to Kafka, where nobody else is concerned;
and only one that has been in trouble for long, and keeps a healthy destination waiting, is
spilled into the dead letters, oldest events first.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from consumer.deliveries import Deliveries
from consumer.model import Carried, PauseCause, PixelId, Prepared, TopicPartition
from consumer.outbox import Outbox
from consumer.patience import OutboxState
from consumer.settle import Ledger

SLOW_SECONDS = 5.0
"""A request that is out for longer makes its destination count as one in trouble."""


EVIDENCE_SECONDS = 10.0
"""So shortly before somebody's trouble an acceptance still speaks for somebody else."""

READ_RECORDS_MAX = 1000
READ_RECORDS_MIN = 100
"""However little is left of one destination's share: the others are read as well, and it exceeds
its share by no more than that."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The named limits of what may wait; see ``settings.py`` for each."""

    in_flight_events: int
    in_flight_bytes: int
    uncommitted_records: int
    uncommitted_seconds: float
    spill_after_seconds: float


class Spill(NamedTuple):
    """Take this many of the oldest events that ``of`` marks out of a halted destination."""

    outbox: Outbox
    events_max: int
    of: Callable[[Prepared], bool]


@dataclass(slots=True)
class Flow:
    """What is to be paused, spilled, and given back to Kafka at this moment.

    ``read_max`` is how many records one read may bring, so that a destination in trouble does
    not exceed its share by a whole read.
    """

    paused: dict[TopicPartition, PauseCause] = field(default_factory=dict)
    spills: list[Spill] = field(default_factory=list)
    given_back: list[TopicPartition] = field(default_factory=list)
    read_max: int = READ_RECORDS_MAX


class House(NamedTuple):
    """What is looked at. ``seen``: which destinations each partition carried in this tenure;
    ``destinations``: how many are configured, each of which has a share of the limits."""

    limits: Limits
    ledger: Ledger
    deliveries: Deliveries
    seen: Mapping[TopicPartition, set[PixelId]]
    destinations: Callable[[], int]


def plan_flow(
    house: House,
    now: float,
    *,
    full: bool,
    schema_partitions: Iterable[TopicPartition],
    too_large: Iterable[TopicPartition],
) -> Flow:
    """Decide. ``full``: the limits are reached, and have been for a while."""
    flow = Flow()
    _bound_uncommitted(flow, house, now)
    _bound_destinations(flow, house, now, full=full)
    for partition in schema_partitions:
        flow.paused[partition] = PauseCause.SCHEMA
    for partition in too_large:
        flow.paused[partition] = PauseCause.DEAD_LETTER_TOO_LARGE
    return flow


def _bound_uncommitted(flow: Flow, house: House, now: float) -> None:
    """Delivery may not run ahead of a partition's commit without end: a restart sends it again."""
    limits, ledger = house.limits, house.ledger
    for partition in ledger.partitions:
        state = ledger.state(partition)
        if state is None:
            continue
        old = (
            state.oldest_open_at is not None
            and now - state.oldest_open_at > limits.uncommitted_seconds
            and state.uncommitted > 0
        )
        if state.uncommitted <= limits.uncommitted_records and not old:
            continue
        flow.paused[partition] = PauseCause.UNCOMMITTED
        for outbox in house.deliveries.outboxes.values():
            if _gives_way(outbox, limits, now) and _others_wait(
                outbox, frozenset([partition]), house
            ):
                of = _of_partition(partition)
                flow.spills.append(Spill(outbox, limits.in_flight_events, of))


def _bound_destinations(flow: Flow, house: House, now: float, *, full: bool) -> None:
    limits, deliveries = house.limits, house.deliveries
    # Those that have brought nothing yet count as well: else the first in trouble takes it all.
    shares = max(1, house.destinations(), len(deliveries.outboxes))
    for outbox in deliveries.outboxes.values():
        well = outbox.state is OutboxState.READY and not outbox.is_slow(now, SLOW_SECONDS)
        if well and not deliveries.is_slowed(outbox.destination, now):
            continue
        carried = deliveries.carried(outbox.destination)
        events_share = limits.in_flight_events // shares
        bytes_share = limits.in_flight_bytes // shares
        left = _left(carried, events_share, bytes_share)
        # Also beyond its share: partitions that it is not yet seen on may bring more of it.
        flow.read_max = min(flow.read_max, max(min(READ_RECORDS_MIN, events_share), left))
        if carried.events < events_share and carried.size_bytes < bytes_share:
            continue
        beyond = shares > 1 and _is_beyond(carried, events_share, bytes_share)
        if full and beyond and outbox.in_flight == 0:
            # It was well when it filled the house. Partitions of its own go back to Kafka, from
            # where no more than its share is read again; others share nothing with them.
            flow.given_back += [
                partition
                for partition in carried.partitions
                if house.seen.get(partition) == {outbox.destination}
            ]
        if (
            outbox.trouble_since is not None
            and now - outbox.trouble_since >= limits.spill_after_seconds
            and _others_wait(outbox, carried.partitions, house)
        ):
            # From here on nobody waits for it: a pause, however short, drops what was prefetched.
            flow.spills.append(Spill(outbox, max(1, carried.events // 4), lambda _: True))
            continue
        for partition in carried.partitions:
            flow.paused.setdefault(partition, PauseCause.DESTINATION)


def _left(carried: Carried, events_share: int, bytes_share: int) -> int:
    """How many records more fit into its share, if they are as large as those that it holds."""
    left = events_share - carried.events
    if carried.size_bytes == 0:
        return left
    return min(left, (bytes_share - carried.size_bytes) * carried.events // carried.size_bytes)


def _is_beyond(carried: Carried, events_share: int, bytes_share: int) -> bool:
    """Whether it holds more than would be read again. Else, in an outage of everybody, the same
    records would be read and given back for as long as it lasts."""
    events_more = min(READ_RECORDS_MIN, events_share)
    bytes_more = events_more * carried.size_bytes // max(1, carried.events)
    return (
        carried.events >= events_share + events_more
        or carried.size_bytes >= bytes_share + bytes_more
    )


def _gives_way(outbox: Outbox, limits: Limits, now: float) -> bool:
    """Whether what it holds may be given up so that a commit moves on: nobody knows when a halt
    ends, and other trouble has gone on for long."""
    if outbox.halted is not None:
        return True
    since = outbox.trouble_since
    return since is not None and now - since >= limits.spill_after_seconds


def _others_wait(outbox: Outbox, partitions: frozenset[TopicPartition], house: House) -> bool:
    """Whether a healthy destination shares these partitions. If none does there is nobody to make
    room for, and the whole topic would be dead-lettered."""
    for destination in {d for partition in partitions for d in house.seen.get(partition, ())}:
        other = house.deliveries.outboxes.get(destination)
        if destination == outbox.destination:
            continue
        if other is not None and other.state is not OutboxState.READY:
            continue  # it could not use the room
        if outbox.halted is not None:
            return True
        # Trouble that is not the destination's own may be everybody's: an outage of Meta. Then
        # only who was accepted around then, and not refused since, counts as well.
        began_at = outbox.trouble_since
        if other is None or began_at is None:
            continue
        if other.accepted_at > began_at - EVIDENCE_SECONDS:
            return True
    return False


def _of_partition(partition: TopicPartition) -> Callable[[Prepared], bool]:
    return lambda event: event.record.partition == partition

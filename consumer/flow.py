"""Which partitions must not be read for now, and what a destination in trouble has to give up.

Pure: looks at the ledger and the outboxes, and decides. The order is the one that hurts least: a
destination in trouble may hold up to its share of the in-flight limits; then the partitions that
carry it pause; what it holds beyond its share goes back to Kafka, where nobody else is concerned;
and only one that has been in trouble for long, and keeps a healthy destination waiting, is
spilled into the dead letters, oldest events first. What the guard holds for a destination is such a
trouble like any other.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from consumer.deliveries import Deliveries
from consumer.held_back import HeldBack
from consumer.model import Carried, PauseCause, PixelId, Prepared, Rejected, TopicPartition
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


Marks = Callable[[Prepared | Rejected], bool]
"""Whether something that is held is meant."""


class Holder(Protocol):
    """Who holds events of a destination in trouble: its outbox, or the guard's ``HeldBack``."""

    def spill(self, events_max: int, of: Marks) -> list[Rejected]: ...


class Spill(NamedTuple):
    """Take this many of the oldest events that ``of`` marks from who holds them."""

    holder: Holder
    events_max: int
    of: Marks


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
    ``destinations``: how many are configured, each of which has a share of the limits;
    ``held``: what the guard holds."""

    limits: Limits
    ledger: Ledger
    deliveries: Deliveries
    seen: Mapping[TopicPartition, set[PixelId]]
    destinations: Callable[[], int]
    held: Mapping[PixelId, HeldBack]

    def is_full(self, carried: Carried) -> bool:
        """Whether this is all that one destination in trouble may hold."""
        return carried.events >= self.events_share or carried.size_bytes >= self.bytes_share

    def left_of_share(self, carried: Carried) -> int:
        """How many records more fit into its share, if they are as large as those it holds."""
        left = self.events_share - carried.events
        if carried.size_bytes == 0:
            return left
        bytes_left = self.bytes_share - carried.size_bytes
        return min(left, bytes_left * carried.events // carried.size_bytes)

    def is_beyond(self, carried: Carried) -> bool:
        """Whether it holds more than would be read again. Else, in an outage of everybody, the same
        records would be read and given back for as long as it lasts."""
        events_more = min(READ_RECORDS_MIN, self.events_share)
        bytes_more = events_more * carried.size_bytes // max(1, carried.events)
        return self._shares > 1 and (
            carried.events >= self.events_share + events_more
            or carried.size_bytes >= self.bytes_share + bytes_more
        )

    @property
    def events_share(self) -> int:
        """How many events one destination in trouble may hold."""
        return self.limits.in_flight_events // self._shares

    @property
    def bytes_share(self) -> int:
        """How many bytes one destination in trouble may hold."""
        return self.limits.in_flight_bytes // self._shares

    @property
    def _shares(self) -> int:
        # Those that have brought nothing yet count as well: else the first in trouble takes it all.
        return max(1, self.destinations(), len(self.deliveries.outboxes))


def plan_flow(
    house: House,
    now: float,
    *,
    full: bool,
    schema_partitions: Iterable[TopicPartition],
    too_large: Iterable[TopicPartition],
    may_spill: bool,
) -> Flow:
    """Decide. ``full``: the limits are reached, and have been for a while. ``may_spill`` is False
    while no dead letter can be written: nobody gets room by one more that waits for it."""
    flow = Flow()
    _bound_uncommitted(flow, house, now, may_spill=may_spill)
    _bound_destinations(flow, house, now, full=full, may_spill=may_spill)
    for partition in schema_partitions:
        flow.paused[partition] = PauseCause.SCHEMA
    for partition in too_large:
        flow.paused[partition] = PauseCause.DEAD_LETTER_TOO_LARGE
    return flow


def _bound_uncommitted(flow: Flow, house: House, now: float, *, may_spill: bool) -> None:
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
        if not may_spill:
            continue
        these, of = frozenset([partition]), _of_partition(partition)
        for outbox in house.deliveries.outboxes.values():
            gives_way = outbox.halted is not None or _has_lasted(outbox.trouble_since, house, now)
            if not gives_way or partition not in outbox.carried().partitions:
                continue  # to look through all that it holds, at every turn, would be work
            if _others_wait(outbox.destination, these, house):
                flow.spills.append(Spill(outbox, limits.in_flight_events, of))
        for held in house.held.values():
            if partition in held.carried.partitions and _others_wait(
                held.destination, these, house
            ):
                flow.spills.append(Spill(held, limits.in_flight_events, of))


def _bound_destinations(
    flow: Flow, house: House, now: float, *, full: bool, may_spill: bool
) -> None:
    outboxes = house.deliveries.outboxes
    for destination in dict.fromkeys((*outboxes, *house.held)):
        troubles = list(_troubles(destination, house, now))
        if not troubles:
            continue
        carried = Carried.of([])
        for trouble in troubles:
            carried = carried.plus(trouble.carried)
        left = max(min(READ_RECORDS_MIN, house.events_share), house.left_of_share(carried))
        # Also beyond its share: partitions that it is not yet seen on may bring more of it.
        flow.read_max = min(flow.read_max, left)
        if not house.is_full(carried):
            continue
        outbox = outboxes.get(destination)
        if full and house.is_beyond(carried) and (outbox is None or outbox.in_flight == 0):
            # It was well when it filled the house. Partitions of its own go back to Kafka, from
            # where no more than its share is read again; others share nothing with them.
            flow.given_back += [
                partition
                for partition in carried.partitions
                if house.seen.get(partition) == {destination}
            ]
        spills = [
            Spill(trouble.holder, max(1, trouble.carried.events // 4), lambda _: True)
            for trouble in troubles
            if may_spill
            and _has_lasted(trouble.since, house, now)
            and _others_wait(
                destination, trouble.carried.partitions, house, began_at=trouble.perhaps_everybodys
            )
        ]
        if spills:
            # From here on nobody waits for it: a pause, however short, drops what was prefetched.
            flow.spills += spills
            continue
        for partition in carried.partitions:
            flow.paused.setdefault(partition, PauseCause.DESTINATION)


def _has_lasted(since: float | None, house: House, now: float) -> bool:
    """Whether a trouble has gone on for so long that it has to give way. Nobody knows when a halt
    ends."""
    return since is not None and now - since >= house.limits.spill_after_seconds


class _Trouble(NamedTuple):
    """Why a destination holds something, and what. ``since`` is None while it is merely slow;
    ``perhaps_everybodys`` is when a trouble began that may not be the destination's own."""

    holder: Holder
    carried: Carried
    since: float | None
    perhaps_everybodys: float | None


def _troubles(destination: PixelId, house: House, now: float) -> Iterable[_Trouble]:
    """What the guard holds, and an outbox that is not well."""
    held = house.held.get(destination)
    if held is not None:
        yield _Trouble(held, held.carried, held.since, None)
    outbox = house.deliveries.outboxes.get(destination)
    if outbox is None:
        return
    well = outbox.state is OutboxState.READY and not outbox.is_slow(now, SLOW_SECONDS)
    if not well or house.deliveries.is_slowed(destination, now):
        began_at = outbox.trouble_since if outbox.halted is None else None
        carried = house.deliveries.carried(destination)
        yield _Trouble(outbox, carried, outbox.trouble_since, began_at)


def _others_wait(
    destination: PixelId,
    partitions: frozenset[TopicPartition],
    house: House,
    *,
    began_at: float | None = None,
) -> bool:
    """Whether a healthy destination shares these partitions. If none does there is nobody to make
    room for, and the whole topic would be dead-lettered. ``began_at`` is given for a trouble that
    may not be the destination's own."""
    for each in {d for partition in partitions for d in house.seen.get(partition, ())}:
        other, held = house.deliveries.outboxes.get(each), house.held.get(each)
        if each == destination:
            continue
        if other is not None and other.state is not OutboxState.READY:
            continue  # it could not use the room
        if held is not None and house.is_full(held.carried):
            continue  # nor could this one
        if began_at is None:
            return True
        # Trouble that is not the destination's own may be everybody's: an outage of Meta. Then
        # only who was accepted around then, and not refused since, counts as well.
        if other is not None and other.accepted_at > began_at - EVIDENCE_SECONDS:
            return True
    return False


def _of_partition(partition: TopicPartition) -> Marks:
    return lambda held: held.record.partition == partition

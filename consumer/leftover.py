"""What a member that ends leaves behind: how many records, and what held them."""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from consumer.deliveries import Deliveries
from consumer.model import Prepared
from consumer.patience import OutboxState
from consumer.settle import Ledger


class Holder(Enum):
    """What kept a record from being settled; the value is the log line's word for it."""

    IN_FLIGHT = "in_flight"  # with Meta, or next in the queue to it
    HALTED = "halted_destination"
    THROTTLED = "throttled_destination"
    NOT_DUE = "time_in_the_future"
    SCHEMA = "schema"
    DEAD_LETTER = "dead_letter"
    GUARD = "guard"


class Left(NamedTuple):
    """``records`` of ``partitions`` were read and met no fate; they stay uncommitted in Kafka.

    ``sent_again_max`` others met theirs, but above the offset that the brokers have acknowledged:
    they are read and sent again, under the same event ids.
    """

    records: int
    partitions: int
    held_by: Mapping[Holder, int]
    sent_again_max: int

    @property
    def is_nothing(self) -> bool:
        """Whether everything that was read is settled, and committed."""
        return self.records == 0 and self.sent_again_max == 0


def left_behind(
    ledger: Ledger,
    deliveries: Deliveries,
    *,
    schema_waiting: int,
    letters_waiting: int,
    guard_held: int,
) -> Left:
    """Count what is open now; the three numbers are of open records as well."""
    held = {
        Holder.HALTED: _waiting(ledger, deliveries, OutboxState.HALTED),
        Holder.THROTTLED: _waiting(ledger, deliveries, OutboxState.THROTTLED),
        Holder.NOT_DUE: _open(ledger, deliveries.held),
        Holder.SCHEMA: schema_waiting,
        Holder.DEAD_LETTER: letters_waiting,
        Holder.GUARD: guard_held,
    }
    held[Holder.IN_FLIGHT] = ledger.open_records - sum(held.values())
    states = [state for each in ledger.partitions if (state := ledger.state(each)) is not None]
    return Left(
        records=ledger.open_records,
        partitions=sum(state.open > 0 for state in states),
        held_by={holder: records for holder, records in held.items() if records},
        sent_again_max=sum(state.uncommitted for state in states),
    )


def _waiting(ledger: Ledger, deliveries: Deliveries, state: OutboxState) -> int:
    return sum(
        _open(ledger, list(outbox.waiting()))
        for outbox in deliveries.outboxes.values()
        if outbox.state is state
    )


def _open(ledger: Ledger, events: list[Prepared]) -> int:
    return sum(not ledger.is_over(event.record.tenure) for event in events)

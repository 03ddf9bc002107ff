"""A record on its way in: decoded and prepared, or waiting for its schema.

Keeps the records whose schema is still being fetched, and which destinations each partition has
carried. Decides and returns; the loop acts.
"""

from typing import Protocol

from consumer.decode import NeedsSchema, SchemaFor, SchemaRef, decode
from consumer.model import (
    Event,
    PixelId,
    Place,
    Prepared,
    Reason,
    Record,
    Rejected,
    Suppressed,
    TopicPartition,
)
from consumer.prepare import Preparation, prepare
from consumer.schema_registry import Fetched
from consumer.settle import Ledger

Admitted = Prepared | Rejected | Suppressed | NeedsSchema


class SchemaSource(Protocol):
    """Schemas by id, fetched by somebody else; see ``schema_registry.Schemas``."""

    @property
    def plan_for(self) -> SchemaFor: ...

    def news(self) -> list[Fetched]: ...


class Intake:
    """``preparation`` is replaced when the destinations change."""

    def __init__(self, *, schemas: SchemaSource, preparation: Preparation, ledger: Ledger) -> None:
        self._schemas = schemas
        self._ledger = ledger
        self._waiting: dict[SchemaRef, list[Record]] = {}
        self.preparation = preparation
        self.seen: dict[TopicPartition, set[PixelId]] = {}

    def __repr__(self) -> str:
        return f"<Intake {self.waiting} records wait for {len(self._waiting)} schemas>"

    @property
    def waiting(self) -> int:
        """Records that wait for a schema."""
        return sum(map(len, self._waiting.values()))

    @property
    def waiting_partitions(self) -> set[TopicPartition]:
        """The partitions they came from."""
        return {record.partition for records in self._waiting.values() for record in records}

    def destinations(self) -> int:
        """How many destinations are configured."""
        return len(self.preparation.destinations)

    def begin(self, partition: TopicPartition) -> None:
        """A tenure begins: nothing has been seen in it."""
        self.seen[partition] = set()

    def admit(self, record: Record, now_ms: int) -> Admitted:
        """Bring one open record as far as it gets; one that needs a schema stays here.

        A bug of ours that one record provokes would otherwise end the process, again at each
        restart: such a record is dead-lettered, and can be replayed once the bug is mended.
        """
        try:
            return self._admit(record, now_ms)
        except Exception as error:
            detail = f"a fault of the consumer's own ({type(error).__name__})"
            return Rejected(record=record, reason=Reason.INTERNAL_ERROR, detail=detail)

    def _admit(self, record: Record, now_ms: int) -> Admitted:
        decoded = decode(record, schema_for=self._schemas.plan_for)
        if isinstance(decoded, NeedsSchema):
            self._waiting.setdefault(decoded.ref, []).append(record)
        if not isinstance(decoded, Event):
            return decoded
        prepared = prepare(decoded, self.preparation, now_ms=now_ms)
        if isinstance(prepared, Prepared):
            self.seen[record.partition].add(prepared.destination)
        return prepared

    def holds(self, rejected: Rejected) -> None:
        """A rejected record stays open for its destination, which its partition thus carries."""
        if rejected.destination is not None:
            self.seen[rejected.record.partition].add(rejected.destination)

    def news(self) -> list[Fetched]:
        """What has become known of schemas since the last call."""
        return self._schemas.news()

    def release(self, ref: SchemaRef) -> list[Record]:
        """The records that waited for a schema which is known now."""
        return self._waiting.pop(ref, [])

    def take_out(self, place: Place) -> Record | None:
        """The record of this place, if it waits here for its schema; it no longer does."""
        for ref, records in self._waiting.items():
            for record in records:
                if place.is_of(record):
                    records.remove(record)
                    if not records:
                        del self._waiting[ref]
                    return record
        return None

    def forget(self, partition: TopicPartition) -> None:
        """A tenure is over (the ledger knows): its records are the next owner's."""
        self.seen.pop(partition, None)
        for ref, records in list(self._waiting.items()):
            kept = [record for record in records if not self._ledger.is_over(record.tenure)]
            if kept:
                self._waiting[ref] = kept
            else:
                del self._waiting[ref]

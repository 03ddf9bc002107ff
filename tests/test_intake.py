"""A record on its way in: prepared, turned away, or waiting for its schema; never a crash."""

from pathlib import Path

import pytest

from consumer.decode import NeedsSchema, SchemaRef, UnknownSchema
from consumer.destinations import Destination, Destinations, parse_destinations
from consumer.intake import Admitted, Intake
from consumer.model import (
    PixelId,
    Prepared,
    Reason,
    Record,
    Rejected,
    Suppressed,
    TopicPartition,
)
from consumer.prepare import Preparation
from consumer.settle import Ledger
from tests.fakes.events import NOW_MS, TOPIC, a_record
from tests.fakes.schemas import (
    LATE_SCHEMA_ID,
    SCHEMA_ID,
    FakeSchemas,
    Known,
    event_plan,
    event_value,
)

SHOP, CRM = PixelId("1111111111111111"), PixelId("2222222222222222")
CANARY = "jane.canary@example.com"
PARTITIONS = [TopicPartition(TOPIC, number) for number in range(2)]


class Place:
    """An intake whose two partitions are in their first tenure."""

    def __init__(
        self, *, schemas: FakeSchemas | None = None, destinations: Destinations | None = None
    ) -> None:
        both = parse_destinations(f"- id: {SHOP}\n- id: {CRM}\n  onDenied: suppress\n", Path())
        self.schemas = FakeSchemas() if schemas is None else schemas
        self.ledger = Ledger()
        self.intake = Intake(
            schemas=self.schemas,
            preparation=Preparation(both if destinations is None else destinations, None, 10**6),
            ledger=self.ledger,
        )
        for partition in PARTITIONS:
            self.begin(partition)

    def begin(self, partition: TopicPartition) -> None:
        self.ledger.begin(partition)
        self.intake.begin(partition)

    def end(self, partition: TopicPartition) -> None:
        self.ledger.end(partition)
        self.intake.forget(partition)

    def record(
        self,
        *,
        offset: int = 0,
        partition: int = 0,
        schema_id: int = SCHEMA_ID,
        destination: PixelId = SHOP,
        denied: bool = False,
    ) -> Record:
        """A sound event, read in the partition's tenure of now."""
        fields = {
            "destinationId": destination,
            "eventName": "Lead",
            "eventTime": NOW_MS - 60_000,
            "actionSource": "crm",
            "user": {"email": CANARY},
            "optOut": False,
            "consent": {"adUserData": "DENIED" if denied else "GRANTED"},
        }
        tenure = self.ledger.tenure_of(PARTITIONS[partition])
        assert tenure is not None, "its tenure is over"
        value = event_value(fields, schema_id=schema_id)
        return a_record(offset=offset, partition=partition, value=value, tenure=tenure)

    def admit(self, record: Record) -> Admitted:
        return self.intake.admit(record, NOW_MS)


# --- fates --------------------------------------------------------------------------------------


def test_a_sound_record_is_prepared_and_its_destination_seen_on_its_partition() -> None:
    place = Place()

    found = place.admit(place.record(partition=1))

    assert isinstance(found, Prepared)
    assert place.intake.seen == {PARTITIONS[0]: set(), PARTITIONS[1]: {SHOP}}


def test_a_record_that_goes_nowhere_is_no_sight_of_its_destination() -> None:
    place = Place()
    unknown = place.record(destination=PixelId("404"))

    garbage = place.admit(a_record(value=b"no Avro", tenure=unknown.tenure))
    nowhere = place.admit(unknown)
    withheld = place.admit(place.record(destination=CRM, denied=True))

    assert isinstance(garbage, Rejected)
    assert garbage.reason is Reason.UNDECODABLE
    assert isinstance(nowhere, Rejected)
    assert nowhere.reason is Reason.UNKNOWN_DESTINATION
    assert isinstance(withheld, Suppressed)
    assert place.intake.seen[PARTITIONS[0]] == set()


def test_other_destinations_hold_from_the_next_record_on() -> None:
    place = Place()
    assert isinstance(place.admit(place.record()), Prepared)

    crm_only = parse_destinations(f"- id: {CRM}\n", Path())
    place.intake.preparation = Preparation(crm_only, None, 10**6)
    found = place.admit(place.record(offset=1))

    assert isinstance(found, Rejected)
    assert found.reason is Reason.UNKNOWN_DESTINATION


# --- faults of our own --------------------------------------------------------------------------


class BrokenSchemas(FakeSchemas):
    """A bug in decoding, whose text quotes a person."""

    def plan_for(self, ref: SchemaRef) -> Known | None:
        raise ZeroDivisionError(CANARY)


class BrokenDestinations(Destinations):
    """A bug in preparing, whose text quotes a person."""

    def get(self, pixel: PixelId) -> Destination | None:
        raise RecursionError(CANARY)


@pytest.mark.parametrize(
    ("schemas", "destinations", "kind"),
    [
        (BrokenSchemas(), None, "ZeroDivisionError"),
        (None, BrokenDestinations(by_id={}, any_id=True), "RecursionError"),
    ],
    ids=["decode", "prepare"],
)
def test_a_record_that_meets_a_bug_is_rejected_by_the_exceptions_type_alone(
    schemas: FakeSchemas | None, destinations: Destinations | None, kind: str
) -> None:
    place = Place(schemas=schemas, destinations=destinations)
    record = place.record()

    found = place.admit(record)

    assert isinstance(found, Rejected)
    assert (found.record, found.reason) == (record, Reason.INTERNAL_ERROR)
    assert kind in found.detail
    assert "canary" not in found.detail + repr(found)
    assert place.intake.waiting == 0
    assert place.intake.seen[PARTITIONS[0]] == set()


# --- waiting for a schema -----------------------------------------------------------------------


def test_records_wait_for_their_schema_and_leave_in_the_order_they_came() -> None:
    place = Place()
    first, third = (place.record(offset=n, schema_id=LATE_SCHEMA_ID) for n in (0, 2))
    second = place.record(offset=1, partition=1, schema_id=LATE_SCHEMA_ID)
    other = place.record(offset=3, partition=1, schema_id=9)

    for record in (first, second, third, other):
        assert isinstance(place.admit(record), NeedsSchema)

    assert place.intake.waiting == 4
    assert place.intake.waiting_partitions == set(PARTITIONS)
    assert place.intake.release(LATE_SCHEMA_ID) == [first, second, third]
    assert place.intake.release(LATE_SCHEMA_ID) == []
    assert place.intake.waiting == 1
    assert place.intake.waiting_partitions == {PARTITIONS[1]}
    assert place.schemas.asked == [LATE_SCHEMA_ID, 9]


def test_a_record_that_was_released_is_prepared_by_the_schema_that_came() -> None:
    place = Place()
    place.admit(place.record(schema_id=LATE_SCHEMA_ID))
    assert place.intake.seen[PARTITIONS[0]] == set()
    place.schemas.arrive(LATE_SCHEMA_ID, event_plan())

    (news,) = place.intake.news()
    (record,) = place.intake.release(news.ref)

    assert isinstance(place.admit(record), Prepared)
    assert place.intake.seen[PARTITIONS[0]] == {SHOP}
    assert place.intake.waiting == 0


def test_a_record_whose_schema_nobody_knows_is_rejected_and_waits_no_longer() -> None:
    place = Place()
    place.admit(place.record(schema_id=LATE_SCHEMA_ID))
    place.schemas.arrive(LATE_SCHEMA_ID, UnknownSchema("the registry knows no schema 2"))
    place.intake.news()

    (record,) = place.intake.release(LATE_SCHEMA_ID)
    found = place.admit(record)

    assert isinstance(found, Rejected)
    assert found.reason is Reason.UNKNOWN_SCHEMA
    assert place.intake.waiting == 0


# --- the end of a tenure ------------------------------------------------------------------------


def test_when_a_tenure_ends_its_records_wait_no_longer_and_the_others_stay() -> None:
    place = Place()
    leaving = place.record(schema_id=LATE_SCHEMA_ID)
    staying = place.record(partition=1, schema_id=LATE_SCHEMA_ID)
    for record in (leaving, staying, place.record(offset=1, schema_id=9)):
        place.admit(record)

    place.end(PARTITIONS[0])

    assert place.intake.waiting_partitions == {PARTITIONS[1]}
    assert place.intake.release(LATE_SCHEMA_ID) == [staying]
    assert place.intake.release(9) == []


def test_a_partition_that_comes_back_starts_with_nothing_seen() -> None:
    place = Place()
    place.admit(place.record())
    place.admit(place.record(partition=1, destination=CRM))
    place.end(PARTITIONS[0])
    assert place.intake.seen == {PARTITIONS[1]: {CRM}}

    place.begin(PARTITIONS[0])

    assert place.intake.seen == {PARTITIONS[0]: set(), PARTITIONS[1]: {CRM}}


def test_its_repr_tells_how_many_wait_and_nothing_of_them() -> None:
    place = Place()
    place.admit(place.record(schema_id=LATE_SCHEMA_ID))

    assert repr(place.intake) == "<Intake 1 records wait for 1 schemas>"

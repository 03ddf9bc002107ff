"""A publisher has registered a new schema, or the registry is away. The records that need it
wait with their partition paused, and hold up nobody else; when the schema is there they go on. What
the registry answers for partitions that have gone meanwhile is no longer ours to act upon.
"""

from consumer.decode import UnknownSchema
from consumer.schema_plan import UnusableSchema
from tests.fakes.dead_letters import header
from tests.fakes.house import house
from tests.fakes.schemas import LATE_SCHEMA_ID, event_plan


def test_a_missing_schema_pauses_its_partition_and_no_other() -> None:
    home = house()
    waiting = home.publish(0, events=3, schema_id=LATE_SCHEMA_ID)
    home.run(0.5)
    home.publish(0, events=2)
    others = home.publish(1, events=50)

    home.run(10)

    assert home.source.paused == {home.topic.partitions[0]}
    assert sorted(home.meta.accepted) == others
    assert home.committed(0) == 0
    assert home.committed(1) == 50
    assert home.metric("conversions_schema_waiting_records") == 3
    assert home.metric("conversions_paused_partitions", cause="schema") == 1

    home.schemas.arrive(LATE_SCHEMA_ID, event_plan())
    home.settle_all()

    assert all(home.meta.accepted[place] == 1 for place in waiting)
    assert home.committed(0) == 5
    assert not home.source.paused
    assert home.metric("conversions_schema_waiting_records") == 0
    assert home.schemas.asked == [LATE_SCHEMA_ID]


def test_a_registry_that_is_down_rejects_nothing_however_long_it_lasts() -> None:
    home = house()
    home.publish(0, schema_id=LATE_SCHEMA_ID)
    for _ in range(200):
        home.run(2)
        home.schemas.trouble(LATE_SCHEMA_ID, "HTTP 503")

    assert not home.dead_letters.produced
    assert home.ledger.open_records == 1
    assert len(home.lines.named("schema cannot be fetched; its partition waits")) == 1
    assert (home.metric("conversions_schema_fetch_failures_total") or 0) >= 199


def test_a_schema_that_nobody_knows_or_can_use_dead_letters_its_records() -> None:
    for known, reason in (
        (UnknownSchema("the registry knows no schema 2"), "unknown_schema"),
        (UnusableSchema("the schema cannot be used"), "schema_incompatible"),
    ):
        home = house()
        places = home.publish(0, events=2, schema_id=LATE_SCHEMA_ID)
        home.run(1)
        home.schemas.arrive(LATE_SCHEMA_ID, known)

        home.settle_all()

        assert home.dead_letters.places == places
        assert {header(letter, "reason") for letter in home.dead_letters.written} == {reason}
        assert home.committed(0) == 2


def test_a_schema_that_the_registry_does_not_have_is_not_told_as_fetched() -> None:
    home = house()
    home.publish(0, schema_id=LATE_SCHEMA_ID)
    home.run(1)
    for _ in range(3):
        home.schemas.trouble(LATE_SCHEMA_ID, "schema 2 is not found")
        home.run(1)
    home.schemas.arrive(LATE_SCHEMA_ID, UnknownSchema("the registry knows no schema 2"))

    home.settle_all()

    said = [(level, event) for level, event, _ in home.lines.lines if "schema" in event]
    assert said == [
        ("warning", "schema cannot be fetched; its partition waits"),
        ("warning", "the registry does not have a schema; its records are dead-lettered"),
    ]
    paused = next(level for level, event, _ in home.lines.lines if event == "partition paused")
    assert paused == "info", "every start waits for its first schema"


def test_news_of_a_schema_for_a_tenure_that_is_over_brings_nothing_back() -> None:
    home = house()
    home.publish(0, events=4, schema_id=LATE_SCHEMA_ID)
    home.run(1)
    home.source.revoke(0)
    home.run(1)
    assert home.metric("conversions_schema_waiting_records") == 0
    home.schemas.arrive(LATE_SCHEMA_ID, event_plan())

    home.run(5)

    assert not home.meta.seen
    assert home.committed(0) == 0


def test_a_partition_that_comes_back_waits_for_the_schema_once() -> None:
    home = house()
    places = home.publish(0, events=4, schema_id=LATE_SCHEMA_ID)
    home.run(1)
    home.source.revoke(0)
    home.source.assign(0)
    home.run(1)
    assert home.ledger.open_records == 4
    assert home.source.paused == {home.topic.partitions[0]}
    home.schemas.arrive(LATE_SCHEMA_ID, event_plan())

    home.settle_all()

    assert [home.meta.accepted[place] for place in places] == [1, 1, 1, 1]


def test_a_missing_schema_does_not_hold_up_a_revocation() -> None:
    home = house()
    home.publish(0, schema_id=LATE_SCHEMA_ID)
    home.run(1)
    before = home.clock.now()
    home.source.revoke(0)

    home.pipeline.turn()

    assert home.clock.now() - before < 1.0

"""Kinds of events that Meta keeps refusing are windowed apart, and come back when they are well."""

import pytest

from consumer.apart import (
    ACCEPTED_MIN,
    BATCHES_MIN,
    KINDS_MAX,
    QUIET_SECONDS,
    WITHIN_SECONDS,
    Apart,
)
from consumer.model import Delivered, Kind, MetaError, Prepared, Reason, Rejected
from tests.fakes.events import a_record, an_event

FRAMED = b"\x00\x00\x00\x00\x07and what follows"
SINGLE_OBJECT = b"\xc3\x01fingerpr and what follows"


def an_event_of(
    name: str = "Purchase", *, value: bytes = FRAMED, destination: str = "1"
) -> Prepared:
    return an_event(event_name=name, record=a_record(value=value), destination=destination)


def refuse(
    apart: Apart,
    event: Prepared,
    *,
    batches: int = BATCHES_MIN,
    now: float = 0.0,
    subcode: int = 2804009,
    reason: Reason = Reason.REFUSED_BY_META,
    prefix: str = "b",
) -> None:
    for number in range(batches):
        rejected = Rejected(
            record=event.record,
            reason=reason,
            detail="",
            destination=event.destination,
            event_name=event.event_name,
            error=MetaError(http_status=400, code=100, subcode=subcode),
            batch_id=f"{prefix}-{number}",
        )
        apart.learn([rejected], now)


def accept(apart: Apart, event: Prepared, *, times: int = 1) -> None:
    apart.learn([Delivered(event, "A")] * times, 0.0)


def test_a_kind_that_is_refused_in_several_batches_goes_apart() -> None:
    apart = Apart()
    refuse(apart, an_event_of(), batches=BATCHES_MIN - 1)
    assert apart.kind_of(an_event_of(), 0.0) is None

    refuse(apart, an_event_of(), batches=1, prefix="another")

    assert apart.kind_of(an_event_of(), 0.0) == Kind("Purchase", FRAMED[:5])


def test_many_bad_events_in_one_batch_spoil_one_batch() -> None:
    apart = Apart()
    for _ in range(50):
        refuse(apart, an_event_of(), batches=1)

    assert apart.kind_of(an_event_of(), 0.0) is None


@pytest.mark.parametrize(
    "other",
    [
        an_event_of("Lead"),
        an_event_of(value=b"\x00\x00\x00\x00\x08"),
        an_event_of(value=SINGLE_OBJECT),
        an_event_of(destination="2"),
    ],
    ids=["name", "schema", "framing", "destination"],
)
def test_a_kind_is_a_name_under_one_schema_for_one_destination(other: Prepared) -> None:
    apart = Apart()
    refuse(apart, an_event_of())

    assert apart.kind_of(other, 0.0) is None


def test_events_of_the_single_object_encoding_are_told_apart_by_the_whole_fingerprint() -> None:
    apart = Apart()
    refuse(apart, an_event_of(value=SINGLE_OBJECT))

    assert apart.kind_of(an_event_of(value=SINGLE_OBJECT), 0.0) == Kind(
        "Purchase", SINGLE_OBJECT[:10]
    )
    assert apart.kind_of(an_event_of(value=b"\xc3\x01fingerpX"), 0.0) is None


def test_refusals_for_different_mistakes_are_counted_each_for_itself() -> None:
    apart = Apart()
    for subcode in range(BATCHES_MIN):
        refuse(apart, an_event_of(), batches=1, subcode=subcode, prefix=str(subcode))

    assert apart.kind_of(an_event_of(), 0.0) is None


@pytest.mark.parametrize("reason", [Reason.EXPIRED, Reason.OUTCOME_UNKNOWN, Reason.NOT_RECEIVED])
def test_what_is_given_up_for_other_reasons_does_not_count(reason: Reason) -> None:
    apart = Apart()
    refuse(apart, an_event_of(), reason=reason)

    assert apart.kind_of(an_event_of(), 0.0) is None


def test_refusals_now_and_then_are_not_enough() -> None:
    apart = Apart()
    for number in range(20):
        now = number * (WITHIN_SECONDS / (BATCHES_MIN - 1) + 1.0)
        refuse(apart, an_event_of(), batches=1, now=now, prefix=str(number))

        assert apart.kind_of(an_event_of(), now) is None


def test_it_comes_back_when_enough_were_accepted_in_a_row() -> None:
    apart = Apart()
    refuse(apart, an_event_of())
    accept(apart, an_event_of(), times=ACCEPTED_MIN - 1)
    refuse(apart, an_event_of(), batches=1, prefix="once more")
    accept(apart, an_event_of(), times=ACCEPTED_MIN - 1)
    assert apart.kind_of(an_event_of(), 0.0) is not None

    accept(apart, an_event_of("Lead"))
    assert apart.kind_of(an_event_of(), 0.0) is not None
    accept(apart, an_event_of())

    assert apart.kind_of(an_event_of(), 0.0) is None


def test_it_comes_back_when_none_was_refused_for_a_while() -> None:
    apart = Apart()
    refuse(apart, an_event_of(), now=5.0)

    assert apart.kind_of(an_event_of(), 5.0 + QUIET_SECONDS) is not None
    assert apart.kind_of(an_event_of(), 5.1 + QUIET_SECONDS) is None


def test_no_more_kinds_are_watched_than_the_limit_and_the_stalest_goes_first() -> None:
    apart = Apart()
    refuse(apart, an_event_of("first"))
    refuse(apart, an_event_of("stale"))
    for number in range(KINDS_MAX - 2):
        refuse(apart, an_event_of(f"custom {number}"))
    refuse(apart, an_event_of("first"), batches=1, prefix="again")
    refuse(apart, an_event_of("one too many"))

    assert apart.kind_of(an_event_of("stale"), 0.0) is None
    assert apart.kind_of(an_event_of("first"), 0.0) is not None
    assert repr(apart) == f"<Apart {KINDS_MAX} kinds apart, {KINDS_MAX} watched>"


def test_a_kind_does_not_show_the_name_of_its_events() -> None:
    assert "jane" not in repr(Kind("jane@example.com", b"\x00"))

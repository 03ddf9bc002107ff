"""What a run shows in its metrics: how long events take, what waits, what is tried, the lag."""

from collections import deque

import pytest

from consumer.model import LogEnd, Retry, RetryCause, TopicPartition
from tests.fakes.house import CRM, SHOP, FakeHouse, house
from tests.fakes.meta import Scripted, expired_token, outage

DELIVERY = "conversions_event_delivery_seconds"
PENDING = "conversions_pending_events"
OLDEST = "conversions_oldest_pending_event_timestamp_seconds"


def test_delivery_counts_from_the_reading_and_age_from_the_event() -> None:
    home = house()
    home.meta.latency_seconds = 20.0
    home.publish(0, events=3)  # a minute old when they are published

    home.settle_all()

    seconds = home.metric(f"{DELIVERY}_sum", destination=SHOP)
    assert seconds is not None
    assert 3 * 20 < seconds < 3 * 25
    assert home.metric(f"{DELIVERY}_count", destination=SHOP) == 3
    age = home.metric("conversions_event_age_seconds_sum")
    assert age is not None
    assert 3 * 80 < age < 3 * 85


def test_only_what_is_accepted_has_been_delivered() -> None:
    home = house()
    home.garbage(0)
    home.publish(0, userAgent=None, eventName="")

    home.settle_all()

    assert home.metric("conversions_event_age_seconds_count") == 0


def test_what_waits_is_shown_with_its_oldest_event_until_it_is_delivered() -> None:
    home = house()
    home.meta.standing[SHOP] = expired_token()
    oldest_ms = home.clock.now_ms() - 7_200_000
    home.publish(0, events=2, destination=SHOP)
    home.publish(0, destination=SHOP, eventTime=oldest_ms)
    home.publish(0, destination=CRM)

    home.run(5.0)

    assert home.metric(PENDING, destination=SHOP) == 3
    assert home.metric(OLDEST, destination=SHOP) == oldest_ms / 1000
    assert home.metric(PENDING, destination=CRM) == 0
    assert home.metric(OLDEST, destination=CRM) is None
    del home.meta.standing[SHOP]
    home.settle_all(3600.0)
    assert home.metric(PENDING, destination=SHOP) == 0
    assert home.metric(OLDEST, destination=SHOP) is None


def test_what_waits_in_windows_and_for_its_time_is_pending_as_well() -> None:
    home = house()
    now_ms = home.clock.now_ms()
    home.publish(0, eventTime=now_ms + 200_000)
    home.publish(0, eventTime=now_ms - 5_000)
    home.run(0.2)

    assert home.metric(PENDING, destination=SHOP) == 2
    assert home.metric(OLDEST, destination=SHOP) == (now_ms - 5_000) / 1000
    home.run(5.0)
    assert home.metric(OLDEST, destination=SHOP) == (now_ms + 200_000) / 1000


def test_the_oldest_event_is_not_one_that_an_isolation_has_delivered() -> None:
    grew_younger = [shown_while_isolating(position) == [-9000.0, -60.0] for position in range(21)]

    # Where the old event is in what is posted last, it stays the oldest until the end.
    assert 0 < sum(grew_younger) < 21


def shown_while_isolating(position: int) -> list[float | None]:
    """What the metric says, one after the other, in seconds from now, until the bad event of 22 is
    found; one of the good ones is very old."""
    home = house()
    home.meta.is_bad = lambda event: event.event_id == "bad"
    now_ms = home.clock.now_ms()
    home.publish(0, events=position, eventTime=now_ms - 60_000)
    home.publish(0, eventTime=now_ms - 9_000_000)
    home.publish(0, events=20 - position, eventTime=now_ms - 60_000)
    home.publish(0, eventId="bad", eventTime=now_ms - 1_000)
    home.run(0.2)
    shown: list[float | None] = []
    while not home.dead_letters.places:
        home.pipeline.turn()
        oldest = home.metric(OLDEST, destination=SHOP)
        told = None if oldest is None else oldest - now_ms / 1000
        if told not in shown[-1:]:
            shown.append(told)
    tried = home.metric("conversions_isolation_requests_total", destination=SHOP)
    assert tried == sum(seen.request.isolating for seen in home.meta.seen)
    assert tried
    return shown


def test_replayed_records_are_counted_among_those_read() -> None:
    home = house()
    home.publish(0, events=2)
    home.publish(0, headers=(("traceparent", b"00"), ("conversions.replays", b"1")))

    home.settle_all()

    assert home.metric("conversions_records_read_total") == 3
    assert home.metric("conversions_replayed_records_read_total") == 1


@pytest.mark.parametrize(
    ("scripted", "outcome", "code_class"),
    [
        (outage(), "retry", "5xx"),
        (expired_token(), "halted", "4xx"),
        (Retry(RetryCause.TIMEOUT, None, reached_meta=True), "retry", "none"),
    ],
)
def test_a_requests_class_is_that_of_its_answer(
    scripted: Scripted, outcome: str, code_class: str
) -> None:
    home = house()
    home.meta.scripted[SHOP] = deque([scripted])
    home.publish(0)

    home.settle_all(3600.0)

    def requests(outcome: str, code_class: str) -> float | None:
        labels = {"outcome": outcome, "code_class": code_class}
        return home.metric("conversions_requests_total", destination=SHOP, **labels)

    assert requests(outcome, code_class) == 1
    assert requests("accepted", "2xx") == 1


def test_what_a_crash_would_send_again_is_shown() -> None:
    home = house()
    home.meta.standing[CRM] = expired_token()
    home.publish(0, destination=CRM)
    home.publish(0, events=7, destination=SHOP)

    home.run(5.0)

    assert home.metric("conversions_uncommitted_records") == 7


def test_the_limits_are_shown_beside_what_they_bound() -> None:
    home = house(in_flight_events=123)

    assert home.metric("conversions_in_flight_records_limit") == 123
    assert home.metric("conversions_in_flight_bytes_limit") == 256 * 1024**2


# --- lag ------------------------------------------------------------------------------------------

PARTITION = TopicPartition("conversions.events", 0)


def shown_lag(home: FakeHouse, end: LogEnd) -> float | None:
    """Our lag of the first partition after the brokers told where its log ends."""
    (partition,) = home.ledger.partitions
    home.journal.log_ends({partition: end}, home.ledger.committable_all())
    return home.metric("conversions_kafka_lag_records", topic=partition.topic, partition="0")


def test_lag_rises_before_the_first_commit() -> None:
    home = house(partitions=1)
    home.pipeline.turn()

    assert shown_lag(home, LogEnd(low=5, high=105, committed=None)) == 100
    assert shown_lag(home, LogEnd(low=5, high=205, committed=None)) == 200


def test_lag_rises_while_the_partition_is_paused() -> None:
    home = house(partitions=1, in_flight_events=10)
    home.meta.standing[SHOP] = expired_token()
    home.publish(0, events=40)
    home.run(20.0)
    assert home.pipeline.paused

    first = shown_lag(home, LogEnd(low=0, high=40, committed=None))
    home.run(20.0)
    later = shown_lag(home, LogEnd(low=0, high=400, committed=None))

    assert (first, later) == (40, 400)

"""Builders of what travels: each takes what a test cares about and makes up the rest."""

from consumer.model import (
    Batch,
    Closing,
    Header,
    PixelId,
    Prepared,
    Record,
    TopicPartition,
    WindowKey,
)

TOPIC = "conversions.events"
PIXEL = "1729525464415281"
NOW_MS = 1_760_000_000_000
"""A moment in October 2025, as wall-clock milliseconds."""
DAY_MS = 24 * 3600 * 1000


def a_record(
    *,
    offset: int = 0,
    partition: int = 0,
    topic: str = TOPIC,
    timestamp_ms: int = NOW_MS,
    key: bytes | None = b"key",
    value: bytes | None = b"value",
    headers: tuple[Header, ...] = (),
    tenure: int = 1,
) -> Record:
    """A record of one tenure."""
    return Record(
        TopicPartition(topic, partition), offset, timestamp_ms, key, value, headers, tenure
    )


def an_event(
    *,
    event_id: str = "order_1",
    destination: str = PIXEL,
    record: Record | None = None,
    event_name: str = "Purchase",
    event_time_ms: int = NOW_MS,
    body: bytes | None = None,
    test_code: str | None = None,
    aged: bool = False,
    due_at_ms: int = 0,
    expires_at_ms: int = NOW_MS + 7 * DAY_MS,
) -> Prepared:
    """A prepared event; its record is made up unless given."""
    return Prepared(
        record=a_record() if record is None else record,
        destination=PixelId(destination),
        test_code=test_code,
        event_name=event_name,
        event_id=event_id,
        event_time_ms=event_time_ms,
        body=b'{"event_id":"%s"}' % event_id.encode() if body is None else body,
        due_at_ms=due_at_ms,
        expires_at_ms=expires_at_ms,
        aged=aged,
        match_keys=("em",),
        dropped=(),
        warnings=(),
    )


def some_events(
    count: int, *, prefix: str = "e", destination: str = PIXEL, partition: int = 0, tenure: int = 1
) -> list[Prepared]:
    """Events of one partition with ids ``e0``, ``e1``, … and offsets to match."""
    return [
        an_event(
            event_id=f"{prefix}{number}",
            destination=destination,
            record=a_record(offset=number, partition=partition, tenure=tenure),
        )
        for number in range(count)
    ]


def a_batch(events: list[Prepared], *, batch_id: str = "b-1") -> Batch:
    """A closed window of these events, whose destination and kind must be the same."""
    keys = {WindowKey(event.destination, event.test_code, event.aged, None) for event in events}
    assert len(keys) == 1, "a batch holds events of one window key"
    return Batch(
        key=keys.pop(),
        batch_id=batch_id,
        events=tuple(events),
        closed_by=Closing.AGE,
        opened_at=0.0,
    )

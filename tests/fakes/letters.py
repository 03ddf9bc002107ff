"""Dead letters as they lie in the topic: written by the product's own writer, and read back."""

from dataclasses import replace
from typing import Any

from consumer.dead_letter import dead_letter
from consumer.letter import Foreign, Letter, read_letter
from consumer.model import Header, MetaError, PixelId, Reason, Record, Rejected, Stage
from tests.fakes.events import DAY_MS, NOW_MS, PIXEL, a_record

DLQ_TOPIC = "conversions.events.dlq"
REFUSED = Rejected(
    record=a_record(partition=3, offset=42, headers=(("traceparent", b"00-ab"),)),
    reason=Reason.REFUSED_BY_META,
    detail="Meta refuses this event",
    destination=PixelId(PIXEL),
    event_name="Purchase",
    event_id="order_1",
    event_time_ms=NOW_MS - 1000,
    expires_at_ms=NOW_MS + 6 * DAY_MS,
    error=MetaError(
        http_status=400,
        code=100,
        subcode=2804003,
        title="Event Timestamp Too Old",
        message="too far in the past",
        trace_id="Atrace",
    ),
    attempts=3,
    first_sent_at_ms=NOW_MS + 2,
    maybe_delivered=True,
    batch_id="m-7",
    request_id="m-7.3",
)


def rejected(**changes: Any) -> Rejected:
    """A refused event; a reason of another stage takes away what only sending brings."""
    changed = replace(REFUSED, **changes)
    if changed.reason.stage is Stage.SEND:
        return changed
    unsent: dict[str, Any] = {
        "error": None,
        "attempts": 0,
        "first_sent_at_ms": None,
        "maybe_delivered": False,
        "expires_at_ms": None,
        "request_id": None,
    }
    return replace(changed, **(unsent | changes))


def stored(
    rejected: Rejected,
    *,
    partition: int = 0,
    offset: int = 7,
    failed_at_ms: int = NOW_MS + 5,
    brief: bool = False,
    more: tuple[Header, ...] = (),
) -> Record:
    """The record of the dead-letter topic."""
    letter = dead_letter(rejected, failed_at_ms=failed_at_ms, brief=brief)
    return a_record(
        topic=DLQ_TOPIC,
        partition=partition,
        offset=offset,
        timestamp_ms=letter.timestamp_ms,
        key=letter.key,
        value=letter.value,
        headers=(*letter.headers, *more),
        tenure=0,
    )


def a_letter(**changes: Any) -> Letter:
    """A letter with these things about its rejection changed, and of ``stored``'s arguments."""
    names = ("partition", "offset", "failed_at_ms", "brief", "more")
    placing = {name: changes.pop(name) for name in names if name in changes}
    found = read_letter(stored(rejected(**changes), **placing))
    assert isinstance(found, Letter)
    return found


def a_foreign(**changes: Any) -> Foreign:
    """A record that Kafka Connect wrote."""
    headers = (
        ("__connect.errors.topic", b"orders"),
        ("__connect.errors.partition", b"2"),
        ("__connect.errors.offset", b"99"),
        ("__connect.errors.stage", b"VALUE_CONVERTER"),
        ("__connect.errors.exception.class.name", b"org.apache.DataException"),
        ("__connect.errors.exception.message", b"cannot read 'jane@example.com'"),
    )
    usual: dict[str, Any] = {"topic": DLQ_TOPIC, "headers": headers, "offset": 9, "tenure": 0}
    found = read_letter(a_record(**(usual | changes)))
    assert isinstance(found, Foreign)
    return found


def a_mark(origin: str, replays: str, *, offset: int = 0, partition: int = 0) -> Record:
    """The trace of a replay."""
    headers = (
        ("conversions.origin", origin.encode()),
        ("conversions.replays", replays.encode()),
        ("conversions.replayed", b"true"),
    )
    return a_record(
        topic=DLQ_TOPIC, partition=partition, offset=offset, value=None, headers=headers
    )

"""What a plan is made for: the load, the limits that are set, and what an event costs."""

from typing import NamedTuple

from consumer.measured_figures import (
    BODY_FEW,
    BODY_MANY,
    DEAD_LETTER,
    DESTINATION_TURN,
    EVENT_FEW,
    EVENT_MANY,
    KILOBYTE,
    RECORD_FEW,
    RECORD_MANY,
    REQUEST,
    between,
)


class Asked(NamedTuple):
    """The load, and what is wanted of the plan. Shares are from 0 to 1."""

    events_per_second: float
    match_keys: int
    event_bytes: float | None
    destinations: int
    hottest_share: float
    dead_letter_share: float
    latency_ms: tuple[float, float]
    headroom: float
    zones: int
    partitions: int | None
    outage_minutes: float
    delay_seconds: float

    @property
    def mean_seconds(self) -> float:
        """What a request takes, rather too much: halfway from the 50th percentile to the 95th."""
        return sum(self.latency_ms) / 2000


class Rules(NamedTuple):
    """The limits that the settings set for one member."""

    window_events: int
    window_seconds: float
    window_bytes: int
    requests_per_destination: int
    requests: int
    in_flight_events: int
    in_flight_bytes: int
    read_records: int
    commit_seconds: float


class Costs(NamedTuple):
    """Of one event, request and dead letter: seconds of CPU, and bytes."""

    event: float
    request: float
    dead_letter: float
    record_bytes: float
    body_bytes: float


def costs_for(
    asked: Asked, *, cpu_event: float | None, cpu_request: float | None, read_records: int
) -> Costs:
    """The measured costs of such an event, or those that somebody measured (microseconds)."""
    record = between(RECORD_FEW, RECORD_MANY, asked.match_keys)
    more = 0.0 if asked.event_bytes is None else asked.event_bytes - record
    # What an event has beyond the measured one is text, which is copied; less is less of it.
    record_bytes = max(record + more, 1.0)
    body_bytes = max(between(BODY_FEW, BODY_MANY, asked.match_keys) + more, 1.0)
    event = cpu_event
    if event is None:
        event = between(EVENT_FEW, EVENT_MANY, asked.match_keys)
        event += max(0.0, more) / 1000 * KILOBYTE.value
    # A busy loop reads as many as it may in a turn, and looks at every destination once.
    turn = asked.destinations * DESTINATION_TURN.value / read_records
    request = REQUEST.value if cpu_request is None else cpu_request
    letter = DEAD_LETTER.value * (1.0 if cpu_event is None else cpu_event / EVENT_MANY.value)
    return Costs(
        event=(event + turn) / 1e6,
        request=request / 1e6,
        dead_letter=(letter + turn) / 1e6,
        record_bytes=record_bytes,
        body_bytes=body_bytes,
    )

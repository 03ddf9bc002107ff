"""A plan as lines: what, how much, and where each figure comes from."""

from collections.abc import Iterator
from enum import Enum
from itertools import groupby
from math import ceil
from typing import Any, NamedTuple

from consumer.measured_figures import (
    DESTINATION_MEMORY,
    DESTINATION_TURN,
    HEAD,
    IDLE_MEMORY,
    MEMORY_SPREAD,
    TURN,
)
from consumer.model import EVENT_BYTES
from consumer.plan import DAY_SECONDS, Bound, Plan, lag_threshold, usual_lag
from consumer.planned_load import Asked, Costs, Rules

MIB = 1024 * 1024
READ_SECONDS, READ_SECONDS_WHILE_SENDING = 0.05, 0.005
"""What the loop waits for records; see ``inflow``."""
PREFETCHED_BYTES = 16 * MIB
"""What librdkafka reads ahead: our default of ``queued.max.messages.kbytes``."""
BODIES = 2
"""A request's body is joined from its events, and the HTTP client has it once more."""
MEMORY_STEP = 64
CORE_REQUEST_STEP = 0.05
"""To what a CPU request is rounded up."""


class From(Enum):
    """Where a figure comes from."""

    ASKED = "asked"
    MEASURED = "measured"
    SETTINGS = "settings"
    META = "Meta's documents"
    UNKNOWN = "Meta does not say"
    RULE = "our rule"


class Line(NamedTuple):
    """One answer; ``value`` is None where there is no number, ``unit`` empty for a share."""

    group: str
    name: str
    value: float | None
    unit: str
    sources: tuple[From, ...]
    says: str


_ASKED, _ALL = (From.ASKED,), (From.ASKED, From.MEASURED)
_RULED = (From.ASKED, From.MEASURED, From.SETTINGS)


def plan_lines(asked: Asked, costs: Costs, rules: Rules, plan: Plan) -> list[Line]:
    """Every answer."""
    return [
        *_members(asked, plan),
        *_requests(asked, rules, plan),
        *_latency(asked, plan),
        *_traffic(asked, costs, plan),
        *_memory(asked, costs, rules),
        *_outage(plan),
        *_scaling(asked, rules, plan),
        *_meta(plan),
    ]


def _members(asked: Asked, plan: Plan) -> Iterator[Line]:
    group = "members"
    says = "so many as there are" if asked.partitions else "four or more for each member"
    partitions = _ASKED if asked.partitions else (*_RULED, From.RULE)
    yield Line(group, "partitions", plan.partitions, "partitions", partitions, says)
    says = f"carry it with {asked.headroom:.0%} of a core to spare"
    yield Line(group, "members_needed", plan.needed, "members", _RULED, says)
    lost = "without one of the zones" if asked.zones > 1 else "no zone may fail"
    says = f"with enough left {lost}" if asked.zones > 1 else lost
    yield Line(group, "replicas", plan.replicas, "members", _RULED, says)
    used = _cpu(asked, plan)
    says = "of the fullest member, with the turns of its loop that find nothing"
    yield Line(group, "cpu_used", round(used, 2), "cores", _RULED, says)
    request = ceil(round(used / CORE_REQUEST_STEP, 6)) * CORE_REQUEST_STEP
    says = "at least; a member never uses much more than one core"
    yield Line(group, "cpu_request", round(max(request, 0.1), 2), "cores", _RULED, says)
    most = plan.capacity
    says = f"bounded by {most.tightest.value}"
    rate = round(most.events_per_second)
    yield Line(group, "member_events_per_second_max", rate, "events/s", _RULED, says)
    share = min(1.0, most.events_per_second / asked.events_per_second)
    says = "of all events that one partition, and so one key, may bring"
    yield Line(group, "hottest_partition_share_max", round(share, 3), "", _RULED, says)


def _cpu(asked: Asked, plan: Plan) -> float:
    """The work of the fullest member, and what its loop's turns use of the time that is left."""
    used = plan.fullest.used[Bound.CPU]
    turn = (TURN.value + asked.destinations * DESTINATION_TURN.value) / 1e6
    return used + max(0.0, 1 - used) * turn / (turn + READ_SECONDS_WHILE_SENDING)


def _requests(asked: Asked, rules: Rules, plan: Plan) -> Iterator[Line]:
    group = "requests to Meta"
    sources = (From.ASKED, From.SETTINGS)
    fullest = plan.fullest
    says = f"of at most {rules.window_events}; in {rules.window_seconds:g} s no more come together"
    if fullest.batch_events >= 0.95 * rules.window_events:
        says = "windows fill before their time"
    batch = round(fullest.batch_events, 1)
    yield Line(group, "events_per_request", batch, "events", sources, says)
    rate = round(plan.group_requests, 1)
    yield Line(group, "requests_per_second", rate, "requests/s", sources, "of all members")
    flight = plan.group_requests * asked.mean_seconds
    says = "rate × time of a request (Little's law)"
    yield Line(group, "requests_in_flight", round(flight, 1), "requests", sources, says)
    flight = fullest.requests_per_second * asked.mean_seconds
    says = f"of at most {rules.requests}, a thread each"
    yield Line(group, "member_requests_in_flight", round(flight, 2), "requests", sources, says)
    flight = fullest.hottest_requests_per_second * asked.mean_seconds
    says = f"of at most {rules.requests_per_destination}, {Bound.REQUESTS_PER_DESTINATION.value}"
    name = "hottest_destination_requests_in_flight"
    yield Line(group, name, round(flight, 2), "requests", sources, says)
    says = f"of at most {rules.in_flight_events}, {Bound.IN_FLIGHT_EVENTS.value}"
    events = ceil(fullest.open_events)
    yield Line(group, "member_events_in_flight", events, "events", sources, says)


def _latency(asked: Asked, plan: Plan) -> Iterator[Line]:
    group, sources = "latency", (From.ASKED, From.SETTINGS)
    wait = plan.fullest.window_wait
    median, most = (ms / 1000 for ms in asked.latency_ms)
    says = "half of a window's time and a request, from Kafka to Meta's acceptance"
    seconds = wait / 2 + median + READ_SECONDS / 2
    yield Line(group, "latency_p50", round(seconds, 2), "s", sources, says)
    says = "all of a window's time and a slow request"
    seconds = wait + most + READ_SECONDS
    yield Line(group, "latency_p95", round(seconds, 2), "s", sources, says)


def _traffic(asked: Asked, costs: Costs, plan: Plan) -> Iterator[Line]:
    group = "traffic"
    sent = asked.events_per_second * (1 - asked.dead_letter_share)
    out = sent * costs.body_bytes + plan.group_requests * HEAD.value
    says = f"{costs.body_bytes:,.0f} bytes an event; nothing is compressed, TLS comes on top"
    yield Line(group, "egress_megabytes_per_second", round(out / 1e6, 3), "MB/s", _ALL, says)
    month = out * 30 * DAY_SECONDS / 1e12
    yield Line(group, "egress_terabytes_per_month", round(month, 3), "TB", _ALL, "in 30 days")
    into = asked.events_per_second * costs.record_bytes / 1e6
    says = f"{costs.record_bytes:,.0f} bytes a record, if publishers do not compress"
    yield Line(group, "kafka_megabytes_per_second", round(into, 3), "MB/s", _ALL, says)


def _memory(asked: Asked, costs: Costs, rules: Rules) -> Iterator[Line]:
    group = "memory of a pod"
    charge = 2 * costs.record_bytes + EVENT_BYTES
    held = min(rules.in_flight_events * charge, rules.in_flight_bytes)
    says = "with a house full of such events, as in an outage of Meta"
    pixels = asked.destinations * DESTINATION_MEMORY.value
    expected = pixels + _resident(held, rules, rules.window_events * costs.body_bytes)
    yield Line(group, "memory_full", ceil(expected), "MiB", _RULED, says)
    most = _resident(rules.in_flight_bytes, rules, rules.window_bytes) * MEMORY_SPREAD.value
    limit = ceil((most + pixels) / MEMORY_STEP) * MEMORY_STEP
    says = "request and limit: enough also when all events are as large as they may be"
    yield Line(group, "memory_limit", limit, "MiB", _RULED, says)


def _resident(held: float, rules: Rules, body: float) -> float:
    bodies = rules.requests_per_destination * min(body, rules.window_bytes) * BODIES
    return IDLE_MEMORY.value + (held + PREFETCHED_BYTES + bodies) / MIB


def _outage(plan: Plan) -> Iterator[Line]:
    group = "after an outage"
    yield Line(
        group, "backlog", round(plan.backlog), "records", _ASKED, "waits in Kafka at its end"
    )
    seconds = None if plan.catch_up_seconds is None else round(plan.catch_up_seconds)
    says = "until the lag is gone, beside the traffic that goes on"
    yield Line(group, "catch_up_seconds", seconds, "s", _RULED, says)


def _scaling(asked: Asked, rules: Rules, plan: Plan) -> Iterator[Line]:
    group = "scaling by lag (KEDA)"
    says = f"a member's events in {asked.delay_seconds:g} s, headroom left out"
    threshold = lag_threshold(asked, plan)
    yield Line(group, "lag_threshold", threshold, "records", _RULED, says)
    lag = round(usual_lag(asked, rules, plan))
    yield Line(group, "usual_lag", lag, "records", _RULED, "of the group while all is well")
    says = "more would be idle, or only wait at the same limit"
    yield Line(group, "max_replicas", plan.partitions, "members", (From.RULE,), says)


def _meta(plan: Plan) -> Iterator[Line]:
    group, documented = "Meta's limits", (From.META,)
    says = "one bad event, and all of it is refused"
    yield Line(group, "events_per_request_max", 1000, "events", documented, says)
    yield Line(group, "event_age_days_max", 7, "days", documented, "62 for physical stores")
    says = "no rate limit of this API is documented; calls count as Marketing API calls"
    yield Line(group, "rate_limit", None, "", documented, says)
    says = "what its calls would be counted by, if they are: watch conversions_meta_usage_ratio"
    hourly = round(plan.hottest_requests * 3600)
    name = "hottest_destination_requests_per_hour"
    sources = (From.ASKED, From.SETTINGS, From.UNKNOWN)
    yield Line(group, name, hourly, "requests/h", sources, says)
    says = "no limit of a request's bytes is documented; ours is CONVERSIONS_WINDOW_BYTES"
    yield Line(group, "request_bytes_max", None, "", (From.UNKNOWN,), says)


def plan_text(lines: list[Line], warned: list[str]) -> str:
    """All of it, for people: what, how much, why, and from where."""
    names = max(len(line.name) for line in lines)
    values = max(len(_value(line)) for line in lines)
    written: list[str] = []
    for group, members in groupby(lines, key=lambda line: line.group):
        written += ["", f"{group[0].upper()}{group[1:]}"]
        for line in members:
            name, sources = line.name.replace("_", " "), ", ".join(s.value for s in line.sources)
            cells = f"{name:<{names}}  {_value(line):>{values}}"
            written.append(f"  {cells}  {line.says} [{sources}]")
    written += ["", *(f"! {sentence}" for sentence in warned)] if warned else []
    return "\n".join(written[1:])


def _value(line: Line) -> str:
    if line.value is None:
        return "–"
    number = f"{line.value:,}" if isinstance(line.value, int) else f"{line.value:,.12g}"
    return f"{number} {line.unit}".rstrip()


def as_json(lines: list[Line], warned: list[str], plan: Plan) -> dict[str, Any]:
    """All of it, for machines."""
    return {
        "holds": plan.holds,
        "survivesZone": plan.survives,
        "answers": {
            _camel(line.name): {
                "value": line.value,
                "unit": line.unit,
                "from": [source.value for source in line.sources],
                "note": line.says,
            }
            for line in lines
        },
        "warnings": warned,
    }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)

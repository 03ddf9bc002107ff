"""What the alerts are tried on: a healthy group of two members, and what differs in each story.

A story is written in promtool's notation for series (``0+60x30``: from 0 in 30 steps of 60; ``_``:
no sample), one sample a step. Time begins at the epoch's 0. Every story says which alerts fire at
which times, with all labels, and thereby that no other does.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

JOB = {"job": "conversions-consumer", "namespace": "shop"}
MEMBERS = ("a", "b")
FIRST, SECOND = "1001", "1002"
REFUSALS = ("expired", "refused_by_meta", "not_received", "outcome_unknown", "destination_halted")
REASONS = (*REFUSALS, "internal_error", "skipped_by_operator", "unknown_schema", "missing_value")
FAR = 9_000_000_000

Series = dict[str, str]
Firing = tuple[str, Mapping[str, str]]


class Story(NamedTuple):
    """``steps`` of ``step_minutes`` each; ``firing`` names minutes since the start."""

    name: str
    series: Series
    firing: Mapping[int, tuple[Firing, ...]]
    step_minutes: int = 1


def alert(name: str, severity: str, **labels: str) -> Firing:
    """An alert that fires, with all of its labels."""
    return f"Conversions{name}", {**JOB, "severity": severity, **labels}


def series(name: str, member: str = "a", **labels: str) -> str:
    """One series of a member's, as promtool reads it."""
    every = {**JOB, "pod": f"consumer-{member}", "instance": f"{member}:9108", **labels}
    told = ", ".join(f'{label}="{value}"' for label, value in every.items())
    return f"conversions_{name}{{{told}}}"


def healthy(
    steps: int,
    *,
    members: Iterable[str] = MEMBERS,
    destinations: Iterable[str] = (FIRST, SECOND),
    events: int = 600,
    step_minutes: int = 1,
) -> Series:
    """Members that take ``events`` a step for each destination, and have no trouble."""
    found: Series = {}
    members, destinations = tuple(members), tuple(destinations)
    still, seconds = f"0x{steps}", 60 * step_minutes
    for member in members:
        for name, values in {
            "build_info": f"1x{steps}",
            "poll_loop_timestamp_seconds": f"0+{seconds}x{steps}",
            "kafka_assigned_partitions": f"{6 // len(members)}x{steps}",
            "graph_version_expiry_timestamp_seconds": f"{FAR}x{steps}",
            "records_read_total": f"0+{events * len(destinations)}x{steps}",
            "schema_waiting_records": still,
            "internal_errors_total": still,
            "destinations_file_mistakes_total": still,
            "kafka_offset_resets_total": still,
            "kafka_records_lost_total": still,
            "kafka_commit_failures_total": still,
        }.items():
            found[series(name, member)] = values
        found |= _kafka(member, still, steps, first=member == members[0])
        for destination in destinations:
            found |= _destination(member, destination, events, steps, seconds)
    for destination in destinations:  # what only the owner of partition 0 knows
        asked = {"destination": destination}
        found[series("access_token_valid", members[0], **asked)] = f"1x{steps}"
        found[series("event_match_quality_score", members[0], event_name="Lead", **asked)] = (
            f"8x{steps}"
        )
    return found


def _kafka(member: str, still: str, steps: int, *, first: bool) -> Series:
    partition = {"topic": "conversions.events", "partition": "0" if first else "1"}
    return {
        series("kafka_topic_partitions", member, topic="conversions.events"): f"6x{steps}",
        series("kafka_lag_records", member, **partition): f"5x{steps}",
        series("kafka_rebalances_total", member, kind="revoked"): still,
        series("kafka_rebalances_total", member, kind="assigned"): f"1x{steps}",
        series("kafka_errors_total", member, kind="unreachable"): still,
        series("paused_partitions", member, cause="dead_letter_too_large"): still,
        series("paused_partitions", member, cause="in_flight"): still,
    }


def _destination(member: str, destination: str, events: int, steps: int, seconds: int) -> Series:
    to = {"destination": destination}
    sold = {**to, "event_name": "Lead"}
    accepted = f"0+{events}x{steps}"
    found = {
        series("events_total", member, outcome="accepted", **sold): accepted,
        series("events_total", member, outcome="dead_lettered", **sold): f"0x{steps}",
        series("event_delivery_seconds_count", member, **to): accepted,
        series("event_delivery_seconds_bucket", member, le="300.0", **to): accepted,
        series("match_key_events_total", member, match_key="em", **to): accepted,
        series("pending_events", member, **to): f"{3 if events else 0}x{steps}",
        series("destination_state", member, state="ready", reason="", **to): f"1x{steps}",
        series("events_resent_late_total", member, **to): f"0x{steps}",
    }
    if events:
        found[series("oldest_pending_event_timestamp_seconds", member, **to)] = (
            f"0+{seconds}x{steps}"
        )
        found[series("earliest_pending_expiry_timestamp_seconds", member, **to)] = (
            f"{7 * 86400}+{seconds}x{steps}"
        )
    for reason in REASONS:
        found[series("dead_letters_total", member, reason=reason, **to)] = f"0x{steps}"
    return found


def accepted(values: str, member: str, destination: str) -> Series:
    """What Meta accepts, and how soon, changed."""
    to = {"destination": destination}
    return {
        series("events_total", member, outcome="accepted", event_name="Lead", **to): values,
        series("event_delivery_seconds_count", member, **to): values,
        series("event_delivery_seconds_bucket", member, le="300.0", **to): values,
        series("match_key_events_total", member, match_key="em", **to): values,
    }


def letters(values: str, reason: str, member: str = "a", destination: str = FIRST) -> Series:
    """Dead letters of one reason."""
    to = {"destination": destination}
    return {
        series("dead_letters_total", member, reason=reason, **to): values,
        series("events_total", member, outcome="dead_lettered", event_name="Lead", **to): values,
    }


def state(values: str, state: str, reason: str = "", destination: str = FIRST) -> Series:
    """A state that a destination is in besides, with the samples of ``ready`` left out by hand."""
    labels = {"destination": destination, "state": state, "reason": reason}
    return {series("destination_state", "a", **labels): values}


def without(found: Series, *names: str) -> Series:
    """The series of these metrics are not there."""
    starts = tuple(f"conversions_{name}{{" for name in names)
    return {each: values for each, values in found.items() if not each.startswith(starts)}


def shifted(found: Series, by: int) -> Series:
    """The same, beginning later."""
    return {each: f"_x{by} {values}" for each, values in found.items()}


def ended(found: Series, steps: int) -> Series:
    """The same, gone after so many steps: ``found`` must be as long."""
    return {each: f"{values} stale _x{steps}" for each, values in found.items()}


def as_tests(stories: Iterable[Story]) -> list[dict[str, Any]]:
    """The stories as ``tests`` of a file of promtool's."""
    return [
        {
            "name": story.name,
            "interval": f"{story.step_minutes}m",
            "input_series": [
                {"series": each, "values": values} for each, values in story.series.items()
            ],
            "promql_expr_test": [
                {
                    "expr": 'ALERTS{alertstate="firing"}',
                    "eval_time": f"{minute}m",
                    "exp_samples": [_sample(*firing) for firing in fired],
                }
                for minute, fired in story.firing.items()
            ],
        }
        for story in stories
    ]


def _sample(name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    every = {"alertname": name, "alertstate": "firing", **labels}
    told = ", ".join(f'{label}="{value}"' for label, value in sorted(every.items()))
    return {"labels": f"ALERTS{{{told}}}", "value": 1}

"""``conversions plan``: the partitions, members and memory that a load needs."""

import json
from math import isfinite
from typing import Annotated

import typer

from consumer.command_line import (
    Assignments,
    JsonOutput,
    SettingsFile,
    refuse,
    settings_from,
)
from consumer.plan import plan as planned
from consumer.plan_lines import as_json as answer
from consumer.plan_lines import plan_lines, plan_text
from consumer.plan_warnings import warnings
from consumer.planned_load import Asked, Rules, costs_for
from consumer.settings import Settings

EVENTS_MAX = 10_000_000
LATENCY = "600/1500"
"""Of Meta's troubleshooting page, for single events: most are answered within 600 ms, and 1,500 ms
are a sensible time-out."""


def plan(
    *,
    events_per_second: Annotated[float, typer.Option(help="Events a second at the busiest time.")],
    match_keys: Annotated[
        int,
        typer.Option(help="Match keys of an event that are hashed.", min=0, max=30),
    ] = 11,
    event_bytes: Annotated[
        float | None,
        typer.Option(help="Bytes of a record in Kafka (default: as measured).", show_default=False),
    ] = None,
    destinations: Annotated[
        int, typer.Option(help="Pixels that the events go to.", min=1, max=100_000)
    ] = 1,
    hottest_share: Annotated[
        float | None,
        typer.Option(help="Share of the busiest pixel (default: all alike).", show_default=False),
    ] = None,
    dead_letter_share: Annotated[
        float, typer.Option(help="Share of events that become dead letters.")
    ] = 0.0,
    meta_latency_ms: Annotated[
        str, typer.Option(metavar="P50/P95", help="Milliseconds that a request takes.")
    ] = LATENCY,
    headroom: Annotated[float, typer.Option(help="Share of a core to keep free.")] = 0.3,
    zones: Annotated[
        int, typer.Option(help="Zones or nodes, of which one may fail; 1: none may.", min=1)
    ] = 3,
    partitions: Annotated[
        int | None,
        typer.Option(
            help="Partitions that there are (default: propose).",
            min=1,
            max=12_000,
            show_default=False,
        ),
    ] = None,
    outage_minutes: Annotated[
        float, typer.Option(help="Minutes of an outage to catch up with.")
    ] = 60.0,
    delay_seconds: Annotated[
        float, typer.Option(help="Seconds of delay at which KEDA is to add members.")
    ] = 10.0,
    cpu_microseconds_per_event: Annotated[
        float | None,
        typer.Option(help="CPU of an event on your machine (bench.cost).", show_default=False),
    ] = None,
    cpu_microseconds_per_request: Annotated[
        float | None,
        typer.Option(help="CPU of a request on your machine (bench.cost).", show_default=False),
    ] = None,
    as_json: JsonOutput = False,
    settings_file: SettingsFile = None,
    assignments: Assignments = None,
) -> None:
    """Reckon partitions, members, requests, memory and traffic for a load. Never connects.

    From measured figures (docs/scaling.md) and the settings of a run. Exit code 1 when the given
    partitions do not carry the load.
    """
    _between("--events-per-second", events_per_second, 0.001, EVENTS_MAX)
    _between("--dead-letter-share", dead_letter_share, 0, 1)
    _between("--headroom", headroom, 0, 0.95)
    _between("--outage-minutes", outage_minutes, 0, 7 * 24 * 60)
    _between("--delay-seconds", delay_seconds, 1, 86_400)
    _between("--hottest-share", hottest_share, 1 / destinations, 1)
    _between("--event-bytes", event_bytes, 1, 10_000_000)
    _between("--cpu-microseconds-per-event", cpu_microseconds_per_event, 0.1, 1_000_000)
    _between("--cpu-microseconds-per-request", cpu_microseconds_per_request, 0, 1_000_000)
    asked = Asked(
        events_per_second=events_per_second,
        match_keys=match_keys,
        event_bytes=event_bytes,
        destinations=destinations,
        hottest_share=1 / destinations if hottest_share is None else hottest_share,
        dead_letter_share=dead_letter_share,
        latency_ms=_latency(meta_latency_ms),
        headroom=headroom,
        zones=zones,
        partitions=partitions,
        outage_minutes=outage_minutes,
        delay_seconds=delay_seconds,
    )
    rules = rules_from(settings_from(settings_file, assignments))
    costs = costs_for(
        asked,
        cpu_event=cpu_microseconds_per_event,
        cpu_request=cpu_microseconds_per_request,
        read_records=rules.read_records,
    )
    found = planned(asked, costs, rules)
    lines, warned = plan_lines(asked, costs, rules, found), warnings(asked, rules, found)
    typer.echo(
        json.dumps(answer(lines, warned, found), indent=2, ensure_ascii=False)
        if as_json
        else plan_text(lines, warned)
    )
    raise typer.Exit(0 if found.holds else 1)


def rules_from(settings: Settings) -> Rules:
    """The limits of one member, as it is set."""
    from consumer.assembly import SENDER_THREADS_MAX
    from consumer.flow import READ_RECORDS_MAX

    return Rules(
        window_events=settings.window_events,
        window_seconds=settings.window_seconds,
        window_bytes=settings.window_bytes,
        requests_per_destination=settings.requests_per_destination,
        requests=SENDER_THREADS_MAX,
        in_flight_events=settings.in_flight_events,
        in_flight_bytes=settings.in_flight_bytes,
        read_records=READ_RECORDS_MAX,
        commit_seconds=settings.commit_seconds,
    )


def _between(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not (isfinite(value) and least <= value <= most):
        refuse(f"{name} must be from {least:g} to {most:,.12g}")


def _latency(text: str) -> tuple[float, float]:
    """``600/1500``, or one number for both."""
    first, slash, second = text.partition("/")
    try:
        found = float(first), float(second if slash else first)
    except ValueError:
        found = (0.0, 0.0)
    if not (0 < found[0] <= found[1] <= 600_000):
        refuse("--meta-latency-ms must be P50/P95 in milliseconds, such as 600/1500")
    return found

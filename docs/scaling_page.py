"""``docs/scaling.md``: words out of ``scaling.template``, figures out of code and benches."""

import json
from pathlib import Path
from string import Template
from typing import Any

from consumer.cli_plan import LATENCY, rules_from
from consumer.measured_figures import FIGURES, MACHINE, MANY_KEYS, MEASURED_ON
from consumer.plan import PARTITIONS_EACH, Plan, lag_threshold, plan
from consumer.plan_lines import plan_lines, plan_text
from consumer.plan_warnings import warnings
from consumer.planned_load import Asked, Costs, costs_for
from consumer.settings import load_settings

TEMPLATE = Path(__file__).with_name("scaling.template")
KEPT = Path(__file__).with_name("scaling.json")
STORIES = {
    "many": "(a) Many pixels: 100 alike, 50,000 events a second",
    "hot": "(b) One hot pixel: 90 % of 50,000 events a second, and 20 others",
    "few": "(c) Few events each: 1,000 pixels, 2 events a second each",
}
RULES = rules_from(load_settings({}))


def scaling_page() -> str:
    """The page, without the line that says who made it."""
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    chart = _planned(_asked(1000))
    member = chart.capacity.events_per_second
    return template.substitute(
        machine=MACHINE,
        measured_on=MEASURED_ON,
        partitions_each=PARTITIONS_EACH,
        figures="\n".join(f"| {f.says} | {f.value:g} {f.unit} |" for f in FIGURES),
        example=_example(_asked(50_000)),
        cores="\n".join(_core(keys, events) for keys in (4, 11) for events in (1000, 100, 10, 1)),
        replicas="\n".join(map(_replicas, (100, 1000, 5000, 10_000, 50_000, 100_000, 200_000))),
        simulated="\n\n".join(
            f"**{title}**\n\n{_simulated(kept['rows'][key])}" for key, title in STORIES.items()
        ),
        checked="\n".join(map(_checked, kept["checked"])),
        hasty_batch=_sparse(1.0),
        patient_batch=_sparse(10.0),
        member=f"{member:,.0f}",
        spared=f"{member * 0.7:,.0f}",
        threshold=f"{lag_threshold(_asked(1000), chart):,}",
    )


def _asked(events_per_second: float, match_keys: int = MANY_KEYS) -> Asked:
    """What the command asks for when nothing else is given."""
    median, slow = map(float, LATENCY.split("/"))
    return Asked(
        events_per_second=events_per_second,
        match_keys=match_keys,
        event_bytes=None,
        destinations=1,
        hottest_share=1.0,
        dead_letter_share=0.0,
        latency_ms=(median, slow),
        headroom=0.3,
        zones=3,
        partitions=None,
        outage_minutes=60.0,
        delay_seconds=10.0,
    )


def _costs(asked: Asked) -> Costs:
    return costs_for(asked, cpu_event=None, cpu_request=None, read_records=RULES.read_records)


def _planned(asked: Asked) -> Plan:
    return plan(asked, _costs(asked), RULES)


def _example(asked: Asked) -> str:
    found = _planned(asked)
    return plan_text(plan_lines(asked, _costs(asked), RULES, found), warnings(asked, RULES, found))


def _sparse(window_seconds: float) -> str:
    """Events in a request of one member that has a thousand pixels."""
    asked = _asked(2000)._replace(destinations=1000, hottest_share=0.001, zones=1, partitions=1)
    found = plan(asked, _costs(asked), RULES._replace(window_seconds=window_seconds))
    return f"{found.fullest.batch_events:.1f}"


def _core(match_keys: int, events: int) -> str:
    costs = _costs(_asked(1000, match_keys))
    micros = (costs.event + costs.request / events) * 1e6
    return f"| {match_keys} | {events:,} | {micros:.0f} | {1e6 / micros:,.0f} |"


def _replicas(events_per_second: float) -> str:
    found = _planned(_asked(events_per_second))
    costs = _costs(_asked(events_per_second))
    cells = (
        f"{events_per_second:,}",
        found.partitions,
        found.needed,
        found.replicas,
        f"{found.fullest.batch_events:,.0f}",
        f"{found.group_requests:,.1f}",
        f"{events_per_second * costs.body_bytes / 1e6:,.1f}",
        f"{(found.catch_up_seconds or 0) / 60:,.0f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def _simulated(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| members | working | at most, events/s | sent, events/s | events per request | requests/s"
        " | cores | age p50, s | age p95, s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ages = [row["age_p50"], row["age_p95"]]
        told = ["falls behind", ""] if None in ages else [f"{age:.2f}" for age in ages]
        cells = [row["members"], row["working"], f"{row['most_events_per_second']:,}"]
        cells += [f"{row['events_per_second']:,}", row["events_per_request"]]
        cells += [f"{row['requests_per_second']:,}", row["cores"], *told]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _checked(row: dict[str, Any]) -> str:
    cells = (row["what"], f"{row['simulated']:,g}", f"{row['real']:,g}", f"{row['error']:+.0%}")
    return f"| {' | '.join(cells)} |"

"""Figures as tables for people: rows, comparisons and coverages → text."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from consumer.finding import printable
from consumer.match_key_coverage import Coverage, Group, percent
from consumer.quality import SCORE_GOAL, EventQuality
from consumer.reconcile import Comparison
from consumer.text_tables import UNKNOWN, Look, bar, counted, new_table, paragraph, rendered

DIAGNOSTIC_TEXT_MAX = 300


class _Figure(NamedTuple):
    """One line: a name, its value as text, how much of the bar it fills (0 to 1), a remark."""

    name: str
    value: str
    share: float | None
    remark: str


def quality_text(events: Sequence[EventQuality], look: Look) -> str:
    """Meta's figures, event by event."""
    return "".join(
        _section(f"{event.event_name}, pixel {event.destination}", _figures(event), look)
        for event in events
    )


def coverage_text(coverage: Coverage, look: Look) -> str:
    """The match keys of our own events, and what to add first."""
    told = "".join(
        _section(_heading(group), _coverages(group), look) + _advised(group, look)
        for group in coverage.groups
    )
    if coverage.unreadable_lines:
        told += f"{counted(coverage.unreadable_lines, 'line')} could not be read as an event.\n"
    return told


def comparison_text(rows: Iterable[Comparison], look: Look) -> str:
    """Both sides, hour by hour, with a sum for each event name."""
    ordered = sorted(rows, key=lambda row: (row.destination, row.event_name, row.hour))
    told = ""
    for (destination, name), found in groupby(ordered, lambda r: (r.destination, r.event_name)):
        own = list(found)
        known = [row for row in own if row.accepted is not None]
        table = new_table(look)
        for title in ("hour (UTC)", "accepted", "at Meta", "difference"):
            table.add_column(title, justify="left" if title.startswith("hour") else "right")
        for row in own:
            table.add_row(
                row.hour_text, _whole(row.accepted), str(row.received), _signed(row.difference)
            )
        table.add_section()
        accepted = sum(row.accepted or 0 for row in known)
        received = sum(row.received for row in known)
        both = "where both are known"
        table.add_row(both, str(accepted), str(received), _signed(received - accepted))
        told += rendered(f"{name}, pixel {destination}", table, look)
    return told


def _figures(event: EventQuality) -> Iterable[_Figure]:
    score = event.composite_score
    yield _Figure(
        "match quality",
        UNKNOWN if score is None else f"{score:g} of 10",
        None if score is None else score / 10,
        f"Meta advises {SCORE_GOAL:g} or more",
    )
    for each in event.match_keys:
        yield _percentage(each.identifier, each.coverage, _uplift(each.potential_increase))
    goal = event.event_coverage_goal
    remarks = ["of the browser's events", f"goal {goal:g} %" if goal is not None else ""]
    remarks.append(_uplift(event.event_coverage_potential_increase))
    told = ", ".join(remark for remark in remarks if remark)
    yield _percentage("event coverage", event.event_coverage, told)
    for key in event.dedupe_keys:
        browser, server = _percent(key.browser_events), _percent(key.server_events)
        told = f"browser {browser}, server {server}"
        yield _percentage(f"deduplicated by {key.key}", key.overall_coverage, told)
    yield _Figure("freshness", event.upload_frequency or UNKNOWN, None, "")
    added, told = event.additional_conversions, _uplift(event.potential_increase)
    if added is not None or told:
        yield _Figure("additional conversions", _percent(added), None, told)
    for found in event.diagnostics:
        told = f"{found.name}. {found.solution or found.description or ''}"
        yield _percentage("diagnostic", found.percentage, told[:DIAGNOSTIC_TEXT_MAX])


def _coverages(group: Group) -> Iterable[_Figure]:
    for key, share in group.shares():
        yield _Figure(key, percent(share), share, "")
    for (name, reason), events in group.dropped.most_common():
        yield _Figure(f"{name} dropped", str(events), None, reason)
    for reason, events in group.rejected.most_common():
        yield _Figure("rejected", str(events), None, reason)
    if group.suppressed:
        yield _Figure("suppressed", str(group.suppressed), None, "consent was denied")


def _heading(group: Group) -> str:
    pixel = f", pixel {group.destination}" if group.destination else ""
    website = f", {group.website_events} from the website" if group.website_events else ""
    name = group.event_name or "(no event name)"
    return f"{name}{pixel}: {counted(group.events, 'event')}{website}"


def _advised(group: Group, look: Look) -> str:
    advice = group.advice()
    if not advice:
        return ""
    lines = [f"{number}. {each.sentence}" for number, each in enumerate(advice, 1)]
    return "Add first:\n" + "".join(paragraph(line, look) for line in lines) + "\n"


def _section(title: str, figures: Iterable[_Figure], look: Look) -> str:
    table = new_table(look)
    table.show_header = False
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for each in figures:
        drawn = "" if each.share is None else bar(each.share, look)
        table.add_row(*(printable(text) for text in (each.name, each.value, drawn, each.remark)))
    return rendered(title, table, look)


def _percentage(name: str, value: float | None, remark: str) -> _Figure:
    return _Figure(name, _percent(value), None if value is None else value / 100, remark)


def _percent(value: float | None) -> str:
    return UNKNOWN if value is None else percent(value / 100)


def _uplift(value: float | None) -> str:
    return "" if value is None else f"may bring {percent(value / 100)} more conversions"


def _whole(value: int | None) -> str:
    return UNKNOWN if value is None else str(value)


def _signed(difference: int | None) -> str:
    return UNKNOWN if difference is None else f"{difference:+d}" if difference else "0"

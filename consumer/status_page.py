"""How one member is doing, as a page for people: ``Status`` → HTML. Pure.

No script and nothing from outside. Everything that is not written in here is escaped, texts that
came with an event or from Meta are not on the page at all, and names are masked where they look
like a person's.
"""

from collections.abc import Sequence

from consumer.dead_letter import masked
from consumer.html_parts import (
    Column,
    Html,
    clock,
    join,
    known,
    mark,
    meter,
    number,
    prose,
    small,
    span,
    table,
    text,
    when,
)
from consumer.iso_time import iso_time
from consumer.model import HaltReason
from consumer.patience import OutboxState
from consumer.recent_errors import RecentError, RecentLetters
from consumer.remedies import remedy_for
from consumer.status import (
    Degraded,
    DestinationStatus,
    PartitionStatus,
    Status,
    degraded,
)
from consumer.status_style import STYLE

REFRESH_SECONDS = 10
STILL = "refresh=no"
"""The query of a page that does not come anew by itself: whoever reads it aloud keeps the place."""

STALE_MS = 10_000
"""The loop shows its facts every second; older ones are told to be old."""

ROWS_MAX = 100
"""So many destinations and partitions are shown: those first that are worth a look."""


def status_page(status: Status, *, now_ms: int, refreshing: bool) -> bytes:
    """The page, in UTF-8. ``refreshing``: it comes anew by itself, every ten seconds."""
    concerns = degraded(status)
    parts = [
        _head(status, concerns, refreshing=refreshing),
        _top(status, concerns, now_ms, refreshing=refreshing),
        _concerns(concerns),
        _figures(status, now_ms),
        _destinations(status.destinations, now_ms),
        _partitions(status.partitions, now_ms),
        _errors(status.errors, now_ms),
        _dead_letters(status.dead_letters, now_ms),
        _about(status, now_ms),
        "</main></body></html>\n",
    ]
    return "\n".join(parts).encode()


def _head(status: Status, concerns: Sequence[Degraded], *, refreshing: bool) -> str:
    refresh = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">' if refreshing else ""
    title = f"{_verdict(concerns)[1]} – {status.about.member} – conversions consumer"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="robots" content="noindex">{refresh}'
        f"<title>{text(title)}</title><style>{STYLE}</style></head><body>"
    )


def _top(status: Status, concerns: Sequence[Degraded], now_ms: int, *, refreshing: bool) -> str:
    kind, verdict = _verdict(concerns)
    again = f"?{STILL}" if refreshing else "/"
    change = "stop refreshing" if refreshing else "refresh every ten seconds"
    stale = ""
    if now_ms - status.at_ms > STALE_MS:
        stale = (
            f" {mark('warn', 'old')} The loop has told nothing newer: it is in a rebalance,"
            ' ending or stuck; <a href="/livez">/livez</a> knows.'
        )
    return (
        f"<header><h1>conversions consumer {mark(kind, verdict)}</h1>"
        '<nav aria-label="Other pages of this port"><ul>'
        '<li><a href="/metrics">/metrics</a></li><li><a href="/livez">/livez</a></li>'
        f'<li><a href="/readyz">/readyz</a></li><li><a href="{again}">{change}</a></li>'
        "</ul></nav></header><main>"
        f'<p class="quiet">Member <code>{text(status.about.member)}</code> of group '
        f"<code>{text(status.about.group)}</code>, as of {clock(status.at_ms)}.{stale}</p>"
    )


def _verdict(concerns: Sequence[Degraded]) -> tuple[str, str]:
    if any(each.needs_a_person for each in concerns):
        return "bad", "needs a look"
    return ("warn", "degraded") if concerns else ("good", "fine")


def _concerns(concerns: Sequence[Degraded]) -> str:
    shown = "".join(_concern(each) for each in concerns[:ROWS_MAX])
    more = len(concerns) - ROWS_MAX
    if more > 0:
        shown += f'<li class="waits">and {number(more)} more</li>'
    fine = f'<li class="fine">{mark("good", "fine")} Nothing needs a look.</li>'
    return f'<h2>To look at</h2><ul class="concerns">{shown or fine}</ul>'


def _concern(one: Degraded) -> str:
    kind, word = ("bad", "act") if one.needs_a_person else ("warn", "wait")
    name = "needs" if one.needs_a_person else "waits"
    advice = f"{prose(one.advice)} " if one.advice else ""
    return (
        f'<li class="{name}">{mark(kind, word)} {prose(one.sentence)}.'
        f'<span class="small">{advice}See <code>{text(one.page)}</code>.</span></li>'
    )


def _figures(status: Status, now_ms: int) -> str:
    about, letters, paused = status.about, status.letters, sum(status.paused.values())
    oldest = status.oldest_open_ms
    held = sum(each.held for each in status.destinations)
    failing = letters.failing_since_ms
    figures = (
        (
            "Lag, records",
            text("–") if status.lag is None else number(status.lag),
            "not known yet"
            if status.partitions and status.lag is None
            else f"{len(status.partitions)} partitions",
        ),
        ("Not read for now", number(paused), "partitions"),
        (
            "In flight, records",
            number(status.open_records),
            f"of {number(about.in_flight_events_max)}",
        ),
        (
            "Oldest pending",
            text("–" if oldest is None else span(now_ms - oldest)),
            "since it was read",
        ),
        (
            "Requests out",
            number(sum(each.requests_out for each in status.destinations)),
            "waiting for Meta",
        ),
        (
            "Dead letters waiting",
            number(letters.waiting),
            f"failing for {span(now_ms - failing)}" if failing is not None else "none failing",
        ),
        ("Held by the guard", number(held), "rejected records"),
    )
    return f'<dl class="figures">{"".join(_figure(*each) for each in figures)}</dl>'


def _figure(name: str, value: Html, note: str) -> str:
    return f"<div><dt>{text(name)}</dt><dd>{value}<small>{text(note)}</small></dd></div>"


_STATES = {
    OutboxState.READY: "good",
    OutboxState.BACKING_OFF: "warn",
    OutboxState.THROTTLED: "warn",
    OutboxState.HALTED: "bad",
}
_TROUBLED_FIRST = tuple(reversed(_STATES))


def _destinations(destinations: Sequence[DestinationStatus], now_ms: int) -> str:
    ordered = sorted(destinations, key=lambda each: (_TROUBLED_FIRST.index(each.state), each.id))
    columns = (
        Column("Destination"),
        Column("State"),
        Column("Since"),
        Column("In hand", True),
        Column("Requests", True),
        Column("Guard holds", True),
        Column("Of Meta's limits"),
    )
    rows = [_destination(each, now_ms) for each in ordered[:ROWS_MAX]]
    return table("Destinations", "Meta's pixels.", columns, rows, of=len(ordered))


def _destination(one: DestinationStatus, now_ms: int) -> list[Html]:
    state = mark(_STATES[one.state], one.state.value.replace("_", " "))
    if one.halt is not None:
        told = f"{one.halt.reason.value.replace('_', ' ')}: {one.halt.meaning.text}"
        if one.halt.reason is not HaltReason.EVERY_EVENT_REFUSED:
            told += f" (code {_code(one.halt.code, one.halt.subcode, 'unknown')})"
        state = join(state, small(told))
        if one.halt.trace_id:
            state = join(state, small("trace ", masked(one.halt.trace_id)))
    usage = join(
        *(
            meter(kind.value.replace("_", " "), share)
            for kind, share in sorted(one.usage.items(), key=lambda each: each[0].value)
        )
    )
    return [
        join(Html(f'<code class="nowrap">{text(one.id)}</code>'), small(masked(one.name))),
        state,
        text("start") if one.since_ms is None else when(one.since_ms, now_ms),
        number(one.in_hand),
        number(one.requests_out),
        number(one.held),
        usage or text("not told lately"),
    ]


def _partitions(partitions: Sequence[PartitionStatus], now_ms: int) -> str:
    ordered = partitions
    if len(partitions) > ROWS_MAX:
        worst = sorted(partitions, key=lambda each: (each.paused is None, -(each.lag or 0)))
        ordered = sorted(worst[:ROWS_MAX])
    columns = (
        Column("Partition"),
        Column("Reading"),
        Column("Lag", True),
        Column("Open", True),
        Column("Ahead of commit", True),
        Column("Oldest open"),
    )
    rows = [_partition(each, now_ms) for each in ordered]
    told = (
        "Of this member. Lag is what is not committed yet; open records were read and have met no"
        " fate; ahead of the commit are those settled above the committed offset."
    )
    return table("Partitions", told, columns, rows, of=len(partitions))


def _partition(one: PartitionStatus, now_ms: int) -> list[Html]:
    oldest = one.oldest_open_ms
    reading = mark("good", "reading")
    if one.paused is not None:
        reading = mark("warn", f"paused: {one.paused.value.replace('_', ' ')}")
    return [
        Html(f"<code>{text(str(one.partition))}</code>"),
        reading,
        known(one.lag),
        number(one.open),
        number(one.uncommitted),
        text("–") if oldest is None else when(oldest, now_ms),
    ]


def _errors(errors: Sequence[RecentError], now_ms: int) -> str:
    columns = (
        Column("Meta's code"),
        Column("Means"),
        Column("Answers", True),
        Column("Last"),
        Column("Last trace id"),
    )
    rows = [
        [
            text(_code(each.kind.code, each.kind.subcode, each.kind.answer)),
            join(prose(each.meaning.text), small(each.meaning.advice)),
            number(each.answers),
            join(when(each.at_ms, now_ms), small("destination ", each.destination)),
            Html(f"<code>{text(each.trace_id)}</code>") if each.trace_id else text("none"),
        ]
        for each in errors
    ]
    told = "The newest kinds since the start. The log has a line for each request."
    return table("Answers of Meta that were no success", told, columns, rows, of=len(rows))


def _code(code: int | None, subcode: int | None, answer: str) -> str:
    if code is None:
        return answer.replace("_", " ")
    return f"{code}" if subcode is None else f"{code}, subcode {subcode}"


def _dead_letters(letters: Sequence[RecentLetters], now_ms: int) -> str:
    columns = (Column("Reason"), Column("Means"), Column("Dead letters", True), Column("Last"))
    rows = [
        [
            Html(f"<code>{text(each.reason.value)}</code>"),
            join(prose(remedy_for(each.reason).meaning), small(remedy_for(each.reason).advice)),
            number(each.letters),
            when(each.at_ms, now_ms),
        ]
        for each in letters
    ]
    told = "Acknowledged by the brokers since the start. `conversions dlq list` shows them."
    return table("Dead letters by reason", told, columns, rows, of=len(rows))


def _about(status: Status, now_ms: int) -> str:
    about = status.about
    facts = (
        ("Version", f"{about.version}, Graph API {about.graph_version}"),
        ("Started", f"{iso_time(about.started_ms)}, {span(now_ms - about.started_ms)} ago"),
        ("Settings", f"{about.settings_id} (the same for the same settings, secrets left out)"),
        ("Topics", f"{about.topic}, dead letters in {about.dlq_topic}"),
        ("Docs", "docs/runbooks, docs/errors.md, docs/dead-letters.md, docs/logs.md"),
    )
    rows = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in facts)
    return f'<h2>About</h2><dl class="about">{rows}</dl>'

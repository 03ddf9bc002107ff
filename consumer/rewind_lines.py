"""A rewind in words: what it would do, or has done, for people and for machines. Pure."""

from collections.abc import Iterator
from typing import Any

from consumer.iso_time import iso_time
from consumer.rewind_plan import RewindPlan
from consumer.text_tables import Look, counted, new_table, paragraph, text_of

HOUR_MS = 3600 * 1000


def rewind_json(plan: RewindPlan, *, moved: bool) -> dict[str, Any]:
    """All of it; counts are the most that it can be."""
    return {
        "group": plan.group,
        "topic": plan.topic,
        "from": iso_time(plan.since_ms),
        "moved": moved,
        "members": plan.members,
        "records": plan.again,
        "settledBefore": plan.settled,
        "olderThan47Hours": plan.forgotten,
        "olderThan7Days": plan.expired,
        "oldest": iso_time(plan.oldest_ms) or None,
        "partitions": [
            {
                "partition": each.number,
                "committed": each.committed,
                "backTo": each.back_to,
                "records": each.again,
                "settledBefore": each.settled,
                "olderThan47Hours": each.forgotten,
                "olderThan7Days": each.expired,
                "oldest": iso_time(each.oldest_ms),
                "logBeginsLater": each.is_cut,
            }
            for each in plan.stretches
        ],
        "staying": {str(number): why.value for number, why in sorted(plan.staying.items())},
    }


def rewind_text(plan: RewindPlan, *, moved: bool, look: Look) -> str:
    """A row for each partition, and what it means."""
    told = "".join(paragraph(sentence, look) for sentence in _sentences(plan, moved=moved))
    return f"{text_of(_table(plan, look), look)}\n{told}"


def members_told(plan: RewindPlan) -> str:
    """Why it cannot be done while the group has members, and what to do."""
    has = counted(plan.members, "member") if plan.members else "members again"
    return (
        f"group {plan.group} has {has}: end them all first (scale to 0), "
        "as only an empty group can be moved back; a static member that ended, or one that was "
        "killed, counts until its session is over"
    )


def forgotten_told(plan: RewindPlan) -> str:
    """Why it is refused unless duplicates are accepted."""
    return (
        f"{counted(plan.forgotten, 'settled record')} may be older than 47 hours, and Meta "
        "would count them again; --accept-duplicates does it all the same"
    )


def _table(plan: RewindPlan, look: Look) -> Any:
    table = new_table(look)
    table.add_column("partition", justify="right", no_wrap=True)
    for name in ("committed", "back to", "records", "settled before"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("the first is of", ratio=1)
    rows: dict[int, tuple[str, ...]] = {
        number: ("", "stays", "", "", why.says) for number, why in plan.staying.items()
    }
    for each in plan.stretches:
        figures = (each.committed, each.back_to, each.again, each.settled)
        first = iso_time(each.oldest_ms)
        rows[each.number] = (
            *(f"{figure:,}" for figure in figures),
            f"{first}, where the log begins" if each.is_cut else first,
        )
    for number, row in sorted(rows.items()):
        table.add_row(str(number), *row)
    return table


def _sentences(plan: RewindPlan, *, moved: bool) -> Iterator[str]:
    since = iso_time(plan.since_ms)
    if plan.oldest_ms is None:
        yield f"Nothing of {plan.topic} that group {plan.group} has settled is of {since} or later."
        return
    hours = (plan.now_ms - plan.oldest_ms) / HOUR_MS
    yield (
        f"Group {plan.group} {'goes' if moved else 'would go'} back to {since} and read at most "
        f"{counted(plan.again, 'record')} of {plan.topic}; the oldest is {hours:,.1f} hours old."
    )
    yield (
        f"{plan.settled:,} of them were settled before: they are sent again under their event ids, "
        "and Meta drops what it received in the last 48 hours. What was dead-lettered may be so "
        "again."
    )
    if plan.forgotten:
        yield (
            f"{plan.forgotten:,} of these are older than 47 hours: if Meta had received them "
            "then, it counts them a second time."
        )
    if plan.expired:
        yield (
            f"{plan.expired:,} of them are older than 7 days: Meta takes hardly any of these, and "
            "the others are dead-lettered as event_too_old."
        )
    if plan.cut:
        yield (
            f"Retention may have taken what {since} asks for of "
            f"{counted(len(plan.cut), 'partition')}: the log begins later."
        )
    yield "Counted by offsets: fewer where the topic is compacted or written in transactions."
    if moved:
        return
    if plan.members:
        yield f"It cannot be done now: {members_told(plan)}."
    if plan.forgotten:
        yield f"It would be refused: {forgotten_told(plan)}."
    yield "Nothing was changed."

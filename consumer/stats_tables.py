"""The counts of dead letters, for people: sentences first, then bars."""

from collections.abc import Iterator, Mapping
from itertools import islice

from consumer.finding import printable
from consumer.iso_time import iso_time
from consumer.letter_stats import LetterStats, ranked
from consumer.replayable import Obstacle
from consumer.text_tables import Look, bar, counted, new_table, paragraph, rendered, styled
from consumer.verdicts import EVENT_FAULTS

ROWS_MAX = 10
HOURS_MAX = 24


def stats_text(stats: LetterStats, topic: str, look: Look) -> str:
    """Everything that was counted; times are UTC."""
    told = styled(_found(stats, topic), "bold", look)
    told += "".join(paragraph(sentence, look) for sentence in _sentences(stats))
    if not stats.letters:
        return told
    codes = {code: EVENT_FAULTS.get(_subcode(code), "") for code in stats.codes}
    hours = sorted(stats.hours.items())[-HOURS_MAX:]
    newest = {f"{hour[:13].replace('T', ' ')}:00": count for hour, count in hours}
    return (
        "\n".join(
            [
                told,
                *_ranking("by reason", stats.reasons, {}, stats.letters, look),
                *_ranking("by destination", stats.destinations, {}, stats.letters, look),
                *_ranking("by event name", stats.event_names, {}, stats.letters, look),
                *_ranking("by Meta's code/subcode", stats.codes, codes, stats.letters, look),
                _bars(
                    "by hour (UTC)",
                    newest,
                    {},
                    look,
                    total=stats.letters,
                    full=max(newest.values()),
                ),
            ]
        ).rstrip("\n")
        + "\n"
    )


def minute(milliseconds: int) -> str:
    """``2025-10-09 08:53``, in UTC; a dash where no calendar has that time."""
    return iso_time(milliseconds)[:16].replace("T", " ") or "–"


def _found(stats: LetterStats, topic: str) -> str:
    if stats.seen_ms is None:
        return f"No such dead letters in {topic}."
    first, last = map(minute, stats.seen_ms)
    return f"{counted(stats.letters, 'dead letter')} in {topic}, from {first} to {last} UTC."


def _sentences(stats: LetterStats) -> Iterator[str]:
    if stats.replayable:
        told = f"{stats.replayable:,} can still be replayed"
        if stats.until_ms is not None:
            first, last = map(minute, stats.until_ms)
            told += f": the first until {first}, the last until {last}"
        if stats.unknown_until:
            told += f"; of {stats.unknown_until:,} it is not known until when"
        yield f"{told}."
    for obstacle in Obstacle:
        if count := stats.obstacles.get(obstacle):
            yield f"{count:,} {_OBSTACLES[obstacle]}."
    if stats.replayed:
        yield f"{stats.replayed:,} were replayed already."
    if stats.foreign:
        yield f"{counted(stats.foreign, 'record')} of others: `conversions dlq list` shows them."


_OBSTACLES = {
    Obstacle.EXPIRED: "are too old for Meta by now",
    Obstacle.MAYBE_DELIVERED: "may have been counted, so long ago that Meta would count them again",
    Obstacle.BY_REFERENCE: "were skipped by an operator, and lie only in the source topic",
}


def _ranking(
    title: str, counts: Mapping[str, int], remarks: Mapping[str, str], total: int, look: Look
) -> Iterator[str]:
    """The most frequent, and the rest as one row; nothing where nothing was counted."""
    if not counts:
        return
    order = ranked(counts)
    shown = dict(islice(order.items(), ROWS_MAX))
    if len(order) > ROWS_MAX:
        shown[f"and {len(order) - ROWS_MAX} more"] = sum(islice(order.values(), ROWS_MAX, None))
    yield _bars(title, shown, remarks, look, total=total, full=total)


def _bars(
    title: str,
    counts: Mapping[str, int],
    remarks: Mapping[str, str],
    look: Look,
    *,
    total: int,
    full: int,
) -> str:
    """``full`` fills a bar, ``total`` is 100%."""
    table = new_table(look)
    table.show_header = False
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, count in counts.items():
        figures = printable(name), f"{count:,}", f"{count / total:.0%}", bar(count / full, look)
        table.add_row(*figures, remarks.get(name, ""))
    return rendered(title, table, look).rstrip("\n") + "\n"


def _subcode(code: str) -> int:
    subcode = code.partition("/")[2]
    return int(subcode) if subcode else 0

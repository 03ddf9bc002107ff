"""The pixel's statistics → events by hour and name.

Source: the page of the edge ``/{pixel}/stats`` (aggregation ``event``: the 100 most frequent names
by hour, of the last 7 days; ``event_source`` ``SERVER_ONLY`` leaves the browser's events out). What
an answer looks like is known from public reports, not from that page.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from consumer.graph_answers import Item
from consumer.iso_time import ms_of_iso

HOUR_SECONDS = 3600


class Cell(NamedTuple):
    """One hour, by its start in seconds since the epoch, and one event name."""

    hour: int
    event_name: str


class StatsPage(NamedTuple):
    """One page of an answer; ``after`` is the cursor of the next one, None after the last."""

    counts: Mapping[Cell, int]
    after: str | None


def hours_before(now: float, count: int) -> range:
    """The starts of the last ``count`` hours that are over at ``now`` (seconds since the epoch).

    Both sides count what they have *received*; the hour under way would only show that they are
    not asked at the same moment.
    """
    end = int(now) // HOUR_SECONDS * HOUR_SECONDS
    return range(end - count * HOUR_SECONDS, end, HOUR_SECONDS)


def read_stats(answer: Item) -> StatsPage | None:
    """One page; None if it is no answer of this edge. Never raises.

    A bucket that does not begin with the hour (a zone with half hours) counts to the hour that it
    begins in.
    """
    buckets = answer.get("data")
    if not isinstance(buckets, list):
        return None
    counts: dict[Cell, int] = {}
    for bucket in buckets:
        for cell, count in _bucket(bucket):
            counts[cell] = counts.get(cell, 0) + count
    return StatsPage(counts, _after(answer.get("paging")))


def _bucket(bucket: Any) -> Iterator[tuple[Cell, int]]:
    given = bucket if isinstance(bucket, dict) else {}
    start, entries = _hour(given.get("start_time")), given.get("data")
    if start is None or not isinstance(entries, list):
        return
    for entry in entries:
        name = entry.get("value") if isinstance(entry, dict) else None
        count = entry.get("count") if isinstance(entry, dict) else None
        if isinstance(name, str) and isinstance(count, int) and not isinstance(count, bool):
            yield Cell(start, name), count


def _hour(text: Any) -> int | None:
    """``2026-11-22T12:00:00+0000``; a time without a zone is UTC."""
    if not isinstance(text, str):
        return None
    found = ms_of_iso(text)
    return None if found is None else found // 1000 // HOUR_SECONDS * HOUR_SECONDS


def _after(paging: Any) -> str | None:
    """The cursor alone: the address of the next page, which Meta gives too, holds the token."""
    if not isinstance(paging, dict) or not paging.get("next"):
        return None
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    return after if isinstance(after, str) and after else None

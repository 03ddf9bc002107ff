"""What Meta accepted from us beside what it shows as received: hour by hour, name by name."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from consumer.dead_letter import masked
from consumer.model import PixelId
from consumer.pixel_stats import Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One hour (its start, in seconds since the epoch) of one event name of one destination.

    ``accepted`` is our own count, None where Prometheus has no sample; ``received`` is Meta's.
    """

    destination: PixelId
    event_name: str
    hour: int
    accepted: int | None
    received: int

    @property
    def difference(self) -> int | None:
        """What Meta shows more than we had accepted; negative where it shows less."""
        return None if self.accepted is None else self.received - self.accepted

    @property
    def hour_text(self) -> str:
        """The start of the hour, ISO 8601 in UTC."""
        return datetime.fromtimestamp(self.hour, UTC).strftime("%Y-%m-%dT%H:%MZ")


def reconcile(
    accepted: Mapping[tuple[PixelId, Cell], float],
    received: Mapping[PixelId, Mapping[Cell, int]],
    *,
    standard_names: Collection[str],
    custom: str,
) -> list[Comparison]:
    """Both sides of every destination in ``received``, in the order of time, where one is not 0.

    Our counters know the publishers' own names as ``custom`` only, so Meta's are added up as well.
    """
    return [
        comparison
        for destination, counts in received.items()
        for comparison in _compare(destination, accepted, _by_label(counts, standard_names, custom))
    ]


def notes(comparisons: Iterable[Comparison], *, custom: str) -> Iterator[str]:
    """What the differences may mean, as far as they occur."""
    rows = list(comparisons)
    differences = [row.difference for row in rows if row.difference is not None]
    if any(each > 0 for each in differences):
        yield _MORE
    if any(each < 0 for each in differences):
        yield _LESS
    if any(row.accepted is None for row in rows):
        yield _UNKNOWN
    if any(row.event_name == custom for row in rows):
        yield f"{custom} is the sum of all names that are not Meta's own. {_HUNDRED}"
    if differences:
        yield _ESTIMATE


def comparison_json(row: Comparison) -> dict[str, Any]:
    """One row as ``conversions quality --reconcile --json`` shows it."""
    return {
        "destinationId": row.destination,
        "eventName": masked(row.event_name),
        "hour": row.hour_text,
        "accepted": row.accepted,
        "received": row.received,
        "difference": row.difference,
    }


_MORE = (
    "Where Meta shows more: others send to the pixel as well (a shop's plug-in, a gateway), the"
    " counters of a member were not scraped to its end, or a time-out hid an acceptance until the"
    " batch was sent again."
)
_LESS = (
    "Where Meta shows less: it took events for doubles of others (the same name and event id, or"
    " those of the browser), or it counts an event in another hour than we do; its newest hours"
    " may still grow."
)
_UNKNOWN = "Where ours is not known, Prometheus has no sample of that hour."
_HUNDRED = "Meta shows the 100 most frequent names of an hour, and leaves the others out."
_ESTIMATE = (
    "Ours is an estimate: increase() extrapolates to the edges of the hour, and is rounded here."
)


def _by_label(
    counts: Mapping[Cell, int], standard_names: Collection[str], custom: str
) -> Mapping[Cell, int]:
    summed: dict[Cell, int] = {}
    for (hour, name), count in counts.items():
        cell = Cell(hour, name if name in standard_names else custom)
        summed[cell] = summed.get(cell, 0) + count
    return summed


def _compare(
    destination: PixelId,
    accepted: Mapping[tuple[PixelId, Cell], float],
    received: Mapping[Cell, int],
) -> Iterator[Comparison]:
    ours = {cell: round(count) for (pixel, cell), count in accepted.items() if pixel == destination}
    for cell in sorted({*ours, *received}):
        if ours.get(cell) or received.get(cell):
            yield Comparison(
                destination=destination,
                event_name=cell.event_name,
                hour=cell.hour,
                accepted=ours.get(cell),
                received=received.get(cell, 0),
            )

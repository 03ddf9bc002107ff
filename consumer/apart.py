"""Which kinds of events are windowed apart, because Meta keeps refusing some of them.

One publisher's mistake would spoil batch after batch of everybody's. A kind is an event name under
one writer's schema, for one destination. When events of a kind were refused with the same subcode
in several batches within a while, all of that kind get windows of their own, until enough of them
were accepted in a row or none was refused for a time. Times are monotonic seconds.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from consumer.model import Delivered, Kind, PixelId, Prepared, Reason, Record, Rejected

BATCHES_MIN = 3
WITHIN_SECONDS = 600.0
"""Refused in so many batches within that time: it is not one event, it keeps coming."""

ACCEPTED_MIN = 1000
QUIET_SECONDS = 3600.0
"""So many accepted in a row, or no refusal for so long: they share windows with others again."""

KINDS_MAX = 100
"""So many kinds are watched; of more, the one whose refusal is longest ago is forgotten."""


@dataclass(slots=True)
class _Watched:
    """One kind: the batches that it spoilt lately (when, subcode, batch), and how it fares."""

    spoilt: deque[tuple[float, int | None, str | None]] = field(
        default_factory=lambda: deque(maxlen=10 * BATCHES_MIN)
    )
    refused_at: float = 0.0
    accepted: int = 0
    apart: bool = False


class Apart:
    """What keeps being refused, for all destinations of one member."""

    def __init__(self) -> None:
        self._watched: dict[tuple[PixelId, Kind], _Watched] = {}

    def __repr__(self) -> str:
        apart = sum(watched.apart for watched in self._watched.values())
        return f"<Apart {apart} kinds apart, {len(self._watched)} watched>"

    def kind_of(self, event: Prepared, now: float) -> Kind | None:
        """The kind to window this event apart with, None as for nearly every event."""
        if not self._watched:
            return None
        kind = _kind(event.event_name, event.record)
        watched = self._watched.get((event.destination, kind))
        if watched is None or not watched.apart:
            return None
        if now - watched.refused_at > QUIET_SECONDS:
            del self._watched[event.destination, kind]
            return None
        return kind

    def learn(self, settled: Iterable[Delivered | Rejected], now: float) -> None:
        """What an answer of Meta's has settled. Only what Meta itself refuses counts against a
        kind."""
        for one in settled:
            match one:
                case Delivered(event, _):
                    if self._watched:
                        self._accepted(event)
                case Rejected(reason=Reason.REFUSED_BY_META):
                    self._refused(one, now)

    def _refused(self, rejected: Rejected, now: float) -> None:
        if rejected.destination is None:
            return
        key = rejected.destination, _kind(rejected.event_name or "", rejected.record)
        watched = self._watched.pop(key, None) or _Watched()
        self._watched[key] = watched  # the last one that is forgotten
        watched.refused_at, watched.accepted = now, 0
        subcode = rejected.error.subcode if rejected.error else None
        spoilt = (now, subcode, rejected.batch_id)
        if spoilt[1:] not in (each[1:] for each in watched.spoilt):
            watched.spoilt.append(spoilt)
        recent = [each for each in watched.spoilt if now - each[0] <= WITHIN_SECONDS]
        same = sum(each[1] == subcode for each in recent)
        watched.apart = watched.apart or same >= BATCHES_MIN
        if len(self._watched) > KINDS_MAX:
            del self._watched[next(iter(self._watched))]

    def _accepted(self, event: Prepared) -> None:
        key = event.destination, _kind(event.event_name, event.record)
        watched = self._watched.get(key)
        if watched is not None:
            watched.accepted += 1
            if watched.accepted >= ACCEPTED_MIN:
                del self._watched[key]


def _kind(event_name: str, record: Record) -> Kind:
    """The schema is what the record's framing names it by: an id, or a fingerprint."""
    value = record.value or b""
    framing = 10 if value[:2] == b"\xc3\x01" else 5
    return Kind(event_name, value[:framing])

"""What becomes of a request that Meta does not take as it is: smaller ones, down to one event.

Refused events are isolated, which is told in ``isolate``. Here is what is too much for one request,
is not counted by Meta, or alone never gets a clear answer: halves, until one event is left that
Meta does not take even alone.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from consumer.model import Reason, Rejected
from consumer.parcel import Parcel


class Pieces(NamedTuple):
    """The event that goes no smaller, and what is sent next, in order."""

    rejected: list[Rejected]
    parcels: list[Parcel]


def take_apart(parcel: Parcel, reason: Reason, is_over: Callable[[int], bool]) -> Pieces:
    """Halve what waits in the parcel; if its last trial was one event, give that up for
    ``reason`` and leave the others as they are. Events of ended tenures go unsettled."""
    sent = parcel.trial()
    rejected: list[Rejected] = []
    if len(sent) == 1:
        rejected.append(parcel.rejected(sent[0], reason, _DETAILS[reason]))
        parcel.take_out(sent)
        parcel.forget_ended(is_over)
        return Pieces(rejected, [parcel] if parcel.waiting() else [])
    parcel.forget_ended(is_over)
    events = parcel.waiting()
    half = len(events) // 2
    return Pieces([], [parcel.part(part) for part in (events[:half], events[half:]) if part])


_DETAILS: Mapping[Reason, str] = {
    Reason.NOT_RECEIVED: "Meta answered 200 but received no event",
    Reason.REFUSED_BY_META: "Meta refuses a request of this one event as too large",
    Reason.OUTCOME_UNKNOWN: "Meta never answers clearly for this event, while it takes others",
}

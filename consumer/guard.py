"""The ratio guard: are many events of a destination rejected for the same reason of our own?

That is a publisher's bad deploy rather than bad events. Pure: counts the last events of each
destination, and says when the share of one reason is too high and when it is low again. Where the
operator wants it, what is rejected for that reason in between is held instead of dead-lettered.

Records that name no destination of ours (undecodable ones, say) are counted against all that is
read, and never held: there is nobody whose share of the limits they could use.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from consumer.held_back import HeldBack
from consumer.model import PixelId, Place, Reason, Rejected, TopicPartition
from consumer.skip import skipped_letter

NOBODYS = (Reason.MISSING_DESTINATION, Reason.UNKNOWN_DESTINATION)
"""What is rejected for these may give a destination, but none of ours."""


class Alarm(NamedTuple):
    """Too many events are rejected for ``reason``; ``destination`` is None for records that name
    none of ours."""

    destination: PixelId | None
    reason: Reason


class Turned(NamedTuple):
    """What one rejection means: the alarm that it raises, and whether the guard holds it."""

    begins: Alarm | None
    held: bool


class Ended(NamedTuple):
    """An alarm that is over, and what was held for it."""

    alarm: Alarm
    released: list[Rejected]


_NOTHING = Turned(None, False)


@dataclass(slots=True)
class _Course:
    """How an alarm goes on: ``accepted`` once an operator wants the dead letters, ``even_from``
    the count of events from which on all partitions were read for a whole window, ``tenures`` those
    live ones in which anything was rejected for it."""

    accepted: bool = False
    even_from: int = 0
    tenures: set[int] = field(default_factory=set)


class Guard:
    """The last events of every destination, and the alarms in force.

    An alarm begins when more than ``share`` of the last ``events`` were rejected for one reason,
    and ends at half of that, so that it does not flutter.
    """

    def __init__(self, *, events: int, share: float, pauses: bool) -> None:
        self._events = events
        self._above = round(events * share, 6)
        self._pauses = pauses
        self._all = _Window(events)
        self._windows: dict[PixelId, _Window] = {}
        self._alarms: dict[Alarm, _Course] = {}
        self.share = share
        self.held: dict[PixelId, HeldBack] = {}

    def __repr__(self) -> str:
        return f"<Guard {len(self._windows)} destinations, {len(self._alarms)} alarms>"

    @property
    def events(self) -> int:
        """How many events are looked back at."""
        return self._events

    @property
    def alarms(self) -> list[Alarm]:
        """The alarms in force. One whose partitions have all left is their next owner's to raise:
        nothing might ever come here that ends it. With one of them it is back."""
        return [alarm for alarm, course in self._alarms.items() if course.tenures]

    def passed(self, destination: PixelId) -> None:
        """An event was not rejected. Called for each event: it must cost next to nothing."""
        self._all.add(None)
        self._window(destination).add(None)

    def rejected(self, rejected: Rejected, now: float) -> Turned:
        """A record was rejected, and is not dead-lettered yet."""
        destination, reason = _destination_of(rejected), rejected.reason
        if destination is None:
            count = self._all.add(reason)
        else:
            self._all.add(None)
            count = self._window(destination).add(reason)
        many = count > self._above
        if not many and not self._alarms:
            return _NOTHING
        alarm = Alarm(destination, reason)
        course = self._alarms.get(alarm)
        begins = course is None and many
        if begins:
            course = self._alarms[alarm] = _Course()
        if course is not None:
            course.tenures.add(rejected.record.tenure)
        held = course is not None and not course.accepted and self._holds(rejected, now)
        return Turned(alarm if begins else None, held)

    def ended(self, paused: Collection[TopicPartition]) -> list[Ended]:
        """The alarms that are over by now; ``paused`` are the partitions that are not read.

        While partitions pause for what is held, only the others bring events, and prove nothing
        of those: the last events count again when a whole window came from all partitions.
        """
        ended: list[Ended] = []
        for alarm, course in list(self._alarms.items()):
            window = self._window_of(alarm)
            held = self._held_for(alarm, course)
            if held is not None and not held.carried.partitions.isdisjoint(paused):
                course.even_from = window.seen + self._events
            few = window.rejected[alarm.reason] <= self._above / 2
            if few and window.seen >= course.even_from:
                del self._alarms[alarm]
                ended.append(Ended(alarm, self._release(alarm, held)))
        return ended

    def accept(self, destination: PixelId) -> list[Rejected]:
        """An operator accepts the dead letters: what was held, and nothing more is held until the
        share has fallen."""
        for alarm, course in self._alarms.items():
            if alarm.destination == destination:
                course.accepted = True
        held = self.held.pop(destination, None)
        return [] if held is None else held.take_out(lambda _: True)

    def skip(self, place: Place) -> Rejected | None:
        """Give up the record of this place, if it is held."""
        for held in self.held.values():
            for one in held.take_out(lambda one: place.is_of(one.record)):
                return skipped_letter(one)
        return None

    def forget(self, is_over: Callable[[int], bool]) -> None:
        """Drop what belongs to tenures that are over: the next owner rejects it."""
        for held in self.held.values():
            held.take_out(lambda one: is_over(one.record.tenure))
        for course in self._alarms.values():
            course.tenures = {tenure for tenure in course.tenures if not is_over(tenure)}

    def give_back(self, partition: TopicPartition, offset: int) -> list[Rejected]:
        """Drop what is read again later: records of a partition from an offset on. Returns them."""

        def gone(one: Rejected) -> bool:
            return one.record.partition == partition and one.record.offset >= offset

        return [one for held in self.held.values() for one in held.take_out(gone)]

    def _holds(self, rejected: Rejected, now: float) -> bool:
        destination = _destination_of(rejected)
        if destination is None or not self._pauses:
            return False
        if destination not in self.held:
            self.held[destination] = HeldBack(destination=destination, since=now)
        self.held[destination].put(rejected)
        return True

    def _held_for(self, alarm: Alarm, course: _Course) -> HeldBack | None:
        if alarm.destination is None or course.accepted:
            return None
        return self.held.get(alarm.destination)

    def _release(self, alarm: Alarm, held: HeldBack | None) -> list[Rejected]:
        if held is None:
            return []
        if not any(
            other.destination == alarm.destination and not course.accepted
            for other, course in self._alarms.items()
        ):
            del self.held[held.destination]
        return held.take_out(lambda one: one.reason is alarm.reason)

    def _window(self, destination: PixelId) -> "_Window":
        window = self._windows.get(destination)
        if window is None:
            window = self._windows[destination] = _Window(self._events)
        return window

    def _window_of(self, alarm: Alarm) -> "_Window":
        return self._all if alarm.destination is None else self._windows[alarm.destination]


class _Window:
    """The last events, oldest overwritten: of each the reason for which it was rejected, if any."""

    __slots__ = ("_reasons", "rejected", "seen")

    def __init__(self, events: int) -> None:
        self._reasons: list[Reason | None] = [None] * events
        self.rejected: dict[Reason, int] = {}
        self.seen = 0

    def add(self, reason: Reason | None) -> int:
        """Count one event; returns how many of the last ones were rejected for its reason."""
        place = self.seen % len(self._reasons)
        self.seen += 1
        leaves = self._reasons[place]
        if leaves is not reason:
            self._reasons[place] = reason
            if leaves is not None:
                self.rejected[leaves] -= 1
            if reason is not None:
                count = self.rejected[reason] = self.rejected.get(reason, 0) + 1
                return count
        return 0 if reason is None else self.rejected[reason]


def _destination_of(rejected: Rejected) -> PixelId | None:
    """The destination of ours that it was for, None when it names none."""
    return None if rejected.reason in NOBODYS else rejected.destination or None

"""The running consumer's look at Event Match Quality: when to ask Meta, and what the gauges show.

What all members would ask only the owner of partition 0 asks; the others show nothing, so that no
series is there twice.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple, Protocol

from consumer.inquiries import Heard
from consumer.journal import Journal
from consumer.model import PixelId
from consumer.pixel_figures import Unreadable
from consumer.quality import EventQuality

KNOWN_FOR_REFRESHES = 3
"""Figures older than so many refreshes are no longer known, and their gauges go."""


class Asking(Protocol):
    """Somebody who asks Meta; ``inquiries.Inquiries`` does it on a thread."""

    def submit(self, destinations: Iterable[PixelId]) -> None:
        """Ask for each of them. Never blocks."""

    def answers(self) -> list[Heard]:
        """What was heard since the last time: in the end one answer for each question."""


class _Known(NamedTuple):
    events: tuple[EventQuality, ...]
    heard_at: float


class QualityWatch:
    """Turned by the loop every now and then; ``every_seconds`` 0 switches it off."""

    def __init__(self, *, asking: Asking, every_seconds: float, journal: Journal) -> None:
        self._asking = asking
        self._every_seconds = every_seconds
        self._journal = journal
        self._ask_at = 0.0
        self._waiting: set[PixelId] = set()
        self._known: dict[PixelId, _Known] = {}
        self._shown: list[_Known] = []

    def turn(self, now: float, *, ours: bool, destinations: Collection[PixelId]) -> None:
        """Ask if it is time, and show what is known. ``ours`` says whether asking is up to us."""
        if not self._every_seconds:
            return
        for heard in self._asking.answers():
            self._hear(heard, now)
        if ours and now >= self._ask_at and not self._waiting:
            self._ask_at = now + self._every_seconds
            self._waiting = set(destinations)
            self._asking.submit(destinations)
        oldest = now - KNOWN_FOR_REFRESHES * self._every_seconds
        self._known = {
            destination: known
            for destination, known in self._known.items()
            if destination in destinations and known.heard_at >= oldest
        }
        shown = list(self._known.values()) if ours else []
        if shown != self._shown:
            self._shown = shown
            self._journal.metrics.quality(event for known in shown for event in known.events)

    def _hear(self, heard: Heard, now: float) -> None:
        self._waiting.discard(heard.destination)
        if isinstance(heard.quality, Unreadable):
            self._journal.quality_unreadable(heard.destination, heard.quality.why)
        else:
            self._known[heard.destination] = _Known(heard.quality, now)
            self._journal.quality_read(heard.destination)

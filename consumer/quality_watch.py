"""The running consumer's look at Event Match Quality: when it asks, and what the gauges show."""

from collections.abc import Collection, Mapping

from consumer.journal import Journal
from consumer.model import PixelId
from consumer.pixel_figures import Unreadable
from consumer.quality import EventQuality
from consumer.watch import Asking, Watch

Figures = tuple[EventQuality, ...]


class QualityWatch:
    """Turned by the loop every now and then."""

    def __init__(
        self, *, asking: Asking[PixelId, Figures], every_seconds: float, journal: Journal
    ) -> None:
        self._watch: Watch[PixelId, Figures] = Watch(asking=asking, every_seconds=every_seconds)
        self._journal = journal
        self._shown: Mapping[PixelId, Figures] = {}

    def turn(self, now: float, *, ours: bool, destinations: Collection[PixelId]) -> None:
        """Ask if it is time, and show what is known. ``ours`` says whether asking is up to us."""
        for destination, answer in self._watch.turn(now, ours=ours, questions=destinations):
            if isinstance(answer, Unreadable):
                self._journal.quality_unreadable(destination, answer.why)
            else:
                self._journal.quality_read(destination)
        shown = self._watch.known if ours else {}
        if shown != self._shown:
            self._shown = shown
            self._journal.metrics.quality(event for events in shown.values() for event in events)

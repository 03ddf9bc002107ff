"""All that the running consumer asks Meta beside its sending, put together from the settings."""

from collections.abc import Collection
from typing import Any

from consumer.assembly import reader_from
from consumer.destination_files import Tokens
from consumer.inquiries import Inquiries
from consumer.journal import Journal
from consumer.model import PixelId
from consumer.pixel_figures import PixelFigures
from consumer.quality_watch import QualityWatch
from consumer.settings import Settings
from consumer.token_inspection import TokenInspection
from consumer.token_watch import TokenWatch


class Watches:
    """The watches that are switched on, each with a thread of its own that asks."""

    def __init__(self, settings: Settings, *, tokens: Tokens, journal: Journal) -> None:
        self._watches: list[QualityWatch | TokenWatch] = []
        self._inquiries: list[Inquiries[Any, Any]] = []
        if settings.quality_refresh_seconds:
            self._add_quality(settings, tokens, journal)
        if settings.token_check_seconds:
            self._add_tokens(settings, tokens, journal)

    def start(self) -> None:
        """Start the threads."""
        for each in self._inquiries:
            each.start()

    def turn(self, now: float, *, ours: bool, destinations: Collection[PixelId]) -> None:
        """Ask what is due and show what is known. ``ours`` says whether asking is up to us."""
        for watch in self._watches:
            watch.turn(now, ours=ours, destinations=destinations)

    def stop(self) -> None:
        """Ask the threads to end."""
        for each in self._inquiries:
            each.stop()

    def _add_quality(self, settings: Settings, tokens: Tokens, journal: Journal) -> None:
        reader = reader_from(settings, timeout_seconds=settings.request_timeout_seconds)
        figures = PixelFigures(reader=reader, tokens=tokens)
        asking = Inquiries(name="quality", ask=figures.quality, close=reader.close)
        every_seconds = settings.quality_refresh_seconds
        self._inquiries.append(asking)
        self._watches.append(
            QualityWatch(asking=asking, every_seconds=every_seconds, journal=journal)
        )

    def _add_tokens(self, settings: Settings, tokens: Tokens, journal: Journal) -> None:
        reader = reader_from(settings, timeout_seconds=settings.request_timeout_seconds)
        inspection = TokenInspection(reader=reader)
        asking = Inquiries(name="tokens", ask=inspection.state, close=reader.close)
        self._inquiries.append(asking)
        self._watches.append(
            TokenWatch(
                asking=asking,
                every_seconds=settings.token_check_seconds,
                token_of=tokens.of,
                journal=journal,
            )
        )

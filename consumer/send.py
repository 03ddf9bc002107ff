"""``conversions send``: JSON Lines straight to Meta, through the same rooms as the consumer."""

from collections.abc import Callable
from typing import IO

from consumer.assembly import deliveries_from, meta_from, preparation_from, senders_from
from consumer.clock import SystemClock
from consumer.destination_files import destinations_from, tokens_from
from consumer.destinations import Destinations
from consumer.json_lines import numbered_lines
from consumer.model import PixelId, Prepared, Suppressed
from consumer.send_lines import candidate
from consumer.send_report import Failure, Report
from consumer.sending import Limits, Sending
from consumer.settings import Settings
from consumer.terminal import progress_bar, seekable, told_to_stop


class UnknownDestination(Exception):
    """What was asked for is none of the destinations; ``str`` is one sentence."""


def run_send(
    settings: Settings,
    lines: IO[bytes],
    *,
    destination: PixelId | None,
    timeout_seconds: float,
    show: bool,
    tell: Callable[[str], None],
) -> Report:
    """Send every line that can be sent, and wait for Meta's answers.

    ``show`` allows a progress bar, ``tell`` gets what a person should know meanwhile.

    Raises DestinationsError, UnknownDestination or OSError before anything is sent, and
    KeyboardInterrupt while a pipe is still being read.
    """
    destinations = _destinations(settings, destination)
    tokens = tokens_from(settings, destinations)
    meta = meta_from(settings, tokens)
    senders = senders_from(settings, meta)
    deliveries, clock = deliveries_from(settings, is_over=lambda tenure: False), SystemClock()
    app_secret = settings.rotating_secret("CONVERSIONS_APP_SECRET").current()
    configured = [each.id for each in destinations]
    deliveries.nudge(tokens.of, clock.now(), app_secret=app_secret, configured=configured)
    try:
        with (
            seekable(lines) as readable,
            told_to_stop() as signals,
            progress_bar("sending", None, shown=show) as advance,
        ):
            sending = Sending(
                preparation=preparation_from(settings, destinations),
                destination=destination,
                deliveries=deliveries,
                outgoing=senders,
                token_problem=tokens.problem,
                clock=clock,
                limits=Limits(settings.in_flight_events, settings.in_flight_bytes, timeout_seconds),
                stops=lambda: len(signals),
                advance=advance,
                tell=tell,
            )
            return sending.send(readable)
    finally:
        senders.stop()
        meta.close()


def dry_send(settings: Settings, lines: IO[bytes], *, destination: PixelId | None) -> Report:
    """What would be sent, by destination, and what would fail before. Never connects.

    Raises DestinationsError, UnknownDestination or OSError.
    """
    preparation = preparation_from(settings, _destinations(settings, destination))
    report, clock = Report(), SystemClock()
    for index, (_, text) in enumerate(numbered_lines(lines)):
        fate, unknown = candidate(
            index, text, preparation, destination=destination, now_ms=clock.now_ms()
        )
        report.met(unknown)
        match fate:
            case Prepared():
                report.prepared(fate)
                report.ready[fate.destination] += 1
            case Suppressed():
                report.suppressed += 1
            case Failure():
                report.failures.append(fate)
    return report


def _destinations(settings: Settings, wanted: PixelId | None) -> Destinations:
    destinations = destinations_from(settings)
    if wanted is not None and destinations.get(wanted) is None:
        raise UnknownDestination("--destination names none of the configured destinations")
    return destinations

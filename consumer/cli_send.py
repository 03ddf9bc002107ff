"""``conversions send``: its options, its answer on stdout, and what is said to a person."""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from consumer.command_line import (
    Assignments,
    SettingsFile,
    opened,
    refuse,
    refusing,
    settings_from,
)
from consumer.settings import Settings, SettingsError


def send(
    file: Annotated[Path, typer.Argument(help="JSON Lines of events; - is stdin.")],
    *,
    destination: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Send every event to this pixel, whatever it says."),
    ] = None,
    test_code: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Test event code for every event of this call."),
    ] = None,
    timeout_seconds: Annotated[
        float, typer.Option(help="Give up a destination that takes nothing for so long.")
    ] = 300.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent; never connects.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="No bar and no summary for a person: only the JSON.")
    ] = False,
    settings_file: SettingsFile = None,
    assignments: Assignments = None,
) -> None:
    """Send the events of a file straight to Meta, without Kafka.

    Prints one JSON object: eventsReceived, eventsFailed, failures (the index of the event in the
    file, from 0; its id; a message; Meta's code or a reason of ours; Meta's trace id) and the last
    traceId. Exit code 1 when any event failed.

    An event without eventId gets one from its line and its place in the file, so that sending the
    same file again within 48 hours repeats no conversion. An event that lies up to 5 minutes ahead
    is held until its time, within the timeout.
    """
    from consumer.destinations import DestinationsError
    from consumer.model import PixelId
    from consumer.send import UnknownDestination, dry_send, run_send

    if math.isnan(timeout_seconds) or timeout_seconds < 0:
        refuse("--timeout-seconds must be a number of at least 0")
    settings = _settings(settings_file, assignments, destination, test_code)
    pixel = None if destination is None else PixelId(destination.strip())
    with opened(file) as lines, refusing(DestinationsError, UnknownDestination, OSError):
        if dry_run:
            report = dry_send(settings, lines, destination=pixel)
        else:
            with refusing(SettingsError):
                settings.require_destinations()
            try:
                report = run_send(
                    settings,
                    lines,
                    destination=pixel,
                    timeout_seconds=timeout_seconds,
                    show=not as_json,
                    tell=_tell,
                )
            except KeyboardInterrupt:
                _tell("stopped; nothing was sent")
                raise typer.Exit(1) from None
    _print(report.dry_answer() if dry_run else report.answer())
    _tell_unknown(report.unknown)
    _tell_remarks(report.remarks, report.test_events)
    if sys.stderr.isatty() and not as_json:
        for sentence in report.summary(dry=dry_run):
            _tell(sentence)
    raise typer.Exit(1 if report.failures or not report.complete else 0)


def _settings(
    settings_file: Path | None,
    assignments: list[str] | None,
    destination: str | None,
    test_code: str | None,
) -> Settings:
    """With the options put over them; without a destinations file ``--destination`` is the one."""
    given = [*(assignments or []), *([] if test_code is None else [f"test_code={test_code}"])]
    settings = settings_from(settings_file, given)
    if destination is None or settings.destinations_file is not None:
        return settings
    return settings_from(settings_file, [*given, f"pixel_id={destination}"])


def _print(answer: dict[str, Any]) -> None:
    import orjson

    option = orjson.OPT_APPEND_NEWLINE
    if sys.stdout.isatty():
        option |= orjson.OPT_INDENT_2
    sys.stdout.buffer.write(orjson.dumps(answer, option=option))
    sys.stdout.buffer.flush()


def _tell_unknown(unknown: Mapping[str, int]) -> None:
    from consumer.publish_lines import no_field

    for path, count in unknown.items():
        _tell(f"{no_field(path)}: left out of {count:,} event{'s' if count > 1 else ''}")


def _tell_remarks(remarks: Mapping[str, int], test_events: int) -> None:
    from consumer.prepare import TEST_EVENTS

    for remark, count in remarks.items():
        _tell(f"{remark}: {count:,} event{'s' if count > 1 else ''}")
    if test_events:
        _tell(f"{test_events:,} test events; {TEST_EVENTS}")


def _tell(sentence: str) -> None:
    typer.echo(f"conversions: {sentence}", err=True)

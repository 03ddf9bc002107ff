"""``conversions quality``: Meta's figures, our own events' match keys, or both sides' counts."""

from pathlib import Path
from typing import Annotated

import typer

from consumer.command_line import (
    Assignments,
    JsonOutput,
    SettingsFile,
    moment_ms,
    opened,
    refuse,
    refusing,
    settings_from,
)
from consumer.settings import SettingsError

HOURS_MAX = 7 * 24
"""Meta keeps its statistics for 7 days."""


def quality(
    *,
    destination: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this pixel; may be repeated.", show_default=False),
    ] = None,
    local: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Instead: the match keys of our own events, JSON Lines; - is stdin. Never "
            "connects to anything.",
            show_default=False,
        ),
    ] = None,
    reconcile: Annotated[
        bool,
        typer.Option(
            "--reconcile", help="Instead: what Meta accepted from us beside what it shows."
        ),
    ] = False,
    prometheus: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Prometheus, for --reconcile.", show_default=False),
    ] = None,
    selector: Annotated[
        str | None,
        typer.Option(
            metavar="MATCHERS",
            help="Which of our counters to --reconcile, such as 'namespace=\"shop\"'.",
            show_default=False,
        ),
    ] = None,
    hours: Annotated[
        int | None,
        typer.Option(
            help="Hours to --reconcile, 24 by default.", min=1, max=HOURS_MAX, show_default=False
        ),
    ] = None,
    now: Annotated[
        str | None,
        typer.Option(help="The time to judge and to count back from, ISO 8601 (default: now)."),
    ] = None,
    as_json: JsonOutput = False,
    settings_file: SettingsFile = None,
    assignments: Assignments = None,
) -> None:
    """Show Event Match Quality as Meta has it, or what our own events lack."""
    from consumer.destinations import DestinationsError
    from consumer.prometheus import PrometheusError
    from consumer.quality_report import Output, Span, run_local, run_quality, run_reconcile

    if local is not None and (reconcile or destination):
        refuse("--local asks nobody: leave --reconcile and --destination out")
    if reconcile and prometheus is None:
        refuse("--reconcile needs --prometheus URL, where our own counters are")
    if not reconcile and (prometheus or selector or hours):
        refuse("--prometheus, --selector and --hours are for --reconcile")
    settings = settings_from(settings_file, assignments)
    output = Output.JSON if as_json else Output.TABLE
    with refusing(DestinationsError, SettingsError, PrometheusError):
        if local is not None:
            with opened(local) as lines:
                code = run_local(settings, lines, now_ms=moment_ms(now), output=output)
        elif prometheus is not None:
            span = Span(now=moment_ms(now) / 1000, hours=hours or 24)
            code = run_reconcile(
                settings, destination, prometheus, selector or "", span, output=output
            )
        else:
            code = run_quality(settings, destination, output=output)
    raise typer.Exit(code)

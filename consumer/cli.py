"""The command line: ``conversions``. Reads the environment, builds the parts, hands them over.

Exit codes: 0 fine, 1 failed, 2 usage or configuration. An error is one clear sentence on stderr.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from consumer import __version__
from consumer.cli_destinations import app as destinations
from consumer.cli_dlq import app as dlq
from consumer.cli_plan import plan
from consumer.cli_quality import quality
from consumer.cli_rewind import rewind
from consumer.cli_run import run
from consumer.cli_send import send
from consumer.cli_skip import skip
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

app = typer.Typer(
    name="conversions",
    help="Avro conversion events from Kafka to Meta's Conversions API, and none lost.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(destinations, name="destinations")
app.add_typer(dlq, name="dlq")


def main() -> None:
    """The entry point."""
    try:
        app()
    except BrokenPipeError:
        # Whoever read our output has stopped; nothing is left to be said to them.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"conversions {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Avro conversion events from Kafka to Meta's Conversions API, and none lost."""


app.command()(run)


@app.command()
def preview(
    file: Annotated[
        Path | None, typer.Argument(help="JSON Lines of events; stdin by default.")
    ] = None,
    now: Annotated[
        str | None, typer.Option(help="The time to judge by, ISO 8601 (default: now).")
    ] = None,
    settings_file: SettingsFile = None,
    assignments: Assignments = None,
) -> None:
    """Show what Meta would get for each event of a file. Never connects to anything."""
    import orjson

    from consumer.assembly import preparation_from
    from consumer.destination_files import destinations_from
    from consumer.destinations import DestinationsError
    from consumer.preview import preview as preview_lines

    settings = settings_from(settings_file, assignments)
    with refusing(DestinationsError):
        destinations = destinations_from(settings)
    preparation = preparation_from(settings, destinations)
    now_ms = moment_ms(now)
    out = sys.stdout.buffer
    with opened(file) as lines:
        for answer in preview_lines(lines, preparation, now_ms=now_ms):
            out.write(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE))
    out.flush()


@app.command()
def publish(
    file: Annotated[Path, typer.Argument(help="JSON Lines of events; - is stdin.")],
    *,
    register: Annotated[
        bool, typer.Option("--register", help="Register the schema instead of looking it up.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Publish the good lines of a file with bad ones.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the file.")] = False,
    key: Annotated[
        str,
        typer.Option(help="Key: eventId, user.externalId, destinationId or none."),
    ] = "eventId",
    per_second: Annotated[
        float | None, typer.Option(help="Publish at most so many events a second.")
    ] = None,
    as_json: JsonOutput = False,
    settings_file: SettingsFile = None,
    assignments: Assignments = None,
) -> None:
    """Publish the events of a file as Avro; each is confirmed before exit code 0."""
    from consumer.kafka import KafkaRefuses
    from consumer.publish import PublishRefused, run_publish

    settings = settings_from(settings_file, assignments)
    if not dry_run:
        with refusing(SettingsError):
            settings.require_kafka()
    with opened(file) as lines, refusing(PublishRefused, KafkaRefuses):
        code = run_publish(
            settings,
            lines,
            register=register,
            skip_bad=skip_bad,
            dry_run=dry_run,
            key=key,
            per_second=per_second,
            as_json=as_json,
        )
    raise typer.Exit(code)


app.command()(send)


@app.command()
def check(
    as_json: JsonOutput = False,
    settings_file: SettingsFile = None,
    assignments: Assignments = None,
) -> None:
    """Check brokers, topics, schema, destinations and tokens: a verdict each, and what to do."""
    from consumer.check import run_check

    settings = settings_from(settings_file, assignments)
    raise typer.Exit(run_check(settings, as_json=as_json))


app.command()(quality)


app.command()(rewind)


app.command()(plan)


app.command()(skip)


@app.command()
def emulate(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)
    ] = 8080,
    pixel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID=TOKEN",
            help="A pixel and a token that may send to it; without any, every pixel and every "
            "token of 8 characters that does not contain 'invalid' is accepted.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve a strict stand-in for Meta's Graph API.

    It refuses what Meta refuses, keeps what it takes, and fails on demand: docs/emulator.md says
    what it covers. It needs no account, and nothing that is sent to it goes any further.
    """
    import time

    from consumer.emulator import Emulator, EmulatorConfig

    pixels: dict[str, set[str]] = {}
    for each in pixel or []:
        identity, equals, token = each.partition("=")
        if not (identity.isdecimal() and equals and token):
            refuse("--pixel must be ID=TOKEN, with the digits of a pixel's id")
        pixels.setdefault(identity, set()).add(token)
    config = EmulatorConfig(
        host=host,
        port=port,
        pixels={identity: frozenset(tokens) for identity, tokens in pixels.items()},
        clock=time.time,
    )
    with refusing(OSError):
        emulator = Emulator(config)
        emulator.start()
    typer.echo(f"the Graph API emulator listens on {emulator.url} (what it took: /_emulator/stats)")
    _until_told(emulator.serve_forever)
    emulator.stop()


@app.command()
def demo(
    events: Annotated[int, typer.Option(help="How many events to publish.", min=100)] = 3000,
    serve: Annotated[bool, typer.Option(help="Keep running afterwards, to look around.")] = False,
) -> None:
    """Show the whole product in one process: no account, no Docker."""
    from consumer.demo import run_demo

    raise typer.Exit(run_demo(events=events, serve=serve))


def _until_told(serve: Callable[[], None]) -> None:
    import signal

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        serve()
    except KeyboardInterrupt:
        return

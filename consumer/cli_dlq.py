"""``conversions dlq``: what lies in the dead-letter topic, and why; ``… replay`` sends it back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from consumer.cli_dlq_replay import replay
from consumer.cli_letter_filter import choosing
from consumer.command_line import (
    Assignments,
    JsonOutput,
    SettingsFile,
    moment_ms,
    refusing,
    settings_from,
)
from consumer.letter_filter import LetterFilter
from consumer.settings import Settings, SettingsError

app = typer.Typer(
    help="Dead letters: count them, list them, look at one, replay or export them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
@choosing
def stats(
    wanted: LetterFilter,
    now_ms: int,
    *,
    as_json: JsonOutput = False,
    settings_file: SettingsFile = None,
    assignments: Assignments = None,
) -> None:
    """Count dead letters by reason, pixel, event name, code and hour, and what can be replayed."""
    from consumer.dlq import run_stats

    settings = _settings(settings_file, assignments)
    with _reading():
        run_stats(settings, wanted, now_ms=now_ms, as_json=as_json)


@app.command("list")
@choosing
def list_letters(
    wanted: LetterFilter,
    now_ms: int,
    *,
    limit: Annotated[
        int | None, typer.Option(help="At most so many.", min=1, show_default=False)
    ] = None,
    newest: Annotated[
        bool, typer.Option("--newest", help="The newest first (100 unless --limit is given).")
    ] = False,
    as_json: JsonOutput = False,
    settings_file: SettingsFile = None,
    assignments: Assignments = None,
) -> None:
    """List dead letters, a line each; as JSON Lines with --json."""
    from consumer.dlq import run_list

    settings = _settings(settings_file, assignments)
    with _reading():
        run_list(settings, wanted, limit=limit, newest=newest, now_ms=now_ms, as_json=as_json)


@app.command()
def show(
    which: Annotated[
        str,
        typer.Argument(
            metavar="PLACE|ID", help="partition:offset as listed, a trace id or an event id."
        ),
    ],
    *,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show personal data in full, and all the bytes.")
    ] = False,
    now: Annotated[
        str | None, typer.Option(help="The time to judge by, ISO 8601 (default: now).")
    ] = None,
    as_json: JsonOutput = False,
    settings_file: SettingsFile = None,
    assignments: Assignments = None,
) -> None:
    """Show one dead letter: where from, what Meta said, what to do, the event."""
    from consumer.dlq import run_show
    from consumer.unsealing import unsealing

    settings, now_ms = _settings(settings_file, assignments), moment_ms(now)
    with _reading(), refusing(ValueError):  # a local schema or a key file that is none
        unseal = unsealing(settings)
        code = run_show(
            settings, which, reveal=reveal, now_ms=now_ms, as_json=as_json, unseal=unseal
        )
    raise typer.Exit(code)


@app.command()
@choosing
def export(
    wanted: LetterFilter,
    now_ms: int,
    *,
    limit: Annotated[
        int | None, typer.Option(help="At most so many.", min=1, show_default=False)
    ] = None,
    settings_file: SettingsFile = None,
    assignments: Assignments = None,
) -> None:
    """Write the events of dead letters as JSON Lines, to be edited and published again."""
    from consumer.dlq_export import ExportFailed, run_export
    from consumer.unsealing import unsealing

    settings = _settings(settings_file, assignments)
    try:
        with _reading(), refusing(ValueError):  # a local schema or a key file that is none
            unseal = unsealing(settings)
            run_export(settings, wanted, limit=limit, now_ms=now_ms, unseal=unseal)
    except ExportFailed as error:
        typer.echo(f"conversions: {error}", err=True)
        raise typer.Exit(1) from None


@contextmanager
def _reading() -> Iterator[None]:
    """What is in the way of reading the topic: its sentence, and the exit code."""
    from consumer.dead_letter_topic import TopicUnreadable
    from consumer.kafka_refusal import KafkaRefuses

    try:
        with refusing(KafkaRefuses):
            yield
    except TopicUnreadable as error:
        typer.echo(f"conversions: {error}", err=True)
        raise typer.Exit(1) from None


app.command()(replay)


def _settings(settings_file: Path | None, assignments: list[str] | None) -> Settings:
    settings = settings_from(settings_file, assignments)
    with refusing(SettingsError):
        settings.require_kafka()
    return settings

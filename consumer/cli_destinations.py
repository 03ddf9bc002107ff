"""``conversions destinations``: the pixels that the tokens reach; ``… resume`` ends a halt."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from consumer.command_line import (
    Assignments,
    JsonOutput,
    MemberPort,
    SettingsFile,
    member_port,
    refuse,
    refusing,
    settings_from,
)
from consumer.settings import Settings

app = typer.Typer(rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback(invoke_without_command=True)
def destinations(
    context: typer.Context,
    *,
    token_file: Annotated[
        Path | None,
        typer.Option(help="Ask with the token in this file instead of the configured ones."),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Make a destinations file of what is found."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Let --write replace a file that is there.")
    ] = False,
    as_json: JsonOutput = False,
    settings_file: SettingsFile = None,
    assignments: Assignments = None,
) -> None:
    """List every pixel that the tokens can reach, or resume a destination that is halted."""
    if context.invoked_subcommand is not None:
        if any((token_file, write, force, as_json, settings_file, assignments)):
            refuse(f"options of {context.invoked_subcommand} stand behind it")
        return
    settings = settings_from(settings_file, assignments)
    if write is not None and write.exists() and not force:
        refuse(f"{write} is there already; --force replaces it")
    raise typer.Exit(_list(settings, token_file, write, as_json=as_json, force=force))


@app.command()
def resume(
    destination: Annotated[str, typer.Argument(metavar="ID", help="The pixel's id.")],
    port: MemberPort = None,
    settings_file: SettingsFile = None,
    assignments: Assignments = None,
) -> None:
    """Have the member on this machine try a halted destination again, and dead-letter what the
    guard holds for it, now."""
    from consumer.model import PixelId
    from consumer.running_member import NobodyThere, RunningMember

    settings = settings_from(settings_file, assignments)
    if not (destination.isascii() and destination.isdecimal() and len(destination) <= 32):
        refuse("ID must be the digits of a pixel's id")
    member = RunningMember(host=settings.metrics_host, port=member_port(settings, port))
    try:
        status = member.resume(PixelId(destination))
    except NobodyThere as problem:
        _fail(f"no consumer answers at {member.address}: {problem}")
    if status != 202:
        _fail(f"{member.address} {_REFUSALS.get(status, f'does not take it (HTTP {status})')}")
    typer.echo(f"{member.address} tries pixel {destination} again; its log tells how it goes")


_REFUSALS = {
    403: "takes this from its own machine only: run it there (docker exec, kubectl exec)",
    404: "holds nothing for that pixel; other members of the group may",
    503: "has not come to what it was asked before; try again in a moment",
}


def _list(
    settings: Settings, token_file: Path | None, write: Path | None, *, as_json: bool, force: bool
) -> int:
    from consumer import stdout
    from consumer.assembly import reader_from
    from consumer.destinations import DestinationsError
    from consumer.destinations_listing import destinations_yaml, json_listing, text_listing
    from consumer.discovery import search
    from consumer.seekers import NoToken, seeker_of, seekers_from

    with refusing(DestinationsError, NoToken):
        seekers = seekers_from(settings) if token_file is None else seeker_of(token_file)
    reader = reader_from(settings, timeout_seconds=settings.request_timeout_seconds)
    with closing(reader), _progress() as under_way:
        found = search(seekers, reader=reader, graph_url=settings.graph_url, under_way=under_way)
    if as_json:
        stdout.write(json_listing(found))
    else:
        width, colour = stdout.width(), stdout.wants_colour()
        stdout.write(text_listing(found, width=width, colour=colour))
    if write is not None:
        _save(write, destinations_yaml(found), force=force)
    return 0 if found.pixels else 1


def _save(file: Path, text: str, *, force: bool) -> None:
    from consumer.destination_files import write_destinations

    if not text:
        _fail(f"{file} is not written: there is no pixel to put into it")
    with refusing(OSError):
        count = write_destinations(file, text, replace=force)
    typer.echo(f"{file} has {count} destinations; fill in what is commented out", err=True)


@contextmanager
def _progress() -> Iterator[Callable[[str, int], None]]:
    """A line on stderr that says what is asked, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda path, pixels: None
        return
    from rich.console import Console

    with Console(stderr=True).status("asking Meta") as status:
        yield lambda path, pixels: status.update(f"asking Meta: {path} ({pixels} pixels so far)")


def _fail(sentence: str) -> NoReturn:
    typer.echo(f"conversions: {sentence}", err=True)
    raise typer.Exit(1)

"""What every command shares: its options, its settings, and how it says that it cannot go on.

Exit code 2 is usage or configuration: one clear sentence on stderr each.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NoReturn

import typer

from consumer.iso_time import ms_of_iso
from consumer.settings import Settings, SettingsError, load_settings

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="YAML file with settings.", show_default=False)
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="NAME=VALUE",
        help="Set any setting by its variable's name; wins over the environment.",
        show_default=False,
    ),
]
JsonOutput = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
MemberPort = Annotated[
    int | None,
    typer.Option(
        "--port",
        help="Port of the member's metrics (default: CONVERSIONS_METRICS_PORT).",
        min=1,
        max=65535,
    ),
]


def settings_from(settings_file: Path | None, assignments: list[str] | None) -> Settings:
    """The settings of a command; leaves with exit code 2 when they cannot be."""
    overrides: dict[str, Any] = {"settings_file": settings_file}
    for assignment in assignments or []:
        name, equals, value = assignment.partition("=")
        if not equals:
            refuse(f"--set {name}: must be NAME=VALUE")
        overrides[name] = value
    with refusing(SettingsError):
        return load_settings(os.environ, overrides)
    raise AssertionError("unreachable: refusing leaves")


def member_port(settings: Settings, port: int | None) -> int:
    """Where the member on this machine listens; leaves with exit code 2 when that is not known."""
    asked = settings.metrics_port if port is None else port
    if asked == 0:
        refuse("CONVERSIONS_METRICS_PORT is 0, any port: tell with --port which one it became")
    return asked


def moment_ms(now: str | None) -> int:
    """``--now`` as wall-clock milliseconds; the present when it is not given."""
    if now is None:
        return time.time_ns() // 1_000_000
    if (found := ms_of_iso(now)) is None:
        refuse("--now must be ISO 8601, such as 2026-11-22T12:00:00Z")
    return found


@contextmanager
def opened(file: Path | None) -> Iterator[BinaryIO]:
    """The file of a command, or stdin."""
    if file is None or str(file) == "-":
        yield sys.stdin.buffer
        return
    with refusing(OSError):
        stream = file.open("rb")
    with stream:
        yield stream


@contextmanager
def refusing(*kinds: type[Exception]) -> Iterator[None]:
    """What is wrong with usage or configuration: its sentences on stderr, exit code 2."""
    try:
        yield
    except kinds as error:
        if isinstance(error, OSError) and error.strerror:
            where = f"{error.filename}: " if error.filename else ""
            refuse(f"{where}{error.strerror}")
        refuse(str(error))


def refuse(sentences: str) -> NoReturn:
    """Each line on stderr, then exit code 2."""
    for sentence in sentences.splitlines():
        typer.echo(f"conversions: {sentence}", err=True)
    raise typer.Exit(2)

"""Tables and bars for a terminal of some width; colours and block characters if it has them."""

from io import StringIO
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from consumer.finding import printable

UNKNOWN = "–"
BAR_LENGTH = 20


class Look(NamedTuple):
    """What the terminal can do: its columns, and whether it has colours and block characters."""

    columns: int
    colour: bool
    blocks: bool


def paragraph(text: str, look: Look) -> str:
    """A sentence or more, in lines that fit."""
    return styled(text, "", look)


def styled(text: str, style: str, look: Look) -> str:
    """The same in a style of rich's."""
    console = _console(look)
    console.print(Text(printable(text), style=style), soft_wrap=False)
    return _written(console)


def new_table(look: Look) -> Table:
    """A table without a frame."""
    box = SIMPLE_HEAD if look.blocks else None
    return Table(box=box, pad_edge=False, show_edge=False, highlight=False)


def rendered(title: str, table: Table, look: Look) -> str:
    """The table below its title, and an empty line."""
    return f"{styled(title, 'bold', look)}{text_of(table, look)}\n"


def text_of(table: Table, look: Look) -> str:
    """The table alone."""
    console = _console(look)
    console.print(table)
    return _written(console)


def bar(share: float, look: Look, *, length: int = BAR_LENGTH) -> str:
    """A bar of which ``share`` (0 to 1) is filled."""
    filled = round(min(max(share, 0.0), 1.0) * length)
    full, empty = ("█", "░") if look.blocks else ("#", ".")
    return full * filled + empty * (length - filled)


def counted(count: int, noun: str) -> str:
    """``1 event``, ``2 events``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _console(look: Look) -> Console:
    return Console(
        file=StringIO(),
        width=look.columns,
        force_terminal=look.colour,
        no_color=not look.colour,
        color_system="standard" if look.colour else None,
        markup=False,
        highlight=False,
        emoji=False,
    )


def _written(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())

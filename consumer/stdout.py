"""Stdout, and whoever reads it: a terminal of some width, or a program behind a pipe."""

import os
import shutil
import sys

from consumer.text_tables import Look

PIPE_WIDTH = 200


def write(text: str) -> None:
    """Print. A pixel may be named in letters that the terminal has not."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def wants_colour() -> bool:
    """Whether stdout shows colours, and its owner has not declined them."""
    # Not a setting of ours: a word of the terminal's owner to every program.
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def width() -> int:
    """Columns of stdout; a pipe has more than any line of ours."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_WIDTH


def look(*, pipe_columns: int) -> Look:
    """What stdout can show; a pipe is taken to be ``pipe_columns`` wide."""
    terminal = sys.stdout.isatty()
    columns = shutil.get_terminal_size((pipe_columns, 0)).columns if terminal else pipe_columns
    return Look(columns=columns, colour=wants_colour(), blocks=_can_write("█░─"))


def _can_write(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True

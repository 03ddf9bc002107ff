"""The person in front of the terminal: what they see of a long command, and how they stop it."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

SPOOL_BYTES = 8 * 1024 * 1024
"""What of standard input is kept in memory; beyond it goes to a file that only we can read."""


@contextmanager
def seekable(lines: IO[bytes]) -> Iterator[IO[bytes]]:
    """The same lines in something that can be read twice, and that nobody has to wait for."""
    if lines.seekable():
        yield lines
        return
    with SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
        copyfileobj(lines, spool)
        spool.seek(0)
        yield spool


class Advance(Protocol):
    """How many are done; and of how many, once that is known or when it changes."""

    def __call__(self, done: int, total: int | None = None) -> None: ...


@contextmanager
def progress_bar(what: str, total: int | None, *, shown: bool = True) -> Iterator[Advance]:
    """A progress bar on stderr, if that is a terminal."""
    if not (shown and sys.stderr.isatty()):
        yield lambda done, total=None: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate())
    bar = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda done, total=None: bar.update(task, completed=done, total=total)


class _Rate(ProgressColumn):
    """How many a second, over the last while."""

    def render(self, task: Task) -> Text:
        """Empty until it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "")


class Bars:
    """Progress bars one after the other, each from its first news on."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._what: str | None = None
        self._advance: Advance | None = None

    def __repr__(self) -> str:
        return f"<Bars: {self._what}>"

    def __enter__(self) -> "Bars":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def show(self, what: str, done: int, total: int) -> None:
        """So many are done; of another thing than before it is another bar."""
        if self._advance is None or what != self._what:
            self._open.close()
            self._what = what
            self._advance = self._open.enter_context(progress_bar(what, total))
        self._advance(done, total)


@contextmanager
def told_to_stop() -> Iterator[list[int]]:
    """The SIGINT and SIGTERM that came: they interrupt nothing, so that what is out can be counted.

    An exception out of a signal could leave an answer half counted, and librdkafka's client turns
    one that it meets in ``poll`` into a SystemError.
    """
    signals: list[int] = []
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(each) not in (None, signal.SIG_IGN):
                before[each] = signal.signal(each, lambda number, _: signals.append(number))
    try:
        yield signals
    finally:
        for each, earlier in before.items():
            signal.signal(each, earlier)

"""What nobody catches ends as a log line like any other, and says nothing of anybody.

Frames are told by file, line and function. Of an exception's text, which may quote what it stumbled
over, the quoted parts, words with ``@`` and runs of digits are masked, as in Meta's texts.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from traceback import extract_tb
from types import TracebackType
from typing import Any, Protocol

from consumer.judge import mask

CHAIN_MAX = 10


class Log(Protocol):
    """A structured logger; see ``seams.Log``."""

    def error(self, event: str, **facts: Any) -> Any: ...


def tell_uncaught(log: Log) -> None:
    """From now on whatever nobody catches is told to this log: on the main thread, which ends the
    process, on any other, and where Python cannot raise; so are Python's own warnings."""

    def ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, Exception):
            sys.__excepthook__(kind, error, trace)
            return
        log.error("ended by an exception that nobody expected", **_facts(kind, error, trace))

    def thread_ended(found: threading.ExceptHookArgs) -> None:
        facts = _facts(found.exc_type, found.exc_value, found.exc_traceback)
        thread = found.thread.name if found.thread else None
        log.error("a thread ended by an exception that nobody expected", thread=thread, **facts)

    def could_not_raise(found: "sys.UnraisableHookArgs") -> None:
        facts = _facts(found.exc_type, found.exc_value, found.exc_traceback)
        log.error("an exception that nobody could be told of", **facts)

    sys.excepthook, threading.excepthook = ended, thread_ended
    sys.unraisablehook = could_not_raise
    logging.captureWarnings(True)


def told_exception(
    exc_info: tuple[type[BaseException], BaseException | None, TracebackType | None],
) -> str:
    """An exception as text, its causes first; for ``structlog``'s renderers."""
    return "\n".join(_lines(*exc_info))


def _facts(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> dict[str, str]:
    return {"kind": kind.__name__, "exception": told_exception((kind, error, trace))}


def _lines(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> Iterator[str]:
    causes = list(_causes(error))
    for cause in reversed(causes):
        yield from _one(type(cause), cause, cause.__traceback__)
    yield from _one(kind, error, trace)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = {id(error)}
    for _ in range(CHAIN_MAX):
        if error is None:
            return
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if error is None or id(error) in seen:
            return
        seen.add(id(error))
        yield error


def _one(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> Iterator[str]:
    for frame in extract_tb(trace):
        yield f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
    yield f"{kind.__name__}: {mask(str(error))}"

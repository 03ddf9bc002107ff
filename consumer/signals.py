"""SIGTERM and SIGINT, heard by a thread of their own.

Python runs a signal's function between two steps of the main thread, and that may be inside a call
of librdkafka for as long as no broker answers. The interpreter's own C code, however, writes each
signal's number at once where ``set_wakeup_fd`` says.
"""

import os
import select
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

HEARD = (signal.SIGTERM, signal.SIGINT)


def heed_signals(
    stop: Callable[[], None], *, seconds_max: float, last_words: Callable[[str], bytes]
) -> None:
    """The first signal calls ``stop``, on another thread than the main one. A second one, or
    ``seconds_max`` after the first, ends the process at once, whatever it is doing: exit code 1.
    ``last_words`` makes of why a line for stderr.
    """
    hearing, telling = socket.socketpair()
    telling.setblocking(False)
    for each in HEARD:
        signal.signal(each, _nothing)
    # Detached, or the end of this function would close it.
    signal.set_wakeup_fd(telling.detach(), warn_on_full_buffer=False)
    arguments = (hearing, stop, seconds_max, last_words)
    threading.Thread(target=_hear, args=arguments, name="signals", daemon=True).start()


def _nothing(_: int, __: FrameType | None) -> None:
    """Without a function of Python's the signal would not be written."""


def _hear(
    hearing: socket.socket,
    stop: Callable[[], None],
    seconds_max: float,
    last_words: Callable[[str], bytes],
) -> None:
    first = _next(hearing, None)
    stop()
    second = _next(hearing, seconds_max)
    why = f"{second} again" if second else f"not done {seconds_max:g} s after {first}"
    os.write(2, last_words(why))
    os._exit(1)


def _next(hearing: socket.socket, seconds: float | None) -> str | None:
    ready, _, _ = select.select([hearing], [], [], seconds)
    return signal.Signals(hearing.recv(1)[0]).name if ready else None

"""Log lines: JSON in production, coloured columns on a terminal. One set-up for all libraries.

Every line of JSON begins with ``time``, ``level``, ``event`` and ``member``; ``docs/logs.md`` lists
them all.
"""

import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson
import structlog

from consumer.uncaught import told_exception

ENDING_AT_ONCE = "ending at once; what is open stays uncommitted"

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_FIRST = ("time", "level", "event", "member")

Line = MutableMapping[str, Any]


def member_name(kafka: Mapping[str, Any]) -> str:
    """What tells this member from the group's others: the name of a static one, or its host (and
    its process, where that is not the only one), behind its client id if it has one."""
    static, client = kafka.get("group.instance.id"), kafka.get("client.id")
    if static:
        return str(static)
    process = "" if os.getpid() == 1 else f":{os.getpid()}"
    return f"{f'{client}/' if client else ''}{socket.gethostname()}{process}"


def configure_logs(
    *, level: str, log_format: str, stream: TextIO | None = None, member: str | None = None
) -> structlog.stdlib.BoundLogger:
    """Set up logging to ``stream`` (stderr by default) and return the product's logger."""
    out = stream if stream is not None else sys.stderr
    exceptions = structlog.processors.ExceptionRenderer(told_exception)
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                exceptions,
                *_rendering(out, for_people=_is_for_people(log_format, out), member=member),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for chatty in ("httpx", "httpcore", "httpx2", "httpcore2", "urllib3"):
        # Their lines hold whole URLs, at every request.
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("librdkafka").addFilter(_is_news)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            exceptions,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("conversions")
    return logger


def last_words(why: str, *, log_format: str, member: str) -> bytes:
    """The line of a process that is ended by force. Logging has locks, which a thread that hangs
    may hold: so this goes to stderr by itself."""
    if _is_for_people(log_format, sys.stderr):
        return f"{ENDING_AT_ONCE}: {why}\n".encode()
    time = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    line = {"time": time, "level": "error", "event": ENDING_AT_ONCE, "member": member, "why": why}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _is_for_people(log_format: str, out: TextIO) -> bool:
    return log_format == "console" or (log_format == "auto" and out.isatty())


def _is_news(record: logging.LogRecord) -> bool:
    """librdkafka writes a line at every attempt to connect, 20 a second. The same comes as an
    error to the client's callback, and is told once from there. So does that there is no token
    (OIDC), where the line quotes the identity provider, who may quote our secret."""
    return not record.getMessage().startswith(("FAIL", "ERROR", "OIDC"))


def _rendering(
    out: TextIO, *, for_people: bool, member: str | None
) -> list[Callable[[Any, str, Line], Any]]:
    if for_people:
        plain = structlog.dev.plain_traceback  # the other one shows the values of locals
        return [
            structlog.dev.ConsoleRenderer(
                colors=out.isatty(), timestamp_key="time", exception_formatter=plain
            )
        ]

    def in_order(_: Any, __: str, line: Line) -> Line:
        if member is not None:
            line["member"] = member
        return {name: line.pop(name) for name in _FIRST if name in line} | dict(line)

    return [in_order, structlog.processors.JSONRenderer()]

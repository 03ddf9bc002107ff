"""Log lines: JSON in production, coloured columns on a terminal. One set-up for all libraries."""

import logging
import sys
from typing import Any, TextIO

import structlog

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def _is_news(record: logging.LogRecord) -> bool:
    """librdkafka writes a line at every attempt to connect, 20 a second. The same comes as an
    error to the client's callback, and is told once from there."""
    return not record.getMessage().startswith(("FAIL", "ERROR"))


def configure_logs(
    *, level: str, log_format: str, stream: TextIO | None = None
) -> structlog.stdlib.BoundLogger:
    """Set up logging to ``stream`` (stderr by default) and return the product's logger."""
    out = stream if stream is not None else sys.stderr
    console = log_format == "console" or (log_format == "auto" and out.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    rendering: list[Any] = (
        [structlog.dev.ConsoleRenderer(colors=out.isatty())]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
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
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("conversions")
    return logger

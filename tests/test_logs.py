"""Log lines: one JSON object each in production, plain columns for people, no secrets of others."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from consumer.logs import configure_logs


class Terminal(io.StringIO):
    """A stream that people look at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Logging is the process's own: what a test sets up is taken back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Every line must be one JSON object."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_time_and_level() -> None:
    stream = io.StringIO()

    configure_logs(level="info", log_format="json", stream=stream).info(
        "batch delivered", events=1000, destination="1"
    )

    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "batch delivered",
        "level": "info",
        "events": 1000,
        "destination": "1",
    }


def test_lines_of_libraries_look_like_ours() -> None:
    stream = io.StringIO()
    configure_logs(level="info", log_format="json", stream=stream)

    logging.getLogger("librdkafka").error("broker %s is gone", "b1")

    (line,) = lines(stream)
    assert (line["event"], line["level"]) == ("broker b1 is gone", "error")
    assert "time" in line


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_less_important_lines_are_left_out_whoever_writes_them(
    level: str, written: list[str]
) -> None:
    stream = io.StringIO()
    log = configure_logs(level=level, log_format="json", stream=stream)

    for each in ("debug", "info", "warning", "error"):
        getattr(log, each)("ours")
        getattr(logging.getLogger("theirs"), each)("theirs")

    assert [line["level"] for line in lines(stream)] == [each for each in written for _ in range(2)]


@pytest.mark.parametrize("name", ["httpx", "httpcore", "httpx2", "httpcore2", "urllib3"])
def test_http_libraries_do_not_tell_their_urls_even_at_debug(name: str) -> None:
    stream = io.StringIO()
    configure_logs(level="debug", log_format="json", stream=stream)

    logging.getLogger(f"{name}.connection").info("GET https://user:secret@registry/")
    logging.getLogger(name).debug("GET https://user:secret@registry/")
    logging.getLogger(name).warning("a warning")

    assert [line["event"] for line in lines(stream)] == ["a warning"]


def test_an_exception_is_a_field_and_not_more_lines() -> None:
    stream = io.StringIO()
    log = configure_logs(level="info", log_format="json", stream=stream)

    try:
        int("why")
    except ValueError:
        log.exception("it broke")

    (line,) = lines(stream)
    assert line["event"] == "it broke"
    assert "ValueError: invalid literal" in line["exception"]


def test_an_exception_that_a_library_logs_is_a_field_too() -> None:
    stream = io.StringIO()
    configure_logs(level="info", log_format="json", stream=stream)

    try:
        int("why")
    except ValueError:
        logging.getLogger("theirs").exception("it broke")

    (line,) = lines(stream)
    assert (line["event"], line["level"]) == ("it broke", "error")
    assert "ValueError: invalid literal" in line["exception"]


def test_for_people_lines_are_columns_and_coloured_on_a_terminal_only() -> None:
    plain, terminal = io.StringIO(), Terminal()

    configure_logs(level="info", log_format="console", stream=plain).info("hello", events=3)
    configure_logs(level="info", log_format="auto", stream=terminal).info("hello", events=3)

    assert "hello" in plain.getvalue()
    assert "events=3" in plain.getvalue()
    assert "\x1b" not in plain.getvalue()
    assert "\x1b" in terminal.getvalue()
    assert not plain.getvalue().startswith("{")


@pytest.mark.parametrize(("log_format", "tty"), [("auto", False), ("json", True), ("json", False)])
def test_what_nobody_looks_at_is_json(log_format: str, tty: bool) -> None:
    stream = Terminal() if tty else io.StringIO()

    configure_logs(level="info", log_format=log_format, stream=stream).info("hello")

    assert lines(stream)[0]["event"] == "hello"


def test_setting_up_twice_writes_each_line_once_and_to_the_newest_stream() -> None:
    first, second = io.StringIO(), io.StringIO()
    old = configure_logs(level="info", log_format="json", stream=first)
    new = configure_logs(level="info", log_format="json", stream=second)

    old.info("one")
    new.info("two")

    assert first.getvalue() == ""
    assert [line["event"] for line in lines(second)] == ["one", "two"]


def test_without_a_stream_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="info", log_format="json").info("hello")

    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err)["event"] == "hello"
    assert sys.stderr is not None

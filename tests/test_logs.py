"""Log lines: one JSON object each in production, plain columns for people, no secrets of others.

Also the last ones: what nobody catches, and a process that is ended by force.
"""

import io
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from consumer.logs import ENDING_AT_ONCE, configure_logs, last_words, member_name


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


def test_what_an_identity_provider_answered_is_in_no_line_of_librdkafkas() -> None:
    stream = io.StringIO()
    configure_logs(level="debug", log_format="json", stream=stream)

    answer = "OIDC [thrd:background]: Failed to retrieve OIDC token: canary-secret (401)"
    logging.getLogger("librdkafka").error(answer)

    assert lines(stream) == []


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


def test_a_line_begins_with_what_every_line_has() -> None:
    stream = io.StringIO()

    configure_logs(level="info", log_format="json", stream=stream, member="m1").info(
        "batch delivered", events=1000
    )
    logging.getLogger("librdkafka").warning("theirs")

    ours, theirs = lines(stream)
    assert list(ours) == ["time", "level", "event", "member", "events"]
    assert list(theirs) == ["time", "level", "event", "member", "logger"]
    assert (ours["member"], theirs["logger"]) == ("m1", "librdkafka")


def test_a_member_is_called_by_what_tells_it_from_the_others() -> None:
    here = f"{socket.gethostname()}:{os.getpid()}"

    assert member_name({}) == here
    assert member_name({"client.id": "shop"}) == f"shop/{here}"
    assert member_name({"client.id": "shop", "group.instance.id": "pod-0"}) == "pod-0"


EMAIL = "canary.bird@cage.example"


def break_on(local: str) -> None:
    try:
        int(f"'{local}'")
    except ValueError as error:
        raise KeyError(local) from error


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_an_exception_shows_frames_and_no_values(log_format: str, whose: str) -> None:
    stream = io.StringIO()
    log = configure_logs(level="info", log_format=log_format, stream=stream)
    say: Any = log if whose == "ours" else logging.getLogger("theirs")

    try:
        break_on(EMAIL)
    except KeyError:
        say.exception("it broke")

    said = stream.getvalue()
    assert "it broke" in said
    assert "break_on" in said
    assert "ValueError: invalid literal" in said
    assert "KeyError: …" in said or r"KeyError: \u2026" in said
    assert "canary" not in said


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


# --- the last lines -------------------------------------------------------------------------------

UNCAUGHT = """
import sys, threading
from consumer.logs import configure_logs
from consumer.uncaught import tell_uncaught

log = configure_logs(level="info", log_format=sys.argv[1], member="m1")
tell_uncaught(log)

def broken(email):
    raise ValueError(f"'{email}' is no number, says {email}")

class Grave:
    def __del__(self):
        broken("canary.bird@cage.example")

thread = threading.Thread(target=broken, args=("canary.bird@cage.example",), name="sender-1")
thread.start()
thread.join()
import warnings
warnings.warn("an old way", stacklevel=1)
grave = Grave()
del grave
broken("canary.bird@cage.example")
"""


def test_what_nobody_catches_is_a_log_line_and_the_last_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNCAUGHT, "json"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "canary" not in done.stderr
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in told if line["level"] == "error"] == [
        "a thread ended by an exception that nobody expected",
        "an exception that nobody could be told of",
        "ended by an exception that nobody expected",
    ]
    assert told[0]["thread"] == "sender-1"
    last = told[-1]
    assert (last["member"], last["kind"]) == ("m1", "ValueError")
    assert last["exception"].endswith("broken\nValueError: … is no number, says …")
    assert ["an old way" in line["event"] for line in told if line["level"] == "warning"] == [True]


def test_an_interrupt_is_no_exception_that_nobody_expected() -> None:
    script = UNCAUGHT.replace("raise ValueError(", "raise KeyboardInterrupt(")

    done = subprocess.run(
        [sys.executable, "-c", script.partition("thread =")[0] + "broken('x')", "json"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "nobody expected" not in done.stderr


def test_an_end_by_force_has_a_line_like_any_other() -> None:
    said = last_words("SIGTERM again", log_format="json", member="m1")

    line = json.loads(said)
    assert list(line) == ["time", "level", "event", "member", "why"]
    assert (line["event"], line["why"]) == (ENDING_AT_ONCE, "SIGTERM again")
    assert line["time"].endswith("Z")
    assert said.endswith(b"}\n")
    plain = last_words("SIGTERM again", log_format="console", member="m1")
    assert plain == f"{ENDING_AT_ONCE}: SIGTERM again\n".encode()

"""SIGTERM and SIGINT, in a process of its own: heard even where the main thread hears nothing."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

PATIENCE_SECONDS = 60.0

BLOCKED = """
import ctypes, sys, threading
from consumer.signals import heed_signals

def told():
    print("told to stop", flush=True)

words = lambda why: f"the end: {why}\\n".encode()
heed_signals(told, seconds_max=float(sys.argv[1]), last_words=words)
print("ready", flush=True)
# A second lock of one mutex never returns, and no signal is seen in there.
libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(256)
libc.pthread_mutex_lock(mutex)
libc.pthread_mutex_lock(mutex)
"""

ENDING = """
import threading
from consumer.signals import heed_signals

stopping = threading.Event()
heed_signals(stopping.set, seconds_max=600.0, last_words=str.encode)
print("ready", flush=True)
stopping.wait()
"""


@contextmanager
def running(script: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", script, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        # Whoever waits for a line that never comes reads the end of the output instead.
        patience = threading.Timer(PATIENCE_SECONDS, process.kill)
        patience.start()
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            patience.cancel()
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_stops_and_a_second_one_ends_even_a_main_thread_that_hears_nothing(
    number: signal.Signals,
) -> None:
    with running(BLOCKED, "600") as process:
        process.send_signal(number)
        assert process.stdout
        assert process.stdout.readline() == "told to stop\n"

        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 1
    assert err == f"the end: {number.name} again\n"


def test_an_end_that_does_not_come_is_made() -> None:
    with running(BLOCKED, "0.2") as process:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)

    assert (process.returncode, out) == (1, "told to stop\n")
    assert err == "the end: not done 0.2 s after SIGTERM\n"


def test_a_process_that_ends_by_itself_is_let() -> None:
    with running(ENDING) as process:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)

    assert (process.returncode, out, err) == (0, "", "")

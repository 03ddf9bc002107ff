"""Tests against the real Kafka, the real registry and the product as its own process.

Here is what they share: the product run as a process, the numbers on its metrics port, a child
process that never outlives the test session, and waiting with a limit.
"""

import atexit
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

POLL_SECONDS = 0.05
KILL_SECONDS_MAX = 30.0
TAIL_LINES = 40
ANSWER_SECONDS_MAX = 5.0
# Below the ports that the system gives to outgoing connections: a client that keeps knocking at a
# broker which is down could otherwise be given the broker's own port, and even connect to itself.
PORTS = range(20_000, 32_000)

# Runs before the command, in its process: from then on the kernel kills it when we are gone.
_LAUNCHER = """
import ctypes, os, signal, sys
parent, command = int(sys.argv[1]), sys.argv[2:]
if sys.platform == "linux":
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the test session ended before this process began")
os.execv(command[0], command)
"""


class Child:
    """A process of this test session: own process group, output in one file, never left behind.

    Whatever happens it ends: with the fixture that started it, at the exit of the interpreter,
    after Ctrl-C (which reaches us, not its group), and, on Linux, by the kernel when we are
    killed. The kernel ties that to the *thread* that starts the child: only the main one may.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log_path: Path,
        cwd: Path,
        env: Mapping[str, str] | None,
    ) -> None:
        assert threading.current_thread() is threading.main_thread(), "start it in the main thread"
        self.log_path = log_path
        launch = (sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()))
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*launch, *command],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def output(self) -> str:
        """All that it wrote so far, standard output and error in the order of writing."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def tail(self) -> str:
        """The last lines of its output, for the text of a failure."""
        return "\n".join(self.output().splitlines()[-TAIL_LINES:])

    def wait_for_line(self, substring: str, timeout: float) -> str:
        """The first whole line that contains ``substring``, within ``timeout`` seconds.

        Raises TimeoutError, or AssertionError as soon as the process ended without it.
        """
        self.wait_until(lambda: self._line_with(substring) is not None, timeout, repr(substring))
        line = self._line_with(substring)
        assert line is not None
        return line

    def wait_until(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait for something that this process brings about; errors as in ``wait_for_line``."""
        deadline = time.monotonic() + timeout
        while True:
            # Asked in this order: what it did in its last moment still counts.
            ended = not self.alive
            if condition():
                return
            if ended:
                code = self._process.returncode
                raise AssertionError(f"ended with {code} before {what}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {what} within {timeout} s:\n{self.tail()}")
            time.sleep(POLL_SECONDS)

    def wait(self, timeout: float) -> int:
        """The exit code (negative: the signal that ended it), within ``timeout`` seconds."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"still running after {timeout} s:\n{self.tail()}") from None
        atexit.unregister(self.kill)
        return code

    def terminate(self) -> None:
        """SIGTERM, as Kubernetes sends it; does not wait."""
        self._process.terminate()

    def interrupt(self) -> None:
        """SIGINT, as Ctrl-C sends it; does not wait."""
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL, which also ends a paused process; returns when it is gone."""
        self._process.kill()
        self.wait(KILL_SECONDS_MAX)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT, after ``pause``."""
        self._process.send_signal(signal.SIGCONT)

    def _line_with(self, substring: str) -> str | None:
        for line in self.output().splitlines(keepends=True):
            if substring in line and line.endswith("\n"):
                return line.rstrip("\r\n")
        return None


class Metrics(NamedTuple):
    """What a metrics port showed at one moment."""

    samples: tuple[Sample, ...]

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of the samples of that name with at least these labels; None if there are none.

        The name is the sample's own, as the page has it (``…_total``, ``…_count``).
        """
        found = [
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(found) if found else None


class Running(Child):
    """The product as its own process."""

    def metrics(self, port: int) -> Metrics:
        """What its metrics port on 127.0.0.1 shows now; httpx.TransportError if nobody listens."""
        page = httpx.get(
            f"http://127.0.0.1:{port}/metrics", timeout=ANSWER_SECONDS_MAX, trust_env=False
        )
        page.raise_for_status()
        families = text_string_to_metric_families(page.text)
        return Metrics(tuple(sample for family in families for sample in family.samples))


class Product:
    """Starts the product with exactly the environment that a test gives, and ends what it started.

    Of ours it inherits PATH, HOME and LANG: no setting of the person who runs the tests gets in.
    """

    def __init__(self, *, command: Sequence[str | Path], folder: Path) -> None:
        self._command = command
        self._folder = folder
        self._started: list[Running] = []

    def run(self, *args: str, env: Mapping[str, str]) -> Running:
        """``conversions`` with these arguments, in the folder of the test; returns at once."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        inherited["LANG"] = os.environ.get("LANG", "C.UTF-8")
        running = Running(
            [*self._command, *args],
            log_path=self._folder / f"product-{len(self._started) + 1}.log",
            cwd=self._folder,
            env=inherited | dict(env),
        )
        self._started.append(running)
        return running

    def close(self) -> None:
        """End what still runs, and show the output, which pytest prints when the test failed."""
        for running in self._started:
            running.kill()
            sys.stdout.write(f"--- {running.log_path.name} ---\n{running.tail()}\n")


def free_ports(count: int) -> tuple[int, ...]:
    """Different ports of 127.0.0.1 that nobody listens on."""
    found: list[int] = []
    candidates = random.SystemRandom().sample(PORTS, k=200)
    while len(found) < count:
        port = candidates.pop()
        with socket.socket() as probe:
            # As servers do it: what lingers of an ended connection does not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return tuple(found)

"""Threads that post one request each and judge its answer, so that the loop never waits for Meta.

They share nothing with the loop but two queues. Threads are started when they are needed and are
daemons: one that hangs cannot keep the process from ending.
"""

import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic
from typing import NamedTuple

from consumer.judge import Posted
from consumer.model import Request, Retry, RetryCause, Verdict
from consumer.usage import Usage

Post = Callable[[Request], Posted]


class Answer(NamedTuple):
    """A judged answer; ``seconds`` is how long the request took.

    ``bug`` names the kind of an exception that posting should never have raised; ``usage``,
    ``version_warning`` and ``status`` are those of ``judge.Posted``.
    """

    request: Request
    verdict: Verdict
    seconds: float
    bug: str | None
    usage: tuple[Usage, ...] = ()
    version_warning: str | None = None
    status: int | None = None


class Senders:
    """At most ``threads_max`` threads, each calling ``post`` for one request at a time."""

    def __init__(self, *, post: Post, threads_max: int, give_up_seconds: float) -> None:
        """A request that a thread has had for longer than ``give_up_seconds`` is answered here: a
        peer that drips its answer byte by byte may hold the thread, but not the request."""
        self._post = post
        self._give_up_seconds = give_up_seconds
        self._started: dict[str, tuple[Request, float]] = {}
        self._threads_max = threads_max
        self._threads = 0
        self._out = 0
        self._held = 0  # threads whose request was given up
        self._requests: SimpleQueue[Request | None] = SimpleQueue()
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        self._arrived: deque[Answer] = deque()

    def __repr__(self) -> str:
        return f"<Senders {self._out} requests out, {self._threads} threads>"

    def submit(self, request: Request) -> None:
        """Hand a request over; its answer comes with ``answers``."""
        self._out += 1
        if self._out + self._held > self._threads and self._threads < self._threads_max:
            self._threads += 1
            name = f"sender-{self._threads}"
            threading.Thread(target=self._work, name=name, daemon=True).start()
        self._started[request.request_id] = (request, monotonic())
        self._requests.put(request)

    def answers(self) -> list[Answer]:
        """Everything that has come back since the last call."""
        while True:
            try:
                self._arrived.append(self._answers.get_nowait())
            except Empty:
                break
        arrived: list[Answer] = []
        for answer in self._arrived:
            if self._started.pop(answer.request.request_id, None) is None:
                self._held -= 1  # it was given up, and its thread is free again
            else:
                arrived.append(answer)
        self._arrived.clear()
        arrived += self._given_up()
        self._out -= len(arrived)
        return arrived

    def wait(self, seconds: float) -> None:
        """Return when an answer is there, or after this long."""
        try:
            self._arrived.append(self._answers.get(timeout=seconds))
        except Empty:
            return

    def stop(self) -> None:
        """Let idle threads end; one that waits for Meta is left behind."""
        for _ in range(self._threads):
            self._requests.put(None)

    def _given_up(self) -> list[Answer]:
        now = monotonic()
        given_up: list[Answer] = []
        for request_id, (request, started_at) in list(self._started.items()):
            if now - started_at > self._give_up_seconds:
                del self._started[request_id]
                self._held += 1
                verdict = Retry(RetryCause.TIMEOUT, None, reached_meta=True)
                given_up.append(Answer(request, verdict, now - started_at, None))
        return given_up

    def _work(self) -> None:
        while (request := self._requests.get()) is not None:
            if request.request_id not in self._started:
                # Given up before its turn came: it may be under way again, and is not sent.
                never = Retry(RetryCause.TIMEOUT, None, reached_meta=False)
                self._answers.put(Answer(request, never, 0.0, None))
                continue
            started_at = monotonic()
            bug: str | None = None
            try:
                posted = self._post(request)
            except Exception as error:  # a bug in posting must not lose the request with its thread
                posted = Posted(Retry(RetryCause.UNREADABLE_ANSWER, None, reached_meta=True))
                bug = type(error).__name__
            verdict, usage, version_warning, status = posted
            seconds = monotonic() - started_at
            self._answers.put(
                Answer(request, verdict, seconds, bug, usage, version_warning, status)
            )

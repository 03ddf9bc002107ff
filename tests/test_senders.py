"""Threads that post: the loop hands requests over, never waits, and loses none."""

import threading
from time import monotonic

import pytest

from consumer.judge import Posted
from consumer.model import (
    Accepted,
    PixelId,
    Request,
    Retry,
    RetryCause,
    WindowKey,
)
from consumer.senders import Answer, Senders

PATIENCE_SECONDS = 10.0
ACCEPTED = Accepted(trace_id="A1")


def request(number: int = 0) -> Request:
    return Request(
        request_id=f"r{number}",
        key=WindowKey(PixelId("1"), None, False, None),
        batch_id="b1",
        events=(),
        isolating=False,
    )


def collected(senders: Senders, count: int) -> list[Answer]:
    """The next ``count`` answers."""
    until = monotonic() + PATIENCE_SECONDS
    found = senders.answers()
    while len(found) < count:
        assert monotonic() < until, f"{count - len(found)} answers are missing"
        senders.wait(PATIENCE_SECONDS)
        found += senders.answers()
    return found


class Gate:
    """A post that says when it has begun, and ends when it is opened."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._began = threading.Semaphore(0)
        self._lock = threading.Lock()
        self.threads: set[threading.Thread] = set()

    def __call__(self, posted: Request) -> Posted:
        with self._lock:
            self.threads.add(threading.current_thread())
        self._began.release()
        assert self._opened.wait(PATIENCE_SECONDS)
        return Posted(ACCEPTED)

    def open(self) -> None:
        self._opened.set()

    def begun(self, count: int) -> None:
        """Wait until so many posts are under way."""
        for _ in range(count):
            assert self._began.acquire(timeout=PATIENCE_SECONDS)

    def begins_another(self) -> bool:
        return self._began.acquire(timeout=0.05)


def test_each_request_comes_back_once_with_its_verdict_and_its_time() -> None:
    def post(posted: Request) -> Posted:
        return Posted(Accepted(trace_id=posted.request_id))

    senders = Senders(post=post, threads_max=4, give_up_seconds=60.0)
    given = [request(number) for number in range(50)]
    for each in given:
        senders.submit(each)

    found = collected(senders, 50)

    back = {answer.request: answer for answer in found}
    assert len(found) == len(back) == 50
    for each in given:
        answer = back[each]
        assert (answer.verdict, answer.bug) == (Accepted(trace_id=each.request_id), None)
    assert all(0 <= answer.seconds < PATIENCE_SECONDS for answer in found)
    assert senders.answers() == []
    senders.stop()


def test_requests_are_posted_side_by_side_up_to_the_limit() -> None:
    gate = Gate()
    senders = Senders(post=gate, threads_max=3, give_up_seconds=60.0)
    for number in range(5):
        senders.submit(request(number))

    gate.begun(3)
    assert not gate.begins_another()
    assert senders.answers() == []
    gate.open()

    assert len(collected(senders, 5)) == 5
    assert len(gate.threads) == 3
    senders.stop()


def test_no_more_threads_are_started_than_requests_are_out() -> None:
    gate = Gate()
    gate.open()
    senders = Senders(post=gate, threads_max=100, give_up_seconds=60.0)

    for number in range(10):
        senders.submit(request(number))
        collected(senders, 1)

    assert [thread.name for thread in gate.threads] == ["sender-1"]
    assert "1 threads" in repr(senders)
    senders.stop()


def test_waiting_ends_with_an_answer_and_keeps_it() -> None:
    gate = Gate()
    gate.open()
    senders = Senders(post=gate, threads_max=1, give_up_seconds=60.0)
    senders.submit(request())

    started_at = monotonic()
    senders.wait(PATIENCE_SECONDS)

    assert monotonic() - started_at < PATIENCE_SECONDS / 2
    assert len(senders.answers()) == 1
    senders.stop()


def test_waiting_ends_without_an_answer_when_its_time_is_over() -> None:
    senders = Senders(post=Gate(), threads_max=1, give_up_seconds=60.0)

    started_at = monotonic()
    senders.wait(0.05)

    assert 0.04 < monotonic() - started_at < PATIENCE_SECONDS / 2
    assert senders.answers() == []


def test_a_bug_in_posting_costs_neither_the_request_nor_the_thread() -> None:
    def post(posted: Request) -> Posted:
        if posted.request_id == "r0":
            raise ZeroDivisionError("EAABcanary0123456789")
        return Posted(ACCEPTED)

    senders = Senders(post=post, threads_max=1, give_up_seconds=60.0)
    senders.submit(request(0))
    senders.submit(request(1))

    first, second = collected(senders, 2)

    assert first.verdict == Retry(RetryCause.UNREADABLE_ANSWER, None, reached_meta=True)
    assert first.bug == "ZeroDivisionError"
    assert (second.verdict, second.bug) == (ACCEPTED, None)
    senders.stop()


def test_idle_threads_end_when_told_and_one_that_hangs_is_no_obstacle() -> None:
    gate = Gate()
    senders = Senders(post=gate, threads_max=1, give_up_seconds=60.0)
    senders.submit(request())
    gate.begun(1)
    (thread,) = gate.threads

    senders.stop()
    assert thread.is_alive()
    assert thread.daemon
    gate.open()

    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


@pytest.mark.parametrize("threads_max", [1, 8])
def test_nothing_is_lost_however_often_one_looks(threads_max: int) -> None:
    gate = Gate()
    gate.open()
    senders = Senders(post=gate, threads_max=threads_max, give_up_seconds=60.0)
    found: list[str] = []
    for number in range(300):
        senders.submit(request(number))
        senders.wait(0.0)
        found += [answer.request.request_id for answer in senders.answers()]
    found += [answer.request.request_id for answer in collected(senders, 300 - len(found))]

    assert sorted(found) == sorted(f"r{number}" for number in range(300))
    senders.stop()

"""Watches from outside while a run goes on: commits, what Meta received and when, memory.

On a thread of its own, because faults take their time. What cannot be asked at the moment is asked
again; what the emulator was asked too late for is a gap, and no account can be made.
"""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import httpx
from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.chaos.account import Sample
from tests.integration.world import World

LOOK_SECONDS = 0.25
ANSWER_SECONDS_MAX = 2.0


class Received(NamedTuple):
    """One request that Meta took; ``heard``: its answer was sent as it should be."""

    at: float
    event_ids: tuple[str, ...]
    heard: bool


class Watcher:
    """``pids`` are the processes whose memory is looked at."""

    def __init__(
        self, world: World, *, partitions_max: int, pids: Callable[[], Iterable[int]]
    ) -> None:
        self.samples: list[Sample] = []
        self.received: list[Received] = []
        self.received_ids: set[str] = set()
        self.memory_mb_max = 0.0
        self.gap = False
        self._world, self._pids = world, pids
        self._partitions = [TopicPartition(world.topic, n) for n in range(partitions_max)]
        self._requests = 0
        self._stopping = threading.Event()
        self._fault: BaseException | None = None
        self._observer = Consumer(
            {
                **world.kafka.client_config(),
                "group.id": world.group,
                "log_level": "0",
                "reconnect.backoff.max.ms": 200,
            }
        )
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Watch until ``stop``."""
        self._thread.start()

    def stop(self) -> None:
        """Look once more and end. Raises what went wrong in watching."""
        self._stopping.set()
        self._thread.join()
        self._look_at_meta()
        self._observer.close()
        if self._fault is not None:
            raise self._fault

    def _run(self) -> None:
        try:
            while not self._stopping.wait(LOOK_SECONDS):
                self._look_at_meta()
                self._look_at_commits()
                self._look_at_memory()
        except BaseException as fault:
            self._fault = fault

    def _look_at_commits(self) -> None:
        try:
            found = self._observer.committed(self._partitions, timeout=ANSWER_SECONDS_MAX)
        except KafkaException:
            return
        offsets = {p.partition: p.offset for p in found if p.error is None and p.offset >= 0}
        self.samples.append(Sample(time.time(), offsets))

    def _look_at_meta(self) -> None:
        try:
            answer = self._world.meta("GET", f"requests?after={self._requests}")
        except httpx.TransportError:
            return
        for request in answer["requests"]:
            self.gap |= request["request"] != self._requests + 1
            self._requests = request["request"]
            self._note(request)

    def _note(self, request: dict[str, Any]) -> None:
        if request["verdict"] != "accepted":
            return
        event_ids = tuple(map(str, request["event_ids"]))
        self.received.append(Received(request["time"], event_ids, request["misbehaviour"] is None))
        self.received_ids.update(event_ids)

    def _look_at_memory(self) -> None:
        for pid in self._pids():
            self.memory_mb_max = max(self.memory_mb_max, _memory_mb(pid))


def _memory_mb(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096 / 1e6
    except (OSError, IndexError):
        return 0.0

"""Where the partitions' logs end, asked from the brokers by a thread of its own.

Our lag is computed from this: librdkafka's own figure is -1 before the first commit and stands
still while a partition is paused.
"""

import threading
from collections.abc import Collection, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from consumer.kafka_settings import without_membership
from consumer.model import LogEnd, TopicPartition

EVERY_SECONDS = 10.0
ANSWER_SECONDS = 5.0


class LogEnds:
    """Asks every ten seconds. ``watch`` and ``newest`` are for the loop and never block."""

    def __init__(self, *, configuration: Mapping[str, Any], topic: str) -> None:
        self._topic = topic
        self.partitions: int | None = None  # how many the topic has, once that was told
        self.heard = False  # whether the group's coordinator has ever answered
        # A client of its own that never joins the group: the loop's client closes when it likes.
        own = without_membership(configuration)
        self._configuration = {**own, "log_level": 0, "error_cb": lambda _: None}
        self._watched: frozenset[TopicPartition] = frozenset()
        self._newest: Mapping[TopicPartition, LogEnd] | None = None
        self._credentials: tuple[str, str] | None = None
        self._changed = threading.Event()
        self._stopped = threading.Event()

    def __repr__(self) -> str:
        return f"<LogEnds {len(self._watched)} partitions>"

    def watch(self, partitions: Collection[TopicPartition]) -> None:
        """The partitions that are ours now."""
        watched = frozenset(partitions)
        if watched != self._watched:
            self._watched = watched
            self._changed.set()

    def newest(self) -> Mapping[TopicPartition, LogEnd] | None:
        """The last answers, once; None when there is nothing new."""
        newest, self._newest = self._newest, None
        return newest

    def set_credentials(self, username: str, password: str) -> None:
        """Log in with these from the next connection on. Never blocks: the thread passes it on."""
        self._credentials = (username, password)
        self._changed.set()

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._work, name="log-ends", daemon=True).start()

    def stop(self) -> None:
        """Ask the thread to end; it does so with its next answer."""
        self._stopped.set()
        self._changed.set()

    def _work(self) -> None:
        consumer = Consumer(self._configuration)
        try:
            while not self._stopped.is_set():
                self._pass_on_credentials(consumer)
                self._newest = self._ask(consumer)
                self.partitions = self._count(consumer) or self.partitions
                self._changed.wait(EVERY_SECONDS)
                self._changed.clear()
        finally:
            consumer.close()

    def _pass_on_credentials(self, consumer: Consumer) -> None:
        # Each time: to ask whether they are new would be a second thing that two threads share.
        if (credentials := self._credentials) is not None:
            consumer.set_sasl_credentials(*credentials)

    def _count(self, consumer: Consumer) -> int:
        """How many partitions the topic has; 0 when nobody says."""
        try:
            topics = consumer.list_topics(self._topic, timeout=ANSWER_SECONDS).topics
        except KafkaException:
            return 0
        return len(topics[self._topic].partitions) if self._topic in topics else 0

    def _ask(self, consumer: Consumer) -> dict[TopicPartition, LogEnd]:
        watched = self._watched
        ends: dict[TopicPartition, LogEnd] = {}
        wanted = [KafkaPartition(*partition) for partition in watched]
        try:
            # Without a partition of ours any other one will do, to hear from the coordinator.
            found = consumer.committed(
                wanted or [KafkaPartition(self._topic, 0)], timeout=ANSWER_SECONDS
            )
            self.heard = True
            for entry in found if wanted else []:
                low, high = consumer.get_watermark_offsets(entry, timeout=ANSWER_SECONDS)
                committed = entry.offset if entry.offset >= 0 else None
                ends[TopicPartition(entry.topic, entry.partition)] = LogEnd(low, high, committed)
        except KafkaException:
            return ends  # what could be had; the loop's own client says what is wrong
        return ends

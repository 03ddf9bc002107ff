"""The lag of our partitions, and offsets that the topic no longer has. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from consumer.model import LogEnd, TopicPartition


class Gone(NamedTuple):
    """The next offset is not in the topic any more: ``records_lost`` were removed unread."""

    partition: TopicPartition
    offset: int
    end: LogEnd
    records_lost: int


class Lags:
    """``newest`` is replaced as a whole, so that other threads may look at it."""

    def __init__(self) -> None:
        self.newest: Mapping[TopicPartition, int] = {}
        self._told: dict[TopicPartition, int] = {}
        self._beyond: set[TopicPartition] = set()

    def __repr__(self) -> str:
        return f"<Lags {len(self.newest)} partitions>"

    def look(
        self, ends: Mapping[TopicPartition, LogEnd], next_commit: Mapping[TopicPartition, int]
    ) -> list[Gone]:
        """Take where the logs end; returns what is gone, each once."""
        lags: dict[TopicPartition, int] = {}
        gone: list[Gone] = []
        for partition, end in ends.items():
            position = next_commit.get(partition, end.committed)
            start = end.low if position is None else min(max(position, end.low), end.high)
            lags[partition] = end.high - start
            if position is not None and self._is_gone(partition, position, end):
                self._told[partition] = position
                gone.append(Gone(partition, position, end, max(0, end.low - position)))
        self.newest = lags
        return gone

    def _is_gone(self, partition: TopicPartition, position: int, end: LogEnd) -> bool:
        # The end is a moment older than the position: beyond it only twice in a row is news.
        beyond = position > end.high
        again = beyond and partition in self._beyond
        (self._beyond.add if beyond else self._beyond.discard)(partition)
        return (position < end.low or again) and self._told.get(partition) != position

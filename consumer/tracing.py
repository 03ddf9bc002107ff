"""What the loop tells of its batches to whoever traces them. Usually nobody does."""

from collections.abc import Collection, Sequence
from typing import Protocol

from consumer.model import Batch, Delivered, Rejected, TopicPartition
from consumer.senders import Answer


class Tracing(Protocol):
    """Called by the loop thread only, a few times for each batch; nothing here raises or waits,
    but ``close``, which waits a few seconds at most. See ``traces.Traces``."""

    def closed(self, batch: Batch) -> None:
        """A window closed."""

    def answered(self, answer: Answer, settled: Sequence[Delivered | Rejected]) -> str | None:
        """Meta answered a request of a batch, or it was given up. Returns the id of the batch's
        trace, 32 hexadecimal digits, for the log; None when it has none."""

    def dead_lettered(self, written: Sequence[Rejected]) -> None:
        """Dead letters were acknowledged."""

    def given_back(self, partitions: Collection[TopicPartition], from_offset: int) -> None:
        """What is open of these partitions from an offset on is no longer ours to settle."""

    def close(self) -> None:
        """The run is over: hand over what there is to tell."""


class Untraced:
    """Nobody; satisfies ``Tracing``."""

    def closed(self, batch: Batch) -> None:
        """Nothing is told."""

    def answered(self, answer: Answer, settled: Sequence[Delivered | Rejected]) -> str | None:
        """There is no trace."""
        return None

    def dead_lettered(self, written: Sequence[Rejected]) -> None:
        """Nothing is told."""

    def given_back(self, partitions: Collection[TopicPartition], from_offset: int) -> None:
        """Nothing is told."""

    def close(self) -> None:
        """Nothing is left."""

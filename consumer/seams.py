"""What the loop needs of the outside: each a Protocol with a real edge and an in-memory fake."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from consumer.model import (
    ClientError,
    CommitReport,
    EndOfPartition,
    Record,
    Request,
    TopicPartition,
)
from consumer.senders import Answer


class Clock(Protocol):
    """Monotonic seconds, and the wall clock in milliseconds."""

    def now(self) -> float: ...

    def now_ms(self) -> int: ...


class Log(Protocol):
    """A structured logger: an event's name, and its facts as keywords."""

    def debug(self, event: str, **facts: Any) -> None: ...

    def info(self, event: str, **facts: Any) -> None: ...

    def warning(self, event: str, **facts: Any) -> None: ...

    def error(self, event: str, **facts: Any) -> None: ...


class Source(Protocol):
    """The consumer group's member; see ``kafka.KafkaSource``."""

    def read(self, records_max: int, seconds: float) -> list[Record | EndOfPartition]: ...

    def pause(self, partitions: Collection[TopicPartition]) -> None: ...

    def resume(self, partitions: Collection[TopicPartition]) -> None: ...

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None: ...

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None: ...

    def commit_now(self, offsets: Mapping[TopicPartition, int], seconds: float | None) -> None: ...

    def commit_reports(self) -> list[CommitReport]: ...

    def errors(self) -> list[ClientError]: ...

    def close(self) -> None: ...


class Outgoing(Protocol):
    """The sender threads; see ``senders.Senders``."""

    def submit(self, request: Request) -> None: ...

    def answers(self) -> list[Answer]: ...

    def wait(self, seconds: float) -> None: ...

"""Sound lines → the topic: each is sent, and counted when the brokers confirm it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from confluent_kafka import KafkaError, KafkaException, Message

from consumer.publish_lines import Sound

KEYS = ("eventId", "user.externalId", "destinationId", "none")
POLL_SECONDS = 0.2


class KafkaProducer(Protocol):
    """What of confluent-kafka's producer is used."""

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        *,
        headers: list[tuple[str, str | bytes | None]],
        on_delivery: Callable[[KafkaError | None, Message], None],
    ) -> None: ...

    def poll(self, timeout: float) -> int: ...

    def purge(self, *, in_queue: bool, in_flight: bool) -> None: ...


class Undelivered(NamedTuple):
    """The first line that Kafka did not take, and Kafka's name of the error."""

    number: int
    error: str


class Publisher:
    """Sends lines and counts what the brokers confirm; never waits without a limit.

    ``stops`` is how often we were told to stop: after the first time nothing more is sent, after
    the second what is out is not waited for either. ``patience_seconds`` is how long anything may
    be out with no news of any.
    """

    def __init__(
        self,
        *,
        producer: KafkaProducer,
        topic: str,
        per_second: float | None,
        patience_seconds: float,
        clock: Callable[[], float],
        stops: Callable[[], int],
        advance: Callable[[int], None],
    ) -> None:
        self._producer, self._topic = producer, topic
        self._per_second, self._patience_seconds = per_second, patience_seconds
        self._clock, self._stops, self._advance = clock, stops, advance
        self._news_at = clock()
        self._hopeless = False
        self._open = 0
        self.sent = 0
        """How many lines were given to Kafka, also those that it refused."""
        self.delivered = 0
        self.undelivered: Undelivered | None = None

    def __repr__(self) -> str:
        return f"<Publisher {self._topic}: {self.delivered} of {self.sent} delivered>"

    def publish(self, sound: Iterator[Sound], *, key: str) -> None:
        """Send all of them; returns when the fate of each is known or nothing is to be hoped for.

        A record that Kafka refuses for itself (too large) does not keep the others back.
        """
        start = self._clock()
        for line in sound:
            if self._per_second is not None:
                self._wait_until(start + self.sent / self._per_second)
            while not self._over() and not self._queued(line, key):
                self._producer.poll(POLL_SECONDS)
            if self._over():
                break
        self._finish()

    def _wait_until(self, due: float) -> None:
        while not self._over() and (left := due - self._clock()) > 0:
            self._producer.poll(min(left, POLL_SECONDS))

    def _queued(self, line: Sound, key: str) -> bool:
        """Hand it to librdkafka; False when its queue is full."""
        told = line.provenance
        record_key = _key(line.fields, key) if told is None else told.key
        headers: list[tuple[str, str | bytes | None]] = []
        if told is not None:
            headers += told.record_headers()

        def reported(error: KafkaError | None, _: Message) -> None:
            self._open -= 1
            self._news_at = self._clock()
            self._settle(line.number, error)

        if not self._open:
            self._news_at = self._clock()
        try:
            self._producer.produce(
                self._topic, line.value, record_key, headers=headers, on_delivery=reported
            )
        except BufferError:
            return False
        except KafkaException as error:
            self.sent += 1
            self._settle(line.number, error.args[0])
            return True
        self.sent += 1
        self._open += 1
        self._producer.poll(0)
        return True

    def _settle(self, number: int, error: KafkaError | None) -> None:
        if error is None:
            self.delivered += 1
            self._advance(self.delivered)
            return
        self._note(number, error.name())
        self._hopeless = self._hopeless or error.code() not in _OF_ONE_RECORD

    def _note(self, number: int, error: str) -> None:
        self.undelivered = self.undelivered or Undelivered(number, error)

    def _over(self) -> bool:
        late = self._open and self._clock() - self._news_at > self._patience_seconds
        if late or self._stops() > 1:
            self._hopeless = True
        return self._hopeless or self._stops() > 0

    def _finish(self) -> None:
        while self._open and not self._hopeless:
            self._producer.poll(POLL_SECONDS)
            self._over()
        if self._open:
            # Each would be tried for as long again as the one that failed.
            self._producer.purge(in_queue=True, in_flight=True)
            self._producer.poll(POLL_SECONDS)


def because(undelivered: Undelivered, troubles: list[str]) -> str:
    """The end of a sentence; ``troubles`` are the errors that the client met by itself."""
    # Of brokers that were never reached the report says no more than that it is late.
    late = "TIMED_OUT" in undelivered.error or "PURGE" in undelivered.error
    cause = f"; the client met {troubles[0]}" if late and troubles else ""
    return f"; line {undelivered.number} is the first that was not ({undelivered.error}{cause})"


def _key(fields: Mapping[str, Any], key: str) -> bytes | None:
    """The record's key; a field that is absent or empty gives none, and so any partition."""
    if key == "user.externalId":
        user = fields.get("user") or {}
        given = user.get("externalId") or user.get("externalIds")
        found = next(filter(None, given), None) if isinstance(given, list) else given
    else:
        found = None if key == "none" else fields.get(key)
    return found.encode() if found else None


_OF_ONE_RECORD = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD}

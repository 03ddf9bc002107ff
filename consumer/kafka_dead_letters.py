"""The edge to Kafka: the producer of dead letters.

What a delivery callback meets is kept as a report, and told to the loop afterwards.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from consumer.dead_letter import DeadLetter
from consumer.kafka_refusal import KafkaBroken, configuring
from consumer.letter_box import Report, Writing


class KafkaDeadLetters:
    """The producer of dead letters: idempotent, all replicas, one report for each."""

    def __init__(
        self,
        *,
        configuration: Mapping[str, Any],
        topic: str,
        logger: logging.Logger,
        heard: Callable[[KafkaError], None],
    ) -> None:
        """``heard`` is told what the client reports; it must not raise."""
        self._topic = topic
        self._reports: list[Report] = []
        self._broken: KafkaError | None = None
        with configuring("producer"):
            self._producer = Producer({**configuration, "error_cb": heard}, logger=logger)

    def __repr__(self) -> str:
        return f"<KafkaDeadLetters {self._topic}>"

    def produce(self, letter: DeadLetter, ticket: int) -> bool:
        """Queue one dead letter; False when the queue is full."""

        def reported(error: KafkaError | None, _: Message) -> None:
            self._reports.append(_report(ticket, error))

        try:
            self._producer.produce(
                self._topic,
                key=letter.key,
                value=letter.value,
                headers=list(letter.headers),
                timestamp=letter.timestamp_ms,
                on_delivery=reported,
            )
        except BufferError:
            return False
        except KafkaException as error:
            self._reports.append(_report(ticket, error.args[0]))
        return True

    def reports(self) -> list[Report]:
        """What became of dead letters since the last call."""
        try:
            self._producer.poll(0)
        except KafkaException as error:
            self._broken = error.args[0]
        reports, self._reports = self._reports, []
        return reports

    def raise_if_broken(self) -> None:
        """KafkaBroken when the idempotent producer can never write again; a restart can."""
        if self._broken is not None and self._broken.fatal():
            raise KafkaBroken(f"the dead-letter producer: {self._broken.name()}")

    def set_credentials(self, username: str, password: str) -> None:
        """Log in with these from the next connection on; those that are there stay."""
        self._producer.set_sasl_credentials(username, password)

    def close(self, seconds: float) -> None:
        """Wait at most this long for what is still out."""
        self._producer.flush(seconds)


def _report(ticket: int, error: KafkaError | None) -> Report:
    if error is None:
        return Report(ticket, Writing.ACKNOWLEDGED, None)
    too_large = error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)
    return Report(ticket, Writing.TOO_LARGE if too_large else Writing.FAILED, error.name())

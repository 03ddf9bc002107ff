"""The edge to Kafka: the producer of dead letters.

What a delivery callback meets is kept as a report, and told to the loop afterwards. An idempotent
producer that meets a fatal error never writes again: then another takes its place, and what was
not acknowledged is reported as failed, so that it is produced again.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from consumer.dead_letter import DeadLetter
from consumer.kafka_refusal import KafkaRefuses, configuring
from consumer.letter_box import Report, Writing

REPLACE_FIRST_SECONDS, REPLACE_MAX_SECONDS = 1.0, 60.0
"""A producer that breaks is replaced after a moment, and ever more rarely while each breaks before
it has written anything."""

END_SECONDS = 5.0
"""So long a broken producer is waited for, aside, before it is dropped."""


class KafkaDeadLetters:
    """The producer of dead letters: idempotent, all replicas, one report for each."""

    def __init__(
        self,
        *,
        configuration: Mapping[str, Any],
        topic: str,
        logger: logging.Logger,
        heard: Callable[[KafkaError], None],
        replaced: Callable[[str], None],
        now: Callable[[], float],
    ) -> None:
        """``heard`` is told what the client reports; it must not raise. ``replaced`` is told, out
        of ``produce``, for which of Kafka's errors a new producer had to be made."""
        self._configuration = dict(configuration)
        self._topic, self._logger, self._now = topic, logger, now
        self._heard, self._replaced = heard, replaced
        self._reports: list[Report] = []
        self._broken: str | None = None
        self._breaks = 0
        self._replace_at = 0.0
        self._writer = _Writer(self._configuration, logger, heard)

    def __repr__(self) -> str:
        return f"<KafkaDeadLetters {self._topic}>"

    def produce(self, letter: DeadLetter, ticket: int) -> bool:
        """Queue one dead letter; False when the queue is full, or while nothing can be written."""
        return self._can_write() and self._writer.produce(self._topic, letter, ticket)

    def reports(self) -> list[Report]:
        """What became of dead letters since the last call."""
        if self._broken is None:
            self._look()
        reports, self._reports = self._reports, []
        return reports

    def set_credentials(self, username: str, password: str) -> None:
        """Log in with these from the next connection on; those that are there stay."""
        self._configuration |= {"sasl.username": username, "sasl.password": password}
        if self._broken is None:
            self._writer.producer.set_sasl_credentials(username, password)

    def close(self, seconds: float) -> None:
        """Wait at most this long for what is still out."""
        if self._broken is None:
            with suppress(KafkaException):
                self._writer.producer.flush(seconds)

    def _look(self) -> None:
        fatal = self._writer.poll()
        reports, self._writer.reports = self._writer.reports, []
        self._reports += reports
        if any(report.writing is Writing.ACKNOWLEDGED for report in reports):
            self._breaks = 0
        if fatal is None:
            return
        self._broken = fatal
        wait = min(REPLACE_MAX_SECONDS, REPLACE_FIRST_SECONDS * 2**self._breaks)
        self._replace_at, self._breaks = self._now() + wait, min(self._breaks + 1, 16)
        self._reports += [Report(each, Writing.FAILED, fatal) for each in self._writer.out]
        self._writer.end()

    def _can_write(self) -> bool:
        if self._broken is None:
            return True
        if self._now() < self._replace_at:
            return False
        try:
            self._writer = _Writer(self._configuration, self._logger, self._heard)
        except KafkaRefuses:  # a file that it names is gone, say
            self._replace_at = self._now() + REPLACE_MAX_SECONDS
            return False
        broken, self._broken = self._broken, None
        self._replaced(broken)
        return True


class _Writer:
    """One producer of librdkafka, what is out and what it told. Once it is replaced nobody looks
    at either any more, and so a late report changes nothing."""

    def __init__(
        self,
        configuration: Mapping[str, Any],
        logger: logging.Logger,
        heard: Callable[[KafkaError], None],
    ) -> None:
        self.out: set[int] = set()
        self.reports: list[Report] = []
        self._ended = False

        def unless_ended(error: KafkaError) -> None:
            if not self._ended:
                heard(error)

        with configuring("producer"):
            self.producer = Producer({**configuration, "error_cb": unless_ended}, logger=logger)

    def produce(self, topic: str, letter: DeadLetter, ticket: int) -> bool:
        try:
            self.producer.produce(
                topic,
                key=letter.key,
                value=letter.value,
                headers=list(letter.headers),
                timestamp=letter.timestamp_ms,
                on_delivery=partial(self._reported, ticket),
            )
        except BufferError:
            return False
        except KafkaException as error:
            if error.args[0].code() == KafkaError._FATAL:
                return False  # which the next poll tells with its cause
            self.reports.append(_report(ticket, error.args[0]))
            return True
        self.out.add(ticket)
        return True

    def poll(self) -> str | None:
        """Serve the callbacks. Kafka's name of a fatal error, once there is one."""
        try:
            self.producer.poll(0)
        except KafkaException as error:
            if not error.args[0].fatal():
                return None
            with suppress(KafkaException):
                self.producer.poll(0)  # what was acknowledged before that is acknowledged
            return str(error.args[0].name())
        return None

    def end(self) -> None:
        """Give up what is out, and drop the producer aside: that may take a while."""
        self._ended = True
        threading.Thread(target=self._drop, name="dead-letter-producer-end", daemon=True).start()

    def _drop(self) -> None:
        with suppress(KafkaException):
            self.producer.purge()
            self.producer.flush(END_SECONDS)
        del self.producer

    def _reported(self, ticket: int, error: KafkaError | None, _: object) -> None:
        if error is not None and error.code() in _PURGED:
            return  # still out, until the fatal error that purged it is told
        self.out.discard(ticket)
        self.reports.append(_report(ticket, error))


_PURGED = {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}


def _report(ticket: int, error: KafkaError | None) -> Report:
    if error is None:
        return Report(ticket, Writing.ACKNOWLEDGED, None)
    too_large = error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)
    return Report(ticket, Writing.TOO_LARGE if too_large else Writing.FAILED, error.name())

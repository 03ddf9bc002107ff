"""``conversions publish``: JSON Lines → Avro → the topic.

The lines are read twice: first all are checked, then they are sent. So nothing of a file with a
mistake is sent, and memory does not grow with the file.
"""

import json
import math
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from time import monotonic
from typing import IO, Any, BinaryIO, NamedTuple, Protocol

import orjson
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from consumer.encode import EventEncoder
from consumer.json_lines import Mistake, read_line
from consumer.kafka_refusal import KafkaRefuses, configuring
from consumer.schema_plan import event_schema
from consumer.settings import Settings, SettingsError
from consumer.unanswered import why_unanswered
from consumer.wording import did_you_mean

KEYS = ("eventId", "user.externalId", "destinationId", "none")
LINE_BYTES_MAX = 8 * 1024 * 1024
LISTED_MAX = 20
"""Bad lines that are told one by one; of the others only the number."""
PER_LINE_MAX = 3
SPOOL_BYTES = 8 * 1024 * 1024
"""What of standard input is kept in memory; beyond it goes to a file that only we can read."""
POLL_SECONDS = 0.2
LATE_SECONDS = 5.0
"""How much later than librdkafka we give up: it can say why, we cannot."""
TIMEOUT_MS = 30_000
PRODUCER_DEFAULTS = {
    "log_level": "0",
    "message.timeout.ms": str(TIMEOUT_MS),
    "queue.buffering.max.kbytes": "65536",
}
"""For a person who waits, other than for dead letters; the operator's own values win."""


class PublishRefused(Exception):
    """What is asked for cannot be done as things are set up; ``str`` is one sentence."""


class _Failed(Exception):
    """It went wrong before anything was sent; ``str`` is one sentence."""


class Sound(NamedTuple):
    """A line that can be published; ``number`` counts from 1, ``value`` is the Avro record."""

    number: int
    fields: Mapping[str, Any]
    value: bytes

    def __repr__(self) -> str:
        return f"Sound(line {self.number})"


class Bad(NamedTuple):
    """A line that cannot be published, and why: names of fields, never a value."""

    number: int
    message: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.message}"


def run_publish(
    settings: Settings,
    lines: BinaryIO,
    *,
    register: bool,
    skip_bad: bool,
    dry_run: bool,
    key: str,
    per_second: float | None,
    as_json: bool,
) -> int:
    """Check all lines, then publish them; the exit code: 0 only if each was delivered.

    ``lines`` are read from where they stand, and may be a pipe. With ``register`` the schema is
    registered even if there are no lines. Raises PublishRefused before anything is sent.
    """
    _check_usage(settings, register=register, dry_run=dry_run, key=key, per_second=per_second)
    schema_id, published = None, 0
    try:
        with nullcontext(lines) if dry_run else _readable_twice(lines) as readable:
            start = 0 if dry_run else readable.tell()
            checked = _check(readable)
            _tell_bad(checked, skip_bad=skip_bad)
            good = skip_bad or not checked.bad
            if good and not dry_run:
                schema_id = _schema_id(settings, register=register)
                readable.seek(start)
                encoder = EventEncoder(schema_id=schema_id)
                sound = _sound(readable, encoder, checked, skip_bad=skip_bad)
                published = _send(settings, sound, checked.sound, key=key, per_second=per_second)
                good = published == checked.sound
    except _Failed as failed:
        _complain(str(failed))
        return 1
    except OSError as error:
        raise PublishRefused(
            f"the lines cannot be read: {error.strerror or type(error).__name__}"
        ) from None
    except KeyboardInterrupt:
        _complain("stopped; nothing was sent")
        return 1
    if as_json:
        _summarise(checked, published, settings.topic, schema_id)
    elif good and dry_run:
        sys.stdout.write(f"events that can be published: {checked.sound:,}\n")
    elif good:
        how = "in single-object encoding" if schema_id is None else f"with schema id {schema_id}"
        sys.stdout.write(f"events published to {settings.topic} {how}: {published:,}\n")
    return 0 if good else 1


def check_lines(lines: IO[bytes], *, encoder: EventEncoder) -> Iterator[Sound | Bad]:
    """Each line that is not blank, encoded or with what is wrong with it."""
    number = 0
    while line := lines.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            while line and not line.endswith(b"\n"):
                line = lines.readline(LINE_BYTES_MAX)
            yield Bad(number, f"is longer than {LINE_BYTES_MAX // 2**20} MiB")
            continue
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield _check_line(number, line, encoder)


def _check_line(number: int, text: bytes, encoder: EventEncoder) -> Sound | Bad:
    line = read_line(text)
    if isinstance(line, Mistake):
        return Bad(number, line.message)
    wrong = [_no_field(path) for path in line.unknown]
    if not line.fields.get("eventName", "").strip():
        wrong.append("eventName is missing")
    if line.event_time_ms is None:
        wrong.append("eventTime is missing")
    if wrong:
        more = [f"and {len(wrong) - PER_LINE_MAX} more"] if len(wrong) > PER_LINE_MAX else []
        return Bad(number, "; ".join([*wrong[:PER_LINE_MAX], *more]))
    try:
        return Sound(number, line.fields, encoder.encode(line.fields))
    except ValueError as error:
        return Bad(number, f"{error}; perhaps a whole number is too large")


# What stands where a name should be may be anything, a person's address too.
_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9.-]{0,99}")
_DIGITS_MAX = 4


@lru_cache(maxsize=1000)
def _no_field(path: str) -> str:
    if not _NAME.fullmatch(path) or sum(map(str.isdigit, path)) > _DIGITS_MAX:
        return "there is a name, not repeated here, that is no field of an event"
    parent, _, name = path.rpartition(".")
    known = _known_paths()
    here = {last: full for last, full in known if full.rpartition(".")[0] == parent}
    word = _folded(name)
    near = did_you_mean(word, here) or did_you_mean(word, dict(known))
    hint = f" ({near.removeprefix('; ')})" if near else ""
    return f"{path} is no field of an event{hint}"


@cache
def _known_paths() -> tuple[tuple[str, str], ...]:
    """Of each field: its own name, folded, and its path; the outer ones last, so that they win."""
    paths = sorted(_paths(event_schema(), ""), key=lambda path: -path.count("."))
    return tuple((_folded(path.rpartition(".")[2]), path) for path in paths)


def _paths(schema: Any, prefix: str) -> Iterator[str]:
    for branch in schema if isinstance(schema, list) else [schema]:
        if not isinstance(branch, dict):
            continue
        for field in branch.get("fields", ()):
            yield f"{prefix}{field['name']}"
            yield from _paths(field["type"], f"{prefix}{field['name']}.")
        yield from _paths(branch.get("items"), prefix)


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _check_usage(
    settings: Settings, *, register: bool, dry_run: bool, key: str, per_second: float | None
) -> None:
    if key not in KEYS:
        raise PublishRefused(f"--key must be {', '.join(KEYS[:-1])} or {KEYS[-1]}")
    if per_second is not None and not (math.isfinite(per_second) and per_second > 0):
        raise PublishRefused("--per-second must be a number above 0")
    if register and not settings.schema_registry:
        raise PublishRefused("--register needs SCHEMA_REGISTRY_URL")
    if not dry_run:
        try:
            settings.require_kafka()
        except SettingsError as error:
            raise PublishRefused(str(error)) from None


@contextmanager
def _readable_twice(lines: IO[bytes]) -> Iterator[IO[bytes]]:
    if lines.seekable():
        yield lines
        return
    with SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
        copyfileobj(lines, spool)
        spool.seek(0)
        yield spool


@dataclass(frozen=True, slots=True)
class _Checked:
    sound: int
    bad: int
    listed: tuple[Bad, ...]

    @property
    def lines(self) -> int:
        return self.sound + self.bad


def _check(lines: IO[bytes]) -> _Checked:
    sound, bad = 0, 0
    listed: list[Bad] = []
    with _bar("checking", None) as advance:
        for each in check_lines(lines, encoder=EventEncoder(schema_id=None)):
            if isinstance(each, Sound):
                sound += 1
            else:
                bad += 1
                listed += [each] if bad <= LISTED_MAX else []
            advance(sound + bad)
    return _Checked(sound, bad, tuple(listed))


def _tell_bad(checked: _Checked, *, skip_bad: bool) -> None:
    for each in checked.listed:
        _complain(str(each))
    if checked.bad > len(checked.listed):
        _complain(f"and {checked.bad - len(checked.listed):,} more bad lines")
    if checked.bad:
        fate = "left out" if skip_bad else "nothing is sent (--skip-bad leaves them out)"
        _complain(f"bad lines: {checked.bad:,} of {checked.lines:,}; {fate}")


def _schema_id(settings: Settings, *, register: bool) -> int | None:
    """Our schema's id under the topic's subject; None when there is no registry."""
    if not settings.schema_registry:
        return None
    subject = f"{settings.topic}-value"
    ours = Schema(json.dumps(event_schema()), "AVRO")
    try:
        with SchemaRegistryClient(dict(settings.schema_registry)) as client:
            if register:
                return int(client.register_schema(subject, ours))
            return int(client.lookup_schema(subject, ours).schema_id)
    except SchemaRegistryError as error:
        raise _registry_says(error, subject) from None
    except Exception as error:
        # Its HTTP library's errors quote the address, which may hold credentials.
        raise _Failed(f"the schema registry cannot be asked: {why_unanswered(error)}") from None


def _registry_says(error: SchemaRegistryError, subject: str) -> Exception:
    status = error.http_status_code
    if status == 404 and error.error_code in (40401, 40402, 40403):
        told = f"our schema is not registered under {subject}; --register registers it"
        return PublishRefused(told)
    if status == 409:
        told = f"our schema is not compatible with what is registered under {subject}"
        return PublishRefused(f"{told}: a breaking change needs a new topic")
    if status in (401, 403):
        return PublishRefused(f"the schema registry refuses our credentials (HTTP {status})")
    return _Failed(f"the schema registry answers HTTP {status}")


def _sound(
    lines: IO[bytes], encoder: EventEncoder, checked: _Checked, *, skip_bad: bool
) -> Iterator[Sound]:
    """The lines that were checked, read again; it ends early if they are others by now."""
    try:
        for each in islice(check_lines(lines, encoder=encoder), checked.lines):
            if isinstance(each, Sound):
                yield each
            elif not skip_bad:
                return
    except OSError:
        return


class KafkaProducer(Protocol):
    """What of confluent-kafka's producer is used."""

    def produce(
        self,
        topic: str,
        value: bytes,
        key: bytes | None,
        *,
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
            while not self._over() and not self._queued(line, _key(line.fields, key)):
                self._producer.poll(POLL_SECONDS)
            if self._over():
                break
        self._finish()

    def _wait_until(self, due: float) -> None:
        while not self._over() and (left := due - self._clock()) > 0:
            self._producer.poll(min(left, POLL_SECONDS))

    def _queued(self, line: Sound, key: bytes | None) -> bool:
        """Hand it to librdkafka; False when its queue is full."""

        def reported(error: KafkaError | None, _: Message) -> None:
            self._open -= 1
            self._news_at = self._clock()
            self._settle(line.number, error)

        if not self._open:
            self._news_at = self._clock()
        try:
            self._producer.produce(self._topic, line.value, key, on_delivery=reported)
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


def _key(fields: Mapping[str, Any], key: str) -> bytes | None:
    """The record's key; a field that is absent or empty gives none, and so any partition."""
    if key == "user.externalId":
        user = fields.get("user") or {}
        given = user.get("externalId") or user.get("externalIds")
        found = next(filter(None, given), None) if isinstance(given, list) else given
    else:
        found = None if key == "none" else fields.get(key)
    return found.encode() if found else None


def _send(
    settings: Settings, sound: Iterator[Sound], total: int, *, key: str, per_second: float | None
) -> int:
    """Publish and wait for the brokers; how many events were delivered."""
    configuration: dict[str, Any] = PRODUCER_DEFAULTS | settings.kafka_producer
    if "delivery.timeout.ms" in settings.kafka_producer:
        configuration["message.timeout.ms"] = configuration.pop("delivery.timeout.ms")
    troubles: list[str] = []
    configuration["error_cb"] = lambda error: troubles.append(error.name())
    try:
        with configuring("producer"):
            producer = Producer(configuration)
    except KafkaRefuses as error:
        raise PublishRefused(str(error)) from None
    timeout_ms = int(configuration["message.timeout.ms"]) or TIMEOUT_MS  # 0 would be for ever
    with _told_to_stop() as signals, _bar("publishing", total) as advance:
        publisher = Publisher(
            producer=producer,
            topic=settings.topic,
            per_second=per_second,
            patience_seconds=timeout_ms / 1000 + LATE_SECONDS,
            clock=monotonic,
            stops=lambda: len(signals),
            advance=advance,
        )
        publisher.publish(sound, key=key)
    if publisher.delivered < total:
        told = f"{publisher.delivered:,} of {total:,} events were delivered to {settings.topic}"
        if publisher.undelivered is not None:
            told += _because(publisher.undelivered, troubles)
        elif not signals:
            told += ": the lines have changed since they were checked"
        _complain(f"stopped: {told}" if signals else told)
    return publisher.delivered


def _because(undelivered: Undelivered, troubles: list[str]) -> str:
    # Of brokers that were never reached the report says no more than that it is late.
    late = "TIMED_OUT" in undelivered.error or "PURGE" in undelivered.error
    cause = f"; the client met {troubles[0]}" if late and troubles else ""
    return f"; line {undelivered.number} is the first that was not ({undelivered.error}{cause})"


@contextmanager
def _told_to_stop() -> Iterator[list[int]]:
    """The SIGINT and SIGTERM that came: they interrupt nothing, so that what is out can be counted.

    An exception out of a signal could leave a delivery report half counted, and librdkafka's
    client turns one that it meets in ``poll`` into a SystemError.
    """
    signals: list[int] = []
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(each) not in (None, signal.SIG_IGN):
                before[each] = signal.signal(each, lambda number, _: signals.append(number))
    try:
        yield signals
    finally:
        for each, earlier in before.items():
            signal.signal(each, earlier)


@contextmanager
def _bar(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, if that is a terminal; it is told how many are done."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def _summarise(checked: _Checked, published: int, topic: str, schema_id: int | None) -> None:
    summary = {
        "lines": checked.lines,
        "published": published,
        "bad": checked.bad,
        "topic": topic,
        "schemaId": schema_id,
    }
    sys.stdout.write(f"{orjson.dumps(summary).decode()}\n")


def _complain(sentence: str) -> None:
    sys.stderr.write(f"conversions: {sentence}\n")


_OF_ONE_RECORD = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD}

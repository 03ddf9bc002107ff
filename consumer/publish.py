"""``conversions publish``: JSON Lines → Avro → the topic.

The lines are read twice: first all are checked, then they are sent. So nothing of a file with a
mistake is sent, and memory does not grow with the file.
"""

import json
import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from time import monotonic
from typing import IO, Any, BinaryIO

import orjson
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from consumer.encode import EventEncoder
from consumer.kafka_refusal import KafkaRefuses, configuring
from consumer.publish_lines import Bad, Checked, Encoders, Sound, check_lines, sound_lines
from consumer.publisher import KEYS, Publisher, because
from consumer.repair import WholeEvents
from consumer.schema_lookup import SchemaLookup, schemas_of
from consumer.schema_plan import event_schema
from consumer.settings import Settings, SettingsError
from consumer.terminal import progress_bar, seekable, told_to_stop
from consumer.unanswered import why_unanswered

LISTED_MAX = 20
"""Bad lines that are told one by one; of the others only the number."""
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
        with ExitStack() as stack:
            schemas = _schemas(settings, stack)
            readable = stack.enter_context(nullcontext(lines) if dry_run else seekable(lines))
            start = 0 if dry_run else readable.tell()
            checked = _check(readable, schemas)
            _tell_bad(checked, skip_bad=skip_bad)
            good = skip_bad or not checked.bad
            if good and not dry_run:
                if register or checked.ours or not checked.sound:
                    schema_id = _schema_id(settings, register=register)
                readable.seek(start)
                encoders = Encoders(EventEncoder(schema_id=schema_id), WholeEvents(schemas))
                sound = sound_lines(readable, encoders, checked, skip_bad=skip_bad)
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
        how = _how(checked, schema_id)
        sys.stdout.write(f"events published to {settings.topic} {how}: {published:,}\n")
    return 0 if good else 1


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


def _schemas(settings: Settings, stack: ExitStack) -> SchemaLookup:
    """The schemas that exported lines name."""
    try:
        return stack.enter_context(schemas_of(settings))
    except ValueError as error:
        raise PublishRefused(str(error)) from None


def _how(checked: Checked, schema_id: int | None) -> str:
    if checked.sound and not checked.ours:
        return "with the schemas that the lines name"
    how = "in single-object encoding" if schema_id is None else f"with schema id {schema_id}"
    return how if checked.ours == checked.sound else f"{how} or what the lines name"


def _check(lines: IO[bytes], schemas: SchemaLookup) -> Checked:
    sound, ours, bad = 0, 0, 0
    encoders = Encoders(EventEncoder(schema_id=None), WholeEvents(schemas))
    listed: list[Bad] = []
    with progress_bar("checking", None) as advance:
        for each in check_lines(lines, encoders=encoders):
            if isinstance(each, Sound):
                sound += 1
                ours += each.ours
            else:
                bad += 1
                listed += [each] if bad <= LISTED_MAX else []
            advance(sound + bad)
    if schemas.trouble is not None:
        raise _Failed(f"the schema registry cannot be asked: {schemas.trouble}")
    return Checked(sound, ours, bad, tuple(listed))


def _tell_bad(checked: Checked, *, skip_bad: bool) -> None:
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
    with told_to_stop() as signals, progress_bar("publishing", total) as advance:
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
            told += because(publisher.undelivered, troubles)
        elif not signals:
            told += ": the lines have changed since they were checked"
        _complain(f"stopped: {told}" if signals else told)
    return publisher.delivered


def _summarise(checked: Checked, published: int, topic: str, schema_id: int | None) -> None:
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

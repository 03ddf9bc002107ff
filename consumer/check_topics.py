"""What a topic's state, its configuration and the group's offsets mean. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from consumer.finding import Finding, failed, ok, skipped, warning
from consumer.model import LogEnd

DAY_MS = 24 * 3600 * 1000
RETENTION_MS_MIN = 7 * DAY_MS
"""How long Meta takes an event after it happened: a shorter outage must lose none."""
RETENTION_DAYS = "CONVERSIONS_DLQ_RETENTION_DAYS_MAX"
LETTER_HEADERS_BYTES = 16 * 1024
"""What a dead letter may be larger than its record: our headers, at most."""


class Topic(NamedTuple):
    """A topic, how it is called in the findings, and the variable that names it."""

    subject: str
    name: str
    variable: str


def topic_state(topic: Topic, partitions: Sequence[tuple[int, bool]]) -> Finding:
    """A topic that exists. ``partitions`` are numbers, each with whether it has a leader."""
    leaderless = [number for number, has_leader in partitions if not has_leader]
    if leaderless:
        told = f"topic {topic.name} has no leader for {_partitions(leaderless)}"
        return failed(topic.subject, told, "Bring back the brokers that hold these partitions.")
    count = len(partitions)
    return ok(topic.subject, f"{topic.name} has {count} partition{'' if count == 1 else 's'}")


def missing_permission(subject: str, verb: str, operation: str, resource: str) -> Finding:
    """Kafka's authorizer does not let us ``verb`` the resource (``topic conversions.events``)."""
    advice = f"Allow {operation} on {resource} (kafka-acls --add --allow-principal)."
    return failed(subject, f"we may not {verb} {resource}", advice)


def source_configuration(
    topic: Topic, configuration: Mapping[str, str]
) -> Iterator[tuple[Finding, int | None]]:
    """Findings on the source topic; with the one on its size, the largest record in bytes."""
    if _compacts(configuration):
        yield (
            warning(
                f"{topic.subject} cleanup",
                "the topic is compacted: of events with the same key only the last one is kept",
                _set(topic, "cleanup.policy", "delete"),
            ),
            None,
        )
    else:
        yield ok(f"{topic.subject} cleanup", "the topic is not compacted"), None
    yield _retention(topic, configuration, days_max=None), None
    bytes_max = _number(configuration, "max.message.bytes")
    if bytes_max is not None:
        told = f"a record may have {bytes_max} bytes (max.message.bytes)"
        yield ok(f"{topic.subject} record size", told), bytes_max


def letters_configuration(
    topic: Topic,
    configuration: Mapping[str, str],
    *,
    record_bytes_max: int | None,
    days_max: float | None,
) -> Iterator[Finding]:
    """Findings on the dead-letter topic; ``record_bytes_max`` is the source's, None if unknown,
    and ``days_max`` how long dead letters may be kept, None for without limit."""
    if _compacts(configuration):
        yield failed(
            f"{topic.subject} cleanup",
            "the topic is compacted: letters with the same key delete one another",
            _set(topic, "cleanup.policy", "delete"),
        )
    else:
        yield ok(f"{topic.subject} cleanup", "the topic is not compacted")
    yield _retention(topic, configuration, days_max=days_max)
    subject = f"{topic.subject} record size"
    bytes_max = _number(configuration, "max.message.bytes")
    if bytes_max is None or record_bytes_max is None:
        told = "whether the largest event fits with its headers is not known"
        yield skipped(subject, told, "Allow DESCRIBE_CONFIGS on both topics to have it checked.")
    elif bytes_max < record_bytes_max + LETTER_HEADERS_BYTES:
        yield failed(
            subject,
            f"a letter may have {bytes_max} bytes, too few for an event of {record_bytes_max}"
            f" and {LETTER_HEADERS_BYTES} of headers: its partition would pause",
            _set(topic, "max.message.bytes", str(record_bytes_max + LETTER_HEADERS_BYTES)),
        )
    else:
        yield ok(subject, f"a letter may have {bytes_max} bytes, enough for any event")


def offsets_kept(topic: str, ends: Mapping[int, LogEnd]) -> Finding:
    """Whether every committed offset still points into the topic."""
    positions = [(each, end, end.committed) for each, end in sorted(ends.items())]
    lost = {
        each: end.low - committed
        for each, end, committed in positions
        if committed is not None and committed < end.low
    }
    beyond = [
        each for each, end, committed in positions if committed is not None and committed > end.high
    ]
    if lost:
        return warning(
            "offsets",
            f"up to {sum(lost.values())} records of {_partitions([*lost])} were removed before"
            " the group read them",
            "Raise retention.ms; what is lost must be published again by its owners.",
        )
    if beyond:
        return warning(
            "offsets",
            f"the committed offset of {_partitions(beyond)} is beyond the end: {topic} was made"
            " anew",
            "Reset the group with kafka-consumer-groups --reset-offsets --to-earliest.",
        )
    if not ends:
        return ok("offsets", "nothing is committed yet: the group begins by auto.offset.reset")
    waiting = sum(end.high - committed for _, end, committed in positions if committed is not None)
    return ok("offsets", f"every committed offset is within the topic, {waiting} offsets to go")


def _compacts(configuration: Mapping[str, str]) -> bool:
    return "compact" in configuration.get("cleanup.policy", "")


def _retention(
    topic: Topic, configuration: Mapping[str, str], *, days_max: float | None
) -> Finding:
    subject = f"{topic.subject} retention"
    limit = "" if days_max is None else f"the {days_max:g} days of {RETENTION_DAYS}"
    if "delete" not in configuration.get("cleanup.policy", "delete"):
        told = "records are not removed by age"
        if not limit or _compacts(configuration):  # which has a finding of its own
            return ok(subject, told)
        told += f", while dead letters may be kept for {limit}"
        return warning(subject, told, _set(topic, "cleanup.policy", "delete"))
    kept_ms = _number(configuration, "retention.ms")
    if kept_ms is None:
        return skipped(subject, "the brokers do not tell retention.ms", "")
    span = _span(kept_ms) if kept_ms >= 0 else "ever"
    max_ms = None if days_max is None else int(days_max * DAY_MS)
    if max_ms is not None and not 0 <= kept_ms <= max_ms:
        told = f"records are kept for {span}, longer than {limit}"
        return warning(subject, told, _set(topic, "retention.ms", str(max_ms)))
    min_ms = RETENTION_MS_MIN if max_ms is None else min(max_ms, RETENTION_MS_MIN)
    if 0 <= kept_ms < min_ms:
        told = f"records are kept for {span}, less than the 7 days for which Meta takes an event"
        return warning(subject, told, _set(topic, "retention.ms", str(min_ms)))
    return ok(subject, f"records are kept for {span} (retention.ms)")


def _span(milliseconds: int) -> str:
    for unit, unit_ms in (("day", DAY_MS), ("hour", DAY_MS // 24), ("minute", 60_000)):
        if milliseconds >= unit_ms:
            amount = f"{milliseconds / unit_ms:.4g}"
            return f"{amount} {unit}{'' if amount == '1' else 's'}"
    return f"{milliseconds / 1000:g} seconds"


def _set(topic: Topic, name: str, value: str) -> str:
    return f"Run kafka-configs --alter --topic {topic.name} --add-config {name}={value}."


def _partitions(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"partition {numbers[0]}"
    shown = ", ".join(map(str, numbers[:5]))
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"partitions {shown}{more}"


def _number(configuration: Mapping[str, str], name: str) -> int | None:
    value = configuration.get(name, "")
    return int(value) if value.lstrip("-").isdecimal() else None

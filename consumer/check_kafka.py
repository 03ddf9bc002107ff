"""Checks the Kafka side: brokers, the two topics, and where the group stands.

Asks with the consumer's connection, and for the dead letters with the producer's. Changes
nothing: no topic comes into being by being asked for, and the group is not joined.
"""

from collections.abc import Collection, Iterator
from enum import Enum
from pathlib import Path

from confluent_kafka import KafkaError
from confluent_kafka.admin import AclOperation  # type: ignore[attr-defined]

from consumer.check_brokers import Brokers, Refusal, committed
from consumer.check_topics import (
    Topic,
    letters_configuration,
    missing_permission,
    offsets_kept,
    source_configuration,
    topic_state,
)
from consumer.finding import Finding, failed, ok, skipped
from consumer.kafka_settings import connection_only
from consumer.replay_access import Permission, replay_access, transactional_id
from consumer.sealing_keys import KeyFileMistake, read_keys
from consumer.settings import Settings, SettingsError


def check_kafka(settings: Settings) -> Iterator[Finding]:
    """Everything about Kafka, the brokers first: without them nothing else is asked."""
    try:
        settings.require_kafka()
    except SettingsError as error:
        example = "KAFKA_BOOTSTRAP_SERVERS=localhost:9092"
        yield failed("brokers", str(error), f"Name the brokers, for example {example}.")
        return
    reading, writing = map(connection_only, (settings.kafka_consumer, settings.kafka_producer))
    source = Brokers(reading)
    finding = source.finding("brokers")
    yield finding
    if not source.answered:
        return
    record_bytes_max: int | None = None
    for finding, bytes_max in _check_source(source, settings):
        record_bytes_max = bytes_max or record_bytes_max
        yield finding
    letters = source if reading == writing else Brokers(writing)
    if letters is not source:
        yield letters.finding("producer")
    if letters.answered:
        yield from _check_letters(letters, settings, record_bytes_max)
        yield from _check_replay(source, letters, settings)


def _check_source(brokers: Brokers, settings: Settings) -> Iterator[tuple[Finding, int | None]]:
    """The topic and the group; with the finding on its size, the largest record in bytes."""
    name = settings.topic
    topic = Topic("topic", name, "CONVERSIONS_TOPIC")
    described = brokers.topic(name)
    if isinstance(described, Refusal):
        yield _no_topic(topic, described), None
        return
    partitions = [(each.id, each.leader is not None) for each in described.partitions]
    yield topic_state(topic, partitions), None
    if not _allows(described.authorized_operations, AclOperation.READ):
        yield missing_permission("topic access", "read", "READ", f"topic {name}"), None
    configuration = brokers.configuration(name)
    if isinstance(configuration, Refusal):
        yield _no_configuration("topic configuration", name, configuration), None
    else:
        yield from source_configuration(topic, configuration)
    for finding in _check_group(brokers, settings, [each for each, _ in partitions]):
        yield finding, None


def _check_letters(
    brokers: Brokers, settings: Settings, record_bytes_max: int | None
) -> Iterator[Finding]:
    name = settings.dlq_topic
    topic = Topic("dead letters", name, "CONVERSIONS_DLQ_TOPIC")
    described = brokers.topic(name)
    if isinstance(described, Refusal):
        yield _no_topic(topic, described)
        return
    yield topic_state(topic, [(each.id, each.leader is not None) for each in described.partitions])
    if not _allows(described.authorized_operations, AclOperation.WRITE):
        yield missing_permission("dead letters access", "write to", "WRITE", f"topic {name}")
    configuration = brokers.configuration(name)
    if isinstance(configuration, Refusal):
        yield _no_configuration("dead letters configuration", name, configuration)
    else:
        yield from letters_configuration(
            topic,
            configuration,
            record_bytes_max=record_bytes_max,
            days_max=settings.dlq_retention_days_max or None,
        )
    if settings.dlq_key_file is not None:
        yield _key_file(settings.dlq_key_file)


def _key_file(path: Path) -> Finding:
    try:
        keys = read_keys(path)
    except KeyFileMistake as mistake:
        advice = "Mend it: the consumer does not start without its keys."
        return failed("dead letters sealing", str(mistake), advice)
    told = f"values are sealed with key {keys.writing}, one of {len(keys.keys)} in the key file"
    return ok("dead letters sealing", told)


def _check_replay(reading: Brokers, writing: Brokers, settings: Settings) -> Iterator[Finding]:
    """What replay needs beyond what the consumer does: asked of whoever would need it."""
    missing: list[Permission] = []
    for brokers, name, operation in (
        (writing, settings.topic, AclOperation.WRITE),
        (reading, settings.dlq_topic, AclOperation.READ),
    ):
        described = brokers.topic(name)
        if not isinstance(described, Refusal):
            allowed = _allows(described.authorized_operations, operation)
        elif described.code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            allowed = False
        else:
            return  # told already
        if not allowed:
            missing.append(Permission(operation.name, f"topic {name}"))
    identity = transactional_id(cluster_id=writing.cluster_id, dead_letter_topic=settings.dlq_topic)
    yield replay_access(missing, identity=identity, granted=writing.may_be_used(identity))


def _check_group(brokers: Brokers, settings: Settings, partitions: list[int]) -> Iterator[Finding]:
    group, topic = settings.group_id, settings.topic
    operations = brokers.group_operations(group)
    if isinstance(operations, Refusal):
        yield _no_group(group, operations)
        return
    if not _allows(operations, AclOperation.READ):
        yield missing_permission("group", "join", "READ", f"group {group}")
        return
    commits = committed(settings.kafka_consumer, topic, partitions)
    if isinstance(commits, Refusal):
        yield _no_group(group, commits)
        return
    offsets = {partition: commit.offset for partition, commit in commits.items()}
    count = f"{len(offsets)} of {len(partitions)} partitions have a committed offset"
    yield ok("group", f"the coordinator of group {group} answers, {count}")
    ends = brokers.log_ends(topic, offsets)
    if isinstance(ends, Refusal):
        yield skipped("offsets", f"the topic's offsets could not be asked for: {ends.told}", "")
    else:
        yield offsets_kept(topic, ends)


def _allows(operations: Collection[Enum] | None, operation: AclOperation) -> bool:
    # Brokers before Kafka 2.3 do not tell, which is no refusal.
    return not operations or operation in operations


def _no_topic(topic: Topic, refusal: Refusal) -> Finding:
    if refusal.code == KafkaError.UNKNOWN_TOPIC_OR_PART:
        advice = f"Create it, or name another one in {topic.variable}."
        return failed(topic.subject, f"topic {topic.name} does not exist", advice)
    if refusal.code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return missing_permission(topic.subject, "describe", "DESCRIBE", f"topic {topic.name}")
    told = f"topic {topic.name} could not be described: {refusal.told}"
    return failed(topic.subject, told, "Look at the brokers' logs, and check again.")


def _no_group(group: str, refusal: Refusal) -> Finding:
    if refusal.code == KafkaError.GROUP_AUTHORIZATION_FAILED:
        return missing_permission("group", "join", "READ", f"group {group}")
    told = f"the coordinator of group {group} does not answer: {refusal.told}"
    advice = "Look at the brokers' logs: __consumer_offsets may have no leader."
    return failed("group", told, advice)


def _no_configuration(subject: str, name: str, refusal: Refusal) -> Finding:
    if refusal.code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        told = f"we may not see the configuration of topic {name}"
        return skipped(subject, told, f"Allow DESCRIBE_CONFIGS on topic {name} to have it checked.")
    told = f"the configuration of topic {name} could not be asked for: {refusal.told}"
    return skipped(subject, told, "Check again.")

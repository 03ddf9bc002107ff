"""The brokers as a check asks them: one question each, and never an exception for what they say."""

from collections.abc import Collection, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from enum import Enum
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
)
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
    TopicDescription,
)

from consumer.finding import Finding, failed, ok
from consumer.kafka_refusal import refused_property, refuses_certificate
from consumer.kafka_settings import without_membership
from consumer.kafka_unreachable import unreachable
from consumer.model import LogEnd
from consumer.property_names import is_secret, variable_part
from consumer.replay_access import Granted

BROKERS_SECONDS = 10.0
ANSWER_SECONDS = 5.0
REFUSED_SECONDS = 2.0
"""How long a broker that refuses us is given for another one to take us."""

AGAIN_SECONDS = 0.25

T = TypeVar("T")


class Refusal(NamedTuple):
    """Why a broker did not give what was asked for; ``code`` is None when it did not answer."""

    code: int | None
    told: str


class Brokers:
    """An admin client that never raises for what the brokers say, and what it heard meanwhile."""

    def __init__(self, configuration: Mapping[str, str]) -> None:
        self._secrets = [
            value
            for name, value in configuration.items()
            if is_secret(variable_part(name)) and len(value) > 3
        ]
        self._protocol = configuration.get("security.protocol", "plaintext").upper()
        self._heard: list[KafkaError] = []
        self._admin: AdminClient | None = None
        self._not_taken = "the KAFKA_ variables together"
        self._cluster_operations: Collection[Enum] = ()
        self.answered, self.cluster_id = False, ""
        own: dict[str, Any] = {"log_level": 0, "error_cb": self._heard.append}
        try:
            self._admin = AdminClient({**configuration, **own})
        except (KafkaException, ValueError, TypeError) as error:
            # librdkafka's sentence quotes the value, which may be a secret: only names are told.
            if name := refused_property(error):
                self._not_taken = f"KAFKA_{variable_part(name)} as it is set"

    def finding(self, subject: str) -> Finding:
        """Whether a broker gives metadata; sets ``answered`` and ``cluster_id``."""
        if self._admin is None:
            told = f"librdkafka does not take {self._not_taken}"
            advice = "a wrong value, or a password that does not open the key."
            return failed(subject, told, f"Look for a file that does not exist, {advice}")
        asked = self._admin.describe_cluster(
            request_timeout=BROKERS_SECONDS, include_authorized_operations=True
        )
        until = monotonic() + BROKERS_SECONDS
        while not asked.done() and monotonic() < until:
            self._admin.poll(0.1)
            if any(each.code() in _REFUSED or refuses_certificate(each) for each in self._heard):
                until = min(until, monotonic() + REFUSED_SECONDS)
        cluster = answer_of(asked, 0.0)
        if isinstance(cluster, Refusal):
            finding = unreachable(self._heard, seconds=BROKERS_SECONDS)
            return finding._replace(subject=subject, told=self._masked(finding.told))
        self.answered, self.cluster_id = True, cluster.cluster_id or ""
        self._cluster_operations = cluster.authorized_operations or ()
        count = len(cluster.nodes)
        brokers = "1 broker answers" if count == 1 else f"{count} brokers answer"
        return ok(subject, f"{brokers} over {self._protocol}")

    def topic(self, name: str) -> TopicDescription | Refusal:
        """The topic and what we may do with it."""
        asked = self.admin.describe_topics(
            TopicCollection([name]),
            request_timeout=ANSWER_SECONDS,
            include_authorized_operations=True,
        )
        return answer_of(asked[name], ANSWER_SECONDS)

    def configuration(self, topic: str) -> dict[str, str] | Refusal:
        """The topic's configuration, defaults included."""
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        asked = self.admin.describe_configs([resource], request_timeout=ANSWER_SECONDS)
        found: Any = answer_of(asked[resource], ANSWER_SECONDS)
        if isinstance(found, Refusal):
            return found
        return {name: entry.value for name, entry in found.items() if entry.value is not None}

    def group_operations(self, group: str) -> Collection[Enum] | Refusal:
        """What we may do with the group, by its coordinator; empty when that does not tell.

        The first group of a cluster is asked for again: its coordinator comes into being by it.
        """
        until = monotonic() + ANSWER_SECONDS
        while True:
            asked = self.admin.describe_consumer_groups(
                [group], request_timeout=ANSWER_SECONDS, include_authorized_operations=True
            )
            found: Any = answer_of(asked[group], ANSWER_SECONDS)
            if not isinstance(found, Refusal):
                return found.authorized_operations or ()
            if found.code not in _COORDINATOR_COMES or monotonic() > until:
                return found
            self.admin.poll(AGAIN_SECONDS)

    def may_be_used(self, transactional_id: str) -> Granted:
        """Whether an ACL lets anybody write under this id. To try it out would fence whoever is
        at work under it, and whose ACL it is only the brokers know."""
        if AclOperation.CLUSTER_ACTION in self._cluster_operations:
            return Granted.YES  # a super user, or no authorizer: nothing needs to be allowed
        if AclOperation.DESCRIBE not in self._cluster_operations:
            # The client (librdkafka 2.16) gives an empty list for the brokers' refusal as well.
            return Granted.NOT_SEEN
        wanted = AclBindingFilter(
            ResourceType.TRANSACTIONAL_ID,
            transactional_id,
            ResourcePatternType.MATCH,
            None,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            AclOperation.ANY,
            AclPermissionType.ALLOW,
        )
        asked = self.admin.describe_acls(wanted, request_timeout=ANSWER_SECONDS)
        found: Any = answer_of(asked, ANSWER_SECONDS)
        if isinstance(found, Refusal):
            return Granted.NOT_SEEN
        writes = {AclOperation.WRITE, AclOperation.ALL}
        return Granted.YES if any(each.operation in writes for each in found) else Granted.NO

    def log_ends(self, topic: str, committed: Mapping[int, int]) -> dict[int, LogEnd] | Refusal:
        """First and next offset of each partition that has a committed one."""
        lows = self._offsets(topic, committed, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        highs = self._offsets(topic, committed, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        if isinstance(lows, Refusal):
            return lows
        if isinstance(highs, Refusal):
            return highs
        return {each: LogEnd(lows[each], highs[each], committed[each]) for each in committed}

    def ends(
        self, topic: str, partitions: Collection[int], *, committed: bool
    ) -> dict[int, int] | Refusal:
        """The next offset of each partition; with ``committed`` that of the first record whose
        transaction is open, where there is one."""
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        return self._offsets(topic, partitions, latest, isolation_level=level)

    def _offsets(
        self, topic: str, partitions: Collection[int], spec: OffsetSpec, **options: Any
    ) -> dict[int, int] | Refusal:
        if not partitions:
            return {}
        wanted = {KafkaPartition(topic, each): spec for each in partitions}
        asked = self.admin.list_offsets(wanted, request_timeout=ANSWER_SECONDS, **options)
        until = monotonic() + ANSWER_SECONDS
        offsets: dict[int, int] = {}
        for partition, future in asked.items():
            found: Any = answer_of(future, max(0.0, until - monotonic()))
            if isinstance(found, Refusal):
                return found
            offsets[partition.partition] = found.offset
        return offsets

    @property
    def admin(self) -> AdminClient:
        """The client itself, for who asks more; only after the brokers have answered."""
        assert self._admin is not None, "nothing is asked of brokers that have not answered"
        return self._admin

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "...")
        return text


def committed(
    configuration: Mapping[str, str], topic: str, partitions: Collection[int]
) -> dict[int, KafkaPartition] | Refusal:
    """Partition to what the consumer's group has committed, ``offset`` and ``metadata``, where it
    has. Raises KafkaException for a configuration that librdkafka does not take.

    With a consumer that never joins: the admin client's way of asking (librdkafka 2.16) ends the
    whole process when the coordinator is only just coming up.
    """
    consumer = Consumer(
        {**without_membership(configuration), "log_level": 0, "error_cb": lambda _: None}
    )
    try:
        wanted = [KafkaPartition(topic, partition) for partition in partitions]
        found = consumer.committed(wanted, timeout=ANSWER_SECONDS)
    except KafkaException as error:
        return Refusal(error.args[0].code(), error.args[0].str())
    finally:
        consumer.close()
    for each in found:
        if each.error is not None:
            return Refusal(each.error.code(), each.error.str())
    return {each.partition: each for each in found if each.offset >= 0}


def answer_of(future: Future[T], seconds: float) -> T | Refusal:
    """What a request of the admin client brought, waited for so long."""
    try:
        return future.result(seconds)
    except NoAnswer:
        return Refusal(None, f"no answer within {ANSWER_SECONDS:g} seconds")
    except KafkaException as error:
        said = error.args[0]
        return Refusal(said.code(), said.str())


_REFUSED = {KafkaError._AUTHENTICATION, KafkaError._SSL}
_COORDINATOR_COMES = {
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
}

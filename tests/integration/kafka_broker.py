"""The real Kafka: one broker that is its own controller, as a child process."""

import shutil
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.integration import POLL_SECONDS, Child, free_ports

START_SECONDS_MAX = 90.0
STOP_SECONDS_MAX = 30.0
ANSWER_SECONDS_MAX = 30.0
READ_SECONDS_MAX = 120.0
# A short-lived JVM on a busy machine: quick to start rather than quick in the long run.
JVM_OPTIONS = (
    "-Xmx1g",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)

_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,"
    "SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
    "auto.create.topics.enable": "false",
    # One broker holds the only copy of everything; few partitions are created and loaded quickly.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    # Groups form at once, and a test may choose how soon a killed member is missed.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "10000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
    # A killed broker is let in again only when its former self has been missed: 9 s by default.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "500",
    # Records with old timestamps are the point of some tests: only a topic's own setting ends them.
    "log.retention.ms": "-1",
}


class KafkaBroker:
    """One Kafka broker on ports of its own, which it keeps when it is restarted.

    ``extra_properties`` go into ``server.properties`` over ours; a value of ``listeners`` there is
    *added* to our plaintext one, which the methods of this class go on using:
    ``{"listeners": "SASL_SSL://127.0.0.1:20001", "sasl.enabled.mechanisms": "SCRAM-SHA-256", …}``.
    """

    def __init__(
        self,
        *,
        java: Path,
        libs: Path,
        folder: Path,
        extra_properties: Mapping[str, str],
        jvm_options: tuple[str, ...] = (),
    ) -> None:
        port, controller_port = free_ports(2)
        self.bootstrap = f"127.0.0.1:{port}"
        self.log_path = folder / "kafka.log"
        self._command: list[str | Path] = [java, *JVM_OPTIONS, *jvm_options]
        self._command += ["-cp", f"{libs}/*"]
        self._folder = folder
        self._data = folder / "kafka-data"
        self._settings = folder / "server.properties"
        self._child: Child | None = None
        self._admin: AdminClient | None = None
        self._observers: dict[str, Consumer] = {}
        listeners = f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller_port}"
        if "listeners" in extra_properties:
            listeners += f",{extra_properties['listeners']}"
        properties = _PROPERTIES | dict(extra_properties)
        properties |= {
            "listeners": listeners,
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "log.dirs": str(self._data),
        }
        lines = (f"{name}={value}\n" for name, value in properties.items())
        self._settings.write_text("".join(lines), encoding="utf-8")

    def start(self) -> None:
        """Start on the data that is there, and return when clients can work."""
        if not self._data.exists():
            self._format()
        child = self._launch("kafka.Kafka", self._settings)
        child.wait_until(self._answers, START_SECONDS_MAX, "metadata from the broker")

    def stop(self) -> None:
        """SIGTERM: the broker closes its logs properly. The data stays."""
        if self._child is not None:
            self._child.terminate()
            self._child.wait(STOP_SECONDS_MAX)

    def kill(self) -> None:
        """SIGKILL: what a crash leaves behind stays."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> None:
        """``stop`` and ``start``: same address, same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it and delete its data; the log stays."""
        for observer in self._observers.values():
            observer.close()
        self._observers.clear()
        self.kill()
        shutil.rmtree(self._data, ignore_errors=True)

    def client_config(self) -> dict[str, str]:
        """What any client needs to reach the broker without a password."""
        return {"bootstrap.servers": self.bootstrap}

    def create_topic(
        self, name: str, partitions: int, config: Mapping[str, str] | None = None
    ) -> None:
        """Create a topic, and return when each of its partitions has a leader."""
        topic = NewTopic(name, partitions, 1, config=dict(config or {}))
        self._admin_client().create_topics([topic])[name].result(ANSWER_SECONDS_MAX)
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while len(self._partitions(name)) < partitions:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} has no leaders after {ANSWER_SECONDS_MAX} s")
            time.sleep(POLL_SECONDS)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Partition to committed offset; a partition without a commit is absent."""
        wanted = [TopicPartition(topic, partition) for partition in self._partitions(topic)]
        # Not the admin client's call: it ended the interpreter while a coordinator was loading.
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while True:
            try:
                found = self._observer(group).committed(wanted, timeout=ANSWER_SECONDS_MAX)
                break
            except KafkaException:
                # A broker that has just started is not its groups' coordinator at once.
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
        return {each.partition: each.offset for each in found if each.offset >= 0}

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Partition to the offset that its next record will have."""
        return {number: end for number, (_, end) in self._watermarks(topic).items()}

    def lag(self, group: str, topic: str) -> int:
        """Offsets that the group has not committed, of all partitions together.

        Markers of transactions occupy offsets too. Without a commit all that is stored counts.
        """
        committed = self.committed(group, topic)
        watermarks = self._watermarks(topic).items()
        return sum(end - committed.get(number, first) for number, (first, end) in watermarks)

    def read_all(self, topic: str) -> list[Message]:
        """All committed records that are there now, by partition and offset."""
        settings = self.client_config() | {
            "group.id": "read-all",
            "enable.auto.commit": "false",
            "enable.partition.eof": "true",
            "isolation.level": "read_committed",
        }
        consumer = Consumer(settings)
        try:
            return _read_to_the_end(consumer, topic, self._partitions(topic))
        finally:
            consumer.close()

    def _format(self) -> None:
        # The first byte is ours: an id that begins with a hyphen is taken for an option.
        cluster_id = urlsafe_b64encode(b"k" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        arguments = ("format", "--cluster-id", cluster_id, "--config", self._settings)
        child = self._launch("kafka.tools.StorageTool", *arguments)
        code = child.wait(START_SECONDS_MAX)
        assert code == 0, f"formatting the data folder ended with {code}:\n{child.tail()}"

    def _launch(self, main_class: str, *arguments: str | Path) -> Child:
        command = [*self._command, main_class, *arguments]
        self._child = Child(command, log_path=self.log_path, cwd=self._folder, env=None)
        return self._child

    def _answers(self) -> bool:
        try:
            return bool(self._admin_client().list_topics(timeout=1.0).brokers)
        except KafkaException:
            return False

    def _admin_client(self) -> AdminClient:
        # Kept: requests of an admin client that nobody holds any more are cancelled.
        if self._admin is None:
            # The broker is away on purpose at times: no complaints, and back at once.
            self._admin = AdminClient(
                {**self.client_config(), "log_level": 2, "reconnect.backoff.max.ms": 200}
            )
        return self._admin

    def _partitions(self, topic: str) -> list[int]:
        """The partitions of the topic that have a leader."""
        metadata = self._admin_client().list_topics(topic, timeout=ANSWER_SECONDS_MAX)
        partitions = metadata.topics[topic].partitions
        return sorted(number for number, found in partitions.items() if found.leader >= 0)

    def _watermarks(self, topic: str) -> dict[int, tuple[int, int]]:
        """Partition to the first offset that is stored and the one that will be written next."""
        consumer = self._observer("watermarks")
        return {
            number: consumer.get_watermark_offsets(
                TopicPartition(topic, number), timeout=ANSWER_SECONDS_MAX
            )
            for number in self._partitions(topic)
        }

    def _observer(self, group: str) -> Consumer:
        """A client that asks about a group and is no member of it; one each, kept."""
        if group not in self._observers:
            # With read_committed the end would be where the oldest open transaction begins.
            settings = {"group.id": group, "isolation.level": "read_uncommitted", "log_level": "0"}
            # Partitions may be added under its eyes.
            settings |= {"topic.metadata.refresh.interval.ms": "1000"}
            self._observers[group] = Consumer(
                {**self.client_config(), **settings, "reconnect.backoff.max.ms": 200}
            )
        return self._observers[group]


def _read_to_the_end(consumer: Consumer, topic: str, partitions: list[int]) -> list[Message]:
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    records: list[Message] = []
    unread = set(partitions)
    deadline = time.monotonic() + READ_SECONDS_MAX
    while unread:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{topic}: no end of {sorted(unread)} after {READ_SECONDS_MAX} s")
        record = consumer.poll(0.5)
        if record is None:
            continue
        error = record.error()
        if error is None:
            records.append(record)
        elif error.code() == KafkaError._PARTITION_EOF:
            unread.discard(record.partition())
        else:
            raise KafkaException(error)
    return sorted(records, key=lambda record: (record.partition(), record.offset()))

"""The shipped alerts fire for real: consumers, the emulator, a real Kafka and a real Prometheus.

One run, a minute of the rules in a second: first a healthy time in which nothing fires, then all
that the emulator and the topic can provoke at once, then an outage of all of Meta, and at last
nobody to scrape.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from tests.faster_rules import faster
from tests.integration import Product, Running
from tests.integration.events import good_event
from tests.integration.kafka_broker import KafkaBroker
from tests.integration.prometheus import Prometheus
from tests.integration.registry import Registry
from tests.integration.world import PARTITIONS, World, metrics_port

pytestmark = pytest.mark.integration

RULES = Path(__file__).parents[2] / "helm" / "files" / "alerts.yaml"
FACTOR = 60
HEALTHY_SECONDS = 15
PHASE_SECONDS_MAX = 75
TURN_SECONDS = 0.5
HEALTHY, POISONED, FLAKY, BUSY, REVOKED, ENDING, BAD_DEPLOY = (
    str(1000000000000000 + number) for number in range(7)
)
PIXELS = (HEALTHY, POISONED, FLAKY, BUSY, REVOKED, ENDING, BAD_DEPLOY)
PROVOKED = frozenset(
    (
        "ConversionsAccessTokenExpiring",
        "ConversionsAccessTokenInvalid",
        "ConversionsDeadLetterRateHigh",
        "ConversionsDeadLetterTooLarge",
        "ConversionsDeliveryStalled",
        "ConversionsDestinationHalted",
        "ConversionsDestinationsFileMistake",
        "ConversionsErrorBudgetBurn",
        "ConversionsEventNearingSevenDayLimit",
        "ConversionsEveryEventRefused",
        "ConversionsGuardAlarm",
        "ConversionsOffsetsReset",
        "ConversionsPublisherRejects",
        "ConversionsRecordsLostToRetention",
        "ConversionsSchemaUnknown",
        "ConversionsThrottled",
    )
)
IN_AN_OUTAGE = frozenset(("ConversionsDeliveryStalled", "ConversionsLagGrowing"))
OF_SCRAPING = frozenset(("ConversionsConsumerAbsent", "ConversionsPartitionsUnassigned"))
NOT_PROVOKED = {
    "ConversionsCommitFailures": "the group would have to refuse commits for long",
    "ConversionsDeadLetterPublishFailing": "test_dead_letter_trouble provokes its metric",
    "ConversionsEventMatchQualityDropped": "looks back over a week",
    "ConversionsEventsResentLate": "the code cannot do it: the counter proves that",
    "ConversionsGraphVersionEnding": "a date that Meta sets",
    "ConversionsInternalErrors": "a bug of our own",
    "ConversionsKafkaUnreachable": "the broker is shared with other tests",
    "ConversionsMatchKeyCoverageDropped": "looks back over two days",
    "ConversionsPollLoopStuck": "a stopped process answers no scrape either",
    "ConversionsRebalanceStorm": "a dozen rebalances within a minute",
}
"""These have tests with promtool alone, and why."""


@pytest.fixture
def crowded(
    kafka: KafkaBroker, registry: Registry, product: Product, unique: Callable[[str], str]
) -> World:
    """Many pixels, an emulator that takes any token, a dead-letter topic that takes little."""
    world = World(
        kafka=kafka,
        registry=registry,
        product=product,
        unique=unique,
        pixels=PIXELS,
        dead_letter_config={"max.message.bytes": "20000"},
    )
    emulator = product.run("emulate", "--port", "0", env={})
    listening = emulator.wait_for_line("listens on http", 30)
    world.meta_url = listening.split("listens on ")[1].split()[0]
    return world


def test_every_alert_that_can_be_provoked_fires_and_none_does_in_health(
    crowded: World, prometheus_for: Callable[..., Prometheus], tmp_path: Path
) -> None:
    world = crowded
    destinations = _destinations(tmp_path)
    _spoil_tokens(world)
    settings = {
        "CONVERSIONS_DESTINATIONS_FILE": str(destinations),
        "CONVERSIONS_GUARD_EVENTS": "100",
        "CONVERSIONS_SPILL_AFTER_SECONDS": "3600",
    }
    members = [world.consumer(**settings) for _ in range(2)]
    ports = {f"pod-{number}": metrics_port(running) for number, running in enumerate(members)}
    rules = tmp_path / "alerts.yaml"
    rules.write_text(faster(RULES.read_text(encoding="utf-8"), FACTOR), encoding="utf-8")
    prometheus = prometheus_for(rules=(rules,), interval_seconds=1)
    prometheus.scrape(ports)
    # Prometheus takes up new targets every five seconds: minutes, by these rules.
    world.wait(lambda: len(prometheus.query("conversions_build_info")) == 2, 30, "first scrapes")
    world.wait(lambda: not _is_absent(prometheus), 30, "calm before the events")
    traffic = _Traffic(world)
    watch = _Watch(world, prometheus, traffic, members)

    assert watch.during(HEALTHY_SECONDS) <= {
        # Known before a single event came.
        "ConversionsAccessTokenExpiring",
        "ConversionsAccessTokenInvalid",
    }

    traffic.trouble = True
    _misbehave(world)
    _odd_records(world)
    destinations.write_text("- id: [", encoding="utf-8")
    watch.until({"ConversionsDestinationsFileMistake", "ConversionsSchemaUnknown"})
    _retention(world)
    watch.until(PROVOKED)
    prometheus.scrape({"pod-0": ports["pod-0"]})  # the other one is there, but nobody sees it
    watch.until({"ConversionsPartitionsUnassigned"})

    prometheus.scrape(ports)
    world.meta("POST", "misbehave", [{"do": {"status": 503}}])
    traffic.per_turn = 100
    watch.seen.clear()
    watch.until(IN_AN_OUTAGE)

    prometheus.scrape({})
    traffic.per_turn = 0
    watch.until({"ConversionsConsumerAbsent"})


def test_no_alert_is_forgotten() -> None:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    shipped = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    told = {*PROVOKED, *IN_AN_OUTAGE, *NOT_PROVOKED, *OF_SCRAPING}
    assert shipped == told


class _Traffic:
    """Events of a healthy destination all along; when told, those of all that are in trouble."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._producer = world.producer()
        self._number = 0
        self.trouble = False
        self.per_turn = 10

    def turn(self) -> None:
        values = [self._event(HEALTHY) for _ in range(self.per_turn)]
        if self.trouble:
            values += [self._event(pixel) for pixel in (FLAKY, BUSY, REVOKED, ENDING)]
            # Less than two days are left of seven, divided; ten minutes of them are our margin.
            values += [self._event(FLAKY, age_ms=(7 * 24 * 60 - 40) * 60 * 1000)]
            values += [self._event(POISONED, customData={"emulator_refuse": "2804019"})]
            values += [self._event(HEALTHY, customData={"emulator_refuse": "2804087"})] * 3
            values += [self._event(BAD_DEPLOY, actionSource=None) for _ in range(8)]
        self._world.publish(values, producer=self._producer)

    def _event(self, pixel: str, *, age_ms: int = 0, **more: Any) -> bytes:
        self._number += 1
        event = good_event(self._number, pixel, time.time_ns() // 1_000_000)
        event |= {"eventTime": event["eventTime"] - age_ms, "eventId": f"e-{self._number}", **more}
        return self._world.encode({name: value for name, value in event.items() if value})


class _Watch:
    """Drives the traffic, and looks which alerts fire meanwhile."""

    def __init__(
        self, world: World, prometheus: Prometheus, traffic: _Traffic, members: list[Running]
    ) -> None:
        self._world, self._prometheus = world, prometheus
        self._traffic, self._members = traffic, members
        self.seen: set[str] = set()

    def during(self, seconds: float) -> set[str]:
        """What fires within so many seconds."""
        seen = set[str]()
        for _ in self._turns(seconds):
            seen |= self._firing()
        return seen

    def until(self, wanted: set[str] | frozenset[str]) -> None:
        """Go on until each of these has fired."""
        for _ in self._turns(PHASE_SECONDS_MAX):
            self.seen |= self._firing()
            if wanted <= self.seen:
                return
        raise AssertionError(f"did not fire: {sorted(wanted - self.seen)}; did: {self.seen}")

    def _turns(self, seconds: float) -> Iterator[None]:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._traffic.turn()
            assert all(member.alive for member in self._members)
            time.sleep(TURN_SECONDS)
            yield

    def _firing(self) -> set[str]:
        firing = [each for each in self._prometheus.alerts() if each["state"] == "firing"]
        for alert in firing:
            assert not {"pod", "instance"} & alert["labels"].keys()
            assert "{{" not in json.dumps(alert["annotations"])
        return {alert["labels"]["alertname"] for alert in firing}


def _is_absent(prometheus: Prometheus) -> bool:
    alerts = prometheus.alerts()
    return any(each["labels"]["alertname"] == "ConversionsConsumerAbsent" for each in alerts)


def _destinations(folder: Path) -> Path:
    entries = []
    for pixel in PIXELS:
        token = folder / f"token-{pixel}"
        token.write_text(f"token-of-{pixel}", encoding="utf-8")
        entries.append({"id": pixel, "accessTokenFile": str(token)})
    path = folder / "destinations.yaml"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def _spoil_tokens(world: World) -> None:
    world.meta("POST", "revoke", {"token": f"token-of-{REVOKED}"})
    soon = int(time.time()) + 3000  # less than 7 days, divided
    ending = {"token": f"token-of-{ENDING}", "expires_at": soon, "data_access_expires_at": 0}
    world.meta("POST", "expiry", ending)


def _misbehave(world: World) -> None:
    throttle: dict[str, Any] = {"error": {"code": 80004, "status": 400}}
    rules: list[dict[str, Any]] = [
        {"pixel": FLAKY, "do": {"status": 503}},
        {"pixel": BUSY, "do": throttle},
    ]
    world.meta("POST", "misbehave", rules)


def _odd_records(world: World) -> None:
    """One of a schema that nobody has registered, and one too large for a dead letter."""
    large = good_event(0, HEALTHY, time.time_ns() // 1_000_000, prefix="large")
    large["user"] = {"country": "US"}
    large["customData"] = {"text": "x" * 900_000}
    producer = world.producer()
    producer.produce(world.topic, value=world.encode(large), partition=0)
    producer.produce(world.topic, value=b"\x00" + (10**6).to_bytes(4, "big") + b"x", partition=1)
    assert producer.flush(30) == 0


def _retention(world: World) -> None:
    """Everything of the partitions is deleted, also what waits there to be settled."""
    admin = AdminClient({**world.kafka.client_config()})
    ends = world.kafka.end_offsets(world.topic)
    doomed = [KafkaPartition(world.topic, number, ends[number]) for number in range(PARTITIONS)]
    for future in admin.delete_records(doomed).values():
        future.result(30)

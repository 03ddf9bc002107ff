"""The whole loop with everything around it in memory, and an auditor who checks every commit."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest

from consumer.deliveries import Deliveries
from consumer.destinations import parse_destinations
from consumer.flow import Limits
from consumer.guard import Guard
from consumer.journal import Journal
from consumer.judge import Posted
from consumer.letter_box import LetterBox
from consumer.metrics import Metrics
from consumer.model import Header, PixelId, Request, TopicPartition
from consumer.outbox import Outbox
from consumer.pipeline import Pipeline, Timing
from consumer.prepare import Preparation
from consumer.seams import Log
from consumer.settle import Ledger
from consumer.tracing import Tracing, Untraced
from consumer.window import BYTES_PER_REQUEST, Windows
from tests.fakes.clock import FakeClock
from tests.fakes.dead_letters import FakeDeadLetters
from tests.fakes.kafka import FakeSource, FakeTopic, Place
from tests.fakes.meta import FakeMeta
from tests.fakes.schemas import SCHEMA_ID, FakeSchemas, event_value

SHOP, CRM = PixelId("1111111111111111"), PixelId("2222222222222222")
DESTINATIONS = f"- id: '{SHOP}'\n- id: '{CRM}'\n"


class Lines:
    """A log that keeps its lines; satisfies ``journal.Log``."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def debug(self, event: str, **facts: Any) -> None:
        """Keep a line."""
        self.lines.append(("debug", event, facts))

    def info(self, event: str, **facts: Any) -> None:
        """Keep a line."""
        self.lines.append(("info", event, facts))

    def warning(self, event: str, **facts: Any) -> None:
        """Keep a line."""
        self.lines.append(("warning", event, facts))

    def error(self, event: str, **facts: Any) -> None:
        """Keep a line."""
        self.lines.append(("error", event, facts))

    def named(self, event: str) -> list[dict[str, Any]]:
        """The facts of every line with this name."""
        return [facts for _, name, facts in self.lines if name == event]


class Rooms(NamedTuple):
    """The kinds of the rooms that own state."""

    ledger: type[Ledger] = Ledger
    outbox: type[Outbox] = Outbox
    deliveries: type[Deliveries] = Deliveries
    letters: type[LetterBox] = LetterBox
    guard: type[Guard] = Guard
    pipeline: type[Pipeline] = Pipeline


class FakeHouse:
    """One member with everything around it; see ``house``."""

    def __init__(
        self,
        *,
        clock: FakeClock,
        topic: FakeTopic,
        source: FakeSource,
        schemas: FakeSchemas,
        dead_letters: FakeDeadLetters,
        meta: FakeMeta,
        ledger: Ledger,
        deliveries: Deliveries,
        letters: LetterBox,
        guard: Guard,
        journal: Journal,
        pipeline: Pipeline,
        lines: Lines,
    ) -> None:
        self.clock, self.topic, self.source, self.schemas = clock, topic, source, schemas
        self.dead_letters, self.meta, self.lines = dead_letters, meta, lines
        self.ledger, self.deliveries, self.letters = ledger, deliveries, letters
        self.guard, self.journal, self.pipeline = guard, journal, pipeline
        self.withheld: set[Place] = set()
        self._audited: dict[TopicPartition, int] = {}
        self._numbers = count(1)
        topic.watchers.append(self._audit)

    def publish(
        self,
        partition: int,
        *,
        events: int = 1,
        destination: PixelId = SHOP,
        schema_id: int = SCHEMA_ID,
        headers: tuple[Header, ...] = (),
        **fields: Any,
    ) -> list[Place]:
        """Publish good events, each changed by ``fields``; a field that is None is left out."""
        places = []
        for _ in range(events):
            number = next(self._numbers)
            event = {
                "destinationId": destination,
                "eventName": "Lead",
                "eventTime": self.clock.now_ms() - 60_000,
                "eventId": f"event-{number}",
                "actionSource": "crm",
                "user": {"email": f"person{number}@example.com"},
                **fields,
            }
            value = event_value(
                {name: given for name, given in event.items() if given is not None},
                schema_id=schema_id,
            )
            places.append(self.topic.publish(partition, value, headers=headers))
        return places

    def garbage(self, partition: int) -> Place:
        """Publish a record that nobody can decode."""
        return self.topic.publish(partition, b"this is no Avro")

    def run(self, seconds: float) -> None:
        """Turn the loop for so long."""
        until = self.clock.now() + seconds
        while self.clock.now() < until:
            self.pipeline.turn()

    def settle_all(self, seconds_max: float = 60.0) -> None:
        """Turn the loop until nothing is left to read, settle or commit."""
        until = self.clock.now() + seconds_max
        while self.topic.lag or self.ledger.open_records:
            assert self.clock.now() < until, f"still a lag of {self.topic.lag}, {self.ledger!r}"
            self.pipeline.turn()

    def committed(self, partition: int) -> int:
        """The group's committed offset, 0 before the first commit."""
        return self.topic.committed.get(self.topic.partitions[partition], 0)

    def metric(self, name: str, **labels: str) -> float | None:
        """A series' value; None when it does not exist."""
        self.pipeline.gauges()
        return self.journal.metrics.registry.get_sample_value(name, labels)

    @property
    def exposition(self) -> str:
        """All metrics as text."""
        self.pipeline.gauges()
        return generate_latest(self.journal.metrics.registry).decode()

    def make_anew(self, partition: int) -> None:
        """Delete a partition and create it again, with all that was known of its fates."""
        self.topic.make_anew(partition)
        self._audited[self.topic.partitions[partition]] = 0
        for place in [each for each in self.meta.accepted if each[0] == partition]:
            del self.meta.accepted[place]

    def _audit(self, partition: TopicPartition, offset: int) -> None:
        """Promise 1: whatever is committed past has met its fate before."""
        start = self._audited.get(partition, 0)
        dead = set(self.dead_letters.places)
        for stored in self.topic.records(partition, start, offset):
            place = (partition.partition, stored.offset)
            met = place in dead or place in self.meta.accepted or place in self.withheld
            assert met, f"{place} is committed past without a fate"
        self._audited[partition] = max(start, offset)


def house(
    *,
    partitions: int = 3,
    assigned: tuple[int, ...] | None = None,
    destinations: str = DESTINATIONS,
    window_events: int = 1000,
    in_flight_events: int = 20_000,
    uncommitted_records: int = 200_000,
    uncommitted_seconds: float = 3600.0,
    grace_seconds: float = 30.0,
    max_poll_seconds: float = 300.0,
    guard_events: int = 1000,
    guard_pauses: bool = False,
    beside: FakeHouse | None = None,
    post: Callable[[Request], Posted] | None = None,
    log: Log | None = None,
    rooms: Rooms | None = None,
    trace: Callable[[FakeClock], Tracing] | None = None,
) -> FakeHouse:
    """Build a member that is assigned ``assigned`` (all by default) at its first turn.

    ``beside`` is another member of the same group: clock and topic are shared, and so are Meta's
    and the dead letters' memories, for what one has settled the other need not. With ``post`` every
    request that no test scripts goes to it, as it goes to ``meta.Meta.post``. ``rooms`` are built
    in place of the usual ones, to plant a bug. ``trace`` makes what traces the batches.
    """
    rooms = rooms or Rooms()
    clock = beside.clock if beside else FakeClock()
    topic = beside.topic if beside else FakeTopic(clock=clock, partitions=partitions)
    source = FakeSource(topic=topic, clock=clock, max_poll_seconds=max_poll_seconds)
    meta = FakeMeta(clock=clock, post=post, memory=beside.meta.memory if beside else None)
    dead_letters = FakeDeadLetters(clock=clock)
    if beside:
        dead_letters.written = beside.dead_letters.written
    schemas, ledger, lines = FakeSchemas(), rooms.ledger(), Lines()
    deliveries = _deliveries(ledger, rooms, window_events=window_events)
    letters = rooms.letters(dead_letters=dead_letters)
    guard = rooms.guard(events=guard_events, share=0.5, pauses=guard_pauses)
    found = parse_destinations(destinations, Path())
    metrics = Metrics(registry=CollectorRegistry(), version="0", graph_version="v0")
    metrics.configured(each.id for each in found)
    traces = trace(clock) if trace else Untraced()
    journal = Journal(metrics=metrics, log=log or lines, traces=traces)
    pipeline = rooms.pipeline(
        source=source,
        schemas=schemas,
        preparation=Preparation(
            destinations=found, test_code=None, body_bytes_max=4 * 1024**2 - BYTES_PER_REQUEST
        ),
        ledger=ledger,
        deliveries=deliveries,
        letters=letters,
        guard=guard,
        outgoing=meta,
        limits=Limits(
            in_flight_events=in_flight_events,
            in_flight_bytes=256 * 1024**2,
            uncommitted_records=uncommitted_records,
            uncommitted_seconds=uncommitted_seconds,
            spill_after_seconds=300.0,
        ),
        timing=Timing(commit_seconds=1.0, grace_seconds=grace_seconds),
        clock=clock,
        journal=journal,
    )
    source.subscribe(
        tenure_of=ledger.tenure_of,
        assigned=pipeline.assigned,
        revoked=pipeline.revoked,
        lost=pipeline.lost,
    )
    source.assign(*(range(partitions) if assigned is None else assigned))
    return FakeHouse(
        clock=clock,
        topic=topic,
        source=source,
        schemas=schemas,
        dead_letters=dead_letters,
        meta=meta,
        ledger=ledger,
        deliveries=deliveries,
        letters=letters,
        guard=guard,
        journal=journal,
        pipeline=pipeline,
        lines=lines,
    )


def _deliveries(ledger: Ledger, rooms: Rooms, *, window_events: int) -> Deliveries:
    def outbox_for(destination: PixelId) -> Outbox:
        return rooms.outbox(
            destination=destination,
            requests_max=8,
            isolation_requests_max=100,
            is_over=ledger.is_over,
            jitter=lambda: 1.0,
        )

    windows = Windows(
        events_max=window_events, bytes_max=4 * 1024**2, seconds_max=1.0, batch_prefix="batch"
    )
    return rooms.deliveries(
        windows=windows, outbox_for=outbox_for, is_over=ledger.is_over, requests_max=256
    )

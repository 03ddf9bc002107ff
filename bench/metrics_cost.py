"""What the metrics cost for one event, as a share of what the loop spends on it.

    python -m bench.metrics_cost [--events N] [--rounds N] [--json]

Two members in one process take turns, both with the real loop from reading to commit: one counts
everything, the other nothing, and keeps no times for it either. The gauges are set once a second of
work, as the running member does. Kafka and Meta cost nothing here, so that in production the share
is smaller. Of each the quietest round counts, for what a busy machine adds is never negative; only
the shares travel between machines.

Three kinds of events: a shop's with everything that is known of a person, small ones of a CRM, and
small ones of which each has lost a match key and draws a warning.
"""

import argparse
import gc
import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

from bench.measured_steps import shop_event
from consumer.deliveries import Deliveries
from consumer.destinations import parse_destinations
from consumer.encode import EventEncoder
from consumer.flow import Limits
from consumer.guard import Guard
from consumer.journal import Journal
from consumer.letter_box import LetterBox
from consumer.metrics import Metrics
from consumer.model import (
    Accepted,
    ClientError,
    CommitReport,
    Delivered,
    EndOfPartition,
    PixelId,
    Record,
    Request,
    TopicPartition,
)
from consumer.outbox import Outbox
from consumer.pipeline import Pipeline, Timing
from consumer.prepare import Preparation
from consumer.senders import Answer
from consumer.settle import Ledger
from consumer.tracing import Untraced
from consumer.window import BYTES_PER_REQUEST, Windows
from tests.fakes.clock import FakeClock
from tests.fakes.dead_letters import FakeDeadLetters
from tests.fakes.schemas import FakeSchemas

PIXELS = [PixelId(str(1729525464415281 + number)) for number in range(10)]
PARTITION = TopicPartition("conversions.events", 0)
TIME_MS = FakeClock().now_ms() - 60_000
SCRAPE_SECONDS = 15
TURN_RECORDS, TURN_SECONDS = 500, 0.05

Fields = dict[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(description="CPU time of the metrics for one event.")
    parser.add_argument("--events", type=int, default=1000, help="events of one round")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    kinds = {"shop": shop_event, "small": _small, "small, with faults": _faulty}
    found: dict[str, Any] = {
        kind: _compared(make, options.events, options.rounds) for kind, make in kinds.items()
    }
    found["scrape"] = _scrape_ms()
    sys.stdout.write(f"{json.dumps(found)}\n" if options.json else _table(found))
    return 0


def _compared(make: Callable[[int], Fields], events: int, rounds: int) -> dict[str, float]:
    """One kind of events: µs of CPU time for one, counted and uncounted, and the share."""
    encoder = EventEncoder(schema_id=1)
    values = [encoder.encode({**make(number), "eventTime": TIME_MS}) for number in range(events)]
    counting, silent = _Member(counts=True), _Member(counts=False)
    for member in (counting, silent):
        member.round(values)  # caches fill
    pairs = []
    for number in range(rounds):
        # Whoever is first in one round is last in the next.
        order = (counting, silent) if number % 2 == 0 else (silent, counting)
        spent = {id(member): member.round(values) for member in order}
        pairs.append((spent[id(counting)], spent[id(silent)]))
    counted, uncounted = (min(spent) for spent in zip(*pairs, strict=True))
    return {
        "microseconds": round(counted, 2),
        "without": round(uncounted, 2),
        "share": round(1 - uncounted / counted, 4),
    }


class _Member:
    """The loop of one member, between a log that is read from memory and a Meta that takes all."""

    def __init__(self, *, counts: bool) -> None:
        self._source = _Log()
        self._clock = FakeClock()
        ledger = Ledger()
        entries = "".join(f"- id: '{pixel}'\n  defaultCountry: US\n" for pixel in PIXELS)
        destinations = parse_destinations(entries, Path())
        self.registry = CollectorRegistry()
        metrics = Metrics(registry=self.registry, version="", graph_version="v26.0")
        metrics.configured(PIXELS)
        journal = Journal(metrics=metrics, log=_Nowhere(), traces=Untraced())
        if not counts:
            journal.metrics = _Nowhere()
        windows = Windows(
            events_max=1000, bytes_max=4 * 2**20, seconds_max=1.0, batch_prefix="bench"
        )
        outbox_for = partial(
            Outbox,
            requests_max=8,
            isolation_requests_max=100,
            is_over=ledger.is_over,
            jitter=lambda: 1.0,
        )
        self._pipeline = (Pipeline if counts else _Uncounted)(
            source=self._source,
            schemas=FakeSchemas(),
            preparation=Preparation(
                destinations=destinations,
                test_code=None,
                body_bytes_max=4 * 2**20 - BYTES_PER_REQUEST,
            ),
            ledger=ledger,
            deliveries=Deliveries(
                windows=windows,
                outbox_for=lambda destination: outbox_for(destination=destination),
                is_over=ledger.is_over,
                requests_max=256,
            ),
            letters=LetterBox(dead_letters=FakeDeadLetters(clock=self._clock)),
            guard=Guard(events=1000, share=0.5, pauses=False),
            outgoing=_TakesAll(),
            limits=Limits(
                in_flight_events=20_000,
                in_flight_bytes=2**28,
                uncommitted_records=200_000,
                uncommitted_seconds=3600.0,
                spill_after_seconds=300.0,
            ),
            timing=Timing(commit_seconds=1.0, grace_seconds=30.0),
            clock=self._clock,
            journal=journal,
        )
        self._counts = counts
        self._ledger = ledger
        self._gauges_at = 0.0
        self._pipeline.assigned([PARTITION])

    def round(self, values: Sequence[bytes]) -> float:
        """Microseconds of CPU time for one event, from its reading until it is settled."""
        tenure = self._ledger.tenure_of(PARTITION)
        assert tenure is not None
        self._source.publish(values, tenure)
        gc.collect()
        began = process_time()
        while not self._source.is_empty or self._ledger.open_records:
            self._pipeline.turn()
            self._clock.advance(TURN_SECONDS)
            if self._counts and process_time() >= self._gauges_at:
                self._gauges_at = process_time() + 1.0
                self._pipeline.gauges()
        return (process_time() - began) * 1e6 / len(values)


class _Uncounted(Pipeline):
    """The loop without what it does for the metrics alone."""

    def _delivered(self, delivered: Sequence[Delivered], now: float, now_ms: int) -> None:
        for one in delivered:
            self._ledger.settle(one.event.record)


class _Nowhere:
    """Every method, and none does anything."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *arguments: Any, **facts: Any) -> "_Nowhere":
        return self


class _Log:
    """One partition in memory; satisfies ``seams.Source``."""

    def __init__(self) -> None:
        self._values: Sequence[bytes] = ()
        self._read, self._offset, self._tenure = 0, 0, 0

    @property
    def is_empty(self) -> bool:
        return self._read == len(self._values)

    def publish(self, values: Sequence[bytes], tenure: int) -> None:
        self._values, self._read, self._tenure = values, 0, tenure

    def read(self, records_max: int, seconds: float) -> list[Record | EndOfPartition]:
        chunk = self._values[self._read : self._read + min(records_max, TURN_RECORDS)]
        first = self._offset
        self._read += len(chunk)
        self._offset += len(chunk)
        return [
            Record(PARTITION, first + number, TIME_MS, None, value, (), self._tenure)
            for number, value in enumerate(chunk)
        ]

    def pause(self, partitions: Collection[TopicPartition]) -> None: ...

    def resume(self, partitions: Collection[TopicPartition]) -> None: ...

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None: ...

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None: ...

    def commit_now(self, offsets: Mapping[TopicPartition, int], seconds: float | None) -> None: ...

    def commit_reports(self) -> list[CommitReport]:
        return []

    def errors(self) -> list[ClientError]:
        return []

    def close(self) -> None: ...


class _TakesAll:
    """Meta takes every request at once; satisfies ``seams.Outgoing``."""

    def __init__(self) -> None:
        self._answers: list[Answer] = []

    def submit(self, request: Request) -> None:
        self._answers.append(
            Answer(request, Accepted("AbCdEfGhIjKlMnOpQrStUv"), 0.4, None, status=200)
        )

    def answers(self) -> list[Answer]:
        answers, self._answers = self._answers, []
        return answers

    def wait(self, seconds: float) -> None: ...


_NAMES = ("Lead", "Subscribe", "Contact", "StartTrial", "deal_closed")


def _small(number: int) -> Fields:
    """What a CRM knows."""
    return {
        "destinationId": PIXELS[0],
        "eventName": _NAMES[number % len(_NAMES)],
        "eventId": f"event_{number}",
        "actionSource": "crm",
        "user": {"email": f"person.{number}@example.com", "externalId": f"{number}"},
    }


def _faulty(number: int) -> Fields:
    """The same from a website: without user agent, and with a telephone number that is none."""
    event = _small(number)
    event["user"]["phone"] = "call me"
    return {**event, "actionSource": "website", "sourceUrl": "https://shop.example/thanks"}


def _scrape_ms() -> dict[str, float]:
    """CPU time of one scrape of a member with ten destinations that has met some of everything."""
    member = _Member(counts=True)
    encoder = EventEncoder(schema_id=1)
    member.round(
        [encoder.encode({**_faulty(number), "eventTime": TIME_MS}) for number in range(2000)]
    )
    found = {}
    for name, exposition in {"text": generate_latest, "openmetrics": openmetrics}.items():
        spent = []
        for _ in range(20):
            began = process_time()
            exposition(member.registry)
            spent.append((process_time() - began) * 1000)
        found[name] = round(min(spent), 1)
    return found


def _table(found: dict[str, Any]) -> str:
    lines = [f"{'events':20} {'µs':>7} {'without':>8} {'share':>7}"]
    for kind, costs in found.items():
        if kind != "scrape":
            lines.append(
                f"{kind:20} {costs['microseconds']:7.2f} {costs['without']:8.2f} "
                f"{costs['share']:7.1%}"
            )
    for name, milliseconds in found["scrape"].items():
        share = milliseconds / 1000 / SCRAPE_SECONDS
        told = f"{milliseconds} ms, every {SCRAPE_SECONDS} s {share:.2%} of a core"
        lines.append(f"a scrape, {name}: {told}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

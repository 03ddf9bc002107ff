"""Whether what the consumer occupies grows with the backlog, with large records, in an outage.

    python -m bench.memory [--small N --large N] [--big-records N --more-big-records N]
                           [--outage SECONDS] [--json]

Every row is a consumer of its own on one real Kafka, with the settings that we ship; its backlog
is there before it starts, and every event is another person's, so that what it remembers fills up.
Resident memory is sampled after the first 50,000 events (of large records, the first 1,000) until
Meta has taken all of them. Meta is ``cheap_meta``. Exit 1 when a median is more than a tenth above
that of the smaller backlog, or when the outage cost the group a rebalance.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from bench.real_kafka import PARTITIONS, Rig, metrics_of, rig, usage
from tests.integration import Running

PIXEL = "1729525464415281"
WARM_EVENTS, WARM_LARGE_EVENTS = 50_000, 1_000
LARGE_BYTES = 100_000
SAMPLE_SECONDS = 0.25
GROWTH_MAX = 1.10
STALLED_SECONDS = 180.0


class Case(NamedTuple):
    """One backlog. ``outage_seconds``: for so long is Meta down, when half of it is taken."""

    name: str
    events: int
    size_bytes: int
    outage_seconds: float


class Row(NamedTuple):
    """What was seen of one case; memory in MiB."""

    case: str
    median_mib: float
    most_mib: float
    own_median_mib: float
    outage_most_mib: float | None
    lag_in_outage: int | None
    rebalances_in_outage: int | None
    events_per_second: int


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the exit code."""
    asked = _options(arguments)
    small, large = "small records", f"{LARGE_BYTES // 1000}-kB records"
    pairs = [
        (Case(small, asked.small, 0, 0.0), Case(small, asked.large, 0, asked.outage)),
        (
            Case(large, asked.big_records, LARGE_BYTES, 0.0),
            Case(large, asked.more_big_records, LARGE_BYTES, 0.0),
        ),
    ]
    found: list[tuple[Row, Row]] = []
    with rig() as stage:
        for fewer, more in pairs:
            if fewer.events and more.events:
                found.append((_measured(stage, fewer), _measured(stage, more)))
    rows = [row for pair in found for row in pair]
    sys.stdout.write(json.dumps([row._asdict() for row in rows]) if asked.json else _table(rows))
    sys.stdout.write("\n")
    grown = any(more.median_mib > GROWTH_MAX * fewer.median_mib for fewer, more in found)
    return 1 if grown or any(row.rebalances_in_outage for row in rows) else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--small", type=int, default=200_000, help="the smaller backlog")
    parser.add_argument("--large", type=int, default=1_000_000, help="the larger one")
    parser.add_argument("--big-records", type=int, default=2_000, help="the same of large records")
    parser.add_argument("--more-big-records", type=int, default=10_000)
    parser.add_argument("--outage", type=float, default=120.0, metavar="SECONDS")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _measured(stage: Rig, case: Case) -> Row:
    topic = stage.topic()
    templates = stage.templates(PIXEL, case.size_bytes)
    stage.publish(topic, templates, range(case.events), list(range(PARTITIONS)))
    sys.stderr.write(f"{case.events} {case.name} are there\n")
    with stage.consumer(topic, [PIXEL]) as running:
        return _Watch(stage, case, running).row()


class _Watch:
    """Samples one consumer while it works its backlog off."""

    def __init__(self, stage: Rig, case: Case, running: Running) -> None:
        self._stage, self._case, self._running = stage, case, running
        self._before = sum(stage.taken().values())
        self._began = time.monotonic()

    def row(self) -> Row:
        case = self._case
        warm = min(WARM_LARGE_EVENTS if case.size_bytes else WARM_EVENTS, case.events // 2)
        samples, own = self._until(0, warm)
        samples, own = self._until(warm, case.events // 2 if case.outage_seconds else case.events)
        outage_most, lag, rebalances = None, None, None
        if case.outage_seconds:
            outage_most, lag, rebalances = self._outage()
            more, more_own = self._until(case.events // 2, case.events)
            samples, own = samples + more, own + more_own
        seconds = time.monotonic() - self._began - case.outage_seconds
        return Row(
            case=f"{case.events} {case.name}",
            median_mib=round(median(samples), 1),
            most_mib=round(max(samples), 1),
            own_median_mib=round(median(own), 1),
            outage_most_mib=outage_most,
            lag_in_outage=lag,
            rebalances_in_outage=rebalances,
            events_per_second=round(case.events / seconds),
        )

    def _taken(self) -> int:
        return sum(self._stage.taken().values()) - self._before

    def _until(self, start: int, events: int) -> tuple[list[float], list[float]]:
        """Sample until Meta has taken so many."""
        samples, own, best, moved_at = [], [], start, time.monotonic()
        while best < events:
            occupied = usage(self._running)
            samples.append(occupied.resident)
            own.append(occupied.own)
            time.sleep(SAMPLE_SECONDS)
            taken = self._taken()
            if taken > best:
                best, moved_at = taken, time.monotonic()
            if time.monotonic() - moved_at > STALLED_SECONDS:
                raise TimeoutError(f"stands still at {best} events:\n{self._running.tail()}")
        return samples, own

    def _outage(self) -> tuple[float, int, int]:
        """Meta is down. The most that was occupied, the lag at the end, and how often the group
        moved partitions."""
        before = _rebalances(self._running)
        self._stage.meta(down=True)
        most, until = 0.0, time.monotonic() + self._case.outage_seconds
        while time.monotonic() < until:
            most = max(most, usage(self._running).resident)
            time.sleep(SAMPLE_SECONDS)
        metrics = metrics_of(self._running)
        if metrics.value("conversions_kafka_assigned_partitions") != PARTITIONS:
            raise AssertionError("the group has taken partitions away")
        lag = int(metrics.value("conversions_kafka_lag_records") or 0)
        self._stage.meta(down=False)
        return round(most, 1), lag, _rebalances(self._running) - before


def _rebalances(running: Running) -> int:
    return int(metrics_of(running).value("conversions_kafka_rebalances_total") or 0)


def _table(rows: Sequence[Row]) -> str:
    heads = (
        "backlog",
        "median MiB",
        "most",
        "own pages",
        "most in outage",
        "lag then",
        "rebalances",
        "events/s",
    )
    texts = [heads, *(tuple("" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = (
        "  ".join(
            [line[0].ljust(widths[0])]
            + [text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)]
        )
        for line in texts
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

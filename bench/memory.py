"""Whether what the consumer occupies grows with the backlog, with large records, in an outage.

    python -m bench.memory [--records N N] [--large-records N N] [--outage SECONDS] [--json]

Every row is a consumer of its own on one real Kafka, with the settings that we ship. Its backlog is
there before it starts, and every event is another person's, so that whatever it remembers fills up.
Resident memory is sampled once the first 50,000 events (of large records, 3,000) are taken: until
half of the backlog is, then while Meta is down, then until all of it is. Meta is ``cheap_meta``.
Exit 1 when a median before, in or after the outage, or the most of all, is with the larger backlog
more than a tenth above that with the smaller one, when it grows while the outage lasts, or when
that costs the group a rebalance.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from bench.real_kafka import PARTITIONS, Rig, metrics_of, rig, usage
from tests.integration import Running

PIXEL = "1729525464415281"
WARM_EVENTS, WARM_LARGE_EVENTS = 50_000, 3_000
LARGE_BYTES = 100_000
SAMPLE_SECONDS = 0.25
GROWTH_MAX = 1.10
STALLED_SECONDS = 180.0


class Case(NamedTuple):
    """One backlog; Meta is down for ``outage_seconds`` when half of it is taken."""

    name: str
    events: int
    size_bytes: int
    outage_seconds: float


class Row(NamedTuple):
    """What was seen of one case. Memory is in MiB: medians, and ``most`` of all samples.

    The outage is told by its second and its last quarter: in the first one the house fills up.
    """

    case: str
    before: float
    outage: float
    outage_end: float
    after: float
    most: float
    lag_in_outage: int
    rebalances_in_outage: int
    events_per_second: int


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the exit code."""
    asked = _options(arguments)
    kinds = [
        ("small records", 0, asked.records),
        ("100-kB records", LARGE_BYTES, asked.large_records),
    ]
    pairs: list[tuple[Row, Row]] = []
    with rig() as stage:
        for name, size_bytes, counts in kinds:
            cases = [Case(name, events, size_bytes, asked.outage) for events in sorted(counts)]
            if all(counts):
                fewer, more = [_measured(stage, case) for case in cases]
                pairs.append((fewer, more))
    rows = [row for pair in pairs for row in pair]
    text = json.dumps([row._asdict() for row in rows]) if asked.json else _table(rows)
    sys.stdout.write(f"{text}\n")
    return 1 if any(_grown(*pair) for pair in pairs) else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--records", type=int, nargs=2, metavar="N", default=[200_000, 1_000_000])
    parser.add_argument(
        "--large-records",
        type=int,
        nargs=2,
        metavar="N",
        default=[10_000, 30_000],
        help="0 0: none",
    )
    parser.add_argument("--outage", type=float, default=120.0, metavar="SECONDS")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _grown(fewer: Row, more: Row) -> bool:
    phases = [(fewer.before, more.before), (fewer.outage, more.outage)]
    phases += [(fewer.after, more.after), (fewer.most, more.most)]
    phases += [(row.outage, row.outage_end) for row in (fewer, more)]
    grown = any(later > GROWTH_MAX * earlier for earlier, later in phases)
    return grown or bool(fewer.rebalances_in_outage or more.rebalances_in_outage)


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
        half = case.events // 2
        self._until(0, min(WARM_LARGE_EVENTS if case.size_bytes else WARM_EVENTS, half // 2))
        before = self._until(0, half)
        moved = self._metric("conversions_kafka_rebalances_total")
        self._stage.meta(down=True)
        outage = self._for(case.outage_seconds)
        if self._metric("conversions_kafka_assigned_partitions") != PARTITIONS:
            raise AssertionError("the group has taken partitions away")
        lag = self._metric("conversions_kafka_lag_records")
        moved = self._metric("conversions_kafka_rebalances_total") - moved
        self._stage.meta(down=False)
        after = self._until(half, case.events)
        seconds = time.monotonic() - self._began - case.outage_seconds
        quarter = len(outage) // 4
        return Row(
            case=f"{case.events} {case.name}",
            before=round(median(before), 1),
            outage=round(median(outage[quarter : 2 * quarter]), 1),
            outage_end=round(median(outage[-quarter:]), 1),
            after=round(median(after), 1),
            most=round(max(before + outage + after), 1),
            lag_in_outage=lag,
            rebalances_in_outage=moved,
            events_per_second=round(case.events / seconds),
        )

    def _metric(self, name: str) -> int:
        return int(metrics_of(self._running).value(name) or 0)

    def _until(self, start: int, events: int) -> list[float]:
        """Sample until Meta has taken so many."""
        best, moved_at = start, time.monotonic()

        def done() -> bool:
            nonlocal best, moved_at
            taken = sum(self._stage.taken().values()) - self._before
            if taken > best:
                best, moved_at = taken, time.monotonic()
            if time.monotonic() - moved_at > STALLED_SECONDS:
                raise TimeoutError(f"stands still at {best} events:\n{self._running.tail()}")
            return best >= events

        return self._samples(done)

    def _for(self, seconds: float) -> list[float]:
        until = time.monotonic() + seconds
        return self._samples(lambda: time.monotonic() >= until)

    def _samples(self, done: Callable[[], bool]) -> list[float]:
        samples: list[float] = []
        while not (samples and done()):
            samples.append(usage(self._running).resident)
            time.sleep(SAMPLE_SECONDS)
        return samples


def _table(rows: Sequence[Row]) -> str:
    heads = [name.replace("_", " ") for name in Row._fields]
    texts = [heads, *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = []
    for name, *numbers in texts:
        cells = [text.rjust(width) for text, width in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *cells]))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

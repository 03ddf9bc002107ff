"""What one halted pixel of five costs the four others: their throughput with it, over that without.

    python -m bench.halted [--events N] [--rounds N] [--json]

On the real Kafka, one consumer with the settings that we ship, but that spilling begins after 5
seconds and the limit of records in flight is 5,000, so that the hold is soon over. ``mixed``: every
partition carries all five, and counted is from when spilling began. ``own``: each pixel has a
partition of its own. With and without take turns, and what is compared are events that Meta took
of the four others, from their first 10 % to their last: in a second, and in a second of the
consumer's CPU time, which a busy machine disturbs less. Exit 1 when both ratios of a layout are
below 0.9.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from bench.real_kafka import PARTITIONS, Rig, cpu_seconds, rig
from tests.integration import Running

PIXELS = [f"{number}729525464415281" for number in range(1, 6)]
HALTED, *OTHERS = PIXELS
RATIO_MIN = 0.9
STALLED_SECONDS = 120.0
SPILLING = "spilling a halted destination into the dead letters"


class Rate(NamedTuple):
    """Events of the four others in a second, and in a second of CPU time."""

    by_clock: float
    by_cpu: float


class Row(NamedTuple):
    """Medians of the rounds; ratios are taken within a round."""

    layout: str
    well: Rate
    one_halted: Rate
    ratio: Rate


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the exit code."""
    asked = _options(arguments)
    with rig() as stage:
        rows = [_measured(stage, layout, asked.events, asked.rounds) for layout in ("mixed", "own")]
    if asked.json:
        sys.stdout.write(f"{json.dumps([row._asdict() for row in rows])}\n")
    else:
        sys.stdout.write("layout   well  one halted  ratio   by CPU: well  one halted  ratio\n")
        for layout, well, halted, ratio in rows:
            sys.stdout.write(
                f"{layout:6} {well.by_clock:6.0f} {halted.by_clock:11.0f} {ratio.by_clock:6.2f}"
                f"{well.by_cpu:15.0f} {halted.by_cpu:11.0f} {ratio.by_cpu:6.2f}\n"
            )
    return 1 if any(max(row.ratio) < RATIO_MIN for row in rows) else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.halted", description=__doc__)
    parser.add_argument("--events", type=int, default=40_000, help="of each pixel")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _measured(stage: Rig, layout: str, events: int, rounds: int) -> Row:
    topic = stage.topic()
    templates = [stage.templates(pixel, 0) for pixel in PIXELS]
    if layout == "own":
        for index, ours in enumerate(templates):
            stage.publish(topic, ours, range(events), [index])
    else:
        everybody = [template for several in zip(*templates, strict=True) for template in several]
        stage.publish(topic, everybody, range(events * len(PIXELS)), list(range(PARTITIONS)))
    well: list[Rate] = []
    halted: list[Rate] = []
    for _ in range(rounds):
        well.append(_rate(stage, topic, events, halted=False, spilling=False))
        halted.append(_rate(stage, topic, events, halted=True, spilling=layout == "mixed"))
    ratios = [
        Rate(bad.by_clock / good.by_clock, bad.by_cpu / good.by_cpu)
        for bad, good in zip(halted, well, strict=True)
    ]
    return Row(layout, _median(well), _median(halted), _median(ratios))


def _median(rates: Sequence[Rate]) -> Rate:
    return Rate(*(round(median(each), 3) for each in zip(*rates, strict=True)))


def _rate(stage: Rig, topic: str, events: int, *, halted: bool, spilling: bool) -> Rate:
    """One consumer works the backlog off, up to the last tenth."""
    stage.meta(halted=[HALTED] if halted else [])
    before = _others(stage)
    more = {"CONVERSIONS_SPILL_AFTER_SECONDS": "5", "CONVERSIONS_IN_FLIGHT_EVENTS": "5000"}
    with stage.consumer(topic, PIXELS, **more) as running:
        if spilling:
            running.wait_for_line(SPILLING, STALLED_SECONDS)
        total = events * len(OTHERS)
        start = max(total // 10, _others(stage) - before + 1)
        began = _when(stage, running, before + start)
        ended = _when(stage, running, before + total * 9 // 10)
        taken = total * 9 // 10 - start
        return Rate(*(taken / (end - begin) for begin, end in zip(began, ended, strict=True)))


def _when(stage: Rig, running: Running, events: int) -> tuple[float, float]:
    """The moment at which Meta has taken so many of the others, by the clock and by CPU time."""
    running.wait_until(lambda: _others(stage) >= events, STALLED_SECONDS, f"{events} events")
    return time.monotonic(), cpu_seconds(running)


def _others(stage: Rig) -> int:
    taken = stage.taken()
    return sum(taken.get(pixel, 0) for pixel in OTHERS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

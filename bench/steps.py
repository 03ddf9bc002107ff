"""What one event costs: CPU time of decode, prepare and window + ledger, beside the floor.

    python bench/steps.py [--events N] [--rounds N] [--against PATH] [--json]

The floor is what the libraries alone cost for the same events: Avro's reader with the writer's
schema, eleven SHA-256 digests in hex, and the JSON of what Meta gets. It is measured in the same
round, block by block between ours, because a machine is not equally fast from one minute to the
next; what is printed are medians over the rounds. With ``--against`` the same is measured of the
package in another checkout, a round here and a round there.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent.parent
MEASURED = Path(__file__).with_name("measured_steps.py")
FLOOR = "floor"
ALL = "all but the floor"

Costs = dict[str, float]
"""By step, microseconds of CPU time for one event."""


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the exit code."""
    options = _options(arguments)
    checkouts = [HERE] if options.against is None else [HERE, options.against.resolve()]
    workers = [_Worker(checkout, options.events) for checkout in checkouts]
    try:
        for worker in workers:
            worker.round()  # caches fill, and schemas are parsed
        rounds: list[list[Costs]] = []
        for number in range(options.rounds):
            # Whoever is first in one round is last in the next.
            order = workers if number % 2 == 0 else workers[::-1]
            found = {id(worker): worker.round() for worker in order}
            rounds.append([found[id(worker)] for worker in workers])
    finally:
        for worker in workers:
            worker.stop()
    for costs in (costs for each in rounds for costs in each):
        costs[ALL] = sum(costs.values()) - costs[FLOOR]
    rows = [_row(step, rounds) for step in rounds[0][0]]
    if options.json:
        found_all = {"events": options.events, "rounds": options.rounds, "steps": rows}
        sys.stdout.write(f"{json.dumps(found_all)}\n")
    else:
        sys.stdout.write(_table(rows, compared=options.against is not None))
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="CPU time of each step for one event.")
    parser.add_argument("--events", type=_positive, default=2000, help="events of one round")
    parser.add_argument("--rounds", type=_positive, default=15)
    parser.add_argument("--against", type=Path, metavar="PATH", help="another checkout")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _row(step: str, rounds: list[list[Costs]]) -> dict[str, Any]:
    """Ratios are taken within a round, where the machine was the same, before their median."""
    ours = [costs[0][step] for costs in rounds]
    row: dict[str, Any] = {
        "step": step,
        "microseconds": round(median(ours), 2),
        "perFloor": round(median(costs[0][step] / costs[0][FLOOR] for costs in rounds), 3),
    }
    if len(rounds[0]) > 1:
        row["against"] = round(median(costs[1][step] for costs in rounds), 2)
        row["ratio"] = round(median(costs[0][step] / costs[1][step] for costs in rounds), 3)
    return row


def _table(rows: list[dict[str, Any]], *, compared: bool) -> str:
    heads = ["step", "µs per event", "× floor", *(["there, µs", "× there"] if compared else [])]
    keys = ["step", "microseconds", "perFloor", *(["against", "ratio"] if compared else [])]
    texts = [heads, *([str(row[key]) for key in keys] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    written = ""
    for name, *numbers in texts:
        cells = [name.ljust(widths[0])]
        cells += [text.rjust(width) for text, width in zip(numbers, widths[1:], strict=True)]
        written += f"{'  '.join(cells)}\n"
    return written


class _Worker:
    """One checkout in a process of its own, measured a round at a time."""

    def __init__(self, checkout: Path, events: int) -> None:
        if not (checkout / "consumer" / "__init__.py").exists():
            sys.exit(f"{checkout}: there is no consumer package in it")
        self._checkout = checkout
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, str(MEASURED), str(events)],
            env={**os.environ, "PYTHONPATH": str(checkout)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def round(self) -> Costs:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("round\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            sys.exit(f"{self._checkout}: cannot be measured; see above")
        costs: Costs = json.loads(answer)
        return costs

    def stop(self) -> None:
        self._process.communicate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

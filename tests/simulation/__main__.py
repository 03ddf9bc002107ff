"""Tells stories: ``python -m tests.simulation --seeds 200``, or one again: ``--seed 17``.

A story that fails is shortened to the fewest steps that still fail, and both are printed. Exit
codes: 0 fine, 1 a promise was broken (or, with ``--bug``, a planted bug was not found), 2 usage.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing import get_context

from tests.simulation.bugs import BUGS
from tests.simulation.story import Failure, shrink, story_of, tell, tell_seed

SHORTENED_MAX = 3
"""So many failing stories are shortened: the others say nothing new."""


def main(arguments: Sequence[str]) -> int:
    """Tell, and say what broke."""
    asked = _parsed(arguments)
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets is part of a story.
        os.environ["PYTHONHASHSEED"] = "0"
        command = [sys.executable, "-m", "tests.simulation", *arguments]
        os.execv(sys.executable, command)  # noqa: S606 - ourselves again
    if asked.bug is not None:
        return _find_bugs(list(BUGS) if asked.bug == "all" else [asked.bug], _seeds(asked))
    return _tell_all(_seeds(asked), processes=asked.processes, as_json=asked.json)


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, action="append", help="tell this story")
    parser.add_argument("--seeds", type=int, default=200, help="tell so many stories")
    parser.add_argument("--first", type=int, default=1, help="the first seed of these")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--bug", choices=["all", *BUGS], help="plant this; it must be found")
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")
    return parser.parse_args(arguments)


def _seeds(asked: argparse.Namespace) -> list[int]:
    return asked.seed or list(range(asked.first, asked.first + asked.seeds))


def _tell_all(seeds: list[int], *, processes: int, as_json: bool) -> int:
    began = time.monotonic()
    records, failures = 0, list[tuple[int, Failure]]()
    for number, (seed, told) in enumerate(_told(seeds, processes), start=1):
        if isinstance(told, Failure):
            failures.append((seed, told))
        else:
            records += told
        if number % 50 == 0 and not as_json:
            print(f"{number} of {len(seeds)} stories", file=sys.stderr)
    seconds = time.monotonic() - began
    if as_json:
        facts = {"seeds": len(seeds), "first": seeds[0], "records": records}
        broken = [{"seed": seed, "broken": failure.broken} for seed, failure in failures]
        print(json.dumps({**facts, "seconds": round(seconds, 1), "failures": broken}))
    else:
        print(
            f"{len(seeds)} stories from seed {seeds[0]}, {records} records: {len(failures)} broke "
            f"a promise; {len(seeds) * 60 / seconds:.0f} stories a minute"
        )
    for seed, failure in failures[:SHORTENED_MAX]:
        _explain(seed, failure)
    return 1 if failures else 0


def _told(seeds: list[int], processes: int) -> Iterator[tuple[int, Failure | int]]:
    if min(processes, len(seeds)) <= 1:
        yield from map(tell_seed, seeds)
        return
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(tell_seed, seeds, chunksize=4)


def _explain(seed: int, failure: Failure) -> None:
    print(f"\nseed {seed}: {failure.broken}", file=sys.stderr)
    shorter = shrink(failure, tell)
    print(
        f"  shortest story that fails ({len(shorter.steps)} steps): {shorter.broken}",
        file=sys.stderr,
    )
    for step in shorter.steps:
        print(f"    {step}", file=sys.stderr)
    print(f"  again: python -m tests.simulation --seed {seed}", file=sys.stderr)


def _find_bugs(names: Sequence[str], seeds: list[int]) -> int:
    survivors = 0
    for name in names:
        told_with = partial(tell, rooms=BUGS[name])
        found = next(
            ((s, told) for s in seeds if isinstance(told := told_with(story_of(s)), Failure)), None
        )
        survivors += found is None
        where = "NOT FOUND" if found is None else f"seed {found[0]}: {found[1].broken}"
        print(f"{name}: {where}", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

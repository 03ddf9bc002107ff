"""Runs it: ``python -m tests.chaos --minutes 10 --seed 7``; ``--faults kill,freeze``: only these.

Brings its own broker, registry and emulator, and leaves no process behind. Exit codes: 0 every
promise held, 1 one was broken (or a planted ``--bug`` was not found), 2 usage. The logs of a run
that did not end well are kept.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tests.chaos.plan import KINDS, OPENING, SHORT, Step, plan_for
from tests.chaos.recreated import FAULT
from tests.chaos.report import as_json, table
from tests.chaos.run import BROKER_PROPERTIES, Asked, run
from tests.integration.kafka_broker import KafkaBroker
from tests.integration.registry import Registry
from tests.simulation.bugs import BUGS
from tests.tools import APICURIO, KAFKA, apicurio_home, find_java, kafka_libs

PER_SECOND = 100.0
SHORT_SECONDS = 65.0


def main(arguments: Sequence[str]) -> int:
    """Run, print, judge."""
    asked = _parsed(arguments)
    seed = random.SystemRandom().randrange(1_000_000) if asked.seed is None else asked.seed
    print(f"seed {seed}", file=sys.stderr, flush=True)
    signal.signal(signal.SIGTERM, _interrupted)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    fine = False
    try:
        with _running(folder) as (kafka, registry):
            result = run(
                _asked(asked, seed),
                kafka=kafka,
                registry=registry,
                folder=folder,
                say=lambda line: print(line, file=sys.stderr, flush=True),
            )
        print(as_json(result, seed) if asked.json else table(result))
        broken = bool(result.account.findings)
        fine = broken if asked.bug else not broken
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    finally:
        if fine:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"the logs are in {folder}; again: --seed {seed}", file=sys.stderr)
    return 0 if fine else 1


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long faults happen")
    parser.add_argument("--seed", type=int, help="the schedule of faults; a random one if absent")
    parser.add_argument("--faults", type=_faults, help="only these, separated by commas")
    parser.add_argument("--short", action="store_true", help="the fixed short schedule")
    parser.add_argument("--bug", choices=list(BUGS), help="plant this; it must be found")
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")
    return parser.parse_args(arguments)


def _faults(text: str) -> frozenset[str]:
    names = frozenset(name.strip() for name in text.split(","))
    known = {FAULT, *KINDS, *(step.fault for step in OPENING)}
    if not names <= known:
        raise argparse.ArgumentTypeError(f"there are: {', '.join(sorted(known))}")
    return names


def _asked(asked: argparse.Namespace, seed: int) -> Asked:
    seconds = SHORT_SECONDS if asked.short else asked.minutes * 60
    plan: Sequence[Step] = SHORT if asked.short else plan_for(seed, seconds, asked.faults)
    return Asked(
        seed=seed,
        plan=plan,
        seconds=seconds,
        per_second=PER_SECOND,
        bug=asked.bug,
        recreated=not asked.short and (asked.faults is None or FAULT in asked.faults),
    )


@contextmanager
def _running(folder: Path) -> Iterator[tuple[KafkaBroker, Registry]]:
    libs, home = kafka_libs(), apicurio_home()
    java, newer_java = find_java(KAFKA.java_minimum), find_java(APICURIO.java_minimum)
    if libs is None or home is None or java is None or newer_java is None:
        print("Kafka, the registry or their Java is not there: run `make tools`", file=sys.stderr)
        raise SystemExit(2)
    registry = Registry(java=newer_java, home=home, folder=folder)
    kafka = KafkaBroker(java=java, libs=libs, folder=folder, extra_properties=BROKER_PROPERTIES)
    try:
        registry.launch()
        kafka.start()
        registry.wait_until_ready()
        yield kafka, registry
    finally:
        kafka.close()
        registry.close()


def _interrupted(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""One seed → which fault happens when, and for how long. Pure.

Faults of one lane follow one another, those of different lanes overlap: a consumer is killed while
Meta hangs and the dead-letter topic refuses.
"""

import random
from collections.abc import Collection, Mapping
from enum import Enum
from typing import NamedTuple


class Lane(Enum):
    """What a fault is about."""

    CONSUMERS = "consumers"
    KAFKA = "kafka"
    META = "meta"
    REGISTRY = "registry"


class Kind(NamedTuple):
    """One fault: how often it happens in a minute, and how many seconds it lasts."""

    lane: Lane
    per_minute: float
    seconds_min: float
    seconds_max: float


class Step(NamedTuple):
    """A fault begins ``at_seconds`` and is undone ``seconds`` later; ``choice`` picks a victim."""

    at_seconds: float
    fault: str
    seconds: float
    choice: int


SESSION_SECONDS = 6.0

KINDS: Mapping[str, Kind] = {
    "kill": Kind(Lane.CONSUMERS, 2.4, 0.5, 4.0),
    "terminate": Kind(Lane.CONSUMERS, 0.4, 0.5, 3.0),
    "freeze": Kind(Lane.CONSUMERS, 0.4, SESSION_SECONDS + 3, SESSION_SECONDS + 6),
    "scale": Kind(Lane.CONSUMERS, 0.2, 20.0, 20.0),
    "group reset": Kind(Lane.CONSUMERS, 0.1, 1.0, 1.0),
    "broker killed": Kind(Lane.KAFKA, 0.2, 2.0, 6.0),
    "broker restarted": Kind(Lane.KAFKA, 0.1, 0.0, 0.0),
    "dead letters too large": Kind(Lane.KAFKA, 0.2, 12.0, 15.0),
    "dead letters refused": Kind(Lane.KAFKA, 0.2, 8.0, 12.0),
    "partitions added": Kind(Lane.KAFKA, 0.1, 0.0, 0.0),
    "errors": Kind(Lane.META, 0.3, 5.0, 10.0),
    "resets": Kind(Lane.META, 0.3, 5.0, 10.0),
    "answers lost": Kind(Lane.META, 0.3, 5.0, 10.0),
    "answers cut": Kind(Lane.META, 0.2, 5.0, 10.0),
    "slow": Kind(Lane.META, 0.2, 10.0, 12.0),
    "hangs": Kind(Lane.META, 0.1, 10.0, 20.0),
    "hangs after taking": Kind(Lane.META, 0.1, 10.0, 20.0),
    "html": Kind(Lane.META, 0.3, 5.0, 8.0),
    "throttled": Kind(Lane.META, 0.1, 5.0, 5.0),
    "token revoked": Kind(Lane.META, 0.1, 60.0, 60.0),
    "registry hangs": Kind(Lane.REGISTRY, 0.1, 10.0, 15.0),
    "registry down": Kind(Lane.REGISTRY, 0.1, 5.0, 10.0),
}

OPENING = (Step(0.0, "dead letters missing", 10.0, 0), Step(0.0, "registry hangs", 8.0, 0))
"""How a run begins: nobody can decode yet, and there is nowhere to put what is refused."""

SHORT = (
    *OPENING,
    Step(14.0, "kill", 1.0, 0),
    Step(17.0, "errors", 4.0, 0),
    Step(22.0, "freeze", SESSION_SECONDS + 3, 1),
    Step(24.0, "answers lost", 5.0, 1),
    Step(35.0, "kill", 1.0, 1),
    Step(36.0, "dead letters refused", 5.0, 0),
    Step(40.0, "resets", 5.0, 2),
    Step(47.0, "broker killed", 2.0, 0),
    Step(50.0, "html", 3.0, 0),
    Step(60.0, "kill", 1.0, 0),
)
"""The short run: every kind of trouble once, three kills."""

ONE_KILL = (Step(10.0, "kill", 1.0, 0),)
"""Just enough for a planted bug to show."""


def plan_for(seed: int, seconds: float, faults: Collection[str] | None = None) -> tuple[Step, ...]:
    """The schedule of a seed. ``faults`` are the only ones to happen; None: all.

    Each happens as often as its kind says, and at least once while there is time for all.
    """
    chance = random.Random(seed)
    steps = [step for step in OPENING if faults is None or step.fault in faults]
    for lane in Lane:
        kinds = {
            name: kind
            for name, kind in KINDS.items()
            if kind.lane is lane and (faults is None or name in faults)
        }
        begin = 12.0 if any(lane_of(step.fault) is lane for step in steps) else 5.0
        steps += _fill(chance, kinds, begin, seconds)
    return tuple(sorted(steps))


def lane_of(fault: str) -> Lane:
    """The lane of a fault; the one that only opens a run is Kafka's."""
    return KINDS[fault].lane if fault in KINDS else Lane.KAFKA


def _fill(chance: random.Random, kinds: Mapping[str, Kind], begin: float, end: float) -> list[Step]:
    """Spread a lane's faults over its time. What no longer fits is left out."""
    minutes = (end - begin) / 60
    deck = [n for n, kind in kinds.items() for _ in range(max(1, round(kind.per_minute * minutes)))]
    chance.shuffle(deck)
    lengths = [chance.uniform(kinds[n].seconds_min, kinds[n].seconds_max) for n in deck]
    gap = max(4.0, (end - begin - sum(lengths)) / (len(deck) or 1))
    steps: list[Step] = []
    at = begin
    for name, length in zip(deck, lengths, strict=True):
        if at + length > end:
            continue
        steps.append(Step(round(at, 1), name, round(length, 1), chance.randrange(1000)))
        at += length + gap * chance.uniform(0.6, 1.2)
    return steps

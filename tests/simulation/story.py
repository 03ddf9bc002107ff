"""One seed → one story: its steps, the telling, and how it is shortened when it fails."""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.fakes.house import Rooms
from tests.simulation.world import Broken, Step, World

RECORDS_MIN = 2000
FAULTS = 50

QUIET = ("mixed", "publish", "publish", "wait", "wait", "schema arrives")
FAULT_WEIGHTS = {
    "poison one": 5,
    "garbage": 2,
    "bad deploy": 3,
    "accept": 1,
    "late schema": 2,
    "gap": 2,
    "move": 5,
    "lose": 2,
    "crash": 3,
    "freeze": 2,
    "join": 2,
    "leave": 2,
    "failing read": 1,
    "refused commit": 2,
    "outage": 2,
    "halt": 2,
    "throttle": 1,
    "unheard": 2,
    "slow": 2,
    "letters fail": 3,
    "letters well": 3,
    "skip": 2,
    "meta well": 8,
}
KINDS = tuple(dict.fromkeys((*QUIET, *FAULT_WEIGHTS)))


class Failure(NamedTuple):
    """What broke, and the steps that led there."""

    broken: str
    steps: tuple[Step, ...]


def story_of(seed: int) -> tuple[Step, ...]:
    """At least ``FAULTS`` faults, and about ``RECORDS_MIN`` records or more, in between."""
    chance = random.Random(seed)
    kinds, weights = list(FAULT_WEIGHTS), list(FAULT_WEIGHTS.values())
    steps: list[Step] = []
    for fault in chance.choices(kinds, weights, k=FAULTS):
        steps += [_step(chance, chance.choice(QUIET)) for _ in range(2)]
        steps.append(_step(chance, fault))
    return tuple(steps)


def tell(steps: Sequence[Step], rooms: Rooms | None = None) -> Failure | int:
    """Let it all happen. Returns how many records were published, or what broke, and when."""
    world = World(rooms)
    for number, step in enumerate(steps, start=1):
        try:
            world.take(step)
        except Broken as broken:
            return Failure(str(broken), tuple(steps[:number]))
    try:
        world.end()
        world.end_with_a_trickle_in_trouble()
        world.end_with_one_in_trouble()
    except Broken as broken:
        return Failure(str(broken), tuple(steps))
    return len(world.published)


def tell_seed(seed: int) -> tuple[int, Failure | int]:
    """The story of a seed, and what came of it."""
    return seed, tell(story_of(seed))


def shrink(failure: Failure, fails: Callable[[Sequence[Step]], Failure | int]) -> Failure:
    """The shortest story found that breaks something: parts are left out, halves first."""
    size = max(1, len(failure.steps) // 2)
    while True:
        shorter = _without_a_part(failure, size, fails)
        if shorter is not None:
            failure, size = shorter, max(1, min(size, len(shorter.steps) // 2))
        elif size == 1:
            return failure
        else:
            size //= 2


def _without_a_part(
    failure: Failure, size: int, fails: Callable[[Sequence[Step]], Failure | int]
) -> Failure | None:
    # From the end, where the least depends on a step.
    for start in range(len(failure.steps) - size, -1, -size):
        told = fails(failure.steps[:start] + failure.steps[start + size :])
        if isinstance(told, Failure):
            return told
    return None


def _step(chance: random.Random, what: str) -> Step:
    return Step(what, chance.randrange(1000), chance.randrange(1000))

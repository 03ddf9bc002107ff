"""Stories of a whole group under faults, in virtual time; see ``tests/simulation``.

Each begins with two members and has fifty faults: crashes, members that sleep through their session
and wake, partitions that move and are lost, reads that fail, Meta away, halted, throttling, slow or
unheard, dead letters that cannot be written. A fixed set of seeds and some random ones are told.
"""

import random
from functools import partial

from tests.conftest import Teller
from tests.simulation import simulate
from tests.simulation.bugs import BUGS
from tests.simulation.story import FAULTS, RECORDS_MIN, Failure, shrink, story_of, tell
from tests.simulation.world import Step

FIXED_SEEDS, RANDOM_SEEDS = 16, 10


def test_no_promise_is_broken_in_the_stories_of_the_fixed_seeds() -> None:
    told = simulate("--seeds", str(FIXED_SEEDS))

    assert told.returncode == 0, told.stdout + told.stderr


def test_no_promise_is_broken_in_the_stories_of_random_seeds(tell_at_end: Teller) -> None:
    first = random.SystemRandom().randrange(1000, 1_000_000_000)
    tell_at_end(f"seeds {first} to {first + RANDOM_SEEDS - 1}")

    told = simulate("--seeds", str(RANDOM_SEEDS), "--first", str(first))

    assert told.returncode == 0, told.stdout + told.stderr


def test_a_seed_tells_the_same_story_each_time() -> None:
    assert story_of(7) == story_of(7)
    assert story_of(7) != story_of(8)
    told = {simulate("--seed", "7", "--json", "--bug", "run ahead of the commit").stdout}
    told.add(simulate("--seed", "7", "--json", "--bug", "run ahead of the commit").stdout)
    assert len(told) == 1


def test_a_story_is_as_long_as_it_should_be() -> None:
    records = tell(story_of(1))

    assert isinstance(records, int), records
    assert records >= RECORDS_MIN
    quiet = ("mixed", "publish", "wait", "schema arrives")
    assert sum(step.what not in quiet for step in story_of(1)) >= FAULTS


def test_a_failing_story_is_shortened_to_what_matters() -> None:
    moved = Step("move", 0, 0)
    quiet = tuple(Step("gap", number, 0) for number in range(20))
    fails = partial(tell, rooms=BUGS["commit after revoke"])
    failure = fails((*quiet, Step("publish", 0, 0), Step("wait", 39, 1), moved, *quiet))
    assert isinstance(failure, Failure)

    shortest = shrink(failure, fails)

    assert moved in shortest.steps
    assert len(shortest.steps) <= 3

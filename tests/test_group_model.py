"""The group as a state machine: Hypothesis chooses what happens next, and shortens what fails.

The same world as the simulation's stories (``tests/simulation``), which are longer and wilder; here
each step is one rule, and the shortest sequence that breaks a promise is what Hypothesis reports.
"""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.fakes.house import Rooms
from tests.simulation.bugs import BUGS
from tests.simulation.story import FAULT_WEIGHTS, KINDS
from tests.simulation.world import Broken, Step, World

NUMBERS = st.integers(0, 999)
SETTINGS = settings(
    max_examples=120,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
UNSHORTENED = settings(SETTINGS, phases=[Phase.generate])
SHORT_BUGS = (
    "commit position",
    "settle on read",
    "skip the dead letter",
    "commit after revoke",
    "deliver an isolated half twice",
)
"""Bugs that a short sequence shows; the simulation finds all of them."""


class Group(RuleBasedStateMachine):
    """Anything may happen at any time, and in the end all is well again."""

    rooms: Rooms | None = None

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.rooms)
        self.broken = False

    @rule(what=st.sampled_from(("publish", "mixed", "poison one", "wait")), a=NUMBERS, b=NUMBERS)
    def work(self, what: str, a: int, b: int) -> None:
        """Records come, and time passes."""
        self._take(Step(what, a, b))

    @rule(what=st.sampled_from(KINDS), a=NUMBERS, b=NUMBERS)
    def anything(self, what: str, a: int, b: int) -> None:
        """Whatever the world knows."""
        self._take(Step(what, a, b))

    @rule(what=st.sampled_from(sorted(FAULT_WEIGHTS)), a=NUMBERS, b=NUMBERS)
    def fault(self, what: str, a: int, b: int) -> None:
        """Something goes wrong, or is mended."""
        self._take(Step(what, a, b))

    def teardown(self) -> None:
        """Whatever was published meets its fate."""
        if not self.broken:
            self.world.end()

    def _take(self, step: Step) -> None:
        try:
            self.world.take(step)
        except Broken:
            self.broken = True
            raise


def test_the_promises_hold_whatever_happens() -> None:
    run_state_machine_as_test(Group, settings=SETTINGS)


@pytest.mark.parametrize("name", SHORT_BUGS)
def test_the_model_bites(name: str) -> None:
    class Buggy(Group):
        rooms = BUGS[name]

    with pytest.raises(Broken):
        run_state_machine_as_test(Buggy, settings=UNSHORTENED)

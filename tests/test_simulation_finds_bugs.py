"""Each bug that is planted in a story's rooms is found: the stories can fail."""

import pytest

from tests.simulation import simulate
from tests.simulation.bugs import BUGS

FIRST_SEEDS = {"skip what is on its way": 20}
"""Where the stories that find it come late, the first that is told."""


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str) -> None:
    found = simulate("--seeds", "40", "--first", str(FIRST_SEEDS.get(name, 1)), "--bug", name)

    assert found.returncode == 0, found.stdout + found.stderr
    assert "seed" in found.stdout

"""The whole group in memory under virtual time: one seed is one story, told again to the letter."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m tests.simulation`` with these arguments, to its end."""
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

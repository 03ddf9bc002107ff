"""The measurement of the metrics' cost runs; nothing asserts a time."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_kind_of_event_is_measured_with_and_without_metrics() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.metrics_cost", "--events", "20", "--rounds", "2", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found.keys() == {"shop", "small", "small, with faults", "scrape"}
    for kind in found.keys() - {"scrape"}:
        assert found[kind]["microseconds"] > 0
        assert found[kind]["without"] > 0

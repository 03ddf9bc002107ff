"""Which partitions began a new tenure when, from what the members wrote. Pure."""

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from tests.chaos.account import Handover

START = "start"


class Happened(NamedTuple):
    """A fault began, or was undone."""

    at: float
    fault: str
    begins: bool


def handovers_in(logs: Iterable[str], topic: str, happened: Sequence[Happened]) -> list[Handover]:
    """Every assignment, each put down to the fault that began or was undone last before it."""
    times = [each.at for each in happened]
    found: list[Handover] = []
    for log in logs:
        for line in log.splitlines():
            if '"partitions assigned"' not in line:
                continue
            told = json.loads(line)
            at = datetime.fromisoformat(told["time"]).timestamp()
            before = bisect_right(times, at) - 1
            cause = happened[before].fault if before >= 0 else START
            for partition in told["partitions"]:
                name, _, number = partition.rpartition(":")
                if name == topic:
                    found.append(Handover(at, int(number), cause))
    return sorted(found)

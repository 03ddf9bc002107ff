"""How far the group scales: simulated at 100 partitions, and compared with a real run.

    python -m bench.scale [--seconds N] [--seed N] [--write FILE]
    python -m bench.scale --check [--write FILE]

Members of one group share nothing but the topic and Meta's limits. So one member with each number
of partitions that occurs is simulated (``simulated_member``), with the costs of
``consumer/measured_figures.py``, and counted as often as it occurs. Each row is simulated twice:
with the load of its story, and with a backlog without end, which gives the most that the group
sends. The same seed gives the same table; ``--write`` keeps it for docs/scaling.md.

``--check`` simulates two small loads, has members on the real Kafka work them off, and prints both.
Meta's stand-in answers after 200 to 1,000 ms.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from bench.simulated_member import (
    LATENCY_SECONDS,
    MEASURED,
    WARM_SECONDS,
    Seen,
    Traffic,
    simulated,
)
from consumer.measured_figures import BODY_MANY
from consumer.settings import load_settings

PARTITIONS = 100
MEMBERS = (1, 2, 5, 10, 20, 34, 50, 100, 120)
BEHIND_SECONDS = 1.2
"""What waits comes and goes with the windows, by a second at most."""


class Story(NamedTuple):
    """What the topic brings; ``weights`` are those of its pixels. ``full_seconds``: until a
    backlog has filled the house, and requests are as large as they stay."""

    name: str
    events_per_second: float
    weights: tuple[float, ...]
    full_seconds: float


STORIES = {
    "many": Story("100 pixels alike, 50,000 events a second", 50_000, (1.0,) * 100, 4),
    "hot": Story(
        "one pixel with 90 % of 50,000 events a second, and 20 others",
        50_000,
        (90.0, *(0.5,) * 20),
        4,
    ),
    "few": Story("1,000 pixels with 2 events a second each", 2_000, (1.0,) * 1000, 60),
}


class Row(NamedTuple):
    """The whole group, with so many members. One that keeps up sends what comes; one that falls
    behind works off a backlog in the end: then its rates are those, and there are no ages."""

    members: int
    working: int
    most_events_per_second: int
    events_per_second: int
    events_per_request: float
    requests_per_second: int
    cores: float
    age_p50: float | None
    age_p95: float | None


def main(arguments: Sequence[str]) -> int:
    """Simulate, or compare, and print; the exit code."""
    asked = _options(arguments)
    if asked.check:
        # Needs the real Kafka, which simulating does without.
        from bench.scale_check import check  # noqa: PLC0415

        found = check(asked.seed)
        _keep(asked.write, {"checked": [each._asdict() for each in found]})
        sys.stdout.write("".join(f"{each}\n" for each in found))
        return 0
    rows = {
        key: [row(key, members, seconds=asked.seconds, seed=asked.seed) for members in MEMBERS]
        for key in STORIES
    }
    kept = {key: [each._asdict() for each in several] for key, several in rows.items()}
    _keep(asked.write, {"seconds": asked.seconds, "seed": asked.seed, "rows": kept})
    for key, several in rows.items():
        sys.stdout.write(f"{STORIES[key].name}\n")
        sys.stdout.write("".join(f"  {each}\n" for each in several))
    return 0


def _keep(path: Path | None, found: dict[str, Any]) -> None:
    """Write what was found; what else is kept there stays."""
    if path is not None:
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        path.write_text(f"{json.dumps(before | found, indent=1)}\n", encoding="utf-8")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of virtual time, each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("--check", action="store_true", help="compare with the real thing")
    return parser.parse_args(arguments)


def row(key: str, members: int, *, seconds: float, seed: int) -> Row:
    """One story with so many members."""
    story = STORIES[key]
    kinds = _kinds(members)
    each = story.events_per_second / PARTITIONS
    most = _with_backlog(key, seconds, seed)
    loaded = [(_seen(story, each * own, seconds, seed, WARM_SECONDS), many) for own, many in kinds]
    behind = any(seen.behind > BEHIND_SECONDS for seen, _ in loaded)
    if behind:
        loaded = [(most, many) for _, many in kinds]
    working = sum(many for _, many in kinds)
    events = sum(seen.events_per_second * many for seen, many in loaded)
    requests = sum(seen.requests_per_second * many for seen, many in loaded)
    batch = max(1.0, events / requests)  # some are still under way
    sent = events if behind else story.events_per_second
    ages = sorted(age for seen, many in loaded for age in seen.ages * many)
    return Row(
        members=members,
        working=working,
        most_events_per_second=round(most.events_per_second * working),
        events_per_second=round(sent),
        events_per_request=round(batch, 1),
        requests_per_second=round(sent / batch),
        cores=round(sum(seen.cpu_share * many for seen, many in loaded), 1),
        age_p50=None if behind else round(ages[len(ages) // 2], 2),
        age_p95=None if behind else round(ages[len(ages) * 95 // 100], 2),
    )


@cache
def _with_backlog(key: str, seconds: float, seed: int) -> Seen:
    """One member, which is the same whoever's partitions the backlog lies in."""
    story = STORIES[key]
    return _seen(story, float("inf"), seconds, seed, story.full_seconds)


def _kinds(members: int) -> list[tuple[int, int]]:
    """Numbers of partitions that members have, and how many members have each; not the idle."""
    own, more = divmod(PARTITIONS, members)
    return [
        (count, many) for count, many in ((own + 1, more), (own, members - more)) if count and many
    ]


def _seen(story: Story, rate: float, seconds: float, seed: int, warm_seconds: float) -> Seen:
    traffic = Traffic(rate, story.weights, int(BODY_MANY.value), LATENCY_SECONDS)
    return simulated(
        traffic,
        MEASURED,
        load_settings({}),
        seconds=seconds,
        seed=seed,
        warm_seconds=warm_seconds,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

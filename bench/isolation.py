"""How many requests it takes to find the bad events of a refused batch of 1,000.

    python bench/isolation.py [--placements 200] [--seed 1] [--json]

Every row goes through the real outbox and a virtual clock: what goes out is judged by the
emulator's rules, the answer is the emulator's bytes, and ``judge`` reads them. Counted are all
requests until every event has met its fate, the first refusal included. Exit 1 if a mean exceeds
its bound.
"""

import argparse
import json
import random
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import orjson

from consumer.emulator_rules import judge_batch
from consumer.judge import judge
from consumer.model import (
    Batch,
    Closing,
    Delivered,
    PixelId,
    Prepared,
    Record,
    Rejected,
    Request,
    TopicPartition,
    Verdict,
    WindowKey,
)
from consumer.outbox import Outbox

EVENTS = 1000
INNOCENTS = 20
REQUEST_SECONDS = 0.6
NOW_MS = 1_760_000_000_000
DAY_SECONDS = 86_400
PIXEL = PixelId("1729525464415281")


class Case(NamedTuple):
    """What is known of the bad events, and how an event is made bad or merely suspicious.

    ``bounds`` is the largest mean by number of bad events, None where it is only shown.
    """

    knows: str
    bad: Mapping[str, Any]
    suspicious: Mapping[str, Any] | None
    hints: str
    bounds: Mapping[int, float | None]


POISON = {"custom_data": {"emulator_refuse": "2804048"}}
UNKNOWN_KEY = {"user_data": {"em": ["0" * 64], "favourite_colour": "blue"}}
RARE_KEY = {"user_data": {"em": ["0" * 64], "madid": "7f2c9e1a"}}
TOO_OLD = {"event_time": NOW_MS // 1000 - 8 * DAY_SECONDS}

CASES = (
    Case("nothing", POISON, None, "none", {1: 13, 10: 92, 50: None}),
    Case("a rule, 20 innocents", UNKNOWN_KEY, RARE_KEY, "none", {1: 8, 10: 36, 50: None}),
    Case("an exact rule", TOO_OLD, None, "none", {1: 2, 10: 2, 50: 2}),
    Case("an index", POISON, None, "index", {1: 2, 10: 12, 50: None}),
)


@dataclass(frozen=True, slots=True)
class Row:
    """Requests for a batch of 1,000 over all placements of the bad events."""

    knows: str
    bad: int
    placements: int
    mean: float
    most: int
    bound: float | None

    @property
    def holds(self) -> bool:
        """Whether the mean is within its bound."""
        return self.bound is None or self.mean <= self.bound


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description="Requests per refused batch of 1,000 events.")
    parser.add_argument("--placements", type=int, default=200, help="random placements per row")
    parser.add_argument("--seed", type=int, default=1, help="seed of the placements")
    parser.add_argument("--json", action="store_true", help="rows as JSON")
    given = parser.parse_args(arguments)
    if given.placements < 1:
        parser.error("--placements must be at least 1")
    rows = list(measure(given.placements, given.seed, (1, 10, 50), _progress))
    _progress("")
    shown = json.dumps([asdict(row) for row in rows], indent=2) if given.json else table(rows)
    sys.stdout.write(f"{shown}\n")
    return 0 if all(row.holds for row in rows) else 1


def table(rows: list[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = ["| what is known | bad | mean | most | bound |", "|---|---|---|---|---|"]
    for row in rows:
        bound = "" if row.bound is None else f"{row.bound:g}{'' if row.holds else ' exceeded'}"
        lines.append(f"| {row.knows} | {row.bad} | {row.mean:.1f} | {row.most} | {bound} |")
    return "\n".join(lines)


def measure(
    placements: int, seed: int, bad_counts: tuple[int, ...], progress: Callable[[str], None]
) -> Iterator[Row]:
    """One row for each case and each of these numbers of bad events."""
    for case in CASES:
        for bad in bad_counts:
            bound = case.bounds[bad]
            counts = []
            for number in range(placements):
                progress(f"{case.knows}, {bad} bad: {number + 1} of {placements}")
                counts.append(requests_for(case, bad, f"{seed}-{bad}-{number}"))
            mean = statistics.fmean(counts)
            yield Row(case.knows, bad, placements, round(mean, 2), max(counts), bound)


def requests_for(case: Case, bad: int, placement: str) -> int:
    """How many requests one batch takes. Raises AssertionError if an event meets a wrong fate."""
    chosen = random.Random(placement).sample(range(EVENTS), bad + INNOCENTS)  # noqa: S311
    bad_ones, innocents = set(chosen[:bad]), set(chosen[bad:])
    events = []
    for number in range(EVENTS):
        changed = case.bad if number in bad_ones else {}
        if number in innocents and case.suspicious is not None:
            changed = case.suspicious
        events.append(an_event(number, changed))
    delivered, rejected, requests = work_off(events, f"batch-{placement}", case.hints)
    assert sorted(rejected) == sorted(bad_ones), "the bad ones, and no others, are dead-lettered"
    assert sorted(delivered) == sorted(set(range(EVENTS)) - bad_ones), "each good one once"
    return requests


def work_off(events: list[Prepared], batch_id: str, hints: str) -> tuple[list[int], list[int], int]:
    """Put one batch through an outbox: the offsets delivered, those rejected, and the requests."""
    outbox = Outbox(
        destination=PIXEL,
        requests_max=1,
        isolation_requests_max=100,
        is_over=lambda tenure: False,
        jitter=lambda: 1.0,
    )
    key = WindowKey(PIXEL, None, False, None)
    outbox.offer(Batch(key, batch_id, tuple(events), Closing.FULL, 0.0))
    now, requests = 0.0, 0
    settled: list[Delivered | Rejected] = []
    while due := outbox.due(now, NOW_MS).requests:
        for request in due:
            requests += 1
            now += REQUEST_SECONDS
            settled += outbox.answered(request.request_id, answer(request, hints), now)
    delivered = [one.event.record.offset for one in settled if isinstance(one, Delivered)]
    return delivered, [one.record.offset for one in settled if isinstance(one, Rejected)], requests


def answer(request: Request, hints: str) -> Verdict:
    """What the emulator's rules say to a request, read as an answer of Meta's."""
    body = b'{"data":[' + b",".join(event.body for event in request.events) + b"]}"
    refusal = judge_batch(orjson.loads(body)["data"], now=NOW_MS / 1000, raw=body)
    sent = len(request.events)
    if refusal is None:
        success = {"events_received": sent, "messages": [], "fbtrace_id": "A"}
        return judge(200, {}, orjson.dumps(success), sent=sent)
    said = refusal.body(trace_id="A", hints=hints)
    return judge(refusal.status, {}, said, sent=sent)


def an_event(number: int, changed: Mapping[str, Any]) -> Prepared:
    """A good event that is changed in some fields. It never expires with us, so that what is too
    old for Meta gets there."""
    body: dict[str, Any] = {
        "event_name": "Lead",
        "event_time": NOW_MS // 1000 - 60,
        "event_id": f"event-{number}",
        "action_source": "website",
        "user_data": {"em": ["0" * 64]},
        **changed,
    }
    return Prepared(
        record=Record(TopicPartition("events", 0), number, NOW_MS, None, None, (), 1),
        destination=PIXEL,
        test_code=None,
        event_name="Lead",
        event_id=f"event-{number}",
        event_time_ms=body["event_time"] * 1000,
        body=orjson.dumps(body),
        due_at_ms=0,
        expires_at_ms=NOW_MS + 365 * DAY_SECONDS * 1000,
        aged=False,
        match_keys=("em",),
        dropped=(),
        warnings=(),
    )


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text:<60}\r")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

"""The table at the end of a run, for people and as JSON. Pure."""

import json
from typing import Any

from tests.chaos.account import IDS_SHOWN_MAX
from tests.chaos.run import Result


def table(result: Result) -> str:
    """What was done, what became of the records, and what was settled again."""
    account = result.account
    lines = [
        "",
        f"published {account.published}   accepted {account.accepted}   "
        f"dead-lettered {sum(account.dead_lettered.values())}   uncommitted {account.uncommitted}",
        *(f"  {reason:<28}{number:>8}" for reason, number in _sorted(account.dead_lettered)),
        "",
        f"{'fault':<28}{'times':>8}{'settled again':>16}{'at most':>10}",
    ]
    names = dict.fromkeys((*result.done, *account.repetitions))
    for name in names:
        again = account.repetitions.get(name)
        seen, bound = ("", "") if again is None else (str(again.seen), str(again.bound))
        lines.append(f"{name:<28}{result.done.get(name, ''):>8}{seen:>16}{bound:>10}")
    seen_total = sum(each.seen for each in account.repetitions.values())
    bound_total = sum(each.bound for each in account.repetitions.values())
    lines += [
        f"{'all':<28}{sum(result.done.values()):>8}{seen_total:>16}{bound_total:>10}",
        "",
        f"{result.requests} requests taken by Meta; {result.memory_mb_max:.0f} MB at most in one "
        f"consumer; {result.ended_by_themselves} ended by themselves; {result.seconds:.0f} s",
    ]
    for finding in account.findings:
        lines.append(f"BROKEN: {finding.what}")
        lines += [f"  {event_id}" for event_id in finding.event_ids[:IDS_SHOWN_MAX]]
    lines.append("broken promises: " + str(len(account.findings)))
    return "\n".join(lines)


def as_json(result: Result, seed: int) -> str:
    """The same for machines, with every event id."""
    account = result.account
    facts: dict[str, Any] = {
        "seed": seed,
        "published": account.published,
        "accepted": account.accepted,
        "dead_lettered": dict(account.dead_lettered),
        "uncommitted": account.uncommitted,
        "faults": dict(result.done),
        "settled_again": {
            name: {"seen": each.seen, "at_most": each.bound}
            for name, each in account.repetitions.items()
        },
        "requests": result.requests,
        "memory_mb_max": round(result.memory_mb_max),
        "ended_by_themselves": result.ended_by_themselves,
        "seconds": round(result.seconds),
        "broken": [
            {"what": finding.what, "event_ids": finding.event_ids} for finding in account.findings
        ],
    }
    return json.dumps(facts)


def _sorted(numbers: Any) -> list[tuple[str, int]]:
    return sorted(numbers.items(), key=lambda item: -item[1])

"""Which match keys our own events carry, by destination and event name, and what to add first.

Memory is bounded: it grows with the names, not with the events, and names beyond ``GROUPS_MAX``
share a row.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from consumer.dead_letter import masked
from consumer.json_lines import Mistake
from consumer.model import Prepared, Rejected, Suppressed
from consumer.prepare import Preparation
from consumer.preview import prepare_line

GROUPS_MAX = 500
OTHER = "other"
ADVICE_MAX = 3
ENOUGH = 0.5
"""A key on so many events is not the first thing to look at."""


class Advice(NamedTuple):
    """A match key to add, our name of its field, and the share (0 to 1) of ``of`` that has it."""

    match_key: str
    field: str
    share: float
    of: str
    why: str

    @property
    def sentence(self) -> str:
        """What to do, and why."""
        have = f"{self.match_key} is on {percent(self.share)} of {self.of}"
        return f"{have}: publish {self.field}, {self.why}."


@dataclass(slots=True)
class Group:
    """The events of one destination and event name. Mutable: it counts."""

    destination: str | None
    event_name: str | None
    events: int = 0
    website_events: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    suppressed: int = 0
    match_keys: Counter[str] = field(default_factory=Counter)
    website_match_keys: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)

    def shares(self) -> list[tuple[str, float]]:
        """The share of the events that carries each match key; those worth adding also at 0."""
        named = dict.fromkeys(each.match_key for each in _WORTH if self._applies(each))
        keys = {**named, **dict.fromkeys(sorted(self.match_keys))}
        return [(key, self.match_keys[key] / self.events) for key in keys] if self.events else []

    def advice(self) -> list[Advice]:
        """What to add first, at most ``ADVICE_MAX``."""
        found = []
        for each in _WORTH:
            if not self._applies(each):
                continue
            total = self.website_events if each.website else self.events
            having = (self.website_match_keys if each.website else self.match_keys)[each.match_key]
            if having / total < each.enough or having == 0:
                of = "website events" if each.website else "events"
                found.append(Advice(each.match_key, each.field, having / total, of, each.why))
        return found[:ADVICE_MAX]

    def _applies(self, worth: "_Worth") -> bool:
        return (self.website_events if worth.website else self.events) > 0


class Coverage(NamedTuple):
    """The groups, and how many lines were no event at all."""

    groups: tuple[Group, ...]
    unreadable_lines: int


def coverage_of(lines: Iterable[bytes], preparation: Preparation, *, now_ms: int) -> Coverage:
    """Prepare the event of each line as the consumer would, and count. Blank lines are no lines."""
    groups: dict[tuple[str | None, str | None], Group] = {}
    unreadable = 0
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        prepared = prepare_line(line, number, preparation, now_ms=now_ms)
        if isinstance(prepared, Mistake):
            unreadable += 1
            continue
        outcome = prepared.outcome
        name = masked(outcome.event_name) or None
        _count(_group(groups, masked(prepared.destination) or None, name), outcome)
    ordered = sorted(groups.values(), key=lambda each: -each.events)
    return Coverage(tuple(ordered), unreadable)


def percent(share: float) -> str:
    """A share (0 to 1) for people; what is not 0 never reads as 0, nor what is not all as all."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{share * 100:.1f}".removesuffix(".0") + " %"


def group_json(group: Group) -> dict[str, Any]:
    """One row as ``conversions quality --local --json`` shows it."""
    return {
        "destinationId": group.destination,
        "eventName": group.event_name,
        "events": group.events,
        "websiteEvents": group.website_events,
        "rejected": sum(group.rejected.values()),
        "suppressed": group.suppressed,
        "matchKeys": [
            {"identifier": key, "coveragePercentage": round(share * 100, 2)}
            for key, share in group.shares()
        ],
        "addFirst": [
            {
                "identifier": each.match_key,
                "field": each.field,
                "coveragePercentage": round(each.share * 100, 2),
                "of": each.of,
                "message": each.sentence,
            }
            for each in group.advice()
        ],
        "dropped": [
            {"field": name, "reason": reason, "events": events}
            for (name, reason), events in group.dropped.most_common()
        ],
        "rejections": [
            {"reason": reason, "events": events} for reason, events in group.rejected.most_common()
        ],
    }


class _Worth(NamedTuple):
    match_key: str
    field: str
    website: bool
    enough: float
    why: str


# What is worth adding, the most telling first. Meta publishes no ranking. It demands the user agent
# of website events; it names em, ph, names and the IP address as examples of good keys, asks for
# external_id on all events, and for fbc and fbp as the browser has them ("Best practices", "fbp and
# fbc parameters"). That fbc is only there after a click on an ad is why less of it is enough.
_WORTH = (
    _Worth("client_user_agent", "user.userAgent", True, 0.99, "which Meta demands of them"),
    _Worth("em", "user.email", False, ENOUGH, "which Meta names among the best keys"),
    _Worth("ph", "user.phone", False, ENOUGH, "which Meta names among the best keys"),
    _Worth("fbc", "user.clickIds.fbc", True, 0.0, "the click id of those who come from an ad"),
    _Worth("external_id", "user.externalId", False, ENOUGH, "which Meta asks for on all events"),
    _Worth("fbp", "user.clickIds.fbp", True, ENOUGH, "the cookie _fbp that the pixel sets"),
    _Worth("client_ip_address", "user.ipAddress", True, ENOUGH, "best as IPv6"),
    _Worth("ln", "user.lastName", False, ENOUGH, "together with user.firstName"),
)


def _group(
    groups: dict[tuple[str | None, str | None], Group],
    destination: str | None,
    event_name: str | None,
) -> Group:
    key = (destination, event_name)
    if key not in groups and len(groups) >= GROUPS_MAX:
        key = (OTHER, OTHER)
    if key not in groups:
        groups[key] = Group(*key)
    return groups[key]


def _count(group: Group, outcome: Prepared | Rejected | Suppressed) -> None:
    match outcome:
        case Rejected():
            group.rejected[outcome.reason.value] += 1
        case Suppressed():
            group.suppressed += 1
        case Prepared():
            group.events += 1
            group.match_keys.update(outcome.match_keys)
            if orjson.loads(outcome.body)["action_source"] == "website":
                group.website_events += 1
                group.website_match_keys.update(outcome.match_keys)
            for dropped in dict.fromkeys(outcome.dropped):
                group.dropped[dropped.field, dropped.reason.value] += 1

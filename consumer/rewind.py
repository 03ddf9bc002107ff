"""A consumer group is moved back to a time: the library of ``rewind`` and of ``run --from``.

Only an empty group, and only back: no record is ever jumped over. The brokers see to the first, for
they refuse the commit of a stranger while the group has members.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from consumer.kafka_rewind import GroupIsLive, RewindFailed
from consumer.meta_limits import AMBIGUOUS_MS_MAX, WEEK_MS
from consumer.model import LogEnd
from consumer.rewind_lines import forgotten_told, members_told
from consumer.rewind_plan import Commit, Found, Number, RewindPlan, Stays, Stretch, stretch_of


class RewindRefused(Exception):
    """It is not done as it was asked for; nothing was moved. ``str`` is one sentence."""


class Group(Protocol):
    """What the brokers say of the group and its topic; satisfied by ``kafka_rewind.KafkaGroup``."""

    group: str
    topic: str

    def partitions(self) -> list[Number]: ...

    def members(self) -> int: ...

    def commits(self, partitions: Collection[Number]) -> dict[Number, Commit]: ...

    def ends(self, committed: Mapping[Number, int]) -> dict[Number, LogEnd]: ...

    def first_since(
        self, partitions: Collection[Number], time_ms: int
    ) -> dict[Number, Found | None]: ...

    def commit(self, offsets: Mapping[Number, int], metadata: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RewindOrder:
    """What is asked for. Times are wall-clock milliseconds; ``partitions`` None means all.

    ``mark`` is kept with the offsets that are committed (Kafka calls it their metadata).
    """

    since_ms: int
    now_ms: int
    partitions: frozenset[Number] | None
    accept_duplicates: bool
    mark: str


def planned(group: Group, order: RewindOrder) -> RewindPlan:
    """What a rewind would do; changes nothing. Raises RewindRefused and RewindFailed."""
    there = group.partitions()
    if unknown := sorted((order.partitions or frozenset()).difference(there)):
        raise RewindRefused(f"topic {group.topic} has no partition {unknown[0]}")
    commits = group.commits(there)
    wanted = [each for each in there if order.partitions is None or each in order.partitions]
    asked = [number for number in wanted if number in commits]
    ends = group.ends({number: commits[number].offset for number in asked})
    since, known, taken = (
        group.first_since(asked, time_ms)
        for time_ms in (order.since_ms, order.now_ms - AMBIGUOUS_MS_MAX, order.now_ms - WEEK_MS)
    )
    became = {
        number: stretch_of(
            number,
            end=ends.get(number),
            since=since.get(number),
            known=known.get(number),
            taken=taken.get(number),
        )
        for number in wanted
    }
    return RewindPlan(
        group=group.group,
        topic=group.topic,
        since_ms=order.since_ms,
        now_ms=order.now_ms,
        members=group.members(),
        marks=frozenset(commit.metadata for commit in commits.values()),
        stretches=tuple(each for each in became.values() if isinstance(each, Stretch)),
        staying={number: each for number, each in became.items() if isinstance(each, Stays)},
    )


def move_back(group: Group, order: RewindOrder, plan: RewindPlan) -> None:
    """Do what was planned. Raises RewindRefused and RewindFailed, and then nothing was moved."""
    if plan.forgotten and not order.accept_duplicates:
        raise RewindRefused(forgotten_told(plan))
    if plan.members:
        raise RewindFailed(members_told(plan))
    if not plan.stretches:
        return
    try:
        group.commit(plan.offsets, order.mark)
    except GroupIsLive:
        raise RewindFailed(members_told(plan)) from None


def move_back_once(group: Group, order: RewindOrder) -> RewindPlan | None:
    """The same for a process that may be restarted, or be one of many, with the same order: None
    when the group's commits bear its mark already. Raises as ``move_back`` does."""
    plan = planned(group, order)
    if order.mark in plan.marks:
        return None
    try:
        move_back(group, order, plan)
    except RewindFailed:
        # Another one with the same order may have been faster, and be at work already.
        if order.mark in planned(group, order).marks:
            return None
        raise
    return plan

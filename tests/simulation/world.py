"""Several members of one group, their Kafka, Meta and dead letters, and what befalls them.

A step is one thing that happens. After each one, and at every commit, the world looks whether the
promises still hold; ``Broken`` says which does not.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from consumer.model import PixelId, ReadFailed, TopicPartition
from consumer.model import Place as RecordPlace
from consumer.skip import Skipping
from tests.fakes.dead_letters import header
from tests.fakes.house import FakeHouse, Rooms, house
from tests.fakes.kafka import Place
from tests.fakes.meta import expired_token, outage, place, throttling
from tests.fakes.schemas import LATE_SCHEMA_ID, event_plan

PIXELS = tuple(PixelId(str(number) * 16) for number in (1, 2, 3))
DESTINATIONS = "".join(f"- id: '{pixel}'\n" for pixel in PIXELS)
PARTITIONS = 4
MEMBERS_MAX = 4
IN_FLIGHT_EVENTS = 150
UNCOMMITTED_RECORDS = 60
GRACE_SECONDS = 3.0
MAX_POLL_SECONDS = 30.0
SESSION_SECONDS = 6.0
STORY_PACE, ENDING_PACE = 4.0, 40.0
ENDING_SECONDS_MAX = 4000.0
TROUBLE_SECONDS_MAX = 900.0
"""Spilling begins after 300 seconds of trouble and takes a quarter of what is held at a time."""

GUARD_EVENTS = 40
BAD_DEPLOY = "missing_action_source"
REASONS = {
    "undecodable",
    "refused_by_meta",
    "destination_halted",
    "outcome_unknown",
    "skipped_by_operator",
    BAD_DEPLOY,
}
"""Nothing of a story is dead-lettered for anything else: a trouble that passes is no reason."""


class Broken(AssertionError):
    """A promise that does not hold."""


class Step(NamedTuple):
    """One thing that happens; what ``first`` and ``second`` mean depends on it."""

    what: str
    first: int
    second: int

    def __str__(self) -> str:
        return f"{self.what}({self.first}, {self.second})"


class World:
    """Begins with two members and four partitions."""

    def __init__(self, rooms: Rooms | None = None) -> None:
        self._rooms = rooms or Rooms()
        self._poison: set[Place] = set()
        self._dead: Counter[Place] = Counter()
        self._audited: dict[TopicPartition, int] = {}
        self._may_come_again: Counter[Place] = Counter()
        self._latency_seconds = 0.1
        self._trouble: dict[str, set[PixelId]] = {
            name: set() for name in ("outage", "halt", "throttle", "unheard")
        }
        self._letter_trouble: str | None = None
        self.published: list[Place] = []
        self.members: list[FakeHouse] = []
        self.members.append(self._member(range(PARTITIONS), beside=None))
        first = self.members[0]
        self.clock, self.topic, self.meta = first.clock, first.topic, first.meta.memory
        self._letters = first.dead_letters  # all members' are in its memory
        self.clock.idle_pace = STORY_PACE
        self.topic.watchers = [self._audit]
        self.take(Step("join", 1, 1))

    # --- what happens

    def take(self, step: Step) -> None:
        """Let one thing happen, then the loops turn a little. Raises Broken."""
        with _told(step):
            getattr(self, f"_{step.what.replace(' ', '_')}")(step.first, step.second)
            self._run(0.02)
            self._check()

    def end(self) -> None:
        """All is well again: whatever was published meets its fate. Raises Broken."""
        with _told("the ending"):
            self._well(0, 0)
            self._settle_all()
            self._check()
            missing = set(self.published) - self._fates()
            _require(not missing, f"{len(missing)} records without a fate: {sorted(missing)[:3]}")
            reasons = {header(letter, "reason") for letter in self._letters.written}
            _require(reasons <= REASONS, f"dead-lettered as {reasons - REASONS}")
            twice = [p for p, ids in self.meta.event_ids.items() if len(ids) > 1]
            _require(not twice, f"accepted under two event ids: {twice[:3]}")
            fates = self.meta.received + self._dead
            allowed = self._may_come_again + self.meta.unheard
            more = [p for p, count in fates.items() if count > 1 + allowed[p]]
            _require(not more, f"settled again with no fault to excuse it: {more[:3]}")

    def end_with_a_trickle_in_trouble(self) -> None:
        """One event of a halted destination on each partition, too few to fill its share, holds no
        commit beyond the bound: the others' events arrive, and are committed. Raises Broken."""
        with _told("a trickle of a halted destination"):
            halted, *others = PIXELS
            self._begin_trouble("halt", [halted])
            for partition in range(PARTITIONS):
                self._publish_to(partition, halted, 1)
            self._run(1.0)
            for partition in range(PARTITIONS):
                for other in others:
                    self._publish_to(partition, other, UNCOMMITTED_RECORDS + 10)
            until = self.clock.now() + TROUBLE_SECONDS_MAX
            while self.topic.lag > PARTITIONS * UNCOMMITTED_RECORDS:
                _require(self.clock.now() < until, "a halted event holds a commit back")
                self._run(5.0)
            self._well(0, 0)
            self._settle_all()

    def end_with_one_in_trouble(self) -> None:
        """One destination stays halted for ever: the others' events arrive all the same."""
        with _told("one destination halted for ever"):
            halted, *others = PIXELS
            for partition in range(PARTITIONS):
                for number in range(8):
                    self._publish_to(partition, PIXELS[number % len(PIXELS)], 1)
            self._run(3.0)
            self._trouble["halt"] = {halted}
            self._tell_meta()
            theirs: list[Place] = []
            for partition in range(PARTITIONS):
                for number in range(30):
                    places = self._publish_to(partition, PIXELS[number % len(PIXELS)], 3)
                    theirs += places if PIXELS[number % len(PIXELS)] in others else []
            until = self.clock.now() + TROUBLE_SECONDS_MAX
            while not set(theirs) <= self._fates():
                _require(self.clock.now() < until, "a halted destination holds the others up")
                self._run(5.0)
            self._check()

    # --- the steps

    def _publish(self, first: int, second: int) -> None:
        self._publish_to(first % PARTITIONS, PIXELS[first // 7 % len(PIXELS)], 20 + second % 60)

    def _mixed(self, first: int, second: int) -> None:
        for number in range(4 + second % 12):
            self._publish_to(first % PARTITIONS, PIXELS[number % len(PIXELS)], 1 + second % 3)

    def _poison_one(self, first: int, second: int) -> None:
        places = self._publish_to(first % PARTITIONS, PIXELS[second % len(PIXELS)], 3 + second % 5)
        self._poison.add(places[first % len(places)])

    def _garbage(self, first: int, second: int) -> None:
        del second
        self.published.append(self.members[0].garbage(first % PARTITIONS))

    def _bad_deploy(self, first: int, second: int) -> None:
        """A publisher leaves something out of all its events, while others are sound."""
        partition, pixel = first % PARTITIONS, PIXELS[second % len(PIXELS)]
        for number in range(10 + second % 20):
            self.published += self.members[0].publish(
                partition, events=3, destination=pixel, actionSource=None
            )
            if number % 4 == 0:
                self._publish_to(partition, PIXELS[(second + number) % len(PIXELS)], 1)

    def _accept(self, first: int, _: int) -> None:
        """An operator wants what the guard holds to be dead-lettered."""
        self.members[first % len(self.members)].pipeline.resume(PIXELS[first % len(PIXELS)])

    def _accept_all(self) -> None:
        for member in self.members:
            for pixel in list(member.guard.held):
                member.pipeline.resume(pixel)

    def _late_schema(self, first: int, second: int) -> None:
        self.published += self.members[0].publish(
            first % PARTITIONS, schema_id=LATE_SCHEMA_ID, destination=PIXELS[second % len(PIXELS)]
        )

    def _schema_arrives(self, *_: int) -> None:
        for member in self.members:
            if LATE_SCHEMA_ID in member.schemas.asked:
                member.schemas.arrive(LATE_SCHEMA_ID, event_plan())

    def _gap(self, first: int, second: int) -> None:
        self.topic.gap(first % PARTITIONS, 1 + second % 5)

    def _wait(self, first: int, second: int) -> None:
        self._run(0.1 + (first % 40) / 20 + second % 2)

    def _move(self, first: int, second: int) -> None:
        """A planned rebalance of one partition, which may not end in time."""
        partition = first % PARTITIONS
        owner = self._owner(partition)
        if owner is None or len(self.members) < 2:
            return
        owner.source.revoke(partition, after_fetch=second % 3 == 0)
        if self._give_up(owner, partition):
            others = [member for member in self.members if member is not owner]
            self._hand_out([partition], second, others)

    def _lose(self, first: int, second: int) -> None:
        partition = first % PARTITIONS
        owner = self._owner(partition)
        if owner is not None:
            owner.source.lose(partition)
            if self._give_up(owner, partition):
                self._hand_out([partition], second, self.members)

    def _crash(self, first: int, second: int) -> None:
        """``kill -9``: nothing is said to anybody. Another process starts in its place."""
        gone = self.members.pop(first % len(self.members))
        numbers = sorted(gone.source.given)
        self._may_repeat(gone, numbers)
        self._run(SESSION_SECONDS)
        self.members.append(self._member((), beside=gone))
        self._hand_out(numbers, second, self.members)

    def _freeze(self, first: int, second: int) -> None:
        """SIGSTOP for longer than the session: the others take over, and then it wakes."""
        if len(self.members) < 2:
            return
        frozen = self.members.pop(first % len(self.members))
        numbers = sorted(frozen.source.given)
        self._may_repeat(frozen, numbers)
        self._run(SESSION_SECONDS)
        # What it holds it may send when it wakes, before it hears that it is out.
        self._may_repeat(frozen, numbers, settled_only=False)
        frozen.source.fence()
        self._hand_out(numbers, second, self.members)
        self._run(1.0 + second % 5)
        self.members.append(frozen)
        # Like any process it goes on where it stood: with answers first, and with a commit.
        frozen.pipeline.pump(until=self.clock.now(), done=lambda: True)
        self._turn(frozen)
        while frozen.source.assigned & set(numbers):
            self._turn(frozen)

    def _join(self, first: int, second: int) -> None:
        if len(self.members) >= MEMBERS_MAX:
            return
        self.members.append(self._member((), beside=self.members[0]))
        for partition in range(PARTITIONS):
            if (partition + first) % len(self.members) == 0:
                self._move(partition, second)

    def _leave(self, first: int, second: int) -> None:
        """SIGTERM."""
        if len(self.members) < 2:
            return
        leaving = self.members.pop(first % len(self.members))
        numbers = sorted(leaving.source.given)
        leaving.pipeline.close()
        self._may_repeat(leaving, numbers)
        self._hand_out(numbers, second, self.members)

    def _failing_read(self, first: int, second: int) -> None:
        owner = self._owner(first % PARTITIONS)
        if owner is not None:
            self._publish_to(first % PARTITIONS, PIXELS[second % len(PIXELS)], 1 + second % 9)
            owner.source.fail_read(dropping=1 + second % 9)

    def _refused_commit(self, first: int, second: int) -> None:
        for _ in range(1 + second % 2):
            self.members[first % len(self.members)].source.refuse_commit("REBALANCE_IN_PROGRESS")

    def _outage(self, first: int, second: int) -> None:
        self._begin_trouble("outage", PIXELS if second % 4 == 0 else [PIXELS[first % 3]])

    def _halt(self, first: int, second: int) -> None:
        self._begin_trouble("halt", PIXELS if second % 8 == 0 else [PIXELS[first % 3]])

    def _throttle(self, first: int, _: int) -> None:
        self._begin_trouble("throttle", [PIXELS[first % 3]])

    def _unheard(self, first: int, _: int) -> None:
        self._begin_trouble("unheard", [PIXELS[first % 3]])

    def _slow(self, first: int, _: int) -> None:
        self._latency_seconds = (0.5, 4.0, 8.0)[first % 3]
        self._tell_meta()

    def _letters_fail(self, first: int, _: int) -> None:
        self._letter_trouble = ("failing", "slow", "too large", "silent")[first % 4]
        self._tell_letters()

    def _letters_well(self, *_: int) -> None:
        self._letter_trouble = None
        self._tell_letters()

    def _skip(self, first: int, second: int) -> None:
        """An operator has the lowest open record of a partition taken out of the way."""
        owner = self._owner(first % PARTITIONS)
        partition = self.topic.partitions[first % PARTITIONS]
        state = None if owner is None else owner.ledger.state(partition)
        if owner is not None and state is not None and state.open and state.committable is not None:
            offset = state.committable + second % 4
            became = owner.pipeline.skip(RecordPlace(partition, offset))
            _require(became is not Skipping.NOT_OURS, "a partition that is its own is not")

    def _meta_well(self, first: int, _: int) -> None:
        name = tuple(self._trouble)[first % len(self._trouble)]
        self._trouble[name] = set()
        self._latency_seconds = 0.1
        self._tell_meta()

    def _well(self, *_: int) -> None:
        for name in self._trouble:
            self._trouble[name] = set()
        self._latency_seconds = 0.1
        self._tell_meta()
        self._letters_well()

    # --- inside

    def _member(self, assigned: range | tuple[()], *, beside: FakeHouse | None) -> FakeHouse:
        member = house(
            partitions=PARTITIONS,
            assigned=tuple(assigned),
            destinations=DESTINATIONS,
            window_events=25,
            in_flight_events=IN_FLIGHT_EVENTS,
            uncommitted_records=UNCOMMITTED_RECORDS,
            grace_seconds=GRACE_SECONDS,
            max_poll_seconds=MAX_POLL_SECONDS,
            guard_events=GUARD_EVENTS,
            guard_pauses=True,
            beside=beside,
            rooms=self._rooms,
        )
        if beside is not None:
            self.topic.watchers = [self._audit]
        member.meta.is_bad = lambda event: place(event) in self._poison
        self._told_meta(member)
        self._told_letters(member)
        return member

    def _publish_to(self, partition: int, pixel: PixelId, events: int) -> list[Place]:
        places = self.members[0].publish(partition, events=events, destination=pixel)
        self.published += places
        return places

    def _owner(self, partition: int) -> FakeHouse | None:
        owners = [member for member in self.members if partition in member.source.assigned]
        return owners[0] if owners else None

    def _give_up(self, owner: FakeHouse, partition: int) -> bool:
        """A full house does not read at each turn, and hears of the group when it does."""
        for _ in range(200):
            self._turn(owner)
            if partition not in owner.source.assigned:
                self._may_repeat(owner, [partition])
                return True
            if owner not in self.members:
                return False  # it ended on the way, and what it had is with others by now
        raise Broken("a member does not poll its group")

    def _hand_out(self, numbers: list[int], second: int, members: list[FakeHouse]) -> None:
        """The group gives these partitions to some of these members, who hear of it at once."""
        chosen = [members[(number + second) % len(members)] for number in numbers]
        for number, member in zip(numbers, chosen, strict=True):
            member.source.assign(number)
        for member in chosen:
            if member in self.members:
                self._turn(member)

    def _begin_trouble(self, name: str, pixels: list[PixelId] | tuple[PixelId, ...]) -> None:
        self._trouble[name] |= set(pixels)
        self._tell_meta()

    def _tell_meta(self) -> None:
        for member in self.members:
            self._told_meta(member)

    def _told_meta(self, member: FakeHouse) -> None:
        meta, trouble = member.meta, self._trouble
        meta.standing = {
            **dict.fromkeys(trouble["throttle"], throttling(30)),
            **dict.fromkeys(trouble["outage"], outage()),
            **dict.fromkeys(trouble["halt"], expired_token()),
        }
        meta.unheard = set(trouble["unheard"])
        meta.latency_seconds = self._latency_seconds

    def _tell_letters(self) -> None:
        for member in self.members:
            self._told_letters(member)

    def _told_letters(self, member: FakeHouse) -> None:
        letters, trouble = member.dead_letters, self._letter_trouble
        letters.failing = "_MSG_TIMED_OUT" if trouble == "failing" else None
        letters.latency_seconds = 4.0 if trouble == "slow" else 0.0
        letters.bytes_max = 10 if trouble == "too large" else None
        letters.silent = trouble == "silent"

    def _run(self, seconds: float) -> None:
        until = self.clock.now() + seconds
        while self.clock.now() < until:
            if not self.members:
                self.clock.advance(seconds)
            for member in list(self.members):
                if member in self.members:
                    self._turn(member)

    def _turn(self, member: FakeHouse) -> None:
        try:
            member.pipeline.turn()
        except ReadFailed:
            # The process ends with exit code 1 and starts anew.
            self._crash(self.members.index(member), 0)
        # A full house polls with room for one: a partition that comes just then brings a record.
        _require(
            member.ledger.open_records <= IN_FLIGHT_EVENTS + PARTITIONS,
            f"{member.ledger.open_records} records in flight",
        )

    def _settle_all(self) -> None:
        self.clock.idle_pace = ENDING_PACE
        until = self.clock.now() + ENDING_SECONDS_MAX
        while self.topic.lag or any(member.ledger.open_records for member in self.members):
            _require(
                self.clock.now() < until,
                f"a lag of {self.topic.lag} is left, and {[m.ledger for m in self.members]}",
            )
            self._schema_arrives()
            self._accept_all()
            self._run(5.0)
        self.clock.idle_pace = STORY_PACE

    # --- the promises

    def _fates(self) -> set[Place]:
        self._hear_letters()
        return self._dead.keys() | self.meta.accepted.keys()

    def _hear_letters(self) -> None:
        self._dead.update(self._letters.places_from(self._dead.total()))

    def _audit(self, partition: TopicPartition, offset: int) -> None:
        """Nothing is committed past a record without a fate."""
        start = self._audited.get(partition, 0)
        if offset <= start:
            return
        self._hear_letters()
        for stored in self.topic.records(partition, start, offset):
            there = (partition.partition, stored.offset)
            met = there in self._dead or there in self.meta.accepted
            _require(met, f"{there} is committed past without a fate")
        self._audited[partition] = offset

    def _check(self) -> None:
        for member in self.members:
            for partition in member.ledger.partitions:
                state = member.ledger.state(partition)
                ahead = 0 if state is None else state.uncommitted
                _require(
                    ahead <= UNCOMMITTED_RECORDS + IN_FLIGHT_EVENTS,
                    f"delivery of {partition} runs {ahead} records ahead of its commit",
                )
        owners = [number for member in self.members for number in member.source.assigned]
        _require(len(owners) == len(set(owners)), "a partition has two owners: a bug of the world")

    def _may_repeat(
        self, member: FakeHouse, numbers: list[int], *, settled_only: bool = True
    ) -> None:
        """What was settled above the committed offset, or is on its way to the dead letters, may
        be settled again after a fault."""
        settled = self._fates() | self.meta.received.keys() | set(member.dead_letters.places_out)
        for number in numbers:
            partition = self.topic.partitions[number]
            start = self.topic.committed.get(partition, 0)
            stored = self.topic.records(partition, start, self.topic.end(partition))
            places = [(number, each.offset) for each in stored]
            self._may_come_again.update(p for p in places if p in settled or not settled_only)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)


@contextmanager
def _told(step: object) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        raise Broken(f"{error} (at {step})") from error

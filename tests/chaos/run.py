"""One run: sets the scene, lets the plan happen, waits for the end, gathers the facts."""

import heapq
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import KafkaException, Message
from confluent_kafka.admin import AdminClient

from tests.chaos.account import (
    ACCEPTED,
    Account,
    Facts,
    Finding,
    Handover,
    Place,
    Settlement,
    account_for,
)
from tests.chaos.faults import FAULTS, PARTITIONS_MAX, Scene, misbehave
from tests.chaos.fleet import Fleet
from tests.chaos.handovers import Happened, handovers_in
from tests.chaos.plan import SESSION_SECONDS, Lane, Step, lane_of
from tests.chaos.publisher import Publisher, digest_of
from tests.chaos.recreated import FAULT, topic_recreated
from tests.chaos.watcher import Watcher
from tests.integration import Product, Running
from tests.integration.kafka_broker import KafkaBroker
from tests.integration.registry import Registry
from tests.integration.world import PARTITIONS, World

ROOT = Path(__file__).parents[2]
PIXELS = ("1729525464415281", "2729525464415282", "3729525464415283")
DEAD_PIXEL = "9729525464415289"
MEMBERS = 3
ENDING_SECONDS_MAX = 300.0
LOOK_SECONDS = 2.0
QUIET_SECONDS = 20.0
LATER_SECONDS = 3.0
PROGRESS_SECONDS = 15.0

BROKER_PROPERTIES = {
    # Without a rule everybody may do everything: a rule of ours is how writing is refused.
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
UNCOMMITTED_RECORDS, IN_FLIGHT_EVENTS = 2000, 4000
SETTINGS = {
    "KAFKA_CONSUMER_SESSION_TIMEOUT_MS": str(int(SESSION_SECONDS * 1000)),
    "CONVERSIONS_IN_FLIGHT_EVENTS": str(IN_FLIGHT_EVENTS),
    "CONVERSIONS_UNCOMMITTED_RECORDS": str(UNCOMMITTED_RECORDS),
    "CONVERSIONS_UNCOMMITTED_SECONDS": "120",
    "CONVERSIONS_SPILL_AFTER_SECONDS": "120",
    "CONVERSIONS_REQUEST_TIMEOUT_SECONDS": "15",
    "CONVERSIONS_GRACE_SECONDS": "10",
}

Say = Callable[[str], None]


class Result(NamedTuple):
    """What a run comes to. ``done`` counts the faults by name."""

    account: Account
    done: Mapping[str, int]
    requests: int
    memory_mb_max: float
    ended_by_themselves: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Asked:
    """What to run. ``bug`` names one of the simulation's to plant; ``recreated``: whether the story
    of the topic that is made anew follows."""

    seed: int
    plan: Sequence[Step]
    seconds: float
    per_second: float
    bug: str | None
    recreated: bool


class OurProduct(Product):
    """The product of this checkout, with no output at the end."""

    def __init__(self, *, command: Sequence[str | Path], folder: Path) -> None:
        super().__init__(command=command, folder=folder)
        self._ours: list[Running] = []

    def run(self, *args: str, env: Mapping[str, str]) -> Running:
        """As the product's, from this checkout whatever is installed."""
        running = super().run(*args, env={"PYTHONPATH": str(ROOT), **env})
        self._ours.append(running)
        return running

    def close(self) -> None:
        """End what still runs."""
        for running in self._ours:
            running.kill()


def run(asked: Asked, *, kafka: KafkaBroker, registry: Registry, folder: Path, say: Say) -> Result:
    """Everything, on a broker with ``BROKER_PROPERTIES`` and a registry that run already.

    No process of it is left behind, whatever happens.
    """
    began = time.monotonic()
    command: list[str | Path] = [sys.executable, "-m", "consumer"]
    product = OurProduct(command=command, folder=folder)
    planted = [sys.executable, str(ROOT / "tests/chaos/planted.py"), asked.bug or ""]
    buggy = OurProduct(command=planted, folder=_made(folder / "planted"))
    try:
        world = World(
            kafka=kafka,
            registry=registry,
            product=product,
            unique=lambda stem: f"{stem}-{uuid.uuid4().hex[:8]}",
            pixels=PIXELS,
            dead_letter_config={"max.message.bytes": "2000000"},
        )
        world.pixels.append(DEAD_PIXEL)
        if asked.bug is not None:
            world.product = buggy
        result = _Run(world, asked, say).result(began)
        if not asked.recreated:
            return result
        found = topic_recreated(
            product, kafka=kafka, registry=registry, pixels=PIXELS, settings=SETTINGS, say=say
        )
        return result._replace(
            account=_with(result.account, found),
            done={**result.done, FAULT: 1},
            seconds=time.monotonic() - began,
        )
    finally:
        product.close()
        buggy.close()


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


class _Run:
    def __init__(self, world: World, asked: Asked, say: Say) -> None:
        self._world, self._asked, self._say = world, asked, say
        self._fleet = Fleet(world, SETTINGS)
        self._publisher = Publisher(
            world,
            seed=asked.seed,
            per_second=asked.per_second,
            partitions=PARTITIONS,
            dead=DEAD_PIXEL,
        )
        self._watcher = Watcher(world, partitions_max=PARTITIONS_MAX, pids=lambda: self._fleet.pids)
        admin = AdminClient(
            {**world.kafka.client_config(), "log_level": "0", "reconnect.backoff.max.ms": "200"}
        )
        self._scene = Scene(world, self._fleet, self._publisher, admin)
        self._happened: list[Happened] = []
        self._busy: set[Lane] = set()
        self._began = time.monotonic()

    def result(self, began: float) -> Result:
        misbehave(self._world)
        self._perform()
        self._publisher.stop()
        self._say(f"{self._clock()}  published {len(self._publisher.published)}; waiting for fates")
        self._wait_for_fates()
        self._fleet.stop()
        self._watcher.stop()
        self._say(f"{self._clock()}  everybody has left; comparing")
        account = account_for(self._facts())
        if self._watcher.gap:
            gap = Finding("requests at Meta were missed: nothing is proven", ())
            account = _with(account, [gap])
        done: dict[str, int] = {}
        for each in self._happened:
            done[each.fault] = done.get(each.fault, 0) + each.begins
        return Result(
            account=account,
            done=done,
            requests=len(self._watcher.received),
            memory_mb_max=self._watcher.memory_mb_max,
            ended_by_themselves=self._fleet.ended_by_themselves,
            seconds=time.monotonic() - began,
        )

    # --- the plan

    def _perform(self) -> None:
        """Begin and undo, each at its time, for as long as the run lasts."""
        order = count()
        agenda = [(step.at_seconds, next(order), step, True) for step in self._asked.plan]
        heapq.heapify(agenda)
        # What a run opens with is there before anybody starts.
        while agenda and agenda[0][0] <= 0 and agenda[0][3]:
            self._act(agenda, order)
        self._watcher.start()
        self._fleet.start(MEMBERS)
        self._publisher.start()
        said_at = time.monotonic()
        while agenda or self._now() < self._asked.seconds:
            if agenda and agenda[0][0] <= self._now():
                self._act(agenda, order)
                continue
            time.sleep(0.05)
            for line in self._fleet.revive():
                self._say(f"{self._clock()}  a member ended by itself: {line[-300:]}")
            if time.monotonic() - said_at > PROGRESS_SECONDS:
                said_at = time.monotonic()
                self._say(
                    f"{self._clock()}  published {len(self._publisher.published)}, "
                    f"received by Meta {len(self._watcher.received_ids)}"
                )

    def _act(self, agenda: list[tuple[float, int, Step, bool]], order: Iterator[int]) -> None:
        _, _, step, begins = heapq.heappop(agenda)
        fault, lane = FAULTS[step.fault], lane_of(step.fault)
        if begins and lane in self._busy:
            # One that took longer than planned: those of its lane wait for it.
            heapq.heappush(agenda, (self._now() + LATER_SECONDS, next(order), step, True))
            return
        if begins:
            self._busy.add(lane)
            said = fault.begin(self._scene, step.choice)
            heapq.heappush(agenda, (self._now() + step.seconds, next(order), step, False))
            self._say(f"{self._clock()}  {step.fault}: {said}")
        else:
            fault.undo(self._scene)
            self._busy.discard(lane)
            if step.seconds:
                self._say(f"{self._clock()}  {step.fault}: over")
        self._happened.append(Happened(time.time(), step.fault, begins))

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _clock(self) -> str:
        return f"{self._now():6.1f} s"

    # --- the end

    def _wait_for_fates(self) -> None:
        """Until everything but the dead pixel's has met its fate, or can meet it no more because
        all is committed: the account tells."""
        until = time.monotonic() + ENDING_SECONDS_MAX
        wanted = {p.place: p.event_id for p in self._publisher.published if not p.may_wait}
        changed_at = time.monotonic()
        while time.monotonic() < until:
            before = len(wanted)
            wanted = self._without_fate(wanted)
            if len(wanted) != before:
                changed_at = time.monotonic()
            is_quiet = time.monotonic() - changed_at > QUIET_SECONDS
            if (not wanted or is_quiet) and not self._uncommitted():
                break
            self._fleet.revive()
            time.sleep(LOOK_SECONDS)
        if wanted:
            self._say(f"{self._clock()}  {len(wanted)} are without a fate; no longer waiting")

    def _without_fate(self, wanted: Mapping[Place, str]) -> dict[Place, str]:
        received = self._watcher.received_ids
        left = {place: event_id for place, event_id in wanted.items() if event_id not in received}
        if left:
            letters = {place for place, _ in self._letters()}
            left = {place: event_id for place, event_id in left.items() if place not in letters}
        return left

    def _uncommitted(self) -> dict[int, int]:
        """Partitions with something above the committed offset, and how much; partition 0 may have
        a record of the dead pixel, which holds the commit."""
        try:
            committed = self._world.kafka.committed(self._world.group, self._world.topic)
            ends = self._world.kafka.end_offsets(self._world.topic)
        except KafkaException:
            return {-1: 0}
        left = {p: end - committed.get(p, 0) for p, end in ends.items() if p != 0}
        return {p: number for p, number in left.items() if number}

    def _letters(self) -> list[tuple[Place, Message]]:
        letters = self._world.kafka.read_all(self._world.dlq_topic)
        return [(_origin(letter), letter) for letter in letters]

    def _facts(self) -> Facts:
        published = self._publisher.published
        places = {each.event_id: each.place for each in published}
        # A record has its serial in its user's external id only: ids are compared by place.
        settlements, strangers = list[Settlement](), set[str]()
        serials = {_serial(each.event_id): each.place for each in published}
        for received in self._watcher.received:
            for event_id in received.event_ids:
                place = places.get(event_id) or serials.get(_serial(event_id))
                if place is None:
                    strangers.add(event_id)
                    continue
                settlements.append(
                    Settlement(place, received.at, ACCEPTED, event_id, received.heard, None)
                )
        settlements += [_settlement(place, letter) for place, letter in self._letters()]
        logs = [member.output() for member in self._fleet.all]
        moving = (Lane.CONSUMERS, Lane.KAFKA)
        shaking = [each for each in self._happened if lane_of(each.fault) in moving]
        handovers: list[Handover] = handovers_in(logs, self._world.topic, shaking)
        return Facts(
            published=published,
            settlements=settlements,
            strangers=sorted(strangers),
            samples=self._watcher.samples,
            handovers=handovers,
            freezes=self._scene.freezes,
            committed=self._world.kafka.committed(self._world.group, self._world.topic),
            ahead_max=UNCOMMITTED_RECORDS + IN_FLIGHT_EVENTS,
        )


def _serial(event_id: str) -> str:
    """An id that a bug has added to is still that record's."""
    return event_id.removesuffix("-again")


def _headers(letter: Message) -> dict[str, str]:
    found: Any = letter.headers() or []
    return {name: value.decode() for name, value in found}


def _origin(letter: Message) -> Place:
    _, partition, offset, _ = _headers(letter)["conversions.origin"].rsplit(":", 3)
    return Place(int(partition), int(offset))


def _settlement(place: Place, letter: Message) -> Settlement:
    headers = _headers(letter)
    return Settlement(
        place=place,
        at=letter.timestamp()[1] / 1000,
        fate=headers["conversions.reason"],
        event_id=headers["conversions.event_id"],
        heard=True,
        digest=digest_of(letter.value()),
    )


def _with(account: Account, findings: Sequence[Finding]) -> Account:
    return replace(account, findings=[*account.findings, *findings])

"""Everything at once, in any order: two members of one group, partitions that come, go and are
lost, reads that fail, Meta and the dead letters away and back, schemas that are late. Whatever
happens, no commit goes past a record without a fate (the house's auditor sees to that at every
commit), and when all is well again every record that was published has met one.
"""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.model import ReadFailed
from tests.fakes.house import CRM, SHOP, FakeHouse, house
from tests.fakes.kafka import Place
from tests.fakes.meta import expired_token, outage, place, throttling
from tests.fakes.schemas import LATE_SCHEMA_ID, event_plan

STEPS = (
    "publish",
    "publish",
    "poison",
    "garbage",
    "late schema",
    "schema arrives",
    "gap",
    "turn",
    "turn",
    "wait",
    "hand over",
    "lose",
    "fail read",
    "refuse commit",
    "outage",
    "halt",
    "throttle",
    "meta is well",
    "dead letters fail",
    "dead letters are slow",
    "dead letters are well",
)
Step = tuple[str, int]


class Chance:
    """Two members and what was published to them."""

    def __init__(self) -> None:
        self.members = [house(in_flight_events=60, window_events=7, grace_seconds=3.0)]
        self.members.append(house(beside=self.members[0], assigned=(), in_flight_events=60))
        self.published: list[Place] = []
        self.poison: set[Place] = set()
        for member in self.members:
            member.meta.is_bad = lambda event: place(event) in self.poison
            self._turn(member)

    def take(self, step: Step) -> None:
        """Let one thing happen."""
        what, number = step
        first, second = self.members
        partition, destination = number % 3, (SHOP, CRM)[number % 2]
        owner = first if partition in first.source.assigned else second
        other = second if owner is first else first
        match what:
            case "publish":
                self.published += first.publish(partition, events=number, destination=destination)
            case "poison":
                places = first.publish(partition, events=2, destination=destination)
                self.poison.add(places[0])
                self.published += places
            case "garbage":
                self.published.append(first.garbage(partition))
            case "late schema":
                self.published += first.publish(partition, schema_id=LATE_SCHEMA_ID)
            case "schema arrives":
                self._schema_arrives()
            case "gap":
                first.topic.gap(partition, number)
            case "wait":
                self._run(number / 2)
            case "hand over" if partition in owner.source.assigned:
                owner.source.revoke(partition)
                self._turn(owner)
                other.source.assign(partition)
            case "lose" if partition in owner.source.assigned:
                owner.source.lose(partition)
                self._turn(owner)
                other.source.assign(partition)
            case "fail read":
                self.published += first.publish(partition, events=number)
                owner.source.fail_read(dropping=number)
            case "refuse commit":
                owner.source.refuse_commit("REBALANCE_IN_PROGRESS")
            case _:
                self._outside(what, destination == SHOP)
        self._run(0.05)

    def heal_and_finish(self) -> None:
        """All is well again: whatever is left is settled."""
        for what in ("meta is well", "dead letters are well"):
            self._outside(what, True)
        first = self.members[0]
        until = first.clock.now() + 2500
        while first.topic.lag or any(member.ledger.open_records for member in self.members):
            assert first.clock.now() < until, f"still a lag of {first.topic.lag}"
            self._schema_arrives()
            self._run(5)

    def _schema_arrives(self) -> None:
        for member in self.members:
            if LATE_SCHEMA_ID in member.schemas.asked:
                member.schemas.arrive(LATE_SCHEMA_ID, event_plan())

    def _outside(self, what: str, first_one: bool) -> None:
        for member in self.members:
            meta, dead_letters = member.meta, member.dead_letters
            destination = SHOP if first_one else CRM
            match what:
                case "outage":
                    meta.standing[destination] = outage()
                case "halt":
                    meta.standing[destination] = expired_token()
                case "throttle":
                    meta.standing[destination] = throttling(30)
                case "meta is well":
                    meta.standing.clear()
                case "dead letters fail":
                    dead_letters.failing = "_MSG_TIMED_OUT"
                case "dead letters are slow":
                    dead_letters.latency_seconds = 4.0
                case "dead letters are well":
                    dead_letters.failing, dead_letters.latency_seconds = None, 0.0

    def _run(self, seconds: float) -> None:
        clock = self.members[0].clock
        until = clock.now() + seconds
        while clock.now() < until:
            for member in self.members:
                self._turn(member)

    def _turn(self, member: FakeHouse) -> None:
        try:
            member.pipeline.turn()
        except ReadFailed:
            # The process would end and start again: its partitions are lost and assigned anew.
            numbers = sorted(member.source.assigned)
            member.source.lose(*numbers)
            member.source.assign(*numbers)


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 9)), min_size=5, max_size=40))
def test_every_record_meets_its_fate_whatever_happens(steps: list[Step]) -> None:
    chance = Chance()
    for step in steps:
        chance.take(step)
    chance.heal_and_finish()

    first = chance.members[0]
    fates = set(first.meta.accepted) | set(first.dead_letters.places)
    assert set(chance.published) <= fates
    # Refused alone, spilled or undecodable: nothing else is dead-lettered in this story.
    reasons = {dict(each.headers)["conversions.reason"] for each in first.dead_letters.written}
    assert reasons <= {b"undecodable", b"refused_by_meta", b"destination_halted"}

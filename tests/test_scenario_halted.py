"""A destination's token has expired. Its events are held, up to its share of the house; then the
partitions that carry it pause; and only when it keeps a healthy destination waiting for long are
its oldest events given up into the dead letters, from where they can be replayed. Nobody else
suffers.
"""

import pytest
from pydantic import SecretStr

from consumer.model import PixelId, Reason
from consumer.parcel_queue import PROBE_EVENTS_MAX
from consumer.replay_plan import replay_command
from tests.fakes.dead_letters import header
from tests.fakes.house import CRM, SHOP, FakeHouse, house
from tests.fakes.meta import Reply, expired_token, outage

SPILL_AFTER = 300.0


def mixed(home: FakeHouse, partition: int, rounds: int) -> None:
    """Events of both destinations in turns."""
    for _ in range(rounds):
        home.publish(partition, events=5, destination=SHOP)
        home.publish(partition, events=5, destination=CRM)


def test_a_halted_destination_is_probed_with_small_batches() -> None:
    home = house()
    home.publish(0, events=50, destination=CRM)
    home.meta.standing[CRM] = expired_token()

    home.run(1200)

    sizes = [len(seen.places) for seen in home.meta.seen]
    assert sizes[0] == 50
    assert set(sizes[1:]) == {PROBE_EVENTS_MAX}
    assert 4 <= len(sizes) <= 20
    assert not home.dead_letters.produced
    halted = home.lines.named("destination halted")
    assert len(halted) == 1
    assert halted[0]["reason"] == "token"
    home.meta.standing.clear()
    home.settle_all(400)
    assert set(home.meta.accepted.values()) == {1}
    assert len(home.meta.accepted) == 50


class Tokens:
    """What stands in the token files; satisfies what ``Pipeline.nudge`` asks."""

    def __init__(self) -> None:
        self.by_destination = {SHOP: SecretStr("shop-1"), CRM: SecretStr("crm-1")}

    def of(self, destination: PixelId) -> SecretStr | None:
        return self.by_destination.get(destination)

    def change(self, destination: PixelId) -> None:
        """A new one, with which Meta has no quarrel."""
        before = self.by_destination[destination].get_secret_value()
        self.by_destination[destination] = SecretStr(f"{before}-and-more")


def nudged(home: FakeHouse, tokens: Tokens, seconds: float) -> None:
    """Turn the loop for so long and look at the tokens every five seconds, as a member does."""
    until = home.clock.now() + seconds
    while home.clock.now() < until:
        home.pipeline.nudge(tokens.of)
        home.run(5)


def halted(home: FakeHouse, tokens: Tokens) -> int:
    """Events of CRM wait behind an expired token, with minutes until the next probe; how many
    requests there were."""
    home.publish(0, events=50, destination=CRM)
    home.meta.standing[CRM] = expired_token()
    # Probed after 5, 15, 35, 75, 155 and 315 seconds, then only after 300 more.
    nudged(home, tokens, 330)
    return len(home.meta.seen)


def test_a_new_token_ends_a_halt_at_once() -> None:
    home, tokens = house(), Tokens()
    before = halted(home, tokens)
    home.meta.standing.clear()
    nudged(home, tokens, 60)
    assert len(home.meta.seen) == before, "the token is the same: the next probe is not due"

    tokens.change(CRM)
    nudged(home, tokens, 5)

    assert len(home.meta.seen[before].places) == PROBE_EVENTS_MAX, "a probe first"
    assert set(home.meta.accepted.values()) == {1}
    assert len(home.meta.accepted) == 50
    assert not home.dead_letters.produced


def test_whoever_mended_it_ends_a_halt_by_hand() -> None:
    home, tokens = house(), Tokens()
    before = halted(home, tokens)
    home.meta.standing.clear()
    nudged(home, tokens, 60)
    assert len(home.meta.seen) == before, "the next probe is not due"

    home.pipeline.resume(CRM)
    nudged(home, tokens, 5)

    assert set(home.meta.accepted.values()) == {1}
    assert len(home.meta.accepted) == 50
    assert not home.dead_letters.produced
    (told,) = home.lines.named("destination is tried again by hand")
    assert told == {"destination": CRM}


def test_resuming_what_is_still_broken_loses_nothing() -> None:
    home, tokens = house(), Tokens()
    before = halted(home, tokens)

    home.pipeline.resume(CRM)
    nudged(home, tokens, 60)

    assert len(home.meta.seen) > before
    assert not home.meta.accepted
    assert not home.dead_letters.produced
    home.meta.standing.clear()
    home.settle_all(400)
    assert len(home.meta.accepted) == 50


def test_a_destination_without_events_here_is_nothing_to_resume() -> None:
    home = house()
    home.publish(0, events=1, destination=SHOP)
    home.run(5)

    home.pipeline.resume(CRM)
    home.run(5)

    assert home.lines.named("destination is tried again by hand") == []
    (told,) = home.lines.named("nothing is held for a destination to resume")
    assert told == {"destination": CRM}


def test_a_new_token_that_is_no_better_is_one_probe_and_waits_again() -> None:
    home, tokens = house(), Tokens()
    before = halted(home, tokens)

    tokens.change(CRM)
    nudged(home, tokens, 60)

    assert [len(seen.places) for seen in home.meta.seen[before:]] == [PROBE_EVENTS_MAX]
    assert not home.dead_letters.produced
    tokens.change(CRM)
    home.meta.standing.clear()
    nudged(home, tokens, 5)
    assert len(home.meta.accepted) == 50


def test_the_new_token_of_one_destination_is_no_reason_to_probe_another() -> None:
    home, tokens = house(), Tokens()
    before = halted(home, tokens)

    tokens.change(SHOP)
    del tokens.by_destination[SHOP]
    nudged(home, tokens, 60)

    assert len(home.meta.seen) == before


def test_a_token_that_goes_away_and_comes_back_is_tried() -> None:
    home, tokens = house(), Tokens()
    before = halted(home, tokens)
    given = tokens.by_destination.pop(CRM)
    nudged(home, tokens, 5)
    home.meta.standing.clear()

    tokens.by_destination[CRM] = given
    nudged(home, tokens, 5)

    assert len(home.meta.seen) > before
    assert len(home.meta.accepted) == 50


def test_each_halt_compares_with_the_token_of_its_own_time() -> None:
    home, tokens = house(), Tokens()
    halted(home, tokens)
    home.meta.standing.clear()
    tokens.change(CRM)
    nudged(home, tokens, 10)
    tokens.change(CRM)
    nudged(home, tokens, 10)
    home.publish(0, destination=CRM)
    home.meta.standing[CRM] = expired_token()
    home.run(2)
    before = len(home.meta.seen)

    home.pipeline.nudge(tokens.of)
    home.run(2)

    assert home.deliveries.outboxes[CRM].halted is not None
    assert len(home.meta.seen) == before, "what changed before this halt is not news"


def test_a_halted_destination_does_not_delay_the_others_on_its_partitions() -> None:
    home = house()
    home.meta.standing[CRM] = expired_token()
    mixed(home, 0, 20)

    home.run(5)

    assert len(home.meta.accepted) == 100
    assert not home.source.paused


def test_it_holds_its_share_then_pauses_its_carriers_and_no_other_partition() -> None:
    home = house(in_flight_events=200, max_poll_seconds=5.0)
    home.meta.standing[CRM] = expired_token()
    mixed(home, 0, 100)
    home.publish(1, events=5, destination=SHOP)
    home.run(SPILL_AFTER - 60)

    assert home.source.paused == {home.topic.partitions[0]}
    assert home.metric("conversions_paused_partitions", cause="destination") == 1
    assert not home.dead_letters.produced
    assert 100 <= home.ledger.open_records <= 200
    places = home.publish(1, events=500, destination=SHOP)
    home.run(30)
    assert all(home.meta.accepted[place] == 1 for place in places)


def test_it_is_spilled_after_a_while_because_a_healthy_destination_waits() -> None:
    home = house(in_flight_events=200)
    home.meta.standing[CRM] = expired_token()
    mixed(home, 0, 100)
    home.run(SPILL_AFTER - 5)
    assert not home.dead_letters.produced

    home.run(600)

    shop = [place for place in home.meta.accepted]
    assert len(shop) == 500, "every event of the healthy destination got through"
    reasons = {header(letter, "reason") for letter in home.dead_letters.written}
    assert reasons == {"destination_halted"}
    assert {header(letter, "destination") for letter in home.dead_letters.written} == {CRM}
    oldest = sorted(home.dead_letters.places)
    assert oldest == sorted(home.dead_letters.places[: len(oldest)])
    assert len(oldest) < 500, "only what had to go"

    home.meta.standing.clear()
    home.settle_all(600)

    assert len(home.meta.accepted) + len(set(home.dead_letters.places)) == 1000
    event = "destination recovered; what was spilled waits in the dead letters"
    told = home.lines.named(event)
    command = replay_command(Reason.DESTINATION_HALTED, CRM)
    assert told == [{"destination": CRM, "command": command}]


def test_the_oldest_events_are_spilled_first() -> None:
    home = house(in_flight_events=200)
    home.meta.standing[CRM] = expired_token()
    mixed(home, 0, 100)

    home.run(SPILL_AFTER + 3)

    spilled = home.dead_letters.places
    assert spilled
    still_open = {
        (event.record.partition.partition, event.record.offset)
        for event in home.deliveries.outboxes[CRM].waiting()
    }
    # A few are out as a probe and keep their place; of the others the spilled ones are older.
    newest = max(spilled)
    assert len([place for place in still_open if place < newest]) <= PROBE_EVENTS_MAX


def test_a_halted_destination_alone_on_its_partitions_is_never_spilled() -> None:
    home = house(in_flight_events=100, max_poll_seconds=5.0)
    home.meta.standing[CRM] = expired_token()
    home.publish(1, events=1, destination=SHOP)
    home.publish(0, events=500, destination=CRM)

    home.run(800)

    assert not home.dead_letters.produced
    assert home.topic.partitions[0] in home.source.paused
    home.meta.standing.clear()
    home.settle_all(600)
    assert len(home.meta.accepted) == 501


def test_when_all_destinations_are_halted_nothing_is_spilled() -> None:
    home = house(in_flight_events=100, max_poll_seconds=5.0)
    home.meta.standing[CRM] = expired_token()
    home.meta.standing[SHOP] = expired_token()
    mixed(home, 0, 50)

    home.run(800)

    assert not home.dead_letters.produced
    assert home.ledger.open_records <= 100
    home.meta.standing.clear()
    home.settle_all(900)
    assert len(home.meta.accepted) == 500


def test_every_event_refused_halts_instead_of_dead_lettering_the_topic() -> None:
    home = house()
    home.publish(0, events=300, destination=CRM)
    home.meta.is_bad = lambda event: event.destination == CRM

    home.run(600)

    assert not home.dead_letters.produced
    assert home.lines.named("destination halted")[-1]["reason"] == "every_event_refused"


def test_the_uncommitted_bound_spills_a_halted_destination_at_once() -> None:
    home = house(uncommitted_records=100, in_flight_events=2000)
    home.meta.standing[CRM] = expired_token()
    first = home.publish(0, destination=CRM)[0]
    home.publish(0, events=400, destination=SHOP)

    home.run(60)

    assert home.dead_letters.places == [first]
    assert home.committed(0) == 401
    assert not home.source.paused


@pytest.mark.parametrize("answer", [expired_token(), outage()])
def test_a_destination_that_filled_the_house_before_its_trouble_starves_nobody(
    answer: Reply,
) -> None:
    home = house(in_flight_events=3000)
    home.meta.standing[CRM] = answer
    home.publish(0, events=5000, destination=CRM)
    places = home.publish(1, events=10, destination=SHOP)

    home.run(120)

    assert all(home.meta.accepted[place] == 1 for place in places)
    assert home.ledger.open_records <= 3000
    assert not home.dead_letters.produced
    home.meta.standing.clear()
    home.settle_all(900)
    assert len(home.meta.accepted) == 5010

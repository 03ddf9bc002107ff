"""The account of a chaos run: what is a broken promise, and what a fault excuses."""

from itertools import pairwise

from tests.chaos.account import (
    ACCEPTED,
    FROZEN,
    LOST_ANSWERS,
    Account,
    Facts,
    Freeze,
    Handover,
    Place,
    Published,
    Repetitions,
    Sample,
    Settlement,
    account_for,
)
from tests.chaos.handovers import Happened, handovers_in
from tests.chaos.plan import KINDS, SHORT, Lane, plan_for

DIGEST = b"the value"


def _published(offset: int, *fates: str, at: float = 0.0, may_wait: bool = False) -> Published:
    known = frozenset(fates or (ACCEPTED,))
    return Published(Place(0, offset), f"event-{offset}", at, DIGEST, known, may_wait)


def _accepted(offset: int, at: float, *, heard: bool = True, event_id: str = "") -> Settlement:
    name = event_id or f"event-{offset}"
    return Settlement(Place(0, offset), at, ACCEPTED, name, heard, None)


def _letter(offset: int, at: float, reason: str, digest: bytes = DIGEST) -> Settlement:
    return Settlement(Place(0, offset), at, reason, f"event-{offset}", True, digest)


def _account(
    published: list[Published],
    settlements: list[Settlement],
    *,
    committed: int = 0,
    strangers: tuple[str, ...] = (),
    samples: tuple[Sample, ...] = (),
    handovers: tuple[Handover, ...] = (),
    freezes: tuple[Freeze, ...] = (),
    ahead_max: int = 100,
) -> Account:
    return account_for(
        Facts(
            published=published,
            settlements=settlements,
            strangers=strangers,
            samples=samples,
            handovers=handovers,
            freezes=freezes,
            committed={0: committed},
            ahead_max=ahead_max,
        )
    )


def _broken(account: Account) -> list[str]:
    return [finding.what for finding in account.findings]


def test_accepted_dead_lettered_and_left_for_a_dead_pixel_are_fates() -> None:
    account = _account(
        [_published(0), _published(1, "undecodable"), _published(2, may_wait=True)],
        [_accepted(0, 1.0), _letter(1, 1.0, "undecodable")],
        committed=2,
    )

    assert _broken(account) == []
    assert (account.published, account.accepted, account.uncommitted) == (3, 1, 1)
    assert account.dead_lettered == {"undecodable": 1}


def test_what_is_committed_past_without_a_fate_is_lost() -> None:
    account = _account([_published(0), _published(1)], [_accepted(1, 1.0)], committed=2)

    assert _broken(account) == ["1 lost: committed past, neither accepted nor dead-lettered"]
    assert account.findings[0].event_ids == ("event-0",)


def test_a_dead_pixels_record_that_is_committed_past_is_lost_as_well() -> None:
    account = _account([_published(0, may_wait=True)], [], committed=1)

    assert _broken(account) == ["1 lost: committed past, neither accepted nor dead-lettered"]


def test_what_is_left_uncommitted_while_its_pixel_takes_events_is_told() -> None:
    account = _account([_published(0)], [], committed=0)

    assert _broken(account) == ["1 left uncommitted although its pixel takes events"]


def test_what_nobody_published_is_told() -> None:
    account = _account([], [_accepted(5, 1.0)], strangers=("who-knows",))

    assert account.findings[0].event_ids == ("Place(partition=0, offset=5)", "who-knows")


def test_a_good_event_in_the_dead_letters_is_told() -> None:
    account = _account([_published(0)], [_letter(0, 1.0, "destination_halted")], committed=1)

    assert _broken(account) == ["1 met a fate that was not its own"]


def test_a_dead_letter_with_another_value_is_told() -> None:
    account = _account(
        [_published(0, "undecodable")], [_letter(0, 1.0, "undecodable", b"other")], committed=1
    )

    assert _broken(account) == ["1 dead letter with another value"]


def test_two_event_ids_of_one_record_are_told() -> None:
    account = _account(
        [_published(0)],
        [_accepted(0, 1.0, heard=False), _accepted(0, 2.0, event_id="event-0-again")],
        committed=1,
    )

    assert _broken(account) == [
        "1 settled under another event id",
        "1 accepted under two event ids",
    ]


def test_a_repetition_without_a_fault_is_told() -> None:
    account = _account([_published(0)], [_accepted(0, 1.0), _accepted(0, 2.0)], committed=1)

    assert _broken(account) == ["1 settled again with no fault to excuse it"]
    assert account.findings[0].event_ids == ("event-0 at 0:0",)


def test_an_answer_that_meta_lost_excuses_one_repetition_and_no_second() -> None:
    lost = _accepted(0, 1.0, heard=False)

    once = _account([_published(0)], [lost, _accepted(0, 2.0)], committed=1)
    twice = _account([_published(0)], [lost, _accepted(0, 2.0), _accepted(0, 3.0)], committed=1)

    assert _broken(once) == []
    assert once.repetitions == {LOST_ANSWERS: Repetitions(bound=1, seen=1)}
    assert _broken(twice) == ["1 settled again with no fault to excuse it"]


def test_a_handover_excuses_what_was_settled_above_the_committed_offset() -> None:
    published = [_published(offset) for offset in range(4)]
    first = [_accepted(offset, 1.0) for offset in range(3)]
    samples = (Sample(0.5, {0: 0}), Sample(4.0, {0: 1}), Sample(9.0, {0: 3}))
    handover = (Handover(8.0, 0, "kill"),)

    fine = _account(
        published,
        [*first, _accepted(1, 10.0), _accepted(2, 10.0), _accepted(3, 10.0)],
        committed=4,
        samples=samples,
        handovers=handover,
    )
    below = _account(
        published,
        [*first, _accepted(0, 10.0), _accepted(3, 10.0)],
        committed=4,
        samples=samples,
        handovers=handover,
    )

    assert _broken(fine) == []
    assert fine.repetitions == {"kill": Repetitions(bound=2, seen=2)}
    assert below.findings[0].event_ids == ("event-0 at 0:0",)


def test_a_handover_excuses_nothing_that_came_again_before_it_or_on_another_partition() -> None:
    settled = [_accepted(0, 1.0), _accepted(0, 5.0)]

    for handover in (Handover(8.0, 0, "kill"), Handover(3.0, 1, "kill")):
        account = _account([_published(0)], settled, committed=1, handovers=(handover,))
        assert _broken(account) == ["1 settled again with no fault to excuse it"]


def test_a_dead_letter_after_an_acceptance_is_a_repetition_too() -> None:
    published = [_published(0, ACCEPTED, "expired")]
    settled = [_accepted(0, 1.0), _letter(0, 5.0, "expired")]

    assert _broken(_account(published, settled, committed=1)) == [
        "1 settled again with no fault to excuse it"
    ]
    handed_over = _account(published, settled, committed=1, handovers=(Handover(3.0, 0, "kill"),))
    assert _broken(handed_over) == []


def test_a_member_that_wakes_may_send_what_it_had_read_and_nothing_younger() -> None:
    published = [_published(0, at=1.0), _published(1, at=9.0)]
    freeze = (Freeze(2.0, 20.0),)
    again = [_accepted(0, 10.0), _accepted(0, 21.0)]

    fine = _account(published, [*again, _accepted(1, 10.0)], committed=2, freezes=freeze)
    younger = _account(
        published, [*again, _accepted(1, 10.0), _accepted(1, 21.0)], committed=2, freezes=freeze
    )

    assert _broken(fine) == []
    assert fine.repetitions == {FROZEN: Repetitions(bound=1, seen=1)}
    assert younger.findings[0].event_ids == ("event-1 at 0:1",)


def test_running_ahead_of_the_commit_by_more_than_the_bound_is_told() -> None:
    published = [_published(offset) for offset in range(6)]
    settled = [_accepted(offset, 1.0) for offset in range(6)]

    account = _account(
        published, settled, committed=6, handovers=(Handover(2.0, 0, "kill"),), ahead_max=5
    )

    assert len(account.findings) == 1
    assert "more than 5 (kill)" in account.findings[0].what


def test_a_handover_is_put_down_to_the_last_fault_before_it() -> None:
    line = (
        '{"event": "partitions assigned", "time": "2026-01-01T00:00:%02dZ", '
        '"partitions": ["events:%d", "others:7"]}'
    )
    log = "\n".join(["no JSON", line % (1, 0), line % (5, 3)])
    midnight = 1_767_225_600.0

    found = handovers_in([log], "events", [Happened(midnight + 3, "kill", begins=True)])

    assert found == [Handover(midnight + 1, 0, "start"), Handover(midnight + 5, 3, "kill")]


def test_a_seed_is_one_plan_and_another_seed_another() -> None:
    assert plan_for(7, 600) == plan_for(7, 600)
    assert plan_for(7, 600) != plan_for(8, 600)


def test_ten_minutes_have_every_fault_and_twenty_kills() -> None:
    for seed in range(50):
        plan = plan_for(seed, 600)
        faults = [step.fault for step in plan]
        assert {*KINDS} <= {*faults}
        assert faults.count("kill") >= 20
        assert max(step.at_seconds + step.seconds for step in plan) <= 600


def test_faults_of_one_lane_never_overlap() -> None:
    for seed in range(20):
        for lane in Lane:
            steps = [
                s for s in plan_for(seed, 600) if s.fault in KINDS and KINDS[s.fault].lane is lane
            ]
            for one, other in pairwise(steps):
                assert one.at_seconds + one.seconds < other.at_seconds


def test_only_the_faults_that_were_asked_for_happen() -> None:
    assert {step.fault for step in plan_for(1, 300, {"kill", "freeze"})} == {"kill", "freeze"}


def test_the_short_run_has_three_kills_a_freeze_and_a_broker_that_dies() -> None:
    faults = [step.fault for step in SHORT]

    assert faults.count("kill") == 3
    assert {"freeze", "broker killed"} <= {*faults}

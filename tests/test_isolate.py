"""Isolation: every bad event is found, every good one delivered once, with few requests."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.isolate import REFUSALS_MAX, SINGLES_MAX, Isolation
from consumer.line_up import Found, Proof, Refusal
from consumer.model import MetaError, Prepared
from consumer.trust import ON_TRUST_MAX
from tests.fakes.events import DAY_MS, NOW_MS, a_record, an_event, some_events

UNTOLD, TOO_OLD, MESSAGING, NO_VALUE = 2804048, 2804003, 2804063, 2804009
MESSAGE = orjson.dumps({"action_source": "business_messaging"})
FREE_PURCHASE = orjson.dumps({"event_name": "Purchase", "custom_data": {}})

Hint = Callable[[list[str], set[str]], int | None]
"""Which index an answer names, given the ids in the request and those that are bad."""


def silent(names: list[str], bad: set[str]) -> int | None:
    return None


def honest(names: list[str], bad: set[str]) -> int | None:
    return next(index for index, name in enumerate(names) if name in bad)


def liar(names: list[str], bad: set[str]) -> int | None:
    return next((index for index, name in enumerate(names) if name not in bad), len(names))


def counts_from_one(names: list[str], bad: set[str]) -> int | None:
    return (honest(names, bad) or 0) + 1


class Result(NamedTuple):
    found: list[Found]
    delivered: list[str]
    trials: list[list[str]]

    @property
    def requests(self) -> int:
        """The first refusal included."""
        return 1 + len(self.trials)

    @property
    def bad(self) -> list[str]:
        return sorted(found.event.event_id for found in self.found)


class Meta:
    """Refuses a request for any bad event in it, with a subcode for each, and may name one."""

    def __init__(self, bad: dict[str, int], hint: Hint) -> None:
        self.bad, self.hint = bad, hint
        self.answers = 0

    def refuses(self, names: list[str]) -> Refusal | None:
        self.answers += 1
        subcodes = [self.bad[name] for name in names if name in self.bad]
        if not subcodes:
            return None
        index = self.hint(names, set(self.bad))
        error = MetaError(http_status=400, code=100, subcode=subcodes[0], event_index=index)
        return Refusal(error, f"r-{self.answers}", NOW_MS)


def ids(events: Sequence[Prepared]) -> list[str]:
    return [event.event_id for event in events]


def isolate(
    events: list[Prepared],
    bad: dict[str, int],
    *,
    hint: Hint = silent,
    seed: str = "b-1",
    leave: Callable[[Isolation], Prepared | None] = lambda isolation: None,
) -> Result:
    """Take a refused batch apart; before each trial the event that ``leave`` chooses leaves."""
    meta = Meta(bad, hint)
    first = meta.refuses(ids(events))
    assert first is not None
    isolation = Isolation(events, refusal=first, seed=seed)
    found: list[Found] = []
    delivered: list[str] = []
    trials: list[list[str]] = []
    while True:
        found += isolation.found()
        leaver = leave(isolation)
        if leaver is not None:
            isolation.forget(leaver.__eq__)
        names = ids(isolation.trial())
        if not names:
            assert isolation.events == []
            return Result(found, delivered, trials)
        assert len(set(names)) == len(names), "an event twice in one request"
        assert not set(names) & {*delivered, *(f.event.event_id for f in found)}, "sent again"
        trials.append(names)
        assert len(trials) <= 20 * len(events), "isolation does not end"
        refusal = meta.refuses(names)
        if refusal is None:
            delivered += ids(isolation.accepted())
        else:
            isolation.refused(refusal)


def messages(count: int, suspicious: set[int]) -> list[Prepared]:
    """Events of which some were talked about in a chat: what error 2804063 may be about."""
    return [
        an_event(
            event_id=f"e{number}",
            record=a_record(offset=number),
            body=MESSAGE if number in suspicious else b"{}",
        )
        for number in range(count)
    ]


def aged(count: int, old: set[int]) -> list[Prepared]:
    """Events of which some are eight days old."""
    return [
        an_event(
            event_id=f"e{number}",
            record=a_record(offset=number),
            event_time_ms=NOW_MS - (8 * DAY_MS if number in old else 0),
        )
        for number in range(count)
    ]


def test_one_bad_event_of_a_thousand_costs_at_most_fourteen_requests() -> None:
    result = isolate(some_events(1000), {"e437": UNTOLD})

    assert result.bad == ["e437"]
    assert len(set(result.delivered)) == len(result.delivered) == 999
    assert result.requests <= 14


@pytest.mark.parametrize("position", [0, 1, 2, 3, 4])
def test_the_bad_event_is_found_wherever_it_stands(position: int) -> None:
    result = isolate(some_events(5), {f"e{position}": UNTOLD})

    assert result.bad == [f"e{position}"]
    assert sorted(result.delivered) == sorted(f"e{n}" for n in range(5) if n != position)


def test_a_refused_batch_of_one_is_found_without_another_request() -> None:
    result = isolate(some_events(1), {"e0": UNTOLD})

    assert (result.bad, result.delivered, result.requests) == (["e0"], [], 1)


def test_neighbours_are_not_sent_together_because_they_came_together() -> None:
    first = isolate(some_events(100), {"e5": UNTOLD}).trials[0]

    assert first != sorted(first, key=lambda name: int(name[1:]))


def test_the_same_batch_is_shuffled_in_the_same_way() -> None:
    runs = [isolate(some_events(100), {"e5": UNTOLD}, seed=seed) for seed in ("a", "a", "b")]

    assert runs[0].trials == runs[1].trials != runs[2].trials


def test_each_of_two_events_is_sent_alone_for_one_refusal_proves_little() -> None:
    for name in ("e0", "e1"):
        assert isolate(some_events(2), {name: UNTOLD}).requests == 3


def test_a_found_event_carries_the_last_refusal_that_it_was_in() -> None:
    (found,) = isolate(some_events(64), {"e9": UNTOLD}).found
    result = isolate(some_events(64), {"e9": UNTOLD})
    number = int(found.refusal.request_id.removeprefix("r-"))

    sent = [ids(some_events(64)), *result.trials][number - 1]
    later = result.trials[number - 1 :]
    assert "e9" in sent
    assert not any("e9" in names for names in later)


# --- rules that the error names


def test_events_that_the_error_may_be_about_are_tried_first_and_the_others_go_together() -> None:
    suspicious = set(range(0, 1000, 48))
    result = isolate(messages(1000, suspicious), {"e480": MESSAGING})

    assert result.bad == ["e480"]
    assert result.requests <= 9
    names = {f"e{number}" for number in suspicious}
    assert all(set(trial) < names for trial in result.trials[:-1])
    assert len(result.trials[-1]) >= 1000 - len(suspicious)


def test_an_innocent_that_breaks_the_rule_is_not_convicted_for_being_the_last_suspect() -> None:
    result = isolate(messages(50, {3, 4, 5}), {"e30": MESSAGING})

    assert result.bad == ["e30"]
    assert {"e3", "e4", "e5"} <= set(result.delivered)
    assert max(map(len, result.trials)) < 47, "the others must hold a bad one: no need to try them"


def test_a_rule_that_all_events_break_tells_nothing() -> None:
    result = isolate(messages(64, set(range(64))), {"e9": MESSAGING})

    assert result.bad == ["e9"]
    assert result.requests <= 9


def test_two_kinds_of_mistakes_are_found_by_two_rules() -> None:
    events = messages(1000, {7})
    events[8] = events[8]._replace(body=FREE_PURCHASE)

    result = isolate(events, {"e7": MESSAGING, "e8": NO_VALUE})

    assert result.bad == ["e7", "e8"]
    assert result.requests <= 6


def test_suspects_that_are_all_bad_are_not_taken_for_every_event() -> None:
    bad = {f"e{number}": MESSAGING for number in range(100)}
    result = isolate(messages(1000, set(range(100))), bad)

    assert result.bad == sorted(bad)
    in_a_row = longest = 0
    for names in result.trials:
        in_a_row = in_a_row + 1 if set(names) & set(bad) else 0
        longest = max(longest, in_a_row)
    assert longest < SINGLES_MAX


# --- age, the exact rule


@pytest.mark.parametrize("old", [{3}, set(range(10)), set(range(999))], ids=len)
def test_events_too_old_cost_two_requests_whatever_their_number(old: set[int]) -> None:
    bad = {f"e{number}": TOO_OLD for number in old}
    result = isolate(aged(1000, old), bad)

    assert result.bad == sorted(bad)
    assert result.requests == 2
    assert {found.proof for found in result.found} <= {Proof.TOO_OLD, Proof.REFUSED}
    assert {found.refusal.request_id for found in result.found} == {"r-1"}


def test_events_too_old_are_given_up_only_once_the_others_were_accepted() -> None:
    events, meta = aged(10, {1, 2}), Meta({"e1": TOO_OLD, "e2": TOO_OLD}, silent)
    refusal = meta.refuses(ids(events))
    assert refusal is not None
    isolation = Isolation(events, refusal=refusal, seed="b")

    assert isolation.found() == []
    assert len(isolation.events) == 10
    isolation.accepted()
    assert [found.event.event_id for found in isolation.found()] in (["e1", "e2"], ["e2", "e1"])


def test_events_too_old_beside_another_mistake_are_not_tried_one_by_one() -> None:
    old = set(range(20))
    bad = {f"e{number}": TOO_OLD for number in old} | {"e500": UNTOLD}

    result = isolate(aged(1000, old), bad)

    assert result.bad == sorted(bad)
    assert result.requests <= 16
    assert not any({f"e{number}" for number in old} & set(names) for names in result.trials)


@pytest.mark.parametrize("seed", ["a", "b", "c", "d", "e"])
def test_a_part_that_is_all_too_old_is_given_up_only_once_the_others_were_accepted(
    seed: str,
) -> None:
    """The first answer is about another mistake, so that the age shows in a trial of a part."""
    old = {f"e{number}" for number in range(1, 39)}
    events = aged(40, set(range(1, 39)))
    meta = Meta({"e0": UNTOLD, **dict.fromkeys(old, TOO_OLD)}, silent)
    refusal = meta.refuses(ids(events))
    assert refusal is not None
    isolation = Isolation(events, refusal=refusal, seed=seed)
    delivered: list[str] = []
    while names := ids(isolation.trial()):
        answer = meta.refuses(names)
        if answer is None:
            delivered += ids(isolation.accepted())
        else:
            isolation.refused(answer)
        proofs = {found.proof for found in isolation.found()}
        assert Proof.TOO_OLD not in proofs or delivered == ["e39"]

    assert delivered == ["e39"]


@pytest.mark.parametrize("seed", ["a", "b", "c", "d"])
def test_all_events_that_are_too_old_go_at_once_also_those_that_were_in_no_trial_yet(
    seed: str,
) -> None:
    """The first answer is about another mistake, so that the age shows in a trial of a part."""
    bad = {"e0": UNTOLD, **{f"e{number}": TOO_OLD for number in range(1, 60)}}
    result = isolate(aged(200, set(range(1, 60))), bad, seed=seed)

    assert result.bad == sorted(bad)
    assert result.requests <= 12


@pytest.mark.parametrize("seed", list("abcdefghijkl"))
def test_who_seems_too_old_is_tried_once_a_younger_event_was_refused_for_its_age(seed: str) -> None:
    bad = {"e0": UNTOLD, "e3": TOO_OLD, "e18": TOO_OLD}
    result = isolate(aged(20, set(range(1, 17))), bad, seed=seed)

    assert result.bad == sorted(bad)
    assert len(result.delivered) == 17


def test_events_that_seem_too_old_prove_themselves_when_younger_ones_are_refused_for_age() -> None:
    """Meta's limit is another than ours: what we call too old is not what it refuses."""
    result = isolate(aged(100, {1, 2}), {"e50": TOO_OLD})

    assert result.bad == ["e50"]
    assert {"e1", "e2"} <= set(result.delivered)


# --- hints


def test_one_bad_event_that_meta_names_costs_two_requests() -> None:
    result = isolate(some_events(1000), {"e437": UNTOLD}, hint=honest)

    assert (result.bad, result.requests) == (["e437"], 2)
    assert "e437" not in result.trials[0]


def test_the_first_event_that_meta_names_is_sent_alone_once_there_is_a_second() -> None:
    bad = {f"e{number}": UNTOLD for number in range(0, 1000, 100)}
    result = isolate(some_events(1000), bad, hint=honest)

    assert (result.bad, result.requests) == (sorted(bad), 12)
    assert [names for names in result.trials if len(names) == 1] == [["e0"]]
    proofs = [found.proof for found in result.found]
    assert (proofs.count(Proof.REFUSED), proofs.count(Proof.NAMED)) == (2, 8)


def test_each_named_event_carries_the_refusal_that_named_it() -> None:
    bad = {f"e{number}": UNTOLD for number in range(0, 100, 20)}
    result = isolate(some_events(100), bad, hint=honest)

    sent = [ids(some_events(100)), *result.trials]
    for found in result.found:
        number = int(found.refusal.request_id.removeprefix("r-"))
        assert found.event.event_id in sent[number - 1]


def test_a_named_event_that_is_accepted_alone_ends_the_belief_in_hints() -> None:
    result = isolate(some_events(1000), {"e10": UNTOLD, "e20": UNTOLD}, hint=liar)

    assert result.bad == ["e10", "e20"]
    assert len(result.delivered) == 998
    assert [len(names) for names in result.trials].count(999) == 1
    assert result.requests <= 2 + 26


def test_an_index_outside_of_the_request_takes_the_trust_from_those_before() -> None:
    """It was right twice, named an innocent, and then nobody."""
    bad = {f"e{number}": UNTOLD for number in (1, 2, 3)}
    turns = iter([honest, honest, liar])

    def ends_nowhere(names: list[str], bad_names: set[str]) -> int | None:
        if len(names) == 1:
            return 0
        return next(turns, lambda names, bad_names: len(names))(names, bad_names)

    result = isolate(some_events(100), bad, hint=ends_nowhere)

    assert result.bad == sorted(bad)


@pytest.mark.parametrize("index", [-1, 1000, 10**30])
def test_an_index_outside_of_the_request_is_no_hint(index: int) -> None:
    result = isolate(some_events(1000), {"e10": UNTOLD}, hint=lambda names, bad: index)

    assert result.bad == ["e10"]
    assert result.requests <= 14
    assert all(len(names) < 999 for names in result.trials[:1])


def test_a_source_of_hints_that_goes_wrong_is_noticed() -> None:
    """It is right once, then it names innocents: every so many of them one is sent alone."""
    bad = {f"e{number}": UNTOLD for number in range(990, 1000)}

    def right_once(names: list[str], bad_names: set[str]) -> int | None:
        return honest(names, bad_names) if "e990" in names else liar(names, bad_names)

    result = isolate(some_events(1000), bad, hint=right_once)

    assert result.bad == sorted(bad)
    assert result.requests <= 92 + 2 * ON_TRUST_MAX


def test_neighbours_do_not_make_hints_that_count_from_one_look_true() -> None:
    bad = {f"e{number}": UNTOLD for number in range(500, 506)}
    result = isolate(some_events(1000), bad, hint=counts_from_one)

    assert result.bad == sorted(bad)
    assert len(result.delivered) == 994


# --- every event is refused


def test_when_nothing_is_accepted_single_events_are_tried_and_kept_in_hand() -> None:
    events = some_events(1000)
    meta = Meta({event.event_id: UNTOLD for event in events}, silent)
    refusal = meta.refuses(ids(events))
    assert refusal is not None
    isolation = Isolation(events, refusal=refusal, seed="b")
    sizes = []
    for _ in range(REFUSALS_MAX - 1 + SINGLES_MAX):
        sizes.append(len(isolation.trial()))
        isolation.refused(refusal)
        assert isolation.found() == []

    assert sizes[REFUSALS_MAX - 1 :] == [1] * SINGLES_MAX
    assert len(isolation.events) == 1000
    isolation.accepted()
    assert len(isolation.found()) == SINGLES_MAX


def test_the_first_accepted_event_ends_the_trials_of_single_ones() -> None:
    events = some_events(1000)
    refusal = Refusal(MetaError(http_status=400, code=100), "r", NOW_MS)
    isolation = Isolation(events, refusal=refusal, seed="b")
    while len(isolation.trial()) > 1:
        isolation.refused(refusal)
    isolation.accepted()

    assert len(isolation.trial()) > 1


def test_events_that_are_all_bad_are_all_found_when_nobody_stops_it() -> None:
    events = some_events(30)
    result = isolate(events, {event.event_id: UNTOLD for event in events})

    assert (len(result.found), result.delivered) == (30, [])


# --- events that leave


def test_when_a_suspect_leaves_nothing_is_known_of_the_others_any_more() -> None:
    refusal = Refusal(MetaError(http_status=400, code=100), "r", NOW_MS)
    isolation = Isolation(some_events(2), refusal=refusal, seed="b")

    isolation.forget(lambda event: event.event_id == "e0")

    assert isolation.found() == []  # e0 may have been the bad one
    assert ids(isolation.trial()) == ["e1"]


def test_what_waits_for_the_others_to_be_settled_is_tried_when_they_leave() -> None:
    events = some_events(40)
    refusal = Refusal(MetaError(http_status=400, code=100), "r", NOW_MS)
    isolation = Isolation(events, refusal=refusal, seed="b")
    while len(isolation.trial()) > 1:
        isolation.refused(refusal)
    (alone,) = isolation.trial()
    isolation.refused(refusal)
    assert isolation.found() == []

    isolation.forget(lambda event: event is not alone)

    assert isolation.trial() == [alone]


def test_suspects_whose_only_witnesses_leave_are_tried_themselves() -> None:
    """All of one trial are too old, and the others, without whom nothing is proved, go away."""
    events = aged(20, set(range(15)))
    refusal = Refusal(MetaError(http_status=400, code=100, subcode=UNTOLD), "r", NOW_MS)
    for seed in map(str, range(20)):
        isolation = Isolation(events, refusal=refusal, seed=seed)
        age = refusal._replace(error=MetaError(http_status=400, code=100, subcode=TOO_OLD))
        isolation.refused(age)

        isolation.forget(lambda event: event.event_time_ms == NOW_MS)

        assert isolation.found() == []
        assert isolation.trial()


def test_an_isolation_says_how_far_it_is_and_nothing_of_the_events() -> None:
    refusal = Refusal(MetaError(http_status=400, code=100), "r", NOW_MS)
    isolation = Isolation(some_events(64), refusal=refusal, seed="b")
    size = len(isolation.trial())
    isolation.refused(refusal)

    assert size > 1
    assert repr(isolation) == f"<Isolation {size} suspects, {64 - size} others>"


# --- whatever happens

_KINDS = st.sampled_from([UNTOLD, TOO_OLD, MESSAGING, NO_VALUE])
_BODIES = st.sampled_from([b"{}", MESSAGE, FREE_PURCHASE, b"no json"])


def some_batch(data: st.DataObject, size: int) -> tuple[list[Prepared], dict[str, int]]:
    """Events that may look suspicious, and bad ones that need not look so."""
    events = [
        an_event(
            event_id=f"e{number}",
            record=a_record(offset=number),
            body=data.draw(_BODIES),
            # Only what Meta calls too old may seem so: that rule is exact.
            event_time_ms=NOW_MS,
        )
        for number in range(size)
    ]
    bad = data.draw(st.dictionaries(st.sampled_from(ids(events)), _KINDS, min_size=1))
    return [
        event._replace(event_time_ms=NOW_MS - 8 * DAY_MS)
        if bad.get(event.event_id) == TOO_OLD and data.draw(st.booleans())
        else event
        for event in events
    ], bad


@settings(deadline=None)
@given(data=st.data(), size=st.integers(1, 60))
@pytest.mark.parametrize("hint", [silent, honest, liar])
def test_every_bad_event_is_found_and_every_good_one_is_delivered_exactly_once(
    hint: Hint, data: st.DataObject, size: int
) -> None:
    events, bad = some_batch(data, size)

    result = isolate(events, bad, hint=hint)

    assert result.bad == sorted(bad)
    assert sorted(result.delivered) == sorted(set(ids(events)) - set(bad))


@settings(deadline=None)
@given(data=st.data(), size=st.integers(2, 40))
def test_whatever_an_answer_names_every_event_meets_one_fate_and_no_bad_one_is_delivered(
    data: st.DataObject, size: int
) -> None:
    events, bad = some_batch(data, size)
    index = st.one_of(st.none(), st.integers(-1, size))

    result = isolate(events, bad, hint=lambda names, bad_names: data.draw(index))

    assert sorted(result.bad + result.delivered) == sorted(ids(events))
    assert set(bad) <= set(result.bad)
    innocent = {f.event.event_id: f.proof for f in result.found if f.event.event_id not in bad}
    # Taken for bad without having been sent alone: the price of two requests, and its limit.
    assert set(innocent.values()) <= {Proof.NAMED}
    assert len(innocent) <= ON_TRUST_MAX


@settings(deadline=None)
@given(data=st.data(), size=st.integers(2, 40))
@pytest.mark.parametrize("hint", [silent, honest, liar])
def test_events_that_leave_in_the_middle_never_make_a_good_one_bad(
    hint: Hint, data: st.DataObject, size: int
) -> None:
    events, bad = some_batch(data, size)
    left: list[str] = []

    def leave(isolation: Isolation) -> Prepared | None:
        if not isolation.events or data.draw(st.integers(0, 3)):
            return None
        leaver = data.draw(st.sampled_from(isolation.events))
        left.append(leaver.event_id)
        return leaver

    result = isolate(events, bad, hint=hint, leave=leave)

    assert set(result.bad) <= set(bad)
    assert sorted(result.bad + result.delivered + left) == sorted(ids(events))

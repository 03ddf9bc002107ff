"""The bad rate: what answers teach of it, and the trial whose outcome is nearest to even."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.bad_rate import BadRate
from consumer.isolate import ALL_GOOD_CHANCE


def learnt(population: int, *, bad: int = 0, good: int = 0) -> BadRate:
    rate = BadRate(population)
    rate.bad, rate.good = bad, good
    return rate


def test_at_first_few_bad_events_are_likeliest_and_about_a_third_is_tried() -> None:
    assert 250 <= learnt(1000).trial_of_suspects(1000) <= 400


@pytest.mark.parametrize("size", [2, 3])
def test_of_very_few_suspects_one_is_tried(size: int) -> None:
    assert learnt(size).trial_of_suspects(size) == 1


def test_the_more_bad_ones_were_found_the_less_is_tried() -> None:
    sizes = [learnt(1000, bad=bad, good=100).trial_of_unknown(800) for bad in (1, 5, 20, 80)]

    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 4


def test_the_more_were_accepted_the_likelier_all_the_others_are_good() -> None:
    chances = [learnt(1000, bad=1, good=good).chance_all_good(500) for good in (10, 100, 499)]

    assert chances == sorted(chances)
    assert chances[0] < ALL_GOOD_CHANCE < chances[2]


def test_one_of_two_events_in_three_being_bad_means_single_trials() -> None:
    assert learnt(90, bad=40, good=20).trial_of_unknown(30) == 1


@given(
    population=st.integers(1, 1000),
    bad=st.integers(0, 1000),
    good=st.integers(0, 1000),
    size=st.integers(2, 1000),
)
def test_a_trial_is_never_empty_and_never_all_of_what_holds_a_bad_one(
    population: int, bad: int, good: int, size: int
) -> None:
    rate = learnt(population, bad=bad, good=good)

    assert 1 <= rate.trial_of_suspects(size) < size
    assert 1 <= rate.trial_of_unknown(size) <= size
    assert 0.0 <= rate.chance_all_good(size) <= 1.0


def test_a_rate_says_what_it_has_seen() -> None:
    assert repr(learnt(5, bad=1, good=2)) == "<BadRate 1 bad, 2 good>"

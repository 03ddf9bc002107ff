"""Trust in the hints of Meta's answers: earned by one event sent alone, and lost at once."""

import pytest

from consumer.model import MetaError
from consumer.trust import ON_TRUST_MAX, Trust
from tests.fakes.events import some_events

EVENTS = some_events(3)


def pointing_at(index: int | None) -> MetaError:
    return MetaError(http_status=400, code=100, event_index=index)


def test_the_named_event_is_that_of_the_request_counted_from_zero() -> None:
    trust = Trust()

    assert [trust.named(pointing_at(index), EVENTS) for index in (0, 2)] == [EVENTS[0], EVENTS[2]]
    assert trust.named(pointing_at(None), EVENTS) is None


@pytest.mark.parametrize("index", [-1, 3, 10**20])
def test_an_index_outside_of_the_request_ends_the_trust(index: int) -> None:
    trust = Trust()

    assert trust.named(pointing_at(index), EVENTS) is None
    assert trust.named(pointing_at(0), EVENTS) is None


def test_nothing_is_taken_on_trust_before_one_hint_was_verified() -> None:
    trust = Trust()

    assert not trust.verified
    assert not trust.take_on_trust()


def test_after_so_many_on_trust_one_is_verified_again() -> None:
    trust = Trust()
    for _ in range(2):
        trust.verify()
        taken = [trust.take_on_trust() for _ in range(ON_TRUST_MAX + 2)]
        assert taken == [True] * ON_TRUST_MAX + [False] * 2


def test_what_was_refuted_once_is_never_believed_again() -> None:
    trust = Trust()
    trust.refute()
    trust.verify()

    assert trust.named(pointing_at(0), EVENTS) is None
    assert not trust.take_on_trust()


def test_trust_says_how_much_is_left() -> None:
    trust = Trust()
    trust.verify()
    assert repr(trust) == f"<Trust {ON_TRUST_MAX + 1} on trust>"
    trust.refute()
    assert repr(trust) == "<Trust refuted>"

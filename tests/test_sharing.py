"""Sharing: who is concerned by a limit of Meta's, and how slowly they go together before it."""

from collections.abc import Mapping

import pytest
from pydantic import SecretStr

from consumer.model import PixelId, Scope
from consumer.sharing import (
    DELAY_FIRST_SECONDS,
    DELAY_MAX_SECONDS,
    HEARD_SECONDS_MAX,
    Sharing,
    delay_seconds,
)
from consumer.usage import Usage, UsageKind

A, B, C, D = (PixelId(each) for each in "ABCD")
TOKENS = {A: SecretStr("one"), B: SecretStr("one"), C: SecretStr("other"), D: None}


def sharing(tokens: Mapping[PixelId, object] = TOKENS, *, one_app: bool = False) -> Sharing:
    made = Sharing()
    made.know(tokens, one_app=one_app)
    return made


def app(share: float) -> list[Usage]:
    return [Usage(UsageKind.APP, share, 0.0, spent=share >= 1)]


def account(share: float) -> list[Usage]:
    return [Usage(UsageKind.AD_ACCOUNT, share, 0.0, spent=share >= 1)]


nobody: frozenset[PixelId] = frozenset()


def test_the_same_token_shares_its_limits_and_without_an_app_secret_those_of_its_app() -> None:
    for scope in (Scope.TOKEN, Scope.APP):
        assert sharing().among(A, scope) == {A, B}
        assert sharing().among(C, scope) == {C}


def test_a_limit_of_the_destination_concerns_nobody_else() -> None:
    assert sharing(one_app=True).among(A, Scope.DESTINATION) == {A}


def test_with_an_app_secret_all_are_of_one_app() -> None:
    assert sharing(one_app=True).among(C, Scope.APP) == {A, B, C, D}
    assert sharing(one_app=True).among(C, Scope.TOKEN) == {C}


def test_who_has_no_token_shares_none_and_who_is_unknown_is_alone() -> None:
    tokens = {A: None, B: None}

    assert sharing(tokens).among(A, Scope.TOKEN) == {A}
    assert sharing().among(PixelId("X"), Scope.APP) == {"X"}
    assert sharing(one_app=True).among(PixelId("X"), Scope.APP) == {"X"}


def test_a_new_token_ends_the_sharing() -> None:
    made = sharing()
    made.know({**TOKENS, B: SecretStr("new")}, one_app=False)

    assert made.among(A, Scope.TOKEN) == {A}


def test_as_long_as_little_is_used_nobody_is_slowed() -> None:
    made = sharing()
    assert made.room(A, 0.0, nobody) is None

    made.heard(A, app(0.749), 0.0)

    assert made.room(A, 0.0, nobody) is None


def test_from_three_quarters_on_one_request_is_out_for_all_who_share() -> None:
    made = sharing()
    made.heard(A, app(0.75), 0.0)

    assert (made.room(A, 1.0, nobody), made.room(B, 1.0, nobody)) == (1, 1)
    assert made.room(C, 1.0, nobody) is None
    out = {A}
    assert (made.room(A, 1.0, out), made.room(B, 1.0, out)) == (0, 0)
    assert made.room(C, 1.0, out) is None


def test_the_limit_of_an_account_slows_its_destination_only() -> None:
    made = sharing()
    made.heard(A, account(0.8), 0.0)

    assert made.room(A, 1.0, nobody) == 1
    assert made.room(B, 1.0, nobody) is None


def test_from_nine_tenths_on_they_wait_between_two_requests_whoever_sent() -> None:
    made = sharing()
    made.heard(A, app(0.95), 0.0)
    made.sent(A, 10.0)
    wait = delay_seconds(0.95)

    for destination in (A, B):
        assert made.room(destination, 10.0 + wait - 0.01, nobody) == 0
        assert made.room(destination, 10.0 + wait, nobody) == 1


def test_what_was_told_last_counts() -> None:
    made = sharing()
    made.heard(A, app(0.95), 0.0)
    made.heard(B, app(0.5), 1.0)

    assert made.room(A, 1.0, nobody) is None


def test_the_worst_of_several_limits_counts() -> None:
    made = sharing()
    made.heard(A, [*app(0.5), *account(0.99)], 0.0)
    made.sent(A, 0.0)

    assert made.room(A, 1.0, nobody) == 0
    assert made.room(B, 1.0, nobody) is None


def test_what_was_told_long_ago_is_no_longer_known() -> None:
    made = sharing()
    made.heard(A, app(0.95), 0.0)
    made.sent(A, HEARD_SECONDS_MAX - 1)
    assert made.room(A, HEARD_SECONDS_MAX - 1, nobody) == 0
    assert made.shares(HEARD_SECONDS_MAX - 1) == {
        (A, UsageKind.APP): 0.95,
        (B, UsageKind.APP): 0.95,
    }

    assert made.room(A, HEARD_SECONDS_MAX, nobody) is None
    assert made.shares(HEARD_SECONDS_MAX) == {}


def test_a_wait_alone_is_no_share() -> None:
    made = sharing()
    made.heard(A, [Usage(UsageKind.RETRY_AFTER, 0.0, 60.0, spent=True)], 0.0)

    assert made.shares(0.0) == {}


def test_while_some_are_slowed_who_sent_longest_ago_is_first() -> None:
    made = sharing()
    made.sent(A, 1.0)
    made.sent(C, 2.0)
    assert made.in_turn([C, A, B]) == [C, A, B], "nobody is slowed"

    made.heard(A, app(0.8), 3.0)

    assert made.in_turn([C, A, B]) == [B, A, C]


@pytest.mark.parametrize(
    ("share", "seconds"),
    [
        (0.0, 0.0),
        (0.899, 0.0),
        (0.9, DELAY_FIRST_SECONDS),
        (1.0, DELAY_MAX_SECONDS),
        (10.0, DELAY_MAX_SECONDS),
    ],
)
def test_the_delay_grows_with_the_share(share: float, seconds: float) -> None:
    assert delay_seconds(share) == pytest.approx(seconds)


def test_the_delay_never_falls_as_the_share_rises() -> None:
    delays = [delay_seconds(percent / 100) for percent in range(85, 110)]

    assert delays == sorted(delays)
    assert len(set(delays)) > 10


def test_no_token_shows() -> None:
    plain: dict[PixelId, object] = {A: "canary-of-a-token"}

    assert "canary" not in repr(sharing(plain))

"""Meta's answer about a token → its state, or why that is not known; the codes decide."""

from typing import Any

import orjson
import pytest

from consumer.graph_answers import Obstacle, Trouble
from consumer.token_state import TokenState, read_token_state

SOON, LATER = 1_800_000_000, 1_900_000_000


def read(body: Any, status: int = 200) -> TokenState | Trouble:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return read_token_state(status, {}, content)


def answered(body: Any, code: int = 200) -> TokenState | Trouble:
    """What is made of the one answer of a batch."""
    return read([{"code": code, "body": orjson.dumps(body).decode()}])


def told(**data: Any) -> TokenState | Trouble:
    return answered({"data": {"type": "USER", "scopes": ["ads_read"], **data}})


def error(code: int, **more: Any) -> dict[str, Any]:
    return {"error": {"message": "m", "type": "OAuthException", "code": code, **more}}


@pytest.mark.parametrize(
    ("token_ends", "access_ends", "expected"),
    [
        (0, 0, None),
        (SOON, 0, SOON),
        (0, SOON, SOON),
        (SOON, LATER, SOON),
        (LATER, SOON, SOON),
        (None, SOON, SOON),
        (-1, None, None),
        ("soon", {}, None),
    ],
)
def test_a_token_ends_when_it_or_its_access_to_data_does_and_zero_is_never(
    token_ends: Any, access_ends: Any, expected: float | None
) -> None:
    state = told(is_valid=True, expires_at=token_ends, data_access_expires_at=access_ends)

    assert state == TokenState(is_valid=True, expires_at=expected)


def test_an_answer_without_moments_tells_validity_alone() -> None:
    assert told(is_valid=True) == TokenState(is_valid=True, expires_at=None)


@pytest.mark.parametrize(
    "why",
    [
        {},
        {"error": {"code": 190, "message": "m"}},
        {"error": {"code": 190, "subcode": 463, "message": "m"}},
    ],
)
def test_a_token_that_meta_calls_not_valid_is_invalid(why: Any) -> None:
    assert told(is_valid=False, expires_at=SOON, **why) == TokenState(False, SOON)


@pytest.mark.parametrize("code", [100, 10, 1, 4])
def test_a_token_that_meta_does_not_want_to_show_is_not_invalid(code: int) -> None:
    found = told(is_valid=False, scopes=[], error={"code": code, "message": "not of this app"})

    assert isinstance(found, Trouble)


@pytest.mark.parametrize("subcode", [None, 460, 463, 467])
def test_a_call_that_is_refused_for_its_token_is_a_verdict_on_it(subcode: int | None) -> None:
    more = {} if subcode is None else {"error_subcode": subcode}

    assert read(error(190, **more), 400) == TokenState(False, None)
    assert answered(error(190, **more), 400) == TokenState(False, None)


@pytest.mark.parametrize(
    ("body", "status", "obstacle"),
    [
        (error(200), 403, Obstacle.PERMISSION),
        (error(100), 400, Obstacle.REFUSED),
        (error(100, error_subcode=33), 400, Obstacle.UNKNOWN_OBJECT),
        (error(104), 400, Obstacle.NOBODY),
        (error(2500), 400, Obstacle.NOBODY),
        (error(2635), 400, Obstacle.CONFIGURATION),
        (error(17), 400, Obstacle.THROTTLED),
        (error(4), 403, Obstacle.THROTTLED),
        (error(2), 500, Obstacle.IN_TROUBLE),
        (error(368), 400, Obstacle.POLICY),
    ],
)
def test_every_other_refusal_says_nothing_of_the_token(
    body: Any, status: int, obstacle: Obstacle
) -> None:
    for found in (read(body, status), answered(body, status)):
        assert isinstance(found, Trouble)
        assert found.obstacle is obstacle


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"",
        {"data": {"is_valid": True}},
        [],
        [{"code": 200}],
        [{"code": 200, "body": {"data": {"is_valid": True}}}],
        [{"code": "200", "body": '{"data": {"is_valid": true}}'}],
        [{"code": 200, "body": '{"data": {"is_valid": true}}'}] * 2,
        [{"code": 200, "body": "[]"}],
        [{"code": 200, "body": '{"data": []}'}],
        [{"code": 200, "body": '{"data": {"is_valid": "true"}}'}],
        [{"code": 200, "body": '{"data": {"is_valid": 1}}'}],
        [{"code": 200, "body": "{}"}],
    ],
)
def test_what_is_no_answer_to_a_batch_of_one_says_nothing(body: Any) -> None:
    found = read(body)

    assert isinstance(found, Trouble)
    assert found.obstacle is Obstacle.NOT_GRAPH


def test_a_list_that_comes_with_an_error_s_status_says_nothing() -> None:
    found = read([{"code": 200, "body": '{"data": {"is_valid": true}}'}], 502)

    assert isinstance(found, Trouble)


def test_a_call_that_took_meta_too_long_is_trouble_of_metas() -> None:
    found = read([None])

    assert isinstance(found, Trouble)
    assert found.obstacle is Obstacle.IN_TROUBLE

"""A token asks Meta for itself: through the real reader, of a strict emulator and of worse."""

from collections.abc import Callable, Iterator
from urllib.parse import parse_qs

import httpx
import orjson
import pytest
from pydantic import SecretStr

from consumer.emulator import Emulator
from consumer.inquiries import Heard
from consumer.meta import GraphReader, appsecret_proof
from consumer.pixel_figures import Unreadable
from consumer.secret_files import RotatingSecret
from consumer.token_inspection import TokenInspection
from consumer.token_state import TokenState
from tests.emulated import TOKEN, Clock, control, serving, stats

CANARY = "token-canary-5f0c&is_valid=1#%2B+"
APP_SECRET = "secret-canary-77aa"
DAY = 86_400


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def emulator(clock: Clock) -> Iterator[Emulator]:
    with serving(clock) as emulator:
        yield emulator


@pytest.fixture
def graph(emulator: Emulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=emulator.url) as client:
        yield client


def inspected(
    token: str, url: str, secret: str | None, transport: httpx.BaseTransport | None = None
) -> TokenState | Unreadable:
    reader = GraphReader(
        graph_url=url,
        graph_version="v26.0",
        timeout_seconds=30.0,
        app_secret=RotatingSecret(value=SecretStr(secret) if secret else None, path=None),
        transport=transport,
    )
    try:
        return TokenInspection(reader=reader).state(SecretStr(token))
    finally:
        reader.close()


def state(
    emulator: Emulator, token: str = TOKEN, *, secret: str | None = None
) -> TokenState | Unreadable:
    return inspected(token, emulator.url, secret)


# --- of the emulator ----------------------------------------------------------------------------


def test_a_good_token_without_an_end_is_valid(emulator: Emulator) -> None:
    assert state(emulator) == TokenState(is_valid=True, expires_at=None)


def test_a_token_that_ends_is_valid_until_then(
    emulator: Emulator, graph: httpx.Client, clock: Clock
) -> None:
    ends_at = int(clock.now) + DAY
    control(graph, "expiry", {"token": TOKEN, "expires_at": ends_at})
    assert state(emulator) == TokenState(is_valid=True, expires_at=ends_at)

    clock.now = ends_at
    assert state(emulator) == TokenState(is_valid=False, expires_at=None)


def test_an_earlier_end_of_the_access_to_data_counts(
    emulator: Emulator, graph: httpx.Client, clock: Clock
) -> None:
    ends = {"expires_at": int(clock.now) + 60 * DAY, "data_access_expires_at": int(clock.now) + DAY}
    control(graph, "expiry", {"token": TOKEN, **ends})

    assert state(emulator) == TokenState(is_valid=True, expires_at=ends["data_access_expires_at"])


def test_a_revoked_and_an_unknown_token_are_invalid(
    emulator: Emulator, graph: httpx.Client
) -> None:
    control(graph, "revoke", {"token": TOKEN})

    assert state(emulator) == TokenState(is_valid=False, expires_at=None)
    assert state(emulator, CANARY) == TokenState(is_valid=False, expires_at=None)


def test_the_proof_of_the_app_s_secret_comes_along(emulator: Emulator, graph: httpx.Client) -> None:
    control(graph, "app_secrets", {"secrets": [APP_SECRET]})

    assert state(emulator, secret=APP_SECRET) == TokenState(is_valid=True, expires_at=None)
    assert isinstance(state(emulator), Unreadable), "a missing proof is no verdict on the token"


def test_a_limit_of_metas_is_no_verdict(emulator: Emulator, graph: httpx.Client) -> None:
    budget = {"scope": "token", "requests": 1, "window_seconds": 3600}
    control(graph, "usage", {"budgets": [budget]})
    assert state(emulator) == TokenState(is_valid=True, expires_at=None)

    found = state(emulator)

    assert isinstance(found, Unreadable)
    assert "asks for a pause" in found.why


def test_no_token_ever_stands_in_a_url(emulator: Emulator, graph: httpx.Client) -> None:
    state(emulator)
    state(emulator, CANARY)

    assert stats(graph)["tokens_in_url"] == 0


# --- of a transport that answers anything -------------------------------------------------------


class Transport:
    """Keeps what is asked, and answers what a test says."""

    def __init__(self, answer: Callable[[], httpx.Response]) -> None:
        self.asked: list[httpx.Request] = []
        self._answer = answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self._answer()


def heard(answer: Callable[[], httpx.Response]) -> tuple[TokenState | Unreadable, httpx.Request]:
    transport = Transport(answer)
    found = inspected(CANARY, "https://graph.example", APP_SECRET, httpx.MockTransport(transport))
    return found, transport.asked[0]


def test_the_question_is_the_form_that_meta_documents_for_a_batch_of_one() -> None:
    body = {"data": {"is_valid": True, "expires_at": 0}}
    answer = [{"code": 200, "body": orjson.dumps(body).decode()}]

    found, asked = heard(lambda: httpx.Response(200, json=answer))

    assert found == TokenState(is_valid=True, expires_at=None)
    assert (asked.method, str(asked.url)) == ("POST", "https://graph.example/v26.0/")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    form = {name: values[0] for name, values in parse_qs(asked.content.decode()).items()}
    assert form.keys() == {"access_token", "appsecret_proof", "batch", "include_headers"}
    assert form["access_token"] == CANARY
    assert form["appsecret_proof"] == appsecret_proof(CANARY, SecretStr(APP_SECRET))
    (call,) = orjson.loads(form["batch"])
    assert call["method"] == "GET"
    path, _, query = call["relative_url"].partition("?")
    assert (path, parse_qs(query)) == ("debug_token", {"input_token": [CANARY]})


def fails() -> httpx.Response:
    raise httpx.ConnectError(f"cannot reach https://graph.example/?input_token={CANARY}")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (fails, "Meta did not answer"),
        (lambda: refused(200), "does not tell this token about itself (code 200)"),
        (lambda: refused(100), "does not tell this token about itself (code 100)"),
        (lambda: refused(17), "asks for a pause (code 17)"),
        (lambda: refused(104), "does not take the call (code 104)"),
        (lambda: httpx.Response(502, text=CANARY), "is in trouble (HTTP 502)"),
        (lambda: httpx.Response(200, text=CANARY), "not the Graph API"),
    ],
)
def test_what_is_no_verdict_is_told_in_a_sentence_without_the_token(
    answer: Callable[[], httpx.Response], told: str
) -> None:
    found, asked = heard(answer)

    assert isinstance(found, Unreadable)
    assert told in found.why
    assert "canary" not in f"{found!r}{asked.url}{asked.headers}"


def refused(code: int) -> httpx.Response:
    error = {"message": f"Meta quotes {CANARY}", "type": "OAuthException", "code": code}
    return httpx.Response(400, json={"error": error})


def test_what_was_heard_never_shows_its_token() -> None:
    assert "canary" not in repr(Heard(CANARY, TokenState(is_valid=True, expires_at=None)))

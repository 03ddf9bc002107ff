"""What `conversions check` says of each access token."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from consumer.check_tokens import check_tokens, token_finding
from consumer.emulator import Emulator
from consumer.finding import Finding, Verdict
from consumer.meta import GraphReader
from consumer.model import PixelId
from consumer.pixel_figures import Unreadable
from consumer.settings import load_settings
from consumer.token_state import TokenState
from tests.emulated import OTHER_PIXEL, OTHER_TOKEN, PIXEL, TOKEN, Clock, control, serving

NOW, DAY = 1_795_000_000.0, 86_400
THIRD_PIXEL = "3729525464415283"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with serving(Clock()) as emulator:
        yield emulator


def checked(emulator: Emulator, folder: Path, destinations: str) -> list[Finding]:
    (folder / "shop").write_text(TOKEN)
    (folder / "crm").write_text(OTHER_TOKEN)
    (folder / "destinations.yaml").write_text(destinations)
    settings = load_settings({"CONVERSIONS_DESTINATIONS_FILE": str(folder / "destinations.yaml")})
    reader = GraphReader(
        graph_url=emulator.url,
        graph_version="v26.0",
        timeout_seconds=30.0,
        app_secret=settings.rotating_secret("CONVERSIONS_APP_SECRET"),
        transport=None,
    )
    try:
        return list(check_tokens(settings, reader=reader, now=lambda: NOW))
    finally:
        reader.close()


def entry(pixel: str, file: str) -> str:
    return f"- {{id: {pixel}, accessTokenFile: {file}}}\n"


@pytest.mark.parametrize(
    ("state", "verdict", "words"),
    [
        (TokenState(is_valid=True, expires_at=None), Verdict.OK, "has no end"),
        (TokenState(is_valid=True, expires_at=NOW + 40 * DAY), Verdict.OK, "for 40 days yet"),
        (TokenState(is_valid=True, expires_at=NOW + 2 * DAY), Verdict.WARNING, "in 2.0 days, at "),
        (TokenState(is_valid=True, expires_at=NOW - DAY), Verdict.WARNING, "in 0.0 days, at "),
        (TokenState(is_valid=False, expires_at=None), Verdict.FAILED, "invalid"),
        (Unreadable("no way", by_question=False), Verdict.SKIPPED, "no way"),
    ],
)
def test_each_state_of_a_token_has_its_verdict(
    state: TokenState | Unreadable, verdict: Verdict, words: str
) -> None:
    found = token_finding([PixelId(PIXEL)], state, now=NOW)

    assert (found.subject, found.verdict) == (f"token of {PIXEL}", verdict)
    assert words in found.told
    assert bool(found.advice) is (verdict in (Verdict.WARNING, Verdict.FAILED))


def test_each_distinct_token_is_checked_once(emulator: Emulator, tmp_path: Path) -> None:
    with httpx.Client(base_url=emulator.url) as graph:
        control(graph, "revoke", {"token": OTHER_TOKEN})
    listed = entry(PIXEL, "shop") + entry(OTHER_PIXEL, "crm") + entry(THIRD_PIXEL, "shop")

    found = checked(emulator, tmp_path, listed)

    assert [(each.subject, each.verdict) for each in found] == [
        (f"token of {PIXEL} and 1 more", Verdict.OK),
        (f"token of {OTHER_PIXEL}", Verdict.FAILED),
    ]
    assert TOKEN not in repr(found)


def test_a_destination_without_a_token_is_told_of_elsewhere(
    emulator: Emulator, tmp_path: Path
) -> None:
    assert checked(emulator, tmp_path, entry(PIXEL, "nowhere")) == []


def test_destinations_with_mistakes_are_told_of_elsewhere(
    emulator: Emulator, tmp_path: Path
) -> None:
    assert checked(emulator, tmp_path, "- {id: shop}\n") == []

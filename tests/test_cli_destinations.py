"""``conversions destinations`` and ``… resume`` as commands, against the emulator and a real port.

Canaries: two tokens, looked for in everything that is printed, written, or stood in a URL.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import orjson
import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from consumer.cli import app
from consumer.destinations import parse_destinations
from consumer.emulator import Emulator, EmulatorConfig
from consumer.model import PixelId
from consumer.probes import Health, Probes, Resuming
from consumer.skip import Skipping

TOKEN = "EAAcanary-token-5f0c"
OTHER_TOKEN = "EAAcanary-other-77aa"
PIXEL = "1729525464415281"
OLD = "2729525464415282"
DOCUMENT: dict[str, Any] = {
    "pixels": [
        {"id": PIXEL, "name": "Shop \x1b[2J"},
        {"id": OLD, "name": "Old", "is_unavailable": True},
        {"id": "3", "name": "Of a client"},
    ],
    "accounts": [{"id": "act_10", "pixels": [PIXEL, OLD]}, {"id": "act_11", "pixels": [PIXEL]}],
    "businesses": [{"id": "20", "owned_pixels": [PIXEL], "client_pixels": ["3"]}],
    "tokens": [
        {
            "token": TOKEN,
            "permissions": ["ads_read", "business_management"],
            "accounts": ["act_10", "act_11"],
            "businesses": ["20"],
        }
    ],
}
NOTHING: Mapping[str, str] = MappingProxyType({})


class Ended(NamedTuple):
    """How a command ended, and every word of it."""

    code: int
    out: str
    err: str


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    emulator = Emulator(
        EmulatorConfig(host="127.0.0.1", port=0, pixels={}, clock=lambda: 1_795_000_000.0)
    )
    emulator.start()
    describe(emulator)
    yield emulator
    stats = httpx.get(f"{emulator.url}/_emulator/stats").json()
    assert stats["tokens_in_url"] == 0, "no command ever puts a token into a URL"
    emulator.stop()


def describe(emulator: Emulator, **changes: Any) -> None:
    body = orjson.dumps(DOCUMENT | changes)
    answer = httpx.post(f"{emulator.url}/_emulator/accounts", content=body)
    assert answer.json() == {"success": True}, answer.text


def destinations(*arguments: str, more: Mapping[str, str] = NOTHING) -> Ended:
    """The command in this process, without anything that would set up ours."""
    own = ("CONVERSIONS_", "KAFKA_", "SCHEMA_REGISTRY_")
    without = {name: None for name in os.environ if name.startswith(own)}
    env: dict[str, str | None] = {**without, "COLUMNS": "80", **more}
    done = CliRunner().invoke(app, ["destinations", *arguments], env=env)
    ended = Ended(done.exit_code, done.stdout, done.stderr)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    for secret in (TOKEN, OTHER_TOKEN):
        assert secret not in repr(ended)
    return ended


def set_up(emulator: Emulator, **more: str) -> dict[str, str]:
    return {"CONVERSIONS_GRAPH_URL": emulator.url, "CONVERSIONS_ACCESS_TOKEN": TOKEN, **more}


# --- the listing ---------------------------------------------------------------------------------


def test_the_table_shows_every_pixel_that_the_token_reaches(emulator: Emulator) -> None:
    ended = destinations(more=set_up(emulator))

    assert (ended.code, ended.err) == (0, "")
    lines = [line.split() for line in ended.out.splitlines()]
    assert lines[1:] == [
        ["3", "Of", "a", "client", "active", "-", "-"],
        [PIXEL, "Shop", "?[2J", "active", "act_10,", "act_11", "-"],
        [OLD, "Old", "inactive", "act_10", "-"],
    ]


def test_the_json_has_destinations_and_gaps(emulator: Emulator) -> None:
    gone = [{**DOCUMENT["tokens"][0], "permissions": ["ads_read"]}]
    describe(emulator, tokens=gone)

    ended = destinations("--json", more=set_up(emulator))

    answer = orjson.loads(ended.out)
    assert (ended.code, ended.err) == (0, "")
    assert [each["id"] for each in answer["destinations"]] == [PIXEL, OLD]
    assert answer["destinations"][0]["adAccountIds"] == ["act_10", "act_11"]
    (gap,) = answer["gaps"]
    assert (gap["token"], gap["asked"], gap["code"]) == (
        "CONVERSIONS_ACCESS_TOKEN",
        "me/businesses",
        200,
    )


def test_an_app_secret_proves_the_token(emulator: Emulator) -> None:
    httpx.post(f"{emulator.url}/_emulator/app_secrets", json={"secrets": ["app-secret-44"]})

    without = destinations("--json", more=set_up(emulator))
    proven = destinations("--json", more=set_up(emulator, CONVERSIONS_APP_SECRET="app-secret-44"))

    assert (without.code, proven.code) == (1, 0)
    assert "CONVERSIONS_APP_SECRET" in orjson.loads(without.out)["gaps"][0]["told"]
    assert len(orjson.loads(proven.out)["destinations"]) == 3


def test_every_token_of_the_file_is_asked(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "other").write_text(OTHER_TOKEN)
    (tmp_path / "d.yaml").write_text(f"[{{id: {PIXEL}}}, {{id: 9, accessTokenFile: other}}]")
    describe(
        emulator,
        pixels=[*DOCUMENT["pixels"], {"id": "9"}],
        tokens=[*DOCUMENT["tokens"], {"token": OTHER_TOKEN, "pixels": ["9"]}],
    )

    ended = destinations(
        "--json",
        more=set_up(emulator, CONVERSIONS_DESTINATIONS_FILE=str(tmp_path / "d.yaml")),
    )

    answer = orjson.loads(ended.out)
    assert {each["id"] for each in answer["destinations"]} == {"3", "9", PIXEL, OLD}
    assert {gap["token"] for gap in answer["gaps"]} == {"the token of pixel 9"}


def test_a_token_file_needs_no_destinations_and_looks_at_none(
    emulator: Emulator, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    more = {
        "CONVERSIONS_GRAPH_URL": emulator.url,
        "CONVERSIONS_DESTINATIONS_FILE": str(tmp_path / "none.yaml"),
    }

    ended = destinations("--token-file", str(tmp_path / "token"), "--json", more=more)

    assert ended.code == 0
    assert len(orjson.loads(ended.out)["destinations"]) == 3


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_when_no_pixel_could_be_read_the_command_fails_and_says_why(
    emulator: Emulator, form: tuple[str, ...]
) -> None:
    httpx.post(f"{emulator.url}/_emulator/revoke", json={"token": TOKEN})

    ended = destinations(*form, more=set_up(emulator))

    assert ended.code == 1
    assert "invalid, expired or revoked (code 190/463)" in ended.out


@pytest.mark.parametrize(
    ("arguments", "more", "words"),
    [
        ((), {}, "CONVERSIONS_ACCESS_TOKEN, CONVERSIONS_DESTINATIONS_FILE or --token-file"),
        (("--token-file", "/there/is/none"), {}, "--token-file cannot be read"),
        (("--set", "TOPPIC=a"), {}, "is no setting"),
        (
            (),
            {"CONVERSIONS_DESTINATIONS_FILE": "/there/is/none"},
            "the destinations file cannot be read",
        ),
        (("--json", "resume", "1"), {}, "options of resume stand behind it"),
        (("resume", "shop"), {}, "ID must be the digits of a pixel's id"),
        (("resume", "1" * 33), {}, "ID must be the digits of a pixel's id"),
        (("resume", "1"), {"CONVERSIONS_METRICS_PORT": "0"}, "CONVERSIONS_METRICS_PORT is 0"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: tuple[str, ...], more: dict[str, str], words: str
) -> None:
    ended = destinations(*arguments, more=more)

    assert (ended.code, ended.out) == (2, "")
    assert len(ended.err.splitlines()) == 1
    assert words in ended.err


# --- the file ------------------------------------------------------------------------------------


def test_a_destinations_file_is_written_that_we_can_read(
    emulator: Emulator, tmp_path: Path
) -> None:
    file = tmp_path / "destinations.yaml"

    ended = destinations("--write", str(file), more=set_up(emulator))

    assert ended.code == 0
    assert f"{file} has 2 destinations" in ended.err
    text = file.read_text()
    assert [each.id for each in parse_destinations(text, tmp_path)] == ["3", PIXEL]
    assert TOKEN not in text
    assert file.stat().st_mode & 0o777 == 0o644
    again = destinations("--json", more=set_up(emulator, CONVERSIONS_DESTINATIONS_FILE=str(file)))
    assert again.code == 0


def test_a_file_that_is_there_is_only_replaced_by_force_and_nobody_is_asked_before(
    emulator: Emulator, tmp_path: Path
) -> None:
    file = tmp_path / "destinations.yaml"
    file.write_text("# mine\n")
    nobody = {"CONVERSIONS_GRAPH_URL": "http://127.0.0.1:9", "CONVERSIONS_ACCESS_TOKEN": TOKEN}

    refused = destinations("--write", str(file), more=nobody)

    assert (refused.code, refused.out, file.read_text()) == (2, "", "# mine\n")
    assert "--force replaces it" in refused.err
    assert destinations("--write", str(file), "--force", more=set_up(emulator)).code == 0
    assert PIXEL in file.read_text()


def test_without_a_pixel_nothing_is_written(emulator: Emulator, tmp_path: Path) -> None:
    file = tmp_path / "destinations.yaml"
    file.write_text("# mine\n")
    describe(emulator, tokens=[])

    ended = destinations("--write", str(file), "--force", more=set_up(emulator))

    assert (ended.code, file.read_text()) == (1, "# mine\n")
    assert "is not written" in ended.err


def test_a_folder_that_is_not_there_is_told(emulator: Emulator, tmp_path: Path) -> None:
    ended = destinations("--write", str(tmp_path / "no" / "d.yaml"), more=set_up(emulator))

    assert ended.code == 2
    assert "No such file or directory" in ended.err


# --- resuming ------------------------------------------------------------------------------------


class Consumer:
    """A member's port, and what was asked of it."""

    def __init__(self, becomes: Resuming) -> None:
        self.asked: list[PixelId] = []
        self._becomes = becomes
        self.probes = Probes(
            host="127.0.0.1",
            port=0,
            registry=CollectorRegistry(),
            health=lambda: Health(live=True, ready=True, facts={}),
            page=lambda _: b"",
            resume=self._resume,
            skip=lambda _: Skipping.NOT_OPEN,
        )

    @property
    def port(self) -> str:
        return str(urlsplit(self.probes.address).port)

    def _resume(self, destination: PixelId) -> Resuming:
        self.asked.append(destination)
        return self._becomes


@pytest.mark.parametrize("how", ["settings", "option"])
def test_a_destination_is_resumed_on_the_members_port(how: str) -> None:
    consumer = Consumer(Resuming.WILL_BE)
    consumer.probes.start()
    arguments = ["--port", consumer.port] if how == "option" else []
    more = {"CONVERSIONS_METRICS_PORT": consumer.port} if how == "settings" else {}

    ended = destinations("resume", PIXEL, *arguments, more=more)

    assert (ended.code, consumer.asked) == (0, [PIXEL])
    assert ended.out == (
        f"{consumer.probes.address} tries pixel {PIXEL} again; its log tells how it goes\n"
    )
    consumer.probes.stop()


@pytest.mark.parametrize(
    ("becomes", "words"),
    [(Resuming.NOTHING_HERE, "holds nothing for that pixel"), (Resuming.TOO_MANY, "try again")],
)
def test_a_member_that_cannot_is_told_of(becomes: Resuming, words: str) -> None:
    consumer = Consumer(becomes)
    consumer.probes.start()

    ended = destinations("resume", PIXEL, "--port", consumer.port)

    assert (ended.code, ended.out) == (1, "")
    assert words in ended.err
    consumer.probes.stop()


def test_nobody_at_the_port_is_told_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

    ended = destinations("resume", PIXEL, "--port", port)

    assert (ended.code, ended.out) == (1, "")
    assert f"no consumer answers at http://127.0.0.1:{port}: the connection is refused" in ended.err


def test_somebody_else_at_the_port_is_no_consumer(emulator: Emulator) -> None:
    ended = destinations("resume", PIXEL, "--port", str(urlsplit(emulator.url).port))

    assert ended.code == 1
    assert "no consumer answers at" in ended.err
    assert "something else does (HTTP 400)" in ended.err

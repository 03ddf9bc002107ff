"""The three ways into Kafka over TLS, by everything of ours that goes there.

A password (SCRAM), a client's certificate (mTLS), and a token of an identity provider (OAUTHBEARER
with OIDC). The group's member, the one that asks where the logs end, the producer of dead letters,
the admin client of ``check``, and the commands that publish, read dead letters and replay them in
transactions must all get in; and who does not must read why, and read no secret.
"""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration import Running
from tests.integration.certificates import Authority
from tests.integration.events import good_event
from tests.integration.secured_broker import (
    Secured,
    User,
    replace_file,
    set_password,
    with_certificate,
    with_password,
    with_token,
)
from tests.integration.test_secured_broker import lag
from tests.integration.test_under_way import stop
from tests.integration.world import World, metrics_port

pytestmark = pytest.mark.integration

Door = Callable[[str], dict[str, str]]


@pytest.fixture
def door(
    request: pytest.FixtureRequest, secured: Secured, tmp_path: Path, unique: Callable[[str], str]
) -> Door:
    """By the secret that opens it, what the product needs to be let in by a door."""

    def by_password(secret: str) -> dict[str, str]:
        user = User(unique("user"), secret, tmp_path / "password")
        user.path.write_text(secret, encoding="utf-8")
        set_password(secured.kafka, user)
        return with_password(secured, user)

    def by_certificate(secret: str) -> dict[str, str]:
        files = secured.authority.client(unique("client"), password=secret)
        return with_certificate(secured, files)

    def by_token(secret: str) -> dict[str, str]:
        secured.provider.secret = secret
        path = tmp_path / "secret"
        path.write_text(secret, encoding="utf-8")
        return with_token(secured, path)

    doors = {"password": by_password, "certificate": by_certificate, "token": by_token}
    return doors[request.param]


@pytest.mark.parametrize("door", ["password", "certificate", "token"], indirect=True)
def test_everything_of_ours_gets_in_by_each_door(
    secured_world: World, secured: Secured, door: Door, unique: Callable[[str], str], tmp_path: Path
) -> None:
    world, secret = secured_world, unique("secret")
    environment = world.environment(**door(secret))
    running = world.product.run("run", env=environment)
    lines = tmp_path / "events.jsonl"
    events = [good_event(number, world.pixels[0], _now_ms()) for number in range(8)]
    lines.write_text("".join(f"{json.dumps(event)}\n" for event in events), encoding="utf-8")
    published = finished(world.product.run("publish", str(lines), env=environment))
    bad = good_event(8, world.pixels[0], _now_ms()) | {"user": {"country": "US"}}
    world.publish([world.encode(bad)])
    world.settle(running)

    assert world.accepted_ids() == {f"event-{number}": 1 for number in range(8)}
    assert [letter.reason for letter in world.letters()] == ["insufficient_user_data"]
    port = metrics_port(running)
    running.wait_until(lambda: lag(running, port) == 0, 60, "a lag of 0 on the metrics port")
    checked = world.product.run("check", "--json", env=environment)
    replayed = finished(world.product.run("dlq", "replay", "--yes", "--json", env=environment))
    running.wait_until(lambda: len(world.letters()) >= 2, 60, "the letter that comes back")
    world.settle(running)
    checked.wait(60)
    stop(running)

    found = {each["subject"]: each for each in json.loads(checked.output())["findings"]}
    wanted = ("brokers", "topic", "dead letters", "group")
    assert {found[each]["verdict"] for each in wanted} == {"ok"}, found
    world.assert_silent(running)
    for process in (running, published, checked, replayed):
        assert secret not in process.output()
        assert not any(token in process.output() for token in secured.provider.given)


def finished(running: Running) -> Running:
    assert running.wait(90) == 0, running.tail()
    return running


def _now_ms() -> int:
    return int(time.time() * 1000)

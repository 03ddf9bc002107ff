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

from consumer.check_brokers import Brokers
from consumer.finding import Verdict
from consumer.kafka_settings import connection_only
from consumer.settings import load_settings
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
from tests.integration.test_secured_broker import errors_told, lag
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
    checked = world.product.run("check", "--json", env=environment)
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


def test_sessions_outlive_their_tokens(
    secured_world: World, secured: Secured, unique: Callable[[str], str], tmp_path: Path
) -> None:
    world, path = secured_world, tmp_path / "secret"
    secured.provider.secret = unique("secret")
    path.write_text(secured.provider.secret, encoding="utf-8")
    before = len(secured.provider.given)
    secured.provider.token_seconds = 5
    try:
        running = world.consumer(**with_token(secured, path))
        # Three clients; the broker ends each session whose token has, unless it was shown another.
        running.wait_until(lambda: len(secured.provider.given) >= before + 7, 90, "more tokens")
        bad = good_event(1, world.pixels[0], _now_ms()) | {"user": {"country": "US"}}
        world.publish(map(world.encode, (bad, good_event(2, world.pixels[0], _now_ms()))))
        world.settle(running)
    finally:
        secured.provider.token_seconds = 3600
    port = metrics_port(running)
    running.wait_until(lambda: lag(running, port) == 0, 60, "a lag of 0 on the metrics port")
    stop(running)

    assert world.accepted_ids() == {"event-2": 1}
    assert len(world.letters()) == 1
    assert errors_told(running, "uthentication") == []


def test_a_wrong_client_secret_is_told_without_it_though_the_provider_quotes_it(
    secured_world: World, secured: Secured, unique: Callable[[str], str], tmp_path: Path
) -> None:
    wrong, path = unique("wrong"), tmp_path / "secret"
    secured.provider.secret = unique("secret")
    path.write_text(wrong, encoding="utf-8")
    environment = secured_world.environment(**with_token(secured, path))
    running = secured_world.product.run("run", env=environment)
    line = running.wait_for_line("OAUTHBEARER token", 60)
    stop(running)

    assert "the token endpoint answers invalid_client" in line
    assert wrong not in running.output()


def test_who_is_not_let_in_is_told_why(
    secured: Secured, unique: Callable[[str], str], tmp_path: Path
) -> None:
    stranger = Authority(name="stranger", folder=tmp_path)
    expired = secured.authority.client(
        unique("expired"), password="opens-it", valid=timedelta(minutes=-5)
    )
    locked = secured.authority.client(unique("locked"), password="opens-it")
    replace_file(locked.password, "opens-nothing")
    secret = tmp_path / "secret"
    secret.write_text(secured.provider.secret, encoding="utf-8")
    mistyped = tmp_path / "mistyped"
    mistyped.write_text("opens-no-door", encoding="utf-8")
    strange_endpoint = {"KAFKA_HTTPS_CA_LOCATION": str(stranger.path)}
    told = {
        "stranger": with_certificate(secured, stranger.client("client", password="opens-it")),
        "expired": with_certificate(secured, expired),
        "locked": with_certificate(secured, locked),
        "endpoint": with_token(secured, secret) | strange_endpoint,
        "secret": with_token(secured, mistyped),
    }
    found = {name: brokers_found(environment) for name, environment in told.items()}

    for name in ("stranger", "expired"):
        assert "a broker refuses our certificate" in found[name]
        assert "KAFKA_SSL_CERTIFICATE_LOCATION" in found[name]
    assert "librdkafka does not take KAFKA_SSL_KEY_LOCATION as it is set" in found["locked"]
    assert "no token to log in with" in found["endpoint"]
    assert "unable to get local issuer certificate" in found["endpoint"]
    assert "the token endpoint answers invalid_client" in found["secret"]
    assert not any("opens-" in text for text in found.values())


def test_a_client_reads_its_certificate_once(
    secured: Secured, unique: Callable[[str], str]
) -> None:
    files = secured.authority.client(unique("client"), password="opens-it")
    settings = load_settings(with_certificate(secured, files))
    client = Brokers(connection_only(settings.kafka_consumer))
    for path in files:
        path.write_text("of no use any more", encoding="utf-8")

    # It connects only now, with what it read when it was made.
    assert client.finding("brokers").verdict is Verdict.OK
    assert "does not take KAFKA_SSL_" in brokers_found(with_certificate(secured, files))


def brokers_found(environment: dict[str, str]) -> str:
    """What ``check`` says of the brokers, and its advice."""
    settings = load_settings(environment)
    finding = Brokers(connection_only(settings.kafka_consumer)).finding("brokers")
    return f"{finding.told} {finding.advice}"


def finished(running: Running) -> Running:
    assert running.wait(90) == 0, running.tail()
    return running


def _now_ms() -> int:
    return int(time.time() * 1000)

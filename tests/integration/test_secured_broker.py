"""A broker that speaks TLS only and asks for a password (SASL_SSL, SCRAM), as production has it.

The product reaches it with three clients: the group's member, the dead-letter producer and the one
that asks where the logs end. Each must log in, first and again after the password has changed; and
a login that is refused must be told clearly, once, without the password.
"""

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.integration import Running
from tests.integration.certificates import Authority
from tests.integration.events import good_event, mixed
from tests.integration.secured_broker import Secured, User, set_password, with_password
from tests.integration.test_under_way import assert_fates, stop
from tests.integration.world import World, metrics_port

pytestmark = pytest.mark.integration

ATTEMPTS = 4
"""So many refused attempts to log in are waited for before what was said about them is counted."""


@pytest.fixture
def user(secured: Secured, tmp_path: Path, unique: Callable[[str], str]) -> User:
    user = User(unique("user"), unique("password"), tmp_path / "password")
    user.path.write_text(f"{user.password}\n", encoding="utf-8")
    set_password(secured.kafka, user)
    return user


def test_200_mixed_events_meet_their_fates_over_tls_and_with_a_password(
    secured_world: World, secured: Secured, user: User
) -> None:
    world = secured_world
    fates = list(mixed(world, 200, _now_ms(), seed=5))
    world.publish(fate.value for fate in fates)
    running = world.consumer(**with_password(secured, user))
    world.settle(running)

    assert_fates(world, fates, receipts_max=1)
    # A gauge that exists only once the client that asks where the logs end was let in.
    port = metrics_port(running)
    running.wait_until(lambda: lag(running, port) == 0, 30, "a lag of 0 on the metrics port")
    stop(running)
    assert user.password not in running.output()
    world.assert_silent(running)


def test_a_wrong_password_is_told_once_and_a_corrected_file_is_enough(
    secured_world: World, secured: Secured, user: User, unique: Callable[[str], str]
) -> None:
    world = secured_world
    wrong = user.changed(unique("wrong"))
    world.publish([world.encode(good_event(1, world.pixels[0], _now_ms()))])
    running = world.product.run("run", env=world.environment(**with_password(secured, wrong)))
    port = metrics_port(running)
    line = running.wait_for_line("SASL authentication", 30)
    refused_again(running, port)

    assert "Authentication failed during authentication due to invalid credentials" in line
    assert errors_told(running, "uthentication") == [line]
    assert probes(port) == {"livez": 200, "readyz": 503}

    wrong.changed(user.password)
    world.settle(running)
    assert world.accepted_ids() == {"event-1": 1}
    assert probes(port) == {"livez": 200, "readyz": 200}
    stop(running)
    assert user.password not in running.output()
    assert wrong.password not in running.output()


def test_with_a_wrong_password_sigterm_ends_the_process_properly(
    secured_world: World, secured: Secured, user: User, unique: Callable[[str], str]
) -> None:
    world = secured_world
    wrong = user.changed(unique("wrong"))
    running = world.product.run("run", env=world.environment(**with_password(secured, wrong)))
    running.wait_for_line("SASL authentication", 30)
    stop(running)

    assert wrong.password not in running.output()
    assert "Traceback" not in running.output()


def test_a_server_that_another_authority_vouches_for_is_refused(
    secured_world: World, secured: Secured, user: User, tmp_path: Path
) -> None:
    world = secured_world
    another = Authority(name="another", folder=tmp_path)
    trusting = with_password(secured, user) | {"KAFKA_SSL_CA_LOCATION": str(another.path)}
    world.publish([world.encode(good_event(1, world.pixels[0], _now_ms()))])
    running = world.product.run("run", env=world.environment(**trusting))
    port = metrics_port(running)
    line = running.wait_for_line("certificate verify failed", 30)
    refused_again(running, port)

    assert errors_told(running, "certificate") == [line]
    assert probes(port) == {"livez": 200, "readyz": 503}
    stop(running)
    assert world.accepted() == []
    assert user.password not in running.output()
    assert "Traceback" not in running.output()


def test_a_password_that_changes_under_way_lets_all_three_clients_in_again(
    secured_world: World, secured: Secured, user: User, unique: Callable[[str], str]
) -> None:
    world = secured_world
    before = list(mixed(world, 200, _now_ms(), seed=6, prefix="before"))
    world.publish(fate.value for fate in before)
    running = world.consumer(**with_password(secured, user))
    world.settle(running)
    port = metrics_port(running)
    running.wait_until(lambda: lag(running, port) == 0, 30, "a lag of 0 on the metrics port")

    new = user.changed(unique("password"))
    set_password(secured.kafka, new)
    running.wait_for_line("Kafka credentials changed", 30)
    secured.kafka.restart()
    world.meta("POST", "misbehave", [{"do": {"status": 503}}])
    after = list(mixed(world, 200, _now_ms(), seed=7, prefix="after"))
    world.publish(fate.value for fate in after)
    # What Meta does not take stays open: the lag rises as soon as the logs' ends are known anew.
    running.wait_until(lambda: (lag(running, port) or 0) > 0, 60, "a lag of new events")
    world.meta("POST", "misbehave", [])
    world.settle(running)

    assert_fates(world, before + after, receipts_max=1)
    assert errors_told(running, "uthentication") == []
    stop(running)
    assert user.password not in running.output()
    assert new.password not in running.output()


def refused_again(running: Running, port: int) -> None:
    """Wait until it has been refused a few times more."""
    before = refusals(running, port)
    running.wait_until(lambda: refusals(running, port) >= before + ATTEMPTS, 60, "more attempts")


def refusals(running: Running, port: int) -> float:
    """Errors of the group's member that are not about a broker being away."""
    return running.metrics(port).value("conversions_kafka_errors_total", kind="other") or 0.0


def errors_told(running: Running, about: str) -> list[str]:
    return [line for line in running.output().splitlines() if about in line]


def lag(running: Running, port: int) -> float | None:
    return running.metrics(port).value("conversions_kafka_lag_records")


def probes(port: int) -> dict[str, int]:
    """The status of each."""
    address = f"http://127.0.0.1:{port}"
    return {
        name: httpx.get(f"{address}/{name}", timeout=5, trust_env=False).status_code
        for name in ("livez", "readyz")
    }


def _now_ms() -> int:
    return int(time.time() * 1000)

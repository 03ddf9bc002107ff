"""The app demands that each call carries a proof made with its secret, and ours is wrong or
missing. Meta says so with the code of a bad event: the destination halts, no event is isolated or
dead-lettered for it, and once the secret's file is mended everything is delivered.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from pydantic import SecretStr

from consumer.emulator import Emulator, EmulatorConfig
from consumer.meta import Meta
from consumer.model import HaltReason, PixelId
from consumer.secret_files import RotatingSecret
from tests.fakes.clock import FakeClock
from tests.fakes.house import SHOP, FakeHouse, house

TOKEN = SecretStr("a-token-that-may-write")
SECRET = "the-secret-of-the-app"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    # Its clock stands still, at the time at which the house's clock begins.
    now_ms = FakeClock().now_ms()
    config = EmulatorConfig(host="127.0.0.1", port=0, pixels={}, clock=lambda: now_ms / 1000)
    emulator = Emulator(config)
    emulator.start()
    secrets = orjson.dumps({"secrets": [SECRET]})
    answer = httpx.post(f"{emulator.url}/_emulator/app_secrets", content=secrets)
    assert answer.json() == {"success": True}
    yield emulator
    emulator.stop()


def token_of(pixel: PixelId) -> SecretStr:
    return TOKEN


def nudged(home: FakeHouse, secret: RotatingSecret, seconds: float) -> None:
    """Turn the loop for so long and look at the files every five seconds, as a member does."""
    until = home.clock.now() + seconds
    while home.clock.now() < until:
        home.pipeline.nudge(token_of, app_secret=secret.current())
        home.run(5)


@pytest.mark.parametrize("before", ["a-wrong-secret", None], ids=["wrong", "missing"])
def test_a_proof_that_meta_does_not_take_halts_until_the_secret_changes(
    before: str | None, emulator: Emulator, tmp_path: Path
) -> None:
    file = tmp_path / "app-secret"
    if before is not None:
        file.write_text(before, "utf-8")
    secret = RotatingSecret(value=None, path=file)
    meta = Meta(
        graph_url=emulator.url,
        graph_version="v26.0",
        timeout_seconds=10.0,
        connections_max=1,
        token_for=token_of,
        app_secret=secret,
        transport=None,
    )
    home = house(post=meta.post)
    home.publish(0, events=20)

    nudged(home, secret, 330)

    outbox = home.deliveries.outboxes[SHOP]
    assert outbox.halted is not None
    assert outbox.halted.reason is HaltReason.CONFIGURATION
    assert len(home.meta.seen) > 2, "it is probed"
    assert not any(seen.request.isolating for seen in home.meta.seen)
    assert not home.dead_letters.produced
    assert emulator.accepted == []

    file.write_text(SECRET, "utf-8")
    nudged(home, secret, 5)
    meta.close()

    assert len(home.meta.accepted) == 20
    assert set(home.meta.accepted.values()) == {1}
    assert len(emulator.accepted) == 20
    assert not home.dead_letters.produced

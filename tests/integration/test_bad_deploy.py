"""A publisher's bad deploy on the real Kafka: the guard holds it until somebody says otherwise.

The dead letters that come of it are sealed, and open with the key that each of them names.
"""

import os
import time
from base64 import b64encode
from collections import Counter
from pathlib import Path

import pytest

from consumer.sealing import unseal
from consumer.sealing_keys import read_keys
from tests.integration.events import good_event
from tests.integration.test_under_way import stop
from tests.integration.world import World, metrics_port

pytestmark = pytest.mark.integration

EVENTS = 30
REASON = "missing_action_source"
NOVEMBER, DECEMBER = (b64encode(bytes([each]) * 32).decode() for each in (11, 12))


def bad(world: World, number: int) -> bytes:
    event = good_event(number, world.pixels[0], _now_ms(), prefix="bad")
    del event["actionSource"]
    return world.encode(event)


def test_a_bad_deploy_is_held_until_it_is_accepted_and_its_letters_are_sealed(
    world: World, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"november: {NOVEMBER}\n")
    settings = {
        "CONVERSIONS_DLQ_KEY_FILE": str(keys),
        "CONVERSIONS_GUARD_EVENTS": str(EVENTS),
        "CONVERSIONS_GUARD_PAUSES": "true",
    }
    running = world.consumer(**settings)
    port = metrics_port(running)
    spoiled = [bad(world, number) for number in range(100)]
    world.publish(spoiled)
    good = [good_event(number, world.pixels[1], _now_ms()) for number in range(20)]
    world.publish(map(world.encode, good))
    running.wait_for_line("many events are rejected for one reason", 60)
    before = EVENTS // 2
    running.wait_until(
        lambda: running.metrics(port).value("conversions_guard_held_records") == 100 - before,
        30,
        "85 held records",
    )
    running.wait_until(lambda: len(world.accepted_ids()) == 20, 30, "20 accepted events")

    assert len(world.letters()) == before
    assert world.kafka.lag(world.group, world.topic) > 0

    replaced = keys.with_suffix(".new")
    replaced.write_text(f"december: {DECEMBER}\nnovember: {NOVEMBER}\n")
    os.replace(replaced, keys)
    running.wait_for_line("the keys of dead letters changed", 30)
    resume = ("destinations", "resume", world.pixels[0], "--port", str(port))
    asked = world.product.run(*resume, env=world.environment(**settings))
    assert asked.wait(30) == 0
    world.settle(running)

    letters = world.letters()
    sealed_with = Counter(letter.headers["sealed"] for letter in letters)
    assert sealed_with == {"november": before, "december": 100 - before}
    assert {letter.reason for letter in letters} == {REASON}
    assert not any(b"@example.com" in (letter.value or b"") for letter in letters)
    found = read_keys(keys)
    opened = [
        unseal(letter.value, found, letter.headers["sealed"], letter.headers["origin"])
        for letter in letters
    ]
    assert Counter(opened) == Counter(spoiled)
    stop(running)
    world.assert_silent(running)
    for key in (NOVEMBER, DECEMBER):
        assert key not in running.output()


def _now_ms() -> int:
    return int(time.time() * 1000)

"""Dead letters put right on the real Kafka: exported, edited and published; or edited in a replay.

A consumer turns purchases without a currency away. What it takes afterwards must be these very
events, under the event ids that they had, and each origin must be told as it was.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from consumer.clock import SystemClock
from tests.integration import Running
from tests.integration.events import good_event
from tests.integration.world import World

pytestmark = pytest.mark.integration

COUNT = 60
WAIT = 60.0


def without_currency(world: World, number: int, now_ms: int) -> dict[str, Any]:
    event = good_event(number, world.pixels[number % 2], now_ms, prefix="repair")
    del event["currency"]
    event["user"]["zip"] = "94105"
    event["customData"] = {"color": "red", "size": f"{number}"}
    if number % 3 == 0:
        del event["eventId"]  # then the consumer derives one, which only the header keeps
    return event | {"eventName": "Purchase"}


def dead_lettered(world: World) -> Running:
    """A consumer that has turned all of them away, and one record that is no event."""
    now_ms = SystemClock().now_ms()
    values = [world.encode(without_currency(world, number, now_ms)) for number in range(COUNT)]
    world.publish([*values, b"\x07 no Avro"])
    consumer = world.consumer()
    world.settle(consumer)
    reasons = Counter(letter.reason for letter in world.letters())
    assert reasons == {"missing_currency": COUNT, "undecodable": 1}
    assert world.accepted() == []
    return consumer


def run(world: World, *arguments: str, code: int = 0) -> str:
    """What a command has said, on stdout and stderr."""
    running = world.product.run(*arguments, env=world.environment())
    assert running.wait(WAIT) == code, running.tail()
    return running.output()


def letters_ids(world: World) -> dict[str, str]:
    """Of each origin the event id."""
    return {
        letter.headers["origin"]: letter.headers["event_id"]
        for letter in world.letters()
        if letter.reason == "missing_currency"
    }


def came_back(world: World, ids: dict[str, str]) -> dict[str, dict[str, str]]:
    """Of each origin that was put back the headers; those of ours without their prefix."""
    found: dict[str, dict[str, str]] = {}
    for message in world.kafka.read_all(world.topic):
        given: Any = message.headers() or ()
        headers = {name: value.decode() for name, value in given}
        if (origin := headers.get("conversions.origin")) in ids:
            assert origin not in found, "each comes back once"
            found[origin] = headers
    return found


def test_an_exported_file_is_edited_and_published_under_the_same_event_ids(
    world: World, tmp_path: Path
) -> None:
    consumer = dead_lettered(world)
    ids = letters_ids(world)

    output = run(world, "dlq", "export")
    lines = _objects(output)
    file = tmp_path / "broken.jsonl"
    edited = [line | {"currency": "EUR"} if "eventName" in line else line for line in lines]
    file.write_text("".join(json.dumps(line) + "\n" for line in edited), encoding="utf-8")
    told = run(world, "publish", str(file))
    world.settle(consumer)

    assert len(lines) == COUNT + 1
    assert "personal data is exported in full" in output
    assert f"{COUNT + 1} dead letters exported" in output
    assert "1 of them in hex" in output
    assert f"with the schemas that the lines name: {COUNT + 1}" in told
    assert world.accepted_ids() == Counter(ids.values())
    taken = [each["event"]["custom_data"] for each in world.accepted()]
    assert {each["currency"] for each in taken} == {"EUR"}
    assert {each["size"] for each in taken} == {str(number) for number in range(COUNT)}
    back = came_back(world, ids)
    assert {origin: each["conversions.event_id"] for origin, each in back.items()} == ids
    assert {each["conversions.replays"] for each in back.values()} == {"1"}
    # The record that is no event came back byte for byte, and was turned away once more.
    undecodable = [letter for letter in world.letters() if letter.reason == "undecodable"]
    assert [letter.value for letter in undecodable] == [b"\x07 no Avro"] * 2
    assert [letter.headers.get("replays") for letter in undecodable] == [None, "1"]
    assert len({letter.headers["origin"] for letter in undecodable}) == 1
    world.assert_silent(consumer)


def test_a_replay_edits_what_fits_and_shows_before_what_it_would_do(world: World) -> None:
    consumer = dead_lettered(world)
    ids = letters_ids(world)
    edits = ("--set", "currency=EUR", "--drop", "user.zip", "--to-destination", world.pixels[1])
    wanted = ("dlq", "replay", "--reason", "missing_currency", *edits)

    unfit = run(world, "dlq", "replay", "--set", "curency=EUR", "--yes")
    assert f"unfit, {COUNT} dead letters: the writer's schema has no field curency" in unfit
    assert "did you mean currency?" in unfit
    assert "--as-new-event" in run(world, "dlq", "replay", "--set", "eventId=x", code=2)

    told = run(world, *wanted)
    assert f"{COUNT} dead letters would be replayed" in told
    assert told.count('currency: none → "EUR"') == 3
    assert "user.zip: (masked) → none" in told.replace('"', "")
    assert "94105" not in told
    assert came_back(world, ids) == {}

    assert f"{COUNT} of {COUNT} dead letters replayed" in run(world, *wanted, "--yes")
    world.settle(consumer)

    assert world.accepted_ids() == Counter(ids.values())
    assert {each["pixel"] for each in world.accepted()} == {world.pixels[1]}
    assert all("zp" not in each["event"]["user_data"] for each in world.accepted())
    back = came_back(world, ids)
    assert back.keys() == ids.keys()
    for headers in back.values():
        fields = headers["conversions.edited"].split(",")
        assert {"currency", "user.zip"} <= set(fields) <= {"currency", "user.zip", "destinationId"}
    # What was replayed is left out of an export.
    assert "missing_currency" not in run(world, "dlq", "export")
    world.assert_silent(consumer)


def _objects(output: str) -> list[dict[str, Any]]:
    """The lines on stdout: what is said on stderr is no JSON."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]

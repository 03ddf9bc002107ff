"""The main job on the real Kafka and the real registry, the product as its own process.

Product services publish; Meta's emulator takes batches; what it will never take is in the
dead-letter topic; and the group has committed everything.
"""

import hashlib
import time
from collections import Counter

import pytest

from tests.integration.events import good_event, mixed
from tests.integration.world import World, metrics_port

pytestmark = pytest.mark.integration


def test_the_example_arrives_at_meta_as_documented(world: World) -> None:
    now = int(time.time())
    world.publish(
        [
            world.encode(
                {
                    "destinationId": "1729525464415281",
                    "eventName": "Lead",
                    "eventTime": now,
                    "eventId": "order_abc_123",
                    "value": 42.50,
                    "currency": "USD",
                    "actionSource": "crm",
                    "user": {
                        "email": "customer@example.com",
                        "phone": "+14155551234",
                        "firstName": "Jane",
                        "lastName": "Doe",
                        "country": "US",
                    },
                }
            )
        ]
    )
    running = world.consumer()
    world.settle(running)
    (taken,) = world.accepted()

    assert taken["pixel"] == "1729525464415281"
    assert taken["event"] == {
        "event_name": "Lead",
        "event_time": now,
        "event_id": "order_abc_123",
        "action_source": "system_generated",
        "user_data": {
            "em": [_sha256("customer@example.com")],
            "ph": [_sha256("14155551234")],
            "fn": [_sha256("jane")],
            "ln": [_sha256("doe")],
            "country": [_sha256("us")],
        },
        "custom_data": {"value": 42.5, "currency": "USD"},
    }
    running.terminate()
    assert running.wait(30) == 0
    assert "customer@example.com" not in running.output()
    world.assert_silent(running)


def test_5000_mixed_events_over_4_partitions_meet_exactly_their_fates(world: World) -> None:
    fates = list(mixed(world, 5000, int(time.time() * 1000), seed=1))
    world.publish(fate.value for fate in fates)
    running = world.consumer()
    world.settle(running)

    good = Counter(fate.event_id for fate in fates if fate.reason is None)
    assert world.accepted_ids() == good
    assert all(each["receipts"] == 1 for each in world.accepted()), "nothing was sent twice"
    letters = world.letters()
    assert Counter(letter.reason for letter in letters) == Counter(
        fate.reason for fate in fates if fate.reason is not None
    )
    told = {letter.value: letter for letter in letters}
    for fate in fates:
        if fate.reason is not None:
            letter = told[fate.value]
            assert letter.reason == fate.reason
            assert letter.key is not None
            assert letter.headers["origin"].startswith(f"{world.topic}:")
            assert letter.headers["event_id"] == fate.event_id or fate.reason == "undecodable"
    refused = [letter for letter in letters if letter.reason == "refused_by_meta"]
    assert all(
        letter.headers["error_code"] == "100"
        and letter.headers["error_subcode"] == "2804019"
        and letter.headers["trace_id"]
        and letter.headers["stage"] == "send"
        for letter in refused
    )
    metrics = running.metrics(metrics_port(running))
    assert metrics.value("conversions_events_total", outcome="accepted") == len(good)
    assert metrics.value("conversions_dead_letters_total") == len(letters)
    assert metrics.value("conversions_records_read_total") == len(fates)
    running.terminate()
    assert running.wait(30) == 0
    assert world.kafka.lag(world.group, world.topic) == 0
    world.assert_silent(running)


def test_999_of_a_batch_are_delivered_when_meta_refuses_one(world: World) -> None:
    now_ms = int(time.time() * 1000)
    pixel = world.pixels[0]
    batch = [good_event(number, pixel, now_ms, prefix="batch") for number in range(1000)]
    batch[617]["customData"] = {"emulator_refuse": "2804016"}
    running = world.consumer(CONVERSIONS_WINDOW_SECONDS="5")
    world.publish(world.encode(event) for event in batch)
    world.settle(running)

    assert world.accepted_ids() == Counter(f"batch-{n}" for n in range(1000) if n != 617)
    (letter,) = world.letters()
    assert letter.headers["event_id"] == "batch-617"
    assert letter.headers["error_subcode"] == "2804016"
    assert letter.headers["trace_id"].startswith("A")
    requests = [r for r in world.meta("GET", "requests")["requests"] if r["pixel"] == pixel]
    assert requests[0]["events"] == 1000
    assert len(requests) <= 25


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

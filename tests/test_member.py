"""A member outside of its loop: what is asked of it over HTTP, and what it says of its version.

No broker is there. What is asked goes the whole way: port, queue, the loop's turn, outbox, log.
"""

import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from consumer import __version__
from consumer.member import RESUMES_WAITING_MAX, Member
from consumer.model import (
    Halted,
    HaltReason,
    MetaError,
    PixelId,
    Place,
    Reason,
    Rejected,
    TopicPartition,
)
from consumer.running_member import RunningMember
from consumer.sealing_keys import SealedDeadLetters
from consumer.settings import load_settings
from consumer.skip import Skipping
from tests.fakes.events import TOPIC, a_record, an_event
from tests.fakes.house import Lines

PIXEL = PixelId("111")
Made = Callable[..., tuple[Member, Lines]]


@pytest.fixture
def made() -> Iterator[Made]:
    """A member with settings changed, whose port answers; ``run`` is never called."""
    members: list[Member] = []

    def make(**changes: Any) -> tuple[Member, Lines]:
        lines = Lines()
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
            "CONVERSIONS_PIXEL_ID": PIXEL,
            "CONVERSIONS_ACCESS_TOKEN": "token-of-the-shop",
            "CONVERSIONS_METRICS_PORT": "0",
        }
        member = Member(load_settings(variables | changes), log=lines)
        member._probes.start()
        members.append(member)
        return member, lines

    yield make
    for member in members:
        member._source.close()
        member._close_edges()


def port_of(member: Member) -> RunningMember:
    return RunningMember(host="127.0.0.1", port=urlsplit(member.address).port or 0)


def halt(member: Member) -> None:
    """The destination has an event, which Meta's answer to the first request has halted."""
    deliveries, now = member._deliveries, member._clock.now()
    tenure = member._ledger.begin(TopicPartition(TOPIC, 0))
    record = a_record(tenure=tenure)
    deliveries.add(an_event(destination=PIXEL, record=record), now - 60)
    (request,) = deliveries.advance(now, 0).requests
    deliveries.answered(request, Halted(HaltReason.TOKEN, MetaError(http_status=401)), now)
    assert deliveries.advance(now, 0).requests == []


def test_a_halted_destination_is_resumed_at_the_loops_next_turn(made: Made) -> None:
    member, lines = made()
    halt(member)

    assert port_of(member).resume(PIXEL) == 202
    assert lines.named("destination is tried again by hand") == [], "the loop owns the state"
    member._look_around()

    assert lines.named("destination is tried again by hand") == [{"destination": PIXEL}]
    assert len(member._deliveries.advance(member._clock.now(), 0).requests) == 1


def test_a_destination_that_nothing_is_held_for_is_not_resumed(made: Made) -> None:
    member, lines = made()

    assert port_of(member).resume(PIXEL) == 404
    member._look_around()

    assert not [line for line in lines.lines if "resume" in line[1] or "again" in line[1]]


def test_what_waits_to_be_resumed_has_a_limit(made: Made) -> None:
    member, _ = made()
    halt(member)

    asked = [member._resume(PIXEL).value for _ in range(RESUMES_WAITING_MAX + 1)]

    assert asked == [*[202] * RESUMES_WAITING_MAX, 503]
    member._look_around()
    assert member._resume(PIXEL).value == 202


@pytest.mark.parametrize(("version", "told"), [("v20.0", "v20.0 ended"), ("v26.0", None)])
def test_a_version_near_its_end_is_told_at_the_start_and_not_at_every_turn(
    made: Made, version: str, told: str | None
) -> None:
    member, lines = made(CONVERSIONS_GRAPH_VERSION=version)

    member._look_around()
    member._gauges_at = 0.0
    member._look_around()

    found = lines.named("Graph API version")
    assert len(found) == (0 if told is None else 1)
    assert all(str(each["told"]).startswith(str(told)) for each in found)
    assert [each["advice"] for each in found] == ["set CONVERSIONS_GRAPH_VERSION to v26.0"][
        : len(found)
    ]


def test_a_version_near_its_end_is_told_again_the_next_day(made: Made) -> None:
    member, lines = made(CONVERSIONS_GRAPH_VERSION="v20.0")

    member._look_around()
    member._gauges_at = member._version_at = 0.0
    member._look_around()

    assert len(lines.named("Graph API version")) == 2


# --- skipping a record ---------------------------------------------------------------------------

PLACE = Place(TopicPartition(TOPIC, 0), 0)


def test_a_record_is_skipped_at_the_loops_next_turn(made: Made) -> None:
    member, lines = made()
    halt(member)
    member._ledger.open(a_record(tenure=member._ledger.tenure_of(PLACE.partition) or 0), 0.0)
    asked: list[Skipping | int] = []
    asking = threading.Thread(target=lambda: asked.append(port_of(member).skip(PLACE)))
    asking.start()

    while len(member._letters) == 0:
        member._look_around()

    (told,) = lines.named("a record is skipped by an operator; Meta will not get it")
    assert told == {"record": str(PLACE)}
    # No broker is there: the letter is acknowledged in its place.
    member._ledger.settle(next(iter(member._letters._letters.values())).rejected.record)
    while asking.is_alive():
        member._look_around()
        asking.join(0.01)
    assert asked == [Skipping.SKIPPED]


def test_the_probes_tell_what_is_degraded_and_stay_as_they_are(made: Made) -> None:
    member, _ = made()
    halt(member)
    member._look_around()
    with httpx.Client(base_url=member.address, trust_env=False) as client:
        live, ready = client.get("/livez"), client.get("/readyz")
        head = client.head("/readyz")

    assert (live.status_code, ready.status_code, head.status_code) == (200, 503, 503)
    assert head.content == b""
    for facts in (live.json(), ready.json()):
        assert facts["degraded"] == ["destination_halted", "not_joined"]
        assert facts["destinations"] == {PIXEL: "halted"}
        assert facts["halted"] == {PIXEL: "token"}
        assert facts["paused_partitions"] == {}


def test_a_member_that_ends_is_told_at_once_though_the_loop_shows_nothing_more(made: Made) -> None:
    member, _ = made()
    member._look_around()

    member.stop()

    assert member._health().facts["degraded"] == ["stopping"]
    assert b"This member is ending" in member._page(True)


def test_liveness_is_the_heartbeats_alone_and_readiness_the_groups(made: Made) -> None:
    member, _ = made(CONVERSIONS_LIVENESS_SECONDS="120")

    assert (member._health().live, member._health().ready) == (True, False), "nobody has answered"
    member._joined = True
    member._pipeline.heartbeat -= 119.0
    assert (member._health().live, member._health().ready) == (True, True)
    member._pipeline.heartbeat -= 2.0
    assert (member._health().live, member._health().ready) == (False, True)
    member._pipeline.pump(until=0.0, done=lambda: True)
    member.stop()
    assert (member._health().live, member._health().ready) == (True, False), "from SIGTERM on"


def test_the_start_line_names_version_and_settings(made: Made) -> None:
    member, lines = made()
    member.stop()
    member.run()

    (line,) = lines.named("consuming")
    assert (line["version"], line["settings_id"]) == (__version__, member._settings.fingerprint)
    assert line["settings"]["CONVERSIONS_ACCESS_TOKEN"] == "set"


def test_the_same_settings_have_the_same_fingerprint_whatever_their_secrets(made: Made) -> None:
    prints = [
        made(**changes)[0]._settings.fingerprint
        for changes in (
            {},
            {"CONVERSIONS_ACCESS_TOKEN": "another"},
            {"CONVERSIONS_WINDOW_EVENTS": "7"},
        )
    ]

    assert prints[0] == prints[1]
    assert prints[0] != prints[2]


def test_readiness_tells_of_dead_letters(made: Made) -> None:
    member, _ = made()

    facts = member._health().facts

    assert {name: fact for name, fact in facts.items() if name.startswith("dead_letters")} == {
        "dead_letters_waiting": 0,
        "dead_letters_failing": None,
        "dead_letters_failing_since": None,
        "dead_letters_too_large": [],
    }


KEY = b64encode(bytes(32)).decode()


def test_with_a_key_file_dead_letters_are_sealed_and_changes_are_taken_up(
    made: Made, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    path.write_text(f"one: {KEY}\n")
    member, lines = made(CONVERSIONS_DLQ_KEY_FILE=str(path))
    assert isinstance(member._letters._dead_letters, SealedDeadLetters)

    for text in (f"two: {KEY}\n", "three: no key\n"):
        path.write_text(text)
        member._files_at = member._gauges_at = 0.0
        member._look_around()

    assert lines.named("the keys of dead letters changed") == [{"sealing_with": "two"}]
    (told,) = lines.named("the key file is wrong; the old keys stay")
    assert "must give key three as 32 bytes" in told["problem"]
    assert not any(KEY in str(line) for line in lines.lines)


def test_a_key_file_without_keys_is_refused_at_the_start(made: Made, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="CONVERSIONS_DLQ_KEY_FILE names cannot be read"):
        made(CONVERSIONS_DLQ_KEY_FILE=str(tmp_path / "nowhere"))


def test_what_the_guard_holds_can_be_resumed_though_nothing_else_waits(made: Made) -> None:
    member, lines = made(CONVERSIONS_GUARD_PAUSES="true", CONVERSIONS_GUARD_EVENTS="10")
    where = TopicPartition(TOPIC, 0)
    tenure = member._ledger.begin(where)
    for offset in range(6):
        record = a_record(offset=offset, tenure=tenure)
        member._ledger.open(record, 0.0)
        rejected = Rejected(
            record=record, reason=Reason.MISSING_VALUE, detail="no value", destination=PIXEL
        )
        member._guard.rejected(rejected, 0.0)

    assert port_of(member).resume(PIXEL) == 202
    member._look_around()

    told = lines.named("what the guard holds is dead-lettered by hand")
    assert told == [{"destination": PIXEL, "events": 1}]
    assert len(member._letters) == 1

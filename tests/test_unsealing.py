"""Dead letters are sealed on their way in, and opened again by whoever has the key."""

from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.dead_letter import dead_letter
from consumer.letter import Letter, StillSealed, opened, read_letter
from consumer.model import Reason, Record, Rejected, TopicPartition
from consumer.sealing import SealingKeys, sealed_letter
from consumer.sealing_keys import KeyFileMistake
from consumer.settings import load_settings
from consumer.unsealing import opening_with, unsealing
from tests.fakes.events import NOW_MS, a_record

OLD, NEW = bytes(32), bytes(range(32))
WRITING = SealingKeys(writing="new", keys={"new": NEW, "old": OLD})


def sealed(value: bytes | None, keys: SealingKeys = WRITING) -> Letter:
    record = a_record(value=value)
    rejected = Rejected(record=record, reason=Reason.MISSING_VALUE, detail="no value")
    written = sealed_letter(
        dead_letter(rejected, failed_at_ms=NOW_MS, brief=False), keys, bytes(12)
    )
    place = TopicPartition("conversions.events.dlq", 0)
    found = read_letter(Record(place, 7, NOW_MS, written.key, written.value, written.headers, 0))
    assert isinstance(found, Letter)
    return found


@given(st.binary(max_size=50))
def test_what_was_sealed_is_opened_byte_for_byte(value: bytes) -> None:
    letter = opened(sealed(value), opening_with(WRITING))

    assert isinstance(letter, Letter)
    assert (letter.value, letter.sealed) == (value, None)


def test_a_record_without_a_value_is_not_sealed() -> None:
    letter = sealed(None)

    assert letter.sealed is None
    assert opening_with(WRITING)(letter) == letter


def test_a_former_key_still_opens_what_it_sealed() -> None:
    letter = sealed(b"event", SealingKeys(writing="old", keys={"old": OLD}))

    found = opening_with(WRITING)(letter)

    assert isinstance(found, Letter)
    assert found.value == b"event"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (SealingKeys(writing="old", keys={"old": OLD}), "key new, which is not in the key file"),
        (SealingKeys(writing="new", keys={"new": OLD}), "does not open it"),
    ],
)
def test_without_the_right_key_it_stays_closed_and_says_why(keys: SealingKeys, words: str) -> None:
    found = opening_with(keys)(sealed(b"event"))

    assert isinstance(found, StillSealed)
    assert words in found.detail


def test_the_keys_are_those_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"new: {b64encode(NEW).decode()}\n")

    assert unsealing(load_settings({})) is None
    opens = unsealing(load_settings({"CONVERSIONS_DLQ_KEY_FILE": str(path)}))

    assert opens is not None
    found = opens(sealed(b"event"))
    assert isinstance(found, Letter)
    assert found.value == b"event"


def test_a_key_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyFileMistake, match="cannot be read"):
        unsealing(load_settings({"CONVERSIONS_DLQ_KEY_FILE": str(tmp_path / "nowhere")}))

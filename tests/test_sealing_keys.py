"""The key file: read at the start, read again when it changes, and never lost to a mistake."""

import os
from base64 import b64encode
from pathlib import Path

import pytest

from consumer.letter_box import LetterBox
from consumer.model import Reason, Rejected
from consumer.sealing import unseal
from consumer.sealing_keys import KeyFile, KeyFileMistake, SealedDeadLetters
from tests.fakes.clock import FakeClock
from tests.fakes.dead_letters import FakeDeadLetters, header
from tests.fakes.events import NOW_MS, a_record

NEW, OLD = b64encode(bytes(range(32))).decode(), b64encode(bytes(range(32, 64))).decode()
CANARY = b"canary.bird@cage.example"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"old: {OLD}\n")
    return path


def replace(path: Path, text: str) -> None:
    """Another file in its place, as Kubernetes and careful people do it."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


def test_a_changed_file_is_taken_up_once(path: Path) -> None:
    key_file = KeyFile(path)
    assert key_file.poll() is None

    replace(path, f"new: {NEW}\nold: {OLD}\n")

    assert key_file.poll() == key_file.keys
    assert key_file.keys.writing == "new"
    assert set(key_file.keys.keys) == {"new", "old"}
    assert key_file.poll() is None


def test_a_mistake_keeps_the_old_keys_and_is_told_once(path: Path) -> None:
    key_file = KeyFile(path)
    replace(path, f"new: {NEW[:-5]}\n")

    mistake = key_file.poll()

    assert isinstance(mistake, KeyFileMistake)
    assert "CONVERSIONS_DLQ_KEY_FILE names must give key new as 32 bytes" in str(mistake)
    assert NEW[:10] not in str(mistake)
    assert key_file.keys.writing == "old"
    replace(path, f"new:  {NEW[:-5]}\n")
    assert key_file.poll() is None
    path.unlink()
    assert "no such file" in str(key_file.poll()).lower()
    assert key_file.poll() is None
    replace(path, f"old: {OLD}\n")
    assert key_file.poll() == key_file.keys, "mended, which is news"


@pytest.mark.parametrize("text", [None, "", "key: short\n"])
def test_a_first_file_without_keys_is_refused(path: Path, text: str | None) -> None:
    path.unlink()
    if text is not None:
        path.write_text(text)

    with pytest.raises(KeyFileMistake, match="the file that CONVERSIONS_DLQ_KEY_FILE names"):
        KeyFile(path)


def test_nothing_shows_a_key(path: Path) -> None:
    key_file = KeyFile(path)
    sealed = SealedDeadLetters(dead_letters=FakeDeadLetters(clock=FakeClock()), key_file=key_file)

    assert repr(sealed) == "<SealedDeadLetters <KeyFile sealing with old>>"


def test_every_letter_is_sealed_with_a_nonce_of_its_own_also_when_it_is_written_again(
    path: Path,
) -> None:
    clock = FakeClock()
    topic, key_file = FakeDeadLetters(clock=clock), KeyFile(path)
    box = LetterBox(dead_letters=SealedDeadLetters(dead_letters=topic, key_file=key_file))
    rejected = Rejected(record=a_record(value=CANARY), reason=Reason.MISSING_VALUE, detail="no")
    box.put(rejected, failed_at_ms=NOW_MS)
    topic.failing = "_MSG_TIMED_OUT"
    box.advance(0.0)
    box.advance(1.0)
    topic.failing = None
    replace(path, f"new: {NEW}\nold: {OLD}\n")
    key_file.poll()
    box.advance(100.0)

    assert box.advance(101.0) == [rejected]
    first, again = topic.produced
    assert (header(first, "sealed"), header(again, "sealed")) == ("old", "new")
    nonces = {(letter.value or b"")[:12] for letter in topic.produced}
    assert len(nonces) == 2
    for letter in topic.produced:
        assert CANARY not in (letter.value or b"")
        key_id, origin = header(letter, "sealed"), header(letter, "origin")
        assert key_id is not None
        assert origin is not None
        assert unseal(letter.value, key_file.keys, key_id, origin) == CANARY


def test_a_letter_too_large_is_sealed_in_each_of_its_forms(path: Path) -> None:
    topic = FakeDeadLetters(clock=FakeClock())
    box = LetterBox(dead_letters=SealedDeadLetters(dead_letters=topic, key_file=KeyFile(path)))
    topic.bytes_max = 10
    rejected = Rejected(record=a_record(value=CANARY), reason=Reason.MISSING_VALUE, detail="no")
    box.put(rejected, failed_at_ms=NOW_MS)
    for _ in range(4):
        box.advance(0.0)

    assert [header(letter, "sealed") for letter in topic.produced] == ["old"] * 3
    assert not any(CANARY in (letter.value or b"") for letter in topic.produced)

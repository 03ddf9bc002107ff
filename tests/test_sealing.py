"""Sealing: what is sealed opens with its key and origin alone, and nothing of it shows."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.dead_letter import DeadLetter, dead_letter
from consumer.model import Reason, Rejected
from consumer.sealing import (
    CannotUnseal,
    KeyMistake,
    SealingKeys,
    parse_keys,
    seal,
    sealed_letter,
    unseal,
)
from tests.fakes.events import NOW_MS, a_record

NEW, OLD = bytes(range(32)), bytes(range(32, 64))
KEYS = SealingKeys(writing="2026-11", keys={"2026-11": NEW, "2025-11": OLD})
NONCE = b"twelve bytes"
ORIGIN = "conversions.events:3:42:1760000000000"
CANARY = b"canary.bird@cage.example"


def a_letter(
    value: bytes | None, *, brief: bool = False, headers: tuple[tuple[str, bytes], ...] = ()
) -> DeadLetter:
    rejected = Rejected(
        record=a_record(value=value, headers=headers),
        reason=Reason.MISSING_VALUE,
        detail="no value",
    )
    return dead_letter(rejected, failed_at_ms=NOW_MS, brief=brief)


@given(st.binary(), st.binary(min_size=32, max_size=32), st.binary(min_size=12, max_size=12))
def test_what_was_sealed_opens_to_the_same_bytes_and_is_28_longer(
    value: bytes, key: bytes, nonce: bytes
) -> None:
    keys = SealingKeys(writing="k", keys={"k": key})

    sealed = seal(value, key, nonce, ORIGIN)

    assert sealed is not None
    assert len(sealed) == len(value) + 28
    assert unseal(sealed, keys, "k", ORIGIN) == value


def test_null_stays_null_and_empty_stays_empty() -> None:
    assert seal(None, NEW, NONCE, ORIGIN) is None
    assert unseal(None, KEYS, "2026-11", ORIGIN) is None
    assert unseal(seal(b"", NEW, NONCE, ORIGIN), KEYS, "2026-11", ORIGIN) == b""


def test_no_plaintext_is_left() -> None:
    sealed = seal(CANARY * 10, NEW, NONCE, ORIGIN)

    assert sealed is not None
    assert CANARY not in sealed
    assert sealed[:12] == NONCE


def test_every_key_of_the_file_opens() -> None:
    sealed = seal(b"long ago", OLD, NONCE, ORIGIN)

    assert unseal(sealed, KEYS, "2025-11", ORIGIN) == b"long ago"


@pytest.mark.parametrize(
    ("key_id", "origin", "told"),
    [
        ("2024-11", ORIGIN, "it is sealed with key 2024-11, which is not in the key file"),
        ("2025-11", ORIGIN, "key 2025-11 does not open it"),
        ("2026-11", ORIGIN.replace(":42:", ":43:"), "key 2026-11 does not open it"),
        ("2026-11\x1b[2J", ORIGIN, "sealed with key with no possible id"),
    ],
)
def test_what_does_not_open_says_why(key_id: str, origin: str, told: str) -> None:
    sealed = seal(CANARY, NEW, NONCE, ORIGIN)

    with pytest.raises(CannotUnseal) as refused:
        unseal(sealed, KEYS, key_id, origin)

    assert told in str(refused.value)
    assert "\x1b" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


@given(st.integers(0, 51), st.integers(1, 255))
def test_a_value_that_was_changed_anywhere_does_not_open(place: int, by: int) -> None:
    sealed = bytearray(seal(CANARY, NEW, NONCE, ORIGIN) or b"")
    sealed[place] ^= by

    with pytest.raises(CannotUnseal, match="does not open it"):
        unseal(bytes(sealed), KEYS, "2026-11", ORIGIN)


@given(st.binary(max_size=27))
def test_a_value_too_short_to_be_sealed_is_told(value: bytes) -> None:
    with pytest.raises(CannotUnseal, match="too short to be sealed"):
        unseal(value, KEYS, "2026-11", ORIGIN)


# --- the dead letter ----------------------------------------------------------------------------


@pytest.mark.parametrize("brief", [False, True])
def test_a_sealed_letter_says_with_which_key_and_opens_with_its_own_headers(brief: bool) -> None:
    letter = a_letter(CANARY, brief=brief)

    sealed = sealed_letter(letter, KEYS, NONCE)

    headers = dict(sealed.headers)
    assert headers.pop("conversions.sealed") == b"2026-11"
    assert headers == dict(letter.headers)
    assert (sealed.key, sealed.timestamp_ms) == (letter.key, letter.timestamp_ms)
    assert CANARY not in (sealed.value or b"")
    origin = (headers["conversions.origin"] or b"").decode()
    assert unseal(sealed.value, KEYS, "2026-11", origin) == CANARY


def test_a_letter_without_a_value_is_not_sealed() -> None:
    letter = a_letter(None)

    assert sealed_letter(letter, KEYS, NONCE) == letter


def test_a_publishers_header_of_that_name_is_not_kept() -> None:
    letter = a_letter(b"value", headers=(("conversions.sealed", b"mine"),))

    assert "conversions.sealed" not in dict(letter.headers)


# --- the key file -------------------------------------------------------------------------------


def line(key_id: str, key: bytes) -> str:
    return f"{key_id}: {b64encode(key).decode()}\n"


def test_the_first_key_of_a_file_seals_and_every_one_opens() -> None:
    text = f"# since the rotation of November\n{line('2026-11', NEW)}{line('2025-11', OLD)}"

    assert parse_keys(text) == KEYS
    assert parse_keys(line("7", NEW)).writing == "7"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must hold lines of key-id: key"),
        ("- a\n", "must hold lines of key-id: key"),
        (b64encode(NEW).decode(), "must hold lines of key-id: key"),
        (line("a", NEW) + line("a", OLD), "must hold lines of key-id: key, each id once"),
        ("{", "must hold lines of key-id: key"),
        (f"{b64encode(NEW).decode()}: a\n", "must begin line 1 with a key id"),
        (line("a", NEW) + line("b" * 65, OLD), "must begin line 2 with a key id"),
        (line("a", NEW[:31]), "must give key a as 32 bytes in base64"),
        (line("a", NEW + b"x"), "must give key a as 32 bytes in base64"),
        (f"a: {NEW.hex()}\n", "must give key a as 32 bytes in base64"),
        ("a: no!\n", "must give key a as 32 bytes in base64"),
        ("a:\n", "must give key a as 32 bytes in base64"),
        ("a: [1]\n", "must give key a as 32 bytes in base64"),
    ],
)
def test_a_mistake_in_the_keys_is_told_without_a_key(text: str, told: str) -> None:
    with pytest.raises(KeyMistake) as refused:
        parse_keys(text)

    assert told in str(refused.value)
    for key in (NEW, OLD):
        assert b64encode(key).decode()[:20] not in repr(refused.value)
        assert key.hex()[:20] not in repr(refused.value)
    assert refused.value.__context__ is None


def test_keys_have_no_repr() -> None:
    assert repr(KEYS) == "SealingKeys(writing='2026-11')"

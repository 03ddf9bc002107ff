"""Sealed dead letters: their values are encrypted, with keys that can be exchanged. Pure.

AES-256-GCM: a random nonce of 12 bytes, the ciphertext, and a tag of 16, in this order. The text of
the origin is authenticated with it, so that no value can be passed off as another record's.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consumer.dead_letter import DeadLetter, OwnHeader
from consumer.origin import ORIGIN
from consumer.plain_yaml import YamlMistake, load_plain

KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class CannotUnseal(Exception):
    """A sealed value stays closed. The message is a sentence, and shows no key and no value."""


class KeyMistake(Exception):
    """A key file that gives no keys. The message is a sentence's end, and shows nothing of it."""


@dataclass(frozen=True, slots=True)
class SealingKeys:
    """Keys by their ids: ``writing`` is the one to seal with, every one opens."""

    writing: str
    keys: Mapping[str, bytes] = field(repr=False)


def parse_keys(text: str) -> SealingKeys:
    """Lines of ``key-id: key``, which are YAML; each key is 32 bytes in base64, and the first is
    the one to seal with. Raises ``KeyMistake``."""
    try:
        document = load_plain(text)
    except YamlMistake:
        # Its own words may quote a key that was written in the place of its id.
        document = None
    if not isinstance(document, dict) or not document:
        raise KeyMistake("must hold lines of key-id: key, each id once")
    keys: dict[str, bytes] = {}
    for number, (key_id, encoded) in enumerate(document.items(), start=1):
        if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
            what = "up to 64 letters, digits, dots, dashes and underscores"
            raise KeyMistake(f"must begin line {number} with a key id of {what}")
        keys[key_id] = _key(encoded, key_id)
    return SealingKeys(writing=next(iter(keys)), keys=keys)


def seal(value: bytes | None, key: bytes, nonce: bytes, origin: str) -> bytes | None:
    """The sealed value, 28 bytes longer; null stays null. ``nonce`` is 12 random bytes, never used
    before; ``origin`` is the text of the header ``conversions.origin``."""
    assert len(nonce) == NONCE_BYTES, "a nonce of another size seals worse"
    return None if value is None else nonce + AESGCM(key).encrypt(nonce, value, origin.encode())


def unseal(value: bytes | None, keys: SealingKeys, key_id: str, origin: str) -> bytes | None:
    """What was sealed; null stays null. Raises ``CannotUnseal``."""
    if value is None:
        return None
    named = key_id if _KEY_ID.fullmatch(key_id) else "with no possible id"
    key = keys.keys.get(key_id)
    if key is None:
        raise CannotUnseal(f"it is sealed with key {named}, which is not in the key file")
    nonce, sealed = value[:NONCE_BYTES], value[NONCE_BYTES:]
    if len(sealed) < TAG_BYTES:
        raise CannotUnseal(f"it is too short to be sealed, though it names key {named}")
    with suppress(InvalidTag):
        return AESGCM(key).decrypt(nonce, sealed, origin.encode())
    told = "the key is another one of that name, or the value or its origin was changed"
    raise CannotUnseal(f"key {named} does not open it: {told}")


def sealed_letter(letter: DeadLetter, keys: SealingKeys, nonce: bytes) -> DeadLetter:
    """The same dead letter without its plaintext, and with the header that names the key."""
    if letter.value is None:
        return letter
    origin = next(value for name, value in letter.headers if name == ORIGIN and value is not None)
    value = seal(letter.value, keys.keys[keys.writing], nonce, origin.decode())
    headers = (*letter.headers, (OwnHeader.SEALED.header, keys.writing.encode()))
    return letter._replace(value=value, headers=headers)


def _key(encoded: object, key_id: str) -> bytes:
    key = b""
    with suppress(ValueError):  # told below, without the library's error as context
        key = b64decode(encoded, validate=True) if isinstance(encoded, str) else b""
    if len(key) != KEY_BYTES:
        raise KeyMistake(f"must give key {key_id} as {KEY_BYTES} bytes in base64")
    return key

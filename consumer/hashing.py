"""One text → one hash, or why there is none: what every hashed match key has in common.

Nothing empty is ever hashed, nothing is hashed twice, and nothing raises.
"""

import re
from collections.abc import Callable
from hashlib import sha256

from consumer.model import DropReason

Outcome = str | DropReason | None
"""The finished value, why the text is of no use, or None when there is nothing in it."""

TEXT_LENGTH_MAX = 256
"""No address, number, name or place is longer. External ids may be: they are not remembered."""

NO_NAMES = frozenset({"n/a", "unknown", "undefined", "-", "(null)", "<null>", "#n/a", "\\n"})
"""What programs write where they have no value, and nobody is called."""

PLACEHOLDERS = NO_NAMES | {"null", "none"}


def hashed(
    text: str,
    read: Callable[[str], str | DropReason],
    placeholders: frozenset[str] = PLACEHOLDERS,
) -> Outcome:
    """What every key has in common; ``read`` answers "" for what it cannot make sense of."""
    visible = visible_part(text)
    if not visible:
        return None
    if known := hash_or_unusable(visible, placeholders):
        return known
    normal = read(visible)
    if isinstance(normal, DropReason):
        return normal
    return hash_of(normal) if normal else DropReason.MALFORMED


def hash_of(text: str) -> str | DropReason:
    """64 hex digits of the text as it is."""
    try:
        return sha256(text.encode()).hexdigest()
    except UnicodeEncodeError:  # half of a surrogate pair: no UTF-8, so nothing to hash
        return DropReason.MALFORMED


def hash_or_unusable(
    visible: str, placeholders: frozenset[str] = PLACEHOLDERS
) -> str | DropReason | None:
    """A text that is already a hash, or that never was a value; None for everything else."""
    if len(visible) < 32:
        return DropReason.PLACEHOLDER if visible.lower() in placeholders else None
    if known := sha256_or_none(visible):
        return known
    return DropReason.UNKNOWN_HASH if _HASH_LIKE(visible) else None


def sha256_or_none(visible: str) -> str | DropReason | None:
    """A SHA-256, never hashed twice; its appendix is case-sensitive and stays as it is."""
    match = _SHA256(visible)
    if match is None:
        return None
    digest = match[1].lower()
    return DropReason.PLACEHOLDER if digest == _SHA256_OF_NOTHING else digest + match[2]


_SHA256 = re.compile(
    r"([0-9A-Fa-f]{64})((?:\.(?:[A-Za-z0-9_-]{8}|A[Qgw]|B[AQg]))?)"  # Meta's parameter builder
).fullmatch
# MD5, SHA-1, SHA-512, one cut short or with something about it; a SHA-256 in base64. To hash one
# of these again would look like a value and find nobody.
_HASH_LIKE = re.compile(r"[0-9A-Fa-f]{32}|^[A-Za-z0-9+/_-]{43}=$").search
_SHA256_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def is_placeholder(visible: str) -> bool:
    """Whether a program wrote this where it had no value."""
    return visible.lower() in PLACEHOLDERS


def is_encodable(text: str) -> bool:
    """Whether the text has a UTF-8 form; half of a surrogate pair has none."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return True


def visible_part(text: str) -> str:
    """Trimmed, and without the characters that nobody sees: BOM, zero width, direction, fillers."""
    return text.strip(_BLANK) if text.isascii() else _INVISIBLE("", text).strip(_BLANK)


def trimmed(text: str) -> str:
    """Without white space and invisible characters at the ends; what is between is untouched."""
    visible = visible_part(text)
    if not visible or text.isascii():
        return visible
    return text[text.index(visible[0]) : text.rindex(visible[-1]) + 1]


# White space, and the control characters that programs fill up their columns with.
_BLANK = "".join(
    (
        *map(chr, (*range(0x21), *range(0x7F, 0xA1), 0x1680, *range(0x2000, 0x200B))),
        *"\u2028\u2029\u202f\u205f\u3000",
    )
)


# Unicode's category Cf and what it calls "default ignorable": the same in every version of Python.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
).sub

"""Sealed letters opened, for whoever has the key file."""

from dataclasses import replace

from consumer.letter import Letter, StillSealed, Unseal
from consumer.sealing import CannotUnseal, SealingKeys, unseal
from consumer.sealing_keys import read_keys
from consumer.settings import Settings


def unsealing(settings: Settings) -> Unseal | None:
    """What opens letters by the keys of ``CONVERSIONS_DLQ_KEY_FILE``; None where none is set.

    Raises ``KeyFileMistake``, which is a ValueError.
    """
    return None if settings.dlq_key_file is None else opening_with(read_keys(settings.dlq_key_file))


def opening_with(keys: SealingKeys) -> Unseal:
    """What opens letters by these keys."""

    def opened(letter: Letter) -> Letter | StillSealed:
        if letter.sealed is None:
            return letter
        try:
            value = unseal(letter.value, keys, letter.sealed, str(letter.origin))
        except CannotUnseal as error:
            return StillSealed(str(error))
        return replace(letter, value=value, sealed=None)

    return opened

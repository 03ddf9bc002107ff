"""The key file of sealed dead letters: read, and read again whenever it changes.

A mistake in a changed file never takes away the keys in force.
"""

import os
from pathlib import Path

from consumer.dead_letter import DeadLetter
from consumer.letter_box import DeadLetters, Report
from consumer.sealing import NONCE_BYTES, KeyMistake, SealingKeys, parse_keys, sealed_letter
from consumer.secret_files import UnreadableFile, read_text, version


class KeyFileMistake(ValueError):
    """The key file gives no keys. The message is a sentence that shows nothing of the file."""


def read_keys(path: Path) -> SealingKeys:
    """The keys of ``CONVERSIONS_DLQ_KEY_FILE``. Raises ``KeyFileMistake``."""
    problem: str
    try:
        return parse_keys(read_text(path))
    except (UnreadableFile, KeyMistake) as reason:
        problem = f"the file that CONVERSIONS_DLQ_KEY_FILE names {reason}"
    raise KeyFileMistake(problem)


class KeyFile:
    """The key file, looked at again and again. Raises ``KeyFileMistake`` when it is first read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = version(path)
        self._told: str | None = None
        self.keys = read_keys(path)

    def __repr__(self) -> str:
        return f"<KeyFile sealing with {self.keys.writing}>"

    def poll(self) -> SealingKeys | KeyFileMistake | None:
        """New keys, or the mistake for which the old ones stay; None if nothing is new.

        The same mistake is told once. When it is mended the keys come again, even the old ones.
        """
        now = version(self._path)
        if now is not None and now == self._seen:
            return None
        self._seen = now
        try:
            found = read_keys(self._path)
        except KeyFileMistake as mistake:
            told, self._told = self._told, str(mistake)
            return None if told == str(mistake) else mistake
        if found == self.keys and self._told is None:
            return None
        self.keys, self._told = found, None
        return found


class SealedDeadLetters:
    """Seals dead letters on their way to the topic; satisfies ``letter_box.DeadLetters``."""

    def __init__(self, *, dead_letters: DeadLetters, key_file: KeyFile) -> None:
        self._dead_letters = dead_letters
        self._key_file = key_file

    def __repr__(self) -> str:
        return f"<SealedDeadLetters {self._key_file!r}>"

    def produce(self, letter: DeadLetter, ticket: int) -> bool:
        """Seal one, each time with a nonce of its own, and queue it; False when that is full."""
        sealed = sealed_letter(letter, self._key_file.keys, os.urandom(NONCE_BYTES))
        return self._dead_letters.produce(sealed, ticket)

    def reports(self) -> list[Report]:
        """What became of dead letters since the last call."""
        return self._dead_letters.reports()

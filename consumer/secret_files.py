"""Secrets in files, which their owners replace while we run.

Kubernetes swaps a symbolic link, others rename or write in place: what is compared is the file
behind the path, so that each way is seen.
"""

import os
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

SIZE_MAX = 1 << 20


class UnreadableFile(Exception):
    """A file cannot be read. The message is a sentence's end, without the path: people put the
    secret itself where its file belongs."""


def read_secret_file(path: Path) -> str:
    """The file's text without one newline at its end. Raises ``UnreadableFile``."""
    return read_text(path).removesuffix("\n").removesuffix("\r")


def read_text(path: Path) -> str:
    """The file's whole text, at most 1 MiB of UTF-8. Raises ``UnreadableFile``."""
    reason: str
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_MAX + 1)
        if len(content) <= SIZE_MAX:
            return content.decode("utf-8-sig")
        reason = "more than 1 MiB"
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "no such file"
    except ValueError:
        reason = "not UTF-8 text"
    # Outside the handler: a decoding error carries the file's content, and is not kept as context.
    raise UnreadableFile(f"cannot be read ({reason})")


class Version(NamedTuple):
    """Tells one state of a file from another without reading it."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int


def version(path: Path) -> Version | None:
    """The state of the file behind ``path``, symbolic links followed; None when there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return Version(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class RotatingSecret:
    """A secret that is either given once or read from a file, and then again when that changes.

    A file that is gone or empty leaves the last secret in force: it is being replaced, and a
    secret that is truly revoked is refused by the other side. May be asked from any thread.
    """

    def __init__(self, *, value: SecretStr | None, path: Path | None) -> None:
        self._value = value
        self._path = path
        self._seen: Version | None = None
        self._problem: str | None = None

    def __repr__(self) -> str:
        return f"RotatingSecret(path={self._path!r})"

    def current(self) -> SecretStr | None:
        """The secret in force; None when there never was one."""
        self._refresh()
        return self._value

    def problem(self) -> str | None:
        """Why the file gives no secret now, as a sentence's end; None when it does."""
        self._refresh()
        return self._problem

    def _refresh(self) -> None:
        if self._path is None:
            return
        # Looked at before it is read: a change in between is seen the next time.
        now = version(self._path)
        if now is not None and now == self._seen:
            return
        try:
            text = read_secret_file(self._path)
        except UnreadableFile as error:
            self._problem, self._seen = str(error), None
            return
        self._problem = None if text else "is empty"
        if text:
            self._value = SecretStr(text)
        # Last: another thread that finds the file seen finds its secret, too.
        self._seen = now

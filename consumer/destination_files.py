"""The destinations file and the token files: read, and read again whenever they change.

A mistake in a changed file never takes away what is in force. Tokens stand in files of their own.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkstemp

from pydantic import SecretStr

from consumer.destinations import (
    Destinations,
    DestinationsError,
    one_destination,
    parse_destinations,
)
from consumer.model import PixelId
from consumer.secret_files import RotatingSecret, UnreadableFile, Version, read_text, version
from consumer.setting_fields import is_token
from consumer.settings import Settings


def destinations_from(settings: Settings) -> Destinations:
    """What the settings name: a file, one pixel, or nothing, and then anything goes.

    Raises ``DestinationsError``.
    """
    if settings.destinations_file is not None:
        return _read(settings.destinations_file)
    if settings.pixel_id is not None:
        return one_destination(PixelId(settings.pixel_id))
    return Destinations.anything()


def tokens_from(settings: Settings, destinations: Destinations) -> "Tokens":
    """The tokens of ``destinations``; who has no file of its own uses the settings' token."""
    shared = settings.rotating_secret("CONVERSIONS_ACCESS_TOKEN")
    return Tokens(destinations=destinations, shared=shared)


def write_destinations(path: Path, text: str, *, replace: bool) -> int:
    """Write a destinations file that we could read; returns how many are in it.

    The file appears as a whole, readable for everybody. Raises ``FileExistsError`` when there is
    one already and ``replace`` does not say so, and ``OSError``.
    """
    target = path.resolve()
    found = parse_destinations(text, target.parent)
    descriptor, draft = mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o644)
            file.write(text.encode())
        # A link, unlike a renaming, never takes the place of what is there.
        (os.replace if replace else os.link)(draft, target)
    finally:
        Path(draft).unlink(missing_ok=True)
    return len(found)


class DestinationsFile:
    """The destinations file, looked at again and again. ``in_force`` is what it gave before."""

    def __init__(self, *, path: Path, in_force: Destinations) -> None:
        self._path = path
        self._in_force = in_force
        self._mistake: DestinationsError | None = None
        self._seen: Version | None = None

    def poll(self) -> Destinations | DestinationsError | None:
        """New destinations, or the mistakes for which the old ones stay; None if nothing is new.

        The same mistakes are told once. When they are mended, the destinations come again, even
        if they are the old ones.
        """
        now = version(self._path)
        if now is not None and now == self._seen:
            return None
        self._seen = now
        try:
            found = _read(self._path)
        except DestinationsError as mistake:
            told = self._mistake is not None and self._mistake.problems == mistake.problems
            self._mistake = mistake
            return None if told else mistake
        if found == self._in_force and self._mistake is None:
            return None
        self._in_force, self._mistake = found, None
        return found


class Tokens:
    """The access token of each destination, read again when its file changes.

    ``shared`` serves the destinations that name no file. May be asked from any thread; ``use``
    belongs to the one that polls the destinations.
    """

    def __init__(self, *, destinations: Destinations, shared: RotatingSecret) -> None:
        self._shared = shared
        self._in_force: _InForce = (destinations, {})
        self.use(destinations)

    def use(self, destinations: Destinations) -> None:
        """Take new destinations; the tokens that their files gave before stay in force."""
        _, before = self._in_force
        paths = {path for each in destinations if (path := each.access_token_file) is not None}
        files = {path: before.get(path) or RotatingSecret(value=None, path=path) for path in paths}
        # Both at once: another thread must never see the one without the other.
        self._in_force = (destinations, files)

    def of(self, pixel: PixelId) -> SecretStr | None:
        """The token for a pixel; None when there is none, which ``problem`` explains."""
        secret = self._secret(pixel)
        value = secret.current() if secret is not None else None
        token = value.get_secret_value().strip() if value is not None else ""
        return SecretStr(token) if is_token(token) else None

    def body_fields_of(self, pixel: PixelId) -> Mapping[str, str]:
        """What else than its token a pixel's requests carry."""
        destination = self._in_force[0].get(pixel)
        return {} if destination is None else destination.body_fields

    def problem(self, pixel: PixelId) -> str | None:
        """What is wrong with a pixel's token, in one sentence; None when nothing is."""
        secret = self._secret(pixel)
        if secret is None:
            return "the pixel is not one of the destinations"
        if reason := secret.problem():
            return f"the file with the access token {reason}"
        if secret.current() is None:
            return "there is neither an accessTokenFile nor CONVERSIONS_ACCESS_TOKEN"
        if self.of(pixel) is None:
            return "the access token must be one line of printable characters without spaces"
        return None

    def _secret(self, pixel: PixelId) -> RotatingSecret | None:
        destinations, files = self._in_force
        destination = destinations.get(pixel)
        if destination is None:
            return None
        path = destination.access_token_file
        return self._shared if path is None else files[path]


_InForce = tuple[Destinations, Mapping[Path, RotatingSecret]]


def _read(path: Path) -> Destinations:
    problem: str
    try:
        return parse_destinations(read_text(path), path.parent)
    except UnreadableFile as reason:
        problem = f"the destinations file {reason}"
    raise DestinationsError((problem,))

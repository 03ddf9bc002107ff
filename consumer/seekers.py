"""The tokens to search for pixels with: each configured one once, or one in a file of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

from consumer.destination_files import destinations_from, tokens_from
from consumer.found_pixels import Gap
from consumer.model import PixelId
from consumer.secret_files import UnreadableFile, read_secret_file
from consumer.setting_fields import is_token
from consumer.settings import Settings

SHARED = "CONVERSIONS_ACCESS_TOKEN"


class NoToken(Exception):
    """There is nothing to search with. The message is a sentence without an end mark."""


class Seeker(NamedTuple):
    """A token to search with. ``label`` names it in gaps, ``configured`` are its destinations."""

    label: str
    token: SecretStr
    configured: tuple[PixelId, ...]

    def __repr__(self) -> str:
        return f"Seeker({self.label})"


class Seekers(NamedTuple):
    """Whoever can search, and what is missing because a destination has no token."""

    seekers: tuple[Seeker, ...]
    gaps: tuple[Gap, ...]


def seekers_from(settings: Settings) -> Seekers:
    """A seeker for each distinct token of the settings and the destinations.

    Raises ``DestinationsError``, and ``NoToken`` when none is configured at all.
    """
    destinations = destinations_from(settings)
    tokens = tokens_from(settings, destinations)
    gaps: list[Gap] = []
    by_token: dict[SecretStr, list[PixelId]] = {}
    for destination in destinations:
        token = tokens.of(destination.id)
        if token is None:
            told = f"Pixel {destination.id} was not read: {tokens.problem(destination.id)}."
            gaps.append(Gap(f"pixel {destination.id}", destination.id, 1, None, told))
        else:
            by_token.setdefault(token, []).append(destination.id)
    shared = settings.rotating_secret(SHARED).current()
    if shared is not None and is_token(shared.get_secret_value().strip()):
        by_token.setdefault(SecretStr(shared.get_secret_value().strip()), [])
    if not by_token and not gaps:
        raise NoToken(
            f"{SHARED}, CONVERSIONS_DESTINATIONS_FILE or --token-file must give a token to ask with"
        )
    return Seekers(tuple(_labelled(by_token, shared)), tuple(gaps))


def seeker_of(token_file: Path) -> Seekers:
    """The token of that file alone, whatever is configured. Raises ``NoToken``."""
    problem: str
    try:
        text = read_secret_file(token_file).strip()
    except UnreadableFile as reason:
        problem = str(reason)
    else:
        if is_token(text):
            return Seekers((Seeker("--token-file", SecretStr(text), ()),), ())
        problem = "must hold one line of printable characters without spaces"
    raise NoToken(f"--token-file {problem}")


def _labelled(
    by_token: Mapping[SecretStr, list[PixelId]], shared: SecretStr | None
) -> list[Seeker]:
    """Tokens are named by where they stand: their values and paths are nobody's business."""
    plain = shared.get_secret_value().strip() if shared is not None else None
    found = []
    for token, pixels in by_token.items():
        if token.get_secret_value() == plain:
            label = SHARED
        else:
            more = f" and {len(pixels) - 1} more" if len(pixels) > 1 else ""
            label = f"the token of pixel {pixels[0]}{more}"
        found.append(Seeker(label, token, tuple(pixels)))
    return found

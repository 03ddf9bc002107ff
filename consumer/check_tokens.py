"""Checks each distinct access token with Meta: whether it is valid, and for how many days yet.

That Meta does not tell a token about itself never means that it cannot send: that is skipped.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import monotonic

from pydantic import SecretStr

from consumer.check_meta import ASKING_SECONDS
from consumer.destination_files import destinations_from, tokens_from
from consumer.destinations import DestinationsError
from consumer.finding import Finding, failed, ok, skipped, warning
from consumer.meta import GraphReader
from consumer.model import PixelId
from consumer.pixel_figures import Unreadable
from consumer.settings import Settings
from consumer.token_inspection import TokenInspection
from consumer.token_state import TokenState

NOTICE_DAYS = 14.0
"""A token that ends sooner is a warning."""
DAY_SECONDS = 86_400.0
_PARALLEL = 8
_ADVICE = "Make a new one in Events Manager, and put it where this one stands."


def check_tokens(
    settings: Settings, *, reader: GraphReader, now: Callable[[], float]
) -> Iterator[Finding]:
    """A finding for each token that a destination uses; ``now`` gives wall-clock seconds."""
    try:
        destinations = destinations_from(settings)
    except DestinationsError:
        return  # told where the destinations are checked
    tokens = tokens_from(settings, destinations)
    users: dict[SecretStr, list[PixelId]] = {}
    for destination in destinations:
        token = tokens.of(destination.id)
        if token is not None:
            users.setdefault(token, []).append(destination.id)
    inspection = TokenInspection(reader=reader)
    until = monotonic() + ASKING_SECONDS

    def ask(token: SecretStr) -> TokenState | Unreadable:
        if monotonic() > until:
            return Unreadable("there was no time left to ask", by_question=False)
        return inspection.state(token)

    with ThreadPoolExecutor(_PARALLEL) as pool:
        states = pool.map(ask, users)
        for pixels, state in zip(users.values(), states, strict=True):
            yield token_finding(pixels, state, now=now())


def token_finding(
    pixels: Sequence[PixelId], state: TokenState | Unreadable, *, now: float
) -> Finding:
    """What the state of the token of these pixels means at ``now``, in wall-clock seconds."""
    more = f" and {len(pixels) - 1} more" if len(pixels) > 1 else ""
    subject = f"token of {pixels[0]}{more}"
    if isinstance(state, Unreadable):
        return skipped(subject, state.why, "")
    if not state.is_valid:
        return failed(subject, "Meta calls it invalid: it has ended, or was revoked", _ADVICE)
    if state.expires_at is None:
        return ok(subject, "it is valid, and has no end")
    days = (state.expires_at - now) / DAY_SECONDS
    if days > NOTICE_DAYS:
        return ok(subject, f"it is valid for {days:.0f} days yet")
    ends = datetime.fromtimestamp(state.expires_at, UTC)
    return warning(subject, f"it ends in {max(days, 0):.1f} days, at {ends:%F %R} UTC", _ADVICE)

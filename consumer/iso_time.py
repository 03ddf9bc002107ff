"""Milliseconds since the epoch ↔ ISO 8601 in UTC. Pure."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache


@lru_cache(4096)  # what is dead-lettered together shares most of its times
def iso_time(milliseconds: int | None) -> str:
    """ISO 8601 in UTC with milliseconds; empty for None or a time that no calendar has."""
    if milliseconds is None:
        return ""
    try:
        moment = _EPOCH + milliseconds * _MS  # through a float a millisecond may get lost
    except OverflowError:
        return ""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ms_of_iso(text: str) -> int | None:
    """Milliseconds since the epoch of an ISO 8601 time, UTC unless it says otherwise; None for what
    is none."""
    try:
        moment = datetime.fromisoformat(text)
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MS
    except (OverflowError, ValueError):
        return None


_EPOCH = datetime.fromtimestamp(0, UTC)
_MS = timedelta(milliseconds=1)

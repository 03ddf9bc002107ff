"""Whether a dead letter can still be replayed, and until when. Pure.

Meta takes an event for 7 days after it happened, and forgets after 48 hours which event ids it
has taken: what it may have counted could later be counted twice.
"""

from enum import Enum

from consumer.letter import Letter, Marker
from consumer.meta_limits import AMBIGUOUS_MS_MAX, MARGIN_MS, WEEK_MS


class Obstacle(Enum):
    """Why a dead letter cannot be replayed as it is; the value stands in JSON."""

    EXPIRED = "expired"
    MAYBE_DELIVERED = "maybe_delivered"
    BY_REFERENCE = "by_reference"


def obstacle_of(letter: Letter, *, now_ms: int) -> Obstacle | None:
    """What is in the way of a replay now; None when nothing is known to be."""
    if letter.by_reference:
        return Obstacle.BY_REFERENCE
    expiry_ms = _expiry_ms(letter)
    if expiry_ms is not None and expiry_ms <= now_ms:
        return Obstacle.EXPIRED
    first_ms = letter.first_sent_at_ms
    if letter.maybe_delivered and (first_ms is None or first_ms + AMBIGUOUS_MS_MAX <= now_ms):
        return Obstacle.MAYBE_DELIVERED
    return None


def replay_until_ms(letter: Letter) -> int | None:
    """The time from which on there is an obstacle that was none before; None if not known."""
    ends = [] if (expiry_ms := _expiry_ms(letter)) is None else [expiry_ms]
    if letter.maybe_delivered and letter.first_sent_at_ms is not None:
        ends.append(letter.first_sent_at_ms + AMBIGUOUS_MS_MAX)
    return min(ends, default=None)


def _expiry_ms(letter: Letter) -> int | None:
    """The time after which Meta refuses it. What was rejected before it had one is taken to live
    7 days, which for an event of a physical store is too careful."""
    if letter.expires_at_ms is not None or letter.event_time_ms is None:
        return letter.expires_at_ms
    return letter.event_time_ms + WEEK_MS - MARGIN_MS


class Replays:
    """Which dead letters were replayed already, by the marks that replays leave. Of each mark only
    a hash is kept: a million take some 60 MB."""

    def __init__(self) -> None:
        self._hashes: set[int] = set()

    def __repr__(self) -> str:
        return f"<Replays {len(self._hashes)}>"

    def note(self, marker: Marker) -> None:
        """Remember one; the same one again changes nothing."""
        if marker.mark is not None:
            self._hashes.add(hash(marker.mark))

    def has(self, letter: Letter) -> bool:
        """Whether this letter was replayed; what came back afterwards is another one."""
        return self.has_hash(next_hash(letter))

    def has_hash(self, number: int) -> bool:
        """The same, for whoever keeps of a letter only its ``next_hash``."""
        return number in self._hashes


def next_hash(letter: Letter) -> int:
    """The hash of the mark that a replay of this letter leaves; 0 where it has no origin."""
    return 0 if letter.next_mark is None else hash(letter.next_mark)

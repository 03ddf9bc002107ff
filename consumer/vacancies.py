"""Which windows are worth closing: a batch that cannot go out yet had better fill on.

When more comes in than goes out, requests grow instead of queueing: the same places carry more
events. Made anew for each moment; pure.
"""

from collections import Counter
from collections.abc import Callable, Mapping

from consumer.model import PixelId
from consumer.outbox import Outbox


class Vacancies:
    """The places that are left for requests, of all and of each destination."""

    def __init__(
        self,
        *,
        outboxes: Mapping[PixelId, Outbox],
        left: int,
        room: Callable[[PixelId], int | None],
        now: float,
    ) -> None:
        """``left``: so many requests may go out to all together; ``room`` bounds those of a
        destination that shares a limit of Meta's."""
        self._outboxes, self._room, self._now = outboxes, room, now
        self._left = left
        self._taken: Counter[PixelId] = Counter()

    def __repr__(self) -> str:
        return f"<Vacancies {self._left} left>"

    def take(self, destination: PixelId) -> bool:
        """Whether a batch of it could go out now; it counts as gone then.

        Of a destination in trouble a window closes in its time all the same: what waits in an
        outbox is watched for its age, and can be given up for the sake of others.
        """
        outbox = self._outboxes.get(destination)
        if outbox is not None and outbox.trouble_since is not None:
            return True
        if self._left <= 0 or (outbox is not None and self._is_full(outbox)):
            return False
        self._taken[destination] += 1
        self._left -= 1
        return True

    def _is_full(self, outbox: Outbox) -> bool:
        destination = outbox.destination
        places = outbox.places(self._now, room=self._room(destination))
        return places <= self._taken[destination]

"""How far to trust the event that Meta's answers point at.

An index in an answer is promised nowhere: it may count from 1, or over another array. So the first
event that is named is sent alone, and later ones are taken for bad only after it was refused; every
so many of them one is sent alone again. An index outside of the request ends the trust at once.
"""

from collections.abc import Sequence

from consumer.model import MetaError, Prepared

ON_TRUST_MAX = 15
"""So many named events in a row are taken for bad, then one is sent alone."""


class Trust:
    """What one batch has taught about the hints in Meta's answers."""

    def __init__(self) -> None:
        self.refuted = False
        self._on_trust_left = 0

    def __repr__(self) -> str:
        return f"<Trust {'refuted' if self.refuted else f'{self._on_trust_left} on trust'}>"

    @property
    def verified(self) -> bool:
        """Whether the next event that is named will be taken for bad as well."""
        return self._on_trust_left > 0

    def named(self, error: MetaError, refused: Sequence[Prepared]) -> Prepared | None:
        """The event of the request ``refused`` that the answer points at, if that is of use."""
        index = error.event_index
        if index is None or self.refuted:
            return None
        if not 0 <= index < len(refused):
            self.refute()
            return None
        return refused[index]

    def take_on_trust(self) -> bool:
        """Whether one more named event is taken for bad without having been sent alone."""
        self._on_trust_left = max(0, self._on_trust_left - 1)
        return self.verified

    def verify(self) -> None:
        """An event that was named is bad."""
        self._on_trust_left = 0 if self.refuted else ON_TRUST_MAX + 1

    def refute(self) -> None:
        """An event that was named is not bad, or there is none."""
        self.refuted, self._on_trust_left = True, 0

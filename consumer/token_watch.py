"""The running consumer's look at its access tokens: each asked once, shown for all who use it."""

from collections.abc import Callable, Collection, Mapping

from pydantic import SecretStr

from consumer.journal import Journal
from consumer.model import PixelId
from consumer.pixel_figures import Unreadable
from consumer.token_state import TokenState
from consumer.watch import Asking, Watch


class TokenWatch:
    """Turned by the loop every now and then. ``token_of`` gives the token in force: what it says
    anew, because a file has changed, is asked at once."""

    def __init__(
        self,
        *,
        asking: Asking[SecretStr, TokenState],
        every_seconds: float,
        token_of: Callable[[PixelId], SecretStr | None],
        journal: Journal,
    ) -> None:
        self._watch: Watch[SecretStr, TokenState] = Watch(
            asking=asking, every_seconds=every_seconds
        )
        self._token_of = token_of
        self._journal = journal
        self._shown: Mapping[PixelId, TokenState] = {}

    def turn(self, now: float, *, ours: bool, destinations: Collection[PixelId]) -> None:
        """Ask if it is time, and show what is known. ``ours`` says whether asking is up to us."""
        users: dict[SecretStr, list[PixelId]] = {}
        for destination in destinations:
            token = self._token_of(destination)
            if token is not None:
                users.setdefault(token, []).append(destination)
        for token, answer in self._watch.turn(now, ours=ours, questions=users):
            # Without users it was replaced meanwhile, and is nobody's business.
            if isinstance(answer, Unreadable) and token in users:
                self._journal.token_unreadable(users[token], answer.why)
            elif token in users:
                self._journal.token_read(users[token])
        known = self._watch.known if ours else {}
        shown = {each: state for token, state in known.items() for each in users[token]}
        if shown != self._shown:
            self._shown = shown
            self._journal.token_states(shown)

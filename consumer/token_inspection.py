"""What Meta thinks of an access token, asked through Graph with that token.

``debug_token`` wants the token as a parameter of a GET, and a token never stands in a URL: so the
call travels in the body of a batch request, as whose part Meta documents it to be the same.
"""

from pydantic import SecretStr

from consumer.graph_answers import Obstacle, Trouble
from consumer.meta import GraphReader, Unanswered
from consumer.pixel_figures import Unreadable, unreadable
from consumer.token_state import TokenState, read_token_state


class TokenInspection:
    """Asks for one token at a time; safe for many threads."""

    def __init__(self, *, reader: GraphReader) -> None:
        self._reader = reader

    def state(self, token: SecretStr) -> TokenState | Unreadable:
        """Whether the token is valid, and until when; or why that is not known."""
        asked = {"input_token": token.get_secret_value()}
        answer = self._reader.get_in_batch("debug_token", asked, token=token)
        if isinstance(answer, Unanswered):
            return Unreadable(f"Meta did not answer: {answer.why}", by_question=False)
        found = read_token_state(answer.status, answer.headers, answer.body)
        return _untold(found) if isinstance(found, Trouble) else found


def _untold(trouble: Trouble) -> Unreadable:
    if trouble.obstacle in (Obstacle.PERMISSION, Obstacle.REFUSED, Obstacle.UNKNOWN_OBJECT):
        told = (
            f"Meta does not tell this token about itself{trouble.codes}; it may send all the same"
        )
        return Unreadable(told, by_question=False)
    return unreadable(trouble)

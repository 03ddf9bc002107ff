"""A consumer that runs on this machine: what a command asks of it, through its metrics port."""

from http.client import HTTPConnection, HTTPException
from typing import NamedTuple

from consumer.model import PixelId, Place
from consumer.probes import SERVER
from consumer.skip import ANSWER_SECONDS as SKIP_SECONDS
from consumer.skip import Skipping
from consumer.unanswered import why_unanswered

ANSWER_SECONDS = 5.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


class NobodyThere(Exception):
    """There is no answer. The message is a sentence's end."""


class _Said(NamedTuple):
    status: int
    body: str


class RunningMember:
    """The member that serves ``host`` and ``port``, as its settings have them."""

    def __init__(self, *, host: str, port: int) -> None:
        self._host = _ANYWHERE.get(host, host)
        self._port = port

    @property
    def address(self) -> str:
        """``http://host:port``."""
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self._port}"

    def resume(self, destination: PixelId) -> int:
        """Ask it to end a destination's halt; the status of its answer, as ``probes`` has them.

        Raises ``NobodyThere``.
        """
        return self._post(f"/destinations/{destination}/resume", ANSWER_SECONDS).status

    def skip(self, place: Place) -> Skipping | int:
        """Ask it to take a record out of the way, and wait for it. A status where it does not take
        that from us at all.

        Raises ``NobodyThere``.
        """
        said = self._post(f"/records/{place}/skip", SKIP_SECONDS + ANSWER_SECONDS)
        try:
            return Skipping(said.body.strip())
        except ValueError:
            return said.status

    def _post(self, path: str, seconds: float) -> _Said:
        client = HTTPConnection(self._host, self._port, timeout=seconds)
        problem: str
        try:
            client.request("POST", path)
            answer = client.getresponse()
            if (answer.getheader("Server") or "").startswith(SERVER):
                return _Said(answer.status, answer.read(100).decode(errors="replace"))
            problem = f"something else does (HTTP {answer.status})"
        except (OSError, HTTPException) as error:
            problem = why_unanswered(error)
        finally:
            client.close()
        raise NobodyThere(problem)

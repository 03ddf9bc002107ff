"""A consumer that runs on this machine: what a command asks of it, through its metrics port."""

from http.client import HTTPConnection, HTTPException

from consumer.model import PixelId
from consumer.probes import SERVER
from consumer.unanswered import why_unanswered

ANSWER_SECONDS = 5.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


class NobodyThere(Exception):
    """There is no answer. The message is a sentence's end."""


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
        client = HTTPConnection(self._host, self._port, timeout=ANSWER_SECONDS)
        problem: str
        try:
            client.request("POST", f"/destinations/{destination}/resume")
            answer = client.getresponse()
            if (answer.getheader("Server") or "").startswith(SERVER):
                return answer.status
            problem = f"something else does (HTTP {answer.status})"
        except (OSError, HTTPException) as error:
            problem = why_unanswered(error)
        finally:
            client.close()
        raise NobodyThere(problem)

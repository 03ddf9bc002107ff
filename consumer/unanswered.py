"""Why somebody did not answer, as a sentence's end: without the URL, which may hold credentials.

The errors of HTTP libraries may quote it. What is below them is Python's own: the kinds of
``ssl``, ``socket`` and ``OSError``.
"""

import socket
import ssl
from collections.abc import Iterator


def why_unanswered(error: BaseException) -> str:
    """``cannot be reached: …`` can be ended with it, whichever library raised ``error``."""
    for each in _causes(error):
        match each:
            case ssl.SSLCertVerificationError():
                return _with("its certificate is not trusted", each, "verify_message")
            case ssl.SSLError():
                return _with("TLS could not be agreed upon", each, "reason")
            case socket.gaierror():
                return "its name is not known here"
            case ConnectionRefusedError():
                return "the connection is refused"
            case _ if type(each).__name__ == "ProxyError":
                return "the proxy does not let us through"
            case _ if type(each).__name__.endswith(("Timeout", "TimeoutError")):
                return "no answer in time"
    return f"the connection failed ({type(error).__name__})"


def _with(told: str, error: ssl.SSLError, attribute: str) -> str:
    # Only errors that OpenSSL itself raised have it.
    reason = getattr(error, attribute, None)
    return f"{told} ({reason})" if reason else told


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__

"""Why somebody did not answer, as a sentence's end: without the URL, which may hold credentials.

The errors of HTTP libraries may quote it. What is below them is Python's own: the kinds of
``ssl``, ``socket`` and ``OSError``.
"""

import re
import socket
import ssl
from collections.abc import Iterator


def why_unanswered(error: BaseException, *, through_proxy: bool = False) -> str:
    """``cannot be reached: …`` can be ended with it, whichever library raised ``error``."""
    why = _why(error)
    return f"{why}, through the proxy" if through_proxy and "proxy" not in why else why


def _why(error: BaseException) -> str:
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
                return _refused_by_proxy(each)
            case _ if type(each).__name__.endswith(("Timeout", "TimeoutError")):
                return "no answer in time"
    return f"the connection failed ({type(error).__name__})"


def _refused_by_proxy(error: BaseException) -> str:
    # Only the number of its answer: the rest are the proxy's own words.
    status = re.match(r"[1-5][0-9]{2}\b", str(error))
    if status is None:
        return "the proxy does not let us through"
    if status[0] == "407":
        return "the proxy refuses our credentials (HTTP 407)"
    return f"the proxy does not let us through (HTTP {status[0]})"


def _with(told: str, error: ssl.SSLError, attribute: str) -> str:
    # Only errors that OpenSSL itself raised have it.
    reason = getattr(error, attribute, None)
    return f"{told} ({reason})" if reason else told


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__

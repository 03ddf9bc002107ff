"""Which way HTTP goes out, as the environment says: its proxies, and whom TLS trusts.

The names are everybody's, and the HTTP libraries read them by themselves; here it is only judged
whether they can be used, so that a mistake is a sentence and no exception of somebody else's.
"""

import ssl
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def egress_problems(environ: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the proxies and certificates, one sentence each and no value in any."""
    for variable in (written for name in PROXIES for written in (name, name.upper())):
        if not _is_proxy(environ.get(variable) or "http://none"):
            yield f"{variable} must be the address of an HTTP proxy, like http://proxy.example:3128"
    for variable in ("no_proxy", "NO_PROXY"):
        if any(map(_is_network_of_6, environ.get(variable, "").split(","))):
            told = "must hold IPv6 addresses as they are, without brackets or prefix length"
            yield f"{variable} {told}"
    if (file := environ.get("SSL_CERT_FILE")) and not _holds_certificates(file):
        yield "SSL_CERT_FILE must name a file of certificates (PEM) that can be read"
    folder = environ.get("SSL_CERT_DIR")
    if folder and not file and not Path(folder).is_dir():
        yield "SSL_CERT_DIR must name a folder that exists"


def is_this_host(url: str) -> bool:
    """Whether an address is of the machine that we run on, and nothing leaves it."""
    name = urlsplit(url).hostname or ""
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _is_proxy(value: str) -> bool:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_network_of_6(entry: str) -> bool:
    """The library (httpx 0.28) ends in an exception on such an entry."""
    return "://" not in entry and ("[" in entry or (entry.count(":") > 1 and "/" in entry))


def _holds_certificates(file: str) -> bool:
    try:
        ssl.create_default_context(cafile=file)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return False
    return True

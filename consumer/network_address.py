"""The client's address, which Meta takes in the clear: public, and the address alone."""

import re
from bisect import bisect_right
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from consumer.model import DropReason


def client_ip(text: str) -> str | DropReason:
    """The first public address of a comma list, without port, brackets and zone."""
    if _SURELY_PUBLIC(text):
        return text
    reason = DropReason.MALFORMED
    for part in map(str.strip, text.split(",")):
        if len(part) > _LENGTH_MAX:
            continue
        written = _APPENDED.search(part)
        host = _HOST.sub(r"\1\2", part[: written.start()] if written else part)
        try:
            address = ip_address(host)
        except ValueError:
            continue
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
            host = str(address)
        if _is_public(address):
            return host + (written[1] if written else "")
        reason = DropReason.NOT_PUBLIC
    return reason


_LENGTH_MAX = 100
"""An address with a port, brackets, a zone and an appendix."""

# Nearly all: an IPv4 address whose first number is proof enough, at a tenth of the cost.
_SURELY_PUBLIC = re.compile(
    r"(?!(?:0|10|100|127|169|172|192)\.)(?:[1-9]?[0-9]|1[0-9]{2}|2[01][0-9]|22[0-3])"
    r"(?:\.(?:[1-9]?[0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])){3}"
).fullmatch
# Whatever stands around [v6]:port, v4:port or an address with a zone.
_HOST = re.compile(
    r"^[\s\"]*\[?(?:([0-9.]+)(?::[0-9]*)?|([0-9A-Fa-f:.]+))(?:%[^\]]*)?(?:\](?::[0-9]*)?)?[\s\"]*$"
)
# What Meta's parameter builder puts behind a value that it has seen.
_APPENDED = re.compile(r"(\.(?:A[Qgw]|B[AQg]|AQ[EIMQUY][A-Za-z0-9_-]{5}))$")


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    """Python's ``is_private`` also means the documentation ranges, which pass here."""
    lows, highs = _not_public(address.version)
    at = bisect_right(lows, int(address)) - 1
    return at < 0 or int(address) > highs[at]


@cache
def _not_public(version: int) -> tuple[list[int], list[int]]:
    """The first and the last addresses of the networks below, in ascending order."""
    networks = [net for net in map(ip_network, _NOT_PUBLIC) if net.version == version]
    return (
        sorted(int(network.network_address) for network in networks),
        sorted(int(network.broadcast_address) for network in networks),
    )


_NOT_PUBLIC = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
    *("169.254.0.0/16", "0.0.0.0/32", "224.0.0.0/4"),
    *("::/128", "::1/128", "fe80::/10", "fc00::/7", "ff00::/8"),
)

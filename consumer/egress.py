"""The way out to Meta: an HTTP client with a deadline, through a proxy where there is one.

The library itself heeds ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``, ``SSL_CERT_FILE`` and
``SSL_CERT_DIR``. Here is what it leaves undone, in the only place that knows its insides.
"""

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpcore
import httpx

from consumer.deadline import BoundedNetwork, Deadline
from consumer.egress_settings import is_this_host


class Egress(NamedTuple):
    """A client, whose connections keep to the deadline, and whether a proxy stands in between."""

    client: httpx.Client
    deadline: Deadline
    through_proxy: bool


def egress_to(url: str, *, transport: httpx.BaseTransport | None, **options: Any) -> Egress:
    """A client for one address; ``options`` are those of ``httpx.Client``."""
    mounts = around_proxies(url)
    client = httpx.Client(transport=transport, mounts=mounts, follow_redirects=False, **options)
    deadline = Deadline()
    for each in (client._transport, *client._mounts.values()):
        if isinstance(each, httpx.HTTPTransport):
            pool: Any = each._pool
            pool._network_backend = BoundedNetwork(pool._network_backend, deadline)
            if isinstance(each._pool, httpcore.HTTPProxy):
                pool.create_connection = _closing(pool.create_connection)
    way = client._transport_for_url(httpx.URL(url))
    return Egress(client, deadline, through_proxy=way is not client._transport)


def around_proxies(url: str) -> dict[str, httpx.BaseTransport | None]:
    """The client's ``mounts`` for an address: no proxy is asked for what is on this host, as it
    would not reach us there."""
    return {f"all://{urlsplit(url).netloc}": None} if is_this_host(url) else {}


def _closing(create: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda origin: _Tunnel(create(origin))


class _Tunnel(httpcore.ConnectionInterface):
    """A connection through a proxy that is closed when TLS behind the proxy fails.

    The library (httpcore 1.0) leaves such a one open for ever, and it counts: a pool of 256 would
    be full after 256 failures, and nothing would leave any more after the trouble is over.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        try:
            return self._connection.handle_request(request)  # type: ignore[no-any-return]
        except httpcore.ConnectionNotAvailable:
            raise  # it serves another request, and the pool takes another connection
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def info(self) -> str:
        return str(self._connection.info())

    def can_handle_request(self, origin: httpcore.Origin) -> bool:
        return bool(self._connection.can_handle_request(origin))

    def is_available(self) -> bool:
        return bool(self._connection.is_available())

    def has_expired(self) -> bool:
        return bool(self._connection.has_expired())

    def is_idle(self) -> bool:
        return bool(self._connection.is_idle())

    def is_closed(self) -> bool:
        return bool(self._connection.is_closed())

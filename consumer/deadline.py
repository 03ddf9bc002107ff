"""A total time for everything that a thread does on its connections.

A socket's own time-out begins anew with each byte, so that a peer which drips them is never late.
Here every wait gets what is left of the whole. It stands between httpcore, which is what httpx
reads and writes with, and its sockets.
"""

import threading
from time import monotonic
from typing import Any

PIECE_BYTES = 65_536


class Deadline:
    """When the calling thread must be done; each thread has its own."""

    def __init__(self) -> None:
        self._here = threading.local()

    def __repr__(self) -> str:
        return f"<Deadline {getattr(self._here, 'at', None)}>"

    def begin(self, seconds: float) -> None:
        """From now on this thread has so long."""
        self._here.at = monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Whether this thread's time is up."""
        return self._left() <= 0

    def within(self, seconds: float | None) -> float | None:
        """How long a wait of ``seconds`` may last. Raises TimeoutError when the time is up."""
        left = self._left()
        if left <= 0:
            raise TimeoutError("the whole took too long")
        return min(left, float("inf") if seconds is None else seconds)

    def _left(self) -> float:
        return float(self._here.at) - monotonic()


class BoundedNetwork:
    """httpcore's network back end, whose connections keep to a deadline."""

    def __init__(self, network: Any, deadline: Deadline) -> None:
        self._network = network
        self._deadline = deadline

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, **more: Any
    ) -> "_BoundedStream":
        """Connect."""
        seconds = self._deadline.within(timeout)
        stream = self._network.connect_tcp(host, port, timeout=seconds, **more)
        return _BoundedStream(stream, self._deadline)


class _BoundedStream:
    def __init__(self, stream: Any, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> Any:
        return self._stream.read(max_bytes, self._deadline.within(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # The stream would give each piece that the peer takes the whole time again.
        for start in range(0, len(buffer), PIECE_BYTES):
            piece = buffer[start : start + PIECE_BYTES]
            self._stream.write(piece, self._deadline.within(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> "_BoundedStream":
        seconds = self._deadline.within(timeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, seconds)
        return _BoundedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

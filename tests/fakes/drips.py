"""A server of 127.0.0.1 that hardly ever stops answering, and never lets a read time out."""

import socket
import threading
from collections.abc import Callable

DRIP_SECONDS = 0.02
DRIPS_MAX = 3000
"""A minute of them: who never gives up shall fail a test, not hold it for ever."""


class Drips:
    """Sends ``head`` at once and then a space every few milliseconds, on every connection."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._server = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> str:
        self._start(self._serve)
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._over.set()
        # A closed socket does not wake whoever waits for a connection; a connection does.
        socket.create_connection(self._server.getsockname()).close()
        for thread in self._threads:
            thread.join()
        self._server.close()

    def _start(self, target: Callable[..., None], *arguments: socket.socket) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments))
        self._threads[-1].start()

    def _serve(self) -> None:
        while not self._over.is_set():
            connection, _ = self._server.accept()
            self._start(self._drip, connection)

    def _drip(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                connection.sendall(self._head)
                drips = 0
                while drips < DRIPS_MAX and not self._over.wait(DRIP_SECONDS):
                    connection.sendall(b" ")
                    drips += 1
            except OSError:
                return

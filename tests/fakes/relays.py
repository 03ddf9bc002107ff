"""What stands between a client and a server: a proxy, and an end of TLS. On 127.0.0.1."""

import socket
import ssl
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

from tests.fakes.http_server import served

PIECE_BYTES = 65536
DRIP_SECONDS = 0.02

Address = tuple[str, int]


class TlsFront:
    """Speaks TLS to the client, and what is inside of it to ``target``.

    ``identity`` is the PEM of its key and certificate; where ``clients`` is given, who shows no
    certificate of that authority (PEM) is refused.
    """

    def __init__(self, *, target: Address, identity: Path, clients: Path | None = None) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(identity)
        if clients is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(clients)
        self.target = target
        self._server = _Server(self._serve)
        self.address = self._server.address

    @contextmanager
    def serving(self) -> Iterator["TlsFront"]:
        """Serve as long as the context lasts."""
        with self._server.serving():
            yield self

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), self.context.wrap_socket(client, server_side=True) as inner:
            relay(inner, self.target)


class ConnectProxy:
    """A proxy for tunnels: by ``routes``, where ``host:port`` leads to in truth.

    ``asked`` are the targets of all who came, ``logins`` what they logged in with. It asks for
    ``login`` (``user:password``) if that is not empty, refuses with ``refusal`` if that is not 0,
    and with ``dripping`` passes one byte at a time of what comes back.
    """

    def __init__(self, routes: Mapping[str, Address]) -> None:
        self.routes = routes
        self.asked: list[str] = []
        self.logins: list[str] = []
        self.login = ""
        self.refusal = 0
        self.dripping = False
        self._clients: list[socket.socket] = []
        self._server = _Server(self._serve)
        self.address = self._server.address

    @contextmanager
    def serving(self) -> Iterator["ConnectProxy"]:
        """Serve as long as the context lasts."""
        with self._server.serving():
            yield self

    def end_tunnels(self) -> None:
        """Whoever is connected has to come again."""
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _serve(self, client: socket.socket) -> None:
        self._clients.append(client)
        with suppress(OSError):
            head = _head(client)
            method, target, *_ = head[0].split()
            self.asked.append(target)
            login = _login(head)
            self.logins.append(login)
            status = self.refusal or (407 if self.login not in ("", login) else 0)
            if method != "CONNECT" or target not in self.routes:
                status = status or 403
            if status:
                # Some quote what they were sent.
                said = f"HTTP/1.1 {status} No {login}\r\nContent-Length: 0\r\n\r\n"
                client.sendall(said.encode())
                return
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            relay(client, self.routes[target], dripping=self.dripping)


def relay(client: socket.socket, target: Address, *, dripping: bool = False) -> None:
    """Pass everything on in both directions until one side ends."""
    with socket.create_connection(target) as server:
        upward = threading.Thread(target=_pass, args=(client, server, False), daemon=True)
        upward.start()
        _pass(server, client, dripping)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        upward.join()


def _pass(source: socket.socket, sink: socket.socket, dripping: bool) -> None:
    pause = threading.Event()
    with suppress(OSError):
        while piece := source.recv(1 if dripping else PIECE_BYTES):
            sink.sendall(piece)
            if dripping:
                pause.wait(DRIP_SECONDS)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


def _head(client: socket.socket) -> list[str]:
    read = b""
    while b"\r\n\r\n" not in read:
        piece = client.recv(PIECE_BYTES)
        if not piece:
            raise ConnectionResetError
        read += piece
    return read.decode("latin-1").split("\r\n")


def _login(head: list[str]) -> str:
    for line in head[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "proxy-authorization":
            return b64decode(value.strip().removeprefix("Basic ")).decode()
    return ""


class _Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        class Exchange(BaseRequestHandler):
            def handle(self) -> None:
                serve(self.request)

        super().__init__(("127.0.0.1", 0), Exchange)
        self.address: Address = ("127.0.0.1", int(self.server_address[1]))

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""

    @contextmanager
    def serving(self) -> Iterator[None]:
        with served(self):
            yield

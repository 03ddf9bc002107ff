"""A small HTTP server of 127.0.0.1 that answers GETs with JSON, and remembers what was asked."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import orjson


class Asked(NamedTuple):
    """One request."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    line: str


class Answer(NamedTuple):
    """What is answered: a status, and something for JSON, or bytes as they are."""

    status: int
    body: Any


class FakeServer:
    """Answers with what ``answer`` says, or drops the connection when it says None."""

    def __init__(self, answer: Callable[[Asked], Answer | None]) -> None:
        self.asked: list[Asked] = []
        asked = self.asked

        class Exchange(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                target = urlsplit(self.path)
                query = dict(parse_qsl(target.query))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked.append(Asked(target.path, query, headers, self.requestline))
                found = answer(asked[-1])
                if found is None:
                    self.close_connection = True
                    return
                body = found.body if isinstance(found.body, bytes) else orjson.dumps(found.body)
                self.send_response(found.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def keep_connections(self) -> None:
        """From now on further requests may come over the same connection."""
        self._server.RequestHandlerClass.protocol_version = "HTTP/1.1"  # type: ignore[attr-defined]

    @contextmanager
    def serving(self) -> Iterator["FakeServer"]:
        """Serve as long as the context lasts."""
        with served(self._server):
            yield self


@contextmanager
def served(server: BaseServer) -> Iterator[None]:
    """Have a server answer on a thread, as long as the context lasts."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

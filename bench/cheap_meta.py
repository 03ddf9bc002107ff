"""A stand-in for Meta that takes everything and costs next to nothing; a process of its own.

    python -m bench.cheap_meta

The emulator reads every event as Meta would, and would be what is measured. This one counts how
often ``"event_id":`` occurs in a body. Told to, it fails like an outage, or like one pixel's
expired token. Prints its address and serves until it is ended; ``/_control`` sets, ``/_traffic``
shows what came in all, and any other path how many events of each pixel.
"""

import json
import random
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

EXPIRED = {"error": {"message": "expired", "code": 190, "type": "OAuthException"}}


class CheapMeta:
    """What it was told to do, and how many events it took of each pixel."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.down = False
        self.halted: frozenset[str] = frozenset()
        self.latency_seconds = (0.0, 0.0)
        self.traffic: Counter[str] = Counter()
        self._dice = random.Random(1)  # noqa: S311 - repeatable, not secret
        self._lock = threading.Lock()

    def control(self, wishes: dict[str, Any]) -> None:
        """``{"down": bool, "halted": [pixel], "latencySeconds": [least, most]}``, each optional."""
        self.down = bool(wishes.get("down", self.down))
        self.halted = frozenset(wishes.get("halted", self.halted))
        least, most = wishes.get("latencySeconds", self.latency_seconds)
        self.latency_seconds = (float(least), float(most))

    def events(self, pixel: str, body: bytes, *, head_bytes: int) -> tuple[int, bytes]:
        """Status and body of the answer to one request."""
        if any(self.latency_seconds):
            with self._lock:
                seconds = self._dice.uniform(*self.latency_seconds)
            time.sleep(seconds)
        if self.down:
            return 503, b"<html>upstream</html>"
        if pixel in self.halted:
            return 401, json.dumps(EXPIRED).encode()
        received = body.count(b'"event_id":')
        with self._lock:
            self.taken[pixel] += received
            came = {"requests": 1, "bodyBytes": len(body), "headBytes": head_bytes}
            self.traffic.update(came)
        return 200, json.dumps({"events_received": received, "fbtrace_id": "cheap"}).encode()


def main() -> int:
    """Serve until the process is ended."""
    meta = CheapMeta()

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/_control":
                meta.control(json.loads(body))
                self._answer(200, b"{}")
            else:
                head_bytes = len(self.requestline) + len(str(self.headers))
                pixel = self.path.split("/")[-2]
                self._answer(*meta.events(pixel, body, head_bytes=head_bytes))

        def do_GET(self) -> None:
            shown = meta.traffic if self.path == "/_traffic" else meta.taken
            self._answer(200, json.dumps(shown).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        sys.stdout.write(f"listens on http://127.0.0.1:{server.server_address[1]}\n")
        sys.stdout.flush()
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())

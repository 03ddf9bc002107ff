"""Runs a command where the name ``consumer`` is that of as many replicas as it is told to be.

    python -m tests.integration.named_replicas COMMAND…

It wants a network of its own, in which it answers DNS on 127.0.0.1:53 and as each replica on port
9108 of an address of the loopback net. It reads lines: a number is how many replicas there are from
now on, a URL is asked for and what it answers is written as one line.
"""

import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = b"\x08consumer\x00"
REPLICAS_MAX = 5
TIME_TO_LIVE_SECONDS = 1
PAGE = b"# TYPE conversions_build_info gauge\nconversions_build_info 1\n"


class Replicas:
    """How many there are, and what DNS answers therefore."""

    count = 0

    def serve_dns(self) -> None:
        """Answer for ever: addresses for the one name, and that there is no other."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 53))
            while True:
                query, client = server.recvfrom(4096)
                server.sendto(self.answer(query), client)

    def answer(self, query: bytes) -> bytes:
        """One message of RFC 1035: the question again, and an A record for each replica."""
        end = query.index(b"\x00", 12) + 5
        is_ours = query[12 : end - 4].lower() == NAME
        wants_addresses = query[end - 4 : end - 2] == b"\x00\x01"
        count = self.count if is_ours and wants_addresses else 0
        code = 0 if is_ours and self.count else 3  # 3: no such name
        header = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, count, 0, 0)
        records = b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, TIME_TO_LIVE_SECONDS, 4) + address
            for address in map(socket.inet_aton, map(address_of, range(count)))
        )
        return header + query[12:end] + records


class Page(BaseHTTPRequestHandler):
    """A page with one metric."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def address_of(number: int) -> str:
    """The address of a replica, from 0."""
    return f"127.0.0.{number + 2}"


def main(command: list[str]) -> int:
    """Serve, run the command, and do what the lines say until there are no more."""
    replicas = Replicas()
    threading.Thread(target=replicas.serve_dns, daemon=True).start()
    for number in range(REPLICAS_MAX):
        server = ThreadingHTTPServer((address_of(number), 9108), Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    with subprocess.Popen(command, stdout=sys.stderr) as process:
        for line in sys.stdin:
            word = line.strip()
            if word.isdecimal():
                replicas.count = int(word)
            else:
                print(_ask(word, process), flush=True)  # noqa: T201 - what it is for
        process.terminate()
    return 0


def _ask(url: str, process: "subprocess.Popen[bytes]") -> str:
    """The answer, as soon as there is one; nothing when the command has ended."""
    while process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - of this file's
                return str(answer.read().decode()).replace("\n", " ")
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
    return "{}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

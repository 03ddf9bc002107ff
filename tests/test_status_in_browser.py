"""The status page of a member, in a real browser: what is shown, and what is asked for."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pytest

from consumer.member import Member
from consumer.model import Halted, HaltReason, MetaError, PixelId, TopicPartition
from consumer.senders import Answer
from consumer.settings import load_settings
from tests.fakes.events import TOPIC, a_record, an_event
from tests.fakes.house import Lines
from tests.test_status_page import Page

SHOP = PixelId("1729525464415281")
CANARY = "canary.bird@cage.example"
BROWSER_SECONDS_MAX = 300.0


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("there is no browser here: apt-get install chromium")
    return found


@pytest.fixture
def member() -> Iterator[Member]:
    """A member whose port answers and whose loop the test turns; no broker is there."""
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "CONVERSIONS_PIXEL_ID": SHOP,
        "CONVERSIONS_ACCESS_TOKEN": "token-of-the-shop",
        "CONVERSIONS_METRICS_PORT": "0",
    }
    made = Member(load_settings(variables), log=Lines())
    made._probes.start()
    yield made
    made._source.close()
    made._close_edges()


class Seen(NamedTuple):
    """What a browser made of an address: the document, the requests to its host, and what the
    document itself asked for, of anybody."""

    page: Page
    asked_there: list[str]
    asked_by_the_page: list[str]


def browse(chromium: str, address: str, folder: Path) -> Seen:
    net_log = folder / "net.json"
    command = [
        chromium,
        "--headless",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={net_log}",
        "--enable-logging=stderr",
        "--dump-dom",
        address,
    ]
    if os.geteuid() == 0:
        command.insert(1, "--no-sandbox")
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=BROWSER_SECONDS_MAX, check=True
    )
    assert "Content Security Policy" not in done.stderr, "the browser refuses a part of the page"
    events = [each.get("params", {}) for each in json.loads(net_log.read_text())["events"]]
    started = [each for each in events if "url" in each and "initiator" in each]
    origin = address.rstrip("/")
    return Seen(
        page=Page(done.stdout),
        asked_there=[each["url"] for each in started if each["url"].startswith(origin)],
        asked_by_the_page=[each["url"] for each in started if each["initiator"] == origin],
    )


def test_the_search_itself_finds_what_a_page_asks_for(chromium: str, tmp_path: Path) -> None:
    class Greedy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(
                b"<!doctype html><html><head></head><body><img src='/dot'></body></html>"
            )

        def log_message(self, format: str, *args: object) -> None:
            """Not a line each."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Greedy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        origin = f"http://127.0.0.1:{server.server_address[1]}"
        seen = browse(chromium, f"{origin}/", tmp_path)
        server.shutdown()

    assert {f"{origin}/", f"{origin}/dot"} <= set(seen.asked_there)
    assert f"{origin}/dot" in seen.asked_by_the_page


def test_a_browser_shows_the_member_as_it_is_and_asks_for_nothing_but_the_page(
    member: Member, chromium: str, tmp_path: Path
) -> None:
    halt(member)
    member._look_around()

    seen = browse(chromium, f"{member.address}/", tmp_path)

    assert seen.asked_there == [f"{member.address}/"]
    assert seen.asked_by_the_page == []
    assert seen.page.row(SHOP)[1].startswith("■ halted token: the token is invalid")
    assert seen.page.row(SHOP)[3] == "1"
    assert seen.page.row("190, subcode 463")[2] == "1"
    assert seen.page.row(f"{TOPIC}:0")[3] == "1"
    assert CANARY not in seen.page.text


def halt(member: Member) -> None:
    """The destination has an event, and Meta's answer to it has halted it, quoting what it can."""
    now, record = (
        member._clock.now(),
        a_record(tenure=member._ledger.begin(TopicPartition(TOPIC, 0))),
    )
    member._ledger.open(record, now)
    event = an_event(destination=SHOP, record=record, event_name=CANARY)
    member._deliveries.add(event, now - 60)
    (request,) = member._deliveries.advance(now, 0).requests
    error = MetaError(400, 190, 463, CANARY, CANARY, CANARY)
    verdict = Halted(HaltReason.TOKEN, error)
    member._journal.answered(
        Answer(request, verdict, 0.1, None),
        member._deliveries.answered(request, verdict, now),
    )

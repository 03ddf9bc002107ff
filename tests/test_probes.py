"""The metrics port over HTTP: ``/metrics``, ``/livez``, ``/readyz`` and what can be asked for."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry, Counter

from consumer.model import PixelId, Place, TopicPartition
from consumer.probes import Health, Probes, Resuming
from consumer.running_member import NobodyThere, RunningMember
from consumer.skip import Skipping


class House:
    """What the probes ask, and where they listen."""

    def __init__(self) -> None:
        self.health = Health(live=True, ready=True, facts={"joined": True})
        registry = CollectorRegistry()
        self.counter = Counter("seen_total", "What was seen", registry=registry)
        self.resumed: list[PixelId] = []
        self.resuming = Resuming.WILL_BE
        self.skipped: list[Place] = []
        self.skipping = Skipping.SKIPPED
        self.probes = Probes(
            host="127.0.0.1",
            port=0,
            registry=registry,
            health=lambda: self.health,
            page=lambda refreshing: f"refreshing: {refreshing}".encode(),
            resume=self.resume,
            skip=self.skip,
        )

    def resume(self, destination: PixelId) -> Resuming:
        self.resumed.append(destination)
        return self.resuming

    def skip(self, place: Place) -> Skipping:
        self.skipped.append(place)
        return self.skipping


class Answer(NamedTuple):
    status: int
    content_type: str
    body: str


@pytest.fixture
def house() -> Iterator[House]:
    found = House()
    found.probes.start()
    yield found
    found.probes.stop()


def connection(house: House) -> HTTPConnection:
    return HTTPConnection(urlsplit(house.probes.address).netloc, timeout=10)


def get(house: House, path: str, *, method: str = "GET", accept: str = "*/*") -> Answer:
    client = connection(house)
    try:
        client.request(method, path, headers={"Accept": accept})
        response = client.getresponse()
        return Answer(
            response.status, response.headers["Content-Type"] or "", response.read().decode()
        )
    finally:
        client.close()


@pytest.mark.parametrize(
    ("live", "ready", "livez", "readyz"),
    [(True, True, 200, 200), (True, False, 200, 503), (False, True, 503, 200)],
)
def test_each_probe_tells_its_own_verdict(
    house: House, live: bool, ready: bool, livez: int, readyz: int
) -> None:
    house.health = Health(live=live, ready=ready, facts={"dead_letters_failing": True})

    for path, status in (("/livez", livez), ("/readyz", readyz), ("/readyz?verbose", readyz)):
        answer = get(house, path)
        assert (answer.status, answer.content_type) == (status, "application/json")
        assert json.loads(answer.body) == {"ok": status == 200, "dead_letters_failing": True}


def test_metrics_are_those_of_the_registry_given(house: House) -> None:
    house.counter.inc(7)

    answer = get(house, "/metrics")

    assert answer.status == 200
    assert answer.content_type.startswith("text/plain; version=")
    assert "seen_total 7.0\n" in answer.body
    assert "python_info" not in answer.body


def test_whoever_asks_for_openmetrics_gets_it(house: House) -> None:
    house.counter.inc(1, exemplar={"fbtrace_id": "A1"})

    answer = get(house, "/metrics", accept="application/openmetrics-text; version=1.0.0")

    assert answer.content_type.startswith("application/openmetrics-text")
    assert answer.body.endswith("# EOF\n")
    assert 'fbtrace_id="A1"' in answer.body


@pytest.mark.parametrize("path", ["/favicon.ico", "/metric", "/index.html"])
def test_another_path_says_where_to_look(house: House, path: str) -> None:
    answer = get(house, path)

    assert answer == Answer(404, "text/plain", "see /, /metrics, /livez, /readyz\n")


@pytest.mark.parametrize(("path", "refreshing"), [("/", True), ("/?refresh=no", False)])
def test_a_page_for_people_refreshes_itself_unless_they_would_rather_read(
    house: House, path: str, refreshing: bool
) -> None:
    answer = get(house, path)

    assert answer == Answer(200, "text/html; charset=utf-8", f"refreshing: {refreshing}")


@pytest.mark.parametrize("path", ["/", "/metrics", "/livez", "/readyz", "/nowhere"])
def test_nothing_is_kept_by_anybody_in_between_and_nothing_is_loaded(
    house: House, path: str
) -> None:
    client = connection(house)
    client.request("GET", path)
    headers = client.getresponse().headers
    client.close()

    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "unsafe" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/", "/metrics", "/livez", "/readyz", "/nowhere"])
def test_who_asks_for_the_head_gets_no_body(house: House, path: str) -> None:
    client = connection(house)
    for method in ("HEAD", "GET", "HEAD", "GET"):  # on one connection: a body would be read next
        client.request(method, path)
        response = client.getresponse()
        body = response.read()
        assert response.status == (404 if path == "/nowhere" else 200)
        assert int(response.headers["Content-Length"]) > 0
        assert (body == b"") == (method == "HEAD")
    client.close()


@pytest.mark.parametrize(("method", "status"), [("POST", 405), ("PUT", 501), ("DELETE", 501)])
@pytest.mark.parametrize(
    "path",
    [
        "/livez",
        "/destinations",
        "/destinations/shop/resume",
        "/destinations/1/resume/x",
        "/records/events:0/skip",
        "/records/events:0:1",
        "/records/events:0:-1/skip",
        "/records/a/events:0:1/skip",
    ],
)
def test_nothing_else_can_be_changed(house: House, method: str, status: int, path: str) -> None:
    assert get(house, path, method=method).status == status
    assert (house.resumed, house.skipped) == ([], [])


# --- resuming a destination ---------------------------------------------------------------------


def member(house: House) -> RunningMember:
    return RunningMember(host="0.0.0.0", port=urlsplit(house.probes.address).port or 0)  # noqa: S104


@pytest.mark.parametrize("became", Resuming)
def test_whoever_asks_on_this_machine_is_told_what_becomes_of_it(
    house: House, became: Resuming
) -> None:
    house.resuming = became

    assert member(house).resume(PixelId("1729525464415281")) == became.value
    assert house.resumed == ["1729525464415281"]


def test_reading_the_path_resumes_nothing(house: House) -> None:
    assert get(house, "/destinations/1/resume").status == 404
    assert house.resumed == []


def test_a_page_in_a_browser_resumes_nothing(house: House) -> None:
    client = connection(house)
    client.request("POST", "/destinations/1/resume", headers={"Origin": "https://shop.example"})

    assert client.getresponse().status == 403
    assert house.resumed == []
    client.close()


@pytest.mark.parametrize(
    ("peer", "status"),
    [
        ("127.0.0.1", 202),
        ("127.8.8.8", 202),
        ("::1", 202),
        ("::ffff:127.0.0.1", 202),
        ("10.0.0.7", 403),
        ("192.168.1.2", 403),
        ("::ffff:10.0.0.7", 403),
        ("fe80::1%eth0", 403),
        ("2001:db8::1", 403),
    ],
)
def test_only_this_machine_may_resume_a_destination(house: House, peer: str, status: int) -> None:
    ours, theirs = socket.socketpair()
    ours.sendall(b"POST /destinations/7/resume HTTP/1.1\r\nHost: x\r\n\r\n")

    # As the server does it for a connection that it has taken, from a peer of our choice.
    house.probes._server.process_request(theirs, (peer, 4711))
    with ours, ours.makefile("rb") as answer:
        said = answer.read()

    assert int(said.split()[1]) == status
    assert house.resumed == (["7"] if status == 202 else [])


# --- skipping a record ---------------------------------------------------------------------------

PLACE = Place(TopicPartition("conversions.events", 3), 1042)
SKIP = f"/records/{PLACE}/skip"


@pytest.mark.parametrize("became", Skipping)
def test_whoever_has_a_record_skipped_is_told_what_became_of_it(
    house: House, became: Skipping
) -> None:
    house.skipping = became

    assert member(house).skip(PLACE) is became
    assert house.skipped == [PLACE]


def test_reading_the_path_skips_nothing(house: House) -> None:
    assert get(house, SKIP).status == 404
    assert house.skipped == []


def test_a_page_in_a_browser_skips_nothing(house: House) -> None:
    client = connection(house)
    client.request("POST", SKIP, headers={"Origin": "https://shop.example"})

    assert client.getresponse().status == 403
    assert house.skipped == []
    client.close()


@pytest.mark.parametrize(("peer", "status"), [("127.0.0.1", 200), ("10.0.0.7", 403)])
def test_only_this_machine_may_have_a_record_skipped(house: House, peer: str, status: int) -> None:
    ours, theirs = socket.socketpair()
    ours.sendall(f"POST {SKIP} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    house.probes._server.process_request(theirs, (peer, 4711))
    with ours, ours.makefile("rb") as answer:
        said = answer.read()

    assert int(said.split()[1]) == status
    assert house.skipped == ([PLACE] if status == 200 else [])


def test_what_was_posted_is_not_taken_for_the_next_question(house: House) -> None:
    client = connection(house)
    client.request("POST", "/destinations/7/resume", body=b"GET /livez HTTP/1.1\r\n\r\n")
    response = client.getresponse()
    response.read()

    assert (response.status, response.headers["Connection"]) == (202, "close")
    client.close()


def test_a_member_that_is_not_there_is_told_by_why() -> None:
    house = House()
    house.probes.start()
    gone = member(house)
    house.probes.stop()

    with pytest.raises(NobodyThere, match="the connection is refused"):
        gone.resume(PixelId("1"))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:9108"),
        ("0.0.0.0", "http://127.0.0.1:9108"),  # noqa: S104 - where it is bound, not where we bind
        ("::", "http://[::1]:9108"),
        ("10.1.2.3", "http://10.1.2.3:9108"),
    ],
)
def test_a_member_that_listens_everywhere_is_asked_on_this_machine(host: str, address: str) -> None:
    assert RunningMember(host=host, port=9108).address == address


def test_a_connection_serves_many_questions(house: House) -> None:
    client = connection(house)

    for _ in range(3):
        client.request("GET", "/livez")
        response = client.getresponse()
        assert (response.status, response.version) == (200, 11)
        assert "Python" not in (response.headers["Server"] or "")
        response.read()
    client.close()


def test_probes_write_no_line_for_each_question(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    get(house, "/livez")
    get(house, "/nowhere")

    assert capfd.readouterr() == ("", "")


def test_a_port_that_is_taken_is_an_error_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        Probes(
            host="127.0.0.1",
            port=taken.getsockname()[1],
            registry=CollectorRegistry(),
            health=lambda: Health(live=True, ready=True, facts={}),
            page=lambda _: b"",
            resume=lambda _: Resuming.WILL_BE,
            skip=lambda _: Skipping.SKIPPED,
        )


def has_ipv6() -> bool:
    """Whether this machine has a loopback address of version 6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_an_address_of_ip_version_six_is_listened_on() -> None:
    probes = Probes(
        host="::1",
        port=0,
        registry=CollectorRegistry(),
        health=lambda: Health(live=True, ready=True, facts={}),
        page=lambda _: b"",
        resume=lambda _: Resuming.WILL_BE,
        skip=lambda _: Skipping.SKIPPED,
    )
    probes.start()
    client = HTTPConnection("::1", urlsplit(probes.address).port, timeout=10)

    client.request("GET", "/livez")

    assert client.getresponse().status == 200
    assert probes.address.startswith("http://[::1]:")
    client.close()
    probes.stop()


def test_stopping_frees_the_port() -> None:
    house = House()
    port = urlsplit(house.probes.address).port
    house.probes.start()
    house.probes.stop()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port or 0), timeout=10)

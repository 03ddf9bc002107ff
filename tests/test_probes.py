"""``/metrics``, ``/livez`` and ``/readyz`` over HTTP."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry, Counter

from consumer.probes import Health, Probes


class House:
    """What the probes ask, and where they listen."""

    def __init__(self) -> None:
        self.health = Health(live=True, ready=True, facts={"joined": True})
        registry = CollectorRegistry()
        self.counter = Counter("seen_total", "What was seen", registry=registry)
        self.probes = Probes(
            host="127.0.0.1", port=0, registry=registry, health=lambda: self.health
        )


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


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/favicon.ico", 404), ("/metric", 404)])
def test_another_path_says_where_to_look(house: House, path: str, status: int) -> None:
    answer = get(house, path)

    assert answer == Answer(status, "text/plain", "see /metrics, /livez, /readyz\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(house: House, method: str) -> None:
    assert get(house, "/livez", method=method).status == 501


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

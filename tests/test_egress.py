"""The way out to Meta: through a proxy, and with a certificate authority of one's own.

The Graph API stands at a name that nobody knows; only the proxy leads there. So whatever arrives
has gone through it.
"""

import logging
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from time import monotonic

import httpcore
import pytest
import structlog
from pydantic import SecretStr

from consumer.egress import _Tunnel, egress_to
from consumer.judge import Posted
from consumer.logs import configure_logs
from consumer.meta import GraphAnswer, GraphReader, Meta, Unanswered
from consumer.model import Accepted, Retry, RetryCause
from consumer.prometheus import Prometheus, PrometheusError
from consumer.secret_files import RotatingSecret
from tests.fakes.drips import Drips
from tests.fakes.http_server import Answer, FakeServer
from tests.fakes.relays import ConnectProxy, TlsFront
from tests.integration.certificates import Authority
from tests.test_meta import PIXEL, TOKEN, request

GRAPH = "graph.example"
PASSWORD = "proxy-canary-4711"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir")


@pytest.fixture
def graph() -> Iterator[FakeServer]:
    with FakeServer(lambda _: Answer(200, {"id": PIXEL, "events_received": 1})).serving() as server:
        yield server


@pytest.fixture
def proxy(
    graph: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ConnectProxy]:
    """The way there, and the environment that says so."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    authority = Authority(name="company", folder=tmp_path)
    port = int(graph.url.rsplit(":", 1)[1])
    front = TlsFront(target=("127.0.0.1", port), identity=authority.server(GRAPH))
    with front.serving(), ConnectProxy({f"{GRAPH}:443": front.address}).serving() as proxy:
        host, number = proxy.address
        monkeypatch.setenv("HTTPS_PROXY", f"http://conversions:{PASSWORD}@{host}:{number}")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
        yield proxy


def reader(*, url: str = f"https://{GRAPH}", seconds: float = 10.0) -> GraphReader:
    return GraphReader(
        graph_url=url,
        graph_version="v26.0",
        timeout_seconds=seconds,
        app_secret=RotatingSecret(value=None, path=None),
        transport=None,
    )


def meta(*, seconds: float = 10.0, connections_max: int = 4) -> Meta:
    return Meta(
        graph_url=f"https://{GRAPH}",
        graph_version="v26.0",
        timeout_seconds=seconds,
        connections_max=connections_max,
        token_for=lambda pixel: SecretStr(TOKEN),
        app_secret=RotatingSecret(value=None, path=None),
        transport=None,
    )


def ask(edge: GraphReader) -> GraphAnswer | Unanswered:
    try:
        return edge.get(PIXEL, {}, token=SecretStr(TOKEN))
    finally:
        edge.close()


def unsent(posted: Posted) -> str:
    """Why nothing was answered, of a request that surely has not left."""
    assert posted.verdict == Retry(RetryCause.CONNECTION, None, reached_meta=False)
    assert isinstance(posted.verdict, Retry)
    return posted.verdict.why


def test_what_goes_to_meta_goes_through_the_proxy_and_its_login_never_to_meta(
    proxy: ConnectProxy, graph: FakeServer
) -> None:
    proxy.login = f"conversions:{PASSWORD}"

    answer = ask(reader())

    assert isinstance(answer, GraphAnswer), answer
    assert proxy.asked == [f"{GRAPH}:443"]
    assert [asked.path for asked in graph.asked] == [f"/v26.0/{PIXEL}"]
    assert not any("proxy" in name for name in graph.asked[0].headers)
    assert PASSWORD not in str(graph.asked)


def test_whom_no_proxy_names_is_asked_directly(
    proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", GRAPH)

    assert ask(reader()) == Unanswered("its name is not known here")
    assert proxy.asked == []


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_this_host_is_never_looked_for_behind_a_proxy(
    proxy: ConnectProxy, graph: FakeServer, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://{}:{}".format(*proxy.address))

    assert isinstance(ask(reader(url=graph.url)), GraphAnswer)
    assert proxy.asked == []
    elsewhere = egress_to("http://elsewhere.example", transport=None)
    assert elsewhere.through_proxy
    assert not egress_to(graph.url, transport=None).through_proxy


def test_a_prometheus_of_this_host_is_not_looked_for_behind_a_proxy(
    proxy: ConnectProxy, graph: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://{}:{}".format(*proxy.address))
    prometheus = Prometheus(url=graph.url, timeout_seconds=10.0, transport=None)

    with pytest.raises(PrometheusError, match="what answers is not Prometheus"):
        prometheus.accepted(range(0, 3600, 3600), selector="")
    prometheus.close()

    assert proxy.asked == []


def test_a_connection_that_is_busy_is_not_closed_for_it() -> None:
    class Busy:
        closed = 0

        def handle_request(self, request: httpcore.Request) -> httpcore.Response:
            raise self.error

        def close(self) -> None:
            self.closed += 1

        def __init__(self, error: BaseException) -> None:
            self.error = error

    busy, broken = Busy(httpcore.ConnectionNotAvailable()), Busy(httpcore.ConnectError())
    for connection in (busy, broken):
        with pytest.raises(type(connection.error)):
            _Tunnel(connection).handle_request(httpcore.Request("GET", f"https://{GRAPH}"))

    assert (busy.closed, broken.closed) == (0, 1)


def test_a_certificate_of_nobody_we_trust_is_refused_before_anything_leaves(
    proxy: ConnectProxy, graph: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    edge = meta()

    why = unsent(edge.post(request()))

    assert why.startswith("its certificate is not trusted (unable to get local issuer")
    assert why.endswith(", through the proxy")
    assert graph.asked == []
    edge.close()


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (407, "the proxy refuses our credentials (HTTP 407)"),
        (403, "the proxy does not let us through (HTTP 403)"),
        (502, "the proxy does not let us through (HTTP 502)"),
    ],
)
def test_a_proxy_that_refuses_is_a_retry_that_has_not_left(
    proxy: ConnectProxy, status: int, why: str
) -> None:
    proxy.refusal = status
    edge = meta()

    assert unsent(edge.post(request())) == why
    assert ask(reader()) == Unanswered(why)
    assert proxy.logins == [f"conversions:{PASSWORD}"] * 2, "the proxy had it to quote"
    edge.close()


def test_a_proxy_that_is_not_there_is_a_retry_that_has_not_left(
    proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ConnectProxy({}).serving() as gone:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PASSWORD}@127.0.0.1:{gone.address[1]}")
    edge = meta()

    assert unsent(edge.post(request())) == "the connection is refused, through the proxy"
    edge.close()


def test_failures_behind_the_proxy_leave_room_for_what_comes_after(
    proxy: ConnectProxy, graph: FakeServer
) -> None:
    good, edge = dict(proxy.routes), meta(connections_max=2)
    proxy.routes = {f"{GRAPH}:443": ("127.0.0.1", int(graph.url.rsplit(":", 1)[1]))}  # no TLS
    for _ in range(5):
        assert unsent(edge.post(request())).startswith("TLS could not be agreed upon")

    proxy.routes = good
    posted = edge.post(request())

    # The server knows no POST: what counts is that there was an answer.
    assert posted.status == 501
    assert not isinstance(posted.verdict, Accepted)
    edge.close()


def test_connections_through_the_proxy_are_kept_and_used_again(
    proxy: ConnectProxy, graph: FakeServer
) -> None:
    graph.keep_connections()
    edge = reader()
    for _ in range(3):
        assert isinstance(edge.get(PIXEL, {}, token=SecretStr(TOKEN)), GraphAnswer)
    edge.close()

    assert len(graph.asked) == 3
    assert len(proxy.asked) == 1


def test_the_deadline_holds_while_the_tunnel_is_made(
    proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Drips(b"HTTP/1.1 200 OK\r\nX-Slow: ") as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        edge = meta(seconds=0.3)
        verdict = edge.post(request()).verdict
        edge.close()

    # At the end of all drips it would be a connection that broke.
    assert verdict == Retry(RetryCause.TIMEOUT, None, reached_meta=True)


def test_the_deadline_holds_for_an_answer_that_drips_through_the_proxy(proxy: ConnectProxy) -> None:
    proxy.dripping = True
    began = monotonic()

    answer = ask(reader(seconds=1.0))

    assert isinstance(answer, Unanswered)
    assert monotonic() - began < 10, "a handshake alone would drip for half a minute"


@pytest.fixture
def stream() -> Iterator[StringIO]:
    """Where the log goes; the process's logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_the_proxys_credentials_are_in_no_log_line_and_no_repr(
    proxy: ConnectProxy, stream: StringIO
) -> None:
    log = configure_logs(level="debug", log_format="json", stream=stream)
    edge = meta()
    seen = [ask(reader()), edge.post(request())]
    proxy.refusal = 407
    seen.append(ask(reader()))
    way = egress_to(f"https://{GRAPH}", transport=None)
    log.info("seen", what=repr([seen, edge, way, way.client._mounts]))
    edge.close()

    assert proxy.logins[-1] == f"conversions:{PASSWORD}", "and it was quoted"
    assert "refuses our credentials (HTTP 407)" in stream.getvalue()
    assert PASSWORD not in stream.getvalue()

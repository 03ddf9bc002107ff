"""The product where nothing goes out but through a proxy, and a company signs its own certificates.

Meta stands at a name that only the proxy knows, and speaks TLS with the company's certificate. The
real registry stands behind TLS that asks for a client's certificate, and is no business of the
proxy's.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.fakes.relays import ConnectProxy, TlsFront
from tests.integration.certificates import Authority, ClientFiles
from tests.integration.events import good_event
from tests.integration.registry import Registry
from tests.integration.test_under_way import stop
from tests.integration.world import World

pytestmark = pytest.mark.integration

GRAPH = "graph.example"
PROXY_PASSWORD, KEY_PASSWORD = "proxy-canary-81", "key-canary-82"


class Company(NamedTuple):
    """The network of a company, and what the product is told of it."""

    proxy: ConnectProxy
    authority: Authority
    client: ClientFiles
    environment: dict[str, str]


@pytest.fixture
def company(world: World, registry: Registry, tmp_path: Path) -> Iterator[Company]:
    authority = Authority(name="company", folder=tmp_path)
    client = authority.client("consumer", password=KEY_PASSWORD)
    local = authority.server("127.0.0.1")
    meta = TlsFront(target=address_of(world.meta_url), identity=authority.server(GRAPH))
    schemas = TlsFront(target=address_of(registry.url), identity=local, clients=authority.path)
    proxy = ConnectProxy({f"{GRAPH}:443": meta.address})
    with meta.serving(), schemas.serving(), proxy.serving():
        proxy.login = f"conversions:{PROXY_PASSWORD}"
        environment = {
            "HTTPS_PROXY": f"http://{proxy.login}@127.0.0.1:{proxy.address[1]}",
            "NO_PROXY": "127.0.0.1",
            "SSL_CERT_FILE": str(authority.path),
            "CONVERSIONS_GRAPH_URL": f"https://{GRAPH}",
            "SCHEMA_REGISTRY_URL": f"https://127.0.0.1:{schemas.address[1]}/apis/ccompat/v7",
            "SCHEMA_REGISTRY_MAX_RETRIES": "0",
            "SCHEMA_REGISTRY_SSL_CA_LOCATION": str(authority.path),
            "SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION": str(client.certificate),
            "SCHEMA_REGISTRY_SSL_KEY_LOCATION": str(client.key),
            "SCHEMA_REGISTRY_SSL_KEY_PASSWORD_FILE": str(client.password),
        }
        yield Company(proxy, authority, client, environment)


def test_everything_goes_its_way_and_a_proxy_that_refuses_costs_nothing(
    world: World, company: Company, tmp_path: Path
) -> None:
    proxy, environment = company.proxy, world.environment(**company.environment)
    lines = tmp_path / "events.jsonl"
    events = [good_event(number, world.pixels[0], _now_ms()) for number in range(8)]
    lines.write_text("".join(f"{json.dumps(event)}\n" for event in events), encoding="utf-8")
    checked = world.product.run("check", "--json", env=environment)
    published = world.product.run("publish", "--register", str(lines), env=environment)
    running = world.product.run("run", env=environment)
    assert published.wait(60) == 0, published.tail()
    checked.wait(60)
    world.settle(running)
    assert len(world.accepted_ids()) == 8
    found = {each["subject"]: each for each in json.loads(checked.output())["findings"]}
    pixel = f"pixel {world.pixels[0]}"
    assert [found[each]["verdict"] for each in ("registry", "schema", pixel)] == ["ok"] * 3, found

    proxy.login = "conversions:another"
    proxy.end_tunnels()
    world.publish([world.encode(good_event(9, world.pixels[0], _now_ms()))])
    line = json.loads(running.wait_for_line("batch retry", 60))
    assert line["why"] == "the proxy refuses our credentials (HTTP 407)"
    proxy.login = f"conversions:{PROXY_PASSWORD}"
    world.settle(running)

    assert world.accepted_ids()["event-9"] == 1
    assert world.letters() == []
    stop(running)
    assert set(proxy.asked) == {f"{GRAPH}:443"}
    world.assert_silent(running, checked)
    for process in (running, checked, published):
        assert "-canary-" not in process.output()


def test_a_registry_of_strangers_is_told_and_a_certificate_of_ours_is_enough(
    world: World, company: Company, tmp_path: Path
) -> None:
    stranger = Authority(name="stranger", folder=tmp_path)
    trusted = company.environment["SCHEMA_REGISTRY_SSL_CA_LOCATION"]
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(stranger.path.read_bytes())
    ours = company.environment | {"SCHEMA_REGISTRY_SSL_CA_LOCATION": str(bundle)}
    environment = world.environment(**ours)
    world.publish([world.encode(good_event(1, world.pixels[0], _now_ms()))])
    checked = world.product.run("check", "--json", env=environment)
    running = world.product.run("run", env=environment)
    line = running.wait_for_line("schema cannot be fetched", 60)
    assert checked.wait(60) == 1

    for told in (line, checked.output()):
        assert "its certificate is not trusted (" in told
    new = tmp_path / "bundle.new"
    new.write_bytes(Path(trusted).read_bytes())
    new.rename(bundle)
    world.settle(running)
    assert world.accepted_ids() == {"event-1": 1}
    stop(running)
    assert "-canary-" not in running.output() + checked.output()


def address_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def _now_ms() -> int:
    return int(time.time() * 1000)

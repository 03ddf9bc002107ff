"""Schemas by id: asked for by a thread, over HTTP, while the loop never waits."""

import json
import socket
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import httpx
import pytest

from consumer.decode import UnknownSchema
from consumer.registry_client import Configured, RegistryConfiguration, registry_client
from consumer.registry_emulator import RegistryEmulator
from consumer.schema_plan import ReadPlan, UnusableSchema, event_schema, schema_fingerprint
from consumer.schema_registry import (
    NOT_FOUND_SECONDS,
    UNKNOWN_FOR_SECONDS,
    ConfluentRegistry,
    Fetched,
    RegistryError,
    Schemas,
    local_schemas,
)
from consumer.secret_files import version
from consumer.settings import load_settings
from tests.fakes.relays import ConnectProxy, TlsFront
from tests.integration.certificates import Authority

PATIENCE_SECONDS = 10.0
SECRET = "canary0123456789"
EVENT_SCHEMA = json.dumps(event_schema())


@pytest.fixture
def emulator() -> Iterator[RegistryEmulator]:
    found = RegistryEmulator(port=0)
    found.start()
    yield found
    found.stop()


@contextmanager
def client(url: str, **more: Any) -> Iterator[ConfluentRegistry]:
    """The real client; its connections end with the test, not when they are collected."""
    given = Configured({"url": url, "timeout": 5.0, "max.retries": 0, **more}, ())
    found = ConfluentRegistry(lambda: given)
    yield found
    found._client.close()


@contextmanager
def answering(status: int, body: bytes, seen: list[str] | None = None) -> Iterator[str]:
    """A registry that always answers the same; ``seen`` gets each request's authorization."""

    class Always(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if seen is not None:
                seen.append(self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Always)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# --- the client ---------------------------------------------------------------------------------


def test_a_registered_schema_is_found_by_its_id(emulator: RegistryEmulator) -> None:
    other = emulator.register("others-value", '{"type": "record", "name": "O", "fields": []}')
    schema_id = emulator.register("events-value", EVENT_SCHEMA)

    with client(emulator.url) as registry:
        found = registry.schema(schema_id)

    assert found is not None
    assert json.loads(found) == event_schema()
    assert other != schema_id


def test_an_id_that_the_registry_does_not_know_is_a_clear_no(emulator: RegistryEmulator) -> None:
    with client(emulator.url) as registry:
        assert registry.schema(404) is None


def test_a_registry_that_is_not_there_is_an_error_without_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with (
        client(f"http://127.0.0.1:{port}") as registry,
        pytest.raises(RegistryError) as caught,
    ):
        registry.schema(1)

    assert str(port) not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'{"error_code": 50001, "message": "store"}'),
        (401, b'{"error_code": 401, "message": "canary0123456789"}'),
        (403, b"<html>"),
        (404, b"<html>"),
        (404, b'{"error_code": 404, "message": "HTTP 404 Not Found"}'),
        (200, b"<html>"),
        (200, b"{}"),
    ],
)
def test_any_other_answer_is_an_error_and_no_unknown_schema(status: int, body: bytes) -> None:
    with (
        answering(status, body) as url,
        client(url) as registry,
        pytest.raises(RegistryError) as caught,
    ):
        registry.schema(1)

    assert url not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_credentials_travel_in_a_header() -> None:
    seen: list[str] = []
    user_info = {"basic.auth.user.info": f"user:{SECRET}"}
    with (
        answering(200, json.dumps({"schema": EVENT_SCHEMA}).encode(), seen) as url,
        client(url, **user_info) as registry,
    ):
        assert registry.schema(1) is not None

    assert seen == ["Basic " + b64encode(f"user:{SECRET}".encode()).decode()]


def test_a_registry_of_this_host_is_not_looked_for_behind_the_environments_proxy(
    emulator: RegistryEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema_id = emulator.register("events-value", EVENT_SCHEMA)
    with ConnectProxy({}).serving() as proxy:
        address = "http://{}:{}".format(*proxy.address)
        for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy"):
            monkeypatch.setenv(name, address)
        with client(emulator.url) as registry:
            assert registry.schema(schema_id) is not None
        assert proxy.asked == []
        elsewhere = f"{emulator.url},http://registry.example"
        for url, named in ((elsewhere, {}), (emulator.url, {"proxy": address})):
            with client(url, **named) as registry, pytest.raises(RegistryError):
                registry.schema(schema_id)
            assert proxy.asked, "another host is, and one's own by a proxy that is named for it"
            proxy.asked.clear()


def user_info_file(folder: Path, password: str) -> Path:
    """The file with user and password, in the place of the one before."""
    path, new = folder / "user-info", folder / "user-info.new"
    new.write_text(f"user:{password}\n")
    return new.rename(path)


def test_a_password_that_changes_in_its_file_is_used_for_the_next_question(tmp_path: Path) -> None:
    path = user_info_file(tmp_path, "first")
    seen: list[str] = []
    with answering(200, json.dumps({"schema": EVENT_SCHEMA}).encode(), seen) as url:
        environ = {"SCHEMA_REGISTRY_URL": url}
        environ["SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO_FILE"] = str(path)
        registry = ConfluentRegistry(RegistryConfiguration(load_settings(environ)).current)
        with closing(registry):
            for schema_id, password in enumerate(("first", "second", ""), 1):
                if password:
                    user_info_file(tmp_path, password)
                else:
                    path.unlink()  # on its way to be another one: the last stays
                assert registry.schema(schema_id) is not None

    logins = [b64decode(each.removeprefix("Basic ")).decode() for each in seen]
    assert logins == ["user:first", "user:second", "user:second"]
    assert "second" not in repr(registry) + repr(RegistryConfiguration(load_settings({})).current())


def test_certificates_that_change_make_another_client_once_they_fit(
    emulator: RegistryEmulator, tmp_path: Path
) -> None:
    authority = Authority(name="authority", folder=tmp_path)
    files, other = (authority.client(name, password=SECRET) for name in ("one", "two"))
    schema_id = emulator.register("events-value", EVENT_SCHEMA)
    target = ("127.0.0.1", int(emulator.url.rsplit(":", 1)[1]))
    identity = authority.server("127.0.0.1")
    with TlsFront(target=target, identity=identity, clients=authority.path).serving() as front:
        given = {
            "url": f"https://127.0.0.1:{front.address[1]}",
            "ssl.ca.location": str(authority.path),
            "ssl.certificate.location": str(files.certificate),
            "ssl.key.location": str(files.key),
            "ssl.key.password": SECRET,
            "max.retries": 0,
        }

        def current() -> Configured:
            return Configured(given, (version(files.certificate), version(files.key)))

        with closing(ConfluentRegistry(current)) as registry:
            made_first = registry._client
            assert registry.schema(schema_id) is not None
            other.certificate.rename(files.certificate)  # and its key is still on its way
            assert registry.schema(schema_id) is not None
            assert registry._client is made_first
            other.key.rename(files.key)
            assert registry.schema(schema_id) is not None
            assert registry._client is not made_first


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"ssl.ca.location": "/nowhere/ca.crt"},
            "SCHEMA_REGISTRY_SSL_CA_LOCATION must name a file that can be read",
        ),
        (
            {"ssl.ca.location": __file__},
            "the SCHEMA_REGISTRY_SSL_ variables do not fit together: look for a file without"
            " certificates, a key of another certificate, a password that does not open the key",
        ),
        (
            {"bearer.auth.credentials.source": SECRET},
            "the registry's client does not take the SCHEMA_REGISTRY_ variables (ValueError)",
        ),
    ],
)
def test_what_no_client_can_be_made_with_is_a_sentence(
    changed: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ValueError, match="SCHEMA_REGISTRY_") as refused:
        registry_client({"url": "https://registry.example", **changed})

    assert str(refused.value) == sentence
    assert refused.value.__cause__ is refused.value.__context__ is None


# --- the thread ---------------------------------------------------------------------------------


class AnyRegistry(Protocol):
    def schema(self, schema_id: int) -> str | None: ...


class Scripted:
    """A registry of answers by id, each given in turn and the last one for ever."""

    def __init__(self, answers: dict[int, list[str | Exception | None]]) -> None:
        self._answers = answers
        self.asked: list[int] = []

    def schema(self, schema_id: int) -> str | None:
        self.asked.append(schema_id)
        answers = self._answers[schema_id]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def running(
    registry: AnyRegistry | None, now: Callable[[], float] = lambda: 0.0
) -> Iterator[Schemas]:
    schemas = Schemas(registry=registry, local=local_schemas(None), now=now)
    schemas.start()
    yield schemas
    schemas.stop()


def next_news(schemas: Schemas) -> list[Fetched]:
    """News, as soon as there is some."""
    until = monotonic() + PATIENCE_SECONDS
    waiting = threading.Event()
    while not (found := schemas.news()):
        assert monotonic() < until, "there is no news"
        waiting.wait(0.005)
    return found


def test_a_schema_is_asked_for_once_and_then_there(emulator: RegistryEmulator) -> None:
    schema_id = emulator.register("events-value", EVENT_SCHEMA)

    with client(emulator.url) as registry, running(registry) as schemas:
        assert schemas.plan_for(schema_id) is None

        (news,) = next_news(schemas)

        assert (news.ref, news.error) == (schema_id, None)
        assert isinstance(news.known, ReadPlan)
        assert schemas.plan_for(schema_id) is news.known
        assert schemas.news() == []


def test_asking_again_while_it_is_fetched_asks_nobody_twice() -> None:
    held = threading.Event()
    asked: list[int] = []

    class Slow:
        def schema(self, schema_id: int) -> str | None:
            asked.append(schema_id)
            assert held.wait(PATIENCE_SECONDS)
            return EVENT_SCHEMA

    with running(Slow()) as schemas:
        started_at = monotonic()
        assert [schemas.plan_for(1) for _ in range(100)] == [None] * 100
        assert schemas.news() == []
        assert monotonic() - started_at < PATIENCE_SECONDS / 2
        held.set()

        assert [each.ref for each in next_news(schemas)] == [1]
        assert schemas.plan_for(1) is not None
    assert asked == [1]


def test_a_registry_that_is_down_makes_no_schema_unknown() -> None:
    registry = Scripted({7: [RegistryError("HTTP 503")]})

    with running(registry) as schemas:
        assert schemas.plan_for(7) is None

        assert next_news(schemas) == [Fetched(7, None, "HTTP 503")]
        assert schemas.plan_for(7) is None


def test_one_schema_that_cannot_be_fetched_does_not_hold_up_another() -> None:
    registry = Scripted({7: [RegistryError("HTTP 503")], 8: [EVENT_SCHEMA]})

    with running(registry) as schemas:
        schemas.plan_for(7)
        next_news(schemas)
        schemas.plan_for(8)

        assert [each.ref for each in next_news(schemas)] == [8]
        assert isinstance(schemas.plan_for(8), ReadPlan)


ODD_LOGICAL_TYPE = json.dumps(
    {
        "type": "record",
        "name": "A",
        "fields": [{"name": "eventTime", "type": {"type": "long", "logicalType": 5}}],
    }
)


@pytest.mark.parametrize(
    "text",
    ["{", "[" * 100_000, '{"type": "record"}', '"no such type"', "3", ODD_LOGICAL_TYPE],
    ids=["half", "deep", "nameless", "unknown", "number", "odd logical type"],
)
def test_a_schema_that_is_none_is_unusable_for_good(text: str) -> None:
    registry = Scripted({7: [text]})

    with running(registry) as schemas:
        schemas.plan_for(7)
        (news,) = next_news(schemas)

        assert isinstance(news.known, UnusableSchema)
        assert schemas.plan_for(7) is news.known
    assert registry.asked == [7]


def test_not_found_makes_a_schema_unknown_only_after_a_minute() -> None:
    # Asked directly: the thread's own pauses would make this test last a minute.
    schemas = Schemas(registry=Scripted({7: [None]}), local={}, now=lambda: 0.0)
    pending: dict[int, float | None] = {7: None}

    first = schemas._ask(7, pending)
    again = schemas._ask(7, pending)
    heard_at = pending[7]
    assert heard_at is not None
    almost = schemas._ask(7, {7: heard_at - NOT_FOUND_SECONDS + PATIENCE_SECONDS})
    last = schemas._ask(7, {7: heard_at - NOT_FOUND_SECONDS})

    assert first == again == almost == Fetched(7, None, "schema 7 is not found")
    assert pending == {7: heard_at}
    assert last == Fetched(7, UnknownSchema("the registry knows no schema 7"), None)


def test_a_registry_that_fails_in_between_does_not_count_as_not_found() -> None:
    registry = Scripted({7: [RegistryError("HTTP 503"), None, RegistryError("HTTP 503")]})
    schemas = Schemas(registry=registry, local={}, now=lambda: 0.0)
    pending: dict[int, float | None] = {7: None}

    assert schemas._ask(7, pending).error == "HTTP 503"
    assert pending == {7: None}
    assert schemas._ask(7, pending).error == "schema 7 is not found"
    old: dict[int, float | None] = {7: -1e9}
    assert schemas._ask(7, old) == Fetched(7, None, "HTTP 503")


def test_even_an_unknown_schema_is_asked_for_again_later() -> None:
    now = 1000.0
    schemas = Schemas(registry=Scripted({7: [None]}), local={}, now=lambda: now)
    unknown = UnknownSchema("the registry knows no schema 7")
    assert schemas.plan_for(7) is None
    schemas._news.put(Fetched(7, unknown, None))  # what the thread says after a minute
    schemas.news()

    now = 1000.0 + UNKNOWN_FOR_SECONDS - 0.001
    assert schemas.plan_for(7) is unknown
    now = 1000.0 + UNKNOWN_FOR_SECONDS
    assert schemas.plan_for(7) is None
    assert schemas._questions.qsize() == 2


def test_the_thread_ends_when_told() -> None:
    before = set(threading.enumerate())
    with running(Scripted({})) as schemas:
        (thread,) = set(threading.enumerate()) - before
        assert thread.daemon
        schemas.stop()

        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


# --- without a registry -------------------------------------------------------------------------


def test_without_a_registry_an_id_is_unknown_and_our_own_fingerprint_known() -> None:
    before = set(threading.enumerate())
    with running(None) as schemas:
        assert set(threading.enumerate()) == before
        assert isinstance(schemas.plan_for(schema_fingerprint(event_schema())), ReadPlan)
        known = schemas.plan_for(7)
        assert isinstance(known, UnknownSchema)
        assert "SCHEMA_REGISTRY_URL" in known.detail


def test_a_fingerprint_is_never_asked_for() -> None:
    registry = Scripted({})
    with running(registry) as schemas:
        assert isinstance(schemas.plan_for(b"12345678"), UnknownSchema)
    assert registry.asked == []


def test_schemas_of_a_folder_are_known_by_their_fingerprints(tmp_path: Path) -> None:
    other = {**event_schema(), "name": "Conversion", "namespace": "theirs"}
    (tmp_path / "theirs.avsc").write_text(json.dumps(other), "utf-8")
    (tmp_path / "notes.txt").write_text("no schema", "utf-8")

    plans = local_schemas(tmp_path)

    assert set(plans) == {schema_fingerprint(event_schema()), schema_fingerprint(other)}
    assert all(isinstance(plan, ReadPlan) for plan in plans.values())


@pytest.mark.parametrize("content", [b"{", b"\xff", b'{"type": "record"}', b"[" * 100_000])
def test_a_file_that_is_no_schema_is_told_by_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.avsc").write_bytes(content)

    with pytest.raises(ValueError, match=r"broken\.avsc cannot be read as a schema"):
        local_schemas(tmp_path)


# --- the emulator of a registry -----------------------------------------------------------------


def test_the_emulator_registers_over_http_and_the_same_schema_once(
    emulator: RegistryEmulator,
) -> None:
    url = f"{emulator.url}/subjects/events-value/versions"

    def register(schema: str) -> Any:
        return httpx.post(url, json={"schema": schema}).json()

    assert register(EVENT_SCHEMA) == register(EVENT_SCHEMA) == {"id": 1}
    assert register('"string"') == {"id": 2}
    assert httpx.get(f"{emulator.url}/subjects").json() == ["events-value"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/subjects/a/versions", b"{", 422),
        ("/subjects/a/versions", b"{}", 422),
        ("/schemas/ids/9", None, 404),
        ("/schemas/ids/0", None, 404),
        ("/nowhere", None, 404),
    ],
)
def test_the_emulator_refuses_as_a_registry_does(
    emulator: RegistryEmulator, path: str, body: bytes | None, status: int
) -> None:
    method = "GET" if body is None else "POST"

    answer = httpx.request(method, emulator.url + path, content=body)

    assert answer.status_code == status
    assert answer.json().keys() == {"error_code", "message"}


def test_a_schema_of_another_kind_is_a_final_answer() -> None:
    body = b'{"schema": "syntax = \\"proto3\\";", "schemaType": "PROTOBUF"}'
    with answering(200, body) as url, client(url) as registry:
        schemas = Schemas(registry=registry, local={}, now=lambda: 0.0)
        fetched = schemas._ask(1, {1: None})

    assert fetched.known == UnusableSchema("schema 1 is PROTOBUF, not Avro")


def test_a_number_that_no_registry_gives_is_unknown_without_asking() -> None:
    schemas = Schemas(registry=FakeNever(), local={}, now=lambda: 0.0)

    assert isinstance(schemas.plan_for(2**31), UnknownSchema)


class FakeNever:
    """A registry that must not be asked."""

    def schema(self, schema_id: int) -> str | None:
        raise AssertionError("asked")

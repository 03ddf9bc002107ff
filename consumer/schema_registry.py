"""The edge to the schema registry: schemas are fetched by a thread of their own, never by the loop.

A registry that is down is not a bad event: the thread goes on asking, and the records wait. Only
the registry's own "not found", repeated for a minute, makes a schema unknown; even that is asked
again later, because a publisher may have been faster than the registration.
"""

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import NamedTuple, Protocol

from confluent_kafka.schema_registry.error import SchemaRegistryError

from consumer.decode import SchemaRef, UnknownSchema
from consumer.registry_client import Configured, registry_client
from consumer.schema_plan import (
    ReadPlan,
    UnusableSchema,
    event_schema,
    plan_reading,
    schema_fingerprint,
)
from consumer.unanswered import why_unanswered

AGAIN_SECONDS = 2.0
NOT_FOUND_SECONDS = 60.0
UNKNOWN_FOR_SECONDS = 60.0
SCHEMA_ID_MAX = 2**31 - 1
UNKNOWN_MAX = 10_000
"""So many unknown ids are remembered: garbage with a zero byte in front names a new one each."""

SCHEMA_NOT_FOUND = 40403
"""The registry's own word; any other 404 comes from a proxy, or from a wrong address."""

Known = ReadPlan | UnusableSchema | UnknownSchema


class Registry(Protocol):
    """Gives a schema's JSON by its id; None when there is certainly none."""

    def schema(self, schema_id: int) -> str | None: ...


class RegistryError(Exception):
    """The registry did not answer, or not usefully. Says how, without its address."""


class NotAvroError(Exception):
    """The schema is there, and is of another kind: an id never changes its meaning."""


class ConfluentRegistry:
    """A registry that speaks Confluent's API (Confluent's own, Apicurio's, Karapace)."""

    def __init__(self, current: Callable[[], Configured]) -> None:
        """``current`` is what a client should be made with now. Raises ValueError with a sentence
        for what no client can be made with."""
        self._current = current
        self._made_with = current()
        self._client = registry_client(self._made_with.properties)

    def schema(self, schema_id: int) -> str | None:
        """Ask once. Raises RegistryError for everything but a schema and a clear no."""
        self._renew()
        try:
            found = self._client.get_schema(schema_id)
        except SchemaRegistryError as error:
            if error.http_status_code == 404 and error.error_code == SCHEMA_NOT_FOUND:
                return None
            raise RegistryError(f"HTTP {error.http_status_code}") from None
        except Exception as error:
            # Its HTTP library's errors quote the address, which may hold credentials.
            raise RegistryError(why_unanswered(error)) from None
        if found.schema_type not in (None, "AVRO"):
            raise NotAvroError(f"schema {schema_id} is {found.schema_type}, not Avro")
        if not found.schema_str:
            raise RegistryError("an answer without a schema")
        return found.schema_str

    def close(self) -> None:
        """Give up its connections."""
        self._client.close()

    def _renew(self) -> None:
        """Take another client when a file has changed; files that do not fit yet are looked at
        again with the next question, and the client that there is goes on."""
        current = self._current()
        if current == self._made_with:
            return
        try:
            client = registry_client(current.properties)
        except ValueError:
            return
        self._client.close()
        self._client, self._made_with = client, current


class Fetched(NamedTuple):
    """News from the thread: a schema, or (``known`` None) why it could not be fetched yet."""

    ref: SchemaRef
    known: Known | None
    error: str | None


class Schemas:
    """Read plans by schema id. ``plan_for`` and ``news`` are for the loop and never block."""

    def __init__(
        self,
        *,
        registry: Registry | None,
        local: Mapping[bytes, ReadPlan | UnusableSchema],
        now: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._plans: dict[SchemaRef, Known] = {ref: plan for ref, plan in local.items()}
        self._unknown_until: dict[SchemaRef, float] = {}
        self._asked: set[SchemaRef] = set()
        self._now = now
        self._questions: SimpleQueue[int | None] = SimpleQueue()
        self._news: SimpleQueue[Fetched] = SimpleQueue()
        self._stopped = threading.Event()

    def __repr__(self) -> str:
        return f"<Schemas {len(self._plans)} known, {len(self._asked)} asked for>"

    def plan_for(self, ref: SchemaRef) -> Known | None:
        """What is known of a schema; None after asking for it, and until it is there."""
        known = self._plans.get(ref)
        if known is not None:
            if isinstance(known, UnknownSchema) and self._now() >= self._unknown_until[ref]:
                del self._plans[ref]
            else:
                return known
        if isinstance(ref, bytes):
            return UnknownSchema("no schema with this fingerprint is at hand")
        if ref > SCHEMA_ID_MAX:
            return UnknownSchema(f"{ref} is no schema id: registries count from 1 to 2^31")
        if self._registry is None:
            return UnknownSchema("a schema id, but SCHEMA_REGISTRY_URL is not set")
        if ref not in self._asked:
            self._asked.add(ref)
            self._questions.put(ref)
        return None

    def news(self) -> list[Fetched]:
        """What the thread has found out since the last call."""
        found: list[Fetched] = []
        while True:
            try:
                item = self._news.get_nowait()
            except Empty:
                return found
            if item.known is not None:
                self._plans[item.ref] = item.known
                self._asked.discard(item.ref)
                if isinstance(item.known, UnknownSchema):
                    self._forget_unknown()
                    self._unknown_until[item.ref] = self._now() + UNKNOWN_FOR_SECONDS
            found.append(item)

    def _forget_unknown(self) -> None:
        if len(self._unknown_until) < UNKNOWN_MAX:
            return
        for ref in self._unknown_until:
            if isinstance(self._plans.get(ref), UnknownSchema):
                del self._plans[ref]
        self._unknown_until.clear()

    def start(self) -> None:
        """Start the fetching thread, if there is a registry to ask."""
        if self._registry is not None:
            threading.Thread(target=self._work, name="schemas", daemon=True).start()

    def stop(self) -> None:
        """Ask the thread to end; one that waits for the registry is left behind."""
        self._stopped.set()
        self._questions.put(None)

    def _work(self) -> None:
        pending: dict[int, float | None] = {}  # schema id -> when "not found" was first heard
        again_at = 0.0
        while not self._stopped.is_set():
            timeout = max(0.0, again_at - monotonic()) if pending else None
            try:
                question = self._questions.get(timeout=timeout)
                if question is None:
                    return
                if not pending:
                    again_at = monotonic() + AGAIN_SECONDS
                pending[question] = None
                self._answer(question, pending)  # the newest first: it may well be there
            except Empty:
                for ref in list(pending):
                    self._answer(ref, pending)
                again_at = monotonic() + AGAIN_SECONDS

    def _answer(self, ref: int, pending: dict[int, float | None]) -> None:
        try:
            answer = self._ask(ref, pending)
        except Exception as error:  # this thread must not end: nobody else would ask
            answer = Fetched(ref, None, type(error).__name__)
        if answer.known is not None:
            del pending[ref]
        self._news.put(answer)

    def _ask(self, ref: int, pending: dict[int, float | None]) -> Fetched:
        assert self._registry is not None, "the thread runs only with a registry"
        try:
            if (known := fetched(self._registry, ref)) is not None:
                return Fetched(ref, known, None)
        except RegistryError as error:
            return Fetched(ref, None, str(error))
        first = pending[ref]
        now = monotonic()
        if first is None:
            pending[ref] = first = now
        if now - first >= NOT_FOUND_SECONDS:
            return Fetched(ref, UnknownSchema(f"the registry knows no schema {ref}"), None)
        return Fetched(ref, None, f"schema {ref} is not found")


def fetched(registry: Registry, ref: int) -> ReadPlan | UnusableSchema | None:
    """One question to the registry; None when it knows no such schema. Raises RegistryError."""
    try:
        text = registry.schema(ref)
        return None if text is None else plan_reading(json.loads(text))
    except NotAvroError as error:
        return UnusableSchema(str(error))
    except (json.JSONDecodeError, RecursionError) as error:
        return UnusableSchema(f"the schema is no JSON ({type(error).__name__})")


def local_schemas(folder: Path | None) -> dict[bytes, ReadPlan | UnusableSchema]:
    """Plans by fingerprint for single-object encoding: our schema and those of a folder.

    Raises ValueError with one sentence for a file that is no Avro schema.
    """
    plans: dict[bytes, ReadPlan | UnusableSchema] = {}
    ours = event_schema()
    plans[schema_fingerprint(ours)] = plan_reading(ours)
    for path in sorted(folder.glob("*.avsc")) if folder is not None else []:
        try:
            schema = json.loads(path.read_text(encoding="utf-8"))
            plans[schema_fingerprint(schema)] = plan_reading(schema)
        except Exception as error:  # whatever somebody has put into the folder
            reason = f"{path.name} cannot be read as a schema ({type(error).__name__})"
            raise ValueError(reason) from None
    return plans

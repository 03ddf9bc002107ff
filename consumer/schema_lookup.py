"""Schemas for a command that reads some records: asked for one by one, and waited for."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from consumer.decode import SchemaRef, UnknownSchema
from consumer.registry_client import RegistryConfiguration
from consumer.schema_plan import ReadPlan, UnusableSchema
from consumer.schema_registry import (
    SCHEMA_ID_MAX,
    ConfluentRegistry,
    Known,
    Registry,
    RegistryError,
    fetched,
    local_schemas,
)
from consumer.settings import Settings


class SchemaLookup:
    """Satisfies ``decode.SchemaFor``. Each schema is asked for once, answered or not; ``trouble``
    is why the registry did not answer, if it once did not."""

    def __init__(
        self,
        *,
        registry: Registry | None,
        local: Mapping[bytes, ReadPlan | UnusableSchema],
    ) -> None:
        self._registry = registry
        self._known: dict[SchemaRef, Known | None] = dict(local.items())
        self.trouble: str | None = None

    def __repr__(self) -> str:
        return f"<SchemaLookup {len(self._known)} known>"

    def __call__(self, ref: SchemaRef) -> Known | None:
        """What is known of a schema; None when the registry does not answer."""
        if ref not in self._known:
            self._known[ref] = self._ask(ref)
        return self._known[ref]

    def _ask(self, ref: SchemaRef) -> Known | None:
        if isinstance(ref, bytes):
            return UnknownSchema("no schema with this fingerprint is at hand")
        if self._registry is None:
            return UnknownSchema("a schema id, but SCHEMA_REGISTRY_URL is not set")
        if ref > SCHEMA_ID_MAX:
            return UnknownSchema(f"{ref} is no schema id: registries count from 1 to 2^31")
        try:
            found = fetched(self._registry, ref)
        except RegistryError as error:
            self.trouble = str(error)
            return None
        return found or UnknownSchema(f"the registry knows no schema {ref}")


@contextmanager
def schemas_of(settings: Settings) -> Iterator[SchemaLookup]:
    """The registry and the local schemas that the settings name. Raises ValueError for a local
    file that is no schema, and for a registry's client that cannot be made."""
    local = local_schemas(settings.schemas_dir)
    if not settings.schema_registry:
        yield SchemaLookup(registry=None, local=local)
        return
    with closing(ConfluentRegistry(RegistryConfiguration(settings).current)) as registry:
        yield SchemaLookup(registry=registry, local=local)

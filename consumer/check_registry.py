"""Checks the schema registry: reachable, the newest schema readable, ours fit to be the next."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any, TypeVar

import fastavro
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from consumer.decode import decode
from consumer.finding import Finding, failed, ok, skipped, warning
from consumer.model import Reason, Record, Rejected, TopicPartition
from consumer.registry_client import registry_client
from consumer.schema_plan import ReadPlan, UnusableSchema, event_schema, plan_reading
from consumer.schema_registry import local_schemas
from consumer.settings import Settings
from consumer.unanswered import why_unanswered

ANSWER_SECONDS = 5.0
LEVEL = "FULL_TRANSITIVE"

T = TypeVar("T")


def check_registry(settings: Settings) -> Iterator[Finding]:
    """Everything about schemas; without a registry, only those in a folder."""
    if settings.schemas_dir is not None:
        yield _folder(settings)
    configuration = settings.schema_registry
    if not configuration:
        yield skipped(
            "registry",
            "SCHEMA_REGISTRY_URL is not set: only single-object encoding can be read",
            "Publish with single-object encoding, or set SCHEMA_REGISTRY_URL.",
        )
        return
    subject = f"{settings.topic}-value"
    try:
        client = _client(configuration)
    except _Trouble as trouble:
        yield from _without_schema(subject, trouble)
        return
    with closing(client):
        yield from _check_subject(client, subject)


def reading(text: str, kind: str) -> Finding:
    """Whether the consumer can read what is written by this schema."""
    publish = "Have the publishers use schemas/conversion_event.avsc, on a new topic if need be."
    if kind != "AVRO":
        return failed("schema", f"the newest schema is {kind[:20]}, not Avro", publish)
    try:
        plan = plan_reading(json.loads(text))
    except (ValueError, RecursionError):
        return failed("schema", "the newest schema is no JSON", publish)
    if isinstance(plan, UnusableSchema):
        return failed("schema", f"of the newest schema, {plan.detail[:300]}", publish)
    if all(_reads(plan, sample) for sample in _samples(plan)):
        return ok("schema", "the newest schema can be read")
    if plan.reader is None:
        told = "some events of the newest schema would be dead letters: a field has too many types"
        return warning("schema", told, publish)
    told = "events of the newest schema cannot be resolved to conversion_event.avsc"
    return failed("schema", told, publish)


def _check_subject(client: SchemaRegistryClient, subject: str) -> Iterator[Finding]:
    try:
        newest = _ask(lambda: client.get_latest_version(subject))
    except _Trouble as trouble:
        yield from _without_schema(subject, trouble)
        return
    yield ok("registry", "the registry answers")
    yield ok("subject", f"{subject} has a schema, version {newest.version}, id {newest.schema_id}")
    yield reading(newest.schema.schema_str or "", newest.schema.schema_type or "AVRO")
    yield _fit(client, subject)
    yield _level(client, subject)


class _Trouble(Exception):
    """The registry did not give what was asked for. ``status`` is HTTP's, ``code`` its own."""

    def __init__(self, why: str, *, status: int | None = None, code: int | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.code = code


def _client(configuration: Mapping[str, Any]) -> SchemaRegistryClient:
    seconds = min(float(configuration.get("timeout", ANSWER_SECONDS)), ANSWER_SECONDS)
    try:
        return registry_client({**configuration, "timeout": seconds, "max.retries": 0})
    except ValueError as error:
        raise _Trouble(str(error)) from None


def _ask(question: Callable[[], T]) -> T:
    try:
        return question()
    except SchemaRegistryError as error:
        status, code = error.http_status_code, error.error_code
        raise _Trouble(f"it answers HTTP {status}", status=status, code=code) from None
    except Exception as error:
        # Its HTTP library's errors quote the address, which may hold credentials.
        raise _Trouble(why_unanswered(error)) from None


def _without_schema(subject: str, trouble: _Trouble) -> Iterator[Finding]:
    if trouble.code in _NO_SUBJECT:
        yield ok("registry", "the registry answers")
        yield failed(
            "subject",
            f"there is no subject {subject}",
            "Register schemas/conversion_event.avsc: conversions publish --register does it.",
        )
    elif trouble.status in (401, 403):
        yield failed(
            "registry",
            f"the registry refuses our credentials (HTTP {trouble.status})",
            "Look at SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO, and at what that user may read.",
        )
    elif trouble.status == 404:
        yield failed(
            "registry",
            "something answers HTTP 404, but not as a registry does",
            "Look at the path of SCHEMA_REGISTRY_URL: Apicurio's ends with /apis/ccompat/v7.",
        )
    else:
        yield failed(
            "registry",
            f"the registry cannot be asked: {trouble}",
            "Look at SCHEMA_REGISTRY_URL, SCHEMA_REGISTRY_SSL_CA_LOCATION, and whether it is up.",
        )


def _fit(client: SchemaRegistryClient, subject: str) -> Finding:
    ours = Schema(json.dumps(event_schema()), "AVRO")
    try:
        fits = _ask(lambda: client.test_compatibility(subject, ours))
    except _Trouble as trouble:
        told = f"the registry was asked whether our schema is compatible: {trouble}"
        return skipped("compatibility", told, "Check again, or ask who runs the registry.")
    if fits:
        return ok("compatibility", "our schema is compatible with the newest one")
    return warning(
        "compatibility",
        "the registry says that our schema is not compatible with the newest one",
        "Compare the two before registering: a breaking change belongs on a new topic.",
    )


def _level(client: SchemaRegistryClient, subject: str) -> Finding:
    try:
        level = _level_of(client, subject)
    except _Trouble as trouble:
        told = f"the registry was asked for the compatibility level: {trouble}"
        return skipped("compatibility level", told, "Check again, or ask who runs the registry.")
    if level == LEVEL:
        return ok("compatibility level", f"{subject} is {LEVEL}")
    return warning(
        "compatibility level",
        f"{subject} is {level[:30]}: a publisher may register what older readers cannot read",
        f'Set it: PUT /config/{subject} with {{"compatibility": "{LEVEL}"}}.',
    )


def _level_of(client: SchemaRegistryClient, subject: str) -> str:
    try:
        return _ask(lambda: client.get_compatibility(subject))
    except _Trouble as trouble:
        if trouble.status != 404:
            raise
    # The subject has no level of its own: the registry's applies.
    return _ask(client.get_compatibility)


def _folder(settings: Settings) -> Finding:
    try:
        plans = local_schemas(settings.schemas_dir)
    except ValueError as error:
        advice = "Mend the file, or take it out of CONVERSIONS_SCHEMAS_DIR."
        return failed("schemas folder", str(error), advice)
    unusable = [plan.detail for plan in plans.values() if isinstance(plan, UnusableSchema)]
    if unusable:
        advice = "Mend or remove it: records written by it would be dead letters."
        return warning("schemas folder", f"of one of its files, {unusable[0][:300]}", advice)
    return ok("schemas folder", f"{len(plans)} schemas for single-object encoding, ours included")


def _reads(plan: ReadPlan, sample: Any) -> bool:
    """Whether one made-up event can be resolved; what cannot even be written proves nothing."""
    written = io.BytesIO(b"\x00\x00\x00\x00\x01")
    written.seek(5)
    try:
        fastavro.schemaless_writer(written, plan.writer, sample)
    except Exception:
        return True
    place = TopicPartition("check", 0)
    record = Record(place, 0, 0, None, written.getvalue(), (), 0)
    read = decode(record, schema_for=lambda _: plan)
    return not (isinstance(read, Rejected) and read.reason is Reason.SCHEMA_INCOMPATIBLE)


def _samples(plan: ReadPlan) -> Iterator[Any]:
    """Events that together take every branch of unions of up to ``_BRANCHES_MAX``."""
    named = plan.writer.get("__named_schemas", {}) if isinstance(plan.writer, dict) else {}
    return (_sample(plan.writer, named, branch) for branch in range(_BRANCHES_MAX))


def _sample(schema: Any, named: Mapping[str, Any], branch: int) -> Any:
    if isinstance(schema, list):
        return _sample(schema[min(branch, len(schema) - 1)], named, branch)
    if isinstance(schema, str):
        return _sample(named[schema], named, branch) if schema in named else _VALUES[schema]
    match schema["type"]:
        case "record" | "error":
            return {each["name"]: _sample(each["type"], named, branch) for each in schema["fields"]}
        case "array":
            return [_sample(schema["items"], named, branch)]
        case "map":
            return {"key": _sample(schema["values"], named, branch)}
        case "enum":
            return schema["symbols"][0]
        case "fixed":
            return bytes(schema["size"])
        case inner:
            return _sample(inner, named, branch)


_NO_SUBJECT = {40401, 40402, 40403}
_BRANCHES_MAX = 4
_VALUES = {
    "null": None,
    "boolean": False,
    "int": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
    "bytes": b"",
    "string": "",
}

"""The schema changes, in both directions: publishers are older or newer than we are, or different.

Every field of the schema is filled, written by a changed schema, and must come back as it was,
under our names. What readers of ours see of a newer event, and of an older one, is tried with
Avro's own resolution, as any other consumer of the topic would.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from io import BytesIO
from typing import Any

import fastavro
import pytest

from consumer.decode import decode
from consumer.encode import EventEncoder
from consumer.model import Event
from consumer.schema_plan import ReadPlan, event_schema, plan_reading
from tests.fakes.events import a_record

Schema = dict[str, Any]
Change = Callable[[Schema], None]
TIME_MS = 1_795_000_000_123
TIMES = {"eventTime", "fbclidTime", "visitTime", "touchpointTime"}
REQUIRED = ("eventName", "eventTime", "user")


def filled(schema: Any, name: str = "") -> Any:
    """A value for every field."""
    if isinstance(schema, list):
        return filled(schema[1], name)
    kind = schema if isinstance(schema, str) else schema["type"]
    match kind:
        case "record":
            return {
                field["name"]: filled(field["type"], field["name"]) for field in schema["fields"]
            }
        case "array":
            return [filled(schema["items"], name)] * 2
        case "map":
            return {"one": filled(schema["values"], name)}
        case "string":
            return f"text of {name}"
        case "long":
            return TIME_MS if name in TIMES else len(name)
        case "double":
            return len(name) / 4
        case _:
            return True


FULL: dict[str, Any] = filled(event_schema())


def records(schema: Any) -> list[Schema]:
    """Every record of a schema, the outer ones first."""
    if isinstance(schema, list):
        return [found for branch in schema for found in records(branch)]
    if not isinstance(schema, dict):
        return []
    within = [found for field in schema.get("fields", ()) for found in records(field["type"])]
    own = [schema] if schema["type"] == "record" else []
    return [*own, *within, *records(schema.get("items"))]


def changed(change: Change) -> Schema:
    """Our schema with every record changed."""
    schema = deepcopy(event_schema())
    for record in records(schema):
        change(record)
    return schema


def read(writer: Schema, values: Any) -> Any:
    """What the consumer makes of an event that was written so, without any resolution."""
    out = BytesIO(b"\x00\x00\x00\x00\x07")
    out.seek(5)
    fastavro.schemaless_writer(out, fastavro.parse_schema(plain(writer)), values)
    plan = plan_reading(writer)
    assert isinstance(plan, ReadPlan)
    assert plan.reader is None, "the quick way"
    event = decode(a_record(value=out.getvalue()), schema_for=lambda _: plan)
    assert isinstance(event, Event), event
    assert event.event_time_ms == TIME_MS
    return event.fields


def plain(schema: Any) -> Any:
    """Without logical types, so that plain numbers can be written."""
    if isinstance(schema, list):
        return [plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: plain(each) for key, each in schema.items() if key != "logicalType"}


def with_more(record: Schema) -> None:
    record["fields"][1:1] = [
        {"name": "warehouse", "type": ["null", "string"], "default": None},
        {"name": "attempt", "type": "int", "default": 0},
    ]


def other_way_round(record: Schema) -> None:
    record["fields"].reverse()


def elsewhere(record: Schema) -> None:
    record |= {"namespace": f"shop.{record['name'].lower()}", "name": "R"}


def without_nulls(record: Schema) -> None:
    for field in record["fields"]:
        if isinstance(field["type"], list):
            field["type"] = field.pop("default", None) or field["type"][1]


def null_last(record: Schema) -> None:
    for field in record["fields"]:
        if isinstance(field["type"], list):
            field.pop("default")
            field["type"].reverse()


def narrower(record: Schema) -> None:
    """int for long, float for double; times keep what they need."""
    for field in record["fields"]:
        if field["name"] not in TIMES:
            field["type"] = _narrow(field["type"])


def _narrow(kind: Any) -> Any:
    if isinstance(kind, list):
        return [_narrow(each) for each in kind]
    return {"long": "int", "double": "float"}.get(kind, kind) if isinstance(kind, str) else kind


def renamed(record: Schema) -> None:
    """Their own names, with ours as aliases."""
    for field in record["fields"]:
        field |= {"name": f"their_{field['name']}", "aliases": [field["name"]]}


@pytest.mark.parametrize("change", [other_way_round, elsewhere, without_nulls, null_last, narrower])
def test_a_writer_that_differs_in_form_is_read_as_if_it_did_not(change: Change) -> None:
    assert read(changed(change), FULL) == FULL


def test_a_newer_writer_with_more_fields_everywhere_is_read() -> None:
    def more(value: Any) -> Any:
        if isinstance(value, list):
            return [more(each) for each in value]
        if not isinstance(value, dict) or value.keys() == {"one"}:
            return value
        return {**{name: more(each) for name, each in value.items()}, "attempt": 1}

    def ours(value: Any) -> Any:
        if isinstance(value, list):
            return [ours(each) for each in value]
        if not isinstance(value, dict):
            return value
        return {k: ours(v) for k, v in value.items() if k not in ("attempt", "warehouse")}

    assert ours(read(changed(with_more), more(FULL))) == FULL


def test_a_writer_with_names_of_its_own_is_read_by_its_aliases() -> None:
    def theirs(value: Any) -> Any:
        if isinstance(value, list):
            return [theirs(each) for each in value]
        if not isinstance(value, dict) or value.keys() == {"one"}:
            return value
        return {f"their_{name}": theirs(each) for name, each in value.items()}

    assert read(changed(renamed), theirs(FULL)) == FULL


@pytest.mark.parametrize(
    "name", [field["name"] for field in event_schema()["fields"] if field["name"] not in REQUIRED]
)
def test_an_older_writer_that_lacks_a_field_is_read_without_it(name: str) -> None:
    def without(record: Schema) -> None:
        record["fields"] = [field for field in record["fields"] if field["name"] != name]

    expected = {key: value for key, value in FULL.items() if key != name}
    found = read(changed(without), FULL)

    assert {key: value for key, value in found.items() if key in expected} == {
        key: (
            {k: v for k, v in value.items() if k != name}
            if isinstance(value, dict) and key != name
            else [{k: v for k, v in each.items() if k != name} for each in value]
            if key == "items"
            else value
        )
        for key, value in expected.items()
    }
    assert name not in found


def test_the_oldest_writer_of_all_has_the_required_fields_alone() -> None:
    def bare(record: Schema) -> None:
        keep = (*REQUIRED, "email")
        record["fields"] = [field for field in record["fields"] if field["name"] in keep]

    found = read(changed(bare), FULL)

    assert found == {
        "eventName": "text of eventName",
        "eventTime": TIME_MS,
        "user": {"email": "text of email"},
    }


def test_an_enumeration_is_read_as_its_word() -> None:
    schema = deepcopy(event_schema())
    sources = {"type": "enum", "name": "Source", "symbols": ["website", "app"]}
    field = next(each for each in schema["fields"] if each["name"] == "actionSource")
    field["type"] = ["null", sources]

    assert read(schema, FULL | {"actionSource": "app"})["actionSource"] == "app"


# --- other readers of the topic, with Avro's own resolution --------------------------------------


def resolved(value: bytes, writer: Schema, reader: Schema) -> Any:
    """What a consumer of whatever make reads; both schemas without logical types."""
    ours, theirs = fastavro.parse_schema(plain(writer)), fastavro.parse_schema(plain(reader))
    return fastavro.schemaless_reader(BytesIO(value), ours, theirs)


def encoded(fields: dict[str, Any]) -> bytes:
    return EventEncoder(schema_id=7).encode(fields)[5:]


@pytest.mark.parametrize("change", [with_more, other_way_round])
def test_a_reader_with_another_version_of_the_schema_reads_what_we_write(change: Change) -> None:
    found = resolved(encoded(FULL), event_schema(), changed(change))

    assert found["items"][0]["id"] == "text of id"
    assert found["user"]["clickIds"]["fbclidTime"] == TIME_MS


def test_our_schema_reads_what_was_written_with_the_required_fields_alone() -> None:
    def bare(record: Schema) -> None:
        keep = (*REQUIRED, "email")
        record["fields"] = [field for field in record["fields"] if field["name"] in keep]

    older = changed(bare)
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(plain(older)), FULL)

    found = resolved(out.getvalue(), older, event_schema())

    assert found["user"]["email"] == "text of email"
    assert {value for name, value in found.items() if name not in REQUIRED} == {None}


# --- what the schema itself promises -------------------------------------------------------------


def fields() -> list[tuple[str, Schema]]:
    return [
        (record["name"], field) for record in records(event_schema()) for field in record["fields"]
    ]


@pytest.mark.parametrize(("record", "field"), fields(), ids=lambda each: str(each)[:40])
def test_each_field_is_optional_or_required_for_good(record: str, field: Schema) -> None:
    if record == "ConversionEvent" and field["name"] in REQUIRED:
        assert "default" not in field
    else:
        assert field["type"][0] == "null"
        assert len(field["type"]) == 2, "other unions become Object in Java, nothing in SQL"
        assert field["default"] is None
    assert '"enum"' not in json.dumps(field), "new words of Meta's must not need a new schema"

"""Writers' records, whole: as bytes, as JSON, and back, with nothing lost."""

import json
import math
from copy import deepcopy
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from consumer.avro_json import json_of, value_of
from consumer.avro_kinds import Misfit, WriterSchema
from consumer.schema_plan import ReadPlan, event_schema, plan_reading
from tests.fakes.writers import plainly_read, writers, written

HEAD = b"\x00\x00\x00\x00\x07"


def schema_of(schema: Any) -> WriterSchema:
    plan = plan_reading(deepcopy(schema))
    assert isinstance(plan, ReadPlan), plan
    found = WriterSchema.of(plan)
    assert found is not None
    return found


def with_field(kind: Any, **more: Any) -> dict[str, Any]:
    """Our own schema with one field more."""
    schema = event_schema()
    schema["fields"].append({"name": "own", "type": kind, **more})
    return schema


def through_json(schema: Any, own: Any) -> tuple[Any, bytes, bytes]:
    """A value of a field as the JSON that people see, the bytes before and those after."""
    whole = schema_of(with_field(schema))
    event = {"eventName": "Lead", "eventTime": 1, "user": {}, "own": own}
    value = written(with_field(schema), event)
    told = orjson.loads(orjson.dumps(json_of(whole.kind, whole.read(value, 5))))
    return told.get("own"), value, whole.written(value_of(whole.kind, told, ""), HEAD)


def from_json(kind: Any, given: Any, **more: Any) -> Any:
    """What the field holds when a line says so."""
    schema = with_field(kind, **more)
    line = {"eventName": "Lead", "eventTime": 1, "user": {}}
    line |= {} if given is _ABSENT else {"own": given}
    whole = schema_of(schema)
    return plainly_read(schema, whole.written(value_of(whole.kind, line, ""), HEAD))["own"]


_ABSENT = object()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(writers())
def test_what_fastavro_wrote_is_written_again_byte_for_byte(made: tuple[Any, Any]) -> None:
    schema, event = made
    value = written(schema, event)
    whole = schema_of(schema)

    assert whole.written(whole.read(value, 5), HEAD) == value


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(writers())
def test_json_and_back_makes_the_same_event(made: tuple[Any, Any]) -> None:
    schema, event = made
    value = written(schema, event)
    whole = schema_of(schema)

    line = orjson.dumps(json_of(whole.kind, whole.read(value, 5)))
    back = whole.written(value_of(whole.kind, orjson.loads(line), ""), HEAD)

    assert plainly_read(schema, value, decimals=True) == plainly_read(schema, back, decimals=True)


def test_an_event_in_a_nullable_record_is_read_and_written_as_one() -> None:
    schema = ["null", event_schema()]
    value = written(schema, {"eventName": "Lead", "eventTime": 1, "user": {}})
    whole = schema_of(schema)

    record = whole.read(value, 5)

    assert record["eventName"] == "Lead"
    assert whole.written(record, HEAD) == value
    with pytest.raises(Misfit, match="the event is null"):
        whole.read(HEAD + b"\x00", 5)


def test_a_union_of_several_records_is_nobodys_event() -> None:
    other = {"type": "record", "name": "Other", "fields": []}
    plan = plan_reading([event_schema(), other])

    assert not isinstance(plan, ReadPlan) or WriterSchema.of(plan) is None


@pytest.mark.parametrize(
    ("kind", "own", "shown"),
    [
        (["null", "string"], None, None),
        ("string", "Ä\u0000\n", "Ä\u0000\n"),
        ("long", 2**53, 2**53),
        ("long", 2**53 + 1, "9007199254740993"),
        ("long", -(2**63), "-9223372036854775808"),
        ("double", math.inf, "Infinity"),
        ("double", -math.inf, "-Infinity"),
        ("double", math.nan, "NaN"),
        ("double", -0.0, -0.0),
        ("float", 0.5, 0.5),
        ("bytes", "Käse".encode(), "Käse"),
        ("bytes", b"\xff\x00", {"hex": "ff00"}),
        (["null", "int", "long"], ("long", 5), {"long": 5}),
        (["null", "int", "long"], ("int", 5), {"int": 5}),
        (["float", "double"], ("double", 0.1), {"double": 0.1}),
        (["string", "bytes"], ("bytes", b"x"), {"bytes": "x"}),
        (
            {"type": "map", "values": ["null", "string"]},
            {"a": None, "b": "c"},
            {"a": None, "b": "c"},
        ),
        ({"type": "fixed", "name": "F", "size": 2}, b"\xff\xfe", {"hex": "fffe"}),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
            Decimal("-0.05"),
            "-0.05",
        ),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 30},
            Decimal(10**29),
            str(10**29),
        ),
    ],
)
def test_values_are_shown_so_that_nothing_is_lost(kind: Any, own: Any, shown: Any) -> None:
    told, before, after = through_json(kind, own)

    assert json.dumps(told) == json.dumps(shown)
    assert after == before


@pytest.mark.parametrize(
    ("kind", "given", "held"),
    [
        ("long", "12", 12),
        ("long", 12.0, 12),
        ("double", "42.5", 42.5),
        ("double", 42, 42.0),
        ("boolean", "true", True),
        ("string", 12, "12"),
        ({"type": "long", "logicalType": "timestamp-micros"}, "1970-01-01T00:00:01Z", 1_000_000),
        ({"type": "long", "logicalType": "timestamp-millis"}, "1970-01-01T00:00:01Z", 1000),
        (["null", "string", "long"], "x", "x"),
        (["null", "string", "long"], 5, 5),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
            "1.5",
            b"\x00\x96",
        ),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, -1.28, b"\x80"),
    ],
)
def test_what_people_write_is_taken_for_what_the_field_holds(
    kind: Any, given: Any, held: Any
) -> None:
    assert from_json(kind, given) == held


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        ("long", "SECRET", "own must be a whole number of 64 bits"),
        ("long", 2**63, "own must be a whole number of 64 bits"),
        ("long", 1.5, "own must be a whole number of 64 bits"),
        ("long", True, "own must be a whole number of 64 bits"),
        ("int", 2**31, "own must be a whole number of 32 bits"),
        ("long", "1e999999999", "own must be a whole number of 64 bits"),
        ("double", "1_0", "own must be a number"),
        ("double", "nan", "own must be a number"),
        ("boolean", "yes", "own must be true or false"),
        ("string", ["SECRET"], "own must be a text"),
        ("bytes", {"hex": "xy"}, 'own must be a text or {"hex": …}'),
        ({"type": "array", "items": "long"}, [1, "SECRET"], "own[1] must be a whole number"),
        ({"type": "map", "values": "long"}, "SECRET", "own must be an object"),
        (
            {"type": "enum", "name": "E", "symbols": ["RED"]},
            "REED",
            "own must be one of its symbols (did you mean RED?)",
        ),
        ({"type": "fixed", "name": "F", "size": 2}, "SECRET", "own must be 2 bytes"),
        (["long", "boolean"], "SECRET", "own must be one of long, boolean"),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
            "1.234",
            "own must be a number of at most 4 digits, 2 of them behind the point",
        ),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
            "100.00",
            "own must be a number of at most 4 digits, 2 of them behind the point",
        ),
        ("long", _ABSENT, "own must be there: the writer's schema has neither null nor a default"),
    ],
)
def test_what_does_not_fit_is_told_without_its_value(kind: Any, given: Any, told: str) -> None:
    with pytest.raises(Misfit) as misfit:
        from_json(kind, given)

    assert str(misfit.value).startswith(told)
    assert "SECRET" not in str(misfit.value)


@pytest.mark.parametrize(
    ("kind", "default", "held"),
    [
        ("long", 7, 7),
        (["string", "null"], "x", None),
        (["string", "long"], "x", "x"),
        ("bytes", "\u00ff", b"\xff"),
        ({"type": "array", "items": "string"}, ["a"], ["a"]),
        ({"type": "map", "values": "long"}, {"a": 1}, {"a": 1}),
        (
            {
                "type": "record",
                "name": "R",
                "fields": [{"name": "a", "type": "long", "default": 3}],
            },
            {},
            {"a": 3},
        ),
    ],
)
def test_a_field_that_is_absent_is_null_or_its_default(kind: Any, default: Any, held: Any) -> None:
    assert from_json(kind, _ABSENT, default=default) == held


def test_a_name_that_is_no_field_is_told_with_the_nearest_and_only_then() -> None:
    whole = schema_of(event_schema())
    event = {"eventName": "Lead", "eventTime": 1}

    with pytest.raises(Misfit, match=r"^user.emial is no field .* \(did you mean email\?\)$"):
        value_of(whole.kind, event | {"user": {"emial": "x"}}, "")
    with pytest.raises(Misfit, match=r"^the event has a name that is no field") as misfit:
        value_of(whole.kind, event | {"jane@example.com": "x"}, "")
    assert "jane" not in str(misfit.value)


def test_bytes_that_do_not_fit_are_told_by_the_kind_of_error_alone() -> None:
    whole = schema_of(event_schema())

    with pytest.raises(Misfit, match="the bytes do not fit the schema"):
        whole.read(HEAD + b"\x10SECRET", 5)
    value = written(event_schema(), {"eventName": "L", "eventTime": 1, "user": {}})
    with pytest.raises(Misfit, match="3 bytes are left after the event"):
        whole.read(value + b"\x00\x00\x00", 5)

"""Schemas of arbitrary publishers, each with an event that they write by it."""

from decimal import Decimal
from io import BytesIO
from itertools import count
from typing import Any

import fastavro
from hypothesis import strategies as st

Typed = tuple[Any, st.SearchStrategy[Any]]
"""A type, and what of it there can be."""

FLOATS = st.floats(allow_nan=False, width=32)
SCALARS: list[Typed] = [
    ("string", st.text(max_size=5)),
    ("bytes", st.binary(max_size=5)),
    ("boolean", st.booleans()),
    ("int", st.integers(-(2**31), 2**31 - 1)),
    ("long", st.integers(-(2**63), 2**63 - 1)),
    ("float", FLOATS),
    ("double", st.floats(allow_nan=False)),
    ({"type": "long", "logicalType": "timestamp-millis"}, st.integers(-(2**62), 2**62)),
    ({"type": "long", "logicalType": "timestamp-micros"}, st.integers(0, 2**60)),
    ({"type": "string", "logicalType": "uuid"}, st.uuids().map(str)),
    ({"type": "int", "logicalType": "date"}, st.integers(0, 40_000)),
    (
        {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        st.decimals(-9_999_999, 9_999_999, places=2, allow_nan=False),
    ),
]


@st.composite
def types(draw: st.DrawFn, numbers: "count[int]", depth: int = 2) -> Typed:
    """Any type, of named ones each a new one."""
    name = f"T{next(numbers)}"
    kinds = ["scalar", "enum", "fixed", "decimal"]
    kinds += ["array", "map", "record", "optional", "union"] if depth else []
    inner = types(numbers, depth - 1) if depth else st.nothing()
    match draw(st.sampled_from(kinds)):
        case "enum":
            symbols = ["RED", "GREEN"]
            return {"type": "enum", "name": name, "symbols": symbols}, st.sampled_from(symbols)
        case "fixed":
            kind = {"type": "fixed", "name": name, "size": 3}
            return kind, st.binary(min_size=3, max_size=3)
        case "decimal":
            kind = {"type": "fixed", "name": name, "size": 5}
            more = {"logicalType": "decimal", "precision": 9, "scale": 3}
            return kind | more, st.decimals(-99_999, 99_999, places=3, allow_nan=False)
        case "array":
            items, values = draw(inner)
            return {"type": "array", "items": items}, st.lists(values, max_size=3)
        case "map":
            entries, values = draw(inner)
            names = st.text(max_size=3)
            return {"type": "map", "values": entries}, st.dictionaries(names, values, max_size=3)
        case "record":
            made = [draw(inner) for _ in range(draw(st.integers(1, 3)))]
            fields = [{"name": f"f{n}", "type": kind} for n, (kind, _) in enumerate(made)]
            values = st.fixed_dictionaries({f"f{n}": each for n, (_, each) in enumerate(made)})
            return {"type": "record", "name": name, "fields": fields}, values
        case "optional":
            kind, values = draw(inner.filter(lambda typed: not isinstance(typed[0], list)))
            return draw(st.permutations(["null", kind])), st.none() | values
        case "union":
            chosen = draw(st.lists(st.sampled_from(SCALARS[:7]), min_size=2, unique_by=repr))
            record = {
                "type": "record",
                "name": name,
                "fields": [{"name": "v", "type": chosen[0][0]}],
            }
            tagged = [st.tuples(st.just(kind), values) for kind, values in chosen]
            held = st.fixed_dictionaries({"v": chosen[0][1]})
            tagged.append(st.tuples(st.just(f"shop.{name}"), held))
            return ["null", *(kind for kind, _ in chosen), record], st.none() | st.one_of(tagged)
        case _:
            return draw(st.sampled_from(SCALARS))


@st.composite
def writers(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A schema that our event can be read from, with fields of its own, and an event by it."""
    numbers = count()
    user = {
        "type": "record",
        "name": "User",
        "fields": [
            {"name": "email", "type": ["null", "string"], "default": None},
            {"name": "land", "aliases": ["country"], "type": ["null", "string"], "default": None},
        ],
    }
    time = draw(
        st.sampled_from(
            ["long", *({"type": "long", "logicalType": f"timestamp-{u}"} for u in _UNITS)]
        )
    )
    named = {
        "eventName": ("string", st.just("Purchase")),
        "eventTime": (time, st.integers(10**12, 10**18)),
        "user": (user, st.fixed_dictionaries({"email": _NAMES, "land": _NAMES})),
        "amount": (draw(st.sampled_from(_AMOUNTS))),
        "currency": (["null", "string"], st.none() | st.just("USD")),
    }
    for number in range(draw(st.integers(0, 4))):
        named[f"own{number}"] = draw(types(numbers))
    fields = [{"name": name, "type": kind} for name, (kind, _) in named.items()]
    fields[3]["aliases"] = ["value"]
    order = draw(st.permutations(fields))
    schema = {"type": "record", "name": "TheirEvent", "namespace": "shop", "fields": order}
    event = draw(st.fixed_dictionaries({name: each for name, (_, each) in named.items()}))
    return schema, event


def written(schema: Any, event: Any, head: bytes = b"\x00\x00\x00\x00\x07") -> bytes:
    """The event as fastavro writes it."""
    out = BytesIO(head)
    out.seek(len(head))
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), event)
    return out.getvalue()


def plainly_read(schema: Any, value: bytes, *, decimals: bool = False) -> Any:
    """What fastavro reads by the schema without its logical types, which it may fail to make."""
    stream = BytesIO(value)
    stream.seek(5)
    plain = fastavro.parse_schema(_plain(schema, decimals=decimals))
    return fastavro.schemaless_reader(stream, plain, None, return_named_type=True)


def _plain(schema: Any, *, decimals: bool) -> Any:
    if isinstance(schema, list):
        return [_plain(each, decimals=decimals) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = decimals and schema.get("logicalType") == "decimal"
    return {
        key: each if key == "default" else _plain(each, decimals=decimals)
        for key, each in schema.items()
        if kept or key != "logicalType"
    }


_UNITS = ("millis", "micros", "nanos")
_NAMES = st.none() | st.text(max_size=4)
_AMOUNTS: list[Typed] = [
    ("double", st.floats(0, 1000)),
    (["null", "double"], st.none() | st.floats(0, 1000)),
    SCALARS[-1],
    (["null", SCALARS[-1][0]], st.just(Decimal("12.50"))),
]

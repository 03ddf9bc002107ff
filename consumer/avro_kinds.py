"""A writer's schema as a tree of kinds, and its records ↔ bytes with nothing lost.

``decode`` takes of a record what our event has; here it is read and written whole: every field
of the writer's, also those that we do not know, and which branch of a union was chosen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import fastavro

from consumer.schema_plan import ReadPlan
from consumer.schema_units import noted_unit

PRECISION_MAX = 400
"""Digits of a decimal; beyond it they are bytes to us."""


class Misfit(Exception):
    """Bytes or a value are not as the schema has it; ``str`` is a sentence without any of them."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """``per_ms`` units make a millisecond where it is a time, else 0."""

    name: str
    per_ms: int


@dataclass(frozen=True, slots=True)
class Decimals:
    """A decimal in bytes: as many as it takes, or the ``size`` of a fixed type of this name."""

    name: str
    precision: int
    scale: int
    size: int | None


@dataclass(frozen=True, slots=True)
class Fixed:
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Enumeration:
    name: str
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Array:
    items: "Kind"


@dataclass(frozen=True, slots=True)
class Mapped:
    values: "Kind"


@dataclass(frozen=True, slots=True)
class Field:
    """``default`` is as the schema has it, in JSON; it counts only if ``has_default``."""

    name: str
    aliases: tuple[str, ...]
    kind: "Kind"
    has_default: bool
    default: Any
    personal: bool


@dataclass(frozen=True, slots=True)
class Structure:
    """A record."""

    name: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """``branches`` by their names, in the schema's order, null among them; ``number`` is unique in
    the schema.

    A value that was read is None or a pair, of which ``branch_of`` makes branch and value, and
    ``chosen`` the pair again.
    """

    number: int
    branches: Mapping[str, "Kind"]

    @property
    def nullable(self) -> bool:
        return "null" in self.branches

    @property
    def others(self) -> Mapping[str, "Kind"]:
        """The branches but null."""
        return {name: kind for name, kind in self.branches.items() if name != "null"}

    def branch_of(self, value: tuple[str, dict[str, Any]]) -> tuple[str, Any]:
        label, held = value
        return [*self.branches][int(label.rpartition("_")[2])], held["v"]

    def chosen(self, branch: str, value: Any) -> tuple[str, dict[str, Any]]:
        return self.label(branch), {"v": value}

    def label(self, branch: str) -> str:
        """The name of a record that stands for the branch."""
        return f"u{self.number}_{[*self.branches].index(branch)}"


Kind = Primitive | Decimals | Fixed | Enumeration | Array | Mapped | Structure | Union


class WriterSchema:
    """Reads and writes records by one writer's schema; ``kind`` is the record's."""

    def __init__(self, kind: Structure | Union, record: Structure) -> None:
        self.kind = record
        self._whole = kind
        self._schema = fastavro.parse_schema(_Wire().schema_of(kind))

    @staticmethod
    def of(plan: ReadPlan) -> "WriterSchema | None":
        """That of a plan, which found it to be bounded; None for a union of several types."""
        kind = _Kinds().of(plan.writer)
        others = [*kind.others.values()] if isinstance(kind, Union) else [kind]
        if not isinstance(others[0], Structure) or len(others) > 1:
            return None
        return WriterSchema(kind if isinstance(kind, Union) else others[0], others[0])

    def __repr__(self) -> str:
        return f"<WriterSchema {self.kind.name}>"

    def read(self, value: bytes, start: int) -> dict[str, Any]:
        """The whole record; logical types are left as they lie in the bytes. Raises Misfit."""
        stream = BytesIO(value)
        stream.seek(start)
        try:
            found: Any = fastavro.schemaless_reader(
                stream, self._schema, None, return_record_name=True
            )
        except Exception as error:  # whatever the bytes provoke
            raise Misfit(f"the bytes do not fit the schema ({type(error).__name__})") from None
        if left := len(value) - stream.tell():
            raise Misfit(f"{left} bytes are left after the event")
        if isinstance(self._whole, Union) and found is not None:
            _, found = self._whole.branch_of(found)
        if found is None:
            raise Misfit("the event is null")
        record: dict[str, Any] = found
        return record

    def written(self, record: dict[str, Any], head: bytes) -> bytes:
        """The record behind its framing. Raises Misfit."""
        whole: Any = record
        if isinstance(self._whole, Union):
            whole = self._whole.chosen(self.kind.name, record)
        out = BytesIO(head)
        out.seek(len(head))
        try:
            fastavro.schemaless_writer(out, self._schema, whole, strict=True)
        except Exception as error:
            raise Misfit(f"the event does not fit the schema ({type(error).__name__})") from None
        return out.getvalue()


class _Kinds:
    """Makes kinds of one parsed schema."""

    def __init__(self) -> None:
        self._named: dict[str, Kind] = {}
        self._unions = 0

    def of(self, schema: Any, times: Any = None) -> Kind:
        """``times`` is the type that names the unit, where ``schema`` is its primitive."""
        if isinstance(schema, list):
            self._unions += 1
            number = self._unions
            kinds = [self.of(each) for each in schema]
            return Union(number, {_branch_name(kind): kind for kind in kinds})
        if isinstance(schema, str):
            return self._named.get(schema) or Primitive(schema, noted_unit(times))
        match schema["type"]:
            case "record" | "error" | "enum" | "fixed":
                return self._named.setdefault(schema["name"], self._new(schema))
            case "array":
                return Array(self.of(schema["items"]))
            case "map":
                return Mapped(self.of(schema["values"]))
            case "bytes":
                return _decimals(schema, "bytes", None) or Primitive("bytes", 0)
            case nested:
                return self.of(nested, schema)

    def _new(self, schema: Mapping[str, Any]) -> Kind:
        name: str = schema["name"]
        match schema["type"]:
            case "enum":
                return Enumeration(name, tuple(schema["symbols"]))
            case "fixed":
                size: int = schema["size"]
                return _decimals(schema, name, size) or Fixed(name, size)
            case _:
                return Structure(name, tuple(self._field(each) for each in schema["fields"]))

    def _field(self, entry: Mapping[str, Any]) -> Field:
        return Field(
            name=entry["name"],
            aliases=tuple(entry.get("aliases", ())),
            kind=self.of(entry["type"]),
            has_default="default" in entry,
            default=entry.get("default"),
            personal="PII" in entry.get("confluent:tags", ()),
        )


def _branch_name(kind: Kind) -> str:
    """What Avro calls a branch: its type, or the full name of one that has a name."""
    match kind:
        case Array():
            return "array"
        case Mapped():
            return "map"
        case Union():
            raise AssertionError("no union stands directly in another")
        case _:
            return kind.name


def _decimals(schema: Mapping[str, Any], name: str, size: int | None) -> Decimals | None:
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    if schema.get("logicalType") != "decimal":
        return None
    if not (isinstance(precision, int) and isinstance(scale, int)):
        return None
    if not 0 <= scale <= precision <= PRECISION_MAX:
        return None
    return Decimals(name, precision, scale, size)


class _Wire:
    """Makes of kinds the schema that fastavro reads and writes by: the bytes are the same.

    Each branch of a union becomes a record with one field, which takes no bytes of its own: so
    fastavro tells which one it was, and never chooses one by the value. Named types get names that
    are new and plain.
    """

    def __init__(self) -> None:
        self._names: dict[int, str] = {}

    def schema_of(self, kind: Kind) -> Any:
        if id(kind) in self._names:
            return self._names[id(kind)]
        match kind:
            case Primitive():
                return kind.name
            case Decimals(size=None):
                return "bytes"
            case Decimals(size=size) | Fixed(size=size):
                return self._named(kind, "fixed", size=size)
            case Enumeration():
                return self._named(kind, "enum", symbols=[*kind.symbols])
            case Array():
                return {"type": "array", "items": self.schema_of(kind.items)}
            case Mapped():
                return {"type": "map", "values": self.schema_of(kind.values)}
            case Structure():
                types = [(each.name, self.schema_of(each.kind)) for each in kind.fields]
                fields = [{"name": name, "type": each} for name, each in types]
                return self._named(kind, "record", fields=fields)
            case Union():
                return [self._branch(kind, name) for name in kind.branches]

    def _branch(self, union: Union, name: str) -> Any:
        if name == "null":
            return "null"
        fields = [{"name": "v", "type": self.schema_of(union.branches[name])}]
        return {"type": "record", "name": union.label(name), "fields": fields}

    def _named(self, kind: Kind, what: str, **more: Any) -> Any:
        name = self._names[id(kind)] = f"t{len(self._names)}"
        return {"type": what, "name": name, **more}

"""A record as ``avro_kinds`` reads it ↔ JSON that people can edit, with nothing lost.

Null fields are left out. Decimals are text, and so is what JSON's numbers do not hold everywhere:
whole ones beyond 2^53, NaN and the infinities. Bytes are text where they are UTF-8, else
``{"hex": …}``. The value of a union of several types is ``{"<type>": …}``, as Avro has it.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from consumer.avro_kinds import (
    Array,
    Decimals,
    Enumeration,
    Field,
    Fixed,
    Kind,
    Mapped,
    Misfit,
    Primitive,
    Structure,
    Union,
)
from consumer.avro_scalars import (
    EXACT_MAX,
    bytes_json,
    decimal_bytes,
    decimal_text,
    float_json,
    must,
    raw_bytes,
    scalar_of,
)
from consumer.wording import did_you_mean


def json_of(kind: Kind, value: Any) -> Any:
    """The value as JSON."""
    match kind:
        case Union():
            if value is None:
                return None
            branch, held = kind.branch_of(value)
            told = json_of(kind.branches[branch], held)
            return told if len(kind.others) == 1 else {branch: told}
        case Structure():
            pairs = ((each.name, json_of(each.kind, value[each.name])) for each in kind.fields)
            return {name: told for name, told in pairs if told is not None}
        case Array():
            return [json_of(kind.items, each) for each in value]
        case Mapped():
            return {name: json_of(kind.values, each) for name, each in value.items()}
        case Decimals():
            return decimal_text(kind, value)
        case Primitive("bytes") | Fixed():
            return bytes_json(value)
        case Primitive("int" | "long"):
            return value if abs(value) <= EXACT_MAX else str(value)
        case Primitive("float" | "double"):
            return float_json(value)
        case Primitive() | Enumeration():
            return value


def value_of(kind: Kind, given: Any, path: str, *, prefer: Collection[str] = ()) -> Any:
    """Of JSON the value that can be written; raises Misfit, which names ``path``.

    Texts are taken for numbers, truth values and (as ISO 8601) times too, and of a union without a
    ``{"<type>": …}`` the first type that takes it, those before others that ``prefer`` names.
    """
    match kind:
        case Union():
            return _branch_value(kind, given, path, prefer)
        case Structure():
            return _record(kind, given, path)
        case Array():
            must(isinstance(given, list), path, "a list")
            items = enumerate(given)
            return [value_of(kind.items, each, f"{path}[{number}]") for number, each in items]
        case Mapped():
            must(isinstance(given, Mapping), path, "an object")
            return {name: value_of(kind.values, each, path) for name, each in given.items()}
        case Decimals():
            return decimal_bytes(kind, given, path)
        case Fixed(_, size):
            found = raw_bytes(given, path)
            must(len(found) == size, path, f"{size} bytes")
            return found
        case Enumeration(_, symbols):
            known = given if isinstance(given, str) else ""
            near = did_you_mean(known, {each: each for each in symbols}).removeprefix("; ")
            must(known in symbols, path, f"one of its symbols{f' ({near})' if near else ''}")
            return given
        case Primitive():
            return scalar_of(kind, given, path)


def absent(field: Field, path: str) -> Any:
    """The value of a field that is not given: null where that may be, else its default. Raises
    Misfit if it has none."""
    if (isinstance(field.kind, Union) and field.kind.nullable) or field.kind == _NULL:
        return None
    if not field.has_default:
        raise Misfit(f"{path} must be there: the writer's schema has neither null nor a default")
    try:
        return _default(field.kind, field.default, path)
    except (TypeError, AttributeError):
        raise Misfit(f"{path} must be there: its default in the schema is none") from None


def nearest(name: str, known: Collection[str]) -> str:
    """The end of a sentence: the name of ``known`` that was probably meant."""
    near = did_you_mean(_folded(name), {_folded(each): each for each in known})
    return f" ({near.removeprefix('; ')})" if near else ""


_NULL = Primitive("null", 0)


def _record(kind: Structure, given: Any, path: str) -> dict[str, Any]:
    must(isinstance(given, Mapping), path or "an event", "an object")
    names = [each.name for each in kind.fields]
    prefix = f"{path}." if path else ""
    for name in given:
        if name not in names:
            near = nearest(name, names)
            # What stands where a name should be may be anything, a person's address too.
            told = f"{prefix}{name} is" if near else f"{path or 'the event'} has a name that is"
            raise Misfit(f"{told} no field of the writer's schema{near}")
    return dict(_fields(kind, given, prefix))


def _fields(kind: Structure, given: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for each in kind.fields:
        path, value = f"{prefix}{each.name}", given.get(each.name)
        found = absent(each, path) if value is None else value_of(each.kind, value, path)
        yield each.name, found


def _branch_value(kind: Union, given: Any, path: str, prefer: Collection[str]) -> Any:
    if given is None:
        must(kind.nullable, path, "something: the writer's schema does not let it be null")
        return None
    others = kind.others
    if len(others) == 1:
        ((branch, only),) = others.items()
        return kind.chosen(branch, value_of(only, given, path))
    if isinstance(given, Mapping) and len(given) == 1:
        ((named, held),) = given.items()
        if named in others:
            return kind.chosen(named, value_of(others[named], held, path))
    for branch in sorted(others, key=lambda name: (name not in prefer, name in _TEXTS)):
        try:
            return kind.chosen(branch, value_of(others[branch], given, path))
        except Misfit:
            continue
    raise Misfit(f"{path} must be one of {', '.join(others)}")


_TEXTS = ("string", "bytes")
"""They take every text, and so come last."""


def _default(kind: Kind, given: Any, path: str) -> Any:
    """A default in the form that schemas have: bytes as a text of their code points, a union's as
    its first type's."""
    match kind:
        case Union():
            branch, first = next(iter(kind.branches.items()))
            return None if branch == "null" else kind.chosen(branch, _default(first, given, path))
        case Structure():
            return {
                each.name: (
                    _default(each.kind, given[each.name], path)
                    if each.name in given
                    else absent(each, f"{path}.{each.name}")
                )
                for each in kind.fields
            }
        case Array():
            return [_default(kind.items, each, path) for each in given]
        case Mapped():
            return {name: _default(kind.values, each, path) for name, each in given.items()}
        case Decimals() | Fixed() | Primitive("bytes"):
            return str(given).encode("latin-1", "replace")
        case _:
            return value_of(kind, given, path)


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()

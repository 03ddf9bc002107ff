"""One edit on its way into one event: along the path, through the writer's record. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from consumer.avro_json import absent, json_of, nearest, value_of
from consumer.avro_kinds import Array, Field, Kind, Mapped, Misfit, Primitive, Structure, Union


class Edit(NamedTuple):
    """``text`` is the new value as it was typed; None drops the field."""

    path: str
    text: str | None

    def __repr__(self) -> str:
        return f"Edit({self.path!r})"


Names = tuple[str | int, ...]
"""A path by our schema's names; an index counts from 0."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit does to one event: the values in JSON, None where there is none.

    ``field`` is the path of the writer's field, without the names of free properties. ``names`` is
    the whole path by our names, None for a field that is none of ours.
    """

    field: str
    path: str
    names: Names | None
    before: Any
    after: Any
    personal: bool

    def __repr__(self) -> str:
        return f"Change({self.field})"


class Walk:
    """One edit on its way into one record."""

    def __init__(self, edit: Edit) -> None:
        self._edit = edit
        self._field: list[str] = []
        self._path: list[str] = []
        self._personal = False
        self._names: list[str | int] | None = []
        self.before: Any = None
        self.after: Any = None

    def change(self) -> Change:
        names = None if self._names is None else tuple(self._names)
        return Change(
            field=".".join(self._field),
            path=self._edit.path,
            names=names,
            before=self.before,
            after=self.after,
            personal=self._personal,
        )

    def within(self, kind: Kind, value: Any, rest: str, own: Kind | None) -> Any:
        """The value with the edit made at ``rest`` of the path; ``own`` is our kind of it."""
        own = inner(own) or own
        match kind:
            case Union():
                return self._in_union(kind, value, rest, own)
            case Structure():
                return self._in_record(kind, value, rest, own)
            case Array():
                return self._in_list(kind, value, rest, own)
            case Mapped():
                return self._in_map(kind, value, rest, own)
            case _:
                raise Misfit(f"{self._edit.path} is no field: nothing lies within {self._here()}")

    def _in_union(self, kind: Union, value: Any, rest: str, own: Kind | None) -> Any:
        if value is not None:
            branch, held = kind.branch_of(value)
            return kind.chosen(branch, self.within(kind.branches[branch], held, rest, own))
        if self._edit.text is None:
            return None  # there is nothing to be dropped
        for branch, each in kind.others.items():
            if isinstance(each, Structure | Mapped):
                return kind.chosen(branch, self.within(each, self._empty(each), rest, own))
        raise Misfit(f"there is nothing at {self._here()} in which {self._edit.path} could lie")

    def _empty(self, kind: Structure | Mapped) -> dict[str, Any]:
        """What is filled in where nothing was."""
        fields = kind.fields if isinstance(kind, Structure) else ()
        return {each.name: absent(each, f"{self._here()}.{each.name}") for each in fields}

    def _in_record(self, kind: Structure, value: Any, rest: str, own: Kind | None) -> Any:
        _, name, rest = step(rest)
        ours_here = own if isinstance(own, Structure) else None
        field = None if name is None else field_of(kind, name, ours_here)
        if field is None:
            raise Misfit(self._no_field(kind, name or "", ours_here))
        our_field = None if ours_here is None else _our_field(field, ours_here)
        self._note(field.name, our_field.name if our_field else None)
        self._personal |= field.personal or (our_field is not None and our_field.personal)
        own = our_field.kind if our_field else None
        old = value[field.name]
        if rest:
            new = self.within(field.kind, old, rest, own)
        elif self._edit.text is None:
            new = absent(field, self._here())
            self._settle(field.kind, old, new)
        else:
            new = self._typed(field.kind, own)
            self._settle(field.kind, old, new)
        return value | {field.name: new}

    def _in_list(self, kind: Array, value: list[Any], rest: str, own: Kind | None) -> Any:
        number, _, rest = step(rest)
        if number is None or number >= len(value):
            raise Misfit(f"{self._here()} is a list of {len(value)}: name one by [0], [1], …")
        self._path.append(f"[{number}]")
        if self._names is not None:
            self._names.append(number)
        own = own.items if isinstance(own, Array) else None
        old = value[number]
        if not rest and self._edit.text is None:
            self.before = json_of(kind.items, old)
            return [*value[:number], *value[number + 1 :]]
        if rest:
            new = self.within(kind.items, old, rest, own)
        else:
            new = self._typed(kind.items, own)
            self._settle(kind.items, old, new)
        return [*value[:number], new, *value[number + 1 :]]

    def _in_map(self, kind: Mapped, value: dict[str, Any], key: str, own: Kind | None) -> Any:
        """All that is left of the path is the property's name."""
        if self._names is not None:
            self._names.append(key)
        self.before = json_of(kind.values, value[key]) if key in value else None
        if self._edit.text is None:
            return {name: each for name, each in value.items() if name != key}
        new = self._typed(kind.values, own.values if isinstance(own, Mapped) else None)
        self.after = json_of(kind.values, new)
        return value | {key: new}

    def _typed(self, kind: Kind, own: Kind | None) -> Any:
        assert self._edit.text is not None, "only a value that was given is set"
        return typed(kind, self._edit.text, self._edit.path, _TYPES.get(_name_of(own), ()))

    def _settle(self, kind: Kind, old: Any, new: Any) -> None:
        self.before, self.after = json_of(kind, old), json_of(kind, new)

    def _note(self, name: str, our_name: str | None) -> None:
        self._field.append(name)
        self._path.append(f".{name}")
        if our_name is None:
            self._names = None
        elif self._names is not None:
            self._names.append(our_name)

    def _here(self) -> str:
        return "".join(self._path).removeprefix(".") or "the event"

    def _no_field(self, kind: Structure, name: str, own: Structure | None) -> str:
        known = {each.name: each.name for each in kind.fields}
        if own is not None:
            known |= {each.name: each.name for each in own.fields if field_of(kind, each.name, own)}
        where = "" if not self._path else f" in {self._here()}"
        return f"the writer's schema has no field {name}{where}{nearest(name, known)}"


def typed(kind: Kind, text: str, path: str, prefer: Sequence[str]) -> Any:
    """A text as what the field holds; what is no scalar is written in JSON."""
    found = inner(kind)
    given: Any = text
    if isinstance(found, Array | Mapped | Structure):
        try:
            given = orjson.loads(text)
        except orjson.JSONDecodeError:
            what = "a list" if isinstance(found, Array) else "an object"
            raise Misfit(f"{path} must be {what} in JSON") from None
    return value_of(kind, given, path, prefer=prefer)


def inner(kind: Kind | None) -> Kind | None:
    """What a union of one type and null is about; other kinds as they are."""
    if not isinstance(kind, Union):
        return kind
    others = [*kind.others.values()]
    return others[0] if len(others) == 1 else None


def _name_of(kind: Kind | None) -> str:
    found = inner(kind)
    return found.name if isinstance(found, Primitive) else ""


_STEP = re.compile(r"\[(\d{1,6})\]\.?(.*)|([^.\[\]]+)\.?(.*)", re.DOTALL)
_TYPES = {
    "string": ("string",),
    "double": ("double", "float", "long", "int"),
    "long": ("long", "int"),
    "boolean": ("boolean",),
}
"""Of a union of several types those that are read as our field's, the best first."""


def step(rest: str) -> tuple[int | None, str | None, str]:
    """An index or a name, and the rest of the path."""
    found = _STEP.fullmatch(rest)
    if found is None:
        return None, None, rest
    number, after, name, beyond = found.groups()
    return (int(number), None, after) if number is not None else (None, name, beyond)


def field_of(kind: Structure, name: str, own: Structure | None) -> Field | None:
    """The writer's field that is called so: by the writer, or by us or an alias of either."""
    for each in kind.fields:
        if each.name == name:
            return each
    names = {name}
    for each in own.fields if own is not None else ():
        if name in (each.name, *each.aliases):
            names |= {each.name, *each.aliases}
    for each in kind.fields:
        if each.name in names:
            return each
    return next((each for each in kind.fields if names & {*each.aliases}), None)


def _our_field(field: Field, own: Structure) -> Field | None:
    """Our field that is read from the writer's."""
    names = {field.name, *field.aliases}
    for each in own.fields:
        if each.name == field.name:
            return each
    return next((each for each in own.fields if names & {each.name, *each.aliases}), None)

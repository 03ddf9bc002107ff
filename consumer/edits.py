"""What an operator changes in events: ``--set path=value`` and ``--drop path``, as options. Pure.

A path is dotted as publishers name the fields (``user.country``, ``items[0].price``,
``customData.colour``), by the writer's names or by those of our schema.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from consumer.avro_kinds import Array, Kind, Mapped, Misfit, Structure, WriterSchema
from consumer.edit_walk import Change, Edit, Walk, field_of, inner, step, typed
from consumer.schema_plan import ReadPlan, event_schema, plan_reading


class EditError(Exception):
    """An option that cannot be meant so; ``str`` is one sentence."""


def read_edits(
    *, to_set: Sequence[str], to_drop: Sequence[str], to_destination: str | None
) -> tuple[Edit, ...]:
    """The options as they are typed. Raises EditError.

    What our schema has is checked against it; other fields may be the writer's own.
    """
    edits = [_assignment(text) for text in to_set]
    edits += [Edit(path, None) for path in to_drop]
    if to_destination is not None:
        if not re.fullmatch(r"[0-9]{1,30}", to_destination):
            raise EditError("--to-destination must be a pixel's id")
        edits.append(Edit("destinationId", to_destination))
    for edit in edits:
        option = "--drop" if edit.text is None else "--set"
        if not _PATH.fullmatch(edit.path):
            raise EditError(f"{option} must name a field, like currency or user.country")
        if sum(_within(edit.path, other.path) for other in edits) > 1:
            raise EditError(f"{edit.path} is edited twice")
        _check(edit, option)
    return tuple(edits)


def edited(
    record: dict[str, Any], kind: Structure, edits: Sequence[Edit]
) -> tuple[dict[str, Any], tuple[Change, ...]]:
    """The record after all edits, and what each has changed: of those that change nothing, none.

    Raises Misfit for what the writer's schema does not have or cannot hold.
    """
    changes: list[Change] = []
    for edit in edits:
        walk = Walk(edit)
        record = walk.within(kind, record, edit.path, ours())
        if walk.before != walk.after:
            changes.append(walk.change())
    return record, tuple(changes)


@cache
def ours() -> Structure:
    """Our own schema."""
    plan = plan_reading(event_schema())
    schema = WriterSchema.of(plan) if isinstance(plan, ReadPlan) else None
    assert schema is not None, "our own schema can be read"
    return schema.kind


_PATH = re.compile(r"[^.\[\]]+(\[\d{1,6}\])*(\..+)?", re.DOTALL)


def _assignment(text: str) -> Edit:
    path, equals, value = text.partition("=")
    if not equals:
        raise EditError("--set must be PATH=VALUE, like currency=EUR")
    return Edit(path.strip(), value)


def _within(path: str, other: str) -> bool:
    """Whether ``other`` is the same field, or lies in it."""
    return other == path or other.startswith((f"{path}.", f"{path}["))


def _check(edit: Edit, option: str) -> None:
    """A value that our own field cannot hold is a mistake for every event."""
    found = _our_kind(ours(), edit.path)
    if found is None or edit.text is None:
        return
    try:
        typed(found, edit.text, edit.path, ())
    except Misfit as misfit:
        raise EditError(f"{option} {misfit}") from None


def _our_kind(kind: Kind, rest: str) -> Kind | None:
    while rest:
        kind = inner(kind) or kind
        if isinstance(kind, Mapped):
            return kind.values
        number, name, rest = step(rest)
        match kind:
            case Array() if number is not None:
                kind = kind.items
            case Structure() if name is not None:
                field = field_of(kind, name, None)
                if field is None:
                    return None
                kind = field.kind
            case _:
                return None
    return kind

"""How a mistake in the configuration is worded: what should stand there, never what does.

A secret easily ends up under the wrong name, so that no sentence repeats a value.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Must:
    """An annotation: what a field's value should be. It ends the sentence ``<name> must be …``."""

    be: str


def sentences(
    error: ValidationError, model: type[BaseModel], name_of: Callable[[str], str]
) -> list[str]:
    """One sentence for each field of ``model`` that ``error`` complains of.

    ``name_of`` gives the name that the reader knows a field by. Values do not occur.
    """
    names = {field.alias or name: name for name, field in model.model_fields.items()}
    wrong = dict.fromkeys(names[str(detail["loc"][0])] for detail in error.errors())
    return [f"{name_of(name)} must be {expected(model.model_fields[name])}" for name in wrong]


def expected(field: FieldInfo) -> str:
    """The words of the field's ``Must``, wherever in its annotation it stands."""
    found = _must([*field.metadata, field.annotation])
    assert found is not None, "a field that can be set wrongly says what it must be"
    return found.be


def did_you_mean(word: str, known: Mapping[str, str]) -> str:
    """``; did you mean X?`` with the nearest of ``known``, or nothing when none is near.

    The keys are what ``word`` is compared with, without prefixes that would make all alike; the
    values are how each is written.
    """
    near = get_close_matches(word, known, n=1, cutoff=0.7)
    return f"; did you mean {known[near[0]]}?" if near else ""


def _must(annotations: Iterable[Any]) -> Must | None:
    for annotation in annotations:
        if isinstance(annotation, Must):
            return annotation
        if (found := _must(get_args(annotation))) is not None:
            return found
    return None

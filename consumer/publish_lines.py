"""Lines of JSON → Avro values that can be published, or what is wrong with each."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from typing import IO, Any, NamedTuple

from consumer.avro_kinds import Misfit
from consumer.encode import EventEncoder
from consumer.export_lines import Provenance, provenance_of, value_in
from consumer.json_lines import PROVENANCE, Mistake, numbered_lines, read_fields, read_object
from consumer.repair import WholeEvents
from consumer.schema_plan import event_schema
from consumer.wording import did_you_mean

PER_LINE_MAX = 3


class Sound(NamedTuple):
    """A line that can be published; ``number`` counts from 1, ``value`` is the Avro record.

    ``provenance`` is that of an exported dead letter. ``ours`` says that it is encoded with our
    own schema.
    """

    number: int
    fields: Mapping[str, Any]
    value: bytes | None
    provenance: Provenance | None
    ours: bool

    def __repr__(self) -> str:
        return f"Sound(line {self.number})"


class Bad(NamedTuple):
    """A line that cannot be published, and why: names of fields, never a value."""

    number: int
    message: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.message}"


@dataclass(frozen=True, slots=True)
class Checked:
    """How many lines are sound and how many bad; of the bad ones the first are ``listed``.

    Of the sound ones ``ours`` are encoded with our own schema, the others with what they name.
    """

    sound: int
    ours: int
    bad: int
    listed: tuple[Bad, ...]

    @property
    def lines(self) -> int:
        return self.sound + self.bad


class Encoders(NamedTuple):
    """How lines become values: with our own schema, or by the one that an exported line names."""

    ours: EventEncoder
    named: WholeEvents


def check_lines(lines: IO[bytes], *, encoders: Encoders) -> Iterator[Sound | Bad]:
    """Each line that is not blank, encoded or with what is wrong with it."""
    for number, text in numbered_lines(lines):
        if isinstance(text, Mistake):
            yield Bad(number, text.message)
        else:
            yield _check_line(number, text, encoders)


def sound_lines(
    lines: IO[bytes], encoders: Encoders, checked: Checked, *, skip_bad: bool
) -> Iterator[Sound]:
    """The lines that were checked, read again; it ends early if they are others by now."""
    try:
        for each in islice(check_lines(lines, encoders=encoders), checked.lines):
            if isinstance(each, Sound):
                yield each
            elif not skip_bad:
                return
    except OSError:
        return


def _check_line(number: int, text: bytes, encoders: Encoders) -> Sound | Bad:
    given = read_object(text)
    if isinstance(given, Mistake):
        return Bad(number, given.message)
    try:
        told = given.pop(PROVENANCE, None)
        provenance = None if told is None else provenance_of(told)
        if provenance is not None:
            if provenance.value is not None:
                return Sound(number, {}, provenance.value.value, provenance, ours=False)
            if provenance.schema is not None:
                value = value_in(given, provenance.schema, encoders.named)
                return Sound(number, {}, value, provenance, ours=False)
    except Misfit as misfit:
        return Bad(number, str(misfit))
    return _check_ours(number, given, provenance, encoders.ours)


def _check_ours(
    number: int, given: dict[str, Any], provenance: Provenance | None, encoder: EventEncoder
) -> Sound | Bad:
    line = read_fields(given)
    if isinstance(line, Mistake):
        return Bad(number, line.message)
    wrong = [no_field(path) for path in line.unknown]
    if not line.fields.get("eventName", "").strip():
        wrong.append("eventName is missing")
    if line.event_time_ms is None:
        wrong.append("eventTime is missing")
    if wrong:
        more = [f"and {len(wrong) - PER_LINE_MAX} more"] if len(wrong) > PER_LINE_MAX else []
        return Bad(number, "; ".join([*wrong[:PER_LINE_MAX], *more]))
    try:
        return Sound(number, line.fields, encoder.encode(line.fields), provenance, ours=True)
    except ValueError as error:
        return Bad(number, f"{error}; perhaps a whole number is too large")


# What stands where a name should be may be anything, a person's address too.
_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9.-]{0,99}")
_DIGITS_MAX = 4


@lru_cache(maxsize=1000)
def no_field(path: str) -> str:
    """A sentence on a field that the schema lacks, with the nearest that it has."""
    if not _NAME.fullmatch(path) or sum(map(str.isdigit, path)) > _DIGITS_MAX:
        return "there is a name, not repeated here, that is no field of an event"
    parent, _, name = path.rpartition(".")
    known = _known_paths()
    here = {last: full for last, full in known if full.rpartition(".")[0] == parent}
    word = _folded(name)
    near = did_you_mean(word, here) or did_you_mean(word, dict(known))
    hint = f" ({near.removeprefix('; ')})" if near else ""
    return f"{path} is no field of an event{hint}"


@cache
def _known_paths() -> tuple[tuple[str, str], ...]:
    """Of each field: its own name, folded, and its path; the outer ones last, so that they win."""
    paths = sorted(_paths(event_schema(), ""), key=lambda path: -path.count("."))
    return tuple((_folded(path.rpartition(".")[2]), path) for path in paths)


def _paths(schema: Any, prefix: str) -> Iterator[str]:
    for branch in schema if isinstance(schema, list) else [schema]:
        if not isinstance(branch, dict):
            continue
        for field in branch.get("fields", ()):
            yield f"{prefix}{field['name']}"
            yield from _paths(field["type"], f"{prefix}{field['name']}.")
        yield from _paths(branch.get("items"), prefix)


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()

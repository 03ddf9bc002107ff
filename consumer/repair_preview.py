"""What edits do to the first letters, and why they do not fit others: shown before it is done.

Personal data is masked unless it was asked for.
"""

from collections import Counter
from collections.abc import Container, Iterator
from itertools import islice
from typing import Any

import orjson

from consumer.edit_walk import Change, Names
from consumer.finding import printable
from consumer.letter import Letter, LetterPlace
from consumer.masking import masked_event
from consumer.origin import MASKED
from consumer.repair import Repaired, Repairs, Unfit
from consumer.replay_plan import Skipped, SkipReason
from consumer.text_tables import counted

LETTERS_MAX = 3
REMEMBERED_MAX = 1000
"""Of so many it is remembered what changes, until it is known which of them are replayed."""
SENTENCES_MAX = 5
TEXT_MAX = 60


class Preview:
    """Repairs letters and remembers the first, to tell of them."""

    def __init__(self, repairs: Repairs, *, reveal: bool) -> None:
        self._repairs, self._reveal = repairs, reveal
        self._changed: dict[LetterPlace, tuple[str, ...]] = {}
        self._unfit: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Preview of {len(self._changed)} letters>"

    def repair(self, letter: Letter) -> Letter | Skipped:
        """The letter as it is replayed: satisfies ``replay_plan.Repair``."""
        match self._repairs.of(letter):
            case Unfit(detail):
                known = detail in self._unfit or len(self._unfit) < SENTENCES_MAX
                self._unfit[detail if known else _OTHERS] += 1
                return Skipped(SkipReason.UNFIT, detail)
            case Repaired(repaired, changes):
                if changes and len(self._changed) < REMEMBERED_MAX:
                    told = frozenset(each for each in (letter.event_id, letter.destination) if each)
                    lines = tuple(change_line(each, told, reveal=self._reveal) for each in changes)
                    self._changed.setdefault(letter.place, lines)
                return repaired

    def only(self, chosen: Container[LetterPlace]) -> None:
        """Only these are replayed: nothing else is told to change."""
        self._changed = {place: told for place, told in self._changed.items() if place in chosen}

    def lines(self) -> Iterator[str]:
        """``0:42  currency: none → "EUR"``, and of the others how many there are for each cause."""
        for place, changes in islice(self._changed.items(), LETTERS_MAX):
            yield from (f"{place}  {change}" for change in changes)
        for detail, count in self._unfit.items():
            yield f"unfit, {counted(count, 'dead letter')}: {detail}"


def change_line(change: Change, told: frozenset[str], *, reveal: bool) -> str:
    """The field, and its value before and after. ``told`` are ids that need no mask."""
    if change.names in (("destinationId",), ("eventId",)) and isinstance(change.after, str):
        told |= {change.after}  # it was typed as an id
    before, after = (
        _text(value if reveal else _masked(change, value, told))
        for value in (change.before, change.after)
    )
    return f"{printable(change.path)}: {before} → {after}"


_OTHERS = "other causes"


def _masked(change: Change, value: Any, told: frozenset[str]) -> Any:
    if value is None:
        return None
    if change.personal or change.names is None:
        return MASKED
    return _leaf(masked_event(_nested(change.names, value), told=told), change.names)


def _nested(names: Names, value: Any) -> Any:
    """An event that has only this value."""
    for name in reversed(names):
        value = [value] if isinstance(name, int) else {name: value}
    return value


def _leaf(shown: Any, names: Names) -> Any:
    for _ in names:
        if isinstance(shown, dict | list):
            (shown,) = shown.values() if isinstance(shown, dict) else shown
    return shown


def _text(value: Any) -> str:
    if value is None:
        return "none"
    text = printable(orjson.dumps(value).decode())
    return text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…"

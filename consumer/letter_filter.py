"""Which dead letters are meant: the options of the ``dlq`` commands, read and applied. Pure."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from consumer.iso_time import ms_of_iso
from consumer.letter import Foreign, Letter
from consumer.model import Reason, Stage
from consumer.replayable import obstacle_of
from consumer.wording import did_you_mean

T = TypeVar("T")


class FilterError(Exception):
    """An option that cannot be meant so; ``str`` is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """What all have to be like. Of an option's values one is enough; None is any.

    ``since_ms`` and ``until_ms`` are about the record's timestamp, the time of failure; the first
    belongs to the span, the last does not. ``replayable`` means that no obstacle is known.
    """

    reasons: frozenset[Reason] | None
    stages: frozenset[Stage] | None
    codes: frozenset[int] | None
    subcodes: frozenset[int] | None
    destinations: frozenset[str] | None
    event_names: frozenset[str] | None
    event_ids: frozenset[str] | None
    trace_ids: frozenset[str] | None
    partitions: frozenset[int] | None
    offsets: tuple[range, ...] | None
    since_ms: int | None
    until_ms: int | None
    replayable: bool

    @property
    def means_one(self) -> bool:
        """Whether it names one event: by its id, or its place."""
        spots = sum(map(len, self.offsets or ())) == 1 and len(self.partitions or ()) == 1
        return spots or len(self.event_ids or ()) == 1

    def matches(self, found: Letter | Foreign, *, now_ms: int) -> bool:
        """Whether it is meant. A foreign one has only a place and a time."""
        if not self._lies(found):
            return False
        wanted = self._wanted()
        if isinstance(found, Foreign):
            return not self.replayable and all(values is None for values in wanted)
        if self.replayable and obstacle_of(found, now_ms=now_ms) is not None:
            return False
        told = zip(wanted, _told(found), strict=True)
        return all(values is None or value in values for values, value in told)

    def _lies(self, found: Letter | Foreign) -> bool:
        partition, offset = found.place
        return (
            (self.partitions is None or partition in self.partitions)
            and (self.offsets is None or any(offset in each for each in self.offsets))
            and (self.since_ms is None or found.written_at_ms >= self.since_ms)
            and (self.until_ms is None or found.written_at_ms < self.until_ms)
        )

    def _wanted(self) -> tuple[Collection[object] | None, ...]:
        return (
            self.reasons,
            self.stages,
            self.codes,
            self.subcodes,
            self.destinations,
            self.event_names,
            self.event_ids,
            self.trace_ids,
        )


def _told(letter: Letter) -> tuple[object, ...]:
    """What a letter says to each of ``_wanted``."""
    return (
        letter.reason,
        letter.stage,
        letter.error_code,
        letter.error_subcode,
        letter.destination,
        letter.event_name,
        letter.event_id,
        letter.trace_id,
    )


Texts = Sequence[str] | None


def letter_filter(
    *,
    reason: Texts = None,
    stage: Texts = None,
    code: Sequence[int] | None = None,
    subcode: Sequence[int] | None = None,
    destination: Texts = None,
    event_name: Texts = None,
    event_id: Texts = None,
    trace_id: Texts = None,
    partition: Sequence[int] | None = None,
    offset: Texts = None,
    since: str | None = None,
    until: str | None = None,
    replayable: bool = False,
    now_ms: int,
) -> LetterFilter:
    """The options as they are typed, ``None`` or empty where not given. Raises FilterError."""
    since_ms, until_ms = moment("--since", since, now_ms), moment("--until", until, now_ms)
    if since_ms is not None and until_ms is not None and since_ms >= until_ms:
        raise FilterError("--since must be before --until")
    return LetterFilter(
        reasons=_among("--reason", reason, Reason),
        stages=_among("--stage", stage, Stage),
        codes=_set(code, int),
        subcodes=_set(subcode, int),
        destinations=_set(destination, str.strip),
        event_names=_set(event_name, str),
        event_ids=_set(event_id, str),
        trace_ids=_set(trace_id, str),
        partitions=_set(partition, int),
        offsets=tuple(map(_offsets, offset)) if offset else None,
        since_ms=since_ms,
        until_ms=until_ms,
        replayable=replayable,
    )


def moment(option: str, text: str | None, now_ms: int) -> int | None:
    """``2h`` (so long ago) or an ISO 8601 time, UTC unless it says otherwise, in milliseconds."""
    if text is None:
        return None
    if ago := re.fullmatch(r"(\d{1,6})([smhdw])", text.strip(), re.ASCII):
        return now_ms - int(ago[1]) * _UNIT_MS[ago[2]]
    if (found := ms_of_iso(text.strip())) is None:
        raise FilterError(f"{option} must be like 30m, 2h, 3d or 2026-11-22T12:00:00Z")
    return found


_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}

E = TypeVar("E", bound=Enum)


def _among(option: str, texts: Texts, kind: type[E]) -> frozenset[E] | None:
    known: dict[str, E] = {each.value: each for each in kind}
    for text in texts or ():
        if text not in known:
            near = did_you_mean(text.lower().replace("-", "_"), {name: name for name in known})
            raise FilterError(f"{option} is none of the {option[2:]}s{near or _listed(known)}")
    return frozenset(known[text] for text in texts) if texts else None


def _listed(known: Collection[str]) -> str:
    return f": {', '.join(known)}" if len(known) < 10 else ", which docs/dead-letters.md lists"


def _set(values: Sequence[T] | None, read: Callable[[T], T]) -> frozenset[T] | None:
    return frozenset(map(read, values)) if values else None


def _offsets(text: str) -> range:
    """``42``, or from one to another: ``42-99``."""
    found = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", text, re.ASCII)
    if found is None or int(found[2] or found[1]) < int(found[1]):
        raise FilterError("--offset must be like 42 or 42-99")
    return range(int(found[1]), int(found[2] or found[1]) + 1)

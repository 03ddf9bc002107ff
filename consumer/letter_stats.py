"""Many dead letters → counts. Pure. Of each letter 17 bytes are kept, whatever its size.

Those bytes are for telling at the end what was replayed already: a mark may lie in front of its
dead letter or behind it.
"""

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consumer.iso_time import iso_time
from consumer.letter import Foreign, Letter
from consumer.replayable import Obstacle, Replays, next_hash, obstacle_of, replay_until_ms

NAMES_MAX = 1000
"""So many different names are counted by themselves; publishers can make up any number."""
OTHERS = "(others)"
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterStats:
    """What a topic holds. ``codes`` are ``code/subcode``, hours ISO 8601.

    ``seen_ms`` are the first and the last time of failure. ``replayable`` were not replayed and
    have no obstacle, the first until ``until_ms[0]``, the last until ``until_ms[1]``; of
    ``unknown_until`` of them that is not known. ``obstacles`` are those of the others.
    """

    letters: int
    foreign: int
    seen_ms: tuple[int, int] | None
    reasons: Mapping[str, int]
    destinations: Mapping[str, int]
    event_names: Mapping[str, int]
    codes: Mapping[str, int]
    hours: Mapping[str, int]
    replayed: int
    replayable: int
    until_ms: tuple[int, int] | None
    unknown_until: int
    obstacles: Mapping[Obstacle, int]


class Tally:
    """Counts what it is given."""

    def __init__(self, *, now_ms: int) -> None:
        self._now_ms = now_ms
        self._foreign = 0
        self._seen_ms: tuple[int, int] | None = None
        self._reasons: Counter[str] = Counter()
        self._destinations: Counter[str] = Counter()
        self._event_names: Counter[str] = Counter()
        self._codes: Counter[str] = Counter()
        self._hours: Counter[str] = Counter()
        # One of each letter, side by side: the hash of its mark, its end, its obstacle.
        self._hashes, self._untils, self._obstacles = array("q"), array("q"), array("b")

    def __repr__(self) -> str:
        return f"<Tally {len(self._hashes)} letters>"

    def add(self, found: Letter | Foreign) -> None:
        """Count one."""
        at_ms = found.written_at_ms
        first_ms, last_ms = self._seen_ms or (at_ms, at_ms)
        self._seen_ms = min(first_ms, at_ms), max(last_ms, at_ms)
        if isinstance(found, Foreign):
            self._foreign += 1
            return
        _count(self._reasons, found.reason_text)
        _count(self._destinations, found.destination)
        _count(self._event_names, found.event_name)
        _count(self._codes, code_of(found))
        _count(self._hours, iso_time(at_ms - at_ms % HOUR_MS))
        obstacle = obstacle_of(found, now_ms=self._now_ms)
        until_ms = replay_until_ms(found)
        self._hashes.append(next_hash(found))
        self._untils.append(_UNKNOWN if until_ms is None else until_ms)
        self._obstacles.append(_FREE if obstacle is None else _OBSTACLES.index(obstacle))

    def stats(self, replays: Replays) -> LetterStats:
        """All that was added; ``replays`` are those of the whole topic."""
        obstacles: Counter[Obstacle] = Counter()
        replayed = replayable = unknown = 0
        ends: tuple[int, int] | None = None
        for number, until_ms, index in zip(
            self._hashes, self._untils, self._obstacles, strict=True
        ):
            if replays.has_hash(number):
                replayed += 1
            elif index != _FREE:
                obstacles[_OBSTACLES[index]] += 1
            else:
                replayable += 1
                if until_ms == _UNKNOWN:
                    unknown += 1
                else:
                    first_ms, last_ms = ends or (until_ms, until_ms)
                    ends = min(first_ms, until_ms), max(last_ms, until_ms)
        return LetterStats(
            letters=len(self._hashes),
            foreign=self._foreign,
            seen_ms=self._seen_ms,
            reasons=self._reasons,
            destinations=self._destinations,
            event_names=self._event_names,
            codes=self._codes,
            hours=self._hours,
            replayed=replayed,
            replayable=replayable,
            until_ms=ends,
            unknown_until=unknown,
            obstacles=obstacles,
        )


def code_of(letter: Letter) -> str | None:
    """Meta's code and subcode as one text: ``100/2804003``."""
    code, subcode = letter.error_code, letter.error_subcode
    if code is None:
        return None
    return f"{code}" if subcode is None else f"{code}/{subcode}"


def stats_json(stats: LetterStats, topic: str) -> dict[str, Any]:
    """The counts for programs, the most frequent first; times ISO 8601, absent where unknown."""
    first_ms, last_ms = stats.seen_ms or (None, None)
    first_until_ms, last_until_ms = stats.until_ms or (None, None)
    replayable = {
        "count": stats.replayable,
        "firstUntil": iso_time(first_until_ms) or None,
        "lastUntil": iso_time(last_until_ms) or None,
        "unknownUntil": stats.unknown_until,
    }
    return {
        "topic": topic,
        "deadLetters": stats.letters,
        "foreign": stats.foreign,
        "first": iso_time(first_ms) or None,
        "last": iso_time(last_ms) or None,
        "replayable": replayable,
        "notReplayable": {each.value: stats.obstacles.get(each, 0) for each in Obstacle},
        "replayed": stats.replayed,
        "byReason": ranked(stats.reasons),
        "byDestination": ranked(stats.destinations),
        "byEventName": ranked(stats.event_names),
        "byCode": ranked(stats.codes),
        "byHour": dict(sorted(stats.hours.items())),
    }


def ranked(counts: Mapping[str, int]) -> dict[str, int]:
    """The most frequent first, what is rare by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _count(counts: Counter[str], name: str | None) -> None:
    if name is not None:
        counts[name if name in counts or len(counts) < NAMES_MAX else OTHERS] += 1


_OBSTACLES = tuple(Obstacle)
_FREE = -1
_UNKNOWN = -(2**63)

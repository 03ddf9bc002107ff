"""Until when the versions of the Graph API live. Pure functions of a date.

Source: Meta's changelog of Graph API versions. ``/events`` follows the schedule of the Graph API;
the Marketing API, to which the lists of pixels and the quality of a dataset belong, ends sooner.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

NOTICE_DAYS = 60
"""So many days ahead one is warned of a version's end."""

ENDS: Mapping[str, date | None] = MappingProxyType(
    {
        "v26.0": None,  # the newest: its end is announced when its successors are out
        "v25.0": date(2028, 7, 29),
        "v24.0": date(2028, 2, 18),
        "v23.0": date(2027, 10, 8),
        "v22.0": date(2027, 5, 20),
        "v21.0": date(2027, 1, 21),
        "v20.0": date(2026, 9, 24),
    }
)
"""The day on which Meta ceases to take calls of a version, newest version first."""

READING_ENDS: Mapping[str, date] = MappingProxyType({"v24.0": date(2026, 10, 6)})
"""The same for the Marketing API, as far as it is known."""

NEWEST = next(iter(ENDS))


class Stage(Enum):
    """How it stands with a version on a day."""

    SERVED = "served"
    ENDING = "ending"
    ENDED = "ended"
    NEWER = "newer"
    UNKNOWN = "unknown"


class Outlook(NamedTuple):
    """A version on a day. ``ends`` is when ``/events`` ends, if it is known.

    ``reading_ended`` is since when pixels and quality are no longer read with it.
    """

    version: str
    stage: Stage
    ends: date | None
    reading_ended: date | None

    @property
    def told(self) -> str:
        """How it stands, as a sentence without an end mark."""
        match self.stage:
            case Stage.ENDED if self.ends is None:
                return f"{self.version} has ended"
            case Stage.ENDED:
                return f"{self.version} ended on {self.ends}"
            case Stage.ENDING:
                return f"{self.version} ends on {self.ends}"
            case Stage.NEWER:
                return f"{self.version} is newer than what is known here, {NEWEST}"
            case Stage.UNKNOWN:
                return f"{self.version} is no version that is known here"
            case Stage.SERVED if self.reading_ended is not None:
                since = f"pixels and quality cannot be read with it since {self.reading_ended}"
                return f"{self.version} takes events until {self.ends}, but {since}"
            case Stage.SERVED if self.ends is None:
                return f"{self.version} is the newest, and its end is not announced"
            case Stage.SERVED:
                return f"{self.version} lives until {self.ends}"

    @property
    def is_fine(self) -> bool:
        """Whether nothing need be done about it now."""
        return self.stage in (Stage.SERVED, Stage.NEWER) and self.reading_ended is None


def outlook(version: str, today: date) -> Outlook:
    """How it stands with ``version`` (such as ``v26.0``) today."""
    ends = ENDS.get(version)
    return Outlook(version, _stage(version, ends, today), ends, _reading_ended(version, today))


def ends_at(version: str) -> float | None:
    """The end as seconds since the epoch, at the beginning of its day; None if it is not known."""
    ends = ENDS.get(version)
    return None if ends is None else datetime(*ends.timetuple()[:3], tzinfo=UTC).timestamp()


def day_of(now_ms: int) -> date:
    """The day of a wall-clock time in milliseconds, in UTC."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).date()


def _stage(version: str, ends: date | None, today: date) -> Stage:
    if version not in ENDS:
        if _number(version) > _number(NEWEST):
            return Stage.NEWER
        oldest = min(ENDS, key=_number)
        return Stage.ENDED if _number(version) < _number(oldest) else Stage.UNKNOWN
    if ends is None:
        return Stage.SERVED
    days = (ends - today).days
    if days <= 0:
        return Stage.ENDED
    return Stage.ENDING if days <= NOTICE_DAYS else Stage.SERVED


def _reading_ended(version: str, today: date) -> date | None:
    """An older version never outlives a newer one."""
    known = [end for each, end in READING_ENDS.items() if _number(version) <= _number(each)]
    first = min(known, default=None)
    return first if first is not None and first <= today else None


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d+", version))

"""The Graph version of a call: which are over, and which will be before long.

Dates are those of Meta's changelog. Which error a version gets that is over, and when the
warning begins, is not documented: both are ours.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from consumer.emulator_refusal import Refusal

NEWEST = 26
WARNED_DAYS = 90
WARNING = "X-Ad-Api-Version-Warning"
_ENDS: Mapping[int, datetime] = {
    20: datetime(2026, 9, 24, tzinfo=UTC),
    21: datetime(2027, 1, 21, tzinfo=UTC),
    22: datetime(2027, 5, 20, tzinfo=UTC),
    23: datetime(2027, 10, 8, tzinfo=UTC),
    24: datetime(2028, 2, 18, tzinfo=UTC),
    25: datetime(2028, 7, 29, tzinfo=UTC),
}
_PATH = re.compile(r"/v(\d{1,3})\.0(?:/.*)?", re.DOTALL).fullmatch


def version_headers(path: str, now: float) -> Mapping[str, str] | Refusal:
    """What each answer on this path carries at ``now`` (wall-clock seconds), or why none does.

    A version that is newer than we know of is served like the newest.
    """
    match = _PATH(path)
    version = int(match[1]) if match else 0
    if version > max(_ENDS):
        return {}
    end = _ENDS.get(version)
    if end is None or end.timestamp() <= now:
        return Refusal(
            code=2635,
            message="You are calling a deprecated version of the API."
            f" Please update to the latest version: v{NEWEST}.0.",
        )
    if end.timestamp() - now > WARNED_DAYS * 86_400:
        return {}
    said = f"The call has been auto-upgraded to v{version + 1}.0 as v{version}.0 ends on {end:%F}."
    return {WARNING: said}

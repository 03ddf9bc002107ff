"""Rows of Meta's figures → what the gauges show, in few series and by closed labels.

A row for each event name and match key would be thousands of series. So scores are kept by event
name, names of the publishers' own together, and coverages by match key, over all events of the
pixel. Of what shares a series the lowest is shown: an alert should go off for the worst.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from consumer.quality import EventQuality

OTHER_KEY = "other"


class QualitySeries(NamedTuple):
    """Scores (0 to 10) by destination and event name; coverages (0 to 1) by destination and key."""

    scores: Mapping[tuple[str, ...], float]
    coverages: Mapping[tuple[str, ...], float]


def quality_series(
    events: Iterable[EventQuality], *, standard_names: Collection[str], custom: str
) -> QualitySeries:
    """The series of these rows; what Meta does not tell has none."""
    scores: dict[tuple[str, ...], float] = {}
    coverages: dict[tuple[str, ...], float] = {}
    for event in events:
        name = event.event_name if event.event_name in standard_names else custom
        if event.composite_score is not None:
            label = (event.destination, name)
            scores[label] = min(event.composite_score, scores.get(label, 10.0))
        for each in event.match_keys:
            if each.coverage is not None:
                label = (event.destination, _MATCH_KEYS.get(each.identifier, OTHER_KEY))
                coverages[label] = min(each.coverage / 100, coverages.get(label, 1.0))
    return QualitySeries(scores, coverages)


# Meta's name in its figures → the name in ``user_data``, which our own counters have as well. Seen
# in Meta's examples: email, external_id, ip_address, user_agent; by others phone and fbc. The rest
# is a guess from what Meta calls these keys elsewhere, and a name too many does no harm.
_MATCH_KEYS: Mapping[str, str] = {
    "email": "em",
    "phone": "ph",
    "phone_number": "ph",
    "external_id": "external_id",
    "ip_address": "client_ip_address",
    "user_agent": "client_user_agent",
    "fbc": "fbc",
    "click_id": "fbc",
    "fbp": "fbp",
    "browser_id": "fbp",
    "first_name": "fn",
    "last_name": "ln",
    "city": "ct",
    "state": "st",
    "zip": "zp",
    "zip_code": "zp",
    "country": "country",
    "date_of_birth": "db",
    "gender": "ge",
}

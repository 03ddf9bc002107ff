"""Consent, and Meta's data processing options: what Meta may do with an event.

Where it is not certain what a publisher meant, less is allowed. Source: Meta's page "Data
processing options".
"""

from collections.abc import Mapping
from typing import Any

from consumer.model import Dropped, DropReason

LIMITED_DATA_USE = "LDU"
COUNTRIES = (0, 1)
"""0 leaves it to Meta to find out, 1 is the USA."""
STATES = (0, *range(1000, 1014))
"""0 leaves it to Meta to find out; California, Colorado, Connecticut, Florida, Oregon, Texas,
Montana, Delaware, Nebraska, New Hampshire, New Jersey, Minnesota, Maryland and Rhode Island."""

_ANSWERS = ("GRANTED", "DENIED")


def is_denied(fields: Mapping[str, Any]) -> bool:
    """Whether consent was refused: by anything that is there and is not GRANTED."""
    consent = fields.get("consent")
    if not isinstance(consent, Mapping):
        return False
    answers = (consent.get("adUserData"), consent.get("adPersonalization"))
    return any(answer is not None and answer != "GRANTED" for answer in answers)


def data_processing(fields: Mapping[str, Any], dropped: list[Dropped]) -> dict[str, Any]:
    """The three keys of the event, none of them when nothing was said.

    Limited data use applies when it is asked for, when consent is denied, and when an option is
    asked for that nobody knows; what is unknown is appended to ``dropped``.
    """
    _note_unknown_answers(fields.get("consent"), dropped)
    given, denied = fields.get("dataProcessing"), is_denied(fields)
    if not isinstance(given, Mapping) and not denied:
        return {}
    chosen: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    wanted = chosen.get("options") or []
    if any(option != LIMITED_DATA_USE for option in wanted):
        dropped.append(Dropped("dataProcessing.options", DropReason.MALFORMED))
    if not wanted and not denied:
        return {"data_processing_options": []}
    country, state = _place(chosen, dropped)
    return {
        "data_processing_options": [LIMITED_DATA_USE],
        "data_processing_options_country": country,
        "data_processing_options_state": state,
    }


def _place(chosen: Mapping[str, Any], dropped: list[Dropped]) -> tuple[int, int]:
    """Country and state; a state means nothing to Meta but in its country, the USA."""
    country, state = chosen.get("country") or 0, chosen.get("state") or 0
    if type(country) is not int or country not in COUNTRIES:
        dropped.append(Dropped("dataProcessing.country", DropReason.MALFORMED))
        country = 0
    if type(state) is not int or state not in STATES or (state and not country):
        dropped.append(Dropped("dataProcessing.state", DropReason.MALFORMED))
        state = 0
    return country, state


def _note_unknown_answers(consent: Any, dropped: list[Dropped]) -> None:
    if not isinstance(consent, Mapping):
        return
    for name in ("adUserData", "adPersonalization"):
        answer = consent.get(name)
        if answer is not None and answer not in _ANSWERS:
            dropped.append(Dropped(f"consent.{name}", DropReason.MALFORMED))

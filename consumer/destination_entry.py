"""The entries of the destinations file: their keys, the defaults, and what each may be.

Keys are written in camel case (``accessTokenFile``). A default has its home here and nowhere else.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import pycountry
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from consumer.match_keys import DateOrder, ExternalIdRule
from consumer.plain_yaml import YamlMistake, load_plain
from consumer.setting_fields import Digits, Name, Switch, TestCode
from consumer.wording import Must, did_you_mean, sentences

ACTION_SOURCES = (
    "app",
    "business_messaging",
    "chat",
    "email",
    "other",
    "phone_call",
    "physical_store",
    "system_generated",
    "website",
)
"""Meta's own names; its page "Server event parameters" is the source."""

ALIASES = {
    "app": "app",
    "crm": "system_generated",
    "offline": "physical_store",
    "web": "website",
}
"""Names of action sources that publishers may use as well, everywhere."""


class OnDenied(Enum):
    """What becomes of an event whose person denied consent: limited data use, or nothing at all."""

    LDU = "ldu"
    SUPPRESS = "suppress"


class OnMissingEventId(Enum):
    """What becomes of an event without ``eventId``: an id derived from its origin, or rejection."""

    DERIVE = "derive"
    REJECT = "reject"


@cache
def _countries() -> frozenset[str]:
    return frozenset(country.alpha_2.lower() for country in pycountry.countries)


def _check_country(code: str) -> str:
    if code not in _countries():
        raise ValueError
    return code


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Pixel = Annotated[
    Digits, WithJsonSchema({"type": ["string", "integer"], "pattern": "^[0-9]{1,32}$"})
]
Country = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True),
    AfterValidator(_check_country),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z]{2}$"}),
    Must("an ISO 3166 country code of two letters, such as us or gb"),
]
ActionSource = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1)]
Target = Annotated[str, WithJsonSchema({"type": "string", "enum": list(ACTION_SOURCES)})]
Rule = Annotated[ExternalIdRule, BeforeValidator(_lower), Must("pixel, exact or raw")]
Order = Annotated[DateOrder, BeforeValidator(_lower), Must("mdy or dmy")]
Denied = Annotated[OnDenied, BeforeValidator(_lower), Must("ldu or suppress")]
Agent = Annotated[
    str,
    # Meta's end-to-end guide: fewer than 23 characters, and two letters at least.
    StringConstraints(
        strip_whitespace=True, pattern="^[!-~]*[A-Za-z][!-~]*[A-Za-z][!-~]*$", max_length=22
    ),
    Must("a name of up to 22 characters without spaces, two letters at least"),
]
Namespace = Annotated[
    str,
    StringConstraints(strip_whitespace=True, pattern="^[0-9]{1,32}$"),
    WithJsonSchema({"type": ["string", "integer"], "pattern": "^[0-9]{1,32}$"}),
    Must("the digits of an id"),
]
Ahead = Annotated[
    float, Field(ge=0, le=3600), Must("a number of seconds from 0 to 3600, which is an hour")
]
Missing = Annotated[OnMissingEventId, BeforeValidator(_lower), Must("derive or reject")]


class Entry(BaseModel):
    """A destination as its file has it. Fields that are not given have their defaults."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        title="Destination",
    )

    id: Pixel = Field(description="The pixel's id, which is also its dataset's.")
    name: Name | None = Field(
        default=None, description="What people call it, in logs and listings."
    )
    access_token_file: Annotated[Path, Must("the path of a file")] | None = Field(
        default=None, description="File that holds the token; relative to this file's folder."
    )
    test_event_code: TestCode | None = Field(
        default=None, description="Test event code for events that bring none of their own."
    )
    default_country: Country | None = Field(
        default=None,
        description="Country of national phone numbers, states and zips, if none is given.",
    )
    external_id: Rule = Field(
        default=ExternalIdRule.PIXEL,
        description="How external ids are hashed: as the pixel does, exactly as given, or not.",
    )
    date_order: Order | None = Field(
        default=None, description="How a date such as 03/04/1997 is read when it could be both."
    )
    action_source: (
        Annotated[ActionSource, Must("an action source of Meta's or an alias")] | None
    ) = Field(default=None, description="Action source, or alias, of events that name none.")
    action_sources: Annotated[
        dict[ActionSource, Target], Must("aliases, each with an action source of Meta's")
    ] = Field(default={}, description="Further names of action sources: alias and Meta's name.")
    max_age_days: Annotated[
        float, Field(gt=0, le=7), Must("a number of days above 0 and up to 7, Meta's limit")
    ] = Field(default=7.0, description="Age in days at which an event is not sent any more.")
    store_max_age_days: Annotated[
        float, Field(gt=0, le=62), Must("a number of days above 0 and up to 62, Meta's limit")
    ] = Field(default=62.0, description="The same for events of physical stores.")
    future_as_now_seconds: Ahead = Field(
        default=60.0, description="An event so many seconds ahead of us is sent as of now."
    )
    future_max_seconds: Ahead = Field(
        default=300.0,
        description="Further ahead, up to so many seconds, it is held until due; then rejected.",
    )
    on_denied: Denied = Field(
        default=OnDenied.LDU,
        description="Send events without consent for limited data use, or not at all.",
    )
    missing_event_id: Missing = Field(
        default=OnMissingEventId.DERIVE,
        description="Derive the id of an event that has none, or reject it.",
    )
    partner_agent: Agent | None = Field(
        default=None, description="Name of the platform that sends, as agreed with Meta."
    )
    namespace_id: Namespace | None = Field(
        default=None, description="Meta's id of the namespace that the external ids belong to."
    )
    strict: Switch = Field(
        default=False, description="Reject website events without user agent or source URL."
    )


class DestinationsError(Exception):
    """Destinations that cannot be used; ``str`` gives one sentence a line."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_entries(text: str) -> list[Entry]:
    """The entries of the file, each id once. Raises ``DestinationsError`` with every mistake."""
    problems: list[str] = []
    found: dict[str, Entry] = {}
    for number, raw in enumerate(_listed(text), start=1):
        label = _label(raw, number)
        entry = _entry(raw, label, problems)
        if entry is None:
            continue
        if entry.id in found:
            problems.append(f"{label} is there twice")
        found[entry.id] = entry
    if problems:
        raise DestinationsError(tuple(problems))
    return list(found.values())


def _listed(text: str) -> list[Any]:
    problem: str
    try:
        document = load_plain(text)
    except YamlMistake as mistake:
        problem = f"the destinations file {mistake}"
    else:
        if isinstance(document, dict) and document.keys() == {"destinations"}:
            document = document["destinations"]
        if isinstance(document, list) and document:
            return document
        problem = "the destinations file must hold a list of at least one destination"
    raise DestinationsError((problem,))


def _label(raw: Any, number: int) -> str:
    """How a destination is called in a sentence: by what surely is an id, or by its place."""
    given = raw.get("id") if isinstance(raw, dict) else None
    known = isinstance(given, str) and given.isascii() and given.isdecimal()
    return f"destination {given}" if known else f"destination number {number} of the file"


def _entry(raw: Any, label: str, problems: list[str]) -> Entry | None:
    """The entry, when nothing is wrong with it; else what is goes to ``problems``."""
    if not isinstance(raw, dict):
        problems.append(f"{label} must have keys and values, id first of all")
        return None
    known = {str(each.alias): str(each.alias) for each in Entry.model_fields.values()}
    problems += [f"{label}: {_unknown(str(key), known)}" for key in raw if key not in known]
    given = {key: value for key, value in raw.items() if key in known and value is not None}
    entry: Entry | None = None
    try:
        entry = Entry(**given)
    except ValidationError as error:
        problems += sentences(
            error, Entry, lambda name: f"{label}: {Entry.model_fields[name].alias}"
        )
    else:
        problems += [f"{label}: {mistake}" for mistake in _mistaken_sources(entry)]
    return entry


def _unknown(key: str, known: Mapping[str, str]) -> str:
    if key.replace("_", "").lower() in ("accesstoken", "token", "secret"):
        return f"{key} does not belong here; put the token into a file and name it accessTokenFile"
    return f"{key} is no key of a destination{did_you_mean(key, known)}"


def _mistaken_sources(entry: Entry) -> Iterator[str]:
    names = ", ".join(ACTION_SOURCES)
    for alias, source in entry.action_sources.items():
        if source not in ACTION_SOURCES:
            yield f"actionSources: {alias} must stand for one of {names}"
        elif alias in ACTION_SOURCES and alias != source:
            yield f"actionSources: {alias} is Meta's own name and cannot mean another"
    if entry.action_source and entry.action_source not in {
        *ACTION_SOURCES,
        *ALIASES,
        *entry.action_sources,
    }:
        yield f"actionSource must be an alias or one of {names}"

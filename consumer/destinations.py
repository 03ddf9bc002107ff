"""The destinations: which pixels there are, and what each one wants done differently.

Pure: ``destination_files`` reads the file they stand in, and their tokens.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from consumer.destination_entry import (
    ACTION_SOURCES,
    ALIASES,
    DestinationsError,
    Entry,
    OnDenied,
    OnMissingEventId,
    read_entries,
)
from consumer.match_keys import MatchKeyRules
from consumer.model import PixelId

__all__ = [
    "ACTION_SOURCES",
    "Destination",
    "Destinations",
    "DestinationsError",
    "OnDenied",
    "OnMissingEventId",
    "json_schema",
    "one_destination",
    "parse_destinations",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One pixel and its rules. ``action_sources`` maps lower-case aliases to Meta's names."""

    id: PixelId
    name: str | None
    access_token_file: Path | None
    test_event_code: str | None
    match_key_rules: MatchKeyRules
    action_source: str | None
    action_sources: Mapping[str, str] = field(hash=False)
    on_denied: OnDenied
    missing_event_id: OnMissingEventId
    strict: bool
    max_age_days: float
    store_max_age_days: float
    future_as_now_seconds: float
    future_max_seconds: float
    partner_agent: str | None
    namespace_id: str | None

    @property
    def body_fields(self) -> dict[str, str]:
        """What each request to it carries beside its events, under Meta's names."""
        named = {"partner_agent": self.partner_agent, "namespace_id": self.namespace_id}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Destinations:
    """All destinations at one time. With ``any_id`` every numeric id is one, by default rules."""

    by_id: Mapping[PixelId, Destination] = field(hash=False)
    any_id: bool

    @staticmethod
    def anything() -> "Destinations":
        """For tools that need no configuration, such as a preview."""
        return Destinations(by_id=MappingProxyType({}), any_id=True)

    def get(self, pixel: PixelId) -> Destination | None:
        """The destination of that id; None when there is none."""
        found = self.by_id.get(pixel)
        if found is None and self.any_id and pixel.isascii() and pixel.isdecimal():
            return _by_default(pixel)
        return found

    @property
    def only(self) -> Destination | None:
        """The destination for events that name none: there must be exactly one."""
        return next(iter(self.by_id.values())) if len(self.by_id) == 1 else None

    def __iter__(self) -> Iterator[Destination]:
        return iter(self.by_id.values())

    def __len__(self) -> int:
        return len(self.by_id)


def parse_destinations(text: str, base: Path) -> Destinations:
    """The destinations of a YAML text; token files are relative to the folder ``base``.

    Raises ``DestinationsError`` with every mistake at once.
    """
    found = [_destination(entry, base) for entry in read_entries(text)]
    return Destinations(by_id=MappingProxyType({each.id: each for each in found}), any_id=False)


def one_destination(pixel: PixelId) -> Destinations:
    """Exactly one destination, with the default rules."""
    only = _destination(Entry(id=pixel), Path())
    return Destinations(by_id=MappingProxyType({only.id: only}), any_id=False)


def json_schema() -> dict[str, Any]:
    """The JSON schema of the destinations file, for editors and for checks before a deployment."""
    entry = Entry.model_json_schema()
    definitions = entry.pop("$defs") | {"Destination": entry}
    listed = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Destination"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Destinations of the conversions consumer",
        "anyOf": [
            listed,
            {
                "type": "object",
                "properties": {"destinations": listed},
                "required": ["destinations"],
                "additionalProperties": False,
            },
        ],
        "$defs": definitions,
    }


@lru_cache(maxsize=1000)
def _by_default(pixel: PixelId) -> Destination:
    return _destination(Entry(id=pixel), Path())


def _destination(entry: Entry, base: Path) -> Destination:
    return Destination(
        id=PixelId(entry.id),
        name=entry.name,
        access_token_file=base / entry.access_token_file if entry.access_token_file else None,
        test_event_code=entry.test_event_code,
        match_key_rules=MatchKeyRules(
            default_country=entry.default_country,
            external_id=entry.external_id,
            date_order=entry.date_order,
        ),
        action_source=entry.action_source,
        action_sources=MappingProxyType(ALIASES | entry.action_sources),
        on_denied=entry.on_denied,
        missing_event_id=entry.missing_event_id,
        strict=entry.strict,
        max_age_days=entry.max_age_days,
        store_max_age_days=entry.store_max_age_days,
        future_as_now_seconds=entry.future_as_now_seconds,
        future_max_seconds=entry.future_max_seconds,
        partner_agent=entry.partner_agent,
        namespace_id=entry.namespace_id,
    )

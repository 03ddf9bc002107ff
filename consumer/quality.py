"""Meta's answer on dataset quality → rows: what it knows of the website events of one pixel.

Source: the pages of the Dataset Quality API. Any part of an answer may be missing: what Meta does
not tell is None, never 0. Percentages are 0 to 100, scores 0 to 10.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consumer.dead_letter import masked
from consumer.graph_answers import Item
from consumer.model import PixelId

FIELDS = (
    "web{event_name,"
    "event_match_quality{composite_score,"
    "match_key_feedback{identifier,coverage{percentage},potential_aly_acr_increase{percentage}},"
    "diagnostics{name,description,solution,percentage,affected_event_count,total_event_count}},"
    "event_coverage{percentage,goal_percentage,potential_aly_acr_increase{percentage}},"
    "dedupe_key_feedback{dedupe_key,browser_events_with_dedupe_key{percentage},"
    "server_events_with_dedupe_key{percentage},"
    "overall_browser_coverage_from_dedupe_key{percentage}},"
    "data_freshness{upload_frequency},"
    "acr{percentage},"
    "event_potential_aly_acr_increase{percentage}}"
)
"""All that is documented and of use. One name that Meta no longer knows fails the whole question:
then ``FEWER_FIELDS`` are asked for."""

FEWER_FIELDS = (
    "web{event_name,event_match_quality{composite_score,"
    "match_key_feedback{identifier,coverage{percentage}}}}"
)

SCORE_GOAL = 6.0
"""The score that Meta advises to reach (end-to-end guide)."""

_TEXT_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchKeyCoverage:
    """How many events carry one match key, and what more of it may bring.

    ``identifier`` is Meta's name (``email``); ``potential_increase`` the additional conversions
    in per cent that similar advertisers report.
    """

    identifier: str
    coverage: float | None
    potential_increase: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupeKey:
    """Events with one deduplication key (``event_id``), in per cent of each side's events.

    ``overall_coverage`` is the share of browser events that a server event covers by this key.
    """

    key: str
    browser_events: float | None
    server_events: float | None
    overall_coverage: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """Something that Meta finds amiss, in its own (localised) words."""

    name: str
    description: str | None
    solution: str | None
    percentage: float | None
    affected_events: int | None
    total_events: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuality:
    """One event name of one pixel. ``event_coverage`` is the share of the browser's events that
    the server sends as well, with a key to deduplicate them by; ``event_coverage_goal`` is what
    Meta advises. ``additional_conversions`` is what the server's events add to those reported."""

    destination: PixelId
    event_name: str
    composite_score: float | None
    match_keys: tuple[MatchKeyCoverage, ...]
    event_coverage: float | None
    event_coverage_goal: float | None
    event_coverage_potential_increase: float | None
    dedupe_keys: tuple[DedupeKey, ...]
    upload_frequency: str | None
    additional_conversions: float | None
    potential_increase: float | None
    diagnostics: tuple[Diagnostic, ...]


def read_quality(destination: PixelId, answer: Item) -> tuple[EventQuality, ...] | None:
    """The rows of an answer, in Meta's order; None if it is no answer of this API.

    No rows at all is a good answer: Meta has no figures (yet). Never raises.
    """
    # Without a single event Graph may leave the list out, as it does with any empty field.
    web = answer.get("web", [])
    if not isinstance(web, list):
        return None
    named = [(each, _text(each.get("event_name"))) for each in _objects(web)]
    return tuple(_event(destination, masked(name), each) for each, name in named if name)


def row_json(event: EventQuality) -> dict[str, Any]:
    """One row as ``conversions quality --json`` shows it; what is not known is null."""
    return {
        "destinationId": event.destination,
        "eventName": event.event_name,
        "compositeScore": event.composite_score,
        "matchKeys": [
            {
                "identifier": each.identifier,
                "coveragePercentage": each.coverage,
                "potentialIncreasePercentage": each.potential_increase,
            }
            for each in event.match_keys
        ],
        "eventCoveragePercentage": event.event_coverage,
        "eventCoverageGoalPercentage": event.event_coverage_goal,
        "eventCoveragePotentialIncreasePercentage": event.event_coverage_potential_increase,
        "dedupeKeys": [
            {
                "key": each.key,
                "browserEventsPercentage": each.browser_events,
                "serverEventsPercentage": each.server_events,
                "overallCoveragePercentage": each.overall_coverage,
            }
            for each in event.dedupe_keys
        ],
        "uploadFrequency": event.upload_frequency,
        "additionalConversionsPercentage": event.additional_conversions,
        "potentialIncreasePercentage": event.potential_increase,
        "diagnostics": [
            {
                "name": each.name,
                "description": each.description,
                "solution": each.solution,
                "percentage": each.percentage,
                "affectedEvents": each.affected_events,
                "totalEvents": each.total_events,
            }
            for each in event.diagnostics
        ],
    }


def _event(destination: PixelId, name: str, given: Mapping[str, Any]) -> EventQuality:
    quality = _object(given, "event_match_quality")
    coverage = _object(given, "event_coverage")
    return EventQuality(
        destination=destination,
        event_name=name,
        composite_score=_number(quality.get("composite_score"), most=10),
        match_keys=tuple(_match_keys(quality.get("match_key_feedback"))),
        event_coverage=_percentage(coverage),
        event_coverage_goal=_number(coverage.get("goal_percentage")),
        event_coverage_potential_increase=_percentage(
            _object(coverage, "potential_aly_acr_increase")
        ),
        dedupe_keys=tuple(_dedupe_keys(given.get("dedupe_key_feedback"))),
        upload_frequency=_text(_object(given, "data_freshness").get("upload_frequency")),
        additional_conversions=_percentage(_object(given, "acr")),
        potential_increase=_percentage(_object(given, "event_potential_aly_acr_increase")),
        diagnostics=tuple(_diagnostics(quality.get("diagnostics"))),
    )


def _match_keys(given: Any) -> list[MatchKeyCoverage]:
    return [
        MatchKeyCoverage(
            identifier=identifier,
            coverage=_percentage(_object(each, "coverage")),
            potential_increase=_percentage(_object(each, "potential_aly_acr_increase")),
        )
        for each in _objects(given)
        if (identifier := _text(each.get("identifier")))
    ]


def _dedupe_keys(given: Any) -> list[DedupeKey]:
    return [
        DedupeKey(
            key=key,
            browser_events=_percentage(_object(each, "browser_events_with_dedupe_key")),
            server_events=_percentage(_object(each, "server_events_with_dedupe_key")),
            overall_coverage=_percentage(_object(each, "overall_browser_coverage_from_dedupe_key")),
        )
        for each in _objects(given)
        if (key := _text(each.get("dedupe_key")))
    ]


def _diagnostics(given: Any) -> list[Diagnostic]:
    return [
        Diagnostic(
            name=name,
            description=_text(each.get("description")),
            solution=_text(each.get("solution")),
            percentage=_percentage(each),
            affected_events=_count(each.get("affected_event_count")),
            total_events=_count(each.get("total_event_count")),
        )
        for each in _objects(given)
        if (name := _text(each.get("name")))
    ]


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _object(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = given.get(name)
    return value if isinstance(value, dict) else {}


def _percentage(given: Mapping[str, Any]) -> float | None:
    return _number(given.get("percentage"))


def _number(value: Any, *, most: float = float("inf")) -> float | None:
    """A figure that can be: not negative, and no more than there is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= most else None


def _count(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _text(value: Any) -> str | None:
    return value[:_TEXT_MAX] if isinstance(value, str) and value else None

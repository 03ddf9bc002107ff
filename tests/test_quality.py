"""Meta's answer on dataset quality → rows, and rows → gauges."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.emulator_fields import parse_fields
from consumer.emulator_quality import _KNOWN
from consumer.model import PixelId
from consumer.quality import FEWER_FIELDS, FIELDS, EventQuality, read_quality, row_json
from consumer.quality_gauges import quality_series
from tests.fakes.graph import PIXEL, QUALITY

ONE, TWO = PixelId(PIXEL), PixelId("2")


def rows(answer: Any, destination: PixelId = ONE) -> tuple[EventQuality, ...]:
    found = read_quality(destination, answer)
    assert found is not None
    return found


def test_everything_that_meta_tells_stands_in_the_row() -> None:
    purchase, _ = rows(QUALITY)

    assert row_json(purchase) == {
        "destinationId": PIXEL,
        "eventName": "Purchase",
        "compositeScore": 6.2,
        "matchKeys": [
            {
                "identifier": "email",
                "coveragePercentage": 62.5,
                "potentialIncreasePercentage": 58.96,
            },
            {
                "identifier": "user_agent",
                "coveragePercentage": 100,
                "potentialIncreasePercentage": None,
            },
        ],
        "eventCoveragePercentage": 34.1,
        "eventCoverageGoalPercentage": 75,
        "eventCoveragePotentialIncreasePercentage": 35.8,
        "dedupeKeys": [
            {
                "key": "event_id",
                "browserEventsPercentage": 100,
                "serverEventsPercentage": 98.5,
                "overallCoveragePercentage": 14.8,
            }
        ],
        "uploadFrequency": "real_time",
        "additionalConversionsPercentage": 37.9,
        "potentialIncreasePercentage": 12,
        "diagnostics": [
            {
                "name": "Server sending mismatched IP addresses",
                "description": "The addresses differ from those of the pixel.",
                "solution": "Send the address of the customer.",
                "percentage": 61.5,
                "affectedEvents": 19567,
                "totalEvents": 31830,
            }
        ],
    }


def test_what_meta_does_not_tell_is_null_and_never_zero() -> None:
    _, lead = rows(QUALITY)

    assert row_json(lead) == {
        "destinationId": PIXEL,
        "eventName": "Lead",
        "compositeScore": None,
        "matchKeys": [],
        "eventCoveragePercentage": None,
        "eventCoverageGoalPercentage": None,
        "eventCoveragePotentialIncreasePercentage": None,
        "dedupeKeys": [],
        "uploadFrequency": None,
        "additionalConversionsPercentage": None,
        "potentialIncreasePercentage": None,
        "diagnostics": [],
    }


def test_a_score_of_zero_is_zero() -> None:
    (event,) = rows({"web": [{"event_name": "A", "event_match_quality": {"composite_score": 0}}]})

    assert event.composite_score == 0


@pytest.mark.parametrize("score", [None, "6.2", True, -1, 11, [6.2], {}, 1e30])
def test_a_score_that_cannot_be_is_no_score(score: Any) -> None:
    web = [{"event_name": "Lead", "event_match_quality": {"composite_score": score}}]

    assert rows({"web": web})[0].composite_score is None


@pytest.mark.parametrize("part", [None, "", 3, True, [], [None, 3, {}], {"percentage": None}])
@pytest.mark.parametrize("name", [*QUALITY["web"][0]][1:])
def test_any_part_may_be_missing_or_of_another_shape(name: str, part: Any) -> None:
    (event,) = rows({"web": [QUALITY["web"][0] | {name: part}]})

    assert event.event_name == "Purchase"


def test_no_figures_yet_is_a_good_answer_without_rows() -> None:
    assert rows({"web": []}) == ()
    assert rows({}) == ()


def test_what_is_no_answer_is_told_apart_from_no_figures() -> None:
    assert read_quality(ONE, {"web": 3}) is None


def test_an_event_name_that_looks_like_a_person_is_masked() -> None:
    (event,) = rows({"web": [{"event_name": "jane@example.com"}]})

    assert "jane" not in event.event_name


NAMES = (
    *("web", "event_name", "event_match_quality", "composite_score", "percentage"),
    *("match_key_feedback", "identifier", "coverage", "diagnostics", "name"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_answer_makes_it_raise(answer: Any) -> None:
    found = read_quality(ONE, {"web": [answer, {"event_name": "Lead"} | QUALITY]})
    for one in (answer if isinstance(answer, dict) else {}, {"web": answer}):
        read_quality(ONE, one)

    assert found is not None
    assert found[-1].event_name == "Lead"


def test_both_questions_name_only_fields_that_meta_documents() -> None:
    for fields in (FIELDS, FEWER_FIELDS):
        assert parse_fields(fields, _KNOWN)


# --- gauges -------------------------------------------------------------------------------------


def event(name: str, score: float | None, **coverages: float) -> EventQuality:
    feedback = [{"identifier": k, "coverage": {"percentage": c}} for k, c in coverages.items()]
    quality = {"composite_score": score, "match_key_feedback": feedback}
    (found,) = rows({"web": [{"event_name": name, "event_match_quality": quality}]})
    return found


def test_scores_are_kept_by_name_and_names_of_ones_own_share_the_lowest() -> None:
    events = [
        event("Purchase", 6.2),
        event("Lead", None),
        event("Trial won", 4.5),
        event("Deal closed", 3.5),
        event("Never scored", None),
    ]
    series = quality_series(events, standard_names={"Purchase", "Lead"}, custom="custom")

    assert series.scores == {(ONE, "Purchase"): 6.2, (ONE, "custom"): 3.5}


def test_a_match_key_shows_the_event_that_has_it_least() -> None:
    events = [
        event("Purchase", 6.2, email=90, phone=50, shoe_size=70),
        event("Lead", 5, email=40, external_id=100, iris=60),
        *rows({"web": [QUALITY["web"][0]]}, TWO),
    ]
    series = quality_series(events, standard_names=set(), custom="custom")

    assert series.coverages == {
        (ONE, "em"): 0.4,
        (ONE, "ph"): 0.5,
        (ONE, "external_id"): 1.0,
        (ONE, "other"): 0.6,
        (TWO, "em"): 0.625,
        (TWO, "client_user_agent"): 1.0,
    }

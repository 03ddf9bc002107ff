"""The Graph API's versions: when each ends, and from when on one is warned."""

from datetime import date, timedelta
from itertools import pairwise

import pytest

from consumer.graph_versions import (
    ENDS,
    NEWEST,
    NOTICE_DAYS,
    READING_ENDS,
    Stage,
    day_of,
    ends_at,
    outlook,
)
from consumer.settings import Settings

DAY = timedelta(days=1)
KNOWN = [(version, ends) for version, ends in ENDS.items() if ends is not None]


@pytest.mark.parametrize(("version", "ends"), KNOWN)
def test_a_version_is_served_then_ends_soon_then_has_ended(version: str, ends: date) -> None:
    stages = {
        ends - NOTICE_DAYS * DAY - DAY: Stage.SERVED,
        ends - NOTICE_DAYS * DAY: Stage.ENDING,
        ends - DAY: Stage.ENDING,
        ends: Stage.ENDED,
        ends + 1000 * DAY: Stage.ENDED,
    }

    assert {day: outlook(version, day).stage for day in stages} == stages
    assert all(outlook(version, day).ends == ends for day in stages)


def test_the_newest_version_has_no_end_and_is_what_is_called_by_default() -> None:
    assert outlook(NEWEST, date(2040, 1, 1)).stage is Stage.SERVED
    assert outlook(NEWEST, date(2040, 1, 1)).is_fine
    assert Settings.model_fields["graph_version"].default == NEWEST


def test_an_older_version_ends_before_a_newer_one() -> None:
    ends = [end for _, end in KNOWN]

    assert all(newer > older for newer, older in pairwise(ends))


@pytest.mark.parametrize(
    ("version", "stage", "fine"),
    [
        ("v27.0", Stage.NEWER, True),
        ("v100.0", Stage.NEWER, True),
        ("v26.1", Stage.NEWER, True),
        ("v25.1", Stage.UNKNOWN, False),
        ("v19.0", Stage.ENDED, False),
        ("v3.3", Stage.ENDED, False),
    ],
)
def test_a_version_that_is_not_in_the_table_is_judged_by_its_number(
    version: str, stage: Stage, fine: bool
) -> None:
    found = outlook(version, date(2026, 11, 22))

    assert (found.stage, found.is_fine, found.ends) == (stage, fine, None)


def test_reading_ends_sooner_than_sending_and_with_it_that_of_all_older_versions() -> None:
    (ended,) = READING_ENDS.values()

    assert outlook("v24.0", ended - DAY).reading_ended is None
    assert outlook("v24.0", ended - DAY).is_fine
    for version in ("v24.0", "v23.0", "v22.0"):
        found = outlook(version, ended)
        assert (found.stage, found.reading_ended, found.is_fine) == (Stage.SERVED, ended, False)
        assert "takes events until" in found.told
    assert outlook("v25.0", ended).reading_ended is None


@pytest.mark.parametrize("version", [*ENDS, "v27.0", "v25.1", "v19.0"])
@pytest.mark.parametrize("day", [date(2026, 9, 1), date(2026, 12, 1), date(2030, 1, 1)])
def test_every_outlook_is_a_sentence_that_names_its_version(version: str, day: date) -> None:
    told = outlook(version, day).told

    assert told.startswith(version)
    assert "None" not in told


def test_the_end_is_the_beginning_of_its_day_in_utc() -> None:
    assert ends_at("v25.0") == 1848441600.0
    assert day_of(1848441600_000) == date(2028, 7, 29)
    assert day_of(1848441599_999) == date(2028, 7, 28)
    assert ends_at(NEWEST) is None
    assert ends_at("v99.0") is None

"""How a replay is told: to people at 80 columns, and to programs."""

from collections import Counter
from dataclasses import replace

import pytest

from consumer.letter import LetterPlace
from consumer.replay_outcome import Ending, Outcome, ending_told, outcome_json, outcome_text
from consumer.replay_plan import SkipReason
from consumer.text_tables import Look

LOOK = Look(columns=80, colour=False, blocks=True)
DRY = Outcome(
    topic="conversions.events",
    letters_topic="conversions.events.dlq",
    planned=4210,
    replayed=0,
    left=4210,
    skipped=Counter({SkipReason.EXPIRED: 12, SkipReason.ALREADY_REPLAYED: 790}),
    samples={
        None: LetterPlace(0, 17),
        SkipReason.EXPIRED: LetterPlace(3, 4),
        SkipReason.ALREADY_REPLAYED: LetterPlace(1, 2),
    },
    ending=Ending.DRY_RUN,
    told="",
    warnings=("whether x is compacted is not known: no answer",),
)


def test_a_dry_run_says_what_would_be_and_that_nothing_was() -> None:
    told = outcome_text(DRY, LOOK)

    assert "4,210 dead letters would be replayed into conversions.events (0:17 for" in told
    assert "Nothing was changed: --yes replays them." in told
    assert "skipped: 802 dead letters" in told
    assert told.index("already_replayed") < told.index("expired"), "the most frequent first"
    assert max(map(len, told.splitlines())) <= 80
    assert DRY.is_fine
    assert ending_told(DRY) == ""


def test_a_dry_run_with_nothing_to_do_says_so() -> None:
    told = outcome_text(replace(DRY, planned=0, left=0, skipped={}, samples={}), LOOK)

    assert told == "Nothing of conversions.events.dlq would be replayed.\n"


def test_what_was_done_is_counted() -> None:
    done = replace(DRY, ending=Ending.DONE, replayed=4210, left=0, skipped={}, samples={})

    assert (
        outcome_text(done, LOOK)
        == "4,210 of 4,210 dead letters replayed into conversions.events.\n"
    )
    assert done.is_fine
    assert ending_told(done) == ""


@pytest.mark.parametrize(
    ("ending", "told", "sentence"),
    [
        (
            Ending.STOPPED,
            "",
            "stopped: 10 of 4,210 dead letters were replayed; the same command goes on where it"
            " stopped",
        ),
        (
            Ending.SUPERSEDED,
            "another replay has begun",
            "another replay has begun: 10 of 4,210 dead letters were replayed by this one",
        ),
        (
            Ending.FAILED,
            "Kafka does not answer",
            "Kafka does not answer: 10 of 4,210 dead letters were replayed; the same command goes"
            " on where it stopped",
        ),
        (Ending.DONE, "", "4,200 dead letters went from the topic meanwhile"),
    ],
)
def test_what_ended_early_says_how_far_it_came_and_is_not_fine(
    ending: Ending, told: str, sentence: str
) -> None:
    outcome = replace(DRY, ending=ending, told=told, replayed=10, left=4200)

    assert ending_told(outcome) == sentence
    assert not outcome.is_fine


def test_programs_get_all_of_it() -> None:
    assert outcome_json(DRY) == {
        "topic": "conversions.events",
        "dlqTopic": "conversions.events.dlq",
        "ending": "dry_run",
        "planned": 4210,
        "replayed": 0,
        "left": 4210,
        "skipped": {"already_replayed": 790, "expired": 12},
        "samples": {"planned": "0:17", "expired": "3:4", "already_replayed": "1:2"},
        "told": None,
        "warnings": ["whether x is compacted is not known: no answer"],
    }

"""Each option chooses what it says, mistakes are told with the nearest name."""

from typing import Any

import pytest

from consumer.letter import Foreign, Letter
from consumer.letter_filter import FilterError, LetterFilter, letter_filter
from consumer.model import Reason, Stage
from tests.fakes.events import DAY_MS, NOW_MS, PIXEL
from tests.fakes.letters import a_foreign, a_letter

HOUR_MS = 3_600_000


def a_filter(**options: Any) -> LetterFilter:
    return letter_filter(**options, now_ms=NOW_MS)


def chosen(letter: Letter | Foreign, **options: Any) -> bool:
    return a_filter(**options).matches(letter, now_ms=NOW_MS)


def test_without_options_everything_is_chosen() -> None:
    assert chosen(a_letter())
    assert chosen(a_foreign())


@pytest.mark.parametrize(
    ("option", "yes", "no"),
    [
        ("reason", ["expired", "refused_by_meta"], ["expired"]),
        ("stage", ["send"], ["decode", "validate"]),
        ("code", [100, 1], [190]),
        ("subcode", [2804003], [100]),
        ("destination", [f" {PIXEL}"], ["1"]),
        ("event_name", ["Purchase"], ["purchase"]),
        ("event_id", ["order_1"], ["order"]),
        ("trace_id", ["Atrace"], ["atrace"]),
        ("partition", [0], [7]),
        ("offset", ["7"], ["8"]),
        ("offset", ["1", "3-7"], ["1-6", "8-99"]),
        ("since", "2025-10-09T08:53:20.005Z", "2025-10-09T08:53:20.006Z"),
        ("until", "2025-10-09T08:53:20.006Z", "2025-10-09T08:53:20.005Z"),
    ],
)
def test_an_option_chooses_what_it_names(option: str, yes: Any, no: Any) -> None:
    letter = a_letter(event_name="Purchase", offset=7, failed_at_ms=NOW_MS + 5)

    assert chosen(letter, **{option: yes})
    assert not chosen(letter, **{option: no})


def test_what_a_letter_does_not_tell_is_not_chosen() -> None:
    brief = a_letter(brief=True)

    assert chosen(brief, reason=["refused_by_meta"], stage=["send"])
    assert not chosen(brief, code=[100])
    assert not chosen(brief, event_name=["Purchase"])


def test_all_options_must_hold() -> None:
    assert chosen(a_letter(), reason=["refused_by_meta"], code=[100])
    assert not chosen(a_letter(), reason=["refused_by_meta"], code=[190])
    assert not chosen(a_letter(), reason=["expired"], code=[100])


def test_only_what_has_no_obstacle_is_replayable() -> None:
    old = a_letter(expires_at_ms=NOW_MS)

    assert chosen(a_letter(maybe_delivered=False), replayable=True)
    assert not chosen(old, replayable=True)
    assert chosen(old)


def test_a_foreign_letter_has_only_a_place_and_a_time() -> None:
    foreign = a_foreign(partition=3, timestamp_ms=NOW_MS)

    assert chosen(foreign, partition=[3], offset=["9"], since="1h")
    assert not chosen(foreign, partition=[4])
    for option in ("reason", "stage", "code", "event_name", "trace_id"):
        value: Any = {"reason": "expired", "stage": "send", "code": 1}.get(option, "x")
        assert not chosen(foreign, **{option: [value]})
    assert not chosen(foreign, replayable=True)


@pytest.mark.parametrize(
    ("text", "ago_ms"),
    [
        ("90s", 90_000),
        ("30m", 1_800_000),
        ("2h", 2 * HOUR_MS),
        ("3d", 3 * DAY_MS),
        (" 1w ", 7 * DAY_MS),
        ("2025-10-09", NOW_MS - 1_759_968_000_000),
        ("2025-10-09T08:00:00", NOW_MS - 1_759_996_800_000),
        ("2025-10-09T10:00:00+02:00", NOW_MS - 1_759_996_800_000),
    ],
)
def test_a_time_is_so_long_ago_or_a_date(text: str, ago_ms: int) -> None:
    assert a_filter(since=text).since_ms == NOW_MS - ago_ms


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-2h", "soon", "2y", "٢h"])
def test_another_time_is_a_mistake(text: str) -> None:
    with pytest.raises(FilterError, match=r"^--until must be like 30m, 2h, 3d or 2026-"):
        a_filter(until=text)


def test_since_must_be_before_until() -> None:
    with pytest.raises(FilterError, match="--since must be before --until"):
        a_filter(since="1h", until="2h")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"reason": ["exipred"]}, "--reason is none of the reasons; did you mean expired?"),
        ({"reason": ["Refused-By-Meta"]}, "--reason is none .* did you mean refused_by_meta?"),
        ({"reason": ["jane"]}, "--reason is none of the reasons, which docs/dead-letters.md lists"),
        ({"stage": ["sent"]}, "--stage is none of the stages; did you mean send?"),
        ({"stage": ["x"]}, "--stage is none of the stages: decode, validate, send"),
        ({"offset": ["5-3"]}, "--offset must be like 42 or 42-99"),
        ({"offset": ["x"]}, "--offset must be like 42 or 42-99"),
    ],
)
def test_a_mistake_is_told_with_the_nearest_name(options: Any, sentence: str) -> None:
    with pytest.raises(FilterError, match=sentence.replace("?", r"\?")):
        a_filter(**options)


def test_every_reason_and_stage_can_be_asked_for() -> None:
    assert a_filter(reason=[each.value for each in Reason]).reasons == frozenset(Reason)
    assert a_filter(stage=[each.value for each in Stage]).stages == frozenset(Stage)


@pytest.mark.parametrize(
    ("options", "one"),
    [
        ({}, False),
        ({"event_id": ["a"]}, True),
        ({"event_id": ["a", "b"]}, False),
        ({"partition": [1], "offset": ["4"]}, True),
        ({"partition": [1], "offset": ["4-5"]}, False),
        ({"partition": [1, 2], "offset": ["4"]}, False),
        ({"offset": ["4"]}, False),
    ],
)
def test_one_event_is_meant_by_its_id_or_its_place(options: dict[str, Any], one: bool) -> None:
    assert a_filter(**options).means_one == one

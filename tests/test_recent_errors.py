"""Meta's answers by code in our own words, and dead letters by reason: bounded, and of nobody."""

from typing import get_args

import pytest

from consumer.judge import judge
from consumer.meanings import meaning_of
from consumer.model import (
    Accepted,
    Halted,
    HaltReason,
    Incomplete,
    MetaError,
    PixelId,
    Reason,
    Refused,
    Retry,
    RetryCause,
    Scope,
    Split,
    Throttled,
    Verdict,
)
from consumer.recent_errors import KINDS_MAX, RecentErrors
from consumer.verdicts import EVENT_FAULTS

SHOP, CRM = PixelId("1"), PixelId("2")


def refused(code: int, subcode: int | None = None, trace_id: str = "A1") -> Refused:
    return Refused(MetaError(400, code, subcode, "title", "message", trace_id))


def test_answers_of_one_code_are_one_kind_with_the_last_of_them() -> None:
    recent = RecentErrors()
    recent.answered(SHOP, refused(100, 2804019, "A1"))
    recent.answered(SHOP, refused(100, 2804003))
    recent.newest(1000)
    recent.answered(CRM, refused(100, 2804019, "A2"))

    newest, other = recent.newest(2000)

    assert (newest.kind.subcode, newest.answers, newest.destination) == (2804019, 2, CRM)
    assert (newest.trace_id, newest.at_ms) == ("A2", 2000)
    assert (other.kind.subcode, other.answers, other.at_ms) == (2804003, 1, 1000)
    assert [each.at_ms for each in recent.newest(3000)] == [2000, 1000]


def test_kinds_without_end_are_not_kept_without_end() -> None:
    recent = RecentErrors()
    for code in range(KINDS_MAX + 30):
        recent.answered(SHOP, refused(code))
    recent.answered(SHOP, refused(30))  # seen again, it is among the newest

    kept = [each.kind.code for each in recent.newest(1)]

    assert kept == [30, *range(KINDS_MAX + 29, 30, -1)]


def test_an_accepted_request_is_no_error() -> None:
    recent = RecentErrors()
    recent.answered(SHOP, Accepted("A1"))

    assert recent.newest(1) == ()


def test_a_trace_id_that_looks_like_a_person_is_masked() -> None:
    recent = RecentErrors()
    recent.answered(SHOP, refused(190, None, "canary@cage.example"))
    recent.answered(SHOP, Incomplete(1, "canary@cage.example"))

    assert "canary" not in repr(recent.newest(1))
    assert [each.trace_id for each in recent.newest(1)] == ["(masked)", "(masked)"]


def test_dead_letters_are_counted_by_reason_those_with_most_first() -> None:
    recent = RecentErrors()
    for reason in (Reason.EXPIRED, Reason.MISSING_VALUE, Reason.MISSING_VALUE):
        recent.dead_lettered(reason)
    recent.letters(1000)
    recent.dead_lettered(Reason.EXPIRED)
    recent.dead_lettered(Reason.UNDECODABLE)

    assert [tuple(each) for each in recent.letters(2000)] == [
        (Reason.EXPIRED, 2, 2000),
        (Reason.MISSING_VALUE, 2, 1000),
        (Reason.UNDECODABLE, 1, 2000),
    ]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Incomplete(3, None), "some events were not received"),
        (refused(100, 2804009), "A purchase has no value"),
        (refused(100, 1), "an event is invalid, and Meta refuses the whole request for it"),
        (Retry(RetryCause.TIMEOUT, None, True), "no answer in time"),
        (Retry(RetryCause.CONNECTION, None, False), "no connection, or one that broke"),
        (Retry(RetryCause.TRANSIENT, MetaError(500, 2), True), "temporarily unavailable"),
        (Retry(RetryCause.TRANSIENT, MetaError(400, 190), True), "Meta calls it transient"),
        (Retry(RetryCause.SERVER_ERROR, MetaError(502), True), "server error, for example a page"),
        (Split(MetaError(413)), "the request is too large"),
        (Throttled(MetaError(400, 4), 0.0, Scope.APP), "limit of the app"),
        (Halted(HaltReason.TOKEN, MetaError(401, 190)), "the token is invalid, expired or revoked"),
        (Halted(HaltReason.UNKNOWN_PIXEL, MetaError(400, 100, 33)), "the pixel does not exist"),
        (Halted(HaltReason.CONFIGURATION, MetaError(400, 100)), "the proof by the app's secret"),
        (Halted(HaltReason.UNKNOWN_ERROR, MetaError(400, 777)), "a code that is not known here"),
        (
            Halted(HaltReason.EVERY_EVENT_REFUSED, MetaError(400, 100)),
            "every event was refused, each alone",
        ),
    ],
)
def test_every_answer_has_a_meaning_of_ours(verdict: Verdict, words: str) -> None:
    meaning = meaning_of(verdict)

    assert meaning.text.startswith(words)
    assert "subcodes" not in meaning.text


@pytest.mark.parametrize(
    "code", [*range(-3, 700), *range(2490, 2510), 2635, 5000, *range(80000, 80016)]
)
@pytest.mark.parametrize("status", [400, 500])
def test_whatever_the_judge_says_has_the_meaning_of_its_row(code: int, status: int) -> None:
    body = b'{"error": {"code": %d, "message": "x"}}' % code

    meaning = meaning_of(judge(status, {}, body, sent=1))

    assert meaning.advice
    assert meaning.text != "something that is not known here"


def test_every_kind_of_verdict_but_success_is_told_in_the_cases_above() -> None:
    assert len(get_args(Verdict)) == 7
    assert all(text.endswith(".") for text in EVENT_FAULTS.values())

"""The judge: each answer of Meta's that was seen or documented, and the verdict it must get."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.judge import MESSAGES_MAX, judge, mask, version_warning
from consumer.model import (
    Accepted,
    Halted,
    HaltReason,
    Incomplete,
    MetaError,
    Refused,
    Retry,
    RetryCause,
    Scope,
    Split,
    Throttled,
    Verdict,
)

OAUTH = "OAuthException"


def answered(status: int, body: Any, *, headers: dict[str, str] | None = None) -> Verdict:
    """The verdict on a request of ten events."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return judge(status, headers or {}, raw, sent=10)


def refusal(code: int, subcode: int | None = None, **more: Any) -> dict[str, Any]:
    """An error body in Meta's documented shape."""
    error: dict[str, Any] = {"message": "m", "type": OAUTH, "code": code, "fbtrace_id": "Atrace"}
    if subcode is not None:
        error["error_subcode"] = subcode
    return {"error": {**error, **more}}


def halt_of(verdict: Verdict) -> HaltReason | None:
    return verdict.reason if isinstance(verdict, Halted) else None


def cause_of(verdict: Verdict) -> RetryCause | None:
    return verdict.cause if isinstance(verdict, Retry) else None


# Bodies as they were seen live or in Meta's documentation.
TOO_OLD = {
    "error": {
        "message": "Invalid parameter",
        "type": OAUTH,
        "code": 100,
        "error_subcode": 2804003,
        "is_transient": False,
        "error_user_title": "Event Timestamp Too Old",
        "error_user_msg": "The timestamp for this event is too far in the past.",
        "fbtrace_id": "A6UyEgg_HdoiRX9duxcBOjb",
    }
}
TOO_OLD_IN_FRENCH = {
    "error": {
        "message": "Invalid parameter",
        "type": OAUTH,
        "code": 100,
        "error_subcode": 2804003,
        "is_transient": False,
        "error_user_title": "Timestamp de l’évènement trop ancien",
        "error_user_msg": "Le timestamp pour cet évènement est trop éloigné dans le passé.",
        "fbtrace_id": "ASrojb9Zf5r-cU8FBLq9HY0",
    }
}
INSUFFICIENT_IN_DANISH = {
    "error": {
        "message": "Invalid parameter",
        "type": OAUTH,
        "code": 100,
        "error_subcode": 2804050,
        "is_transient": False,
        "error_user_title": "Du har ikke tilføjet tilstrækkelige data",
        "error_user_msg": "Denne hændelse har ingen kundeoplysningsparametre",
        "fbtrace_id": "Asu2mk752HZ0oT07IksFAwN",
    }
}
BAD_TOKEN = {
    "error": {
        "message": "Invalid OAuth access token - Cannot parse access token",
        "type": OAUTH,
        "code": 190,
        "fbtrace_id": "ArrDTKwNSI_BDSmS3-M4h56",
    }
}
WRONG_PIXEL = {
    "error": {
        "message": "Unsupported post request. Object with ID '1234567891234569' does not exist, "
        "cannot be loaded due to missing permissions, or does not support this operation.",
        "type": "GraphMethodException",
        "code": 100,
        "error_subcode": 33,
        "fbtrace_id": "Apx",
    }
}
APP_LIMIT = {
    "error": {
        "message": "Application request limit reached",
        "type": OAUTH,
        "is_transient": True,
        "code": 4,
        "error_subcode": 1349210,
    }
}
UNAVAILABLE = {
    "error": {
        "message": "An unexpected error has occurred. Please retry your request later.",
        "type": OAUTH,
        "is_transient": True,
        "code": 2,
    }
}
BLAMED = {
    "error": {
        "message": "Invalid parameter",
        "type": "FacebookApiException",
        "code": 100,
        "error_data": {"blame_field_specs": [["targeting"]]},
        "error_subcode": 192342134,
        "is_transient": False,
        "fbtrace_id": "F78cCCJoZPx",
    },
    "__fb_trace_id__": "F78cCCJoZPx",
    "__www_request_id__": "AcwlIc7_uK5uTXjzjIa38yc",
}


@pytest.mark.parametrize(
    ("status", "body", "kind", "trace_id"),
    [
        (400, TOO_OLD, Refused, "A6UyEgg_HdoiRX9duxcBOjb"),
        (400, TOO_OLD_IN_FRENCH, Refused, "ASrojb9Zf5r-cU8FBLq9HY0"),
        (400, INSUFFICIENT_IN_DANISH, Refused, "Asu2mk752HZ0oT07IksFAwN"),
        (400, BLAMED, Refused, "F78cCCJoZPx"),
        (401, BAD_TOKEN, Halted, "ArrDTKwNSI_BDSmS3-M4h56"),
        (400, WRONG_PIXEL, Halted, "Apx"),
        (403, APP_LIMIT, Throttled, None),
        (500, UNAVAILABLE, Retry, None),
        (200, TOO_OLD, Refused, "A6UyEgg_HdoiRX9duxcBOjb"),
        (500, TOO_OLD, Refused, "A6UyEgg_HdoiRX9duxcBOjb"),
    ],
)
def test_a_real_answer_gets_its_verdict_and_keeps_its_trace_id(
    status: int, body: dict[str, Any], kind: type[Verdict], trace_id: str | None
) -> None:
    verdict = answered(status, body)

    assert type(verdict) is kind
    assert not isinstance(verdict, Accepted | Incomplete)
    assert verdict.error is not None
    assert verdict.error.http_status == status
    assert verdict.error.trace_id == trace_id


@pytest.mark.parametrize(
    ("code", "subcode"),
    [
        (4, 1504022),
        (4, 1504039),
        (4, None),
        (17, 2446079),
        (32, None),
        (341, None),
        (613, 1487742),
        (613, 1996),
        (613, 5044001),
        *((code, None) for code in range(80000, 80015)),
    ],
)
@pytest.mark.parametrize("status", [400, 403, 429, 200])
def test_each_limit_of_metas_is_a_throttle_at_whatever_status(
    code: int, subcode: int | None, status: int
) -> None:
    verdict = answered(status, refusal(code, subcode))

    assert isinstance(verdict, Throttled)
    assert (verdict.error.code, verdict.error.subcode) == (code, subcode)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (3, HaltReason.PERMISSION),
        (10, HaltReason.PERMISSION),
        (200, HaltReason.PERMISSION),
        (294, HaltReason.PERMISSION),
        (299, HaltReason.PERMISSION),
        (102, HaltReason.TOKEN),
        (104, HaltReason.TOKEN),
        (190, HaltReason.TOKEN),
        (368, HaltReason.POLICY),
        (803, HaltReason.UNKNOWN_PIXEL),
        (2500, HaltReason.CONFIGURATION),
        (2635, HaltReason.CONFIGURATION),
        (300, HaltReason.UNKNOWN_ERROR),
        (199, HaltReason.UNKNOWN_ERROR),
        (79999, HaltReason.UNKNOWN_ERROR),
        (80015, HaltReason.UNKNOWN_ERROR),
        (0, HaltReason.UNKNOWN_ERROR),
    ],
)
def test_each_code_that_speaks_of_the_destination_halts_it(code: int, reason: HaltReason) -> None:
    assert halt_of(answered(400, refusal(code))) is reason


@pytest.mark.parametrize("subcode", [458, 459, 460, 463, 464, 467, 492, None])
def test_whatever_is_wrong_with_a_token_halts_for_the_token(subcode: int | None) -> None:
    assert halt_of(answered(400, refusal(190, subcode))) is HaltReason.TOKEN


@pytest.mark.parametrize("code", [1, 2, 5000, -1, -3])
def test_an_internal_error_is_tried_again_and_may_have_reached_meta(code: int) -> None:
    verdict = answered(400, refusal(code, 99))

    assert isinstance(verdict, Retry)
    assert verdict.cause is RetryCause.TRANSIENT
    assert verdict.reached_meta
    assert verdict.error is not None
    assert verdict.error.code == code  # the outbox splits on a repeated 1
    assert verdict.few_times is (code not in (1, 2))


@pytest.mark.parametrize(
    "subcode",
    [
        *(2804001, 2804003, 2804007, 2804009, 2804010, 2804016, 2804017, 2804019),
        *(2804030, 2804043, 2804048, 2804050, 2804063, 2804066, 2804072, 2804087, 2804116),
        *(2804117, 2804118, 2804999),
        None,
    ],
)
def test_code_100_is_an_event_at_fault(subcode: int | None) -> None:
    assert answered(400, refusal(100, subcode)) == Refused(
        MetaError(http_status=400, code=100, subcode=subcode, message="m", trace_id="Atrace")
    )


def test_code_100_for_an_unknown_object_is_the_pixel_and_never_the_events() -> None:
    assert halt_of(answered(400, WRONG_PIXEL)) is HaltReason.UNKNOWN_PIXEL
    assert halt_of(answered(400, refusal(100, 33))) is HaltReason.UNKNOWN_PIXEL


def test_code_100_for_a_wrong_app_secret_proof_is_the_configuration() -> None:
    proof = refusal(100, type="GraphMethodException")

    assert halt_of(answered(400, proof)) is HaltReason.CONFIGURATION


def test_a_missing_whatsapp_account_costs_the_messaging_event_and_not_its_pixel() -> None:
    assert isinstance(answered(400, refusal(100, 2804132)), Refused)


@pytest.mark.parametrize("code", [1, 3, 100, 190, 368, 12345])
def test_what_meta_calls_transient_is_tried_again_whatever_its_code(code: int) -> None:
    verdict = answered(400, refusal(code, is_transient=True))

    assert cause_of(verdict) is RetryCause.TRANSIENT


def test_a_throttle_that_is_called_transient_still_pauses() -> None:
    assert isinstance(answered(403, APP_LIMIT), Throttled)


def test_transient_is_believed_only_when_it_is_true_itself() -> None:
    assert isinstance(answered(400, refusal(100, 2804003, is_transient="false")), Refused)


def test_a_code_that_nobody_described_halts_below_500_and_is_tried_again_above() -> None:
    assert halt_of(answered(400, refusal(424242))) is HaltReason.UNKNOWN_ERROR
    assert cause_of(answered(500, refusal(424242))) is RetryCause.TRANSIENT


def test_an_error_without_a_readable_code_is_tried_again() -> None:
    for code in (None, "190", True, 1.5):
        body = {"error": {"message": "m", "code": code}}
        assert cause_of(answered(400, body)) is RetryCause.UNREADABLE_ANSWER
        assert cause_of(answered(500, body)) is RetryCause.SERVER_ERROR


def test_every_event_received_is_accepted_with_its_trace_id() -> None:
    body = {"events_received": 10, "messages": [], "fbtrace_id": "Atrace"}

    assert answered(200, body) == Accepted(trace_id="Atrace", messages=())


def test_words_on_success_are_masked() -> None:
    body = {"events_received": 10, "messages": ["'Jane' is no currency", 7], "fbtrace_id": ""}

    assert answered(200, body) == Accepted(trace_id=None, messages=("… is no currency", "7"))


@pytest.mark.parametrize("received", [0, 1, 9])
def test_fewer_events_than_were_sent_is_incomplete(received: int) -> None:
    body = {"events_received": received, "fbtrace_id": "Atrace"}

    assert answered(200, body) == Incomplete(received=received, trace_id="Atrace")


@pytest.mark.parametrize("received", [11, 10**6])
def test_more_events_than_were_sent_is_an_answer_to_something_else(received: int) -> None:
    verdict = answered(200, {"events_received": received, "fbtrace_id": "Atrace"})

    assert cause_of(verdict) is RetryCause.UNREADABLE_ANSWER


def test_a_negative_count_is_none_received() -> None:
    assert answered(200, {"events_received": -1}) == Incomplete(received=0, trace_id=None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"events_received": 10, "fbtr',
        b"<html><body>OK</body></html>",
        b"[]",
        b"10",
        b"null",
        b'"ok"',
        b"\xff\xfe",
        b"{}",
        b'{"fbtrace_id": "Atrace"}',
        b'{"events_received": null}',
        b'{"events_received": "10"}',
        b'{"events_received": true}',
        b'{"events_received": 10.0}',
        b'{"events_received": 10, "error": "something"}',
        b'{"events_received": 10, "error": null}',
        b'{"events_received": 10, "error": []}',
        b"[" * 5000,
    ],
)
def test_a_200_that_is_not_success_beyond_doubt_is_never_taken_for_it(body: bytes) -> None:
    verdict = answered(200, body)

    assert cause_of(verdict) is RetryCause.UNREADABLE_ANSWER
    assert isinstance(verdict, Retry)
    assert verdict.reached_meta


def test_an_error_beside_a_count_outranks_it() -> None:
    assert isinstance(answered(200, {"events_received": 10, **TOO_OLD}), Refused)


def test_a_trace_id_beside_an_unreadable_error_is_kept() -> None:
    verdict = answered(400, {"error": "bad", "fbtrace_id": "Atrace"})

    assert isinstance(verdict, Retry)
    assert verdict.error == MetaError(http_status=400, trace_id="Atrace")


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (500, b"<html><h1>Sorry, something went wrong.</h1></html>", RetryCause.SERVER_ERROR),
        (502, b"", RetryCause.SERVER_ERROR),
        (503, b'{"error": "busy"}', RetryCause.SERVER_ERROR),
        (599, b"null", RetryCause.SERVER_ERROR),
        (302, b"", RetryCause.UNREADABLE_ANSWER),
        (400, b'{"error": {"message": "cut o', RetryCause.UNREADABLE_ANSWER),
        (400, b'{"events_received": 10}', RetryCause.UNREADABLE_ANSWER),
        (404, b"not found", RetryCause.UNREADABLE_ANSWER),
    ],
)
def test_an_answer_without_metas_error_is_tried_again_and_may_have_reached_meta(
    status: int, body: bytes, cause: RetryCause
) -> None:
    assert answered(status, body) == Retry(cause, MetaError(http_status=status), reached_meta=True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Request Entity Too Large", None),
        (b"", None),
        (b'{"error":{"message":"too large"}}', "too large"),
        (b'{"error":{"message":"too large","is_transient":true}}', "too large"),
    ],
)
def test_a_413_is_split_with_or_without_an_error(body: bytes, message: str | None) -> None:
    assert answered(413, body) == Split(MetaError(http_status=413, message=message))


@pytest.mark.parametrize("body", [b"slow down", b"", b'{"error": {"code": 1}}'])
def test_a_429_is_a_throttle_whatever_its_body(body: bytes) -> None:
    assert isinstance(answered(429, body), Throttled)


def test_a_throttle_waits_for_the_longest_that_a_header_about_its_limit_asks_for() -> None:
    headers = {
        "x-business-use-case-usage": '{"1": [{"estimated_time_to_regain_access": 5}]}',
        "x-ad-account-usage": '{"acc_id_util_pct": 50, "reset_time_duration": 200}',
        "retry-after": "100",
    }
    for name, seconds in (("", 300.0), ("x-business-use-case-usage", 200.0)):
        headers.pop(name, None)
        for body, wait in ((b"", seconds), (json.dumps(refusal(4)).encode(), 100.0)):
            verdict = answered(429, body, headers=headers)
            assert isinstance(verdict, Throttled)
            assert verdict.wait_seconds == wait


@pytest.mark.parametrize(
    ("code", "scope"),
    [(4, Scope.APP), (341, Scope.APP), (17, Scope.TOKEN), (32, Scope.DESTINATION)],
)
def test_a_throttle_says_whom_it_is_about(code: int, scope: Scope) -> None:
    verdict = answered(400, refusal(code))

    assert isinstance(verdict, Throttled)
    assert verdict.scope is scope


def test_a_throttle_without_the_header_names_no_wait() -> None:
    verdict = answered(400, refusal(17))

    assert isinstance(verdict, Throttled)
    assert verdict.wait_seconds == 0.0


def test_metas_own_words_for_users_are_preferred_and_both_are_masked() -> None:
    verdict = answered(
        400,
        refusal(
            100,
            2804016,
            error_user_title="Bad 'Oslo'",
            error_user_msg="jane@example.com isn\u2019t hashed",
        ),
    )

    assert verdict == Refused(
        MetaError(
            http_status=400,
            code=100,
            subcode=2804016,
            title="Bad …",
            message="… isn\u2019t hashed",
            trace_id="Atrace",
        )
    )


def test_words_that_are_missing_or_empty_are_absent() -> None:
    verdict = answered(400, {"error": {"code": 100, "message": "", "error_user_title": ""}})

    assert verdict == Refused(MetaError(http_status=400, code=100))


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("no value of anybody", "no value of anybody"),
        ("the value 'Jane' is wrong", "the value … is wrong"),
        ('the value "Jane Doe" is wrong', "the value … is wrong"),
        ("the value “Jane” is wrong", "the value … is wrong"),
        ("la valeur « Jane » est fausse", "la valeur … est fausse"),
        ("the value ‘Jane’ is wrong", "the value … is wrong"),
        ("der Wert „Jane“ ist falsch", "der Wert … ist falsch"),
        ("the event's fn 'Jane' isn't hashed", "the event's fn … isn't hashed"),
        ("both 'a' and 'b'", "both … and …"),
        ("jane@example.com is not hashed", "… is not hashed"),
        ("call +14155551234 now", "call … now"),
        ("id=12345;x rest", "… rest"),
        ("code 2804", "code 2804"),
        ("7 days, 1000 events", "7 days, 1000 events"),
    ],
)
def test_what_meta_may_quote_of_a_person_is_masked(said: str, kept: str) -> None:
    assert mask(said) == kept


def test_of_words_that_never_end_nothing_is_kept() -> None:
    assert mask("'Jane" * 1000) == "…"
    assert "jane" not in mask("y " * 100 + "'" + "jane " * 2000)


def test_of_many_messages_the_first_are_kept() -> None:
    verdict = answered(200, {"events_received": 10, "messages": ["m"] * 1000})

    assert verdict == Accepted(trace_id=None, messages=("m",) * MESSAGES_MAX)


@pytest.mark.parametrize("junk", ["", " ", "two words", "x" * 129, "é", "a\nb", 7, None, ["A1"]])
def test_a_trace_id_is_one_short_word(junk: object) -> None:
    for body in ({"fbtrace_id": junk}, {"error": {"code": 100, "fbtrace_id": junk}}):
        verdict = answered(400, body)
        assert isinstance(verdict, Refused | Retry)
        assert verdict.error is not None
        assert verdict.error.trace_id is None


def test_the_version_warning_is_masked() -> None:
    header = {"x-ad-api-version-warning": "auto-upgraded to v27.0, see jane@example.com"}

    assert version_warning(header) == "auto-upgraded to v27.0, see …"
    assert version_warning({}) is None


def test_words_are_cut_after_they_are_masked() -> None:
    assert mask("x" * 300) == "x" * 200
    assert "jane" not in mask("y" * 195 + " jane@example.com")
    assert mask("'" + "x" * 300 + "'") == "…"


@settings(deadline=None)
@given(status=st.integers(100, 599), body=st.binary(max_size=60), header=st.text(max_size=8))
def test_no_answer_whatever_raises_or_counts_as_success(
    status: int, body: bytes, header: str
) -> None:
    verdict = judge(status, {"retry-after": header}, body, sent=10)

    assert not isinstance(verdict, Accepted)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 300) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error",
                    "code",
                    "error_subcode",
                    "message",
                    "type",
                    "events_received",
                    "messages",
                    "fbtrace_id",
                    "is_transient",
                    "error_user_msg",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(status=st.sampled_from([200, 400, 413, 429, 500]), body=_JSON)
def test_only_a_2xx_with_the_full_count_and_no_error_is_accepted(status: int, body: Any) -> None:
    verdict = answered(status, body)

    if isinstance(verdict, Accepted):
        assert status == 200
        assert "error" not in body
        assert body["events_received"] == 10

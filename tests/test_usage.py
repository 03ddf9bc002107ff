"""Meta's usage headers, in their different units, and whatever else may stand in them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.model import Scope
from consumer.usage import (
    HEADER_CHARACTERS_MAX,
    SHARE_MAX,
    WAIT_SECONDS_MAX,
    Usage,
    UsageKind,
    read_usage,
)

APP, CASE, ACCOUNT, RETRY = (
    "x-app-usage",
    "x-business-use-case-usage",
    "x-ad-account-usage",
    "retry-after",
)
HOUR = 3600.0


def read(name: str, value: Any, **more: str) -> Usage | None:
    """The one entry of one header; None when there is none."""
    text = value if isinstance(value, str) else json.dumps(value)
    found = read_usage({name: text, **more})
    assert len(found) <= 1
    return found[0] if found else None


def case(**changes: Any) -> dict[str, Any]:
    """One entry of a business use case, as documented."""
    entry = {
        "type": "ads_management",
        "call_count": 45,
        "total_cputime": 80,
        "total_time": 30,
        "estimated_time_to_regain_access": 0,
        "ads_api_access_tier": "standard_access",
    }
    return entry | changes


def test_the_highest_percentage_of_the_app_counts() -> None:
    found = read(APP, {"call_count": 28, "total_time": 25, "total_cputime": 26})

    assert found == Usage(UsageKind.APP, 0.28, 0.0, spent=False)
    assert found.scope is Scope.APP


def test_the_whole_allowance_of_the_app_is_spent_at_100_percent_of_anything() -> None:
    for name in ("call_count", "total_time", "total_cputime"):
        found = read(APP, {"call_count": 1, "total_time": 1, "total_cputime": 1} | {name: 100})
        assert found == Usage(UsageKind.APP, 1.0, 0.0, spent=True)
        nearly = read(APP, {name: 99.9})
        assert nearly is not None
        assert not nearly.spent


def test_a_business_use_case_tells_minutes_and_every_entry_counts() -> None:
    found = read(CASE, {"1": [case(), case(call_count=91)], "2": [case(total_time=5)]})
    assert found == Usage(UsageKind.BUSINESS_USE_CASE, 0.91, 0.0, spent=False)
    assert found.scope is Scope.DESTINATION

    blocked = read(CASE, {"1": [case()], "2": [case(estimated_time_to_regain_access=19)]})
    assert blocked == Usage(UsageKind.BUSINESS_USE_CASE, 0.8, 19 * 60.0, spent=True)


@pytest.mark.parametrize("wrapping", [case(), {"1": case()}, [case()], {"1": [case()]}])
def test_a_business_use_case_may_be_wrapped_as_it_likes(wrapping: Any) -> None:
    assert read(CASE, wrapping) == Usage(UsageKind.BUSINESS_USE_CASE, 0.8, 0.0, spent=False)


def test_an_ad_account_tells_seconds_which_are_no_order_to_wait_below_100_percent() -> None:
    entry = {"acc_id_util_pct": 9.67, "reset_time_duration": 100, "ads_api_access_tier": "x"}

    assert read(ACCOUNT, entry) == Usage(UsageKind.AD_ACCOUNT, 0.0967, 100.0, spent=False)
    full = read(ACCOUNT, entry | {"acc_id_util_pct": 100})
    assert full == Usage(UsageKind.AD_ACCOUNT, 1.0, 100.0, spent=True)
    assert full.scope is Scope.DESTINATION


def test_the_insights_header_speaks_of_the_app_and_of_the_account() -> None:
    header = '{"app_id_util_pct": 80, "acc_id_util_pct": 10, "ads_api_access_tier": "x"}'

    assert set(read_usage({"x-fb-ads-insights-throttle": header})) == {
        Usage(UsageKind.APP, 0.8, 0.0, spent=False),
        Usage(UsageKind.AD_ACCOUNT, 0.1, 0.0, spent=False),
    }


def test_of_two_headers_on_one_limit_the_worse_counts() -> None:
    headers = {
        APP: '{"call_count": 60}',
        "x-fb-ads-insights-throttle": '{"app_id_util_pct": 101}',
    }

    assert read_usage(headers) == (Usage(UsageKind.APP, 1.01, 0.0, spent=True),)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("21600", 6 * HOUR),
        ("21601", WAIT_SECONDS_MAX),
        ("99999999999", WAIT_SECONDS_MAX),
        ("1e300", WAIT_SECONDS_MAX),
        ("inf", WAIT_SECONDS_MAX),
        ("9" * 400, WAIT_SECONDS_MAX),
        ("Wed, 21 Oct 2026 07:30:00 GMT", 120.0),
        ("Wed, 21 Oct 2026 09:30:00 +0200", 120.0),
        ("Wed, 21 Oct 2026 07:30:00 -0000", 120.0),
        ("Wednesday, 21-Oct-26 07:30:00 GMT", 120.0),
        ("Thu, 22 Oct 2026 07:30:00 GMT", WAIT_SECONDS_MAX),
    ],
)
def test_retry_after_is_seconds_or_a_date_beside_that_of_the_answer(
    header: str, seconds: float
) -> None:
    found = read(RETRY, header, date="Wed, 21 Oct 2026 07:28:00 GMT")

    assert found == Usage(UsageKind.RETRY_AFTER, 0.0, seconds, spent=True)
    assert found.scope is Scope.DESTINATION


@pytest.mark.parametrize(
    "header",
    ["0", "-3", "-inf", "nan", "soon", "", "Wed, 21 Oct 2026 07:27:00 GMT", "Wed, 99 Foo 2026"],
)
def test_a_retry_after_that_asks_for_nothing_is_none(header: str) -> None:
    assert read(RETRY, header, date="Wed, 21 Oct 2026 07:28:00 GMT") is None


def test_a_date_is_nothing_without_the_answers_own() -> None:
    assert read(RETRY, "Wed, 21 Oct 2026 07:30:00 GMT") is None
    assert read(RETRY, "Wed, 21 Oct 2026 07:30:00 GMT", date="today") is None


@pytest.mark.parametrize("name", [APP, CASE, ACCOUNT])
@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "null", "7", '"x"', "[]", "{}", "[[[[[[]]]]]]", "\x00", "\ud800"]
)
def test_a_header_that_cannot_be_read_is_as_good_as_none(name: str, text: str) -> None:
    assert read(name, text) is None


@pytest.mark.parametrize("value", ["80", -80, True, None, [80], {"call_count": {}}])
def test_what_is_no_number_counts_as_nothing(value: Any) -> None:
    found = read(APP, {"call_count": value, "total_time": 12})

    assert found == Usage(UsageKind.APP, 0.12, 0.0, spent=False)


@pytest.mark.parametrize("text", ["1" * 25, "1e308", "123456789"])
def test_what_is_far_too_much_is_bounded(text: str) -> None:
    found = read(CASE, f'{{"call_count": {text}, "estimated_time_to_regain_access": {text}}}')

    assert found == Usage(UsageKind.BUSINESS_USE_CASE, SHARE_MAX, WAIT_SECONDS_MAX, spent=True)


def test_a_header_of_a_megabyte_is_not_read() -> None:
    entries = json.dumps({str(each): [case()] for each in range(10_000)})
    assert len(entries) > 10 * HEADER_CHARACTERS_MAX

    assert read(CASE, entries) is None
    assert read(CASE, "[" * (HEADER_CHARACTERS_MAX - 1)) is None


def test_without_headers_there_is_nothing() -> None:
    assert read_usage({}) == ()
    assert read_usage({"content-type": "application/json"}) == ()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "call_count",
                    "total_time",
                    "estimated_time_to_regain_access",
                    "acc_id_util_pct",
                    "app_id_util_pct",
                    "reset_time_duration",
                    "1",
                ]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(
    name=st.sampled_from([APP, CASE, ACCOUNT, RETRY, "x-fb-ads-insights-throttle"]),
    text=_JSON.map(json.dumps) | st.text(max_size=30),
    date=st.text(max_size=30),
)
def test_no_header_whatever_raises_or_leaves_the_bounds(name: str, text: str, date: str) -> None:
    for usage in read_usage({name: text, "date": date}):
        assert 0 <= usage.share <= SHARE_MAX
        assert 0 <= usage.wait_seconds <= WAIT_SECONDS_MAX

"""Meta's limits. They are counted by token, by app and by account, not by pixel: who shares one
pauses together, whoever does not goes on; and Meta's usage headers slow everybody concerned before
anything is refused.
"""

from collections import deque
from typing import Any

import orjson
from pydantic import SecretStr

from consumer.flow import READ_RECORDS_MIN
from consumer.model import HaltReason, PixelId
from tests.fakes.house import CRM, SHOP, FakeHouse, house
from tests.fakes.meta import Reply

APP_STORE = PixelId("3333333333333333")
ALL = (SHOP, CRM, APP_STORE)
DESTINATIONS = "".join(f"- id: '{each}'\n" for each in ALL)
SHARED, OWN = SecretStr("shared-token"), SecretStr("own-token")
TOKENS = {SHOP: SHARED, CRM: SHARED, APP_STORE: OWN}
SECRET = SecretStr("app-secret")


def three(*, app_secret: SecretStr | None = None, **limits: Any) -> FakeHouse:
    """Three destinations: SHOP and CRM have the same token. Windows close after a second."""
    home = house(destinations=DESTINATIONS, **limits)
    home.pipeline.nudge(TOKENS.get, app_secret=app_secret, configured=ALL)
    return home


def throttle(code: int, **headers: str) -> Reply:
    body = {"error": {"message": "m", "code": code, "fbtrace_id": "t-limit"}}
    return Reply(400, orjson.dumps(body), headers)


def counted(events: int, **headers: str) -> Reply:
    """Success for so many events, with headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"events_received": events, "fbtrace_id": "t-ok", "messages": []}
    return Reply(200, orjson.dumps(body), named)


def app_usage(percent: float) -> str:
    return orjson.dumps({"call_count": percent, "total_time": 1, "total_cputime": 1}).decode()


def arrivals(home: FakeHouse, destination: PixelId) -> list[float]:
    return [seen.at for seen in home.meta.requests(destination)]


def publish_to_all(home: FakeHouse, events: int = 10) -> None:
    for partition, destination in enumerate(ALL):
        home.publish(partition, events=events, destination=destination)


def state(home: FakeHouse, destination: PixelId) -> str:
    return home.deliveries.outboxes[destination].state.value


def test_a_throttled_token_pauses_all_who_share_it_and_nobody_else() -> None:
    home = three()
    home.publish(0, events=10, destination=SHOP)
    home.meta.scripted[SHOP] = deque([throttle(17)])
    home.run(3)
    start = arrivals(home, SHOP)[0]

    publish_to_all(home)
    home.run(50)

    assert arrivals(home, CRM) == []
    assert len(arrivals(home, SHOP)) == 1
    assert len(arrivals(home, APP_STORE)) == 1
    assert [state(home, each) for each in ALL] == ["throttled", "throttled", "ready"]
    told = [line["destination"] for line in home.lines.named("destination state")]
    assert sorted(told) == [SHOP, CRM]
    home.settle_all()
    assert arrivals(home, SHOP)[1] >= start + 60
    assert arrivals(home, CRM)[0] >= start + 60
    assert len(home.meta.accepted) == 40
    assert set(home.meta.accepted.values()) == {1}
    assert not home.dead_letters.produced


def test_a_limit_of_a_destination_pauses_nobody_else() -> None:
    for code in (32, 613, 80004):
        home = three()
        home.meta.scripted[SHOP] = deque([throttle(code)])
        publish_to_all(home)

        home.run(30)

        assert len(arrivals(home, SHOP)) == 1
        assert [state(home, each) for each in ALL] == ["throttled", "ready", "ready"]


def test_a_throttled_app_pauses_who_shares_the_token_or_all_when_there_is_an_app_secret() -> None:
    for app_secret, others in ((None, "ready"), (SECRET, "throttled")):
        home = three(app_secret=app_secret)
        home.publish(0, events=10, destination=SHOP)
        home.meta.scripted[SHOP] = deque([throttle(4)])
        home.run(3)
        publish_to_all(home)

        home.run(30)

        assert [state(home, each) for each in ALL] == ["throttled", "throttled", others]
        assert bool(arrivals(home, APP_STORE)) == (others == "ready")


def test_all_who_share_wait_as_long_as_the_one_who_was_told() -> None:
    home = three()
    home.publish(0, events=1, destination=SHOP)
    home.publish(1, events=1, destination=CRM)
    told = '{"1": [{"estimated_time_to_regain_access": 10}]}'
    headers = {"x-business-use-case-usage": told}
    home.meta.scripted[SHOP] = deque([throttle(17, **headers)])

    home.run(590)

    assert len(arrivals(home, SHOP)) == 1
    sent_before_it_was_known = len(arrivals(home, CRM))
    assert sent_before_it_was_known <= 1
    home.publish(1, events=1, destination=CRM)
    home.settle_all()
    assert arrivals(home, SHOP)[1] >= arrivals(home, SHOP)[0] + 600


def test_a_destination_that_is_paused_with_others_and_has_nothing_to_send_is_soon_well() -> None:
    home = three()
    home.publish(0, events=1, destination=SHOP)
    home.meta.scripted[SHOP] = deque([throttle(17)])
    home.run(3)
    assert state(home, CRM) == "throttled"

    home.run(70)

    assert state(home, CRM) == "ready"
    assert home.deliveries.outboxes[CRM].trouble_since is None
    last = {line["destination"]: line["state"] for line in home.lines.named("destination state")}
    assert last == {SHOP: "ready", CRM: "ready"}


def test_recovery_is_gradual_one_more_request_with_each_that_is_accepted() -> None:
    home = three(window_events=1)
    home.meta.latency_seconds = 1.0
    home.meta.scripted[SHOP] = deque([throttle(80004)] * 8)
    home.publish(0, events=100, destination=SHOP)

    home.run(58)
    before = len(arrivals(home, SHOP))
    assert before == 8
    home.run(10)

    rounds: dict[float, int] = {}
    for at in arrivals(home, SHOP)[before:]:
        rounds[round(at)] = rounds.get(round(at), 0) + 1
    assert list(rounds.values())[:4] == [1, 2, 4, 8], "one more for each that is accepted"


def test_at_80_percent_of_the_app_one_request_is_out_for_all_who_share_it() -> None:
    home = three(window_events=5)
    home.meta.latency_seconds = 1.0
    for destination in (SHOP, CRM):
        home.meta.standing[destination] = counted(5, x_app_usage=app_usage(80))
    home.publish(0, events=5, destination=SHOP)
    home.run(3)
    for _ in range(6):
        publish_to_all(home, events=5)
    begun = home.clock.now()

    most: dict[str, int] = {"shared": 0, "own": 0}
    while home.clock.now() < begun + 20:
        home.pipeline.turn()
        out = {each: home.deliveries.outboxes[each].in_flight for each in home.deliveries.outboxes}
        most["shared"] = max(most["shared"], out.get(SHOP, 0) + out.get(CRM, 0))
        most["own"] = max(most["own"], out.get(APP_STORE, 0))

    assert most == {"shared": 1, "own": 6}
    assert len(arrivals(home, SHOP)) >= 6, "neither starves"
    assert len(arrivals(home, CRM)) >= 6
    turns = [seen.request.key.destination for seen in home.meta.seen if seen.at > begun]
    shared = [each for each in turns if each != APP_STORE]
    assert shared[:6] in ([CRM, SHOP] * 3, [SHOP, CRM] * 3), "they take turns"
    assert home.metric("conversions_meta_usage_ratio", destination=CRM, kind="app") == 0.8
    assert home.metric("conversions_meta_usage_ratio", destination=APP_STORE, kind="app") is None
    assert [state(home, each) for each in ALL] == ["ready"] * 3


def test_once_less_is_used_the_requests_become_more_one_by_one() -> None:
    home = three(window_events=1)
    home.meta.latency_seconds = 1.0
    told = [counted(1, x_app_usage=app_usage(percent)) for percent in (80, 50)]
    home.meta.scripted[SHOP] = deque(told)
    home.publish(0, events=1, destination=SHOP)
    home.run(3)

    home.publish(0, events=100, destination=SHOP)
    home.run(6)

    rounds: dict[float, int] = {}
    for at in arrivals(home, SHOP)[1:]:
        rounds[round(at)] = rounds.get(round(at), 0) + 1
    assert list(rounds.values())[:4] == [1, 2, 4, 8]


def test_a_pause_that_ends_by_time_alone_is_told() -> None:
    home = three()
    home.publish(0, events=1, destination=SHOP)
    home.meta.scripted[SHOP] = deque([counted(1, x_app_usage=app_usage(100))])

    home.run(70)

    told = [(line["destination"], line["state"]) for line in home.lines.named("destination state")]
    assert sorted(told) == [
        (each, state) for each in (SHOP, CRM) for state in ("ready", "throttled")
    ]
    assert told.index((SHOP, "throttled")) < told.index((SHOP, "ready"))
    assert len(home.meta.seen) == 1


def test_below_75_percent_nobody_is_slowed() -> None:
    home = three(window_events=5)
    home.meta.standing[SHOP] = counted(5, x_app_usage=app_usage(74))
    home.publish(0, events=5, destination=SHOP)
    home.run(3)
    home.publish(0, events=40, destination=SHOP)

    home.run(1)

    times = arrivals(home, SHOP)[1:]
    assert len(times) == 8
    assert len(set(times)) == 1


def test_from_90_percent_on_requests_are_far_apart_and_farther_the_more_is_used() -> None:
    gaps: list[float] = []
    for percent in (91, 95, 99):
        home = three(window_events=5)
        home.meta.standing[SHOP] = counted(5, x_ad_account_usage=f'{{"acc_id_util_pct":{percent}}}')
        home.publish(0, events=5, destination=SHOP)
        home.run(3)
        home.publish(0, events=15, destination=SHOP)
        home.run(100)
        times = arrivals(home, SHOP)
        gaps.append(times[-1] - times[-2])

    assert gaps == sorted(gaps)
    assert gaps[0] >= 3
    assert gaps[-1] >= 25


def test_what_is_used_up_pauses_though_the_request_was_accepted() -> None:
    told = '{"1": [{"call_count": 45, "estimated_time_to_regain_access": 7}]}'
    home = three()
    home.meta.scripted[SHOP] = deque([counted(10, x_business_use_case_usage=told)])
    publish_to_all(home)
    home.run(5)
    publish_to_all(home)

    home.run(400)

    assert len(arrivals(home, SHOP)) == 1
    assert [state(home, each) for each in ALL] == ["throttled", "ready", "ready"]
    home.settle_all(60)
    first, second = arrivals(home, SHOP)
    assert second >= first + 420


def test_a_proxy_in_trouble_that_says_when_to_come_back_is_obeyed() -> None:
    home = three()
    home.meta.scripted[SHOP] = deque([Reply(503, b"<html>", {"retry-after": "200"})])
    publish_to_all(home)

    home.settle_all(300)

    first, second = arrivals(home, SHOP)
    assert second >= first + 200
    assert len(arrivals(home, CRM)) == 1


def test_what_was_used_long_ago_slows_nobody() -> None:
    home = three(window_events=5)
    home.meta.scripted[SHOP] = deque([counted(5, x_app_usage=app_usage(80))])
    home.publish(0, events=5, destination=SHOP)
    home.run(3)
    assert home.metric("conversions_meta_usage_ratio", destination=SHOP, kind="app") == 0.8
    home.run(700)
    assert home.metric("conversions_meta_usage_ratio", destination=SHOP, kind="app") is None

    home.publish(0, events=10, destination=SHOP)
    home.run(3)

    assert len(arrivals(home, SHOP)) == 3


def test_an_internal_error_that_goes_on_halts_and_recovers_by_itself() -> None:
    home = three()
    home.publish(0, events=10, destination=SHOP)
    home.meta.standing[SHOP] = throttle(-3)
    home.run(120)

    halted = home.deliveries.outboxes[SHOP].halted
    assert halted is not None
    assert halted.reason is HaltReason.UNKNOWN_ERROR
    assert not home.dead_letters.produced
    home.meta.standing.clear()
    home.settle_all(400)
    assert len(home.meta.accepted) == 10


def test_an_internal_error_now_and_then_halts_nothing() -> None:
    home = three()
    for _ in range(10):
        home.meta.scripted[SHOP] = deque([throttle(-3), throttle(5000)])
        home.publish(0, events=1, destination=SHOP)
        home.settle_all()

    assert not home.lines.named("destination halted")


def test_the_warning_about_the_version_is_logged_once_and_counted() -> None:
    home = three()
    warning = "The call has been auto-upgraded to v27.0"
    home.meta.standing[SHOP] = counted(1, x_ad_api_version_warning=warning)
    for _ in range(3):
        home.publish(0, events=1, destination=SHOP)
        home.settle_all()

    lines = [facts for _, event, facts in home.lines.lines if "version of the Graph" in event]
    assert lines == [{"warning": warning}]
    assert home.metric("conversions_graph_version_warnings_total") == 3


def test_throttles_of_one_token_that_come_together_do_not_add_up() -> None:
    home = three()
    for destination in (SHOP, CRM):
        home.meta.standing[destination] = throttle(17)
    for _ in range(8):
        home.publish(0, events=1, destination=SHOP)
        home.publish(1, events=1, destination=CRM)
        home.run(1.1)
    home.meta.standing.clear()

    home.settle_all(150)

    assert not home.dead_letters.produced


def test_a_destination_that_a_limit_slows_fills_no_more_than_its_share() -> None:
    home = three(in_flight_events=600, window_events=10)
    home.publish(0, events=10, destination=SHOP)
    home.meta.scripted[SHOP] = deque([counted(10, x_app_usage=app_usage(97))])
    home.run(3)
    home.publish(0, events=2000, destination=SHOP)
    home.run(3)

    assert home.ledger.open_records <= 600 // 3 + READ_RECORDS_MIN

    home.publish(2, events=1000, destination=APP_STORE)
    home.run(30)
    assert sum(place[0] == 2 for place in home.meta.accepted) == 1000


def test_who_is_merely_paused_by_a_header_is_not_spilled() -> None:
    home = three(in_flight_events=300, window_events=10)
    spent = '{"1": [{"estimated_time_to_regain_access": 15}]}'
    home.publish(0, events=10, destination=SHOP)
    home.meta.scripted[SHOP] = deque([counted(10, x_business_use_case_usage=spent)])
    home.run(3)
    for _ in range(100):
        home.publish(0, events=2, destination=SHOP)
        home.publish(0, events=1, destination=APP_STORE)

    home.run(700)

    assert not home.dead_letters.produced
    home.settle_all(1000)

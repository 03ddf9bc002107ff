"""JSON Lines straight to Meta: each event of the input is received, or reported as failed, once."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import orjson
import pytest

from consumer.assembly import deliveries_from, preparation_from
from consumer.destinations import Destination, Destinations, parse_destinations
from consumer.emulator import Emulator, EmulatorConfig
from consumer.model import Accepted, HaltReason, PixelId, Retry, RetryCause
from consumer.send_report import LISTED_MAX, NOT_SENT, Failure, Report
from consumer.sending import Limits, Sending
from consumer.settings import load_settings
from tests.fakes.clock import FakeClock
from tests.fakes.meta import FakeMeta, Reply, expired_token, outage, throttling

SHOP, CRM = PixelId("1111111111111111"), PixelId("2222222222222222")
TWO = f"- id: '{SHOP}'\n- id: '{CRM}'\n  onDenied: suppress\n"
TOKEN = "EAAcanarytoken000111222333"
PERSON = {"email": "canary.bird@cage.example", "phone": "+14155550199", "lastName": "Featherstone"}
CANARIES = (TOKEN, PERSON["email"], PERSON["phone"][1:], PERSON["lastName"])
LOST = Retry(RetryCause.CONNECTION, None, reached_meta=False)


def event(number: int, **changes: Any) -> dict[str, Any]:
    """A good event; a change of None leaves the field out."""
    fields = {
        "destinationId": SHOP,
        "eventName": "Lead",
        "eventTime": NOW_MS - 60_000,
        "eventId": f"order-{number}",
        "actionSource": "crm",
        "user": PERSON,
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


NOW_MS = FakeClock().now_ms()


def lines(*events: dict[str, Any] | bytes) -> bytes:
    """One a line, as they are or as JSON."""
    texts = [each if isinstance(each, bytes) else orjson.dumps(each) for each in events]
    return b"\n".join([*texts, b""])


class Counted(io.BytesIO):
    """Lines that count how many were read."""

    read_lines = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        """Count one."""
        self.read_lines += 1
        return super().readline(size)


class World:
    """``send`` with a Meta in memory and a clock that stands still."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.meta = FakeMeta(clock=self.clock, post=None)
        self.told: list[str] = []
        self.stops: Callable[[], int] = lambda: 0
        self.advance: Callable[[int], None] = lambda done: None
        self.problem: str | None = None
        self.destinations = parse_destinations(TWO, Path())

    def send(
        self,
        text: bytes | io.BytesIO,
        *,
        destination: PixelId | None = None,
        timeout_seconds: float = 300.0,
        in_flight_events: int = 20_000,
        **settings: Any,
    ) -> Report:
        """Send it all; in virtual time."""
        loaded = load_settings({}, settings)
        sending = Sending(
            preparation=preparation_from(loaded, self.destinations),
            destination=destination,
            deliveries=deliveries_from(loaded, is_over=lambda tenure: False),
            outgoing=self.meta,
            token_problem=lambda pixel: self.problem,
            clock=self.clock,
            limits=Limits(in_flight_events, 2**28, timeout_seconds),
            stops=self.stops,
            advance=self.advance,
            tell=self.told.append,
        )
        return sending.send(io.BytesIO(text) if isinstance(text, bytes) else text)

    def ids(self, destination: PixelId = SHOP) -> list[list[str]]:
        """The event ids of each request that arrived."""
        return [
            [each.event_id for each in seen.request.events]
            for seen in self.meta.requests(destination)
        ]


def codes(report: Report) -> list[tuple[int, int | str]]:
    return [(each.event_index, each.code) for each in report.in_order()]


# What is received


def test_more_than_a_thousand_events_go_in_several_requests() -> None:
    world = World()
    report = world.send(lines(*map(event, range(2500))))

    assert sorted(map(len, world.ids())) == [500, 1000, 1000]
    assert report.answer() == {
        "eventsReceived": 2500,
        "eventsFailed": 0,
        "failures": [],
        "traceId": world.meta.traces[0, 2499],
    }


def test_the_end_of_the_input_closes_the_window() -> None:
    world = World()
    began = world.clock.now()
    world.send(lines(event(0)), window_seconds=30)

    assert world.clock.now() - began < 1


def test_an_empty_input_is_no_failure() -> None:
    assert World().send(b"\n \n").answer() == {
        "eventsReceived": 0,
        "eventsFailed": 0,
        "failures": [],
        "traceId": None,
    }


def test_what_meta_refuses_is_isolated_and_named_by_index_and_id() -> None:
    world = World()
    world.meta.is_bad = lambda one: one.event_id in ("order-7", "order-1200")
    report = world.send(lines(*map(event, range(1500))))

    assert report.received == 1498
    assert [(each.event_index, each.event_id) for each in report.in_order()] == [
        (7, "order-7"),
        (1200, "order-1200"),
    ]
    for each in report.failures:
        assert each.code == 100
        assert each.trace_id == world.meta.traces[0, each.event_index]
        assert "100/2804003" in each.message


def test_a_line_that_is_no_event_costs_only_itself() -> None:
    text = lines(
        b"\xef\xbb\xbf" + orjson.dumps(event(0)),
        b"",
        b"no JSON",
        event(2, user={"firstName": "Featherstone"}),
        event(3, user="canary.bird@cage.example"),
        event(4, destinationId="canary.bird@cage.example"),
        b"  ",
        event(5),
    )
    world = World()
    report = world.send(text)

    assert world.ids() == [["order-0", "order-5"]]
    assert report.received == 2
    assert codes(report) == [
        (1, "undecodable"),
        (2, "insufficient_user_data"),
        (3, "undecodable"),
        (4, "unknown_destination"),
    ]
    named = [each.event_id for each in report.in_order()]
    assert named == [None, "order-2", "order-3", "order-4"]
    assert not any(canary in each.message for canary in CANARIES for each in report.failures)


def test_a_line_that_is_too_long_is_a_failure_like_another() -> None:
    report = World().send(lines(b"x" * 9 * 2**20, event(1)))

    assert (report.received, codes(report)) == (1, [(0, "undecodable")])


class Faulty(Destinations):
    """Stumbles over one destination, and quotes what it stumbled over."""

    def get(self, pixel: PixelId) -> Destination | None:
        """Stumble."""
        if pixel == CRM:
            raise KeyError(PERSON["email"])
        return super().get(pixel)


def test_a_fault_of_our_own_costs_one_event_and_quotes_nothing() -> None:
    world = World()
    sound = world.destinations
    world.destinations = Faulty(by_id=sound.by_id, any_id=sound.any_id)
    report = world.send(lines(event(0), event(1, destinationId=CRM), event(2)))

    assert (report.received, codes(report)) == (2, [(1, "internal_error")])
    assert not any(canary in report.failures[0].message for canary in CANARIES)


def test_what_is_withheld_for_want_of_consent_is_neither_received_nor_failed() -> None:
    denied = event(1, destinationId=CRM, consent={"adUserData": "DENIED"})
    report = World().send(lines(event(0), denied))

    answer = report.answer()
    assert (answer["eventsReceived"], answer["eventsFailed"]) == (1, 0)
    assert answer["eventsSuppressed"] == 1


def test_the_destination_of_the_call_wins_over_that_of_the_events() -> None:
    world = World()
    world.send(lines(event(0), event(1, destinationId=None)), destination=CRM)

    assert world.ids(CRM) == [["order-0", "order-1"]]
    assert world.ids(SHOP) == []


def test_events_of_two_destinations_never_share_a_request() -> None:
    world = World()
    report = world.send(lines(*(event(n, destinationId=(SHOP, CRM)[n % 2]) for n in range(100))))

    assert report.received == 100
    assert world.ids(SHOP) == [[f"order-{n}" for n in range(0, 100, 2)]]
    assert world.ids(CRM) == [[f"order-{n}" for n in range(1, 100, 2)]]


def test_an_event_without_id_has_the_same_one_whenever_the_file_is_sent() -> None:
    text = lines(*(event(0, eventId=None) for _ in range(3)))
    ids = []
    for hours in range(2):
        world = World()
        world.clock.advance(hours * 3600)
        world.send(text)
        ids.append(world.ids())

    assert ids[0] == ids[1]
    assert len(set(ids[0][0])) == 3, "the same line thrice is three events"


def test_an_event_that_is_not_yet_due_waits_for_its_time() -> None:
    world = World()
    report = world.send(lines(event(0), event(1, eventTime=NOW_MS + 200_000)))

    assert report.received == 2
    assert world.ids() == [["order-0"], ["order-1"]]


def test_fields_that_the_schema_lacks_are_counted() -> None:
    report = World().send(lines(event(0, emial="x"), event(1, emial="x", vaule=1), event(2)))

    assert report.received == 3
    assert report.unknown == {"emial": 2, "vaule": 1}


# Trouble


def test_after_an_outage_the_same_ids_are_received() -> None:
    world = World()
    world.meta.scripted[SHOP] = deque([outage(), LOST, throttling(90)])
    report = world.send(lines(*map(event, range(5))))

    assert (report.received, report.failures) == (5, [])
    assert world.ids() == [[f"order-{n}" for n in range(5)]] * 4


def test_a_dead_token_fails_its_events_at_once_and_no_others() -> None:
    world = World()
    world.meta.standing[SHOP] = expired_token()
    began = world.clock.now()
    each = [event(n, destinationId=(SHOP, CRM)[n % 2]) for n in range(6000)]
    report = world.send(lines(*each), in_flight_events=100)

    assert report.received == 3000
    assert {one.event_index % 2 for one in report.failures} == {0}
    (message,) = {one.message for one in report.failures}
    assert message == "the access token is invalid, expired or revoked (190)"
    assert {(one.code, one.trace_id) for one in report.failures} == {(190, "t-token")}
    assert world.told == [f"pixel {SHOP} is given up: {message}"]
    assert len(world.ids(SHOP)) <= 8, "a halted destination is not asked again and again"
    assert world.clock.now() - began < 60


def test_what_is_known_of_a_missing_token_is_said() -> None:
    world = World()
    world.problem = "there is no access token"
    world.meta.standing[SHOP] = Reply(400, b'{"error":{"code":104}}')
    report = world.send(lines(event(0)))

    assert [(one.message, one.code) for one in report.failures] == [
        ("there is no access token", 104)
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ({"code": 10}, "may not send"),
        ({"code": 100, "error_subcode": 33, "error_user_title": "No Such Object"}, "no such pixel"),
        ({"code": 100, "type": "GraphMethodException"}, "as it is configured"),
        ({"code": 368}, "policies"),
        ({"code": 987654}, "not known here"),
    ],
)
def test_whatever_halts_a_destination_ends_the_waiting(error: dict[str, Any], words: str) -> None:
    world = World()
    world.meta.standing[SHOP] = Reply(400, orjson.dumps({"error": {**error, "fbtrace_id": "t"}}))
    report = world.send(lines(event(0), event(1)))

    assert codes(report) == [(0, error["code"]), (1, error["code"])]
    assert all(words in each.message and each.trace_id == "t" for each in report.failures)
    assert all(error.get("error_user_title", "") in each.message for each in report.failures)


def test_a_file_of_nothing_but_bad_events_ends_soon() -> None:
    world = World()
    world.meta.is_bad = lambda one: True
    report = world.send(lines(*map(event, range(3000))))

    assert report.received == 0
    assert {each.code for each in report.failures} == {100}
    assert [each.event_index for each in report.in_order()] == list(range(3000))
    assert len(world.meta.seen) < 200


@pytest.mark.parametrize(
    ("standing", "code"),
    [(outage(), "outcome_unknown"), (LOST, NOT_SENT), (throttling(3600), NOT_SENT)],
)
def test_a_destination_that_takes_nothing_is_given_up_in_time(standing: Any, code: str) -> None:
    world = World()
    world.meta.standing[SHOP] = standing
    world.meta.latency_seconds = 5.0
    began = world.clock.now()
    each = [event(n, destinationId=(SHOP, CRM)[n % 2]) for n in range(40)]
    report = world.send(lines(*each), timeout_seconds=100.0, in_flight_events=10)

    assert report.received == 20
    assert codes(report)[0] == (0, code)
    # What was read later was never tried.
    assert codes(report)[-1] == (38, NOT_SENT)
    assert 100 <= world.clock.now() - began < 130
    assert all("for 100 seconds" in one.message for one in report.failures)
    reached = [one for one in report.failures if "may have reached Meta" in one.message]
    assert [one.code for one in reached] == ["outcome_unknown"] * len(reached)
    assert bool(reached) == (code == "outcome_unknown")


def test_a_held_event_is_given_up_in_time_and_never_sent_afterwards() -> None:
    world = World()
    shop = [event(0), event(1, eventTime=NOW_MS + 250_000)]
    # These keep the loop going beyond the time of that.
    due_ms = (100_000, 200_000, 290_000)
    crm = [event(2 + n, destinationId=CRM, eventTime=NOW_MS + ms) for n, ms in enumerate(due_ms)]
    report = world.send(lines(*shop, *crm), timeout_seconds=120.0)

    assert (world.ids(SHOP), len(world.ids(CRM))) == ([["order-0"]], 3)
    assert codes(report) == [(1, NOT_SENT)]


def test_a_slow_destination_is_not_given_up_while_it_takes_events() -> None:
    world = World()
    world.meta.latency_seconds = 10.0
    began = world.clock.now()
    each = map(event, range(200))
    report = world.send(
        lines(*each), timeout_seconds=60.0, requests_per_destination=1, window_events=10
    )

    assert world.clock.now() - began > 190
    assert report.received == 200


def test_a_destination_is_not_blamed_for_the_time_in_which_it_had_nothing_to_take() -> None:
    world = World()
    world.meta.scripted[SHOP] = deque([throttling(60), Accepted("t")])
    world.meta.standing[SHOP] = outage()
    # While the other destination fills the house, the last line is not even read.
    text = [event(0, destinationId=CRM), *map(event, range(1, 31)), event(31, destinationId=CRM)]
    report = world.send(
        lines(*text), timeout_seconds=100.0, in_flight_events=11, requests_per_destination=1
    )

    assert world.ids(CRM) == [["order-0"], ["order-31"]]
    assert {each.code for each in report.failures} == {"outcome_unknown", NOT_SENT}


def test_an_event_that_becomes_too_old_while_it_waits_is_a_failure() -> None:
    world = World()
    world.meta.scripted[SHOP] = deque([throttling(120)])
    old_ms = NOW_MS - (7 * 24 * 60 - 11) * 60_000
    report = world.send(lines(event(0, eventTime=old_ms), event(1)))

    assert (report.received, codes(report)) == (1, [(0, "expired")])


def test_after_an_unclear_answer_a_halt_says_that_meta_may_have_the_events() -> None:
    world = World()
    world.meta.scripted[SHOP] = deque([outage()])
    world.meta.standing[SHOP] = expired_token()
    report = world.send(lines(event(0)))

    assert codes(report) == [(0, 190)]
    assert "may have reached Meta" in report.failures[0].message


def test_of_what_meta_only_partly_received_nothing_is_lost() -> None:
    world = World()
    short = Reply(200, b'{"events_received":1,"fbtrace_id":"t"}')
    world.meta.scripted[SHOP] = deque([short])
    report = world.send(lines(event(0), event(1)))

    assert (report.received, report.failures) == (2, [])


def test_no_more_is_read_than_may_wait() -> None:
    world, text = World(), Counted(lines(*map(event, range(2000))))
    ahead = []
    world.advance = lambda done: ahead.append(text.read_lines - done)
    report = world.send(text, in_flight_events=150)

    assert report.received == 2000
    assert max(ahead) <= 150
    assert max(ahead) > 100


def test_an_input_that_breaks_off_is_not_complete() -> None:
    class Broken(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            found = super().readline(size)
            if not found:
                raise OSError(5, "Input/output error")
            return found

    world = World()
    report = world.send(Broken(lines(event(0))))

    assert (report.received, report.complete) == (1, False)
    assert world.told == ["the input cannot be read on: Input/output error"]


# Being told to stop


def test_when_stopped_what_is_out_is_received_and_the_rest_is_not_sent() -> None:
    world = World()
    world.stops = lambda: int(bool(world.meta.seen))
    each = [event(n) for n in range(3000)]
    report = world.send(
        lines(*each[:2990], b"no JSON", *each[2991:]), requests_per_destination=1, window_events=100
    )

    assert len(world.ids()) == 1
    assert report.received == 100
    assert codes(report) == [
        (n, "undecodable" if n == 2990 else NOT_SENT) for n in range(100, 3000)
    ]
    assert report.complete


def test_when_stopped_the_search_for_a_bad_event_ends() -> None:
    world = World()
    world.meta.is_bad = lambda one: one.event_id == "order-3"
    world.stops = lambda: int(bool(world.meta.seen))
    report = world.send(lines(*map(event, range(10))))

    assert len(world.ids()) == 1
    assert codes(report) == [(n, NOT_SENT) for n in range(10)]


def test_when_told_twice_to_stop_nothing_is_waited_for() -> None:
    world = World()
    world.meta.latency_seconds = float("inf")
    world.stops = lambda: 2 * bool(world.meta.seen)
    report = world.send(
        lines(*map(event, range(3000))), requests_per_destination=1, window_events=100
    )

    assert codes(report)[:101] == [(n, "outcome_unknown") for n in range(100)] + [(100, NOT_SENT)]
    assert not report.complete
    assert world.told == ["stopped; the rest of the input was not read"]


# The answer


def test_every_reason_to_halt_has_a_sentence() -> None:
    from consumer.send_report import _HALTS

    assert _HALTS.keys() == set(HaltReason)


def test_a_person_is_told_the_first_failures_and_all_counts() -> None:
    failures = [Failure(n, f"id\x1b[2J{n}", "too old", "expired", None) for n in range(25, 0, -1)]
    report = Report(received=1200, suppressed=3, failures=failures)

    told = report.summary(dry=False)

    assert told[0] == "event 1 (id?[2J1): too old"
    assert len(told) == LISTED_MAX + 2
    assert told[-2:] == [
        "and 5 more failures",
        "events received by Meta: 1,200, failed: 25, withheld for want of consent: 3",
    ]


# Over HTTP, as a process


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    pixels = {str(pixel): frozenset([TOKEN]) for pixel in (SHOP, CRM)}
    one = Emulator(EmulatorConfig(host="127.0.0.1", port=0, pixels=pixels, clock=time.time))
    one.start()
    yield one
    one.stop()


NOTHING: Mapping[str, str] = MappingProxyType({})


def environment(url: str, more: Mapping[str, str] = NOTHING) -> dict[str, str]:
    own = ("CONVERSIONS_", "KAFKA_", "SCHEMA_REGISTRY_")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(own)}
    ours = {"CONVERSIONS_PIXEL_ID": SHOP, "CONVERSIONS_ACCESS_TOKEN": TOKEN}
    return kept | ours | {"CONVERSIONS_GRAPH_URL": url, "COLUMNS": "80"} | {**more}


def send(
    url: str, text: bytes, *arguments: str, more: Mapping[str, str] = NOTHING
) -> subprocess.CompletedProcess[bytes]:
    """The command, with ``text`` as its standard input; nothing personal in what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "consumer", "send", "-", *arguments],
        input=text,
        env=environment(url, more),
        capture_output=True,
        timeout=120,
        check=False,
    )
    said = (done.stdout + done.stderr).decode()
    assert not [canary for canary in CANARIES if canary in said]
    assert "Traceback" not in said
    return done


def present(number: int, **changes: Any) -> dict[str, Any]:
    """An event of this hour."""
    return event(number, **{"eventTime": int(time.time()) - 60, **changes})


def poisoned(number: int, **changes: Any) -> dict[str, Any]:
    """One that only Meta knows to be bad."""
    return present(number, customData={"emulator_refuse": "2804019"}, **changes)


def requests(emulator: Emulator) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{emulator.url}/_emulator/requests").json()["requests"]
    return found


def test_three_bad_ones_of_2500_fail_and_the_others_are_received(emulator: Emulator) -> None:
    bad = (17, 1200, 2499)
    done = send(
        emulator.url,
        lines(*((poisoned if n in bad else present)(n) for n in range(2500))),
    )

    answer = json.loads(done.stdout)
    assert done.returncode == 1
    assert list(answer) == ["eventsReceived", "eventsFailed", "failures", "traceId"]
    assert (answer["eventsReceived"], answer["eventsFailed"]) == (2497, 3)
    traces = {one["fbtrace_id"]: one for one in requests(emulator)}
    assert answer["traceId"] in traces
    for index, failure in zip(bad, answer["failures"], strict=True):
        assert list(failure) == ["eventIndex", "eventId", "message", "code", "traceId"]
        assert (failure["eventIndex"], failure["eventId"]) == (index, f"order-{index}")
        assert failure["code"] == 100
        assert traces[failure["traceId"]]["verdict"] == "refused"
        assert "2804019" in failure["message"]
    received = {one.event["event_id"]: one.receipts for one in emulator.accepted}
    assert received == {f"order-{n}": 1 for n in range(2500) if n not in bad}
    assert max(one["events"] for one in requests(emulator)) == 1000


def test_good_events_are_no_failure_and_the_test_code_is_that_of_the_call(
    emulator: Emulator,
) -> None:
    text = lines(present(0), present(1, testCode="TEST1"))
    done = send(emulator.url, text, "--test-code", "TEST777", "--json")

    assert done.returncode == 0
    assert done.stderr.startswith(b"conversions: 2 test events; ")
    assert json.loads(done.stdout)["eventsReceived"] == 2
    assert {one.test_event_code for one in emulator.accepted} == {"TEST777"}


def test_a_wrong_token_fails_everything_with_one_sentence(emulator: Emulator) -> None:
    wrong = {"CONVERSIONS_ACCESS_TOKEN": TOKEN + "x"}
    done = send(emulator.url, lines(*map(present, range(1500))), more=wrong)

    answer = json.loads(done.stdout)
    assert (done.returncode, answer["eventsReceived"], answer["eventsFailed"]) == (1, 0, 1500)
    assert {(one["message"], one["code"]) for one in answer["failures"]} == {
        ("the access token is invalid, expired or revoked (190)", 190)
    }
    assert all(one["traceId"] for one in answer["failures"])
    assert len(done.stderr.splitlines()) == 1
    assert emulator.accepted == []


def test_after_faults_of_meta_the_same_ids_are_received(emulator: Emulator) -> None:
    rules = [{"times": 2, "do": {"accept_then_status": 500}}, {"times": 1, "do": {"reset": True}}]
    httpx.post(f"{emulator.url}/_emulator/misbehave", json=rules)
    done = send(emulator.url, lines(*map(present, range(20))))

    assert (done.returncode, json.loads(done.stdout)["eventsReceived"]) == (0, 20)
    assert {tuple(one["event_ids"]) for one in requests(emulator)} == {
        tuple(f"order-{n}" for n in range(20))
    }
    assert len(emulator.accepted) == 20


def test_two_destinations_of_a_file_each_get_their_own(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "destinations.yaml").write_text(TWO, "utf-8")
    file = {
        "CONVERSIONS_DESTINATIONS_FILE": str(tmp_path / "destinations.yaml"),
        "CONVERSIONS_PIXEL_ID": "",
    }
    text = lines(present(0), present(1, destinationId=CRM), present(2, destinationId="3"))
    done = send(emulator.url, text, more=file)

    answer = json.loads(done.stdout)
    assert (done.returncode, answer["eventsReceived"]) == (1, 2)
    assert [one["code"] for one in answer["failures"]] == ["unknown_destination"]
    assert {one.event["event_id"]: one.pixel for one in emulator.accepted} == {
        "order-0": SHOP,
        "order-1": CRM,
    }


def test_a_meta_that_never_answers_is_given_up(emulator: Emulator) -> None:
    httpx.post(f"{emulator.url}/_emulator/misbehave", json=[{"do": {"hang_seconds": 30}}])
    hasty = {"CONVERSIONS_REQUEST_TIMEOUT_SECONDS": "0.2"}
    done = send(emulator.url, lines(present(0)), "--timeout-seconds", "1", more=hasty)

    (failure,) = json.loads(done.stdout)["failures"]
    assert (done.returncode, failure["code"]) == (1, "outcome_unknown")


def test_a_dry_run_connects_to_nobody() -> None:
    text = lines(present(0), present(1, destinationId="77"), b"no JSON", present(3))
    nothing = {"CONVERSIONS_PIXEL_ID": "", "CONVERSIONS_ACCESS_TOKEN": ""}
    done = send("http://127.0.0.1:9", text, "--dry-run", more=nothing)

    answer = json.loads(done.stdout)
    assert done.returncode == 1
    assert (answer["dryRun"], answer["eventsReady"]) == (True, 3)
    assert answer["destinations"] == {SHOP: 2, "77": 1}
    assert [one["eventIndex"] for one in answer["failures"]] == [2]


def test_a_misspelt_field_is_told_with_the_one_that_is_meant() -> None:
    done = send("http://127.0.0.1:9", lines(present(0, sourceURL="https://x.example")), "--dry-run")

    assert done.returncode == 0
    assert done.stderr == (
        b"conversions: sourceURL is no field of an event (did you mean sourceUrl?): "
        b"left out of 1 event\n"
    )


@pytest.mark.parametrize(
    ("arguments", "more", "words"),
    [
        ([], {"CONVERSIONS_PIXEL_ID": ""}, "CONVERSIONS_PIXEL_ID must be set"),
        ([], {"CONVERSIONS_ACCESS_TOKEN": ""}, "CONVERSIONS_ACCESS_TOKEN"),
        (["--destination", "shop"], {}, "CONVERSIONS_PIXEL_ID must be the digits"),
        (["--test-code", "a b"], {}, "CONVERSIONS_TEST_CODE must be a code"),
        (["--timeout-seconds", "nan"], {}, "--timeout-seconds must be a number"),
        (["--timeout-seconds", "-1"], {}, "--timeout-seconds must be a number"),
    ],
)
def test_what_cannot_be_asked_for_ends_with_two(
    arguments: list[str], more: dict[str, str], words: str
) -> None:
    done = send("http://127.0.0.1:9", b"", *arguments, more=more)

    assert (done.returncode, done.stdout) == (2, b"")
    (sentence,) = done.stderr.decode().splitlines()
    assert words in sentence


def test_a_destination_that_is_not_configured_cannot_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "destinations.yaml").write_text(TWO, "utf-8")
    file = {
        "CONVERSIONS_DESTINATIONS_FILE": str(tmp_path / "destinations.yaml"),
        "CONVERSIONS_PIXEL_ID": "",
    }
    done = send("http://127.0.0.1:9", lines(present(0)), "--destination", "3", more=file)

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--destination names none" in done.stderr


def test_sending_needs_no_client_of_kafka() -> None:
    code = "import sys, consumer.send, consumer.cli_send; print('confluent_kafka' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert done.stdout == b"False\n"


class Gate:
    """A Meta that answers one request when it is let, and says when the request is there."""

    def __init__(self) -> None:
        self.arrived, self.open = threading.Event(), threading.Event()
        gate = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                events = len(orjson.loads(self.rfile.read(length))["data"])
                gate.arrived.set()
                gate.open.wait(60)
                answer = b'{"events_received":%d,"fbtrace_id":"A1"}' % events
                with suppress(ConnectionError):  # who asked may have gone
                    self.send_response(200)
                    self.send_header("content-length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def gate() -> Iterator[Gate]:
    one = Gate()
    yield one
    one.open.set()
    one.server.shutdown()
    one.server.server_close()


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupted_call_says_what_is_known(gate: Gate, tmp_path: Path, times: int) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(lines(*map(present, range(30))))
    slow = {"CONVERSIONS_WINDOW_EVENTS": "10", "CONVERSIONS_REQUESTS_PER_DESTINATION": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "consumer", "send", str(file)],
        env=environment(gate.url, slow),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        assert gate.arrived.wait(60)
        process.send_signal(signal.SIGINT)
        assert "what is out is waited for" in process.stderr.readline()
        if times == 1:
            gate.open.set()
        else:
            process.send_signal(signal.SIGINT)

        out, err = process.communicate(timeout=60)

    answer = json.loads(out)
    assert (process.returncode, err) == (1, "")
    assert answer["eventsReceived"] == (10 if times == 1 else 0)
    found = {one["eventIndex"]: one["code"] for one in answer["failures"]}
    waiting = {n: NOT_SENT for n in range(10, 30)}
    unclear = {} if times == 1 else {n: "outcome_unknown" for n in range(10)}
    assert found == waiting | unclear


def test_a_line_that_cannot_be_read_is_named_by_its_event_id_where_it_has_one(
    emulator: Emulator,
) -> None:
    text = lines(present(0, eventId="order-1", value="12"), present(1, eventId="", value="12"))

    answer = json.loads(send(emulator.url, text, "--dry-run", "--json").stdout)

    assert [one["eventId"] for one in answer["failures"]] == ["order-1", None]

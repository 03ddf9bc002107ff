"""A batch's spans, through the whole loop with OpenTelemetry's own SDK: when each begins and ends,
what it says, which producers it links to, and that nothing of it ever disturbs the loop.
"""

import re
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.semconv._incubating.attributes import messaging_attributes
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE,
)
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.trace import NoOpTracer, Span, SpanKind, StatusCode

from consumer.model import PixelId, TopicPartition
from consumer.producer_links import LINKS_MAX
from consumer.traces import BATCHES_MAX, Traces
from tests.fakes.house import CRM, SHOP, FakeHouse, house
from tests.fakes.meta import Reply, expired_token, outage
from tests.fakes.spans import GRAPH, Spans, facts, seconds, told

PROCESS, SETTLE = "process conversions.events", "settle conversions.events"


@pytest.fixture
def spans() -> Spans:
    return Spans()


def traceparent(number: int, *, version: str = "00") -> tuple[str, bytes]:
    return ("traceparent", f"{version}-{number:032x}-{number:016x}-01".encode())


class BrokenTracer(NoOpTracer):
    def start_span(self, *arguments: Any, **named: Any) -> Span:
        raise AttributeError


def only(found: list[ReadableSpan]) -> ReadableSpan:
    (span,) = found
    return span


def not_settled_here(home: FakeHouse) -> list[tuple[TopicPartition, int]]:
    """Records that the traces hold open although the ledger does not."""
    traces = home.journal.traces
    assert isinstance(traces, Traces)
    return [
        (partition, offset)
        for batch in traces._batches.values()
        for partition, offsets in batch.open.items()
        for offset in offsets
        if not home.ledger.is_open(partition, offset)
    ]


# --- one batch, from its window to the last of its fates


def test_a_batch_is_one_trace_from_its_first_record_to_its_last_fate(spans: Spans) -> None:
    home = house(trace=spans.trace)
    home.meta.latency_seconds = 0.5
    home.publish(0, events=3)
    home.settle_all()

    batch = only(spans.batches)
    assert batch.name == PROCESS
    assert batch.kind is SpanKind.CONSUMER
    assert batch.status.status_code is StatusCode.UNSET
    assert [span.name for span in spans.ended] == ["prepare", "send", SETTLE, PROCESS]
    assert len({span.context.trace_id for span in spans.ended if span.context}) == 1
    assert facts(batch) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": GRAPH.topic,
        "messaging.consumer.group.name": GRAPH.group,
        "messaging.batch.message_count": 3,
        "conversions.destination": SHOP,
        "conversions.batch_id": "batch-1",
        "conversions.requests": 1,
        "conversions.delivered": 3,
        "conversions.dead_lettered": 0,
        "conversions.given_back": 0,
    }
    assert told(batch) == [("delivered", {"conversions.events": 3})]


def test_the_spans_follow_each_other_without_a_gap(spans: Spans) -> None:
    home = house(trace=spans.trace)
    home.meta.latency_seconds = 0.5
    home.publish(0, events=3)
    home.settle_all()

    prepare, send, settle, batch = spans.ended
    assert prepare.start_time == batch.start_time
    assert seconds(prepare) >= 1.0, "the window was open for a second"
    assert seconds(send) >= 0.5, "as long as Meta took"
    assert (prepare.end_time or 0) <= (send.start_time or 0)
    assert (send.end_time, settle.end_time) == (settle.start_time, batch.end_time)
    now_ns = home.clock.now_ms() * 1_000_000
    assert now_ns - 60e9 < (batch.start_time or 0) < (batch.end_time or 0) <= now_ns


def test_a_request_says_where_it_went_and_what_meta_said(spans: Spans) -> None:
    home = house(trace=spans.trace)
    home.publish(0, events=3)
    home.settle_all()

    send = only(spans.named("send"))
    assert send.kind is SpanKind.CLIENT
    said = facts(send)
    assert (
        said.pop("conversions.meta.trace_id") == home.lines.named("batch delivered")[0]["trace_id"]
    )
    assert said == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": "graph.example",
        "server.port": 443,
        "conversions.request_id": "batch-1.1",
        "conversions.events": 3,
        "conversions.isolating": False,
    }


def test_the_batches_log_line_names_its_trace(spans: Spans) -> None:
    home = house(trace=spans.trace)
    home.publish(0, events=3)
    home.settle_all()

    (line,) = home.lines.named("batch delivered")
    context = only(spans.batches).context
    assert context is not None
    assert line["otel_trace_id"] == f"{context.trace_id:032x}"


# --- what goes wrong


def test_a_refused_batch_shows_every_trial_and_ends_with_its_dead_letter(spans: Spans) -> None:
    home = house(trace=spans.trace)
    home.publish(0, events=8)
    home.meta.is_bad = lambda event: event.event_id == "event-3"
    home.dead_letters.latency_seconds = 5.0
    home.settle_all()

    batch = only(spans.batches)
    sends = spans.named("send")
    assert len(sends) == len(home.meta.seen) == facts(batch)["conversions.requests"]
    assert facts(sends[0])["error.type"] == "refused"
    assert facts(sends[0])["http.response.status_code"] == 400
    assert facts(sends[0])["conversions.meta.subcode"] == 2804003
    assert [facts(send)["conversions.isolating"] for send in sends] == [False] + [True] * (
        len(sends) - 1
    )
    assert facts(batch)["conversions.delivered"] == 7
    assert facts(batch)["conversions.dead_lettered"] == 1
    assert facts(batch)["error.type"] == "refused_by_meta"
    assert batch.status.status_code is StatusCode.ERROR
    assert batch.status.description == "refused_by_meta: 1"
    buried = {"conversions.events": 1, "conversions.reason": "refused_by_meta"}
    assert ("dead_lettered", buried) in told(batch)
    assert seconds(only(spans.named(SETTLE))) > 0, "the dead letter took its time"


def test_a_batch_that_is_sent_again_has_a_span_for_each_time_and_no_error_of_its_own(
    spans: Spans,
) -> None:
    home = house(trace=spans.trace)
    home.publish(0, events=3)
    home.meta.scripted[SHOP] = deque([outage()])
    home.settle_all()

    first, second = spans.named("send")
    assert facts(first)["error.type"] == "server_error"
    assert first.status.description == "retry: server_error"
    assert "error.type" not in facts(second)
    assert second.status.status_code is StatusCode.UNSET
    assert only(spans.batches).status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    ("reply", "kind", "sentence"),
    [
        (expired_token(), "halted", "halted: token"),
        (Reply(429, b"{}", {"retry-after": "3"}), "throttled", "throttled: destination"),
    ],
)
def test_a_request_that_was_not_taken_says_why(
    spans: Spans, reply: Reply, kind: str, sentence: str
) -> None:
    home = house(trace=spans.trace)
    home.publish(0, events=3)
    home.meta.scripted[SHOP] = deque([reply])
    home.settle_all(4000)

    first = spans.named("send")[0]
    assert (facts(first)["error.type"], first.status.description) == (kind, sentence)
    assert first.status.status_code is StatusCode.ERROR
    assert only(spans.batches).status.status_code is StatusCode.UNSET, "it was delivered after all"


def test_a_batch_that_waits_has_no_end(spans: Spans) -> None:
    home = house(trace=spans.trace)
    home.publish(0, events=3)
    home.meta.standing[SHOP] = expired_token()
    home.run(600)

    assert spans.named("send")
    assert not spans.batches


def test_records_that_were_never_in_a_batch_have_a_span_with_the_reason(spans: Spans) -> None:
    home = house(trace=spans.trace)
    value = b"this is no Avro"
    home.topic.publish(0, value, headers=(traceparent(7),))
    home.topic.publish(0, value)
    home.publish(0, actionSource=None)
    home.settle_all()

    found = {facts(span)["error.type"]: span for span in spans.batches}
    assert found.keys() == {"undecodable", "missing_action_source"}
    undecodable = found["undecodable"]
    assert undecodable.name == PROCESS
    assert undecodable.status.description == "undecodable: 2"
    assert facts(undecodable)["messaging.batch.message_count"] == 2
    assert [link.context.trace_id for link in undecodable.links] == [7]


# --- who settles it


def test_what_leaves_with_its_partition_is_not_waited_for(spans: Spans) -> None:
    home = house(trace=spans.trace, grace_seconds=1.0)
    home.publish(0, events=2)
    home.publish(1, events=3)
    home.meta.standing[SHOP] = outage()
    home.run(5)
    home.source.lose(0)
    home.run(1)
    assert not spans.batches, "the other partition's are still ours"
    home.meta.standing.clear()
    home.run(60)

    batch = only(spans.batches)
    assert facts(batch)["conversions.given_back"] == 2
    assert facts(batch)["conversions.delivered"] == 3


def test_a_batch_of_nothing_but_given_back_records_ends(spans: Spans) -> None:
    home = house(trace=spans.trace, grace_seconds=1.0)
    home.publish(0, events=2)
    home.meta.standing[SHOP] = outage()
    home.run(5)
    home.source.lose(0)
    home.run(1)

    batch = only(spans.batches)
    assert facts(batch)["conversions.given_back"] == 2
    assert batch.status.status_code is StatusCode.UNSET


def flooded(home: FakeHouse) -> None:
    """A halted destination fills the house, and what is alone on its partition goes back."""
    home.meta.standing[CRM] = expired_token()
    home.publish(0, events=200, destination=CRM)
    home.publish(1, events=200, destination=SHOP)
    home.run(120)
    assert home.lines.named("giving records back to Kafka")


def moved(home: FakeHouse) -> None:
    """Partitions come and go while Meta is away."""
    for partition in (0, 1, 2):
        home.publish(partition, events=40)
        home.meta.standing[SHOP] = outage()
        home.run(5)
        home.source.revoke(partition)
        home.run(5)
        home.source.assign(partition)
        home.meta.standing.clear()
        home.run(5)


def refused(home: FakeHouse) -> None:
    """Meta refuses some, others become too old, and garbage is in between."""
    home.meta.is_bad = lambda event: event.event_id.endswith("7")
    home.dead_letters.latency_seconds = 3.0
    for partition in (0, 1, 2):
        home.publish(partition, events=40)
        home.garbage(partition)
    home.source.lose(2)
    home.run(3)
    home.source.assign(2)


@pytest.mark.parametrize("story", [flooded, moved, refused], ids=lambda story: story.__name__)
def test_the_traces_hold_nothing_open_that_the_ledger_does_not(
    spans: Spans, story: Callable[[FakeHouse], None]
) -> None:
    home = house(trace=spans.trace, window_events=25, in_flight_events=100)
    story(home)
    assert not not_settled_here(home)
    home.meta.standing.clear()
    home.settle_all(4000)

    assert not not_settled_here(home)
    assert repr(home.journal.traces) == "<Traces of 0 batches>"
    fates = ("conversions.delivered", "conversions.dead_lettered", "conversions.given_back")
    for batch in map(facts, spans.batches):
        met = sum(batch.get(fate, 0) for fate in fates)
        assert met == batch["messaging.batch.message_count"]
    assert spans.failures == []


def test_at_the_end_of_the_run_what_is_open_is_ended_as_unfinished(spans: Spans) -> None:
    home = house(trace=spans.trace)
    home.publish(0, events=3)
    home.meta.standing[SHOP] = outage()
    home.run(5)

    home.journal.traces.close()

    batch = only(spans.batches)
    assert facts(batch)["conversions.unfinished"] == "stopped"
    assert facts(batch)["conversions.open"] == 3
    assert spans.stopped == 1


def test_batches_without_end_do_not_pile_up(spans: Spans) -> None:
    home = house(trace=spans.trace, window_events=1)
    home.publish(0, events=BATCHES_MAX + 5)
    home.meta.standing[SHOP] = expired_token()
    home.run(30)

    assert repr(home.journal.traces) == f"<Traces of {BATCHES_MAX} batches>"
    assert len(spans.batches) == 5
    assert {facts(batch)["conversions.unfinished"] for batch in spans.batches} == {
        "too_many_batches"
    }
    assert facts(spans.batches[0])["conversions.batch_id"] == "batch-1", "the oldest go first"
    home.meta.standing.clear()
    home.settle_all(2000)
    assert spans.failures == [], "what became of those is nobody's trouble"


# --- its producers


def linked(spans: Spans) -> list[int]:
    return [link.context.trace_id for link in only(spans.batches).links]


def test_a_batch_links_to_each_producer_once(spans: Spans) -> None:
    home = house(trace=spans.trace)
    for number in (1, 2, 2, 3):
        home.publish(0, headers=(("other", b"x"), traceparent(number)))
    home.publish(0)
    home.settle_all()

    assert linked(spans) == [1, 2, 3]
    (link, *_) = only(spans.batches).links
    assert (link.context.span_id, link.context.is_remote) == (1, True)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"garbage",
        "00-é".encode(),
        b"\xff\xfe",
        b"00-" + b"0" * 32 + b"-" + b"1" * 16 + b"-01",
        b"00-" + b"1" * 32 + b"-" + b"0" * 16 + b"-01",
        b"00-" + b"A" * 32 + b"-" + b"1" * 16 + b"-01",
        b"ff-" + b"1" * 32 + b"-" + b"1" * 16 + b"-01",
        b"00-" + b"1" * 32 + b"-" + b"1" * 16 + b"-01" + b"-" * 1000,
    ],
)
def test_a_broken_header_is_no_link_and_no_trouble(spans: Spans, value: bytes) -> None:
    home = house(trace=spans.trace)
    home.publish(0, headers=(("traceparent", value),))
    home.publish(0, headers=(traceparent(5),))
    home.settle_all()

    assert linked(spans) == [5]
    assert spans.failures == []


def test_the_last_of_several_headers_counts_and_a_later_version_is_read(spans: Spans) -> None:
    home = house(trace=spans.trace)
    home.publish(0, headers=(traceparent(1), traceparent(2, version="01")))
    home.settle_all()

    assert linked(spans) == [2]


def test_links_are_bounded_and_the_rest_is_counted(spans: Spans) -> None:
    home = house(trace=spans.trace)
    for number in range(LINKS_MAX + 40):
        home.publish(0, headers=(traceparent(number + 1),))
    home.settle_all()

    assert linked(spans) == list(range(1, LINKS_MAX + 1))
    assert facts(only(spans.batches))["conversions.links_left_out"] == 40


# --- what it says, and to whom it is no trouble


def test_every_name_is_of_the_conventions_or_our_own(spans: Spans) -> None:
    home = house(trace=spans.trace)
    home.publish(0, events=8)
    home.meta.is_bad = lambda event: event.event_id == "event-3"
    home.settle_all()

    names = {name for span in spans.ended for name in facts(span)}
    theirs = {name for name in names if not name.startswith("conversions.")}
    known = {
        value
        for name, value in vars(messaging_attributes).items()
        if name.startswith("MESSAGING_") and isinstance(value, str)
    } | {
        ERROR_TYPE,
        HTTP_REQUEST_METHOD,
        HTTP_RESPONSE_STATUS_CODE,
        SERVER_ADDRESS,
        SERVER_PORT,
    }
    assert theirs <= known
    assert all(re.fullmatch(r"conversions(\.[a-z_]+)+", name) for name in names - theirs)


def test_nothing_is_kept_of_a_batch_that_is_not_sampled() -> None:
    spans = Spans(sampler=ALWAYS_OFF)
    home = house(trace=spans.trace)
    home.publish(0, events=3)
    home.garbage(0)
    home.settle_all()

    assert spans.ended == []
    assert repr(home.journal.traces) == "<Traces of 0 batches>"
    assert "otel_trace_id" not in home.lines.named("batch delivered")[0]
    assert spans.failures == []


def test_whatever_the_library_raises_does_not_reach_the_loop(spans: Spans) -> None:
    home = house(trace=spans.trace)
    traces = home.journal.traces
    assert isinstance(traces, Traces)
    home.publish(0, events=3)
    home.meta.standing[SHOP] = outage()
    home.run(3)
    traces._tracer = BrokenTracer()
    home.meta.standing.clear()
    home.publish(1, events=3, destination=PixelId(CRM))
    home.garbage(2)
    home.settle_all(200)
    traces.close()

    assert len(home.meta.accepted) == 6
    assert len(home.dead_letters.written) == 1
    assert set(spans.failures) == {"AttributeError"}
    assert "otel_trace_id" not in home.lines.named("batch delivered")[0]

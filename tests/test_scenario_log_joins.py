"""A person has one line of the log, one dead letter or one exemplar, and looks for the other two.
What joins them is the batch's id and Meta's trace id.
"""

from collections import deque
from typing import Any

from prometheus_client.openmetrics.exposition import generate_latest

from tests.fakes.dead_letters import header
from tests.fakes.house import SHOP, FakeHouse, house
from tests.fakes.meta import Reply

BATCH_LINES = ("batch delivered", "batch refused", "batch retry", "batch halted")


def of_batches(home: FakeHouse, *levels: str) -> list[dict[str, Any]]:
    return [
        facts
        for level, event, facts in home.lines.lines
        if event in BATCH_LINES and level in levels
    ]


def exemplars(home: FakeHouse, metric: str) -> set[str]:
    text = generate_latest(home.journal.metrics.registry).decode()  # type: ignore[no-untyped-call]
    shown = [line for line in text.splitlines() if line.startswith(metric) and "fbtrace_id" in line]
    return {line.partition('fbtrace_id="')[2].partition('"')[0] for line in shown}


def test_a_dead_letter_leads_to_its_batch_and_to_the_trial_that_refused_it() -> None:
    home = house(partitions=1)
    home.meta.is_bad = lambda event: event.event_id == "bad"
    home.publish(0, events=19)
    home.publish(0, eventId="bad")

    home.settle_all()

    (letter,) = home.dead_letters.written
    told = of_batches(home, "info")
    assert [facts["batch_id"] for facts in told] == [header(letter, "batch_id")], "a line a batch"
    trace_id = header(letter, "trace_id")
    trial = [facts for facts in of_batches(home, "debug") if facts["trace_id"] == trace_id]
    assert [facts["batch_id"] for facts in trial] == [header(letter, "batch_id")]
    assert exemplars(home, "conversions_dead_letters_total") == {trace_id}


def test_what_metas_support_asks_for_stands_in_the_line_and_in_the_exemplars() -> None:
    home = house(partitions=1)
    taken = b'{"events_received": 3, "messages": [], "fbtrace_id": "A-taken_1"}'
    home.meta.scripted[SHOP] = deque([Reply(200, taken)])
    home.publish(0, events=3)

    home.settle_all()

    assert [facts["trace_id"] for facts in of_batches(home, "info")] == ["A-taken_1"]
    for metric in ("event_delivery_seconds", "event_age_seconds", "request_seconds"):
        assert exemplars(home, f"conversions_{metric}_bucket") == {"A-taken_1"}


def test_a_thousand_events_have_one_line_at_info() -> None:
    home = house(partitions=1)
    home.publish(0, events=1000)

    home.settle_all()

    (line,) = of_batches(home, "info", "debug")
    assert (line["events"], line["destination"]) == (1000, SHOP)

"""Metrics on a registry of their own, and everything that may come their way."""

import random
from itertools import product

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

from consumer.event_names import STANDARD_EVENT_NAMES
from consumer.guard import Alarm
from consumer.match_keys import META_KEYS
from consumer.metric_labels import droppable
from consumer.metrics import Metrics
from consumer.model import (
    Accepted,
    Delivered,
    Dropped,
    DropReason,
    Halted,
    HaltReason,
    Incomplete,
    MetaError,
    PixelId,
    Prepared,
    Reason,
    Record,
    Refused,
    Rejected,
    Retry,
    RetryCause,
    Split,
    Suppressed,
    Throttled,
    Times,
    TopicPartition,
    Verdict,
)
from consumer.patience import OutboxState
from consumer.quality import read_quality
from consumer.token_state import TokenState
from consumer.usage import UsageKind

ONE, TWO = PixelId("1"), PixelId("2")
STRANGER = PixelId("jane.canary@example.com")
ERROR = MetaError(http_status=400)
RECORD = Record(TopicPartition("events", 0), 0, 0, None, b"", (), 1)
VERDICTS: dict[str, Verdict] = {
    "accepted": Accepted(trace_id="A1"),
    "incomplete": Incomplete(received=1, trace_id="A1"),
    "refused": Refused(ERROR),
    "retry": Retry(RetryCause.TIMEOUT, None, reached_meta=True),
    "split": Split(ERROR),
    "throttled": Throttled(ERROR, wait_seconds=0),
    "halted": Halted(HaltReason.TOKEN, ERROR),
}


STATUSES: dict[str, int | None] = {
    "accepted": 200,
    "incomplete": 200,
    "refused": 400,
    "retry": None,
    "split": 413,
    "throttled": 429,
    "halted": 401,
}
CLASSES = {
    "accepted": "2xx",
    "incomplete": "2xx",
    "refused": "4xx",
    "retry": "none",
    "split": "4xx",
    "throttled": "4xx",
    "halted": "4xx",
}


class House:
    """Metrics on a registry of their own, and how to look at them."""

    def __init__(self, *destinations: PixelId, currencies: tuple[str, ...] = ()) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(registry=self.registry, version="1.2.3", graph_version="v25.0")
        self.metrics.values.currencies = currencies
        self.metrics.configured(destinations)

    def delivered(
        self, *events: Prepared, waited: float = 0.0, now_ms: int = 0, trace_id: str | None = None
    ) -> None:
        """One request's events are accepted, each so long after it was read."""
        found = [Delivered(event, trace_id) for event in events]
        self.metrics.events.delivered(found, waited=[waited] * len(found), now_ms=now_ms)
        self.metrics.values.delivered(found)

    def openmetrics(self) -> str:
        return openmetrics(self.registry).decode()  # type: ignore[no-any-return, no-untyped-call]

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"conversions_{name}", labels)

    def series(self) -> set[str]:
        """Every series, as exposed."""
        text = generate_latest(self.registry).decode()
        return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def prepared(
    *,
    destination: PixelId = ONE,
    event_name: str = "Lead",
    match_keys: tuple[str, ...] = (),
    dropped: tuple[Dropped, ...] = (),
    warnings: tuple[str, ...] = (),
    test_code: str | None = None,
) -> Prepared:
    return Prepared(
        record=RECORD,
        destination=destination,
        test_code=test_code,
        event_name=event_name,
        event_id="e",
        event_time_ms=0,
        body=b"{}",
        due_at_ms=0,
        expires_at_ms=0,
        aged=False,
        match_keys=match_keys,
        dropped=dropped,
        warnings=warnings,
    )


def dead(destination: PixelId | None, event_name: str | None, reason: Reason) -> Rejected:
    return Rejected(
        record=RECORD, reason=reason, detail="", destination=destination, event_name=event_name
    )


def fill(
    house: House, destinations: list[PixelId], chance: random.Random, events: int = 10_000
) -> None:
    """So many of everything that publishers and Meta choose: names, pixels, keys, codes, fields;
    and every gauge."""
    metrics, reasons = house.metrics, list(Reason)
    for number in range(events):
        pixel = chance.choice([*destinations, PixelId(f"canary-{number}")])
        name = chance.choice([*STANDARD_EVENT_NAMES, f"canary-{number}"])
        keys = (*chance.sample(META_KEYS, 3), f"canary-{number}")
        house.delivered(
            prepared(destination=pixel, event_name=name, match_keys=keys),
            waited=chance.expovariate(0.1),
            now_ms=chance.randrange(9 * 86_400_000),
            trace_id=f"canary-{number}",
        )
        metrics.events.dead_lettered([dead(pixel, name, chance.choice(reasons))])
        metrics.events.suppressed(Suppressed(RECORD, pixel, name))
        field = chance.choice([*(name for name, _ in droppable()), f"canary-{number}"])
        dropped = Dropped(field, chance.choice(list(DropReason)))
        metrics.events.prepared(prepared(dropped=(dropped,)))
        error = MetaError(http_status=400, code=chance.randrange(-1000, 100_000))
        verdict = chance.choice(
            [*VERDICTS.values(), Refused(error), Halted(HaltReason.TOKEN, error)]
        )
        # What Meta says by code comes with the status that belongs to it; by chance with another.
        outcome = next(each for each, of in VERDICTS.items() if type(of) is type(verdict))
        metrics.requests.answered(pixel, verdict, seconds=1.0, status=STATUSES[outcome])
    for status, verdict in product((200, 302, 400, 500, None), VERDICTS.values()):
        metrics.requests.answered(destinations[0], verdict, seconds=1.0, status=status)
    states = {pixel: (OutboxState.HALTED.value, "token") for pixel in destinations}
    metrics.destination_states(states)
    everybody = dict.fromkeys(destinations, 1)
    metrics.pending(everybody, dict.fromkeys(destinations, Times(1, 2)))
    metrics.meta_usage({(pixel, kind): 0.5 for pixel in destinations for kind in UsageKind})
    metrics.guard([Alarm(pixel, reasons[0]) for pixel in destinations], everybody)
    metrics.token_states(dict.fromkeys(destinations, TokenState(True, 2e9)))
    metrics.dead_letters(waiting=1, failing="_MSG_TIMED_OUT", failing_since_ms=1)
    metrics.poll_loop.set({(): 1.0})
    metrics.lag({TopicPartition("events", number): 1 for number in range(100)})
    metrics.topic("events", 100)
    metrics.limits(records=1, size_bytes=1)
    known = ("email", "phone", "external_id", "ip_address", "user_agent", "fbc", "fbp", "city")
    feedback = [{"identifier": key, "coverage": {"percentage": 1}} for key in (*known, "new")]
    quality = {"composite_score": 5, "match_key_feedback": feedback}
    names = (*STANDARD_EVENT_NAMES, "one", "two")
    web = [{"event_name": name, "event_match_quality": quality} for name in names]
    rows = (read_quality(pixel, {"web": web}) or () for pixel in destinations)
    metrics.quality(event for events in rows for event in events)

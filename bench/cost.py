"""What an event, a request and a dead letter cost one member: CPU time, bytes, memory.

    python -m bench.cost [--events N] [--rounds N] [--json]

These are the figures that ``conversions plan`` reckons with (``consumer/measured_figures.py`` has
them, and names the machine). A member of its own on the real Kafka works off a backlog, with the
settings that we ship; counted is the CPU time of its process, in all threads, from the first tenth
of the backlog to the ninth: a busy machine makes that longer by little. The cases take turns, and
what is printed are medians over the rounds.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from bench.real_kafka import MARK, PARTITIONS, Rig, cpu_seconds, metrics_of, rig, usage
from consumer.inflow import READ_SECONDS
from tests.integration import Running

PIXEL = "1729525464415281"
TEMPLATES = 300
FEW, MANY = 4, 11
SMALL_WINDOW = 10
LARGE_BYTES = 4000
STALLED_SECONDS = 300.0
IDLE_SECONDS = 8.0
PIXELS = 1000

Figures = dict[str, float]


class Case(NamedTuple):
    """One kind of backlog, and the settings of who works it off."""

    name: str
    match_keys: int
    text_bytes: int = 0
    is_good: bool = True
    settings: Mapping[str, str] = {}


CASES = (
    Case(f"{FEW} match keys", FEW),
    Case(f"{MANY} match keys", MANY),
    Case(f"{MANY} match keys, {LARGE_BYTES} bytes of text", MANY, LARGE_BYTES),
    Case(
        f"{MANY} match keys, requests of {SMALL_WINDOW}",
        MANY,
        settings={"CONVERSIONS_WINDOW_EVENTS": str(SMALL_WINDOW)},
    ),
    Case("dead letters", MANY, is_good=False),
)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the exit code."""
    asked = _options(arguments)
    found: dict[str, list[Figures]] = {case.name: [] for case in CASES}
    with rig() as stage:
        idle, with_pixels = _idle(stage, 1), _idle(stage, PIXELS)
        topics = {case.name: _backlog(stage, case, asked.events) for case in CASES}
        for _ in range(asked.rounds):
            for case in CASES:
                found[case.name].append(_measured(stage, case, topics[case.name], asked.events))
                sys.stderr.write(f"{case.name}: {found[case.name][-1]}\n")
    rows = {"idle": idle, f"idle, {PIXELS} pixels": with_pixels}
    rows |= {name: _medians(rounds) for name, rounds in found.items()}
    # Differences are taken within a round, where the machine was the same.
    derived = [_derived(of_round) for of_round in zip(*found.values(), strict=True)]
    rows["derived"] = _medians(derived) | _of_a_pixel(idle, with_pixels)
    if asked.json:
        sys.stdout.write(f"{json.dumps(rows)}\n")
    else:
        for name, figures in rows.items():
            cells = ", ".join(f"{key} {value:g}" for key, value in figures.items())
            sys.stdout.write(f"{name}: {cells}\n")
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000, help="of each case")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _medians(rounds: Sequence[Figures]) -> Figures:
    return {name: round(median(each[name] for each in rounds), 2) for name in rounds[0]}


def _derived(of_round: Sequence[Figures]) -> Figures:
    """What is not seen directly: small requests cost more by the requests alone, for example."""
    few, many, large, small, letters = of_round
    requests = 1 / small["eventsPerRequest"] - 1 / many["eventsPerRequest"]
    per_request = (small["cpuMicroseconds"] - many["cpuMicroseconds"]) / requests
    kilobytes = (large["kafkaBytes"] - many["kafkaBytes"]) / 1000
    return {
        "cpuMicrosecondsPerRequest": round(per_request, 1),
        "cpuMicrosecondsPerMatchKey": round(
            (many["cpuMicroseconds"] - few["cpuMicroseconds"]) / (MANY - FEW), 2
        ),
        "cpuMicrosecondsPerKilobyte": round(
            (large["cpuMicroseconds"] - many["cpuMicroseconds"]) / kilobytes, 2
        ),
        "deadLetterPerEvent": round(letters["cpuMicroseconds"] / many["cpuMicroseconds"], 3),
        "bodyBytesPerMatchKey": round((many["bodyBytes"] - few["bodyBytes"]) / (MANY - FEW), 1),
    }


def _idle(stage: Rig, pixels: int) -> Figures:
    """A member that has sent one event to each of these pixels, and has nothing more to do."""
    topic = stage.topic()
    destinations = [f"{10**15 + number}" for number in range(pixels)]
    events = [stage.encode({**event(CASES[0], 0), "destinationId": d}) for d in destinations]
    stage.publish(topic, events, range(pixels), list(range(PARTITIONS)))
    with stage.consumer(topic, destinations) as running:
        done = _Done(stage, CASES[0], running)
        _wait(running, done, pixels)
        time.sleep(IDLE_SECONDS / 4)  # what the last answers still cost is none of it
        began, spent = time.monotonic(), cpu_seconds(running)
        time.sleep(IDLE_SECONDS)
        share = (cpu_seconds(running) - spent) / (time.monotonic() - began)
        return {"residentMiB": round(usage(running).resident, 1), "cpuShare": round(share, 4)}


def _of_a_pixel(idle: Figures, with_pixels: Figures) -> Figures:
    """What it occupies, and what it costs the loop to look at it in a turn: of one that is idle,
    a turn is the waiting for records, and then that."""
    turn, longer = (
        READ_SECONDS * each["cpuShare"] / (1 - each["cpuShare"]) for each in (idle, with_pixels)
    )
    memory = with_pixels["residentMiB"] - idle["residentMiB"]
    return {
        "cpuMicrosecondsPerTurn": round(turn * 1e6, 1),
        "cpuMicrosecondsPerDestinationAndTurn": round((longer - turn) / PIXELS * 1e6, 2),
        "residentMiBPerDestination": round(memory / PIXELS, 3),
    }


def _backlog(stage: Rig, case: Case, events: int) -> str:
    topic = stage.topic()
    templates = [stage.encode(event(case, number)) for number in range(TEMPLATES)]
    stage.publish(topic, templates, range(events), list(range(PARTITIONS)))
    return topic


def _measured(stage: Rig, case: Case, topic: str, events: int) -> Figures:
    before = stage.traffic()
    with stage.consumer(topic, [PIXEL], **case.settings) as running:
        done = _Done(stage, case, running)
        _wait(running, done, events // 10)
        began, first = _now(running), done.events()
        samples = _wait(running, done, events * 9 // 10)
        ended, last = _now(running), done.events()
        _wait(running, done, events)
        came = stage.traffic()
    requests, sent = (came[key] - before[key] for key in ("requests", "headBytes"))
    cpu = (ended[0] - began[0]) / (last - first)
    return {
        "cpuMicroseconds": round(cpu * 1e6, 2),
        "eventsPerSecond": round((last - first) / (ended[1] - began[1])),
        "residentMiB": round(median(samples), 1),
        "residentMiBMost": round(max(samples), 1),
        "kafkaBytes": round(stage.log_bytes(topic) / events, 1),
        "bodyBytes": round((came["bodyBytes"] - before["bodyBytes"]) / events, 1),
        "headBytesPerRequest": round(sent / max(requests, 1), 1),
        "eventsPerRequest": round(events / max(requests, 1), 2),
    }


class _Done:
    """How many events of one run have met their fate."""

    def __init__(self, stage: Rig, case: Case, running: Running) -> None:
        self._stage, self._case, self._running = stage, case, running
        self._before = sum(stage.taken().values())

    def events(self) -> int:
        """So many until now."""
        if self._case.is_good:
            return sum(self._stage.taken().values()) - self._before
        return int(metrics_of(self._running).value("conversions_dead_letters_total") or 0)


def _wait(running: Running, done: _Done, events: int) -> list[float]:
    """Until so many are done; what was resident meanwhile, in MiB."""
    samples: list[float] = []

    def look() -> bool:
        samples.append(usage(running).resident)
        return done.events() >= events

    running.wait_until(look, STALLED_SECONDS, f"{events} events")
    return samples


def _now(running: Running) -> tuple[float, float]:
    return cpu_seconds(running), time.monotonic()


def event(case: Case, number: int) -> dict[str, Any]:
    """A record's fields: a website's Purchase, each by another person; a bad one has no value."""
    mark = MARK.decode()
    user = {
        "email": f"Person.{mark}@example.com",
        "phone": f"+4915{mark}",
        "externalId": f"customer-{mark}",
        "lastName": f"Lovelace{mark}",
        "firstName": f"Ada{mark}",
        "city": f"Berlin{mark}",
        "state": "Saxony",
        "zip": f"{10_000 + number}",
        "country": "DE",
        "dob": f"19{50 + number % 50}-{1 + number % 12:02d}-{1 + number % 28:02d}",
        "gender": "f",
    }
    unhashed = {
        "ipAddress": f"93.184.{number % 250}.{1 + number % 200}",
        "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari",
    }
    event: dict[str, Any] = {
        "destinationId": PIXEL,
        "eventName": "Purchase",
        "eventTime": int(time.time() * 1000) - 1000 * number,
        "eventId": f"order-{mark}",
        "actionSource": "website",
        "sourceUrl": f"https://shop.example/thanks?order={mark}",
        "value": 10.0 + number,
        "currency": "EUR",
        "orderId": mark,
        "items": [{"id": f"sku-{mark}", "quantity": 1 + number % 3, "price": 9.5}],
        "user": dict(list(user.items())[: case.match_keys]) | unhashed,
    }
    if case.text_bytes:
        event["customData"] = {"text": "x" * case.text_bytes}
    return event if case.is_good else {**event, "value": None}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

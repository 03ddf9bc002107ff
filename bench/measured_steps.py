"""One checkout's share of ``steps.py``: a round of measuring for each line on stdin.

The checkout is the one on PYTHONPATH. Answers a JSON object a round: by step, microseconds of CPU
time for one event.
"""

import gc
import hashlib
import json
import sys
from collections.abc import Iterator
from io import BytesIO
from time import process_time
from typing import Any

import fastavro
import orjson

from consumer.decode import decode
from consumer.destinations import one_destination
from consumer.encode import EventEncoder
from consumer.model import Event, PixelId, Prepared, Record, TopicPartition
from consumer.prepare import Preparation, prepare
from consumer.schema_plan import ReadPlan, event_schema, plan_reading
from consumer.settle import Ledger
from consumer.window import Windows

PIXEL = "1729525464415281"
NOW_MS = 1_795_000_000_000
MATCH_KEYS = 11
"""Those of ``shop_event`` that are hashed."""

BLOCK = 250
"""Events of one step before it is the next one's turn."""

PARTITION = TopicPartition("conversions.events", 0)


def main(arguments: list[str]) -> int:
    """Answer each line of stdin with a round of so many events."""
    (events,) = map(int, arguments)
    steps = _Steps()
    for number, _ in enumerate(sys.stdin):
        sys.stdout.write(f"{json.dumps(steps.round(number * events, events))}\n")
        sys.stdout.flush()
    return 0


class _Steps:
    """What the steps need, and one event after the other through them."""

    def __init__(self) -> None:
        plan = plan_reading(event_schema())
        assert isinstance(plan, ReadPlan), "our own schema can be read"
        self._plan = plan
        self._encoder = EventEncoder(schema_id=1)
        self._preparation = Preparation(
            destinations=one_destination(PixelId(PIXEL)), test_code=None, body_bytes_max=2**20
        )
        self._ledger = Ledger()
        self._tenure = self._ledger.begin(PARTITION)
        self._windows = Windows(events_max=1000, bytes_max=2**22, seconds_max=1.0, batch_prefix="b")

    def round(self, first: int, events: int) -> dict[str, float]:
        """Each step's microseconds for one event, of so many from the event ``first`` on."""
        gc.collect()
        seconds = dict.fromkeys(("floor", "decode", "prepare", "window + ledger"), 0.0)
        for start in range(first, first + events, BLOCK):
            for step, spent in self._block(start, min(BLOCK, first + events - start)):
                seconds[step] += spent
        return {step: spent * 1e6 / events for step, spent in seconds.items()}

    def _block(self, first: int, size: int) -> Iterator[tuple[str, float]]:
        records = [
            Record(
                PARTITION, n, NOW_MS, None, self._encoder.encode(shop_event(n)), (), self._tenure
            )
            for n in range(first, first + size)
        ]

        began = process_time()
        decoded = [decode(record, schema_for=lambda ref: self._plan) for record in records]
        yield "decode", process_time() - began

        events = [event for event in decoded if isinstance(event, Event)]
        began = process_time()
        fates = [prepare(event, self._preparation, now_ms=NOW_MS) for event in events]
        yield "prepare", process_time() - began

        prepared = [fate for fate in fates if isinstance(fate, Prepared)]
        assert len(prepared) == size, "every event of the measurement is a good one"
        began = process_time()
        for event in prepared:
            self._ledger.open(event.record, 0.0)
            self._windows.add(event, 0.0)
            self._ledger.settle(event.record)
        yield "window + ledger", process_time() - began

        yield "floor", self._floor(prepared)

    def _floor(self, prepared: list[Prepared]) -> float:
        """What nobody can save: the libraries' own work for these events."""
        values = [event.record.value or b"" for event in prepared]
        bodies = [orjson.loads(event.body) for event in prepared]
        assert all(len(body["user_data"]) >= MATCH_KEYS for body in bodies)
        texts = [f"match key {number}".encode() for number in range(MATCH_KEYS)]
        began = process_time()
        for value, body in zip(values, bodies, strict=True):
            stream = BytesIO(value)
            stream.seek(5)
            fastavro.schemaless_reader(stream, self._plan.writer, None)
            for text in texts:
                hashlib.sha256(text).hexdigest()
            orjson.dumps(body)
        return process_time() - began


_FIRST = ("Ada", "Grace", "Hedy", "Joan", "Katherine", "Mary", "Radia", "Sophie", "Zoë", "Ngozi")
_LAST = ("Lovelace", "Hopper", "Lamarr", "Clarke", "Johnson", "Jackson", "Perlman", "Wilson")
_CITY = ("Berlin", "São Paulo", "San Francisco", "Lagos", "Kraków", "Nagoya", "Saint-Denis")


def shop_event(number: int) -> dict[str, Any]:
    """A website's Purchase by a person of their own, with everything that a shop knows of them."""
    return {
        "destinationId": PIXEL,
        "eventName": "Purchase",
        "eventTime": NOW_MS - number % 3_600_000,
        "eventId": f"order_{number}",
        "actionSource": "website",
        "sourceUrl": f"https://shop.example/thanks?order={number}",
        "value": 10.0 + number % 100_000 / 100,
        "currency": "EUR",
        "orderId": f"{number}",
        "items": [
            {"id": f"sku-{number % 5000}", "quantity": 1 + number % 3, "price": 9.5},
            {"id": f"sku-{number % 4999}", "quantity": 1, "price": 19.0},
        ],
        "user": {
            "email": f"Person.{number}@example.com",
            "phone": f"+1 415 555 {number % 10_000:04d}",
            "externalId": f"customer-{number}",
            "firstName": _FIRST[number % len(_FIRST)],
            "lastName": _LAST[number % len(_LAST)],
            "city": _CITY[number % len(_CITY)],
            "state": "CA",
            "zip": f"{10_000 + number % 80_000}",
            "country": "US",
            "dob": f"19{50 + number % 50}-{1 + number % 12:02d}-{1 + number % 28:02d}",
            "gender": "f",
            "ipAddress": f"93.184.{number // 250 % 250}.{1 + number % 250}",
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari",
        },
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

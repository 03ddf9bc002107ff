"""What one member costs, as measured: the one place from which ``plan`` and the docs have figures.

``python -m bench.cost`` measures them; those of memory are of ``python -m bench.memory``. Each was
seen on ``MACHINE`` and nowhere else: others are faster or slower, and whoever plans for one of them
measures there.
"""

from typing import NamedTuple

MACHINE = (
    "two virtual cores of an x86-64 server, shared with Kafka and Meta's stand-in, Python 3.11"
)
MEASURED_ON = "2026-11-23"


class Figure(NamedTuple):
    """One measured figure."""

    value: float
    unit: str
    says: str


FEW_KEYS, MANY_KEYS = 4, 11
"""How many match keys the events of the measurements have that are hashed."""

EVENT_FEW = Figure(99, "µs of CPU", f"an event with {FEW_KEYS} match keys, in full requests")
EVENT_MANY = Figure(126, "µs of CPU", f"an event with {MANY_KEYS} match keys, in full requests")
KILOBYTE = Figure(8, "µs of CPU", "each further kilobyte of an event")
REQUEST = Figure(740, "µs of CPU", "a request to Meta, beside its events")
DEAD_LETTER = Figure(146, "µs of CPU", "an event that becomes a dead letter instead")
TURN = Figure(430, "µs of CPU", "a turn of the loop that finds nothing to do")
DESTINATION_TURN = Figure(3.3, "µs of CPU", "each destination, whenever the loop turns")
RECORD_FEW = Figure(404, "bytes", f"a record with {FEW_KEYS} match keys, as fetched from Kafka")
RECORD_MANY = Figure(462, "bytes", f"a record with {MANY_KEYS} match keys, as fetched from Kafka")
BODY_FEW = Figure(825, "bytes", f"the JSON of an event with {FEW_KEYS} match keys, as sent to Meta")
BODY_MANY = Figure(
    1348, "bytes", f"the JSON of an event with {MANY_KEYS} match keys, as sent to Meta"
)
HEAD = Figure(220, "bytes", "the HTTP head of a request")
IDLE_MEMORY = Figure(88, "MiB", "resident, of a member that has nothing to do")
DESTINATION_MEMORY = Figure(0.14, "MiB", "resident, each destination that events went to")
MEMORY_SPREAD = Figure(
    1.5, "times", "resident at most, over what a full house is reckoned to be (100-kB records)"
)

FIGURES = (
    EVENT_FEW,
    EVENT_MANY,
    KILOBYTE,
    REQUEST,
    DEAD_LETTER,
    TURN,
    DESTINATION_TURN,
    RECORD_FEW,
    RECORD_MANY,
    BODY_FEW,
    BODY_MANY,
    HEAD,
    IDLE_MEMORY,
    DESTINATION_MEMORY,
    MEMORY_SPREAD,
)


def between(few: Figure, many: Figure, match_keys: int) -> float:
    """What it is for so many match keys, on the line through both figures."""
    step = (many.value - few.value) / (MANY_KEYS - FEW_KEYS)
    return few.value + step * (match_keys - FEW_KEYS)

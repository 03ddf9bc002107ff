"""``conversions`` with one of the simulation's bugs in it: ``planted.py BUG run``.

The account of a run has to find it.
"""

import sys
from collections.abc import Iterable

import consumer.assembly
import consumer.member
from consumer.cli import main
from consumer.model import Prepared
from tests.simulation.bugs import BUGS, RenamesRetries


class RenamesOnTheWire(RenamesRetries):
    """What goes to a real server is the body, which has the event id in it already."""

    def _named(self, events: Iterable[Prepared]) -> tuple[Prepared, ...]:
        old = tuple(events)
        new = super()._named(old)
        return tuple(map(_with_its_id, old, new))


def _with_its_id(old: Prepared, new: Prepared) -> Prepared:
    body = old.body.replace(f'"{old.event_id}"'.encode(), f'"{new.event_id}"'.encode())
    return new._replace(body=body)


rooms = BUGS[sys.argv.pop(1)]
outbox = RenamesOnTheWire if rooms.outbox is RenamesRetries else rooms.outbox
for room, name, kind in (
    (consumer.member, "Ledger", rooms.ledger),
    (consumer.member, "LetterBox", rooms.letters),
    (consumer.member, "Pipeline", rooms.pipeline),
    (consumer.assembly, "Deliveries", rooms.deliveries),
    (consumer.assembly, "Outbox", outbox),
):
    setattr(room, name, kind)
main()

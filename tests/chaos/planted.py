"""``conversions`` with one of the simulation's bugs in it: ``planted.py BUG run``.

The account of a run has to find it.
"""

import sys

import consumer.assembly
import consumer.member
from consumer.cli import main
from tests.simulation.bugs import BUGS

rooms = BUGS[sys.argv.pop(1)]
for room, name, kind in (
    (consumer.member, "Ledger", rooms.ledger),
    (consumer.member, "LetterBox", rooms.letters),
    (consumer.member, "Pipeline", rooms.pipeline),
    (consumer.assembly, "Deliveries", rooms.deliveries),
    (consumer.assembly, "Outbox", rooms.outbox),
):
    setattr(room, name, kind)
main()

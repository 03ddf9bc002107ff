"""The conversions consumer: Avro events from Kafka to Meta's Conversions API, and none lost.

A map of the rooms, in the order in which a record meets them:

* ``kafka`` reads records; ``schema_registry`` fetches the schemas that they name.
* ``decode`` (with ``schema_plan``) → Event; ``prepare`` (with ``match_keys``, ``custom_data``)
  → hashed bytes; ``window`` → batches; ``outbox`` (with ``isolate``) → requests, by destination.
* ``senders`` post them through ``meta``, and ``judge`` says what each answer means.
* ``settle`` keeps the offsets honest; ``dead_letter`` and ``letter_box`` write what Meta will
  never take; ``flow`` decides what pauses.
* ``pipeline`` is the loop that owns all of it; ``member`` puts it together; ``cli`` starts it.
"""

__version__ = "0.1.0"

"""A dead letter whose event is edited: by the schema that wrote it, so that all else stays. Pure.

Where no edit changes anything, the letter stays as it is, byte for byte.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from consumer.avro_kinds import Misfit, WriterSchema
from consumer.dead_letter import OwnHeader
from consumer.decode import NeedsSchema, SchemaFor, SchemaRef, decode, framing
from consumer.edit_walk import Change, Edit
from consumer.edits import EditError, edited
from consumer.letter import Letter
from consumer.model import Event, Header, Record, Rejected, TopicPartition
from consumer.schema_plan import ReadPlan


class Repaired(NamedTuple):
    """The letter as it is to be replayed; without ``changes`` the one that was given."""

    letter: Letter
    changes: tuple[Change, ...]


class Unfit(NamedTuple):
    """The edits cannot be made to this letter, and why: a sentence without any of its values."""

    detail: str


class Whole(NamedTuple):
    """A letter's event, read whole."""

    schema: WriterSchema
    head: bytes
    record: dict[str, Any]
    event: Event


class WholeEvents:
    """Reads the events of letters whole, by the schemas that their values name."""

    def __init__(self, schema_for: SchemaFor) -> None:
        self._schema_for = schema_for
        self._schemas: dict[SchemaRef, WriterSchema | None] = {}

    def __repr__(self) -> str:
        return f"<WholeEvents by {len(self._schemas)} schemas>"

    def read(self, letter: Letter) -> Whole | Unfit:
        """The event of a letter that is complete and not sealed."""
        if letter.sealed is not None:
            return Unfit("the value is sealed")
        if letter.by_reference or letter.value is None:
            return Unfit("there is no value")
        event = self.event_of(letter)
        if isinstance(event, Unfit):
            return event
        named = framing(letter.value)
        assert named is not None, "what was decoded has a framing"
        schema = self.schema(named.ref)
        if isinstance(schema, Unfit):
            return schema
        try:
            record = schema.read(letter.value, named.start)
        except Misfit as misfit:
            return Unfit(str(misfit))
        return Whole(schema, letter.value[: named.start], record, event)

    def event_of(self, letter: Letter) -> Event | Unfit:
        """The event as the consumer reads it."""
        match decode(_as_record(letter), schema_for=self._schema_for):
            case Event() as event:
                return event
            case Rejected(detail=detail):
                return Unfit(detail)
            case NeedsSchema():
                return Unfit(NO_ANSWER)

    def schema(self, ref: SchemaRef) -> WriterSchema | Unfit:
        """The schema that a value, or a line of a file, names."""
        if ref not in self._schemas:
            plan = self._schema_for(ref)
            if plan is None:
                return Unfit(NO_ANSWER)
            if not isinstance(plan, ReadPlan):
                return Unfit(plan.detail)
            self._schemas[ref] = WriterSchema.of(plan)
        return self._schemas[ref] or Unfit("the schema is a union of several types")


class Repairs:
    """The same edits for every letter that is asked about."""

    def __init__(self, edits: Sequence[Edit], *, as_new_event: bool, schema_for: SchemaFor) -> None:
        """Raises EditError when an event would be counted anew without being asked for."""
        ids = [each.text for each in edits if each.path == "eventId" and each.text is not None]
        if as_new_event and not ids:
            raise EditError("--as-new-event needs the new id: --set eventId=…")
        if ids and not as_new_event:
            raise EditError("--set eventId= makes Meta count the event anew: say --as-new-event")
        if not all(map(str.strip, ids)):
            raise EditError("--set eventId= must be an id")
        self._edits, self._as_new_event = edits, as_new_event
        self._events = WholeEvents(schema_for)

    def __repr__(self) -> str:
        return f"<Repairs {self._edits}>"

    def of(self, letter: Letter) -> Repaired | Unfit:
        """The letter after all edits, or why not."""
        if not self._edits:
            return Repaired(letter, ())
        whole = self._events.read(letter)
        if isinstance(whole, Unfit):
            return whole
        try:
            record, changes = edited(whole.record, whole.schema.kind, self._edits)
            if not changes:
                return Repaired(letter, ())
            value = whole.schema.written(record, whole.head)
        except Misfit as misfit:
            return Unfit(str(misfit))
        return self._repaired(letter, value, changes)

    def _repaired(
        self, letter: Letter, value: bytes, changes: tuple[Change, ...]
    ) -> Repaired | Unfit:
        names = {each.names[0] for each in changes if each.names}
        if "eventId" in names and not self._as_new_event:
            return Unfit("without its event id Meta could count the event twice")
        fields = ",".join(dict.fromkeys(each.field for each in changes))
        headers = _with(letter.headers, OwnHeader.EDITED, fields)
        new = replace(letter, value=value, headers=headers)
        event = self._events.event_of(new)
        if isinstance(event, Unfit):
            return Unfit(f"edited so, it cannot be read any more: {event.detail}")
        return Repaired(_retold(new, event, names), changes)


NO_ANSWER = "the schema registry does not answer"


def _retold(letter: Letter, event: Event, names: set[str | int]) -> Letter:
    """What the letter tells of its event, where that is other by now."""
    fields = event.fields
    if "eventId" in names:
        event_id = str(fields.get("eventId")).strip()
        headers = _with(letter.headers, OwnHeader.EVENT_ID, event_id)
        letter = replace(letter, event_id=event_id, headers=headers)
    if "eventTime" in names:
        letter = replace(letter, event_time_ms=event.event_time_ms, expires_at_ms=None)
    if "eventName" in names:
        letter = replace(letter, event_name=fields.get("eventName"))
    if "destinationId" in names:
        letter = replace(letter, destination=fields.get("destinationId"))
    return letter


def _with(headers: tuple[Header, ...], own: OwnHeader, text: str) -> tuple[Header, ...]:
    others = tuple(each for each in headers if each[0] != own.header)
    return (*others, (own.header, text.encode()))


def _as_record(letter: Letter) -> Record:
    place = TopicPartition("", letter.place.partition)
    args = (letter.place.offset, letter.written_at_ms, letter.key, letter.value, letter.headers)
    return Record(place, *args, tenure=0)

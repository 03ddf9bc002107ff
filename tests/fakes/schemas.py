"""Schemas that arrive when a test wants them, and events encoded as publishers write them."""

from functools import cache
from typing import Any

from consumer.decode import SchemaRef, UnknownSchema
from consumer.encode import EventEncoder
from consumer.schema_plan import ReadPlan, UnusableSchema, event_schema, plan_reading
from consumer.schema_registry import Fetched

SCHEMA_ID = 1
LATE_SCHEMA_ID = 2
"""The same schema under an id that nobody knows until ``FakeSchemas.arrive``."""

Known = ReadPlan | UnusableSchema | UnknownSchema


class FakeSchemas:
    """Satisfies ``intake.SchemaSource``: knows ``SCHEMA_ID``, the others come as news."""

    def __init__(self) -> None:
        self._plans: dict[SchemaRef, Known] = {SCHEMA_ID: event_plan()}
        self._news: list[Fetched] = []
        self.asked: list[SchemaRef] = []

    def plan_for(self, ref: SchemaRef) -> Known | None:
        """What is known by now; asks otherwise."""
        known = self._plans.get(ref)
        if known is None and ref not in self.asked:
            self.asked.append(ref)
        return known

    def news(self) -> list[Fetched]:
        """What was found out since the last call."""
        news, self._news = self._news, []
        for fetched in news:
            if fetched.known is not None:
                self._plans[fetched.ref] = fetched.known
        return news

    def arrive(self, ref: SchemaRef, known: Known) -> None:
        """The registry has answered."""
        assert ref in self.asked, "an answer to a question that nobody asked"
        self._news.append(Fetched(ref, known, None))

    def trouble(self, ref: SchemaRef, error: str) -> None:
        """The registry could not answer yet."""
        self._news.append(Fetched(ref, None, error))


@cache
def event_plan() -> ReadPlan:
    """How events in our own schema are read."""
    plan = plan_reading(event_schema())
    assert isinstance(plan, ReadPlan)
    return plan


@cache
def _encoder(schema_id: int) -> EventEncoder:
    return EventEncoder(schema_id=schema_id)


def event_value(fields: dict[str, Any], *, schema_id: int) -> bytes:
    """A record's value."""
    return _encoder(schema_id).encode(fields)

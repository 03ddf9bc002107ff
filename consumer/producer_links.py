"""Records → the spans in which their producers wrote them, by the header ``traceparent``.

W3C's Trace Context, read by OpenTelemetry's own propagator. A header that cannot be read is no
link. ``tracestate`` and ``baggage`` are left alone: what stands in them is anybody's, and may be a
person's.
"""

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from consumer.model import Record

LINKS_MAX = 128
HEADER = "traceparent"
HEADER_BYTES_MAX = 512

_PROPAGATOR = TraceContextTextMapPropagator()


class Producers(NamedTuple):
    """The contexts that a span links to, each once, and how many further headers there were."""

    contexts: list[SpanContext]
    left_out: int


def producers_of(records: Iterable[Record]) -> Producers:
    """The producers of these records, in their order, at most ``LINKS_MAX``."""
    values = iter(dict.fromkeys(filter(None, map(_header, records))))
    contexts = list(islice(filter(None, map(_context, values)), LINKS_MAX))
    return Producers(contexts, left_out=sum(1 for _ in values))


def _header(record: Record) -> bytes | None:
    """The last one counts, as in Kafka's clients."""
    if not record.headers:
        return None
    return next((value for name, value in reversed(record.headers) if name == HEADER), None)


def _context(value: bytes) -> SpanContext | None:
    if len(value) > HEADER_BYTES_MAX or not value.isascii():
        return None
    told = _PROPAGATOR.extract({HEADER: value.decode("ascii")}, context=Context())
    context = get_current_span(told).get_span_context()
    return context if context.is_valid else None

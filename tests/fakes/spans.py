"""OpenTelemetry's own SDK, which keeps what it would export."""

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

from consumer.traces import Consuming, Traces
from tests.fakes.clock import FakeClock

GRAPH = Consuming("conversions.events", "the-group", "graph.example", 443)


class Spans:
    """What was traced. ``trace`` is for ``house``; ``repr`` shows all that would be exported."""

    def __init__(self, *, sampler: Sampler | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        self._provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.failures: list[str] = []
        self.stopped = 0

    def __repr__(self) -> str:
        return "\n".join(span.to_json() for span in self.ended)

    def trace(self, clock: FakeClock) -> Traces:
        """What the house tells of its batches."""
        return Traces(
            tracer=self._provider.get_tracer("test"),
            stop=self._stop,
            consuming=GRAPH,
            now=clock.now,
            now_ms=clock.now_ms,
            failed=self.failures.append,
        )

    @property
    def ended(self) -> list[ReadableSpan]:
        """Every span, in the order in which they ended."""
        return list(self._exporter.get_finished_spans())

    @property
    def batches(self) -> list[ReadableSpan]:
        """The spans that have no parent."""
        return [span for span in self.ended if span.parent is None]

    def named(self, name: str) -> list[ReadableSpan]:
        """The spans of this name."""
        return [span for span in self.ended if span.name == name]

    def _stop(self) -> None:
        self.stopped += 1


def facts(span: ReadableSpan) -> dict[str, Any]:
    """A span's attributes."""
    return dict(span.attributes or {})


def told(span: ReadableSpan) -> list[tuple[str, dict[str, Any]]]:
    """A span's events."""
    return [(event.name, dict(event.attributes or {})) for event in span.events]


def seconds(span: ReadableSpan) -> float:
    """How long it was."""
    assert span.start_time is not None, "it began"
    assert span.end_time is not None, "it has ended"
    return (span.end_time - span.start_time) / 1e9

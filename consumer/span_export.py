"""OpenTelemetry's SDK, set up by the standard ``OTEL_…`` variables: spans leave by OTLP over HTTP.

They leave on a thread of the SDK's, out of a queue with a limit (``OTEL_BSP_MAX_QUEUE_SIZE``):
what does not fit is dropped there, and the loop never waits for a collector.
"""

import logging
import threading
from collections.abc import Mapping
from time import monotonic

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

FLUSH_SECONDS = 3.0
"""So long the end of the process waits for a collector to take the last spans."""

TOLD_AGAIN_SECONDS = 600.0
"""A line of the library's is not repeated sooner: it has one for each export that fails."""

_TELLING = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)
_QUOTING = "opentelemetry.util.re"
"""It quotes what it cannot read of ``OTEL_EXPORTER_OTLP_HEADERS``, which hold secrets."""


class SpanExport:
    """A provider of tracers whose spans are sent to the collector. Raises ValueError when a limit
    among the variables cannot be used; of the others the SDK logs what it does not understand."""

    def __init__(self, *, service: Mapping[str, str]) -> None:
        """``service`` says who we are; ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` win
        over it."""
        for name in _TELLING:
            logging.getLogger(name).addFilter(_News())
        logging.getLogger(_QUOTING).setLevel(logging.CRITICAL)
        try:
            # The product's own end comes first: the SDK's waits for half a minute.
            self.provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
            self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        except Exception as error:
            told = f"CONVERSIONS_TRACES: the OTEL_ variables cannot be used: {error}"
            raise ValueError(told) from None

    def __repr__(self) -> str:
        return "<SpanExport>"

    def stop(self) -> None:
        """Send what is left, within ``FLUSH_SECONDS``; what takes longer is left behind."""
        call = threading.Thread(target=self.provider.shutdown, name="traces-end", daemon=True)
        call.start()
        call.join(FLUSH_SECONDS)


class _News(logging.Filter):
    """Lets a line pass that was not told lately."""

    def __init__(self) -> None:
        super().__init__()
        self._told_at: dict[int, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        line, now = record.lineno, monotonic()  # each of the loggers is one file's
        if now - self._told_at.get(line, -TOLD_AGAIN_SECONDS) < TOLD_AGAIN_SECONDS:
            return False
        self._told_at[line] = now
        return True


def _resource(service: Mapping[str, str]) -> Resource:
    return Resource.create(dict(service)).merge(OTELResourceDetector().detect())

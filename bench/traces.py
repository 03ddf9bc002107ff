"""What tracing costs: CPU time for one event, everything on it and on the exporting thread.

    python bench/traces.py [--batches N]

Batches of 1,000 go through the journal's calls, from a closed window to the last fate. The spans
are encoded as for a collector and then dropped. Without producers' headers, with one producer for
all, and with a producer for each record; beside it, what the same calls cost when nobody traces.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from statistics import median
from time import monotonic, process_time, time_ns

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from consumer.model import (
    Accepted,
    Batch,
    Closing,
    Delivered,
    Header,
    PixelId,
    Prepared,
    Record,
    Request,
    TopicPartition,
    WindowKey,
)
from consumer.senders import Answer
from consumer.traces import Consuming, Traces
from consumer.tracing import Tracing, Untraced

EVENTS = 1000
ROUNDS = 7
PIXEL = PixelId("1729525464415281")
PARTITION = TopicPartition("conversions.events", 0)

Headers = Callable[[int], tuple[Header, ...]]


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(description="CPU time of tracing for one event.")
    parser.add_argument("--batches", type=int, default=20, help="batches of one round")
    batches: int = parser.parse_args(arguments).batches
    cases: dict[str, tuple[Callable[[], Tracing], Headers]] = {
        "nobody traces": (Untraced, lambda number: ()),
        "no producers": (_traces, lambda number: ()),
        "one producer": (_traces, lambda number: _traceparent(1)),
        "1,000 producers": (_traces, _traceparent),
    }
    for name, (tracing, headers) in cases.items():
        costs = [_round(tracing(), batches, headers) for _ in range(ROUNDS)]
        sys.stdout.write(f"{name:16} {median(costs):6.2f} µs an event\n")
    return 0


class _Encoded(SpanExporter):
    """Encodes, and sends nothing."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


def _traces() -> Traces:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_Encoded()))
    return Traces(
        tracer=provider.get_tracer("bench"),
        stop=provider.shutdown,
        consuming=Consuming("conversions.events", "group", "graph.facebook.com", 443),
        now=monotonic,
        now_ms=lambda: time_ns() // 1_000_000,
        failed=sys.exit,
    )


def _round(tracing: Tracing, batches: int, headers: Headers) -> float:
    """Microseconds for one event; the end hands over what waits."""
    made = [_batch(number, headers) for number in range(batches)]
    began = process_time()
    for batch, answer, settled in made:
        tracing.closed(batch)
        tracing.answered(answer, settled)
    tracing.close()
    return (process_time() - began) * 1e6 / (batches * EVENTS)


def _batch(number: int, headers: Headers) -> tuple[Batch, Answer, list[Delivered]]:
    key = WindowKey(PIXEL, None, False, None)
    numbers = range(number * EVENTS, (number + 1) * EVENTS)
    events = tuple(_event(each, headers(each)) for each in numbers)
    batch = Batch(key, f"b-{number}", events, Closing.FULL, monotonic())
    request = Request(f"b-{number}.1", key, batch.batch_id, events, False)
    answer = Answer(request, Accepted("AbCdEf"), 0.4, None)
    return batch, answer, [Delivered(event, "AbCdEf") for event in events]


def _event(number: int, headers: tuple[Header, ...]) -> Prepared:
    record = Record(PARTITION, number, 0, None, None, headers, 1)
    return Prepared(record, PIXEL, None, "Lead", f"e{number}", 0, b"", 0, 0, False, ("em",), (), ())


def _traceparent(number: int) -> tuple[Header, ...]:
    return (("traceparent", f"00-{number + 1:032x}-{number + 1:016x}-01".encode()),)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

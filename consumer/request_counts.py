"""Windows and requests to Meta, counted."""

from typing import Any

from consumer.meta_limits import FORGOTTEN_MS
from consumer.metric_contract import RequestOutcome
from consumer.metric_labels import CodeClass, DestinationLabels, code_class, code_label
from consumer.metric_series import Declared
from consumer.model import (
    Accepted,
    Batch,
    Halted,
    Incomplete,
    PixelId,
    Refused,
    Request,
    Retry,
    Split,
    Throttled,
    Verdict,
)

_OUTCOMES: dict[type, RequestOutcome] = {
    Accepted: RequestOutcome.ACCEPTED,
    Incomplete: RequestOutcome.INCOMPLETE,
    Refused: RequestOutcome.REFUSED,
    Retry: RequestOutcome.RETRY,
    Split: RequestOutcome.SPLIT,
    Throttled: RequestOutcome.THROTTLED,
    Halted: RequestOutcome.HALTED,
}

_EXPECTED: dict[RequestOutcome, tuple[CodeClass, ...]] = {
    RequestOutcome.ACCEPTED: (CodeClass.SUCCESS,),
    RequestOutcome.INCOMPLETE: (CodeClass.SUCCESS,),
    RequestOutcome.REFUSED: (CodeClass.CLIENT_ERROR,),
    RequestOutcome.RETRY: (*CodeClass,),
    RequestOutcome.SPLIT: (CodeClass.CLIENT_ERROR,),
    RequestOutcome.THROTTLED: (CodeClass.CLIENT_ERROR,),
    RequestOutcome.HALTED: (CodeClass.CLIENT_ERROR, CodeClass.NONE),
}
"""What there is at zero. An error's code outranks its status, so that others may come as well."""


class RequestCounts:
    """Called by the loop's thread only."""

    def __init__(self, declared: Declared, destinations: DestinationLabels) -> None:
        self._destinations = destinations
        self._requests = declared.counter("conversions_requests_total")
        self._errors = declared.counter("conversions_meta_errors_total")
        self._seconds = declared.histogram("conversions_request_seconds")
        self._retries = declared.counter("conversions_retries_total")
        self._isolation_requests = declared.counter("conversions_isolation_requests_total")
        self._resent_late = declared.counter("conversions_events_resent_late_total")
        self._batch_events = declared.histogram("conversions_batch_events")
        self._windows_closed = declared.counter("conversions_windows_closed_total")

    def at_zero(self) -> None:
        """The destinations that are configured now have their counters."""
        for destination in self._destinations.known:
            for outcome, classes in _EXPECTED.items():
                for each in classes:
                    self._requests.labels(destination, outcome.value, each.value)
            self._seconds.at_zero(destination)
            self._isolation_requests.labels(destination)
            self._resent_late.labels(destination)

    def window_closed(self, batch: Batch) -> None:
        """A window closed."""
        self._batch_events.add([len(batch.events)])
        self._windows_closed.labels(batch.closed_by.value).inc()

    def submitted(self, request: Request, now_ms: int) -> None:
        """A request is on its way. Events that Meta may have counted must not go when it may have
        forgotten their ids: should they ever, it is seen here."""
        label = self._destinations.of(request.key.destination)
        if request.isolating:
            self._isolation_requests.labels(label).inc()
        first_sent_at_ms = request.first_sent_at_ms
        if first_sent_at_ms is not None and now_ms - first_sent_at_ms > FORGOTTEN_MS:
            self._resent_late.labels(label).inc(request.maybe_delivered)

    def answered(
        self, destination: PixelId, verdict: Verdict, *, seconds: float, status: int | None
    ) -> None:
        """A request was answered, or given up; ``status`` is HTTP's, None without an answer."""
        label = self._destinations.of(destination)
        outcome = _OUTCOMES[type(verdict)]
        self._requests.labels(label, outcome.value, code_class(status).value).inc()
        error: Any = getattr(verdict, "error", None)
        trace_id = getattr(verdict if error is None else error, "trace_id", None)
        self._seconds.add([seconds], label, trace_id=trace_id)
        if error is not None and error.code is not None:
            self._errors.labels(code_label(error.code)).inc()
        if isinstance(verdict, Retry):
            self._retries.labels(verdict.cause.value).inc()

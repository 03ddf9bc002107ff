"""From the settings to what stands between an event and Meta; ``run`` and ``send`` share it."""

import os
import random
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from consumer import __version__
from consumer.deliveries import Deliveries
from consumer.destination_files import Tokens
from consumer.destinations import Destinations
from consumer.guard import Guard
from consumer.logs import member_name
from consumer.meta import GraphReader, Meta
from consumer.model import PixelId
from consumer.outbox import Outbox
from consumer.prepare import Preparation
from consumer.seams import Clock, Log
from consumer.senders import Senders
from consumer.settings import Settings
from consumer.status import About
from consumer.tracing import Tracing, Untraced
from consumer.window import BYTES_PER_REQUEST, Windows

SENDER_THREADS_MAX = 256


def preparation_from(settings: Settings, destinations: Destinations) -> Preparation:
    """What ``prepare`` has to know of a run."""
    return Preparation(
        destinations=destinations,
        test_code=settings.test_code,
        body_bytes_max=settings.window_bytes - BYTES_PER_REQUEST,
        amounts=bool(settings.value_currencies),
    )


def deliveries_from(settings: Settings, *, is_over: Callable[[int], bool]) -> Deliveries:
    """Windows and outboxes; ``is_over`` says whether a tenure has ended."""
    jitter: Callable[[], float] = random.SystemRandom().random

    def outbox_for(destination: PixelId) -> Outbox:
        return Outbox(
            destination=destination,
            requests_max=settings.requests_per_destination,
            isolation_requests_max=settings.isolation_requests,
            is_over=is_over,
            jitter=jitter,
        )

    windows = Windows(
        events_max=settings.window_events,
        bytes_max=settings.window_bytes,
        seconds_max=settings.window_seconds,
        batch_prefix=f"{time.time_ns() // 1_000_000:x}{os.getpid():x}",
    )
    return Deliveries(
        windows=windows,
        outbox_for=outbox_for,
        is_over=is_over,
        requests_max=SENDER_THREADS_MAX,
    )


def guard_from(settings: Settings) -> Guard:
    """Watches for publishers' bad deploys."""
    return Guard(
        events=settings.guard_events, share=settings.guard_share, pauses=settings.guard_pauses
    )


def meta_from(settings: Settings, tokens: Tokens) -> Meta:
    """The edge to Meta."""
    return Meta(
        graph_url=settings.graph_url,
        graph_version=settings.graph_version,
        timeout_seconds=settings.request_timeout_seconds,
        connections_max=SENDER_THREADS_MAX,
        token_for=tokens.of,
        app_secret=settings.rotating_secret("CONVERSIONS_APP_SECRET"),
        transport=None,
        body_fields_for=tokens.body_fields_of,
    )


def reader_from(settings: Settings, *, timeout_seconds: float) -> GraphReader:
    """The edge to Meta for reading."""
    return GraphReader(
        graph_url=settings.graph_url,
        graph_version=settings.graph_version,
        timeout_seconds=timeout_seconds,
        app_secret=settings.rotating_secret("CONVERSIONS_APP_SECRET"),
        transport=None,
    )


def senders_from(settings: Settings, meta: Meta) -> Senders:
    """The threads that post."""
    return Senders(
        post=meta.post,
        threads_max=SENDER_THREADS_MAX,
        give_up_seconds=3 * settings.request_timeout_seconds,
    )


def traces_from(settings: Settings, *, clock: Clock, log: Log) -> Tracing:
    """Who traces the batches: nobody, unless the settings say so. Raises ValueError when the extra
    is missing, or its own variables cannot be used."""
    if not settings.traces:
        return Untraced()
    try:  # an optional extra, and 30 MB that nobody else should load
        from consumer.span_export import SpanExport  # noqa: PLC0415
        from consumer.traces import Consuming, Traces  # noqa: PLC0415
    except ImportError:
        extra = "pip install 'conversions-consumer[otel]'"
        raise ValueError(f"CONVERSIONS_TRACES needs OpenTelemetry: {extra}") from None

    def failed(kind: str) -> None:
        log.warning("a span could not be made; the batch goes on without", kind=kind)

    export = SpanExport(
        service={
            "service.name": "conversions-consumer",
            "service.version": __version__,
            "service.instance.id": member_name(settings.kafka_consumer),
        }
    )
    graph = urlsplit(settings.graph_url)
    return Traces(
        tracer=export.provider.get_tracer("conversions-consumer", __version__),
        stop=export.stop,
        consuming=Consuming(
            topic=settings.topic,
            group=settings.group_id,
            server_address=graph.hostname or "",
            server_port=graph.port or (443 if graph.scheme == "https" else 80),
        ),
        now=clock.now,
        now_ms=clock.now_ms,
        failed=failed,
    )


def about_from(settings: Settings, *, started_ms: int) -> About:
    """What the status page says of the whole run."""
    return About(
        version=__version__,
        graph_version=settings.graph_version,
        member=member_name(settings.kafka_consumer),
        group=settings.group_id,
        topic=settings.topic,
        dlq_topic=settings.dlq_topic,
        settings_id=settings.fingerprint,
        started_ms=started_ms,
        in_flight_events_max=settings.in_flight_events,
    )

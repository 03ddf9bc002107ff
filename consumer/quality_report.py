"""``conversions quality`` in its three ways: ask, compute, and write it down.

What was read goes to stdout, what could not be to stderr. The exit code is 1 when nothing could be
read at all.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Any, NamedTuple

import orjson

from consumer import stdout
from consumer.assembly import reader_from
from consumer.destination_files import destinations_from, tokens_from
from consumer.destinations import DestinationsError
from consumer.event_names import STANDARD_EVENT_NAMES
from consumer.match_key_coverage import coverage_of, group_json
from consumer.metric_labels import CUSTOM
from consumer.model import PixelId
from consumer.pixel_figures import PixelFigures, of_each
from consumer.pixel_stats import hours_before
from consumer.prepare import Preparation
from consumer.prometheus import Prometheus, PrometheusError, check_url
from consumer.quality import row_json
from consumer.quality_tables import comparison_text, coverage_text, quality_text
from consumer.reconcile import comparison_json, notes, reconcile
from consumer.settings import Settings
from consumer.text_tables import Look, paragraph
from consumer.window import BYTES_PER_REQUEST

PLATFORM = "metaads"
COLUMNS = 100
"""Where stdout is no terminal."""


class Output(Enum):
    """For whom it is written."""

    TABLE = "table"
    JSON = "json"


class Span(NamedTuple):
    """The last so many full hours before ``now``, in seconds since the epoch."""

    now: float
    hours: int


def run_quality(settings: Settings, wanted: list[str] | None, *, output: Output) -> int:
    """Meta's figures of the pixels ``wanted``, all by default. Raises DestinationsError or
    SettingsError when there is no such pixel, or none at all."""
    with _pixels(settings, wanted) as (figures, pixels):
        found, why = of_each(pixels, figures.quality)
    empty = [pixel for pixel, events in found.items() if not events]
    events = [event for each in found.values() for event in each]
    if output is Output.JSON:
        rows = [row_json(event) for event in events]
        _write_json({"rows": rows, "withoutFigures": empty, "unreadable": _unreadable(why)})
    else:
        look = stdout.look(pipe_columns=COLUMNS)
        stdout.write(quality_text(events, look))
        _write_paragraphs((f"Meta has no figures of pixel {p}. {_NO_FIGURES}" for p in empty), look)
    return _told(found, why)


def run_local(settings: Settings, lines: Iterable[bytes], *, now_ms: int, output: Output) -> int:
    """The match keys of the events of ``lines``. Raises DestinationsError."""
    preparation = Preparation(
        destinations=destinations_from(settings),
        test_code=settings.test_code,
        body_bytes_max=settings.window_bytes - BYTES_PER_REQUEST,
    )
    coverage = coverage_of(lines, preparation, now_ms=now_ms)
    if output is Output.JSON:
        rows = [group_json(group) for group in coverage.groups]
        _write_json({"rows": rows, "unreadableLines": coverage.unreadable_lines})
    else:
        stdout.write(coverage_text(coverage, stdout.look(pipe_columns=COLUMNS)))
    if any(group.events for group in coverage.groups):
        return 0
    _complain("no line is an event that could be sent; conversions preview says why")
    return 1


def run_reconcile(
    settings: Settings,
    wanted: list[str] | None,
    url: str,
    selector: str,
    span: Span,
    *,
    output: Output,
) -> int:
    """What Meta accepted from us, as the Prometheus at ``url`` knows it, beside what it shows.

    Raises PrometheusError for a ``url`` that is none, and what ``run_quality`` raises.
    """
    ours = Prometheus(
        url=check_url(url), timeout_seconds=settings.request_timeout_seconds, transport=None
    )
    hours = hours_before(span.now, span.hours)
    with _pixels(settings, wanted) as (figures, pixels):
        try:
            accepted = ours.accepted(hours, selector=selector)
        except PrometheusError as error:
            _complain(str(error))
            return 1
        finally:
            ours.close()
        received, why = of_each(pixels, lambda pixel: figures.counts(pixel, hours))
    names = frozenset(STANDARD_EVENT_NAMES)
    rows = reconcile(accepted, received, standard_names=names, custom=CUSTOM)
    told = list(notes(rows, custom=CUSTOM))
    if output is Output.JSON:
        listed = [comparison_json(row) for row in rows]
        _write_json({"rows": listed, "notes": told, "unreadable": _unreadable(why)})
    else:
        look = stdout.look(pipe_columns=COLUMNS)
        stdout.write(comparison_text(rows, look))
        _write_paragraphs(told if rows or not received else [_NOTHING_TO_COMPARE], look)
    return _told(received, why)


_NO_FIGURES = (
    "They take up to 48 hours after the first events, and there are none but for website events."
)
_NOTHING_TO_COMPARE = "Neither side has an event in these hours."


@contextmanager
def _pixels(
    settings: Settings, wanted: list[str] | None
) -> Iterator[tuple[PixelFigures, list[PixelId]]]:
    settings.require_destinations()
    destinations = destinations_from(settings)
    known = [each.id for each in destinations]
    if any(pixel not in known for pixel in wanted or []):
        raise DestinationsError(("--destination names none of the configured destinations",))
    reader = reader_from(settings, timeout_seconds=settings.request_timeout_seconds)
    figures = PixelFigures(reader=reader, tokens=tokens_from(settings, destinations))
    try:
        yield figures, [pixel for pixel in known if not wanted or pixel in wanted]
    finally:
        reader.close()


def _told(found: Mapping[PixelId, Any], why: Mapping[PixelId, str]) -> int:
    for pixel, sentence in why.items():
        _complain(f"pixel {pixel}: {sentence}")
    return 0 if found else 1


def _unreadable(why: Mapping[PixelId, str]) -> list[dict[str, str]]:
    return [{"destinationId": pixel, "reason": sentence} for pixel, sentence in why.items()]


def _write_json(answer: dict[str, Any]) -> None:
    stdout.write(orjson.dumps({"platform": PLATFORM, **answer}).decode() + "\n")


def _write_paragraphs(texts: Iterable[str], look: Look) -> None:
    stdout.write("".join(paragraph(text, look) for text in texts))


def _complain(sentence: str) -> None:
    sys.stderr.write(f"conversions: {sentence}\n")

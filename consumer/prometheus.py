"""The edge to Prometheus: what its HTTP API knows of our own counters.

Source: Prometheus' documentation of the HTTP API (``/api/v1/query_range``) and of ``increase``.
"""

import math
from collections.abc import Iterator
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from consumer.egress import around_proxies
from consumer.model import PixelId
from consumer.pixel_stats import HOUR_SECONDS, Cell
from consumer.unanswered import why_unanswered

ANSWER_BYTES_MAX = 16 * 1024 * 1024
_TEXT_MAX = 200


class PrometheusError(Exception):
    """Prometheus could not be asked, or did not answer; the message is one sentence."""


def check_url(url: str) -> str:
    """The address of a Prometheus, without a slash at its end.

    Raises ``PrometheusError``. Credentials in it are refused: addresses end up in logs and in the
    list of processes.
    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound, parts = False, urlsplit("")
    if parts.username is not None or parts.password is not None:
        raise PrometheusError("--prometheus must be an address without user and password")
    if not sound or parts.query or parts.fragment:
        raise PrometheusError("--prometheus must be an address such as http://127.0.0.1:9090")
    return url.rstrip("/")


def accepted_query(selector: str) -> str:
    """PromQL: how many events were accepted in the hour before, by destination and event name."""
    matchers = ",".join(['outcome="accepted"', *([selector] if selector else [])])
    counter = f"conversions_events_total{{{matchers}}}"
    return f"sum by (destination, event_name) (increase({counter}[1h]))"


class Prometheus:
    """Asks one Prometheus, whose ``url`` was checked by ``check_url``."""

    def __init__(
        self, *, url: str, timeout_seconds: float, transport: httpx.BaseTransport | None
    ) -> None:
        self._url = f"{url}/api/v1/query_range"
        self._timeout_seconds = timeout_seconds
        self._client = httpx.Client(
            timeout=timeout_seconds,
            headers={"user-agent": "conversions-consumer"},
            transport=transport,
            mounts=around_proxies(url),
            follow_redirects=False,
        )

    def accepted(self, hours: range, *, selector: str) -> dict[tuple[PixelId, Cell], float]:
        """Events that Meta accepted from us in each of these hours, by destination and name.

        ``hours`` are their starts, in seconds since the epoch; ``selector`` are further label
        matchers. What Prometheus knows nothing of is not there. Raises ``PrometheusError``.
        """
        asked = {
            "query": accepted_query(selector),
            # At the end of an hour one looks back over it.
            "start": str(hours[0] + HOUR_SECONDS),
            "end": str(hours[-1] + HOUR_SECONDS),
            "step": str(HOUR_SECONDS),
        }
        try:
            return dict(_counts(self._matrix(asked)))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise PrometheusError("Prometheus answers with series that are none") from None

    def close(self) -> None:
        """Close the connections that are idle."""
        self._client.close()

    def _matrix(self, asked: dict[str, str]) -> list[Any]:
        status, body = self._get(asked)
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict) or answer.get("status") not in ("success", "error"):
            raise PrometheusError(f"what answers is not Prometheus (HTTP {status})")
        if answer["status"] == "error":
            said = f"{answer.get('errorType')}: {answer.get('error')}"[:_TEXT_MAX]
            raise PrometheusError(f"Prometheus refuses the query: {said}")
        match answer.get("data"):
            case {"resultType": "matrix", "result": [*found]}:
                return found
        raise PrometheusError("Prometheus answers with something else than a matrix")

    def _get(self, asked: dict[str, str]) -> tuple[int, bytes]:
        deadline = monotonic() + self._timeout_seconds
        failure: str
        try:
            with self._client.stream("GET", self._url, params=asked) as response:
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if monotonic() > deadline or len(body) > ANSWER_BYTES_MAX:
                        raise PrometheusError("the answer of Prometheus is too long or too slow")
                return response.status_code, bytes(body)
        except httpx.HTTPError as error:
            failure = why_unanswered(error)
        # Outside the handler: the library's error quotes the address.
        raise PrometheusError(f"Prometheus cannot be asked: {failure}")


def _counts(matrix: list[Any]) -> Iterator[tuple[tuple[PixelId, Cell], float]]:
    for series in matrix:
        labels = series["metric"]
        destination, name = labels.get("destination", ""), labels.get("event_name", "")
        for moment, value in series["values"]:
            events = float(value)
            if math.isfinite(events):
                yield (PixelId(destination), Cell(int(moment) - HOUR_SECONDS, name)), events

"""Traces switched on and off: what is loaded, what the collector gets, and that the run ends though
no collector answers. In processes of their own, which have the standard variables.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from consumer import __version__
from consumer.assembly import traces_from
from consumer.clock import SystemClock
from consumer.settings import load_settings
from consumer.tracing import Untraced
from tests.fakes.house import Lines
from tests.integration import free_ports

ROOT = Path(__file__).parent.parent
SECONDS_MAX = 120.0
VARIABLES = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
    "CONVERSIONS_PIXEL_ID": "111",
    "CONVERSIONS_ACCESS_TOKEN": "token-of-the-shop",
    "CONVERSIONS_METRICS_PORT": "0",
}

HOUSE = """
import os, sys
from consumer.assembly import traces_from
from consumer.logs import configure_logs
from consumer.settings import load_settings
from tests.fakes.house import house

log = configure_logs(level="info", log_format="json")
ours = {name: value for name, value in os.environ.items() if name.startswith("CONVERSIONS_")}
settings = load_settings(ours)
home = house(log=log, trace=lambda clock: traces_from(settings, clock=clock, log=log))
home.publish(0, events=3)
home.settle_all()
home.journal.traces.close()
print("delivered", len(home.meta.accepted))
print("loaded", sorted({name.partition(".")[0] for name in sys.modules} & {"opentelemetry"}))
"""


def in_a_process(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    mine = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=mine | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


class Collector:
    """Takes spans; ``gate`` is waited for before each answer."""

    def __init__(self, *, status: int = 200) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.taken: list[ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        collector = self

        class Exchange(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.gate.wait(SECONDS_MAX)
                collector.headers.append({k.lower(): v for k, v in self.headers.items()})
                collector.taken.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator["Collector"]:
        """Serve as long as the context lasts."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.gate.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    @property
    def names(self) -> list[str]:
        """Of every span that came, in order."""
        return [
            span.name
            for request in self.taken
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def service(self) -> dict[str, str]:
        """Who says that it sent them."""
        (resource, *_) = self.taken[0].resource_spans
        return {each.key: each.value.string_value for each in resource.resource.attributes}


# --- off


def test_without_the_switch_nobody_traces_and_nothing_of_the_library_is_loaded() -> None:
    done = in_a_process(HOUSE)

    assert done.stdout.splitlines() == ["delivered 3", "loaded []"], done.stderr
    settings = load_settings(VARIABLES)
    assert isinstance(traces_from(settings, clock=SystemClock(), log=Lines()), Untraced)


def test_a_member_that_does_not_trace_loads_nothing_of_the_library() -> None:
    code = "import sys, consumer.member; print('opentelemetry' in sys.modules)"

    assert in_a_process(code).stdout == "False\n"


def test_without_the_extra_the_run_refuses_and_says_what_to_install() -> None:
    code = """
import sys
sys.modules["opentelemetry"] = None  # as if it were not installed
from consumer.cli import main
sys.argv = ["conversions", "run"]
main()
"""
    done = in_a_process(code, CONVERSIONS_TRACES="true", **VARIABLES)

    assert done.returncode == 2
    assert done.stderr == (
        "conversions: CONVERSIONS_TRACES needs OpenTelemetry:"
        " pip install 'conversions-consumer[otel]'\n"
    )


# --- on


def test_the_collector_gets_the_spans_and_who_sent_them() -> None:
    with Collector().serving() as collector:
        done = in_a_process(
            HOUSE,
            CONVERSIONS_TRACES="true",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_EXPORTER_OTLP_HEADERS="api-key=very-secret",
        )

    assert done.stdout.splitlines() == ["delivered 3", "loaded ['opentelemetry']"], done.stderr
    assert collector.names == [
        "prepare",
        "send",
        "settle conversions.events",
        "process conversions.events",
    ]
    assert collector.headers[0]["api-key"] == "very-secret"
    assert collector.service["service.name"] == "conversions-consumer"
    assert collector.service["service.version"] == __version__
    assert collector.service["service.instance.id"]


def test_the_standard_variables_say_who_we_are() -> None:
    with Collector().serving() as collector:
        done = in_a_process(
            HOUSE,
            CONVERSIONS_TRACES="true",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_SERVICE_NAME="the-shops-conversions",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=production",
        )

    assert done.returncode == 0, done.stderr
    assert collector.service["service.name"] == "the-shops-conversions"
    assert collector.service["deployment.environment.name"] == "production"
    assert collector.service["service.version"] == __version__


def test_a_collector_that_never_answers_does_not_keep_the_run_from_ending() -> None:
    with Collector().serving() as collector:
        collector.gate.clear()
        done = in_a_process(
            HOUSE, CONVERSIONS_TRACES="true", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url
        )
        assert done.stdout.startswith("delivered 3\n"), done.stderr
        assert collector.taken == [], "it has not answered yet"


@pytest.mark.parametrize("there", [True, False])
def test_a_collector_in_trouble_costs_no_event_and_is_told(there: bool) -> None:
    (closed,) = free_ports(1)
    with Collector(status=401).serving() as collector:
        url = collector.url if there else f"http://127.0.0.1:{closed}"
        done = in_a_process(HOUSE, CONVERSIONS_TRACES="true", OTEL_EXPORTER_OTLP_ENDPOINT=url)

    assert done.returncode == 0
    assert done.stdout.startswith("delivered 3\n")
    told = [line for line in done.stderr.splitlines() if '"logger"' in line]
    assert len(told) >= 1
    assert all('"logger": "opentelemetry.exporter' in line for line in told)


def test_a_limit_that_cannot_be_used_is_refused_by_its_name() -> None:
    code = "import sys; from consumer.cli import main; sys.argv = ['conversions', 'run']; main()"
    limit = {"OTEL_SPAN_LINK_COUNT_LIMIT": "-1"}
    done = in_a_process(code, CONVERSIONS_TRACES="true", **limit, **VARIABLES)

    assert done.returncode == 2
    assert done.stderr.startswith("conversions: CONVERSIONS_TRACES: the OTEL_ variables cannot")
    assert "OTEL_SPAN_LINK_COUNT_LIMIT" in done.stderr


def test_a_secret_for_the_collector_that_cannot_be_read_is_not_shown() -> None:
    with Collector().serving() as collector:
        done = in_a_process(
            HOUSE,
            CONVERSIONS_TRACES="true",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_EXPORTER_OTLP_HEADERS="very-secret but no header",
        )

    assert collector.names
    assert "very-secret" not in done.stderr

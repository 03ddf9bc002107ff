"""The shape of the house: who may import whom, what a room may be called, what an import does.

A room that is named nowhere below is a step, for which the strictest rules hold; whoever adds an
edge or a loop adds its name here.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import consumer

PACKAGE = Path(consumer.__file__).parent
ROOMS = sorted(path.stem for path in PACKAGE.glob("*.py"))

MODEL = {"__init__", "model"}
KAFKA_EDGES = {room for room in ROOMS if room.startswith("kafka")} - {"kafka_settings"}
EDGES = {
    "check_brokers",
    "check_kafka",
    "check_meta",
    "check_registry",
    "check_tokens",
    "clock",
    "deadline",
    "check_version",
    "dead_letter_topic",
    "destination_files",
    "egress",
    "egress_settings",
    "event_counts",
    "inquiries",
    "log_ends",
    "logs",
    "meta",
    "metric_series",
    "value_counts",
    "metrics",
    "pixel_figures",
    "producer_links",
    "probes",
    "prometheus",
    "registry_client",
    "registry_emulator",
    "request_counts",
    "running_member",
    "schema_lookup",
    "schema_registry",
    "sealing_keys",
    "unsealing",
    "secret_files",
    "seekers",
    "senders",
    "settings",
    "signals",
    "span_export",
    "terminal",
    "token_inspection",
    "stdout",
    "traces",
    "unanswered",
    "uncaught",
    "variables",
    *(room for room in ROOMS if room.startswith("emulator")),  # a stand-in for all of Meta
    *KAFKA_EDGES,
}
"""They talk to somebody outside, or read what somebody outside has written."""
LOOPS = {
    "assembly",
    "check",
    "commits",
    "demo",
    "discovery",
    "dlq",
    "dlq_export",
    "inflow",
    "intake",
    "journal",
    "member",
    "pipeline",
    "publish",
    "publisher",
    "quality_report",
    "quality_watch",
    "rejections",
    "replay",
    "replay_topics",
    "replaying",
    "rewind",
    "seams",
    "send",
    "sending",
    "status_board",
    "token_watch",
    "tracing",
    "valve",
    "watch",
    "watches",
    "wishes",
}
CLI = {"__main__", "cli", "command_line", *(room for room in ROOMS if room.startswith("cli_"))}
"""``cli`` is the entry point; ``cli_<command>`` holds a command that would crowd it."""

LAYERS = ("model", "step", "edge", "loop", "cli")

NOT_IN_STEPS = {
    "asyncio",
    "concurrent",
    "confluent_kafka",
    "http",
    "httpx",
    "logging",
    "multiprocessing",
    "os",
    "prometheus_client",
    "queue",
    "requests",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "socketserver",
    "ssl",
    "structlog",
    "subprocess",
    "threading",
    "time",
    "typer",
    "urllib.request",
}
KAFKA_ROOMS = KAFKA_EDGES | {
    "check_brokers",
    "check_kafka",
    "dead_letter_topic",
    "demo",
    "log_ends",
    "publish",
    "publisher",
}
REGISTRY_ROOMS = {"check_registry", "registry_client", "schema_registry"}
FORBIDDEN_WORDS = {
    "base",
    "common",
    "handler",
    "helper",
    "helpers",
    "manager",
    "misc",
    "processor",
    "service",
    "util",
    "utils",
    "wrapper",
}


def layer(room: str) -> str:
    for name, rooms in (("model", MODEL), ("edge", EDGES), ("loop", LOOPS), ("cli", CLI)):
        if room in rooms:
            return name
    return "step"


@cache
def tree(room: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{room}.py").read_text("utf-8"))


def imported(room: str) -> Iterator[tuple[str, str]]:
    """Every module that a room imports anywhere in it, and the name taken out of it."""
    for node in ast.walk(tree(room)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{room} imports relatively"
            yield from ((str(node.module), alias.name) for alias in node.names)


def libraries(room: str) -> set[str]:
    return {module.partition(".")[0] for module, _ in imported(room)} - {"consumer"}


def rooms_imported_by(room: str) -> set[str]:
    found = set()
    for module, name in imported(room):
        if module == "consumer":
            found.add(name if name in ROOMS else "__init__")
        elif module.startswith("consumer."):
            found.add(module.split(".")[1])
    return found


# --- who imports whom ---------------------------------------------------------------------------


def test_every_room_that_is_named_here_exists() -> None:
    assert {*MODEL, *CLI} <= set(ROOMS)
    assert not (EDGES | LOOPS) - set(ROOMS)
    assert not EDGES & LOOPS


@pytest.mark.parametrize("room", ROOMS)
def test_imports_flow_one_way(room: str) -> None:
    own = LAYERS.index(layer(room))
    for other in rooms_imported_by(room):
        assert LAYERS.index(layer(other)) <= own, f"{room} ({layer(room)}) imports {other}"


def test_the_model_imports_none_of_us() -> None:
    assert rooms_imported_by("model") == set()
    assert rooms_imported_by("__init__") == set()


def test_no_room_imports_itself_in_a_circle() -> None:
    waiting = {room: rooms_imported_by(room) - {room} for room in ROOMS}
    while waiting:
        free = {room for room, needs in waiting.items() if not needs & waiting.keys()}
        assert free, f"these import each other in a circle: {sorted(waiting)}"
        waiting = {room: needs for room, needs in waiting.items() if room not in free}


def test_no_import_is_hidden_from_the_running_program() -> None:
    for room in ROOMS:
        assert ("typing", "TYPE_CHECKING") not in set(imported(room)), room


@pytest.mark.parametrize("room", [room for room in ROOMS if layer(room) in ("model", "step")])
def test_a_step_imports_no_library_that_does_io_or_has_a_clock(room: str) -> None:
    modules = {module for module, _ in imported(room)}

    assert not (libraries(room) | modules) & NOT_IN_STEPS


@pytest.mark.parametrize("room", [room for room in ROOMS if layer(room) in ("model", "step")])
def test_a_step_neither_opens_files_nor_looks_at_a_clock(room: str) -> None:
    for node in ast.walk(tree(room)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in ("open", "input"), f"{room}:{node.lineno}"
            assert not name.endswith((".now", ".utcnow", ".today", ".open")), (
                f"{room}:{node.lineno}"
            )


def test_only_meta_speaks_http_to_meta() -> None:
    assert {room for room in ROOMS if "httpx" in libraries(room)} == {
        "egress",
        "meta",
        "prometheus",
    }
    assert "meta" not in rooms_imported_by("prometheus"), "it knows no token"


def test_only_the_rooms_of_traces_know_the_library_that_nobody_has_to_install() -> None:
    rooms = {room for room in ROOMS if "opentelemetry" in libraries(room)}
    assert rooms == {"producer_links", "span_export", "traces"}
    importing = {room for room in ROOMS if rooms_imported_by(room) & rooms}
    assert importing == {"assembly", "traces"}


def test_only_the_edges_of_kafka_know_its_client() -> None:
    for room in ROOMS:
        found = {module for module, _ in imported(room) if module.startswith("confluent_kafka")}
        if room in REGISTRY_ROOMS:
            assert all(each.startswith("confluent_kafka.schema_registry") for each in found)
        elif room == "metrics":
            (version,) = (
                ast.unparse(node)
                for node in ast.walk(tree(room))
                if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "confluent_kafka"
            )
            assert (found, version) == ({"confluent_kafka"}, "confluent_kafka.libversion")
        elif room not in KAFKA_ROOMS:
            assert found == set(), room


# --- names, words, and what is in every room ----------------------------------------------------


def test_no_room_has_a_name_that_says_nothing() -> None:
    words = {room: set(room.split("_")) & FORBIDDEN_WORDS for room in ROOMS}

    assert {room: found for room, found in words.items() if found} == {}


def test_no_class_has_a_name_that_says_nothing() -> None:
    found = [
        f"{room}.{node.name}"
        for room in ROOMS
        for node in ast.walk(tree(room))
        if isinstance(node, ast.ClassDef)
        and node.name.lower().endswith(("handler", "helper", "manager", "processor", "utils"))
    ]

    assert found == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_what_it_is_for(room: str) -> None:
    docstring = ast.get_docstring(tree(room))

    assert docstring
    assert docstring.splitlines()[0].endswith((".", ":", "?"))


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_is_printed(room: str) -> None:
    calls = [node for node in ast.walk(tree(room)) if isinstance(node, ast.Call)]

    assert [c.lineno for c in calls if ast.unparse(c.func) in ("print", "pprint")] == []


def test_only_the_command_line_reads_the_environment() -> None:
    for room in set(ROOMS) - CLI:
        # Not a setting of ours: whoever writes to a terminal asks whether colours are welcome.
        text = ast.unparse(tree(room)).replace("os.environ.get('NO_COLOR')", "")
        assert "os.environ" not in text, room
        assert "getenv" not in text, room


# --- what an import does ------------------------------------------------------------------------

_IMPORT_ALL = """
import importlib, os, sys, threading
rooms = [f"consumer.{name}" for name in sys.argv[1:]]
for room in rooms:
    importlib.import_module(room)  # the libraries have done by now whatever they do at import
for room in [name for name in sys.modules if name.partition(".")[0] == "consumer"]:
    del sys.modules[room]

class Tripwire(dict):
    def _tell(self):
        frame = sys._getframe(2)
        while frame.f_globals.get("__name__") == "os":
            frame = frame.f_back
        if frame.f_globals.get("__name__", "").partition(".")[0] == "consumer":
            print("environ is read by", frame.f_globals["__name__"])
    def __getitem__(self, name):
        self._tell()
        return super().__getitem__(name)
    def get(self, *args):
        self._tell()
        return super().get(*args)
    def __contains__(self, name):
        self._tell()
        return super().__contains__(name)
    def __iter__(self):
        self._tell()
        return super().__iter__()
    def items(self):
        self._tell()
        return super().items()

os.environ = Tripwire(os.environ)
def started(*_):
    print("a thread is started")
threading.Thread.start = started
def audit(event, args):
    if event.startswith(("socket.", "subprocess.")) or event == "os.system":
        print("an import does", event)
sys.addaudithook(audit)
before = threading.active_count()
for room in rooms:
    importlib.import_module(room)
print("threads", threading.active_count() - before)
"""


def test_importing_every_room_reads_no_environment_and_starts_nothing() -> None:
    rooms = [room for room in ROOMS if room not in ("__init__", "__main__")]
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, *rooms],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert (done.stdout, done.stderr) == ("threads 0\n", "")


def test_the_command_line_loads_no_client_before_a_command_needs_it() -> None:
    heavy = ("confluent_kafka", "httpx", "fastavro", "rich", "structlog", "prometheus_client")
    code = f"import sys, consumer.cli; print(sorted(set({heavy!r}) & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "[]\n"

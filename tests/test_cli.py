"""The command line as a process: exit codes, one sentence per mistake, and signals."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import httpx
import orjson
import pytest
from typer.main import get_command

from consumer import __version__
from consumer.cli import app

SECRET = "EAABcanary0123456789"
COMMANDS = list(getattr(get_command(app), "commands", {}))
NOTHING: Mapping[str, str] = MappingProxyType({})
SOUND = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
    "CONVERSIONS_PIXEL_ID": "1",
    "CONVERSIONS_ACCESS_TOKEN": SECRET,
    "CONVERSIONS_METRICS_PORT": "0",
}


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process, without anything that would set up ours."""
    own = ("CONVERSIONS_", "KAFKA_", "SCHEMA_REGISTRY_")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(own)}
    return kept | {"COLUMNS": "80"} | {**more}


def conversions(
    *arguments: str, more: Mapping[str, str] = NOTHING
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "consumer", *arguments],
        env=environment(more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refusal(*arguments: str, more: Mapping[str, str] = NOTHING) -> list[str]:
    """The sentences of a command that ends with 2, each on a line of its own."""
    done = conversions(*arguments, more=more)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr
    sentences = done.stderr.splitlines()
    assert all(sentence.startswith("conversions: ") for sentence in sentences), sentences
    return [sentence.removeprefix("conversions: ") for sentence in sentences]


# --- run ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "variable"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": ""}, "KAFKA_BOOTSTRAP_SERVERS"),
        ({"CONVERSIONS_ACCESS_TOKEN": ""}, "CONVERSIONS_ACCESS_TOKEN"),
        ({"CONVERSIONS_PIXEL_ID": ""}, "CONVERSIONS_PIXEL_ID"),
        ({"CONVERSIONS_PIXEL_ID": "shop"}, "CONVERSIONS_PIXEL_ID"),
        ({"CONVERSIONS_WINDOW_EVENTS": "1001"}, "CONVERSIONS_WINDOW_EVENTS"),
        ({"CONVERSIONS_DLQ_KEY_FILE": "/nowhere/keys"}, "CONVERSIONS_DLQ_KEY_FILE"),
        ({"CONVERSIONS_GUARD_SHARE": "50"}, "CONVERSIONS_GUARD_SHARE"),
        ({"CONVERSIONS_GUARD_EVENTS": "9"}, "CONVERSIONS_GUARD_EVENTS"),
        ({"CONVERSIONS_DLQ_RETENTION_DAYS_MAX": "-1"}, "CONVERSIONS_DLQ_RETENTION_DAYS_MAX"),
        ({"CONVERSIONS_TOPPIC": "a"}, "CONVERSIONS_TOPIC"),
        ({"KAFKA_ACKS": "1"}, "KAFKA_ACKS"),
        ({"KAFKA_SASSL_MECHANISM": "PLAIN"}, "KAFKA_SASL_MECHANISM"),
        ({"CONVERSIONS_GRAPH_URL": "http://example.com"}, "CONVERSIONS_GRAPH_URL"),
        ({"CONVERSIONS_ACCESS_TOKEN": f"{SECRET} {SECRET}"}, "CONVERSIONS_ACCESS_TOKEN"),
        ({"CONVERSIONS_LOG_LEVEL": "loud"}, "CONVERSIONS_LOG_LEVEL"),
        ({"CONVERSIONS_SETTINGS_FILE": "/there/is/none"}, "CONVERSIONS_SETTINGS_FILE"),
        ({"CONVERSIONS_SCHEMAS_DIR": "/there/is/none"}, "CONVERSIONS_SCHEMAS_DIR"),
        ({"KAFKA_SECURITY_PROTOCOL": "carrier_pigeon"}, "security.protocol"),
    ],
)
def test_a_bad_setting_is_one_sentence_that_names_it(
    changes: Mapping[str, str], variable: str
) -> None:
    (sentence,) = refusal("run", more={**SOUND, **changes})

    assert variable in sentence


def test_several_bad_settings_are_told_at_once() -> None:
    sentences = refusal(
        "run", more={**SOUND, "CONVERSIONS_TOPPIC": "a", "CONVERSIONS_PIXEL_ID": "shop"}
    )

    assert len(sentences) == 2


def test_a_destinations_file_that_is_not_there_is_told_and_so_is_what_it_says_wrong(
    tmp_path: Path,
) -> None:
    file = tmp_path / "destinations.yaml"
    more = {**SOUND, "CONVERSIONS_PIXEL_ID": "", "CONVERSIONS_DESTINATIONS_FILE": str(file)}

    assert refusal("run", more=more) == [
        "the destinations file cannot be read (No such file or directory)"
    ]
    file.write_text("- id: 1\n  naem: Shop\n- id: shop\n", "utf-8")
    assert len(refusal("run", more=more)) == 2
    assert len(refusal("preview", more=more)) == 2


def test_a_schema_that_cannot_be_read_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "broken.avsc").write_text("{", "utf-8")

    (sentence,) = refusal("run", more={**SOUND, "CONVERSIONS_SCHEMAS_DIR": str(tmp_path)})

    assert "broken.avsc" in sentence


@pytest.mark.parametrize("command", ["run", "emulate"])
def test_a_port_that_is_taken_ends_with_two(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ["emulate", "--port", port] if command == "emulate" else ["run"]
        (sentence,) = refusal(*arguments, more={**SOUND, "CONVERSIONS_METRICS_PORT": port})

    assert "in use" in sentence


def test_a_run_without_brokers_lives_waits_and_ends_on_sigterm() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "consumer", "run"],
        env=environment({**SOUND, "CONVERSIONS_LOG_FORMAT": "json"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        started = orjson.loads(process.stderr.readline())
        assert started["event"] == "consuming"
        assert SECRET not in str(started)
        assert httpx.get(f"{started['metrics']}/livez").json()["joined"] is False
        assert httpx.get(f"{started['metrics']}/readyz").status_code == 503

        process.send_signal(signal.SIGTERM)

        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "")
        assert orjson.loads(err.splitlines()[-1])["event"] == "stopped"
        assert SECRET not in err
        assert "Traceback" not in err


# --- usage --------------------------------------------------------------------------------------


def test_the_version_is_told() -> None:
    done = conversions("--version")

    assert (done.returncode, done.stdout) == (0, f"conversions {__version__}\n")


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("command", ["", *COMMANDS, "destinations resume"])
def test_each_command_explains_itself_in_eighty_columns(command: str, option: str) -> None:
    done = conversions(*command.split(), option)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: ")
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert "\x1b" not in done.stdout


def test_the_help_lists_every_command() -> None:
    listed = conversions("--help").stdout.partition("Commands:")[2]

    assert re.findall(r"^  (\w+) ", listed, re.MULTILINE) == COMMANDS
    assert {"run", "preview", "emulate", "demo"} <= set(COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [
        ["delete-everything"],
        ["run", "--faster"],
        ["preview", "one", "two"],
        ["demo", "--events"],
        ["emulate", "--port", "70000"],
        ["emulate", "--port", "-1"],
    ],
)
def test_wrong_usage_ends_with_two(arguments: list[str]) -> None:
    done = conversions(*arguments)

    assert done.returncode == 2
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_demo_of_too_few_events_is_refused() -> None:
    assert conversions("demo", "--events", "99").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["preview", "/there/is/none"], "/there/is/none: No such file"),
        (["preview", "--now", "yesterday"], "--now must be ISO 8601"),
        (["preview", "--set", "topic"], "--set topic: must be NAME=VALUE"),
        (["preview", "--set", "TOPPIC=a"], "is no setting"),
        (["preview", "--settings", "/there/is/none"], "CONVERSIONS_SETTINGS_FILE"),
        (["emulate", "--pixel", "shop=token123"], "--pixel must be ID=TOKEN"),
        (["emulate", "--pixel", "1="], "--pixel must be ID=TOKEN"),
        (["emulate", "--pixel", "1"], "--pixel must be ID=TOKEN"),
    ],
)
def test_a_mistaken_argument_is_one_sentence(arguments: list[str], words: str) -> None:
    (sentence,) = refusal(*arguments)

    assert words in sentence


def test_a_folder_is_no_file_of_events(tmp_path: Path) -> None:
    assert refusal("preview", str(tmp_path)) == [f"{tmp_path}: Is a directory"]


def test_the_settings_file_of_the_command_line_is_read(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("CONVERSIONS_TOPPIC: a\n", "utf-8")

    (sentence,) = refusal("preview", "--settings", str(file))

    assert "CONVERSIONS_TOPIC" in sentence


# --- emulate ------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_emulator_starts_answers_and_ends_when_told(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "consumer", "emulate", "--port", "0"],
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found
        assert httpx.get(f"{found[0]}/_emulator/stats").status_code == 200

        process.send_signal(number)

        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")

"""The event in the languages of those who publish it: classes for Java, structs for Go.

Each is generated from our schema by the usual tool, compiled, and builds one event; its bytes must
be the same event to us. Java writes Avro's single-object encoding, which shows that it reckons the
schema's fingerprint as we do (Go's library counts logical types in); Go writes Confluent's framing.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from consumer.decode import SchemaRef, decode
from consumer.model import Event
from consumer.schema_plan import ReadPlan, event_schema, plan_reading, schema_fingerprint
from tests import go_tools
from tests.fakes.events import a_record
from tests.tools import AVRO, avro_libs, find_java

pytestmark = pytest.mark.integration

SCHEMA = Path(__file__).parents[2] / "schemas" / "conversion_event.avsc"
PUBLISHERS = Path(__file__).parents[1] / "publishers"
TIME_MS = 1_795_000_000_123
EXPECTED: dict[str, Any] = {
    "eventName": "Purchase",
    "eventTime": TIME_MS,
    "eventId": "order_1",
    "actionSource": "website",
    "value": 42.5,
    "currency": "USD",
    "numItems": 2,
    "optOut": False,
    "items": [{"id": "sku_1", "name": "Blue shirt", "quantity": 2, "price": 21.25}],
    "customData": {"plan": "gold"},
    "customNumbers": {"seats": 5.0},
    "attribution": {"visitTime": TIME_MS},
    "user": {
        "email": "customer@example.com",
        "phones": ["+14155551234"],
        "clickIds": {"fbclid": "AbC", "fbclidTime": TIME_MS},
    },
}


def run(command: Sequence[str | Path], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read(encoded: str) -> Any:
    """What the consumer makes of the bytes, without what is null."""
    plan = plan_reading(event_schema())
    assert isinstance(plan, ReadPlan)

    def schema_for(ref: SchemaRef) -> ReadPlan:
        assert ref in (7, schema_fingerprint(event_schema()))
        return plan

    event = decode(a_record(value=bytes.fromhex(encoded.strip())), schema_for=schema_for)
    assert isinstance(event, Event), event
    assert event.event_time_ms == TIME_MS
    return present(event.fields)


def present(fields: Any) -> Any:
    if isinstance(fields, dict):
        return {name: present(value) for name, value in fields.items() if value is not None}
    return [present(each) for each in fields] if isinstance(fields, list) else fields


@pytest.fixture
def java(tmp_path: Path) -> tuple[Path, str]:
    """The ``bin`` of a JDK, and the jars as a class path."""
    libs, found = avro_libs(), find_java(17)
    if libs is None:
        pytest.skip(f"{AVRO} is not there: run `make tools`")
    if found is None or not found.resolve().with_name("javac").exists():
        pytest.skip("there is no JDK of Java 17 or newer (a javac), only whole ones can compile")
    return found.resolve().parent, f"{libs}/*"


def test_an_event_that_java_builds_is_the_same_event_to_us(
    java: tuple[Path, str], tmp_path: Path
) -> None:
    home, jars = java
    classes = tmp_path / "classes"
    folder = PUBLISHERS / "java"
    run([home / "java", "-cp", jars, folder / "Generate.java", SCHEMA, tmp_path], tmp_path)
    sources = sorted(tmp_path.rglob("*.java"))

    run([home / "javac", "-cp", jars, "-d", classes, *sources, folder / "Publisher.java"], tmp_path)
    encoded = run([home / "java", "-cp", f"{jars}{os.pathsep}{classes}", "Publisher"], tmp_path)

    assert read(encoded) == EXPECTED
    fields = "".join(
        line
        for source in sources
        for line in re.findall(
            r"^  private (?!static).+;$", source.read_text("utf-8"), re.MULTILINE
        )
    )
    assert "java.time.Instant eventTime" in fields
    assert "Object" not in fields, "a field that Java has no type for"
    assert "CharSequence" not in fields


def test_an_event_that_go_builds_is_the_same_event_to_us(tmp_path: Path) -> None:
    go, modules = shutil.which("go"), go_tools.installed()
    if go is None or modules is None:
        pytest.skip("Go, or the modules for it, are not there: install Go, then `make tools`")
    folder = shutil.copytree(PUBLISHERS / "go", tmp_path / "publisher")
    offline = go_tools.environment(modules) | {"GOPROXY": "off"}

    run([go, "tool", "avrogen", "-pkg", "main", "-o", "event.go", SCHEMA], folder, **offline)
    encoded = run([go, "run", ".", SCHEMA], folder, **offline)

    assert read(encoded) == EXPECTED
    generated = (folder / "event.go").read_text("utf-8")
    assert "EventTime time.Time" in generated
    assert re.findall(r"^\s\w+ .*\b(?:any|interface)\b.*`avro", generated, re.MULTILINE) == []

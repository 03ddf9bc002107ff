"""``docs/event.md``: every field of an event, and what Meta gets of it.

The words around the tables stand in ``event.template``. The rows are the schema's own; their last
column is what ``prepare`` makes of the example, so that a field whose example goes nowhere stops
the page from being made.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import yaml

from consumer.data_processing import STATES
from consumer.destinations import parse_destinations
from consumer.event_names import MESSAGING_EVENT_NAMES, STANDARD_EVENT_NAMES
from consumer.model import Event, Prepared, Record, TopicPartition
from consumer.prepare import Preparation, prepare
from consumer.schema_plan import event_schema

TEMPLATE = Path(__file__).with_name("event.template")
NOW_MS = 1_764_000_060_000
"""A minute after the examples of times."""


class Field(NamedTuple):
    """One field of the schema; ``example`` is the text that its ``doc`` has."""

    path: str
    kind: Any
    what: str
    example: str
    rule: str

    @property
    def value(self) -> Any:
        """The example as the field holds it."""
        kind = self.kind
        if kind == "string":
            return self.example
        found = yaml.safe_load(self.example)
        return [str(each) for each in found] if isinstance(found, list) else found


def fields(schema: Any = None, prefix: str = "") -> Iterator[Field]:
    """Every field that holds a value, in the schema's order."""
    for field in (schema or event_schema())["fields"]:
        path, kind = f"{prefix}{field['name']}", _bare(field["type"])
        record = _bare(kind["items"]) if _is(kind, "array") else kind
        if _is(record, "record"):
            yield from fields(record, f"{path}.")
            continue
        doc = re.fullmatch(r"(.+?), e\.g\. (.+?)(?:; (.+))?", field["doc"])
        assert doc is not None, f"the doc of {path} has an example"
        yield Field(path, kind, doc[1], doc[2], doc[3] or "")


def effect(field: Field) -> list[tuple[str, Any]]:
    """Where Meta finds the field's example, and what stands there."""
    if field.path == "destinationId":
        return [("the address of the request", None)]
    if field.path == "testCode":
        assert _prepared(field).test_code == field.example
        return [("test_event_code of the request", None)]
    before = dict(_leaves(json.loads(_prepared(None, field.path).body), ""))
    after = dict(_leaves(json.loads(_prepared(field).body), ""))
    found = [(path, value) for path, value in after.items() if before.get(path) != value]
    assert found, f"{field.path} goes nowhere"
    return found


_SOMEBODY = {"subscriptionId": "another"}
_BASE: Mapping[str, Any] = {
    "eventName": "Lead",
    "eventTime": NOW_MS,
    "eventId": "another",
    "actionSource": "email",
    "user": _SOMEBODY,
}
_NEEDED: Mapping[str, Mapping[str, Any]] = {
    "eventName": {"value": 1.0, "currency": "EUR"},
    "leadEventSource": {"actionSource": "crm"},
    "user.clickIds.fbclid": {"user": {"clickIds": {"fbclidTime": NOW_MS}, **_SOMEBODY}},
    "user.clickIds.fbclidTime": {"user": {"clickIds": {"fbclid": "AbC"}, **_SOMEBODY}},
    "dataProcessing.country": {"dataProcessing": {"options": ["LDU"]}},
    "dataProcessing.state": {"dataProcessing": {"options": ["LDU"], "country": 1}},
}
"""What a field means nothing without."""


def _prepared(field: Field | None, path: str = "") -> Prepared:
    """The plain event, with the field's example in it or with what surrounds the field alone."""
    path = field.path if field else path
    values: Any = json.loads(json.dumps({**_BASE, **_NEEDED.get(path, {})}))
    *parents, last = path.split(".")
    inside = values
    for parent in parents:
        inside = inside.setdefault(parent, [{"id": "another"}] if parent == "items" else {})
        inside = inside[0] if isinstance(inside, list) else inside
    if field is not None:
        inside[last] = field.value
    anything = Preparation(parse_destinations("- id: 1", Path()), None, 1_000_000)
    record = Record(TopicPartition("events", 0), 0, NOW_MS, None, b"", (), 1)
    if field is not None and path == "destinationId":
        del values["destinationId"]
    found = prepare(Event(record, values, values["eventTime"]), anything, now_ms=NOW_MS)
    assert isinstance(found, Prepared), f"{path}: {found}"
    assert field is None or not found.dropped, f"{path}: {found.dropped}"
    return found


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for each in value:
            yield from _leaves(each, f"{path}[]")
    else:
        yield path, value


def _bare(kind: Any) -> Any:
    return kind[1] if isinstance(kind, list) else kind


def _is(kind: Any, name: str) -> bool:
    return isinstance(kind, dict) and kind["type"] == name


def _type(kind: Any) -> str:
    if _is(kind, "array"):
        return f"list of {_type(kind['items'])}"
    if _is(kind, "map"):
        return f"map of {_type(kind['values'])}"
    return "time" if isinstance(kind, dict) else str(kind)


def _row(field: Field) -> str:
    found = effect(field)
    metas = ", ".join(f"`{path}`" if value is not None else path for path, value in found)
    sent = next((_shown(value) for _, value in found if value is not None), "")
    what = field.what + (f"; {field.rule}" if field.rule else "")
    example = _code(field.example if len(field.example) <= _SHOWN else field.example[:_SHOWN] + "…")
    cells = (f"`{field.path}`", _type(field.kind), what, example, metas, sent)
    return "| " + " | ".join(cells) + " |"


_SHOWN = 44


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return _code(re.sub(r"([0-9a-f]{8})[0-9a-f]{56}", r"\1…", text)[: _SHOWN + 20])


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def _table(rows: list[Field]) -> str:
    head = "| field | type | what it is | example | at Meta | sent |\n|---|---|---|---|---|---|\n"
    return head + "\n".join(map(_row, rows))


def event_page() -> str:
    """The page, without its first line."""
    every = list(fields())
    groups = {
        "The event": [f for f in every if "." not in f.path],
        "Who did it (`user`)": [f for f in every if f.path.startswith("user.")],
        "What was bought (`items`)": [f for f in every if f.path.startswith("items.")],
    }
    rest = [f for f in every if not any(f in group for group in groups.values())]
    groups["Rarer records"] = rest
    tables = "\n\n".join(f"### {title}\n\n{_table(rows)}" for title, rows in groups.items())
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        tables=tables,
        standard=_names(STANDARD_EVENT_NAMES),
        messaging=_names(sorted(MESSAGING_EVENT_NAMES)),
        states=f"{STATES[1]} to {STATES[-1]}",
    )


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)

"""docs/logs.md and the code name the same log lines, at the same levels, with the same facts."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, get_args

import pytest

from consumer.logs import ENDING_AT_ONCE
from consumer.model import Accepted, Verdict

ROOT = Path(__file__).parent.parent
ROOMS = sorted((ROOT / "consumer").glob("*.py"))
LEVELS = ("debug", "info", "warning", "error")
ROW = re.compile(
    r"^\| `(?P<event>[^`|]+)` \| (?P<levels>[a-z, ]+) \|(?P<facts>[^|\n]*)\|", re.MULTILINE
)


class Line(NamedTuple):
    """One log call: ``event`` is a pattern, in which ``*`` stands for a word that is inserted."""

    event: str
    levels: frozenset[str]
    facts: frozenset[str]
    place: str


def documented() -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    page = (ROOT / "docs/logs.md").read_text(encoding="utf-8")
    return {
        row["event"]: (
            frozenset(row["levels"].split(", ")),
            frozenset(re.findall(r"`([a-z_]+)`", row["facts"])),
        )
        for row in ROW.finditer(page)
    }


def lines_of(path: Path) -> Iterator[Line]:
    """Every call of a logger in a room: ``log.info(…)``, ``self.log.error(…)``, and ``say(…)``
    where that is one of them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        assigned = _assignments(function)
        for call in _own_calls(function):
            levels = _levels(call.func, assigned)
            if levels:
                facts = frozenset(each.arg for each in call.keywords if each.arg)
                for event in _texts(call.args[0], assigned):
                    yield Line(event, levels, facts, f"{path.name}:{call.lineno}")


def _own_calls(function: ast.FunctionDef) -> Iterator[ast.Call]:
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef):
            continue  # it has its own turn
        if isinstance(node, ast.Call):
            yield node
        waiting += ast.iter_child_nodes(node)


def _assignments(function: ast.FunctionDef) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).append(node.value)
    return found


def _levels(func: ast.expr, assigned: dict[str, list[ast.expr]]) -> frozenset[str]:
    match func:
        case ast.Attribute(value=whose, attr=level) if level in LEVELS:
            return frozenset([level]) if ast.unparse(whose).endswith("log") else frozenset()
        case ast.Attribute(value=whose, attr="exception") if "getLogger" in ast.unparse(whose):
            return frozenset(["error"])
        case ast.IfExp(body=one, orelse=other):
            return _levels(one, assigned) | _levels(other, assigned)
        case ast.Name(id=name):
            return frozenset().union(*(_levels(each, {}) for each in assigned.get(name, [])))
    return frozenset()


def _texts(text: ast.expr, assigned: dict[str, list[ast.expr]]) -> Iterator[str]:
    match text:
        case ast.Constant(value=str(words)):
            yield words
        case ast.JoinedStr(values=parts):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts
            )
        case ast.IfExp(body=one, orelse=other):
            yield from _texts(one, assigned)
            yield from _texts(other, assigned)
        case ast.Name(id=name) if name in assigned:
            for each in assigned[name]:
                yield from _texts(each, {})
        case _:
            raise AssertionError(f"line {text.lineno}: a log line's name is a literal")


def in_the_code() -> list[Line]:
    return [line for path in ROOMS for line in lines_of(path)]


def fits(event: str, pattern: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", r"[a-z]+"), event) is not None


def test_the_search_finds_the_lines() -> None:
    found = {line.event: line.levels for line in in_the_code()}

    assert len(found) > 40
    assert found["destination halted"] == {"error"}
    assert found["destination state"] == {"info", "warning"}
    assert found["batch *"] == {"debug", "info"}
    assert found["Kafka error"] == {"error"}


def test_every_line_of_the_code_is_documented_at_its_level_and_with_its_facts() -> None:
    page, code = documented(), in_the_code()
    literal = {line.event for line in code}

    for line in code:
        rows = [
            page[event]
            for event in page
            if event == line.event or (event not in literal and fits(event, line.event))
        ]
        assert rows, f"{line.place}: docs/logs.md lacks {line.event!r}"
        for levels, facts in rows:
            assert levels == line.levels, f"{line.place}: the level of {line.event!r}"
            assert line.facts <= facts, f"{line.place}: {line.event!r} lacks {line.facts - facts}"


def test_every_documented_line_is_in_the_code() -> None:
    patterns = [*(line.event for line in in_the_code()), ENDING_AT_ONCE]

    assert [e for e in documented() if not any(fits(e, pattern) for pattern in patterns)] == []


def test_every_documented_fact_is_a_word_of_the_code() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in ROOMS)
    words = set(re.findall(r"\b([a-z_]+)=", text)) | set(re.findall(r"\"([a-z_]+)\"", text))
    facts = {fact for _, found in documented().values() for fact in found}

    assert facts - words == set()


@pytest.mark.parametrize("kind", [kind for kind in get_args(Verdict) if kind is not Accepted])
def test_what_meta_says_of_a_batch_is_documented(kind: type) -> None:
    assert f"batch {kind.__name__.lower()}" in documented()


@pytest.mark.parametrize("kind", ["assigned", "revoked", "lost"])
def test_each_way_in_which_partitions_come_and_go_is_documented(kind: str) -> None:
    assert f"partitions {kind}" in documented()

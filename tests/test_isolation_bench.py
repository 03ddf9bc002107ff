"""The bench of isolation: few placements here, and the bounds hold."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parent.parent / "bench" / "isolation.py"


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    specification = importlib.util.spec_from_file_location("isolation_bench", BENCH)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "isolation_bench", module)
        specification.loader.exec_module(module)
        yield module


def test_the_bounds_hold_through_the_real_outbox(bench: ModuleType) -> None:
    rows = list(bench.measure(8, 7, (1, 10), lambda text: None))

    assert [(row.knows, row.bad) for row in rows if not row.holds] == []
    assert len(rows) == 8


def test_it_prints_a_table_or_json_and_fails_when_a_bound_is_exceeded(
    bench: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, named = bench.CASES[2], bench.CASES[3]
    monkeypatch.setattr(bench, "CASES", (exact._replace(bounds={1: 2, 10: 2, 50: 2}),))
    assert bench.main(["--placements", "2"]) == 0
    assert "| an exact rule | 1 | 2.0 | 2 | 2 |" in capsys.readouterr().out

    monkeypatch.setattr(bench, "CASES", (named._replace(bounds={1: 1.5, 10: None, 50: None}),))
    assert bench.main(["--placements", "2", "--json"]) == 1
    row = json.loads(capsys.readouterr().out)[0]
    assert (row["mean"], row["most"], row["bound"]) == (2.0, 2, 1.5)

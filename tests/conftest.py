"""In which order tests run, and what a run of them tells at its end."""

from collections.abc import Callable

import pytest

Teller = Callable[[str], None]

_TELLING = "told"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What only computes begins, beside tests that wait for brokers; alone at the end it would
    leave the other processes with nothing to do."""
    items.sort(key=lambda item: not item.path.name.startswith("test_simulation"))


@pytest.fixture
def tell_at_end(request: pytest.FixtureRequest) -> Teller:
    """``tell_at_end("seeds 7 to 9")``: a line for the end of the run, passed or failed."""
    properties = request.node.user_properties
    return lambda line: properties.append((_TELLING, f"{request.node.name}: {line}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The lines that tests wanted to be told."""
    lines = [
        str(line)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, line in report.user_properties
        if name == _TELLING
    ]
    if lines:
        terminalreporter.section("told by the tests")
        for line in lines:
            terminalreporter.line(line)

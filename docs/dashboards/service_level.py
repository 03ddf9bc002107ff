"""The row Service level: the objective, and how fast what it allows is used up."""

from dashboards.panels import Panel


def service_level() -> tuple[Panel, ...]:
    return ()

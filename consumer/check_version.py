"""Checks the version of the Graph API: the one we call, and the one that Meta answers with."""

import re

from consumer.finding import Finding, failed, ok, warning
from consumer.graph_versions import NEWEST, Outlook, Stage
from consumer.meta import GraphAnswer


def called_version(version: Outlook) -> Finding:
    """How long the version that is called still lives."""
    advice = f"Set CONVERSIONS_GRAPH_VERSION to {NEWEST}."
    if version.stage is Stage.ENDED:
        return failed("Graph version", version.told, advice)
    if not version.is_fine:
        return warning("Graph version", version.told, advice)
    return ok("Graph version", version.told)


def served_version(answers: list[GraphAnswer]) -> Finding:
    """Meta's warning about the version that we call, from whichever pixel it came."""
    for answer in answers:
        told = answer.headers.get("x-ad-api-version-warning")
        if told is not None:
            used = re.search(r"v\d{1,3}\.\d{1,2}", told, re.ASCII)
            which = used[0] if used else "another one"
            return warning(
                "Graph API",
                f"Meta warns about the version that we call, and names {which}",
                "Set CONVERSIONS_GRAPH_VERSION to a newer one.",
            )
    return ok("Graph API", "it answers")

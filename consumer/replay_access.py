"""What replaying dead letters needs of Kafka, and what to say of what is missing. Pure.

A replay writes into the source topic and a marker into the dead-letter topic in one transaction,
under an id that is the same for every operator: two of them must not replay at once.
"""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from consumer.finding import Finding, ok, skipped, warning

SUBJECT = "replay"


class Granted(Enum):
    """Whether an ACL lets somebody use the transactional id."""

    YES = "yes"
    NO = "no"
    NOT_SEEN = "not_seen"  # we may not look at ACLs


class Permission(NamedTuple):
    """Kafka's operation, and the resource with its kind: ``topic conversions.events``."""

    operation: str
    resource: str

    def __str__(self) -> str:
        return f"{self.operation} on {self.resource}"


def transactional_id(*, cluster_id: str, dead_letter_topic: str) -> str:
    """The one id under which the dead letters of a topic are replayed."""
    return f"conversions-replay-{cluster_id}-{dead_letter_topic}"


def replay_access(missing: Sequence[Permission], *, identity: str, granted: Granted) -> Finding:
    """Whether replay would be let in. ``missing`` are permissions on topics, ``identity`` is the
    transactional id. The consumer itself needs none of it, and may well do without."""
    needs = Permission("WRITE", f"transactional-id {identity}")
    lacking = [*missing, *([needs] if granted is Granted.NO else [])]
    if lacking:
        listed = ", ".join(map(str, lacking))
        return warning(
            SUBJECT,
            f"dead letters cannot be replayed with these credentials: {listed} is not allowed",
            f"Allow {listed} (kafka-acls --add --allow-principal), or replay with others.",
        )
    if granted is Granted.NOT_SEEN:
        return skipped(
            SUBJECT,
            f"whether {needs} is allowed cannot be seen",
            "Allow it before the first replay; DESCRIBE on the cluster lets it be checked.",
        )
    return ok(SUBJECT, "the brokers let dead letters be replayed")

"""One open record is taken out of the way: how it is named, and what becomes of the wish. Pure.

Its dead letter is a reference: neither key nor value, which may be what nobody takes.
"""

import re
from dataclasses import replace
from enum import Enum

from consumer.dead_letter import sent_before_ms
from consumer.model import Place, Prepared, Reason, Record, Rejected, TopicPartition

ANSWER_SECONDS = 10.0
"""So long whoever asks waits for the acknowledgement of the record's dead letter."""

DETAIL = "an operator took it out of the way"


class Skipping(Enum):
    """What became of the wish that a record be skipped."""

    SKIPPED = "skipped"
    UNDER_WAY = "under_way"  # taken out; its dead letter is not acknowledged yet
    NOT_OPEN = "not_open"  # settled, or not read yet
    NOT_OURS = "not_ours"  # its partition is not this member's
    ON_ITS_WAY = "on_its_way"  # to Meta, whose answer decides
    BEING_WRITTEN = "being_written"  # to the dead letters, which may take it
    TOO_MANY = "too_many"
    NO_TURN = "no_turn"  # the loop did not come to it


def place_of(text: str) -> Place | None:
    """``topic:partition:offset``; None when it is none."""
    found = _PLACE.fullmatch(text)
    return found and Place(TopicPartition(found[1], int(found[2])), int(found[3]))


def skipped_record(record: Record) -> Rejected:
    """One that is not decoded yet."""
    sent_ms = sent_before_ms(record)
    return Rejected(
        record=record,
        reason=Reason.SKIPPED_BY_OPERATOR,
        detail=DETAIL,
        first_sent_at_ms=sent_ms,
        maybe_delivered=sent_ms is not None,
    )


def skipped_event(event: Prepared, *, first_sent_at_ms: int | None) -> Rejected:
    """One that waits to be sent; ``first_sent_at_ms``: it was sent before, and given back."""
    return Rejected(
        record=event.record,
        reason=Reason.SKIPPED_BY_OPERATOR,
        detail=DETAIL,
        destination=event.destination,
        event_name=event.event_name,
        event_id=event.event_id,
        event_time_ms=event.event_time_ms,
        expires_at_ms=event.expires_at_ms,
        first_sent_at_ms=first_sent_at_ms,
        maybe_delivered=first_sent_at_ms is not None,
    )


def skipped_letter(rejected: Rejected) -> Rejected:
    """One whose dead letter could not be written; why it was rejected stays said."""
    detail = f"{DETAIL}; it was rejected as {rejected.reason.value}"
    return replace(rejected, reason=Reason.SKIPPED_BY_OPERATOR, detail=detail)


_PLACE = re.compile(r"([a-zA-Z0-9._-]{1,249}):([0-9]{1,9}):([0-9]{1,18})", re.ASCII)

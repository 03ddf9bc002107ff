"""A dead letter → the record that goes back to the source topic, and the mark that it did. Pure.

Key, value and the publisher's headers are what they were. Of ours only those go along by which a
repetition is known: where the record first appeared, its event id, how often it was replayed; and
of what Meta may have counted, when that was.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from consumer.dead_letter import PREFIX, OwnHeader
from consumer.iso_time import iso_time
from consumer.letter import Letter, LetterPlace, Mark
from consumer.model import Header, Record
from consumer.origin import origin_of

CONNECT = "__connect.errors."
_CLASS = f"{CONNECT}exception.class.name"


class ReplayRecord(NamedTuple):
    """One replay: a record of the source topic, and its mark, a record of the dead-letter topic.

    The mark lies in the partition of its letter, behind it: what Kafka deletes by age or size it
    deletes from the front, so that no mark goes before its letter.
    """

    place: LetterPlace
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    mark_key: bytes
    mark_headers: tuple[Header, ...]

    def __repr__(self) -> str:
        return f"ReplayRecord({self.place})"

    @property
    def size_bytes(self) -> int:
        """What it brings into a transaction, about."""
        return (
            len(self.key or b"")
            + len(self.value or b"")
            + sum(
                len(name) + len(value or b"") for name, value in (*self.headers, *self.mark_headers)
            )
        )


def replay_record(letter: Letter, *, replayed_at_ms: int) -> ReplayRecord:
    """What a replay of this letter writes. The letter is complete: opened, with its own value."""
    mark = letter.next_mark
    assert mark is not None, "the plan leaves out what has no origin"
    own = tuple(_encoded(letter, mark))
    return ReplayRecord(
        place=letter.place,
        key=letter.key,
        value=letter.value,
        headers=(*publishers_headers(letter.headers), *_edited(letter.headers), *own),
        mark_key=f"{mark.origin}#{mark.replay}".encode(),
        mark_headers=(*own, (OwnHeader.REPLAYED.header, iso_time(replayed_at_ms).encode())),
    )


def last_topic(letter: Letter) -> str | None:
    """The topic that the dead letter came from, which need not be where the record first was."""
    if letter.source is not None:
        return letter.source[0].topic
    if _are_ours(letter.headers):
        told = next((value for name, value in letter.headers if name == f"{CONNECT}topic"), None)
        return (told or b"").decode("utf-8", "replace")
    return None if letter.origin is None else letter.origin.topic


def value_place(letter: Letter) -> tuple[str, LetterPlace] | None:
    """Topic, and place in it, of the record that a dead letter by reference is about."""
    if letter.source is not None:
        (topic, partition), offset = letter.source
        return topic, LetterPlace(partition, offset)
    if letter.origin is None:
        return None
    return letter.origin.topic, LetterPlace(letter.origin.partition, letter.origin.offset)


def refilled(letter: Letter, record: Record) -> Letter | None:
    """A letter by reference with what that record holds; None if it is another record by now, as
    in a topic that was made anew."""
    if origin_of(record) != letter.origin:
        return None
    return replace(
        letter, key=record.key, value=record.value, headers=record.headers, by_reference=False
    )


def _encoded(letter: Letter, mark: Mark) -> Iterator[Header]:
    yield OwnHeader.ORIGIN.header, str(mark.origin).encode()
    if letter.event_id is not None:
        yield OwnHeader.EVENT_ID.header, letter.event_id.encode()
    yield OwnHeader.REPLAYS.header, str(mark.replay).encode()
    if letter.maybe_delivered and letter.first_sent_at_ms is not None:
        # The consumer goes on counting the hours until Meta forgets that it counted it.
        yield OwnHeader.FIRST_SENT_AT.header, iso_time(letter.first_sent_at_ms).encode()


def publishers_headers(headers: tuple[Header, ...]) -> Iterator[Header]:
    """Those that were on the record before it was dead-lettered."""
    ours = _are_ours(headers)
    for header in headers:
        if not header[0].startswith(PREFIX) and not (ours and header[0].startswith(CONNECT)):
            yield header


def _edited(headers: tuple[Header, ...]) -> Iterator[Header]:
    return (header for header in headers if header[0] == OwnHeader.EDITED.header)


def _are_ours(headers: tuple[Header, ...]) -> bool:
    """Whether Kafka Connect's headers were written by us: a publisher's are kept, all of them."""
    return any(
        name == _CLASS and (value or b"").startswith(PREFIX.encode()) for name, value in headers
    )

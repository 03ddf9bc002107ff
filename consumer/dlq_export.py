"""``conversions dlq export``: dead letters as lines that people edit and ``publish`` puts back.

The lines go to stdout and hold personal data in full; what is to be said of them goes to stderr.
"""

import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

import orjson

from consumer.dead_letter_topic import DeadLetterTopic
from consumer.dlq import letters, topic_of
from consumer.export_lines import exported
from consumer.json_lines import LINE_BYTES_MAX, PROVENANCE
from consumer.letter import Foreign, Letter, StillSealed, Unseal, opened
from consumer.letter_filter import LetterFilter
from consumer.repair import WholeEvents
from consumer.replayable import Replays
from consumer.schema_lookup import schemas_of
from consumer.settings import Settings
from consumer.terminal import progress_bar
from consumer.text_tables import counted


class LeftOut(Enum):
    """Why a dead letter is not exported; the value is told."""

    FOREIGN = "somebody else wrote it"
    REPLAYED = "it was replayed already"
    SEALED = "its value is sealed, and no key opens it"
    BY_REFERENCE = "its value lies only in the source topic: `dlq replay` fetches it"
    TOO_LARGE = "publish reads no line as long"


class ExportFailed(Exception):
    """It ended early; ``str`` is one sentence."""


def run_export(
    settings: Settings,
    wanted: LetterFilter,
    *,
    limit: int | None,
    now_ms: int,
    unseal: Unseal | None,
) -> None:
    """Write a line for each that is wanted. Raises TopicUnreadable and ExportFailed, perhaps after
    some lines, and ValueError for a local schema that is none."""
    topic = topic_of(settings)
    out = sys.stdout.buffer
    left_out: Counter[LeftOut] = Counter()
    written, undecoded = 0, 0
    _complain(_warning())
    replays = _replays(topic, wanted, now_ms)
    shown = not sys.stdout.isatty()  # lines and a bar would disturb each other
    with (
        schemas_of(settings) as schemas,
        progress_bar("exporting", None, shown=shown) as advance,
    ):
        events = WholeEvents(schemas)
        for found in letters(topic, wanted, now_ms=now_ms, progress=advance, replays=None):
            if written == limit:
                break
            line = _line(found, replays, events, unseal)
            if schemas.trouble is not None:
                raise ExportFailed(f"the schema registry cannot be asked: {schemas.trouble}")
            if isinstance(line, LeftOut):
                left_out[line] += 1
                continue
            out.write(line.text)
            written += 1
            undecoded += line.undecoded
    out.flush()
    for sentence in _counts(written, undecoded, left_out):
        _complain(sentence)


class _Line(NamedTuple):
    text: bytes
    undecoded: bool


def _line(
    found: Letter | Foreign, replays: Replays, events: WholeEvents, unseal: Unseal | None
) -> _Line | LeftOut:
    if isinstance(found, Foreign):
        return LeftOut.FOREIGN
    if replays.has(found):
        return LeftOut.REPLAYED
    if found.by_reference:
        return LeftOut.BY_REFERENCE
    letter = opened(found, unseal)
    if isinstance(letter, StillSealed):
        return LeftOut.SEALED
    line = exported(letter, events)
    text = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
    if len(text) > LINE_BYTES_MAX:
        return LeftOut.TOO_LARGE
    return _Line(text, "valueHex" in line[PROVENANCE])


def _replays(topic: DeadLetterTopic, wanted: LetterFilter, now_ms: int) -> Replays:
    """What was replayed already: a mark may lie anywhere behind its letter."""
    replays = Replays()
    with progress_bar("looking for replays", None) as advance:
        for _ in letters(topic, wanted, now_ms=now_ms, progress=advance, replays=replays):
            pass
    return replays


def _warning() -> str:
    told = "personal data is exported in full: keep the file to yourself, and delete it afterwards"
    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except (OSError, ValueError):
        return told
    others = stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO)
    return (
        f"{told}; others may read it as it is (chmod 600, or umask 077 before)" if others else told
    )


def _counts(written: int, undecoded: int, left_out: Counter[LeftOut]) -> Iterator[str]:
    yield f"{counted(written, 'dead letter')} exported"
    if undecoded:
        yield f"{undecoded:,} of them in hex, as they cannot be decoded"
    for why, count in left_out.items():
        yield f"{count:,} left out: {why.value}"


def _complain(sentence: str) -> None:
    sys.stderr.write(f"conversions: {sentence}\n")

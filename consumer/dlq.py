"""``conversions dlq``: what lies in the dead-letter topic, counted, listed, or shown one by one.

What was found goes to stdout, why something could not be to stderr. Nothing here changes anything.
"""

import heapq
import sys
from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Any, NamedTuple

import orjson

from consumer import stdout
from consumer.dead_letter_topic import DeadLetterTopic
from consumer.letter import Foreign, Letter, LetterPlace, Marker, Unseal, read_letter
from consumer.letter_filter import LetterFilter
from consumer.letter_lines import heading, letter_json, letter_line
from consumer.letter_page import content_of, page_json, page_text
from consumer.letter_stats import Tally, stats_json
from consumer.replayable import Replays
from consumer.schema_lookup import schemas_of
from consumer.settings import Settings
from consumer.stats_tables import stats_text
from consumer.terminal import Advance, progress_bar

PIPE_COLUMNS = 100
LIST_PIPE_COLUMNS = 200
"""A pipe has no width: room for a page, and for every column of a line."""

NEWEST_MAX = 100
"""How many are the newest ones unless it is said."""

OTHERS_MAX = 5

Shown = Letter | Foreign


def run_stats(settings: Settings, wanted: LetterFilter, *, now_ms: int, as_json: bool) -> None:
    """Count what is wanted. Raises TopicUnreadable."""
    topic = topic_of(settings)
    tally, replays = Tally(now_ms=now_ms), Replays()
    with progress_bar("reading", None) as advance:
        for found in letters(topic, wanted, now_ms=now_ms, progress=advance, replays=replays):
            tally.add(found)
    stats = tally.stats(replays)
    if as_json:
        _write_json(stats_json(stats, topic.name), indent=True)
    else:
        stdout.write(stats_text(stats, topic.name, stdout.look(pipe_columns=PIPE_COLUMNS)))


def run_list(
    settings: Settings,
    wanted: LetterFilter,
    *,
    limit: int | None,
    newest: bool,
    now_ms: int,
    as_json: bool,
) -> None:
    """A line for each that is wanted, as they are read or the newest first. Raises
    TopicUnreadable, perhaps after some lines."""
    topic = topic_of(settings)
    look = stdout.look(pipe_columns=LIST_PIPE_COLUMNS)
    lines_flow = not newest and sys.stdout.isatty()  # they and a bar would disturb each other
    with progress_bar("reading", None, shown=not lines_flow) as advance:
        found = _not_replayed(topic, wanted, now_ms=now_ms, progress=advance)
        chosen = iter(_newest(found, limit or NEWEST_MAX)) if newest else islice(found, limit)
        if not as_json:
            stdout.write(heading(look))
        for each in chosen:
            if as_json:
                _write_json(letter_json(each), indent=False)
            else:
                stdout.write(letter_line(each, look))


def run_show(
    settings: Settings,
    which: str,
    *,
    reveal: bool,
    now_ms: int,
    as_json: bool,
    unseal: Unseal | None,
) -> int:
    """The dead letter at a place, or the newest with a trace id or event id; the exit code.

    Raises TopicUnreadable, and ValueError for a local schema that is none.
    """
    topic = topic_of(settings)
    answer = _at(topic, place) if (place := _place(which)) else _named(topic, which)
    if answer.told:
        _complain(answer.told)
    if answer.found is None:
        return 1
    found = answer.found
    with schemas_of(settings) as schemas:
        content = content_of(found, schema_for=schemas, unseal=unseal, reveal=reveal)
    if schemas.trouble is not None:
        _complain(f"the schema registry does not answer ({schemas.trouble})")
    if reveal:
        _complain("personal data is shown in full")
    if as_json:
        _write_json(page_json(found, content, now_ms=now_ms, reveal=reveal), indent=True)
    else:
        look = stdout.look(pipe_columns=PIPE_COLUMNS)
        page = page_text(found, content, look, topic=topic.name, now_ms=now_ms, reveal=reveal)
        stdout.write(page)
    return 0


def topic_of(settings: Settings) -> DeadLetterTopic:
    """The dead-letter topic that the settings name."""
    return DeadLetterTopic(configuration=settings.kafka_consumer, topic=settings.dlq_topic)


def letters(
    topic: DeadLetterTopic,
    wanted: LetterFilter,
    *,
    now_ms: int,
    progress: Callable[[int, int], None],
    replays: Replays | None,
) -> Iterator[Shown]:
    """All that are wanted, replayed or not, in order within each partition.

    ``replays`` is told of every mark that is met; None leaves them out. Raises TopicUnreadable.
    """
    # A replay's mark may lie in any partition.
    partitions = wanted.partitions if replays is None else None
    for record in topic.read(since_ms=wanted.since_ms, partitions=partitions, progress=progress):
        match read_letter(record):
            case Marker() as marker:
                if replays is not None:
                    replays.note(marker)
            case found if wanted.matches(found, now_ms=now_ms):
                yield found


class _Answer(NamedTuple):
    """What was looked for, if it was found, and a sentence on that, which may be empty."""

    found: Shown | None
    told: str


def _not_replayed(
    topic: DeadLetterTopic, wanted: LetterFilter, *, now_ms: int, progress: Advance
) -> Iterator[Shown]:
    """What is wanted; if that must be replayable, what was replayed is looked for before."""
    replays = Replays()
    if wanted.replayable:
        for _ in letters(topic, wanted, now_ms=now_ms, progress=progress, replays=replays):
            pass
    for each in letters(topic, wanted, now_ms=now_ms, progress=progress, replays=None):
        if isinstance(each, Foreign) or not replays.has(each):
            yield each


def _newest(found: Iterator[Shown], limit: int) -> list[Shown]:
    """Of so many only the newest are kept in memory."""
    numbers = count()
    kept: list[tuple[int, int, Shown]] = []
    for each in found:
        entry = (each.written_at_ms, next(numbers), each)
        if len(kept) < limit:
            heapq.heappush(kept, entry)
        else:
            heapq.heappushpop(kept, entry)
    return [each for _, _, each in sorted(kept, reverse=True)]


def _place(which: str) -> LetterPlace | None:
    """``partition:offset``."""
    partition, colon, offset = which.partition(":")
    whole = all(
        len(part) <= 18 and part.isascii() and part.isdigit() for part in (partition, offset)
    )
    return LetterPlace(int(partition), int(offset)) if colon and whole else None


def _at(topic: DeadLetterTopic, place: LetterPlace) -> _Answer:
    record = topic.read_one(place)
    if record is None:
        return _Answer(None, f"there is no record at {place} of {topic.name}")
    match read_letter(record):
        case Marker():
            return _Answer(None, f"at {place} of {topic.name} is the mark of a replay")
        case found:
            return _Answer(found, "")


def _named(topic: DeadLetterTopic, which: str) -> _Answer:
    """The newest with this trace id or event id."""
    newest: Letter | None = None
    places: list[LetterPlace] = []
    with progress_bar("looking", None) as advance:
        for record in topic.read(since_ms=None, partitions=None, progress=advance):
            letter = read_letter(record)
            if isinstance(letter, Letter) and which in (letter.trace_id, letter.event_id):
                places.append(letter.place)
                if newest is None or letter.written_at_ms >= newest.written_at_ms:
                    newest = letter
    if newest is None:
        told = "no dead letter has that trace id or event id (an id like a person's is masked)"
        return _Answer(None, told)
    others = [str(place) for place in places if place != newest.place]
    if not others:
        return _Answer(newest, "")
    more = f" and {len(others) - OTHERS_MAX} more" if len(others) > OTHERS_MAX else ""
    return _Answer(
        newest, f"the newest of {len(places)}; see also {', '.join(others[:OTHERS_MAX])}{more}"
    )


def _write_json(answer: dict[str, Any], *, indent: bool) -> None:
    option = orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if indent else 0)
    stdout.write(orjson.dumps(answer, option=option).decode())


def _complain(sentence: str) -> None:
    sys.stderr.write(f"conversions: {sentence}\n")

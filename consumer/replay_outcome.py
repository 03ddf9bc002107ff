"""What a replay came to: its types, and how it is told to people and to programs. Pure.

No values and no keys: a letter is told by its place.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from consumer.letter import LetterPlace
from consumer.replay_plan import SkipReason
from consumer.text_tables import Look, counted, new_table, paragraph, rendered


class Ending(Enum):
    """How a replay ended; the value stands in JSON."""

    DRY_RUN = "dry_run"
    DONE = "done"
    STOPPED = "stopped"
    SUPERSEDED = "superseded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of it. ``planned`` letters were to be replayed, or would be in a dry run; of them
    ``left`` have neither been replayed nor skipped.

    ``skipped`` are the others that were wanted, and ``samples`` has a place for each reason, under
    None one of those planned. ``told`` says why it ended early, else it is empty; ``warnings`` are
    sentences.
    """

    topic: str
    letters_topic: str
    planned: int
    replayed: int
    left: int
    skipped: Mapping[SkipReason, int]
    samples: Mapping[SkipReason | None, LetterPlace]
    ending: Ending
    told: str
    warnings: tuple[str, ...]

    @property
    def is_fine(self) -> bool:
        """Whether all was done that was to be done."""
        return self.ending is Ending.DRY_RUN or (self.ending is Ending.DONE and not self.left)


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """All of it; places as ``partition:offset``."""
    return {
        "topic": outcome.topic,
        "dlqTopic": outcome.letters_topic,
        "ending": outcome.ending.value,
        "planned": outcome.planned,
        "replayed": outcome.replayed,
        "left": outcome.left,
        "skipped": {reason.value: count for reason, count in _ranked(outcome)},
        "samples": {
            "planned" if reason is None else reason.value: str(place)
            for reason, place in outcome.samples.items()
        },
        "told": outcome.told or None,
        "warnings": list(outcome.warnings),
    }


def outcome_text(outcome: Outcome, look: Look) -> str:
    """What was done or would be, and a line for each reason why others are not."""
    told = "".join(paragraph(sentence, look) for sentence in _sentences(outcome))
    if not outcome.skipped:
        return told
    table = new_table(look)
    table.add_column("reason", no_wrap=True)
    table.add_column("letters", justify="right", no_wrap=True)
    table.add_column("for example", no_wrap=True)
    table.add_column("why", ratio=1)
    for reason, count in _ranked(outcome):
        table.add_row(reason.value, f"{count:,}", str(outcome.samples.get(reason, "")), reason.says)
    count = sum(outcome.skipped.values())
    title = f"skipped: {counted(count, 'dead letter')}"
    return f"{told}\n{rendered(title, table, look)}"


def _sentences(outcome: Outcome) -> Iterator[str]:
    letters = counted(outcome.planned, "dead letter")
    if outcome.ending is Ending.DRY_RUN:
        if not outcome.planned:
            yield f"Nothing of {outcome.letters_topic} would be replayed."
            return
        example = f" ({outcome.samples[None]} for example)"
        yield f"{letters} would be replayed into {outcome.topic}{example}."
        yield "Nothing was changed: --yes replays them."
        return
    yield f"{outcome.replayed:,} of {letters} replayed into {outcome.topic}."


def ending_told(outcome: Outcome) -> str:
    """A sentence on why not all was done; empty when it was."""
    done = f"{outcome.replayed:,} of {outcome.planned:,} dead letters were replayed"
    again = "the same command goes on where it stopped"
    match outcome.ending:
        case Ending.DRY_RUN:
            return ""
        case Ending.DONE:
            gone = f"{counted(outcome.left, 'dead letter')} went from the topic meanwhile"
            return gone if outcome.left else ""
        case Ending.STOPPED:
            how = f" ({outcome.told})" if outcome.told else ""
            return f"stopped{how}: {done}; {again}"
        case Ending.SUPERSEDED:
            return f"{outcome.told}: {done} by this one"
        case Ending.FAILED:
            return f"{outcome.told}: {done}; {again}"


def _ranked(outcome: Outcome) -> list[tuple[SkipReason, int]]:
    order = list(SkipReason)
    found = [(reason, count) for reason, count in outcome.skipped.items() if count]
    return sorted(found, key=lambda each: (-each[1], order.index(each[0])))

"""``conversions dlq replay``: dead letters back into the source topic, or what would be."""

import math
import sys
from collections.abc import Callable, Container
from typing import Annotated, Any, NamedTuple

import typer

from consumer.cli_letter_filter import choosing
from consumer.cli_repair import (
    AsNewEvent,
    Reveal,
    ToDestination,
    ToDrop,
    ToSet,
    Wishes,
    repairing,
)
from consumer.command_line import (
    JsonOutput,
    SettingsFile,
    moment_ms,
    refuse,
    refusing,
    settings_from,
)
from consumer.letter import LetterPlace
from consumer.letter_filter import LetterFilter
from consumer.settings import SettingsError

MAX_REPLAYS = 3
NOW_MS_OFF_MAX = 60_000


def _option(text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, show_default=False, **more)


@choosing
def replay(
    wanted: LetterFilter,
    now_ms: int,
    *,
    yes: Annotated[
        bool, _option("Do it: without, it is only told what would be.", "--yes")
    ] = False,
    limit: Annotated[int | None, _option("Replay at most so many.", min=1)] = None,
    per_second: Annotated[float | None, _option("Replay at most so many a second.")] = None,
    max_replays: Annotated[
        int, typer.Option(help="Skip what came back so often already.", min=1)
    ] = MAX_REPLAYS,
    again: Annotated[bool, _option("Also what was replayed before.", "--again")] = False,
    accept_duplicates: Annotated[
        bool, _option("Also what Meta may have counted and forgotten.", "--accept-duplicates")
    ] = False,
    to_topic: Annotated[
        str | None, _option("Into this topic instead of the source topic.", metavar="TOPIC")
    ] = None,
    to_set: ToSet = None,
    to_drop: ToDrop = None,
    to_destination: ToDestination = None,
    as_new_event: AsNewEvent = False,
    reveal: Reveal = False,
    as_json: JsonOutput = False,
    settings_file: SettingsFile = None,
    assignments: Annotated[
        list[str] | None,
        _option("Set any setting by its variable's name.", "--setting", "-s", metavar="NAME=VALUE"),
    ] = None,
) -> None:
    """Send dead letters back to the source topic, each exactly once. A dry run unless --yes."""
    from consumer.dead_letter_topic import TopicUnreadable
    from consumer.kafka_refusal import KafkaRefuses
    from consumer.replay import ReplayOrder
    from consumer.replay import replay as run
    from consumer.replay_topics import ReplayFailed, ReplayRefused
    from consumer.sealing_keys import KeyFileMistake
    from consumer.terminal import Bars, told_to_stop
    from consumer.unsealing import unsealing

    if per_second is not None and not (math.isfinite(per_second) and per_second > 0):
        refuse("--per-second must be a number above 0")
    if yes and abs(now_ms - moment_ms(None)) > NOW_MS_OFF_MAX:
        refuse("--now is for dry runs: what is really replayed is judged by the present")
    settings = settings_from(settings_file, assignments)
    with refusing(SettingsError, KeyFileMistake):
        settings.require_kafka()
        unseal = unsealing(settings)
    wishes = Wishes(to_set or (), to_drop or (), to_destination, as_new_event, reveal)
    try:
        with repairing(settings, wanted, wishes) as editing, refusing(ReplayRefused, KafkaRefuses):
            order = ReplayOrder(
                wanted=wanted,
                now_ms=now_ms,
                act=yes,
                topic=to_topic,
                limit=limit,
                per_second=per_second,
                max_replays=max_replays,
                again=again,
                accept_duplicates=accept_duplicates,
                repair=editing.repair,
                unseal=unseal,
            )
            with told_to_stop() as signals, Bars() as bars:
                outcome = run(settings, order, _Watching(signals, bars.show, editing.only))
    except (ReplayFailed, TopicUnreadable) as error:
        _complain(str(error))
        raise typer.Exit(1) from None
    _tell(outcome, as_json=as_json)
    raise typer.Exit(0 if outcome.is_fine and editing.is_fine() else 1)


class _Watching(NamedTuple):
    """Satisfies ``replay.Watching``."""

    signals: list[int]
    show: Callable[[str, int, int], None]
    chosen: Callable[[Container[LetterPlace]], None]

    def stops(self) -> int:
        """How many signals came."""
        return len(self.signals)

    def reading(self, read: int, about: int) -> None:
        """A bar for what is read."""
        self.show("reading", read, about)

    def replaying(self, done: int, planned: int) -> None:
        """A bar for what is replayed."""
        self.show("replaying", done, planned)


def _tell(outcome: Any, *, as_json: bool) -> None:
    import orjson

    from consumer import stdout
    from consumer.replay_outcome import ending_told, outcome_json, outcome_text

    for warning in outcome.warnings:
        _complain(warning)
    if as_json:
        stdout.write(
            orjson.dumps(
                outcome_json(outcome), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
            ).decode()
        )
    else:
        stdout.write(outcome_text(outcome, stdout.look(pipe_columns=100)))
    if told := ending_told(outcome):
        _complain(told)


def _complain(sentence: str) -> None:
    sys.stderr.write(f"conversions: {sentence}\n")

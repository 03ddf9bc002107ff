"""The options by which dead letters are chosen, once for every ``dlq`` command that has them."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

from consumer.command_line import moment_ms, refusing
from consumer.letter_filter import FilterError, LetterFilter, letter_filter


def choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options below. Instead of them it takes ``wanted`` and ``now_ms``."""

    def choose(**given: Any) -> None:
        own = {name: value for name, value in given.items() if name not in _OPTIONS}
        options = {name: given[name] for name in _OPTIONS if name != "now"}
        now_ms = moment_ms(given["now"])
        with refusing(FilterError):
            wanted = letter_filter(**options, now_ms=now_ms)
        command(wanted=wanted, now_ms=now_ms, **own)

    signature = inspect.signature(command)
    taken = [
        each for each in signature.parameters.values() if each.name not in ("wanted", "now_ms")
    ]
    offered = inspect.signature(_options).parameters
    parameters = [*offered.values(), *taken]
    # What typer reads of a command: its name, its text, its parameters with their types.
    choose.__name__, choose.__doc__ = command.__name__, command.__doc__
    choose.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    hints = get_type_hints(command, include_extras=True) | get_type_hints(
        _options, include_extras=True
    )
    choose.__annotations__ = {each.name: hints[each.name] for each in parameters}
    return choose


def _option(text: str, metavar: str, *names: str) -> Any:
    return typer.Option(*names, metavar=metavar, help=text, show_default=False)


Words = list[str] | None
Numbers = list[int] | None


def _options(
    *,
    reason: Annotated[Words, _option("With this reason; may be repeated.", "REASON")] = None,
    stage: Annotated[Words, _option("Rejected here: decode, validate, send.", "STAGE")] = None,
    code: Annotated[Numbers, _option("With this code of Meta's.", "CODE")] = None,
    subcode: Annotated[Numbers, _option("With this subcode of Meta's.", "SUBCODE")] = None,
    destination: Annotated[Words, _option("Of this pixel.", "ID")] = None,
    event_name: Annotated[Words, _option("With this event name.", "NAME")] = None,
    event_id: Annotated[Words, _option("With this event id.", "ID")] = None,
    trace_id: Annotated[Words, _option("With this trace id.", "ID")] = None,
    partition: Annotated[Numbers, _option("In this partition.", "NUMBER")] = None,
    offset: Annotated[Words, _option("At this offset, or from one to another.", "N[-M]")] = None,
    since: Annotated[str | None, _option("Failed since then: 2h, 3d, ISO 8601.", "TIME")] = None,
    until: Annotated[str | None, _option("Failed before then.", "TIME")] = None,
    replayable: Annotated[
        bool, typer.Option("--replayable", help="Not replayed yet, and still can be.")
    ] = False,
    now: Annotated[str | None, _option("The time to judge by (default: now).", "TIME")] = None,
) -> LetterFilter | None:
    """Only for its parameters."""


_OPTIONS = tuple(inspect.signature(_options).parameters)

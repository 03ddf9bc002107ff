"""The options of ``conversions dlq replay`` that edit the events on their way."""

from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Annotated, NamedTuple

import typer

from consumer.command_line import refuse, refusing
from consumer.letter import LetterPlace
from consumer.letter_filter import LetterFilter
from consumer.replay_plan import Repair, unchanged
from consumer.settings import Settings

ToSet = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Set a field of the event: currency=EUR, user.country=US, items[0].price=9.5.",
        show_default=False,
    ),
]
ToDrop = Annotated[
    list[str] | None,
    typer.Option("--drop", metavar="PATH", help="Leave out a field: user.zip.", show_default=False),
]
ToDestination = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Send it to this pixel instead.", show_default=False),
]
AsNewEvent = Annotated[
    bool,
    typer.Option("--as-new-event", help="With --set eventId=…: Meta is to count it anew."),
]
Reveal = Annotated[
    bool, typer.Option("--reveal", help="Show personal data in full in what is edited.")
]


class Wishes(NamedTuple):
    """What is to be edited, as it was typed."""

    to_set: Sequence[str]
    to_drop: Sequence[str]
    to_destination: str | None
    as_new_event: bool
    reveal: bool


class Editing(NamedTuple):
    """What edits each letter, who is told which are replayed, and whether the schemas could be
    asked for all of them."""

    repair: Repair
    only: Callable[[Container[LetterPlace]], None]
    is_fine: Callable[[], bool]


@contextmanager
def repairing(settings: Settings, wanted: LetterFilter, wishes: Wishes) -> Iterator[Editing]:
    """What edits each letter; afterwards it is told on stderr what that did to the first ones.

    Leaves with exit code 2 when it cannot be meant so.
    """
    from consumer.edits import EditError, read_edits
    from consumer.repair import Repairs
    from consumer.repair_preview import Preview
    from consumer.schema_lookup import schemas_of

    with refusing(EditError):
        edits = read_edits(
            to_set=wishes.to_set, to_drop=wishes.to_drop, to_destination=wishes.to_destination
        )
    if wishes.as_new_event and not wanted.means_one:
        refuse(
            "--as-new-event is for one event: name it by --event-id, or --partition and --offset"
        )
    if not edits and not wishes.as_new_event:
        yield Editing(unchanged, lambda _: None, lambda: True)
        return
    with ExitStack() as stack:
        with refusing(ValueError):  # a local schema that is none
            schemas = stack.enter_context(schemas_of(settings))
        with refusing(EditError):
            repairs = Repairs(edits, as_new_event=wishes.as_new_event, schema_for=schemas)
        preview = Preview(repairs, reveal=wishes.reveal)
        yield Editing(preview.repair, preview.only, lambda: schemas.trouble is None)
    if schemas.trouble is not None:
        typer.echo(
            f"conversions: the schema registry does not answer ({schemas.trouble})", err=True
        )
    if wishes.reveal:
        typer.echo("conversions: personal data is shown in full", err=True)
    for line in preview.lines():
        typer.echo(line, err=True)

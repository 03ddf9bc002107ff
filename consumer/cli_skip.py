"""``conversions skip``: the member on this machine takes one record out of the way."""

import sys
from typing import Annotated

import typer

from consumer.command_line import (
    Assignments,
    JsonOutput,
    MemberPort,
    SettingsFile,
    member_port,
    refuse,
    settings_from,
)
from consumer.model import Place
from consumer.skip import Skipping, place_of


def skip(
    record: Annotated[
        str, typer.Argument(metavar="TOPIC:PARTITION:OFFSET", help="The record, as logs name it.")
    ],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether that is meant.")] = False,
    as_json: JsonOutput = False,
    port: MemberPort = None,
    settings_file: SettingsFile = None,
    assignments: Assignments = None,
) -> None:
    """Take one record out of the way that holds its partition up. Meta will not get it.

    Only a reference to it is dead-lettered, as skipped_by_operator; its value stays in the source
    topic until its retention ends.
    """
    from consumer.running_member import NobodyThere, RunningMember

    settings = settings_from(settings_file, assignments)
    place = place_of(record)
    if place is None:
        refuse("name one record as TOPIC:PARTITION:OFFSET, such as conversions.events:3:1042")
    member = RunningMember(host=settings.metrics_host, port=member_port(settings, port))
    if not yes:
        _confirm(place)
    try:
        became = member.skip(place)
    except NobodyThere as problem:
        typer.echo(f"conversions: no consumer answers at {member.address}: {problem}", err=True)
        raise typer.Exit(1) from None
    _tell(place, became, member.address, as_json=as_json)
    raise typer.Exit(0 if became is Skipping.SKIPPED else 1)


def _confirm(place: Place) -> None:
    if not sys.stdin.isatty():
        refuse("--yes must say that it is meant, where nobody can be asked")
    question = f"Meta will not get {place}; its value stays in Kafka until its retention ends. Skip"
    if not typer.confirm(question, err=True):
        typer.echo("nothing was skipped", err=True)
        raise typer.Exit(1)


def _tell(place: Place, became: Skipping | int, address: str, *, as_json: bool) -> None:
    if as_json:
        import orjson

        outcome = became.value if isinstance(became, Skipping) else f"http_{became}"
        typer.echo(orjson.dumps({"record": str(place), "outcome": outcome}))
        return
    if isinstance(became, Skipping):
        sentence = _SENTENCES[became].format(place=place, partition=place.partition.partition)
    else:
        sentence = _REFUSALS.get(became, f"does not take it (HTTP {became})")
    if became is Skipping.SKIPPED:
        typer.echo(f"{address} {sentence}")
    else:
        typer.echo(f"conversions: {address} {sentence}", err=True)


_SENTENCES = {
    Skipping.SKIPPED: "has skipped {place}; a reference to it is in the dead letters",
    Skipping.UNDER_WAY: "has taken {place} out of the way, but its dead letter is not acknowledged "
    "yet; its /readyz tells why",
    Skipping.NOT_OPEN: "has nothing to skip: {place} is settled already, or not read yet",
    Skipping.NOT_OURS: "does not own that partition: only the member can that shows "
    'conversions_kafka_lag_records with partition="{partition}" at its /metrics '
    "(kafka-consumer-groups --describe names its host)",
    Skipping.ON_ITS_WAY: "has just sent {place} to Meta, whose answer decides; ask again in a "
    "moment if it comes back",
    Skipping.BEING_WRITTEN: "is writing the dead letter of {place} just now; ask again in a moment",
    Skipping.TOO_MANY: "has not come to what it was asked before; try again in a moment",
    Skipping.NO_TURN: "did not come to it, and has done nothing; its /livez tells whether it turns",
}
_REFUSALS = {
    403: "takes this from its own machine only: run it there (docker exec, kubectl exec)",
    405: "cannot skip a record: it is of an older version",
}

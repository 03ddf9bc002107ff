"""``conversions rewind``, and ``run --from``: the group reads again what came since some time."""

from typing import Annotated, Any

import typer

from consumer.command_line import (
    Assignments,
    JsonOutput,
    SettingsFile,
    moment_ms,
    refuse,
    refusing,
    settings_from,
)
from consumer.letter_filter import FilterError, moment
from consumer.settings import Settings, SettingsError

AcceptDuplicates = Annotated[
    bool,
    typer.Option(
        "--accept-duplicates", help="Also what Meta may have counted and forgotten: over 47 hours."
    ),
]


def rewind(
    since: Annotated[
        str, typer.Option("--from", metavar="TIME", help="How far back: 2h, 3d, ISO 8601.")
    ],
    *,
    partition: Annotated[
        list[int] | None,
        typer.Option(
            metavar="NUMBER", help="Only this partition; may be repeated.", show_default=False
        ),
    ] = None,
    accept_duplicates: AcceptDuplicates = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it: without, it is only told what would be.")
    ] = False,
    as_json: JsonOutput = False,
    settings_file: SettingsFile = None,
    assignments: Assignments = None,
) -> None:
    """Have the group send again what came since a time. A dry run unless --yes.

    All of its members must have ended. Offsets only go back, and what was settled before is sent
    under the same event ids, which Meta knows again for 48 hours.
    """
    settings = settings_from(settings_file, assignments)
    order = _order(
        settings,
        since,
        mark=f"conversions rewind --from {since}",
        partitions=frozenset(partition) if partition else None,
        accept_duplicates=accept_duplicates,
    )
    show(settings, order, act=yes, as_json=as_json)


def run_order(settings: Settings, since: str, *, accept_duplicates: bool) -> Any:
    """The rewind that ``run --from`` asks for; leaves with exit code 2 when it cannot be meant."""
    return _order(
        settings,
        since,
        # The words as they were typed: what the arguments of a restart have in common.
        mark=f"conversions run --from {since}",
        partitions=None,
        accept_duplicates=accept_duplicates,
    )


def show(settings: Settings, order: Any, *, act: bool, as_json: bool) -> None:
    """Tell what a rewind would do, and with ``act`` do it. Leaves with exit code 1 or 2 when it
    cannot be."""
    from consumer import stdout
    from consumer.kafka_refusal import KafkaRefuses
    from consumer.kafka_rewind import RewindFailed
    from consumer.rewind import RewindRefused, move_back, planned
    from consumer.rewind_lines import rewind_json, rewind_text

    try:
        with refusing(RewindRefused, KafkaRefuses):
            group = _group(settings)
            plan = planned(group, order)
            if act:
                move_back(group, order, plan)
                _tell_what_moved(_log_of(settings), plan)
    except RewindFailed as error:
        _failed(error)
    if as_json:
        import orjson

        answer = rewind_json(plan, moved=act and bool(plan.stretches))
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        stdout.write(orjson.dumps(answer, option=options).decode())
    else:
        stdout.write(rewind_text(plan, moved=act, look=stdout.look(pipe_columns=100)))


def rewound_before_running(settings: Settings, order: Any, log: Any) -> None:
    """Move the group back, unless its commits say that this was done. Leaves like ``show``."""
    from consumer.kafka_refusal import KafkaRefuses
    from consumer.kafka_rewind import RewindFailed
    from consumer.rewind import RewindRefused, move_back_once

    try:
        with refusing(RewindRefused, KafkaRefuses):
            plan = move_back_once(_group(settings), order)
    except RewindFailed as error:
        _failed(error)
    if plan is None:
        log.info(
            "the group was moved back by the same --from before; it goes on where it stands",
            advice="conversions rewind --from TIME --yes does it anew",
        )
    else:
        _tell_what_moved(log, plan)


def _order(
    settings: Settings,
    since: str,
    *,
    mark: str,
    partitions: frozenset[int] | None,
    accept_duplicates: bool,
) -> Any:
    from consumer.rewind import RewindOrder

    now_ms = moment_ms(None)
    with refusing(SettingsError, FilterError):
        settings.require_kafka()
        since_ms = moment("--from", since, now_ms)
    assert since_ms is not None, "None is for an option that was not given"
    if since_ms > now_ms:
        refuse("--from must be a time that has been")
    return RewindOrder(
        since_ms=since_ms,
        now_ms=now_ms,
        partitions=partitions,
        accept_duplicates=accept_duplicates,
        mark=mark,
    )


def _group(settings: Settings) -> Any:
    from consumer.kafka_rewind import KafkaGroup

    return KafkaGroup(
        configuration=settings.kafka_consumer, group=settings.group_id, topic=settings.topic
    )


def _log_of(settings: Settings) -> Any:
    """So that a rewind by hand has the line that ``run --from`` has, for whoever looks for it."""
    from consumer.logs import configure_logs, member_name

    name = member_name(settings.kafka_consumer)
    return configure_logs(level=settings.log_level, log_format=settings.log_format, member=name)


def _tell_what_moved(log: Any, plan: Any) -> None:
    from consumer.iso_time import iso_time

    group, since = plan.group, iso_time(plan.since_ms)
    if not plan.stretches:
        log.info("nothing was settled since then; the group stays", group=group, since=since)
        return
    log.warning(
        "the group was moved back",
        group=group,
        since=since,
        offsets={str(number): offset for number, offset in plan.offsets.items()},
        records=plan.again,
        settled_before=plan.settled,
    )


def _failed(error: Exception) -> None:
    typer.echo(f"conversions: {error}", err=True)
    raise typer.Exit(1) from None

"""``conversions run``: one member of the consumer group."""

import os
from functools import partial
from typing import Annotated

import typer

from consumer.cli_rewind import AcceptDuplicates, rewound_before_running, run_order, show
from consumer.command_line import Assignments, SettingsFile, refuse, refusing, settings_from
from consumer.settings import SettingsError


def run(
    *,
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="First move the group back to then, once: 2h, ISO 8601. It must be empty.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what --from would send again.")
    ] = False,
    accept_duplicates: AcceptDuplicates = False,
    settings_file: SettingsFile = None,
    assignments: Assignments = None,
) -> None:
    """Consume: be one member of the consumer group until SIGTERM or SIGINT."""
    from consumer.destinations import DestinationsError
    from consumer.kafka import KafkaBroken, KafkaRefuses
    from consumer.logs import configure_logs, last_words, member_name
    from consumer.member import Member
    from consumer.uncaught import tell_uncaught

    settings = settings_from(settings_file, assignments)
    if since is None and (dry_run or accept_duplicates):
        refuse("--dry-run and --accept-duplicates are about --from TIME, which is not there")
    order = None
    if since is not None:
        order = run_order(settings, since, accept_duplicates=accept_duplicates)
    if dry_run:
        show(settings, order, act=False, as_json=False)
        return
    with refusing(SettingsError):
        settings.require_kafka()
        settings.require_destinations()
    name, log_format = member_name(settings.kafka_consumer), settings.log_format
    log = configure_logs(level=settings.log_level, log_format=log_format, member=name)
    tell_uncaught(log)
    with refusing(DestinationsError, KafkaRefuses, ValueError, OSError):
        member = Member(settings, log=log)
    if order is not None:
        member.mark_commits(order.mark)
        rewound_before_running(settings, order, log)
    member.stop_on_signals(partial(last_words, log_format=log_format, member=name))
    try:
        left = member.run()
    except KafkaBroken as error:
        log.error("Kafka cannot go on", error=str(error))  # noqa: TRY400 - no traceback for this
        raise typer.Exit(1) from None
    code = 0 if left.is_nothing else 1
    if member.is_stuck:
        os._exit(code)  # the client's own end would hang as well
    raise typer.Exit(code)

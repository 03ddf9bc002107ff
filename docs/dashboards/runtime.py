"""The row Runtime: the process itself."""

from dashboards.panels import RED, YELLOW, Panel, chart, figure, table
from dashboards.queries import Query, by_member, in_range, of, of_process, seconds_since


def runtime() -> tuple[Panel, ...]:
    """The panels of the row."""
    members = "by (instance)"
    return (
        chart(
            "Processor",
            "short",
            "Cores that each member uses. One thread owns all state: at about one core a member is"
            " full, and another replica adds its share.",
            Query(
                f"sum {members}"
                f" (rate({of_process('process_cpu_seconds_total')}[$__rate_interval]))",
                "{{instance}}",
            ),
        ),
        chart(
            "Memory",
            "bytes",
            "Resident memory of each member. It does not grow with the backlog: what is in hand is"
            " bounded.",
            Query(f"max {members} ({of_process('process_resident_memory_bytes')})", "{{instance}}"),
        ),
        chart(
            "In hand, of what may be",
            "percentunit",
            "Records and bytes that are read and not settled, as a share of"
            " CONVERSIONS_IN_FLIGHT_EVENTS and CONVERSIONS_IN_FLIGHT_BYTES. At 1 reading stops"
            " until Meta has taken some.",
            Query(
                f"max {members} ({by_member('conversions_in_flight_records')})"
                f" / max {members} ({by_member('conversions_in_flight_records_limit')})",
                "records {{instance}}",
            ),
            Query(
                f"max {members} ({by_member('conversions_in_flight_bytes')})"
                f" / max {members} ({by_member('conversions_in_flight_bytes_limit')})",
                "bytes {{instance}}",
            ),
            steps=((1, YELLOW),),
        ),
        chart(
            "Poll loop: seconds since it turned",
            "s",
            "Each member's loop turns many times a second, also while it may not read; it is"
            " scraped seldom, so some seconds are normal. Over CONVERSIONS_LIVENESS_SECONDS the"
            " probe fails.",
            Query(
                seconds_since(
                    f"max {members} ({by_member('conversions_poll_loop_timestamp_seconds')})"
                ),
                "{{instance}}",
            ),
            steps=((60, YELLOW), (120, RED)),
            alerts=("ConversionsPollLoopStuck",),
        ),
        chart(
            "Settled and not committed",
            "short",
            "What a crash would send again, at most (with the same event ids). High and rising: one"
            " record holds its partition's commit.",
            Query(
                f"sum {members} ({by_member('conversions_uncommitted_records')})", "{{instance}}"
            ),
        ),
        chart(
            "Open files",
            "short",
            "Open file descriptors of each member; connections are among them.",
            Query(f"max {members} ({of_process('process_open_fds')})", "{{instance}}"),
        ),
        figure(
            "Exceptions that should not have happened",
            "short",
            "In this time. Each is in the log with the place in the code; report it.",
            Query(in_range("conversions_internal_errors_total")),
            steps=((1, RED),),
            alerts=("ConversionsInternalErrors",),
            decimals=0,
            size=(6, 5),
        ),
        figure(
            "Destinations file: mistakes",
            "short",
            "Changes of the destinations file in this time that could not be taken up: the old"
            " destinations still hold, and the log says what is wrong.",
            Query(in_range("conversions_destinations_file_mistakes_total")),
            steps=((1, RED),),
            alerts=("ConversionsDestinationsFileMistake",),
            decimals=0,
            size=(6, 5),
        ),
        table(
            "Versions",
            "none",
            "What runs, and how many members run it. Two rows for long: a deploy got stuck.",
            Query(
                "count by (version, python, librdkafka, graph_version)"
                f" ({of('conversions_build_info')})"
            ),
            columns={
                "version": "version",
                "graph_version": "Graph API",
                "python": "Python",
                "librdkafka": "librdkafka",
                "Value": "members",
            },
            size=(12, 5),
        ),
    )

"""The overview: from one page, whether conversions reach Meta, and if not, what is in the way."""

from dashboard_panels import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    YELLOW,
    Json,
    Query,
    Row,
    chart,
    dashboard,
    figure,
    heatmap,
    in_range,
    named,
    of,
    per_second,
    quantile,
    quantiles,
    seconds_since,
    table,
    timeline,
    worst,
)

HOUR, DAY = 3600.0, 86_400.0
STATES = (("ready", GREEN), ("backing off", YELLOW), ("throttled", ORANGE), ("halted", RED))
YES_NO = named((("no", RED), ("yes", GREEN)))


def overview() -> Json:
    """The dashboard, as Grafana's JSON."""
    return dashboard(
        uid="conversions-overview",
        title="Conversions consumer: overview",
        description="Kafka → Meta's Conversions API: service level, flow, Meta, Kafka, data quality,"
        " credentials, runtime. From the top: the first row that is not green says where to look.",
        rows=(
            Row("Service level", _service_level()),
            Row("Flow", _flow()),
            Row("Meta's API", _meta()),
            Row("Kafka", _kafka()),
            Row("Data quality", _quality()),
            Row("Credentials", _credentials()),
            Row("Runtime", _runtime()),
        ),
        others=(("conversions-dead-letters", "Dead letters & replay"),),
    )


def _service_level():  # noqa: ANN202
    return ()


def _flow() -> tuple:
    state = "conversions_events_total"
    oldest = f"min by (destination) ({of('conversions_oldest_pending_event_timestamp_seconds')})"
    lag = f"max by (topic, partition) ({of('conversions_kafka_lag_records')})"
    return (
        figure(
            "Read",
            "short",
            "Records read from the topic per second. None while publishers publish: look at the"
            " row Kafka, then at what pauses.",
            Query(f"sum (rate({of('conversions_records_read_total')}[$__rate_interval]))"),
            base=BLUE,
        ),
        figure(
            "Accepted",
            "short",
            "Events per second that Meta has taken. Far below what is read: the row Meta's API says"
            " why.",
            Query(per_second(state, outcome="accepted")),
            alerts=("ConversionsDeliveryStalled",),
        ),
        figure(
            "Dead-lettered",
            "short",
            "Events per second that will not be delivered as they are. The dashboard of dead"
            " letters has the reasons.",
            Query(per_second(state, outcome="dead_lettered")),
            steps=((0.001, YELLOW), (1, RED)),
            alerts=("ConversionsDeadLetterRateHigh",),
        ),
        figure(
            "Suppressed",
            "short",
            "Events per second that are not sent for want of consent, because a destination is"
            " configured so. A jump after a release of the site: ask who owns the consent banner.",
            Query(per_second(state, outcome="suppressed")),
            base=BLUE,
        ),
        figure(
            "Waiting in Kafka",
            "short",
            "Records between the log's end and what would be committed next, of all partitions."
            " Rising for long: less is delivered than published.",
            Query(f"sum ({lag})"),
            steps=((100_000, YELLOW), (1_000_000, RED)),
            alerts=("ConversionsLagGrowing",),
        ),
        figure(
            "Events with a test code",
            "short",
            "Accepted events in this time that carried a test event code. Meta uses them like all"
            " others: in production there should be none.",
            Query(in_range("conversions_test_events_total")),
            steps=((1, YELLOW),),
            decimals=0,
        ),
        chart(
            "Records and events",
            "ops",
            "What is read, and what becomes of it. The lines of the fates together follow the line"
            " of what is read; a gap between them is what is in hand.",
            Query(per_second("conversions_records_read_total"), "read"),
            Query(per_second(state, "outcome"), "{{outcome}}"),
        ),
        chart(
            "Accepted, by event name",
            "ops",
            "Accepted events of each of Meta's names; custom is all that are none of Meta's. A line"
            " that ends: its publisher has stopped.",
            Query(f"{per_second(state, 'event_name', outcome='accepted')} > 0", "{{event_name}}"),
            stacked=True,
        ),
        chart(
            "Dead letters, by reason",
            "ops",
            "Dead letters by what was wrong. Publishers' own mistakes are told to publishers;"
            " refused_by_meta, expired and destination_halted are ours to look at.",
            Query(f"{per_second('conversions_dead_letters_total', 'reason')} > 0", "{{reason}}"),
            stacked=True,
            alerts=("ConversionsDeadLetterRateHigh", "ConversionsPublisherRejects"),
        ),
        heatmap(
            "From reading to acceptance",
            "s",
            "How long events took from the reading of their record to Meta's acceptance. A second"
            " band far up is a destination that was throttled or halted.",
            "conversions_event_delivery_seconds",
        ),
        chart(
            "From reading to acceptance, quantiles",
            "s",
            "The same as quantiles; the objective is five minutes. A click on a dot leads to"
            " Meta's trace id.",
            *quantiles("conversions_event_delivery_seconds"),
            steps=((300, RED),),
        ),
        chart(
            "Age of the oldest event in hand",
            "s",
            "How old the oldest event is that waits for a destination, by the time that the event"
            " itself carries. At seven days Meta refuses it, and it is lost for good: find out"
            " what halts the destination long before.",
            Query(seconds_since(oldest), "{{destination}}"),
            Query("vector(7 * 86400)", "Meta's limit"),
            steps=((2 * DAY, YELLOW), (5 * DAY, ORANGE), (7 * DAY, RED)),
            alerts=("ConversionsEventNearingSevenDayLimit",),
            logarithmic=True,
        ),
        chart(
            "Events in hand",
            "short",
            "Events that wait for each destination. One that grows while others stand still is"
            " throttled or halted; it may hold its share of the limits, then partitions pause.",
            Query(f"sum by (destination) ({of('conversions_pending_events')})", "{{destination}}"),
            alerts=("ConversionsDeliveryStalled",),
        ),
        chart(
            "Value of accepted events",
            "short",
            "Value per second, in each currency's units; only with CONVERSIONS_VALUE_CURRENCIES,"
            " else empty.",
            Query(
                per_second("conversions_value_total", "currency, event_name"),
                "{{event_name}} {{currency}}",
            ),
        ),
        chart(
            "Events resent late",
            "short",
            "Events sent again more than 48 hours after a first attempt that Meta may have counted:"
            " it has forgotten their ids by then and may count them twice. Always 0.",
            Query(
                in_range("conversions_events_resent_late_total", "destination"), "{{destination}}"
            ),
            steps=((1, RED),),
            alerts=("ConversionsEventsResentLate",),
        ),
    )


def _meta() -> tuple:
    requests, state = "conversions_requests_total", "conversions_destination_state"
    numbered = " or ".join(
        f"{number} * {of(state, state=name)}"
        for number, name in enumerate(("ready", "backing_off", "throttled", "halted"))
    )
    return (
        timeline(
            "State of each destination",
            "Halted: Meta will take nothing until somebody acts, and the table beside says why."
            " Throttled and backing off end by themselves. The worst of what the members say.",
            Query(f"max by (destination) ({numbered})", "{{destination}}"),
            states=STATES,
            alerts=("ConversionsDestinationHalted", "ConversionsThrottled"),
            size=(16, 7),
        ),
        table(
            "Halted, and why",
            "none",
            "Destinations that take nothing, with the reason. Put it right (a new token in its"
            " file, a permission at Meta); it recovers by itself, or at once with `conversions"
            " destinations resume ID`. Empty is good.",
            Query(f"{worst(state, 'destination, reason', state='halted', reason='~.+')} > 0"),
            columns={"destination": "destination", "reason": "reason", "Value": "halted"},
            steps=((1, RED),),
            alerts=("ConversionsDestinationHalted", "ConversionsEveryEventRefused"),
            size=(8, 7),
            links={"reason": ("What Meta answers", "${docs}/errors.md")},
        ),
        chart(
            "Requests, by what the answer meant",
            "reqps",
            "accepted is good. refused and split: a batch is taken apart to find a bad event."
            " throttled: Meta asks for a pause. halted: it wants another token or permission.",
            Query(f"{per_second(requests, 'outcome')} > 0", "{{outcome}}"),
            stacked=True,
        ),
        chart(
            "Requests, by class of HTTP status",
            "reqps",
            "5xx and none (no answer at all) are Meta's or the network's trouble and are repeated;"
            " 4xx is about us: token, permission, limits or an event.",
            Query(f"{per_second(requests, 'code_class')} > 0", "{{code_class}}"),
            stacked=True,
        ),
        chart(
            "Errors, by Meta's code",
            "ops",
            "Errors in Meta's answers. docs/errors.md says for each code what is done about it, and"
            " what you do.",
            Query(f"{per_second('conversions_meta_errors_total', 'code')} > 0", "{{code}}"),
        ),
        chart(
            "Time of a request",
            "s",
            "From the start of a request to the end of its answer. More than a few seconds for"
            " long: Meta or the network is slow; CONVERSIONS_REQUEST_TIMEOUT_SECONDS ends a request.",
            *quantiles("conversions_request_seconds"),
            steps=((5, YELLOW), (20, RED)),
        ),
        chart(
            "Requests sent again, by cause",
            "reqps",
            "Requests that are repeated unchanged. Event ids keep Meta from counting them twice.",
            Query(f"{per_second('conversions_retries_total', 'cause')} > 0", "{{cause}}"),
        ),
        chart(
            "Use of Meta's limits",
            "percentunit",
            "How much of each limit is used up, as Meta's headers told lately. From three quarters"
            " on requests slow down, at 1 they pause: ask Meta for a higher limit, or send less.",
            Query(
                worst("conversions_meta_usage_ratio", "destination, kind"),
                "{{destination}} {{kind}}",
            ),
            steps=((0.75, YELLOW), (1, RED)),
            alerts=("ConversionsThrottled",),
        ),
        chart(
            "Events of a window",
            "short",
            "How many events a window had when it closed; Meta takes 1,000 in a request. Small"
            " windows at a large backlog cost requests: look at what closes them.",
            Query(quantile(0.5, "conversions_batch_events"), "half have fewer"),
            Query(quantile(0.95, "conversions_batch_events"), "95 % have fewer"),
            Query(
                f"{per_second('conversions_batch_events', suffix='_sum')} /"
                f" {per_second('conversions_batch_events', suffix='_count')}",
                "average",
            ),
            top=1000,
        ),
        chart(
            "What closes windows",
            "ops",
            "full: 1,000 events. bytes: CONVERSIONS_WINDOW_BYTES. age: the oldest had waited"
            " CONVERSIONS_WINDOW_SECONDS, as in calm times. drain: partitions leave, or we stop.",
            Query(
                f"{per_second('conversions_windows_closed_total', 'closed_by')} > 0",
                "{{closed_by}}",
            ),
            stacked=True,
        ),
        chart(
            "Requests of isolation",
            "reqps",
            "Requests that look for the bad event of a refused batch. Many of them for long: some"
            " publisher sends what Meta refuses and we do not foresee; see the dead letters.",
            Query(
                f"{per_second('conversions_isolation_requests_total', 'destination')} > 0",
                "{{destination}}",
            ),
            alerts=("ConversionsEveryEventRefused",),
        ),
        chart(
            "Requests under way",
            "short",
            "Requests that wait for Meta's answer, by member.",
            Query(
                f"sum by (instance) ({_members('conversions_requests_in_flight')})", "{{instance}}"
            ),
        ),
    )


def _kafka() -> tuple:
    lag = "max by (topic, partition) (" + of("conversions_kafka_lag_records") + ")"
    assigned = of("conversions_kafka_assigned_partitions")
    topic_partitions = of("conversions_kafka_topic_partitions")
    return (
        chart(
            "Lag, by partition",
            "short",
            "Log end minus the next offset that would be committed; it rises while a partition is"
            " paused, too. One partition alone: a destination or a record holds it up.",
            Query(lag, "{{topic}} {{partition}}"),
            alerts=("ConversionsLagGrowing",),
        ),
        chart(
            "Partitions of each member",
            "short",
            "How the group has shared the partitions. More members than partitions: some have"
            " none, which is no fault.",
            Query(
                f"sum by (instance) ({_members('conversions_kafka_assigned_partitions')})",
                "{{instance}}",
            ),
        ),
        figure(
            "Members",
            "short",
            "Members of the group that Prometheus reaches.",
            Query(f"count ({assigned})"),
            base=BLUE,
            alerts=("ConversionsConsumerAbsent",),
            size=(4, 4),
        ),
        figure(
            "Partitions without a member",
            "short",
            "Partitions of the topic that nobody reads. For seconds during a rebalance; for long:"
            " no member is left that could take them, or one does not come to an end.",
            Query(f"sum (max by (topic) ({topic_partitions})) - sum ({assigned})"),
            steps=((1, RED),),
            alerts=("ConversionsPartitionsUnassigned",),
            size=(4, 4),
        ),
        figure(
            "Offsets that were gone",
            "short",
            "Committed offsets in this time that the topic no longer had.",
            Query(in_range("conversions_kafka_offset_resets_total")),
            steps=((1, RED),),
            alerts=("ConversionsOffsetsReset",),
            decimals=0,
        ),
        figure(
            "Records lost to retention",
            "short",
            "Records in this time that the topic's retention removed before they were read: lost"
            " conversions. Raise retention.ms, then find out what held the group up.",
            Query(in_range("conversions_kafka_records_lost_total")),
            steps=((1, RED),),
            alerts=("ConversionsRecordsLostToRetention",),
            decimals=0,
        ),
        chart(
            "Paused partitions, by cause",
            "short",
            "in_flight: as much is in hand as may be, usually because Meta is slow. destination: one"
            " in trouble has its share of the limits. schema: the registry does not answer."
            " uncommitted: delivery ran too far ahead. dead_letter_too_large: raise the limit of"
            " the dead-letter topic.",
            Query(
                f"sum by (cause) ({of('conversions_paused_partitions')})",
                "{{cause}}",
            ),
            stacked=True,
            alerts=("ConversionsDeadLetterTooLarge",),
        ),
        chart(
            "Rebalances",
            "short",
            "Assignments, revocations and losses in this interval. A few at each deploy; a steady"
            " stream means that members come and go, or do not poll in time. lost: the group gave"
            " a member up.",
            Query(
                f"sum by (kind) (increase({of('conversions_kafka_rebalances_total')}"
                "[$__rate_interval]))",
                "{{kind}}",
            ),
            alerts=("ConversionsRebalanceStorm",),
        ),
        chart(
            "Trouble with brokers",
            "short",
            "Commits that the group refused (they are repeated) and errors that the client"
            " reported, in this interval.",
            Query(
                f"sum (increase({of('conversions_kafka_commit_failures_total')}"
                "[$__rate_interval]))",
                "commits refused",
            ),
            Query(
                f"sum by (kind) (increase({of('conversions_kafka_errors_total')}"
                "[$__rate_interval]))",
                "errors: {{kind}}",
            ),
            alerts=("ConversionsCommitFailures",),
        ),
        chart(
            "Schema registry",
            "short",
            "Records that wait for their schema, and questions to the registry without a usable"
            " answer in this interval. What is known already is read on while it is down.",
            Query(f"sum ({of('conversions_schema_waiting_records')})", "records that wait"),
            Query(
                f"sum (increase({of('conversions_schema_fetch_failures_total')}"
                "[$__rate_interval]))",
                "questions without an answer",
            ),
        ),
    )


def _quality() -> tuple:
    ours = "job:conversions_match_key_coverage:ratio"
    return (
        table(
            "Event Match Quality",
            "short",
            "How well Meta finds the person behind an event, from 0 to 10; Meta advises 6 or more."
            " `conversions quality` says which match key would help most. Needs"
            " CONVERSIONS_QUALITY_REFRESH_SECONDS; custom is the lowest of such names.",
            Query(worst("conversions_event_match_quality_score", "destination, event_name")),
            columns={"destination": "destination", "event_name": "event", "Value": "score"},
            alerts=("ConversionsEventMatchQualityDropped",),
            links={"score": ("What it means", "${docs}/quality.md")},
        ),
        chart(
            "Event Match Quality over time",
            "short",
            "The same over time. A drop after a release: a publisher has ceased to send a match"
            " key; the panels beside show which.",
            Query(
                worst("conversions_event_match_quality_score", "destination, event_name"),
                "{{event_name}} {{destination}}",
            ),
            top=10,
            alerts=("ConversionsEventMatchQualityDropped",),
        ),
        chart(
            "Match keys that we send",
            "percentunit",
            "Share of accepted events that carry each match key.",
            Query(f'{ours}{{job="$job", destination=~"$destination"}}', "{{match_key}}"),
            top=1,
            alerts=("ConversionsMatchKeyCoverageDropped",),
        ),
        chart(
            "Match keys as Meta has them",
            "percentunit",
            "Share of events with each match key as Meta counts it, of the event with the lowest."
            " Far below ours: Meta discards what we send, look at its diagnostics with `conversions"
            " quality`.",
            Query(
                "min by (destination, match_key)"
                f" ({of('conversions_meta_match_key_coverage_ratio')})",
                "{{match_key}} {{destination}}",
            ),
            top=1,
        ),
        chart(
            "Fields left out",
            "ops",
            "Optional fields, match keys among them, that were left out of an event which lives on:"
            " a publisher sends what cannot be what it is called.",
            Query(
                f"{per_second('conversions_dropped_fields_total', 'field, reason')} > 0",
                "{{field}}: {{reason}}",
            ),
        ),
        chart(
            "Warnings",
            "ops",
            "Events that Meta takes but can use less well, such as a website event without a user"
            " agent, or a name that is nearly one of Meta's.",
            Query(
                f"{per_second('conversions_event_warnings_total', 'warning')} > 0", "{{warning}}"
            ),
        ),
        figure(
            "Questions for quality without an answer",
            "short",
            "Questions to Meta for Event Match Quality in this time that got no usable answer. The"
            " token may not be allowed to read: see docs/quality.md.",
            Query(in_range("conversions_quality_failures_total")),
            steps=((1, YELLOW),),
            decimals=0,
            size=(8, 4),
        ),
    )


def _credentials() -> tuple:
    expiry = of("conversions_access_token_expiry_timestamp_seconds")
    version = of("conversions_graph_version_expiry_timestamp_seconds")
    return (
        table(
            "Tokens",
            "none",
            "Whether Meta calls each destination's token valid. no: make a new one and put it into"
            " the token's file, which is read again by itself.",
            Query(f"min by (destination) ({of('conversions_access_token_valid')})"),
            columns={"destination": "destination", "Value": "valid"},
            alerts=("ConversionsAccessTokenInvalid",),
            size=(6, 6),
        ),
        chart(
            "Tokens: time left",
            "s",
            "Until a token, or its access to data, ends; a token that never ends is not here.",
            Query(f"min by (destination) ({expiry}) - time()", "{{destination}}"),
            alerts=("ConversionsAccessTokenExpiring",),
            size=(8, 6),
        ),
        figure(
            "Graph version: time left",
            "s",
            "Until Meta ceases to take calls of the Graph version in use. Set"
            " CONVERSIONS_GRAPH_VERSION to a newer one well before.",
            Query(f"min ({version}) - time()"),
            base=RED,
            steps=((30 * DAY, YELLOW), (90 * DAY, GREEN)),
            alerts=("ConversionsGraphVersionEnding",),
            size=(5, 6),
            absent="not known",
        ),
        figure(
            "Warnings about the Graph version",
            "short",
            "Answers in this time with which Meta warned that our version of the Graph API has"
            " ended and another one answered.",
            Query(in_range("conversions_graph_version_warnings_total")),
            steps=((1, YELLOW),),
            alerts=("ConversionsGraphVersionEnding",),
            decimals=0,
            size=(5, 3),
        ),
        figure(
            "Questions for tokens without an answer",
            "short",
            "Questions to Meta for the state of a token in this time without a usable answer.",
            Query(in_range("conversions_token_check_failures_total")),
            steps=((1, YELLOW),),
            decimals=0,
            size=(5, 3),
        ),
    )


def _runtime() -> tuple:
    members = "by (instance)"
    return (
        chart(
            "Processor",
            "short",
            "Cores that each member uses. One thread owns all state: at about one core a member is"
            " full, and another replica adds its share.",
            Query(
                f"sum {members} (rate({_process('process_cpu_seconds_total')}[$__rate_interval]))",
                "{{instance}}",
            ),
        ),
        chart(
            "Memory",
            "bytes",
            "Resident memory of each member. It does not grow with the backlog: what is in hand is"
            " bounded.",
            Query(f"max {members} ({_process('process_resident_memory_bytes')})", "{{instance}}"),
        ),
        chart(
            "In hand, of what may be",
            "percentunit",
            "Records and bytes that are read and not settled, as a share of"
            " CONVERSIONS_IN_FLIGHT_EVENTS and CONVERSIONS_IN_FLIGHT_BYTES. At 1 reading stops"
            " until Meta has taken some.",
            Query(
                f"max {members} ({_members('conversions_in_flight_records')})"
                f" / max {members} ({_members('conversions_in_flight_records_limit')})",
                "records {{instance}}",
            ),
            Query(
                f"max {members} ({_members('conversions_in_flight_bytes')})"
                f" / max {members} ({_members('conversions_in_flight_bytes_limit')})",
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
                    f"max {members} ({_members('conversions_poll_loop_timestamp_seconds')})"
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
            Query(f"sum {members} ({_members('conversions_uncommitted_records')})", "{{instance}}"),
        ),
        chart(
            "Open files",
            "short",
            "Open file descriptors of each member; connections are among them.",
            Query(f"max {members} ({_process('process_open_fds')})", "{{instance}}"),
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
            "What runs, and how many members run it; two rows for long are a deploy that got stuck.",
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


def _members(name: str) -> str:
    return of(name).replace("}", ', instance=~"$instance"}')


def _process(name: str) -> str:
    return f'{name}{{job="$job", instance=~"$instance"}}'

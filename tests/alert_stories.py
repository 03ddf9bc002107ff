"""The stories by which the alerts are tried: what happens, and which alerts fire when.

Each begins with two healthy members (``alert_series.healthy``) and changes some of their series.
"""

from tests.alert_series import (
    FIRST,
    JOB,
    MEMBERS,
    REFUSALS,
    SECOND,
    Series,
    Story,
    accepted,
    alert,
    ended,
    healthy,
    letters,
    series,
    shifted,
    state,
    without,
)

HOUR = 60
TEN = tuple(str(1001 + number) for number in range(10))
STALLED = tuple(alert("DeliveryStalled", "critical", destination=each) for each in (FIRST, SECOND))
NOTHING_READ = alert("DeliveryStalled", "critical")
BURN = (alert("ErrorBudgetBurn", "critical"), alert("ErrorBudgetBurn", "warning"))
"""With no history before it, what is bad for an hour is bad for the whole of the days as well."""
ABSENT = ("ConversionsConsumerAbsent", {"job": JOB["job"], "severity": "critical"})


def _deploy() -> Series:
    """Two members give way to two others, whose counters begin at 0."""
    came = shifted(healthy(30, members=("c", "d")), 30)
    on_time = {
        each: "_x30 1800+60x30" for each in came if "poll_loop" in each or "oldest_pend" in each
    }
    return ended(healthy(30), 30) | came | on_time


def _outage(begins: int, steps: int, destinations: tuple[str, ...]) -> Series:
    """Meta answers nothing any more; records go on coming."""
    rest = steps - begins
    found: Series = {}
    for member in MEMBERS:
        for each in destinations:
            found |= accepted(f"0+600x{begins} {600 * begins}x{rest}", member, each)
            found[series("pending_events", member, destination=each)] = f"3x{begins} 500x{rest}"
    return found


def _lag(values: str) -> Series:
    return {series("kafka_lag_records", topic="conversions.events", partition="0"): values}


def _waiting(member: str, destination: str, *, days: int, left: int) -> Series:
    """Events wait, the oldest of them for so many days; the first has so many left."""
    to = {"destination": destination}
    return {
        series("oldest_pending_event_timestamp_seconds", member, **to): f"{-days * 86400}x60",
        series("earliest_pending_expiry_timestamp_seconds", member, **to): f"{left * 86400}x60",
    }


CALM: tuple[Story, ...] = (
    Story("healthy from the first minute on", healthy(HOUR), {m: () for m in (0, 1, 5, 15, 60)}),
    Story("a deploy in the middle", _deploy(), {m: () for m in (29, 31, 33, 36, 40, 60)}),
    Story(
        "no traffic",
        healthy(HOUR, events=0)
        | {each: "0x60" for each in healthy(HOUR) if each.startswith("conversions_kafka_lag")},
        {m: () for m in (5, 20, 60)},
    ),
    Story(
        "gauges that are not known",
        without(
            healthy(HOUR),
            "access_token_valid",
            "event_match_quality_score",
            "kafka_topic_partitions",
            "kafka_lag_records",
            "pending_events",
            "oldest_pending_event_timestamp_seconds",
            "earliest_pending_expiry_timestamp_seconds",
            "graph_version_expiry_timestamp_seconds",
            "destination_state",
        ),
        {m: () for m in (5, 20, 60)},
    ),
    Story(
        "a single member does the work of both",
        healthy(HOUR, members=("a",)),
        {m: () for m in (5, 60)},
    ),
    Story(
        "a member is killed and the other takes over",
        ended(healthy(30, members=("b",)), 30)
        | healthy(HOUR, members=("a",))
        | {series("kafka_assigned_partitions"): "3x31 6x29"},
        {m: () for m in (31, 35, 60)},
    ),
    Story(
        "ten destinations are well",
        healthy(30, destinations=TEN),
        {m: () for m in (5, 30)},
    ),
    Story(
        "one bad event an hour is no burn",
        healthy(HOUR, events=1) | letters("0x20 1x40", "refused_by_meta"),
        {m: () for m in (21, 30, 60)},
    ),
    Story(
        "counts of a consumer that was there long before do not come again after a gap of scrapes",
        healthy(HOUR)
        | {
            series(f"kafka_{name}_total", member): "7x10 _x12 7x38"
            for name in ("records_lost", "offset_resets")
            for member in MEMBERS
        },
        {m: () for m in (41, 45, 49, 52, 60)},
    ),
)

DELIVERY: tuple[Story, ...] = (
    Story(
        "a total outage of Meta",
        healthy(HOUR) | _outage(20, HOUR, (FIRST, SECOND)) | _lag("5x20 600+1200x40"),
        {20: (), 27: (), 40: (*STALLED, NOTHING_READ)},
    ),
    Story(
        "a total outage of Meta on a fresh deploy",
        healthy(HOUR)
        | {
            each: f"{500 if 'pending' in each else 0}x60"
            for each in healthy(HOUR)
            if each.startswith(
                ("conversions_events_total", "conversions_event_deliv", "conversions_pending_e")
            )
        },
        {3: (), 20: (*STALLED, NOTHING_READ)},
    ),
    Story(
        "one of ten destinations gets no answer",
        healthy(45, destinations=TEN) | _outage(10, 45, (FIRST,)),
        {15: (), 30: STALLED[:1], 45: STALLED[:1]},
    ),
    Story(
        "nothing is read",
        healthy(45, events=0),
        {4: (), 16: (NOTHING_READ,)},
    ),
    Story(
        "it stalls, and a deploy does not hide it",
        {
            each: ("3" if "kafka_ass" in each else "500") + values[values.index("x") :]
            if "pending" in each
            else (values if "accepted" not in each else values.replace("+600", "+0"))
            for each, values in _deploy().items()
        },
        {29: (*STALLED, NOTHING_READ), 45: (*STALLED, NOTHING_READ)},
    ),
    Story(
        "lag grows though events are delivered",
        healthy(90) | _lag("5x10 600+2000x80"),
        {40: (), 89: (alert("LagGrowing", "warning"),)},
    ),
    Story(
        "a backlog is worked off",
        healthy(90) | _lag("900000-9000x90"),
        {60: (), 90: ()},
    ),
    Story(
        "events wait for days",
        healthy(HOUR) | _waiting("b", SECOND, days=3, left=4),
        {
            10: (),
            30: (alert("EventNearingSevenDayLimit", "warning", destination=SECOND),),
        },
    ),
    Story(
        "events wait for almost a week",
        healthy(HOUR) | _waiting("a", FIRST, days=6, left=1),
        {
            30: (
                alert("EventNearingSevenDayLimit", "critical", destination=FIRST),
                alert("EventNearingSevenDayLimit", "warning", destination=FIRST),
            ),
        },
    ),
    Story(
        "what a store sold a month ago waits for a moment",
        healthy(HOUR) | _waiting("a", FIRST, days=40, left=22),
        {30: (), 60: ()},
    ),
    Story(
        "a destination gives its events up after a day",
        healthy(HOUR) | _waiting("a", FIRST, days=0, left=1),
        {30: (), 60: ()},
    ),
    Story(
        "Meta refuses 2% of the events",
        healthy(HOUR)
        | {k: v for m in MEMBERS for k, v in letters("0x5 0+24x55", "refused_by_meta", m).items()},
        {
            5: (),
            30: (
                *BURN,
                alert("DeadLetterRateHigh", "warning", destination=FIRST, reason="refused_by_meta"),
            ),
        },
    ),
    Story(
        "events are accepted ten minutes after they were read",
        healthy(HOUR)
        | {
            series("event_delivery_seconds_bucket", m, le="300.0", destination=FIRST): "0x60"
            for m in MEMBERS
        },
        {20: BURN, 60: BURN},
    ),
    *(
        Story(
            f"a twentieth of the events ends as {reason}",
            healthy(HOUR) | letters("0+60x60", reason),
            {
                30: (
                    *BURN,
                    alert("DeadLetterRateHigh", "warning", destination=FIRST, reason=reason),
                )
            },
        )
        for reason in REFUSALS
    ),
    Story(
        "one of ten destinations has a twentieth of its events refused",
        healthy(HOUR, destinations=TEN) | letters("0+60x60", "refused_by_meta"),
        {
            30: (
                alert("DeadLetterRateHigh", "warning", destination=FIRST, reason="refused_by_meta"),
                alert("ErrorBudgetBurn", "warning"),
            )
        },
    ),
    Story(
        "an event is sent again after Meta has forgotten it",
        healthy(90) | {series("events_resent_late_total", destination=FIRST): "0x10 1x80"},
        {10: (), 12: (alert("EventsResentLate", "warning", destination=FIRST),), 75: ()},
    ),
)

META: tuple[Story, ...] = (
    Story(
        "one of ten destinations is halted",
        healthy(30, destinations=TEN) | state("_x5 1x25", "halted", "token"),
        {
            8: (),
            20: (alert("DestinationHalted", "critical", destination=FIRST, reason="token"),),
        },
    ),
    Story(
        "a halted destination is not also called stalled",
        healthy(HOUR) | _outage(10, HOUR, (FIRST,)) | state("_x10 1x50", "halted", "permission"),
        {30: (alert("DestinationHalted", "critical", destination=FIRST, reason="permission"),)},
    ),
    Story(
        "every destination is halted by one token, and nothing is settled",
        healthy(45)
        | _outage(5, 45, (FIRST, SECOND))
        | state("1x45", "halted", "token")
        | state("1x45", "halted", "token", SECOND),
        {
            40: tuple(
                alert("DestinationHalted", "critical", destination=each, reason="token")
                for each in (FIRST, SECOND)
            )
        },
    ),
    Story(
        "a halt that ends by itself",
        healthy(30) | state("_x5 1x3 stale", "halted", "token"),
        {7: (), 9: (), 15: (), 30: ()},
    ),
    Story(
        "every event is refused",
        healthy(30) | state("_x5 1x25", "halted", "every_event_refused"),
        {8: (), 20: (alert("EveryEventRefused", "critical", destination=FIRST),)},
    ),
    Story(
        "throttled again and again",
        healthy(HOUR) | state("1x2 _ " * 20, "throttled"),
        {10: (), 40: (alert("Throttled", "warning", destination=FIRST),)},
    ),
    Story(
        "a pause of ten minutes",
        healthy(HOUR) | state("_x10 1x10 stale", "throttled"),
        {20: (), 30: (), 45: ()},
    ),
    Story(
        "a token ends in six days",
        healthy(90)
        | {
            series("access_token_expiry_timestamp_seconds", destination=FIRST): f"{6 * 86400}x90",
            series("access_token_expiry_timestamp_seconds", destination=SECOND): f"{30 * 86400}x90",
        },
        {30: (), 75: (alert("AccessTokenExpiring", "warning", destination=FIRST),)},
    ),
    Story(
        "a token is invalid",
        healthy(30) | {series("access_token_valid", destination=SECOND): "1x5 0x25"},
        {6: (), 20: (alert("AccessTokenInvalid", "critical", destination=SECOND),)},
    ),
    Story(
        "the Graph version ends in a month",
        healthy(90)
        | {
            series("graph_version_expiry_timestamp_seconds", m): f"{30 * 86400}x90" for m in MEMBERS
        },
        {30: (), 75: (alert("GraphVersionEnding", "warning"),)},
    ),
)

LETTERS: tuple[Story, ...] = (
    Story(
        "both members cannot write dead letters",
        healthy(30)
        | {
            series(
                "dead_letters_failing_since_timestamp_seconds", m, trouble="not_allowed"
            ): "_x5 300x25"
            for m in MEMBERS
        },
        {6: (), 10: (alert("DeadLetterPublishFailing", "critical", trouble="not_allowed"),)},
    ),
    Story(
        "dead letters can be written again",
        healthy(30)
        | {
            series(
                "dead_letters_failing_since_timestamp_seconds", trouble="unanswered"
            ): "300x10 stale"
        },
        {9: (alert("DeadLetterPublishFailing", "critical", trouble="unanswered"),), 12: (), 20: ()},
    ),
    Story(
        "a record is too large for the dead-letter topic",
        healthy(30) | {series("paused_partitions", cause="dead_letter_too_large"): "0x5 1x25"},
        {6: (), 10: (alert("DeadLetterTooLarge", "critical"),)},
    ),
    Story(
        "partitions that pause because the house is full",
        healthy(30) | {series("paused_partitions", cause="in_flight"): "3x30"},
        {20: ()},
    ),
    Story(
        "many dead letters, few of a hundred",
        healthy(HOUR, events=60_000) | letters("0+60x60", "outcome_unknown"),
        {30: ()},
    ),
    Story(
        "half of the events, but few",
        healthy(HOUR, events=1) | letters("0x10 0+1x8 8x42", "internal_error"),
        {20: (), 40: ()},
    ),
    Story(
        "our own bug makes dead letters",
        healthy(HOUR)
        | letters("0x5 0+60x55", "internal_error")
        | {series("internal_errors_total"): "0x5 0+60x55"},
        {
            30: (
                alert("DeadLetterRateHigh", "warning", destination=FIRST, reason="internal_error"),
                alert("InternalErrors", "warning"),
            )
        },
    ),
    Story(
        "an operator skips records",
        healthy(HOUR) | letters("0+60x60", "skipped_by_operator"),
        {30: ()},
    ),
)

PUBLISHERS: tuple[Story, ...] = (
    Story(
        "a publisher leaves out the value, which burns no budget",
        healthy(HOUR) | letters("0x5 0+60x55", "missing_value"),
        {
            5: (),
            40: (alert("PublisherRejects", "warning", destination=FIRST, reason="missing_value"),),
        },
    ),
    Story(
        "garbage that names no destination, on a fresh start",
        healthy(HOUR)
        | {
            series("dead_letters_total", destination="other", reason="undecodable"): "0x5 500x55",
            series(
                "events_total", destination="other", event_name="custom", outcome="dead_lettered"
            ): "_x6 500x54",
        },
        {
            4: (),
            20: (alert("PublisherRejects", "warning", destination="other", reason="undecodable"),),
            50: (),
        },
    ),
    Story(
        "a publisher's few mistakes",
        healthy(HOUR) | letters("0+2x60", "missing_value"),
        {40: ()},
    ),
    Story(
        "the guard holds back a bad deploy",
        healthy(30)
        | {
            series("guard_alarm", m, destination=FIRST, reason="missing_currency"): "_x5 1x25"
            for m in MEMBERS
        },
        {
            5: (),
            10: (alert("GuardAlarm", "critical", destination=FIRST, reason="missing_currency"),),
        },
    ),
    Story(
        "the registry is down",
        healthy(30) | {series("schema_waiting_records", "b"): "0x5 40x25"},
        {7: (), 20: (alert("SchemaUnknown", "critical"),)},
    ),
    Story(
        "a schema that is nowhere",
        healthy(45) | letters("0x5 3x40", "unknown_schema"),
        {5: (), 8: (alert("SchemaUnknown", "warning", reason="unknown_schema"),), 40: ()},
    ),
)

KAFKA: tuple[Story, ...] = (
    Story("nobody is there", {}, {3: (), 10: (ABSENT,)}),
    Story(
        "the last member goes",
        ended(healthy(20), 40),
        {24: (), 40: (ABSENT,)},
    ),
    Story(
        "a member goes and nobody takes its partitions",
        healthy(HOUR, members=("a",)) | {series("kafka_assigned_partitions"): "3x60"},
        {8: (), 20: (alert("PartitionsUnassigned", "critical"),)},
    ),
    Story(
        "more members than partitions",
        healthy(30)
        | {
            series("kafka_assigned_partitions", "b"): "0x30",
            series("kafka_assigned_partitions", "a"): "6x30",
        },
        {20: ()},
    ),
    Story(
        "one of two poll loops hangs",
        healthy(30) | {series("poll_loop_timestamp_seconds", "b"): "0+60x5 300x25"},
        {6: (), 15: (alert("PollLoopStuck", "critical"),)},
    ),
    Story(
        "members take one another's partitions",
        healthy(HOUR)
        | {series("kafka_rebalances_total", m, kind="revoked"): "0+1x60" for m in MEMBERS},
        {10: (), 59: (alert("RebalanceStorm", "warning"),)},
    ),
    Story(
        "a few rebalances",
        healthy(HOUR)
        | {series("kafka_rebalances_total", m, kind="revoked"): "0x10 5x50" for m in MEMBERS},
        {30: (), 60: ()},
    ),
    Story(
        "offsets were gone, with nothing lost",
        healthy(HOUR) | {series("kafka_offset_resets_total", "b"): "0x5 1x55"},
        {5: (), 8: (alert("OffsetsReset", "warning"),), 45: ()},
    ),
    Story(
        "retention took records before the first scrape",
        healthy(HOUR)
        | {series("kafka_offset_resets_total"): "1x60", series("kafka_records_lost_total"): "9x60"},
        {
            1: (alert("OffsetsReset", "warning"), alert("RecordsLostToRetention", "critical")),
            20: (alert("OffsetsReset", "warning"), alert("RecordsLostToRetention", "critical")),
            45: (),
        },
    ),
    Story(
        "retention took records of a member that came with a deploy",
        _deploy() | {series("kafka_records_lost_total", "c"): "_x30 9x30"},
        {29: (), 35: (alert("RecordsLostToRetention", "critical"),)},
    ),
    Story(
        "commits are refused all the time",
        healthy(HOUR) | {series("kafka_commit_failures_total"): "0+10x60"},
        {10: (), 40: (alert("CommitFailures", "warning"),)},
    ),
    Story(
        "a rebalance refuses some commits",
        healthy(HOUR) | {series("kafka_commit_failures_total"): "0x10 12x50"},
        {15: (), 30: ()},
    ),
    Story(
        "no broker answers",
        without(healthy(HOUR, events=0), "kafka_lag_records")
        | {series("kafka_errors_total", m, kind="unreachable"): "0x5 0+3x55" for m in MEMBERS},
        {7: (), 30: (alert("KafkaUnreachable", "critical"),)},
    ),
    Story(
        "one broker is away and the others answer",
        healthy(HOUR) | {series("kafka_errors_total", kind="unreachable"): "0+3x60"},
        {30: ()},
    ),
)

RUNTIME: tuple[Story, ...] = (
    Story(
        "a mistake in the destinations file",
        healthy(90) | {series("destinations_file_mistakes_total", m): "0x5 1x85" for m in MEMBERS},
        {5: (), 8: (alert("DestinationsFileMistake", "warning"),), 80: ()},
    ),
    Story(
        "a bug",
        healthy(HOUR) | {series("internal_errors_total"): "0x5 1x55"},
        {5: (), 8: (alert("InternalErrors", "warning"),), 45: ()},
    ),
)

DAY = 48
"""Steps of half an hour: rates over an hour see something then, those over minutes none."""


def _days(days: int) -> Series:
    """Without what would be compared with the last ten minutes."""
    return without(healthy(days * DAY, step_minutes=30), "pending_events", "kafka_lag_records")


def _quality(values: str) -> Series:
    return {series("event_match_quality_score", destination=FIRST, event_name="Lead"): values}


LONG: tuple[Story, ...] = (
    Story(
        "Event Match Quality falls by two points, with a deploy in between",
        without(_days(4), "event_match_quality_score")
        | _quality(f"8x{2 * DAY} stale")
        | {
            series(
                "event_match_quality_score", "c", destination=FIRST, event_name="Lead"
            ): f"_x{2 * DAY} 6x{2 * DAY}"
        },
        {
            2 * DAY * 30: (),
            2 * DAY * 30 + 600: (
                alert("EventMatchQualityDropped", "warning", destination=FIRST, event_name="Lead"),
            ),
        },
        step_minutes=30,
    ),
    Story(
        "publishers send no e-mail address any more, and after a deploy nobody knows of it",
        without(_days(4), "match_key_events_total")
        | {
            series("match_key_events_total", destination=FIRST, match_key="em"): (
                f"0+600x{3 * DAY} stale"
            ),
            series("match_key_events_total", destination=SECOND, match_key="em"): (
                f"0+600x{4 * DAY}"
            ),
        },
        {
            3 * DAY * 30: (),
            3 * DAY * 30 + 300: (
                alert("MatchKeyCoverageDropped", "warning", destination=FIRST, match_key="em"),
            ),
        },
        step_minutes=30,
    ),
    Story(
        "quality is steady",
        _days(3),
        {m * DAY * 30: () for m in (1, 2, 3)},
        step_minutes=30,
    ),
)

BURNING: tuple[Story, ...] = (
    Story(
        "four of a thousand are refused for hours: a ticket, no page",
        healthy(4 * HOUR, members=("a",), destinations=(FIRST,), events=1000)
        | letters(f"0+4x{4 * HOUR}", "refused_by_meta"),
        {4 * HOUR: (alert("ErrorBudgetBurn", "warning"),)},
    ),
    Story(
        "one of five thousand is within the objective",
        healthy(4 * HOUR, members=("a",), destinations=(FIRST,), events=5000)
        | letters(f"0+1x{4 * HOUR}", "refused_by_meta"),
        {4 * HOUR: ()},
    ),
    Story(
        "ten of a thousand for six hours: a page that the hour alone would not make",
        healthy(7 * HOUR, members=("a",), destinations=(FIRST,), events=1000)
        | letters(f"0+10x{7 * HOUR}", "not_received"),
        {6 * HOUR: BURN},
    ),
)

STORIES = (*CALM, *DELIVERY, *META, *LETTERS, *PUBLISHERS, *KAFKA, *RUNTIME)
"""By the minute."""

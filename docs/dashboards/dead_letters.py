"""Dead letters and replays: how many, why, of whom, and whether they can be written at all."""

from dashboards.page import Row, dashboard
from dashboards.panels import BLUE, RED, YELLOW, Json, Panel, chart, figure, table
from dashboards.queries import Query, in_range, of, per_second, seconds_since, worst

LETTERS = "conversions_dead_letters_total"
REASONS = "${docs}/dead-letters.md#the-reasons"
OURS = "~refused_by_meta|not_received|outcome_unknown|expired|destination_halted"
"""The reasons that count against the objective: whatever else is a publisher's mistake."""


def dead_letters() -> Json:
    """The dashboard, as Grafana's JSON."""
    return dashboard(
        uid="conversions-dead-letters",
        title="Conversions consumer: dead letters & replay",
        description="Events that were not delivered as they are: how many, why, of which"
        " destination, whether they can be written, and what was put back.",
        rows=(
            Row("How many", _how_many()),
            Row("Why", _why()),
            Row("Can they be written", _writing()),
            Row("Held back, and put back", _held_and_replayed()),
        ),
        others=(("conversions-overview", "Overview"),),
    )


def _how_many() -> tuple[Panel, ...]:
    events = "conversions_events_total"
    return (
        figure(
            "Dead letters",
            "short",
            "In the time shown. `conversions dlq stats --since 6h` counts the letters themselves.",
            Query(in_range(LETTERS)),
            steps=((1, YELLOW),),
            alerts=("ConversionsDeadLetterRateHigh",),
            decimals=0,
        ),
        figure(
            "Share of all events",
            "percentunit",
            "Dead-lettered events among all that met their fate in the time shown. A small share is"
            " life; a jump is somebody's release.",
            Query(
                f"{in_range(events, outcome='dead_lettered')} / ({in_range(events)} > 0)",
            ),
            steps=((0.001, YELLOW), (0.01, RED)),
            alerts=("ConversionsDeadLetterRateHigh",),
        ),
        figure(
            "Not a publisher's mistake",
            "short",
            "Letters that Meta refused, that expired or that had to give way: these count against"
            " the objective. Most of them can be replayed when the cause is gone.",
            Query(in_range(LETTERS, reason=OURS)),
            steps=((1, RED),),
            decimals=0,
        ),
        figure(
            "Waiting to be written",
            "short",
            "Letters that the brokers have not acknowledged yet. Until then their records are not"
            " committed. Standing still above 0: the panels of writing say why.",
            Query(f"sum ({of('conversions_dead_letters_waiting')})"),
            steps=((1000, YELLOW), (10_000, RED)),
            alerts=("ConversionsDeadLetterPublishFailing",),
        ),
        figure(
            "Cannot be written since",
            "s",
            "For how long no dead letter could be written. Nothing is lost, but nothing behind them"
            " is committed either: docs/running.md says what to do.",
            Query(
                seconds_since(
                    f"min ({of('conversions_dead_letters_failing_since_timestamp_seconds')})"
                )
            ),
            steps=((1, YELLOW), (60, RED)),
            alerts=("ConversionsDeadLetterPublishFailing",),
            absent="all is well",
        ),
        figure(
            "Put back by replays",
            "short",
            "Records read in the time shown that a replay has put into the source topic again.",
            Query(in_range("conversions_replayed_records_read_total")),
            base=BLUE,
            decimals=0,
        ),
    )


def _why() -> tuple[Panel, ...]:
    return (
        chart(
            "By reason",
            "ops",
            "Dead letters per second by what was wrong.",
            Query(f"{per_second(LETTERS, 'reason')} > 0", "{{reason}}", exemplars=True),
            stacked=True,
            alerts=("ConversionsDeadLetterRateHigh", "ConversionsPublisherRejects"),
            size=(12, 8),
        ),
        chart(
            "By destination",
            "ops",
            "Dead letters per second by pixel; unknown is what names none of ours, or could not be"
            " read at all.",
            Query(f"{per_second(LETTERS, 'destination')} > 0", "{{destination}}"),
            stacked=True,
            size=(12, 8),
        ),
        table(
            "Reasons and destinations",
            "short",
            "Letters in the time shown. A click on a reason leads to what it means and what to do;"
            " `conversions dlq list --reason … --newest` shows the letters.",
            Query(f"{in_range(LETTERS, 'reason, destination')} > 0"),
            columns={"reason": "reason", "destination": "destination", "Value": "letters"},
            decimals=0,
            size=(12, 9),
            links={"reason": ("What it means, and what to do", REASONS)},
        ),
        table(
            "What Meta answered",
            "short",
            "Errors in Meta's answers in the time shown, by code: of refused events, and of all"
            " else. A click on a code leads to what is done about it.",
            Query(f"{in_range('conversions_meta_errors_total', 'code')} > 0"),
            columns={"code": "code", "Value": "answers"},
            decimals=0,
            size=(6, 9),
            links={"code": ("What is done, and what you do", "${docs}/errors.md")},
        ),
        chart(
            "Taken apart to find them",
            "reqps",
            "Requests that look for the bad event of a refused batch. Few for each bad event; many"
            " for long: some publisher sends what is not foreseen here.",
            Query(
                f"{per_second('conversions_isolation_requests_total', 'destination')} > 0",
                "{{destination}}",
            ),
            size=(6, 9),
        ),
    )


def _writing() -> tuple[Panel, ...]:
    return (
        chart(
            "Waiting for the brokers",
            "short",
            "Letters that are not acknowledged yet, by member.",
            Query(f"sum by (instance) ({of('conversions_dead_letters_waiting')})", "{{instance}}"),
            alerts=("ConversionsDeadLetterPublishFailing",),
        ),
        chart(
            "Attempts that failed",
            "short",
            "In this interval. failed: the topic is missing, not allowed or the brokers do not"
            " answer. too_large: the letter goes again with fewer headers, and then stops its"
            " partition.",
            Query(
                f"sum by (writing) (increase({of('conversions_dead_letter_failures_total')}"
                "[$__rate_interval]))",
                "{{writing}}",
            ),
            alerts=("ConversionsDeadLetterPublishFailing",),
        ),
        table(
            "What is in the way",
            "s",
            "Why dead letters cannot be written, and for how long. Empty is good.",
            Query(
                "time() - min by (trouble)"
                f" ({of('conversions_dead_letters_failing_since_timestamp_seconds')})"
            ),
            columns={"trouble": "trouble", "Value": "for"},
            steps=((1, YELLOW), (60, RED)),
            alerts=("ConversionsDeadLetterPublishFailing",),
            size=(8, 8),
            links={
                "trouble": ("What to do", "${docs}/running.md#when-dead-letters-cannot-be-written")
            },
        ),
        figure(
            "Partitions held by a letter that is too large",
            "short",
            "Raise max.message.bytes of the dead-letter topic, or take the one record out of the"
            " way with `conversions skip`.",
            Query(f"sum ({of('conversions_paused_partitions', cause='dead_letter_too_large')})"),
            steps=((1, RED),),
            alerts=("ConversionsDeadLetterTooLarge",),
            decimals=0,
            size=(8, 4),
        ),
        figure(
            "Producers replaced",
            "short",
            "Producers of dead letters in the time shown that met a fatal error. What had no"
            " acknowledgement was written again by the next.",
            Query(in_range("conversions_dead_letter_producer_replacements_total")),
            steps=((1, YELLOW),),
            decimals=0,
            size=(8, 4),
        ),
        figure(
            "Commits refused",
            "short",
            "First the dead letter, then the offset: commits in the time shown that the group"
            " refused. They are repeated.",
            Query(in_range("conversions_kafka_commit_failures_total")),
            steps=((1, YELLOW),),
            decimals=0,
            size=(8, 4),
        ),
    )


def _held_and_replayed() -> tuple[Panel, ...]:
    alarm = worst("conversions_guard_alarm", "destination, reason")
    return (
        table(
            "Guard: too many of one reason",
            "none",
            "Too many of a destination's last events are rejected for one reason of ours: most"
            " likely a publisher's bad release. Tell the publisher; docs/dead-letters.md says how"
            " to put right what came meanwhile. Empty is good.",
            Query(f"{alarm} > 0"),
            columns={"destination": "destination", "reason": "reason", "Value": "alarm"},
            steps=((1, RED),),
            alerts=("ConversionsGuardAlarm",),
            links={"reason": ("What to do", "${docs}/dead-letters.md#a-publishers-bad-deploy")},
        ),
        chart(
            "Guard: records that it holds",
            "short",
            "Rejected records that are held instead of dead-lettered, with"
            " CONVERSIONS_GUARD_PAUSES; their partitions pause when the share of the limits"
            " is full.",
            Query(
                f"sum by (destination) ({of('conversions_guard_held_records')})", "{{destination}}"
            ),
            alerts=("ConversionsGuardAlarm",),
        ),
        chart(
            "Replays",
            "ops",
            "Records per second that a replay has put back, beside all that is read. What is bad"
            " still becomes a dead letter again, with one more in its count of replays.",
            Query(
                f"sum (rate({of('conversions_replayed_records_read_total')}[$__rate_interval]))",
                "replayed",
            ),
            Query(f"sum (rate({of('conversions_records_read_total')}[$__rate_interval]))", "all"),
        ),
    )

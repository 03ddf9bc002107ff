"""The row Kafka: lag, who reads what, and what pauses."""

from dashboards.panels import BLUE, RED, Panel, chart, figure
from dashboards.queries import Query, by_member, in_range, of


def kafka() -> tuple[Panel, ...]:
    """The panels of the row."""
    lag = "max by (topic, partition) (" + of("conversions_kafka_lag_records") + ")"
    assigned = of("conversions_kafka_assigned_partitions")
    topic_partitions = of("conversions_kafka_topic_partitions")
    return (
        figure(
            "Members",
            "short",
            "Members of the group that Prometheus reaches.",
            Query(f"count ({assigned})"),
            base=BLUE,
            alerts=("ConversionsConsumerAbsent",),
            size=(6, 4),
        ),
        figure(
            "Partitions without a member",
            "short",
            "Partitions of the topic that nobody reads. For seconds during a rebalance; for long:"
            " no member is left that could take them, or one does not come to an end.",
            Query(f"sum (max by (topic) ({topic_partitions})) - sum ({assigned})"),
            steps=((1, RED),),
            alerts=("ConversionsPartitionsUnassigned",),
            size=(6, 4),
        ),
        figure(
            "Offsets that were gone",
            "short",
            "Committed offsets in this time that the topic no longer had.",
            Query(in_range("conversions_kafka_offset_resets_total")),
            steps=((1, RED),),
            alerts=("ConversionsOffsetsReset",),
            decimals=0,
            size=(6, 4),
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
            size=(6, 4),
        ),
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
                f"sum by (instance) ({by_member('conversions_kafka_assigned_partitions')})",
                "{{instance}}",
            ),
        ),
        chart(
            "Paused partitions, by cause",
            "short",
            "in_flight: as much is in hand as may be, usually because Meta is slow. destination:"
            " one in trouble has its share of the limits. schema: the registry does not answer."
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
            alerts=("ConversionsCommitFailures", "ConversionsKafkaUnreachable"),
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
            alerts=("ConversionsSchemaUnknown",),
        ),
    )

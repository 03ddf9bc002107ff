"""The row Flow: what is read, what becomes of it, and how soon."""

from dashboards.panels import BLUE, ORANGE, RED, YELLOW, Panel, chart, figure, heatmap
from dashboards.queries import Query, in_range, of, per_second, quantiles, seconds_since

DAY = 86_400.0


def flow() -> tuple[Panel, ...]:
    """The panels of the row."""
    state = "conversions_events_total"
    oldest = f"min by (destination) ({of('conversions_oldest_pending_event_timestamp_seconds')})"
    expiry = of("conversions_earliest_pending_expiry_timestamp_seconds")
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
            " what halts the destination long before. What is left is by the limit that applies: 62"
            " days for physical stores, or what the destination sets.",
            Query(seconds_since(oldest), "{{destination}}"),
            Query(f"min by (destination) ({expiry}) - time()", "{{destination}}: left"),
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
                f"{per_second('conversions_value_total', 'currency, event_name')} > 0",
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

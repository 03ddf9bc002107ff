"""The row Service level: the objective of docs/slo.md, and how fast what it allows is used up."""

from dashboards.panels import GREEN, RED, YELLOW, Panel, chart, figure
from dashboards.queries import Query, quantile, quantiles, recorded

BUDGET = 0.001
"""What the objective allows: one event in a thousand."""
BAD, SETTLED = "job:conversions_bad_events:rate5m", "job:conversions_settled_events:rate5m"
BURN = ("ConversionsErrorBudgetBurn",)


def service_level() -> tuple[Panel, ...]:
    """The panels of the row."""
    month = (
        f"avg_over_time({recorded(BAD)}[30d])"
        f" / (avg_over_time({recorded(SETTLED)}[30d]) > 0) / {BUDGET}"
    )
    return (
        figure(
            "Delivered in time, 3 days",
            "percentunit",
            "Share of valid events that Meta took within five minutes after they were read. The"
            " objective is 99.9 %. What publishers send that cannot be sent does not count.",
            Query(f"1 - max ({_bad_share('3d')})"),
            base=RED,
            steps=((1 - BUDGET, YELLOW), (1 - BUDGET / 2, GREEN)),
            alerts=BURN,
            decimals=3,
            size=(6, 4),
            absent="no events",
        ),
        figure(
            "Error budget left, 30 days",
            "percentunit",
            "What is left of the one event in a thousand that may be lost or late within 30 days."
            " Below 0 the objective is missed: mend before you change anything else.",
            Query(f"1 - max ({month})"),
            base=RED,
            steps=((0, YELLOW), (0.5, GREEN)),
            alerts=BURN,
            size=(6, 4),
            instant=True,
            absent="no events",
        ),
        figure(
            "Burn rate, last hour",
            "short",
            "How many times as fast as allowed the error budget is used up. 1 for a month uses all"
            " of it; 14.4 uses the month's in two days, and pages.",
            Query(f"max ({_bad_share('1h')}) / {BUDGET}"),
            steps=((1, YELLOW), (6, RED)),
            alerts=BURN,
            size=(6, 4),
            absent="no events",
        ),
        figure(
            "Age when accepted",
            "s",
            "99 of 100 events are younger than this when Meta takes them, counted from the time"
            " that the event carries. Meta learns best from what is less than an hour old; much"
            " more than the time of delivery: publishers publish late.",
            Query(quantile(0.99, "conversions_event_age_seconds")),
            steps=((3600, YELLOW), (86_400, RED)),
            size=(6, 4),
        ),
        chart(
            "Burn rate",
            "short",
            "The same over several windows; one pages when a long and a short one are both over a"
            " line: 14.4 over one hour, 6 over six hours, 1 over three days for a ticket.",
            *(Query(f"max ({_bad_share(span)}) / {BUDGET}", span) for span in ("1h", "6h", "3d")),
            steps=((1, YELLOW), (6, RED), (14.4, RED)),
            alerts=BURN,
        ),
        chart(
            "Valid events, and bad ones among them",
            "ops",
            "What the objective is about: accepted events and those lost on our side; bad is"
            " expired, refused by Meta, given up for a halted destination, or more than five"
            " minutes late.",
            Query(f"sum ({recorded(SETTLED)})", "valid"),
            Query(f"sum ({recorded(BAD)})", "bad"),
            alerts=BURN,
        ),
        chart(
            "Age when accepted, quantiles",
            "s",
            "How old events are when Meta takes them. A step upwards in all three at once: a"
            " backlog is being worked off, or a publisher publishes late.",
            *quantiles("conversions_event_age_seconds", "younger"),
            logarithmic=True,
        ),
    )


def _bad_share(span: str) -> str:
    return recorded(f"job:conversions_bad_events:ratio_rate{span}")

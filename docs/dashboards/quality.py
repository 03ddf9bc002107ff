"""The rows Data quality and Credentials."""

from dashboards.panels import GREEN, RED, YELLOW, Panel, chart, figure, named, table
from dashboards.queries import Query, in_range, of, per_second, recorded, worst

DAY = 86_400.0
YES_NO = named((("no", RED), ("yes", GREEN)))


def quality() -> tuple[Panel, ...]:
    """The panels of the row."""
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
            size=(6, 8),
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
            size=(6, 8),
        ),
        chart(
            "Match keys that we send",
            "percentunit",
            "Share of accepted events that carry each match key.",
            Query(recorded(ours, by_destination=True), "{{match_key}} {{destination}}"),
            top=1,
            alerts=("ConversionsMatchKeyCoverageDropped",),
            size=(6, 8),
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
            size=(6, 8),
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
            size=(8, 8),
        ),
        chart(
            "Warnings",
            "ops",
            "Events that Meta takes but can use less well, such as a website event without a user"
            " agent, or a name that is nearly one of Meta's.",
            Query(
                f"{per_second('conversions_event_warnings_total', 'warning')} > 0", "{{warning}}"
            ),
            size=(6, 8),
        ),
        chart(
            "Values not added up",
            "ops",
            "Accepted events whose value is negative, no number, or without a currency; Meta has"
            " them as they are. Only with CONVERSIONS_VALUE_CURRENCIES, else empty.",
            Query(per_second("conversions_value_unusable_total", "reason"), "{{reason}}"),
            size=(6, 8),
        ),
        figure(
            "Questions unanswered",
            "short",
            "Questions to Meta for Event Match Quality in this time that got no usable answer. The"
            " token may not be allowed to read: see docs/quality.md.",
            Query(in_range("conversions_quality_failures_total")),
            steps=((1, YELLOW),),
            decimals=0,
            size=(4, 8),
        ),
    )


def credentials() -> tuple[Panel, ...]:
    """The panels of the row."""
    expiry = of("conversions_access_token_expiry_timestamp_seconds")
    version = of("conversions_graph_version_expiry_timestamp_seconds")
    return (
        table(
            "Tokens",
            "none",
            "Whether Meta calls each destination's token valid. no: make a new one and put it into"
            " the token's file, which is read again by itself.",
            Query(f"min by (destination) ({of('conversions_access_token_valid')})"),
            mappings=(YES_NO,),
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
            size=(4, 6),
            absent="not known",
        ),
        figure(
            "Version warnings",
            "short",
            "Answers in this time with which Meta warned that our version of the Graph API has"
            " ended and another one answered.",
            Query(in_range("conversions_graph_version_warnings_total")),
            steps=((1, YELLOW),),
            alerts=("ConversionsGraphVersionEnding",),
            decimals=0,
            size=(3, 6),
        ),
        figure(
            "Checks unanswered",
            "short",
            "Questions to Meta for the state of a token in this time without a usable answer.",
            Query(in_range("conversions_token_check_failures_total")),
            steps=((1, YELLOW),),
            decimals=0,
            size=(3, 6),
        ),
    )

"""The row Meta's API: what Meta answers, how soon, and which destination takes nothing."""

from dashboards.panels import GREEN, ORANGE, RED, YELLOW, Panel, chart, table, timeline
from dashboards.queries import Query, by_member, of, per_second, quantile, quantiles, worst

STATES = (("ready", GREEN), ("backing off", YELLOW), ("throttled", ORANGE), ("halted", RED))


def meta_api() -> tuple[Panel, ...]:
    """The panels of the row."""
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
            " long: Meta or the network is slow;"
            " CONVERSIONS_REQUEST_TIMEOUT_SECONDS ends a request.",
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
            size=(6, 8),
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
            size=(6, 8),
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
            size=(6, 8),
        ),
        chart(
            "Requests under way",
            "short",
            "Requests that wait for Meta's answer, by member.",
            Query(
                f"sum by (instance) ({by_member('conversions_requests_in_flight')})", "{{instance}}"
            ),
            size=(6, 8),
        ),
    )

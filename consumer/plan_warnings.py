"""What to think of a plan: a sentence for each bound that it comes near."""

from collections.abc import Iterator

from consumer.meta_limits import MARGIN_MS, WEEK_MS
from consumer.plan import PARTITIONS_MAX, Bound, Plan, lag_threshold, usual_lag
from consumer.planned_load import Asked, Rules

EVENT_AGE_SECONDS = (WEEK_MS - MARGIN_MS) / 1000
FEW_IN_A_BATCH = 50
HOT = 0.5
NEARLY = 0.75
"""Of a bound: there it decides how many members are needed."""


def warnings(asked: Asked, rules: Rules, plan: Plan) -> list[str]:
    """A sentence for each bound that the plan comes near."""
    return [
        *_of_members(asked, plan),
        *_of_destinations(asked, rules, plan),
        *_of_time(asked, rules, plan),
    ]


def _of_members(asked: Asked, plan: Plan) -> Iterator[str]:
    tightest = plan.fullest.tightest.value
    if not plan.holds:
        enough = (
            f"{plan.partitions_needed} partitions would do"
            if plan.partitions_needed
            else f"nor would {PARTITIONS_MAX}: split the topic"
        )
        yield (
            f"{plan.partitions} partitions do not carry it, for more members than that would be"
            f" idle ({tightest} is what is short); {enough}."
        )
    elif not plan.survives:
        yield (
            "When a zone is gone the others do not carry it: more partitions allow more members,"
            " or the lag grows until the zone is back."
        )
    if plan.holds and plan.partitions % plan.replicas and plan.partitions < 4 * plan.replicas:
        least, most = divmod(plan.partitions, plan.replicas)
        yield (
            f"{plan.partitions} partitions do not divide among {plan.replicas} members: {most} have"
            f" {least + 1} and the others {least}."
        )
    if plan.holds and asked.partitions is None and plan.partitions_needed is None:
        yield f"{PARTITIONS_MAX} partitions leave no room to grow: split the topic."
    if asked.headroom == 0:
        yield "Without headroom every burst becomes lag."


def _of_destinations(asked: Asked, rules: Rules, plan: Plan) -> Iterator[str]:
    fullest = plan.fullest
    if fullest.used[Bound.REQUESTS_PER_DESTINATION] > NEARLY:
        yield (
            f"The hottest destination is what bounds a member: {rules.requests_per_destination}"
            f" requests of {fullest.hottest_batch_events:.0f} events at a time. Raise"
            f" {Bound.REQUESTS_PER_DESTINATION.value}, or have more members."
        )
    if asked.destinations > 1 and asked.hottest_share >= HOT:
        yield (
            f"One destination has {asked.hottest_share:.0%} of the events: when it halts, it fills"
            " its share of every partition, and what is spilled becomes dead letters."
        )
    if fullest.window_seconds > 1.05 * rules.window_seconds:
        yield (
            f"All {rules.requests} sender threads of a member are busy: its windows are open for"
            f" {fullest.window_seconds:.1f} seconds. More members, or larger requests by a longer"
            " CONVERSIONS_WINDOW_SECONDS, change that."
        )
    if fullest.batch_events < min(FEW_IN_A_BATCH, rules.window_events / 2):
        yield (
            f"Windows do not fill: {fullest.batch_events:.1f} events a request, each request costs"
            " CPU and counts at Meta. Fewer members, a longer CONVERSIONS_WINDOW_SECONDS, or the"
            " destination as the records' key make larger requests."
        )


def _of_time(asked: Asked, rules: Rules, plan: Plan) -> Iterator[str]:
    if plan.catch_up_seconds is None:
        yield "There is nothing to spare: after an outage the lag stays for ever."
    else:
        outage = asked.outage_minutes * 60
        if plan.catch_up_seconds > 3 * outage > 0:
            yield "Catching up takes more than three times the outage: have more members."
        if outage + plan.catch_up_seconds > EVENT_AGE_SECONDS:
            yield "Some events would be older than Meta's seven days when their turn comes."
    if usual_lag(asked, rules, plan) > lag_threshold(asked, plan) * plan.replicas / 2:
        yield (
            "The usual lag is more than half of what KEDA allows these members: accept a longer"
            " delay, or it scales to the most for nothing."
        )

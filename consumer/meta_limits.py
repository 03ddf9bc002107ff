"""How long Meta takes an event, and how long it knows again what it has taken."""

DAY_MS = 24 * 3600 * 1000
WEEK_MS = 7 * DAY_MS
"""Meta takes an event so long after it happened; those of a physical store longer."""

MARGIN_MS = 10 * 60 * 1000
"""A request must *arrive* inside Meta's limit, and retries take time."""

AMBIGUOUS_MS_MAX = 47 * 3600 * 1000
"""Meta drops a repeated event id for 48 h after its first receipt; an hour is left as a margin."""

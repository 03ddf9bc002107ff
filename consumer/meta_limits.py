"""How long Meta takes an event, and how long it knows again what it has taken."""

DAY_MS = 24 * 3600 * 1000
WEEK_MS = 7 * DAY_MS
"""Meta takes an event so long after it happened; those of a physical store longer."""

MARGIN_MS = 10 * 60 * 1000
"""A request must *arrive* inside Meta's limit, and retries take time."""

FORGOTTEN_MS = 48 * 3600 * 1000
"""So long after its first receipt Meta drops a repeated event id."""

AMBIGUOUS_MS_MAX = FORGOTTEN_MS - 3600 * 1000
"""Until then something is sent again without a clear answer; an hour is left as a margin."""

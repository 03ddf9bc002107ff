"""Meta's own names of events, and what comes so near to one that a mistake is likely.

Any other name is a custom event to Meta, which is fine when it is meant. Names are compared by
case: ``purchase`` is no Purchase, and is neither optimised for nor counted as one. Sources: Meta's
pages "Standard events" and "Conversions API for business messaging".
"""

from functools import lru_cache

STANDARD_EVENT_NAMES = (
    "AddPaymentInfo",
    "AddToCart",
    "AddToWishlist",
    "CompleteRegistration",
    "Contact",
    "CustomizeProduct",
    "Donate",
    "FindLocation",
    "InitiateCheckout",
    "Lead",
    "PageView",
    "Purchase",
    "Schedule",
    "Search",
    "StartTrial",
    "SubmitApplication",
    "Subscribe",
    "ViewContent",
)

MESSAGING_EVENT_NAMES = frozenset(
    (
        "AddToCart",
        "CartAbandoned",
        "InitiateCheckout",
        "LeadSubmitted",
        "OrderCanceled",
        "OrderCreated",
        "OrderDelivered",
        "OrderReturned",
        "OrderShipped",
        "Purchase",
        "QualifiedLead",
        "RatingProvided",
        "ReviewProvided",
        "ViewContent",
    )
)
"""All that Meta takes with the action source ``business_messaging`` (its error 2804066 else)."""

NEAR_MISS = "event_name_near_miss"
"""The warning that an event with such a name carries."""

_NAME_LENGTH_MAX = 50
_NAMES_REMEMBERED = 1000


def near_miss(name: str) -> str | None:
    """The standard name that this one differs from in case, spaces or punctuation alone, if any."""
    if name in _STANDARD or len(name) > _NAME_LENGTH_MAX:
        return None
    return _near_miss(name)


@lru_cache(maxsize=_NAMES_REMEMBERED)
def _near_miss(name: str) -> str | None:
    return _BY_LETTERS.get(_letters(name))


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


_STANDARD = frozenset(STANDARD_EVENT_NAMES)
_BY_LETTERS = {_letters(name): name for name in STANDARD_EVENT_NAMES}

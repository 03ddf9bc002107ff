"""What each reason means, what to do about it, and whether a replay can help.

``dlq show`` says it, and docs/dead-letters.md and the runbooks are made of it: a table, one row for
each reason.
"""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from consumer.model import Reason


class Help(Enum):
    """What a replay can do for a dead letter; the value is shown."""

    AS_IT_IS = "a replay helps"
    AFTERWARDS = "a replay helps once the cause is gone"
    EDITED = "a replay helps with the event edited"
    NEVER = "a replay cannot help"


class Remedy(NamedTuple):
    """``meaning`` and ``advice`` are a sentence each; ``before`` is what must be done before a
    replay, empty when nothing has to be."""

    meaning: str
    advice: str
    help: Help
    before: str


def remedy_for(reason: Reason | str) -> Remedy:
    """The row of a reason; one that this version does not know has one as well."""
    return REMEDIES[reason] if isinstance(reason, Reason) else _UNKNOWN


_MEND = "Have the publisher fill it in from now on"
_SET = "edit what has been published already"


def _missing(what: str, option: str) -> Remedy:
    return Remedy(
        f"The event has no {what}.",
        f"{_MEND}; {_SET}.",
        Help.EDITED,
        f"Fill it in: `--set {option}`, or export, edit and publish.",
    )


REMEDIES: Mapping[Reason, Remedy] = {
    # --- the record could not be read
    Reason.UNDECODABLE: Remedy(
        "The bytes are no Avro that could be read as an event.",
        "Find out who writes to the topic without the serialiser; such records are not events.",
        Help.AFTERWARDS,
        "The schema that it names must be another by then: the same bytes fail the same way.",
    ),
    Reason.UNKNOWN_SCHEMA: Remedy(
        "Nobody knows the schema that the record names.",
        "Register the schema, or put it into CONVERSIONS_SCHEMAS_DIR, then replay.",
        Help.AFTERWARDS,
        "Register the schema under the id that the record names.",
    ),
    Reason.SCHEMA_INCOMPATIBLE: Remedy(
        "The record's schema cannot be read as a conversion event.",
        "Have the publisher write with a schema compatible with conversion_event.avsc.",
        Help.NEVER,
        "",
    ),
    # --- the event lacks something that Meta demands
    Reason.MISSING_EVENT_NAME: _missing("name", "eventName=Purchase"),
    Reason.MISSING_EVENT_TIME: _missing("time, or one that is no time", "eventTime=…"),
    Reason.MISSING_EVENT_ID: Remedy(
        "The event has no id, and its destination insists on one.",
        f"{_MEND}, or set missingEventId of the destination to derive.",
        Help.AS_IT_IS,
        "The dead letter carries a derived id, which then counts.",
    ),
    Reason.MISSING_DESTINATION: Remedy(
        "The event names no destination, and there is not exactly one to assume.",
        f"{_MEND}; {_SET}.",
        Help.EDITED,
        "Name the pixel: `--set destinationId=…` or `--to-destination`.",
    ),
    Reason.UNKNOWN_DESTINATION: Remedy(
        "The event names a destination that is not configured.",
        "Add the pixel to the destinations, or have the publisher name the right one.",
        Help.AFTERWARDS,
        "Add the destination, or name another: `--to-destination`.",
    ),
    Reason.MISSING_ACTION_SOURCE: Remedy(
        "The event does not say where it happened, and its destination has no default.",
        "Give the destination an actionSource, or have the publisher fill it in.",
        Help.AFTERWARDS,
        "Give the destination an actionSource, or `--set actionSource=website`.",
    ),
    Reason.UNKNOWN_ACTION_SOURCE: Remedy(
        "The event's actionSource is neither one of Meta's nor an alias of the destination's.",
        "Add an alias to the destination's actionSources, or mend the publisher.",
        Help.AFTERWARDS,
        "Add the alias, or `--set actionSource=website`.",
    ),
    Reason.MISSING_SOURCE_URL: _missing("sourceUrl, and its destination is strict", "sourceUrl=…"),
    Reason.MISSING_USER_AGENT: Remedy(
        "The event has no user.userAgent, and its destination is strict.",
        "Have the publisher send the browser's user agent, or make the destination less strict.",
        Help.AFTERWARDS,
        "Make the destination less strict: nobody knows the browser any more.",
    ),
    Reason.MISSING_APP_DATA: _missing("complete appData.extinfo", "appData.extinfo=…"),
    Reason.MISSING_MESSAGING_CHANNEL: _missing("messagingChannel", "messagingChannel=whatsapp"),
    Reason.MISSING_MESSAGING_ACCOUNT: _missing(
        "page or account for its messaging channel", "user.pageId=…"
    ),
    Reason.UNFIT_MESSAGING_EVENT: Remedy(
        "Meta does not take this event name for messaging.",
        "Use one of the messaging events' names, or another actionSource.",
        Help.EDITED,
        "Change one of the two: `--set eventName=…` or `--set actionSource=…`.",
    ),
    Reason.INSUFFICIENT_USER_DATA: Remedy(
        "Too little is known of the person for Meta to find anybody.",
        "Have the publisher send more match keys: e-mail address, phone or external id.",
        Help.EDITED,
        "Add a match key that your own records have, and publish the edited export.",
    ),
    Reason.MISSING_VALUE: _missing("value, which a purchase needs", "value=42.50"),
    Reason.MISSING_CURRENCY: _missing("currency, which a purchase needs", "currency=EUR"),
    Reason.EVENT_TOO_OLD: Remedy(
        "The event was older than Meta takes it when it was read.",
        "Look for what delayed it: the publisher, or our lag.",
        Help.NEVER,
        "",
    ),
    Reason.EVENT_TIME_IN_FUTURE: Remedy(
        "The event's time is too far in the future.",
        "Look at the publisher's clock, and at the unit of its times.",
        Help.EDITED,
        "Correct it: `--set eventTime=…`; or wait until that time has come.",
    ),
    Reason.EVENT_TOO_LARGE: Remedy(
        "The event alone is more than one request may hold.",
        "Have the publisher send less, in customData or items for example.",
        Help.EDITED,
        "Leave out what is large: `--drop customDataJson`.",
    ),
    # --- it was sent, or could not be
    Reason.REFUSED_BY_META: Remedy(
        "Meta refuses this event, and took the others of its batch.",
        "Read Meta's words and docs/errors.md, and mend the publisher.",
        Help.EDITED,
        "Change what Meta complains of with `--set` or `--drop`.",
    ),
    Reason.NOT_RECEIVED: Remedy(
        "Meta answered with success, but counted fewer events than were sent.",
        "Compare with `conversions quality --reconcile`; ask Meta, naming the trace id.",
        Help.AS_IT_IS,
        "",
    ),
    Reason.EXPIRED: Remedy(
        "The event became too old for Meta while it waited to be sent.",
        "Look for what held it: the destination's halts, or our lag.",
        Help.NEVER,
        "",
    ),
    Reason.OUTCOME_UNKNOWN: Remedy(
        "It was sent, and whether Meta counted it never became clear.",
        "Compare with `conversions quality --reconcile` before doing anything.",
        Help.AS_IT_IS,
        "Accept that Meta may count it twice: `--accept-duplicates`.",
    ),
    Reason.DESTINATION_HALTED: Remedy(
        "Its destination took no events, and others had waited for it too long.",
        "Mend what halted the destination: `conversions destinations` and its log say what.",
        Help.AFTERWARDS,
        "See that the destination accepts events again.",
    ),
    Reason.SKIPPED_BY_OPERATOR: Remedy(
        "An operator took it out of the way, as it could not even be a dead letter.",
        "Look at the record in its source topic while that keeps it: its value is not here.",
        Help.AFTERWARDS,
        "Raise the size limit that it did not fit, or publish the event anew.",
    ),
    Reason.INTERNAL_ERROR: Remedy(
        "This program failed on the event: a bug of ours.",
        "Report it, with the error that the log names; the event itself may be fine.",
        Help.AFTERWARDS,
        "Run a version in which it is mended.",
    ),
}
"""One row for each reason."""

_UNKNOWN = Remedy(
    "This version does not know the reason.",
    "Look it up in the documentation of the version that wrote it.",
    Help.AFTERWARDS,
    "Use that version.",
)

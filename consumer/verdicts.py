"""The table of Meta's answers: what an answer says → what we do.

Read from the top, the first row that covers the answer decides; the last rows cover everything,
on the safe side.

Codes come first and HTTP statuses second, for Meta's throttles, faults and refusals arrive as 400,
403, 429 and 500 alike. ``is_transient`` outranks all that speaks of the destination or its events,
but a limit stays a limit. Texts do not occur: they are localised to whoever owns the token.
``docs/errors.md`` is made of these rows.
Source: Graph API, "Handling Errors" and "Rate Limits"; Marketing API, "Error Reference";
Conversions API, "Using the API" and "Troubleshooting"; public reports for most subcodes.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from consumer.model import HaltReason, RetryCause, Scope

Ranges = tuple[range, ...]


class Says(Enum):
    """What the body of an answer says, by its shape."""

    ALL_RECEIVED = "`events_received` is the number of events sent"
    FEWER_RECEIVED = "`events_received` is less than the number sent"
    ERROR = "an `error` with a code"
    NOTHING = "nothing readable: no code, and no count or one too high"


class Facts(NamedTuple):
    """All of an answer that may decide. ``kind`` is the error's ``type``."""

    says: Says
    status: int
    code: int | None
    subcode: int | None
    kind: str
    transient: bool


class Do(Enum):
    """Actions without particulars."""

    ACCEPT = "accept"
    COMPLETE = "complete"
    REFUSE_EVENT = "refuse event"
    SPLIT = "split"


class Repeat(NamedTuple):
    """The same request later; ``few_times``: the destination halts if that does not help."""

    cause: RetryCause
    few_times: bool = False


class Throttle(NamedTuple):
    """A pause for all whom the limit is about."""

    scope: Scope


class Halt(NamedTuple):
    """The destination takes nothing until a probe passes."""

    reason: HaltReason


Action = Do | Repeat | Throttle | Halt


class Row(NamedTuple):
    """One row: what is None is not looked at. ``advice`` is for whoever operates the consumer."""

    meaning: str
    action: Action
    advice: str
    says: Says | None = Says.ERROR
    codes: Ranges | None = None
    subcodes: Ranges | None = None
    statuses: Ranges | None = None
    kind: str | None = None
    transient: bool | None = None

    def covers(self, facts: Facts) -> bool:
        """Whether this row speaks of that answer."""
        return (
            self.says in (None, facts.says)
            and (self.codes is None or _is_in(facts.code, self.codes))
            and (self.subcodes is None or _is_in(facts.subcode, self.subcodes))
            and (self.statuses is None or _is_in(facts.status, self.statuses))
            and (self.kind is None or facts.kind == self.kind)
            and (self.transient is None or facts.transient is self.transient)
        )


def row_for(facts: Facts) -> Row:
    """The row that decides."""
    return next(row for row in ROWS if row.covers(facts))


def _is_in(number: int | None, ranges: Ranges) -> bool:
    return number is not None and any(number in each for each in ranges)


def only(*numbers: int) -> Ranges:
    """These numbers and no others."""
    return tuple(range(number, number + 1) for number in numbers)


NEGATIVE: Ranges = (range(-(2**63), 0),)
SERVER_ERRORS: Ranges = (range(500, 1000),)

_NOTHING = "Nothing."
_WAIT = "Nothing: it goes on by itself. If it lasts, ask Meta for a higher limit."
_OUTAGE = "Nothing: it goes on by itself. If it lasts, look at Meta's status page."
_NEW_TOKEN = "Put a new token into its file; it is used at once, without a restart."  # noqa: S105
_APP_SECRET = "Compare CONVERSIONS_APP_SECRET with the secret of the app that made the token."  # noqa: S105

ROWS: tuple[Row, ...] = (
    # --- success, and what looks like it
    Row("every event was received", Do.ACCEPT, _NOTHING, says=Says.ALL_RECEIVED),
    Row(
        "some events were not received",
        Do.COMPLETE,
        "Read the dead letters with reason `not_received`: their events may have counted.",
        says=Says.FEWER_RECEIVED,
    ),
    # --- limits: before the transient flag, for a limit that calls itself transient is still one
    Row(
        "limit of the app (subcodes 1504022, 1504039, 1349210)",
        Throttle(Scope.APP),
        _WAIT,
        codes=only(4),
    ),
    Row("limit of the app, or Meta is down", Throttle(Scope.APP), _WAIT, codes=only(341)),
    Row("limit of the token (subcode 2446079)", Throttle(Scope.TOKEN), _WAIT, codes=only(17)),
    Row("limit of a page", Throttle(Scope.DESTINATION), _WAIT, codes=only(32)),
    Row(
        "limit of an ad account or of a call (subcodes 1996, 1487742, 5044001)",
        Throttle(Scope.DESTINATION),
        _WAIT,
        codes=only(613),
    ),
    Row(
        "limit of a business use case",
        Throttle(Scope.DESTINATION),
        _WAIT,
        codes=(range(80000, 80015),),
    ),
    Row("too many requests", Throttle(Scope.DESTINATION), _WAIT, says=None, statuses=only(429)),
    Row(
        "the request is too large",
        Do.SPLIT,
        "Lower CONVERSIONS_WINDOW_BYTES if it happens often.",
        says=None,
        statuses=only(413),
    ),
    Row("Meta calls it transient", Repeat(RetryCause.TRANSIENT), _OUTAGE, transient=True),
    # --- the destination: its events are fine, and are never isolated or dead-lettered for it
    Row(
        "the token is invalid, expired or revoked (subcodes 458, 459, 460, 463, 464, 467, 492)",
        Halt(HaltReason.TOKEN),
        _NEW_TOKEN,
        codes=only(102, 190),
    ),
    Row(
        "there is no token, or its proof by the app's secret is wrong",
        Halt(HaltReason.TOKEN),
        f"{_NEW_TOKEN} {_APP_SECRET}",
        codes=only(104),
    ),
    Row(
        "the app may not do this",
        Halt(HaltReason.PERMISSION),
        "Give the app access to the Conversions API.",
        codes=only(3),
    ),
    Row(
        "a permission is missing or was taken away",
        Halt(HaltReason.PERMISSION),
        "Assign the pixel to the token's system user, with the right to manage it.",
        codes=(*only(10), range(200, 300)),
    ),
    Row(
        "the pixel does not exist, or the token has no access to it",
        Halt(HaltReason.UNKNOWN_PIXEL),
        "Compare the id with Events Manager; assign the pixel to the token's system user.",
        codes=only(100),
        subcodes=only(33),
    ),
    Row(
        "the pixel's id is none",
        Halt(HaltReason.UNKNOWN_PIXEL),
        "Compare the id with Events Manager.",
        codes=only(803),
    ),
    Row(
        "the proof by the app's secret is missing or wrong",
        Halt(HaltReason.CONFIGURATION),
        f"{_APP_SECRET} A changed secret file is used at once.",
        codes=only(100),
        kind="GraphMethodException",
    ),
    Row(
        "blocked for a breach of Meta's policies; probed once an hour, then more rarely",
        Halt(HaltReason.POLICY),
        "Look into Events Manager and Business Support.",
        codes=only(368),
    ),
    Row(
        "the address of the call is wrong",
        Halt(HaltReason.CONFIGURATION),
        "Look at CONVERSIONS_GRAPH_URL and CONVERSIONS_GRAPH_VERSION.",
        codes=only(2500),
    ),
    Row(
        "the version of the Graph API has ended",
        Halt(HaltReason.CONFIGURATION),
        "Set CONVERSIONS_GRAPH_VERSION to a newer one.",
        codes=only(2635),
    ),
    # --- the events
    Row(
        "an event is invalid, and Meta refuses the whole request for it",
        Do.REFUSE_EVENT,
        "Read the dead letters with reason `refused_by_meta`, mend the publisher, replay.",
        codes=only(100),
    ),
    # --- Meta itself
    Row(
        "unknown error, or too much data: the second time the same events go in halves",
        Repeat(RetryCause.TRANSIENT),
        _OUTAGE,
        codes=only(1),
    ),
    Row("temporarily unavailable", Repeat(RetryCause.TRANSIENT), _OUTAGE, codes=only(2)),
    Row(
        "internal error",
        Repeat(RetryCause.TRANSIENT, few_times=True),
        _OUTAGE,
        codes=(*NEGATIVE, *only(5000)),
    ),
    Row("server error", Repeat(RetryCause.TRANSIENT), _OUTAGE, statuses=SERVER_ERRORS),
    # --- what nobody has described: held, never dead-lettered, never repeated without end
    Row(
        "a code that is not known here",
        Halt(HaltReason.UNKNOWN_ERROR),
        "Look the code up in Meta's error reference; if it is new, report it to us.",
    ),
    Row(
        "server error, for example a page of HTML",
        Repeat(RetryCause.SERVER_ERROR),
        _OUTAGE,
        says=Says.NOTHING,
        statuses=SERVER_ERRORS,
    ),
    Row(
        "no answer of the Graph API: cut off, empty, or of a proxy",
        Repeat(RetryCause.UNREADABLE_ANSWER),
        "Look at CONVERSIONS_GRAPH_URL, and for a proxy in between.",
        says=Says.NOTHING,
    ),
)

EVENT_FAULTS: Mapping[int, str] = {
    2804003: "The event is older than 7 days (62 in a store).",
    2804009: "A purchase has no value.",
    2804010: "A purchase has no currency.",
    2804016: "A match key is not hashed.",
    2804019: "A parameter is unknown or does not fit; reports differ.",
    2804030: "A choice about limited data use is missing.",
    2804043: "`extinfo` of an app event is incomplete.",
    2804050: "The match keys are missing, or too broad to find anybody by them.",
    2804063: "A messaging event names no channel.",
    2804066: "A messaging event has a name that is not for messaging.",
    2804072: "The page is not that of the WhatsApp click.",
    2804087: "The WhatsApp click id is of no real click.",
    2804116: "A messaging event names no page.",
    2804117: "The pixel and the WhatsApp Business Account do not belong together.",
    2804118: "The pixel and the WhatsApp Business Account do not belong together.",
    2804132: "A messaging event, and no WhatsApp Business Account is linked to the pixel.",
}
"""Subcodes of code 100 for an event at fault, as far as they are known; every other subcode is
treated alike. For readers: the table above does not look at them."""


def spelled(ranges: Iterable[range]) -> str:
    """Numbers as people write them: ``4``, ``200–299``, ``5xx``, ``negative``."""
    words = []
    for each in ranges:
        if each in NEGATIVE:
            words.append("negative")
        elif each in SERVER_ERRORS:
            words.append("5xx")
        else:
            words.append(str(each[0]) if len(each) == 1 else f"{each[0]}–{each[-1]}")
    return ", ".join(words)

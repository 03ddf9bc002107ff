"""How Meta refuses: the shape of its errors, and its words for an event at fault.

The titles are Meta's, seen live or documented; what to do about it is said in words of our own.
What Meta was never seen to say is marked as such.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson


class Refusal(NamedTuple):
    """One error of Meta's: ``status`` is HTTP's; ``event_index`` and ``path`` say where.

    ``data`` is ``error_data``, which Meta gives as an object or as JSON inside a string.
    """

    code: int
    message: str = "Invalid parameter"
    subcode: int | None = None
    title: str | None = None
    user_message: str | None = None
    kind: str = "OAuthException"
    status: int = 400
    is_transient: bool | None = None
    event_index: int | None = None
    path: str = ""
    data: Any = None

    @property
    def label(self) -> str:
        """``100/2804003``, or ``190`` where there is no subcode: the key in the statistics."""
        return str(self.code) if self.subcode is None else f"{self.code}/{self.subcode}"

    def body(self, *, trace_id: str, hints: str) -> bytes:
        """Meta's JSON for this error; ``hints`` is ``none``, ``path`` or ``index``."""
        message, user_message, data = self.message, self.user_message, self.data
        if self.event_index is not None and hints == "path":
            where = f"$['data'][{self.event_index}]{self.path}"
            message = f"{message}: {where}"
            user_message = f'{(user_message or "").rstrip(".")} on param "{where}".'
        elif self.event_index is not None and hints == "index":
            # The retired Offline Conversions API put it there, and as JSON inside a string.
            data = orjson.dumps({"event_index": self.event_index}).decode()
        optional = {
            "error_subcode": self.subcode,
            "is_transient": self.is_transient,
            "error_data": data,
            "error_user_title": self.title,
            "error_user_msg": user_message,
        }
        error: dict[str, Any] = {"message": message, "type": self.kind, "code": self.code}
        error |= {name: value for name, value in optional.items() if value is not None}
        return orjson.dumps({"error": error | {"fbtrace_id": trace_id}})


def refused(subcode: int, path: str) -> Refusal:
    """The error of this subcode for an event at fault; ``path`` is where in the event."""
    title, said = _SUBCODES[subcode]
    return invalid(said, path)._replace(subcode=subcode, title=title)


def invalid(said: str, path: str = "") -> Refusal:
    """Meta's error without a subcode, with a sentence of ours."""
    return Refusal(code=100, user_message=said, is_transient=False, path=path)


def unexpected_key(key: str, path: str = "") -> Refusal:
    """A key that Meta does not know, in the object at ``path``."""
    return refused(2804019, path)._replace(user_message=f'Unexpected key "{key}".')


def not_hashed(key: str) -> Refusal:
    """A key of ``user_data`` that is no SHA-256."""
    refusal = refused(2804016, f"['user_data']['{key}']")
    said = f"The {key} parameter isn\u2019t hashed. {refusal.user_message}"
    return refusal._replace(user_message=said)


# Meta's subcodes for an event at fault: its title, and what to do about it in our words.
_SUBCODES: Mapping[int, tuple[str, str]] = {
    2804003: ("Event Timestamp Too Old", "The event is older than 7 days (62 in a store)."),
    # That Meta refuses the future is reported, with which subcode is not: this one is made up.
    2804004: ("Event Timestamp In The Future", "The event has not happened yet."),
    2804009: ("Missing Value for Purchase Event", "A purchase needs a value that is a number."),
    2804010: ("Missing Currency for Purchase Event", "A purchase needs a currency of 3 letters."),
    2804016: ("User Parameter Not Hashed", "Hash all user parameters as SHA256."),
    2804019: ("Server Side Api Parameter Error", "There is a key that is not known here."),
    2804043: ("Invalid extended device info parameter", "extinfo needs its versions, 16 in all."),
    2804050: (
        "You haven't added sufficient customer information parameter data for this event",
        "The customer information is missing, or too broad to find anybody by it.",
    ),
    2804063: ("Missing messaging channel parameter", "Say on which channel they talked."),
    2804066: ("Messaging Event Invalid Event Type", "This event name is not for messaging."),
    # The subcode was seen, its title was not.
    2804116: ("Missing page id", "Say with which page or account they talked."),
}

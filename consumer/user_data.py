"""The ``user_data`` of one event while it is read: what was found, and what was dropped."""

from collections.abc import Callable, Collection, Iterator
from datetime import date
from typing import Any, NamedTuple

from consumer.hashing import Outcome, is_encodable, is_placeholder, trimmed
from consumer.model import Dropped, DropReason

CLEAR_LENGTH_MAX = 4096
"""Characters of a key that leaves in the clear; no browser calls itself more."""

VALUES_MAX = 100
"""Values of one hashed key: a person has a few of each; a table joined wrongly has thousands."""

ReadClear = Callable[[str], str | int | DropReason]
"""How a key that leaves in the clear is read."""


class Found(NamedTuple):
    """What has been read so far."""

    data: dict[str, Any]
    dropped: list[Dropped]

    def add_list(self, key: str, field: str, outcomes: Collection[Outcome]) -> None:
        """A hashed key of any number of values; those that are of no use are dropped."""
        values = {outcome for outcome in outcomes if isinstance(outcome, str)}
        if values:
            self.data[key] = sorted(values)
        reasons = [outcome for outcome in outcomes if isinstance(outcome, DropReason)]
        self.dropped.extend(Dropped(field, reason) for reason in reasons)

    def add_scalar(self, key: str, field: str, value: Any, read: ReadClear) -> None:
        """A key that is never hashed; JSON needs its text to be UTF-8."""
        text = value if type(value) is str else next(texts(value), "")
        if text is not None and not (text := trimmed(text)):
            return
        if text is None or len(text) > CLEAR_LENGTH_MAX or not is_encodable(text):
            outcome: str | int | DropReason = DropReason.MALFORMED
        elif is_placeholder(text):
            outcome = DropReason.PLACEHOLDER
        else:
            outcome = read(text)
        if isinstance(outcome, DropReason):
            self.dropped.append(Dropped(field, outcome))
        else:
            self.data[key] = outcome


def texts(value: Any) -> Iterator[str | None]:
    """The texts of a value or of a list of values; None stands for what cannot be a text."""
    for item in value if isinstance(value, list | tuple) else (value,):
        if isinstance(item, str):
            yield str(item)
        elif isinstance(item, date):  # what an Avro reader makes of the logical type
            yield item.isoformat()
        elif isinstance(item, int) and not isinstance(item, bool) and item.bit_length() <= 64:
            yield str(item)
        elif item is not None:
            yield None

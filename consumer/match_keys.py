"""The ``user`` record of an event → Meta's ``user_data``, normalised and, where it must be, hashed.

What can be repaired is repaired; what cannot is left out and named, and the event lives on. How
each is read stands in ``normalise``, ``phone``, ``places``, ``network_address`` and ``click_ids``;
here is the one table that says which field becomes which key. Meta's page "Customer information
parameters" is the source of the names and of what must be hashed.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from itertools import chain, islice
from typing import Any, NamedTuple, TypeGuard

from consumer import normalise, places
from consumer.click_ids import CLICK_FIELDS, add_click_ids
from consumer.hashing import TEXT_LENGTH_MAX, Outcome
from consumer.model import Dropped, DropReason
from consumer.network_address import client_ip
from consumer.phone import phone
from consumer.user_data import VALUES_MAX, Found, ReadClear, texts


class ExternalIdRule(Enum):
    """How ``external_id`` must look to equal the one that the same destination's pixel sends."""

    PIXEL = "pixel"
    EXACT = "exact"
    RAW = "raw"


class DateOrder(Enum):
    """Which of two possible readings of ``03/04/1997`` is right; unset, it is Meta's M/D/Y."""

    MDY = "mdy"
    DMY = "dmy"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchKeyRules:
    """One destination's choices.

    ``default_country`` is an ISO 3166-1 alpha-2 code in lower case. It stands in for
    ``user.country`` when that is absent: as the region of national phone numbers, and to read
    ``state`` and ``zip``. It is never sent.
    """

    default_country: str | None
    external_id: ExternalIdRule
    date_order: DateOrder | None


class MatchKeys(NamedTuple):
    """Meta's ``user_data``, and each field that did not make it, once per reason."""

    user_data: dict[str, Any]
    dropped: tuple[Dropped, ...]

    def __repr__(self) -> str:
        return f"MatchKeys(keys={sorted(self.user_data)}, dropped={self.dropped})"


def match_keys(
    user: Mapping[str, Any],
    rules: MatchKeyRules,
    *,
    event_time_ms: int | None,
    today: date,
    website: bool,
) -> MatchKeys:
    """Turn the ``user`` record (our schema's names) into ``user_data`` (Meta's names).

    Hashed keys become lists of strings, sorted and without duplicates; the others stay scalars.
    ``event_time_ms`` serves as the click's time for ``website`` events. Blank values are absent;
    unknown keys are ignored; no value of any type raises.
    """
    found = Found({}, [])
    data, dropped = found
    region = _region(user.get("country"), rules.default_country)
    for key, field, plural, read in _HASHED_KEYS:
        value = user.get(field)
        more = user.get(plural) if plural else None
        if more is None and type(value) is str and len(value) <= TEXT_LENGTH_MAX:
            outcome = read(value, region, rules, today)  # nearly always, so it pays to be short
            if type(outcome) is str:
                data[key] = [outcome]
            elif isinstance(outcome, DropReason):
                dropped.append(Dropped(field, outcome))
        elif value is not None or more is not None:
            values = chain(texts(value), texts(more))
            outcomes = [
                read(text, region, rules, today)
                if _is_readable(text, key)
                else DropReason.MALFORMED
                for text in islice(values, VALUES_MAX)
            ]
            if any(True for _ in values):
                outcomes.append(DropReason.TOO_MANY)
            found.add_list(key, field, outcomes)
    for key, field, read_clear in _CLEAR_KEYS:
        if (value := user.get(field)) is not None:
            found.add_scalar(key, field, value, read_clear)
    if (clicks := user.get("clickIds")) is not None:
        add_click_ids(found, clicks, event_time_ms if website else None)
    return MatchKeys(data, tuple(dict.fromkeys(dropped)) if dropped else ())


def is_sufficient(user_data: Mapping[str, Any]) -> bool:
    """Whether Meta takes an event with these keys at all (its error 2804050 otherwise).

    Meta documents four sets of keys too broad to match anybody; an event is invalid if its keys
    all lie within one of them. So no key at all is too few as well.
    """
    keys = user_data.keys()
    return not any(keys <= broad for broad in _TOO_BROAD)


_TOO_BROAD = (
    frozenset({"ct", "country", "st", "zp", "ge", "client_user_agent"}),
    frozenset({"db", "client_user_agent"}),
    frozenset({"fn", "ge"}),
    frozenset({"ln", "ge"}),
)


def warm_up() -> None:
    """Load the tables of countries and states, which the first record would otherwise wait for.

    Called before the loop starts; a second call does nothing.
    """
    places.warm_up()


_Read = Callable[[str, str | None, MatchKeyRules, date], Outcome]


def _date_of_birth(text: str, _: str | None, rules: MatchKeyRules, today: date) -> Outcome:
    return normalise.date_of_birth(text, rules.date_order is DateOrder.DMY, today)


def _external_id(text: str, _: str | None, rules: MatchKeyRules, __: date) -> Outcome:
    match rules.external_id:
        case ExternalIdRule.PIXEL:
            return normalise.external_id_as_the_pixel(text)
        case ExternalIdRule.EXACT:
            return normalise.external_id_exact(text)
        case ExternalIdRule.RAW:
            return normalise.external_id_raw(text)


# Meta's key, our field, our field of further values, how it is read.
_HASHED_KEYS: tuple[tuple[str, str, str | None, _Read], ...] = (
    ("em", "email", "emails", lambda text, *_: normalise.email(text)),
    ("ph", "phone", "phones", lambda text, region, *_: phone(text, region)),
    ("fn", "firstName", None, lambda text, *_: normalise.first_name(text)),
    ("ln", "lastName", None, lambda text, *_: normalise.last_name(text)),
    ("ct", "city", None, lambda text, *_: normalise.city(text)),
    ("st", "state", None, lambda text, region, *_: places.state(text, region)),
    ("zp", "zip", None, lambda text, region, *_: places.postal_code(text, region)),
    ("country", "country", None, lambda text, *_: places.country(text)),
    ("db", "dob", None, _date_of_birth),
    ("ge", "gender", None, lambda text, *_: normalise.gender(text)),
    ("external_id", "externalId", "externalIds", _external_id),
)


def _region(country: Any, default: str | None) -> str | None:
    """The country to read national forms by; a country that we cannot read is not the default."""
    text = country if type(country) is str else next(texts(country), "")
    if text is None or len(text) > TEXT_LENGTH_MAX:
        return None
    return places.region(text, default)


def _is_readable(text: str | None, key: str) -> TypeGuard[str]:
    return text is not None and (len(text) <= TEXT_LENGTH_MAX or key == "external_id")


def _as_it_is(text: str) -> str:
    return text


# A device id that tracking consent withholds is sent as zeros by every such device.
_ZERO_ID = "00000000-0000-0000-0000-000000000000"


def _device_id(text: str) -> str | DropReason:
    return DropReason.PLACEHOLDER if text == _ZERO_ID else text


def _lead_id(text: str) -> int | DropReason:
    """Meta's lead ids are JSON integers of 15 to 17 digits; its exports write ``l:`` before them.

    A bad one makes Meta reject the event, so it must not pass.
    """
    match = _LEAD_ID(text)
    return int(match[1]) if match else DropReason.MALFORMED


def _login_id(text: str) -> int | DropReason:
    """An integer, says Meta's page."""
    return int(text) if _POSITIVE(text) else DropReason.MALFORMED


_POSITIVE = re.compile(r"[1-9][0-9]{0,18}").fullmatch  # what 64 bits surely hold
_LEAD_ID = re.compile(r"(?:l:\s*)?([1-9][0-9]{14,16})", re.IGNORECASE).fullmatch


_CLEAR_KEYS: tuple[tuple[str, str, ReadClear], ...] = (
    ("client_ip_address", "ipAddress", client_ip),
    ("client_user_agent", "userAgent", _as_it_is),
    ("lead_id", "leadId", _lead_id),
    ("subscription_id", "subscriptionId", _as_it_is),
    ("fb_login_id", "fbLoginId", _login_id),
    ("anon_id", "anonId", _device_id),
    ("madid", "madid", _device_id),
    ("page_id", "pageId", _as_it_is),
    ("page_scoped_user_id", "pageScopedUserId", _as_it_is),
    ("ctwa_clid", "ctwaClid", _as_it_is),
    ("whatsapp_business_account_id", "whatsappBusinessAccountId", _as_it_is),
    ("ig_account_id", "igAccountId", _as_it_is),
    ("ig_sid", "igSid", _as_it_is),
)

META_KEYS = (*(key for key, *_ in _HASHED_KEYS), *(key for key, *_ in _CLEAR_KEYS), "fbc", "fbp")
"""All that ``user_data`` may hold."""

USER_FIELDS = (
    *(field for _, field, *_ in _HASHED_KEYS),
    *(field for _, field, _ in _CLEAR_KEYS),
    *CLICK_FIELDS,
)
"""Our names of what is read; a field of further values goes by the name of its first."""

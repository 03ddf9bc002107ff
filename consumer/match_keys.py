"""The ``user`` record of an event → Meta's ``user_data``, normalised and, where it must be, hashed.

What can be repaired is repaired; what cannot is left out and named, and the event lives on. How
each hashed key is read stands in ``normalise.py``; here are the keys that leave in the clear, and
the one table that says which field becomes which key. Meta's page "Customer information
parameters" is the source of the names and of what must be hashed.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, NamedTuple, TypeGuard

from consumer import normalise
from consumer.model import Dropped, DropReason
from consumer.normalise import TEXT_LENGTH_MAX, Outcome


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
    found = _Found({}, [])
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
            outcomes = [
                read(text, region, rules, today)
                if _is_readable(text, key)
                else DropReason.MALFORMED
                for text in (*_texts(value), *_texts(more))
            ]
            found.add_list(key, field, outcomes)
    for key, field, read_clear in _CLEAR_KEYS:
        if (value := user.get(field)) is not None:
            found.add_scalar(key, field, value, read_clear)
    if (clicks := user.get("clickIds")) is not None:
        _add_click_ids(found, clicks, event_time_ms if website else None)
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


_Read = Callable[[str, str | None, MatchKeyRules, date], Outcome]
_ReadClear = Callable[[str], str | int | DropReason]


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
    ("ph", "phone", "phones", lambda text, region, *_: normalise.phone(text, region)),
    ("fn", "firstName", None, lambda text, *_: normalise.first_name(text)),
    ("ln", "lastName", None, lambda text, *_: normalise.last_name(text)),
    ("ct", "city", None, lambda text, *_: normalise.city(text)),
    ("st", "state", None, lambda text, region, *_: normalise.state(text, region)),
    ("zp", "zip", None, lambda text, region, *_: normalise.postal_code(text, region)),
    ("country", "country", None, lambda text, *_: normalise.country(text)),
    ("db", "dob", None, _date_of_birth),
    ("ge", "gender", None, lambda text, *_: normalise.gender(text)),
    ("external_id", "externalId", "externalIds", _external_id),
)


def _region(country: Any, default: str | None) -> str | None:
    """The country to read national forms by; a country that we cannot read is not the default."""
    text = country if type(country) is str else next(_texts(country), "")
    if text is None or len(text) > TEXT_LENGTH_MAX:
        return None
    return normalise.region(text, default)


def _is_readable(text: str | None, key: str) -> TypeGuard[str]:
    return text is not None and (len(text) <= TEXT_LENGTH_MAX or key == "external_id")


class _Found(NamedTuple):
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

    def add_scalar(self, key: str, field: str, value: Any, read: _ReadClear) -> None:
        """A key that is never hashed; JSON needs its text to be UTF-8."""
        text = value if type(value) is str else next(_texts(value), "")
        if text is not None and not (text := normalise.visible_part(text)):
            return
        if text is None or not normalise.is_encodable(text):
            outcome: str | int | DropReason = DropReason.MALFORMED
        elif normalise.is_placeholder(text):
            outcome = DropReason.PLACEHOLDER
        else:
            outcome = read(text)
        if isinstance(outcome, DropReason):
            self.dropped.append(Dropped(field, outcome))
        else:
            self.data[key] = outcome


def _texts(value: Any) -> Iterator[str | None]:
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


_LEAD_ID = re.compile(r"(?:l:\s*)?([1-9][0-9]{14,16})", re.IGNORECASE).fullmatch


def _client_ip(text: str) -> str | DropReason:
    """The first public address of a comma list, without port, brackets and zone."""
    if _SURELY_PUBLIC(text):
        return text
    reason = DropReason.MALFORMED
    for part in text.split(","):
        written = _APPENDED.search(part)
        host = _HOST.sub(r"\1\2", part[: written.start()] if written else part)
        try:
            address = ip_address(host)
        except ValueError:
            continue
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
            host = str(address)
        if _is_public(address):
            return host + (written[1] if written else "")
        reason = DropReason.NOT_PUBLIC
    return reason


# Nearly all: an IPv4 address whose first number is proof enough, at a tenth of the cost.
_SURELY_PUBLIC = re.compile(
    r"(?!(?:0|10|100|127|169|172|192)\.)(?:[1-9]?[0-9]|1[0-9]{2}|2[01][0-9]|22[0-3])"
    r"(?:\.(?:[1-9]?[0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])){3}"
).fullmatch
# Whatever stands around [v6]:port, v4:port or an address with a zone.
_HOST = re.compile(
    r"^[\s\"]*\[?(?:([0-9.]+)(?::[0-9]*)?|([0-9A-Fa-f:.]+))(?:%[^\]]*)?(?:\](?::[0-9]*)?)?[\s\"]*$"
)
# What Meta's parameter builder puts behind a value that it has seen.
_APPENDED = re.compile(r"(\.(?:A[Qgw]|B[AQg]|AQ[EIMQUY][A-Za-z0-9_-]{5}))\s*$")


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    """Python's ``is_private`` also means the documentation ranges, which pass here."""
    lows, highs = _not_public(address.version)
    at = bisect_right(lows, int(address)) - 1
    return at < 0 or int(address) > highs[at]


@cache
def _not_public(version: int) -> tuple[list[int], list[int]]:
    """The first and the last addresses of the networks below, in ascending order."""
    networks = [net for net in map(ip_network, _NOT_PUBLIC) if net.version == version]
    return (
        sorted(int(network.network_address) for network in networks),
        sorted(int(network.broadcast_address) for network in networks),
    )


_NOT_PUBLIC = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
    *("169.254.0.0/16", "0.0.0.0/32", "224.0.0.0/4"),
    *("::/128", "::1/128", "fe80::/10", "fc00::/7", "ff00::/8"),
)

_CLEAR_KEYS: tuple[tuple[str, str, _ReadClear], ...] = (
    ("client_ip_address", "ipAddress", _client_ip),
    ("client_user_agent", "userAgent", _as_it_is),
    ("lead_id", "leadId", _lead_id),
    ("subscription_id", "subscriptionId", _as_it_is),
    ("fb_login_id", "fbLoginId", _as_it_is),
    ("anon_id", "anonId", _device_id),
    ("madid", "madid", _device_id),
    ("page_id", "pageId", _as_it_is),
    ("page_scoped_user_id", "pageScopedUserId", _as_it_is),
    ("ctwa_clid", "ctwaClid", _as_it_is),
    ("whatsapp_business_account_id", "whatsappBusinessAccountId", _as_it_is),
    ("ig_account_id", "igAccountId", _as_it_is),
    ("ig_sid", "igSid", _as_it_is),
)


def _add_click_ids(found: _Found, clicks: Any, fallback_ms: int | None) -> None:
    """``fbc`` and ``fbp`` as received, else ``fbc`` from the click id and the click's time."""
    if not isinstance(clicks, Mapping):
        found.dropped.append(Dropped("clickIds", DropReason.MALFORMED))
        return
    if (value := clicks.get("fbc")) is not None:
        found.add_scalar("fbc", "clickIds.fbc", value, _fbc)
    if (value := clicks.get("fbp")) is not None:
        found.add_scalar("fbp", "clickIds.fbp", value, _fbp)
    if "fbc" in found.data or (value := clicks.get("fbclid")) is None:
        return
    time_ms = _milliseconds(clicks.get("fbclidTime")) or fallback_ms

    def build(text: str) -> str | DropReason:
        if not _FBCLID(text):
            return DropReason.MALFORMED
        # 1 is the subdomain index that Meta documents for a server without the cookie.
        return f"fb.1.{time_ms}.{text}" if time_ms else DropReason.FBCLID_WITHOUT_TIME

    found.add_scalar("fbc", "clickIds.fbclid", value, build)


def _fbc(text: str) -> str | DropReason:
    return text if _FBC(text) else DropReason.MALFORMED  # unchanged: Meta reports modified ones


def _fbp(text: str) -> str | DropReason:
    return text if _FBP(text) else DropReason.MALFORMED


_APPENDIX = r"(?:\.[A-Za-z0-9_-]{2}|\.[A-Za-z0-9_-]{8})?"
_FBC = re.compile(r"fb\.[0-9]+\.[0-9]{10,14}\.[A-Za-z0-9_-]+" + _APPENDIX).fullmatch
_FBP = re.compile(r"fb\.[0-9]+\.[0-9]{10,14}\.[0-9]+" + _APPENDIX).fullmatch
_FBCLID = re.compile(r"[A-Za-z0-9_-]+").fullmatch


def _milliseconds(value: Any) -> int | None:
    """A click's time in milliseconds: what is below 10^11 can only be seconds."""
    text = next(_texts(value), None)
    if text is None or not _TIME(text.strip()):
        return None
    number = int(text)
    return number * 1000 if number < 10**11 else number


_TIME = re.compile(r"[1-9][0-9]{8,13}").fullmatch
